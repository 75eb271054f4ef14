"""Watches over the parts of a stack, and starts again what has died.

``nextclick up`` becomes this process when the stack is SERVING:
``python -m cli.stack.supervisor HOME FILE``, where FILE is the open lock of the folder. Another
process, the standby, waits for the lock: when the supervisor dies, the kernel gives it the lock,
and it becomes the supervisor. The supervisor watches over its standby as over any other part.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cli.errors import CommandError
from cli.sentences import sentence_of
from cli.stack import watch_record
from cli.stack.backoff import Backoff
from cli.stack.job_keeper import JobKeeper
from cli.stack.layout import Home
from cli.stack.parts import STANDBY, SUPERVISOR, Part, parts_of, start_standby
from cli.stack.process import STREAM, child_of, exit_of, find, give_way, kill, tail
from cli.stack.stack import Stack
from cli.stack.watch_record import Deaths
from settings.load import load
from settings.log_lines import log_to_stderr
from settings.store import StoreSettings

log = logging.getLogger("nextclick.supervisor")

LOOK_S, JOBS_LOOK_S, LOGS_LOOK_S = 0.25, 2.0, 10.0

FAILED_S = 5.0
"""Pause after a look that has failed: each writes a line to the log."""


class Supervisor:
    """Starts parts again when they have died.

    Parameters
    ----------
    stack
        The running stack.
    parts
        What to watch over, by name.
    clock
        Returns monotonic seconds.
    """

    def __init__(
        self,
        stack: Stack,
        parts: Mapping[str, Part],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stack = stack
        self._parts = parts
        self._clock = clock
        self._deaths = watch_record.read(stack.home)
        self._started = dict.fromkeys(parts, clock())
        self._due: dict[str, float] = {}
        self._looked_at_logs = clock()

    def look(self) -> None:
        """Notice parts that have died, start those that are due, and keep logs short."""
        if self._clock() - self._looked_at_logs >= LOGS_LOOK_S:
            self._looked_at_logs = self._clock()
            self._stack.home.rotate_logs()
        for name in self._parts:
            if name in self._due:
                if self._clock() >= self._due[name]:
                    self._start_again(name)
                continue
            child = self._stack.find_child(name)
            if child is None or find(child) is None:
                self._died(name, "unknown" if child is None else exit_of(child))

    def _died(self, name: str, how: str) -> None:
        now = self._clock()
        deaths = self._deaths.setdefault(name, Deaths())
        backoff = Backoff(deaths.pause_s)
        pause = backoff.after(now - self._started[name])
        deaths.pause_s = backoff.pause_s
        deaths.last_exit, deaths.last_died = how, time.time()
        deaths.log = tail(self._stack.home.log(name), watch_record.LINES).splitlines()
        self._due[name] = now + pause
        watch_record.write(self._stack.home, self._deaths)
        log.warning("%s has ended (%s); it is started again in %.1f s", name, how, pause)

    def _start_again(self, name: str) -> None:
        for other in self._parts[name].ends_with_it:
            child = self._stack.find_child(other)
            if child is not None and find(child) is not None:
                kill(child)
                ended = self._deaths.setdefault(other, Deaths())
                ended.last_exit, ended.last_died = f"ended with {name}", time.time()
        for each in (name, *self._parts[name].ends_with_it):
            self._due.pop(each, None)
            self._start(each)

    def _start(self, name: str) -> None:
        self._started[name] = self._clock()
        self._deaths.setdefault(name, Deaths()).restarts += 1
        # Before the start: this process may be killed as soon as the part is there.
        watch_record.write(self._stack.home, self._deaths)
        try:
            child = self._parts[name].start()
        except (CommandError, OSError, SystemExit) as e:  # the last: settings that were changed
            self._died(name, sentence_of(e) or str(e))
            return
        if name == "kafka":
            give_way(child, STREAM)
        self._stack.replace(name, child)
        log.warning("%s was started again (pid %d)", name, child.pid)


def main() -> None:
    """Watch over the stack in a folder until SIGTERM, or until it is ended."""
    try:
        settings = load(StoreSettings)
    except SystemExit:  # a file of settings that was changed must not end the watch
        settings = StoreSettings.model_construct()
    log_to_stderr(SUPERVISOR, settings)
    home = Home(Path(sys.argv[1]))
    os.set_inheritable(int(sys.argv[2]), False)  # whoever has it open has the lock
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    running = home.read()
    if running is None or running.ending:
        return
    me = child_of(SUPERVISOR, os.getpid())
    stack = Stack(home, running.ports, bound=False, tenant=running.tenant, say=log.warning)
    stack.children, stack.jobs = running.children, running.jobs
    stack.replace(SUPERVISOR, me)
    standby = Part(lambda: start_standby(home))
    held = stack.find_child(STANDBY)
    if held is None or held.pid == me.pid or find(held) is None:
        stack.replace(STANDBY, standby.start())
    parts = parts_of(home, running.ports, bound=False, tenant=running.tenant)
    parts[STANDBY] = standby
    supervisor, jobs = Supervisor(stack, parts), JobKeeper(stack)
    threading.Thread(target=_look_after_jobs, args=(jobs, stop), daemon=True).start()
    watch(supervisor, home, stop)


def watch(supervisor: Supervisor, home: Home, stop: threading.Event) -> None:
    """Look after the parts until ``stop`` is set, or the stack in a folder is ended."""
    pause_s = LOOK_S
    while not stop.wait(pause_s):
        running = home.read()
        if running is None or running.ending:
            return
        pause_s = LOOK_S
        try:
            supervisor.look()
        except Exception as e:  # a full disk passes, and the watch must not end before it does
            log.exception("cannot look after the parts: %s", e)
            pause_s = FAILED_S


def _look_after_jobs(jobs: JobKeeper, stop: threading.Event) -> None:
    while not stop.wait(JOBS_LOOK_S):
        try:
            jobs.look()
        except Exception as e:  # whatever it is, it must not end the watch
            log.exception("cannot look after the jobs: %s", e)


if __name__ == "__main__":
    main()
