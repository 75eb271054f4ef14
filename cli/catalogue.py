"""``nextclick catalogue``: items from files, as shops export them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.catalogues.held import HeldItems, read_catalogue
from cli.catalogues.sending import Sender
from cli.catalogues.writing import Written, why_withheld, write_files
from cli.console import err, print_error, print_json, print_result, progress
from cli.figures import count, seconds
from cli.options import GrpcPort, Json, Kafka, ServedTenant
from cli.server_client import server_client
from evaluation.click_files.report import Refusals
from evaluation.item_files.columns import ItemColumns
from evaluation.item_files.reader import ItemFile
from settings.client import ClientSettings
from settings.load import load

catalogue_app = typer.Typer(help="The catalogue: items from files.", no_args_is_help=True)

DEFAULT_RATE, DEFAULT_MAX_DELETED = 2_000, 10.0

Files = Annotated[
    list[Path],
    typer.Argument(
        help="Items: CSV, TSV, JSON Lines or Parquet, also packed with gzip or zstd.",
        exists=True,
        dir_okay=False,
    ),
]
ItemColumn = Annotated[
    str | None,
    typer.Option("--item", help="Column of item ids: its name or number; else guessed."),
]
TitleColumn = Annotated[
    str | None, typer.Option("--title", help="Column of titles; -: none; else guessed.")
]
CategoryColumns = Annotated[
    list[str] | None,
    typer.Option(
        "--category",
        help="Column of categories, or COLUMN=SEPARATOR; -: none; else guessed. May be repeated.",
    ),
]
AvailableColumn = Annotated[
    str | None,
    typer.Option("--available", help="Column of availability or stock; -: none; else guessed."),
]
DeletedColumn = Annotated[
    str | None,
    typer.Option("--deleted", help="Column that marks deletions; -: none; else guessed."),
]
AttributeColumns = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        help="Column of an attribute, or of objects of them; -: none; else guessed. May be "
        "repeated.",
    ),
]
NumberColumns = Annotated[
    list[str] | None,
    typer.Option(
        "--number",
        help="Column of a number such as the price, or of objects of them; -: none; else guessed. "
        "May be repeated.",
    ),
]
KindColumn = Annotated[
    str | None, typer.Option("--kind", help="Column of kinds; -: none; else guessed.")
]
DescriptionColumn = Annotated[
    str | None, typer.Option("--description", help="Column of descriptions; -: none; else guessed.")
]
ImageColumn = Annotated[
    str | None,
    typer.Option("--image", help="Column of addresses of pictures; -: none; else guessed."),
]
PageColumn = Annotated[
    str | None, typer.Option("--page", help="Column of addresses of pages; -: none; else guessed.")
]
FromColumn = Annotated[
    str | None,
    typer.Option("--from", help="Column of times since which; -: none; else guessed."),
]
UntilColumn = Annotated[
    str | None, typer.Option("--until", help="Column of times until which; -: none; else guessed.")
]
EmbeddingColumn = Annotated[
    str | None,
    typer.Option("--embedding", help="Column of the shop's vectors; -: none; else guessed."),
]
Rate = Annotated[float, typer.Option(min=1, help="Write at most so many items a second.")]


@catalogue_app.command()
def put(
    files: Files,
    item: ItemColumn = None,
    title: TitleColumn = None,
    category: CategoryColumns = None,
    available: AvailableColumn = None,
    deleted: DeletedColumn = None,
    attribute: AttributeColumns = None,
    number: NumberColumns = None,
    kind: KindColumn = None,
    description: DescriptionColumn = None,
    image: ImageColumn = None,
    page: PageColumn = None,
    starts: FromColumn = None,
    ends: UntilColumn = None,
    embedding: EmbeddingColumn = None,
    rate: Rate = DEFAULT_RATE,
    grpc_port: GrpcPort = None,
    tenant: ServedTenant = None,
    json: Json = False,
) -> None:
    """Add or replace the items of files; all others stay as they are.

    nextclick catalogue put items.csv.gz
    """
    started = time.monotonic()
    columns = ItemColumns(
        item,
        title,
        available,
        deleted,
        category or (),
        attribute or (),
        kind,
        description,
        image,
        page,
        starts,
        ends,
        embedding,
        number or (),
    )
    read = [ItemFile(path, columns) for path in files]
    with server_client(grpc_port, tenant=tenant) as client:
        written = _write(read, Sender(client, rate))
    result = _totals(read) | {"put": written.put, "deleted": written.deleted}
    _print(result | {"seconds": time.monotonic() - started}, json)


@catalogue_app.command()
def sync(
    files: Files,
    item: ItemColumn = None,
    title: TitleColumn = None,
    category: CategoryColumns = None,
    available: AvailableColumn = None,
    deleted: DeletedColumn = None,
    attribute: AttributeColumns = None,
    number: NumberColumns = None,
    kind: KindColumn = None,
    description: DescriptionColumn = None,
    image: ImageColumn = None,
    page: PageColumn = None,
    starts: FromColumn = None,
    ends: UntilColumn = None,
    embedding: EmbeddingColumn = None,
    max_deleted: Annotated[
        float,
        typer.Option(
            min=0,
            max=100,
            help="Delete nothing if the files lack more than so many percent of the catalogue.",
        ),
    ] = DEFAULT_MAX_DELETED,
    rate: Rate = DEFAULT_RATE,
    kafka: Kafka = None,
    grpc_port: GrpcPort = None,
    tenant: ServedTenant = None,
    json: Json = False,
) -> None:
    """Make the catalogue what the files say: write what differs, delete what they lack.

    What the catalogue has is read from Kafka; the server is asked to write. If deletions are
    withheld, since the files may not be whole, the exit code is 1.

    nextclick catalogue sync items.csv.gz --max-deleted 5
    """
    started = time.monotonic()
    settings = load(ClientSettings, kafka=kafka, tenant=tenant)
    columns = ItemColumns(
        item,
        title,
        available,
        deleted,
        category or (),
        attribute or (),
        kind,
        description,
        image,
        page,
        starts,
        ends,
        embedding,
        number or (),
    )
    read = [ItemFile(path, columns) for path in files]
    with server_client(grpc_port, tenant=settings.tenant) as client:
        sender = Sender(client, rate)
        with err.status("reading what the catalogue has ..."):
            held = HeldItems(read_catalogue(settings, settings.tenant))
        written = _write(read, sender, held)
        lacking = held.missing
        withheld = why_withheld(
            lacking, held.count, [file.report for file in read], max_deleted / 100
        )
        if not withheld:
            with progress() as bar:
                task = bar.add_task("items deleted", total=lacking, note="")
                for taken in sender.delete(held.missing_items(), lambda *_: None):
                    written.deleted += taken
                    bar.advance(task, taken)
    result = _totals(read) | {
        "put": written.put,
        "unchanged": written.unchanged,
        "deleted": written.deleted,
        "withheld": lacking if withheld else 0,
    }
    _print(result | {"seconds": time.monotonic() - started}, json)
    if withheld:
        print_error(withheld)
        raise typer.Exit(1)


def _write(files: Sequence[ItemFile], sender: Sender, held: HeldItems | None = None) -> Written:
    """Write the items of files, and print on standard error what was read and what was not."""
    with progress() as bar:
        task = bar.add_task("items put", total=None, note="")

        def tick(written: Written) -> None:
            rows = sum(file.report.rows for file in files)
            bar.update(task, completed=written.put, note=f"of {count(rows)} rows")

        written = write_files(files, sender, held, tick)
    for line in (line for file in files for line in file.report.lines()):
        err.print(line, markup=False, highlight=False, soft_wrap=True)
    return written


def _totals(files: Sequence[ItemFile]) -> dict[str, Any]:
    reports = [file.report for file in files]
    refused = Refusals()
    for report in reports:
        refused.add_all(report.refused)
    return {
        "rows": sum(report.rows for report in reports),
        "refused": refused.total,
        "reasons": refused.counts,
    }


def _print(result: dict[str, Any], json: bool) -> None:
    if json:
        print_json(result)
    else:
        print_result("Catalogue", readable(result))


def readable(result: dict[str, Any]) -> dict[str, str]:
    """Return the result as people read it."""
    names = {
        "rows": "rows",
        "refused": "rows refused",
        "put": "items put",
        "unchanged": "items unchanged",
        "deleted": "items deleted",
        "withheld": "deletions withheld",
    }
    told = {name: count(result[key]) for key, name in names.items() if key in result}
    return told | {"time": seconds(result["seconds"])}
