"""``nextclick catalogue`` against a real server and a real topic."""

import json
import sys

import pytest

from cli import interrupt, main
from cli.catalogues.held import read_catalogue
from cli.errors import CommandError
from nextclick import Item


@pytest.fixture
def run(monkeypatch, tmp_path, shop, capsys):
    """A function that writes an export and runs a command on it: exit code, and what it tells."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(interrupt, "install", lambda: None)

    def run(command, text, *options):
        (tmp_path / "items.csv").write_text(text)
        port = shop.target.rpartition(":")[2]
        words = ["catalogue", command, "items.csv", "--json", "--grpc-port", port]
        monkeypatch.setattr(sys, "argv", ["nextclick", *words, *options])
        with pytest.raises(SystemExit) as end:
            main.main()
        out, said = capsys.readouterr()
        return end.value.code, json.loads(out) if out else said

    return run


def export(*numbers):
    lines = [f"{n},Item {n},Shoes|Size {n},{n % 2}" for n in numbers]
    return "id,title,categories,stock\n" + "\n".join(lines) + "\n"


def expected(*numbers):
    return {
        str(n): Item(
            str(n),
            available=bool(n % 2),
            categories=("Shoes", f"Size {n}"),
            title=f"Item {n}",
        )
        for n in numbers
    }


def test_a_catalogue_follows_a_shops_nightly_export(run, shop):
    """What comes, changes and goes; a run with the same file writes nothing."""
    code, told = run("put", export(*range(1_200)))
    assert (code, told["put"]) == (0, 1_200)
    assert shop.active == expected(*range(1_200))
    records = shop.records()
    kafka = ("--kafka", shop.kafka)
    code, told = run("sync", export(*range(1_200)), *kafka)
    assert (code, told["put"], told["unchanged"]) == (0, 0, 1_200)
    assert shop.records() == records
    changed = export(*range(100, 1_300)).replace("Item 500,", "Tie,")
    code, told = run("sync", changed, *kafka)
    assert (code, told["put"], told["unchanged"], told["deleted"]) == (0, 101, 1_099, 100)
    assert shop.records() == records + 201
    assert set(shop.active) == {str(n) for n in range(100, 1_300)}
    assert shop.active["500"].title == "Tie"
    assert shop.items["7"] is None
    code, told = run("sync", export(*range(100, 800)), *kafka)
    assert (code, told["withheld"], told["deleted"]) == (1, 500, 0)
    assert len(shop.active) == 1_200


def test_a_topic_that_is_not_there_is_not_an_empty_catalogue(shop):
    """The broker or the tenant is wrong: nothing would ever be deleted."""
    with pytest.raises(CommandError, match=r"no topic unknown.items.*--kafka"):
        list(read_catalogue(shop.settings, "unknown"))
