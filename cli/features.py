"""``nextclick features``: what the features mean, and their values on the running server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from cli.console import print_json, print_line, print_table
from cli.errors import CommandError
from cli.options import GrpcPort, Json, ServedTenant
from cli.server_client import server_client
from nextclick import Feature, FeatureValues, FeatureVector

features_app = typer.Typer(help="What the features mean, and their values.", no_args_is_help=True)

ENTITIES = ("session", "item", "user", "candidate")


@features_app.command("list")
def list_features(
    entity: Annotated[
        str,
        typer.Option(
            help=f"Only those of one of {', '.join(ENTITIES)}.",
            autocompletion=lambda: list(ENTITIES),
        ),
    ] = "",
    grpc_port: GrpcPort = None,
    tenant: ServedTenant = None,
    json: Json = False,
) -> None:
    """Show what each feature means and its unit; with --json also what it comes from, and when.

    nextclick features list --entity item
    """
    with server_client(grpc_port, tenant=tenant) as client:
        features = client.list_features(entity)
    if json:
        print_json({"features": [asdict(feature) for feature in features]})
        return
    show(features)


@features_app.command("get")
def get_features(
    session_id: Annotated[
        str, typer.Option(help="A session; with --item-id: the items as its candidates.")
    ] = "",
    user_id: Annotated[str, typer.Option(help="A user.")] = "",
    item_id: Annotated[
        list[str] | None, typer.Option(help="An item, or several; at most 100.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="Only this feature, or these; else all.")
    ] = None,
    grpc_port: GrpcPort = None,
    tenant: ServedTenant = None,
    json: Json = False,
) -> None:
    """Show the values of features, as an answer would read them now.

    nextclick features get --session-id s1 --item-id 17116
    """
    if not (session_id or user_id or item_id):
        raise CommandError("give --session-id, --user-id or --item-id")
    with server_client(grpc_port, tenant=tenant) as client:
        found = client.get_features(
            session_id, user_id=user_id, item_ids=item_id or (), names=name or ()
        )
    if json:
        print_json(as_json(found))
        return
    for vector in found.vectors:
        show_values(vector)


def show(features: Sequence[Feature]) -> None:
    """Print what features mean as a table."""
    rows = [(f.name, f.entity, f.unit, f.meaning) for f in features]
    print_table("features", ("feature", "of...", "unit...", "meaning..."), rows)


def show_values(vector: FeatureVector) -> None:
    """Print the values of one session, user, item or candidate."""
    title = f"{vector.entity} {vector.id}"
    if not vector.known:
        candidate = vector.entity == "candidate"
        what = "none of the session's candidates" if candidate else "not known"
        print_line(f"{title} is {what}")
        return
    rows = [
        (name, f"{value:.6g}" if isinstance(value, float) else ", ".join(value))
        for name, value in vector.values.items()
    ]
    print_table(title, ("feature", "value..."), rows)


def as_json(found: FeatureValues) -> dict[str, Any]:
    """Return values in a form for programs: 64-bit integers as text."""
    return {
        "vectors": [
            {"entity": v.entity, "id": v.id, "known": v.known, "values": dict(v.values)}
            for v in found.vectors
        ],
        "model_version": str(found.model_version),
        "timestamp_ms": str(found.timestamp_ms),
        "feature_schema": found.feature_schema,
        "degraded": list(found.degraded),
    }
