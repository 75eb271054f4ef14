"""The connection of commands to the server on this machine; its errors name the address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cli.errors import CommandError
from cli.sentences import sentence_of
from nextclick import Client, NextclickError
from settings.client import ClientSettings
from settings.load import load

OF_ARGUMENTS = ("INVALID_ARGUMENT", "NOT_FOUND")
"""Statuses of calls that would fail anywhere."""


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
            where = "" if e.status in OF_ARGUMENTS else f"{address}: "
            raise CommandError(f"{where}{sentence_of(e)}") from e
