"""Who keeps the jobs of compose running: from their newest state, and only those that shall."""

from __future__ import annotations

import importlib.util
import struct

import pytest

from cli.stack import job_state
from cli.stack.layout import PROJECT, Home
from settings.jobs import JobSettings
from settings.load import load
from tests.unit.docker.dockerfile import DOCKER, folders

FLINK = "jobmanager:8081"


@pytest.fixture
def keeper(monkeypatch, tmp_path):
    """The module; what it would submit is in ``submitted``, what Flink knows in ``jobs``."""
    spec = importlib.util.spec_from_file_location("keep_jobs", DOCKER / "jobs" / "keep_jobs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert str(module.HOME.root) in folders("jobs")
    module.jobs, module.submitted = [], []
    monkeypatch.setattr(module, "HOME", Home(tmp_path))
    monkeypatch.setattr(module, "known_jobs", lambda _: module.jobs)
    monkeypatch.setattr(module.subprocess, "run", lambda argv, check: module.submitted.append(argv))
    return module


@pytest.fixture
def settings(monkeypatch):
    monkeypatch.setenv("NEXTCLICK_KAFKA", "kafka:9092")
    monkeypatch.setenv("NEXTCLICK_TENANT", "shop")
    monkeypatch.setenv("NEXTCLICK_STATE_BACKEND", "rocksdb")
    return load(JobSettings)


def test_jobs_that_do_not_run_are_submitted_once(keeper, settings):
    """A JobManager that was started again knows none of them."""
    runs = {}
    keeper.jobs[:] = [
        {"jid": "1", "name": "shop.sessions", "state": "RUNNING"},
        {"jid": "2", "name": "learners", "state": "RUNNING"},
    ]
    keeper.look(["sessions", "learners"], FLINK, settings, runs)
    [argv] = keeper.submitted
    assert argv[-5:] == ["learners", "--kafka", "kafka:9092", "--tenant", "shop"]
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
