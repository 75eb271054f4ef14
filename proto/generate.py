"""Regenerate the stubs of ``nextclick/v1``: ``python proto/generate.py [OUT]``."""

from __future__ import annotations

import sys
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).parent


def generate(out: Path) -> None:
    """Write all stubs below ``out``; only files with a service get grpc stubs."""
    for proto in sorted((HERE / "nextclick" / "v1").glob("*.proto")):
        name = str(proto.relative_to(HERE))
        args = ["protoc", f"-I{HERE}", f"--python_out={out}", f"--pyi_out={out}"]
        if "service " in proto.read_text():
            args.append(f"--grpc_python_out={out}")
        if protoc.main([*args, name]) != 0:
            raise SystemExit(f"protoc failed on {name}")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
