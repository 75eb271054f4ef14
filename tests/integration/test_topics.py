"""``nextclick topics`` against a real broker: what it creates is what it checks."""

import json
import uuid

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from cli.stack import kafka
from nextclick.topics import EVENTS, SESSIONS, TOPICS, topic
from tests.command import run as run_command


@pytest.fixture
def tenant():
    return f"made{uuid.uuid4().hex[:6]}"


@pytest.fixture
def run(stack, tenant):
    """Runs a command for a tenant; its exit code, and what it printed."""

    def run(name):
        done = run_command("topics", name, "--kafka", stack.kafka, "--tenant", tenant, "--json")
        assert not done.stderr
        return done.returncode, json.loads(done.stdout)

    return run


def test_created_topics_pass_the_check_and_a_changed_one_fails_it(run, stack, tenant):
    """A cluster has defaults of its own, and somebody changes settings by hand."""
    names = [topic(name, tenant) for name in TOPICS]
    assert run("check") == (1, {"missing": names, "differences": []})
    assert run("create") == (0, {"created": names})
    assert run("check") == (0, {"missing": [], "differences": []})
    assert run("create") == (0, {"created": []})
    sessions = topic(SESSIONS, tenant)
    change = ConfigEntry("cleanup.policy", "delete", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, sessions, incremental_configs=[change])
    admin = kafka.admin_client(stack.kafka_settings)
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(60)
    code, said = run("check")
    assert code == 1
    (difference,) = said["differences"]
    assert (difference["topic"], difference["setting"]) == (sessions, "cleanup.policy")


def test_what_is_described_is_what_lies_there(run, producer, tenant):
    run("create")
    events = topic(EVENTS, tenant)
    for n in range(7):
        producer.produce(events, b"{}", f"s{n}")
    assert producer.flush(60) == 0
    _, said = run("describe")
    described = {entry["topic"]: entry for entry in said["topics"]}
    assert described[events]["records"] == 7
    assert described[events]["partitions"] == TOPICS[EVENTS].partitions
    assert described[events]["config"]["message.timestamp.type"] == "LogAppendTime"
