"""Tokens for tests, in a file as `nextclick tokens` writes it."""

from pathlib import Path
from typing import NamedTuple

from listeners.tokens import Scope, Token, encode_tokens, hash_of, new_token


class Bearer(NamedTuple):
    """A token, and what a call carries to show it."""

    token: str

    @property
    def metadata(self):
        return (("authorization", f"Bearer {self.token}"),)


def write_tokens(path: Path, **scopes: tuple[Scope, ...]) -> dict[str, Bearer]:
    """Write a file of tokens, each with its scopes; returns them by name."""
    made = {name: Bearer(new_token()) for name in scopes}
    path.write_bytes(
        encode_tokens(
            [
                Token(name, frozenset(scopes[name]), hash_of(bearer.token), "2026-11-28")
                for name, bearer in made.items()
            ]
        )
    )
    return made
