"""Which state a job resumes from: the newest whole one, whatever became of the runs after it."""

import os
import shutil
import struct

import pytest

from cli.errors import CommandError
from cli.stack import job_state
from cli.stack.layout import Home


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def saved(folder, number, whole=True):
    """Make a checkpoint or savepoint of a number, on a clock that goes back with each."""
    folder.mkdir(parents=True)
    if whole:
        (folder / "_metadata").write_bytes(struct.pack(">iiq", 0x4960672D, 6, number) + b"x")
        os.utime(folder / "_metadata", (2_000 - number, 2_000 - number))
    return folder


def run(home, number):
    return job_state.checkpoints(home, "sessions") / f"{number:032x}"


def test_runs_without_a_checkpoint_hide_no_state(home):
    """`down` or a crash within 10 s of the start made the next `up` start from nothing."""
    whole = saved(run(home, 1) / "chk-7", 7)
    saved(run(home, 2) / "chk-8", 8, whole=False)
    run(home, 3).mkdir()
    (saved(run(home, 4) / "chk-8", 8, whole=False) / "_metadata").touch()
    assert job_state.to_resume(home, "sessions") == whole.as_uri()


def test_the_newest_of_all_runs_and_savepoints_counts(home):
    """An older one would learn, and number sessions, again; the clock may be set back."""
    saved(run(home, 2) / "chk-900", 900)
    saved(run(home, 1) / "chk-1003", 1_003)
    newest = saved(job_state.savepoints(home, "sessions") / "savepoint-1", 1_004)
    saved(job_state.checkpoints(home, "learners") / "f" / "chk-1100", 1_100)
    assert job_state.to_resume(home, "sessions") == newest.as_uri()


def test_a_job_that_has_never_had_a_state_starts(home):
    """The first start in an empty folder, and one after a first start that failed."""
    assert job_state.to_resume(home, "sessions") == ""
    run(home, 1).mkdir()
    assert job_state.to_resume(home, "sessions") == ""


def test_a_state_that_is_gone_is_an_error(home):
    """Starting from nothing without a word loses what was learned."""
    state = saved(run(home, 1) / "chk-7", 7)
    assert job_state.to_resume(home, "sessions") == state.as_uri()
    (state / "_metadata").unlink()
    with pytest.raises(CommandError, match=r"chk-7.*--from-nothing"):
        job_state.to_resume(home, "sessions")
    assert job_state.to_resume(home, "sessions", from_nothing=True) == ""


def test_a_start_from_nothing_passes_over_all_states_of_before(home):
    """Its checkpoints count from 1 again: it must not go on from a higher one of before."""
    saved(run(home, 3) / "chk-100", 100)
    saved(job_state.savepoints(home, "sessions") / "savepoint-1", 99)
    assert job_state.to_resume(home, "sessions", from_nothing=True) == ""
    second = saved(run(home, 2) / "chk-1", 1)
    assert job_state.to_resume(home, "sessions") == second.as_uri()
    assert job_state.to_resume(home, "sessions", from_nothing=True) == ""
    third = saved(run(home, 1) / "chk-1", 1)
    assert job_state.to_resume(home, "sessions") == third.as_uri()
    for number in range(4, 7):
        saved(run(home, number) / "chk-2", number)
    job_state.prune(home, "sessions")
    left = sorted(job_state.checkpoints(home, "sessions").iterdir())
    assert left == [run(home, number) for number in (4, 5, 6)]


@pytest.mark.parametrize("states", ["there", "gone"])
def test_a_run_from_nothing_that_died_at_once_is_followed_by_another(home, states):
    """A JobManager killed within 10 s brought the states back that the operator had rejected."""
    rejected = saved(run(home, 1) / "chk-100", 100)
    saved(job_state.savepoints(home, "sessions") / "savepoint-1", 99)
    assert job_state.to_resume(home, "sessions") == rejected.as_uri()
    if states == "gone":
        shutil.rmtree(home.root / "flink")
    assert job_state.to_resume(home, "sessions", from_nothing=True) == ""
    run(home, 2).mkdir(parents=True)
    job_state.note(home, "sessions")
    assert job_state.newest(home, "sessions") is None
    assert job_state.to_resume(home, "sessions") == ""
    own = saved(run(home, 2) / "chk-1", 1)
    assert job_state.to_resume(home, "sessions") == own.as_uri()
    (own / "_metadata").unlink()
    with pytest.raises(CommandError, match=r"chk-1\).*--from-nothing"):
        job_state.to_resume(home, "sessions")


def test_the_state_of_the_version_before_is_found(home):
    """It kept all runs in one folder, and the id of the last in a file."""
    state = saved(home.path("flink", "checkpoints") / "abc" / "chk-2", 2)
    (home.root / "flink" / "sessions.job").write_text("abc")
    assert job_state.to_resume(home, "sessions") == state.as_uri()
    newer = saved(run(home, 1) / "chk-3", 3)
    assert job_state.to_resume(home, "sessions") == newer.as_uri()
    (state / "_metadata").unlink()
    (newer / "_metadata").unlink()
    with pytest.raises(CommandError, match="--from-nothing"):
        job_state.to_resume(home, "sessions")


def test_a_checkpoint_is_read_only_by_the_backend_that_wrote_it(home):
    """Flink would take the job, and fail to restore it once a second for ever."""
    saved(job_state.checkpoints(home, "sessions", "rocksdb") / "f" / "chk-1", 1)
    heap = saved(run(home, 1) / "chk-7", 7)
    assert job_state.to_resume(home, "sessions", "heap") == heap.as_uri()
    wanted = r"backend heap.*rocksdb cannot.*STATE_BACKEND=heap.*jobs stop sessions.*--from-nothing"
    with pytest.raises(CommandError, match=wanted):
        job_state.to_resume(home, "sessions", "rocksdb")
    assert job_state.to_resume(home, "sessions", "rocksdb", from_nothing=True) == ""
    savepoint = saved(job_state.savepoints(home, "sessions") / "savepoint-1", 8)
    for backend in ("heap", "rocksdb"):
        assert job_state.to_resume(home, "sessions", backend) == savepoint.as_uri()


def test_pruning_bounds_the_disk_and_keeps_the_newest_states(home):
    """A year of restarts must not fill the disk, nor failed ones push out the last state."""
    for number in range(8):
        saved(run(home, number) / "chk-1", 100 + number)
    for number in range(8, 20):
        saved(run(home, number) / "chk-1", 0, whole=False)
    savepoint = saved(job_state.savepoints(home, "sessions") / "savepoint-1", 1)
    job_state.prune(home, "sessions")
    left = sorted(job_state.checkpoints(home, "sessions").iterdir())
    assert left == [run(home, number) for number in (5, 6, 7)]
    assert savepoint.exists()
