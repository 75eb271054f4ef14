"""Sessions of users, as the sessions job gets them: from events to records of `profiles`."""

from nextclick import Event, encode_event
from nextclick.limits import PROFILE_LIFE_MS
from nextclick.topics import PROFILES
from nextclick.v1.profile_pb2 import Profile
from streaming.output import Handover, Output, Wake
from streaming.profiles import process, wake
from streaming.raw_record import RawRecord
from streaming.session_outputs import to_outputs
from streaming.sessionize import RatingThresholds

NOW = 1_700_000_000_000
MINUTE = 60_000
DAY = 24 * 60


class Job:
    """Both parts of the sessions job, with states by key and timers; times are minutes after NOW.

    The clock of Flink is that of the broker, ``now``, unless the test moves it with ``pass_to``.
    """

    def __init__(self, life_ms=PROFILE_LIFE_MS):
        self.life_ms = life_ms
        self.sessions = {}
        self.users = {}
        self.timers = {}
        self.now = NOW
        self.offset = 0
        self.log = []
        """What was published to `profiles`: user and record, None for a tombstone."""

    def send(self, item="a", at=0, kind="view", *, session="s", user="u", **fields):
        """An event, and what the profile of its user is then as readers have it."""
        self.pass_to(at)
        event = Event(
            kind, item, NOW + int(at * MINUTE), session_id=session, user_id=user, **fields
        )
        return self.feed(encode_event(event), event.key, user)

    def erase(self, session="s", at=None, user="u"):
        """The tombstone that erases a session."""
        if at is not None:
            self.pass_to(at)
        return self.feed(b"", session, user)

    def put_user(self, value, at=None, user="u"):
        """A record of `users`."""
        if at is not None:
            self.pass_to(at)
        raw = RawRecord(value, user.encode(), "users", 0, self._next(), self.now)
        self.hand(user, raw)
        return self.profile(user)

    def feed(self, value, key, user):
        raw = RawRecord(value, key.encode(), "events", 0, self._next(), self.now, True)
        state = self.sessions.get(key)
        self.sessions[key], outputs = to_outputs(state, raw, RatingThresholds())
        for output in outputs:
            if isinstance(output, Handover):
                self.hand(output.key, output.record)
        return self.profile(user)

    def hand(self, user, raw):
        """A record to the second part."""
        before = self.users.get(user)
        self.users[user], outputs = process(before, raw, self.now, self.life_ms)
        self._take(user, outputs)

    def pass_to(self, at):
        """Let time go on; timers that come due on the way are called."""
        end = NOW + int(at * MINUTE)
        while due := [(t, user) for user, times in self.timers.items() for t in times if t <= end]:
            self.now, user = min(due)
            self.timers[user].remove(self.now)
            self.users[user], outputs = wake(self.users.get(user), self.now, self.life_ms)
            self._take(user, outputs)
        self.now = end

    def profile(self, user="u"):
        """The profile as a reader of the whole topic has it, None if there is none."""
        records = [record for key, record in self.log if key == user]
        return records[-1] if records else None

    def _next(self):
        self.offset += 1
        return self.offset

    def _take(self, user, outputs):
        for output in outputs:
            if isinstance(output, Wake):
                times = self.timers.setdefault(user, set())
                times.discard(output.instead_of_ms)
                times.add(output.at_ms)
            else:
                assert isinstance(output, Output)
                assert (output.topic, output.key) == (PROFILES, user.encode())
                record = Profile.FromString(output.value) if output.value else None
                self.log.append((user, record))


def items(profile):
    return [item.item_id for item in profile.items] if profile else []


def marked(marks):
    return [mark.item_id for mark in marks]
