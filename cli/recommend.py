"""``nextclick recommend``: ask a running server for recommendations."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import orjson
import typer

from cli.console import print_json, print_line, print_table
from cli.errors import CommandError
from cli.figures import FILLS, percent
from cli.options import GrpcPort, Json, ServedTenant
from cli.server_client import server_client
from nextclick import Filter, Recommendation, RecommendedItem
from nextclick.limits import DEFAULT_PAGE, MAX_PAGE

SESSION = "session"
TITLES = {
    SESSION: "for the session, at its version {}",
    "popular": "popular items: nothing is known of the visitor",
}
"""By `Recommendation.source`."""


def recommend(
    session_id: Annotated[str, typer.Option(help="The visitor's session.")] = "",
    user_id: Annotated[str, typer.Option(help="A signed-in visitor without a session.")] = "",
    item_id: Annotated[
        list[str] | None,
        typer.Option(help="Items that the visitor has just looked at, oldest first."),
    ] = None,
    k: Annotated[
        int, typer.Option("-k", min=1, max=MAX_PAGE, help="How many items.")
    ] = DEFAULT_PAGE,
    category: Annotated[
        list[str] | None, typer.Option(help="Only items in one of these categories.")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="Only items of one of these kinds.")
    ] = None,
    condition: Annotated[
        str,
        typer.Option(
            help="Only items that fulfil this, as JSON: "
            '{"number": {"name": "price", "at_most": 20}}'
        ),
    ] = "",
    explain: Annotated[bool, typer.Option(help="Show why each item is recommended.")] = False,
    grpc_port: GrpcPort = None,
    tenant: ServedTenant = None,
    json: Json = False,
) -> None:
    """Ask the running server what a visitor will want next.

    nextclick recommend --session-id s1 --item-id 17116 -k 5 --explain
    """
    flt = Filter(categories=category or (), kinds=kind or (), condition=read_condition(condition))
    with server_client(grpc_port, tenant=tenant, timeout_s=5) as client:
        answer = client.recommend(
            session_id,
            user_id=user_id,
            page_size=k,
            session_items=item_id or (),
            filter=flt if flt != Filter() else None,
            explain=explain,
        )
    if json:
        print_json(dataclasses.asdict(answer))
        return
    show(answer, explain=explain)


def read_condition(text: str) -> dict[str, Any] | None:
    """Return a condition from JSON, None for an empty text."""
    if not text:
        return None
    try:
        condition = orjson.loads(text)
    except orjson.JSONDecodeError as e:
        raise CommandError(f"--condition: is not JSON: {e}") from None
    if not isinstance(condition, dict):
        raise CommandError('--condition: must be an object such as {"kind": "film"}')
    return condition


def show(answer: Recommendation, *, explain: bool) -> None:
    """Print an answer as a table, or why there is none."""
    if not answer.items:
        print_line(
            "nothing to recommend: no items are known yet. Send clicks first, for example with "
            "`nextclick replay`"
        )
    else:
        columns = ["", "item...", "score", *(["why..."] if explain else [])]
        rows = [
            [
                str(place),
                item.item_id,
                f"{item.score:.3f}" if item.score > FILLS else "",
                *([why(item)] if explain else []),
            ]
            for place, item in enumerate(answer.items, 1)
        ]
        print_table(
            TITLES.get(answer.source, answer.source).format(answer.session_version), columns, rows
        )
        if any(item.score <= FILLS for item in answer.items) and answer.source == SESSION:
            print_line("items without a score fill the page: near or popular ones")
    for reason in answer.degraded:
        print_line(f"degraded: {reason}")


def why(item: RecommendedItem) -> str:
    """Return the reasons for an item, strongest first."""
    return "; ".join(
        f"{reason.source} {percent(reason.share, 0)}"
        + (f" ({', '.join(reason.because_item_ids)})" if reason.because_item_ids else "")
        for reason in item.reasons
    )
