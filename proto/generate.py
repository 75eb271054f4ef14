"""Generate the Python stubs and the gateway's comments, and add what is new to the contract's list.

Usage: python proto/generate.py [OUT]

Without OUT it writes the stubs beside the protos. With it, only the stubs are written, and there:
a test compares them with the committed ones.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc_tools
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

PROTO_DIR = Path(__file__).resolve().parent
CONTRACT = PROTO_DIR.parent / "tests" / "contract" / "baseline.txt"
COMMENTS = PROTO_DIR.parent / "gateway" / "comments.json"
_PACKAGE = Path("nextclick") / "v1"
_INCLUDES = (f"-I{PROTO_DIR}", f"-I{Path(grpc_tools.__file__).parent / '_proto'}")


def main(arguments: list[str] | None = None) -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="Generate the Python stubs.")
    parser.add_argument("out", type=Path, nargs="?", help="write there, touch nothing else")
    out = parser.parse_args(arguments).out
    if out is not None:
        generate(out)
        return
    generate(PROTO_DIR)
    COMMENTS.write_text(comments(descriptors()))
    known = CONTRACT.read_text().splitlines() if CONTRACT.exists() else []
    new = [line for line in contract(descriptors()) if line not in set(known)]
    # Nothing is ever removed here: a breaking change takes an edit by hand, seen in review.
    CONTRACT.write_text("".join(f"{line}\n" for line in sorted([*known, *new])))
    sys.stdout.write(f"stubs written; {len(new)} new lines in {CONTRACT.name}\n")


def generate(out: Path) -> None:
    """Write the stubs of all protos below ``out``."""
    files = _protos()
    _protoc(f"--python_out={out}", f"--pyi_out={out}", *files)
    # Messages alone would leave an empty *_pb2_grpc.py.
    _protoc(f"--grpc_python_out={out}", *(f for f in files if f.endswith("_service.proto")))


def descriptors() -> descriptor_pb2.FileDescriptorSet:
    """Return the descriptors of all protos, with their comments."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "descriptors"
        _protoc(f"--descriptor_set_out={file}", "--include_source_info", *_protos())
        return descriptor_pb2.FileDescriptorSet.FromString(file.read_bytes())


def contract(files: descriptor_pb2.FileDescriptorSet) -> list[str]:
    """Return one sorted line a fact that callers or stored records depend on.

    A line that goes away is a breaking change: something was removed, renamed, renumbered or
    retyped. A line that comes is an addition.
    """
    lines = []
    for file in files.file:
        for message in file.message_type:
            lines += _message(f"{file.package}.{message.name}", message)
        for enum in file.enum_type:
            lines += _enum(f"{file.package}.{enum.name}", enum)
        for service in file.service:
            for method in service.method:
                streams = ("stream " * method.client_streaming, "stream " * method.server_streaming)
                lines.append(
                    f"rpc {file.package}.{service.name}.{method.name}"
                    f"({streams[0]}{method.input_type}) -> {streams[1]}{method.output_type}"
                )
    return sorted(lines)


def comments(files: descriptor_pb2.FileDescriptorSet) -> str:
    """Return what the services' protos say, and those that they import, as JSON.

    Comments by the names of what they are of.
    """
    said = {}
    told = {file.name for file in files.file if file.service}
    told |= {name for file in files.file if file.service for name in file.dependency}
    for file in files.file:
        if file.name in told:
            for location in file.source_code_info.location:
                if location.leading_comments:
                    name = f"{file.package}.{_name(file, location.path)}"
                    said[name] = " ".join(location.leading_comments.split())
    return json.dumps(said, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _name(file: descriptor_pb2.FileDescriptorProto, path: Sequence[int]) -> str:
    """Return the name of what a path of source code info leads to, below its package."""
    at: Any = file
    names = []
    for number, index in zip(path[::2], path[1::2], strict=True):
        at = getattr(at, at.DESCRIPTOR.fields_by_number[number].name)[index]
        names.append(at.name)
    return ".".join(names)


def _message(name: str, message: descriptor_pb2.DescriptorProto) -> list[str]:
    lines = []
    field_types = descriptor_pb2.FieldDescriptorProto
    for field in message.field:
        kind = field.type_name or field_types.Type.Name(field.type).removeprefix("TYPE_").lower()
        label = field_types.Label.Name(field.label).removeprefix("LABEL_").lower()
        presence = "explicit " if field.proto3_optional else ""
        lines.append(f"field {name}.{field.name} = {field.number}: {presence}{label} {kind}")
    for nested in message.nested_type:
        lines += _message(f"{name}.{nested.name}", nested)
    for enum in message.enum_type:
        lines += _enum(f"{name}.{enum.name}", enum)
    return [f"message {name}", *lines]


def _enum(name: str, enum: descriptor_pb2.EnumDescriptorProto) -> list[str]:
    return [f"enum {name}.{value.name} = {value.number}" for value in enum.value]


def _protos() -> list[str]:
    return sorted(str(path) for path in (PROTO_DIR / _PACKAGE).glob("*.proto"))


def _protoc(*arguments: str) -> None:
    if protoc.main(["protoc", *_INCLUDES, *arguments]) != 0:
        raise SystemExit("protoc failed; its messages are above")


if __name__ == "__main__":
    main()
