"""Backups in a folder and in S3: whole or none, checked when they are read, removed by age."""

import errno
import hashlib
import io
import os
import resource
import shutil
import tarfile
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import pytest
from pyarrow import fs

from cli.backups import backup as backups
from cli.backups.archive import Entry
from cli.backups.place import Place
from cli.errors import CommandError
from tests.unit.cli.places_of_backups import s3

NAMES = [f"backup-2026110{day}T030000Z" for day in range(1, 6)]


@pytest.fixture(scope="module")
def bucket():
    """A bucket of a server that speaks S3."""
    with s3("backups") as url:
        yield url


@pytest.fixture(params=["folder", "s3"])
def where(request, tmp_path):
    """A place without backups."""
    if request.param == "folder":
        return str(tmp_path / "backups")
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"


@pytest.fixture
def place(where):
    return Place(where)


@pytest.fixture
def entries(tmp_path):
    """Files of all kinds: empty, of zeros, larger than what is read at once, in folders."""
    made = {
        "kafka/data/meta.properties": b"version=1\n",
        "kafka/data/sessions-0/00000000000000000000.log": os.urandom(3 << 20),
        "server/snapshot-000001/models/rules.npy": bytes(2 << 20),
        "server/snapshot-000001/nextclick-snapshot": b"",
    }
    for name, raw in made.items():
        (tmp_path / "home" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "home" / name).write_bytes(raw)
    return [Entry(name, tmp_path / "home" / name, len(raw)) for name, raw in made.items()]


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def objects(where):
    """What a place holds: path of each file in it, below a file system."""
    if where.startswith("s3://"):
        url = os.environ["AWS_ENDPOINT_URL"]
        files, root = fs.S3FileSystem(endpoint_override=url), where.removeprefix("s3://")
    else:
        files, root = fs.LocalFileSystem(), where
    found = files.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
    return files, [file.path for file in found if file.is_file]


def made(place, entries, *names):
    return [backups.create(place, name, "stack", "1.2.3", entries) for name in names]


def test_what_was_backed_up_comes_back(place, entries, tmp_path):
    """The promise."""
    (backup,) = made(place, entries, NAMES[0])
    assert backup.size == sum(entry.size for entry in entries)
    shutil.rmtree(tmp_path / "home")
    assert backups.find(place, None) == backup
    backups.restore(place, backup, tmp_path / "again")
    found = files_of(tmp_path / "again")
    assert set(found) == {entry.name for entry in entries}
    assert {name: hashlib.sha256(raw).hexdigest() for name, raw in found.items()} == {
        name: held.sha256 for name, held in backup.files.items()
    }
    assert not list(tmp_path.glob("again.*"))


def test_bytes_that_were_appended_later_are_left_out(place, entries, tmp_path):
    """The broker goes on writing while its files are read."""
    log = entries[1]
    before = log.path.read_bytes()
    with log.path.open("ab") as file:
        file.write(b"later")
    (backup,) = made(place, entries, NAMES[0])
    backups.restore(place, backup, tmp_path / "again")
    assert (tmp_path / "again" / log.name).read_bytes() == before


def test_an_interrupted_backup_is_none(place, where, entries):
    """Whatever ends it: what is there of it must not be taken for the newest."""
    first = made(place, entries, NAMES[0])[0]

    def broken():
        yield entries[0]
        assert backups.all_of(place).get(NAMES[1]) is None
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backups.create(place, NAMES[1], "stack", "1.2.3", broken())
    assert list(backups.all_of(place)) == [NAMES[0]]
    assert len(objects(where)[1]) == 2
    with place.writing(NAMES[2], backups.ARCHIVE) as out:  # it was killed
        out.write(b"half")
    assert backups.all_of(place) == {NAMES[0]: first, NAMES[2]: None}
    assert backups.find(place, None) == first
    with pytest.raises(CommandError, match=r"no whole backup .*`nextclick backup list`"):
        backups.find(place, NAMES[2])


@pytest.mark.parametrize(
    "manifest",
    [
        b'{"format": 1, "version',
        b"[]",
        b'{"format": 1}',
        b'{"format": 1, "version": "1.2.3", "kind": "stack", "files": []}',
    ],
)
def test_a_torn_manifest_makes_no_backup(place, manifest):
    """It is written in place in a folder."""
    for file, raw in ((backups.ARCHIVE, b""), (backups.MANIFEST, manifest)):
        with place.writing(NAMES[0], file) as out:
            out.write(raw)
    assert backups.all_of(place) == {NAMES[0]: None}


def test_a_manifest_without_its_files_makes_no_backup(place, entries):
    """Counted as one, it would take the place of one that can be restored."""
    first = made(place, entries, NAMES[0])[0]
    with place.reading(NAMES[0], backups.MANIFEST) as stream:
        manifest = stream.read()
    with place.writing(NAMES[1], backups.MANIFEST) as out:
        out.write(manifest)
    assert backups.all_of(place) == {NAMES[0]: first, NAMES[1]: None}
    assert backups.prune(place, 1) == []


def test_a_backup_of_another_version_is_named_and_stands_in_nobodys_way(place, entries):
    """It would be restored wrongly. The version before goes on with its own, after an upgrade that
    was taken back."""
    first = made(place, entries, NAMES[0])[0]
    with place.writing(NAMES[1], backups.MANIFEST) as out:
        out.write(b'{"format": 2, "version": "9.0"}')
    with pytest.raises(CommandError, match=r"another version of nextclick, 9\.0: use that one"):
        backups.find(place, None)
    assert backups.find(place, NAMES[0]) == first
    assert made(place, entries, NAMES[2])[0].readable
    assert backups.prune(place, 3) == []
    assert backups.prune(place, 2) == [NAMES[0]]


def flipped(raw):
    return raw[: len(raw) // 2] + bytes([raw[len(raw) // 2] ^ 1]) + raw[len(raw) // 2 + 1 :]


@pytest.mark.parametrize("damage", [flipped, lambda raw: raw[: len(raw) // 2], lambda _: b""])
def test_a_damaged_backup_is_refused_and_nothing_is_left(place, entries, tmp_path, damage):
    """A stack that starts from half of its files would learn and answer wrongly."""
    (backup,) = made(place, entries, NAMES[0])
    with place.reading(NAMES[0], backups.ARCHIVE) as stream:
        raw = stream.read()
    with place.writing(NAMES[0], backups.ARCHIVE) as out:
        out.write(damage(raw))
    with pytest.raises(CommandError, match=r"is damaged: .* nothing was restored"):
        backups.restore(place, backup, tmp_path / "again")
    assert not list(tmp_path.glob("again*"))


def test_a_backup_that_lost_its_end_in_the_storage_is_damaged(place, where, entries, tmp_path):
    """A copy that broke off leaves it: the storage is well, and so are its keys."""
    (backup,) = made(place, entries, NAMES[0])
    files, paths = objects(where)
    (archive,) = (path for path in paths if path.endswith(backups.ARCHIVE))
    with files.open_input_stream(archive, compression=None) as stream:
        raw = stream.read()
    with files.open_output_stream(archive, compression=None) as out:
        out.write(raw[: len(raw) // 2])
    with pytest.raises(CommandError, match=r"is damaged: .* nothing was restored"):
        backups.restore(place, backup, tmp_path / "again")


def test_an_archive_opens_with_any_tool(place, where, entries):
    """`tar --zstd -x` gets the files back where nextclick cannot be installed any more."""
    made(place, entries, NAMES[0])
    files, paths = objects(where)
    (archive,) = (path for path in paths if path.endswith(backups.ARCHIVE))
    with (
        files.open_input_stream(archive, compression="zstd") as stream,
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        assert tar.getnames() == [entry.name for entry in entries]


def test_files_of_another_backup_are_refused(place, entries, tmp_path):
    """Every byte is whole, and yet it is not what the manifest says."""
    two = made(place, entries, NAMES[0])[0], made(place, entries[:2], NAMES[1])[0]
    for archive_of, manifest_of in (two, two[::-1]):
        with place.reading(archive_of.name, backups.ARCHIVE) as stream:
            raw = stream.read()
        with place.writing(NAMES[2], backups.ARCHIVE) as out:
            out.write(raw)
        mixed = backups.Backup(NAMES[2], "stack", "1.2.3", manifest_of.files)
        with pytest.raises(CommandError, match=r"is not (in its archive|among the files)"):
            backups.restore(place, mixed, tmp_path / "again")


def test_a_file_that_lies_outside_is_refused(tmp_path, entries):
    """Whoever can write to the storage must not write to the rest of the disk."""
    place = Place(str(tmp_path / "backups"))
    outside = [Entry("../outside", entries[0].path, entries[0].size)]
    (backup,) = made(place, outside, NAMES[0])
    with pytest.raises(CommandError, match="is no file of a backup"):
        backups.restore(place, backup, tmp_path / "again")
    assert not (tmp_path / "outside").exists()


def test_a_file_that_became_shorter_is_told(place, entries):
    """A broker that died and came back may cut what it had not written in full."""
    short = entries[1]._replace(size=entries[1].size + 1)
    with pytest.raises(CommandError, match=r"has become shorter .* back up again"):
        made(place, [short], NAMES[0])
    assert backups.all_of(place) == {}


def test_a_place_that_takes_no_more_is_told_as_what_it_is(place, entries, monkeypatch):
    """A disk that was full was told as a file of Kafka's that had become shorter."""
    full = mock.Mock(wraps=io.BytesIO())
    full.write.side_effect = [OSError(errno.ENOSPC, "No space left on device"), *(100 * [1])]
    monkeypatch.setattr(place, "writing", lambda *_: nullcontext(full))
    with pytest.raises(OSError, match="No space left"):
        made(place, entries, NAMES[0])


@pytest.fixture
def small_files():
    """No file may have more than a mebibyte: an error of the disk, while it is written."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_takes_no_more_is_named(place, entries, tmp_path, request):
    """Not as an error of the storage, whose address and keys somebody would then look at."""
    (backup,) = made(place, entries, NAMES[0])
    request.getfixturevalue("small_files")
    with pytest.raises(OSError, match=r"File too large: '.*again.*00000\.log'"):
        backups.restore(place, backup, tmp_path / "again")
    assert not list(tmp_path.glob("again*"))


def test_a_folder_of_backups_that_takes_no_more_is_named(tmp_path, entries, small_files):
    """There may be several disks."""
    with pytest.raises(OSError, match=r"File too large: '.*/backups'"):
        made(Place(str(tmp_path / "backups")), entries, NAMES[0])
    assert backups.all_of(Place(str(tmp_path / "backups"))) == {}


def test_a_clock_that_was_set_back_costs_no_backup(place, entries):
    """By its name the new one would be the oldest: not the one restored, and the first to go."""
    made(place, entries, NAMES[1])
    with pytest.raises(CommandError, match=r"is not older than .*: set the clock right"):
        made(place, entries, NAMES[0])
    assert list(backups.all_of(place)) == [NAMES[1]]


def test_a_name_is_given_once(place, entries):
    """Two stacks that share a place by mistake would mix their files."""
    made(place, entries, NAMES[0])
    with pytest.raises(CommandError, match=r"has a backup-.* already"):
        made(place, entries, NAMES[0])
    assert backups.find(place, NAMES[0]).size


def test_only_the_newest_are_kept(place, where, entries):
    """Storage is paid for; what is not ours, or just being written, is not touched."""
    made(place, entries[:1], *NAMES[1:4])
    for name in (NAMES[0], NAMES[4]):
        with place.writing(name, backups.ARCHIVE) as out:
            out.write(b"half")
    with place.writing("backup-mine", "notes.txt") as out:
        out.write(b"mine")
    assert backups.prune(place, 3) == [NAMES[0]]
    assert backups.prune(place, 2) == [NAMES[1]]
    assert backups.prune(place, 2) == []
    assert [name for name, one in backups.all_of(place).items() if one] == NAMES[2:4]
    held = {path.rpartition("/backup-")[2] for path in objects(where)[1]}
    ours = {f"{n.removeprefix('backup-')}/{f}" for n in NAMES[2:4] for f in FILES}
    assert held == ours | {f"{NAMES[4].removeprefix('backup-')}/{backups.ARCHIVE}"} | {
        "mine/notes.txt"
    }


FILES = (backups.ARCHIVE, backups.MANIFEST)


def test_a_folder_that_is_in_use_is_refused(tmp_path, entries):
    """What is restored would mix with what is there."""
    place = Place(str(tmp_path / "backups"))
    (backup,) = made(place, entries, NAMES[0])
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "mine").touch()
    with pytest.raises(CommandError, match="is not empty: move it away"):
        backups.restore(place, backup, tmp_path / "again")
    assert files_of(tmp_path / "again") == {"mine": b""}
    (tmp_path / "again" / "mine").unlink()
    backups.restore(place, backup, tmp_path / "again")
    assert len(files_of(tmp_path / "again")) == len(entries)


def test_a_snapshot_is_restored_into_a_volume(tmp_path, entries, monkeypatch):
    """A data folder is a mount point, most often, and nothing beside it may be written."""
    place, folder = Place(str(tmp_path / "backups")), tmp_path / "lib" / "server"
    backup = backups.create(place, NAMES[0], "snapshot", "1.2.3", entries[3:])
    (folder / "lost+found").mkdir(parents=True)
    before = folder.parent.stat().st_mtime_ns, folder.stat().st_ino
    backups.restore(place, backup, folder)
    assert (folder.parent.stat().st_mtime_ns, folder.stat().st_ino) == before
    assert {path.name for path in folder.iterdir()} == {"lost+found", "server"}


def test_a_stack_is_not_restored_onto_a_mount_point(tmp_path, entries, monkeypatch):
    """It could not appear there as a whole; that is said before gigabytes are read."""
    place = Place(str(tmp_path / "backups"))
    (backup,) = made(place, entries, NAMES[0])
    monkeypatch.setattr(os.path, "ismount", lambda _: True)
    with pytest.raises(CommandError, match="is a mount point: choose a folder in it"):
        backups.restore(place, backup, tmp_path / "again")


@pytest.mark.parametrize("where", ["", "s3:/bucket/x", "s3:bucket"])
def test_a_mistyped_place_is_not_taken_for_a_folder(where):
    """Backups would lie on the disk that they are to outlive."""
    with pytest.raises(CommandError, match="is no place for backups"):
        Place(where)


def test_a_bucket_that_is_not_there_is_told(bucket, entries):
    """Most often it is misspelt, or at another address."""
    with pytest.raises(CommandError, match=r"s3://other/x: .*AWS_ENDPOINT_URL says where"):
        made(Place("s3://other/x"), entries, NAMES[0])
