"""What of a request's headers goes on to the servers: who calls, until when, and its trace."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.problems import ProblemError
from gateway.upstream import Metadata
from nextclick.errors import FieldFault

FORWARDED = ("authorization", "traceparent", "tracestate")
"""Headers that are metadata of the call, as they are."""

TIMEOUT = "grpc-timeout"
"""The deadline: the header that gRPC has for it over HTTP/2, as other gateways take it, too."""

UNITS_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}

MAX_VALUE = 4_096
"""Characters of a forwarded header; gRPC refuses more than 8 kB of metadata."""


class Forwarding:
    """Makes the metadata and the timeout of calls.

    Parameters
    ----------
    public_token
        Token of calls that bring no ``authorization``; empty: they go without.
    timeout_s
        The longest time, and that of calls that name none.
    """

    def __init__(self, public_token: str, timeout_s: float) -> None:
        self._public = f"Bearer {public_token}" if public_token else ""
        self._timeout_s = timeout_s

    def metadata(self, headers: Mapping[str, str]) -> Metadata:
        """Return the metadata of a call.

        Raises
        ------
        ProblemError
            For a header that cannot be forwarded.
        """
        found = [(name, value) for name in FORWARDED if (value := headers.get(name))]
        for name, value in found:
            if len(value) > MAX_VALUE or not value.isascii() or not value.isprintable():
                told = f"has at most {MAX_VALUE} characters, and of ASCII alone"
                raise ProblemError("", violations=[FieldFault(name, told)])
        if self._public and "authorization" not in headers:
            found.append(("authorization", self._public))
        return found

    def timeout_s(self, headers: Mapping[str, str]) -> float:
        """Return the time that a call has.

        Raises
        ------
        ProblemError
            If the header that says so says something else.
        """
        said = headers.get(TIMEOUT)
        if said is None:
            return self._timeout_s
        parts = re.fullmatch(r"(?!0+\D)([0-9]{1,8})([HMSmun])", said)
        if parts is None:
            told = (
                "must be up to 8 digits, not all 0, and a unit (H, M, S, m, u or n), such as 250m"
            )
            raise ProblemError("", violations=[FieldFault(TIMEOUT, told)])
        return min(int(parts[1]) * UNITS_S[parts[2]], self._timeout_s)
