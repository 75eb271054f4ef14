"""Where features come from: topics, what is kept of them in memory, and how soon they follow.

Delays are those of ordinary live traffic: docs/performance.md has how they were measured.
"""

from __future__ import annotations

from online_models.ranking.features.feature import Origin

SEEN_MS = 30
"""A click is in the models after so long: the 99th percentile at 200 clicks a second."""

PUBLISHED_MS = 1_000
"""Learners publish twice a second; what they publish is applied between two records."""

SESSION = Origin(
    "session",
    ("sessions",),
    "the last 50 items of the session, and what the request adds to them",
    "with every click of the session; at once with those that the request names",
    SEEN_MS,
)
CLICK_TIMES = Origin(
    "times of clicks",
    ("sessions",),
    "the times of the session's last two clicks, as their sender said",
    "with every click of the session",
    SEEN_MS,
)
CLOCK = Origin(
    "clock",
    ("sessions",),
    "the time of the session's last click, and the clock of the server that is asked",
    "at every request",
    0,
)
COUNTS = Origin(
    "clicks",
    ("sessions",),
    "counts of all sessions: rings of sessions, rules, co-visits, successors, popularity",
    "with every click of anybody that the replica has applied",
    SEEN_MS,
)
BLEND = Origin(
    "blend",
    ("sessions", "ranker"),
    "the sources' scores, and the blend's weights as the ranker job has learned them",
    "with every click; the weights twice a second",
    PUBLISHED_MS,
)
VECTORS = Origin(
    "vectors",
    ("vectors",),
    "the items' vectors as the vectors job has published them",
    "twice a second, an item once its vectors have moved by 5 % of their length",
    PUBLISHED_MS,
)
CATALOGUE = Origin(
    "catalogue",
    ("items", "sessions"),
    "categories, words of titles and attributes of the items",
    "with every change of the catalogue, and every click of the session",
    SEEN_MS,
)
PROFILE = Origin(
    "profile",
    ("profiles",),
    "what the user did in earlier sessions",
    "when a session of the user is over, and with each purchase, like and dislike",
    PUBLISHED_MS,
)
