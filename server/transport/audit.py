"""The audit log: a line for each administrative call, and no personal data in it.

Of calls that the gate refuses, a line for the first, and later ones with the number of those
between: whoever may not call must not be able to fill the log.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from google.rpc import code_pb2

from nextclick.v1 import catalog_service_pb2 as catalogue_pb
from nextclick.v1 import model_service_pb2 as model_pb
from nextclick.v1 import user_service_pb2 as user_pb
from server.stages import Untimed
from server.transport.fast_lane import Aside, Behaviour, Reply
from server.transport.methods import Method
from settings.log_lines import AUDIT

log = logging.getLogger(AUDIT)


def _roll_back(request: bytes, _: bytes) -> str:
    asked = model_pb.RollBackRequest.FromString(request)
    return f" of {asked.model} to version {asked.version}"


def _deletion(_: bytes, response: bytes) -> str:
    return f" of {catalogue_pb.DeleteItemsResponse.FromString(response).accepted} items"


def _deletion_of_users(_: bytes, response: bytes) -> str:
    return f" of {user_pb.DeleteUsersResponse.FromString(response).accepted} users"


ADMINISTRATIVE: dict[str, Callable[[bytes, bytes], str]] = {
    "PauseLearning": lambda request, _: (
        f" of {model_pb.PauseLearningRequest.FromString(request).model}"
    ),
    "ResumeLearning": lambda request, _: (
        f" of {model_pb.ResumeLearningRequest.FromString(request).model}"
    ),
    "RollBack": _roll_back,
    "DeleteItems": _deletion,
    "DeleteUsers": _deletion_of_users,
}
"""The administrative methods, and what the line says of request and response of a call that has
succeeded. Others may hold anything, and are told without."""


REFUSALS_S = 10.0
"""Least time between two lines of refused calls of a method by the same caller."""

MAX_REFUSED = 1_024
"""Methods and callers that are told apart by the lines of refused calls."""


class Refusals:
    """Writes lines for administrative calls that the gate has refused; for a single thread."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def note(self, method: Method, code: int, caller: str = "") -> None:
        """Write a line for a call, or count it for the next line.

        Parameters
        ----------
        method
            One of `ADMINISTRATIVE`.
        code
            With which the call is refused.
        caller
            The name of the caller's token; empty: it has none of ours.
        """
        now, key = time.monotonic(), (method.name, caller)
        told, since = self._told.get(key, (-math.inf, 0))
        if now - told < REFUSALS_S:
            self._told[key] = told, since + 1
            return
        if len(self._told) >= MAX_REFUSED:
            self._told.clear()
        self._told[key] = now, 0
        before = f", as were {since} before" if since else ""
        name = code_pb2.Code.Name(code)
        log.info("%s: %s%s", method.name, name, before, extra={"caller": caller})


def audited(method: Method, behaviour: Behaviour, caller: str = "") -> Behaviour:
    """Return the behaviour of an administrative method that writes a line for each call.

    Parameters
    ----------
    method
        One of `ADMINISTRATIVE`.
    behaviour
        What answers it.
    caller
        The name of the caller's token; empty: callers need none.
    """
    about = ADMINISTRATIVE[method.name]

    def noted(request: bytes, reply: Reply) -> Reply:
        what = "" if reply.code else about(request, reply.message)
        code = code_pb2.Code.Name(reply.code)
        log.info("%s%s: %s", method.name, what, code, extra={"caller": caller})
        return reply

    def behave(request: bytes, deadline: float, stages: Untimed) -> Reply | Aside:
        answer = behaviour(request, deadline, stages)
        if isinstance(answer, Reply):
            return noted(request, answer)
        pool, work, at_once = answer
        return Aside(pool, lambda: noted(request, work()), lambda: noted(request, at_once()))

    return behave
