"""What `import nextclick` brings along, and what it must not."""

from __future__ import annotations

import subprocess
import sys
from typing import Literal, get_args, get_origin

import pytest

import nextclick

ALL_WITHOUT_GRPC = (
    "import sys, nextclick, nextclick.codec, nextclick.convert, nextclick.topics, "
    "nextclick.v1.session_pb2; "
)


def _modules(code: str) -> set[str]:
    code += "; print(*(m for m in sys.modules if m in {'grpc', 'google.protobuf', 'pyflink'}))"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_codec_imports_neither_grpc_nor_protobuf() -> None:
    """If it failed, each Flink worker would load a gRPC core that it never uses."""
    assert _modules("import sys, nextclick, nextclick.codec, nextclick.topics") == set()


def test_messages_and_conversion_do_not_import_grpc() -> None:
    """If it failed, the session store and the jobs would load grpc for a protobuf record."""
    assert _modules(ALL_WITHOUT_GRPC + "pass") == {"google.protobuf"}


def test_client_imports_grpc_when_asked_for() -> None:
    """If it failed, the test above would look for the wrong module."""
    assert "grpc" in _modules("import sys, nextclick; nextclick.Client")


@pytest.mark.parametrize("name", nextclick.__all__)
def test_every_exported_name_is_there(name: str) -> None:
    """If it failed, ``from nextclick import name`` of the documentation would."""
    exported = getattr(nextclick, name)
    if get_origin(exported) is Literal:  # a type's name, which knows no module
        assert get_args(exported)
    else:
        assert exported.__module__.startswith("nextclick.")


def test_unknown_names_are_attribute_errors() -> None:
    """If it failed, ``hasattr`` and typos would behave oddly."""
    assert not hasattr(nextclick, "Clint")
