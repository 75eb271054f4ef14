"""A backup: everything that it was made from is destroyed, and what is restored goes on from it."""

import gzip
import json
import shutil
import threading

import pytest
import redis
from confluent_kafka import Producer, TopicCollection
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from cli.backups import backup as backups
from cli.backups.place import Place
from cli.live.ledger import Ledger
from cli.recommend import FILLS
from cli.stack import apps, image, kafka, topics
from cli.stack.image import image_of
from cli.stack.layout import SAMPLE, Home, Ports
from cli.stack.process import stop
from cli.stack.stack import STARTED_JOBS, Stack
from cli.status import describe
from nextclick import Client
from nextclick.topics import PRODUCER_CONFIG, TOPICS, redis_session_key
from nextclick.v1.session_pb2 import SessionRecord
from tests.command import run
from tests.integration.conftest import LIMIT_S, Reader, eventually
from tests.recovery.shop import Shop

SESSIONS = 1_000
FIRST, ALL = 6_000, 6_500
"""Clicks of the sample that are sent before the backup and in all; more sessions than compared."""


@pytest.fixture
def shop(tmp_path):
    shop = Shop(Home(tmp_path / "home"))
    done = shop.up()
    assert done.returncode == 0, done.stderr
    yield shop
    if Stack.running(shop.home):
        shop.down()


def sample(path, first, last):
    """Write a part of the shipped clicks into a file; returns its sessions in their order."""
    with gzip.open(SAMPLE / "train.txt.gz", "rt") as file:
        heading, *lines = file.read().splitlines(keepends=True)
    path.write_text("".join([heading, *lines[first:last]]))
    return list(dict.fromkeys(line.split("\t")[0] for line in lines[first:last]))


def send(shop, path):
    done = run("import", str(path), "--home", str(shop.home.root), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["sent"]


def at_rest(shop):
    """Wait until every part has applied everything, and nothing is published any more."""
    before = None

    def found():
        nonlocal before
        last = before
        now = describe(Stack.running(shop.home))
        before = (
            {part["name"]: part["lag"] for part in now["parts"] if part["lag"] is not None},
            {model["name"]: model["version"] for model in now["models"]},
        )
        return (before[0], before == last)

    eventually(
        found,
        lambda now: (
            {"server", "emitter", "store", "job sessions", "job vectors"} <= set(now[0])
            and not any(now[0].values())
            and now[1]
        ),
        "all applied",
    )


def ranks(shop, ids):
    """What each visitor is answered, ranked, without the items that only fill the page."""
    with Client(f"127.0.0.1:{shop.ports.grpc}", timeout_s=60) as client:
        answers = {name: client.recommend(name, page_size=20) for name in ids}
    assert {answer.source for answer in answers.values()} == {"session"}
    return {
        name: [item.item_id for item in answer.items if item.score > FILLS]
        for name, answer in answers.items()
    }


def steps_in_redis(shop, ids):
    store = redis.Redis(port=shop.ports.redis)
    records = [store.hget(redis_session_key(name), "record") for name in ids]
    return sum(SessionRecord.FromString(record).step_count for record in records if record)


def test_a_restored_backup_answers_as_before(shop, tmp_path):
    """The folders of Kafka, Flink, Redis and the servers are gone, and nobody notices."""
    ids = sample(tmp_path / "first.txt", 0, FIRST)
    assert len(ids) > SESSIONS
    sent = send(shop, tmp_path / "first.txt")
    at_rest(shop)
    clicks = apps.server_status(shop.ports)["clicks"]
    assert clicks == sent
    before = ranks(shop, ids[:SESSIONS])
    segments = [e.name for e in entries if "/events-" in e.name and e.name.endswith(".log")]
    assert len(segments) > 4, "some are closed"
    ids = topic_ids(first)
    stop(first.children)
    shutil.rmtree(tmp_path / "first")
    backups.restore(place, backup, tmp_path / "second")
    second = started(Home(tmp_path / "second"))
    try:
        assert topic_ids(second) == ids
        reader = Reader(second.kafka, "events", from_beginning=True)

        def found():
            return {(m.partition(), m.offset()): (m.value(), m.timestamp()) for m in reader.read()}

        eventually(found, lambda now: held.keys() <= now.keys(), "all that was acknowledged")
        assert all(found()[place] == written for place, written in held.items())
    finally:
        stop(second.children)
