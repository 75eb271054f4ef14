"""The command ``nextclick``."""

from __future__ import annotations

import io
import os
import sys

import typer

from cli import interrupt
from cli.bench.app import bench_app
from cli.console import err, print_error
from cli.demo import demo
from cli.doctor import doctor
from cli.down import down
from cli.evaluate import evaluate
from cli.import_history import import_history
from cli.jobs import jobs_app
from cli.models import models_app
from cli.recommend import recommend
from cli.replay import replay
from cli.results import results
from cli.sentences import sentence_of
from cli.serve import serve
from cli.status import status
from cli.topics import topics_app
from cli.up import up
from settings.load import check_names

app = typer.Typer(
    help="A real-time session recommender that learns from every click.",
    callback=check_names,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (up, down, status, doctor, demo, replay, recommend, evaluate, results, serve):
    app.command()(command)
app.command("import")(import_history)
app.add_typer(jobs_app, name="jobs")
app.add_typer(topics_app, name="topics")
app.add_typer(models_app, name="models")
app.add_typer(bench_app, name="bench")


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
