"""``nextclick topics``: the topics of a cluster, from the one declaration that the code shares."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.console import print_json, print_line, print_table
from cli.figures import count
from cli.options import Json, Kafka, Tenant
from cli.stack import topics
from cli.stack.kafka import admin_client
from settings.base import Settings
from settings.load import load

topics_app = typer.Typer(help="The topics of a Kafka cluster.", no_args_is_help=True)


@topics_app.command()
def create(
    kafka: Kafka = None,
    tenant: Tenant = None,
    replication: Annotated[
        int | None,
        typer.Option(
            min=1, max=9, help="Copies of each record; default: 3, or as many as there are brokers."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Create the topics that are not there; those that are stay as they are.

    nextclick topics create --kafka broker:9092 --tenant shop
    """
    settings = load(Settings, kafka=kafka, tenant=tenant)
    admin = admin_client(settings)
    created = topics.create(admin, settings.tenant, replication)
    if json:
        print_json({"created": created})
        return
    there = len(topics.declared(settings.tenant)) - len(created)
    print_line(f"created {len(created)}; {there} were there")
    if there:
        print_line("`nextclick topics check` compares these with what is declared")


@topics_app.command()
def check(kafka: Kafka = None, tenant: Tenant = None, json: Json = False) -> None:
    """Tell where topics are not as declared, and what follows; exit code 1 if any is not.

    nextclick topics check --kafka broker:9092
    """
    settings = load(Settings, kafka=kafka, tenant=tenant)
    cluster = topics.look(admin_client(settings), settings.tenant)
    missing = topics.missing(cluster, settings.tenant)
    found = list(topics.differences(cluster, settings.tenant))
    if json:
        differences = [difference._asdict() for difference in found]
        print_json({"missing": missing, "differences": differences})
    else:
        show(missing, found, len(topics.declared(settings.tenant)))
    if missing or found:
        raise typer.Exit(1)


def show(missing: list[str], found: list[topics.Difference], declared: int) -> None:
    """Print what is missing, and the differences as a table."""
    if missing:
        print_line(f"not there: {', '.join(missing)}")
        print_line("`nextclick topics create` creates them")
    if found:
        print_table(
            "not as declared",
            ("topic", "is...", "what follows..."),
            [(entry.topic, entry.told, entry.consequence) for entry in found],
        )
        print_line("kafka-configs, or your platform's own tool, changes them")
    if not missing and not found:
        print_line(f"all {declared} are as declared")


@topics_app.command()
def describe(kafka: Kafka = None, tenant: Tenant = None, json: Json = False) -> None:
    """Show what the cluster has of each topic: partitions, copies, records, settings.

    nextclick topics describe --tenant shop
    """
    settings = load(Settings, kafka=kafka, tenant=tenant)
    admin = admin_client(settings)
    cluster = topics.look(admin, settings.tenant)
    rows = []
    for name, entry in topics.declared(settings.tenant).items():
        if name in cluster.held:
            held = cluster.held[name]
            shown = (*entry.config, topics.IN_SYNC)
            row: dict[str, Any] = {
                "topic": name,
                "partitions": held.partitions,
                "replication": held.replicas,
                "records": topics.records(admin, name, held.partitions),
                "config": {key: held.config.get(key, "") for key in shown},
            }
            rows.append((held, row))
    if json:
        print_json({"topics": [row for _, row in rows]})
        return
    numbers = ("partitions", "replication", "records")
    print_table(
        "topics (offsets from beginning to end)",
        ("topic", "partitions", "copies", "offsets", "kept..."),
        [(row["topic"], *(count(row[key]) for key in numbers), held.kept) for held, row in rows],
    )
    if absent := topics.missing(cluster, settings.tenant):
        print_line(f"not there: {', '.join(absent)}; `nextclick topics create` creates them")
