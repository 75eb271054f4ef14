"""``nextclick recommend``: ask a running server for recommendations."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer
from rich.table import Table

from cli.console import out, print_json
from cli.options import GrpcPort, Json
from cli.server_client import server_client
from nextclick.limits import DEFAULT_PAGE, MAX_PAGE


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
    explain: Annotated[bool, typer.Option(help="Show why each item is recommended.")] = False,
    grpc_port: GrpcPort = None,
    json: Json = False,
) -> None:
    """Ask the running server what a visitor will want next.

    nextclick recommend --session-id s1 --item-id 17116 -k 5 --explain
    """
    with server_client(grpc_port, timeout_s=5) as client:
        answer = client.recommend(
            session_id,
            user_id=user_id,
            page_size=k,
            session_items=item_id or (),
            explain=explain,
        )
    if json:
        print_json(dataclasses.asdict(answer))
        return
    table = Table(title=f"{answer.source}, session version {answer.session_version}")
    for column in ("", "item", "score", "why") if explain else ("", "item", "score"):
        table.add_column(column)
    for place, item in enumerate(answer.items, 1):
        row = [str(place), item.item_id, f"{item.score:.3f}"]
        if explain:
            reasons = [
                f"{r.source} {100 * r.share:.0f} %"
                + (f" ({', '.join(r.because_item_ids)})" if r.because_item_ids else "")
                for r in item.reasons
            ]
            row.append("; ".join(reasons))
        table.add_row(*row)
    out.print(table)
    for reason in answer.degraded:
        out.print(f"degraded: {reason}")
