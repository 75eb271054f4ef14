"""Fixtures of the tests of services."""

import pytest

from tests.unit.server.services.shop import Shop


@pytest.fixture
def shop():
    return Shop()
