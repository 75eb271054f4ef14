"""The saved states of the Flink jobs: which one a run resumes from, and which may be deleted.

A job has a folder of checkpoints for each state backend, with one folder a run, and a folder of
savepoints. A run that ended before its first checkpoint, however it ended, leaves no whole state
there, so the next run resumes from that of an earlier one. A checkpoint can be read by the backend
that wrote it only, a savepoint of `nextclick jobs stop` by both.

Which state is the newest is told by their numbers, not by the clock, which may be set back: Flink
counts the checkpoints and savepoints of a run, and a run that resumes from one counts on from it.
One that starts from nothing counts from 1 again: all states of before are recorded as passed over,
and no run resumes from them any more.
"""

from __future__ import annotations

import json
import math
import shutil
import struct
from pathlib import Path
from typing import get_args

from cli.errors import CommandError
from cli.stack.layout import Home
from settings.jobs import StateBackend

KEPT_RUNS = 3
"""Runs of a job whose last state is kept. A run keeps one checkpoint."""

_HEAD = struct.Struct(">iiq")
"""How the metadata of a state begins: a mark, the version of the format, the state's number."""


def checkpoints(home: Home, name: str, backend: StateBackend = "heap") -> Path:
    """Return the folder of a job's checkpoints by a state backend, a folder a run."""
    folder = "checkpoints" if backend == "heap" else f"checkpoints-{backend}"
    return home.path("flink", folder, name)


def savepoints(home: Home, name: str) -> Path:
    """Return the folder of a job's savepoints."""
    return home.path("flink", "savepoints", name)


def newest(home: Home, name: str) -> Path | None:
    """Return the newest whole state of a job that is not passed over, None if there is none."""
    passed_over = _passed_over(home, name)
    states = (s for s in _whole(home, name) if passed_over.keys().isdisjoint(_names(s)))
    return max(states, key=_number, default=None)


def note(home: Home, name: str) -> None:
    """Record the newest state, so that it is missed should it disappear."""
    state = newest(home, name)
    record = _record(home, name)
    if state is None or (record.exists() and record.read_text() == state.as_uri()):
        return
    _replace(record, state.as_uri())


def to_resume(
    home: Home, name: str, backend: StateBackend = "heap", *, from_nothing: bool = False
) -> str:
    """Return the URI of the state that the next run of a job resumes from.

    Parameters
    ----------
    home
        Folder of the stack.
    name
        The job.
    backend
        The state backend that it is to run with.
    from_nothing
        Pass over all states, for this run and all that come.

    Returns
    -------
    str
        The newest state; empty if the job has had none since it last started from nothing.

    Raises
    ------
    CommandError
        If the job has had a state since then that is gone, or the backend cannot read it.
    """
    if from_nothing:
        _pass_over(home, name)
        return ""
    note(home, name)
    state = newest(home, name)
    if state is not None:
        _check_readable(home, name, state, backend)
        return state.as_uri()
    record, last = _record(home, name), ""
    if record.exists():
        last = record.read_text()
    elif _marker(home, name).exists():
        last = str(checkpoints(home, name))
    if not last:
        return ""
    raise CommandError(
        f"the job {name} has had a state in {home.root}, but none is there any more (the last one "
        f"was {last}); put its folder back, or let the job start from nothing, at the beginning "
        "of the log, with --from-nothing"
    )


def prune(home: Home, name: str) -> None:
    """Delete the runs without a whole state and all but the last `KEPT_RUNS` others.

    Call it while the job does not run. Savepoints stay.
    """
    passed_over = _passed_over(home, name)
    runs = {run: states for run in _runs(home, name) if (states := _whole_of(run))}
    order = {
        run: (passed_over.get(run.name, math.inf), max(map(_number, states)))
        for run, states in runs.items()
    }
    kept = sorted(order, key=order.__getitem__)[-KEPT_RUNS:]
    for run in _runs(home, name):
        if run not in kept:
            shutil.rmtree(run, ignore_errors=True)


def _check_readable(home: Home, name: str, state: Path, backend: StateBackend) -> None:
    for other in get_args(StateBackend):
        if other != backend and state.is_relative_to(checkpoints(home, name, other)):
            raise CommandError(
                f"the newest state of the job {name} is a checkpoint of the state backend {other}, "
                f"which {backend} cannot read ({state}). Let the job run once more with "
                f"NEXTCLICK_STATE_BACKEND={other} and end it with `nextclick jobs stop {name}`: "
                f"its savepoint can be read by both. Or let it start from nothing, at the "
                "beginning of the log, with --from-nothing"
            )


def _record(home: Home, name: str) -> Path:
    """Return the file with the newest state's URI; empty: none since a start from nothing."""
    # Not in the folder of Flink, with which it would disappear.
    return home.root / "job-states" / name


def _marker(home: Home, name: str) -> Path:
    """Return the file in which the version before kept the id of the job's last run."""
    return home.root / "flink" / f"{name}.job"


def _runs(home: Home, name: str) -> list[Path]:
    folders = [checkpoints(home, name, backend) for backend in get_args(StateBackend)]
    runs = [run for folder in folders for run in folder.iterdir() if run.is_dir()]
    marker = _marker(home, name)
    if marker.exists():
        before = home.root / "flink" / "checkpoints" / marker.read_text()
        runs += [before] if before.is_dir() else []
    return runs


def _whole(home: Home, name: str) -> list[Path]:
    saved = [state for state in savepoints(home, name).iterdir() if _is_whole(state)]
    return saved + [state for run in _runs(home, name) for state in _whole_of(run)]


def _whole_of(run: Path) -> list[Path]:
    return [state for state in run.glob("chk-*") if _is_whole(state)]


def _is_whole(state: Path) -> bool:
    """Whether a checkpoint is complete: Flink writes its metadata last."""
    return _number(state) > 0


def _number(state: Path) -> int:
    """Return the number of a state, from 1; 0 if it is not whole."""
    try:
        with (state / "_metadata").open("rb") as file:
            head = file.read(_HEAD.size)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return int(_HEAD.unpack(head)[2]) if len(head) == _HEAD.size else 0


def _names(state: Path) -> tuple[str, str]:
    """Return the names by which a state may be passed over: a savepoint's, and a run's."""
    return state.name, state.parent.name


def _passed_over(home: Home, name: str) -> dict[str, int]:
    """Return, by name of a run or a savepoint, which start from nothing was the first after it."""
    record = _passed_over_record(home, name)
    return dict(json.loads(record.read_text())) if record.exists() else {}


def _pass_over(home: Home, name: str) -> None:
    before = _passed_over(home, name)
    number = max(before.values(), default=0) + 1
    there = [*_runs(home, name), *savepoints(home, name).iterdir()]
    passed_over = {path.name: before.get(path.name, number) for path in there}
    _replace(_passed_over_record(home, name), json.dumps(passed_over))
    _replace(_record(home, name), "")  # none of them is missed


def _passed_over_record(home: Home, name: str) -> Path:
    return _record(home, name).with_suffix(".passed-over")


def _replace(record: Path, text: str) -> None:
    record.parent.mkdir(exist_ok=True)
    temporary = record.with_name(f"{record.name}.tmp")
    temporary.write_text(text)
    temporary.replace(record)
