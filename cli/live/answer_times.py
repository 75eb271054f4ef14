"""How long answers take, one after another, as a Python client sees it."""

from __future__ import annotations

import statistics
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from cli.server_client import client_of
from cli.stack import apps
from cli.stack.layout import Ports
from cli.stack.process import START_S, stop, wait_until
from cli.stack.stack import Stack
from nextclick import Client
from settings.client import ClientSettings
from settings.load import load

ROUNDS, SLICE_S = 5, 2.0
"""Slices of a server, which alternate with those of the other one."""


def median_us(client: Client, asked: Sequence[str], seconds: float) -> float:
    """Return the median time of answers; ``asked`` are ids of sessions."""
    times: list[float] = []
    client.recommend(asked[0])  # connects
    ends = time.perf_counter() + seconds
    while (started := time.perf_counter()) < ends:
        client.recommend(asked[len(times) % len(asked)])
        times.append(1e6 * (time.perf_counter() - started))
    return statistics.median(times)


def beside_plain(stack: Stack, asked: Sequence[str]) -> dict[str, float]:
    """Return what answers of a secured stack take, beside those of a plain server of the same log.

    Parameters
    ----------
    stack
        Of which the settings have the token and the certificates.
    asked
        Ids of sessions to ask for.

    Returns
    -------
    dict
        Medians of both in microseconds, and their ratio.
    """
    times: dict[str, list[float]] = {"secured": [], "plain": []}
    with (
        plain_server(stack) as target,
        client_of(stack.target, load(ClientSettings)) as secured,
        Client(target, timeout_s=10) as plain,
    ):
        for _ in range(ROUNDS):
            for name, client in (("secured", secured), ("plain", plain)):
                times[name].append(median_us(client, asked, SLICE_S))
    over_tls, without = (statistics.median(times[name]) for name in ("secured", "plain"))
    return {"secured_p50_us": over_tls, "plain_p50_us": without, "ratio": over_tls / without}


@contextmanager
def plain_server(stack: Stack) -> Iterator[str]:
    """Run a further server of a stack, without certificates and tokens; gives its address."""
    ports = replace(Ports.free(), kafka=stack.ports.kafka, redis=stack.ports.redis)
    child = apps.start_server(
        stack.home, ports, bound=True, tenant=stack.tenant, name="plain", more=apps.UNGUARDED
    )
    url = f"http://127.0.0.1:{ports.http}/healthz"

    def serving() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=apps.STATUS_S):
                return True
        except OSError:
            return False

    try:
        wait_until(serving, START_S, "the plain server SERVING", [(child, stack.home.log("plain"))])
        yield f"127.0.0.1:{ports.grpc}"
    finally:
        stop([child], grace_s=30)
