"""Commands take from the environment and the file what no option says."""

import sys
import types

import pytest
from typer.testing import CliRunner

from cli import up as up_module
from cli.errors import CommandError
from cli.main import app
from cli.stack import apps
from cli.stack.layout import Child, Home, Ports
from cli.stack.stack import Stack
from settings.gateway import GatewaySettings
from settings.load import load
from settings.server import ServerSettings


@pytest.fixture
def served(monkeypatch, tmp_path):
    """A function that runs ``nextclick serve`` without a server; returns its settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("KAFKA", "REDIS", "TENANT", "GRPC_PORT", "HTTP_PORT", "DATA_DIR"):
        monkeypatch.setenv(f"NEXTCLICK_{name}", "")  # so that it is put back afterwards
        monkeypatch.delenv(f"NEXTCLICK_{name}")
    seen = []
    main = types.SimpleNamespace(main=lambda: seen.append(load(ServerSettings)))
    monkeypatch.setitem(sys.modules, "server.__main__", main)

    def serve(*options):
        result = CliRunner().invoke(app, ["serve", *options], standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return seen.pop()

    return serve


def test_serve_keeps_to_the_tenant_of_its_environment(served, monkeypatch, tmp_path):
    """Defaults of options won: a server started for shopB read and wrote everybody's topics."""
    monkeypatch.setenv("NEXTCLICK_TENANT", "shopB")
    monkeypatch.setenv("NEXTCLICK_KAFKA", "broker.shop:9092")
    monkeypatch.setenv("NEXTCLICK_REDIS", "rediss://:secret@cache:6380/0")
    (tmp_path / "nextclick.toml").write_text("tenant = 'shopA'\ngrpc_port = 6000\nhttp_port = 0\n")
    settings = served()
    assert (settings.tenant, settings.kafka) == ("shopB", "broker.shop:9092")
    assert settings.redis == "rediss://:secret@cache:6380/0"
    assert (settings.grpc_port, settings.http_port) == (6000, 0)


def test_an_option_wins_over_the_environment(served, monkeypatch):
    """It was typed for this one run."""
    monkeypatch.setenv("NEXTCLICK_TENANT", "shopB")
    monkeypatch.setenv("NEXTCLICK_GRPC_PORT", "6000")
    settings = served("--tenant", "", "--grpc-port", "6001", "--redis", "redis://cache:6379/1")
    assert (settings.tenant, settings.grpc_port) == ("", 6001)
    assert settings.redis == "redis://cache:6379/1"


def test_a_password_does_not_belong_on_a_command_line(served):
    """Every user of the machine can list the command lines of all processes."""
    with pytest.raises(Exception, match="NEXTCLICK_REDIS"):
        served("--redis", "redis://:secret@cache:6379/0")


@pytest.mark.parametrize("words", [["status"], ["down"], ["results"], ["jobs", "list"]])
def test_every_command_refuses_a_misspelt_setting(monkeypatch, tmp_path, words):
    """Those that need no settings passed over it, and it had no effect on what was started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEXTCLICK_MAXITEMS", "5")
    result = CliRunner().invoke(app, words, standalone_mode=False)
    assert "did you mean NEXTCLICK_MAX_ITEMS?" in str(result.exception)


@pytest.fixture
def up(monkeypatch, tmp_path):
    """A function that runs ``nextclick up`` until it would start; ports and tenant of the stack."""
    monkeypatch.chdir(tmp_path)
    seen = []
    monkeypatch.setattr(up_module, "start_detached", lambda *_: None)

    def stack(home, ports, *, tenant, **_):
        seen.append((ports, tenant))
        return Stack(Home(tmp_path), Ports(), bound=False)

    monkeypatch.setattr(up_module, "Stack", stack)

    def run(*options):
        result = CliRunner().invoke(app, ["up", *options], standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return seen.pop()

    return run


def test_up_listens_where_the_settings_say(up, monkeypatch, tmp_path):
    """The server got the default ports of the options, whatever the operator had set."""
    (tmp_path / "nextclick.toml").write_text("http_port = 8888\nstore_http_port = 0\n")
    monkeypatch.setenv("NEXTCLICK_GRPC_PORT", "6000")
    ports, _ = up("--http-port", "8889")
    assert (ports.grpc, ports.http, ports.store_http) == (6000, 8889, 0)
    assert up()[0].http == 8888


def test_up_serves_the_tenant_that_is_set_or_given(up, monkeypatch):
    """Otherwise the clicks of a shop would go to the topics of all."""
    assert up()[1] == ""
    monkeypatch.setenv("NEXTCLICK_TENANT", "shopB")
    assert up()[1] == "shopB"
    assert up("--tenant", "shopA")[1] == "shopA"


def test_up_wants_to_know_the_certificate_of_its_own_server(up, monkeypatch):
    """It waited for a server that was SERVING all the while."""
    for name in ("CERTIFICATE", "KEY"):
        monkeypatch.setenv(f"NEXTCLICK_TLS_{name}_FILE", f"{name}.pem")
    with pytest.raises(CommandError, match="NEXTCLICK_SERVER_CA_FILE"):
        up()
    monkeypatch.setenv("NEXTCLICK_SERVER_CA_FILE", "ca.pem")
    assert up()


@pytest.mark.parametrize(("setting", "realtime"), [(None, "true"), ("false", None)])
def test_real_time_priority_is_the_operators_choice(monkeypatch, tmp_path, setting, realtime):
    """`up` forced it on: on a machine of others, their processes waited for every answer."""
    if setting is not None:
        monkeypatch.setenv("NEXTCLICK_REALTIME", setting)
    seen = {}

    def spawn(name, argv, log, env, **_):
        seen.update(env)
        return Child(name, 1, 0.0)

    monkeypatch.setattr(apps, "spawn", spawn)
    apps.start_server(Home(tmp_path), Ports(), bound=False)
    assert seen.get("NEXTCLICK_REALTIME") == realtime


def test_the_gateway_takes_its_options_and_the_rest_from_its_environment(monkeypatch, tmp_path):
    """As `serve` does."""
    monkeypatch.chdir(tmp_path)
    for name in ("PORT", "HTTP_PORT", "TARGET", "ORIGINS"):
        monkeypatch.setenv(f"NEXTCLICK_GATEWAY_{name}", "")  # so that it is put back afterwards
        monkeypatch.delenv(f"NEXTCLICK_GATEWAY_{name}")
    monkeypatch.setenv("NEXTCLICK_GATEWAY_HTTP_PORT", "9000")
    monkeypatch.setenv("NEXTCLICK_GATEWAY_PORT", "9001")
    seen = []
    main = types.SimpleNamespace(main=lambda: seen.append(load(GatewaySettings)))
    monkeypatch.setitem(sys.modules, "gateway.__main__", main)
    words = ["gateway", "--port", "9002", "--target", "dns:///servers:50051"]
    CliRunner().invoke(app, [*words, "--origins", "https://shop.example"], standalone_mode=False)
    [settings] = seen
    assert (settings.gateway_port, settings.gateway_http_port) == (9002, 9000)
    assert settings.gateway_target == "dns:///servers:50051"
    assert settings.origins == ("https://shop.example",)
