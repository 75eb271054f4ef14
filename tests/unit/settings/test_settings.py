"""Settings: each one is documented with its default, and a wrong one is told in one line."""

import re
from pathlib import Path

import pytest

from nextclick.topics import redis_session_key, redis_store_key, redis_user_key
from online_models.learners.sample import DEFAULT_SAMPLE
from settings.base import FILE, PREFIX
from settings.client import ClientSettings
from settings.gateway import GatewaySettings
from settings.jobs import JobSettings
from settings.load import PROCESSES, load
from settings.server import ServerSettings
from settings.store import StoreSettings

OPERATING = Path(__file__).parents[3] / "docs" / "operating.md"


def documented():
    """Name and default of each row of the table in docs/operating.md; a row may hold several."""
    out = {}
    for line in OPERATING.read_text().splitlines():
        if not line.startswith(f"| `{PREFIX}"):
            continue
        names, defaults, _ = (cell.strip() for cell in line.strip("|").split("|", 2))
        names = re.findall(r"`(\w+)`", names)
        out |= dict(zip(names, defaults.split(", "), strict=True))
    return out


def declared():
    """Name and default of every setting, as one would write them."""
    out = {}
    for process in PROCESSES:
        for name, field in process.model_fields.items():
            value = field.default
            text = f"{value:g}" if isinstance(value, float) else str(value)
            out[PREFIX + name.upper()] = text.lower() if isinstance(value, bool) else text
    return out


def test_every_setting_is_documented_with_its_default():
    """An operator finds each setting in the table, and sets nothing that does not exist."""
    assert documented() == declared()


@pytest.mark.parametrize("process", PROCESSES)
def test_every_setting_says_what_it_is(process):
    """The name alone leaves the unit, or the scope, to a guess."""
    assert [name for name, field in process.model_fields.items() if not field.description] == []


def test_a_state_backend_that_does_not_exist_is_named_with_those_that_do(monkeypatch):
    """Flink would take the job and fail minutes later."""
    monkeypatch.setenv("NEXTCLICK_STATE_BACKEND", "rockdb")
    with pytest.raises(SystemExit, match=r"NEXTCLICK_STATE_BACKEND: .*'heap' or 'rocksdb'"):
        load(JobSettings)


def test_profiles_that_sessions_outlive_are_refused(monkeypatch):
    """What was erased would come back from a session."""
    monkeypatch.setenv("NEXTCLICK_PROFILE_TTL_S", "86400")
    with pytest.raises(SystemExit, match=r"NEXTCLICK_PROFILE_TTL_S: 86400 is less than "):
        load(JobSettings)
    monkeypatch.setenv("NEXTCLICK_STATE_TTL_S", "86400")
    assert load(JobSettings).profile_ttl_s == 86_400


def test_each_wrong_setting_is_one_line_with_its_name(monkeypatch):
    """A traceback of pydantic names no variable that could be set."""
    monkeypatch.setenv("NEXTCLICK_GRPC_PORT", "many")
    monkeypatch.setenv("NEXTCLICK_MAX_SESSIONS", "1000")
    with pytest.raises(SystemExit) as end:
        load(ServerSettings)
    lines = str(end.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "NEXTCLICK_GRPC_PORT",
        "NEXTCLICK_MAX_SESSIONS",
    ]
    assert "take 1024" in lines[1]
    monkeypatch.setenv("NEXTCLICK_STORE_BATCH", "0")
    with pytest.raises(SystemExit, match="NEXTCLICK_STORE_BATCH"):
        load(StoreSettings)


def test_the_environment_goes_before_the_file(monkeypatch, tmp_path):
    """A container's variable overrides the file that it ships with."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nextclick.toml").write_text('tenant = "shop"\nstore_batch = 5\n')
    assert load(StoreSettings).tenant == "shop"
    monkeypatch.setenv("NEXTCLICK_TENANT", "other")
    settings = load(StoreSettings)
    assert (settings.tenant, settings.store_batch) == ("other", 5)


def test_an_emitter_has_a_folder_of_its_own(monkeypatch):
    """Started as documented beside a server, it shared the server's folder."""
    assert load(ServerSettings).data_dir == Path(".nextclick/server")
    monkeypatch.setenv("NEXTCLICK_EMIT_EXAMPLES", "true")
    assert load(ServerSettings).data_dir == Path(".nextclick/emitter")
    monkeypatch.setenv("NEXTCLICK_DATA_DIR", "elsewhere")
    assert load(ServerSettings).data_dir == Path("elsewhere")


def test_the_emitter_samples_as_evaluation_does():
    """Otherwise the ranker would learn from a share of the clicks that no figure was taken with."""
    assert ServerSettings().sample == DEFAULT_SAMPLE


def test_a_misspelt_setting_is_refused_with_the_one_that_was_meant(monkeypatch, tmp_path):
    """A mistyped limit was ignored: the operator found out when memory was full."""
    monkeypatch.chdir(tmp_path)
    wrong = ("max_itms = 5", "redis_pasword_file = 'x'", "colour = 1", "[shop]")
    (tmp_path / "nextclick.toml").write_text("\n".join(wrong))
    monkeypatch.setenv("NEXTCLICK_TENNANT", "shop")
    with pytest.raises(SystemExit) as end:
        load(StoreSettings)
    assert str(end.value).splitlines() == [
        "NEXTCLICK_TENNANT: there is no such setting; did you mean NEXTCLICK_TENANT?",
        "nextclick.toml: max_itms: there is no such setting; did you mean max_items?",
        f"{FILE}: redis_pasword_file: there is no such setting; did you mean redis_password_file?",
        "nextclick.toml: colour: there is no such setting",
        "nextclick.toml: shop: there is no such setting",
    ]


def test_settings_of_another_process_are_none_of_ours(monkeypatch, tmp_path):
    """Server, store and jobs share one file and, in a container, one environment."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nextclick.toml").write_text("max_items = 5\nstate_ttl_s = 7\n")
    monkeypatch.setenv("NEXTCLICK_GRPC_PORT", "6000")
    assert load(StoreSettings).store_batch == 1_000
    assert (load(JobSettings).state_ttl_s, load(ServerSettings).max_items) == (7, 5)


def test_a_wrong_value_is_looked_for_where_it_is(monkeypatch, tmp_path):
    """One of the file was told as a variable, which nobody had set."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nextclick.toml").write_text("max_items = 'x'\nmax_sessions = 'y'\n")
    monkeypatch.setenv("NEXTCLICK_MAX_SESSIONS", "z")
    with pytest.raises(SystemExit) as told:
        load(ServerSettings, grpc_port="w")
    assert [line.split(": ")[:-1] for line in sorted(str(told.value).splitlines())] == [
        ["NEXTCLICK_GRPC_PORT"],
        ["NEXTCLICK_MAX_SESSIONS"],
        ["nextclick.toml", "max_items"],
    ]


@pytest.mark.parametrize(("tenant", "name"), [("s", "s:x"), ("u", "s:x"), ("s", "store")])
def test_no_tenant_has_the_redis_keys_of_those_without_one(tenant, name):
    """One shop's store would overwrite sessions, or positions, of the other."""
    theirs = {redis_session_key("x", tenant), redis_store_key(tenant)}
    assert theirs & {redis_session_key(name), redis_user_key(name)}
    with pytest.raises(SystemExit, match=r"NEXTCLICK_TENANT: .*choose another name"):
        load(StoreSettings, tenant=tenant)


def test_variables_that_kubernetes_sets_are_no_settings(monkeypatch):
    """Beside a service that is called nextclick, every container of a pod has these."""
    for name, value in {
        "NEXTCLICK_PORT": "tcp://10.0.0.1:50051",
        "NEXTCLICK_PORT_50051_TCP_ADDR": "10.0.0.1",
        "NEXTCLICK_SERVICE_HOST": "10.0.0.1",
        "NEXTCLICK_STORE_SERVICE_PORT_METRICS": "8082",
    }.items():
        monkeypatch.setenv(name, value)
    assert load(ServerSettings).grpc_port == 50051


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_items = \n", "Invalid value"),
        ("max_items = 1\nmax_items = 2\n", "Cannot overwrite"),
        (b"tenant = '\xff'\n", "can't decode"),
    ],
)
def test_a_torn_file_is_said_in_one_line(monkeypatch, tmp_path, text, said):
    """A traceback of the parser names neither the file nor what to write."""
    monkeypatch.chdir(tmp_path)
    raw = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "nextclick.toml").write_bytes(raw)
    with pytest.raises(SystemExit) as end:
        load(ServerSettings)
    (line,) = str(end.value).splitlines()
    assert str(tmp_path / "nextclick.toml") in line
    assert said in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS", "cache:6379"),
        ("REDIS", "http://cache:6379"),
        ("REDIS", "redis://cache:port"),
        ("KAFKA", ""),
        ("TENANT", "shop b"),
        ("STORE_HTTP_PORT", "70000"),
        ("SESSION_EXPIRY_S", "9999999999999"),
    ],
)
def test_a_value_that_nothing_could_use_is_refused_at_the_start(monkeypatch, name, value):
    """Each was a traceback, or an error that was retried for ever, once the process ran."""
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(SystemExit, match=f"^{PREFIX}{name}: "):
        load(StoreSettings)


def test_a_time_is_a_number(monkeypatch):
    """Infinity passed every lower bound, and the thread that waited so long failed."""
    monkeypatch.setenv("NEXTCLICK_SNAPSHOT_INTERVAL_S", "inf")
    monkeypatch.setenv("NEXTCLICK_DRAIN_S", "nan")
    with pytest.raises(SystemExit) as end:
        load(ServerSettings)
    assert [line.split(":")[0] for line in str(end.value).splitlines()] == [
        "NEXTCLICK_SNAPSHOT_INTERVAL_S",
        "NEXTCLICK_DRAIN_S",
    ]


NUMBERS = [
    (process, name)
    for process in PROCESSES
    for name, field in process.model_fields.items()
    if field.annotation in (int, float)
]


@pytest.mark.parametrize(("process", "name"), NUMBERS)
@pytest.mark.parametrize("value", ["-1", "1e300", "nan", "99999999999999999999"])
def test_a_number_that_no_process_could_use_is_refused(process, name, value, monkeypatch):
    """A timeout of 1e308 s was a traceback of the thread that waited."""
    monkeypatch.setenv(PREFIX + name.upper(), value)
    with pytest.raises(SystemExit, match=f"^{PREFIX}{name.upper()}: "):
        load(process)


def test_a_password_is_never_quoted(monkeypatch):
    """What is wrong with a setting goes into logs."""
    monkeypatch.setenv("NEXTCLICK_REDIS", "cache://:secret@cache:6379/0")
    with pytest.raises(SystemExit) as end:
        load(ServerSettings)
    assert "secret" not in str(end.value)


@pytest.mark.parametrize(
    ("process", "given", "sentence"),
    [
        (ServerSettings, {"TLS_KEY_FILE": "k"}, "NEXTCLICK_TLS_CERTIFICATE_FILE and "),
        (StoreSettings, {"TLS_CERTIFICATE_FILE": "c"}, "NEXTCLICK_TLS_CERTIFICATE_FILE and "),
        (ServerSettings, {"TLS_CLIENT_CA_FILE": "a"}, "NEXTCLICK_TLS_CLIENT_CA_FILE needs "),
        (ClientSettings, {"CLIENT_KEY_FILE": "k"}, "NEXTCLICK_CLIENT_CERTIFICATE_FILE and "),
        (GatewaySettings, {"CLIENT_KEY_FILE": "k"}, "NEXTCLICK_CLIENT_CERTIFICATE_FILE and "),
        (
            ClientSettings,
            {"CLIENT_KEY_FILE": "k", "CLIENT_CERTIFICATE_FILE": "c"},
            "NEXTCLICK_CLIENT_CERTIFICATE_FILE needs ",
        ),
        (
            GatewaySettings,
            {"SERVER_CA_FILE": "a", "GATEWAY_TARGET": "ipv4:10.0.0.1:50051,10.0.0.2:50051"},
            "NEXTCLICK_GATEWAY_TARGET: over TLS, a list ",
        ),
    ],
)
def test_half_of_a_secured_connection_is_refused(monkeypatch, process, given, sentence):
    """The other half would be plain, or anybody's; and all settings would be in the message."""
    monkeypatch.setenv("NEXTCLICK_REDIS", "redis://:secret@cache:6379/0")
    for name, value in given.items():
        monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(SystemExit) as end:
        load(process)
    assert str(end.value).startswith(sentence)
    assert "secret" not in str(end.value)


def test_the_token_of_the_version_before_is_refused_with_what_replaces_it(monkeypatch):
    """A server that ignored it would be open."""
    monkeypatch.setenv("NEXTCLICK_TOKEN", "open-sesame")
    with pytest.raises(SystemExit, match="NEXTCLICK_TOKEN: there is no such setting") as end:
        load(ServerSettings)
    assert "sesame" not in str(end.value)
