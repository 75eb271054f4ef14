"""A backup: everything that it was made from is destroyed, and what is restored goes on from it."""

import gzip
import json
import shutil
import threading
from collections import deque

import pytest
import redis
from confluent_kafka import Producer, TopicCollection
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from cli.backups import backup as backups
from cli.backups.place import Place
from cli.figures import FILLS
from cli.live.ledger import Ledger
from cli.stack import apps, image, kafka, topics
from cli.stack.image import image_of
from cli.stack.layout import SAMPLE, Home, Ports
from cli.stack.process import stop
from cli.stack.stack import STARTED_JOBS, Stack
from cli.status import describe
from nextclick import Client
from nextclick.topics import PRODUCER_CONFIG, TOPICS, redis_session_key
from nextclick.v1.session_pb2 import SessionRecord
from settings.kafka import KafkaSettings
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
    """Wait until every part has applied everything, and nothing has been published for a while."""
    looks = deque(maxlen=20)

    def found():
        now = describe(Stack.running(shop.home))
        looks.append({model["name"]: model["version"] for model in now["models"]})
        still = len(looks) == looks.maxlen and all(look == looks[0] for look in looks)
        return {p["name"]: p["lag"] for p in now["parts"] if p["lag"] is not None}, still

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


@pytest.mark.long
def test_a_restored_backup_answers_as_before(shop, tmp_path):
    """The folders of Kafka, Flink, Redis and the servers are gone, and nobody notices."""
    ids = sample(tmp_path / "first.txt", 0, FIRST)
    assert len(ids) > SESSIONS
    sent = send(shop, tmp_path / "first.txt")
    at_rest(shop)
    clicks = apps.server_status(shop.ports)["clicks"]
    assert clicks == sent
    before = ranks(shop, ids[:SESSIONS])
    ranked = sum(map(len, before.values()))
    assert ranked > 5 * SESSIONS
    home, place = ("--home", str(shop.home.root)), str(tmp_path / "backups")
    created = run("backup", "create", place, *home, "--keep", "2", "--json")
    assert created.returncode == 0, created.stderr
    assert ranks(shop, ids[:SESSIONS]) == before, "it goes on meanwhile"

    shop.kill(*shop.children())
    eventually(lambda: Stack.running(shop.home), lambda stack: stack is None, "the end")
    shutil.rmtree(shop.home.root)

    restored = run("backup", "restore", place, *home, "--json")
    assert restored.returncode == 0, restored.stderr
    done = shop.up()
    assert done.returncode == 0, done.stderr
    assert "from nothing" not in done.stderr
    for name in STARTED_JOBS:
        assert f"/flink/savepoints/{name}/" in shop.restored(name)
    assert ranks(shop, ids[:SESSIONS]) == before
    assert apps.server_status(shop.ports)["clicks"] == clicks
    eventually(lambda: steps_in_redis(shop, ids), lambda n: n == sent, "all sessions in Redis")
    print(f"{SESSIONS} sessions, {ranked} ranks; {created.stdout.strip()}")

    assert send(shop, tmp_path / "first.txt") == 0, "the import knows that it is done"
    sample(tmp_path / "more.txt", FIRST, ALL)
    sent += send(shop, tmp_path / "more.txt")
    with Ledger(KafkaSettings(kafka=f"127.0.0.1:{shop.ports.kafka}")) as book:
        book.wait(sent, LIMIT_S)
        assert (book.applied, book.duplicates, book.dead_lettered) == (sent, 0, 0)
    eventually(
        lambda: apps.server_status(shop.ports).get("clicks"),
        lambda learned: learned == sent,
        "each click learned once",
    )


WRITTEN = 50_000
"""Records of 300 bytes, in segments of a mebibyte: some in each partition."""


class Writer:
    """Writes numbered records to `events` from a thread, and knows which the broker has."""

    def __init__(self, servers):
        config = {"bootstrap.servers": servers, "compression.type": "none"}
        self._producer = Producer({**PRODUCER_CONFIG, **config})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.acknowledged = {}

    def _write(self):
        number = 0
        while not self._stop.is_set():
            self._producer.produce("events", b"%06d" % number * 50, on_delivery=self._note)
            self._producer.poll(0 if number % 1_000 else 0.01)
            number += 1

    def _note(self, error, message):
        if error is None:
            place = message.partition(), message.offset()
            self.acknowledged[place] = message.value(), message.timestamp()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._producer.flush(LIMIT_S)


def started(home):
    """A broker in a folder, as a stack of its own has it."""
    stack = Stack(home, Ports.free(), bound=True)
    stack.children.append(kafka.start(home, stack.ports, bound=True))
    kafka.wait(home, stack.ports, stack.child("kafka"))
    return stack


def create_topics(stack):
    """Create the topics; Kafka begins a new segment of `events` after a mebibyte."""
    admin = kafka.admin_client(stack.kafka_settings)
    topics.create(admin)
    entry = ConfigEntry("segment.bytes", "1048576", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, "events", incremental_configs=[entry])
    for done in admin.incremental_alter_configs([resource]).values():
        done.result()


def topic_ids(stack):
    admin = kafka.admin_client(stack.kafka_settings)  # its answers come as long as it is there
    found = admin.describe_topics(TopicCollection(list(TOPICS)))
    return {name: str(future.result().topic_id) for name, future in found.items()}


def test_a_log_that_is_written_meanwhile_is_backed_up_whole(tmp_path, monkeypatch):
    """Offsets, times of arrival and ids of topics stay: all positions and states refer to them."""
    monkeypatch.setattr(image, "_new_snapshots", lambda _: [])
    monkeypatch.setattr(image, "_states", lambda *_: [])
    place = Place(str(tmp_path / "backups"))
    first = started(Home(tmp_path / "first"))
    create_topics(first)
    with Writer(first.kafka) as writer:
        eventually(lambda: len(writer.acknowledged), lambda n: n > WRITTEN, "some segments")
        held = dict(writer.acknowledged)
        with image_of(first, lambda _: None) as entries:
            many = len(writer.acknowledged)
            eventually(lambda: len(writer.acknowledged), lambda n: n > many, "it goes on")
            backup = backups.create(place, "backup-20261128T030000Z", "stack", "", entries)
    segments = [e.name for e in entries if "/events-" in e.name and e.name.endswith(".log")]
    assert len(segments) > TOPICS["events"].partitions, "some are closed"
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

        read = eventually(found, lambda now: held.keys() <= now.keys(), "all acknowledged ones")
        assert {place: read[place] for place in held} == held
    finally:
        stop(second.children)
