"""The HTTP side of the gateway: its paths, and what a call goes through."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TypeVar

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gateway import metrics
from gateway.bodies import Bodies
from gateway.headers import FORWARDED, TIMEOUT, Forwarding
from gateway.json_messages import parsed, written
from gateway.methods import METHODS, Method
from gateway.openapi import document
from gateway.problems import ProblemError
from gateway.upstream import Upstream
from settings.gateway import GatewaySettings

LARGE_BYTES = 16_384
"""Larger messages are converted by another thread, so that other calls go on meanwhile."""

log = logging.getLogger("nextclick.gateway")

T = TypeVar("T")
Endpoint = Callable[[Request], Awaitable[Response]]


def make_app(settings: GatewaySettings, upstream: Upstream, public_token: str = "") -> FastAPI:
    """Return the application.

    Parameters
    ----------
    settings
        Of the gateway.
    upstream
        The servers.
    public_token
        Token of calls that bring none.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with upstream.connected():
            yield

    app = FastAPI(
        title="nextclick",
        version=version("nextclick"),
        redoc_url=None,
        redirect_slashes=False,  # behind a proxy, it would lead from https to http
        lifespan=lifespan,
    )
    described = document(METHODS, app.title, app.version)
    app.openapi = lambda: described  # type: ignore[method-assign]
    calls = Calls(upstream, Forwarding(public_token, settings.gateway_timeout_s))
    for method in METHODS:
        app.add_route(method.path, calls.endpoint(method), methods=["POST"])

    async def healthz(_: Request) -> Response:
        ready = upstream.ready()
        return PlainTextResponse("ok" if ready else "no", 200 if ready else 503)

    app.add_route("/healthz", healthz)
    app.add_exception_handler(HTTPException, _of_http)
    if settings.origins:
        # Without a cookie to know anybody by, credentials are nothing to protect; and a beacon
        # always comes with them.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["POST"],
            allow_headers=[*FORWARDED, TIMEOUT],
            expose_headers=["Retry-After"],
            allow_credentials=True,
        )
    return app


class Calls:
    """Takes calls as JSON and answers them from the servers.

    Parameters
    ----------
    upstream
        The servers.
    forwarding
        What of the headers goes on to them.
    """

    def __init__(self, upstream: Upstream, forwarding: Forwarding) -> None:
        self._upstream = upstream
        self._forwarding = forwarding
        self._bodies = Bodies()
        self._aside = ThreadPoolExecutor(1, "large messages")

    def endpoint(self, method: Method) -> Endpoint:
        """Return what answers requests for a method."""
        latency = metrics.LATENCY.labels(method.name)
        answered = metrics.REQUESTS.labels(method.name, "OK")

        async def answer(request: Request) -> Response:
            started = time.perf_counter()
            try:
                content = await self._answer(method, request)
            except Exception as e:
                problem = e if isinstance(e, ProblemError) else _bug(method.name, e)
                metrics.REQUESTS.labels(method.name, problem.code).inc()
                return problem.response()
            latency.observe(time.perf_counter() - started)
            answered.inc()
            return Response(content, media_type="application/json")

        return answer

    async def _answer(self, method: Method, request: Request) -> bytes:
        timeout_s = self._forwarding.timeout_s(request.headers)
        metadata = self._forwarding.metadata(request.headers)
        body = await self._bodies.read(request)
        try:
            message = await self._converted(parsed, method.request, body)
            response = await self._upstream.call(method, message, metadata, timeout_s)
            return await self._converted(written, method.response, response)
        finally:
            self._bodies.give_back(body)

    async def _converted(self, convert: Callable[[T, bytes], bytes], kind: T, raw: bytes) -> bytes:
        if len(raw) <= LARGE_BYTES:
            return convert(kind, raw)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._aside, convert, kind, raw)


async def _of_http(_: Request, error: Exception) -> Response:
    """Answer a request that is for no call: another path, or another method."""
    assert isinstance(error, HTTPException)
    told = {
        404: ("there is no such path; /openapi.json has those that there are", "NOT_FOUND"),
        405: ("every call is a POST", "UNIMPLEMENTED"),
    }
    detail, code = told.get(error.status_code, (error.detail, "UNKNOWN"))
    return ProblemError(detail, code, status=error.status_code, headers=error.headers).response()


def _bug(name: str, error: Exception) -> ProblemError:
    log.error("%s failed", name, exc_info=error)
    return ProblemError("internal error; see the gateway's log", "INTERNAL")
