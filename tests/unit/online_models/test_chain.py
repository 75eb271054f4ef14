"""Kernels made from lists: they are cached like those that are written out."""

import subprocess
import sys

import pytest

from cli.stack.layout import PROJECT

DECLARES = """
from pathlib import Path

import numba

from online_models.memory.chain import by_place, first_that, in_order

numba.config.CACHE_DIR = str(Path(__file__).parent / "cache")


@numba.njit(cache=True)
def add(st, n):
    st[0] += n


@numba.njit(cache=True)
def is_two(st):
    return st[0] == 2


@numba.njit(cache=True)
def is_three(st):
    return st[0] == 3


chains = {
    "in_order": in_order("in_order", __name__, [(add, (1,)), (add, (2,))]),
    "first_that": first_that("first_that", __name__, [is_two, is_three]),
    "by_place": by_place("by_place", __name__, [is_two, is_three]),
}
"""

USES = """
import sys

import numpy as np
from declares import chains

st = np.zeros(1)
chains["in_order"](st)
answers = chains["first_that"](st), chains["by_place"](st, 0), chains["by_place"](st, 1)
hits = sum(sum(chain.stats.cache_hits.values()) for chain in chains.values())
print(st[0], *answers, hits)
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "declares.py").write_text(DECLARES)

    def run():
        path = ":".join(map(str, (tmp_path, PROJECT, PROJECT / "proto")))
        argv = [sys.executable, "-c", USES]
        finished = subprocess.run(
            argv, env={"PYTHONPATH": path}, capture_output=True, text=True, timeout=600, check=False
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout.split()

    return run


def test_they_do_the_same_from_the_cache(run):
    """If it failed, a process that finds part of the cache filled would stop at its first call."""
    assert run() == ["3.0", "1", "False", "True", "0"]
    assert run() == ["3.0", "1", "False", "True", "3"]
