"""The lanes of `METHODS`: which thread runs a call, how many run at once; counts and timings."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from prometheus_client import Counter, Histogram

from listeners.client_slots import ClientSlots, client_of
from server import metrics
from server.deferred import Deferred
from server.errors import RequestError, code_name, internal, overloaded
from server.transport.fast_lane import Behaviour, Reply, stock_handler
from server.transport.methods import Lane, Method
from server.transport.rich_status import abort, rich_status

log = logging.getLogger("nextclick.grpc")

MAX_STREAMS, MAX_CLIENT_STREAMS = 64, 32
"""The most open streams, in all and of one client: each needs a thread that sleeps between its
answers."""

SPARE_THREADS = 8
"""Threads beside those that may wait: they reject calls beyond a limit, and answer health checks
and the calls of `Lane.ASIDE`."""

Handler = Callable[..., Any]
"""See `Lane` for the arguments of a method's handler."""

Answer = Callable[[bytes, grpc.ServicerContext], bytes]


class Lanes:
    """Turns the handlers of methods into gRPC handlers, which share threads and limits.

    Parameters
    ----------
    max_waiting
        The most calls of `Lane.KAFKA` at once.
    after_answers
        Called after answers of the fast lane, for work that callers need not wait for; must not
        raise.
    """

    def __init__(self, max_waiting: int, after_answers: Callable[[], None]) -> None:
        self.threads = ThreadPoolExecutor(max_waiting + SPARE_THREADS, "waiting")
        """For all calls that have no thread of their own: the pool of the gRPC server."""
        self.fast: dict[str, Behaviour] = {}
        """What the fast lane answers, by path."""
        self._answering = ThreadPoolExecutor(1, "answers")
        self._streaming = ThreadPoolExecutor(MAX_STREAMS + SPARE_THREADS, "streams")
        self._stream_slots = ClientSlots(MAX_STREAMS, MAX_CLIENT_STREAMS)
        self._free_waits = threading.BoundedSemaphore(max_waiting)
        self._after_answers = after_answers
        self._measured: deque[tuple[Counter, Histogram, float]] = deque()
        self._lanes: dict[Lane, Callable[[Method, Handler], grpc.RpcMethodHandler[Any, Any]]] = {
            Lane.FAST: self._fast,
            Lane.IN_TURN: self._in_turn,
            Lane.STREAM: self._stream,
            Lane.ASIDE: self._aside,
            Lane.KAFKA: self._kafka,
        }

    def grpc_handler(self, method: Method, handler: Handler) -> grpc.RpcMethodHandler[Any, Any]:
        """Return the gRPC handler of a method."""
        return self._lanes[method.lane](method, handler)

    def after_reply(self) -> None:
        """Do the work that was deferred until the reply of a fast call is sent."""
        measured = self._measured
        while measured:
            try:
                answered, latency, seconds = measured.popleft()
            except IndexError:
                break  # another thread was faster
            answered.inc()
            latency.observe(seconds)
        self._after_answers()

    def _fast(self, method: Method, handler: Handler) -> grpc.RpcMethodHandler[Any, Any]:
        measured = self._measured
        answered = metrics.REQUESTS.labels(method.name, "OK")
        latency = metrics.LATENCY.labels(method.name)

        def complete(answer: Callable[[], bytes], started: float) -> Reply:
            try:
                reply = Reply(answer())
            except Exception as e:
                return _error_reply(method, e)
            measured.append((answered, latency, time.perf_counter() - started))
            return reply

        def behaviour(raw: bytes) -> Reply | Deferred[Reply]:
            started = time.perf_counter()
            try:
                answer = handler(raw)
            except Exception as e:
                return _error_reply(method, e)
            if isinstance(answer, Deferred):
                wait, at_once = (partial(complete, way, started) for way in answer)
                return Deferred(wait, at_once)
            measured.append((answered, latency, time.perf_counter() - started))
            return Reply(answer)

        self.fast[method.path] = behaviour
        return stock_handler(behaviour, self.after_reply)

    def _in_turn(self, method: Method, handler: Handler) -> grpc.RpcMethodHandler[Any, Any]:
        behaviour = _measured(method, lambda raw, _: handler(raw))
        behaviour.experimental_thread_pool = self._answering  # type: ignore[attr-defined]
        return grpc.unary_unary_rpc_method_handler(behaviour)

    def _aside(self, method: Method, handler: Handler) -> grpc.RpcMethodHandler[Any, Any]:
        request = method.request

        def answer(raw: bytes, _: grpc.ServicerContext) -> bytes:
            reply: bytes = handler(request.FromString(raw)).SerializeToString()
            return reply

        return grpc.unary_unary_rpc_method_handler(_measured(method, answer))

    def _kafka(self, method: Method, handler: Handler) -> grpc.RpcMethodHandler[Any, Any]:
        request = method.request

        def answer(raw: bytes, context: grpc.ServicerContext) -> bytes:
            if not self._free_waits.acquire(blocking=False):
                raise overloaded("too many calls are waiting for Kafka; try again later")
            try:
                reply: bytes = handler(
                    request.FromString(raw), context.time_remaining()
                ).SerializeToString()
            finally:
                self._free_waits.release()
            return reply

        return grpc.unary_unary_rpc_method_handler(_measured(method, answer))

    def _stream(self, method: Method, handler: Handler) -> grpc.RpcMethodHandler[Any, Any]:
        answered = metrics.REQUESTS.labels(method.name, "OK")

        def streamer(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            client = client_of(context.peer())
            if not self._stream_slots.take(client):
                full = overloaded(
                    f"{MAX_STREAMS} streams are open already, or {MAX_CLIENT_STREAMS} from "
                    "your address; close one"
                )
                abort(context, counted_error(method, full))
            try:
                for raw in requests:
                    try:
                        reply: bytes = self._answering.submit(handler, raw).result()
                    except Exception as e:
                        abort(context, counted_error(method, e))
                    answered.inc()
                    yield reply
            finally:
                self._stream_slots.give_back(client)

        streamer.experimental_thread_pool = self._streaming  # type: ignore[attr-defined]
        return grpc.stream_stream_rpc_method_handler(streamer)


def _error_reply(method: Method, error: Exception) -> Reply:
    status = rich_status(counted_error(method, error))
    return Reply(b"", status.code.value[0], status.details, status.trailing_metadata)


def _measured(method: Method, answer: Answer) -> Answer:
    """Return an answer function that counts and times calls, and maps errors to statuses."""
    answered = metrics.REQUESTS.labels(method.name, "OK")
    latency = metrics.LATENCY.labels(method.name)

    def behaviour(raw: bytes, context: grpc.ServicerContext) -> bytes:
        started = time.perf_counter()
        try:
            reply = answer(raw, context)
        except Exception as e:
            abort(context, counted_error(method, e))
        answered.inc()
        latency.observe(time.perf_counter() - started)
        return reply

    return behaviour


def counted_error(method: Method, error: Exception) -> RequestError:
    """Count an error of a call, and return it in the form that the caller may see."""
    if isinstance(error, DecodeError):
        error = RequestError(f"the request is not a serialised {method.request.DESCRIPTOR.name}")
    elif not isinstance(error, RequestError):
        log.error("%s failed", method.name, exc_info=error)
        error = internal()
    metrics.REQUESTS.labels(method.name, code_name(error)).inc()
    return error
