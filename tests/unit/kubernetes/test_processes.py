"""What the manifests give our processes, compared with what these take: variables, ports, paths."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from cli.stack.layout import PROJECT
from gateway.__main__ import serve_metrics as serve_gateway_metrics
from server.transport.http import serve_http
from settings.base import PREFIX, Settings
from settings.gateway import GatewaySettings
from settings.jobs import JobSettings
from settings.load import load
from settings.server import ServerSettings
from settings.store import StoreSettings
from streaming.store import serve_metrics
from tests.unit.kubernetes.manifests import (
    OURS,
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

SETTINGS = {
    "server": ServerSettings,
    "emitter": ServerSettings,
    "store": StoreSettings,
    "gateway": GatewaySettings,
    "topics": Settings,
    "flink": JobSettings,
}
"""The settings of the process in a pod, by its component."""

NOT_OURS = {"REDIS_PASSWORD", "REDISCLI_AUTH"}
"""Variables that are of others, or only used in others."""

OUTSIDE = {("Secret", "nextclick"), ("StorageClass", "shared-files")}
"""What docs/deploy.md says that has to be there before the production overlay."""


def settings_of(manifests, of):
    """Return the settings that a pod's process loads, which refuses unknown names."""
    given = environment(manifests, of)
    ours = {name: value for name, value in given.items() if name not in NOT_OURS}
    assert all(name.startswith(PREFIX) for name in ours), ours
    with mock.patch.dict(os.environ, ours, clear=True):
        return load(SETTINGS[of.component])


def ours(manifests):
    return [entry for entry in pods(manifests) if entry.component in SETTINGS]


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_variable_is_a_setting_of_its_process(name):
    """A process would not start, or would go on with a default that nobody wanted."""
    manifests = overlay(name)
    for entry in ours(manifests):
        settings_of(manifests, entry)
        for variable in entry.container.get("env", ()):
            if variable["name"] not in NOT_OURS:
                field = variable["name"].removeprefix(PREFIX).lower()
                assert field in SETTINGS[entry.component].model_fields, (entry.name, field)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NEXTCLICK_DATADIR", "/var/lib/nextclick/server"),
        ("NEXTCLICK_DRAIN_S", "ten"),
        ("NEXT_CLICK_HOST", "0.0.0.0"),
    ],
)
def test_a_misspelt_variable_is_found(variable, value):
    """The test above would find nothing."""
    manifests = overlay("production")
    server = pod(manifests, "server")
    server.container["env"].append({"name": variable, "value": value})
    with pytest.raises((SystemExit, AssertionError)):
        settings_of(manifests, server)


@pytest.mark.parametrize("name", OVERLAYS)
def test_processes_listen_where_the_manifests_say(name):
    """Calls, probes and metrics would reach nobody."""
    manifests = overlay(name)
    for component in ("server", "emitter"):
        entry = pod(manifests, component)
        settings = settings_of(manifests, entry)
        assert settings.host == "0.0.0.0"
        assert settings.emit_examples is (component == "emitter")
        grpc = {"grpc": settings.grpc_port} if component == "server" else {}
        assert ports(entry) == grpc | {"http": settings.http_port}
    settings = settings_of(manifests, pod(manifests, "store"))
    assert settings.store_host == "0.0.0.0"
    assert ports(pod(manifests, "store")) == {"http": settings.store_http_port}
    settings = settings_of(manifests, pod(manifests, "gateway"))
    assert settings.gateway_host == "0.0.0.0"
    expected = {"rest": settings.gateway_port, "http": settings.gateway_http_port}
    assert ports(pod(manifests, "gateway")) == expected


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_gateway_asks_for_all_servers(name):
    """By the headless service, which has an address for each; by the other one it would see one."""
    manifests = overlay(name)
    target = settings_of(manifests, pod(manifests, "gateway")).gateway_target
    host, _, port = target.removeprefix("dns:///").partition(":")
    service = named(manifests, "Service", host)["spec"]
    assert service["clusterIP"] == "None"
    assert selects({"matchLabels": service["selector"]}, pod(manifests, "server").labels)
    assert int(port) == service["ports"][0]["port"]


def faults_of_probes(entry, served):
    """Return what is wrong with a pod's probes, given the paths that its process serves."""
    faults = []
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = entry.container.get(kind, {})
        if "httpGet" in probe:
            get = probe["httpGet"]
            if get["port"] != "http" or "http" not in ports(entry):
                faults.append(f"{kind}: port {get['port']}")
            if get["path"] not in served:
                faults.append(f"{kind}: path {get['path']}")
        if "grpc" in probe and probe["grpc"]["port"] != ports(entry).get("grpc"):
            faults.append(f"{kind}: port {probe['grpc']['port']}")
    return faults


def paths_that_answer(server, paths):
    port = server.server_address[1]
    try:
        return {path for path in paths if answers(f"http://127.0.0.1:{port}{path}")}
    finally:
        server.shutdown()
        server.server_close()


def answers(url):
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status == 200
    except OSError:
        return False


ASKED = {"/healthz", "/livez", "/status", "/metrics"}


@pytest.fixture(scope="module")
def served():
    """The paths that processes serve, of those that probes ask for, by component."""
    replica = serve_http("127.0.0.1", 0, lambda: {"state": "SERVING"})
    paths = paths_that_answer(replica, ASKED)
    store = paths_that_answer(serve_metrics("127.0.0.1", 0), ASKED)
    upstream = mock.Mock(ready=lambda: True)
    gateway = paths_that_answer(serve_gateway_metrics("127.0.0.1", 0, upstream), ASKED)
    return {"server": paths, "emitter": paths, "store": store, "gateway": gateway}


@pytest.mark.parametrize("name", OVERLAYS)
def test_probes_ask_for_what_is_served(name, served):
    """A pod would be killed again and again, or never get a call."""
    for component, paths in served.items():
        assert not faults_of_probes(pod(overlay(name), component), paths)


def test_a_wrong_port_or_path_of_a_probe_is_found(served):
    """The test above would find nothing."""
    for probe, kind, key, value in (
        ("readinessProbe", "grpc", "port", 50052),
        ("startupProbe", "httpGet", "path", "/health"),
        ("livenessProbe", "httpGet", "port", 8081),
    ):
        server = pod(overlay("production"), "server")
        server.container[probe][kind][key] = value
        assert faults_of_probes(server, served["server"])


@pytest.mark.parametrize("name", OVERLAYS)
def test_who_waits_for_the_log_is_not_killed(name):
    """A long log, Kafka that is away, or slow learners would have it start again for ever."""
    replica = serve_http("127.0.0.1", 0, lambda: {"state": "NOT_SERVING"})
    while_waiting = paths_that_answer(replica, ASKED)
    for component in ("server", "emitter"):
        entry = pod(overlay(name), component)
        assert "readinessProbe" in entry.container
        del entry.container["readinessProbe"]
        assert not faults_of_probes(entry, while_waiting)


@pytest.mark.parametrize("name", OVERLAYS)
def test_services_lead_to_ports_of_their_pods(name):
    """A service would have no endpoints."""
    manifests = overlay(name)
    for service in of_kind(manifests, "Service"):
        selector = {"matchLabels": service["spec"]["selector"]}
        (behind,) = (entry for entry in pods(manifests) if selects(selector, entry.labels))
        for port in service["spec"]["ports"]:
            assert ports(behind)[port["targetPort"]] == port["port"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_kafka_and_redis_are_where_the_settings_say(name):
    """Every process would wait for them for ever."""
    manifests = overlay(name)
    kafka = named(manifests, "Kafka", "nextclick")
    (listener,) = kafka["spec"]["kafka"]["listeners"]
    bootstrap = f"{kafka['metadata']['name']}-kafka-bootstrap:{listener['port']}"
    redis = named(manifests, "Service", "redis")
    for entry in ours(manifests):
        if entry.component in {"flink", "gateway"}:
            continue  # the one has its brokers as arguments, the other none
        settings = settings_of(manifests, entry)
        assert settings.kafka == bootstrap
        if entry.component in {"server", "store"}:
            url = urlsplit(settings.redis)
            assert url.hostname == redis["metadata"]["name"]
            assert url.port == redis["spec"]["ports"][0]["port"]
            assert url.password


ROLES_OF = {"server": "server", "emitter": "emitter", "store": "store", "flink": "jobs"}
"""The role of `settings.kafka_rights` that a pod has, by its component."""


def test_each_process_has_the_user_of_its_role_and_finds_its_password():
    """Another one's rights would be too few or too many; a file elsewhere stops the process."""
    manifests = overlay("production")
    (listener,) = named(manifests, "Kafka", "nextclick")["spec"]["kafka"]["listeners"]
    users = {user["metadata"]["name"]: user["spec"] for user in of_kind(manifests, "KafkaUser")}
    for entry in ours(manifests):
        settings = settings_of(manifests, entry)
        if entry.component == "gateway":
            continue  # it knows no Kafka
        user = f"kafka-{ROLES_OF[entry.component]}"
        assert settings.kafka_username == user
        mechanism = settings.kafka_sasl_mechanism.lower()
        assert mechanism == listener["authentication"]["type"]
        assert mechanism == users[user]["authentication"]["type"]
        assert (settings.kafka_security_protocol, listener["tls"]) == ("SASL_SSL", True)
        (folder,) = (m for m in entry.container["volumeMounts"] if m["name"] == "kafka")
        (volume,) = (v for v in entry.spec["volumes"] if v["name"] == "kafka")
        secrets = [source["secret"] for source in volume["projected"]["sources"]]
        assert [secret["name"] for secret in secrets] == [user, "nextclick-cluster-ca-cert"]
        files = {f"{folder['mountPath']}/{i['path']}" for s in secrets for i in s["items"]}
        assert files == {settings.kafka_password_file, settings.kafka_ca_file}


@pytest.mark.parametrize("component", ["server", "emitter", "store", "gateway"])
def test_who_listens_finds_its_certificate_and_is_asked_over_tls(secured_ports, component):
    """It would not start, or be killed since it answers no plain probe."""
    entry = pod(secured_ports, component)
    settings = settings_of(secured_ports, entry)
    mounts = {mount["name"]: mount["mountPath"] for mount in entry.container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in entry.spec["volumes"]}
    assert volumes["tls"]["secret"]["secretName"] == "nextclick-tls"
    assert settings.tls_certificate_file == f"{mounts['tls']}/tls.crt"
    assert settings.tls_key_file == f"{mounts['tls']}/tls.key"
    kinds = [kind for kind in entry.container if kind.endswith("Probe")]
    assert kinds
    assert {entry.container[kind]["httpGet"]["scheme"] for kind in kinds} == {"HTTPS"}
    if component == "gateway":
        assert settings.server_ca_file == f"{mounts['tls']}/ca.crt"


def test_prometheus_asks_over_tls(secured_ports):
    """Every process would seem to be down."""
    endpoint = named(secured_ports, "PodMonitor", "nextclick")["spec"]["podMetricsEndpoints"][0]
    assert endpoint["scheme"] == "https"
    assert endpoint["tlsConfig"]["ca"]["secret"] == {"name": "nextclick-tls", "key": "ca.crt"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_commands_exist(name, existing_kafka):
    """A container would end at once."""
    for manifests in (overlay(name), existing_kafka):
        for entry in ours(manifests):
            if entry.component == "flink":
                continue
            program, *words = entry.container["command"]
            if program == "python":
                assert words[0] == "-m"
                assert find_spec(words[1])
            else:
                assert program == "nextclick"
                argv = [sys.executable, "-m", "cli", *words, "--help"]
                done = subprocess.run(argv, capture_output=True, cwd=PROJECT, check=False)
                assert not done.returncode, done.stderr


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_is_written_is_on_a_volume(name):
    """The root file system is read-only: the process would fail at its first snapshot."""
    manifests = overlay(name)
    for component in ("server", "emitter"):
        entry = pod(manifests, component)
        mounts = {mount["mountPath"]: mount["name"] for mount in entry.container["volumeMounts"]}
        assert mounts[str(settings_of(manifests, entry).data_dir)] == "data"
    for entry in pods(manifests):
        mounts = {mount["mountPath"] for mount in entry.container["volumeMounts"]}
        assert "/tmp" in mounts


@pytest.mark.parametrize("name", OVERLAYS)
def test_images_are_of_this_version(name):
    """Manifests of one version would run another one."""
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    manifests = overlay(name)
    images = [container["image"] for entry in pods(manifests) for container in _images(entry)]
    images += [job["spec"]["image"] for job in of_kind(manifests, "FlinkDeployment")]
    found = {Path(image).name for image in images if "nextclick" in image}
    assert found == {f"{image}:{version}" for image in OURS}


def _images(entry):
    return [container for container in entry.spec["containers"] if "image" in container]


@pytest.mark.parametrize("name", OVERLAYS)
def test_pods_keep_to_the_restricted_standard(name):
    """A cluster that enforces it would refuse them; a broken process could do more harm."""
    for entry in pods(overlay(name)):
        of_pod, of_container = entry.spec["securityContext"], entry.container["securityContext"]
        assert of_pod["runAsNonRoot"] is True
        assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert of_container["allowPrivilegeEscalation"] is False
        assert of_container["readOnlyRootFilesystem"] is True
        assert of_container["capabilities"] == {"drop": ["ALL"]}
        assert entry.spec["enableServiceLinks"] is False
        if entry.component in SETTINGS:
            assert of_pod["runAsUser"] == of_pod["runAsGroup"] == 10001


@pytest.mark.parametrize("image", ["server", "jobs"])
def test_the_images_are_made_for_it(image):
    """Files would belong to another user, or lie elsewhere."""
    lines = (PROJECT / "docker" / image / "Dockerfile").read_text().splitlines()
    assert "USER 10001:10001" in lines
    assert "WORKDIR /opt/nextclick" in lines


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_is_referred_to_exists(name):
    """A pod would wait for it for ever."""
    manifests = overlay(name)
    there = {(m["kind"], m["metadata"]["name"]) for m in manifests} | OUTSIDE
    for entry in pods(manifests):
        for source in entry.container.get("envFrom", ()):
            assert ("ConfigMap", source["configMapRef"]["name"]) in there
        for variable in entry.container.get("env", ()):
            if "valueFrom" in variable:
                assert ("Secret", variable["valueFrom"]["secretKeyRef"]["name"]) in there
        for volume in entry.spec["volumes"]:
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                assert ("PersistentVolumeClaim", claim) in there
    for job in of_kind(manifests, "FlinkDeployment"):
        assert ("ServiceAccount", job["spec"]["serviceAccount"]) in there
    for manifest in manifests:
        if manifest["kind"] != "Namespace":
            assert manifest["metadata"]["namespace"] == "nextclick", manifest["kind"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_secret_is_on_a_command_line(name, tmp_path):
    """Everybody on the node can read it."""
    manifests = overlay(name)
    for entry in pods(manifests):
        told = [*entry.container.get("command", ()), *entry.container.get("args", ())]
        assert not any("$(" in word for word in told)
    redis = pod(manifests, "redis").container
    program = tmp_path / "redis-server"
    program.write_text('#!/bin/sh\necho "$@"\ncat "$1"\n')
    program.chmod(0o755)
    command = [word.replace("/tmp/", f"{tmp_path}/") for word in redis["command"]]
    given = {"PATH": f"{tmp_path}:/usr/bin:/bin", "REDIS_PASSWORD": "s3cret"}
    done = subprocess.run(
        [*command, *redis["args"]], env=given, capture_output=True, text=True, check=True
    )
    words, *config = done.stdout.splitlines()
    file, *options = words.split()
    assert options == " ".join(redis["args"]).split()
    assert config == ["requirepass s3cret"]
    assert Path(file).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", OVERLAYS)
def test_secrets_have_the_keys_that_are_asked_for(name):
    """A pod would wait for them for ever; the production overlay's is made by hand."""
    manifests = overlay(name)
    asked = {
        variable["valueFrom"]["secretKeyRef"]["key"]
        for entry in pods(manifests)
        for variable in entry.container.get("env", ())
        if "valueFrom" in variable
    }
    assert asked == {"redis-password"}
    if any(settings_of(manifests, entry).tokens_file for entry in guarded(manifests)):
        asked.add("tokens.json")
    for monitor in of_kind(manifests, "PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            if "authorization" in endpoint:
                asked.add(endpoint["authorization"]["credentials"]["key"])
    for secret in of_kind(manifests, "Secret"):
        assert set(secret["data"]) == asked
    told = (PROJECT / "docs" / "deploy.md").read_text()
    assert all(re.search(rf"--from-(literal|file)={key}", told) for key in asked)


def guarded(manifests):
    """The pods whose ports tokens may guard."""
    return [pod(manifests, component) for component in ("server", "emitter", "store")]


@pytest.mark.parametrize("name", OVERLAYS)
def test_tokens_are_where_the_settings_say(name):
    """A server would not start; or take every call, where somebody has made tokens for it."""
    manifests = overlay(name)
    there = {(m["kind"], m["metadata"]["name"]) for m in manifests} | OUTSIDE
    for entry in guarded(manifests):
        file = settings_of(manifests, entry).tokens_file
        assert bool(file) is (name == "production")
        [volume] = [v for v in entry.spec["volumes"] if v["name"] == "tokens"]
        [mount] = [m for m in entry.container["volumeMounts"] if m["name"] == "tokens"]
        [item] = volume["secret"]["items"]
        assert ("Secret", volume["secret"]["secretName"]) in there
        assert file in ("", f"{mount['mountPath']}/{item['path']}")
