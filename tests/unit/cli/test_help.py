"""The examples in ``--help``: they are what people copy; and what shells complete."""

import gzip
import json
import os
import shlex
import subprocess
import sys
from unittest import mock

import pytest

from cli import interrupt, main
from nextclick.v1 import catalog_service_pb2 as catalog_pb
from nextclick.v1 import feature_service_pb2 as feature_pb
from nextclick.v1 import model_service_pb2 as model_pb
from nextclick.v1 import recommendation_service_pb2 as pb
from nextclick.v1 import user_service_pb2 as user_pb
from nextclick.v1.profile_pb2 import Profile
from tests.command import ENVIRONMENT
from tests.help_examples import COMMANDS, FILES, examples
from tests.unit.nextclick.fake_server import Fake, serving

CLICKS = "".join(f"s{n // 3}\ta{n % 5}\t{1_600_000_000 + 60 * n}\n" for n in range(30))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_shows_an_example_that_it_takes(path, tmp_path, monkeypatch):
    """An option that was renamed would live on in the help, and fail whoever copies it.

    Those of `bench` take minutes each, on a stack of their own: they are parsed here, and run
    nowhere. (tests/benchmarks runs every benchmark at a small size.)
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path.parent / "data").mkdir(exist_ok=True)
    for file in FILES:
        (tmp_path / file).touch()
    assert examples(path), "no example"
    for example in examples(path):
        _, *words = shlex.split(example)
        assert tuple(words[: len(path)]) == path
        COMMANDS[path].make_context(example, words[len(path) :])


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """A function that runs a command line where the files are; returns exit code and output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(interrupt, "install", lambda: None)
    for file in FILES:
        (tmp_path / file).write_bytes(gzip.compress(f"SessionId\tItemId\tTime\n{CLICKS}".encode()))

    def run(example, *more):
        monkeypatch.setattr(sys, "argv", [*shlex.split(example), *more])
        with pytest.raises(SystemExit) as end:
            main.main()
        return end.value.code, capsys.readouterr().out

    return run


CALLS = {
    ("recommend",): pb.RecommendResponse(items=[pb.ScoredItem(item_id="25", score=1.0)]),
    ("similar",): pb.SimilarItemsResponse(items=[pb.ScoredItem(item_id="25", score=1.0)]),
    ("catalogue", "put"): catalog_pb.PutItemsResponse(accepted=5),
    ("users", "get"): user_pb.GetUsersResponse(users=[user_pb.User(user_id="u7")]),
    ("users", "delete"): user_pb.DeleteUsersResponse(accepted=1),
    ("users", "profile"): user_pb.GetProfilesResponse(
        profiles=[user_pb.UserProfile(profile=Profile(user_id="u7"))]
    ),
    ("features", "list"): feature_pb.ListFeaturesResponse(
        features=[feature_pb.Feature(name="seq", entity=feature_pb.FEATURE_ENTITY_CANDIDATE)]
    ),
    ("features", "get"): feature_pb.GetFeaturesResponse(
        vectors=[feature_pb.FeatureVector(entity=feature_pb.FEATURE_ENTITY_SESSION, id="s1")]
    ),
    ("models", "list"): model_pb.ListModelsResponse(models=[model_pb.Model(name="ranker")]),
    ("models", "pause"): model_pb.PauseLearningResponse(),
    ("models", "resume"): model_pb.ResumeLearningResponse(),
    ("models", "roll-back"): model_pb.RollBackResponse(),
}


@pytest.mark.parametrize("path", CALLS, ids=" ".join)
def test_examples_of_calls_run(run, path):
    """Against a server that answers; tests/integration and tests/recovery have a real stack."""
    fake = Fake()
    fake.answers = [CALLS[path]]
    with serving(fake) as target:
        for example in examples(path):
            code, said = run(example, "--grpc-port", target.rpartition(":")[2])
            assert code == 0
            assert said.strip()


@pytest.mark.parametrize("path", [("evaluate",), ("down",)], ids=" ".join)
def test_examples_without_a_stack_run(run, path):
    """They need nothing but the files that they name."""
    for example in examples(path):
        code, said = run(example, "--json")
        assert code == 0
        assert json.loads(said)


HANDED_OVER = {
    ("up",): ("cli.up.start_detached", "127.0.0.1:50052"),
    ("serve",): ("cli.serve.Workers", "'NEXTCLICK_KAFKA': 'broker:9092'"),
    ("results",): ("cli.results.write_report", "../data"),
}
"""What takes over from a command at the end, and what the example then has led to."""


@pytest.mark.parametrize("path", HANDED_OVER, ids=" ".join)
def test_examples_run_until_they_hand_over(run, monkeypatch, tmp_path, path):
    """To a stand-in for the stack, four servers, or hours with the public data."""
    name, expected = HANDED_OVER[path]
    taken_over = mock.Mock()
    monkeypatch.setattr(name, taken_over)
    (tmp_path / "docs").mkdir()
    (tmp_path.parent / "data").mkdir(exist_ok=True)
    for example in examples(path):
        with mock.patch.dict(os.environ):  # `serve` writes into it
            code, said = run(example)
        assert code == 0
        assert expected in f"{said}{taken_over.call_args}"


COMPLETED = {
    "sta": ["status"],
    "models roll-back r": ["ranker"],
    "jobs submit s": ["score", "sessions"],
    "similar --by c": ["content"],
    "evaluate --model s": ["session-knn"],
    "evaluate --protocol p": ["prequential"],
}


@pytest.mark.parametrize("typed", COMPLETED)
def test_a_shell_completes_commands_and_names(typed):
    """`nextclick --install-completion` installs it; the shell then asks the command itself."""
    asked = {
        "_NEXTCLICK_COMPLETE": "complete_bash",
        "COMP_WORDS": f"nextclick {typed}",
        "COMP_CWORD": str(len(typed.split())),
    }
    code = "import sys; sys.argv = ['nextclick']; from cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, **asked},
        check=False,
    )
    assert done.stdout.split() == COMPLETED[typed], done.stderr
