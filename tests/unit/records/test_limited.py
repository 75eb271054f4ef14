"""Limits of records: readers take all that writers may write, and refuse what is beyond."""

import math

import pytest

from nextclick.limits import (
    MAX_CLOCK_SKEW_MS,
    MAX_HIDDEN_ITEMS,
    MAX_ID_BYTES,
    MAX_KEY_BYTES,
    MAX_PAGE,
    MAX_RANKINGS,
    MAX_SCORE_DRIFTS,
    MAX_SCORE_WINDOWS,
    SCORED_ITEMS,
    SESSION_STEPS,
)
from nextclick.topics import DEAD_LETTERS, IMPRESSIONS, SCOREBOARD, SESSIONS, TOPICS
from nextclick.v1.impression_pb2 import Impression, ShadowAnswer
from nextclick.v1.learning_pb2 import Example
from nextclick.v1.scoreboard_pb2 import Calibration, CutoffScores, Drift, Score, ScoreWindow
from nextclick.v1.session_pb2 import SessionRecord, Step
from records import example
from records.errors import RecordError
from records.limited import check_size, decode_impression, decode_score, decode_session

LONGEST, LONGER = "\N{SNOWMAN}" * (MAX_ID_BYTES // 3) + "x", "\N{SNOWMAN}" * (MAX_ID_BYTES // 3 + 1)
KEY = f"u:{LONGEST}~{2**63}"
LATEST_MS, MOST = 4_102_444_800_000, 2**32 - 1
NAN, INF = math.nan, math.inf


def step(item_id=LONGEST):
    return Step(
        item_id=item_id,
        timestamp_ms=LATEST_MS,
        seq=MOST,
        type=1,
        strengthened_seq=MOST,
        recommendation_id=LONGEST,
        position=10_000,
    )


def session(**changes):
    fields = {
        "session_id": KEY,
        "user_id": LONGEST,
        "version": MOST,
        "applied": 2**64 - 1,
        "duplicates": 2**64 - 1,
        "step_count": MOST,
        "steps": [step()] * SESSION_STEPS,
        "hidden_item_ids": [LONGEST] * MAX_HIDDEN_ITEMS,
        "first_timestamp_ms": LATEST_MS,
        "last_timestamp_ms": LATEST_MS,
    }
    return SessionRecord(**(fields | changes))


def impression(**changes):
    shadow = ShadowAnswer(
        model=LONGEST, item_ids=[LONGEST] * SCORED_ITEMS, scores=[1.0] * SCORED_ITEMS
    )
    fields = {
        "recommendation_id": LONGEST,
        "session_id": KEY,
        "appended_item_ids": [LONGEST] * SESSION_STEPS,
        "item_ids": [LONGEST] * MAX_PAGE,
        "model": LONGEST,
        "policy": LONGEST,
        "scores": [1.0] * SCORED_ITEMS,
        "propensities": [1.0] * MAX_PAGE,
        "shadows": [shadow] * (MAX_RANKINGS - 4),
    }
    return Impression(**(fields | changes))


def score(**changes):
    window = ScoreWindow(size=MOST, cases=MOST, at=[CutoffScores(k=20, hit_rate=0.5)] * 8)
    fields = {
        "model": LONGEST,
        "windows": [window] * MAX_SCORE_WINDOWS,
        "drifts": [Drift(began_ms=LATEST_MS, hit_rate_before=0.5)] * MAX_SCORE_DRIFTS,
    }
    return Score(**(fields | changes))


@pytest.mark.parametrize(
    ("topic", "message", "decode"),
    [
        (SESSIONS, session(), decode_session),
        (IMPRESSIONS, impression(), decode_impression),
        (SCOREBOARD, score(), decode_score),
    ],
)
def test_the_longest_record_that_is_written_is_read(topic, message, decode):
    """If it failed, a visitor with long ids would be lost without a word."""
    value = message.SerializeToString()
    check_size(topic, KEY.encode(), value)
    assert decode(value) == message


@pytest.mark.parametrize("decode", [decode_session, example.parse])
@pytest.mark.parametrize("field", ["incarnation", "appended_ms"])
def test_a_record_tells_of_no_arrival_after_its_own(decode, field):
    """One from the future would count as the newest of all until then."""
    kind = SessionRecord if decode is decode_session else Example
    arrived_ms = 1_700_000_000_000
    latest = arrived_ms + MAX_CLOCK_SKEW_MS
    assert decode(kind(session_id="s", **{field: latest}).SerializeToString(), arrived_ms)
    ahead = kind(session_id="s", **{field: latest + 1_000}).SerializeToString()
    with pytest.raises(RecordError, match="301 s ahead of the record's arrival; at most 300"):
        decode(ahead, arrived_ms)
    assert decode(ahead), "where it is stored, it has been checked"


@pytest.mark.parametrize(
    ("message", "decode", "field"),
    [
        (session(session_id=""), decode_session, "session_id"),
        (session(session_id="x" * (MAX_KEY_BYTES + 1)), decode_session, "session_id"),
        (session(incarnation=-1), decode_session, "incarnation, appended_ms"),
        (session(appended_ms=-1), decode_session, "incarnation, appended_ms"),
        (session(user_id=LONGER), decode_session, "user_id"),
        (session(steps=[Step()] * 4_000), decode_session, "steps"),
        (session(steps=[step(LONGER)]), decode_session, "steps.item_id"),
        (
            session(steps=[Step(item_id="a", recommendation_id=LONGER)]),
            decode_session,
            "steps.recommendation_id",
        ),
        (session(hidden_item_ids=["a"] * 51), decode_session, "hidden_item_ids"),
        (session(hidden_item_ids=[LONGER]), decode_session, "hidden_item_ids"),
        (impression(model=LONGER), decode_impression, "names"),
        (impression(item_ids=["a"] * (MAX_PAGE + 1)), decode_impression, "item_ids"),
        (impression(item_ids=[LONGER]), decode_impression, "item_ids"),
        (impression(appended_item_ids=["a"] * 51), decode_impression, "appended_item_ids"),
        (impression(appended_item_ids=[LONGER]), decode_impression, "appended_item_ids"),
        (impression(scores=[1.0] * (MAX_PAGE + 1)), decode_impression, "scores"),
        (impression(shadows=[ShadowAnswer()] * 17), decode_impression, "shadows"),
        (
            impression(shadows=[ShadowAnswer(item_ids=[LONGER])]),
            decode_impression,
            "shadows.item_ids",
        ),
        (impression(scores=[1.0, NAN]), decode_impression, "scores"),
        (impression(propensities=[-INF]), decode_impression, "propensities"),
        (impression(pool_item_ids=["a"] * 513), decode_impression, "pool_item_ids"),
        (impression(pool_item_ids=[LONGER]), decode_impression, "pool_item_ids"),
        (impression(pool_scores=[1.0] * 513), decode_impression, "pool_scores"),
        (impression(pool_scores=[INF]), decode_impression, "pool_scores"),
        (impression(inclusion_probability=NAN), decode_impression, "inclusion_probability"),
        (impression(diversity=NAN), decode_impression, "diversity, popularity"),
        (impression(shadows=[ShadowAnswer(scores=[INF])]), decode_impression, "shadows.scores"),
        (impression(shadows=[ShadowAnswer(popularity=NAN)]), decode_impression, "shadows"),
        (score(click_through_rate=NAN), decode_score, "click_through_rate"),
        (score(calibration=Calibration(slope=INF)), decode_score, "calibration"),
        (score(drifts=[Drift(hit_rate_after=NAN)]), decode_score, "drifts"),
        (score(windows=[ScoreWindow(coverage=NAN)]), decode_score, "windows"),
        (score(windows=[ScoreWindow(at=[CutoffScores(mrr=NAN)])]), decode_score, "windows.at"),
        (score(model=LONGER), decode_score, "model"),
        (score(windows=[ScoreWindow()] * 9), decode_score, "windows"),
        (score(drifts=[Drift()] * 11), decode_score, "drifts"),
        (score(windows=[ScoreWindow(at=[CutoffScores()] * 9)]), decode_score, "windows.at"),
    ],
)
def test_what_is_beyond_a_limit_is_refused_by_the_name_of_its_field(message, decode, field):
    """A session of 4,000 steps took ten seconds to learn, in which nobody got an answer."""
    with pytest.raises(RecordError) as caught:
        decode(message.SerializeToString())
    assert caught.value.field == field


@pytest.mark.parametrize("decode", [decode_session, decode_impression, decode_score])
def test_bytes_that_are_no_such_message_are_refused(decode):
    """One torn record must not end a reader."""
    with pytest.raises(RecordError, match="record: is no "):
        decode(b"\xff\xff")


def test_every_topic_that_is_decoded_has_a_limit_in_bytes():
    """What is parsed is parsed at once: a record of a megabyte would take as long as 1,000."""
    assert [t.name for t in TOPICS.values() if t.max_value_bytes is None] == [DEAD_LETTERS]
    most = TOPICS[SESSIONS].max_value_bytes
    check_size(SESSIONS, b"k", None)
    with pytest.raises(RecordError, match=f"record: has {most + 1} bytes"):
        check_size(SESSIONS, b"k", b" " * (most + 1))
    with pytest.raises(RecordError, match="key: has"):
        check_size(SESSIONS, b"k" * (MAX_KEY_BYTES + 1), None)
