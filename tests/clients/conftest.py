"""A running server with real models, which says that it is SERVING."""

import pytest

from tests.unit.server.transport.served import Served


@pytest.fixture
def served():
    served = Served()
    served.server.set_serving(True)
    yield served
    served.close()
