"""The examples of docs/clients.md are the code that runs, in each language, against a server."""

import contextlib
import io
import re

from nextclick import decode_event
from tests.clients import toolchains
from tests.clients.toolchains import ROOT, run

DOCUMENT = (ROOT / "docs" / "clients.md").read_text()
BLOCKS = re.findall(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
PYTHON_TARGET = '"10.0.0.1:50051,10.0.0.2:50051"'


def expected(shop):
    """What the examples print; a click of the same item is in all of their requests."""
    with shop.client() as client:
        answer = client.recommend("s1", session_items=["17116"], page_size=3)
    return f"accepted 1\nnext {' '.join(answer.item_ids)}\n"


def check(shop, printed):
    """An example has printed the right items, and sent one click that counts once."""
    assert printed == expected(shop)
    ((topic, _, value, *_),) = shop.served.producer.records
    click = decode_event(value)
    assert (topic, click.type, click.session_id, click.item_id) == ("events", "view", "s1", "17116")
    assert len(click.event_id) >= 16


def test_the_document_shows_the_examples_that_are_built():
    """What people copy would not be what is tested."""
    shown = {file: text for _, file, text in BLOCKS if file}
    assert {file.split("/")[1] for file in shown} == {"typescript", "go", "java"}
    for file, text in shown.items():
        assert text == (ROOT / file).read_text(), file


def test_the_example_in_python_runs(plain_shop):
    """A backend's first program would not work."""
    (code,) = [text for kind, _, text in BLOCKS if kind == "python"]
    assert PYTHON_TARGET in code
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        here = f'"{plain_shop.target},127.0.0.2:{plain_shop.port}"'
        exec(compile(code.replace(PYTHON_TARGET, here), "clients.md", "exec"), {})
    check(plain_shop, printed.getvalue())


def test_the_example_in_typescript_runs(shop, tmp_path):
    """A backend on Node.js would not find its recommendations, or not even the package."""
    one_is_away = f"ipv4:127.0.0.2:{shop.port},{shop.target}"
    target = shop.target if shop.tls else one_is_away
    check(shop, run(*toolchains.typescript(tmp_path), target, env=shop.environment))


def test_the_example_in_go_runs(shop, tmp_path):
    """A backend in Go would not find its recommendations."""
    run("go", "vet", "./...", cwd=toolchains.GO)
    check(shop, run(*toolchains.go(tmp_path), shop.target, env=shop.environment))


def test_the_example_in_java_runs(shop):
    """A backend in Java would not find its recommendations."""
    check(shop, run(*toolchains.java(), shop.target, env=shop.environment))
