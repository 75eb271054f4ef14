"""A small run of each benchmark: its keys are there, and say something."""

import json
import shutil

import pytest

from cli.bench import native
from tests.integration.test_cli import run as run_cli


def bench(tmp_path, *args):
    done = run_cli("bench", *args, "--home", str(tmp_path / "bench"), "--json", timeout=400)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(420)
@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler for the load client")
def test_serving(tmp_path):
    """Answers, their floor, batches, and both beside learning and with parts of the stack away."""
    result = bench(tmp_path, "serving", "--rounds", "1", "--seconds", "0.5", "--history", "5000")
    for prefix in ("", "floor_"):
        assert 0 < result[f"{prefix}p50_us"] <= result[f"{prefix}p95_us"]
        assert result[f"{prefix}p95_us"] <= result[f"{prefix}p99_us"]
        assert result[f"{prefix}cpu_us"] > 0
    assert result["batch_sessions_per_s"] > 0
    assert result["batch_us_per_session"] > 0
    assert result["errors"] == 0
    assert (tmp_path / "bench" / "serving.json").exists()
    assert (tmp_path / "bench" / "serving.svg").exists()


@pytest.mark.timeout(420)
def test_throughput(tmp_path):
    """Every part goes through all that is preloaded."""
    result = bench(tmp_path, "throughput", "--events", "10000")
    assert result["events"] == 10_000
    for name in ("events_per_s", "floor_events_per_s", "stored_per_s", "applied_per_s"):
        assert result[name] > 0


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
