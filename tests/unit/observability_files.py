"""Prometheus's rules and Grafana's dashboards, as tests look at them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "observability"

VARIABLES = {"$__rate_interval": "1m", "$instance": ".*", "$tenant": ".*"}
"""What Grafana would put into a query where everything is shown."""


def rules():
    """All rules: alerts, and those that record."""
    groups = yaml.safe_load((FOLDER / "rules.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts():
    """The alerts by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def panels():
    """(dashboard and title, query) of every panel; a panel may have several queries."""
    return [
        (f"{path.stem}: {panel['title']}", target["expr"])
        for path in sorted((FOLDER / "dashboards").glob("*.json"))
        for panel in json.loads(path.read_text())["panels"]
        for target in panel["targets"]
    ]


def filled_in(query):
    """A panel's query as Prometheus gets it."""
    for variable, value in VARIABLES.items():
        query = query.replace(variable, value)
    return query


def promtool(*arguments, text=None, folder=FOLDER):
    """Run promtool, and return what it says; the test fails if promtool finds a fault."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed; Debian's package `prometheus` has it")
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, input=text, cwd=folder
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def selectors(query):
    """(metric, names of the labels that it is selected by) of each metric of a query."""
    names = r"((?:\w+:)?\b(?:nextclick|flink|process)_[\w:]+|\bup\b|\bALERTS\b)"
    return [
        (name, tuple(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", labels)))
        for name, labels in re.findall(names + r"(?:\{(.*?)\})?", query, re.DOTALL)
    ]
