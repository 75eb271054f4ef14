"""Answers of the service: bytes in, bytes out, with the real models and no network."""

import struct
import threading

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from nextclick import Item, encode_item
from nextclick.limits import EXPLAINED_ITEMS, MAX_ID_BYTES
from nextclick.v1 import recommendation_service_pb2 as pb
from nextclick.v1.impression_pb2 import Impression
from nextclick.v1.scoreboard_pb2 import Score
from nextclick.v1.session_pb2 import EVENT_TYPE_PURCHASE, SessionRecord
from online_models.engine import Engine
from online_models.memory.layout import Limits
from online_models.ranking.policy import Ordered
from server.deferred import Deferred
from server.errors import RequestError
from server.replica.redis_view import UNREAD, Stored
from server.replica.replica import Replica
from server.services.recommendation import Recommendations
from server.services.recommendation_checks import _entries
from server.services.replies import RECOMMEND_ITEMS, head
from server.services.visitor import n_stored

LONG = "x" * (MAX_ID_BYTES + 1)
PRINTABLE = st.characters(exclude_categories=["C", "Z"], include_characters=" ")


class NoImpressions:
    def __init__(self):
        self.seen = []

    def due(self):
        return True

    def put(self, impression, key):
        self.seen.append((Impression.FromString(impression), key))


class FakeRedis:
    """Redis as a dict, away on demand; counts what it is asked."""

    def __init__(self):
        self.sessions, self.users, self.up, self.asked = {}, {}, True, 0
        self.timeout_s, self.locked = 60.0, []
        self.lock = threading.Lock()

    def read(self, questions):
        self.asked += 1
        self.locked.append(self.lock.locked())
        if not self.up:
            return [UNREAD] * len(questions)
        ids = [self.users.get(q.user_id) or q.session_id for q in questions]
        return [Stored(i, self.sessions.get(i)) for i in ids]


def record(session_id, items, version=None, user_id="", purchased=()):
    out = SessionRecord(session_id=session_id, version=version or len(items), user_id=user_id)
    for seq, item in enumerate(items, 1):
        step = out.steps.add(item_id=item, seq=seq, timestamp_ms=seq)
        if item in purchased:
            step.type = EVENT_TYPE_PURCHASE
    return out


class Shop:
    def __init__(self):
        limits = Limits(max_items=512, max_sessions=256, pairs=256)
        self.replica = Replica(Engine(limits))
        self.replica.caught_up = self.replica.whole_log = True
        self.redis, self.impressions = FakeRedis(), NoImpressions()
        self.redis.lock = self.replica._lock
        self.service = Recommendations(self.replica, self.redis, self.impressions)
        for i in range(60):
            name = f"t{i}"
            self.apply(record(name, [f"i{i % 20}", f"i{i % 20 + 1}", f"i{i % 20 + 2}"]))

    def apply(self, session):
        self.replica.apply_session(b"", session.SerializeToString())

    def recommend(self, **fields):
        raw = pb.RecommendRequest(**fields).SerializeToString()
        answer = self.service.recommend(raw)
        if isinstance(answer, Deferred):
            answer = answer.wait()
        answer = pb.RecommendResponse.FromString(answer)
        self.service.send_impressions()
        return answer


@pytest.fixture
def shop():
    return Shop()


def ids(response):
    return [item.item_id for item in response.items]


def test_an_answer_carries_all_that_a_caller_needs(shop):
    """Versions tell what an answer knew; the id comes back on events."""
    shop.apply(record("me", ["i4", "i5"]))
    answer = shop.recommend(session_id="me", page_size=5)
    assert len(answer.items) == 5
    assert "i6" in ids(answer)
    assert answer.session_version == 2
    assert answer.model_version == shop.replica.engine.clicks
    assert answer.source == pb.ANSWER_SOURCE_SESSION
    assert not answer.degraded
    again = shop.recommend(session_id="me", page_size=5)
    assert again.recommendation_id != answer.recommendation_id


def test_the_default_page_is_twenty(shop):
    """A caller that says nothing of a size gets the documented one."""
    assert len(shop.recommend(session_id="me").items) == 20


@pytest.mark.parametrize("fields", [{"session_id": "new"}, {"user_id": "new"}])
def test_an_unknown_visitor_gets_popular_items_and_it_says_so(shop, fields):
    """A page without recommendations is a lost chance; a caller may want to know."""
    answer = shop.recommend(**fields)
    assert answer.source == pb.ANSWER_SOURCE_POPULAR
    assert len(answer.items) == 20
    assert answer.session_version == 0


def test_the_requests_items_count_before_the_stream_has_them(shop):
    """The answer must reflect the click that caused it."""
    unknown = shop.recommend(session_id="new", session_items=["i4", "i5"], page_size=5)
    assert unknown.source == pb.ANSWER_SOURCE_SESSION
    assert "i6" in ids(unknown)
    shop.apply(record("me", ["i4"]))
    both = shop.recommend(session_id="me", session_items=["i4", "i5"], page_size=5)
    assert ids(both) == ids(unknown)
    assert both.session_version == 1


@given(st.lists(st.integers(1, 3), max_size=8), st.lists(st.integers(1, 3), max_size=8))
def test_an_overlap_is_not_repeated(stored, tail):
    """A shorter overlap would count a click twice, a longer one would drop one."""
    overlaps = [n for n in range(1, min(len(stored), len(tail)) + 1) if stored[-n:] == tail[:n]]
    assert n_stored(stored, tail) == max(overlaps, default=0)


def test_filters_of_the_session_leave_out_what_they_say(shop):
    """Seen, bought and disliked items are the visitor's own: each has its switch."""
    mine = record("me", ["i4", "i5"], purchased=("i5",))
    mine.hidden_item_ids.append("i6")
    shop.apply(mine)
    everything = ids(shop.recommend(session_id="me", page_size=50))
    assert {"i4", "i5"} <= set(everything)
    assert "i6" not in everything
    unseen = ids(shop.recommend(session_id="me", page_size=50, filter={"exclude_seen": True}))
    assert not {"i4", "i5", "i6"} & set(unseen)
    unbought = ids(
        shop.recommend(session_id="me", page_size=50, filter={"exclude_purchased": True})
    )
    assert "i4" in unbought
    assert "i5" not in unbought
    chosen = ids(
        shop.recommend(session_id="me", page_size=50, filter={"excluded_item_ids": ["i4", "zz"]})
    )
    assert "i4" not in chosen


def test_the_catalogue_decides_on_availability_and_deletion(shop):
    """Sold out is out unless asked for; deleted is out for good."""
    shop.replica.apply_item(b"", encode_item(Item("i6", available=False)))
    shop.replica.apply_item(b"", encode_item(Item("i7", deleted=True)))
    plain = ids(shop.recommend(session_id="x", session_items=["i5"], page_size=50))
    assert not {"i6", "i7"} & set(plain)
    wide = shop.recommend(
        session_id="x", session_items=["i5"], page_size=50, filter={"include_unavailable": True}
    )
    assert "i6" in ids(wide)
    assert "i7" not in ids(wide)


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


def test_a_users_traffic_without_session_id_finds_the_current_session(shop):
    """Signed-in visitors may be asked for by user alone."""
    shop.apply(record("a", ["i1"], user_id="u"))
    shop.apply(record("b", ["i4", "i5"], user_id="u"))
    assert shop.recommend(user_id="u").session_version == 2


def test_impressions_say_what_was_answered(shop):
    """Attribution rests on them."""
    shop.apply(record("me", ["i4"]))
    answer = shop.recommend(session_id="me", session_items=["i5"], page_size=3)
    impression, key = shop.impressions.seen[-1]
    assert impression.recommendation_id == answer.recommendation_id
    assert (impression.session_id, key, impression.session_version) == ("me", "me", 1)
    assert list(impression.appended_item_ids) == ["i5"]
    assert list(impression.item_ids) == ids(answer)
    assert list(impression.scores) == [item.score for item in answer.items]
    assert impression.model == "blend"
    assert impression.known_items == len(shop.replica.engine.ids) - 1
    shop.recommend(user_id="someone")
    impression, key = shop.impressions.seen[-1]
    assert (impression.session_id, key) == ("", "u:someone")


def test_an_impression_names_the_items_that_the_request_has_added(shop):
    """The next click on an item that the stream had brought already is a case like any other."""
    shop.apply(record("me", ["i4", "i5"]))
    for items, added in ((["i4", "i5"], []), (["i5", "i6"], ["i6"]), (["i7"], ["i7"])):
        shop.recommend(session_id="me", session_items=items)
        impression, _ = shop.impressions.seen[-1]
        assert list(impression.appended_item_ids) == added


def test_an_explained_answer_gets_no_other_ones_shadow(shop):
    """Reasons are found by queries of their own, which leave other candidates behind."""
    shop.service = Recommendations(shop.replica, shop.redis, shop.impressions, shadow_sample=1)
    shop.replica.engine.arrays["counters"]["ranker_steps"] = 1
    shop.apply(record("me", ["i4", "i9"]))
    shop.recommend(session_id="me", page_size=10)
    shop.recommend(session_id="me", page_size=10, explain=True)
    plain, explained = (impression for impression, _ in shop.impressions.seen)
    assert plain.shadows
    assert not explained.shadows
    assert explained.HasField("diversity")


def test_one_answer_in_so_many_is_also_ranked_by_all_other_rankings(shop):
    """What nobody is shown costs time: a sample is enough to compare rankings."""
    shop.service = Recommendations(shop.replica, shop.redis, shop.impressions, shadow_sample=3)
    # There is a ranker, if not one that may answer.
    shop.replica.engine.arrays["counters"]["ranker_steps"] = 1
    shop.apply(record("me", ["i4"]))
    for _ in range(6):
        answer = shop.recommend(session_id="me", page_size=10)
    sampled = [i for i, _ in shop.impressions.seen if i.shadows]
    assert len(sampled) == 2
    assert sampled[-1].recommendation_id == answer.recommendation_id
    [shadow] = [other for other in sampled[-1].shadows if other.model == "ranker"]
    assert set(shadow.item_ids) >= {"i5", "i6"}
    assert len(shadow.scores) == len(shadow.item_ids)
    assert all(i.HasField("diversity") == bool(i.shadows) for i, _ in shop.impressions.seen)
    assert 0 < sampled[-1].diversity < 2
    assert sampled[-1].popularity > 0


def test_the_first_items_of_a_long_page_are_explained(shop):
    """Reasons for hundreds of items would take longer than other callers should wait."""
    answer = shop.recommend(session_id="me", session_items=["i4"], page_size=21, explain=True)
    assert [bool(item.reasons) for item in answer.items] == [True] * EXPLAINED_ITEMS + [False]


def test_explained_scores_become_probabilities_once_they_are_calibrated(shop):
    """A score says which item is better; a caller may want to know how likely."""
    shop.apply(record("me", ["i4"]))
    assert (
        not shop.recommend(session_id="me", explain=True)
        .items[0]
        .HasField("next_click_probability")
    )
    score = Score(model="blend", cases=9)
    score.calibration.slope = 1
    shop.replica.apply_score(b"blend", score.SerializeToString())
    answer = shop.recommend(session_id="me", explain=True)
    shares = np.exp([item.score for item in answer.items])
    likely = [item.next_click_probability for item in answer.items]
    assert likely == pytest.approx(list(shares / shares.sum()), abs=1e-3)
    assert not shop.recommend(session_id="me").items[0].HasField("next_click_probability")


def test_probabilities_of_re_ordered_answers_are_those_of_the_policys_own_score(shop):
    """What is shown in another order is clicked with another probability."""

    class Reversed:
        name, depth = "reversed", 20

        def order(self, rows, scores, asked, items):
            return Ordered(np.arange(len(rows))[::-1])

    shop.replica.engine.policy = Reversed()
    for name, slope in (("blend", 1), ("blend+reversed", 0)):
        score = Score(model=name, cases=9)
        score.calibration.slope = slope
        shop.replica.apply_score(name.encode(), score.SerializeToString())
    shop.apply(record("me", ["i4"]))
    likely = [i.next_click_probability for i in shop.recommend(session_id="me", explain=True).items]
    assert likely == [0.5] * len(likely)
    assert likely


def test_explanations_come_with_reasons_and_timings(shop):
    """People who run a shop ask why an item is there."""
    answer = shop.recommend(session_id="x", session_items=["i4", "i5"], page_size=3, explain=True)
    assert ids(answer) == ids(
        shop.recommend(session_id="x", session_items=["i4", "i5"], page_size=3)
    )
    assert all(item.reasons for item in answer.items)
    assert [t.stage for t in answer.timings] == ["parse", "session", "score", "reply"]


def test_rank_returns_all_items_of_the_caller(shop):
    """The caller's list comes back whole, unknown items last in their order."""
    shop.apply(record("me", ["i4", "i5"]))
    request = pb.RankRequest(session_id="me", item_ids=["zz", "i6", "yy", "i15"])
    answer = pb.RankResponse.FromString(shop.service.rank(request.SerializeToString()))
    assert ids(answer) == ["i6", "i15", "zz", "yy"]


def test_similar_and_trending_answer(shop):
    """The two calls without a visitor."""
    request = pb.SimilarItemsRequest(item_id="i5", page_size=4)
    similar = pb.SimilarItemsResponse.FromString(
        shop.service.similar_items(request.SerializeToString())
    )
    assert {"i4", "i6"} <= set(ids(similar))
    assert "i5" not in ids(similar)
    trending = pb.TrendingResponse.FromString(
        shop.service.trending(pb.TrendingRequest(page_size=4).SerializeToString())
    )
    assert len(trending.items) == 4


def test_similar_items_of_an_unknown_item_is_not_found(shop):
    """An empty answer would hide a misspelt id."""
    with pytest.raises(RequestError) as error:
        shop.service.similar_items(pb.SimilarItemsRequest(item_id="zz").SerializeToString())
    assert error.value.code == code_pb2.NOT_FOUND


@pytest.mark.parametrize(
    ("fields", "faulty"),
    [
        ({}, {"session_id"}),
        ({"session_id": "s", "page_size": 501}, {"page_size"}),
        ({"session_id": "x" * 257, "user_id": "ü" * 200}, {"session_id", "user_id"}),
        ({"session_id": "s", "session_items": ["a"] * 51}, {"session_items"}),
        (
            {"page_size": 501, "filter": {"categories": ["c"] * 65}},
            {"session_id", "page_size", "filter.categories"},
        ),
        (
            {"session_id": "s", "filter": {"excluded_item_ids": ["a"] * 1_001}},
            {"filter.excluded_item_ids"},
        ),
        ({"session_id": "s", "session_items": ["a", "ü" * 129]}, {"session_items[1]"}),
        (
            {"session_id": "s", "filter": {"categories": ["c" * 129], "excluded_item_ids": [LONG]}},
            {"filter.categories[0]", "filter.excluded_item_ids[0]"},
        ),
    ],
)
def test_all_faults_of_a_request_are_named(shop, fields, faulty):
    """A developer should see every mistake in the first error."""
    with pytest.raises(RequestError) as error:
        shop.recommend(**fields)
    assert {fault.field for fault in error.value.faults} == faulty


def test_a_long_id_to_be_ranked_is_named(shop):
    """Ids of any length would be copied into every answer."""
    request = pb.RankRequest(session_id="s", item_ids=["a", LONG])
    with pytest.raises(RequestError, match=r"item_ids\[1\]: has 257 bytes"):
        shop.service.rank(request.SerializeToString())


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ("recommend", "RecommendRequest"),
        ("rank", "RankRequest"),
        ("similar_items", "SimilarItemsRequest"),
        ("trending", "TrendingRequest"),
        ("stream_recommend", "StreamRecommendRequest"),
    ],
)
def test_a_large_request_is_refused_before_it_is_parsed(shop, call, kind):
    """4 MB, a few kB on the wire, took 90 ms to parse, in which nobody else got an answer."""
    with pytest.raises(RequestError, match=f"the {kind} has 4194304 bytes; send at most 100000"):
        getattr(shop.service, call)(b"\x22\x00" * (1 << 21))


def batch(*requests):
    return pb.BatchRecommendRequest(requests=requests).SerializeToString()


def test_the_requests_of_a_batch_are_parsed_one_by_one(shop):
    """Each is bounded as a single call is; a batch of them all may be larger."""
    one = pb.RecommendRequest(session_id="me", session_items=["i4"], page_size=3)
    wide = pb.RecommendRequest(session_id="x" * 200, filter={"excluded_item_ids": ["i5"] * 900})
    raw = shop.service.batch_recommend(batch(one, *[wide] * 200, one))
    found = pb.BatchRecommendResponse.FromString(raw).responses
    assert len(found) == 202
    assert ids(found[0]) == ids(found[-1])
    large = pb.RecommendRequest(session_id="me", session_items=["x" * 200_000])
    with pytest.raises(RequestError) as error:
        shop.service.batch_recommend(batch(one, large))
    assert [fault.field for fault in error.value.faults] == ["requests[1]"]
    for number in (0, 257):
        with pytest.raises(RequestError, match="send 1 to 256"):
            shop.service.batch_recommend(batch(*[one] * number))


@given(st.binary(max_size=40))
def test_a_batch_is_read_as_protobuf_reads_it(raw):
    """Torn bytes are refused as such; what is whole is the same message."""
    try:
        entries = _entries(raw)
    except DecodeError:
        return
    try:
        found = [pb.RecommendRequest.FromString(entry) for entry in entries]
    except DecodeError:
        found = None
    try:
        message = pb.BatchRecommendRequest.FromString(raw)
    except DecodeError:
        message = None
    assert found == (None if message is None else list(message.requests))


@given(
    st.text(PRINTABLE, min_size=1, max_size=256),
    st.floats(width=32, allow_nan=False),
)
def test_pre_serialised_parts_are_what_protobuf_writes(item_id, score):
    """A wrong byte here would be a wrong item at the caller."""
    raw = head(item_id, RECOMMEND_ITEMS) + struct.pack("<f", score)
    parsed = pb.RecommendResponse.FromString(raw).items
    assert [item.item_id for item in parsed] == [item_id]
    assert parsed[0].score == score


def test_a_rehearsal_answers_nobody(shop):
    """It warms the caches; an impression of it would be a view that nobody had."""
    newest = shop.replica.sessions.newest(10)
    assert newest == [f"t{i}" for i in range(59, 49, -1)]
    shop.service.rehearse(newest)
    shop.service.send_impressions()
    assert not shop.impressions.seen
