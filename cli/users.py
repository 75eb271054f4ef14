"""``nextclick users``: users from files, what a server knows of some, and forgetting them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import err, print_json, print_line, print_result, print_table, progress
from cli.figures import count, seconds
from cli.options import GrpcPort, Json, ServedTenant
from cli.server_client import server_client
from cli.user_profile import profile
from evaluation.user_files import Row, read_users
from nextclick import User

users_app = typer.Typer(
    help="Users: attributes, segments, consent, profiles.", no_args_is_help=True
)
users_app.command()(profile)

CALL_USERS = 200
"""Users of a call: with attributes as long as they may be, 2 MB."""

TOLD = 3
"""Refused rows that are told with their lines."""

Ids = Annotated[list[str], typer.Argument(help="Ids of users.")]


@users_app.command()
def put(
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


@users_app.command()
def get(
    user_ids: Ids,
    grpc_port: GrpcPort = None,
    tenant: ServedTenant = None,
    json: Json = False,
) -> None:
    """Show what the server has in memory of users.

    nextclick users get u7
    """
    with server_client(grpc_port, tenant=tenant) as client:
        users = client.get_users(user_ids)
    if json:
        print_json({"users": [_plain(user) for user in users]})
    else:
        show(users, len(set(user_ids)) - len(users))


def _plain(user: User) -> dict[str, Any]:
    return {
        "user_id": user.user_id,
        "attributes": dict(user.attributes),
        "segments": list(user.segments),
        "consent": user.consent,
    }


def show(users: list[User], unknown: int) -> None:
    """Print users as people read them."""
    rows = (
        (
            user.user_id,
            ", ".join(user.segments) or "-",
            ", ".join(f"{name}: {value}" for name, value in user.attributes.items()) or "-",
            "yes" if user.consent else "no",
        )
        for user in users
    )
    if users:
        print_table("Users", ("user", "segments...", "attributes...", "consent"), rows)
    if unknown:
        print_line(f"of {count(unknown)}, nothing is in memory")


@users_app.command()
def delete(
    user_ids: Ids,
    grpc_port: GrpcPort = None,
    tenant: ServedTenant = None,
    json: Json = False,
) -> None:
    """Forget users and their profiles of earlier sessions.

    nextclick users delete u7
    """
    with server_client(grpc_port, tenant=tenant) as client:
        accepted = client.delete_users(user_ids)
    if json:
        print_json({"deleted": accepted})
    else:
        print_line(f"users forgotten: {count(accepted)}")
