"""Watched files: what is valid is taken over, what is not changes nothing and is said."""

import logging
import os

import pytest

from listeners import watched_files
from listeners.watched_files import MAX_BYTES, VALID, WatchedFiles, watch
from tests.unit.server.transport.served import until


def number(contents):
    """The sum of what the files hold."""
    try:
        return sum(map(int, contents))
    except ValueError:
        raise ValueError("is no number") from None


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_bytes(b"1")
    return paths


def valid():
    return VALID.labels("numbers")._value.get()


def said(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_new_content_is_taken_over(paths):
    """Whether it was written in place, or renamed into its place."""
    files = WatchedFiles("numbers", paths, number)
    assert (files.value, valid()) == (2, 1)
    paths[0].write_bytes(b"5")
    files.refresh()
    assert files.value == 6
    new = paths[0].with_name("new")
    new.write_bytes(b"7")
    new.replace(paths[1])
    files.refresh()
    assert files.value == 12


def test_what_is_as_it_was_is_not_parsed_again(paths):
    """It is looked at each second, beside the answers."""
    parsed = []
    files = WatchedFiles("numbers", paths, parsed.append)
    for _ in range(3):
        files.refresh()
    os.utime(paths[0])
    files.refresh()
    assert len(parsed) == 1


@pytest.mark.parametrize("content", [b"", b"1x", b"1" * (MAX_BYTES + 1)], ids=len)
def test_invalid_content_changes_nothing_and_is_said_once(paths, content, caplog):
    """A file that is torn, or not finished yet, must not shut everybody out."""
    files = WatchedFiles("numbers", paths, number)
    paths[0].write_bytes(content)
    for _ in range(3):
        files.refresh()
    assert (files.value, valid()) == (2, 0)
    [line] = said(caplog)
    assert line.startswith("numbers: ")
    assert "what they held before stays in use" in line
    paths[0].write_bytes(b"1")
    files.refresh()
    assert (files.value, valid()) == (2, 1)


def test_a_file_that_is_gone_changes_nothing_until_it_is_back(paths, caplog):
    """As it was, too: that it can be read again is news."""
    files = WatchedFiles("numbers", paths, number)
    paths[1].unlink()
    for _ in range(3):
        files.refresh()
    assert (files.value, valid()) == (2, 0)
    assert said(caplog) == [
        f"numbers: {paths[1]} cannot be read: No such file or directory; what they held before "
        "stays in use"
    ]
    paths[1].write_bytes(b"1")
    files.refresh()
    assert (files.value, valid()) == (2, 1)


def test_a_link_that_leads_elsewhere_is_followed(tmp_path):
    """Kubernetes replaces the files of a Secret by one link to a folder."""
    for name, content in (("old", b"1"), ("new", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(content)
    (tmp_path / "data").symlink_to("old")
    (tmp_path / "file").symlink_to("data/file")
    files = WatchedFiles("numbers", [tmp_path / "file"], number)
    (tmp_path / "next").symlink_to("new")
    (tmp_path / "next").replace(tmp_path / "data")
    files.refresh()
    assert files.value == 2


def test_what_is_invalid_at_the_start_ends_the_process_with_a_sentence(paths):
    """There is nothing before it that could stay in use."""
    paths[0].write_bytes(b"secret")
    with pytest.raises(SystemExit) as end:
        WatchedFiles("numbers", paths, number)
    assert str(end.value) == f"{paths[0]}, {paths[1]}: is no number"
    with pytest.raises(SystemExit, match="missing cannot be read: No such file"):
        WatchedFiles("numbers", [paths[0].with_name("missing")], number)


def test_the_thread_goes_on_after_a_bug(paths, monkeypatch, caplog):
    """It would be found out when the next certificate has expired."""
    monkeypatch.setattr(watched_files, "EVERY_S", 0.001)
    bugs = [True]

    def parse(contents):
        if bugs and contents[0] != b"1":
            raise KeyError
        return number(contents)

    files = WatchedFiles("numbers", paths, parse)
    watch([files])
    paths[0].write_bytes(b"2")
    until(lambda: "files could not be looked at" in caplog.text)
    bugs.clear()
    paths[0].write_bytes(b"3")
    until(lambda: files.value == 4)
