"""Kustomizations that the tests make."""

import os

import pytest
import yaml

from tests.unit.kubernetes.manifests import FOLDER, of_folder

EXISTING_KAFKA = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: nextclick
resources: [{base}]
components: [{flink}, {existing}]
configMapGenerator:
  - name: settings
    behavior: merge
    literals: ["NEXTCLICK_KAFKA=broker.example.com:9092"]
secretGenerator:
  - name: nextclick
    literals: [redis-password=secret]
"""


@pytest.fixture(scope="session")
def existing_kafka(tmp_path_factory):
    """The manifests of an overlay for a Kafka that is there already."""
    folder = tmp_path_factory.mktemp("overlay")
    places = {
        name: os.path.relpath(FOLDER / part, folder)
        for name, part in (("base", "base"), ("flink", "flink"), ("existing", "existing-kafka"))
    }
    (folder / "kustomization.yaml").write_text(EXISTING_KAFKA.format(**places))
    return of_folder(folder)


@pytest.fixture(scope="session")
def secured_ports(tmp_path_factory):
    """The manifests of production with certificates on all ports."""
    folder = tmp_path_factory.mktemp("secured-ports")
    kustomization = {
        "resources": [os.path.relpath(FOLDER / "overlays" / "production", folder)],
        "components": [os.path.relpath(FOLDER / "secured-ports", folder)],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return of_folder(folder)
