"""Unary calls, received on the thread that polls grpc's completion queue.

The stock server spends four fifths of an empty call on its own bookkeeping in Python: 151 us
against 43 us here, for one connection. And it has a thread of the pool wait for the message of a
call: clients that send none could take all of them. So unary calls bypass it from the first event
on: one batch of operations of grpc's core receives the message, another sends the whole reply.
Short calls are answered between the two, on this thread; those that take longer get another one
once their message is here. Calls that the gate refuses are closed before their message has come.
Streams are passed on to the stock server, which owns port, queue and shutdown.

This uses private parts of grpc (`grpc._server`, `cygrpc`). grpc is pinned, and
`tests/unit/server/transport/test_fast_lane.py` fails if they change.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import grpc
from grpc import _server
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from server import metrics
from server.stages import UNTIMED, Untimed, untimed
from server.transport.pool import Pool

log = logging.getLogger("nextclick.grpc")

NO_FLAGS = 0
POLL_S = 1.0
"""Longest wait of one poll of the completion queue."""

MESSAGE_S = 10.0
"""A call whose whole message has not come after so long, or twice as long at most, is closed."""


class Reply(NamedTuple):
    """How a call ends: with a message, or with a code other than 0, details and trailers."""

    message: bytes = b""
    code: int = 0
    details: str = ""
    trailers: tuple[tuple[str, str | bytes], ...] = ()


class Aside(NamedTuple):
    """A reply that takes longer than other callers should wait, on a thread of a pool."""

    pool: Pool
    work: Callable[[], Reply]
    at_once: Callable[[], Reply]
    """For when the pool has no room; must not block."""


Behaviour = Callable[[bytes, float, Untimed], Reply | Aside]
"""Answers a serialised request, given its deadline in seconds since 1970 (without one, far in the
future) and its stages; must neither raise nor block."""


Metadata = Sequence[tuple[str, str | bytes]]

StagesOf = Callable[[bytes, Metadata], Untimed]
"""Returns the stages of a call, given its path and its metadata."""

Gate = Callable[[bytes, Metadata, Behaviour | None], Behaviour | Reply | None]
"""Returns what becomes of a new call, given its path, its metadata, and what would answer it (None
for what is the stock server's): the same, another behaviour, or the reply that refuses the call."""


class _Call:
    """A call, and the tag of its two events: its message, and its end."""

    __slots__ = ("behaviour", "deadline", "handle", "received", "silent", "stages")

    def __init__(self, handle: Any, deadline: float, behaviour: Behaviour, stages: Untimed) -> None:
        self.handle = handle
        self.deadline = deadline
        self.behaviour = behaviour
        self.stages = stages
        self.received = False
        self.silent = False


class FastLane:
    """Serves the calls of a stock server, and answers the unary ones itself.

    Parameters
    ----------
    server
        A server of `grpc.server` that has its handlers and ports and has not started.
    behaviours
        By path, ``/package.Service/Method``.
    gate
        Decides on each new call, those of the stock server too; None: all pass. Must not block.
    after
        Called once a reply has been handed to grpc, for work that the caller need not wait for;
        must not raise.
    stages
        Returns the stages of a new call, given its path and its metadata; must not raise.
    """

    def __init__(
        self,
        server: grpc.Server,
        behaviours: Mapping[str, Behaviour],
        gate: Gate | None = None,
        after: Callable[[], None] = lambda: None,
        stages: StagesOf = untimed,
    ) -> None:
        self._state = server._state  # type: ignore[attr-defined]
        self._behaviours = {name.encode(): call for name, call in behaviours.items()}
        self._gate = gate
        self._after = after
        self._stages = stages

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
        queue, swept = self._state.completion_queue, time.time()
        while True:
            now = time.time()
            event = queue.poll(now + POLL_S)
            try:
                if not self._process(event):
                    return
                if not swept <= now < swept + MESSAGE_S:  # or the clock has stepped back
                    swept = now
                    self._close_silent()
            except Exception:
                log.exception("an event of grpc's queue was lost")
            event = None  # keeping the event would keep a finished call alive

    def _process(self, event: Any) -> bool:
        """Handle an event; False after the last one."""
        tag = event.tag
        if tag.__class__ is _Call:
            if tag.received:
                return self._end(tag)
            self._answer(tag, event)
            return True
        if event.completion_type == cygrpc.CompletionType.queue_timeout:
            return True
        if self._take(event):
            return True
        return bool(_server._process_event_and_continue(self._state, event))

    def _take(self, event: Any) -> bool:
        """Begin or refuse a new call; False for what is the stock server's."""
        if event.tag is not _server._REQUEST_CALL_TAG or not event.success:
            return False
        details = event.call_details
        behaviour = self._behaviours.get(details.method)
        if self._gate is not None:
            passed = _passed(self._gate, event, behaviour)
            if isinstance(passed, Reply):
                self._refuse(event, passed)
                return True
            behaviour = passed
        if behaviour is None:
            return False
        stages = self._stages(details.method, event.invocation_metadata)
        call = _Call(event.call, details.deadline, behaviour, stages)
        self._start(call, (cygrpc.ReceiveMessageOperation(NO_FLAGS),))
        return True

    def _refuse(self, event: Any, reply: Reply) -> None:
        """Close a new call, whose message nobody waits for."""
        call = _Call(event.call, event.call_details.deadline, lambda *_: reply, UNTIMED)
        call.received = True
        self._start(call, _operations(reply))

    def _start(self, call: _Call, operations: Sequence[Any]) -> None:
        """Request the next call from grpc, and start the first operations of this one."""
        state = self._state
        with state.lock:
            state.due.remove(_server._REQUEST_CALL_TAG)
            if state.stage is _server._ServerStage.STARTED:
                _server._request_call(state)
            call.handle.start_server_batch(operations, call)
            state.rpc_states.add(call)  # a shutdown waits for it

    def _close_silent(self) -> None:
        """Close the calls that had no message the last time either."""
        with self._state.lock:
            calls = [call for call in self._state.rpc_states if call.__class__ is _Call]
        for call in calls:
            if call.silent and not call.received:
                call.handle.cancel(SILENT.code, SILENT.details)
            call.silent = True

    def _answer(self, call: _Call, event: Any) -> None:
        """Answer a message that has arrived."""
        message = event.batch_operations[0].message()
        call.received = True
        if message is None:
            reply = _refused("no_message", NO_MESSAGE)
        elif call.deadline < time.time():
            reply = _refused("late", TOO_LATE)
        else:
            answer = call.behaviour(message, call.deadline, call.stages)
            if not isinstance(answer, Aside):
                reply = answer
            else:
                call.stages.enter("wait")
                work, send = partial(self._in_time, call, answer), partial(self._send, call)
                if answer.pool.submit(work, send):
                    return
                reply = answer.at_once()
        self._send(call, reply)

    @staticmethod
    def _in_time(call: _Call, answer: Aside) -> Reply:
        """Return the reply of a call whose turn has come."""
        if call.deadline < time.time():
            return _refused("late", TOO_LATE)
        return answer.work()

    def _send(self, call: _Call, reply: Reply) -> None:
        call.stages.enter("send")
        try:
            call.handle.start_server_batch(_operations(reply), call)
        except Exception:
            log.exception("a reply could not be sent")
            self._end(call)
            return
        call.stages.end(reply.code)
        self._after()

    def _end(self, call: _Call) -> bool:
        """Forget a call; False if it was the last one of a server that is stopping."""
        state = self._state
        with state.lock:
            state.rpc_states.remove(call)
            stopping = state.stage is not _server._ServerStage.STARTED
            return not (stopping and _server._stop_serving(state))


NO_MESSAGE = Reply(
    code=grpc.StatusCode.INVALID_ARGUMENT.value[0], details="the call has no message"
)
NOT_CHECKED = Reply(
    code=grpc.StatusCode.INTERNAL.value[0], details="the call could not be checked; see the log"
)
SILENT = Reply(
    code=grpc.StatusCode.DEADLINE_EXCEEDED.value[0],
    details=f"the message of the call has not come within {MESSAGE_S:.0f} s",
)
TOO_LATE = Reply(
    code=grpc.StatusCode.DEADLINE_EXCEEDED.value[0],
    details="the deadline had passed before the call could be answered",
)


def _passed(gate: Gate, event: Any, behaviour: Behaviour | None) -> Behaviour | Reply | None:
    """Return what the gate decides on a new call; if it fails, nobody passes."""
    try:
        return gate(event.call_details.method, event.invocation_metadata, behaviour)
    except Exception:
        log.exception("the gate failed")
        return NOT_CHECKED


def _refused(reason: str, reply: Reply) -> Reply:
    """Count a call that is closed without its handler; return its reply."""
    metrics.REFUSED.labels(reason).inc()
    return reply


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
