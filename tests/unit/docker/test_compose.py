"""The compose file, against the code and the images that it runs."""

from __future__ import annotations

import json
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator, ValidationError

from cli.stack import kafka, redis
from cli.stack.layout import PROJECT, Child, Home, Ports
from cli.stack.parts import TASKMANAGERS
from cli.stack.stack import STARTED_JOBS
from settings.base import Settings
from settings.gateway import GatewaySettings
from settings.jobs import JobSettings
from settings.kafka_rights import ROLES
from settings.load import NAMES, load
from settings.server import ServerSettings
from settings.store import StoreSettings
from tests.help_examples import COMMANDS
from tests.unit.docker.dockerfile import DOCKER, compose, dotenv, exposed, folders, last_stage

SERVICES = compose()["services"]
OURS = {
    name: re.search(r"nextclick-(\w+):", service["image"])[1]
    for name, service in SERVICES.items()
    if "nextclick-" in service["image"]
}
"""The services that run an image of ours, and which."""

PROCESSES = {
    "server-1": ServerSettings, "server-2": ServerSettings, "emitter": ServerSettings,
    "store": StoreSettings, "jobs": JobSettings,
}  # fmt: skip

HEALTHY = "service_healthy"

KUBERNETES = PROJECT / "kubernetes"

PROFILES = "COMPOSE_PROFILES"
"""The variable that Docker itself reads: which of the optional services there are."""


def environment(name):
    return {k: str(v) for k, v in SERVICES[name].get("environment", {}).items()}


def mounts(name):
    """Folder in the container of each named volume or folder of a service."""
    pairs = (text.split(":")[:2] for text in SERVICES[name].get("volumes", ()) if ":" in text)
    return {target: source for source, target in pairs}


def test_docker_takes_the_file():
    """It refuses a word that it does not know. The schema is that of compose-spec (Apache 2.0)."""
    schema = json.loads(Path(__file__).with_name("compose-spec.json").read_text())
    validator = Draft7Validator(schema)
    validator.validate(compose())
    wrong = compose()
    wrong["services"]["store"]["retsart"] = "always"
    with pytest.raises(ValidationError, match="retsart"):
        validator.validate(wrong)


def test_every_variable_is_in_the_env_file_and_used():
    """One that is missing would be empty; one that nobody uses would mislead."""
    text = (DOCKER / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+)\}", text)) == set(dotenv()) - {PROFILES}


def test_a_kafka_or_redis_of_ones_own_takes_the_place_of_that_in_a_container():
    """Docker refuses a service that needs one which is left out."""
    profiles = {name: s["profiles"] for name, s in SERVICES.items() if "profiles" in s}
    assert profiles == {name: [name] for name in dotenv()[PROFILES].split(",")}
    assert set(profiles) == {"kafka", "redis"}
    for service in SERVICES.values():
        for name, how in service.get("depends_on", {}).items():
            assert how.get("required", True) is (name not in profiles)


def test_flink_is_open_to_the_operators_alone():
    """Whoever reaches its REST API runs what he likes, with the rights of the jobs."""
    text = (DOCKER / "compose.yaml").read_text()
    bound = yaml.safe_load(text)["services"]
    for name in ("jobmanager", "prometheus", "grafana"):
        [port] = bound[name]["ports"]
        assert port.startswith("${OPERATORS_BIND}:")
    for name in ("server-1", "server-2"):
        assert all(port.startswith("${BIND}:") for port in bound[name]["ports"])


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_takes_its_settings(name, monkeypatch):
    """Each refuses to start with a setting that does not exist, or a value that it cannot use."""
    given = environment(name)
    assert {key.removeprefix("NEXTCLICK_").lower() for key in given} <= set(NAMES)
    for key, value in given.items():
        monkeypatch.setenv(key, value)
    settings = load(PROCESSES[name])
    assert settings.kafka == "kafka:9092"
    assert settings.redis == "redis://redis:6379/0" or name == "jobs"


def test_the_gateway_reaches_both_servers(monkeypatch):
    """It would answer nothing, or leave one of them idle."""
    for key, value in environment("gateway").items():
        monkeypatch.setenv(key, value)
    settings = load(GatewaySettings)
    host, port = re.fullmatch(r"dns:///(\w+):(\d+)", settings.gateway_target).groups()
    called = {name for name in SERVICES if host in aliases(name)}
    assert called == {"server-1", "server-2"}
    assert port == str(ServerSettings().grpc_port)
    [published] = SERVICES["gateway"]["ports"]
    assert published.endswith(f":{settings.gateway_port}")


def aliases(name):
    return SERVICES[name].get("networks", {}).get("default", {}).get("aliases", ())


def test_jobs_and_servers_judge_times_alike():
    """A server would acknowledge events that the jobs refuse."""
    lives = {environment(name)["NEXTCLICK_STATE_TTL_S"] for name in PROCESSES if name != "store"}
    assert len(lives) == 1


def test_jobs_and_store_keep_profiles_as_long():
    """Redis would tell of what the jobs have forgotten, or forget what they tell."""
    lives = {environment(name)["NEXTCLICK_PROFILE_TTL_S"] for name in ("jobs", "store")}
    assert len(lives) == 1


def test_servers_and_emitter_recommend_alike():
    """The ranker would learn from candidates that no server has."""
    replicas = ("server-1", "server-2", "emitter")
    presets = {environment(name)["NEXTCLICK_PRESET"] for name in replicas}
    assert len(presets) == 1


def test_jobs_and_servers_hold_as_many_items():
    """Items beyond those that the learners have would be ranked without a vector."""
    most = {environment(name)["NEXTCLICK_MAX_ITEMS"] for name in PROCESSES if name != "store"}
    assert len(most) == 1


def test_the_replicas_have_a_volume_each():
    """Two processes in one folder refuse to start; without a volume, a restart reads the log."""
    held = []
    for name in ("server-1", "server-2", "emitter"):
        default = dict(
            pair.split("=", 1) for words in last_stage("server", "ENV") for pair in words.split()
        )["NEXTCLICK_DATA_DIR"]
        folder = environment(name).get("NEXTCLICK_DATA_DIR", default)
        assert folder in folders("server")
        held.append(mounts(name)[folder])
    assert len(set(held)) == len(held)


def test_a_replica_has_the_time_to_end_that_it_has_in_kubernetes():
    """It would be killed before its snapshot is written."""
    [pod] = [
        manifest["spec"]["template"]["spec"]
        for manifest in yaml.safe_load_all((KUBERNETES / "base" / "server.yaml").read_text())
        if manifest["kind"] == "StatefulSet"
    ]
    for name in ("server-1", "server-2", "emitter"):
        assert SERVICES[name]["stop_grace_period"] == f"{pod['terminationGracePeriodSeconds']}s"


def test_each_volume_is_declared_and_mounted():
    """Docker would refuse the one, and never use the other."""
    used = {
        source
        for name in SERVICES
        for source in mounts(name).values()
        if not source.startswith((".", "/"))
    }
    assert used == set(compose()["volumes"])


def test_the_states_of_the_jobs_are_at_one_place_for_all_of_flink():
    """A TaskManager restores what another one has written."""
    for name in ("jobmanager", "taskmanager", "jobs"):
        [(folder, volume)] = mounts(name).items()
        assert (folder in folders("jobs"), volume) == (True, "job-states")
    assert "/var/lib/nextclick/scratch" in SERVICES["taskmanager"]["volumes"]


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_no_rights_and_change_nothing(name):
    """But for their volumes and /tmp."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert (service["tmpfs"], service["cap_drop"]) == (["/tmp"], ["ALL"])
    assert service["build"]["dockerfile"] == f"docker/{OURS[name]}/Dockerfile"


def test_no_log_fills_the_disk():
    """Docker keeps all that a container ever said; Kafka and the snapshots are on the same disk."""
    for service in SERVICES.values():
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}


def test_the_commands_exist():
    """A container whose command does not exist starts again for ever."""
    assert tuple(SERVICES["topics"]["command"][1:]) in COMMANDS
    for name in ("store", "gateway"):
        python, m, module = SERVICES[name]["command"]
        assert (python, m) == ("python", "-m")
        assert find_spec(module) is not None
    for words in (SERVICES["jobs"]["command"], SERVICES["jobs"]["healthcheck"]["test"][1:]):
        python, script, *names = words
        assert (PROJECT / Path(script).relative_to("/opt/nextclick")).is_file()
        assert tuple(name for name in names if name != "--check") == STARTED_JOBS
    assert SERVICES["taskmanager"]["deploy"]["replicas"] == len(TASKMANAGERS)
    for name in ("jobmanager", "taskmanager"):
        sh, c, words = SERVICES[name]["command"]
        assert (sh, c) == ("sh", "-c")
        removed, started = re.fullmatch(r"rm -rf (\S+)/\* && exec (.+)", words).groups()
        assert removed in SERVICES[name]["volumes"], "others have it, too"
        assert started == f"/docker-entrypoint.sh {name}"


def test_ports_are_those_of_the_images():
    """A port that nobody listens on."""
    for name, image in OURS.items():
        for text in SERVICES[name].get("ports", ()):
            assert text.rsplit(":", 1)[1] in exposed(image)
            assert text.startswith("127.0.0.1:"), "open to others before a token is set"


def test_whoever_is_waited_for_says_when_it_is_ready():
    """Docker refuses to wait for the health of a container without a check."""
    for service in SERVICES.values():
        for name, how in service.get("depends_on", {}).items():
            check = SERVICES[name].get("healthcheck", {})
            of_image = name in OURS and last_stage(OURS[name], "HEALTHCHECK")
            if how["condition"] == HEALTHY:
                assert "test" in check or of_image
                assert not check.get("disable")
            else:
                assert SERVICES[name]["restart"] == "on-failure"


def test_kafka_has_the_settings_of_the_local_stack():
    """Topics of one broker, and none that a misspelt name would create."""
    there = environment("kafka")
    addresses = ("listeners", "voters", "bootstrap.servers", "dirs")
    lines = kafka.properties("/data", Ports()).splitlines()
    tried = dict(line.split("=", 1) for line in lines)
    for key, value in tried.items():
        if not key.endswith(addresses):
            assert there["KAFKA_" + key.upper().replace(".", "_")] == value
    assert there["KAFKA_LOG_DIRS"] in mounts("kafka")
    assert "-Xmx512m" in there["KAFKA_HEAP_OPTS"]


def test_redis_has_the_settings_of_the_local_stack(monkeypatch, tmp_path):
    """Another policy would evict the store's positions, or refuse its writes."""
    started = []

    def spawn(name, argv, *_args, **_more):
        started.extend(argv)
        return Child(name, 1, 0.0)

    monkeypatch.setattr(redis, "spawn", spawn)
    redis.start(Home(tmp_path), Ports(), bound=False)
    words = shlex.split(SERVICES["redis"]["command"])
    there = dict(zip(words[1::2], words[2::2], strict=True))
    tried = dict(zip(started[1::2], started[2::2], strict=True))
    assert there.pop("--maxmemory") == f"{int(tried['--maxmemory']) >> 20}mb"
    assert there.items() <= tried.items()


def secured(name):
    """What `docker/secured-kafka.yaml` adds to a service."""
    return yaml.safe_load((DOCKER / "secured-kafka.yaml").read_text())["services"][name]


ROLE_OF = {"server-1": "server", "server-2": "server", "topics": "operator"}
"""The role of `settings.kafka_rights` that a service has, where it has another name."""


@pytest.mark.parametrize("name", [*PROCESSES, "topics"])
def test_a_secured_kafka_is_reached_by_the_user_of_each_role(name, monkeypatch):
    """Each process stops at a variable that is no setting, and at a file that is not there."""
    for key, value in (environment(name) | secured(name)["environment"]).items():
        monkeypatch.setenv(key, str(value))
    settings = load(PROCESSES.get(name, Settings))
    role = ROLE_OF.get(name, name)
    assert role in ROLES
    assert (settings.kafka_security_protocol, settings.kafka_username) == ("SASL_SSL", role)
    volumes = (secured("jobmanager") if name == "jobs" else secured(name))["volumes"]
    mounted = dict(volume.removesuffix(":ro").split(":")[::-1] for volume in volumes)
    files = settings.kafka_ca_file, settings.kafka_password_file
    assert set(mounted) == set(files), "nobody has the password of another"
    assert [Path(mounted[file]).name for file in files] == ["ca.pem", role]
    assert secured("taskmanager") == secured("jobmanager")
    assert {Path(source).parent.name for source in mounted.values()} == {"kafka-secrets"}


@pytest.mark.parametrize("file", [".gitignore", ".dockerignore"])
def test_the_folders_of_secrets_are_in_no_image_and_no_commit(file):
    """Images have all of this folder; whoever may pull one would have the server's key."""
    ignored = (PROJECT / file).read_text().splitlines()
    for folder in ("kafka-secrets", Path(dotenv()["SECRETS"]).name):
        assert f"docker/{folder}" in ignored


def test_prometheus_scrapes_each_of_our_processes():
    """One that is missing is never missed; one that does not exist is always down."""
    config = yaml.safe_load((PROJECT / "observability" / "prometheus.yaml").read_text())
    scraped = set()
    for job in config["scrape_configs"]:
        for static in job.get("static_configs", ()):
            scraped |= {tuple(target.split(":")) for target in static["targets"]}
        for found in job.get("dns_sd_configs", ()):
            scraped |= {(name, str(found["port"])) for name in found["names"]}
    assert {name for name, _ in scraped} == set(OURS) - {"topics", "jobs"}
    flink = yaml.safe_load((DOCKER / "jobs" / "config.yaml").read_text())
    ports = {
        "server": ServerSettings.model_fields["http_port"].default,
        "jobs": flink["metrics"]["reporter"]["prometheus"]["port"],
    }
    assert all(port == str(ports[OURS[name]]) for name, port in scraped)


def provisioned(file):
    folder = DOCKER / mounts("grafana")["/etc/grafana/provisioning"]
    return yaml.safe_load((folder / file).read_text())


def test_prometheus_and_grafana_read_what_is_in_the_project():
    """A container whose file is not there."""
    folder = mounts("prometheus")["/etc/prometheus"]
    [config] = [c for c in SERVICES["prometheus"]["command"] if c.startswith("--config.file=")]
    assert (folder, Path(config).name) == ("../observability", "prometheus.yaml")
    [source] = provisioned("datasources/prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    [provider] = provisioned("dashboards/nextclick.yaml")["providers"]
    assert mounts("grafana")[provider["options"]["path"]] == "../observability/dashboards"
