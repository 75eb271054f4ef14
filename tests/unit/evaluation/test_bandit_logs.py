"""Logs of single slots from files."""

import gzip

import numpy as np
import polars as pl
import pytest

from evaluation.click_files import content
from evaluation.errors import UnreadableFileError
from evaluation.off_policy import bandit_logs
from evaluation.off_policy.bandit_logs import load_log

ROWS = [
    ("2019-11-24 00:00:01.5+00:00", "b", 1, 1, 0.5),
    ("2019-11-24 00:00:00+00:00", "a", 3, 0, 0.25),
    ("2019-11-24 00:00:02+00:00", "b", 1, 0, 1.0),
]
HEAD = "timestamp,item_id,position,click,propensity_score"
TEXT = "\n".join([HEAD, *(",".join(map(str, row)) for row in ROWS)]) + "\n"


def check(pages):
    """Whether pages are those of the rows."""
    assert [pages.names[i] for i in pages.shown_item[:, 0]] == ["b", "a", "b"]
    assert pages.place[:, 0].tolist() == [0, 2, 0]
    assert pages.click[:, 0].tolist() == [1, 0, 0]
    assert pages.propensity[:, 0].tolist() == [0.5, 0.25, 1]
    assert (pages.time_s - 1574553600).tolist() == [1.5, 0, 2]
    assert pages.size.tolist() == [2, 2, 2]
    assert len(set(pages.visitor.tolist())) == 3


def test_csv_and_parquet_are_read_alike(tmp_path):
    """The same rows, packed or not, with times as texts, as times, or as seconds."""
    plain, packed = tmp_path / "a.csv", tmp_path / "a.csv.gz"
    plain.write_text(TEXT)
    packed.write_bytes(gzip.compress(TEXT.encode()))
    frame = pl.DataFrame(ROWS, HEAD.split(","), orient="row")
    times = pl.col("timestamp").str.to_datetime(time_zone="UTC")
    for number, column in enumerate((pl.col("timestamp"), times, times.dt.epoch("us") / 1e6)):
        frame.with_columns(column.alias("timestamp")).write_parquet(tmp_path / f"{number}.parquet")
    for file in (plain, packed, *sorted(tmp_path.glob("*.parquet"))):
        check(load_log(file))


def test_a_file_is_read_in_blocks(tmp_path, monkeypatch):
    """A log of millions of rows must not be held as text."""
    monkeypatch.setattr(bandit_logs, "SLICE", 2)
    monkeypatch.setattr(content, "READ_BYTES", 50)
    blocks = bandit_logs.text_blocks
    monkeypatch.setattr(
        bandit_logs, "text_blocks", lambda path, strict: blocks(path, strict=strict, size=50)
    )
    file = tmp_path / "a.csv"
    file.write_text(TEXT)
    told = []
    check(load_log(file, progress=lambda *said: told.append(said[1])))
    assert len(told) > 1
    assert told[-1] == 3
    pl.read_csv(file).write_parquet(tmp_path / "a.parquet")
    check(load_log(tmp_path / "a.parquet"))


def test_of_very_many_rows_a_sample_is_kept(tmp_path):
    """Each as likely as the others, in their order; the pool has the items of all."""
    file = tmp_path / "a.csv"
    lines = [f"{t},i{t % 50},1,0,0.5" for t in range(1_000)]
    file.write_text("\n".join([HEAD, *lines]) + "\n")
    kept = np.zeros(1_000)
    for seed in range(30):
        pages = load_log(file, most=200, seed=seed)
        assert len(pages) == 200
        assert len(pages.names) == 50
        assert pages.inclusion == pytest.approx(0.2)
        assert (np.diff(pages.time_s) > 0).all()
        kept[pages.time_s.astype(int)] += 1
    first, second = kept[:500].sum(), kept[500:].sum()
    assert abs(first - second) < 5 * np.sqrt(30 * 200 * 0.25 * 4)


def test_rows_of_one_visitor_belong_together(tmp_path):
    """Those without one are of visitors of their own."""
    file = tmp_path / "a.csv"
    file.write_text(
        "item_id,click,propensity_score,visitor\na,0,0.5,v\na,1,0.5,\nb,0,0.5,v\nb,0,0.5,\n"
    )
    pages = load_log(file)
    assert pages.visitor[0] == pages.visitor[2]
    assert len(set(pages.visitor.tolist())) == 3
    assert pages.place[:, 0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("2019-11-24 00:00:00+00:00,a,1,0,x", "propensity_score: 'x' cannot be"),
        ("2019-11-24 00:00:00+00:00,a,1,0,0", "propensity_score: '0' cannot be"),
        ("2019-11-24 00:00:00+00:00,a,1,0,1.5", "propensity_score"),
        ("2019-11-24 00:00:00+00:00,a,1,0,nan", "propensity_score"),
        ("2019-11-24 00:00:00+00:00,a,1,2,0.5", "click: '2' cannot be"),
        ("2019-11-24 00:00:00+00:00,a,0,0,0.5", "position: '0' cannot be"),
        ("2019-11-24 00:00:00+00:00,a,1001,0,0.5", "position: '1001' cannot be"),
        ("2019-11-24 00:00:00+00:00,,1,0,0.5", "item_id: None cannot be"),
        ("yesterday,a,1,0,0.5", "timestamp: 'yesterday' cannot be"),
    ],
)
def test_a_broken_row_names_its_line_and_field(tmp_path, line, wrong):
    """Whoever has exported the file looks there."""
    file = tmp_path / "log.csv"
    file.write_text(TEXT + line + "\n")
    with pytest.raises(UnreadableFileError, match=rf"log\.csv:5: {wrong}"):
        load_log(file)


def test_a_file_that_is_no_log_is_refused(tmp_path):
    """With what is missing."""
    file = tmp_path / "log.csv"
    for text, wrong in (
        ("item_id,click\na,0\n", "it has no column propensity_score"),
        (HEAD + "\n", "it has no rows"),
    ):
        file.write_text(text)
        with pytest.raises(UnreadableFileError, match=wrong):
            load_log(file)
    with pytest.raises(UnreadableFileError):
        load_log(tmp_path / "absent.csv")
