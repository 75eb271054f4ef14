"""``nextclick doctor``: checks the machine and the services, and says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Annotated

import typer

from cli.console import print_json, print_table
from cli.options import DEFAULT_HOME, HomeFolder, Json
from cli.stack import apps, checkup
from cli.stack.checkup import Finding, State
from cli.stack.kafka import admin_client
from cli.stack.layout import Home, Ports
from cli.stack.process import find
from cli.stack.stack import Stack
from connections.redis import masters_of
from settings.kafka import KafkaSettings
from settings.load import load
from settings.server import ServerSettings

TIMEOUT_S = 2
"""Of each read from Redis, and of a connection to it."""

DoctorsTenant = Annotated[
    str | None,
    typer.Option("--tenant", help="Whose topics; default: the stack's, or NEXTCLICK_TENANT."),
]


def doctor(
    tenant: DoctorsTenant = None, home: HomeFolder = DEFAULT_HOME, json: Json = False
) -> None:
    """Check this machine, and the stack that runs here or the services of the settings.

    nextclick doctor
    """
    findings = list(examine(Home(home.absolute()), tenant))
    if json:
        print_json({"ok": not faulty(findings), "checks": [f._asdict() for f in findings]})
    else:
        show(findings)
    if faulty(findings):
        raise typer.Exit(1)


def faulty(findings: list[Finding]) -> bool:
    """Return whether there is a fault, not only warnings."""
    return any(finding.state is State.FAULT for finding in findings)


def show(findings: list[Finding]) -> None:
    """Print the findings as a table, and what to do."""
    rows = [(finding.check, finding.state, finding.found) for finding in findings]
    print_table("what was looked at", ("check", "state...", "found..."), rows)
    to_do = [(finding.check, finding.to_do) for finding in findings if finding.to_do]
    if to_do:
        print_table("what to do", ("check", "what to do..."), to_do)


def examine(home: Home, given: str | None = None) -> Iterator[Finding]:
    """Yield what each check finds; ``given`` is a tenant."""
    settings = load(ServerSettings, tenant=given)
    stack = Stack.running(home)
    local = stack is not None or "kafka" not in settings.model_fields_set
    yield checkup.of_tools()
    if stack is None and local:
        yield checkup.of_ports(Ports(grpc=settings.grpc_port, http=settings.http_port))
    yield checkup.of_disk(home.root)
    yield checkup.of_memory(
        replica_bytes(settings, emitter=local),
        checkup.JAVA_BYTES if local else 0,
        checkup.total_memory(),
    )
    asked = "realtime" in settings.model_fields_set
    yield checkup.of_realtime(wanted=settings.realtime if asked else local)
    if stack is None and local:
        return
    if stack is not None:
        yield of_parts(stack)
        if theirs := apps.server_status(stack.ports).get("version"):
            yield checkup.of_server(theirs, version("nextclick"))
    tenant = stack.tenant_or(given) if stack else settings.tenant
    kafka = stack.kafka_settings if stack else settings
    yield from of_kafka(kafka, tenant)
    cache = stack.redis_settings if stack else settings
    masters = masters_of(cache, TIMEOUT_S, TIMEOUT_S)
    yield from checkup.of_redis(masters, tenant)
    masters.close()


def of_kafka(kafka: KafkaSettings, tenant: str) -> Iterator[Finding]:
    """Yield what is found in Kafka, and its clock if it answers."""
    admin = admin_client(kafka)
    findings = list(checkup.of_topics(admin, kafka, tenant))
    yield from findings
    if not faulty(findings):
        yield checkup.of_clock(kafka, tenant)


def of_parts(stack: Stack) -> Finding:
    """Check the processes of a running stack, and whether it serves."""
    dead = [child.name for child in stack.children if find(child) is None]
    if dead:
        to_do = f"see their logs in {stack.home.path('logs')}, and `nextclick status`"
        return Finding("parts", State.FAULT, f"not running: {', '.join(dead)}", to_do)
    if not apps.serving(stack.ports):
        to_do = "wait until it has caught up; `nextclick status` shows its lag"
        return Finding("parts", State.WARNING, "the server is NOT_SERVING", to_do)
    return Finding("parts", State.OK, f"all {len(stack.children)} run, the server is SERVING")


def replica_bytes(settings: ServerSettings, *, emitter: bool) -> list[int]:
    """Return the most bytes that a server may take, and an emitter if there is one."""
    from online_models.memory.layout import Limits  # noqa: PLC0415 - loads the models
    from server.replica.memory import most_bytes  # noqa: PLC0415
    from server.replica.replica import Role  # noqa: PLC0415

    limits = Limits(max_items=settings.max_items, max_sessions=settings.max_sessions)
    roles = (Role.SERVER, Role.EMITTER) if emitter else (Role.SERVER,)
    users, profiles = settings.max_users, settings.max_profiles
    return [
        sum(most_bytes(limits, role, max_users=users, max_profiles=profiles).values())
        for role in roles
    ]
