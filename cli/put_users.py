"""``nextclick users put``: users from files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import err, print_json, print_result, progress
from cli.figures import count, seconds
from cli.options import GrpcPort, Json, ServedTenant
from cli.server_client import server_client
from evaluation.user_files import Row, read_users
from nextclick import User

CALL_USERS = 200
"""Users of a call: with attributes as long as they may be, 2 MB."""

TOLD = 3
"""Refused rows that are told with their lines."""


def put_users(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Users: CSV with the columns user_id, consent, segments (| between them) and "
            "attributes, or JSON Lines; also packed with gzip or zstd.",
            exists=True,
            dir_okay=False,
        ),
    ],
    grpc_port: GrpcPort = None,
    tenant: ServedTenant = None,
    json: Json = False,
) -> None:
    """Add or replace the users of files; all others stay as they are.

    nextclick users put users.csv.gz
    """
    started = time.monotonic()
    refused: list[tuple[Path, Row]] = []
    with server_client(grpc_port, tenant=tenant) as client, progress() as bar:
        task = bar.add_task("users put", total=None, note="")
        taken = 0
        for batch in _batches(_good(files, refused)):
            taken += client.put_users(batch)
            bar.update(task, completed=taken)
    for path, row in refused[:TOLD]:
        line = f"{path}, line {row.line}: {row.fault}"
        err.print(line, markup=False, highlight=False, soft_wrap=True)
    result = {"put": taken, "refused": len(refused), "seconds": time.monotonic() - started}
    if json:
        print_json(result)
    else:
        print_result("Users", readable(result))


def _good(files: Iterable[Path], refused: list[tuple[Path, Row]]) -> Iterator[User]:
    """Yield the users of files; rows that cannot be read are added to the refused ones."""
    for path in files:
        for row in read_users(path):
            if row.user is None:
                refused.append((path, row))
            else:
                yield row.user


def _batches(users: Iterator[User]) -> Iterator[list[User]]:
    while batch := list(islice(users, CALL_USERS)):
        yield batch


def readable(result: dict[str, Any]) -> dict[str, str]:
    """Return the result as people read it."""
    return {
        "users put": count(result["put"]),
        "rows refused": count(result["refused"]),
        "time": seconds(result["seconds"]),
    }
