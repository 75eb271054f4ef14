"""Child processes: detached from the terminal, identified by pid and time of creation."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import psutil

from cli import interrupt
from cli.errors import CommandError
from cli.stack.last_words import cause
from cli.stack.layout import Child

PR_SET_PDEATHSIG = 1

REASON_LINES = 80
"""Of a log, in which the reason is looked for: a trace of Java is long."""

STREAM, BEHIND = 5, 10
"""Niceness of the parts that process clicks, and of those that nobody waits for.

On one machine, answers have priority: at 200 clicks a second on two busy cores, the p95 of 200
answers a second was 22 ms without niceness and 4 ms with it.
"""

START_S = 300.0
"""For a part to start or to be paused, or a job to be accepted: it takes seconds, but minutes while
others keep the cores busy. A part that has died is noticed at once."""

_libc = ctypes.CDLL(None)


def die_with_parent() -> None:
    """End this process with SIGTERM when the thread that started it ends.

    To be called between fork and exec: a single system call without locks, safe beside threads.
    """
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def spawn(
    name: str,
    argv: list[str],
    log: Path,
    env: Mapping[str, str],
    *,
    bound: bool,
    niceness: int = 0,
) -> Child:
    """Start a process that writes to ``log``.

    Parameters
    ----------
    name
        For messages.
    argv
        Program and arguments.
    log
        Appended to.
    env
        Added to this process's environment.
    bound
        Whether it ends with the thread that starts it (then call this from the main thread
        only); otherwise it outlives this process.
    niceness
        How far it yields to other processes, 0..19.
    """
    interrupt.check()
    with log.open("ab") as out:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            start_new_session=True,
            preexec_fn=die_with_parent if bound else None,  # noqa: PLW1509
        )
    _started[process.pid] = process
    child = Child(name, process.pid, psutil.Process(process.pid).create_time())
    if niceness:
        give_way(child, niceness)
    return child


def give_way(child: Child, niceness: int) -> None:
    """Lower the priority of a process, and of all processes that it starts."""
    with contextlib.suppress(OSError):
        # Where the kernel groups processes by session, only the group's niceness counts.
        Path(f"/proc/{child.pid}/autogroup").write_text(str(niceness))
    with contextlib.suppress(psutil.NoSuchProcess):
        for thread in psutil.Process(child.pid).threads():
            with contextlib.suppress(OSError):  # the thread has ended meanwhile
                os.setpriority(os.PRIO_PROCESS, thread.id, niceness)


_started: dict[int, subprocess.Popen[bytes]] = {}


def find(child: Child) -> psutil.Process | None:
    """Return the child's process; None if it has ended or the pid belongs to another one."""
    started = _started.get(child.pid)
    if started is not None and started.poll() is not None:
        return None
    try:
        process = psutil.Process(child.pid)
        if abs(process.create_time() - child.created) > 1.0:
            return None
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def exit_of(child: Child) -> str:
    """Return how a child that has ended did: ``exit 1``, ``signal 9``; ``unknown`` if another's."""
    started = _started.get(child.pid)
    code = started.poll() if started is not None else None
    if code is None:
        try:
            # Its last threads may still be ending: it waits for them, a few milliseconds.
            _, status = os.waitpid(child.pid, 0)
        except ChildProcessError:
            return "unknown"
        code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"exit {code}"


def stop(children: Iterable[Child], grace_s: float = 10.0) -> None:
    """End processes: SIGTERM to all, SIGKILL to those still there after ``grace_s``."""
    processes = [p for child in children if (p := find(child)) is not None]
    for process in processes:
        _signal(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=grace_s)
    for process in alive:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=5)


def kill(child: Child) -> None:
    """End a process at once with SIGKILL."""
    process = find(child)
    if process is not None:
        _signal(process, signal.SIGKILL)
        psutil.wait_procs([process], timeout=5)


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def running(child: Child) -> psutil.Process:
    """Return a child's process.

    Raises
    ------
    CommandError
        If it has ended.
    """
    process = find(child)
    if process is None:
        raise CommandError(f"{child.name} has ended")
    return process


@contextlib.contextmanager
def paused(child: Child) -> Iterator[None]:
    """Stop a process with SIGSTOP for a while; entered once all of its threads have stopped."""
    process = running(child)
    process.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: _stopped(process), START_S, f"{child.name} stopped")
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def _stopped(process: psutil.Process) -> bool:
    """Return whether all threads have stopped: one that waits for a core goes on until then."""
    try:
        threads = [psutil.Process(thread.id) for thread in process.threads()]
        return all(thread.status() == psutil.STATUS_STOPPED for thread in threads)
    except psutil.NoSuchProcess:  # a thread has ended meanwhile
        return False


def wait_until(
    condition: Callable[[], bool],
    timeout_s: float,
    what: str,
    children: Iterable[tuple[Child, Path]] = (),
) -> None:
    """Wait until a condition holds.

    Parameters
    ----------
    condition
        Asked 20 times a second.
    timeout_s
        How long to wait.
    what
        What is waited for, for the message.
    children
        Processes with their logs, without which waiting is in vain.

    Raises
    ------
    CommandError
        If the time is over or a child has died.
    """
    deadline = time.monotonic() + timeout_s
    children = list(children)
    while not condition():
        interrupt.check()
        for child, log in children:
            if find(child) is None:
                why = cause(tail(log, REASON_LINES))
                raise CommandError(f"{child.name} has ended: {why}; its log is {log}")
        if time.monotonic() > deadline:
            logs = ", ".join(str(log) for _, log in children) or "no log"
            raise CommandError(f"{what}: not within {timeout_s:.0f} s; see {logs}")
        time.sleep(0.05)


def tail(log: Path, lines: int = 12) -> str:
    """Return the last lines of a log."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
