"""A small run of each benchmark: its keys are there, and say something."""

import json
import shutil

import pytest

from cli.bench import native
from tests.integration.test_cli import run as run_cli


def bench(tmp_path, *args):
    done = run_cli("bench", *args, "--home", str(tmp_path / "bench"), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler for the load client")
def test_serving(tmp_path):
    """Answers, their floor, batches, and both beside learning and with parts of the stack away."""
    result = bench(
        tmp_path,
        "serving",
        "--rounds",
        "1",
        "--seconds",
        "0.5",
        "--history",
        "5000",
        "--workers",
        "1",
    )
    for prefix in ("", "floor_", "alone_", "alone_floor_"):
        assert 0 < result[f"{prefix}p50_us"] <= result[f"{prefix}p95_us"]
        assert result[f"{prefix}p95_us"] <= result[f"{prefix}p99_us"]
        assert result[f"{prefix}cpu_us"] > 0
    assert result["batch_sessions_per_s"] > 0
    assert result["batch_us_per_session"] > 0
    assert result["errors"] == 0
    (one,) = result["workers"]
    assert one["answers_per_s"] > 0
    assert one["memory_mb"] > 0
    assert (tmp_path / "bench" / "serving.json").exists()
    assert (tmp_path / "bench" / "serving.svg").exists()


def test_throughput(tmp_path):
    """Every part goes through all that is preloaded."""
    result = bench(tmp_path, "throughput", "--events", "10000")
    assert result["events"] == 10_000
    for name in ("events_per_s", "floor_events_per_s", "stored_per_s", "applied_per_s"):
        assert result[name] > 0
    assert result["restart_sessions"] > 1_000
    assert result["restart_s"] > 0
    assert [row["slots"] for row in result["slots"]] == [1, 2]
    assert all(row["events_per_s"] > 0 for row in result["slots"])


def test_frontier(tmp_path):
    """A part that is left out leaves the others, and its figures are paired with all of them."""
    clicks = tmp_path / "clicks.csv"
    lines = (f"{s},i{s % 40} i{(s + 1) % 40} i{(s + 2) % 40}\n" for s in range(1_200))
    clicks.write_text("session_id,items\n" + "".join(lines))
    parts = ("--part", "session-kNN", "--part", "vectors")
    result = bench(tmp_path, "frontier", "--train", str(clicks), *parts)
    assert result["cases"] == 120
    assert [row["part"] for row in result["parts"]] == ["session-kNN", "vectors"]
    assert [row["kind"] for row in result["parts"]] == ["source", "feature"]
    assert all(row["mrr_95"] >= 0 for row in result["parts"])
    assert (tmp_path / "bench" / "frontier.svg").exists()


def test_growth(tmp_path):
    """Each size is as large as it says, and the largest of both is among them."""
    sizes = ("--items", "1000", "--items", "2000", "--sessions", "9000")
    result = bench(tmp_path, "growth", *sizes)
    assert [row["items"] for row in result["items"]] == [1_000, 2_000]
    assert (result["largest"]["items"], result["largest"]["sessions"]) == (2_000, 9_000)
    for row in [*result["items"], *result["length"], *result["candidates"], *result["page"]]:
        assert 0 < row["recommend_us"]["p50"] <= row["recommend_us"]["p99"]
    sizes = [row["candidates"] for row in result["candidates"]]
    assert sizes
    assert sizes == sorted(sizes)
    assert result["largest"]["learn_us"]["mean"] > 0
    assert result["largest"]["memory_mb"] > 0
    assert (tmp_path / "bench" / "growth.svg").exists()


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler for the load client")
def test_the_load_client_counts_what_fails(stack, tmp_path):
    """A client that takes refusals for answers would praise a server that is down."""
    program = native.client(tmp_path)
    requests = tmp_path / "requests"
    native.write_requests(requests, [b""])  # neither session_id nor user_id
    method = "/nextclick.v1.RecommendationService/Recommend"
    load = native.run(program, stack.target, method, requests, 0.3)
    assert len(load.us) == 0
    assert load.errors > 0
