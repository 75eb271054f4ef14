"""``nextclick off-policy``: from Kafka's records or a file to verdicts and refusals."""

import doctest
import gzip
import json
import random
import sys
import time
from math import inf

import numpy as np
import pytest

import cli.figures
from cli import interrupt, main, off_policy
from cli.impressions import joining, reading
from cli.impressions.reading import Arrived, read_since
from cli.off_policy import milliseconds, result_of
from evaluation.off_policy.judging import judge_walked
from evaluation.off_policy.walk import Walked
from nextclick.limits import SESSION_IDLE_MS
from settings.base import Settings
from tests.unit.cli.kafka_of_records import KafkaOfRecords
from tests.unit.cli.made_results import JUDGED, PASSED_OVER
from tests.unit.cli.mistakes import check
from tests.unit.cli.test_impressions import drawn
from tests.unit.streaming.scored_records import clicks

UNIFORM = 'kind = "uniform"\n'


def kafka_of(monkeypatch, **topics):
    """A Kafka that has these topics: lists of partitions, lists of records."""
    kafka = KafkaOfRecords(**topics)
    monkeypatch.setattr(reading, "Admin", lambda *_, **__: kafka)
    monkeypatch.setattr(reading, "Consumer", kafka.consumer)
    return kafka


def read(name, since_ms, progress=lambda *_: None):
    return list(read_since(Settings(), "", name, since_ms, progress))


@pytest.mark.parametrize("module", [off_policy, joining, cli.figures], ids=lambda m: m.__name__)
def test_examples(module):
    """They are what a reader learns from."""
    assert not doctest.testmod(module).failed


def test_a_topic_is_read_from_a_time_to_where_it_ends(monkeypatch):
    """Gaps of compaction at the end of a partition, too, and partitions without anything new."""
    kafka = kafka_of(
        monkeypatch,
        sessions=[
            [(b"a", b"1", 5), (b"a", b"2", 15), (b"b", None, 16), None],
            [(b"c", b"3", 9)],
            [],
            [None, (b"d", b"4", 10)],
        ],
    )
    told = []
    found = read("sessions", 10, lambda *said: told.append(said[1:3]))
    assert sorted(found, key=lambda r: (r.arrived_ms, r.key)) == [
        Arrived("d", b"4", 10),
        Arrived("a", b"2", 15),
        Arrived("b", None, 16),
    ]
    assert told[-1] == (4, 4)
    assert kafka.closed
    assert kafka.config["enable.auto.commit"] is False
    assert kafka.config["group.id"] == "off-policy"
    assert read("sessions", 99) == []


def test_a_topic_that_does_not_exist_is_named(monkeypatch):
    """Or the tenant is another one."""
    kafka_of(monkeypatch)
    with pytest.raises(Exception, match=r"no topic impressions: .*topics create.*--tenant"):
        read("impressions", 0)


def test_a_topic_that_falls_silent_ends_with_a_sentence(monkeypatch):
    """A broker that is down would keep the command waiting for ever."""
    kafka = kafka_of(monkeypatch, impressions=[[(b"a", b"1", 5)]])
    monkeypatch.setattr(reading, "SILENT_S", 0.0)
    consumer = kafka.consumer({})
    consumer.consume = lambda *_, **__: []
    monkeypatch.setattr(reading, "Consumer", lambda _: consumer)
    with pytest.raises(Exception, match="has not sent impressions to its end"):
        read("impressions", 0)
    assert kafka.closed


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """A function that runs the command in a folder with a policy: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(interrupt, "install", lambda: None)
    (tmp_path / "new.toml").write_text(UNIFORM)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["nextclick", "off-policy", *words])
        with pytest.raises(SystemExit) as end:
            main.main()
        said = capsys.readouterr()
        return end.value.code, said.out, said.err

    return run


def log_of(file, n, rate, propensities=(0.5, 0.3, 0.2)):
    """A log of single slots of items that are clicked the more, the higher their number."""
    chance = np.random.default_rng(1)
    item = chance.choice(len(propensities), n, p=propensities)
    click = chance.random(n) < rate * (1 + item)
    lines = [f"i{i},{int(c)},{propensities[i]}" for i, c in zip(item, click, strict=True)]
    text = "\n".join(["item_id,click,propensity_score", *lines]) + "\n"
    file.write_bytes(gzip.compress(text.encode()))


def test_a_file_is_judged_without_kafka(run, tmp_path):
    """Uniform shows the better items more often than the log did: it is better, and is told so."""
    log_of(tmp_path / "log.csv.gz", 6_000, 0.1)
    code, out, _ = run("--policy", "new.toml", "--log", "log.csv.gz", "--json")
    assert code == 0
    result = json.loads(out)
    found = {estimate["name"]: estimate for estimate in result["estimates"]}
    assert list(found) == ["IPS", "SNIPS", "DM", "DR", "switch-DR"]
    for name in ("IPS", "SNIPS", "DR"):
        low, high = found[name]["interval"]
        assert low < 0.2 < high
        assert found[name]["verdict"] == "better"
        assert found[name]["effective"] == pytest.approx(6_000 / 1.148, rel=0.05)
    assert found["DM"]["verdict"] == "model alone"
    assert found["DM"]["bernstein"] is None
    assert result["pages"] == 6_000
    assert result["policy"] == "uniform"
    code, out, _ = run("--policy", "new.toml", "--log", "log.csv.gz")
    assert code == 0
    assert "6,000 pages of 6,000 visitors" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_log_that_is_too_small_is_refused_with_the_reason_and_no_figures(run, tmp_path):
    """A figure that is printed is used."""
    log_of(tmp_path / "log.csv.gz", 150, 0.1)
    code, out, _ = run("--policy", "new.toml", "--log", "log.csv.gz", "--json")
    assert code == 0
    for estimate in json.loads(out)["estimates"]:
        if estimate["name"] != "DM":
            assert estimate["verdict"] == "refused"
            assert "pages, below 200" in estimate["refused"]
            assert [estimate[k] for k in ("value", "interval", "bernstein", "gain")] == [None] * 4
    words = ("--policy", "new.toml", "--log", "log.csv.gz", "--least-effective", "50")
    assert json.loads(run(*words, "--json")[1])["estimates"][0]["verdict"] != "refused"
    out = run("--policy", "new.toml", "--log", "log.csv.gz")[1]
    assert "refused: IPS, SNIPS, DR, switch-DR: effective sample of" in out


def test_answers_of_kafka_are_judged(run, monkeypatch):
    """From the records that servers and the sessions job write, to a rate."""
    now_ms = time.time_ns() // 1_000_000 - SESSION_IDLE_MS
    chance, answers, sessions, clicked = random.Random(1), [], [], 0
    for visitor in range(400):
        name, at = f"s{visitor}", now_ms - 10_000 + visitor
        shown = chance.choice("abcd")
        answers.append((name.encode(), drawn(name, 1, [shown], propensities=[0.25]), at))
        followed = shown if chance.random() < 0.5 else "z"
        clicked += followed == shown
        sessions.append((name.encode(), clicks(name, "x").value, at - 1))
        sessions.append((name.encode(), clicks(name, f"x{followed}").value, at + 5))
    kafka_of(monkeypatch, impressions=[answers[::2], answers[1::2]], sessions=[sessions])
    code, out, _ = run("--policy", "new.toml", "--since", "1h", "--json")
    assert code == 0
    result = json.loads(out)
    assert (result["pages"], result["clicks"], result["visitors_kept"]) == (400, clicked, 1.0)
    assert result["own"] == pytest.approx(clicked / 400)
    for estimate in result["estimates"]:
        if estimate["name"] in ("IPS", "SNIPS"):
            assert estimate["value"] == pytest.approx(clicked / 400)
            assert estimate["verdict"] == "undecided"


def test_without_answers_that_can_be_judged_the_command_says_what_to_do(run, monkeypatch):
    """Most shops begin without a policy that draws."""
    now_ms = time.time_ns() // 1_000_000 - 2 * SESSION_IDLE_MS
    plain = (b"s", drawn("s", 1, ["a"], propensities=[]), now_ms)
    kafka_of(monkeypatch, impressions=[[plain]], sessions=[[]])
    code, out, said = run("--policy", "new.toml")
    assert (code, out) == (1, "")
    assert "1 answer: no policy drew them" in said
    assert "NEXTCLICK_POOL_SHARE" in said
    kafka_of(monkeypatch, impressions=[[]], sessions=[[]])
    assert "there are no answers since then" in run("--policy", "new.toml")[2]


def test_a_limit_on_weights_is_told(run, tmp_path):
    """What it leaves out is missing from the estimates."""
    log_of(tmp_path / "log.csv.gz", 2_000, 0.1)
    words = ("--policy", "new.toml", "--log", "log.csv.gz", "--max-weight")
    limited = json.loads(run(*words, "1.2", "--json")[1])
    free = json.loads(run(*words, "100", "--json")[1])
    assert free["limited"] == 0
    assert 0.05 < limited["limited"] < 0.2
    assert limited["estimates"][0]["value"] < free["estimates"][0]["value"]
    assert "the limit leaves out" in run(*words, "1.2")[1]


MISTAKES = {
    "off-policy": "Missing option '--policy'",
    "off-policy --policy absent.toml": "absent.toml ... does not exist",
    "off-policy --policy clicks.csv": "clicks.csv: is no TOML",
    "off-policy --policy best.toml": "best.toml: kind: 'best' is not known ... uniform",
    "off-policy --policy new.toml --since 7": "--since: '7' is no time; write 90m, 12h or 7d",
    "off-policy --policy new.toml --since 0d": "--since: '0d'",
    "off-policy --policy new.toml --log clicks.csv": "clicks.csv ... no column propensity_score",
    "off-policy --policy new.toml --log clicks.csv --since 7d": "--since is for Kafka",
    "off-policy --policy new.toml --max-weight 0.5": "--max-weight",
    "off-policy --policy new.toml --max-weight nan": "--max-weight",
    "off-policy --policy new.toml --max-weight inf": "--max-weight must be a number",
    "off-policy --policy new.toml --places 0": "--places",
    "off-policy --policy new.toml --least-effective 0": "--least-effective",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_named(mistaken, tmp_path, words):
    """With what to write instead."""
    (tmp_path / "new.toml").write_text(UNIFORM)
    (tmp_path / "best.toml").write_text('kind = "best"\n')
    check(mistaken(*words.split()), MISTAKES[words])


def test_times_are_what_they_say():
    """A wrong unit would judge another week."""
    assert milliseconds("2h") == 7_200_000
    assert milliseconds("30d") == 30 * 86_400_000


def test_json_has_no_infinity():
    """No other language reads it."""
    text = json.dumps(result_of(JUDGED, "uniform", PASSED_OVER, 1.0), allow_nan=False)
    assert json.loads(text)["passed_over"]
    n = 300
    ones, none = np.ones((n, 1)), np.zeros((n, 1))
    click = none.copy()
    click[:2] = 1
    walked = Walked(ones, click, none, none, none, none[:, 0], ones[:, 0], np.arange(n))
    judged = judge_walked(walked, least_clicks=0)
    assert judged.own_interval[1] == inf
    json.dumps(result_of(judged, "uniform", PASSED_OVER, 1.0), allow_nan=False)
