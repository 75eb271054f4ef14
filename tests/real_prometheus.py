"""A real Prometheus, with the project's configuration, that scrapes a stack on this machine."""

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager

import yaml

from cli.stack.layout import FLINK_METRICS_PORTS, PROJECT, Ports
from cli.stack.process import START_S, wait_until

FOLDER = PROJECT / "observability"
MISSING = "Prometheus is not installed; Debian's package `prometheus` has it"


def installed():
    """Whether there is a Prometheus to run."""
    return shutil.which("prometheus") is not None


def targets(ports, gateway=None):
    """Where the processes of a stack, and perhaps a gateway with this port for metrics, export
    them, by Prometheus's name of the job."""
    flink = range(ports.flink_metrics, ports.flink_metrics + FLINK_METRICS_PORTS)
    wanted = {
        "nextclick-server": [ports.http],
        "nextclick-emitter": [ports.emitter_http],
        "nextclick-store": [ports.store_http],
        "nextclick-gateway": [gateway] if gateway else [],
        "nextclick-flink": [port for port in flink if _answers(port)],
    }
    return {job: [f"127.0.0.1:{port}" for port in found] for job, found in wanted.items()}


def _answers(port):
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60).close()
    except OSError:
        return False
    return True


def configuration(ports, scrape_s, gateway):
    """The project's configuration, with the addresses of this stack and another interval."""
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    config["global"] = dict.fromkeys(("scrape_interval", "evaluation_interval"), f"{scrape_s}s")
    config["rule_files"] = [str(FOLDER / "rules.yaml")]
    found = targets(ports, gateway)
    config["scrape_configs"] = [
        {"job_name": job["job_name"], "static_configs": [{"targets": found[job["job_name"]]}]}
        for job in config["scrape_configs"]
    ]
    return config


@contextmanager
def prometheus_of(ports, folder, scrape_s=15, gateway=None):
    """Run Prometheus on a stack's ports, with data and log in a folder; yields its URL."""
    port = Ports.free().http
    config, log = folder / "prometheus.yaml", folder / "prometheus.log"
    config.write_text(yaml.safe_dump(configuration(ports, scrape_s, gateway)))
    argv = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    url = f"http://127.0.0.1:{port}"
    with log.open("w") as out, subprocess.Popen(argv, stdout=out, stderr=out) as process:
        try:
            wait_until(lambda: _ready(url), START_S, f"Prometheus (see {log})")
            yield url
        finally:
            process.terminate()


def _ready(url):
    try:
        urllib.request.urlopen(f"{url}/-/ready", timeout=60).close()
    except OSError:
        return False
    return True


def ask(url, path, **parameters):
    """The result of a question to Prometheus's API; fails with what it says against it."""
    query = urllib.parse.urlencode(parameters)
    try:
        with urllib.request.urlopen(f"{url}/api/v1/{path}?{query}", timeout=60) as reply:
            return json.load(reply)["data"]["result"]
    except urllib.error.HTTPError as e:
        raise AssertionError(f"{parameters}: {e.read().decode()}") from e
