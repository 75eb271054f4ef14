"""The connection of commands to the server on this machine; its errors say what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cli.errors import CommandError
from nextclick import Client, NextclickError
from settings.client import ClientSettings
from settings.load import load

NEXT_STEPS = {
    "UNAVAILABLE": "`nextclick up` and `nextclick serve` start one; --grpc-port says where it is",
    "UNAUTHENTICATED": "set NEXTCLICK_TOKEN, or `token` in nextclick.toml, to the server's token",
}
"""What to do about a status of a call; the messages of all others say it themselves."""


@contextmanager
def server_client(
    port: int | None = None, *, target: str = "", timeout_s: float = 10.0
) -> Iterator[Client]:
    """Yield a client of the server on this machine that sends the token of the settings.

    Parameters
    ----------
    port
        The server's port; None: that of the settings.
    target
        Its address, instead of the port.
    timeout_s
        Deadline of each call.

    Raises
    ------
    CommandError
        For each error of a call.
    """
    settings = load(ClientSettings)
    address = target or f"127.0.0.1:{port or settings.grpc_port}"
    with Client(address, timeout_s=timeout_s, token=settings.token) as client:
        try:
            yield client
        except NextclickError as e:
            said = str(e) if str(e).startswith(e.status) else f"{e.status}: {e}"
            step = NEXT_STEPS.get(e.status)
            raise CommandError(f"{address}: {said}; {step}" if step else said) from e
