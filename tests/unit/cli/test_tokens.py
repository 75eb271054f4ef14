"""`nextclick tokens`: a token is shown once, its file is written as a whole, mistakes are told."""

import json
import os
import threading

import pytest
from typer.testing import CliRunner

from cli import tokens
from cli.errors import CommandError
from cli.main import app
from listeners.tokens import MAX_TOKENS, Scope, Token, Tokens, decode_tokens, encode_tokens


@pytest.fixture
def file(tmp_path, monkeypatch):
    """The file of the settings, which does not exist yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEXTCLICK_TOKENS_FILE", "tokens.json")
    return tmp_path / "tokens.json"


def run(*words):
    result = CliRunner().invoke(app, ["tokens", *words], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result


def held(file):
    return decode_tokens(file.read_bytes())


def test_a_token_is_made_and_opens_what_it_is_for(file):
    """Standard output has the token and nothing else, so that it can go into a file."""
    made = run("create", "shop", "--scope", "recommend", "--scope", "events")
    token = made.stdout.removesuffix("\n")
    found = Tokens(held(file)).of(f"Bearer {token}")
    assert (found.name, found.scopes) == ("shop", {Scope.RECOMMEND, Scope.EVENTS})
    assert token not in file.read_text()
    assert token not in made.stderr
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_token_as_json(file):
    """For scripts."""
    made = json.loads(run("create", "shop", "--scope", "metrics", "--json").stdout)
    assert (made["name"], made["scopes"]) == ("shop", ["metrics"])
    assert Tokens(held(file)).of(f"Bearer {made['token']}")


def test_tokens_are_listed_without_what_opens(file):
    """Whoever looks over a shoulder learns names."""
    token = run("create", "shop", "--scope", "events", "--scope", "catalogue").stdout.strip()
    shown = run("list").stdout
    assert "shop" in shown
    assert "catalogue, events" in shown
    assert token not in shown
    [entry] = json.loads(run("list", "--json").stdout)["tokens"]
    assert (entry["name"], entry["scopes"]) == ("shop", ["catalogue", "events"])
    assert set(entry) == {"name", "scopes", "created"}


def test_a_token_that_is_removed_opens_nothing(file):
    """The others go on."""
    shop, ops = (run("create", n, "--scope", "models").stdout.strip() for n in ("shop", "ops"))
    run("remove", "shop")
    left = Tokens(held(file))
    assert left.of(f"Bearer {shop}") is None
    assert left.of(f"Bearer {ops}").name == "ops"
    run("remove", "ops")
    assert "every call is refused" in run("list").stdout


def test_the_file_is_replaced_as_a_whole_and_keeps_its_mode(file):
    """Servers read it meanwhile, and may be of another user."""
    run("create", "shop", "--scope", "events")
    file.chmod(0o640)
    before = file.stat().st_ino
    run("create", "ops", "--scope", "events", "--file", str(file))
    assert file.stat().st_ino != before
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in file.parent.iterdir()] == ["tokens.json"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_file_keeps_its_owner(file):
    """Root's own could not be read by servers: they would go on with a token that was removed."""
    run("create", "shop", "--scope", "events")
    os.chown(file, 10_001, 10_002)
    run("remove", "shop")
    assert (file.stat().st_uid, file.stat().st_gid) == (10_001, 10_002)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_whose_owner_cannot_be_kept_stays_as_it_is(file, monkeypatch):
    """A token that was leaked would be said to be removed, and would not be."""
    run("create", "shop", "--scope", "events")
    before = file.read_bytes()

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(CommandError, match=r"belongs to the user .* run the command as that user"):
        run("remove", "shop")
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["tokens.json"]


def test_two_that_edit_it_at_once_lose_nothing(file):
    """The one who loses has a token that nobody takes."""
    names = [f"t{n}" for n in range(12)]
    threads = [
        threading.Thread(target=tokens.create, args=(name, [Scope.EVENTS], file)) for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(token.name for token in held(file)) == sorted(names)


MISTAKES = {
    ("create", "shop", "--scope", "events"): r"has a token shop already.*tokens remove shop",
    ("create", "a b", "--scope", "events"): "'a b' is no name",
    ("create", "x", "--scope", "all"): "'all' is not one of",
    ("create", "x"): "Missing parameter: scope",
    ("remove", "x"): "has no token x; it has: shop",
}


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_mistakes_are_told_and_change_nothing(file, words):
    """With what to do instead."""
    run("create", "shop", "--scope", "events")
    before = file.read_bytes()
    with pytest.raises(Exception, match=MISTAKES[words]):
        run(*words)
    assert file.read_bytes() == before


def test_a_file_of_something_else_is_not_overwritten(file):
    """It was the file of the settings, given by mistake."""
    file.write_text("max_items = 5\n")
    for words in (("create", "x", "--scope", "events"), ("list",), ("remove", "x")):
        with pytest.raises(CommandError, match=r"tokens\.json: is no JSON"):
            run(*words)
    assert file.read_text() == "max_items = 5\n"


def test_more_tokens_than_servers_take_are_not_written(file):
    """They would go on with those of before, and nobody would know why."""
    full = [Token(f"t{n}", frozenset(Scope), f"{n:064x}", "") for n in range(MAX_TOKENS)]
    file.write_bytes(encode_tokens(full))
    with pytest.raises(CommandError, match="more than 1,000 tokens"):
        run("create", "x", "--scope", "events")
    assert len(held(file)) == MAX_TOKENS


def test_it_is_asked_where_the_tokens_are(monkeypatch, tmp_path):
    """A default place would be a second file that no server reads."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match=r"--file, or set NEXTCLICK_TOKENS_FILE"):
        run("list")
    with pytest.raises(FileNotFoundError):
        run("list", "--file", "missing.json")
