"""What a learner reads has the limits that docs/operating.md names."""

import pytest

from nextclick.limits import MAX_COMMAND_BYTES, MAX_EXAMPLE_BYTES
from nextclick.topics import COMMANDS, RANKER_MODEL
from nextclick.v1 import learning_pb2 as pb
from records import example
from records.errors import RecordError
from streaming.raw_record import RawRecord
from streaming.tasks.task import Progress


def unknown(n):
    """Fields of a number that no message has, a byte each besides their tag."""
    return b"\xf8\x07\x00" * n


def test_an_example_that_is_too_large_is_not_parsed():
    """The docs say that it is passed over: parsing it would hold the ranker job up."""
    small = pb.Example(session_id="s").SerializeToString()
    assert example.parse(small + unknown(100)).session_id == "s"
    with pytest.raises(RecordError):
        example.parse(small + unknown(MAX_EXAMPLE_BYTES // 3))


def test_a_command_that_is_too_large_is_not_executed():
    """The docs say that it is passed over, like any record beyond its limit."""
    pause = pb.LearnerCommand(kind=pb.LearnerCommand.KIND_PAUSE).SerializeToString()
    for value, paused in ((pause + unknown(MAX_COMMAND_BYTES // 3), False), (pause, True)):
        progress = Progress(RANKER_MODEL)
        progress.command(RawRecord(value, RANKER_MODEL.encode(), COMMANDS, 0, 0, 0))
        assert progress.paused is paused
