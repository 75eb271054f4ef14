"""The lanes of `METHODS`: which thread runs a call, how many run at once; counts and timings."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
from prometheus_client import Counter, Histogram

from server import metrics
from server.deferred import Deferred
from server.errors import RequestError, code_name, overloaded
from server.stages import UNTIMED, Untimed
from server.transport.fast_lane import Aside, Behaviour, Reply
from server.transport.methods import Lane, Method
from server.transport.pool import Pool
from server.transport.rich_status import error_reply, told_error
from server.transport.streams import Streams

MAX_STREAMS, MAX_CLIENT_STREAMS = 64, 32
"""The most open streams, in all and of one client: each needs a thread that sleeps between its
answers."""

MAX_BATCHES = 64
"""The most calls of `Lane.IN_TURN`: the one that runs, and those that wait for their turn."""

REDIS_THREADS, MAX_REDIS_WAITS = 4, 32
"""Threads for answers that read Redis, and the most of those at once: others do not wait."""

ASIDE_THREADS, MAX_ASIDE = 8, 64
"""Threads for calls of `Lane.ASIDE`, and the most of those at once."""

WAITS_FOR = {Lane.IN_TURN: "their turn", Lane.ASIDE: "a thread", Lane.KAFKA: "Kafka"}

Handler = Callable[..., Any]
"""See `Lane` for the arguments of a method's handler."""


class Lanes:
    """Turns the handlers of methods into what answers their calls; these share threads and limits.

    Parameters
    ----------
    max_waiting
        The most calls of `Lane.KAFKA` at once.
    after_answers
        Called after answers, for work that callers need not wait for; must not raise.
    """

    def __init__(self, max_waiting: int, after_answers: Callable[[], None]) -> None:
        self.calls: dict[str, Behaviour] = {}
        """What answers calls of one message, by path."""
        self.streams: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        """The gRPC handlers of streams, by path."""
        self._answering = Pool("answers", 1, MAX_BATCHES)
        self._redis = Pool("redis", REDIS_THREADS, MAX_REDIS_WAITS)
        self._pools = {
            Lane.IN_TURN: self._answering,
            Lane.ASIDE: Pool("aside", ASIDE_THREADS, MAX_ASIDE),
            Lane.KAFKA: Pool("kafka", max_waiting, max_waiting),
        }
        self._streams = Streams("streams", MAX_STREAMS, MAX_CLIENT_STREAMS)
        self._after_answers = after_answers
        self._measured: deque[tuple[Counter, Histogram, float]] = deque()

    def add(self, method: Method, handler: Handler) -> None:
        """Have a handler answer the calls of a method."""
        if method.lane is Lane.STREAM:
            self.streams[method.path] = self._stream(method, handler)
        elif method.lane is Lane.FAST:
            self.calls[method.path] = self._fast(method, handler)
        else:
            self.calls[method.path] = self._aside(method, handler)

    def after_reply(self) -> None:
        """Do the work that was deferred until the reply of a call is sent."""
        measured = self._measured
        while measured:
            try:
                answered, latency, seconds = measured.popleft()
            except IndexError:
                break  # another thread was faster
            answered.inc()
            latency.observe(seconds)
        self._after_answers()

    def _fast(self, method: Method, handler: Handler) -> Behaviour:
        measured, complete = self._measured, self._completing(method)
        answered, latency = _measures(method)
        handle = _staged(method, handler)

        def behaviour(raw: bytes, _deadline: float, stages: Untimed) -> Reply | Aside:
            started = time.perf_counter()
            try:
                answer = handle(raw, stages)
            except Exception as e:
                return error_reply(counted_error(method, e, stages))
            if isinstance(answer, Deferred):
                wait, at_once = (partial(complete, way, started, stages) for way in answer)
                return Aside(self._redis, wait, at_once)
            measured.append((answered, latency, time.perf_counter() - started))
            return Reply(answer)

        return behaviour

    def _aside(self, method: Method, handler: Handler) -> Behaviour:
        pool, complete = self._pools[method.lane], self._completing(method)
        full = overloaded(f"too many calls are waiting for {WAITS_FOR[method.lane]}; try later")
        handle = _staged(method, handler)

        def refuse() -> Reply:
            return error_reply(counted_error(method, full))

        def behaviour(raw: bytes, deadline: float, stages: Untimed) -> Aside:
            def answer() -> bytes:
                left_s = (deadline - time.time(),) if method.lane is Lane.KAFKA else ()
                reply: bytes = handle(raw, *left_s, stages)
                return reply

            return Aside(pool, partial(complete, answer, time.perf_counter(), stages), refuse)

        return behaviour

    def _completing(self, method: Method) -> Callable[[Callable[[], bytes], float, Untimed], Reply]:
        """Return what computes the reply of a method's call that has begun at some time."""
        answered, latency = _measures(method)

        def complete(answer: Callable[[], bytes], started: float, stages: Untimed) -> Reply:
            try:
                reply = Reply(answer())
            except Exception as e:
                return error_reply(counted_error(method, e, stages))
            self._measured.append((answered, latency, time.perf_counter() - started))
            return reply

        return complete

    def _stream(self, method: Method, handler: Handler) -> grpc.RpcMethodHandler[Any, Any]:
        answered, _ = _measures(method)
        answering = self._answering.threads

        def answers(requests: Iterator[bytes], _: grpc.ServicerContext) -> Iterator[bytes]:
            for raw in requests:
                reply: bytes = answering.submit(handler, raw).result()
                answered.inc()
                yield reply

        return self._streams.handler(answers, partial(counted_error, method))


def _measures(method: Method) -> tuple[Counter, Histogram]:
    """Return the count of a method's answers, and the histogram of the seconds that they took."""
    return metrics.REQUESTS.labels(method.name, "OK"), metrics.LATENCY.labels(method.name)


def _staged(method: Method, handler: Handler) -> Handler:
    """Return a method's handler as one that takes the stages of its call, last."""
    if method.staged:
        return handler

    def handle(raw: bytes, *more: Any) -> Any:
        *left_s, stages = more
        stages.enter("answer")
        return handler(raw, *left_s)

    return handle


def counted_error(method: Method, error: Exception, stages: Untimed = UNTIMED) -> RequestError:
    """Count an error of a call, and return it in the form that the caller may see."""
    told = told_error(method.name, method.request, error, stages.trace_id)
    metrics.REQUESTS.labels(method.name, code_name(told)).inc()
    return told
