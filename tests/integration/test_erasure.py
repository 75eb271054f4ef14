"""A visitor who is erased, through the real stack: nothing of them comes back."""

import redis

from nextclick.topics import redis_session_key
from nextclick.v1.session_pb2 import SessionRecord
from tests.integration.conftest import eventually
from tests.integration.test_path import fresh, views


def test_an_erased_session_stays_erased(stack, client, producer):
    """Its next event brought it back: the job had kept what Redis and replicas had erased."""
    session_id, user_id = fresh("erased"), fresh("jane")
    store, key = redis.Redis(port=stack.ports.redis), redis_session_key(session_id)
    client.put_events(views(session_id, ["a", "b"], user_id=user_id))
    eventually(lambda: client.recommend(session_id).session_version, lambda v: v == 2, "clicks")
    eventually(lambda: store.keys(f"*{user_id}*"), bool, "the user in Redis")
    producer.produce("events", key=session_id.encode(), value=None)
    producer.flush(60)
    eventually(lambda: client.recommend(session_id).session_version, lambda v: v == 0, "erasure")
    eventually(lambda: store.exists(key), lambda there: not there, "erasure in Redis")
    assert store.keys(f"*{user_id}*") == []
    client.put_events(views(session_id, ["c"]))
    eventually(lambda: client.recommend(session_id).session_version, lambda v: v == 1, "a click")
    raw = eventually(lambda: store.hget(key, "record"), bool, "the new session in Redis")
    record = SessionRecord.FromString(raw)
    assert ([step.item_id for step in record.steps], record.user_id) == (["c"], "")
