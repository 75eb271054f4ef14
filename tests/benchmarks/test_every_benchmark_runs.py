"""Every benchmark at a small size: it runs to its end and its figures are there; none is judged."""

import json
import shutil

import pytest
from confluent_kafka import Consumer
from grpc import StatusCode

from cli.bench import freshness, index_rivals, learning, native, probes
from nextclick.v1 import recommendation_service_pb2 as pb
from tests.command import run
from tests.unit.cli.made_bench_results import BENCHED
from tests.unit.gateway.served_gateway import gateway
from tests.unit.nextclick.fake_server import Fake, serving

pytestmark = pytest.mark.integration

needs_compiler = pytest.mark.skipif(
    not shutil.which("cc"), reason="no C compiler for the load client"
)


def bench(name, *args, made=""):
    """Run a benchmark; its figures are those of the made result of its name, or of ``made``."""
    done = run("bench", name, *args, "--json")
    assert done.returncode == 0, done.stderr
    return checked(made or name, json.loads(done.stdout))


def checked(name, result):
    """The result, whose figures are those with which its output was looked at."""
    assert set(result) == set(BENCHED[name])
    return result


def test_freshness_measures_probes_beside_a_load(stack):
    """The benchmark behind the README's figure must run, and count its backlog."""
    result = checked("freshness", freshness.measure(stack, rate=50, seconds=3, warm_up=1, probes=1))
    assert result["probes"] >= 1
    assert 0 < result["p50_ms"] <= result["p95_ms"] <= result["p99_ms"]
    assert result["put_events_p50_ms"] > 0
    assert len(result["hops_ms"]) == 3
    assert result["hops_ms"]["sessions job"] >= 0
    watcher = Consumer({"bootstrap.servers": stack.kafka, "group.id": "test"})
    assert probes.backlog(watcher) >= 0
    watcher.close()


@pytest.mark.long
def test_learning_measures_both_learners(stack):
    """The benchmark of the learners must run on jobs of its own, and end them."""
    result = checked("learning", learning.measure(stack, examples=300, clicks=400, sessions=500))
    # It waits until all is learned; how fast so few were says nothing.
    assert (result["examples"], result["clicks"]) == (300, 400)
    assert result["seen"] == 500


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_a_click_costs_the_vectors_job_the_same_after_a_million_sessions(stack):
    """At 220,000 sessions it learned half as fast as at first, and a shop has those in a day."""
    result = learning.measure(stack, examples=300, clicks=400, sessions=1_000_000)
    # On a machine that others use, one of the two may be worse for their sake.
    cpu_ratio = result["first_vectors_cpu_us"] / result["vectors_cpu_us"]
    assert max(result["vectors_ratio"], cpu_ratio) >= 0.9, result


def test_index_measures_recall_in_churn():
    """The vector index is queried at rest and while it changes."""
    result = bench("index", "--items", "400", "--changes", "60", "--queries", "100")
    assert 0.9 < result["recall_at_50"] <= 1
    assert result["p99_rest_us"] > 0
    assert result["p99_churn_us"] > 0
    assert result["changes_per_s"] > 0


def test_index_compares_itself_with_others():
    """On the same vectors: exact search finds all of what it found itself."""
    args = ("--compare", "--items", "400", "--queries", "100")
    result = bench("index", *args, made="index-compare")
    assert result["items"] == 400
    of = {row["index"]: row for row in result["indexes"]}
    assert of[index_rivals.Exact.name]["recall_at_20"] == 1
    assert of[index_rivals.Ours.name]["recall_at_20"] > 0.9
    assert 0 < of[index_rivals.Lsh.name]["recall_at_20"] <= 1
    assert len(of) + len(result["not_installed"]) == len(index_rivals.INDEXES)
    for row in of.values():
        assert set(row) == set(BENCHED["index-compare"]["indexes"][0])
        assert min(row["p50_us"], row["new_ms"], row["moved_ms"], row["build_s"]) > 0


@pytest.mark.long
@needs_compiler
def test_serving_measures_answers_and_their_floor(tmp_path):
    """Answers and the bare echo: at rest, beside learning, and with parts of the stack paused."""
    result = bench(
        "serving",
        "--rounds",
        "1",
        "--seconds",
        "0.5",
        "--history",
        "5000",
        "--workers",
        "1",
        "--home",
        str(tmp_path),
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
    assert (tmp_path / "serving.json").exists()
    assert (tmp_path / "serving.svg").exists()


@pytest.mark.long
@needs_compiler
def test_gateway_measures_answers_and_an_empty_route(tmp_path):
    """Answers over REST beside the empty route: all of them come, and JSON has its part."""
    sizes = ("--rounds", "1", "--seconds", "0.5", "--history", "5000")
    result = bench("gateway", *sizes, "--home", str(tmp_path))
    for prefix in ("", "floor_"):
        assert 0 < result[f"{prefix}p50_us"] <= result[f"{prefix}p99_us"]
        assert result[f"{prefix}cpu_us"] > 0
        assert result[f"{prefix}answers_per_s"] > 0
    assert 0 < result["grpc_p50_us"] < result["p50_us"]
    assert 0 < result["json_share"] < 1
    assert result["errors"] == 0
    assert (tmp_path / "gateway.json").exists()


@pytest.mark.long
def test_throughput_measures_every_reader_of_the_log(tmp_path):
    """Every part processes all that is preloaded."""
    result = bench("throughput", "--events", "10000", "--home", str(tmp_path))
    assert result["events"] == 10_000
    for name in ("events_per_s", "floor_events_per_s", "stored_per_s", "applied_per_s"):
        assert result[name] > 0
    assert result["restart_sessions"] > 1_000
    assert result["restart_s"] > 0
    assert [row["slots"] for row in result["slots"]] == [1, 2]
    assert all(row["events_per_s"] > 0 for row in result["slots"])


def test_frontier_measures_the_parts_that_it_is_asked_for(tmp_path):
    """Leaving out one part keeps the others; its figures are paired with those of all parts."""
    clicks = tmp_path / "clicks.csv"
    lines = (f"{s},i{s % 40} i{(s + 1) % 40} i{(s + 2) % 40}\n" for s in range(1_200))
    clicks.write_text("session_id,items\n" + "".join(lines))
    parts = ("--part", "session-kNN", "--part", "vectors")
    result = bench("frontier", "--train", str(clicks), *parts, "--home", str(tmp_path))
    assert result["cases"] == 120
    assert [row["part"] for row in result["parts"]] == ["session-kNN", "vectors"]
    assert [row["kind"] for row in result["parts"]] == ["source", "feature"]
    assert all(row["mrr_95"] >= 0 for row in result["parts"])
    assert (tmp_path / "frontier.svg").exists()


def test_importance_permutes_what_it_is_asked_for(tmp_path):
    """Sources, families and features are told apart, each with its interval."""
    clicks = tmp_path / "clicks.csv"
    lines = (f"{s},i{s % 40} i{(s + 1) % 40} i{(s + 2) % 40}\n" for s in range(1_200))
    clicks.write_text("session_id,items\n" + "".join(lines))
    parts = ("--importance", "--repeats", "1", "--part", "two hops", "--part", "own")
    args = ("--train", str(clicks), *parts, "--home", str(tmp_path))
    result = bench("frontier", *args, made="importance")
    assert (result["cases"], result["permutations"]) == (120, 1)
    kinds = {row["name"]: row["kind"] for row in result["importance"]}
    assert (kinds["two hops"], kinds["own items"], kinds["own"]) == ("source", "family", "feature")
    for row in result["importance"]:
        assert row["mrr_95"][0] <= row["mrr"] <= row["mrr_95"][1]
    assert (tmp_path / "importance.json").exists()


def test_growth_measures_each_size(tmp_path):
    """Each size is as large as it says, and the largest of both is among them."""
    sizes = ("--items", "1000", "--items", "2000", "--sessions", "9000")
    result = bench("growth", *sizes, "--home", str(tmp_path))
    assert [row["items"] for row in result["items"]] == [1_000, 2_000]
    assert (result["largest"]["items"], result["largest"]["sessions"]) == (2_000, 9_000)
    for row in [*result["items"], *result["length"], *result["candidates"], *result["page"]]:
        assert 0 < row["recommend_us"]["p50"] <= row["recommend_us"]["p99"]
    sizes = [row["candidates"] for row in result["candidates"]]
    assert sizes
    assert sizes == sorted(sizes)
    assert result["largest"]["learn_us"]["mean"] > 0
    assert result["largest"]["memory_mb"] > 0
    assert (tmp_path / "growth.svg").exists()


def test_year_compares_bounded_models_with_roomy_ones(tmp_path):
    """Both live through the same year, and what is compared is there."""
    result = bench("year", "--clicks", "10000", "--home", str(tmp_path))
    assert result["clicks"] >= 10_000
    assert result["items"] > 15 * result["table"]
    assert 0 < result["hit_rate"] <= 1
    assert 0.5 < result["hit_rate_ratio"] < 1.5
    assert len(result["tenths"]) == 10
    for name in ("learn", "recommend"):
        assert result[f"{name}_p99_ratio"] > 0
    assert result["longest_hold_ms"] >= max(result["longest_ms"].values(), default=0.0)
    assert len(result["memory_mb"]) == len(result["roomy_memory_mb"]) == 4
    assert (tmp_path / "year.svg").exists()


@pytest.mark.long
def test_flood_measures_what_real_visitors_notice(tmp_path):
    """Freshness, a new item, hits and memory beside a robot; the figures are not judged."""
    sizes = ("--clicks", "10000", "--rate", "1000", "--history", "5000", "--cases", "50")
    result = bench("flood", *sizes, "--home", str(tmp_path))
    assert 9_000 < result["robot_clicks"] < 11_000
    assert result["probes"] > 0
    assert result["lost_probes"] == 0
    assert 0 < result["p50_ms"] <= result["p99_ms"]
    assert result["new_item_s"] > 0
    assert 0 < result["hit_rate_before"] <= 1
    assert 0 < result["hit_rate"] <= 1
    assert {"server", "kafka", "store", "taskmanager-1"} <= set(result["memory_mb"])
    assert (tmp_path / "flood.json").exists()


@pytest.mark.long
@needs_compiler
def test_guard_measures_refusals_and_tls(tmp_path):
    """All that is wrong is refused, and all that is good answered; the times are not judged."""
    sizes = ("--rounds", "1", "--seconds", "0.5", "--rate", "100", "--refused", "200")
    result = bench("guard", *sizes, "--home", str(tmp_path))
    assert (result["errors"], result["not_refused"]) == (0, 0)
    assert result["refused_per_s"] > 0
    assert 0 < result["alone_p50_us"] <= result["alone_p99_us"]
    assert 0 < result["beside_p50_us"] <= result["beside_p99_us"]
    assert result["tls_p50_us"] > 0
    assert (tmp_path / "guard.json").exists()


@needs_compiler
def test_the_http_client_counts_what_fails(tmp_path):
    """As the one below."""
    fake, program = Fake(), native.client(tmp_path, native.HTTP)
    requests = tmp_path / "requests"
    native.write_requests(requests, [b"{}"])
    with serving(fake) as target, gateway(target) as running:
        address = f"{running.host}:{running.port}"
        for answer, counted in ((pb.RecommendResponse(), True), (StatusCode.UNKNOWN, False)):
            fake.answers = [answer]
            load = native.run(program, address, "/v1/recommend", requests, 0.3)
            assert (len(load.us) > 0, load.errors > 0) == (counted, not counted)


@needs_compiler
def test_the_load_client_counts_what_fails(stack, tmp_path):
    """A client that takes refusals for answers would praise a server that is down."""
    program = native.client(tmp_path)
    requests = tmp_path / "requests"
    native.write_requests(requests, [b""])  # neither session_id nor user_id
    method = "/nextclick.v1.RecommendationService/Recommend"
    load = native.run(program, stack.target, method, requests, 0.3)
    assert len(load.us) == 0
    assert load.errors > 0
