"""Clocks of click files: read in the unit and order that they have, or told, never guessed."""

import pytest

from evaluation.datasets import read_sessions
from evaluation.errors import UnreadableFileError
from tests.unit.evaluation.click_formats import BEGIN_S, read, refusal

BEGIN_MS = BEGIN_S * 1000  # 2014-04-07 09:11:09 UTC


def told(report):
    return "\n".join(report.lines())


def test_times_within_a_session_are_no_clock(tmp_path):
    """Milliseconds since a session's first query would put all sessions into one quarter hour."""
    text = "session_id,item_id,timeframe\n1,b,500\n1,a,0\n2,c,0\n"
    sessions, report = read(tmp_path, text)
    assert list(sessions.items()) == [("1", "a b"), ("2", "c")]
    assert report.first_ms is None


def test_a_day_that_might_be_a_month_is_told(tmp_path):
    """Nothing is misread silently: the report says how, the option says otherwise."""
    text = "session,item,time\ns,b,03/04/2014 10:00\ns,a,02/05/2014 10:00\n"
    sessions, report = read(tmp_path, text)
    assert sessions == {"s": "b a"}
    assert "day first, which nothing in the file says" in "\n".join(report.lines())
    assert read(tmp_path, text, time="time=%m/%d/%Y %H:%M")[0] == {"s": "a b"}
    both = text + "s,c,30/04/2014 10:00\ns,d,04/30/2014 10:00\n"
    assert "some dates have the day first, and some the month" in refusal(tmp_path, both)
    sessions, report = read(tmp_path, text + "s,c,31/02/2014 10:00\n")
    assert report.refused == 1


@pytest.mark.parametrize(
    ("header", "values", "option", "first_ms", "words"),
    [
        ("date,hour", ("9", "10"), "date+hour", 1_396_861_200_000, "whole hours"),
        ("day,at", ("0911", "1011"), "day+at", 1_396_861_860_000, "as HHMM"),
        ("date,time", ("911", "1011"), None, 1_396_861_860_000, "as HHMM"),
        ("date,time", ("091109", "101109"), None, BEGIN_MS, "as HHMMSS"),
        ("date,time", ("9:11:09 AM", "1:11:09 pm"), None, BEGIN_MS, "a time of day"),
        ("date,timeframe", ("33069000", "33070000"), None, BEGIN_MS, "in milliseconds"),
        ("date,timeframe", ("0", "33070000"), None, BEGIN_MS - 33_069_000, "in milliseconds"),
        ("date,time", ("33069", "33070"), "date+time=s", BEGIN_MS, "in seconds"),
    ],
)
def test_a_clock_in_two_columns(tmp_path, header, values, option, first_ms, words):
    """The hour 9 is no 9 ms, and 0911 no second of 1970."""
    rows = "".join(
        f"s,{item},2014-04-07,{value}\n" for item, value in zip("ab", values, strict=True)
    )
    sessions, report = read(tmp_path, f"session,item,{header}\n{rows}", time=option)
    assert sessions == {"s": "a b"}
    assert report.first_ms == first_ms
    assert words in told(report)


@pytest.mark.parametrize("values", [("33069000", "1"), ("0", "5000"), ("9", "10"), ("soon", "now")])
def test_a_time_of_day_that_may_be_anything_is_asked_for(tmp_path, values):
    """A date alone would lose the order, milliseconds of 1970 the date."""
    text = "session,item,date,time\n"
    text += "".join(f"s,a,2014-04-07,{value}\n" for value in values)
    assert "with --time 'date+time=ms'" in refusal(tmp_path, text)
    assert read(tmp_path, text, time="date")[1].first_ms == 1_396_828_800_000


def test_a_date_with_a_time_of_day_gets_no_second_one(tmp_path):
    """It would count twice."""
    text = "session,item,date,time\ns,a,2014-04-07 09:11:09,09:11:09\n"
    assert "more, or something else, than days" in refusal(tmp_path, text, time="date+time")
    assert "--time date" in refusal(tmp_path, text)
    assert read(tmp_path, text, time="date")[1].first_ms == BEGIN_MS


@pytest.mark.parametrize("values", [("17", "3"), ("v1", "v1"), ("0", "0"), ("", "")])
@pytest.mark.parametrize("other", ["event_time", "ts", "date"])
def test_a_column_of_times_that_holds_none_makes_room_for_another(tmp_path, values, other):
    """A rank or a version called timestamp put all clicks into the first minutes of 1970."""
    text = f"session,item,timestamp,{other}\n"
    text += "".join(f"s,a,{value},2014-04-07\n" for value in values)
    _, report = read(tmp_path, text)
    assert report.first_ms == 1_396_828_800_000
    assert "may be times too, and are not used: 'timestamp'" in told(report)


def test_times_that_nothing_else_can_replace_are_taken_and_told(tmp_path):
    """A clock that counts from somewhere is better than none, but somebody should look."""
    text = "session,item,timestamp\ns,a,170\ns,b,30\nt,c,40\n"
    sessions, report = read(tmp_path, text)
    assert sessions == {"s": "b a", "t": "c"}
    assert "the middle one of its times is of 1970-01-01, read as seconds" in told(report)


@pytest.mark.parametrize(
    ("first", "second", "last_ms"),
    [
        ("201404070911", "201404070912", 1_396_861_920_000),
        ("2014040709", "2014040710", 1_396_864_800_000),
        ("20140407T091109Z", "20140407T101109+0100", BEGIN_MS),
        ("2014-04-07 09:11:09+00", "2014-04-07 10:11:09.5+01", BEGIN_MS + 500),
        ("1396861869,5", "1396861869,75", BEGIN_MS + 750),
    ],
)
def test_digits_of_dates_and_zones(tmp_path, first, second, last_ms):
    """As numbers they would be of 1976 and 2033; ISO 8601 and Postgres write the others."""
    _, report = read(tmp_path, f"session;item;time\ns;a;{first}\ns;b;{second}\n")
    assert report.last_ms == last_ms
    assert "the middle one" not in told(report)


def test_a_day_and_hour_are_no_zone(tmp_path):
    """2014-04-07-09 may be nine o'clock."""
    assert "not understood" in refusal(tmp_path, "session,item,time\ns,a,2014-04-07-09\n")


@pytest.mark.parametrize(
    ("value", "unit", "date"),
    [
        ("635324730690000000", "ns", "1990-02-18"),
        ("130413354690000000", "ns", "1974-02-18"),
        ("41736.38", "s", "1970-01-01"),
        ("2014040799", "s", "2033-10-27"),
    ],
    ids=[".NET", "Windows", "Excel", "future"],
)
def test_times_of_years_without_clicks_are_told(tmp_path, value, unit, date):
    """They are counts of something else than seconds since 1970; who gives the unit knows."""
    text = f"session,item,time\ns,a,{value}\n"
    report = read(tmp_path, text)[1]
    assert f"the middle one of its times is of {date}, read as" in told(report)
    assert read(tmp_path, text, time=f"time={unit}")[1].files[0].notes == []


def test_a_unit_that_is_none_is_refused_with_those_there_are(tmp_path):
    """--time time=sec read nothing, and said that times were not understood."""
    text = "session,item,time\ns,a,1396861869\n"
    sentence = refusal(tmp_path, text, time="time=sec")
    assert "'sec' is neither a unit nor a format" in sentence
    assert "(s, ms, us, ns)" in sentence


def test_the_time_0_is_refused(tmp_path):
    """The reader let it pass, and the import that followed ended at it."""
    text = "user,item,time\nu,a,0\nu,b,5\nv,c,0.0004\nv,d,12\nv,e,13\n"
    sessions, report = read(tmp_path, text)
    assert sessions == {"u~1": "b", "v~1": "d e"}
    assert report.files[0].refused.counts == {"the time is 0": 2}
    assert read(tmp_path, text, time="time=ms")[1].refused == 2


def test_files_of_one_log_have_the_same_order_of_day_and_month(tmp_path):
    """The day first in one file, and the month in another: half of the clock would be wrong."""
    rows = {"either": "03/04/2014", "month": "03/14/2014", "day": "14/03/2014"}
    paths = {name: tmp_path / name for name in rows}
    for name, date in rows.items():
        paths[name].write_text(f"session,item,time\n{name},a,{date} 10:00\n")
    sessions, report = read_sessions([paths["either"], paths["month"]])
    assert [s.session_id for s in sessions] == ["either", "month"]
    assert "nothing in the file says" not in told(report)
    sessions, report = read_sessions([paths["either"], paths["day"]])
    assert [s.session_id for s in sessions] == ["day", "either"]
    with pytest.raises(UnreadableFileError, match="month: its dates have the month first"):
        read_sessions([paths["day"], paths["either"], paths["month"]])


def test_a_file_whose_rows_are_gone_says_nothing_of_its_clock(tmp_path):
    """Their times were called small, and of 1970."""
    sentence = refusal(tmp_path, "session,item,time\ns,,1396861869\n")
    assert sentence.count("since 1970") == sentence.count("known") == 0
