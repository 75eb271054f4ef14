"""``nextclick users profile``: what a user did in earlier sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.console import print_json, print_line, print_table
from cli.errors import CommandError
from cli.figures import count, percent
from cli.options import GrpcPort, Json, ServedTenant
from cli.server_client import server_client
from nextclick import Profile

SHOWN = 10
"""Latest items that are shown, and largest shares; ``--json`` has all."""


def profile(
    user: Annotated[str, typer.Argument(help="The user.")],
    grpc_port: GrpcPort = None,
    tenant: ServedTenant = None,
    json: Json = False,
) -> None:
    """Show what a user did in earlier sessions: items, purchases, favourite categories.

    nextclick users profile u7
    """
    with server_client(grpc_port, tenant=tenant) as client:
        found = client.get_profiles([user])
    if not found:
        raise CommandError(
            f"{user} has no profile: no session of that user is over yet, or it has expired, was "
            "erased, or was refused (consent)"
        )
    if json:
        print_json(asdict(found[0]))
        return
    show(found[0])


def show(found: Profile) -> None:
    """Print a profile as a table."""
    marks = {"bought": found.purchased, "liked": found.liked, "disliked": found.disliked}
    rows = [
        (
            item.item_id,
            count(item.steps),
            count(item.sessions),
            item.type,
            f"{item.weight:.2f}",
            _day(item.last_timestamp_ms),
        )
        for item in reversed(found.items[-SHOWN:])
    ]
    columns = ("item...", "steps", "sessions", "strongest event", "weight", "last step")
    title = f"{found.user_id}: {count(found.sessions)} sessions, {count(found.steps)} steps"
    print_table(title, columns, rows)
    if found.steps:
        share = percent(found.repeated_steps / found.steps, 0)
        print_line(f"{share} of the steps on items of earlier sessions")
    for name, items in marks.items():
        if items:
            latest = ", ".join(list(items)[-SHOWN:][::-1])
            print_line(f"{name} {count(len(items))}: {latest}")
    for name, shares in (("categories", found.categories), ("attributes", found.attributes)):
        if shares:
            print_line(f"{name}: {_shares(shares)}")


def _shares(shares: Mapping[str, float]) -> str:
    largest = list(shares.items())[:SHOWN]
    return ", ".join(f"{name} {percent(share, 0)}" for name, share in largest)


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M")
