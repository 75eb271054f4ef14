"""Mistyped words, wrong files and folders end with a sentence that says what to do next.

Never with a traceback; so do all others in ``test_mistakes_of_*.py``.
"""

import errno
import types

import psutil
import pytest

from cli import interrupt
from cli.live import history
from cli.stack.layout import Child, Home, Ports
from cli.stack.stack import Stack
from tests.unit.cli.mistakes import check

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
    "similar a --by looks": "--by ... behaviour",
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
    "backup create": "Missing argument ... where",
    "backup create s3://": "s3:// names no bucket; write s3://BUCKET/PREFIX",
    "backup create gs://shop": "gs://shop is no place for backups; give a folder, or s3://BUCKET",
    "backup create folder --keep 0": "--keep ... greater than or equal to 1",
    "backup create folder --data-dir folder": "folder has no snapshot ... NEXTCLICK_DATA_DIR",
    "backup restore folder": "folder has no whole backup; `nextclick backup create` makes one",
    "backup restore folder --home folder": "folder is not empty: move it away, or choose another",
}
"""Command line, and parts of the sentence."""

NEEDS_A_STACK = (
    "status",
    "replay clicks.csv",
    "import clicks.csv",
    "jobs submit sessions",
    "jobs stop sessions",
    "backup create backups",
)


@pytest.mark.parametrize("words", WORDS)
def test_a_mistyped_word_or_number_is_named(mistaken, words):
    """Usage errors name the option, what it takes, and where the help is."""
    check(mistaken(*words.split()), WORDS[words])


@pytest.mark.parametrize("words", NEEDS_A_STACK)
def test_commands_without_a_stack_say_how_to_start_one(mistaken, words):
    """A newcomer's first mistake."""
    check(mistaken(*words.split()), NO_STACK)


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


@pytest.mark.parametrize("file", UNREADABLE)
@pytest.mark.parametrize("reader", READERS)
def test_a_wrong_file_is_named_with_what_is_wrong(mistaken, pretended, reader, file):
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
    "evaluate --train clicks.csv --items sizes.csv": "sizes.csv: no column of items is known",
    "evaluate --train clicks.csv --items empty.csv": "cannot read empty.csv: it is empty",
    "evaluate --train clicks.csv --items short.txt": "short.txt:2: it has no CatId",
    "evaluate --train clicks.csv --items binary.bin": "cannot read binary.bin: it is not text",
    "evaluate --train clicks.csv --ranks no/ranks": "no/ranks: No such file or directory; check",
    "evaluate --train clicks.csv --ranks folder": "'folder' is a directory",
    "evaluate --train clicks.csv --compare --chart no/c.svg": "no/c.svg: No such file or directory",
    "evaluate --train clicks.csv --chart c.svg": "add --compare",
    "evaluate --train clicks.csv --compare --ranks r": "leave out --compare",
    "evaluate --train clicks.csv --users --compare": "--users compares the ranker with itself",
    "results --data nofile": "'nofile' does not exist",
    "results --data folder --page page.md": "folder has none of the folders ... give the folder",
    "results --data folder --page no/page.md": "no/page.md: No such file or directory; check",
    "bench index --data nofile": "'nofile' does not exist",
    "bench serving --data folder": "'folder' is a directory",
    "bench frontier --train nofile": "'nofile' does not exist",
}


@pytest.mark.parametrize("words", USES)
def test_a_wrong_use_is_told_before_the_work(mistaken, pretended, words):
    """Half an hour of evaluation ended with a path that could not be written."""
    check(mistaken(*words.split()), USES[words])


def test_a_full_disk_is_told(mistaken, monkeypatch):
    """The traceback ended in the depth of a library."""
    cases = types.SimpleNamespace(session_ids=["s"], positions=[2], ranks=[1])
    monkeypatch.setattr("cli.evaluate.evaluate_ranking", lambda *_: ({}, cases))
    said = mistaken("evaluate", "--train", "clicks.csv", "--ranks", "/dev/full")
    check(said, "No space left on device; make room on the disk")


def test_an_import_whose_record_is_damaged_says_what_to_delete(mistaken, pretended, tmp_path):
    """Otherwise it could never be continued nor begun anew."""

    class Broken(Acknowledging):
        def produce(self, *_, **__):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "Producer", lambda _: Broken())
        assert mistaken("import", "clicks.csv")[0] == interrupt.INTERRUPTED
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

    def purge(self):
        pass


@pytest.mark.parametrize("command", ["replay", "import"])
def test_a_broker_that_acknowledges_nothing_is_told(mistaken, pretended, monkeypatch, command):
    """People would take the history for sent."""
    silent = Acknowledging()
    silent.flush = lambda _: 30
    monkeypatch.setattr(history, "Producer", lambda _: silent)
    check(mistaken(command, "clicks.csv"), "acknowledged 30 of 30 events ... `nextclick status`")


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


def test_parts_of_another_user_are_told(mistaken, monkeypatch, tmp_path):
    """`down` as the wrong user ended in the depth of a library."""

    def stop(_):
        raise psutil.AccessDenied(7)

    me = psutil.Process()
    stack = Stack(Home(tmp_path), Ports(), bound=False)
    stack.children = [Child("kafka", me.pid, me.create_time())]
    monkeypatch.setattr(Stack, "running", classmethod(lambda *_: stack))
    monkeypatch.setattr(Stack, "stop", stop)
    check(mistaken("down"), "process 7 belongs to another user ... --home")
