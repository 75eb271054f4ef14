"""``nextclick models``: the models of the running server, and control of their learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from cli.console import print_json, print_line, print_table
from cli.figures import count, percent
from cli.options import GrpcPort, Json, ServedTenant
from cli.server_client import server_client
from nextclick import Model
from nextclick.topics import RANKER_MODEL, VECTORS_MODEL

models_app = typer.Typer(help="The models of the running server.", no_args_is_help=True)

Name = Annotated[
    str,
    typer.Argument(
        help="The model: vectors or ranker.", autocompletion=lambda: [VECTORS_MODEL, RANKER_MODEL]
    ),
]


@models_app.command("list")
def list_models(
    grpc_port: GrpcPort = None, tenant: ServedTenant = None, json: Json = False
) -> None:
    """Show version, examples learned and running score of each model.

    nextclick models list
    """
    with server_client(grpc_port, tenant=tenant) as client:
        models = client.list_models()
    if json:
        print_json({"models": [as_json(model) for model in models]})
        return
    show(models)


@models_app.command()
def pause(name: Name, grpc_port: GrpcPort = None, tenant: ServedTenant = None) -> None:
    """Pause a model's learning: until it is resumed, it skips its input and never learns it.

    nextclick models pause ranker
    """
    with server_client(grpc_port, tenant=tenant) as client:
        client.pause_learning(name)
    print_line(f"{name} pauses")


@models_app.command()
def resume(name: Name, grpc_port: GrpcPort = None, tenant: ServedTenant = None) -> None:
    """Let a paused model learn again.

    nextclick models resume ranker
    """
    with server_client(grpc_port, tenant=tenant) as client:
        client.resume_learning(name)
    print_line(f"{name} resumes")


@models_app.command()
def roll_back(
    name: Name,
    version: Annotated[int, typer.Argument(min=1, help="One of its kept versions.")],
    grpc_port: GrpcPort = None,
    tenant: ServedTenant = None,
) -> None:
    """Restore an earlier version of a model, which then learns on from there.

    nextclick models roll-back ranker 120
    """
    with server_client(grpc_port, tenant=tenant) as client:
        client.roll_back(name, version)
    print_line(f"{name} goes back to version {version}")


def show(models: Sequence[Model]) -> None:
    """Print the models as a table."""
    columns = ("model", "version", "examples", "answers", "hit rate@20", "MRR@20", "learning")
    rows = [
        (
            m.name,
            count(m.version),
            count(m.examples),
            "yes" if m.answering else "",
            percent(m.hit_rate),
            percent(m.mrr),
            "paused" if m.paused else "never" if m.age_ms is None else "on",
        )
        for m in models
    ]
    print_table("models", columns, rows)
    for m in models:
        if m.kept_versions:
            kept = ", ".join(map(str, m.kept_versions))
            print_line(f"{m.name} can be rolled back to: {kept}")


def as_json(model: Model) -> dict[str, Any]:
    """Return a model in protobuf's JSON form: 64-bit integers as text, unset fields left out."""
    fields = asdict(model) | {
        "version": str(model.version),
        "examples": str(model.examples),
        "rolled_back_to": str(model.rolled_back_to),
        "kept_versions": [str(version) for version in model.kept_versions],
        "age_ms": str(-1 if model.age_ms is None else model.age_ms),
    }
    return {name: value for name, value in fields.items() if value is not None}
