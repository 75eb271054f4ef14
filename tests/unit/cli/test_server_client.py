"""Commands that call a server: the token goes with every call, and errors say what to do next."""

import pytest
from typer.testing import CliRunner

from cli.errors import CommandError
from cli.live.player import Player
from cli.main import app
from cli.server_client import server_client
from cli.stack.layout import Ports
from evaluation.datasets import Session
from nextclick import UnauthenticatedError
from nextclick.v1 import model_service_pb2 as model_pb
from nextclick.v1 import recommendation_service_pb2 as pb
from tests.unit.nextclick.fake_server import Fake, serving

CALLS = {
    ("recommend", "--session-id", "s"): pb.RecommendResponse(),
    ("models", "list"): model_pb.ListModelsResponse(),
    ("models", "pause", "ranker"): model_pb.PauseLearningResponse(),
    ("models", "resume", "ranker"): model_pb.ResumeLearningResponse(),
    ("models", "roll-back", "ranker", "3"): model_pb.RollBackResponse(),
}


@pytest.fixture(params=CALLS, ids=" ".join)
def call(request, monkeypatch, tmp_path):
    """A function that runs a command against a server that requires the token ``open sesame``."""
    monkeypatch.chdir(tmp_path)
    fake = Fake()
    fake.answers = [CALLS[request.param]]
    with serving(fake, token="open sesame") as target:
        port = target.rpartition(":")[2]

        def run():
            args = [*request.param, "--grpc-port", port]
            return CliRunner().invoke(app, args, standalone_mode=False)

        yield run


def test_every_call_carries_the_token(call, monkeypatch):
    """With a token, the command line could not be used at all."""
    monkeypatch.setenv("NEXTCLICK_TOKEN", "open sesame")
    assert call().exception is None


def test_a_wrong_token_is_told_with_the_setting(call, monkeypatch, tmp_path):
    """The first thing that happens to whoever is new to a guarded server."""
    for token in ("", "open barley"):
        (tmp_path / "nextclick.toml").write_text(f"token = '{token}'\n")
        failed = call().exception
        assert isinstance(failed, CommandError)
        assert "NEXTCLICK_TOKEN" in str(failed)


def test_a_server_that_is_not_up_is_told_with_the_command():
    """The first thing that happens to whoever is new."""
    with (
        pytest.raises(CommandError, match=r"`nextclick up`.*--grpc-port"),
        server_client(Ports.free().grpc, timeout_s=60) as client,
    ):
        client.recommend("s")


def test_a_replay_stops_with_a_sentence(monkeypatch, tmp_path):
    """A probe that failed ended it with a traceback."""
    monkeypatch.chdir(tmp_path)
    sessions = [Session("s", ("a", "b"), (1, 2))]
    with (
        serving(Fake(), token="open sesame") as target,
        pytest.raises(CommandError, match="NEXTCLICK_TOKEN"),
        server_client(target=target) as client,
    ):
        Player(client, sessions, rate=1_000)._probe(0, 1e12)


def test_an_error_of_the_token_can_be_told_from_others():
    """A backend must not retry it, and may want to read its token anew."""
    with (
        serving(Fake(), token="open sesame") as target,
        pytest.raises(CommandError) as failed,
        server_client(target=target) as client,
    ):
        client.recommend("s")
    assert isinstance(failed.value.__cause__, UnauthenticatedError)
