"""Commands that call a server: the token goes with every call, and errors say what to do next."""

import json
import socket

import pytest
from typer.testing import CliRunner

from cli.errors import CommandError
from cli.live.player import Player
from cli.main import app
from cli.server_client import page, server_client
from cli.stack import apps
from cli.stack.authority import Authority
from cli.stack.layout import Ports
from evaluation.datasets import Session
from listeners.guard import guard_of
from listeners.tokens import Scope
from nextclick import UnauthenticatedError
from nextclick.v1 import model_service_pb2 as model_pb
from nextclick.v1 import recommendation_service_pb2 as pb
from server.transport.http import serve_http
from tests.tokens import write_tokens
from tests.unit.nextclick.fake_server import Fake, serving
from tests.unit.server.transport.served import Served

CALLS = {
    ("recommend", "--session-id", "s"): pb.RecommendResponse(),
    ("models", "list"): model_pb.ListModelsResponse(),
    ("models", "pause", "ranker"): model_pb.PauseLearningResponse(),
    ("models", "resume", "ranker"): model_pb.ResumeLearningResponse(),
    ("models", "roll-back", "ranker", "3"): model_pb.RollBackResponse(),
}


@pytest.fixture(params=CALLS, ids=" ".join)
def call(request, monkeypatch, tmp_path):
    """A function that runs a command against a server that requires the token ``open-sesame``."""
    monkeypatch.chdir(tmp_path)
    fake = Fake()
    fake.answers = [CALLS[request.param]]
    with serving(fake, token="open-sesame") as target:
        port = target.rpartition(":")[2]

        def run():
            args = [*request.param, "--grpc-port", port]
            return CliRunner().invoke(app, args, standalone_mode=False)

        yield run


def test_every_call_carries_the_token(call, monkeypatch, tmp_path):
    """With a token, the command line could not be used at all."""
    (tmp_path / "token").write_text("open-sesame\n")
    monkeypatch.setenv("NEXTCLICK_TOKEN_FILE", "token")
    assert call().exception is None


def test_a_wrong_token_is_told_with_the_setting(call, monkeypatch, tmp_path):
    """The first thing that happens to whoever is new to a guarded server."""
    (tmp_path / "token").write_text("open-barley")
    for lines in ("", "token_file = 'token'\n"):
        (tmp_path / "nextclick.toml").write_text(lines)
        failed = call().exception
        assert isinstance(failed, CommandError)
        assert "NEXTCLICK_TOKEN_FILE" in str(failed)
        assert "barley" not in str(failed)


@pytest.mark.parametrize("content", ["", " \n", "two words", "a\nb", "\x00", "ü"])
def test_a_file_without_a_token_is_told(call, monkeypatch, tmp_path, content):
    """gRPC's own error quotes what it was given, and does not say where it is from."""
    (tmp_path / "token").write_text(content)
    monkeypatch.setenv("NEXTCLICK_TOKEN_FILE", "token")
    assert str(call().exception).startswith("token holds no token: `nextclick tokens create`")


def test_a_file_that_is_not_there_is_told(call, monkeypatch):
    """A path that was mistyped, or a Secret that was not mounted."""
    monkeypatch.setenv("NEXTCLICK_TOKEN_FILE", "missing")
    assert call().exception.filename == "missing"


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    """A server's ports over mutual TLS with tokens, and the settings of commands for it."""
    authority = Authority(tmp_path)
    mine, commands = authority.issue("server"), authority.issue("commands")
    bearers = write_tokens(
        tmp_path / "tokens.json", ops=(Scope.MODELS, Scope.METRICS), shop=(Scope.RECOMMEND,)
    )
    files = [tmp_path / "tokens.json", *mine, authority.certificate]
    served = Served(guard_of(*map(str, files)))
    (tmp_path / "token").write_text(bearers["ops"].token)
    (tmp_path / "other-token").write_text(bearers["shop"].token)
    settings = {
        "TOKEN_FILE": tmp_path / "token",
        "SERVER_CA_FILE": authority.certificate,
        "CLIENT_CERTIFICATE_FILE": commands.certificate,
        "CLIENT_KEY_FILE": commands.key,
    }
    for name, path in settings.items():
        monkeypatch.setenv(f"NEXTCLICK_{name}", str(path))
    yield served
    served.close()


def test_a_command_calls_a_server_over_mutual_tls_with_its_token(guarded):
    """It is where whoever runs the server looks first."""
    words = ["models", "list", "--grpc-port", str(guarded.port)]
    result = CliRunner().invoke(app, words, standalone_mode=False)
    assert (result.exception, "ranker" in result.stdout) == (None, True)


@pytest.mark.parametrize(
    ("without", "sentence"),
    [
        (["TOKEN_FILE"], r"UNAUTHENTICATED.*NEXTCLICK_TOKEN_FILE"),
        (["CLIENT_CERTIFICATE_FILE", "CLIENT_KEY_FILE"], "NEXTCLICK_CLIENT_CERTIFICATE_FILE"),
        (
            ["SERVER_CA_FILE", "CLIENT_CERTIFICATE_FILE", "CLIENT_KEY_FILE"],
            "if it speaks TLS, NEXTCLICK_SERVER_CA_FILE",
        ),
    ],
)
def test_what_a_command_lacks_is_told_with_its_setting(guarded, monkeypatch, without, sentence):
    """All that gRPC says is that the connection was closed."""
    for name in without:
        monkeypatch.setenv(f"NEXTCLICK_{name}", "")
    with (
        pytest.raises(CommandError, match=sentence),
        server_client(target=guarded.target) as client,
    ):
        client.list_models()


def test_a_server_of_another_ca_is_told(guarded, monkeypatch, tmp_path):
    """It may be another server, or the wrong file."""
    monkeypatch.setenv("NEXTCLICK_SERVER_CA_FILE", str(Authority(tmp_path, "other").certificate))
    with (
        pytest.raises(CommandError, match="do not agree on TLS: NEXTCLICK_SERVER_CA_FILE"),
        server_client(target=guarded.target) as client,
    ):
        client.list_models()


def test_a_token_without_the_scope_is_told(guarded, monkeypatch, tmp_path):
    """Which one is lacking, and where the token is from."""
    monkeypatch.setenv("NEXTCLICK_TOKEN_FILE", str(tmp_path / "other-token"))
    with (
        pytest.raises(CommandError, match=r"lacks the scope models.*NEXTCLICK_TOKEN_FILE"),
        server_client(target=guarded.target) as client,
    ):
        client.list_models()


def test_the_status_of_a_guarded_server_is_read(guarded, monkeypatch, tmp_path):
    """`status` showed a server that is away, and `up` waited for it until it gave up."""
    files = [tmp_path / "tokens.json", tmp_path / "server.pem", tmp_path / "server-key.pem"]
    state = {"state": "SERVING"}
    ports = Ports.free()
    http = serve_http("127.0.0.1", ports.http, lambda: state, guard_of(*map(str, files)))
    try:
        assert apps.server_status(ports) == state
        assert apps.serving(ports)
        for name, sentence in (
            ("other-token", "it takes a token with the scope metrics: NEXTCLICK_TOKEN_FILE"),
            ("token", "do not agree on TLS: NEXTCLICK_SERVER_CA_FILE"),
        ):
            monkeypatch.setenv("NEXTCLICK_TOKEN_FILE", str(tmp_path / name))
            with pytest.raises(CommandError, match=sentence):
                apps.server_status(ports)
            other = Authority(tmp_path, "other").certificate
            monkeypatch.setenv("NEXTCLICK_SERVER_CA_FILE", str(other))
    finally:
        http.shutdown()
        http.server_close()


@pytest.mark.parametrize("tls", [False, True])
def test_the_token_does_not_go_to_a_proxy(guarded, monkeypatch, tmp_path, tls):
    """In a company's network the variables are set, and a plain request shows it the token."""
    if not tls:
        for name in ("SERVER_CA_FILE", "CLIENT_CERTIFICATE_FILE", "CLIENT_KEY_FILE"):
            monkeypatch.setenv(f"NEXTCLICK_{name}", "")
    certificate = [tmp_path / "server.pem", tmp_path / "server-key.pem"] if tls else ["", ""]
    guard = guard_of(str(tmp_path / "tokens.json"), *map(str, certificate))
    ports = Ports.free()
    http = serve_http("127.0.0.1", ports.http, lambda: {"state": "SERVING"}, guard)
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        try:
            assert json.loads(page(ports.http, "/status", 5)) == {"state": "SERVING"}
            with pytest.raises(BlockingIOError):
                proxy.accept()
        finally:
            http.shutdown()
            http.server_close()


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
        serving(Fake(), token="open-sesame") as target,
        pytest.raises(CommandError, match="NEXTCLICK_TOKEN_FILE"),
        server_client(target=target) as client,
    ):
        Player(client, sessions, rate=1_000)._probe(0, 1e12)


def test_an_error_of_the_token_can_be_told_from_others():
    """A backend must not retry it, and may want to read its token anew."""
    with (
        serving(Fake(), token="open-sesame") as target,
        pytest.raises(CommandError) as failed,
        server_client(target=target) as client,
    ):
        client.recommend("s")
    assert isinstance(failed.value.__cause__, UnauthenticatedError)
