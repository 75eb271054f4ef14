"""``nextclick users``: what a server knows of some, and forgetting them; files: `put_users`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.console import print_json, print_line, print_table
from cli.figures import count
from cli.options import GrpcPort, Json, ServedTenant
from cli.server_client import server_client
from cli.user_profile import profile
from nextclick import User

users_app = typer.Typer(
    help="Users: attributes, segments, consent, profiles.", no_args_is_help=True
)
users_app.command()(profile)

Ids = Annotated[list[str], typer.Argument(help="Ids of users.")]


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
