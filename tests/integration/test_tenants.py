"""Two tenants on one cluster: each in its own answers, topics, keys, groups and metrics only."""

import dataclasses
import json
import re
import urllib.request
import uuid

import pytest
import redis
from confluent_kafka import ConsumerGroupTopicPartitions

from cli.stack import apps
from cli.stack.kafka import admin_client
from cli.stack.layout import Home, Ports
from cli.stack.process import stop
from nextclick import Client
from nextclick.topics import SESSIONS, redis_session_key, topic
from nextclick.v1.session_pb2 import SessionRecord
from streaming import store
from streaming.jobs.registry import JOBS
from tests.command import run
from tests.integration.conftest import LIMIT_S, eventually
from tests.integration.test_path import views

GROUP = JOBS["sessions"].parts[0].group


@dataclasses.dataclass
class Shop:
    """A tenant beside the stack's own: its server, and what its visitors click on."""

    tenant: str
    client: Client
    ports: Ports
    items: tuple[str, ...]


def command(stack, *words):
    """The result of a command on the stack."""
    done = run(*words, "--home", str(stack.home.root), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def shop(stack, tmp_path_factory):
    """A tenant on the stack's Kafka, Redis and Flink, as docs/deploy.md says."""
    mark = uuid.uuid4().hex[:6]
    tenant, home = f"shop{mark}", Home(tmp_path_factory.mktemp("shop"))
    created = run("topics", "create", "--kafka", stack.kafka, "--tenant", tenant)
    assert created.returncode == 0, created.stderr
    ports = dataclasses.replace(Ports.free(), kafka=stack.ports.kafka, redis=stack.ports.redis)
    with stack.more_taskmanagers():
        command(stack, "jobs", "submit", "sessions", "--tenant", tenant)
        server = apps.start_server(home, ports, bound=True, tenant=tenant)
        children = [server, apps.start_store(home, ports, bound=True, tenant=tenant)]
        apps.wait_serving(home, ports, server)
        with Client(f"127.0.0.1:{ports.grpc}", timeout_s=60) as client:
            yield Shop(tenant, client, ports, tuple(f"{mark}-{n}" for n in range(5)))
        command(stack, "jobs", "stop", "sessions", "--tenant", tenant)
        stop(children, grace_s=60)


def test_the_same_visitors_have_other_sessions_and_answers(stack, client, shop):
    """Ids of sessions are the shops' own, and may be the same: nothing of one is the other's."""
    theirs = tuple(f"own-{item}" for item in shop.items)
    sides = ((client, "", theirs), (shop.client, shop.tenant, shop.items))
    names = [f"v-{shop.tenant}-{n}" for n in range(20)]
    for asked, _, items in sides:
        for name in names:
            asked.put_events(views(name, items))
    cache = redis.Redis(port=stack.ports.redis)
    for asked, tenant, items in sides:
        for name in names:
            answer = eventually(
                lambda a=asked, n=name: a.recommend(n, page_size=100),
                lambda answer: answer.session_version == len(items),  # noqa: B023
                "the session",
                LIMIT_S,
            )
            foreign = set(shop.items if asked is client else theirs)
            assert not foreign & set(answer.item_ids)
            raw = eventually(
                lambda n=name, t=tenant: cache.hget(redis_session_key(n, t), "record"),
                lambda raw: raw and SessionRecord.FromString(raw).version == len(items),  # noqa: B023
                "the session in Redis",
            )
            assert [s.item_id for s in SessionRecord.FromString(raw).steps] == list(items)
    listed = shop.client.recommend(names[0], page_size=100).item_ids
    assert set(listed) <= set(shop.items)
    assert listed


def test_topics_and_groups_are_apart(stack, shop, reader):
    """A job or a store that read the other's topics would commit positions in them."""
    shop.client.put_events(views(f"g-{shop.tenant}", shop.items))
    mine = reader(topic(SESSIONS, shop.tenant), from_beginning=True)
    records = eventually(mine.read, bool, "records of the shop")
    clicked = {s.item_id for m in records for s in SessionRecord.FromString(m.value()).steps}
    assert clicked == set(shop.items)
    admin = admin_client(stack.kafka_settings)
    for group in (GROUP, store.GROUP):
        for tenant in ("", shop.tenant):
            named = topic(group, tenant)
            positions = eventually(
                lambda g=named: committed(admin, g), bool, f"positions of {named}"
            )
            assert {part.topic.rpartition(".")[0] for part in positions} == {tenant}


def committed(admin, group):
    """The partitions in which a group has committed a position."""
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
    return [part for part in asked[group].result(60).topic_partitions if part.offset >= 0]


def test_status_and_jobs_are_those_of_the_tenant(stack, shop):
    """An operator of one shop sees neither the jobs nor the lag of the other."""
    jobs = command(stack, "jobs", "list", "--tenant", shop.tenant)["jobs"]
    assert {job["name"] for job in jobs} == {f"{shop.tenant}.sessions"}
    said = eventually(
        lambda: command(stack, "status", "--tenant", shop.tenant),
        lambda said: [p["lag"] for p in said["parts"] if p["name"] == "job sessions"] == [0],
        "all events of the shop are processed",
    )
    assert said["models"] == []
    assert "server" not in {part["name"] for part in said["parts"]}


def test_metrics_say_whose_they_are(stack, shop):
    """In a graph, the sessions of one would be added to those of the other."""

    def tenants(ports):
        url = f"http://127.0.0.1:{ports.http}/metrics"
        with urllib.request.urlopen(url, timeout=60) as reply:
            lines = reply.read().decode()
        return set(re.findall(r'^nextclick_info{.*tenant="(.*?)"', lines, re.MULTILINE))

    assert tenants(shop.ports) == {shop.tenant}
    assert tenants(stack.ports) == {""}
