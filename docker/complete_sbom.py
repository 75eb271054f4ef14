"""Adds the licences to a bill of materials that packages tell only in the text of their licence.

``python docker/complete_sbom.py sbom.json``; one whose licence nobody has looked up ends the build.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

LICENCES = {
    "hnswlib": "Apache-2.0",
    "protobuf": "BSD-3-Clause",
    "pyarrow-hotfix": "Apache-2.0",
}
"""As SPDX names them, by package."""


def main() -> None:
    """Complete the file, or say what is missing."""
    path = Path(sys.argv[1])
    sbom = json.loads(path.read_text())
    parts = [part for part in sbom["components"] if not part.get("licenses")]
    unknown = sorted({part["name"] for part in parts} - LICENCES.keys())
    if unknown:
        sys.exit(f"look up the licence of {', '.join(unknown)}, and add it to {__file__}")
    for part in parts:
        part["licenses"] = [{"license": {"id": LICENCES[part["name"]]}}]
    path.write_text(json.dumps(sbom, indent=2) + "\n")


if __name__ == "__main__":
    main()
