"""Two processes run a replica: its role decides what is different, and status names it."""

import orjson
import pytest

from online_models.engine import Engine
from online_models.memory.layout import Limits
from server import status
from server.replica import snapshot
from server.replica.examples import ExampleEmitter
from server.replica.replica import Replica, Role
from settings.server import ServerSettings

LIMITS = Limits(max_items=16, max_sessions=16, pairs=16)


@pytest.mark.parametrize("role", list(Role))
def test_status_names_the_role(role, tmp_path):
    """`nextclick status` reads it; a snapshot must not change it."""
    replica = Replica(Engine(LIMITS, sample=0, remote=True), role)
    assert status.describe(replica, serving=True)["name"] == role.value
    snapshot.write(replica, tmp_path)
    assert snapshot.read(tmp_path, LIMITS, role).role is role
    assert orjson.loads(orjson.dumps(status.describe(replica, serving=False)))


def test_a_server_emits_no_examples():
    """Its vectors may know the click of an example: the ranker would learn from the future."""
    with pytest.raises(ValueError, match="vectors"):
        ExampleEmitter(Replica(Engine(LIMITS, sample=0, remote=True)), ServerSettings())
