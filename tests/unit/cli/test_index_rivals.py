"""Indexes that are compared: one suite over all that are installed."""

import numpy as np
import pytest

from cli.bench.index_compare import unit
from cli.bench.index_rivals import INDEXES, Exact

N, K = 300, 10


@pytest.fixture(params=INDEXES, ids=lambda kind: kind.name)
def index(request):
    try:
        return request.param(N + 50)
    except ImportError as e:
        pytest.skip(f"not installed: {e.name}")


@pytest.fixture
def vectors():
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(10, 64))
    noise = rng.normal(size=(N, 64))
    return unit((centres[np.arange(N) % 10] + 0.5 * noise).astype(np.float32))


def test_most_of_the_true_nearest_are_found(index, vectors):
    """A row of the table would be of an index that was used wrongly."""
    exact = Exact(N + 50)
    rows = np.arange(1, N + 1)
    for one in (index, exact):
        one.build(rows, vectors)
    shares = []
    for query in vectors[::7]:
        found, true = index.query(query, K), exact.query(query, K)
        assert found[0] == true[0]
        shares.append(len(np.intersect1d(found, true)) / K)
    assert np.mean(shares) > 0.7


def test_what_is_put_is_found_where_it_is_now(index, vectors):
    """The times until a vector is found would be of something else."""
    index.build(np.arange(1, N + 1), vectors)
    index.put(N + 1, -vectors[0])
    assert index.query(-vectors[0], 1).tolist() == [N + 1]
    index.put(1, -vectors[7])
    assert index.query(-vectors[7], 1).tolist() == [1]
    assert index.query(vectors[0], 1).tolist() != [1]
