"""``nextclick topics``: what is created, and what follows from each setting that differs."""

import json
import re

import pytest
from confluent_kafka import KafkaError, KafkaException
from typer.testing import CliRunner

from cli.errors import CommandError
from cli.main import app
from cli.sentences import sentence_of
from cli.stack import topics
from cli.stack.layout import Ports
from nextclick.topics import EVENTS, EXAMPLES, IMPRESSIONS, ITEMS, RANKER, SESSIONS, TOPICS
from tests.unit.cli.kafka_of_topics import Broker, partition


def found(broker, tenant=""):
    """The differences, by topic and setting."""
    cluster = topics.look(broker, tenant)
    return {(d.topic, d.setting): d for d in topics.differences(cluster, tenant)}


@pytest.mark.parametrize(("brokers", "copies", "in_sync"), [(1, 1, 1), (2, 2, 1), (5, 3, 2)])
def test_what_is_created_survives_the_loss_of_a_broker_where_it_can(brokers, copies, in_sync):
    """One copy on five brokers loses records with a disk; one in sync, with a crash."""
    broker = Broker("shop", brokers)
    del broker.topics["shop.events"], broker.topics["shop.ranker"]
    assert topics.create(broker, "shop") == ["shop.events", "shop.ranker"]
    for new, name in zip(broker.created, (EVENTS, RANKER), strict=True):
        assert (new.num_partitions, new.replication_factor) == (TOPICS[name].partitions, copies)
        assert new.config == TOPICS[name].config | {"min.insync.replicas": str(in_sync)}


def test_a_number_of_copies_is_taken_as_it_is_given():
    broker = Broker(brokers=5)
    broker.topics.clear()
    topics.create(broker, copies=4)
    assert {new.replication_factor for new in broker.created} == {4}
    assert {new.config["min.insync.replicas"] for new in broker.created} == {"2"}


def test_a_topic_that_kafka_refuses_is_named():
    error = KafkaError(KafkaError.INVALID_REPLICATION_FACTOR, "too many")
    broker = Broker(refused=KafkaException(error))
    del broker.topics[EVENTS]
    with pytest.raises(CommandError, match="cannot create the topic events: too many"):
        topics.create(broker)


def test_a_topic_that_another_one_creates_meanwhile_is_there():
    """Two pods of a job that starts with `create`."""
    broker = Broker(refused=KafkaException(KafkaError(KafkaError.TOPIC_ALREADY_EXISTS)))
    del broker.topics[EVENTS]
    assert topics.create(broker) == []


@pytest.mark.parametrize(
    ("topic", "setting", "value", "consequence"),
    [
        (SESSIONS, "cleanup.policy", "delete", "deleted by age"),
        (SESSIONS, "cleanup.policy", "compact", "grows without an end"),
        (EVENTS, "cleanup.policy", "compact,delete", "still needed"),
        (EVENTS, "retention.ms", "1000", "misses records"),
        (EVENTS, "retention.ms", "-1", "more disk"),
        (EXAMPLES, "retention.bytes", "1000", "before they are read"),
        (EVENTS, "retention.bytes", "1000", "before they are read"),
        (EXAMPLES, "retention.bytes", "-1", "more disk"),
        (ITEMS, "delete.retention.ms", "86400000", "keeps what was deleted"),
        (SESSIONS, "segment.bytes", "1073741824", "reads for longer"),
        (EVENTS, "message.timestamp.type", "CreateTime", "a history is deleted at once"),
        (EVENTS, "max.message.bytes", "1000", "largest records are refused"),
    ],
)
def test_what_follows_from_each_setting_that_differs_is_said(topic, setting, value, consequence):
    """A name and two numbers tell nobody whether to get up at night."""
    broker = Broker()
    broker.settings[topic][setting] = value
    differences = found(broker)
    assert list(differences) == [(topic, setting)]
    assert differences[topic, setting].found == value
    assert consequence in differences[topic, setting].consequence


@pytest.mark.parametrize(
    ("copies", "in_sync", "wanted", "consequence"),
    [
        (3, "1", "2", "acknowledged records are lost"),
        (3, "3", "2", "stops all writing"),
        (2, "2", "1", "stops all writing"),
        (1, "2", "1", "all writing is refused"),
    ],
)
def test_copies_that_must_have_a_record_are_neither_one_nor_all(
    copies, in_sync, wanted, consequence
):
    broker = Broker(brokers=copies)
    broker.settings[EVENTS]["min.insync.replicas"] = in_sync
    difference = found(broker)[EVENTS, "min.insync.replicas"]
    assert (difference.found, difference.wanted) == (in_sync, wanted)
    assert consequence in difference.consequence


def test_what_is_created_with_two_copies_on_three_brokers_is_as_declared():
    """A check that fails for ever on what `create` was told is soon switched off."""
    broker = Broker(brokers=3)
    broker.topics[EVENTS].partitions = {p: partition(2) for p in range(TOPICS[EVENTS].partitions)}
    broker.settings[EVENTS]["min.insync.replicas"] = str(topics.in_sync(2))
    assert not found(broker)


def test_partitions_and_copies_that_differ_are_told():
    broker = Broker(brokers=3)
    broker.add_partition(EVENTS)
    broker.topics[ITEMS].partitions[2] = partition(1)
    differences = found(broker)
    assert (differences[EVENTS, "partitions"].found, differences[ITEMS, "replication"].found) == (
        "5",
        "1",
    )


def test_every_declared_setting_has_a_consequence():
    """One that is declared later would be a traceback in the middle of a check."""
    for name, declared in TOPICS.items():
        for setting in declared.config:
            for value in {"1", "-1", "other"} - {declared.config[setting]}:
                broker = Broker()
                broker.settings[name][setting] = value
                assert found(broker)[name, setting].consequence


@pytest.fixture
def run(monkeypatch):
    """Runs a command on a made cluster."""

    def run(broker, *words):
        monkeypatch.setattr("cli.topics.admin_client", lambda _: broker)
        return CliRunner().invoke(app, ["topics", *words])

    return run


def test_a_check_fails_if_anything_differs(run):
    """It guards deployments: an exit code is all that they read."""
    assert run(Broker(), "check").exit_code == 0
    broker = Broker()
    broker.settings[EVENTS]["retention.ms"] = "1000"
    said = run(broker, "check", "--json")
    assert said.exit_code == 1
    assert [d["topic"] for d in json.loads(said.output)["differences"]] == [EVENTS]
    del broker.topics[EVENTS]
    said = run(broker, "check", "--json")
    assert (said.exit_code, json.loads(said.output)) == (
        1,
        {"missing": [EVENTS], "differences": []},
    )


def test_each_tenant_has_topics_of_its_own(run):
    """The option wins over the environment, and names what is created."""
    broker = Broker("shop")
    said = json.loads(run(broker, "create", "--tenant", "other", "--json").output)
    assert said["created"] == [f"other.{name}" for name in TOPICS]
    assert json.loads(run(broker, "create", "--tenant", "shop", "--json").output)["created"] == []


def test_records_and_settings_are_described(run):
    told = json.loads(run(Broker(), "describe", "--json").output)["topics"]
    assert [entry["topic"] for entry in told] == list(TOPICS)
    events = told[0]
    assert events["records"] == sum(part * 99 for part in range(TOPICS[EVENTS].partitions))
    assert events["config"]["message.timestamp.type"] == "LogAppendTime"


def test_what_the_cluster_keeps_is_described_and_not_what_is_declared(run):
    """The first question after records are gone is how long they were kept."""
    broker = Broker()
    broker.settings[SESSIONS] |= {"cleanup.policy": "delete", "retention.ms": "43200000"}
    broker.settings[EVENTS]["retention.ms"] = "-1"
    broker.settings[IMPRESSIONS]["retention.bytes"] = str(1 << 28)
    rows = [re.split(r"\s{2,}", line) for line in run(broker, "describe").output.splitlines()]
    told = {row[0]: row[4].strip() for row in rows if len(row) > 4}
    assert told[SESSIONS] == "0.5 days"
    assert told[EVENTS] == "for ever"
    assert told[IMPRESSIONS] == "7 days, 1 GiB"
    same = TOPICS.keys() - {SESSIONS, EVENTS, IMPRESSIONS}
    assert {name: told[name] for name in same} == {name: TOPICS[name].kept for name in same}


GONE = KafkaException(KafkaError(KafkaError._TRANSPORT, "Broker transport failure"))


@pytest.mark.parametrize("error", [GONE, TimeoutError()])
@pytest.mark.parametrize("words", [["create"], ["check"], ["describe"]])
def test_a_kafka_that_does_not_answer_is_named(monkeypatch, words, error):
    """The stack's Kafka may be on another port: `nextclick doctor` finds nothing wrong there."""
    monkeypatch.setattr("cli.stack.topics.ANSWER_S", 0.5)
    nobody = f"127.0.0.1:{Ports.free().kafka}"
    result = CliRunner().invoke(app, ["topics", *words, "--kafka", nobody])
    told = sentence_of(result.exception)
    assert told.startswith(f"Kafka: {nobody} does not answer: ")
    assert "set NEXTCLICK_KAFKA to its address" in told
