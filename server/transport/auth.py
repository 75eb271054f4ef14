"""Authentication: if the server has tokens, calls must carry one with the scope of their method."""

from __future__ import annotations

from grpc_health.v1 import health

from listeners.tokens import Scope, Token, Tokens
from listeners.watched_files import WatchedFiles
from server import metrics
from server.errors import permission_denied, unauthenticated
from server.transport.audit import ADMINISTRATIVE, Refusals, audited
from server.transport.fast_lane import Behaviour, Metadata, Reply
from server.transport.methods import METHODS
from server.transport.rich_status import error_reply

OPEN = {f"/{health.SERVICE_NAME}/{name}".encode() for name in ("Check", "Watch")}
"""Health checks need no token: load balancers have none."""


class TokenGate:
    """Decides on a call by its token, at the cost of two look-ups; see `fast_lane.Gate`.

    A method that is not in `METHODS`, such as reflection, takes any token.

    Parameters
    ----------
    tokens
        Those that are valid now.
    """

    def __init__(self, tokens: WatchedFiles[Tokens]) -> None:
        self._tokens = tokens
        self._scopes = {method.path.encode(): method.scope for method in METHODS}
        self._administrative = {
            method.path.encode(): method for method in METHODS if method.name in ADMINISTRATIVE
        }
        self._lacking = {scope: error_reply(permission_denied(LACKING % scope)) for scope in Scope}
        self._unknown = metrics.REFUSED.labels("unauthenticated")
        self._refusals = Refusals()
        self._denied = metrics.REFUSED.labels("permission_denied")

    def __call__(
        self, path: bytes, metadata: Metadata, behaviour: Behaviour | None
    ) -> Behaviour | Reply | None:
        """Return what becomes of a call."""
        if path in OPEN:
            return behaviour
        token, method = self._token(metadata), self._administrative.get(path)
        if token is None:
            self._unknown.inc()
            if method is not None:
                self._refusals.note(method, UNKNOWN.code)
            return UNKNOWN
        scope = self._scopes.get(path)
        if scope is not None and scope not in token.scopes:
            self._denied.inc()
            if method is not None:
                self._refusals.note(method, self._lacking[scope].code, token.name)
            return self._lacking[scope]
        if method is None or behaviour is None:
            return behaviour
        return audited(method, behaviour, token.name)

    def _token(self, metadata: Metadata) -> Token | None:
        for key, value in metadata:
            if key == "authorization" and isinstance(value, str):
                return self._tokens.value.of(value)
        return None


UNKNOWN = error_reply(
    unauthenticated(
        "the call carries no token of this server; send one as 'authorization: Bearer TOKEN'"
    )
)
LACKING = "the token of the call lacks the scope %s; `nextclick tokens create` makes one with it"
