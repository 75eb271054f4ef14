"""A stack in which all connections are encrypted, and everybody has rights of their own.

Kafka and Redis take known users over TLS, each with the rights of its role. The ports of our
processes ask for a token with the right scope, that of gRPC for a certificate, too.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cli.stack import secured_kafka, secured_redis
from cli.stack.authority import Authority
from cli.stack.layout import Home
from cli.stack.secret_files import write
from listeners.tokens import Scope, Token, encode_tokens, hash_of, new_token

SCOPES = (Scope.RECOMMEND, Scope.EVENTS, Scope.METRICS)
"""What a caller may do who plays clicks, and looks at the status pages."""


def secure(home: Home) -> dict[str, str]:
    """Make the secrets of a stack that has not been started yet.

    Returns
    -------
    dict
        Settings of its processes and of their callers, as variables: those of
        `cli.stack.apps.UNGUARDED`.
    """
    folder = home.path("secrets")
    folder.chmod(0o700)
    authority = Authority(folder, "stack")
    secured_kafka.secure(home, authority.certificate, *authority.issue("broker"))
    secured_redis.secure(home, authority.certificate, *authority.issue("redis"))
    server, caller = authority.issue("server"), authority.issue("caller")
    tokens, token, bearer = folder / "tokens.json", folder / "token", new_token()
    today = datetime.now(UTC).date().isoformat()
    entry = Token("caller", frozenset(SCOPES), hash_of(bearer), today)
    write(tokens, encode_tokens([entry]).decode())
    write(token, bearer)
    return {
        "NEXTCLICK_TOKENS_FILE": str(tokens),
        "NEXTCLICK_TLS_CERTIFICATE_FILE": str(server.certificate),
        "NEXTCLICK_TLS_KEY_FILE": str(server.key),
        "NEXTCLICK_TLS_CLIENT_CA_FILE": str(authority.certificate),
        "NEXTCLICK_TOKEN_FILE": str(token),
        "NEXTCLICK_SERVER_CA_FILE": str(authority.certificate),
        "NEXTCLICK_CLIENT_CERTIFICATE_FILE": str(caller.certificate),
        "NEXTCLICK_CLIENT_KEY_FILE": str(caller.key),
    }
