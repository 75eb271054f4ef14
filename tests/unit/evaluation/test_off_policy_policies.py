"""Policies to judge: probabilities of what they choose, and files that describe them."""

from dataclasses import replace
from math import erf, exp, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.off_policy.bandit_logs import load_log
from evaluation.off_policy.logged_policy import LoggedPolicy
from evaluation.off_policy.pages import Pages
from evaluation.off_policy.policies import (
    KINDS,
    EpsilonGreedy,
    Greedy,
    PlackettLuce,
    PolicyFileError,
    Thompson,
    Uniform,
    load_policy,
    policy_of,
)

EVERY = [Uniform(), Greedy(), EpsilonGreedy(0.3), PlackettLuce(0.7), Thompson(0.7)]


def block_of(*pools):
    """The only block of pages with these scores, one place each."""
    sizes = np.array([len(pool) for pool in pools])
    n = len(pools)
    column = np.ones((n, 1))
    pages = Pages(
        item=np.concatenate([np.arange(len(pool)) for pool in pools]),
        score=np.concatenate([np.asarray(pool, float) for pool in pools]),
        first=np.cumsum(sizes) - sizes,
        size=sizes,
        shown=np.zeros((n, 1), int),
        propensity=column,
        click=0 * column,
        place=np.zeros((n, 1), int),
        visitor=np.arange(n),
        inclusion=np.ones(n),
        time_s=np.zeros(n),
        names=[str(a) for a in range(max(sizes))],
    )
    [block] = pages.blocks()
    return block


def chosen(policy, scores, left=None):
    """Probabilities of one pool."""
    block = block_of(scores)
    mask = block.there if left is None else np.array([left])
    return policy.chooser(block)(mask, 0)[0]


@given(
    st.lists(st.lists(st.floats(-100, 20), min_size=1, max_size=8), min_size=1, max_size=4),
    st.randoms(),
    st.sampled_from(EVERY),
)
def test_probabilities_sum_to_one_over_what_is_left(pools, random, policy):
    """Whatever the pools: one with 0 would make every weight of it infinite, or lose its mass."""
    block = block_of(*pools)
    left = block.there & np.array([[random.random() < 0.7 for _ in row] for row in block.there])
    chances = policy.chooser(block)(left, 0)
    assert (chances[~left] == 0).all()
    assert (chances >= 0).all()
    assert chances.sum(axis=1) == pytest.approx(left.any(axis=1).astype(float))


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6))
def test_plackett_luce_is_a_softmax(scores):
    """Against one of a few lines."""
    odds = [exp(score / 0.7) for score in scores]
    assert chosen(PlackettLuce(0.7), scores) == pytest.approx([o / sum(odds) for o in odds])


def test_epsilon_greedy_takes_the_first_of_equals_and_then_what_is_left():
    """As the example of docs/extending.md draws: the best place left, or any."""
    assert chosen(EpsilonGreedy(0.3), [1, 2, 2]).tolist() == pytest.approx([0.1, 0.8, 0.1])
    left = [True, False, True]
    assert chosen(EpsilonGreedy(0.3), [1, 2, 2], left).tolist() == pytest.approx([0.15, 0, 0.85])
    assert chosen(Greedy(), [1, 2, 2], left).tolist() == [0, 0, 1]
    assert chosen(Uniform(), [1, 2, 2], left).tolist() == [0.5, 0, 0.5]


def test_thompson_of_two_is_known_exactly():
    """The difference of two normal values is normal."""
    for behind in (0.0, 0.5, 2.0, 4.0):
        better = 0.5 * (1 + erf(behind / 0.7 / 2))
        found = chosen(Thompson(0.7), [3.0, 3.0 - behind])
        assert found == pytest.approx([better, 1 - better], abs=1e-7)


def test_thompson_is_what_draws_give():
    """Of many candidates, some of them taken already, and some that only fill pages."""
    scores, spread = np.array([2.0, 1.8, 1.0, 0.0, -1.0, -100.0]), 0.6
    left = np.array([False, True, True, True, True, True])
    random = np.random.default_rng(1)
    drawn = scores + spread * random.normal(size=(400_000, 6))
    drawn[:, ~left] = -np.inf
    shares = np.bincount(drawn.argmax(axis=1), minlength=6) / len(drawn)
    found = chosen(Thompson(spread), scores, left)
    assert np.abs(found - shares).max() < 5 * sqrt(0.25 / len(drawn))


def test_a_logged_policy_has_the_propensities_nearest_in_time(tmp_path):
    """At the position that is asked for; what it never showed there has none."""
    file = tmp_path / "log.csv"
    file.write_text(
        "timestamp,item_id,position,click,propensity_score\n"
        "10,a,1,0,0.6\n20,b,1,0,0.2\n30,a,1,0,0.1\n20,a,2,0,0.5\n20,c,2,1,0.5\n"
    )
    pages = load_log(file)
    policy = LoggedPolicy(file)

    def at(time_s, place):
        asked = replace(pages, time_s=np.full(5, float(time_s)), place=np.full((5, 1), place))
        [block] = asked.blocks()
        return policy.chooser(block)(block.there, 0)[0].tolist()

    assert at(0, 0) == pytest.approx([0.75, 0.25, 0])
    assert at(19, 0) == pytest.approx([0.75, 0.25, 0])
    assert at(99, 0) == pytest.approx([1 / 3, 2 / 3, 0])
    assert at(20, 1) == pytest.approx([0.5, 0, 0.5])


def test_each_kind_is_read_from_a_file(tmp_path):
    """A kind that cannot be written down cannot be tried."""
    file = tmp_path / "new.toml"
    for kind, more, made in (
        ("uniform", "", Uniform()),
        ("greedy", "", Greedy()),
        ("epsilon-greedy", "epsilon = 0.1", EpsilonGreedy(0.1)),
        ("plackett-luce", "temperature = 2", PlackettLuce(2.0)),
        ("thompson", "spread = 0.5", Thompson(0.5)),
        ("logged", 'file = "log.csv"', LoggedPolicy(tmp_path / "log.csv")),
    ):
        file.write_text(f'kind = "{kind}"\n{more}\n')
        assert load_policy(file) == made
        assert kind in KINDS
    assert len(KINDS) == 6


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({}, "kind: None is not known; known are uniform, greedy"),
        ({"kind": "best"}, "kind: 'best' is not known"),
        ({"kind": ["greedy"]}, "kind:"),
        ({"kind": "epsilon-greedy"}, "epsilon: is missing"),
        ({"kind": "epsilon-greedy", "epsilon": 1.1}, "epsilon: must be from 0 to 1"),
        ({"kind": "epsilon-greedy", "epsilon": "0.1"}, "epsilon: must be a number"),
        ({"kind": "epsilon-greedy", "epsilon": True}, "epsilon: must be a number"),
        ({"kind": "epsilon-greedy", "epsilon": float("nan")}, "epsilon: must be a number"),
        ({"kind": "plackett-luce", "temperature": 0}, "temperature: must be above 0"),
        ({"kind": "thompson", "spread": -1}, "spread: must be above 0"),
        ({"kind": "uniform", "epsilon": 0.1}, "epsilon: is not known; uniform takes nothing"),
        ({"kind": "logged", "file": 3}, "file: must be the path of a file"),
    ],
)
def test_a_field_that_is_wrong_is_named(said, wrong):
    """Somebody has written the file by hand."""
    with pytest.raises(ValueError, match="^" + wrong.replace("[", r"\[")):
        policy_of(said)


def test_a_file_that_is_none_is_named(tmp_path):
    """The path and the reason, not a traceback."""
    file = tmp_path / "new.toml"
    for text, wrong in (("kind=", "is no TOML"), ('kind = "best"', "kind: 'best'")):
        file.write_text(text)
        with pytest.raises(PolicyFileError, match=rf"new\.toml: {wrong}"):
            load_policy(file)
    with pytest.raises(PolicyFileError, match=r"old\.toml: No such file"):
        load_policy(tmp_path / "old.toml")
