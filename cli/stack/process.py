"""Child processes: detached from the terminal, identified by pid and time of creation."""

from __future__ import annotations

import contextlib
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

_WHEN_RECORDED = ["/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "sh"]
"""Becomes the program in the arguments after a line of input; ends with the input."""

_GO_ON_WHEN_ENDED = ["/bin/sh", "-c", 'read -r _; kill -CONT "$1"', "sh"]
"""Lets the process in the argument go on at the end of the input."""

_WHILE_PARENT_LIVES = ["/bin/sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"']
"""Becomes the program in the arguments after the first one, which is the parent's id."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def dying_with_parent(argv: list[str]) -> list[str]:
    """Return the arguments of a program that gets SIGTERM when the thread that starts it ends.

    A `preexec_fn` would have Python call fork, with the handlers that gRPC has for it: they can
    lose the answers to calls that are on their way.
    """
    signalled = ["setpriv", "--pdeathsig", "TERM", "--"]
    return [*signalled, *_WHILE_PARENT_LIVES, str(os.getpid()), *argv]


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
        only); otherwise it outlives this process, and waits for `go`.
    niceness
        How far it yields to other processes, 0..19.
    """
    interrupt.check()
    reading, writing = (None, None) if bound else os.pipe()
    with log.open("ab") as out:
        process = subprocess.Popen(
            dying_with_parent(argv) if bound else [*_WHEN_RECORDED, *argv],
            stdin=subprocess.DEVNULL if reading is None else reading,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            start_new_session=True,
        )
    _started[process.pid] = process
    if reading is not None and writing is not None:
        os.close(reading)
        _waiting[process.pid] = writing
    child = child_of(name, process.pid)
    if niceness:
        give_way(child, niceness)
    return child


def go(child: Child) -> None:
    """Let a process that was spawned become its program, now that it is recorded.

    Whoever spawned it may be killed at any moment: what is not recorded then ends by itself.
    """
    writing = _waiting.pop(child.pid, None)
    if writing is not None:
        with contextlib.suppress(BrokenPipeError):  # it was killed meanwhile
            os.write(writing, b"\n")
        os.close(writing)


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
_waiting: dict[int, int] = {}
"""Open files by which spawned processes are told to go on, by pid."""


def child_of(name: str, pid: int) -> Child:
    """Return a process as a part of the stack."""
    return Child(name, pid, psutil.Process(pid).create_time(), start_of(pid))


def start_of(pid: int) -> str:
    """Return the boot, and the clock tick since then, at which a process was started.

    Its time of creation is counted from the time of the boot, which moves whenever somebody sets
    the clock: by that time, no part would be found any more.

    Raises
    ------
    psutil.NoSuchProcess
        If there is none.
    """
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2]
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    return f"{_BOOT_ID.read_text().strip()}:{after_name.split()[19]}"


def find(child: Child) -> psutil.Process | None:
    """Return the child's process; None if it has ended or the pid belongs to another one."""
    started = _started.get(child.pid)
    if started is not None and started.poll() is not None:
        return None
    try:
        process = psutil.Process(child.pid)
        if child.started:
            same = start_of(child.pid) == child.started
        else:
            same = abs(process.create_time() - child.created) <= 1.0
        if not same:
            return None
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def argv_of(child: Child) -> list[str]:
    """Return a child's program and arguments, empty if it has ended."""
    process = find(child)
    try:
        return process.cmdline() if process else []
    except psutil.NoSuchProcess:
        return []


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
    """Stop a process with SIGSTOP for a while; entered once all of its threads have stopped.

    It goes on even if this process is killed meanwhile.
    """
    process = running(child)
    with _continued_at_the_end(process):
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: _stopped(process), START_S, f"{child.name} stopped")
        yield


@contextlib.contextmanager
def _continued_at_the_end(process: psutil.Process) -> Iterator[None]:
    """Let a stopped process go on afterwards, or when this process has ended, however it ends."""
    guard = subprocess.Popen(
        [*_GO_ON_WHEN_ENDED, str(process.pid)], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield
    finally:
        _signal(process, signal.SIGCONT)
        guard.communicate()  # ends its input


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
            logs = ", ".join(str(log) for _, log in children)
            see = f"; see {logs}" if logs else ""
            raise CommandError(f"{what}: not within {timeout_s:.0f} s{see}")
        time.sleep(0.05)


def tail(log: Path, lines: int = 12) -> str:
    """Return the last lines of a log."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
