"""A data folder has one user at a time, however the one before ended."""

import math
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY

from server.replica import data_folder
from server.replica.data_folder import locked

HOLDER = (
    "import sys, time; from pathlib import Path; from server.replica.data_folder import locked\n"
    "with locked(Path(sys.argv[1])):\n"
    "    print('held', flush=True); time.sleep(600)"
)


def test_a_folder_in_use_is_refused_with_the_pid_of_its_user(tmp_path):
    """Two replicas on one folder delete each other's unfinished snapshots."""
    argv = [sys.executable, "-c", HOLDER, str(tmp_path / "data")]
    holder = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        refused = pytest.raises(SystemExit, match=rf"pid {holder.pid}\).*NEXTCLICK_DATA_DIR")
        with refused, locked(tmp_path / "data"):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with locked(tmp_path / "data"):  # the kernel has released it
        pass


def test_a_folder_is_free_after_use(tmp_path):
    """A process that starts again after an error must find its data."""
    with pytest.raises(ValueError, match="work"), locked(tmp_path):
        raise ValueError("work")
    with locked(tmp_path):
        assert (tmp_path / "lock").read_text().isdigit()


def test_the_disk_of_the_folder_is_watched(tmp_path, monkeypatch):
    """A snapshot that finds no room is one that the next start lacks."""
    usage = SimpleNamespace(total=100, free=7)
    monkeypatch.setattr(data_folder.shutil, "disk_usage", {tmp_path: usage}.get)
    with locked(tmp_path):
        assert REGISTRY.get_sample_value("nextclick_data_free_bytes") == 7
        assert REGISTRY.get_sample_value("nextclick_data_size_bytes") == 100
    monkeypatch.undo()
    with locked(tmp_path / "gone"):
        (tmp_path / "gone" / "lock").unlink()
        (tmp_path / "gone").rmdir()
        free = REGISTRY.get_sample_value("nextclick_data_free_bytes")
        assert math.isnan(free), "all other metrics must still be read"


@pytest.mark.parametrize("folder", ["file", "file/in", "/proc/nothing"])
def test_a_folder_that_cannot_be_written_is_told_with_its_setting(tmp_path, monkeypatch, folder):
    """The traceback named neither the folder as it was set, nor the setting."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    told = pytest.raises(SystemExit, match=rf"cannot write to .*{folder}: .*NEXTCLICK_DATA_DIR")
    with told, locked(Path(folder)):
        pass
