"""The examples in the docstrings of what prints and draws figures."""

import doctest

import pytest

from cli import figures
from cli.bench import charts


@pytest.mark.parametrize("module", [figures, charts], ids=lambda module: module.__name__)
def test_the_examples_of_a_module_are_true(module):
    """They say how a figure looks, and nothing else does."""
    done = doctest.testmod(module)
    assert done.attempted > 0
    assert done.failed == 0
