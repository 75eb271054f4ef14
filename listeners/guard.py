"""What guards the ports of a process: the tokens that callers need, and its certificate."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from listeners.certificates import Certificate, certificate_of
from listeners.tokens import Tokens, decode_tokens
from listeners.watched_files import WatchedFiles, watch


class Guard(NamedTuple):
    """None: callers need no token; connections are plain."""

    tokens: WatchedFiles[Tokens] | None = None
    certificate: WatchedFiles[Certificate] | None = None


UNGUARDED = Guard()


def guard_of(
    tokens_file: str, certificate_file: str, key_file: str, client_ca_file: str = ""
) -> Guard:
    """Return what guards a process, from files that are watched from now on; empty: none.

    Raises
    ------
    SystemExit
        If a file cannot be read, or is not valid.
    """
    tokens: WatchedFiles[Tokens] | None = None
    certificate: WatchedFiles[Certificate] | None = None
    if tokens_file:
        paths = [Path(tokens_file)]
        tokens = WatchedFiles("tokens", paths, lambda held: Tokens(decode_tokens(held[0])))
    if certificate_file:
        client_ca = Path(client_ca_file) if client_ca_file else None
        certificate = certificate_of(Path(certificate_file), Path(key_file), client_ca)
    if watched := [files for files in (tokens, certificate) if files]:
        watch(watched)
    return Guard(tokens, certificate)
