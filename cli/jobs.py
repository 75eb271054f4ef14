"""``nextclick jobs``: the Flink jobs of the running stack, or on a Flink of your own."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import err, print_json, print_line, print_table
from cli.errors import CommandError
from cli.options import DEFAULT_HOME, HomeFolder, Json, Kafka
from cli.stack import flink, flink_rest, job_state, other_flink
from cli.stack.other_flink import Packages, Submission
from cli.stack.stack import Stack
from nextclick.topics import topic
from settings.jobs import JobSettings
from settings.load import load
from streaming.jobs.registry import JOBS

jobs_app = typer.Typer(
    help="Flink jobs of the running stack, or on a Flink of your own.", no_args_is_help=True
)

Name = Annotated[
    str, typer.Argument(help="The job, e.g. sessions.", autocompletion=lambda: sorted(JOBS))
]
Flink = Annotated[
    str | None,
    typer.Option("--flink", help="HOST:PORT of another Flink's REST API; default: the stack's."),
]
Tenant = Annotated[
    str | None,
    typer.Option(help="Whose job; default: the stack's, with --flink that of NEXTCLICK_TENANT."),
]
States = Annotated[
    str | None,
    typer.Option(
        help="With --flink: folder of checkpoints and savepoints, a URI; default: "
        "NEXTCLICK_JOB_STATES."
    ),
]


@jobs_app.command()
def submit(
    name: Name,
    address: Flink = None,
    tenant: Tenant = None,
    kafka: Kafka = None,
    states: States = None,
    from_state: Annotated[
        str | None,
        typer.Option("--from", help="With --flink: URI of the savepoint to resume from."),
    ] = None,
    from_nothing: Annotated[
        bool, typer.Option("--from-nothing", help="Start it without its saved state.")
    ] = False,
    packages: Annotated[
        Packages | None,
        typer.Option(
            help="With --flink: whether the image of its TaskManagers has the Python packages, or "
            "they are sent along; default: image."
        ),
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(
            help="With --flink: interpreter of its TaskManagers; default: the image's, or python3."
        ),
    ] = None,
    home: HomeFolder = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """Submit a job; on the stack's Flink it resumes from its newest state, if it has one.

    nextclick jobs submit sessions
    """
    flink.job_named(name)
    of_other: dict[str, str | None] = {
        "--kafka": kafka,
        "--states": states,
        "--from": from_state,
        "--packages": packages,
        "--python": python,
    }
    if address is None:
        _refuse(of_other)
        stack = Stack.in_folder(home)
        stack.say = partial(err.print, highlight=False, soft_wrap=True)
        full = topic(name, stack.tenant_or(tenant))
        refuse_second(full, name, run_of(stack, full))
        with err.status(f"submitting the job {full}"):
            job_id = stack.submit(full, from_nothing=from_nothing)
    else:
        if from_state == "":
            raise CommandError(
                "--from is empty: give the URI that `nextclick jobs stop` has printed"
            )
        if (from_state is None) is not from_nothing:
            raise CommandError(
                "another Flink does not know the job's newest state: give --from with the URI that "
                "`nextclick jobs stop` has printed, or --from-nothing"
            )
        settings = load(JobSettings, kafka=kafka, tenant=tenant, job_states=states)
        full = topic(name, settings.tenant)
        refuse_second(full, name, run_on(address, full), f" --flink {address}")
        submission = Submission(
            name,
            settings.tenant,
            settings.kafka,
            _folder(settings),
            from_state or "",
            packages or Packages.IMAGE,
            python or "",
        )
        with err.status(f"submitting the job {full} to {address}"):
            job_id = other_flink.submit(address, submission)
    if json:
        print_json({"name": full, "job_id": job_id})
    else:
        print_line(f"{full} runs as {job_id}")


@jobs_app.command()
def stop(
    name: Name,
    address: Flink = None,
    tenant: Tenant = None,
    states: States = None,
    home: HomeFolder = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """End a job with a savepoint, from which `submit` or the next `up` resumes it.

    Unlike a checkpoint, it can be read by both state backends (NEXTCLICK_STATE_BACKEND).

    nextclick jobs stop sessions
    """
    flink.job_named(name)
    saved: Path | str
    if address is None:
        _refuse({"--states": states})
        stack = Stack.in_folder(home)
        full = topic(name, stack.tenant_or(tenant))
        running = run_of(stack, full)
        if not running:
            raise CommandError(
                f"the job {full} does not run; `nextclick status` shows those that do"
            )
        with err.status(f"saving the state of the job {full}"):
            folder = job_state.savepoints(stack.home, full)
            saved = flink_rest.stop_with_savepoint(stack.ports, running, folder)
    else:
        settings = load(JobSettings, tenant=tenant, job_states=states)
        full = topic(name, settings.tenant)
        running = run_on(address, full)
        if not running:
            raise CommandError(
                f"the job {full} does not run at {address}; `nextclick jobs list --flink "
                f"{address}` shows those that do"
            )
        with err.status(f"saving the state of the job {full}"):
            folder_uri = other_flink.savepoints(_folder(settings), full)
            saved = flink_rest.stop_to(address, running, folder_uri)
    if json:
        print_json({"name": full, "savepoint": str(saved)})
    else:
        print_line(f"{full} has ended; its state is {saved}")


@jobs_app.command("list")
def list_jobs(
    address: Flink = None,
    tenant: Tenant = None,
    home: HomeFolder = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """Show the jobs that Flink knows; with --tenant, those of one tenant.

    nextclick jobs list
    """
    known = known_to(Stack.in_folder(home)) if address is None else other_flink.jobs_of(address)
    rows = [
        {"name": job["name"], "state": job["state"], "job_id": job["jid"]}
        for job in known
        if tenant is None or flink_rest.tenant_and_job(job["name"])[0] == tenant
    ]
    if json:
        print_json({"jobs": rows})
    else:
        show(rows)


def show(rows: list[dict[str, Any]]) -> None:
    """Print the jobs as a table."""
    cells = [(row["name"], row["state"], row["job_id"]) for row in rows]
    print_table("jobs", ("job", "state...", "id..."), cells)


def run_of(stack: Stack, name: str) -> str:
    """Return the id of a job's run on a stack, by its name in Flink; empty if it does not run."""
    return next(iter(flink_rest.runs_of(name, known_to(stack))), "")


def run_on(address: str, name: str) -> str:
    """Return the id of a job's run on another Flink; empty if it does not run."""
    return next(iter(flink_rest.runs_of(name, other_flink.jobs_of(address))), "")


def known_to(stack: Stack) -> list[dict[str, Any]]:
    """Return the jobs that the Flink of a stack knows.

    Raises
    ------
    CommandError
        If it does not answer.
    """
    known = flink_rest.known_jobs(stack.ports)
    if known is None:
        raise CommandError(
            f"Flink does not answer on port {stack.ports.flink}: `nextclick status` shows whether "
            f"it runs, and its log is {stack.home.log('jobmanager')}"
        )
    return known


def refuse_second(full: str, name: str, running: str, where: str = "") -> None:
    """Raise `CommandError` if a job runs already: two of a kind would write everything twice."""
    if running:
        tenant = flink_rest.tenant_and_job(full)[0]
        options = (f" --tenant {tenant}" if tenant else "") + where
        raise CommandError(
            f"the job {full} runs already, as {running}; `nextclick jobs stop {name}{options}` "
            "ends it"
        )


def _refuse(of_other: dict[str, str | None]) -> None:
    """Raise `CommandError` for options that are for another Flink only."""
    for option, value in of_other.items():
        if value is not None:
            raise CommandError(f"{option} is for a Flink of your own: give --flink as well")


def _folder(settings: JobSettings) -> str:
    if not settings.job_states:
        raise CommandError(
            "give --states, or set NEXTCLICK_JOB_STATES: the URI of a folder for checkpoints and "
            "savepoints that all of the cluster reaches, such as s3://bucket/jobs"
        )
    return settings.job_states
