"""``nextclick evaluate``: what it prints and writes."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.main import app
from evaluation.errors import UnknownRankingError, UnreadableFileError
from evaluation.rankings import MODELS
from nextclick import Item, encode_item
from online_models import metrics
from tests.unit.cli.made_results import EVALUATED


@pytest.mark.parametrize("protocol", ["static", "prequential"])
def test_the_command_prints_one_object_and_writes_its_ranks(tmp_path, protocol):
    """Machines read the JSON; others recompute the figures from the ranks."""
    train, test, ranks = tmp_path / "train", tmp_path / "test", tmp_path / "ranks"
    rng = np.random.default_rng(0)
    lines = [
        f"{s}," + " ".join(str((s * 3 + step) % 40) for step in range(rng.integers(2, 6)))
        for s in range(120)
    ]
    train.write_text("session_id,items\n" + "\n".join(lines[:90]) + "\n")
    test.write_text("session_id,items\n" + "\n".join(lines[90:]) + "\n")
    args = ["evaluate", "--train", str(train), "--test", str(test), "--protocol", protocol]
    done = CliRunner().invoke(app, [*args, "--ranks", str(ranks), "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    rows = [line.split("\t") for line in ranks.read_text().splitlines()]
    found = np.array([int(rank) for _, _, rank in rows])
    assert len(rows) == result["cases"] == sum(len(x.split()) - 1 for x in lines[90:])
    assert metrics.hit_rate(found, 20) == pytest.approx(result["hit_rate"])
    assert metrics.mrr(found, 20) == pytest.approx(result["mrr"])
    assert {int(p) for _, p, _ in rows} <= {2, 3, 4, 5}
    assert result["hit_rate"] > 0.5
    for key in ("hit_rate_new", "repeat_share", "ndcg", "coverage", "candidate_recall", "seconds"):
        assert result[key] >= 0
    assert set(result) == set(EVALUATED), "what is printed is looked at with other figures"
    assert set(result["learn_us"]) == set(result["recommend_us"]) == {"mean", "p50", "p99"}


def test_compare_puts_all_rankings_into_one_table_and_a_chart(tmp_path):
    """What the models add is seen beside what simple lists do."""
    train, items, chart = tmp_path / "train", tmp_path / "items", tmp_path / "chart.svg"
    lines = [f"{s}," + " ".join(f"i{(s * 3 + step) % 80}" for step in range(4)) for s in range(200)]
    train.write_text("session_id,items\n" + "\n".join(lines) + "\n")
    catalogue = [Item(f"i{n}", categories=(f"c{n % 4}",)) for n in range(80)]
    items.write_bytes(b"".join(encode_item(item) + b"\n" for item in catalogue))
    args = ["evaluate", "--train", str(train), "--items", str(items), "--compare"]
    done = CliRunner().invoke(app, [*args, "--chart", str(chart), "--json"])
    assert done.exit_code == 0, done.output
    models = json.loads(done.stdout)["models"]
    assert set(models) == set(MODELS)
    for result in models.values():
        for name in ("hit_rate", "mrr", "ndcg"):
            low, high = result[f"{name}_95"]
            assert low - 1e-9 <= result[name] <= high + 1e-9
    assert models["blend"]["hit_rate"] > models["popularity"]["hit_rate"]
    text = chart.read_text()
    assert text.startswith("<?xml")
    done = CliRunner().invoke(app, args)
    assert all(name in done.output for name in ("own-items", "covisit"))


def test_a_wrong_name_or_file_raises_what_the_command_prints_as_one_line(tmp_path):
    """`main` prints errors of the library like its own; it must get them unchanged."""
    train = tmp_path / "train"
    train.write_text("neither,header\n")
    args = ["evaluate", "--train", str(train)]
    done = CliRunner().invoke(app, args)
    assert isinstance(done.exception, UnreadableFileError)
    done = CliRunner().invoke(app, [*args, "--model", "best"])
    assert isinstance(done.exception, UnknownRankingError)
    assert "choose one of popularity" in str(done.exception)


def test_columns_are_named_by_options_and_the_report_goes_to_standard_error(tmp_path):
    """Whatever a file's columns are called; JSON alone stays on standard output."""
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    rows = [
        f"v{s},shoe{(s + step) % 9},{60 + 60 * step + 9000 * s}"
        for s in range(40)
        for step in (0, 1)
    ]
    first.write_text("a,b,c\n" + "\n".join(rows[:41]) + "\n")
    second.write_text("a,b,c\n" + "\n".join(rows[41:]) + "\nv1,,7\n")
    args = ["evaluate", "--train", str(first), "--train", str(second), "--model", "popularity"]
    refused = CliRunner().invoke(app, [*args, "--json"])
    assert isinstance(refused.exception, UnreadableFileError)
    assert "Say which with --item" in str(refused.exception)
    done = CliRunner().invoke(
        app, [*args, "--session", "a", "--item", "2", "--time", "c=s", "--json"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["cases"] == 4
    assert "refused: 1 of 40 rows" in done.stderr
    assert "line 41: v1,,7" in done.stderr
    assert "80 clicks in 40 sessions" in done.stderr


def test_users_are_compared_with_themselves_by_clicks(tmp_path):
    """Whether it pays to know users is asked for a shop's own clicks."""
    file, rng = tmp_path / "clicks.csv", np.random.default_rng(0)
    lines = [
        f"{s},u{s % 20},i{rng.integers(40)},{1_000_000 + 10_000 * s + 10 * step}"
        for s in range(150)
        for step in range(3)
    ]
    file.write_text("session_id,user_id,item_id,time\n" + "\n".join(lines) + "\n")
    args = ["evaluate", "--train", str(file), "--users", "--protocol", "prequential"]
    done = CliRunner().invoke(app, [*args, "--json"])
    assert done.exit_code == 0, done.output
    groups = {group["clicks"]: group for group in json.loads(done.stdout)["groups"]}
    assert list(groups) == ["first page", "1 click", "2 clicks", "1 to 3 clicks"]
    assert groups["first page"]["cases"] == groups["1 click"]["cases"] == 30
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 0, done.output
    assert "first page" in done.stdout


def test_a_file_without_users_has_none_to_compare(tmp_path):
    """An empty table would look like a result."""
    file = tmp_path / "clicks"
    file.write_text("session_id,items\n" + "\n".join(f"{s},a b" for s in range(20)) + "\n")
    done = CliRunner().invoke(app, ["evaluate", "--train", str(file), "--users"])
    assert done.exit_code != 0
    assert "--users needs a column of users" in str(done.exception)
