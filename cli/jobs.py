"""``nextclick jobs``: Flink jobs of the running stack."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from cli.console import err, out, print_json
from cli.errors import CommandError
from cli.options import DEFAULT_HOME, HomeFolder, Json
from cli.stack import flink
from cli.stack.stack import Stack

jobs_app = typer.Typer(help="Flink jobs of the running stack.", no_args_is_help=True)


@jobs_app.command()
def submit(
    name: Annotated[str, typer.Argument(help="The job, e.g. sessions.")],
    home: HomeFolder = DEFAULT_HOME,
    from_nothing: Annotated[
        bool, typer.Option("--from-nothing", help="Start it without its saved state.")
    ] = False,
    json: Json = False,
) -> None:
    """Submit a job to the running Flink; it resumes from its newest state, if it has one."""
    stack = Stack.in_folder(home)
    stack.say = partial(err.print, highlight=False, soft_wrap=True)
    running = [j for j in flink.jobs(stack.ports) if j["name"] == name and j["state"] == "RUNNING"]
    if running:
        raise CommandError(f"the job {name} runs already, as {running[0]['jid']}")
    with err.status(f"submitting the job {name}"):
        job_id = stack.submit(name, from_nothing=from_nothing)
    if json:
        print_json({"name": name, "job_id": job_id})
    else:
        out.print(f"{name} runs as {job_id}")
