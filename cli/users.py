"""``nextclick users``: what the running server knows of users."""

from __future__ import annotations

import typer

from cli.user_profile import profile

users_app = typer.Typer(help="Users, and what they did.", no_args_is_help=True)
users_app.command()(profile)


@users_app.callback()
def _group() -> None:
    """Keep the group: Typer would make a single command of it."""
