"""Memory: what operators are told that a replica takes is what a full one takes."""

import json
import re
import subprocess
import sys
from operator import mul
from pathlib import Path

import pytest

from online_models.memory.layout import Limits
from server.replica.catalogue_entries import MOST_BYTES
from server.replica.early_vectors import MOST_EARLY
from server.replica.log_reader import QUEUE_KB
from server.replica.memory import (
    EARLY_BYTES,
    FITTING_BYTES,
    HELD_BYTES,
    KNOWN_BYTES,
    most_bytes,
)
from server.replica.profiles import ENTRY_BYTES, MOST_ASKED, MOST_PROFILES, RECORD_BYTES
from server.replica.replica import Role

FILL = """
import json, sys, time, numpy as np, psutil
from nextclick import Item, encode_item
from nextclick.v1.session_pb2 import SessionRecord, Step
from online_models.engine import Engine
from online_models.engine.warm_up import warm_up
from online_models.memory.layout import Limits
from records import item_vectors
from server import __main__ as server
from server.replica.early_vectors import MOST_EARLY
from server.replica.content_builder import ContentBuilder
from server.replica.memory import ONLY_LEARNERS, RECORD_BYTES
from server.replica.replica import Replica

items, sessions = int(sys.argv[1]), int(sys.argv[2])
warm_up()
replica = Replica(Engine(Limits(max_items=items, max_sessions=sessions), sample=0, remote=True))
index = replica.engine.begin_index(time.monotonic)
words = "x" * (RECORD_BYTES - 85)
for n in reversed(range(items + 50_000)):  # others wait for rows
    shown = Item(f"item {n:08}", categories=(f"c{n % 997}", "shoes"), title=words)
    replica.apply_item(shown.item_id.encode(), encode_item(shown))
rng = np.random.default_rng(0)
at = 1_700_000_000_000
for n in range(sessions + sessions // 20):
    clicked = (items * rng.random(1 + n % 5) ** 2).astype(int)
    session_id, at = f"session {n:08}", at + 1_000
    record = SessionRecord(
        session_id=session_id, user_id=f"a user {n:09}", version=len(clicked), incarnation=at,
        appended_ms=at + len(clicked), last_timestamp_ms=at,
        steps=[
            Step(item_id=f"item {item:08}", seq=seq + 1, timestamp_ms=at, appended_ms=at + seq)
            for seq, item in enumerate(clicked)
        ],
    )
    replica.apply_session(session_id.encode(), record.SerializeToString())
    while replica.unsettled:
        replica.settle()
for n in range(items + MOST_EARLY):  # those of the last come early
    both = rng.normal(size=(2, 64)).astype(np.float32)
    record = item_vectors.encode(item_vectors.ItemVectors(*both, 1, [1] * 4))
    replica.apply_vectors(f"item {n:08}".encode(), record)
index.rebuild()
index.rebuild()
builder = ContentBuilder(replica)
builder.put_items()
content = replica.engine.content
content.refit()
another = content.make()  # beside the one that is in use
print(json.dumps({
    "content": content.n_vectors,
    "items": len(replica.engine.rows), "sessions": len(replica.sessions), "vectors": len(index),
    "rss": psutil.Process().memory_info().rss,
    "touched": [name for name in ONLY_LEARNERS if replica.engine.arrays[name].any()],
}))
"""

WAITING = """
import sys, tracemalloc, numpy as np
from online_models.engine import Engine
from online_models.memory.layout import Limits
from records import item_vectors
from records.item_vectors import ItemVectors
from server.replica.replica import Replica, Role

replica = Replica(Engine(Limits(16, 16, pairs=16), sample=0, remote=True), Role(sys.argv[1]))
vectors = np.random.default_rng(0).normal(size=(2, 64)).astype(np.float32)
n = 20_000
tracemalloc.start()
before, _ = tracemalloc.get_traced_memory()
for number in range(n):
    offsets = [1_000_000 + number // 100] * 4
    record = item_vectors.encode(ItemVectors(*vectors, 1_000_000, offsets))
    replica.apply_vectors(f"item {number:08}".encode(), record)
after, _ = tracemalloc.get_traced_memory()
print((after - before) / n)
"""


FORMULA = (
    r"`max_items` x ([\d,]+) bytes \+ `max_sessions` x (\d+) \+ `max_users` x ([\d,]+) "
    r"\+ `max_profiles` x ([\d,]+) \+ (\d+) MB"
)
SIZES = (
    (1 << 14, 1 << 16, 1 << 12, 1 << 12),
    (1 << 18, 1 << 20, 1 << 16, 1 << 16),
    (1 << 18, 1 << 20, 1 << 21, 1 << 20),
)
"""Items, sessions, users and profiles."""

PROFILES = """
import tracemalloc
from nextclick.v1.profile_pb2 import Profile
from online_models.engine import Engine
from online_models.memory.layout import Limits
from server.replica.memory import KNOWN_BYTES
from records.past import known
from server.replica.profiles import RECORD_BYTES
from server.replica.replica import Replica

replica = Replica(Engine(Limits(16, 16, pairs=16), sample=0, remote=True))

def profile(user, items):
    made = Profile(user_id=f"a user {user:09}", version=1, incarnation=1 << 40)
    for n in range(items):
        made.items.add(item_id=f"item {n:08}", steps=1, sessions=1, last_timestamp_ms=1 << 40,
                       weight=1, type=1)
    for n in range(20 if items == 50 else 5):
        made.purchased.add(item_id=f"item {n:08}", timestamp_ms=1 << 40)
    return made

items = 1
while len(profile(1, items).SerializeToString()) < RECORD_BYTES - 40:
    items += 1
n = 5_000
records = [profile(user, items).SerializeToString() for user in range(n)]
tracemalloc.start()
before, _ = tracemalloc.get_traced_memory()
for user, record in enumerate(records):
    replica.apply_profile(f"a user {user:09}".encode(), bytes(bytearray(record)))
held, _ = tracemalloc.get_traced_memory()
answers = [known(profile(user, 50)) for user in range(1_000)]
asked, _ = tracemalloc.get_traced_memory()
assert replica.profiles.left == 0
print((held - before) / n, (asked - held) / len(answers))
"""


def numbers(pattern, told):
    """Return the numbers of a formula of the docs."""
    found = re.search(pattern.replace(" ", r"\s"), told)  # wherever a line ends
    assert found, pattern
    return [int(number.replace(",", "")) for number in found.groups()]


def most(**limits):
    profiles = limits.pop("max_profiles", MOST_PROFILES)
    return sum(most_bytes(Limits(**limits), max_profiles=profiles).values())


def test_profiles_take_what_the_formula_says():
    """A shop has more users than items: a few bytes too many are a gigabyte."""
    argv = [sys.executable, "-c", PROFILES]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    each, known = map(float, done.stdout.split())
    assert each == pytest.approx(RECORD_BYTES + ENTRY_BYTES, rel=0.15)
    assert known < KNOWN_BYTES


def test_the_docs_tell_the_formula_of_the_emitter():
    """Its held vectors took a gigabyte that neither the formula nor the docs had."""
    told = (Path(__file__).parents[4] / "docs" / "operating.md").read_text()
    *each, rest = numbers(f"emitter, at most: {FORMULA}", told)
    for sizes in SIZES:
        by_docs = sum(map(mul, sizes, each)) + rest * 10**6
        items, sessions, users, profiles = sizes
        limits = Limits(max_items=items, max_sessions=sessions)
        takes = most_bytes(limits, Role.EMITTER, max_users=users, max_profiles=profiles)
        assert by_docs == pytest.approx(sum(takes.values()), rel=0.02)


@pytest.mark.parametrize(("role", "each"), [(Role.SERVER, EARLY_BYTES), (Role.EMITTER, HELD_BYTES)])
def test_records_of_vectors_that_wait_take_what_the_formula_says(role, each):
    """Each took two kilobytes: its arrays, and a message that its offsets kept alive."""
    # A process of its own: what other threads of this one allocate would count.
    argv = [sys.executable, "-c", WAITING, role.value]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert float(done.stdout.splitlines()[-1]) == pytest.approx(each, rel=0.15)


def test_the_docs_tell_the_formula():
    """Operators size containers by it, for limits of their own."""
    told = (Path(__file__).parents[4] / "docs" / "operating.md").read_text()
    *each, rest = numbers(f"replica, at most: {FORMULA}", told)
    for sizes in SIZES:
        by_docs = sum(map(mul, sizes, each)) + rest * 10**6
        items, sessions, users, profiles = sizes
        limits = Limits(max_items=items, max_sessions=sessions)
        takes = sum(most_bytes(limits, max_users=users, max_profiles=profiles).values())
        assert by_docs == pytest.approx(takes, rel=0.02)


def test_the_formula_has_what_the_client_of_kafka_may_read_ahead(reader):
    """The full process below has none: its queue is in no measurement."""
    it = reader()
    it.start()
    ahead = 1_024 * it._consumer.config["queued.max.messages.kbytes"]
    waiting = 2 * MOST_BYTES + MOST_EARLY * EARLY_BYTES
    assert most_bytes(Limits())["queues"] == waiting + ahead


@pytest.mark.parametrize(
    ("items", "sessions"),
    [
        (1 << 14, 1 << 16),
        pytest.param(1 << 16, 1 << 18, marks=[pytest.mark.long, pytest.mark.timeout(1_500)]),
        pytest.param(1 << 18, 1 << 20, marks=[pytest.mark.long, pytest.mark.timeout(3_600)]),
    ],
)
def test_a_full_replica_takes_what_the_formula_says(items, sessions):
    """A container that is too small dies at the worst hour, one too large costs every hour."""
    # Compiling takes a gigabyte, and the process would keep it.
    subprocess.run([sys.executable, "-m", "online_models.engine.warm_up"], check=True)
    argv = [sys.executable, "-c", FILL, str(items), str(sessions)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    full = json.loads(done.stdout.splitlines()[-1])
    assert full["items"] > 0.9 * items
    assert full["sessions"] == sessions
    assert full["vectors"] > 0.9 * items
    assert full["content"] > 0.9 * items
    assert full["touched"] == []
    # This process has no client of Kafka, and no profiles; its items have few terms, and no fit is
    # going on.
    told = most(max_items=items, max_sessions=sessions, max_profiles=0) - 1_024 * QUEUE_KB
    told -= MOST_ASKED * KNOWN_BYTES + FITTING_BYTES
    assert full["rss"] == pytest.approx(told, rel=0.1)
