"""Estimators in small worlds, every page of which is enumerated: what they expect is the truth."""

from dataclasses import replace

import numpy as np
import pytest

from evaluation.off_policy import estimators
from evaluation.off_policy.click_model import ClickModel, fit
from evaluation.off_policy.estimators import ESTIMATORS
from evaluation.off_policy.policies import EpsilonGreedy, Greedy, PlackettLuce
from evaluation.off_policy.walk import walk
from tests.unit.evaluation.slate_world import World, epsilon_greedy, plackett_luce

LOGGING = plackett_luce(1.0)
WITHOUT_BIAS = {"IPS", "RIPS", "DR", "cascade-DR"}


def wrong_model(pages, seed=7):
    """A click model that is not learned from the log, and wrong."""
    random = np.random.default_rng(seed)
    places, items = int(pages.place.max()) + 1, len(pages.names)
    return ClickModel(
        random.uniform(0.01, 0.4, (2, places)),
        random.uniform(0.5, 1.5, (2, 12)),
        random.uniform(0.3, 1.5, (2, items)),
    )


def every(world, policy, places=None, model=wrong_model, **more):
    """All outcomes seen with a policy, and their probabilities."""
    pages, likely = world.every_outcome(LOGGING)
    pages = replace(pages, **more)
    walked = walk(pages, policy, model(pages))
    return walked, likely


def expected(columns, likely):
    """The ratio of expectations: for a mean, the expectation of the estimate."""
    return float(((likely @ columns.above) / (likely @ columns.below)).sum())


@pytest.mark.parametrize("places", [1, 2, 3])
@pytest.mark.parametrize(
    ("policy", "same"),
    [
        (PlackettLuce(0.5), plackett_luce(0.5)),
        (EpsilonGreedy(0.2), epsilon_greedy(0.2)),
        (Greedy(), epsilon_greedy(0.0)),
    ],
    ids=lambda p: getattr(p, "kind", None),
)
def test_estimates_have_no_bias_whatever_the_click_model(places, policy, same):
    """Exactly: a weight of the wrong places, or a term that is left out, would shift the sum."""
    world = World.drawn(1, contexts=3, items=4, places=places)
    walked, likely = every(world, policy)
    truth = world.truth(same)
    assert abs(truth - world.truth(LOGGING)) > 0.005
    # The direct method plays pages at random: its part is the same whatever is clicked.
    for estimator in ESTIMATORS:
        found = expected(estimator.columns(walked, np.inf), likely)
        if estimator.name in WITHOUT_BIAS - {"DR"} or (places == 1 and estimator.name == "DR"):
            assert found == pytest.approx(truth, abs=1e-12), estimator.name
        if estimator.name in ("SNIPS", "SNRIPS"):
            assert found == pytest.approx(truth, abs=1e-12), estimator.name
        if estimator.name == "DM":
            assert abs(found - truth) > 1e-3


@pytest.mark.parametrize("places", [2, 3])
def test_doubly_robust_corrects_the_pages_that_the_direct_method_plays(places):
    """DM and DR share the played pages: what is left is E[w (r - q)], with DM's own expectation."""
    world = World.drawn(2, contexts=3, items=4, places=places)
    target = plackett_luce(0.5)
    walked, likely = every(world, PlackettLuce(0.5))
    modelled = world.probabilities(target) @ fitted_of(world, walked)
    exact = replace(walked, direct=np.full(len(walked), modelled))
    for name in ("DR", "switch-DR"):
        [columns] = [e.columns(exact, 1e9) for e in ESTIMATORS if e.name == name]
        assert expected(columns, likely) == pytest.approx(world.truth(target), abs=1e-12)


def fitted_of(world, walked):
    """What the model expects of each case."""
    k = world.places
    return walked.fitted.sum(axis=1)[:: k + 1]


def test_played_pages_are_those_of_the_policy():
    """The direct method would estimate another policy's clicks."""
    world = World.drawn(3, contexts=2, items=4, places=3)
    target = plackett_luce(0.5)
    pages = world.log(LOGGING, 40_000, np.random.default_rng(1))
    # One model for both halves.
    model = wrong_model(pages)
    model = ClickModel(
        *(np.repeat(part[:1], 2, axis=0) for part in (model.place, model.rank, model.item))
    )
    walked = walk(pages, PlackettLuce(0.5), model)
    outcomes, _ = world.every_outcome(LOGGING)
    fitted = walk(outcomes, PlackettLuce(0.5), model).fitted.sum(axis=1)[:: world.places + 1]
    truth = world.probabilities(target) @ fitted
    error = walked.direct.std() / np.sqrt(len(pages))
    assert walked.direct.mean() == pytest.approx(truth, abs=4.5 * error)
    assert error < 0.01 * truth


def test_the_log_of_the_policy_itself_has_its_rate():
    """Weights of 1 leave the clicks as they are."""
    world = World.drawn(4)
    pages = world.log(LOGGING, 500, np.random.default_rng(2))
    walked = walk(pages, PlackettLuce(1.0), fit(pages))
    np.testing.assert_allclose(walked.weight, 1)
    for estimator in ESTIMATORS[:4]:
        above, below, *_ = estimator.columns(walked, np.inf)
        assert (above.sum(axis=0) / below.sum(axis=0)).sum() == pytest.approx(
            pages.click.sum() / 500
        )


def test_with_one_place_estimators_of_pages_are_those_of_slots():
    """`judge` leaves them out there: they would be shown twice."""
    world = World.drawn(5, places=1)
    pages = world.log(LOGGING, 300, np.random.default_rng(3))
    walked = walk(pages, PlackettLuce(0.5), fit(pages))
    for pair in ((estimators.ips, estimators.rips), (estimators.snips, estimators.snrips)):
        one, other = (f(walked) for f in pair)
        np.testing.assert_allclose(one.above, other.above)
        np.testing.assert_allclose(one.below, other.below)
    np.testing.assert_allclose(estimators.dr(walked).above, estimators.cascade_dr(walked).above)


def test_a_limit_on_weights_lowers_estimates_by_what_it_leaves_out():
    """A limited weight is biased towards zero, never upwards."""
    world = World.drawn(6)
    walked, likely = every(world, PlackettLuce(0.3))
    free = expected(estimators.rips(walked), likely)
    before = 0.0
    for most in (0.5, 1.0, 2.0, 4.0):
        limited = expected(estimators.rips(walked, most), likely)
        assert before < limited < free
        assert estimators.rips(walked, most).bounds == (0.0, most)
        before = limited
    assert expected(estimators.rips(walked, 1e9), likely) == pytest.approx(free)


def test_switch_goes_by_the_model_above_its_weight_only():
    """At 0 it is the direct method, without an end it is doubly robust."""
    world = World.drawn(7, places=1)
    walked, likely = every(world, PlackettLuce(0.4))
    assert expected(estimators.switch_dr(walked, 1e-9), likely) == expected(
        estimators.dm(walked), likely
    )
    np.testing.assert_allclose(estimators.switch_dr(walked, 1e9).above, estimators.dr(walked).above)
    kept = estimators.switch_dr(walked).used
    assert (kept[walked.weight > estimators.SWITCH_AT] == 0).all()
    assert (kept == walked.weight)[walked.weight <= estimators.SWITCH_AT].all()


@pytest.mark.parametrize("name", ["IPS", "SNIPS", "RIPS", "SNRIPS", "cascade-DR"])
def test_pages_that_are_rarer_in_the_log_count_for_more(name):
    """Pages kept with a probability: of each kept one, so many were shown."""
    world = World.drawn(8, contexts=3, items=4, places=2)
    pages, likely = world.every_outcome(LOGGING)
    random = np.random.default_rng(4)
    inclusion = random.uniform(0.1, 1.0, len(pages))
    pages = replace(pages, inclusion=inclusion)
    walked = walk(pages, PlackettLuce(0.5), wrong_model(pages))
    [columns] = [e.columns(walked, np.inf) for e in ESTIMATORS if e.name == name]
    found = expected(columns, likely * inclusion)
    assert found == pytest.approx(world.truth(plackett_luce(0.5)), abs=1e-12)


@pytest.mark.parametrize("name", ["IPS", "RIPS", "SNRIPS", "cascade-DR"])
def test_pages_of_different_lengths_are_of_one_log(name):
    """What is beyond the end of a page is no place without a click: nothing happens there."""
    world = World.drawn(9, contexts=4, items=4, places=3)
    pages, likely = world.every_outcome(LOGGING)
    short = np.array([x for x, _ in world.cases])[np.arange(len(pages)) // 4] < 2
    short = short[:, None] & (np.arange(3) >= 2)
    # The context decides the length; a third place of the short ones was never there.
    pages = replace(
        pages,
        shown=np.where(short, -1, pages.shown),
        propensity=np.where(short, 1.0, pages.propensity),
        click=np.where(short, 0.0, pages.click),
    )
    clicks = world.clicks()
    contexts = np.array([x for x, _ in world.cases])
    clicks[contexts < 2, 2] = 0
    truth = world.probabilities(plackett_luce(0.5)) @ clicks.sum(axis=1)
    walked = walk(pages, PlackettLuce(0.5), wrong_model(pages))
    [columns] = [e.columns(walked, np.inf) for e in ESTIMATORS if e.name == name]
    assert expected(columns, likely) == pytest.approx(truth, abs=1e-12)


def test_a_model_that_is_right_lowers_the_variance():
    """What the doubly robust are for; by it, the control of later places is worth its terms."""
    world = World.drawn(10, contexts=3, items=4, places=3, rate=0.2)
    pages = world.log(LOGGING, 20_000, np.random.default_rng(5))
    walked = walk(pages, PlackettLuce(0.3), fit(pages))
    spread = {e.name: e.columns(walked, np.inf).above.sum(axis=1).std() for e in ESTIMATORS}
    assert spread["cascade-DR"] < spread["RIPS"] < spread["IPS"]
    without = estimators.cascade_dr(replace(walked, later=np.zeros_like(walked.later)))
    assert spread["cascade-DR"] < without.above.std()
