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
    port: int | None = None,
    *,
    target: str = "",
    tenant: str | None = None,
    timeout_s: float = 10.0,
) -> Iterator[Client]:
    """Yield a client of the server on this machine that sends the token of the settings.

    If a tenant is given or set, the server is first asked whom it serves.

    Parameters
    ----------
    port
        The server's port; None: that of the settings.
    target
        Its address, instead of the port.
    tenant
        Whom it must serve; None: that of the settings, if there is one.
    timeout_s
        Deadline of each call.

    Raises
    ------
    CommandError
        For each error of a call, and if the server serves another tenant.
    """
    settings = load(ClientSettings, tenant=tenant)
    address = target or f"127.0.0.1:{port or settings.grpc_port}"
    with Client(address, timeout_s=timeout_s, token=settings.token) as client:
        try:
            if "tenant" in settings.model_fields_set:
                _check_tenant(client, address, settings.tenant)
            yield client
        except NextclickError as e:
            where = "" if e.status in OF_ARGUMENTS else f"{address}: "
            raise CommandError(f"{where}{sentence_of(e)}") from e


def _check_tenant(client: Client, address: str, tenant: str) -> None:
    theirs = client.list_models()[0].tenant
    if theirs != tenant:
        raise CommandError(
            f"the server at {address} serves {_told(theirs)}, not {_told(tenant)}: --grpc-port "
            "says where that one's is"
        )


def _told(tenant: str) -> str:
    return f"the tenant {tenant}" if tenant else "no tenant"
