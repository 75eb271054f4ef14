"""``nextclick similar``: ask a running server for an item's neighbours."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from cli.console import print_json, print_line, print_table
from cli.figures import FILLS
from cli.options import GrpcPort, Json, ServedTenant
from cli.server_client import server_client
from nextclick import Recommendation
from nextclick.limits import DEFAULT_PAGE, MAX_PAGE
from nextclick.requests import Filter, Similarity

TITLES: dict[Similarity, str] = {
    "behaviour": "{}: what its visitors also turn to",
    "content": "{}: what is like it",
    "mix": "{}: what its visitors also turn to, and what is like it",
}


def similar(
    item_id: Annotated[str, typer.Argument(help="The item.")],
    by: Annotated[
        Similarity,
        typer.Option(help="What its visitors also turn to, what is like it, or both."),
    ] = "behaviour",
    category: Annotated[
        list[str] | None, typer.Option(help="Only items in one of these categories.")
    ] = None,
    k: Annotated[
        int, typer.Option("-k", min=1, max=MAX_PAGE, help="How many items.")
    ] = DEFAULT_PAGE,
    grpc_port: GrpcPort = None,
    tenant: ServedTenant = None,
    json: Json = False,
) -> None:
    """Ask the running server for the neighbours of an item.

    nextclick similar 17116 --by content -k 5
    """
    with server_client(grpc_port, tenant=tenant, timeout_s=5) as client:
        answer = client.similar_items(
            item_id, page_size=k, by=by, filter=Filter(categories=category or ())
        )
    if json:
        print_json(dataclasses.asdict(answer))
        return
    show(answer, item_id, by)


def show(answer: Recommendation, item_id: str, by: Similarity) -> None:
    """Print an answer as a table, or why there is none."""
    if not answer.items:
        print_line("no other item may be answered: the filter allows none, or none is known")
        return
    rows = [
        (str(place), item.item_id, f"{item.score:.3f}" if item.score > FILLS else "")
        for place, item in enumerate(answer.items, 1)
    ]
    print_table(TITLES[by].format(item_id), ("", "item...", "score"), rows)
    if any(item.score <= FILLS for item in answer.items):
        print_line("items without a score fill the page: near or popular ones")
