"""Catalogues that succeed one another: how many items are exchanged, return, and are invented."""

from collections import Counter

from evaluation.datasets import Session
from evaluation.succession import BOTS, EXCHANGED, RETURNING, catalogues, different_items, year_of

SAMPLED = [
    Session(f"s{i}", (f"a{i}", f"a{i + 1}", f"a{i + 2}"), (0, 5_000, 9_000)) for i in range(98)
]


def test_a_tenth_of_the_items_is_exchanged_each_day_and_a_third_of_them_returns():
    """The shares are what the benchmark says it measures."""
    left = came = returned = 0
    gone, alive = set(), set()
    for which, (day, items) in enumerate(catalogues(300, days=365)):
        assert set(day.left) <= alive
        returned += len(gone & set(day.came))
        gone |= set(day.left)
        alive = alive - set(day.left) | set(day.came)
        assert alive == set(items)
        assert len(items) == 300
        if which:
            assert len(day.left) == len(day.came) == 300 * EXCHANGED
            left, came = left + len(day.left), came + len(day.came)
    assert left == came
    # Those that have left in the last weeks return after the end.
    assert 0.85 * RETURNING < returned / left < 1.1 * RETURNING
    assert different_items(300) == 300 + came - returned


def test_visits_are_sampled_sessions_on_the_items_of_the_day():
    """A visit on an item that is not in the catalogue would be a miss for any model."""
    n = bots = 0
    invented = Counter()
    alive = set()
    for which, day in enumerate(year_of(SAMPLED, 20_000, days=30)):
        alive = alive - set(day.left) | set(day.came)
        for visit in day.visits:
            n += len(visit.items)
            assert visit.times_s == sorted(visit.times_s)
            assert visit.times_s[0] // 86_400 == which
            if visit.bot:
                bots += len(visit.items)
                invented.update(visit.items)
            else:
                assert set(visit.items) <= alive
                assert [t - visit.times_s[0] for t in visit.times_s] == [0, 5, 9]
    assert 20_000 <= n < 20_030
    assert abs(bots / n - BOTS) < 0.005
    twice = sum(sessions == 2 for sessions in invented.values())
    assert max(invented.values()) == 2
    assert abs(twice / len(invented) - 0.5) < 0.05


def test_the_same_seed_gives_the_same_year():
    """Both models must live through the same days, each in a process of its own."""
    first, again = (list(year_of(SAMPLED, 2_000, days=5, seed=3)) for _ in range(2))
    assert first == again
    assert first != list(year_of(SAMPLED, 2_000, days=5, seed=4))
