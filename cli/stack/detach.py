"""Runs the start of something in a process that outlives this one."""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from cli import interrupt
from cli.errors import CommandError
from cli.sentences import sentence_of


def start_detached(start: Callable[[], list[str]], log: Path, env: dict[str, str]) -> None:
    """Call a function in a child process, which then becomes a program; wait for the call's end.

    The program is the parent of whatever the function has started.

    Parameters
    ----------
    start
        Returns the program's arguments. Called in a session of its own: a Ctrl-C is passed on as
        SIGTERM.
    log
        What the program writes to.
    env
        Added to the program's environment.

    Raises
    ------
    CommandError
        With the function's message, if it has raised one.
    KeyboardInterrupt
        If this process was interrupted, after the child has ended.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.setsid()
        _become(start, log, env, writing)
    os.close(writing)
    message = _await(child, reading)
    if message:
        os.waitpid(child, 0)
        raise CommandError(json.loads(message))


def _become(
    start: Callable[[], list[str]], log: Path, env: dict[str, str], writing: int
) -> NoReturn:
    """Call the function and become its program, or write why not."""
    try:
        argv = start()
        os.environ.update(env)
        out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for file, number in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (out, 2)):
            os.dup2(file, number)
        os.execv(argv[0], argv)
    except BaseException as e:
        os.write(writing, json.dumps(sentence_of(e) or repr(e)).encode())
    os._exit(1)


def _await(child: int, reading: int) -> bytes:
    """Return what the child wrote before it closed the pipe, by its end or by becoming another."""
    message = b""
    try:
        while True:
            interrupt.check()
            if select.select([reading], [], [], 0.2)[0]:
                part = os.read(reading, 65_536)
                if not part:
                    return message
                message += part
    except KeyboardInterrupt:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        raise
    finally:
        os.close(reading)
