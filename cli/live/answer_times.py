"""How long answers take, one after another, as a Python client sees it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from cli.live.further_server import further_server
from cli.server_client import client_of
from cli.stack import apps
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
        further_server(stack, "plain", apps.UNGUARDED) as target,
        client_of(stack.target, load(ClientSettings)) as secured,
        Client(target, timeout_s=10) as plain,
    ):
        for _ in range(ROUNDS):
            for name, client in (("secured", secured), ("plain", plain)):
                times[name].append(median_us(client, asked, SLICE_S))
    over_tls, without = (statistics.median(times[name]) for name in ("secured", "plain"))
    return {"secured_p50_us": over_tls, "plain_p50_us": without, "ratio": over_tls / without}
