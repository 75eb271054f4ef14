"""Files of users: what is read, and what is refused with its line."""

import gzip

import pytest

from evaluation.errors import UnreadableFileError
from evaluation.user_files import read_users
from nextclick import User


def rows(tmp_path, text, name="users.csv"):
    file = tmp_path / name
    file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return list(read_users(file))


@pytest.mark.parametrize("name", ["users.csv", "users.csv.gz"])
def test_columns_are_attributes_but_for_three(tmp_path, name):
    """A shop exports its table of users as it is."""
    text = "user_id,plan,consent,segments,city\nu1,gold,no,new|vip,Wien\nu2,,,,\n"
    assert rows(tmp_path, text, name) == [
        (2, User("u1", {"plan": "gold", "city": "Wien"}, ("new", "vip"), consent=False), ""),
        (3, User("u2"), ""),
    ]


def test_objects_are_users_as_the_api_has_them(tmp_path):
    """What `users get --json` prints can be put again."""
    text = (
        '{"user_id": "u1", "attributes": {"plan": "gold"}, "segments": ["new"], "consent": false}\n'
        '\n{"user_id": "u2", "consent": null}\n'
    )
    assert rows(tmp_path, text, "users.jsonl") == [
        (1, User("u1", {"plan": "gold"}, ("new",), consent=False), ""),
        (3, User("u2"), ""),
    ]


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("user_id,consent\nu,perhaps\n", 2, "the consent is not understood; write true or false"),
        ("user_id,plan\nu,a,b\n", 2, "not as many cells as the header has columns"),
        ("user_id,plan\nu\n", 2, "not as many cells as the header has columns"),
        ("user_id,plan\n,gold\n", 2, "user_id is missing; send 1 to 256 bytes"),
        ('{"user_id": "u"}\n{"user_id"\n', 2, "no JSON: "),
        ('{"user_id": "u", "consent": "no"}\n', 1, "consent must be true or false, not a string"),
        ('{"user_id": "u", "segments": "new"}\n', 1, "segments must be a list of strings"),
        ('{"user_id": "u", "plan": "gold"}\n', 1, "a user has no field plan"),
    ],
)
def test_a_row_that_cannot_be_read_says_why(tmp_path, text, line, fault):
    """A refusal of a profile that is not understood must not pass as consent."""
    last = rows(tmp_path, text)[-1]
    assert (last.line, last.user) == (line, None)
    assert last.fault.startswith(fault)


def test_a_file_without_users_is_refused(tmp_path):
    """Nobody would be put, and nobody told."""
    with pytest.raises(UnreadableFileError, match="no column is called user_id"):
        rows(tmp_path, "id,plan\nu1,gold\n")
