"""Limits of the contract, each declared here and nowhere else.

Senders, server, jobs and models follow them; the protos' comments repeat them for readers, and a
test compares the two. This module imports nothing.
"""

from __future__ import annotations

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS

# ---- sessions

SESSION_STEPS = 50
"""Steps of a session that are kept, by its record and by the models, and that a request names."""

MAX_SESSION_STEPS = 5_000
"""Steps that a session may have; more are a robot's."""

MAX_HIDDEN_ITEMS = 50
"""Disliked items of a session that are kept; the oldest make room."""

MAX_EVENT_IDS = 256
"""Latest event ids of a record key by which repetitions are recognised."""

SESSION_IDLE_MS = 30 * MINUTE_MS
"""After so long without an event, a user who sends no session ids begins a new session."""

SESSION_LIFE_MS = 2 * DAY_MS
"""After so long without an event, the state of a session expires: its next event begins it anew."""

MAX_LATE_MS = 30 * MINUTE_MS
"""How far behind the last step of its session an event may be."""

MAX_AHEAD_MS = 5 * MINUTE_MS
"""How far ahead of its arrival an event may be."""

MAX_CLOCK_SKEW_MS = 5 * MINUTE_MS
"""How far ahead of a record's own arrival the arrivals that it tells of may be: the clocks of
brokers differ."""

MAX_AGE_MS = 7 * DAY_MS
"""How old an event may be at its arrival, histories excepted; `events` keeps records as long."""

# ---- learning

MAX_LEARNER_LATE_MS = 30_000
"""A learner that is further behind learns from a sample of the sessions."""

LEARNER_IN_TIME_MS = 10_000
"""It learns from all that begin again once it is no further behind than this."""

SAMPLED_SHARE = 0.25
"""Share of the sessions in the sample: docs/performance.md has what it saves and costs."""

MAX_SAMPLED_PERIODS = 256
"""Periods of sampling that a learner remembers."""

MAX_KEPT_VERSIONS = 20
"""Versions that the ranker can be rolled back to."""

# ---- fields of events and items; bytes are those of UTF-8

MAX_RECORD_BYTES = 65_536
"""An event or a catalogue item as JSON."""

MAX_ID_BYTES = 256
MAX_TYPE_BYTES = 64
MAX_POSITION = 10_000
MAX_TIMESTAMP_MS = 4_102_444_800_000  # the year 2100
MAX_PROPERTIES, MAX_PROPERTY_KEY_BYTES, MAX_PROPERTY_BYTES = 32, 64, 1_024
MAX_CATEGORIES, MAX_CATEGORY_BYTES = 16, 128
MAX_ATTRIBUTES, MAX_ATTRIBUTE_KEY_BYTES, MAX_ATTRIBUTE_BYTES = 32, 64, 256
MAX_TITLE_BYTES = 1_024

# ---- records; readers pass over what is larger, writers stay below it

MAX_KEY_BYTES = 320
"""Key of a record: an id, or the session of a user without session ids."""

MAX_SESSION_BYTES = 45_056
"""A `SessionRecord`, with ids as long as they may be."""

MAX_IMPRESSION_BYTES = 262_144
"""An `Impression`, with ids as long as they may be."""

MAX_POOL_ITEMS = 512
"""Items of an impression's pool: of the longest ranking that a policy gets."""

MAX_EXAMPLE_BYTES = 131_072
"""An `Example`: the candidates' ids and features."""

MAX_VECTORS_BYTES, MAX_COMMAND_BYTES = 1_024, 1_024
"""An `ItemVectors`; a `LearnerCommand`."""

MAX_LEARNER_BYTES = 131_072
"""A `LearnerState` with the ranker's weights."""

MAX_SCORE_BYTES = 16_384
"""A `Score`."""

MAX_RANKINGS = 16
"""Rankings that are scored; those of an answer's shadow."""

MAX_SCORE_WINDOWS = 8
"""Windows of a score, and cut-offs in each."""

MAX_SCORE_DRIFTS = 10
"""Drifts of a score that are kept; the oldest make room."""

# ---- requests

MAX_MESSAGE_BYTES = 4 << 20
"""A message to the server; gRPC refuses a larger one."""

MAX_REQUEST_BYTES = 100_000
"""A request for one visitor, one list of items, or one entry of a batch, of events or of items:
what parses it keeps all answers waiting."""

DEFAULT_PAGE, MAX_PAGE = 20, 500
"""Items of an answer: where a request names no number, and at most."""

EXPLAINED_ITEMS = 20
"""First items of an answer that get reasons, where a request asks for them."""

MAX_RANKED_ITEMS = 500
"""Items of one `Rank` request."""

MAX_BATCH_REQUESTS = 256
"""Requests of one `BatchRecommend` call."""

MAX_PUT_EVENTS, MAX_PUT_ITEMS = 1_000, 1_000
"""Events of one `PutEvents` call; items of one call of the catalogue."""

MAX_FILTER_CATEGORIES, MAX_EXCLUDED_ITEMS = 64, 1_000
"""Categories and excluded items of one filter."""

# ---- the live score

SCORED_ITEMS = 20
"""First items of an answer that are recorded with their scores, and scored."""
