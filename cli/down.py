"""``nextclick down``: end the stack."""

from __future__ import annotations

from cli.console import err, print_json, print_line
from cli.options import DEFAULT_HOME, HomeFolder, Json
from cli.stack.layout import Home
from cli.stack.stack import Stack


def down(home: HomeFolder = DEFAULT_HOME, json: Json = False) -> None:
    """End the stack that `nextclick up` started; its data stay.

    nextclick down
    """
    stack = Stack.running(Home(home.absolute()))
    if stack is not None:
        with err.status("stopping"):
            stack.stop()
    if json:
        print_json({"stopped": stack is not None})
    else:
        print_line("stopped" if stack is not None else f"nothing runs in {home}")
