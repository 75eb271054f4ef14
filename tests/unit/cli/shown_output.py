"""What commands print, of made data, at two widths: the files in ``shown``.

After a change that is meant, write them again: ``python -m tests.unit.cli.shown_output``.
"""

import io
import itertools
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from unittest import mock

import typer

from cli import (
    backup,
    catalogue,
    demo,
    doctor,
    down,
    evaluate,
    export_features,
    features,
    import_history,
    jobs,
    models,
    put_users,
    recommend,
    replay,
    results,
    similar,
    status,
    tokens,
    topics,
    up,
    user_profile,
    users,
)
from cli.bench import (
    flood,
    freshness,
    frontier,
    gateway,
    growth,
    guard,
    importance,
    index,
    index_compare,
    learning,
    serving,
    throughput,
    year,
)
from cli.console import out, print_result
from cli.stack.layout import Home, Ports
from cli.stack.stack import Stack
from listeners.tokens import Scope
from nextclick import Recommendation, User
from tests.unit.cli.kafka_of_topics import Broker, without_events, wrong_in_part
from tests.unit.cli.made_bench_results import BENCHED
from tests.unit.cli.made_results import (
    ANSWER,
    BACKUPS,
    BESIDE_PLAIN,
    DEMO,
    EVALUATED,
    EXPORTED,
    FEATURES,
    FINDINGS,
    IMPORTED,
    MODELS,
    NOTHING_YET,
    PLAYED,
    POPULAR,
    PROFILE,
    PUT,
    STATUS,
    SYNCED,
    TOKENS,
    VALUES,
)

FOLDER = Path(__file__).parent / "shown"
WIDTHS = (80, 120)

HOME = Path("/srv/shop/.nextclick")
JOB_ID = "7f3c5e0f0d1f4a3f9b2f6a3f1c0d9e8b"
SAVEPOINT = HOME / "flink/savepoints/sessions/savepoint-7f3c5e-0123456789ab"


JOBS_OF_TWO = [
    {"name": name, "state": state, "job_id": JOB_ID}
    for name, state in (("sessions", "RUNNING"), ("shop.sessions", "RESTARTING"))
]


def with_stand_ins(module, command, *args, **stand_ins):
    """A function that runs a command; ``stand_ins`` take the place of names of its module."""

    def run():
        with mock.patch.multiple(module, **stand_ins):
            command(*args)

    return run


def model(command, *args):
    """A function that runs a command of `nextclick models`, which a server answers."""
    return with_stand_ins(models, command, "ranker", *args, server_client=mock.MagicMock())


def job(command, running):
    """A function that runs a command of `nextclick jobs` on a stack."""
    stack = mock.Mock()
    stack.submit.return_value, stack.tenant_or.return_value = JOB_ID, ""
    flink_rest = mock.Mock()
    flink_rest.stop_with_savepoint.return_value = SAVEPOINT
    return with_stand_ins(
        jobs,
        command,
        "sessions",
        Stack=mock.Mock(in_folder=lambda _: stack),
        run_of=lambda *_: running,
        flink_rest=flink_rest,
        job_state=mock.Mock(),
    )


def stop(running):
    """A function that runs `nextclick down`."""
    stack = mock.Mock(running=lambda _: running)
    return with_stand_ins(down, down.down, Path("shops/[old]/.nextclick"), Stack=stack)


def topics_of(broker, command):
    """A function that runs a command of `nextclick topics` on a made cluster."""

    def run():
        made = mock.patch.object(topics, "admin_client", return_value=broker)
        with made, suppress(typer.Exit):
            command()

    return run


def backups_of(command, *args, **stand_ins):
    """A function that runs a command of `nextclick backup` on made backups."""
    place = mock.MagicMock()
    place.__str__.return_value = "s3://backups/shops/north"
    backups = mock.Mock()
    backups.all_of.return_value = BACKUPS
    backups.create.return_value = backups.find.return_value = BACKUPS["backup-20261127T030000Z"]
    backups.prune.return_value = ["backup-20261119T030000Z"]
    return with_stand_ins(
        backup,
        command,
        "s3://backups/shops/north",
        *args,
        Place=lambda _: place,
        backups=mock.Mock(**{"all_of.return_value": {}}) if stand_ins.get("none") else backups,
        Stack=mock.Mock(**{"running.return_value": None}),
        image_of=mock.MagicMock(),
        name_at=lambda _: "backup-20261127T030000Z",
        os=mock.Mock(),
        time=mock.Mock(**{"monotonic.side_effect": itertools.cycle([0, 71.2])}),
    )


def table(title, rows):
    return partial(print_result, title, rows)


SHOWN = {
    "up": lambda: up.show(Stack(Home(HOME), Ports(), bound=False), 41.2),
    "down": stop(mock.Mock()),
    "down-nothing": stop(None),
    "status": lambda: status.show(STATUS),
    "status-nothing-yet": lambda: status.show(NOTHING_YET),
    "doctor": lambda: doctor.show(FINDINGS),
    "demo": lambda: demo.show(DEMO),
    "demo-secured": lambda: demo.show(DEMO | {"answers": BESIDE_PLAIN}),
    "replay": table("What was played", replay.readable(PLAYED)),
    "replay-only-sent": table(
        "What was played", replay.readable({"sent": 431_205, "errors": 0, "seconds": 154.2})
    ),
    "catalogue-put": table("Catalogue", catalogue.readable(PUT)),
    "catalogue-sync": table("Catalogue", catalogue.readable(SYNCED)),
    "users-put": table("Users", put_users.readable({"put": 81_204, "refused": 3, "seconds": 61.4})),
    "users-get": lambda: users.show(
        [
            User("u7", {"plan": "gold", "language": "de-AT"}, ("new", "vienna")),
            User("0f8fad5b-d9cb-469f-a165-70867728950e", consent=False),
        ],
        2,
    ),
    "users-delete": with_stand_ins(
        users,
        users.delete,
        ["u7"],
        server_client=mock.MagicMock(
            **{"return_value.__enter__.return_value.delete_users.return_value": 1}
        ),
    ),
    "import": table("Import", import_history.readable(IMPORTED)),
    "recommend": lambda: recommend.show(ANSWER, explain=False),
    "recommend-explain": lambda: recommend.show(ANSWER, explain=True),
    "recommend-popular": lambda: recommend.show(POPULAR, explain=False),
    "recommend-nothing": lambda: recommend.show(Recommendation((), source="popular"), explain=True),
    "similar": lambda: similar.show(ANSWER, "17116", "mix"),
    "similar-nothing": lambda: similar.show(Recommendation(()), "17116", "content"),
    "evaluate": lambda: evaluate.print_figures(
        "prequential evaluation of the ranking covisit-vectors", EVALUATED, 20
    ),
    "evaluate-compare": lambda: evaluate.print_comparison(
        "prequential evaluation, k = 20", {"session-knn": EVALUATED, "covisit-vectors": EVALUATED}
    ),
    "results": with_stand_ins(
        results,
        results.results,
        Path("data"),
        Path("docs/results.md"),
        write_report=mock.Mock(),
        check_writable=mock.Mock(),
    ),
    "jobs-submit": job(jobs.submit, ""),
    "jobs-stop": job(jobs.stop, JOB_ID),
    "jobs-list": lambda: jobs.show(JOBS_OF_TWO),
    "backup-create": backups_of(backup.create, HOME, None, 7),
    "backup-list": backups_of(backup.list_),
    "backup-list-nothing": backups_of(backup.list_, none=True),
    "backup-restore": backups_of(backup.restore, HOME),
    "features-list": lambda: features.show(FEATURES),
    "features-get": lambda: [features.show_values(vector) for vector in VALUES],
    "features-export": table("Exported to cases.parquet", export_features.readable(EXPORTED)),
    "models-list": lambda: models.show(MODELS),
    "users-profile": lambda: user_profile.show(PROFILE),
    "models-pause": model(models.pause),
    "models-resume": model(models.resume),
    "models-roll-back": model(models.roll_back, 321),
    "tokens-create": with_stand_ins(
        tokens,
        tokens.create,
        "shop",
        list(Scope),
        Path("tokens.json"),
        new_token=lambda: "nextclick_3kPzqYp0v1Ue7mXn2bRc8LwTs5fAgHjKd9QeVyBuN4o",
        _edited=lambda _: nullcontext([]),
    ),
    "tokens-list": lambda: tokens.show(TOKENS),
    "tokens-list-nothing": lambda: tokens.show([]),
    "tokens-remove": with_stand_ins(
        tokens,
        tokens.remove,
        "shop-backend",
        Path("tokens.json"),
        _edited=lambda _: nullcontext([TOKENS[0]]),
    ),
    "topics-create": topics_of(without_events(), topics.create),
    "topics-check": topics_of(wrong_in_part(), topics.check),
    "topics-check-nothing": topics_of(Broker(), topics.check),
    "topics-describe": topics_of(without_events(), topics.describe),
    "bench-flood": table("A flood of invented ids", flood.readable(BENCHED["flood"])),
    "bench-freshness": table(
        "From a click to its effect", freshness.readable(BENCHED["freshness"])
    ),
    "bench-frontier": lambda: frontier.show(BENCHED["frontier"]),
    "bench-frontier-importance": lambda: importance.show(BENCHED["importance"]),
    "bench-gateway": table("The REST gateway", gateway.readable(BENCHED["gateway"])),
    "bench-growth": lambda: growth.show(BENCHED["growth"]),
    "bench-guard": table("Tokens and TLS", guard.readable(BENCHED["guard"])),
    "bench-index": table("The vector index", index.readable(BENCHED["index"])),
    "bench-index-compare": lambda: index_compare.show(BENCHED["index-compare"]),
    "bench-learning": table("The learners", learning.readable(BENCHED["learning"])),
    "bench-serving": table("Serving", serving.readable(BENCHED["serving"])),
    "bench-throughput": table("Clicks a second", throughput.readable(BENCHED["throughput"])),
    "bench-year": lambda: year.show(BENCHED["year"]),
}
"""By command, its words joined by hyphens; a command may have more than one."""

SILENT = dict.fromkeys(
    ("gateway", "serve"), "runs in the foreground until it is ended, and writes a log"
)
"""Commands that print nothing of their own, and why."""


def printed(name, width):
    """What a command prints into a pipe, at a width."""
    held = io.StringIO()
    # Set through its properties, the console would keep this test's output and width for good.
    with mock.patch.multiple(out, _file=held, _width=width):
        SHOWN[name]()
    return "".join(f"{line.rstrip()}\n" for line in held.getvalue().splitlines())


def main():
    FOLDER.mkdir(exist_ok=True)
    for file in FOLDER.glob("*.txt"):
        file.unlink()
    for name in SHOWN:
        for width in WIDTHS:
            (FOLDER / f"{name}-{width}.txt").write_text(printed(name, width))


if __name__ == "__main__":
    main()
