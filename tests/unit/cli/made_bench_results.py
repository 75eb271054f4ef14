"""Made results of the benchmarks; tests/benchmarks compares their keys with real ones."""

from cli.bench.frontier import PARTS
from cli.bench.growth import LENGTHS, PAGES
from cli.bench.index_rivals import INDEXES
from evaluation.importance import groups

SPREAD_US = {"mean": 131.2, "p50": 122.4, "p99": 1_386.7}


def size(items, sessions):
    return {
        "items": items,
        "sessions": sessions,
        "recommend_us": SPREAD_US,
        "learn_us": {"mean": 185.2, "p50": 150.0, "p99": 2_000.0},
        "memory_mb": 3_139.4,
    }


BENCHED = {
    "flood": {
        "robot_clicks": 400_000,
        "robot_clicks_per_s": 5_756.32,
        "real_clicks_per_s": 200.0,
        "seconds": 69.5,
        "probes": 278,
        "lost_probes": 0,
        "p50_ms": 1_412.4,
        "p99_ms": 10_233.1,
        "backlog_before": 3,
        "backlog": 112_345,
        "settled_s": 75.31,
        "new_item_s": 1.234,
        "cases": 931,
        "hit_rate_before": 0.70123,
        "hit_rate": 0.7,
        "items_before": 18_009,
        "items": 198_660,
        "memory_mb": {
            name: [700.2, 1_012.3, 1_100.4, 1_101.5]
            for name in ("jobmanager", "taskmanager-1", "kafka", "emitter")
        },
    },
    "freshness": {
        "rate": 2_000.0,
        "p50_ms": 14.21,
        "p95_ms": 66.4,
        "p99_ms": 1_154.9,
        "probes": 1_476,
        "put_events_p50_ms": 16.04,
        "hops_ms": {"to the events topic": 3.1, "sessions job": 14.52, "to an answer": 6.3},
        "backlog_before": 12,
        "backlog": 1_009,
        "warm_up_s": 20.2,
        "valid": True,
    },
    "frontier": {
        "cases": 46_396,
        "parts": [
            {
                "part": name,
                "kind": part.kind,
                "hit_rate": 0.8,
                "hit_rate_95": 0.2,
                "mrr": -0.1234,
                "mrr_95": 0.15,
                "us": 33.12,
            }
            for name, part in PARTS.items()
        ],
    },
    "importance": {
        "cases": 4_370,
        "permutations": 3,
        "importance": [
            {
                "name": group.name,
                "kind": group.kind,
                "hit_rate": 10.1234,
                "hit_rate_95": [-10.5, 12.25],
                "mrr": -0.1234,
                "mrr_95": [-0.2, 0.051],
            }
            for group in groups()
        ],
    },
    "gateway": {
        **{
            f"{prefix}{name}_us": us
            for prefix in ("", "floor_")
            for name, us in {"p50": 1_044.3, "p95": 1_468.1, "p99": 2_674.9, "cpu": 517.2}.items()
        },
        "answers_per_s": 1_750.3,
        "floor_answers_per_s": 4_500.7,
        "grpc_p50_us": 244.3,
        "ratio_p50": 3.2,
        "ratio_p99": 4.1,
        "ratio_cpu": 2.5,
        "json_us": 61.3,
        "json_format_us": 312.5,
        "json_share": 0.118,
        "errors": 0,
    },
    "growth": {
        "items": [size(10_000, 500_000), size(2_000_000, 500_000)],
        "sessions": [size(100_000, 100_000), size(100_000, 5_000_000)],
        "largest": size(2_000_000, 5_000_000),
        "length": [{"length": n, "recommend_us": SPREAD_US} for n in LENGTHS],
        "candidates": [
            {"candidates": mean, "answers": 500, "recommend_us": SPREAD_US}
            for mean in (10, 39, 234)
        ],
        "page": [{"page": n, "recommend_us": SPREAD_US} for n in PAGES],
    },
    "guard": {
        "good_per_s": 500.0,
        "refused_per_s": 1_999.6,
        "alone_p50_us": 412.3,
        "alone_p99_us": 1_204.4,
        "beside_p50_us": 455.1,
        "beside_p99_us": 1_390.2,
        "p99_ratio": 1.1543,
        "errors": 0,
        "not_refused": 0,
        "plain_p50_us": 601.2,
        "tls_p50_us": 702.9,
        "tls_ratio": 1.169,
    },
    "index": {
        "items": 50_000,
        "changes": 10_000,
        "recall_at_50": 0.98712,
        "p50_rest_us": 301.2,
        "p99_rest_us": 612.7,
        "p50_churn_us": 355.5,
        "p99_churn_us": 1_412.1,
        "changes_per_s": 399.7,
        "rebuilds": 4,
        "build_s": 12.34,
    },
    "index-compare": {
        "items": 50_000,
        "indexes": [
            {
                "index": kind.name,
                "recall_at_20": 0.98712 - 0.1 * n,
                "p50_us": 301.2 * (n + 1),
                "p99_us": 612.7,
                "new_ms": 0.312 * 10**n,
                "moved_ms": 0.441 * 10**n,
                "build_s": 12.34 * n,
                "memory_mb": 31.4,
            }
            for n, kind in enumerate(INDEXES[:4])
        ],
        "not_installed": [INDEXES[4].name],
    },
    "learning": {
        "examples": 20_000,
        "examples_per_s": 4_489.123,
        "clicks": 60_000,
        "clicks_per_s": 4_346.456,
        "seen": 1_000_000,
        "vectors_per_s": 4_840.2,
        "first_vectors_per_s": 3_117.4,
        "vectors_ratio": 1.5526,
        "vectors_cpu_us": 215.4,
        "first_vectors_cpu_us": 341.3,
    },
    "serving": {
        **{
            f"{prefix}{name}_us": us
            for prefix in ("", "floor_", "alone_", "alone_floor_")
            for name, us in {"p50": 244.3, "p95": 468.1, "p99": 1_674.9, "cpu": 317.2}.items()
        },
        **{
            f"{prefix}{name}": figure
            for prefix in ("", "alone_")
            for name, figure in {
                "ratio_p50": 1.331,
                "ratio_p99": 1.459,
                "batch_sessions_per_s": 6_656.4,
                "batch_us_per_session": 154.2,
            }.items()
        },
        "open_p50_us": 637.2,
        "open_p95_us": 1_365.4,
        "open_p99_us": 2_001.3,
        "live_p50_us": 401.2,
        "live_p99_us": 1_367.8,
        "live_floor_p99_us": 1_500.2,
        "redis_paused_p99_us": 794.2,
        "broker_stopped_p99_us": 1_258.3,
        "errors": 0,
        "workers": [
            {"workers": 1, "answers_per_s": 3_864.2, "memory_mb": 363.4},
            {"workers": 16, "answers_per_s": 13_777.2, "memory_mb": 1_346.1},
        ],
        "live_quotient": 0.6,
    },
    "throughput": {
        "events": 500_000,
        "events_per_s": 11_766.4,
        "floor_events_per_s": 18_860.2,
        "ratio": 0.6239,
        "stored_per_s": 32_558.1,
        "applied_per_s": 52_933.2,
        "restart_s": 2.41,
        "restart_sessions": 104_652,
        "consumed_per_s": 174_671.4,
        "slots": [
            {"slots": 1, "events_per_s": 11_766.4},
            {"slots": 2, "events_per_s": 13_807.2},
        ],
    },
    "year": {
        "items": 1_234_567,
        "table": 61_728,
        "clicks": 5_000_012,
        "cases": 250_000,
        "hit_rate": 0.6412,
        "memory_mb": [700.2, 1_012.3, 1_014.4, 1_014.9],
        "tenths": [
            {
                "hit_rate": 0.6 + tenth / 100,
                "learn_us": SPREAD_US,
                "recommend_us": SPREAD_US,
                "roomy_hit_rate": 0.61 + tenth / 100,
            }
            for tenth in range(10)
        ],
        "roomy_hit_rate": 0.6498,
        "roomy_memory_mb": [1_100.2, 2_012.3, 3_014.4, 4_015.2],
        "hit_rate_ratio": 0.98676,
        "memory_ratio": 1.00257,
        "learn_p99_ratio": 1.0312,
        "recommend_p99_ratio": 0.9871,
        "longest_ms": {"learn": 3.4123, "recommend": 1.2},
        "longest_hold_ms": 3.4123,
    },
}
