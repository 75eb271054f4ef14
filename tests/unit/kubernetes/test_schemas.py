"""Every manifest is what the API server would take, by the schemas of Kubernetes and the operators.

Strict: a field that a schema does not name is refused. The schemas of custom resources are in
``schemas/``, whose README says what they were made from.
"""

import json
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.unit.kubernetes.manifests import OVERLAYS, named, of_kind, overlay, pods

KUBERNETES = "1.32"
"""The oldest version that docs/deploy.md promises."""

SCHEMAS = Path(__file__).parent / "schemas"
KINDS = {path.stem for path in SCHEMAS.glob("*.json")}
ANYTHING = Registry().with_resource("pod-template", DRAFT202012.create_resource({}))


@cache
def validator(kind):
    schema = json.loads((SCHEMAS / f"{kind.lower()}.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, registry=ANYTHING)


def validate(manifest):
    """Raise `ValidationError` if the API server would refuse a manifest."""
    if manifest["kind"].lower() in KINDS:
        validator(manifest["kind"]).validate(manifest)
    else:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    for pod in pods([manifest]):
        template = {"apiVersion": "v1", "kind": "PodTemplate", "template": pod.template}
        kubernetes_validate.validate(template, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_is_valid(name):
    """Somebody would find out when they apply it, after half of it was applied."""
    for manifest in overlay(name):
        validate(manifest)


def test_an_overlay_with_an_existing_kafka_is_valid(existing_kafka):
    """As above; it has no Kafka of its own, and a job that makes the topics."""
    for manifest in existing_kafka:
        validate(manifest)
    assert not list(of_kind(existing_kafka, "Kafka", "KafkaNodePool", "KafkaTopic"))
    assert named(existing_kafka, "Job", "topics")


def test_an_overlay_with_certificates_is_valid(secured_ports):
    """As above."""
    for manifest in secured_ports:
        validate(manifest)


def change(path, value):
    def changed(manifest):
        *parents, last = path
        for parent in parents:
            manifest = manifest[parent]
        manifest[last] = value

    return changed


@pytest.mark.parametrize(
    ("kind", "name", "changed"),
    [
        ("StatefulSet", "server", change(["spec", "replicaz"], 3)),
        ("StatefulSet", "server", change(["spec", "template", "spec", "volumes", 0, "path"], "/")),
        ("HorizontalPodAutoscaler", "server", change(["spec", "minReplicas"], "three")),
        ("NetworkPolicy", "server", change(["spec", "policyTypes"], "Ingress")),
        ("FlinkDeployment", "sessions", change(["spec", "flinkVersion"], "v2.3")),
        ("FlinkDeployment", "sessions", change(["spec", "job", "upgradeMode"], "savepoints")),
        ("FlinkDeployment", "sessions", change(["spec", "taskManager", "slots"], 1)),
        ("FlinkDeployment", "sessions", change(["spec", "flinkConfiguration", "a"], 1)),
        ("FlinkDeployment", "sessions", change(["spec", "podTemplate", "spec", "volume"], [])),
        ("Kafka", "nextclick", change(["spec", "kafka", "listeners", 0, "tsl"], False)),
        ("Kafka", "nextclick", change(["spec", "kafka", "listeners", 0, "type"], "inside")),
        ("KafkaNodePool", "brokers", change(["spec", "roles"], ["brokers"])),
        ("KafkaTopic", "events", change(["spec", "partitions"], 0)),
        ("KafkaTopic", "events", change(["spec", "replication"], 3)),
        ("KafkaUser", "kafka-jobs", change(["spec", "authorization", "acls", 0, "allow"], "*")),
        ("KafkaUser", "kafka-jobs", change(["spec", "authentication", "type"], "scram")),
        ("PodMonitor", "flink", change(["spec", "podMetricsEndpoints", 0, "prot"], "http")),
        ("PrometheusRule", "nextclick", change(["spec", "group"], [])),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_api_server_refuses_is_refused_here(kind, name, changed):
    """The schemas would let everything pass."""
    manifest = named(overlay("production"), kind, name)
    validate(manifest)
    changed(manifest)
    with pytest.raises((ValidationError, kubernetes_validate.ValidationError)):
        validate(manifest)


def test_every_custom_kind_has_a_schema():
    """A kind without one would be looked for among those of Kubernetes."""
    used = {m["kind"] for m in overlay("production") if ".k8s.io" not in m["apiVersion"]}
    core = {"v1", "apps/v1", "policy/v1", "autoscaling/v2", "batch/v1"}
    custom = {
        m["kind"].lower()
        for m in overlay("production")
        if m["kind"] in used and m["apiVersion"] not in core
    }
    assert custom == KINDS
