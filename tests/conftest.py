"""Real Kafka, Flink, Redis, store and server on free ports, one stack for the whole run."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from cli.stack.layout import PROJECT, Home, Ports
from cli.stack.stack import Stack

# How long an example takes says how busy the machine is.
settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any")


TOGETHER = PROJECT / "tests" / "clients"
"""Tests that install and build in the same folders."""


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(items):
    """Tests run on all cores: those that share something, one after another on the same one."""
    for item in items:
        group = str(item.path.relative_to(PROJECT))
        if "stack" in getattr(item, "fixturenames", ()):
            group = "stack"
        elif TOGETHER in item.path.parents:
            group = "clients"
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """The whole stack, SERVING; started when the first test asks for it."""
    stack = Stack(
        Home(tmp_path_factory.mktemp("stack")), Ports.free(flink_metrics=True), bound=True
    )
    stack.start()
    yield stack
    stack.stop()
