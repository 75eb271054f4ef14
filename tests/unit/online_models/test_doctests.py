"""The examples in the docstrings of the models, compiled kernels' too."""

import doctest
import importlib
import pkgutil

import pytest

import online_models

MODULES = [
    info.name
    for info in pkgutil.walk_packages(online_models.__path__, "online_models.")
    if not info.ispkg
]


def examples(name):
    """Doctests of a module and of what it defines; kernels hide theirs behind the compiler."""
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(recurse=False)
    found = list(finder.find(module, name, globs=dict(vars(module))))
    for attribute, value in vars(module).items():
        function = getattr(value, "py_func", value)
        if getattr(function, "__module__", None) == name and callable(function):
            found += finder.find(
                function, f"{name}.{attribute}", module=module, globs=dict(vars(module))
            )
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name):
    """An example that is wrong teaches a reader what is not so."""
    runner = doctest.DocTestRunner()
    for test in examples(name):
        runner.run(test)
    assert runner.failures == 0


@pytest.mark.parametrize(
    "kernel",
    ["memory.top_k.sort_places", "memory.slabs.take", "tables.sessions.insert",
     "sources.pair_successors.pair_slot"],
)  # fmt: skip
def test_small_kernels_have_examples(kernel):
    """They are what a reader of a larger kernel looks up."""
    module = f"online_models.{kernel.rpartition('.')[0]}"
    assert f"online_models.{kernel}" in [test.name for test in examples(module)]
