"""Fixtures of the tests of a running server."""

import pytest

from tests.unit.server.transport.served import Served


@pytest.fixture
def served():
    served = Served()
    yield served
    served.close()
