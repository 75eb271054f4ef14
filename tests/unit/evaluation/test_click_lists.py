"""Lists of items in cells: read as they are meant, or refused as a whole."""

import json

import polars as pl
import pytest

from evaluation.datasets import Session, read_sessions
from evaluation.errors import UnreadableFileError
from tests.unit.evaluation.click_formats import read, refusal


@pytest.mark.parametrize("cell", ["1|2", "1;2", "1 2", "[1 2]", "['1', '2']", '"(1, 2)"'])
def test_items_of_a_cell_are_separated_in_many_ways(tmp_path, cell):
    """Lists come as databases, pandas and spreadsheets print them."""
    cell = f'"{cell}"' if "," in cell and '"' not in cell else cell
    sessions, _ = read(tmp_path, f"session_id,items\ns,{cell}\n")
    assert sessions == {"s": "1 2"}


@pytest.mark.parametrize(
    ("cell", "items"),
    [
        ('["a,b","c"]', ("a,b", "c")),
        ("['a, b', \"it's\"]", ("a, b", "it's")),
        ("['a' 'b']", ("a", "b")),
        ("[a, 'b,c']", ("a", "b,c")),
        ('["caf\\u00e9"]', ("caf\u00e9",)),
        ("'a|b'|'c'", ("a|b", "c")),
    ],
)
def test_quotes_keep_an_item_together(tmp_path, cell, items):
    """JSON and Python print lists of ids that hold separators: split at these, they are others."""
    path = tmp_path / "clicks"
    path.write_text(f"session_id\titems\ns\t{cell}\n")
    assert read_sessions([path])[0] == [Session("s", items)]


@pytest.mark.parametrize(
    ("good", "bad", "reason"),
    [
        ("1,2,3", "a|b", "items separated in two ways"),
        ("1 2", "a;b", "items separated in two ways"),
        ("1|2", "a,b|c", "items separated in two ways"),
        ("1,2", "red shoe,hat", "items separated in two ways"),
        ("1,2", "['a', 'b'; 'c']", "brackets or quotes"),
        ("1,2", "['a, 'b']", "brackets or quotes"),
        ("1,2", "[[1, 2], [3]]", "brackets or quotes"),
        ("1,2", '[{"id": 1}]', "brackets or quotes"),
        ("1,2", "[1, nan, 2]", "an empty item"),
        ("1,2", "[1, None, 2]", "an empty item"),
        ("1,2", "1,2,", "an empty item"),
        ("1,2", "[]", "no item"),
        ("1,2", "nan", "no item"),
    ],
)
def test_a_cell_that_is_another_list_costs_no_other(tmp_path, good, bad, reason):
    """One cell with a bar made one item of each list with commas."""
    text = f"session_id\titems\ns\t{bad}\nt\t{good}\nu\t{good}\n"
    sessions, report = read(tmp_path, text)
    assert {len(items.split()) for items in sessions.values()} == {len(good[::2])}
    assert list(sessions) == ["t", "u"]
    (told,) = report.files[0].refused.counts.items()
    assert reason in told[0]
    assert told[1] == 1


@pytest.mark.parametrize("hole", [None, "", "nan"])
@pytest.mark.parametrize("form", ["JSON Lines", "Parquet"])
def test_a_list_with_a_hole_is_refused_as_a_whole(tmp_path, form, hole):
    """Without its middle, a and c would have followed each other."""
    path = tmp_path / "clicks"
    rows = [{"session": "s", "items": ["a", hole, hole, "c"]}]
    rows += [{"session": "t", "items": ["a", "b"]}, {"session": "u", "items": ["b"]}]
    if form == "Parquet":
        pl.DataFrame(rows).write_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sessions, report = read_sessions([path])
    assert sessions == [Session("t", ("a", "b")), Session("u", ("b",))]
    assert report.files[0].refused.counts == {"an empty item in a list": 1}


def test_a_list_with_a_faulty_entry_is_one_row(tmp_path):
    """A row is refused at most once, and none of its items is read."""
    long = "x" * 257
    text = f"session,items,times\ns,a b c,1396861869 0 -1\nt,a {long} {long},1396861869 2 3\n"
    good = "".join(f"{n},a b,1396861869 1396861870\n" for n in "uvw")
    sessions, report = read(tmp_path, text + good)
    assert list(sessions) == ["u", "v", "w"]
    assert sum(report.files[0].refused.counts.values()) == 2


def test_one_time_of_a_row_is_that_of_all_its_items(tmp_path):
    """A column timestamp holds one time; times and timestamps hold as many as there are items."""
    for when in ("2014-04-07 09:11:09", "1396861869"):
        text = f"session_id,items,timestamp\ns,a b,{when}\n"
        sessions, report = read(tmp_path, text)
        assert sessions == {"s": "a b"}
        assert (report.first_ms, report.last_ms) == (1_396_861_869_000,) * 2
    assert "not as many times" in refusal(tmp_path, text.replace("timestamp", "timestamps"))
    text = "session_id;items;time\ns;a b;[1396861869, 1396861870]\n"
    assert read(tmp_path, text)[1].last_ms == 1_396_861_870_000


def test_a_list_of_times_beside_single_items_is_refused_with_a_sentence(tmp_path):
    """It ended in a traceback."""
    path = tmp_path / "clicks"
    path.write_text('{"session": "s", "item": "a", "time": [1396861869]}\n')
    with pytest.raises(UnreadableFileError, match="is no point in time"):
        read_sessions([path])
