"""``nextclick replay``: send a file of clicks to a running stack."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from cli.console import print_json, print_result, progress
from cli.errors import CommandError
from cli.figures import count, seconds
from cli.files import (
    ClickFiles,
    ItemColumn,
    SessionColumn,
    TimeColumn,
    TypeColumn,
    UserColumn,
    read_files,
)
from cli.live.history import send_history
from cli.live.player import Player, readable_score
from cli.options import DEFAULT_HOME, HomeFolder, Json, StackTenant
from cli.server_client import server_client
from cli.stack.stack import Stack
from evaluation.click_files.columns import Columns
from evaluation.datasets import Session


def replay(
    file: ClickFiles,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Clicks a second; default: as fast as possible.")
    ] = None,
    speedup: Annotated[
        float | None, typer.Option(min=0.001, help="Play the file's clock this many times faster.")
    ] = None,
    recommend: Annotated[
        bool,
        typer.Option(help="Play as live traffic, with a recommendation before every click."),
    ] = False,
    prefix: Annotated[str, typer.Option(help="Put before the file's session ids.")] = "",
    session: SessionColumn = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    time_: TimeColumn = None,
    type_: TypeColumn = None,
    tenant: StackTenant = None,
    home: HomeFolder = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """Send the clicks of a file to the stack that `nextclick up` started.

    nextclick replay clicks.txt.gz --rate 200 --recommend
    """
    stack = Stack.in_folder(home)
    if rate is not None and speedup is not None:
        raise CommandError("give --rate or --speedup, not both")
    tenant = stack.tenant_or(tenant)
    sessions, _ = read_files(file, Columns(session, user, item, time_, type_), prefix)
    if speedup is not None:
        rate = natural_rate(sessions) * speedup
    started = time.monotonic()
    total = sum(len(s.items) for s in sessions)
    result: dict[str, Any]
    with progress() as bar:
        task = bar.add_task("clicks", total=total, note="")
        if recommend:
            # It asks whom the server serves: what would fail each call is told before the first.
            with server_client(target=stack.target, tenant=tenant) as client:
                player = Player(client, sessions, rate=rate or 50.0, prefix=prefix)
                score = player.play(lambda n, note: bar.update(task, advance=n, note=note))
            result = {
                "sent": score.sent,
                **score.figures(),
                "errors": len(score.errors),
            }
        else:
            sent = send_history(
                stack.kafka_settings,
                sessions,
                prefix=prefix,
                tenant=tenant,
                rate=rate,
                tick=lambda n: bar.advance(task, n),
            )
            result = {"sent": sent, "errors": 0}
    result["seconds"] = time.monotonic() - started
    if json:
        print_json(result)
    else:
        print_result("What was played", readable(result))
    if result["errors"]:
        raise CommandError(f"{result['errors']} calls failed: {score.errors[0]}")


def readable(result: dict[str, Any]) -> dict[str, str]:
    """Return the result as people read it."""
    rows = {"clicks sent": count(result["sent"])}
    if "cases" in result:
        rows |= {
            **readable_score(result),
            "failed calls": count(result["errors"]),
        }
    return rows | {"time": seconds(result["seconds"])}


def natural_rate(sessions: list[Session]) -> float:
    """Return the clicks a second by the file's clock.

    Raises
    ------
    CommandError
        If the file has no clock.
    """
    times = [t for s in sessions for t in s.times_ms or ()]
    if len(times) < 2 or max(times) == min(times):
        raise CommandError("the file has no clock to speed up; use --rate")
    return len(times) / ((max(times) - min(times)) / 1000)
