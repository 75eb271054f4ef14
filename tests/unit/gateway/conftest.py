"""A gateway in front of a server that answers as the test says."""

import pytest

from tests.unit.gateway.served_gateway import gateway
from tests.unit.nextclick.fake_server import Fake, serving


@pytest.fixture
def fake():
    return Fake()


@pytest.fixture
def rest(fake):
    """A gateway without further settings, in front of `fake`."""
    with serving(fake) as target, gateway(target) as running:
        yield running
