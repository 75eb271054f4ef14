"""Real Kafka, Flink, Redis, store and server on free ports, one stack for the whole run."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from cli.stack.layout import Home, Ports
from cli.stack.stack import Stack

# How long an example takes says how busy the machine is.
settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any")


TOGETHER = {
    "tests/integration": "stack",
    "tests/benchmarks": "stack",
    "tests/recovery": "stack",
    "tests/clients": "clients",
}
"""Folders whose tests start Flink, or install and build in the same folders.

Two Flinks on two cores are slower than one after another: a job that deploys in 30 s takes minutes.
"""


class TogetherOrByFile(LoadScopeScheduling):
    """Which tests run in the same process, where several are used."""

    def _split_scope(self, nodeid):
        path, _, _ = nodeid.partition("::")
        return next((TOGETHER[folder] for folder in TOGETHER if path.startswith(folder)), path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Have tests that share something run one after another."""
    return TogetherOrByFile(config, log)


def pytest_collection_modifyitems(items):
    """What takes longest begins first."""
    items.sort(key=lambda item: not any(folder in str(item.path) for folder in TOGETHER))


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """The whole stack, SERVING; started when the first test asks for it."""
    stack = Stack(
        Home(tmp_path_factory.mktemp("stack")), Ports.free(flink_metrics=True), bound=True
    )
    stack.start()
    yield stack
    stack.stop()
