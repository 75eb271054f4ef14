"""What sources declare is what they do."""

import numpy as np
import pytest

from online_models.engine import Engine, Past
from online_models.memory.layout import Limits
from online_models.sources.registry import COLUMN, FACT, SOURCES

ASKED = [source for source in SOURCES if source.retrieve is not None]


@pytest.fixture(scope="module")
def shop():
    """Models that know 400 items in 4 categories; the session 599 has clicked 50 of them."""
    engine = Engine(Limits(max_items=512, max_sessions=1024, pairs=1024), sample=0)
    for i in range(400):
        engine.put_item(f"i{i}", categories=(f"c{i % 4}",))
    for s in range(600):
        number = engine.open_session()
        for step in range(50 if s == 599 else 12):
            engine.learn(number, f"i{(7 * s + step * step) % 400}", at_s=1_000 + s)
    return engine


@pytest.mark.parametrize("source", ASKED, ids=lambda source: source.name)
def test_a_source_names_no_more_items_than_it_declares(shop, source):
    """The pool has room for the sum of what is declared: more would crowd out other sources."""
    rows = np.arange(100, 150, dtype=np.int32)
    past = Past(rows, np.arange(50), np.zeros(50, np.uint8))
    shop._request.write(shop.session_rows(599), 0, 599, past=past)
    found = shop.arrays["found"][0]
    found["pool_size"] = 0
    source.retrieve(
        shop._state,
        COLUMN[source.columns[0].name] if source.columns else 0,
        FACT[source.facts[0]] if source.facts else 0,
    )
    assert found["pool_size"] <= source.names_at_most
