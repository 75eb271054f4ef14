"""Limits are declared once; where people read of them, the same numbers stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nextclick import limits
from nextclick.limits import MINUTE_MS

ROOT = Path(__file__).parents[3]
PROTOS = "proto/nextclick/v1"

TOLD = [
    (
        f"{PROTOS}/recommendation_service.proto",
        [
            f"1..{limits.MAX_PAGE}; 0 means {limits.DEFAULT_PAGE}.",
            f"oldest first; at most {limits.SESSION_STEPS}.",
            f"At most {limits.MAX_REQUEST_BYTES:,} bytes as a whole.",
            f"Each {limits.MAX_ID_BYTES} bytes at most.",
            f"for up to {limits.MAX_BATCH_REQUESTS} visitors at once",
            f"One for each visitor; 1 to {limits.MAX_BATCH_REQUESTS}.",
            f"The items to order, 1..{limits.MAX_RANKED_ITEMS}.",
            f"empty: all. At most {limits.MAX_FILTER_CATEGORIES}.",
            f"Never these items. At most {limits.MAX_EXCLUDED_ITEMS:,}.",
            f"on the first {limits.SCORED_ITEMS}: the probability",
            f"on the first {limits.EXPLAINED_ITEMS}: what speaks for the item",
            f"Give reasons for the first {limits.EXPLAINED_ITEMS} items",
        ],
    ),
    (
        f"{PROTOS}/event_service.proto",
        [
            f"at most {limits.MAX_RECORD_BYTES:,} bytes as JSON",
            f"1..{limits.MAX_ID_BYTES} bytes; empty: the server gives one",
            f"other names (1..{limits.MAX_TYPE_BYTES} bytes)",
            f"at most {limits.MAX_AHEAD_MS // MINUTE_MS} minutes ahead",
            f"not more than {limits.MAX_LATE_MS // MINUTE_MS} minutes before",
            f"from 1 to {limits.MAX_POSITION:,}; 0: unknown",
            f"at most {limits.MAX_PROPERTIES} entries, "
            f"keys 1..{limits.MAX_PROPERTY_KEY_BYTES} bytes",
            f"values at most {limits.MAX_PROPERTY_BYTES:,} bytes",
            f"1..{limits.MAX_PUT_EVENTS:,} events.",
        ],
    ),
    (
        f"{PROTOS}/catalog_service.proto",
        [
            f"The item, 1..{limits.MAX_ID_BYTES} bytes.",
            f"at most {limits.MAX_CATEGORIES} of 1..{limits.MAX_CATEGORY_BYTES} bytes each",
            f"at most {limits.MAX_ATTRIBUTES}, keys 1..{limits.MAX_ATTRIBUTE_KEY_BYTES}, "
            f"values 1..{limits.MAX_ATTRIBUTE_BYTES} bytes",
            f"Title, at most {limits.MAX_TITLE_BYTES:,} bytes.",
            f"1..{limits.MAX_PUT_ITEMS:,} items.",
        ],
    ),
    (f"{PROTOS}/impression.proto", [f"then showed included; at most {limits.MAX_POOL_ITEMS}."]),
    (
        f"{PROTOS}/session.proto",
        [
            f"The last {limits.SESSION_STEPS} steps",
            f"disliked in this session; the last {limits.MAX_HIDDEN_ITEMS}.",
        ],
    ),
    (
        "docs/operating.md",
        [
            f"a message to the server | {limits.MAX_MESSAGE_BYTES:,} bytes",
            f"each of a batch | {limits.MAX_REQUEST_BYTES:,} bytes",
            f"ids in requests, events and items | {limits.MAX_ID_BYTES} bytes",
            f"with reasons (`explain`) | {limits.EXPLAINED_ITEMS} |",
            f"a record's key | {limits.MAX_KEY_BYTES} bytes",
            f"`events`, `items` | {limits.MAX_RECORD_BYTES:,} bytes",
            f"`sessions` | {limits.MAX_SESSION_BYTES:,} bytes, {limits.SESSION_STEPS} steps, "
            f"{limits.MAX_HIDDEN_ITEMS} hidden items",
            f"`impressions` | {limits.MAX_IMPRESSION_BYTES:,} bytes",
            f"`examples`, `ranker` | {limits.MAX_LEARNER_BYTES:,} bytes",
            f"`vectors`, `commands` | {limits.MAX_VECTORS_BYTES:,} bytes",
            f"`scoreboard` | {limits.MAX_SCORE_BYTES:,} bytes, {limits.MAX_RANKINGS} rankings",
            f"and of the example emitter | {limits.MAX_LEARNER_LATE_MS // 1_000} s",
            f"until it is within {limits.LEARNER_IN_TIME_MS // 1_000} s",
            f"one in {1 / limits.SAMPLED_SHARE:.0f} of the sessions".replace(" 4 ", " four "),
            f"that a learner remembers | {limits.MAX_SAMPLED_PERIODS} |",
            f"`examples` tell it | {limits.MAX_CLOCK_SKEW_MS // MINUTE_MS} minutes after",
        ],
    ),
    (
        f"{PROTOS}/learning.proto",
        [f"The latest periods of sampling, oldest first; at most {limits.MAX_SAMPLED_PERIODS}."],
    ),
    (f"{PROTOS}/scoreboard.proto", [f"the last {limits.MAX_SCORE_DRIFTS}, oldest first."]),
    (f"{PROTOS}/impression.proto", [f"at most the first {limits.SCORED_ITEMS}."]),
    (
        "docs/architecture.md",
        [
            f"more than {limits.MAX_AHEAD_MS // MINUTE_MS} minutes ahead of its arrival",
            f"more than {limits.MAX_LATE_MS // MINUTE_MS} minutes older than its session's last",
            f"older than {limits.MAX_AGE_MS // limits.DAY_MS} days without the header",
            f"beyond {limits.MAX_SESSION_STEPS:,} steps",
            f"among the last {limits.MAX_EVENT_IDS} of their key",
            f"a new one after {limits.SESSION_IDLE_MS // MINUTE_MS} idle minutes",
            f"skips more than {limits.SESSION_STEPS} steps",
        ],
    ),
]


@pytest.mark.parametrize(("file", "sentences"), TOLD, ids=[file for file, _ in TOLD])
def test_what_is_told_of_limits_is_so(file: str, sentences: list[str]) -> None:
    """If it failed, senders would keep to limits that are not those of the server."""
    text = re.sub(r"[\s/]+", " ", (ROOT / file).read_text())
    missing = [s for s in sentences if re.sub(r"[\s/]+", " ", s) not in text]
    assert not missing
