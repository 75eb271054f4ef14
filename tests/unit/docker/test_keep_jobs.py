"""Who keeps the jobs of compose running: from their newest state, and only those that shall."""

from __future__ import annotations

import importlib.util
import os
import signal
import struct
import subprocess
import sys

import pytest

from cli.errors import CommandError
from cli.stack import job_state
from cli.stack.layout import PROJECT, PYTHON_PATH, Home, Ports
from settings.jobs import JobSettings
from settings.load import load
from tests.unit.cli.fake_flink import FakeFlink, serving
from tests.unit.docker.dockerfile import DOCKER, folders

FLINK = "jobmanager:8081"


def loaded():
    """The module, which is in no package."""
    spec = importlib.util.spec_from_file_location("keep_jobs", DOCKER / "jobs" / "keep_jobs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def keeper(monkeypatch, tmp_path):
    """The module; what it would submit is in ``submitted``, what Flink knows in ``jobs``."""
    module = loaded()
    assert str(module.HOME.root) in folders("jobs")
    module.jobs, module.submitted = [], []
    monkeypatch.setattr(module, "HOME", Home(tmp_path))
    monkeypatch.setattr(module.flink_rest, "known_jobs", lambda _: module.jobs)
    monkeypatch.setattr(module.subprocess, "run", lambda argv, check: module.submitted.append(argv))
    return module


@pytest.fixture
def settings(monkeypatch):
    monkeypatch.setenv("NEXTCLICK_KAFKA", "kafka:9092")
    monkeypatch.setenv("NEXTCLICK_TENANT", "shop")
    monkeypatch.setenv("NEXTCLICK_STATE_BACKEND", "rocksdb")
    return load(JobSettings)


@pytest.mark.parametrize(("asked", "code"), [("sessions", 0), ("learners", 1)])
def test_a_check_says_whether_the_jobs_run(asked, code):
    """Past the proxy for the way out, which Docker gives to each container that it starts."""
    proxy = {"http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    env = {**os.environ, "PYTHONPATH": PYTHON_PATH, **proxy}
    with serving(FakeFlink()) as flink:
        flink.runs("sessions")
        keeper = [sys.executable, DOCKER / "jobs" / "keep_jobs.py", asked, "--check"]
        done = subprocess.run([*keeper, "--flink", flink.address], env=env, check=False)
    assert done.returncode == code


def test_jobs_that_do_not_run_are_submitted_once(keeper, settings):
    """A JobManager that was started again knows none of them."""
    runs = {}
    keeper.jobs[:] = [
        {"jid": "1", "name": "shop.sessions", "state": "RUNNING"},
        {"jid": "2", "name": "learners", "state": "RUNNING"},
    ]
    keeper.look(["sessions", "learners"], FLINK, settings, runs)
    [argv] = keeper.submitted
    assert argv[-7:-2] == ["learners", "--kafka", "kafka:9092", "--tenant", "shop"]
    keeper.jobs.append({"jid": "3", "name": "shop.learners", "state": "CREATED"})
    keeper.look(["sessions", "learners"], FLINK, settings, runs)
    assert len(keeper.submitted) == 1
    keeper.jobs[:] = []
    keeper.look(["sessions", "learners"], FLINK, settings, runs)
    assert len(keeper.submitted) == 3


def test_a_job_that_somebody_has_cancelled_stays_away(keeper, settings):
    """It would be back within seconds, whatever the operator does."""
    runs = {}
    keeper.jobs[:] = [{"jid": "1", "name": "shop.sessions", "state": "RUNNING"}]
    keeper.look(["sessions"], FLINK, settings, runs)
    keeper.jobs[0]["state"] = "CANCELED"
    keeper.look(["sessions"], FLINK, settings, runs)
    assert keeper.submitted == []
    keeper.jobs[0]["state"] = "FAILED"
    keeper.look(["sessions"], FLINK, settings, runs)
    assert len(keeper.submitted) == 1


def test_a_job_resumes_from_its_newest_state(keeper, settings):
    """Else each restart of the JobManager would read the log from its beginning."""
    argv = keeper.submission("sessions", FLINK, settings)
    assert "--fromSavepoint" not in argv
    state = job_state.checkpoints(keeper.HOME, "shop.sessions", "rocksdb") / "run" / "chk-7"
    state.mkdir(parents=True)
    (state / "_metadata").write_bytes(struct.pack(">iiq", 0x4960672D, 6, 7))
    argv = keeper.submission("sessions", FLINK, settings)
    assert argv[argv.index("--fromSavepoint") + 1] == state.as_uri()
    assert f"-Dexecution.checkpointing.dir={state.parents[1].as_uri()}" in argv
    assert argv[argv.index("--jobmanager") + 1] == FLINK
    assert argv[argv.index("--python") + 1] == str(PROJECT / "streaming" / "jobs" / "sessions.py")


def test_learners_have_vectors_of_all_items_of_the_servers(keeper, settings, monkeypatch):
    """Items beyond the default would have none, and nobody would say so."""
    monkeypatch.setenv("NEXTCLICK_MAX_ITEMS", "1000000")
    assert keeper.submission("learners", FLINK, settings)[-2:] == ["--max-items", "1000000"]
    assert "--max-items" not in keeper.submission("sessions", FLINK, settings)


def test_a_job_that_cannot_be_submitted_keeps_no_other_from_it(keeper, settings, monkeypatch):
    """Nothing would learn while the state of the sessions job is missed."""
    submission = keeper.submission

    def refused(name, *args):
        if name == "sessions":
            raise CommandError("its state is gone")
        return submission(name, *args)

    monkeypatch.setattr(keeper, "submission", refused)
    keeper.look(["sessions", "learners"], FLINK, settings, {})
    [argv] = keeper.submitted
    assert "learners" in argv


def test_a_state_that_is_gone_can_be_passed_over(keeper, settings, monkeypatch):
    """After the loss of a volume, the job could never be submitted again."""
    state = job_state.savepoints(keeper.HOME, "shop.sessions") / "savepoint-1"
    state.mkdir()
    (state / "_metadata").write_bytes(struct.pack(">iiq", 0x4960672D, 6, 7))
    assert "--fromSavepoint" in keeper.submission("sessions", FLINK, settings)
    (state / "_metadata").unlink()
    with pytest.raises(CommandError, match="from-nothing"):
        keeper.submission("sessions", FLINK, settings)
    monkeypatch.setattr(sys, "argv", ["keep_jobs.py", "--from-nothing", "sessions"])
    keeper.main()
    assert "--fromSavepoint" not in keeper.submission("sessions", FLINK, settings)


def test_the_keeper_ends_when_it_is_told_to():
    """As the first process of a container it would ignore the signal, and be killed after 10 s."""
    nobody = f"127.0.0.1:{Ports.free().flink}"
    argv = [sys.executable, DOCKER / "jobs" / "keep_jobs.py", "sessions", "--flink", nobody]
    env = {**os.environ, "PYTHONPATH": PYTHON_PATH}
    with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True) as keeper:
        try:
            assert nobody in keeper.stderr.readline()  # it looks, and will again
            keeper.send_signal(signal.SIGTERM)
            assert keeper.wait(60) == 0
        finally:
            keeper.kill()
