"""Both clients as fixtures: every test of a client runs blocking and asynchronous."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from nextclick import AsyncClient, Client
from tests.unit.nextclick.fake_server import Fake, serving


class Blocking:
    """Calls the asyncio client as one calls the blocking one."""

    def __init__(self, target: str, **settings: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = self._loop.run_until_complete(self._open(target, settings))

    async def _open(self, target: str, settings: dict[str, Any]) -> AsyncClient:
        return await AsyncClient(target, **settings).__aenter__()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            if inspect.isasyncgen(result):
                return self._each(result)
            return self._loop.run_until_complete(result)

        return call

    def _each(self, answers: AsyncGenerator[Any, None]) -> Iterator[Any]:
        try:
            while True:
                yield self._loop.run_until_complete(anext(answers))
        except StopAsyncIteration:
            return
        finally:
            self._loop.run_until_complete(answers.aclose())

    def __enter__(self) -> Blocking:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._client.__aexit__(None, None, None))
        self._loop.close()


@pytest.fixture(params=[Client, Blocking], ids=["sync", "aio"])
def client_type(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def target(fake: Fake) -> Iterator[str]:
    with serving(fake) as target:
        yield target


@pytest.fixture
def client(client_type: Any, target: str) -> Iterator[Any]:
    with client_type(target, timeout_s=60.0) as client:
        yield client
