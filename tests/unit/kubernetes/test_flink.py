"""The Flink jobs: their arguments, their settings, and where their states are."""

import sys
from importlib import import_module, metadata
from pathlib import PurePosixPath
from unittest import mock
from urllib.parse import urlsplit

import pytest

from cli.stack.flink_settings import MANAGED, cluster_settings
from cli.stack.layout import PROJECT, Home, Ports
from nextclick.topics import EVENTS, TOPICS
from settings.jobs import JobSettings
from streaming.jobs.registry import JOBS
from tests.unit.kubernetes.manifests import OVERLAYS, environment, named, of_kind, overlay, pod

HOME = PurePosixPath("/opt/nextclick")
"""The project in the images."""

ITS_OWN = {
    "execution.checkpointing.dir",
    "execution.checkpointing.savepoint-dir",
    "jobmanager.bind-host",
    "jobmanager.memory.off-heap.size",
    "jobmanager.memory.process.size",
    "jobmanager.rpc.address",
    "jobmanager.rpc.port",
    "env.java.opts.client",
    "metrics.reporter.prometheus.port",
    "python.client.executable",
    "python.executable",
    "rest.address",
    "rest.bind-address",
    "rest.port",
    "taskmanager.bind-host",
    "taskmanager.host",
    "taskmanager.memory.managed.size",
    "taskmanager.memory.process.size",
    "taskmanager.memory.task.off-heap.size",
}
"""Settings that are not those of `nextclick up`: places, ports, sizes; or Flink's operator's."""


def jobs(name):
    return list(of_kind(overlay(name), "FlinkDeployment"))


def flat(settings, before=""):
    """Return nested settings by their whole names, as texts."""
    if not isinstance(settings, dict):
        text = str(settings).lower() if isinstance(settings, bool) else str(settings)
        return {before: text}
    found = {}
    for key, value in settings.items():
        found |= flat(value, f"{before}.{key}" if before else key)
    return found


def submitted(args):
    """Run a job's main on its arguments, as Flink does; return its name and what it parsed.

    Raises
    ------
    SystemExit
        If it does not take them.
    """
    option, script, *words = args
    assert option == "-py"
    parts = PurePosixPath(script).relative_to(HOME).with_suffix("").parts
    module = import_module(".".join(parts))
    sessions = "handed_over" in vars(module)
    adds = "add" if sessions else "_add"
    with (
        mock.patch.object(sys, "argv", [script, *words]),
        mock.patch.object(module, adds) as add,
        mock.patch.object(module, "environment") as env,
        mock.patch.object(module, "handed_over", create=not sessions),
    ):
        module.main()
    calls, parts = add.call_args_list, []
    if sessions:
        parts = [call.args[1] for call in calls]
        (given,) = (
            dict(said)
            for said in {
                tuple((key, call.kwargs[key]) for key in ("kafka", "tenant")) for call in calls
            }
        )
        given["parallelism"] = env.call_args.args[0]
    else:
        parts = [call.args[2] for call in calls]
        _, kafka, _, options = add.call_args.args
        given = {"kafka": kafka, "tenant": options.tenant, "max_items": options.max_items}
    return next(job for job in JOBS.values() if parts == [*job.parts]), given


@pytest.mark.parametrize("name", OVERLAYS)
def test_jobs_take_their_arguments_and_agree_with_the_settings(name):
    """A job would not start, read other brokers, or learn vectors that servers have no rows for."""
    manifests = overlay(name)
    settings = environment(manifests, pod(manifests, "server"))
    for manifest in jobs(name):
        spec = manifest["spec"]["job"]
        job, given = submitted(spec["args"])
        assert job.name == manifest["metadata"]["name"]
        assert given["kafka"] == settings["NEXTCLICK_KAFKA"]
        assert given["tenant"] == settings["NEXTCLICK_TENANT"]
        assert given.get("parallelism", 1) == spec["parallelism"]
        assert spec["parallelism"] <= TOPICS[EVENTS].partitions
        if "max_items" in given:
            assert given["max_items"] == int(settings["NEXTCLICK_MAX_ITEMS"])


@pytest.mark.parametrize("words", [["--kafcka", "b:1"], ["--parallelism", "two"], ["learner"]])
def test_arguments_that_a_job_does_not_take_are_found(words):
    """The test above would find nothing."""
    args = named(overlay("production"), "FlinkDeployment", "sessions")["spec"]["job"]["args"]
    with pytest.raises(SystemExit):
        submitted([*args, *words])


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_part_runs_once(name):
    """Nothing would learn, or everything would be written twice."""
    parts = [
        part.name
        for manifest in jobs(name)
        for part in submitted(manifest["spec"]["job"]["args"])[0].parts
    ]
    assert sorted(parts) == ["profiles", "ranker", "score", "sessions", "vectors"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_settings_are_those_of_nextclick_up(name, tmp_path, monkeypatch):
    """What was found out there (timeouts, restarts, thread mode) would not hold here."""
    monkeypatch.setenv("NEXTCLICK_STATE_BACKEND", "rocksdb")
    expected = flat(cluster_settings(Home(tmp_path), Ports()))
    for manifest in jobs(name):
        given = manifest["spec"]["flinkConfiguration"]
        shared = {key: value for key, value in expected.items() if key not in ITS_OWN}
        assert {key: given.get(key) for key in shared} == shared
        assert given["taskmanager.memory.managed.size"] == MANAGED["rocksdb"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_job_survives_and_is_upgraded_with_its_state(name):
    """A lost node, or a new version, would begin from nothing."""
    manifests = overlay(name)
    for manifest in jobs(name):
        spec, given = manifest["spec"], manifest["spec"]["flinkConfiguration"]
        assert spec["job"]["upgradeMode"] == "savepoint"
        assert given["high-availability.type"] == "kubernetes"
        (claim,) = (
            volume["name"]
            for volume in spec["podTemplate"]["spec"]["volumes"]
            if "persistentVolumeClaim" in volume
        )
        container = pod(manifests, manifest["metadata"]["name"]).container
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        for key in (
            "high-availability.storageDir",
            "execution.checkpointing.dir",
            "execution.checkpointing.savepoint-dir",
        ):
            assert urlsplit(given[key]).path.startswith(mounts[claim] + "/")
        assert given["io.tmp.dirs"] == mounts["scratch"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_jobs_keep_their_state_in_rocksdb_as_long_as_servers_and_store_think(name):
    """Servers would refuse times that the job takes, Redis would forget profiles before it does,
    or the state would not fit into the heap.
    """
    manifests = overlay(name)
    servers = environment(manifests, pod(manifests, "server"))
    store = environment(manifests, pod(manifests, "store"))
    for manifest in jobs(name):
        given = environment(manifests, pod(manifests, manifest["metadata"]["name"]))
        with mock.patch.dict("os.environ", given):
            settings = JobSettings()
        assert settings.state_backend == "rocksdb"
        assert settings.state_ttl_s == int(servers["NEXTCLICK_STATE_TTL_S"])
        assert settings.profile_ttl_s == int(store["NEXTCLICK_PROFILE_TTL_S"])


@pytest.mark.parametrize("name", OVERLAYS)
def test_flink_is_that_of_the_image(name):
    """The operator would talk to another version, or Python would not be started."""
    version = metadata.version("apache-flink")
    for manifest in jobs(name):
        spec = manifest["spec"]
        assert spec["flinkVersion"] == "v" + "_".join(version.split(".")[:2])
        assert spec["job"]["jarURI"] == f"local:///opt/flink/opt/flink-python-{version}.jar"
        python = str(HOME / ".venv/bin/python")
        given = spec["flinkConfiguration"]
        assert given["python.executable"] == given["python.client.executable"] == python


@pytest.mark.parametrize("name", OVERLAYS)
def test_flink_logs_as_in_the_image(name):
    """The operator's own configuration would fill the folder of temporary files."""
    image = (PROJECT / "docker" / "jobs" / "log4j-console.properties").read_text()
    for manifest in jobs(name):
        assert manifest["spec"]["logConfiguration"] == {"log4j-console.properties": image}


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_account_of_the_jobs_is_not_the_operators(name):
    """Its chart makes an account and a role `flink` wherever it watches, and takes no others'."""
    manifests = overlay(name)
    kinds = ("ServiceAccount", "Role", "RoleBinding")
    names = {manifest["metadata"]["name"] for manifest in of_kind(manifests, *kinds)}
    assert names == {manifest["spec"]["serviceAccount"] for manifest in jobs(name)}
    assert names.isdisjoint({"flink", "flink-role-binding"})


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_heap_has_room(name):
    """Flink refuses to start if the parts of its memory do not fit into the whole."""
    for manifest in jobs(name):
        spec, given = manifest["spec"], manifest["spec"]["flinkConfiguration"]
        task = _mebibytes(spec["taskManager"]["resource"]["memory"]) - sum(
            _mebibytes(given[f"taskmanager.memory.{part}"])
            for part in (
                "jvm-metaspace.size",
                "jvm-overhead.max",
                "framework.heap.size",
                "framework.off-heap.size",
                "task.off-heap.size",
                "network.max",
                "managed.size",
            )
        )
        assert task >= 350, manifest["metadata"]["name"]
        job = _mebibytes(spec["jobManager"]["resource"]["memory"]) - sum(
            _mebibytes(given[f"jobmanager.memory.{part}"])
            for part in ("jvm-metaspace.size", "jvm-overhead.max", "off-heap.size")
        )
        assert job >= 350


def _mebibytes(size):
    """Return a size of Flink's in MiB."""
    return int(size[:-1]) * {"m": 1, "g": 1024}[size[-1]]
