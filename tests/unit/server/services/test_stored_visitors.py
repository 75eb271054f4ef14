"""Visitors whom the replica does not know, or not well enough: what Redis is asked, and when."""

import pytest

from nextclick.v1 import recommendation_service_pb2 as pb
from tests.unit.server.services.shop import batch, ids, record


def test_redis_is_not_asked_while_the_replica_knows_it_all(shop):
    """A read of Redis in every request costs more than the answer."""
    shop.recommend(session_id="me")
    shop.recommend(user_id="nobody")
    assert shop.redis.asked == 0


def test_a_session_older_than_the_window_comes_from_redis(shop):
    """A replica that has not read the whole log must not forget a visitor."""
    shop.replica.whole_log = False
    shop.redis.sessions["old"] = record("old", ["i4", "i5"], version=7, purchased=("i4",))
    shop.redis.users["u"] = "old"
    for fields in ({"session_id": "old"}, {"user_id": "u"}):
        answer = shop.recommend(**fields, filter={"exclude_purchased": True})
        assert answer.session_version == 7
        assert answer.source == pb.ANSWER_SOURCE_SESSION
        assert "i4" not in ids(answer)


def test_redis_knows_a_users_current_session_before_the_replica_has_caught_up(shop):
    """Half-read, the log may end in yesterday's session of a user."""
    shop.apply(record("yesterday", ["i1"], user_id="u"))
    shop.replica.caught_up = False
    shop.redis.sessions["today"] = record("today", ["i4", "i5"])
    shop.redis.users["u"] = "today"
    assert shop.recommend(user_id="u").session_version == 2
    shop.redis.up = False
    assert shop.recommend(user_id="u").session_version == 1


def test_the_higher_version_wins_while_catching_up(shop):
    """Memory may be behind Redis, or Redis behind memory: the newer view is answered for."""
    shop.replica.caught_up = False
    shop.apply(record("me", ["i4"]))
    shop.redis.sessions["me"] = record("me", ["i4", "i5"])
    answer = shop.recommend(session_id="me")
    assert answer.session_version == 2
    assert pb.DEGRADED_REASON_CATCHING_UP in answer.degraded
    shop.apply(record("me", ["i4", "i5", "i6"]))
    assert shop.recommend(session_id="me").session_version == 3


@pytest.mark.parametrize("call", ["recommend", "rank"])
def test_redis_is_read_aside_without_the_lock_or_not_at_all(shop, call):
    """Where Redis takes 4 ms, each unknown visitor kept all others waiting for as long."""
    shop.replica.sessions.evicted = 1
    shop.redis.sessions["old"] = record("old", ["i4", "i5"], version=7)
    fields = {"item_ids": ["i6"]} if call == "rank" else {}
    kind = pb.RankRequest if call == "rank" else pb.RecommendRequest
    response = pb.RankResponse if call == "rank" else pb.RecommendResponse
    raw = kind(session_id="old", **fields).SerializeToString()
    answer = getattr(shop.service, call)(raw)
    assert shop.redis.asked == 0
    without = response.FromString(answer.at_once())
    assert shop.redis.asked == 0
    assert without.session_version == 0
    assert without.degraded == [pb.DEGRADED_REASON_REDIS_UNAVAILABLE]
    read = response.FromString(answer.wait())
    assert shop.redis.locked == [False]
    assert read.session_version == 7
    assert not read.degraded
    shop.redis.timeout_s = -1.0  # its turn came too late
    late = response.FromString(getattr(shop.service, call)(raw).wait())
    assert late.session_version == 0
    assert late.degraded == [pb.DEGRADED_REASON_REDIS_UNAVAILABLE]


def test_a_batch_reads_redis_once(shop):
    """One slow read for each of 256 visitors would keep all batches waiting for a second."""
    shop.replica.sessions.evicted = 1
    for n in range(5):
        shop.redis.sessions[f"old{n}"] = record(f"old{n}", ["i4", "i5"], version=n + 1)
    shop.apply(record("me", ["i4"]))
    names = ["old3", "me", "old0", "unknown"]
    raw = shop.service.batch_recommend(batch(*(pb.RecommendRequest(session_id=n) for n in names)))
    found = pb.BatchRecommendResponse.FromString(raw).responses
    assert [answer.session_version for answer in found] == [4, 1, 1, 0]
    assert shop.redis.asked == 1
    assert shop.redis.locked == [False]


def test_without_redis_there_is_an_answer_and_it_says_so(shop):
    """A dead cache must not take the recommendations with it."""
    shop.replica.whole_log = False
    shop.redis.up = False
    answer = shop.recommend(session_id="old")
    assert len(answer.items) == 20
    assert list(answer.degraded) == [pb.DEGRADED_REASON_REDIS_UNAVAILABLE]
    shop.replica.kafka_up = False
    assert pb.DEGRADED_REASON_KAFKA_UNAVAILABLE in shop.recommend(session_id="old").degraded
