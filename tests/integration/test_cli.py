"""The command line against the running stack, and its own small demo."""

import dataclasses
import gzip
import json
import os
import shlex
import signal
import subprocess
import sys

import psutil
import pytest

from cli.stack.lag import group_lag
from cli.stack.layout import Ports
from cli.status import describe
from tests.command import ENVIRONMENT, run
from tests.help_examples import FILES, examples, words_of
from tests.integration.conftest import eventually
from tests.integration.test_path import fresh, views


def test_status_names_the_parts_and_their_lag(stack):
    """The first thing that an operator asks."""
    done = run("status", "--home", str(stack.home.root), "--json")
    assert done.returncode == 0, done.stderr
    parts = {part["name"]: part for part in json.loads(done.stdout)["parts"]}
    assert parts["server"]["state"] == "SERVING"
    assert parts["job sessions"]["state"] == "RUNNING"
    for name in ("job vectors", "job ranker", "job score"):
        assert parts[name]["state"] == "RUNNING"
        assert parts[name]["lag"] is not None
    for name in ("kafka", "redis", "jobmanager", "taskmanager-1", "store", "emitter"):
        assert parts[name]["state"] == "UP"
    assert parts["server"]["lag"] >= 0
    assert json.loads(done.stdout)["models"][0]["version"] >= 0
    assert "SERVING" in run("status", "--home", str(stack.home.root)).stdout


def test_the_lag_of_a_job_is_what_its_group_has_not_read(stack, client, reader):
    """Of all topics that it reads, and nothing is left of it once the job has caught up."""
    session_id = fresh("lag")
    client.put_events(views(session_id, ["a", "b"]))
    client.recommend(session_id)
    topics = ("events", "impressions")
    readers = [reader(name, from_beginning=True) for name in topics]
    nobody = fresh("nobody")
    eventually(
        lambda: (
            sum(len(one.read()) for one in readers),
            group_lag(stack.kafka_settings, nobody, topics),
        ),
        lambda counts: counts[0] == counts[1] > 0,
        "as many records as a group has before it that has read none",
    )
    eventually(
        lambda: {part["name"]: part["lag"] for part in describe(stack)["parts"]},
        lambda lags: {lag for name, lag in lags.items() if name.startswith("job ")} == {0},
        "jobs that have read all of their topics, and committed it",
    )


def test_the_doctor_finds_nothing_wrong_with_a_running_stack(stack):
    """What it calls a fault must be one; it looks at the real broker and the real Redis."""
    done = run("doctor", "--home", str(stack.home.root), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    checks = {check["check"]: check for check in json.loads(done.stdout)["checks"]}
    for name in ("versions", "parts", "server", "Kafka", "topics", "clock", "Redis"):
        assert checks[name]["state"] == "ok", checks[name]


def test_recommend_answers_and_explains(stack, client):
    """The README's first question to the system."""
    session_id = fresh("cli")
    client.put_events(views(fresh("other"), ["a", "b", "c", "d"]))
    client.put_events(views(session_id, ["a", "b"]))
    eventually(lambda: client.recommend(session_id), lambda a: a.session_version == 2, "clicks")
    args = ("recommend", "--session-id", session_id, "--grpc-port", str(stack.ports.grpc))
    answer = json.loads(run(*args, "--item-id", "c", "-k", "3", "--json").stdout)
    assert len(answer["items"]) == 3
    assert answer["session_version"] == 2
    assert "why" in run(*args, "--explain").stdout


def test_replay_sends_a_file(stack, tmp_path):
    """Histories come as files."""
    file = tmp_path / "clicks.csv"
    run_id = fresh("r")
    file.write_text("session_id,items\n" + "".join(f"{i},a b c\n" for i in range(10)))
    args = ("replay", str(file), "--home", str(stack.home.root), "--prefix", run_id, "--json")
    assert json.loads(run(*args).stdout)["sent"] == 30
    live = json.loads(run(*args, "--recommend", "--rate", "100").stdout)
    assert (live["sent"], live["cases"], live["errors"]) == (30, 20, 0)
    wrong = run("replay", str(file), "--home", str(stack.home.root), "--speedup", "2")
    assert wrong.returncode == 1
    assert "no clock" in wrong.stderr


def test_import_sends_each_click_once(stack, client, tmp_path):
    """A history comes as a file with columns of its own, and is not sent again."""
    file = tmp_path / "clicks.csv"
    visit = fresh("visit")
    file.write_text(
        f"when;visit;sku\n2014-04-17T10:00:00;{visit};b\n2014-04-17T09:59:00;{visit};a\n"
    )
    args = ("import", str(file), "--session", "visit", "--time", "when", "--json")
    done = run(*args, "--home", str(stack.home.root))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["clicks"], result["sessions"], result["refused"]) == (2, 1, 0)
    assert (result["sent"], result["sent_before"]) == (2, 0)
    eventually(lambda: client.recommend(visit), lambda a: a.session_version == 2, "clicks")
    again = json.loads(run(*args, "--home", str(stack.home.root)).stdout)
    assert (again["sent"], again["sent_before"]) == (0, 2)


def test_a_second_stack_or_job_is_refused(stack):
    """Two of one kind would fight over ports and offsets."""
    again = run("up", "--home", str(stack.home.root))
    assert again.returncode == 1
    assert "runs in" in again.stderr
    job = run("jobs", "submit", "sessions", "--home", str(stack.home.root))
    assert job.returncode == 1
    assert "runs already" in job.stderr
    unknown = run("jobs", "submit", "nonsense", "--home", str(stack.home.root))
    assert unknown.returncode == 1
    assert "jobs are: learners, ranker, score, sessions, vectors" in unknown.stderr


def test_a_part_that_cannot_start_is_told_with_its_reason(tmp_path):
    """Kafka's trace has a hundred lines: one says why. Nothing that was started stays."""
    home = tmp_path / "broken"
    data = home / "kafka" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=another\n")
    ports = dataclasses.asdict(Ports.free()).items()
    options = [f"--{name.replace('_', '-')}-port={port}" for name, port in ports]
    done = run("up", "--home", str(home), *options)
    assert done.returncode == 1
    assert "kafka has ended: " in done.stderr
    assert str(home / "logs" / "kafka.log") in done.stderr
    assert "\tat " not in done.stderr
    eventually(lambda: children_of(home), lambda left: not left, "all have ended")


def test_commands_without_a_stack_say_how_to_start_one(tmp_path):
    """A newcomer's first mistake."""
    for args in (("status",), ("replay", __file__), ("import", __file__)):
        done = run(*args, "--home", str(tmp_path))
        assert done.returncode == 1
        assert "nextclick up" in done.stderr
    assert json.loads(run("down", "--home", str(tmp_path), "--json").stdout) == {"stopped": False}


def test_wrong_use_is_explained():
    """Usage errors are no tracebacks."""
    done = run("evaluate", "--train", "no-such-file")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "no-such-file" in done.stderr


ON_THE_STACK = {
    ("status",): "--home",
    ("doctor",): "--home",
    ("replay",): "--home",
    ("import",): "--home",
    ("recommend",): "--grpc-port",
    ("models", "list"): "--grpc-port",
    ("models", "pause"): "--grpc-port",
    ("models", "resume"): "--grpc-port",
}
"""Commands whose examples run as they are, and the option that says where."""


@pytest.mark.parametrize("path", ON_THE_STACK, ids=" ".join)
def test_examples_of_the_help_run(stack, tmp_path, path):
    """They are what people copy."""
    visit = fresh("example")
    rows = "".join(f"{visit}-{n // 3}\ti{n % 5}\t{1_600_000_000 + 60 * n}\n" for n in range(30))
    for file in FILES:
        packed = gzip.compress(f"SessionId\tItemId\tTime\n{rows}".encode())
        (tmp_path / file).write_bytes(packed)
    where = {"--home": str(stack.home.root), "--grpc-port": str(stack.ports.grpc)}
    option = ON_THE_STACK[path]
    for example in examples(path):
        _, *words = shlex.split(example)
        done = run(*words, option, where[option], cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.strip()


def children_of(folder):
    """Processes whose command line or environment names a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            text = " ".join(process.cmdline()) + " ".join(process.environ().values())
        except psutil.Error:
            continue
        if str(folder) in text and process.pid != os.getpid():
            found.append(process)
    return found


@pytest.mark.parametrize("how", [(), pytest.param(("--secured",), marks=pytest.mark.long)])
def test_a_small_demo_accounts_for_every_event(tmp_path, how):
    """The first command that anybody runs, as its help shows it: exit 0, and nothing lost."""
    done = run(*words_of(("demo",)), *how, "--home", str(tmp_path / "demo"), "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["sent"] == 5_000
    ended = result["applied"] + result["dead_lettered"] + result["duplicates"]
    assert ended == result["sent"]
    assert result["lost"] == 0
    assert 0 < result["cases"] <= 1_000
    assert result["latency_us"]["p50"] > 0
    assert 0 < result["vectors"] <= result["items"]
    assert result["ranker_version"] >= 0
    assert result["freshness_ms"]["p50"] > 0
    assert ("answers" in result) is ("--secured" in how)
    # The score job, which saw impressions and clicks only, agrees with the client.
    board = result["scoreboard"].values()
    shown = sum(score["cases"] - score["shadow_cases"] for score in board)
    # An answer that came before its session's last click takes the place of the one before it.
    stale = result["stale_answers"]
    assert result["cases"] - stale <= shown <= result["cases"]
    hits = sum(s["cases"] * s["hit_rate"] for s in board if s["shadow_cases"] == 0)
    if stale == 0 and all(score["shadow_cases"] in (0, score["cases"]) for score in board):
        assert hits == pytest.approx(result["cases"] * result["hit_rate"], abs=0.5)
    eventually(lambda: children_of(tmp_path / "demo"), lambda left: not left, "all have ended")


def test_ctrl_c_in_mid_start_leaves_no_process(tmp_path):
    """Whoever stops a demo must find the machine as it was."""
    home = tmp_path / "stopped"
    argv = [sys.executable, "-m", "cli", "demo", "--home", str(home)]
    demo = subprocess.Popen(argv, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True)
    eventually(
        lambda: demo.poll() is not None or list(home.glob("logs/kafka.log")), bool, "Kafka's start"
    )
    demo.send_signal(signal.SIGINT)
    _, errors = demo.communicate(timeout=300)
    assert demo.returncode == 130
    assert "interrupted" in errors
    eventually(lambda: children_of(home), lambda left: not left, "all processes ended")
