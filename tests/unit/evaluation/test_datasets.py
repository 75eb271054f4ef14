"""Reading click files: every format, the order of time, and errors that name file and line."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.datasets import Session, clicks_in_order, load_sessions, split_last
from evaluation.errors import UnreadableFileError


def write(tmp_path, text, packed=False):
    path = tmp_path / "clicks"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_session_lines(tmp_path, packed):
    """The splits of the literature: a session a line, in the order of the file, no clock."""
    path = write(tmp_path, "session_id,items\n7,a b a\n3,c d\n", packed)
    assert load_sessions(path) == [Session("7", ("a", "b", "a")), Session("3", ("c", "d"))]


def test_session_lines_may_have_times_within_the_session(tmp_path):
    """Times since a session's beginning say nothing of its place among the others."""
    path = write(tmp_path, "session_id,items,times_ms\n1,a b,0 10\n")
    assert load_sessions(path) == [Session("1", ("a", "b"))]


def test_tab_separated_clicks_are_put_in_order(tmp_path):
    """Rows may be newest first: the clock decides, within sessions and between them."""
    text = "SessionId\tItemId\tCatId\tTime\n2\tz\t0\t9.5\n1\tb\t0\t5.0\n1\ta\t0\t4.25\n2\ty\t0\t2\n"
    assert load_sessions(write(tmp_path, text)) == [
        Session("1", ("a", "b"), (4250, 5000)),
        Session("2", ("y", "z"), (2000, 9500)),
    ]


def test_equal_times_keep_the_order_of_the_file(tmp_path):
    """A clock of whole seconds has ties: the file's order is all there is to go by."""
    text = "SessionId\tItemId\tTime\n1\tb\t5\n1\ta\t5\n"
    assert load_sessions(write(tmp_path, text))[0].items == ("b", "a")


def test_json_lines_of_events(tmp_path):
    """What a backend sends can be replayed; only steps count."""
    line = '{{"v":1,"type":"{}","session_id":"s","item_id":"{}","timestamp_ms":{}}}\n'
    text = (
        line.format("view", "b", 20) + line.format("scroll", "x", 5) + line.format("click", "a", 10)
    )
    assert load_sessions(write(tmp_path, text)) == [Session("s", ("a", "b"), (10, 20))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", ": no column of items is known; its columns are: a, b"),
        ("", ": it is empty"),
        ("session_id,items\n1,a\n2,\n", ":3: no item: 1; line 3: 2,"),
        ("SessionId\tItemId\tTime\n1\ta\n", ":2: not 3 fields, as the first line has: 1"),
        (
            "SessionId\tItemId\tTime\n1\ta\tnoon\n",
            ":2: the time is not understood: 1; line 2: 1\ta\tnoon",
        ),
        ('{"v":1,"type":"view"}\n', ": no column of items is known"),
    ],
)
def test_what_cannot_be_read_is_named_by_file_and_line(tmp_path, text, message):
    """Somebody must find the faulty line among a million."""
    path = write(tmp_path, text)
    with pytest.raises(UnreadableFileError) as error:
        load_sessions(path)
    assert f"{path}{message}" in str(error.value)


def test_a_broken_gzip_is_one_clear_error(tmp_path):
    """A download that broke off must not end in a traceback."""
    path = tmp_path / "clicks.gz"
    path.write_bytes(gzip.compress(b"session_id,items\n" + b"1,a b\n" * 999)[:40])
    with pytest.raises(UnreadableFileError, match="cannot read"):
        load_sessions(path)


SESSIONS = st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=5), min_size=1, max_size=6)


@given(SESSIONS)
def test_clicks_with_a_clock_interleave_in_time(times):
    """Evaluation must not see a click before an earlier one of another session."""
    sessions = [Session(str(s), tuple("x" * len(t)), tuple(sorted(t))) for s, t in enumerate(times)]
    order = clicks_in_order(sessions)
    clocks = [sessions[s].times_ms[p] for s, p in order]
    assert clocks == sorted(clocks)
    for s, session in enumerate(sessions):
        assert [p for t, p in order if t == s] == list(range(len(session.items)))


def test_clicks_without_a_clock_come_line_by_line():
    """Without times a session is followed to its end before the next begins."""
    sessions = [Session("1", ("a", "b")), Session("2", ("c",))]
    assert clicks_in_order(sessions) == [(0, 0), (0, 1), (1, 0)]


@pytest.mark.parametrize(("n", "held_out"), [(2, 1), (10, 1), (100, 10)])
def test_the_last_sessions_are_held_out(n, held_out):
    """What is tested on must lie after what was learned."""
    sessions = [Session(str(i), ("a",)) for i in range(n)]
    first, last = split_last(sessions, 0.1)
    assert first + last == sessions
    assert len(last) == held_out


def test_atomic_files_are_cut_into_sessions_at_idle_times(tmp_path):
    """Ratings come by user; half an hour without one ends a session."""
    text = (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "7\tb\t3\t1100\n7\ta\t5\t1000\n8\tx\t1\t1000\n7\tc\t4\t2901\n"
    )
    assert load_sessions(write(tmp_path, text)) == [
        Session("8~1", ("x",), (1_000_000,), "8"),
        Session("7~1", ("a", "b"), (1_000_000, 1_100_000), "7"),
        Session("7~2", ("c",), (2_901_000,), "7"),
    ]
    with pytest.raises(UnreadableFileError, match="no times by which to end"):
        load_sessions(write(tmp_path, "user_id:token\titem_id:token\n1\t2\n"))
    with pytest.raises(UnreadableFileError, match=":2:"):
        load_sessions(write(tmp_path, text.replace("1100", "soon", 1)))


def test_plays_of_songs(tmp_path):
    """A play a line, in order of time within a session, not between them."""
    text = "session_id,user_id,song_id,ts,playtime\n9,1,a,200,30\n8,1,x,100,9\n9,1,b,210,30\n"
    assert load_sessions(write(tmp_path, text)) == [
        Session("8", ("x",), (100_000,), "1"),
        Session("9", ("a", "b"), (200_000, 210_000), "1"),
    ]
    with pytest.raises(UnreadableFileError, match=":2:"):
        load_sessions(write(tmp_path, "session_id,user_id,song_id,ts,playtime\n9,1,a,soon,3\n"))


def test_the_first_user_who_is_named_is_the_sessions(tmp_path):
    """Visitors log in during a session; what they did before is that user's past."""
    text = "session_id,user_id,item_id,time\n1,,a,1\n1,u,b,2\n2,,a,3\n"
    users = {s.session_id: s.user_id for s in load_sessions(write(tmp_path, text))}
    assert users == {"1": "u", "2": ""}
