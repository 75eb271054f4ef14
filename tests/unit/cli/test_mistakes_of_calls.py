"""A server, a stack or a library that fails a command is told with what to do."""

import dataclasses
import errno
import http.server
import socket
import subprocess
import sys
import threading
from functools import partial

import grpc
import pytest
import redis
from confluent_kafka import KafkaError, KafkaException

from cli import main
from cli.sentences import sentence_of
from cli.server_client import server_client
from cli.stack import apps, flink_rest
from cli.stack.layout import Home, Ports
from cli.stack.stack import Stack
from tests.command import ENVIRONMENT
from tests.unit.cli.mistakes import check
from tests.unit.nextclick.fake_server import Fake, bad_request, serving

CALLS = (
    "recommend --session-id s",
    "catalogue put clicks.csv",
    "models list",
    "models pause ranker",
    "models resume ranker",
    "models roll-back ranker 3",
)


@pytest.mark.parametrize("words", CALLS)
def test_a_server_that_is_not_up_is_told(mistaken, words):
    """With the ways to start one, and where it was looked for."""
    port = Ports.free().grpc
    said = mistaken(*words.split(), "--grpc-port", str(port))
    check(said, f"127.0.0.1:{port}: no server answers there ... `nextclick up` ... --grpc-port")


@pytest.mark.parametrize("words", CALLS)
def test_a_server_of_an_older_version_is_told(mistaken, words):
    """It lacks what this version asks for."""
    fake = Fake()
    fake.answers = [grpc.StatusCode.UNIMPLEMENTED]
    with serving(fake) as target:
        said = mistaken(*words.split(), "--grpc-port", target.rpartition(":")[2])
    check(said, f"{target}: UNIMPLEMENTED ... of this client's version")


def test_a_replay_that_no_server_answers_ends_before_its_first_click(mistaken, pretended):
    """Each click failed, after three more tries: hours for a file, and the reason at the end."""
    said = mistaken("replay", "clicks.csv", "--recommend")
    check(said, "no server answers there ... `nextclick up`")


def test_a_replay_without_the_token_ends_before_its_first_click(mistaken, monkeypatch, tmp_path):
    """As above."""
    fake = Fake()
    with serving(fake, token="open sesame") as target:
        ports = dataclasses.replace(Ports(), grpc=int(target.rpartition(":")[2]))
        stack = Stack(Home(tmp_path), ports, bound=False)
        monkeypatch.setattr(Stack, "in_folder", classmethod(lambda *_: stack))
        said = mistaken("replay", "clicks.csv", "--recommend")
    check(said, f"{target}: UNAUTHENTICATED ... NEXTCLICK_TOKEN_FILE")
    assert len(fake.methods) == 1


def test_another_program_on_the_port_is_told(mistaken):
    """The HTTP port instead of the gRPC port, for example."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        port = other.server_address[1]
        said = mistaken("recommend", "--session-id", "s", "--grpc-port", str(port))
        other.shutdown()
    check(said, f"127.0.0.1:{port}: no server answers there ... --grpc-port")


def test_a_server_that_hangs_is_told(mistaken, monkeypatch):
    """It is there, but does not answer."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        hasty = partial(server_client, timeout_s=0.5)
        monkeypatch.setattr("cli.recommend.server_client", lambda port, **_: hasty(port))
        said = mistaken("recommend", "--session-id", "s", "--grpc-port", str(port))
    check(said, f"127.0.0.1:{port}: no answer in time ... `nextclick status` ... --grpc-port")


REFUSED = {
    f"recommend --session-id {'s' * 257}": ("session_id", "has 257 bytes; send at most 256"),
    "models pause rankr": ("model", "'rankr' has no learner; send vectors or ranker"),
    "models roll-back ranker 7": ("version", "is not kept; kept versions: 3, 5"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_a_server_refuses_is_told_by_field(mistaken, words):
    """A mistyped model, a version that is not kept."""
    fake = Fake()
    fake.answers = [bad_request(REFUSED[words])]
    with serving(fake) as target:
        said = mistaken(*words.split(), "--grpc-port", target.rpartition(":")[2])
    check(said, "{}: {}".format(*REFUSED[words]))
    assert target not in said[1]


def test_a_version_that_no_server_takes_is_told(mistaken):
    """Nothing is sent."""
    words = ["models", "roll-back", "ranker", "99999999999999999999", "--grpc-port", "50051"]
    check(mistaken(*words), "Value out of range: 99999999999999999999; correct the arguments")


def test_a_job_that_does_not_exist_is_told_with_those_that_do(mistaken, pretended):
    """A mistyped name."""
    for verb in ("submit", "stop"):
        check(mistaken("jobs", verb, "sesions"), "no job 'sesions'; jobs are: ... sessions")


def test_flink_that_does_not_answer_is_told(mistaken, pretended):
    """Its client's traceback has a hundred lines."""
    for verb in ("submit", "stop"):
        check(mistaken("jobs", verb, "sessions"), "Flink does not answer ... `nextclick status`")


def test_a_job_that_runs_or_does_not_is_told(mistaken, pretended, monkeypatch):
    """Two of a kind would fight over offsets."""
    job = {"jid": "7f", "name": "sessions", "state": "RUNNING"}
    monkeypatch.setattr(flink_rest, "known_jobs", lambda _: [job])
    said = mistaken("jobs", "submit", "sessions")
    check(said, "sessions runs already, as 7f; `nextclick jobs stop sessions`")
    monkeypatch.setattr(flink_rest, "known_jobs", lambda _: [])
    check(mistaken("jobs", "stop", "sessions"), "sessions does not run; `nextclick status`")


def test_a_status_of_another_version_is_told(mistaken, pretended, monkeypatch):
    """The package was upgraded under a running stack."""
    old = {"version": "0.0.9", "state": "SERVING", "lag": 0, "scoreboard": {"ranker": {}}}
    monkeypatch.setattr(apps, "server_status", lambda _: old)
    check(mistaken("status"), "of version 0.0.9 ... `nextclick down` and `nextclick up`")


ERRORS = {
    OSError(errno.EROFS, "Read-only file system", "x"): "x: Read-only file system; choose a place",
    OSError(errno.EMFILE, "Too many open files"): "Too many open files; allow more",
    ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"): "`nextclick doctor`",
    KafkaException(KafkaError(KafkaError._TRANSPORT)): "Kafka: ... `nextclick doctor`",
    redis.AuthenticationError("WRONGPASS"): "Redis: WRONGPASS; `nextclick doctor`",
    MemoryError(): "not enough memory",
}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_of_libraries_become_sentences(error):
    """Whichever command they end."""
    for part in ERRORS[error].split(" ... "):
        assert part in sentence_of(error)


def test_a_bug_keeps_its_traceback():
    """A sentence would hide where it is."""
    assert sentence_of(ValueError("a bug")) is None
    with pytest.raises(ValueError, match="a bug"):
        main.tell(ValueError("a bug"))


def test_a_reader_that_has_seen_enough_is_no_error():
    """`nextclick ... | head -1` ended with a traceback of the interpreter."""
    code = (
        "import os, sys; sys.argv = ['nextclick', 'models', '--help']\n"
        "reading, writing = os.pipe(); os.dup2(writing, 1); os.close(reading)\n"
        "from cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
