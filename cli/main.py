"""The command ``nextclick``."""

from __future__ import annotations

import io
import os
import sys
from pkgutil import resolve_name
from typing import NoReturn

import typer

from cli import interrupt
from cli.backup import backup_app
from cli.console import err, print_error
from cli.doctor import doctor
from cli.down import down
from cli.errors import CommandError
from cli.features import features_app
from cli.gateway import gateway
from cli.jobs import jobs_app
from cli.models import models_app
from cli.recommend import recommend
from cli.sentences import sentence_of
from cli.serve import serve
from cli.similar import similar
from cli.status import status
from cli.tokens import tokens_app
from cli.topics import topics_app
from cli.up import up
from cli.users import users_app
from nextclick.extras import missing
from settings.load import check_names

app = typer.Typer(
    help="A real-time session recommender that learns from every click.",
    callback=check_names,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (up, down, status, doctor, recommend, similar, serve, gateway):
    app.command()(command)
app.add_typer(jobs_app, name="jobs")
app.add_typer(topics_app, name="topics")
app.add_typer(models_app, name="models")
app.add_typer(tokens_app, name="tokens")
app.add_typer(backup_app, name="backup")

GROUPS = {"features": features_app, "users": users_app}
"""Commands of which some read files."""
for title, group in GROUPS.items():
    app.add_typer(group, name=title)

OF_FILES = {
    "demo": "cli.demo:demo",
    "replay": "cli.replay:replay",
    "import": "cli.import_history:import_history",
    "catalogue": "cli.catalogue:catalogue_app",
    "users put": "cli.put_users:put_users",
    "evaluate": "cli.evaluate:evaluate",
    "results": "cli.results:results",
    "features export": "cli.export_features:export_features",
    "bench": "cli.bench.app:bench_app",
}
"""Commands that read files of clicks, items or users: they need the extra ``evaluation``."""


def add_commands_of_files() -> None:
    """Add them; where the extra is not installed, each of them says so."""
    lacking = missing("evaluation")

    def refuse() -> NoReturn:
        raise CommandError(lacking)

    for words, place in OF_FILES.items():
        *groups, name = words.split()
        to = GROUPS[groups[0]] if groups else app
        if lacking:
            takes_all = {"allow_extra_args": True, "ignore_unknown_options": True}
            to.command(name, help=f"Not here: {lacking}", context_settings=takes_all)(refuse)
        elif isinstance(found := resolve_name(place), typer.Typer):
            to.add_typer(found, name=name)
        else:
            to.command(name)(found)


add_commands_of_files()


def main() -> None:
    """Run the command; what went wrong is told in a sentence (`cli.sentences`)."""
    interrupt.install()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # ids may have letters that a terminal has not
            stream.reconfigure(errors="replace")
    try:
        code = app(prog_name="nextclick", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        code = interrupt.INTERRUPTED
    except BrokenPipeError:  # who reads the output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except (Exception, SystemExit) as e:
        # Numba, for one, makes another error of an interrupt that strikes while it compiles.
        code = interrupt.INTERRUPTED if interrupt.requested() else tell(e)
    if code == interrupt.INTERRUPTED:
        err.print(interrupt.TOLD)
    sys.exit(code if isinstance(code, int) else 0)


def tell(error: BaseException) -> int:
    """Print what went wrong; returns the exit code. A bug is raised again."""
    if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help
        error.show()  # type: ignore[attr-defined]
        return 2
    sentence = sentence_of(error)
    if sentence is None:
        raise error
    print_error(sentence)
    return int(getattr(error, "exit_code", 1))
