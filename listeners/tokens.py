"""Tokens: who may call what.

A token is 256 random bits, of which the file has the SHA-256. Slow hashes such as scrypt are for
passwords, of which the likely ones can be tried; of random bits none is likelier than another. So
what a call carries is looked up by its hash in less than a microsecond, on the thread that answers.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

BEARER = "Bearer "
"""What comes before the token in the header ``authorization``; its case is free (RFC 9110)."""

PREFIX = "nextclick_"
"""What tokens begin with, so that those who look for leaked secrets know them."""

RANDOM_BYTES = 32

MAX_TOKENS = 1_000
"""The most tokens of a file."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
HASH = re.compile(r"[0-9a-f]{64}")


class Scope(StrEnum):
    """What a token may be used for: the calls of a service, or the pages of the HTTP port."""

    RECOMMEND = "recommend"
    EVENTS = "events"
    CATALOGUE = "catalogue"
    MODELS = "models"
    METRICS = "metrics"


class Token(NamedTuple):
    """What is kept of a token."""

    name: str
    """Of its bearer: the line of an administrative call has it."""
    scopes: frozenset[Scope]
    sha256: str
    """Of the token, in hexadecimal digits."""
    created: str
    """The day, such as 2026-11-28."""


class Tokens:
    """Finds the token that a call carries.

    Parameters
    ----------
    tokens
        All that are valid.
    """

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._by_hash = {token.sha256: token for token in tokens}
        self._verified: dict[str, Token] = {}

    def of(self, authorization: str) -> Token | None:
        """Return the token of a header ``authorization``; None if it is none of ours."""
        return self._verified.get(authorization) or self._verify(authorization)

    def _verify(self, authorization: str) -> Token | None:
        """Look a header up, and remember it if it is good: each token has one as most write it.

        That a look-up takes longer if more of the hash is right helps nobody: whoever guesses
        cannot choose the hash of a guess.
        """
        scheme, presented = authorization[: len(BEARER)], authorization[len(BEARER) :]
        if scheme.lower() != BEARER.lower():
            return None
        token = self._by_hash.get(hash_of(presented))
        if token is not None and scheme == BEARER:
            self._verified[authorization] = token
        return token


def new_token() -> str:
    """Return a token that nobody has."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def hash_of(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def encode_tokens(tokens: Sequence[Token]) -> bytes:
    """Return the content of a file of tokens, a line each."""
    lines = [json.dumps(token._asdict() | {"scopes": sorted(token.scopes)}) for token in tokens]
    return ('{"tokens": [\n' + ",\n".join(lines) + "\n]}\n").encode()


def decode_tokens(content: bytes) -> list[Token]:
    """Return the tokens of a file.

    Raises
    ------
    ValueError
        With a sentence, if it holds anything else.
    """
    try:
        held = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("is no JSON; `nextclick tokens create` writes it") from None
    if not isinstance(held, dict) or list(held) != ["tokens"] or type(held["tokens"]) is not list:
        raise ValueError('does not hold {"tokens": [...]} and nothing else')
    if len(held["tokens"]) > MAX_TOKENS:
        raise ValueError(f"has more than {MAX_TOKENS:,} tokens")
    tokens = [_decoded(number, entry) for number, entry in enumerate(held["tokens"], 1)]
    for field in ("name", "sha256"):
        if len({getattr(token, field) for token in tokens}) < len(tokens):
            raise ValueError(f"has two tokens with the same {field}")
    return tokens


def _decoded(number: int, entry: Any) -> Token:
    if not isinstance(entry, dict) or set(entry) != set(Token._fields):
        raise ValueError(f"token {number} does not have {', '.join(Token._fields)}, and these only")
    name, scopes, sha256, created = (entry[field] for field in Token._fields)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"token {number} has no name of up to 64 letters, digits, '.', '_', '-'")
    if not isinstance(sha256, str) or not HASH.fullmatch(sha256):
        raise ValueError(f"token {number} has no SHA-256 of 64 hexadecimal digits")
    if not isinstance(scopes, list) or not scopes or not set(map(str, scopes)) <= set(Scope):
        raise ValueError(f"token {number} has no scopes of {', '.join(Scope)}")
    return Token(name, frozenset(map(Scope, scopes)), sha256, str(created))
