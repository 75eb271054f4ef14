"""``nextclick tokens``: makes and removes the tokens of a server's callers."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.console import print_json, print_line, print_note, print_table
from cli.errors import CommandError
from cli.options import Json
from listeners.tokens import (
    NAME,
    Scope,
    Token,
    decode_tokens,
    encode_tokens,
    hash_of,
    new_token,
)
from settings.listeners import ListenerSettings
from settings.load import load

tokens_app = typer.Typer(help="The tokens of a server's callers.", no_args_is_help=True)

TokensFile = Annotated[
    Path | None, typer.Option(dir_okay=False, help="Their file; default: NEXTCLICK_TOKENS_FILE.")
]
Name = Annotated[str, typer.Argument(help="The name of the token: whose it is.")]


@tokens_app.command()
def create(
    name: Name,
    scope: Annotated[list[Scope], typer.Option(help="What it is for; may be given repeatedly.")],
    file: TokensFile = None,
    json: Json = False,
) -> None:
    """Make a token and print it, this once: the file gets its hash. Servers know it in a second.

    nextclick tokens create shop --scope recommend --scope events --file tokens.json
    """
    if not NAME.fullmatch(name):
        raise CommandError(f"{name!r} is no name: take up to 64 letters, digits, '.', '_' and '-'")
    path, made = _path(file), new_token()
    today = datetime.now(UTC).date().isoformat()
    with _edited(path) as tokens:
        if any(token.name == name for token in tokens):
            raise CommandError(
                f"{path} has a token {name} already: choose another name, or remove that one with "
                f"`nextclick tokens remove {name}`"
            )
        tokens.append(Token(name, frozenset(scope), hash_of(made), today))
    if json:
        print_json({"name": name, "scopes": sorted(set(scope)), "token": made})
        return
    print_note("keep it where only its bearer reads it; nobody can show it again")
    print_line(made)


@tokens_app.command("list")
def list_(file: TokensFile = None, json: Json = False) -> None:
    """Show the names of the tokens, what each is for, and since when.

    nextclick tokens list --file tokens.json
    """
    path = _path(file)
    tokens = _decoded(path, path.read_bytes())
    if json:
        print_json(
            {
                "tokens": [
                    {"name": t.name, "scopes": sorted(t.scopes), "created": t.created}
                    for t in tokens
                ]
            }
        )
        return
    show(tokens)


def show(tokens: Sequence[Token]) -> None:
    """Print tokens as a table."""
    if not tokens:
        print_line("no tokens: every call is refused. `nextclick tokens create` makes one")
        return
    rows = [(token.name, ", ".join(sorted(token.scopes)), token.created) for token in tokens]
    print_table("tokens", ("name", "scopes...", "created..."), rows)


@tokens_app.command()
def remove(name: Name, file: TokensFile = None) -> None:
    """Remove a token: a second later, servers refuse calls that carry it.

    nextclick tokens remove shop --file tokens.json
    """
    path = _path(file)
    with _edited(path) as tokens:
        kept = [token for token in tokens if token.name != name]
        if len(kept) == len(tokens):
            known = ", ".join(token.name for token in tokens) or "none"
            raise CommandError(f"{path} has no token {name}; it has: {known}")
        tokens[:] = kept
    print_line(f"{name} is removed")


def _path(given: Path | None) -> Path:
    held = load(ListenerSettings).tokens_file
    if given is None and not held:
        raise CommandError(
            "it is not said where the tokens are: give --file, or set NEXTCLICK_TOKENS_FILE"
        )
    return given or Path(held)


def _decoded(path: Path, content: bytes) -> list[Token]:
    try:
        return decode_tokens(content)
    except ValueError as e:
        raise CommandError(f"{path}: {e}") from None


@contextmanager
def _edited(path: Path) -> Iterator[list[Token]]:
    """Yield the tokens of a file, none if it does not exist, and write what becomes of them.

    The file is replaced as a whole, and keeps its mode, its owner and its group, as servers have to
    read it; a new one is its owner's alone. Others who edit it wait.

    Raises
    ------
    CommandError
        If the file is another user's, which only root can keep so.
    """
    folder = os.open(path.absolute().parent, os.O_RDONLY)
    new = path.with_name(f".{path.name}.new")
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        tokens = _decoded(path, path.read_bytes()) if path.exists() else []
        yield tokens
        content = encode_tokens(tokens)
        _decoded(path, content)  # servers must take it
        before = path.stat() if path.exists() else None
        with open(new, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as written:
            written.write(content)
            if before:
                _keep(before, written.fileno(), path)
            written.flush()
            os.fsync(written.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
        os.close(folder)


def _keep(before: os.stat_result, new: int, path: Path) -> None:
    """Give a new file the owner, the group and the mode of the one before."""
    try:
        os.fchown(new, before.st_uid, before.st_gid)
    except PermissionError:
        raise CommandError(
            f"{path} belongs to the user {before.st_uid} and the group {before.st_gid}, and a new "
            "one would not: run the command as that user, or as root"
        ) from None
    os.fchmod(new, before.st_mode & 0o777)
