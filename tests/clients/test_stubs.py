"""The protos as a module of buf, and the stubs that are made from them."""

import shutil
import subprocess

import pytest

from tests.clients.toolchains import CLIENTS, PACKAGES, ROOT, install_packages, needs, run

BUF = PACKAGES / ".bin" / "buf"
STUBS = ("typescript/src/nextclick", "go/nextclick")


@pytest.fixture(autouse=True)
def _packages():
    install_packages()


def test_the_protos_pass_the_lint_of_buf():
    """Whoever takes them into a module of their own would have faults of ours to live with."""
    run(BUF, "lint")


def test_buf_notices_a_change_that_breaks_callers(tmp_path):
    """If it failed, the rules of the module would let such a change pass."""
    shutil.copytree(ROOT / "proto" / "nextclick", tmp_path / "proto" / "nextclick")
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    run(BUF, "breaking", tmp_path, "--against", ROOT)
    file = tmp_path / "proto" / "nextclick" / "v1" / "event_service.proto"
    file.write_text(file.read_text().replace("string item_id = 5;", "string item_id = 55;"))
    command = [BUF, "breaking", tmp_path, "--against", ROOT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 100
    assert 'field "5" with name "item_id" on message "Event"' in done.stdout


def test_the_stubs_are_fresh(tmp_path):
    """If it failed, backends would speak another protocol than the protos say."""
    needs("go")
    run(BUF, "generate", "-o", tmp_path)
    for stubs in STUBS:
        fresh, committed = (
            {
                str(file.relative_to(folder)): file.read_text()
                for file in (folder / stubs).rglob("*")
                if file.is_file()
            }
            for folder in (tmp_path / "clients", CLIENTS)
        )
        assert fresh
        stale = [name for name in fresh | committed if fresh.get(name) != committed.get(name)]
        assert not stale, f"run `make stubs` and commit: {stale}"
