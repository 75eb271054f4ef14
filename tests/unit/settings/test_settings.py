"""Settings: each one is documented with its default, and a wrong one is told in one line."""

import re
from pathlib import Path

import pytest

from settings.base import PREFIX, load
from settings.jobs import JobSettings
from settings.server import ServerSettings
from settings.store import StoreSettings

OPERATING = Path(__file__).parents[3] / "docs" / "operating.md"
PROCESSES = (ServerSettings, StoreSettings, JobSettings)


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
