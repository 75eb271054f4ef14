"""The command ``nextclick``."""

from __future__ import annotations

import sys

import typer
from rich.markup import escape

from cli import interrupt
from cli.bench.app import bench_app
from cli.console import err
from cli.demo import demo
from cli.doctor import doctor
from cli.down import down
from cli.errors import CommandError
from cli.evaluate import evaluate
from cli.import_history import import_history
from cli.jobs import jobs_app
from cli.models import models_app
from cli.recommend import recommend
from cli.replay import replay
from cli.results import results
from cli.serve import serve
from cli.status import status
from cli.up import up
from evaluation.errors import EvaluationError

app = typer.Typer(
    help="A real-time session recommender that learns from every click.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (up, down, status, doctor, demo, replay, recommend, evaluate, results, serve):
    app.command()(command)
app.command("import")(import_history)
app.add_typer(jobs_app, name="jobs")
app.add_typer(models_app, name="models")
app.add_typer(bench_app, name="bench")


INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


def main() -> None:
    """Run the command; errors that people can act on are printed as one line."""
    interrupt.install()
    try:
        code = app(standalone_mode=False)
    except (CommandError, EvaluationError) as e:
        err.print(f"[bold red]error:[/] {escape(str(e))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as e:
        if not hasattr(e, "exit_code"):
            raise
        e.show()  # type: ignore[attr-defined]  # a usage error
        sys.exit(e.exit_code)
    if code == INTERRUPTED:
        err.print("interrupted")
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
