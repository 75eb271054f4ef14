"""The connection of commands to the server on this machine; its errors name the address."""

from __future__ import annotations

import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from cli.errors import CommandError
from cli.sentences import NO_TLS, sentence_of
from nextclick import Client, NextclickError, Tls
from settings.client import ClientSettings
from settings.load import load

REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

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
    """Yield a client of the server on this machine, with the token and the TLS of the settings.

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
    with client_of(address, settings, timeout_s) as client:
        try:
            if "tenant" in settings.model_fields_set:
                _check_tenant(client, address, settings.tenant)
            yield client
        except NextclickError as e:
            where = "" if e.status in OF_ARGUMENTS else f"{address}: "
            raise CommandError(f"{where}{sentence_of(e)}") from e


def client_of(target: str, settings: ClientSettings, timeout_s: float = 10.0) -> Client:
    """Return a client of a server, with the token and the TLS of settings."""
    return Client(target, timeout_s=timeout_s, token=token_of(settings), tls=tls_of(settings))


def token_of(settings: ClientSettings) -> str:
    """Return the token that calls carry; empty: none.

    Raises
    ------
    CommandError
        If the file holds what cannot be one.
    """
    if not settings.token_file:
        return ""
    token = Path(settings.token_file).read_text(errors="replace").strip()
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise CommandError(
            f"{settings.token_file} holds no token: `nextclick tokens create` prints one"
        )
    return token


def tls_of(settings: ClientSettings) -> Tls | None:
    """Return the files of connections over TLS; None: they are plain."""
    if not settings.server_ca_file:
        return None
    return Tls(
        settings.server_ca_file,
        settings.client_certificate_file or None,
        settings.client_key_file or None,
    )


def page(port: int, path: str, timeout_s: float) -> bytes:
    """Return a page of the HTTP port of a process of ours on this machine.

    Raises
    ------
    OSError
        If it does not answer, or with another status than 200.
    CommandError
        If token or TLS are not what it wants.
    """
    settings = load(ClientSettings)
    token, tls = token_of(settings), tls_of(settings)
    context = ssl.create_default_context(cafile=tls.ca_file) if tls else None
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}{path}"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, headers=headers)
    # It is on this machine: the proxy for the way out would get the token.
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with direct.open(request, timeout=timeout_s) as reply:
            content: bytes = reply.read()
            return content
    except urllib.error.HTTPError as e:
        if e.code not in REFUSED:
            raise
        raise CommandError(
            f"{url}: it takes a token with the scope metrics: NEXTCLICK_TOKEN_FILE names the file"
        ) from None
    except urllib.error.URLError as e:
        if not isinstance(e.reason, ssl.SSLError):
            raise
        raise CommandError(f"{url}: {NO_TLS}") from None


def _check_tenant(client: Client, address: str, tenant: str) -> None:
    theirs = client.list_models()[0].tenant
    if theirs != tenant:
        raise CommandError(
            f"the server at {address} serves {_told(theirs)}, not {_told(tenant)}: --grpc-port "
            "says where that one's is"
        )


def _told(tenant: str) -> str:
    return f"the tenant {tenant}" if tenant else "no tenant"
