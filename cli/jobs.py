"""``nextclick jobs``: Flink jobs of the running stack."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from cli.console import err, print_json, print_line
from cli.errors import CommandError
from cli.options import DEFAULT_HOME, HomeFolder, Json
from cli.stack import flink, job_state
from cli.stack.stack import Stack
from streaming.jobs.registry import JOBS

jobs_app = typer.Typer(help="Flink jobs of the running stack.", no_args_is_help=True)

Name = Annotated[
    str, typer.Argument(help="The job, e.g. sessions.", autocompletion=lambda: sorted(JOBS))
]


@jobs_app.command()
def submit(
    name: Name,
    home: HomeFolder = DEFAULT_HOME,
    from_nothing: Annotated[
        bool, typer.Option("--from-nothing", help="Start it without its saved state.")
    ] = False,
    json: Json = False,
) -> None:
    """Submit a job to the running Flink; it resumes from its newest state, if it has one.

    nextclick jobs submit sessions
    """
    stack = Stack.in_folder(home)
    stack.say = partial(err.print, highlight=False, soft_wrap=True)
    running = run_of(stack, name)
    if running:
        raise CommandError(
            f"the job {name} runs already, as {running}; `nextclick jobs stop {name}` ends it"
        )
    with err.status(f"submitting the job {name}"):
        job_id = stack.submit(name, from_nothing=from_nothing)
    if json:
        print_json({"name": name, "job_id": job_id})
    else:
        print_line(f"{name} runs as {job_id}")


@jobs_app.command()
def stop(
    name: Name,
    home: HomeFolder = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """End a job with a savepoint, from which `submit` or the next `up` resumes it.

    Unlike a checkpoint, it can be read by both state backends (NEXTCLICK_STATE_BACKEND).

    nextclick jobs stop sessions
    """
    stack = Stack.in_folder(home)
    running = run_of(stack, name)
    if not running:
        raise CommandError(f"the job {name} does not run; `nextclick status` shows those that do")
    with err.status(f"saving the state of the job {name}"):
        folder = job_state.savepoints(stack.home, name)
        savepoint = flink.stop_with_savepoint(stack.ports, running, folder)
    if json:
        print_json({"name": name, "savepoint": str(savepoint)})
    else:
        print_line(f"{name} has ended; its state is {savepoint}")


def run_of(stack: Stack, name: str) -> str:
    """Return the id of a job's run, empty if it does not run.

    Raises
    ------
    CommandError
        If there is no such job, or Flink does not answer.
    """
    flink.job_named(name)
    known = flink.known_jobs(stack.ports)
    if known is None:
        raise CommandError(
            f"Flink does not answer on port {stack.ports.flink}: `nextclick status` shows whether "
            f"it runs, and its log is {stack.home.log('jobmanager')}"
        )
    return next(iter(flink.runs_of(name, known)), "")
