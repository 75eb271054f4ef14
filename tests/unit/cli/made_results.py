"""Made results of the commands, as they hand them to what prints them."""

from collections import Counter
from math import inf

from cli.backups.archive import Held
from cli.backups.backup import Backup
from cli.impressions.joining import NO_POLICY, RECENT
from cli.stack.checkup import Finding, State
from evaluation.off_policy.judging import Estimate, Judged
from listeners.tokens import Scope, Token
from nextclick import Model, Reason, Recommendation, RecommendedItem

SPREAD_US = {"mean": 1_702.4421, "p50": 1_503.218, "p99": 25_400.7}
SPREAD_MS = {"mean": 14.2, "p50": 13.04871, "p99": 41.5}


def part(name, state="UP", lag=None, refused=None, restarts=0, last_exit=None, log=()):
    return {
        "name": name,
        "state": state,
        "lag": lag,
        "refused": refused,
        "restarts": restarts,
        "last_exit": last_exit,
        "log": list(log),
    }


def window(cases, hit_rate, shown):
    return {
        "cases": cases,
        "shown": shown,
        "hit_rate_20": hit_rate,
        "mrr_20": hit_rate / 2,
        "ndcg_20": hit_rate * 0.6,
        "coverage": 0.2512,
        "diversity": 0.8123,
    }


def board(cases, shown, drifts=()):
    return {
        "cases": cases,
        "shadow_cases": 0,
        "click_through_rate": 0.12345,
        "drifts": list(drifts),
        "windows": {"1000": window(1_000, 0.69, shown), "10000": window(cases, 0.7354, shown)},
    }


DRIFT = {"began_ms": 1_764_230_400_000, "hit_rate_before": 0.71, "hit_rate_after": 0.55}
STATUS = {
    "parts": [
        part("jobmanager"),
        part("taskmanager-1"),
        part("redis", restarts=3, last_exit="signal 9 at 12:03:14Z", log=["oom", "bye"]),
        part("kafka", "DOWN", last_exit="Kafka's jars are not in streaming/java/target/kafka-lib; "
             "run `make setup` at 12:03:14Z"),
        part("server", "SERVING", 0),
        part("emitter", lag=142_000),
        part("job sessions", "RUNNING", 1_234, 0, restarts=2),
        part("job ranker", "RUNNING", 0, 1_003),
    ],
    "models": [
        {"name": "blend", "version": 431_205, "examples": 431_205, "answers": False,
         "share": 1.0, "sampling": False, "hit_rate": 0.70123, "mrr": 0.3511},
        {"name": "vectors", "version": 12, "examples": 170_112, "answers": False,
         "share": 0.39450, "sampling": True, "hit_rate": None, "mrr": None},
        {"name": "ranker", "version": None, "examples": None, "answers": True,
         "share": None, "sampling": False, "hit_rate": 0.7354, "mrr": 0.4153},
    ],
    "scoreboard": {
        "ranker": board(10_000, 1.0, [DRIFT]),
        "blend": board(10_000, 0.0),
        "session-knn-with-a-name": board(9_999, None),
    },
}  # fmt: skip
NOTHING_YET = {
    "parts": [part("server", "NOT_SERVING", 5)],
    "models": [{"name": "blend", "version": None, "examples": None, "answers": False,
                "share": 1.0, "sampling": False, "hit_rate": None, "mrr": None}],
    "scoreboard": {},
}  # fmt: skip

REASONS = (
    Reason("session-knn", 0.62, ("17116", "30218")),
    Reason("rules", 0.31, ("17116",)),
    Reason("popular", 0.07, ()),
)
ANSWER = Recommendation(
    (
        RecommendedItem("17116", 4.1234567, REASONS),
        RecommendedItem(
            "a-rather-long-item-id/with-a-path/and-more-of-it/0123456789", 1.5, REASONS
        ),
        RecommendedItem("[bold]30218[/bold]", -52.0),
        RecommendedItem("5", -103.0),
    ),
    session_version=7,
    degraded=("kafka_unavailable",),
    source="session",
)
POPULAR = Recommendation(
    (RecommendedItem("17116", -100.0), RecommendedItem("30218", -101.0)), source="popular"
)
MODELS = [
    Model("blend", 431_205, 431_205, False, False, 0, (), 12, 0.7012, 0.3511),
    Model("ranker", 321, 215_602, True, True, 0, (100, 200, 300), 40, 0.7354, 0.4153),
    Model("vectors", 0, 0, False, False, 0, (), None, None, None),
]
PLAYED = {
    "sent": 2_684,
    "cases": 2_052,
    "hit_rate": 0.735380116959,
    "mrr": 0.4152999,
    "stale": 0.0,
    "latency_us": SPREAD_US,
    "freshness_ms": SPREAD_MS,
    "errors": 0,
    "seconds": 75.3219,
}
BESIDE_PLAIN = {"secured_p50_us": 1_012.4, "plain_p50_us": 903.7, "ratio": 1.12}
DEMO = {
    **PLAYED,
    "sent": 116_285,
    "applied": 116_285,
    "dead_lettered": 0,
    "duplicates": 0,
    "lost": 0,
    "vectors": 18_009,
    "examples": 30_773,
    "scoreboard": {
        "ranker+epsilon-greedy": {
            "cases": 10_000,
            "shadow_cases": 0,
            "hit_rate": 0.7354,
            "mrr": 0.4153,
        },
        "blend": {"cases": 512, "shadow_cases": 512, "hit_rate": 0.7344, "mrr": 0.404},
    },
}
IMPORTED = {
    "clicks": 431_205,
    "sessions": 104_652,
    "refused": 17,
    "sent": 31_205,
    "sent_before": 400_000,
    "seconds": 141.7,
}
EVALUATED = {
    "model": "ranker",
    "cases": 52_345,
    "hit_rate": 0.69,
    "mrr": 0.3491,
    "hit_rate_95": [0.6811, 0.6990],
    "mrr_95": [0.3403, 0.3579],
    "hit_rate_new": 0.6123,
    "hit_rate_new_95": [0.6001, 0.6245],
    "cold_cases": 1_012,
    "hit_rate_cold": 0.0009881,
    "repeat_share": 0.182345,
    "ndcg": 0.4312,
    "ndcg_95": [0.4223, 0.4401],
    "coverage": 0.2512,
    "candidate_recall": 0.81249,
    "seconds": 71.4321,
    "learn_us": {"mean": 155.2, "p50": 120.04, "p99": 1_084.9},
    "recommend_us": {"mean": 90.73, "p50": 74.4, "p99": 158.02},
}

FINDINGS = [
    Finding("versions", State.OK, "Python 3.11.2, Java in /usr/lib/jvm/java-17-openjdk-amd64"),
    Finding("disk", State.WARNING, "5.2 GiB free for .nextclick", "make room: the log keeps more"),
    Finding("topics", State.FAULT, "not there: events, sessions", "create them"),
]

BACKUPS = {
    "backup-20261126T030000Z": Backup(
        "backup-20261126T030000Z", "snapshot", "0.1.0", {"snapshot-000007/models": Held(812, "")}
    ),
    "backup-20261127T030000Z": Backup(
        "backup-20261127T030000Z",
        "stack",
        "0.1.0",
        {f"kafka/data/{n}.log": Held(3_456_789, "") for n in range(1_431)},
    ),
    "backup-20261128T030000Z": None,
}

TOKENS = [
    Token("shop-backend", frozenset([Scope.RECOMMEND, Scope.EVENTS]), "0" * 64, "2026-11-28"),
    Token("night-shift", frozenset(Scope), "1" * 64, "2026-09-01"),
]
PUT = {"rows": 431_205, "refused": 17, "put": 431_100, "deleted": 88, "seconds": 215.6}
SYNCED = {
    "rows": 4_000_000,
    "refused": 0,
    "put": 41_017,
    "unchanged": 3_958_983,
    "deleted": 0,
    "withheld": 1_900_000,
    "seconds": 384.2,
}


def estimate(name, value, half, bound=None, effective=41_012.4, refused=""):
    """An estimate with intervals of about this half width."""
    interval = (value - half, value + 1.2 * half)
    gain = (value - 0.0534 - half, value - 0.0534 + half)
    clicks = None if effective is None else effective / 20
    return Estimate(name, value, interval, bound, gain, effective, clicks, refused)


FEW = "effective sample of 87 pages, below 200"
JUDGED = Judged(
    pages=1_210_344,
    visitors=318_402,
    clicks=64_634,
    own=0.0534,
    own_interval=(0.0530, 0.0538),
    mean_weight=0.9812,
    largest_weight=1_034.25,
    limited=0.0213,
    estimates=[
        estimate("IPS", 0.0721, 0.0412, (0.0, 1.9), 87.2, FEW),
        estimate("SNIPS", 0.0712, 0.0401, None, 87.2, FEW),
        estimate("RIPS", 0.0587, 0.0021, (0.0411, 0.0763)),
        estimate("SNRIPS", 0.0588, 0.0020),
        estimate("DM", 0.0541, 0.0001, None, None),
        estimate("DR", 0.0698, inf, None, 87.2, FEW),
        estimate("switch-DR", 0.0531, 0.0019),
        estimate("cascade-DR", 0.0499, 0.0018),
    ],
)
PASSED_OVER = Counter({NO_POLICY: 3_631_032, RECENT: 1})
