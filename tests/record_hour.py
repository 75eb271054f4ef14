"""Records an hour of a running stack's series, as a test in which no alert may fire.

    nextclick up --flink-metrics-port 9249
    nextclick import cli/sample/train.txt.gz
    python -m tests.record_hour

and in another shell, for the same hour,

    nextclick replay cli/sample/test.txt.gz --recommend --rate 0.75

It writes the series that the rules ask for, one value a minute, to
`observability/demo_hour_test.yaml`, for `promtool test rules`.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path

from cli.options import DEFAULT_HOME
from cli.stack.stack import Stack
from tests.real_prometheus import FOLDER, ask, prometheus_of
from tests.unit.observability_files import rules, selectors

STEP_S = 60
TARGET = FOLDER / "demo_hour_test.yaml"

HEAD = """\
# Recorded by tests/record_hour.py: an hour of the demo's clicks, in which no alert may fire.
rule_files: [rules.yaml]
evaluation_interval: 1m

tests:
  - name: an hour of the demo
    interval: 1m
    input_series:
"""

TAIL = """\
    promql_expr_test:
      - expr: count by (alertname) (count_over_time(ALERTS{{alertstate="firing"}}[{minutes}m]))
        eval_time: {minutes}m
        exp_samples: []
"""


def scraped() -> set[str]:
    """Return the metrics that the rules ask for, but for those that they record."""
    names = {name for rule in rules() for name, _ in selectors(rule["expr"])}
    return {name for name in names if ":" not in name}


def written(values: list[str]) -> str:
    """Return values as promtool reads them: those that stay the same once."""
    runs = ((value, len(list(same))) for value, same in itertools.groupby(values))
    return " ".join(
        f"{value}x{n - 1}" if n > 1 and value[-1].isdigit() else " ".join([value] * n)
        for value, n in runs
    )


def on_clock_of_tests(name: str, value: str, start_s: float) -> str:
    """Return a value as it would be if the hour had begun in 1970, where promtool's clock begins.

    Otherwise all times would lie in its future, and no alert on the age of something could fire.
    """
    if "timestamp" not in name.lower():
        return value
    unit = 1_000 if name.startswith("flink_") else 1
    return f"{float(value) - start_s * unit:.3f}"


def recorded(url: str, start_s: float, minutes: int) -> str:
    """Return the test of what Prometheus has scraped since a time."""
    lines = []
    times = [start_s + STEP_S * minute for minute in range(minutes + 1)]
    for name in sorted(scraped()):
        found = ask(url, "query_range", query=name, start=times[0], end=times[-1], step=STEP_S)
        for series in found:
            metric = dict(series["metric"])
            labels = ", ".join(
                f'{key}="{value}"' for key, value in metric.items() if key != "__name__"
            )
            at = {
                round(second - start_s): on_clock_of_tests(name, value, start_s)
                for second, value in series["values"]
            }
            values = [at.get(round(second - start_s), "_") for second in times]
            lines.append(f"      - series: '{name}{{{labels}}}'\n")
            lines.append(f"        values: '{written(values)}'\n")
    return HEAD + "".join(lines) + TAIL.format(minutes=minutes)


def main() -> None:
    """Record, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--home", type=Path, default=DEFAULT_HOME, help="folder of the stack")
    parser.add_argument("--minutes", type=int, default=60, help="how long")
    args = parser.parse_args()
    ports = Stack.in_folder(args.home).ports
    with tempfile.TemporaryDirectory() as folder, prometheus_of(ports, Path(folder)) as url:
        started_s = time.time()
        time.sleep(STEP_S * args.minutes)
        TARGET.write_text(recorded(url, started_s, args.minutes))


if __name__ == "__main__":
    main()
