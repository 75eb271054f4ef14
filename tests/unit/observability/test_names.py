"""Rules and dashboards ask for metrics that there are."""

import re
import zipfile

import pytest
from prometheus_client import Counter, Histogram

from cli.stack.flink import flink_home
from cli.stack.layout import PROJECT
from streaming.jobs.registry import REFUSED
from tests.unit.observability_files import filled_in, panels, rules, selectors
from tests.unit.server.test_metrics import DECLARED

QUERIES = [(rule.get("alert", rule.get("record")), rule["expr"]) for rule in rules()] + [
    (panel, filled_in(query)) for panel, query in panels()
]

OF_TARGETS = {"instance", "job"}
OTHERS = {
    "up": OF_TARGETS,
    "ALERTS": {"alertname", "alertstate"},
    "process_cpu_seconds_total": OF_TARGETS,
    "process_resident_memory_bytes": OF_TARGETS,
}
"""Prometheus's own metrics, and those of its client for every process."""

JOB, TASK = "flink_jobmanager_job", "flink_taskmanager_job_task"
CHECKPOINTS = "org/apache/flink/runtime/checkpoint/DefaultCheckpointStatsTracker"
NAMES = "org/apache/flink/runtime/metrics/MetricNames"
MEMORY = "org/apache/flink/runtime/metrics/util/MetricUtils"
FLINK = {
    "flink_jobmanager_numRunningJobs": NAMES,
    f"{JOB}_numRestarts": NAMES,
    f"{JOB}_lastCheckpointCompletedTimestamp": CHECKPOINTS,
    f"{JOB}_lastCheckpointDuration": CHECKPOINTS,
    f"{JOB}_lastCheckpointSize": CHECKPOINTS,
    f"{JOB}_numberOfFailedCheckpoints": CHECKPOINTS,
    "flink_taskmanager_Status_JVM_Memory_Heap_Used": MEMORY,
    "flink_taskmanager_Status_JVM_Memory_Heap_Max": MEMORY,
    f"{TASK}_busyTimeMsPerSecond": NAMES,
    f"{TASK}_backPressuredTimeMsPerSecond": NAMES,
    f"{TASK}_operator_currentEmitEventTimeLag": NAMES,
    f"{TASK}_operator_pendingRecords": NAMES,
}
"""Flink's metrics as its reporter names them, the scope first, and the class that has the name."""

OF_JOBS = {f"{TASK}_operator_{REFUSED}", f"{TASK}_operator_user_topic_written"}
"""The jobs' own: of `TaskOperator`, and of `Records.Writer`."""


def ours():
    """The names under which our metrics are scraped, each with its labels."""
    found = {}
    for name, metric in DECLARED.items():
        labels = OF_TARGETS | set(metric._labelnames)
        if isinstance(metric, Counter):
            found[f"{name}_total"] = labels
        elif isinstance(metric, Histogram):
            found |= {f"{name}_bucket": labels | {"le"}}
            found |= {f"{name}_{part}": labels for part in ("sum", "count")}
        else:
            found[name] = labels
    return found


KNOWN = ours() | OTHERS
RECORDED = {rule["record"] for rule in rules() if "record" in rule}


@pytest.mark.parametrize(("name", "query"), QUERIES)
def test_every_metric_of_a_query_exists(name, query):
    """An alert on a metric that was renamed never fires, and nobody notices."""
    asked = selectors(query)
    assert asked
    for metric, labels in asked:
        if metric.startswith("flink_"):
            assert metric in FLINK.keys() | OF_JOBS
        elif metric not in RECORDED:
            assert metric in KNOWN
            assert set(labels) <= KNOWN[metric]


def test_flink_has_the_metrics_that_it_is_asked_for():
    """Another version of Flink may have renamed them."""
    [jar] = (flink_home() / "lib").glob("flink-dist-*.jar")
    with zipfile.ZipFile(jar) as classes:
        for metric, name_of in FLINK.items():
            name = re.split(r"_(?=[^_]+$)", metric)[-1]
            assert name.encode() in classes.read(f"{name_of}.class"), metric


def test_the_jobs_count_what_they_write_by_topic():
    """A sessions job that writes nothing but dead letters runs well, to Flink."""
    source = PROJECT / "streaming/java/src/main/java/nextclick/Records.java"
    assert 'addGroup("topic", topic).counter("written")' in source.read_text()
