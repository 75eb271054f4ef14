"""The sample of sessions: no session changes sides, and anybody can recount who was passed over."""

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextclick.limits import (
    LEARNER_IN_TIME_MS,
    MAX_CLOCK_SKEW_MS,
    MAX_LEARNER_LATE_MS,
    MAX_SAMPLED_PERIODS,
    SAMPLED_SHARE,
)
from nextclick.v1 import learning_pb2 as pb
from records.session_sample import PATIENCE_MS, SessionSample

LATE_MS = MAX_LEARNER_LATE_MS + 1


def passed_over(state, session_id, incarnation):
    """As the proto says it, whatever `SessionSample` does."""
    digest = blake2b(f"{session_id}#{incarnation}".encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "little") / 2**64
    return any(
        period.from_incarnation <= incarnation
        and (period.until_incarnation == 0 or incarnation < period.until_incarnation)
        and number >= period.share
        for period in state.sampled
    )


def dumped(sample):
    state = pb.LearnerState()
    sample.dump(state)
    return state


def started_again(sample):
    other = SessionSample()
    other.load(pb.LearnerState.FromString(dumped(sample).SerializeToString()))
    return other


def late(sample):
    """Let a learner be late for so long that it samples."""
    assert not sample.adapt(LATE_MS, 0)
    assert sample.adapt(LATE_MS, PATIENCE_MS + 1)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("begins"), st.integers(-30, 30)),
            st.tuples(st.just("goes on"), st.integers(0, 10**6)),
            st.tuples(st.just("late"), st.sampled_from([0, 20_000, LATE_MS, 10**9])),
            st.tuples(st.just("restart"), st.just(0)),
        ),
        max_size=200,
    )
)
def test_a_session_never_changes_sides_and_all_can_be_recounted(happens):
    """Half a session teaches a wrong end; a count that nobody can check is no count."""
    sample, now_ms, newest = SessionSample(), 0, 1_000
    taken = {}
    for what, number in happens:
        now_ms += PATIENCE_MS
        if what == "begins":
            session = (f"s{len(taken)}", newest + number)  # of a partition that is behind, or ahead
            newest = max(newest, newest + number)
            taken[session] = None
        elif what == "goes on" and taken:
            session = list(taken)[number % len(taken)]
        elif what == "late":
            sample.adapt(number, now_ms)
            continue
        else:
            sample = started_again(sample)
            continue
        takes = sample.takes(*session)
        assert taken[session] in (None, takes)
        taken[session] = takes
    state = dumped(sample)
    assert {s: not passed_over(state, *s) for s, takes in taken.items() if takes is not None} == {
        s: takes for s, takes in taken.items() if takes is not None
    }


def test_the_share_is_kept_to():
    """It is what the learners save."""
    sample = SessionSample()
    late(sample)
    taken = sum(sample.takes(f"s{n}", 1 + n) for n in range(10_000))
    assert taken == pytest.approx(10_000 * SAMPLED_SHARE, rel=0.05)


def test_all_learners_take_the_same_sessions():
    """Of a session that vectors pass over, the ranker would learn from vectors that it never has
    when answering."""
    one, other = SessionSample(), SessionSample()
    for sample in (one, other):
        late(sample)
    assert [one.takes(f"s{n}", 5) for n in range(99)] == [
        other.takes(f"s{n}", 5) for n in range(99)
    ]
    assert [one.takes("s", n) for n in range(1, 99)] != [True] * 98, "each life has its own number"


def test_sampling_ends_well_before_it_would_begin_again():
    """It would begin and end with every batch, and the periods be without number."""
    sample = SessionSample()
    late(sample)
    now_ms = 10 * PATIENCE_MS
    for late_ms in (MAX_LEARNER_LATE_MS, LEARNER_IN_TIME_MS + 1):
        assert not sample.adapt(late_ms, now_ms)
        assert sample.sampling
    sample.takes("begins", 7)
    assert sample.adapt(LEARNER_IN_TIME_MS, now_ms)
    assert not sample.adapt(MAX_LEARNER_LATE_MS, now_ms)
    assert not sample.sampling


def test_a_learner_that_was_started_again_may_catch_up_first():
    """Of the minute that a restart takes, all is learned, as if it had not died."""
    sample = SessionSample()
    for now_ms in (5_000, 5_000 + PATIENCE_MS):
        assert not sample.adapt(10**9, now_ms)
    assert sample.adapt(10**9, 5_001 + PATIENCE_MS)
    assert started_again(sample).sampling, "one that was sampling goes on with it"


def test_periods_are_bounded_and_the_first_ones_are_forgotten():
    """The state is written twice a second."""
    sample = SessionSample()
    late(sample)
    for n in range(2 * MAX_SAMPLED_PERIODS):
        sample.takes(f"a{n}", 100 * n + 1)
        sample.adapt(0, 10**9)
        sample.takes(f"b{n}", 100 * n + 50)
        sample.adapt(LATE_MS, 10**9)
    assert len(dumped(sample).sampled) == MAX_SAMPLED_PERIODS
    assert all(sample.takes(f"s{n}", 120) for n in range(30)), "they are learned again"
    assert sample.sampling


def test_a_period_without_sessions_leaves_no_trace():
    """A learner at the limit changes sides often."""
    sample = SessionSample()
    late(sample)
    sample.takes("s", 10)
    for _ in range(5):
        sample.adapt(0, 10**9)
        sample.adapt(LATE_MS, 10**9)
    assert len(sample.periods) == 1
    sample.adapt(0, 10**9)
    sample.takes("t", 20)
    sample.adapt(LATE_MS, 10**9)
    sample.adapt(0, 10**9)
    assert [(p.first, p.end) for p in sample.periods] == [(1, 11)]


@pytest.mark.parametrize("sampling", [False, True])
def test_a_clock_that_was_ahead_neither_begins_nor_ends_a_period(sampling):
    """A learner would learn a quarter of all sessions until then, or never sample again."""
    sample, ahead_ms = SessionSample(), 10**9
    late(sample)
    if not sampling:
        sample.takes("s", 10)
        assert sample.adapt(0, 20)
    sample.takes("ahead", ahead_ms)
    assert sample.adapt(0 if sampling else LATE_MS, ahead_ms)
    assert sample.sampling is not sampling
    now_ms = 2 * PATIENCE_MS
    assert sample.adapt(LATE_MS if not sampling else 0, now_ms)
    begun = now_ms + MAX_CLOCK_SKEW_MS + 1
    taken = sum(sample.takes(f"s{n}", begun + n) for n in range(1_000))
    assert taken == 1_000 if sampling else taken < 400


def test_a_time_that_is_none_does_not_end_all_sampling():
    """One broken record, and a period would begin when nobody lives, or be no number at all."""
    sample = SessionSample()
    sample.takes("s", 2**63 - 1)
    late(sample)
    assert dumped(sample).sampled[0].from_incarnation == MAX_CLOCK_SKEW_MS + 1
