"""Reduces custom resource definitions to the JSON schemas beside this file (see README.md).

Usage: python tests/unit/kubernetes/schemas/reduce.py CRD.yaml ...

A schema keeps what a manifest can be wrong in: names of fields, types, enumerations, patterns and
bounds. Fields that it does not name are refused, as the strict schemas of Kubernetes refuse them.
Parts that occur more than once are written once, in ``$defs``.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent

KEPT = (
    "type", "properties", "items", "required", "enum", "pattern", "additionalProperties",
    "minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength", "oneOf", "anyOf", "not",
)  # fmt: skip
WORTH_SHARING = 200
"""Characters of a part that is written once though it occurs more than once."""

FREE = {"type": "object"}
LATER_FLINKS = ["v2_0", "v2_1", "v2_2", "v2_3"]
"""Versions that Flink's operator takes since 1.15, of which no types are published."""

POD_TEMPLATE = {"$ref": "pod-template"}
"""Pod templates are those of Kubernetes: the tests validate them with its own schema."""


def main(files: list[str]) -> None:
    """Write a schema for each definition, of its newest version that is served."""
    for file in files:
        crd = yaml.safe_load(Path(file).read_text())
        spec = crd["spec"]
        version = next(v for v in spec["versions"] if v["storage"])
        kind = spec["names"]["kind"]
        schema = reduced(version["schema"]["openAPIV3Schema"])
        schema["properties"].pop("status", None)
        schema["properties"] |= {"metadata": FREE}
        schema["properties"]["apiVersion"] = {"enum": [f"{spec['group']}/{version['name']}"]}
        schema["properties"]["kind"] = {"enum": [kind]}
        if kind == "FlinkDeployment":
            schema["properties"]["spec"]["properties"]["flinkVersion"]["enum"] += LATER_FLINKS
        out = FOLDER / f"{kind.lower()}.json"
        out.write_text(json.dumps(shared(schema), separators=(",", ":")) + "\n")
        sys.stdout.write(f"{out.name}: {out.stat().st_size} bytes\n")


def reduced(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without what no manifest can be wrong in."""
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    kept = mapped({name: schema[name] for name in KEPT if name in schema}, reduced)
    if "pattern" in kept:
        kept["pattern"] = re.sub(r"^\^\(\?i\)", "(?i)^", kept["pattern"])  # Go's, for Python
    if "properties" in kept:
        if "podTemplate" in kept["properties"]:
            kept["properties"]["podTemplate"] = POD_TEMPLATE
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            kept.setdefault("additionalProperties", False)
    return kept


def mapped(schema: dict[str, Any], function: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Return a schema whose parts, which are schemas, are what a function makes of them."""
    new = dict(schema)
    if "properties" in schema:
        new["properties"] = {name: function(of) for name, of in schema["properties"].items()}
    for name in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(name), dict):
            new[name] = function(schema[name])
    for name in ("oneOf", "anyOf"):
        if name in schema:
            new[name] = [mapped(of, function) for of in schema[name]]
    return new


def shared(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema whose repeated parts are references."""
    times: Counter[str] = Counter()

    def count(part: dict[str, Any]) -> dict[str, Any]:
        times[json.dumps(part, sort_keys=True)] += 1
        return mapped(part, count)

    def refer(part: dict[str, Any]) -> dict[str, Any]:
        name = names.get(json.dumps(part, sort_keys=True))
        return {"$ref": f"#/$defs/{name}"} if name else mapped(part, refer)

    mapped(schema, count)
    repeated = [text for text, n in times.items() if n > 1 and len(text) > WORTH_SHARING]
    names = {text: f"part-{number}" for number, text in enumerate(repeated)}
    defs = {name: mapped(json.loads(text), refer) for text, name in names.items()}
    whole = mapped(schema, refer)
    used = json.dumps([whole, *defs.values()])
    kept = {name: of for name, of in defs.items() if f'"#/$defs/{name}"' in used}
    return whole | ({"$defs": kept} if kept else {})


if __name__ == "__main__":
    main(sys.argv[1:])
