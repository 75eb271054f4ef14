"""Jobs on a Flink that is not ours: what it is given, and what is told when it cannot take them."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.stack import flink, job_packages, other_flink
from cli.stack.flink_settings import cluster_settings, job_settings
from cli.stack.layout import Home, Ports
from streaming.jobs.arguments import Sent, job_parser, sent
from tests.command import ENVIRONMENT
from tests.unit.cli.fake_flink import JOB_ID, SAVEPOINT, Client, FakeFlink, serving
from tests.unit.cli.mistakes import check

STATES = "s3://bucket/jobs"
OURS = {"flink-sql-connector-kafka-5.0.0-2.2.jar", "nextclick-flink-0.1.0.jar"}


@pytest.fixture
def other():
    """A Flink that takes a job."""
    with serving(FakeFlink()) as other:
        yield other


@pytest.fixture
def client(monkeypatch, tmp_path):
    """Flink's client and our jars; what a submission leaves lies in ``left``."""
    for name in OURS:
        (tmp_path / "jars" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "jars" / name).touch()
    (tmp_path / "left").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "left"))
    monkeypatch.setattr(flink, "flink_home", lambda: tmp_path / "flink")
    monkeypatch.setattr(flink, "java_home", lambda: "/java")
    monkeypatch.setattr(job_packages, "write", Path.touch)
    for module in (flink, other_flink):
        monkeypatch.setattr(module, "FLINK_JARS", tmp_path / "jars")
    return Client(tmp_path / "flink")


@pytest.fixture
def submit(mistaken, other):
    """A function that submits the sessions job there; exit code, and what it says."""

    def run(*words, states=STATES):
        place = ["--states", states] if states else []
        return mistaken("jobs", "submit", "sessions", "--flink", other.address, *place, *words)

    return run


def printed(*words):
    """What a command prints that succeeds."""
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_flink_is_asked_without_the_proxy_for_the_way_out(other):
    """Many companies set one for every shell and container: no Flink would answer, the stack's own
    neither. ``no_proxy`` that names this machine is often missing."""
    program = (
        f"from cli.stack import flink_rest; print(flink_rest.rest({other.address!r}, 'overview'))"
    )
    env = ENVIRONMENT | {"http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(other.overview)


def test_a_job_goes_on_elsewhere_from_its_savepoint(client, other, tmp_path):
    """Without its state it would read the log again; with that of the tenant, it goes on."""
    words = ("--from", SAVEPOINT, "--kafka", "broker:9092", "--tenant", "shop", "--states", STATES)
    said = printed("jobs", "submit", "sessions", "--flink", other.address, *words)
    assert said == f"shop.sessions runs as {JOB_ID}\n"
    assert client.after("-s") == [SAVEPOINT]
    assert client.after("-pyexec") == ["/opt/nextclick/.venv/bin/python"]
    assert client.after("-pyclientexec") == [sys.executable]
    assert client.words[client.words.index("sessions") :][:5] == [
        *("sessions", "--kafka", "broker:9092", "--tenant", "shop")
    ]
    host, port = other.address.split(":")
    assert client.config["rest"] == {"address": host, "port": int(port)}
    assert list((tmp_path / "left").iterdir()) == []


def test_a_job_is_given_what_it_depends_on(submit, client, tmp_path):
    """A cluster without checkpoints, or that gives up after a restart, would lose its state."""
    assert submit("--from-nothing")[0] == 0
    places = (f"{STATES}/checkpoints/sessions", f"{STATES}/savepoints/sessions")
    needed = job_settings(*places, python="/opt/nextclick/.venv/bin/python")
    assert {name: client.config[name] for name in needed} == needed
    assert needed["execution"]["checkpointing"]["interval"] == "10 s"
    assert needed["execution"]["buffer-timeout"] == {"interval": "0 ms"}
    assert needed["pipeline"]["object-reuse"]
    ours = cluster_settings(Home(tmp_path / "home"), Ports())
    for name in ("restart-strategy", "pipeline", "parallelism"):
        assert ours[name] == needed[name]
    assert client.after("-s") == []


@pytest.mark.parametrize("there", [set(), {"nextclick-flink-0.1.0.jar"}, OURS])
def test_jars_are_sent_that_the_cluster_lacks(submit, client, other, there):
    """The same class from two jars is two classes."""
    other.jars += there
    assert submit("--from-nothing")[0] == 0
    assert {Path(jar).name for jar in client.after("--jar")} == OURS - there


def test_packages_are_sent_if_told(submit, client):
    """The image has them, or the interpreter has only what Flink needs."""
    assert submit("--from-nothing")[0] == 0
    assert client.after("--packages") == []
    assert submit("--from-nothing", "--packages", "send")[0] == 0
    assert client.after("-pyexec") == ["python3"]
    assert [Path(path).name for path in client.after("--packages")] == ["nextclick-packages.zip"]
    assert submit("--from-nothing", "--packages", "send", "--python", "/opt/python")[0] == 0
    assert client.after("-pyexec") == ["/opt/python"]


def test_the_folder_of_states_may_be_a_setting(submit, client, monkeypatch):
    """It is the same for all jobs."""
    check(submit("--from-nothing", states=""), "give --states, or set NEXTCLICK_JOB_STATES")
    monkeypatch.setenv("NEXTCLICK_JOB_STATES", "file:///mnt/jobs/")
    assert submit("--from-nothing", states="")[0] == 0
    checkpointing = client.config["execution"]["checkpointing"]
    assert checkpointing["dir"] == "file:///mnt/jobs/checkpoints/sessions"


def old(other):
    other.overview["flink-version"] = "1.20.2"


def full(other):
    other.overview["slots-available"] = 0


def plain(other):
    other.jars.remove("flink-python-2.3.0.jar")


UNFIT = {
    old: "is of version 1.20.2, these jobs are for 2.3.0; give the address",
    full: "has no free slot, of 2; start one more TaskManager",
    plain: "has no flink-python-2.3.0.jar in its lib ... copy it there from opt",
}


@pytest.mark.parametrize("change", UNFIT)
def test_a_flink_that_cannot_take_a_job_is_told_before(submit, client, other, change):
    """Its own errors are stack traces, or a job that restarts for ever."""
    change(other)
    check(submit("--from-nothing"), f"the Flink at {other.address} {UNFIT[change]}")
    assert client.words == []


def test_a_flink_that_starts_taskmanagers_by_itself_needs_no_free_slot(submit, client, other):
    """On Kubernetes it has none before a job asks for one."""
    full(other)
    other.settings = [{"key": "kubernetes.cluster-id", "value": "shop"}]
    assert submit("--from-nothing")[0] == 0


@pytest.mark.parametrize("verb", ["submit", "stop", "list"])
def test_an_address_without_a_flink_is_told(mistaken, verb):
    """A mistyped port, or the RPC port."""
    address = f"127.0.0.1:{Ports.free().flink}"
    words = {"submit": ["sessions", "--from-nothing"], "stop": ["sessions"], "list": []}[verb]
    said = mistaken("jobs", verb, *words, "--flink", address)
    check(said, f"no Flink answers at {address}: ... port 8081")


@pytest.mark.parametrize("said", [[], {}, "jobs", {"detail": "Not Found"}])
def test_another_service_is_not_taken_for_a_flink(mistaken, other, said):
    """Some answer any path with 200 and JSON."""
    other.answers = lambda: {"jobs/overview": said}
    words = ("jobs", "list", "--flink", other.address)
    check(mistaken(*words), f"no Flink answers at {other.address}")


def test_a_flink_that_goes_away_meanwhile_is_told(submit, client, other):
    """Its JobManager is restarted, say."""
    other.overview = None
    check(submit("--from-nothing"), f"no Flink answers at {other.address}")


@pytest.mark.parametrize("address", ["flink", "http://flink:8081", "flink:port", ""])
def test_a_mistyped_address_is_told(mistaken, address):
    """What it looks like is said."""
    check(mistaken("jobs", "list", "--flink", address), "give HOST:PORT")


def test_a_savepoint_that_is_not_there_is_told(submit, client, other, tmp_path):
    """Flink says so in the midst of a hundred lines."""
    client.refuse(
        "org.apache.flink.FlinkException: no\n\tat a.B(B.java:1)\nCaused by: java.io."
        f"FileNotFoundException: Cannot find checkpoint or savepoint file/directory '{SAVEPOINT}' "
        "on file system 's3'.\n\t... 9 more\n"
    )
    said = submit("--from", SAVEPOINT)
    check(said, f"the Flink at {other.address} finds no savepoint at {SAVEPOINT}; --from takes")


def test_of_a_refused_job_all_that_flink_said_is_kept(submit, client, tmp_path):
    """The sentence has its last cause only; packages and jars are not left behind."""
    client.refuse("Exception: no\n\tat a.B(B.java:1)\nCaused by: a.NoRoom: the disk is full\n")
    said = submit("--from-nothing", "--packages", "send")
    check(said, "has not accepted the job sessions: a.NoRoom: the disk is full; all that it said")
    [log] = [path for path in (tmp_path / "left").rglob("*") if path.is_file()]
    assert log.name == "submission-sessions.log"
    assert str(log) in "".join(said[1].split())
    assert "at a.B" in log.read_text()


def test_a_job_that_fails_again_and_again_is_told_with_its_cause(submit, client, other):
    """It took five minutes to say that it does not run, and did not say why."""
    why = "Exception: no\n\tat a.B(B.java:1)\nCaused by: a.Missing: bin/java\n\tat c.D(D.java:2)\n"
    other.failures = 3 * [why]
    said = submit("--from-nothing")
    check(said, "the job sessions is on ... but fails again and again: a.Missing: bin/java")


def test_an_empty_savepoint_is_not_taken_for_none(submit, client):
    """A script's variable that was never set would be a job that begins anew."""
    check(submit("--from", ""), "--from is empty")
    assert client.words == []


@pytest.mark.parametrize("words", [(), ("--from", SAVEPOINT, "--from-nothing")])
def test_it_is_said_where_a_job_begins(submit, client, words):
    """Another cluster does not know, and a wrong guess is a job that begins anew."""
    check(submit(*words), "give --from ... or --from-nothing")
    assert client.words == []


def test_a_tenants_job_runs_once_and_beside_those_of_others(submit, client, other):
    """Their names in Flink differ by the tenant."""
    other.runs("shop.sessions")
    said = submit("--from-nothing", "--tenant", "shop")
    check(
        said,
        f"shop.sessions runs already, as {JOB_ID}; `nextclick jobs stop sessions --tenant shop "
        f"--flink {other.address}`",
    )
    for tenant in ("", "shop2", "sessions"):
        assert submit("--from-nothing", "--tenant", tenant)[0] == 0


FOR_ANOTHER = ("--kafka b:9092", "--states s3://b", "--from s3://b/s", "--packages send")


@pytest.mark.parametrize("words", FOR_ANOTHER)
def test_options_for_another_flink_are_not_ignored(mistaken, pretended, words):
    """The stack's own job would run on other brokers than was meant."""
    said = mistaken("jobs", "submit", "sessions", *words.split())
    check(said, f"{words.split()[0]} is for a Flink of your own: give --flink as well")


def test_a_job_elsewhere_is_stopped_with_a_savepoint(mistaken, other):
    """Its URI is printed, for the submission that goes on from it."""
    words = ("jobs", "stop", "sessions", "--flink", other.address, "--states", STATES)
    check(mistaken(*words), f"sessions does not run at {other.address} ... `nextclick jobs list")
    other.runs("sessions")
    said = json.loads(printed(*words, "--json"))
    assert said == {"name": "sessions", "savepoint": SAVEPOINT}
    order = other.posted[f"jobs/{JOB_ID}/stop"]
    assert order["targetDirectory"] == f"{STATES}/savepoints/sessions"
    assert order["formatType"] == "CANONICAL"
    assert not order["drain"]


def test_jobs_are_listed_by_tenant(other):
    """Two shops share the cluster; `sessions` of one is not that of the other."""
    for name in ("sessions", "shop.sessions", "shop.learners"):
        other.runs(name)

    def listed(*words):
        said = printed("jobs", "list", "--flink", other.address, "--json", *words)
        return [job["name"] for job in json.loads(said)["jobs"]]

    assert listed() == ["sessions", "shop.sessions", "shop.learners"]
    assert listed("--tenant", "shop") == ["shop.sessions", "shop.learners"]
    assert listed("--tenant", "") == ["sessions"]


def test_a_job_reads_what_is_sent_along():
    """The arguments of its module are those that the command gives it."""
    words = ["sessions", "--kafka", "b:9092", "--jar", "file:///a.jar", "--jar", "file:///b.jar"]
    assert sent(job_parser(None).parse_args(words)) == Sent(("file:///a.jar", "file:///b.jar"))
    args = job_parser(None).parse_args([*words[:3], "--packages", "/tmp/p.zip"])
    assert sent(args) == Sent((), "/tmp/p.zip")


IMPORTS = """
import importlib, sys
from importlib.metadata import packages_distributions
from pkgutil import resolve_name
from cli.stack import job_packages
there = job_packages.closure([*job_packages.REQUIRED, job_packages.FLINK])
owners = packages_distributions().items()
for name in [m for m, names in owners if there.isdisjoint(map(job_packages.normal, names))]:
    sys.modules[name] = None  # as if it were not installed
for name in [m for m in sys.modules if m.partition(".")[0] in (*job_packages.OURS, "nextclick")]:
    del sys.modules[name]
from streaming.jobs.registry import JOBS
for job in JOBS.values():
    importlib.import_module(job.module)
    for part in job.parts:
        resolve_name(part.hosts)
"""


def test_what_the_jobs_import_is_sent_or_comes_with_flink():
    """On the cluster's interpreter a job would fail with a module that is not there."""
    code = [sys.executable, "-c", IMPORTS]
    done = subprocess.run(code, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr


def test_the_archive_has_the_project_and_what_flink_does_not_bring():
    """Compiled libraries too; PyFlink itself would be a second one."""
    names = [name for name, _ in job_packages.files()]
    assert len(names) == len(set(names))
    assert {
        "streaming/jobs/sessions.py",
        "streaming/tasks/vectors.py",
        "nextclick/v1/session_pb2.py",
        "settings/load.py",
        "numba/__init__.py",
    } <= set(names)
    assert any(name.startswith("llvmlite/binding/") and name.endswith(".so") for name in names)
    assert not [name for name in names if name.startswith(("pyflink", "pemja", "numpy/", "cli/"))]
