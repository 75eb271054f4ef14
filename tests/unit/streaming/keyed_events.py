"""Events of one key, as the sessions job gets them."""

from nextclick import Event, encode_event
from nextclick.v1 import session_pb2 as pb
from streaming.raw_record import RawRecord
from streaming.sessionize import RatingThresholds, Update, process

NOW = 1_700_000_000_000
MINUTE = 60_000


class Session:
    """Feeds events of one key, as the Flink operator does."""

    def __init__(self, ratings=None):
        self.state = None
        self.offset = 0
        self.ratings = ratings or RatingThresholds()

    def send(self, kind="view", item="a", at=0, *, now=None, replayed=False, key=None, **fields):
        """Send an event ``at`` minutes after NOW, appended at that time; returns the outcome."""
        fields = {"session_id": "s", **fields}
        event = Event(kind, item, NOW + int(at * MINUTE), **fields)
        append = NOW + int((at if now is None else now) * MINUTE)
        raw = encode_event(event)
        return self.feed(raw, (key or event.key).encode(), append, replayed)

    def feed(self, raw, key=b"s", append=NOW, replayed=False):
        record = RawRecord(raw, key, "events", 0, self.offset, append, replayed)
        self.offset += 1
        self.state, outcome = process(self.state, record, self.ratings)
        if not isinstance(outcome, Update):
            return outcome
        return pb.SessionRecord.FromString(outcome.record)


def items(record):
    return [step.item_id for step in record.steps]
