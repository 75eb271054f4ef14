"""Gives a task its records, but for those that it cannot use: these are counted and passed over.

One place for all tasks and topics: a record is compared with its topic's limits before a task sees
it, and a task raises what is wrong with one that is not what its topic holds.
"""

from __future__ import annotations

from nextclick.codec import InvalidEventError
from nextclick.topics import topic
from records.errors import RecordError
from records.limited import check_size
from records.refused import INVALID, TOO_LARGE, Refused, RefusedRecords
from streaming.raw_record import RawRecord
from streaming.tasks.task import StreamTask


def apply_checked(
    task: StreamTask, record: RawRecord, refused: RefusedRecords, tenant: str = ""
) -> None:
    """Have a task apply a record, or add the record to those that were refused.

    Parameters
    ----------
    task
        The task.
    record
        A record of one of its topics.
    refused
        Those passed over so far.
    tenant
        Prefix of the topics.
    """
    reason = TOO_LARGE
    try:
        check_size(record.topic.removeprefix(topic("", tenant)), record.key, record.value)
        reason = INVALID
        task.apply(record)
    except (RecordError, InvalidEventError) as e:
        refused.add(Refused(record.topic, record.partition, record.offset, reason, str(e)))
