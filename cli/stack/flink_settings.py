"""The settings of Flink: of a stack's cluster, and of jobs on a cluster that is not ours.

JobManager and TaskManagers read them when they start; ``flink.py`` writes them and starts these.
What a job depends on is given with it to any other cluster, whatever the settings there.
"""

from __future__ import annotations

import sys
from typing import Any

from cli.stack.layout import FLINK_METRICS_PORTS, Home, Ports
from settings.jobs import JobSettings, StateBackend
from settings.load import load

CHECKPOINT_S = 10
"""Work that a job repeats at most after a crash. Each checkpoint writes the whole state, with
RocksDB what has changed."""

MANAGED: dict[StateBackend, str] = {"heap": "128m", "rocksdb": "384m"}
"""Memory of a TaskManager that is RocksDB's alone, out of its 1,400 MB; the heap has the rest."""

REPORTER = "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"

_OPENED = ("lang", "net", "io", "nio", "lang.reflect", "text", "time", "util", "util.concurrent")
_JVM_OPTIONS = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in _OPENED] + [
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent.atomic=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent.locks=ALL-UNNAMED",
    "--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED",
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    # On a busy machine it takes more than the 10 s after which a process would end. Flink's own
    # setting of that name reaches nothing: it is written where Pekko does not look.
    "-Dpekko.remote.classic.startup-timeout=120s",
]

_CLIENT_OPTIONS = "-XX:TieredStopAtLevel=1"


def cluster_settings(home: Home, ports: Ports) -> dict[str, Any]:
    """Return the cluster's settings; sizes and timeouts were tried on 2 cores."""
    states = (home.path("flink", "checkpoints").as_uri(), home.path("flink", "savepoints").as_uri())
    return {
        **job_settings(*states, python=sys.executable),
        "env": {
            "java": {
                "opts": {
                    "all": " ".join(_JVM_OPTIONS),
                    "jobmanager": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
                    "taskmanager": "-XX:+UseSerialGC",
                    "client": _CLIENT_OPTIONS,
                }
            }
        },
        "jobmanager": {
            "bind-host": "127.0.0.1",
            "rpc": {"address": "127.0.0.1", "port": ports.flink_rpc},
            "memory": {
                "process": {"size": "700m"},
                "jvm-metaspace": {"size": "160m"},
                "jvm-overhead": {"min": "64m", "max": "64m"},
                "off-heap": {"size": "64m"},
            },
            "execution": {"failover-strategy": "region"},
        },
        "taskmanager": {
            "bind-host": "127.0.0.1",
            "host": "127.0.0.1",
            "numberOfTaskSlots": 1,
            "memory": {
                "process": {"size": "1400m"},
                "jvm-metaspace": {"size": "256m"},
                "jvm-overhead": {"min": "128m", "max": "128m"},
                "framework": {"heap": {"size": "64m"}, "off-heap": {"size": "64m"}},
                "task": {"off-heap": {"size": "64m"}},
                "network": {"min": "64m", "max": "64m"},
                "managed": {"size": MANAGED[load(JobSettings).state_backend]},
            },
        },
        "rest": {"address": "127.0.0.1", "bind-address": "127.0.0.1", "port": ports.flink},
        # A dead TaskManager refuses two heartbeats. A silent one may just wait for a busy core:
        # with a timeout of 8 s, Flink took jobs away from a TaskManager that was still starting.
        "heartbeat": {"interval": 2000, "timeout": 120_000, "rpc-failure-threshold": 2},
        "pekko": {"ask": {"timeout": "60 s"}},
        # Metrics stand still for so long after a TaskManager has died, by default 10 minutes: Flink
        # waits for all answers before it asks again.
        "web": {"timeout": "60 s"},
        **(_reporter(ports.flink_metrics) if ports.flink_metrics else {}),
    }


def client_settings(
    address: str, checkpoints: str, savepoints: str, *, python: str
) -> dict[str, Any]:
    """Return the settings of a client that submits jobs to another cluster.

    Parameters
    ----------
    address
        ``HOST:PORT`` of the cluster's REST API.
    checkpoints, savepoints, python
        See `job_settings`.
    """
    host, _, port = address.rpartition(":")
    return {
        **job_settings(checkpoints, savepoints, python=python),
        "env": {"java": {"opts": {"all": " ".join(_JVM_OPTIONS), "client": _CLIENT_OPTIONS}}},
        "rest": {"address": host, "port": int(port)},
    }


def job_settings(checkpoints: str, savepoints: str, *, python: str) -> dict[str, Any]:
    """Return what the jobs depend on: thread mode, checkpoints that stay, restarts for ever.

    Parameters
    ----------
    checkpoints, savepoints
        URIs of the folders of both, which all of the cluster reaches.
    python
        The interpreter of the TaskManagers.
    """
    return {
        "parallelism": {"default": 1},
        "python": {
            "execution-mode": "thread",
            "executable": python,
            "client": {"executable": sys.executable},
        },
        "execution": {
            "checkpointing": {
                "interval": f"{CHECKPOINT_S} s",
                "dir": checkpoints,
                "savepoint-dir": savepoints,
                "externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
                "min-pause": "500 ms",
                "timeout": "10 min",
            },
            "buffer-timeout": {"interval": "0 ms"},
        },
        # A TaskManager takes 10 s or more to come back, and each second is an attempt.
        "restart-strategy": {
            "type": "fixed-delay",
            "fixed-delay": {"attempts": 1_000_000, "delay": "1 s"},
        },
        "pipeline": {"object-reuse": True},
    }


def _reporter(first_port: int) -> dict[str, Any]:
    """Return the settings of Flink's Prometheus reporter, which its distribution has as a plugin.

    Each process of the cluster takes the first port that is free.
    """
    reporter = {
        "factory": {"class": REPORTER},
        "port": f"{first_port}-{first_port + FLINK_METRICS_PORTS - 1}",
        "filterLabelValueCharacters": False,  # names of tenants have dots
    }
    return {"metrics": {"reporters": "prometheus", "reporter": {"prometheus": reporter}}}
