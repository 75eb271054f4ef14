"""The whole path, as a backend sees it: events in, recommendations, records and letters out."""

import time
import urllib.request
import uuid

import grpc
import orjson
import pytest
import redis
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from nextclick import Event, Filter, InvalidRequestError, Item, NotFoundError, encode_event
from nextclick.topics import redis_session_key, redis_user_key
from nextclick.v1.impression_pb2 import Impression
from nextclick.v1.session_pb2 import SessionRecord
from server.kafka.acked_producer import AckedProducer
from settings.server import ServerSettings
from tests.integration.conftest import eventually


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def now_ms():
    return int(time.time() * 1000)


def views(session_id, items, **fields):
    return [Event("view", item, now_ms(), session_id=session_id, **fields) for item in items]


def test_a_click_is_in_the_next_answers_and_in_redis(stack, client):
    """The promise of the product: an acknowledged click counts within moments, everywhere."""
    session_id, items = fresh("s"), [fresh("i") for _ in range(3)]
    for other in range(3):
        client.put_events(views(f"{session_id}-{other}", items))
    result = client.put_events(views(session_id, items[:2], user_id=f"user-{session_id}"))
    assert (result.accepted, result.errors) == (2, ())
    answer = eventually(
        lambda: client.recommend(session_id),
        # The other sessions are in other partitions: their clicks may come after these. What the
        # ranker has learned from other tests decides whether a repeated item comes first.
        lambda a: a.session_version == 2 and items[2] in a.item_ids[:3],
        "the two clicks, and what followed them before",
    )
    assert answer.source == "session"
    assert client.recommend(user_id=f"user-{session_id}").session_version == 2
    store = redis.Redis(port=stack.ports.redis)
    raw = eventually(
        lambda: store.hget(redis_session_key(session_id), "record"),
        lambda r: r is not None and SessionRecord.FromString(r).version == 2,
        "the session in Redis",
    )
    assert [s.item_id for s in SessionRecord.FromString(raw).steps] == items[:2]
    assert store.hget(redis_user_key(f"user-{session_id}"), "record") == session_id.encode()


def test_python_and_flink_agree_on_partitions(stack, producer, reader):
    """Another partitioner would let a session live in two partitions, out of order."""
    sessions = reader("sessions")
    wanted = {}
    for i in range(60):
        session_id = fresh(f"k{i}ü")

        def delivered(_, message, session_id=session_id):
            wanted[session_id] = message.partition()

        event = Event("view", "a", now_ms(), session_id=session_id)
        producer.produce("events", encode_event(event), session_id, on_delivery=delivered)
    producer.flush()

    def found():
        return {m.key().decode(): m.partition() for m in sessions.read()}

    eventually(found, lambda f: wanted.keys() <= f.keys(), "all sessions")
    assert {name: p for name, p in found().items() if name in wanted} == wanted
    assert len(set(wanted.values())) == 4


BAD = {
    "malformed_json": b"\x00\xff{",
    "unsupported_version": b'{"v":7,"type":"view"}',
    "too_large": b'{"v":1,"pad":"' + b"x" * 100_000 + b'"}',
    "invalid_field": b'{"v":1,"type":"view","item_id":"'
    + b"i" * 10_000
    + b'","timestamp_ms":1,"session_id":"s"}',
    "too_late": b'{"v":1,"type":"view","item_id":"a","timestamp_ms":1,"session_id":"bad"}',
    "from_future": b'{"v":1,"type":"view","item_id":"a","timestamp_ms":4000000000000,'
    b'"session_id":"bad"}',
    "wrong_key": b'{"v":1,"type":"view","item_id":"a","timestamp_ms":1,"session_id":"other"}',
}


def test_bad_records_become_dead_letters_and_the_job_goes_on(client, producer, reader):
    """One sender's mistake must be explained to it, and cost nobody else a click."""
    letters = reader("dead-letters")
    sent = {}
    for reason, raw in BAD.items():

        def delivered(_, message, reason=reason):
            sent[reason] = (message.partition(), message.offset())

        producer.produce("events", raw, "bad", on_delivery=delivered)
    producer.flush()
    session_id = fresh("good")
    client.put_events(views(session_id, ["a"]))
    eventually(lambda: client.recommend(session_id), lambda a: a.session_version == 1, "the click")
    mine = eventually(
        lambda: [m for m in letters.read() if m.key() == b"bad"],
        lambda m: len(m) >= len(BAD),
        "the dead letters",
    )
    found = {dict(m.headers())["reason"].decode(): m for m in mine}
    assert found.keys() == BAD.keys()
    for reason, message in found.items():
        headers = {name: value.decode() for name, value in message.headers()}
        assert message.value() == BAD[reason]
        assert headers["topic"] == "events"
        assert (int(headers["partition"]), int(headers["offset"])) == sent[reason]
        assert headers["detail"]


def test_events_that_break_the_contract_are_errors_to_the_caller(client):
    """What can be known at the door is said at the door, event by event."""
    good = Event("view", "a", now_ms(), session_id=fresh("s"))
    result = client.put_events([good, Event("view", "", 0, session_id="x")])
    assert result.accepted == 1
    assert [e.index for e in result.errors] == [1]
    assert {f.field for f in result.errors[0].faults} == {"item_id", "timestamp_ms"}


def test_the_time_of_an_event_is_judged_before_it_is_acknowledged(stack, client, reader):
    """The sender would never hear of the dead letters; nor would the broker's clock be asked."""
    dead_letters = reader("dead-letters")
    session_id, now = fresh("s"), now_ms()
    times = [now // 1000, now * 1000, now + 86_400_000, now, now - 31 * 60_000]
    result = client.put_events([Event("view", "a", t, session_id=session_id) for t in times])
    assert result.accepted == 1
    assert [error.index for error in result.errors] == [0, 1, 2, 4]
    assert "seconds" in result.errors[0].message
    eventually(
        lambda: client.recommend(session_id), lambda a: a.session_version == 1, "the one click"
    )
    assert not [m for m in dead_letters.read() if m.key() == session_id.encode()]
    acked = AckedProducer(ServerSettings(kafka=stack.kafka))
    [outcome] = acked.put("events", [(session_id, encode_event(Event(
        "view", "b", now, session_id=session_id)))], 60)  # fmt: skip
    acked.close()
    assert abs(outcome.arrived_ms - now) < 3_600_000, "the broker tells when an event arrived"


def test_the_catalogue_is_followed(client):
    """Availability, categories and deletions hold from the moment they are applied."""
    items = [fresh("c") for _ in range(3)]
    category = fresh("cat")
    client.put_items([Item(i, categories=(category,), title=i) for i in items])
    only = Filter(categories=(category,))
    session_id = fresh("s")
    answer = eventually(
        lambda: client.recommend(session_id, filter=only),
        lambda a: set(a.item_ids) == set(items),
        "the new items",
    )
    assert answer.source == "popular"
    assert {i.item_id: i.title for i in client.get_items([*items, "zz"])} == {i: i for i in items}
    client.put_items([Item(items[0], categories=(category,), available=False)])
    client.delete_items([items[1]])
    eventually(
        lambda: client.recommend(session_id, filter=only),
        lambda a: a.item_ids == (items[2],),
        "the changes",
    )
    assert [i.item_id for i in client.get_items(items)] == [items[0], items[2]]


def test_impressions_reach_kafka(client, reader):
    """Attribution and the live score read them."""
    impressions = reader("impressions")
    answer = client.recommend(fresh("s"), session_items=["a"], page_size=3)
    found = eventually(
        lambda: [Impression.FromString(m.value()) for m in impressions.read()],
        lambda all_of: any(i.recommendation_id == answer.recommendation_id for i in all_of),
        "the impression",
    )
    mine = next(i for i in found if i.recommendation_id == answer.recommendation_id)
    assert tuple(mine.item_ids) == answer.item_ids
    assert list(mine.appended_item_ids) == ["a"]


def test_errors_name_the_field_through_the_client(client):
    """google.rpc.BadRequest must survive the way to the caller."""
    with pytest.raises(InvalidRequestError) as error:
        client.recommend("s", page_size=1_000)
    assert [f.field for f in error.value.faults] == ["page_size"]
    with pytest.raises(NotFoundError):
        client.similar_items(fresh("no-such"))


def test_health_and_reflection_answer(stack):
    """Load balancers and grpcurl rest on them."""
    with grpc.insecure_channel(stack.target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "nextclick.v1.RecommendationService"):
            reply = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=60)
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        listed = next(reflection.ServerReflectionInfo(iter([ask]), timeout=60))
        names = {s.name for s in listed.list_services_response.service}
    assert "nextclick.v1.EventService" in names
    assert "grpc.health.v1.Health" in names


def test_metrics_and_status_are_served(stack, client):
    """What is not measured cannot be run: requests, latency, lag, staleness, dead letters."""
    client.recommend(fresh("s"))
    base = f"http://127.0.0.1:{stack.ports.http}"
    with urllib.request.urlopen(f"{base}/metrics", timeout=60) as reply:
        text = reply.read().decode()
    for name in (
        'nextclick_requests_total{code="OK",method="Recommend"}',
        "nextclick_request_seconds_bucket",
        'nextclick_log_lag_records{topic="sessions"}',
        "nextclick_staleness_seconds",
        "nextclick_impressions_dropped_total",
    ):
        assert name in text, name
    with urllib.request.urlopen(f"{base}/status", timeout=60) as reply:
        assert orjson.loads(reply.read())["state"] == "SERVING"


def test_dead_letters_are_counted_by_reason(stack, producer):
    """An operator must see a sender's fault on the dashboard."""
    url = f"http://127.0.0.1:{stack.ports.http}/metrics"

    def count():
        with urllib.request.urlopen(url, timeout=60) as reply:
            lines = reply.read().decode().splitlines()
        wanted = 'nextclick_dead_letters_total{reason="malformed_json"}'
        return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))

    before = count()
    producer.produce("events", b"garbage", "bad")
    producer.flush()
    eventually(count, lambda n: n >= before + 1, "the count")
