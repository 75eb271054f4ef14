"""Files of clicks as people have them: read right, or refused with a sentence, never misread."""

import gzip

import polars as pl
import pytest
import zstandard

from evaluation.click_files.columns import Columns
from evaluation.click_files.delimited import MAX_QUOTED_LINES
from evaluation.click_files.grouping import NAMES_A_USER, TOO_LONG
from evaluation.datasets import Session, load_sessions, read_sessions
from evaluation.errors import UnreadableFileError
from evaluation.rankings import Settings, evaluate_ranking
from nextclick.limits import MAX_SESSION_STEPS
from tests.unit.evaluation.click_formats import CSV, ROWS, TEXTS, read, refusal, write

FORMATS = [
    *TEXTS, "gzip", "zstd", "zstd of two frames", "zstd with a frame to skip", "UTF-16",
    "two files", "Parquet", "Parquet with times", "Parquet with lists",
]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write(tmp_path_factory.mktemp("formats"))


def expected():
    """Return items and seconds of all sessions, in the order of their last clicks."""
    sessions = {}
    for session, _, item, second in ROWS:
        sessions.setdefault(session, []).append((str(item), second))
    return list(sessions.values())


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_clicks_are_read_from_every_format(files, name):
    """A newcomer's first file is read as it is, with the right times."""
    sessions, report = read_sessions(files[name])
    read = [
        [(item, ms // 1000) for item, ms in zip(s.items, s.times_ms, strict=True)] for s in sessions
    ]
    assert read == expected()
    assert report.refused == 0
    assert report.clicks == len(ROWS)


@pytest.mark.parametrize("ranking", ["session-knn", "ranker"])
def test_figures_do_not_depend_on_the_format(files, ranking):
    """An evaluation is of the clicks, not of the file that they came in."""
    settings = Settings(learn=True, min_prefix=1, k=5, seed=0)
    figures = set()
    for name in ("CSV", "RecBole with users", "Last.fm-1K", "Parquet with lists"):
        sessions, _ = read_sessions(files[name])
        result, _ = evaluate_ranking(ranking, sessions[:50], sessions[50:], settings)
        figures.add((result["cases"], result["hit_rate"], result["mrr"], result["coverage"]))
    assert len(figures) == 1


TIMES = "session,item,time\n"
SOME = "s,a,1396861869\ns,b,1396861870\n"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("s,c,nan\n", "no time"),
        ("s,c,inf\n", "the time is not understood"),
        ("s,c,\n", "no time"),
        ("s,c,0\n", "the time is not between 1973 and 2100"),
        ("s,c,-5\n", "the time is not between 1973 and 2100"),
        ("s,c,1396861869000\n", "the time is not between 1973 and 2100"),
        ("s,,1396861871\n", "no item"),
        ("s,NA,1396861871\n", "no item"),
        (",c,1396861871\n", "no session"),
        ("s,c\n", "not 3 fields"),
        ("s,c,1396861871,x\n", "not 3 fields"),
        ('s,"c,1396861871\n', "a quote in the wrong place"),
        ('s,"c"d,1396861871\n', "a quote in the wrong place"),
        ("session,item,time\n", "the header again"),
        ("s," + "c" * 257 + ",1396861871\n", "item of more than 256 bytes"),
        ("u:7,c,1396861871\n", 'session that begins with "u:"'),
    ],
)
def test_a_row_that_cannot_be_read_is_counted_and_quoted(tmp_path, rows, reason):
    """One bad row costs no other, and somebody can find it."""
    sessions, report = read(tmp_path, TIMES + SOME[:15] + rows + SOME[15:])
    assert sessions == {"s": "a b"}
    assert report.refused == 1
    told = "\n".join(report.lines())
    assert reason in told
    assert f"line 3: {rows.strip()[:50]}" in told


def test_bytes_that_are_no_utf8_are_refused_by_line(tmp_path):
    """An id with a replacement character would be another one, or two ids the same."""
    sessions, report = read(tmp_path, (TIMES + SOME).encode() + b"s,caf\xe9,1396861871\n")
    assert sessions == {"s": "a b"}
    assert list(report.files[0].refused.counts) == ["not UTF-8"]


def test_lists_without_quotes_are_refused(tmp_path):
    """s1,1,2,3 would lose all but the first item; in quotes it is a list."""
    assert "not 2 fields" in refusal(tmp_path, "session_id,items\ns1,1,2,3\ns2,4,5\n")
    sessions, _ = read(tmp_path, 'session_id,items\ns1,"1,2,3"\ns2,4 \n')
    assert sessions == {"s1": "1 2 3", "s2": "4"}


def test_an_id_with_blanks_is_one_item_and_the_report_says_so(tmp_path):
    """A column of single items holds no lists, but a reader should look whether that is right."""
    sessions, report = read(tmp_path, "session_id,item_id\ns,red shoe\n")
    assert sessions == {"s": "red shoe"}
    assert "'red shoe'" in "\n".join(report.lines())


def test_events_of_other_types_are_counted_and_left_out(tmp_path):
    """Only clicks make sessions; a purchase of the same item is no second click."""
    text = "session,item,event\ns,a,view\ns,a,addtocart\ns,b,view\n"
    sessions, report = read(tmp_path, text)
    assert sessions == {"s": "a b"}
    assert report.files[0].other_types == {"addtocart": 1}
    assert "addtocart 1" in "\n".join(report.lines())
    assert read(tmp_path, text, type="event=addtocart")[0] == {"s": "a"}
    assert read(tmp_path, text, type="-")[0] == {"s": "a a b"}
    sessions, report = read(tmp_path, text, type="event=view,purchse")
    assert sessions == {"s": "a b"}
    assert "no row has the type 'purchse'" in "\n".join(report.lines())
    odd = "session,item,type\ns,a,17\ns,b,17\n"
    assert "--type 'type=VALUE,VALUE'" in refusal(tmp_path, odd)


def test_session_numbers_of_a_user_are_told_from_those_of_all(tmp_path):
    """Two users' sessions 1 are two sessions; a visitor who logs in is one."""
    text = "user_id,session_id,item_id\nu,1,a\nv,1,b\nu,1,c\nv,1,d\n"
    sessions, report = read(tmp_path, text)
    assert sessions == {"u/1": "a c", "v/1": "b d"}
    assert "USER/SESSION" in "\n".join(report.lines())
    logs_in = "user_id,session_id,item_id\n,1,a\nu,1,b\nv,2,c\nw,2,d\nx,3,e\nx,3,e\nx,3,f\n"
    sessions, report = read(tmp_path, logs_in)
    assert list(sessions) == ["1", "v/2", "w/2", "3"]
    assert "1 session ids are of several users" in "\n".join(report.lines())


def test_columns_are_named_by_options(tmp_path):
    """Whatever they are called, and where there is no header, by number."""
    text = "a,b,c\ns,x,20140407\ns,y,20140408\n"
    assert "Say which with --item" in refusal(tmp_path, text)
    assert "no column 'zzz'" in refusal(tmp_path, text, item="zzz")
    sessions, report = read(tmp_path, text, session="a", item="b", time="c")
    assert sessions == {"s": "x y"}
    assert report.last_ms == 1_396_915_200_000
    bare = "7,x,3\n7,y,3\n"
    assert "numbers 1 to 3" in refusal(tmp_path, bare)
    assert read(tmp_path, bare, session="1", item="2")[0] == {"7": "x y"}
    assert read(tmp_path, "1,x,2\n" + bare, session="1", item="2")[0] == {"1": "x", "7": "x y"}
    bare = "s,x,1396861869000\nview,y,1396861869001\n"
    assert len(read(tmp_path, bare, session="1", item="2", time="3=ms", type="1=s")[0]) == 1
    assert "--session" in refusal(tmp_path, "user_id,item_id\n1,2\n")
    assert "may both be" in refusal(tmp_path, "session,item_id,Item ID\n1,2,3\n")
    cases = "session_id:token\titem_id_list:token_seq\titem_id:token\n1\t1 2\t3\n"
    assert "prefixes of sessions" in refusal(tmp_path, cases)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"PK\x03\x04rest", "zip archive or an Excel workbook"),
        (b"PAR1 and no more", "no whole Parquet file"),
        (b"\0\1\2\3", "not text"),
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b'[{"session": 1}]', "one object a line"),
        (b"{broken\n", "no JSON object"),
        (b'{\n"session": 1,\n"item":\n{"id": 2}\n}\n', "write each object in a line of its own"),
        (CSV.encode("utf-32"), "UTF-32; save it as UTF-8"),
        (b"hello\n", "no row of a table"),
        (gzip.compress(CSV.encode())[:200], "ended before the end-of-stream"),
        (zstandard.compress(CSV.encode())[:200], "ends within a zstd frame"),
        (b"session_id,item_id,time\n", "there is no row below the names of its columns"),
    ],
)
def test_files_that_are_no_clicks_are_refused_with_a_sentence(tmp_path, raw, sentence):
    """A wrong file is somebody's first mistake; a traceback does not help."""
    assert sentence in refusal(tmp_path, raw)


def test_a_file_that_is_mostly_misunderstood_is_refused(tmp_path):
    """A tenth of a file is not an evaluation of it."""
    text = TIMES + SOME + "s,c,soon\n" * 3
    assert "3 of 5 rows cannot be read" in refusal(tmp_path, text)


def test_library_users_are_told_of_every_row(tmp_path):
    """Whoever has no report to look at gets an error instead of fewer clicks."""
    path = tmp_path / "clicks"
    path.write_text(TIMES + SOME + "s,,1396861871\n")
    with pytest.raises(UnreadableFileError, match=r":4: no item: 1; line 4: s,,1396861871"):
        load_sessions(path)


def test_files_with_and_without_a_clock_do_not_mix(files, tmp_path):
    """Half of the order would be by time, half by line."""
    other = tmp_path / "other"
    other.write_text("session_id,items\n1,2 3\n")
    with pytest.raises(UnreadableFileError, match="no clock"):
        read_sessions([*files["CSV"], other])


def test_a_file_that_is_given_twice_is_refused(files):
    """Every click would count twice."""
    with pytest.raises(UnreadableFileError, match="given twice"):
        read_sessions([*files["CSV"], *files["CSV"]])


def test_a_quote_that_is_not_closed_costs_one_line(tmp_path):
    """Without a limit it would take in all lines up to the next quote, as one field."""
    rows = [f"s,{n},{1396861869 + n},x\n" for n in range(MAX_QUOTED_LINES + 50)]
    rows[20] = 's,20,1396861889,"x\n'
    sessions, report = read(tmp_path, "session,item,time,title\n" + "".join(rows))
    assert report.refused == 1
    assert len(sessions["s"].split()) == len(rows) - 1
    closed = "\n" * (MAX_QUOTED_LINES - 1) + 'y"\n'
    rows[20] = rows[20].strip() + closed
    sessions, report = read(tmp_path, "session,item,time,title\n" + "".join(rows))
    assert report.refused == 0
    assert len(sessions["s"].split()) == len(rows)


def test_json_values_that_are_no_ids_are_refused(tmp_path):
    """True is not an item; a number is."""
    text = '{"session":"s","item":1}\n{"session":"s","item":true}\n{"session":"s","item":2}\noops\n'
    text += '{"session":"s","item":null}\n' + '{"session":"s","item":3}\n' * 3
    sessions, report = read(tmp_path, text)
    assert sessions == {"s": "1 2 3 3 3"}
    assert report.files[0].refused.counts == {
        "item is true or false": 1,
        "not a JSON object in UTF-8": 1,
        "no item": 1,
    }


def test_splits_without_a_clock_have_session_ids_of_their_own(tmp_path):
    """Two splits that both number their sessions from 1 have different sessions."""
    paths = [tmp_path / "a", tmp_path / "b"]
    paths[0].write_text("session_id,items\n1,a b\n2,c d\n")
    paths[1].write_text("session_id,items\n1,e f\n3,g h\n")
    sessions, report = read_sessions(paths)
    assert [s.session_id for s in sessions] == ["1", "2", "2/1", "3"]
    assert "FILE_NUMBER/SESSION" in "\n".join(report.lines())


@pytest.mark.parametrize(
    ("header", "row", "name", "reason"),
    [
        ("user,session,item,time", "{long},1,a,{time}", "{long}/1", TOO_LONG),
        ("user,item,time", "{long},a,{time}", "{long}~1", TOO_LONG),
        ("user,item,time", "u:ann,a,{time}", "u:ann~1", NAMES_A_USER),
    ],
    ids=["numbered by user", "idle user", "names a user"],
)
def test_a_name_that_sessions_cannot_have_is_counted(tmp_path, header, row, name, reason):
    """Each id of the row was right: the event that was made of them ended `replay`."""
    long = "x" * 256
    others = [row.format(long=user, time=1_600_000_000) for user in "abc"]
    if "u:" in row:
        others = [text.replace("u:ann", user) for text, user in zip(others, "abc", strict=True)]
    path = tmp_path / "clicks.csv"
    path.write_text("\n".join([header, *others, row.format(long=long, time=1_600_000_000)]))
    sessions, report = read_sessions([path])
    assert len(sessions) == report.clicks == report.files[0].clicks == 3
    refused = report.files[0].refused
    assert refused.counts == {reason: 1}
    assert refused.first[reason] == [(5, name.format(long=long))]


def test_a_prefix_leaves_less_room_for_names(tmp_path):
    """`replay --prefix` made ids too long that had been right."""
    path = tmp_path / "clicks.csv"
    ids = ["x" * 250, "y" * 251, "z"]
    path.write_text("session_id,items\n" + "".join(f"{name},a b\n" for name in ids))
    assert len(read_sessions([path])[0]) == 3
    sessions, report = read_sessions([path], name_bytes=250)
    assert [session.session_id for session in sessions] == ["x" * 250, "z"]
    assert report.files[0].refused.counts == {TOO_LONG: 1}
    assert (report.clicks, report.refused) == (4, 1)
    with pytest.raises(UnreadableFileError, match="3 of 3 rows"):
        read_sessions([path], name_bytes=0)


def test_columns_that_are_not_used_are_told(tmp_path):
    """Of two columns that may be sessions, somebody should see which one was not taken."""
    sessions, report = read(tmp_path, "session,session_id,item,sku\n1,s,a,x\n1,t,b,y\n")
    assert sessions == {"s": "a", "t": "b"}
    told = "\n".join(report.lines())
    assert "may be sessions too, and are not used: 'session'; say which with --session" in told
    assert "may be items too, and are not used: 'item', 'sku'" not in told
    assert "may be items too, and are not used: 'sku'" in told
    named = read(tmp_path, "session,session_id,item\n1,s,a\n", session="session")[1]
    assert named.files[0].notes == []


def test_blanks_after_separators_do_not_keep_quotes(tmp_path):
    """1, "b" is the item b: with its quotes it would be another one than in the next file."""
    text = 'session, item, time\ns, "a", 1396861869\ns, "b,c", 1396861870\ns,"a",1396861871\n'
    assert read(tmp_path, text)[0] == {"s": "a b,c a"}


def test_sessions_that_are_longer_than_the_stream_takes_are_told(tmp_path):
    """All clicks beyond the limit would become dead letters of an import, without a word."""
    line = "session,item\n" + "s,a\n" * MAX_SESSION_STEPS
    assert read(tmp_path, line)[1].notes == []
    assert "1 sessions have more than 5,000 clicks" in read(tmp_path, line + "s,a\n")[1].notes[0]


def test_parquet_columns_may_have_any_name_and_type(tmp_path):
    """A column called as the reader calls one is no broken file; bytes cost their row only."""
    path = tmp_path / "a.parquet"
    columns = {"line": [1, 1, 1], "item": [b"a", b"\xff", b"b"], "text": [b"\xff"] * 3}
    pl.DataFrame(columns).write_parquet(path)
    sessions, report = read_sessions([path], Columns(session="line"))
    assert sessions == [Session("1", ("a", "b"))]
    assert report.files[0].refused.counts == {"not UTF-8": 1}


@pytest.mark.parametrize(
    ("role", "values"),
    [
        ("item", [{"id": 1}]),
        ("item", [[{"id": 1}]]),
        ("item", [[[1]]]),
        ("item", [[b"a"]]),
        ("item", [True]),
        ("session", [[1]]),
    ],
)
def test_parquet_values_that_are_no_ids_are_refused_with_a_sentence(tmp_path, role, values):
    """An item called {1} is none; a traceback does not help."""
    path = tmp_path / "a.parquet"
    pl.DataFrame({"session": ["s"], "item": ["a"], role: values}).write_parquet(path)
    with pytest.raises(UnreadableFileError, match=f"holds values of type .* --{role}"):
        read_sessions([path])
