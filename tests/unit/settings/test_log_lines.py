"""The lines of a log: what each of them says, and what none of them does."""

import json
import logging

import pytest

from settings.load import load
from settings.log_lines import JsonLines, TextLines, log_to_stderr, told
from settings.store import StoreSettings

TEXT, CAUSE = "marked-text", "marked-cause"

LINE = {
    "name": "nextclick.test",
    "levelname": "WARNING",
    "levelno": logging.WARNING,
    "created": 1_764_086_400.1234,
    "msg": "took %d ms",
    "args": (5,),
}


def line_of(**more):
    return logging.makeLogRecord({**LINE, **more})


def failure(cause=None):
    """An exception that was raised, and its cause."""
    try:
        try:
            raise cause or KeyError(CAUSE)
        except Exception as e:
            raise ValueError(TEXT) from e
    except ValueError as e:
        return e


@pytest.fixture
def our_log():
    """Our logger, whose level, and the root's, a test may change."""
    ours, root = logging.getLogger("nextclick"), logging.getLogger()
    levels = ours.level, root.level
    yield ours
    for logger, level in zip((ours, root), levels, strict=True):
        logger.setLevel(level)


def test_a_line_of_json_says_when_who_what_and_of_which_call():
    """Whoever collects the logs of all processes finds one call, and one tenant, in them."""
    line = JsonLines("server", "shop").format(line_of(request="r1", trace="t1"))
    assert json.loads(line) == {
        "time": "2025-11-25T16:00:00.123+00:00",
        "level": "WARNING",
        "logger": "nextclick.test",
        "role": "server",
        "tenant": "shop",
        "message": "took 5 ms",
        "request": "r1",
        "trace": "t1",
    }


def test_a_line_of_text_says_the_same():
    """It is for those who read it as it comes."""
    line = TextLines("store", "").format(line_of(request="r1", trace=""))
    head = "2025-11-25T16:00:00.123+00:00 WARNING nextclick.test took 5 ms"
    assert line == f"{head} role=store request=r1"


@pytest.mark.parametrize("lines", [JsonLines, TextLines])
def test_an_exception_is_told_by_its_places_and_types(lines):
    """Its text may quote a session id; where it was raised is what finds the bug."""
    error = failure()
    line = lines("server", "").format(line_of(exc_info=(type(error), error, None)))
    assert "marked" not in line
    assert "in failure" in line
    assert "KeyError" in line
    assert "ValueError" in line
    assert len(line.splitlines()) == 1 or lines is TextLines


def test_what_the_system_says_of_a_failure_is_told():
    """A full disk is found by its name alone."""
    error = failure(OSError(28, "No space left on device"))
    assert "No space left on device" in told(error, with_texts=False)


def test_at_level_debug_an_exception_is_told_in_full(our_log):
    """Who asks for personal data gets all there is to find a bug."""
    our_log.setLevel(logging.DEBUG)
    error = failure()
    line = JsonLines("server", "").format(line_of(exc_info=(type(error), error, None)))
    assert TEXT in line
    assert CAUSE in line


def test_format_and_level_are_settings(our_log, monkeypatch, capsys):
    """Our lines alone: other libraries' debugging would bury them."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # without those of pytest
    monkeypatch.setenv("NEXTCLICK_LOG_FORMAT", "text")
    monkeypatch.setenv("NEXTCLICK_LOG_LEVEL", "debug")
    monkeypatch.setenv("NEXTCLICK_TENANT", "shop")
    log_to_stderr("store", load(StoreSettings))
    logging.getLogger("nextclick.store").debug("ours")
    logging.getLogger("urllib3").debug("theirs")
    logging.getLogger("urllib3").warning("their warning")
    ours, theirs = capsys.readouterr().err.splitlines()
    assert ours.endswith("DEBUG nextclick.store ours role=store tenant=shop")
    assert theirs.endswith("WARNING urllib3 their warning role=store tenant=shop")
    monkeypatch.setenv("NEXTCLICK_LOG_LEVEL", "loud")
    with pytest.raises(SystemExit, match=r"NEXTCLICK_LOG_LEVEL: .*'debug'"):
        load(StoreSettings)
