"""Plays clicks as live traffic: a recommendation is asked for before every click.

Requests carry the session_id only. Within a session the next request follows the last
acknowledged click by half a second or more, as people's do; sessions overlap, so this takes
little time. Clicks are sent with the current time.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cli import interrupt
from cli.figures import count, milliseconds, percent
from evaluation.datasets import Session, clicks_in_order
from nextclick import Client, Event, NextclickError
from online_models import metrics

PAUSE_S = 0.5
"""Least time from a session's click to its next one."""

PROBE_EVERY = 20
"""One click in so many is a probe of freshness."""

PROBE_LIMIT_S = 30.0
K = 20


@dataclass
class Score:
    """What has been measured so far.

    Attributes
    ----------
    sent
        Clicks that the server has accepted.
    stale
        Answers that did not know the session's last acknowledged click.
    errors
        A message for each failed call.
    ranks
        Of the target of each recommendation, from 1; 0 where it is absent.
    latency_us
        Microseconds of each recommendation.
    freshness_ms
        Milliseconds from a click to the first answer that knows it, of each probe.
    """

    sent: int = 0
    stale: int = 0
    errors: list[str] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    latency_us: list[float] = field(default_factory=list)
    freshness_ms: list[float] = field(default_factory=list)

    def note(self) -> str:
        """Return the score so far in a few words."""
        p50 = metrics.spread(self.latency_us)["p50"] / 1000
        return (
            f"hit rate@20 {metrics.hit_rate(self.ranks, K):.3f}  "
            f"MRR@20 {metrics.mrr(self.ranks, K):.3f}  p50 {p50:.2f} ms"
        )

    def figures(self) -> dict[str, Any]:
        """Return what commands tell of it with ``--json``."""
        return {
            "cases": len(self.ranks),
            "hit_rate": metrics.hit_rate(self.ranks, K),
            "mrr": metrics.mrr(self.ranks, K),
            "stale": self.stale / max(len(self.ranks), 1),
            "latency_us": metrics.spread(self.latency_us),
            "freshness_ms": metrics.spread(self.freshness_ms),
        }


def readable_score(figures: dict[str, Any]) -> dict[str, str]:
    """Return the figures of a `Score` as people read them."""
    return {
        "recommendations before a click": count(figures["cases"]),
        f"  hit rate@{K}": percent(figures["hit_rate"]),
        f"  MRR@{K}": percent(figures["mrr"]),
        "  without the last click": percent(figures["stale"]),
        "answer time p50, p99": milliseconds(figures["latency_us"], 1e-3),
        "click to answer p50, p99": milliseconds(figures["freshness_ms"]),
    }


class Player:
    """Plays sessions against a server.

    Parameters
    ----------
    client
        Connected to the server.
    sessions
        The sessions; their clicks keep the order of the file's clock.
    rate
        Clicks a second, at most.
    prefix
        Put before the file's session ids.
    recommend
        Whether to ask before every click from the second of a session on.
    max_clicks
        Play only this many clicks, the first ones; None: all.
    """

    def __init__(
        self,
        client: Client,
        sessions: Sequence[Session],
        *,
        rate: float,
        prefix: str = "",
        recommend: bool = True,
        max_clicks: int | None = None,
    ) -> None:
        self._client = client
        self._sessions = sessions
        self._prefix = prefix
        self._recommend = recommend
        self.score = Score()
        self._acknowledged: dict[int, int] = {}
        self._due: list[tuple[float, int, int, int]] = []
        self._later: dict[int, list[tuple[float, int, int]]] = {}
        order = clicks_in_order(sessions)[:max_clicks]
        self.clicks = len(order)
        for i, (s, p) in enumerate(order):
            self._later.setdefault(s, []).append((i / rate, i, p))
        for s, steps in self._later.items():
            steps.reverse()
            due, i, p = steps.pop()
            self._due.append((due, i, s, p))
        heapq.heapify(self._due)

    def play(self, tick: Callable[[int, str], None]) -> Score:
        """Play all clicks; ``tick(clicks done since, note)`` is called after each."""
        started = time.monotonic()
        while self._due:
            interrupt.check()
            due, _, s, p = heapq.heappop(self._due)
            wait = started + due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            if self._recommend and p > 0:
                self._ask(s, p)
            self._click(s, p)
            if self._later[s]:
                due, i, p = self._later[s].pop()
                earliest = time.monotonic() - started + PAUSE_S
                heapq.heappush(self._due, (max(due, earliest), i, s, p))
            tick(1, self.score.note())
        return self.score

    def _session_id(self, s: int) -> str:
        return self._prefix + self._sessions[s].session_id

    def _ask(self, s: int, p: int) -> None:
        target = self._sessions[s].items[p]
        t = time.perf_counter()
        try:
            answer = self._client.recommend(self._session_id(s), page_size=K)
        except NextclickError as e:
            self.score.errors.append(f"Recommend: {e}")
            self.score.ranks.append(0)
            return
        self.score.latency_us.append((time.perf_counter() - t) * 1e6)
        listed = answer.item_ids
        self.score.ranks.append(listed.index(target) + 1 if target in listed else 0)
        if answer.session_version < self._acknowledged.get(s, 0):
            self.score.stale += 1

    def _click(self, s: int, p: int) -> None:
        event = Event(
            "view",
            self._sessions[s].items[p],
            int(time.time() * 1000),
            session_id=self._session_id(s),
        )
        t = time.perf_counter()
        try:
            result = self._client.put_events([event])
        except NextclickError as e:
            self.score.errors.append(f"PutEvents: {e}")
            return
        self.score.sent += result.accepted
        self.score.errors += [f"PutEvents: {error.message}" for error in result.errors]
        self._acknowledged[s] = self._acknowledged.get(s, 0) + result.accepted
        if self.score.sent % PROBE_EVERY == 0:
            self._probe(s, t)

    def _probe(self, s: int, since: float) -> None:
        """Measure how long it takes until an answer knows of the click."""
        while time.perf_counter() - since < PROBE_LIMIT_S:
            # Rank leaves no impression: an answer that nobody sees must not be scored.
            answer = self._client.rank(self._sessions[s].items[:1], self._session_id(s))
            if answer.session_version >= self._acknowledged[s]:
                self.score.freshness_ms.append((time.perf_counter() - since) * 1000)
                return
            time.sleep(0.001)
        self.score.errors.append(
            f"freshness: no answer reflects a click after {PROBE_LIMIT_S:.0f} s"
        )
