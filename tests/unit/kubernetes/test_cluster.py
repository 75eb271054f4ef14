"""Topics, network, monitoring and scaling: what the manifests say to others than our processes."""

import sys
from importlib.util import module_from_spec, spec_from_file_location

import pytest
import yaml

from cli.stack.topics import IN_SYNC, in_sync
from nextclick.topics import TOPICS
from server import metrics
from tests.unit.kubernetes.manifests import (
    FOLDER,
    OVERLAYS,
    environment,
    named,
    of_kind,
    overlay,
    pod,
    pods,
    ports,
    selects,
)

OBSERVABILITY = FOLDER.parent / "observability"


@pytest.fixture(scope="module")
def generate():
    """The script `kubernetes/generate.py`."""
    spec = spec_from_file_location("generate_manifests", FOLDER / "generate.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


FILES = ("kafka/topics.yaml", "secured-kafka/users.yaml", "monitoring/rules.yaml")


@pytest.mark.parametrize("file", FILES)
def test_generated_manifests_are_fresh(generate, file):
    """A topic or an alert that was changed would stay as it was in this cluster."""
    assert set(generate.GENERATED) == set(FILES)
    expected = generate.text(generate.GENERATED[file]())
    assert (FOLDER / file).read_text() == expected, "run python kubernetes/generate.py"


@pytest.mark.parametrize("name", OVERLAYS)
def test_topics_are_those_that_the_code_declares(name):
    """Records would be deleted too early, or two servers would read different partitions."""
    manifests = overlay(name)
    kafka = named(manifests, "Kafka", "nextclick")
    brokers = named(manifests, "KafkaNodePool", "brokers")["spec"]["replicas"]
    found = {topic["spec"]["topicName"]: topic for topic in of_kind(manifests, "KafkaTopic")}
    assert set(found) == set(TOPICS)
    for topic, declared in TOPICS.items():
        spec, labels = found[topic]["spec"], found[topic]["metadata"]["labels"]
        assert labels["strimzi.io/cluster"] == kafka["metadata"]["name"]
        assert spec["partitions"] == declared.partitions
        assert spec["replicas"] == min(3, brokers)
        assert spec["config"] == declared.config | {IN_SYNC: str(in_sync(spec["replicas"]))}
    config = kafka["spec"]["kafka"]["config"]
    assert config["offsets.topic.replication.factor"] == min(3, brokers)


def reaches(manifests, source, target, port):
    """Whether the policies let a pod connect to another one's port."""
    policies = [policy["spec"] for policy in of_kind(manifests, "NetworkPolicy")]
    out = [p for p in policies if "Egress" in p["policyTypes"] and of(p, source)]
    into = [p for p in policies if "Ingress" in p["policyTypes"] and of(p, target)]
    may_leave = not out or any(
        allows(rule, "to", target, port) for p in out for rule in p.get("egress", ())
    )
    may_enter = not into or any(
        allows(rule, "from", source, port) for p in into for rule in p.get("ingress", ())
    )
    return may_leave and may_enter


def of(policy, entry):
    return selects(policy["podSelector"], entry.labels)


def allows(rule, side, other, port):
    peers = rule.get(side)
    if peers is not None and not any(
        "podSelector" in peer and selects(peer["podSelector"], other.labels) for peer in peers
    ):
        return False
    return "ports" not in rule or port in {entry["port"] for entry in rule["ports"]}


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_network_lets_through_what_is_needed_and_nothing_else(name):
    """Servers would answer without Redis; or any pod could read all sessions."""
    manifests = overlay(name)
    entries = {entry.name: entry for entry in pods(manifests)}
    redis = entries["redis"]
    for other, expected in (("server", True), ("store", True), ("emitter", False)):
        assert reaches(manifests, entries[other], redis, ports(redis)["redis"]) is expected
    jobs = [entry for entry in entries.values() if entry.component == "flink"]
    assert reaches(manifests, jobs[0], jobs[1], 6123)
    assert not reaches(manifests, entries["server"], jobs[0], 8081)
    assert not reaches(manifests, jobs[0], redis, 6379)
    gateway, server = entries["gateway"], entries["server"]
    assert reaches(manifests, gateway, server, ports(server)["grpc"])
    assert not reaches(manifests, gateway, redis, 6379)
    assert not reaches(manifests, server, gateway, ports(gateway)["rest"])


@pytest.mark.parametrize("name", OVERLAYS)
def test_everybody_reaches_kafka(name):
    """Nothing would move."""
    manifests = overlay(name)
    (listener,) = named(manifests, "Kafka", "nextclick")["spec"]["kafka"]["listeners"]
    for entry in pods(manifests):
        if entry.component in {"redis", "gateway"}:
            continue
        (peer,) = listener["networkPolicyPeers"]
        assert selects(peer["podSelector"], entry.labels)
        port = int(environment(manifests, pod(manifests, "server"))["NEXTCLICK_KAFKA"][-4:])
        rules = [
            rule
            for policy in of_kind(manifests, "NetworkPolicy")
            if "Egress" in policy["spec"]["policyTypes"] and of(policy["spec"], entry)
            for rule in policy["spec"]["egress"]
            if "to" not in rule and port in {p["port"] for p in rule["ports"]}
        ]
        assert rules, entry.name
    assert listener["port"] == port


def leaves(manifests, entry, port, protocol="TCP"):
    """Whether the policies let a pod connect to a port of anybody."""
    policies = [policy["spec"] for policy in of_kind(manifests, "NetworkPolicy")]
    out = [p for p in policies if "Egress" in p["policyTypes"] and of(p, entry)]
    return not out or any(
        "to" not in rule and (port, protocol) in ends(rule)
        for policy in out
        for rule in policy["egress"]
    )


def ends(rule):
    return {(port["port"], port.get("protocol", "TCP")) for port in rule["ports"]}


@pytest.mark.parametrize("name", OVERLAYS)
def test_names_are_found_and_flink_starts_its_taskmanagers(name, existing_kafka):
    """No name of a service could be told from one that does not exist."""
    for manifests in (overlay(name), existing_kafka):
        for entry in pods(manifests):
            if entry.component == "redis":
                assert not leaves(manifests, entry, 53)
                continue
            assert leaves(manifests, entry, 53)
            assert leaves(manifests, entry, 53, "UDP")
            # The API server, behind its service or as it is.
            of_flink = entry.component == "flink"
            assert [leaves(manifests, entry, port) for port in (443, 6443)] == [of_flink] * 2


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_operator_reaches_flink(name):
    """It would take no savepoint, and call every job lost."""
    manifests = overlay(name)
    spec = named(manifests, "NetworkPolicy", "flink")["spec"]
    (rule,) = (r for r in spec["ingress"] if "namespaceSelector" in r["from"][0])
    told = (FOLDER.parent / "docs" / "deploy.md").read_text()
    (operators,) = rule["from"][0]["namespaceSelector"]["matchLabels"].values()
    assert f"in the namespace `{operators}`" in " ".join(told.split())
    for job in of_kind(manifests, "FlinkDeployment"):
        port = job["spec"]["flinkConfiguration"].get("rest.port", "8081")
        assert [str(allowed["port"]) for allowed in rule["ports"]] == [port]


@pytest.mark.parametrize("name", OVERLAYS)
def test_callers_and_prometheus_get_in(name):
    """Nobody would get an answer, or nobody would notice."""
    manifests = overlay(name)
    entries = list(pods(manifests))
    for policy, components in (
        ("server", {"server": "grpc"}),
        ("gateway", {"gateway": "rest"}),
        (
            "metrics",
            dict.fromkeys(("server", "emitter", "store", "gateway"), "http") | {"flink": "metrics"},
        ),
    ):
        spec = named(manifests, "NetworkPolicy", policy)["spec"]
        (rule,) = spec["ingress"]
        for entry in entries:
            if entry.component in components:
                assert selects(spec["podSelector"], entry.labels)
                port = ports(entry)[components[entry.component]]
                assert port in {allowed["port"] for allowed in rule["ports"]}


def test_prometheus_scrapes_every_process(generate):
    """A process would be down, and no alert would say so."""
    manifests = overlay("production")
    monitors = list(of_kind(manifests, "PodMonitor"))
    jobs = set()
    for entry in pods(manifests):
        if entry.component == "redis":
            continue
        (monitor,) = (m["spec"] for m in monitors if selects(m["spec"]["selector"], entry.labels))
        (endpoint,) = monitor["podMetricsEndpoints"]
        assert endpoint["port"] in ports(entry)
        (label,) = (r for r in endpoint["relabelings"] if r["targetLabel"] == "job")
        assert label["sourceLabels"] == ["__meta_kubernetes_pod_label_app_kubernetes_io_component"]
        jobs.add(label["replacement"].replace("$1", entry.component))
        # Alerts join by it: it must be unique among the pods of all tenants.
        (instance,) = (r for r in endpoint["relabelings"] if r["targetLabel"] == "instance")
        assert instance["sourceLabels"] == [
            "__meta_kubernetes_namespace",
            "__meta_kubernetes_pod_name",
        ]
    config = OBSERVABILITY / "prometheus.yaml"
    if config.exists():
        scraped = yaml.safe_load(config.read_text())["scrape_configs"]
        assert jobs == {job["job_name"] for job in scraped if "nextclick" in job["job_name"]}
    assert all(job.startswith("nextclick-") for job in jobs)
    flink = next(of_kind(manifests, "FlinkDeployment"))["spec"]
    port = int(flink["flinkConfiguration"]["metrics.reporter.prometheus.port"])
    assert {"name": "metrics", "containerPort": port} in flink["podTemplate"]["spec"]["containers"][
        0
    ]["ports"]


def test_servers_are_added_by_metrics_that_exist():
    """The autoscaler would never take a server away, and never say why."""
    manifests = overlay("production")
    scaler = named(manifests, "HorizontalPodAutoscaler", "server")["spec"]
    scaled = named(manifests, scaler["scaleTargetRef"]["kind"], scaler["scaleTargetRef"]["name"])
    assert "replicas" not in scaled["spec"]  # each `apply` would set it back
    (asked,) = (m["pods"]["metric"]["name"] for m in scaler["metrics"] if m["type"] == "Pods")
    values = yaml.safe_load((FOLDER / "overlays/production/prometheus-adapter.yaml").read_text())
    (rule,) = values["rules"]["custom"]
    assert rule["name"]["as"] == asked
    counted = {f"{m.name}_total" for m in metrics.REQUESTS.collect()}
    assert rule["seriesQuery"].partition("{")[0] in counted
    cpu = named(manifests, "StatefulSet", "server")["spec"]["template"]["spec"]["containers"][0]
    assert cpu["resources"]["requests"]["cpu"]  # of which the utilisation is a share
    budget = named(manifests, "PodDisruptionBudget", "server")["spec"]
    assert budget["maxUnavailable"] < scaler["minReplicas"]


def test_gateways_are_added_by_their_processors():
    """They have one core's work each; and one is there while another one is moved."""
    manifests = overlay("production")
    scaler = named(manifests, "HorizontalPodAutoscaler", "gateway")["spec"]
    scaled = named(manifests, scaler["scaleTargetRef"]["kind"], scaler["scaleTargetRef"]["name"])
    assert "replicas" not in scaled["spec"]  # each `apply` would set it back
    (metric,) = scaler["metrics"]
    assert metric["resource"]["name"] == "cpu"
    assert pod(manifests, "gateway").container["resources"]["requests"]["cpu"] == "1"
    budget = named(manifests, "PodDisruptionBudget", "gateway")["spec"]
    assert budget["maxUnavailable"] < scaler["minReplicas"]
