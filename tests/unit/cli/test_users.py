"""``nextclick users``: files to calls, in batches."""

import json

from cli.put_users import CALL_USERS
from nextclick.v1 import user_service_pb2 as pb
from tests.unit.cli.test_help import run  # noqa: F401 - a fixture
from tests.unit.nextclick.fake_server import Fake, serving


def test_a_file_is_put_in_batches(run, tmp_path):  # noqa: F811
    """A shop has more users than one call takes; rows that are refused cost only themselves."""
    lines = [f"u{n},{'no' if n == 7 else 'yes'}" for n in range(CALL_USERS + 1)]
    (tmp_path / "users.csv").write_text("\n".join(["user_id,consent", *lines, "u,perhaps", ""]))
    fake = Fake()
    fake.answers = [
        pb.PutUsersResponse(accepted=CALL_USERS),
        pb.PutUsersResponse(accepted=1),
    ]
    with serving(fake) as target:
        port = target.rpartition(":")[2]
        code, said = run("nextclick users put users.csv --json", "--grpc-port", port)
    assert code == 0
    result = json.loads(said)
    assert (result["put"], result["refused"]) == (CALL_USERS + 1, 1)
    first, second = fake.requests
    assert [user.user_id for user in first.users if not user.consent] == ["u7"]
    assert [user.user_id for user in second.users] == [f"u{CALL_USERS}"]


def test_what_is_got_can_be_put_again(run):  # noqa: F811
    """The fields are those of the file."""
    fake = Fake()
    user = pb.User(user_id="u7", attributes={"plan": "gold"}, segments=["new"], consent=False)
    fake.answers = [pb.GetUsersResponse(users=[user])]
    with serving(fake) as target:
        port = target.rpartition(":")[2]
        code, said = run("nextclick users get u7 u8 --json", "--grpc-port", port)
    assert code == 0
    assert json.loads(said) == {
        "users": [
            {
                "user_id": "u7",
                "attributes": {"plan": "gold"},
                "segments": ["new"],
                "consent": False,
            }
        ]
    }
