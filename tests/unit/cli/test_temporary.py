"""Commands empty only folders that they have made."""

import pytest

from cli.errors import CommandError
from cli.stack import apps
from cli.stack.stack import Stack
from cli.stack.temporary import MARKER, keep, results_folder, temporary_stack
from settings.client import ClientSettings
from settings.listeners import ListenerSettings
from settings.load import load
from settings.server import ServerSettings


@pytest.fixture
def quick(monkeypatch):
    """Stacks that start at once."""
    monkeypatch.setattr(Stack, "start", lambda *_, **__: None)


def test_a_folder_of_something_else_is_not_emptied(tmp_path, quick):
    """`demo --home .` deleted the working folder, `--home .nextclick` the data of `up`."""
    thesis = tmp_path / "thesis.tex"
    thesis.write_text("years of work")
    refused = pytest.raises(CommandError, match=rf"{tmp_path} would be emptied.*another --home")
    with refused, temporary_stack(tmp_path):
        pass
    assert thesis.read_text() == "years of work"


def test_a_folder_of_its_own_is_emptied_and_used_again(tmp_path, quick):
    """The second demo begins without the first one's past."""
    home = tmp_path / "demo"
    with temporary_stack(home) as stack:
        stack.home.path("kafka", "data")
        (stack.home.path("logs") / "old").write_text("old")
        (home / "link").symlink_to(tmp_path)
    assert not (home / "kafka").exists()
    with temporary_stack(home):
        assert not (home / "logs" / "old").exists()
        assert not (home / "link").is_symlink()
    assert (home / MARKER).exists()


def test_a_temporary_stack_is_plain_whatever_the_settings_are(tmp_path, quick, monkeypatch):
    """Benchmarks and demo send no token, and nobody else knows of the stack."""
    guarding = {
        name
        for settings in (ListenerSettings, ServerSettings, ClientSettings)
        for name in settings.model_fields
        if name.startswith(("tls_", "tokens_", "token_", "server_ca", "client_"))
    }
    assert set(apps.UNGUARDED) == {f"NEXTCLICK_{name.upper()}" for name in guarding}
    for name in apps.UNGUARDED:
        monkeypatch.setenv(name, str(tmp_path / "there"))
    with temporary_stack(tmp_path / "demo"):
        assert not load(ServerSettings).tls_certificate_file
        assert not load(ClientSettings).server_ca_file


def test_a_folder_that_up_uses_is_not_emptied_any_more(tmp_path, quick):
    """`up --home .nextclick/demo` makes it a folder of data."""
    with temporary_stack(tmp_path / "demo"):
        pass
    keep(tmp_path / "demo")
    with pytest.raises(CommandError, match="would be emptied"), temporary_stack(tmp_path / "demo"):
        pass


def test_two_commands_do_not_share_a_folder(tmp_path, quick):
    """The second one would delete the first one's data while it runs."""
    home, refused = tmp_path / "bench", pytest.raises(CommandError, match="runs in")
    with temporary_stack(home), refused, temporary_stack(home):
        pass


def test_results_go_into_any_folder(tmp_path):
    """Figures beside other files endanger none of them."""
    assert results_folder(tmp_path / "new").joinpath(MARKER).exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    assert not results_folder(tmp_path / "mine").joinpath(MARKER).exists()
