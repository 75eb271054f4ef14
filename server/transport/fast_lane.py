"""Short unary calls, answered on the thread that polls grpc's completion queue.

The stock server spends four fifths of an empty call on its own bookkeeping in Python: 151 us
against 43 us here, for one connection. So the calls that must be fast bypass it from the first
event on: one batch of operations of grpc's core receives the message, another sends the whole
reply. All other calls (streams, health checks, reflection, calls that wait), and calls that an
interceptor changes or rejects, are passed on to the stock server, which owns port, queue and
shutdown.

This uses private parts of grpc (`grpc._server`, `cygrpc`). grpc is pinned, and
`tests/unit/server/transport/test_fast_lane.py` fails if they change.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import grpc
from grpc import _server
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from server.deferred import Deferred

log = logging.getLogger("nextclick.grpc")

NO_FLAGS = 0
POLL_S = 1.0
"""Longest wait of one poll of the completion queue."""


class Reply(NamedTuple):
    """How a call ends: with a message, or with a code other than 0, details and trailers."""

    message: bytes = b""
    code: int = 0
    details: str = ""
    trailers: tuple[tuple[str, str | bytes], ...] = ()


Behaviour = Callable[[bytes], Reply | Deferred[Reply]]
"""Answers a serialised request; must neither raise nor block."""

ASIDE_THREADS, MAX_ASIDE = 4, 32
"""Threads for deferred replies, and the most of them at once: beyond that, replies do not wait."""


class _Call:
    """A call of the fast lane, and the tag of its two events: its message, and its end."""

    __slots__ = ("answered", "behaviour", "deadline", "handle")

    def __init__(self, handle: Any, deadline: float | None, behaviour: Behaviour) -> None:
        self.handle = handle
        self.deadline = deadline
        self.behaviour = behaviour
        self.answered = False


PASSED = grpc.unary_unary_rpc_method_handler(lambda raw, context: raw)
"""Passed to the interceptors of a call; one that returns it lets the call pass unchanged."""


class FastLane:
    """Serves the calls of a stock server, and answers some of them itself.

    Parameters
    ----------
    server
        A server of `grpc.server` that has its handlers and ports and has not started.
    behaviours
        By path, ``/package.Service/Method``. The stock server must have the `stock_handler` of
        each, for the calls that an interceptor changes.
    interceptors
        Those of the stock server. A call is fast if all of them let it pass unchanged.
    after
        Called once a reply has been handed to grpc, for work that the caller need not wait for;
        must not raise.
    """

    def __init__(
        self,
        server: grpc.Server,
        behaviours: Mapping[str, Behaviour],
        interceptors: Sequence[Any] = (),
        after: Callable[[], None] = lambda: None,
    ) -> None:
        self._state = server._state  # type: ignore[attr-defined]
        self._behaviours = {name.encode(): call for name, call in behaviours.items()}
        self._interceptors = interceptors
        self._after = after
        self._aside = ThreadPoolExecutor(ASIDE_THREADS, "aside")
        self._free = threading.BoundedSemaphore(MAX_ASIDE)

    def start(self) -> None:
        """Start serving; use it instead of ``server.start()``."""
        state = self._state
        with state.lock:
            state.server.start()
            state.stage = _server._ServerStage.STARTED
            for method in state.registered_method_handlers:
                _server._request_registered_call(state, method)
            _server._request_call(state)
        threading.Thread(target=self._serve, name="answers", daemon=True).start()

    def _serve(self) -> None:
        state = self._state
        while True:
            event = state.completion_queue.poll(time.time() + POLL_S)
            try:
                if not self._process(event):
                    return
            except Exception:
                log.exception("an event of grpc's queue was lost")
            event = None  # keeping the event would keep a finished call alive

    def _process(self, event: Any) -> bool:
        """Handle an event; False after the last one."""
        tag = event.tag
        if tag.__class__ is _Call:
            if tag.answered:
                return self._end(tag)
            self._answer(tag, event)
            return True
        if event.completion_type == cygrpc.CompletionType.queue_timeout:
            return True
        behaviour = self._fast(event)
        if behaviour is not None:
            self._begin(event, behaviour)
            return True
        return bool(_server._process_event_and_continue(self._state, event))

    def _fast(self, event: Any) -> Behaviour | None:
        """Return the behaviour that answers a new call, None for all other events."""
        if event.tag is not _server._REQUEST_CALL_TAG or not event.success:
            return None
        behaviour = self._behaviours.get(event.call_details.method)
        if behaviour is None or not self._interceptors:
            return behaviour
        details = _server._HandlerCallDetails(
            event.call_details.method.decode(), event.invocation_metadata
        )
        try:
            passed = all(
                interceptor.intercept_service(lambda _: PASSED, details) is PASSED
                for interceptor in self._interceptors
            )
        except Exception:
            log.exception("an interceptor failed")
            return None  # the stock server calls it again, and reports the failure to the caller
        return behaviour if passed else None

    def _begin(self, event: Any, behaviour: Behaviour) -> None:
        """Request the next call from grpc, and the message of this one."""
        state, call = self._state, _Call(event.call, event.call_details.deadline, behaviour)
        with state.lock:
            state.due.remove(_server._REQUEST_CALL_TAG)
            if state.stage is _server._ServerStage.STARTED:
                _server._request_call(state)
            call.handle.start_server_batch((cygrpc.ReceiveMessageOperation(NO_FLAGS),), call)
            state.rpc_states.add(call)  # a shutdown waits for it

    def _answer(self, call: _Call, event: Any) -> None:
        """Answer a message that has arrived."""
        message = event.batch_operations[0].message()
        call.answered = True
        if message is None:
            reply = NO_MESSAGE
        elif call.deadline is not None and call.deadline < time.time():
            reply = TOO_LATE
        else:
            answer = call.behaviour(message)
            if not isinstance(answer, Deferred):
                reply = answer
            elif self._free.acquire(blocking=False):
                self._aside.submit(self._finish, call, answer)
                return
            else:
                reply = answer.at_once()
        self._send(call, reply)

    def _finish(self, call: _Call, answer: Deferred[Reply]) -> None:
        """Send a deferred reply, on another thread than the one that receives calls."""
        try:
            reply = answer.wait()
        finally:
            self._free.release()
        self._send(call, reply)

    def _send(self, call: _Call, reply: Reply) -> None:
        try:
            call.handle.start_server_batch(_operations(reply), call)
        except Exception:
            log.exception("a reply could not be sent")
            self._end(call)
            return
        self._after()

    def _end(self, call: _Call) -> bool:
        """Forget a call; False if it was the last one of a server that is stopping."""
        state = self._state
        with state.lock:
            state.rpc_states.remove(call)
            stopping = state.stage is not _server._ServerStage.STARTED
            return not (stopping and _server._stop_serving(state))


NO_MESSAGE = Reply(code=grpc.StatusCode.INTERNAL.value[0], details="the call has no message")
TOO_LATE = Reply(
    code=grpc.StatusCode.DEADLINE_EXCEEDED.value[0],
    details="the deadline had passed before the call could be answered",
)


def stock_handler(
    behaviour: Behaviour, after: Callable[[], None] = lambda: None
) -> grpc.RpcMethodHandler[Any, Any]:
    """Return a handler for the stock server; it calls ``after`` before the reply is sent."""

    def answer(raw: bytes, context: grpc.ServicerContext) -> bytes:
        answer = behaviour(raw)
        reply = answer.wait() if isinstance(answer, Deferred) else answer
        after()
        if reply.code:
            context.set_trailing_metadata(reply.trailers)
            context.abort(CODES[reply.code], reply.details)
        return reply.message

    return grpc.unary_unary_rpc_method_handler(answer)


CODES = {code.value[0]: code for code in grpc.StatusCode}


def _operations(reply: Reply) -> list[Any]:
    """Return the operations that end a call; they own memory, so every batch needs new ones."""
    message = [] if reply.code else [cygrpc.SendMessageOperation(reply.message, NO_FLAGS)]
    return [
        cygrpc.SendInitialMetadataOperation(None, NO_FLAGS),
        *message,
        cygrpc.SendStatusFromServerOperation(
            reply.trailers, reply.code, reply.details.encode(), NO_FLAGS
        ),
        cygrpc.ReceiveCloseOnServerOperation(NO_FLAGS),
    ]
