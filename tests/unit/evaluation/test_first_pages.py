"""First pages are scored before their click is learned, with what is known of the context."""

import random
from itertools import cycle
from pathlib import Path

import pytest

from evaluation.errors import UnreadableFileError
from evaluation.first_pages import KNOWN, Step, load_steps, score_first_pages

HEADER = "session_id,timestamp,action_type,reference,device,platform\n"
EVERYWHERE, COUNTRY = "popular everywhere", "country"


def steps(n):
    """Sessions of two countries by turns, each of which clicks 30 items that the other does not."""
    pick = random.Random(0)
    return [
        Step(f"s{at}", at + 1, f"{where}{pick.randrange(30)}", "phone", where)
        for at, where in zip(range(n), cycle(("DE", "FR")))
    ]


def test_what_a_country_clicks_is_found_by_it_alone():
    """A third of 60 items fits on a page; two thirds of the 30 of one's own country."""
    n, scores = score_first_pages(steps(3_000), since=0.9)
    assert n == 300
    assert list(scores) == list(KNOWN)
    assert scores[COUNTRY].hit_rate > scores[EVERYWHERE].hit_rate + 0.1
    gain, low, high = scores[COUNTRY].gain
    assert gain == pytest.approx(scores[COUNTRY].hit_rate - scores[EVERYWHERE].hit_rate)
    assert 0 < low < gain < high
    # All have the same device: it tells nothing.
    assert scores["device"].gain == (0, 0, 0)


def test_a_click_does_not_know_of_itself():
    """The first one of all cannot be found, nor can a later one of the session be a case."""
    first = Step("s", 1, "a", "phone", "DE")
    assert score_first_pages([first, first._replace(time_s=2)])[0] == 1
    assert score_first_pages([first])[1][COUNTRY].hit_rate == 0


def test_a_log_is_read_by_time_and_without_what_is_no_item(tmp_path: Path) -> None:
    """Filters and sort orders are no clicks."""
    file = tmp_path / "log.csv"
    rows = "s,20,clickout item,3,mobile,DE\ns,10,image,2,mobile,DE\ns,15,filter,Sauna,mobile,DE\n"
    file.write_text(HEADER + rows)
    assert load_steps(file) == [
        Step("s", 10, "2", "mobile", "DE"),
        Step("s", 20, "3", "mobile", "DE"),
    ]


def test_a_time_that_is_none_names_its_line(tmp_path: Path) -> None:
    """In a hundred thousand rows, the faulty one must be found."""
    file = tmp_path / "log.csv"
    file.write_text(HEADER + "s,soon,image,2,mobile,DE\n")
    with pytest.raises(UnreadableFileError, match=r"log\.csv:2: timestamp"):
        load_steps(file)
