"""The wire contract: stubs are fresh, nothing breaks, everything is said in a comment."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf import descriptor_pb2

ROOT = Path(__file__).resolve().parents[2]
GENERATE = ROOT / "proto" / "generate.py"
STUBS = Path("nextclick") / "v1"
BASELINE = ROOT / "tests" / "contract" / "baseline.txt"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", GENERATE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def files(generator: ModuleType) -> descriptor_pb2.FileDescriptorSet:
    descriptors: descriptor_pb2.FileDescriptorSet = generator.descriptors()
    return descriptors


def test_stubs_are_fresh(tmp_path: Path) -> None:
    """If it failed, the code would speak another protocol than the protos say."""
    subprocess.run([sys.executable, str(GENERATE), str(tmp_path)], check=True)
    fresh = {p.name: p.read_bytes() for p in (tmp_path / STUBS).iterdir()}
    committed = {
        p.name: p.read_bytes() for p in (ROOT / "proto" / STUBS).iterdir() if "_pb2" in p.name
    }
    stale = sorted(n for n in fresh.keys() | committed.keys() if fresh.get(n) != committed.get(n))
    assert not stale, f"run `python proto/generate.py` and commit: {stale}"


def test_nothing_breaks(generator: ModuleType, files: descriptor_pb2.FileDescriptorSet) -> None:
    """If it failed, deployed clients, or records that are already in Kafka, would be misread."""
    known, now = set(BASELINE.read_text().splitlines()), set(generator.contract(files))
    gone = sorted(known - now)
    assert not gone, f"removed, renamed, renumbered or retyped: {gone}"
    new = sorted(now - known)
    assert not new, f"run `python proto/generate.py` so that these are protected too: {new}"


@pytest.mark.parametrize(
    "change", ["remove field", "renumber", "retype", "remove rpc", "remove value", "stream"]
)
def test_breaking_changes_would_be_noticed(
    generator: ModuleType, files: descriptor_pb2.FileDescriptorSet, change: str
) -> None:
    """If it failed, the test above would let a breaking change pass."""
    changed = descriptor_pb2.FileDescriptorSet()
    changed.CopyFrom(files)
    file = next(f for f in changed.file if f.name.endswith("recommendation_service.proto"))
    request = next(m for m in file.message_type if m.name == "RecommendRequest")
    match change:
        case "remove field":
            del request.field[0]
        case "renumber":
            request.field[0].number = 77
        case "retype":
            request.field[0].type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
        case "remove rpc":
            del file.service[0].method[0]
        case "remove value":
            del file.enum_type[0].value[1]
        case "stream":
            file.service[0].method[0].server_streaming = True
    before, after = set(generator.contract(files)), set(generator.contract(changed))
    assert before - after


def test_everything_is_documented(files: descriptor_pb2.FileDescriptorSet) -> None:
    """If it failed, a caller would have to read the server's code to learn units and ranges."""
    silent = [
        f"{file.name}: {name}"
        for file in files.file
        for path, name in _elements(file)
        if not any(
            tuple(location.path) == path and location.leading_comments.strip()
            for location in file.source_code_info.location
        )
    ]
    assert not silent


def test_style_is_bufs_standard(files: descriptor_pb2.FileDescriptorSet) -> None:
    """If it failed, `buf lint` of a user of these protos would complain."""
    asked: list[str] = []
    for file in files.file:
        assert file.package == "nextclick.v1"
        assert Path(file.name).parent == STUBS
        for enum in file.enum_type:
            prefix = "".join(f"_{c}" if c.isupper() else c.upper() for c in enum.name)[1:]
            assert (enum.value[0].name, enum.value[0].number) == (f"{prefix}_UNSPECIFIED", 0)
            assert all(value.name.startswith(f"{prefix}_") for value in enum.value)
        for message in file.message_type:
            assert all(f.name == f.name.lower() for f in message.field)
        for service in file.service:
            assert service.name.endswith("Service")
            for method in service.method:
                asked += [method.input_type, method.output_type]
                assert method.input_type == f".nextclick.v1.{method.name}Request"
                assert method.output_type == f".nextclick.v1.{method.name}Response"
    assert len(asked) == len(set(asked))


def _elements(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Give the path, as in `SourceCodeInfo`, and name of all that wants a comment."""
    for m, message in enumerate(file.message_type):
        yield (4, m), message.name
        for f, field in enumerate(message.field):
            yield (4, m, 2, f), f"{message.name}.{field.name}"
    for e, enum in enumerate(file.enum_type):
        yield (5, e), enum.name
        for v, value in enumerate(enum.value):
            yield (5, e, 2, v), value.name
    for s, service in enumerate(file.service):
        yield (6, s), service.name
        for r, method in enumerate(service.method):
            yield (6, s, 2, r), f"{service.name}.{method.name}"
