"""The examples of docs/clients.md are the code that runs, in each language, against a server."""

import contextlib
import io
import re

from nextclick import Client, decode_event
from tests.clients import toolchains
from tests.clients.toolchains import ROOT, run
from tests.unit.server.transport.served import LIMIT_S

DOCUMENT = (ROOT / "docs" / "clients.md").read_text()
BLOCKS = re.findall(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
PYTHON_TARGET = '"10.0.0.1:50051,10.0.0.2:50051"'


def target_of(served):
    return f"127.0.0.1:{served.port}"


def expected(served):
    """What the examples print; a click of the same item is in all of their requests."""
    with Client(target_of(served), timeout_s=LIMIT_S) as client:
        answer = client.recommend("s1", session_items=["17116"], page_size=3)
    return f"accepted 1\nnext {' '.join(answer.item_ids)}\n"


def check(served, printed):
    """An example has printed the right items, and sent one click that counts once."""
    assert printed == expected(served)
    ((topic, _, value, *_),) = served.producer.records
    click = decode_event(value)
    assert (topic, click.type, click.session_id, click.item_id) == ("events", "view", "s1", "17116")
    assert len(click.event_id) >= 16


def test_the_document_shows_the_examples_that_are_built():
    """What people copy would not be what is tested."""
    shown = {file: text for _, file, text in BLOCKS if file}
    assert {file.split("/")[1] for file in shown} == {"typescript", "go", "java"}
    for file, text in shown.items():
        assert text == (ROOT / file).read_text(), file


def test_the_example_in_python_runs(served):
    """A backend's first program would not work."""
    (code,) = [text for kind, _, text in BLOCKS if kind == "python"]
    assert PYTHON_TARGET in code
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        here = f'"{target_of(served)},127.0.0.2:{served.port}"'
        exec(compile(code.replace(PYTHON_TARGET, here), "clients.md", "exec"), {})
    check(served, printed.getvalue())


def test_the_example_in_typescript_runs(served):
    """A backend on Node.js would not find its recommendations."""
    one_is_away = f"ipv4:127.0.0.2:{served.port},{target_of(served)}"
    check(served, run(*toolchains.typescript(), one_is_away))


def test_the_example_in_go_runs(served, tmp_path):
    """A backend in Go would not find its recommendations."""
    run("go", "vet", "./...", cwd=toolchains.GO)
    check(served, run(*toolchains.go(tmp_path), target_of(served)))


def test_the_example_in_java_runs(served):
    """A backend in Java would not find its recommendations."""
    check(served, run(*toolchains.java(), target_of(served)))
