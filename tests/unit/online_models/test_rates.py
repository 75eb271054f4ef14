"""Rates at which popularity decays: the usual ones by default, and no jump at a change."""

import math

import pytest

from online_models.engine import Engine
from online_models.engine import snapshot as snapshots
from online_models.memory.layout import Limits
from online_models.sources.popularity import DECAY_LONG, DECAY_SHORT
from settings.presets import PRESETS, SHOP

LIMITS = Limits(max_items=64, max_sessions=64, pairs=64)


def counts(engine):
    """Decayed counts by name of the rate and item."""
    stats, rates, clock = engine.arrays["stats"], engine.arrays["rates"][0], engine.clicks
    return {
        name: {
            item_id: math.exp(stats[engine.row(item_id)][name] - clock / rates[name])
            for item_id in engine.rows
        }
        for name in ("long", "short")
    }


def taught(clicks=40):
    engine = Engine(LIMITS, sample=0)
    for n in range(clicks):
        engine.learn(engine.open_session(), f"i{n % 5}")
    return engine


def test_the_default_preset_changes_nothing():
    """If it failed, an update would change the answers of every shop."""
    assert (SHOP.decay_long, SHOP.decay_short) == (DECAY_LONG, DECAY_SHORT)
    assert SHOP.repeats
    assert next(iter(PRESETS)) == "shop"
    engine, same = taught(), taught()
    same.set_rates(SHOP.decay_long, SHOP.decay_short)
    assert same.arrays["stats"].tobytes() == engine.arrays["stats"].tobytes()


def test_other_rates_keep_the_counts_of_now_and_decay_them_anew():
    """If it failed, a change of the preset would make the newest or the oldest items popular."""
    engine = taught()
    before = counts(engine)
    engine.set_rates(100.0, 10.0)
    assert counts(engine) == {name: pytest.approx(held) for name, held in before.items()}
    for _ in range(20):
        engine.learn(engine.open_session(), "other")
    after = counts(engine)
    for name, decay in (("long", 100.0), ("short", 10.0)):
        del after[name]["other"]
        wanted = {item: count * math.exp(-20 / decay) for item, count in before[name].items()}
        assert after[name] == pytest.approx(wanted)


def test_a_snapshot_keeps_its_rates(tmp_path):
    """If it failed, counts would be read by rates that they were not made with."""
    engine = taught()
    engine.set_rates(100.0, 10.0)
    engine.snapshot(tmp_path / "s")
    again = Engine.restore(tmp_path / "s")
    assert counts(again) == counts(engine)
    larger = Engine.restore(tmp_path / "s", Limits(max_items=128, max_sessions=64, pairs=64))
    assert counts(larger) == counts(engine)
    again.set_rates(SHOP.decay_long, SHOP.decay_short)
    assert counts(again) == {name: pytest.approx(held) for name, held in counts(engine).items()}


def test_a_snapshot_of_the_version_before_has_the_usual_rates(tmp_path, monkeypatch):
    """If it failed, an update would begin without what was learned."""
    engine = taught()
    monkeypatch.setattr(snapshots, "VERSION", 8)
    engine.snapshot(tmp_path / "s")
    monkeypatch.undo()
    (tmp_path / "s" / "rates.npy").unlink()
    assert counts(Engine.restore(tmp_path / "s")) == counts(engine)
