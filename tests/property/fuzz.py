"""Records as large as they may be, and bytes that are nearly such."""

import random
import time
from array import array

import numpy as np

from nextclick import (
    Context,
    Event,
    Item,
    User,
    encode_event,
    encode_item,
    encode_user,
)
from nextclick.convert import context_to_proto
from nextclick.limits import (
    MAX_ATTRIBUTES,
    MAX_CATEGORIES,
    MAX_DISLIKED_ITEMS,
    MAX_EMBEDDING,
    MAX_LIKED_ITEMS,
    MAX_MERGED_SESSIONS,
    MAX_MESSAGE_BYTES,
    MAX_NUMBERS,
    MAX_PAGE,
    MAX_PURCHASED_ITEMS,
    MAX_RANKINGS,
    PROFILE_ITEMS,
    SCORED_ITEMS,
    SESSION_STEPS,
)
from nextclick.topics import (
    COMMANDS,
    DEAD_LETTERS,
    EVENTS,
    EXAMPLES,
    IMPRESSIONS,
    ITEMS,
    PROFILES,
    RANKER,
    RANKER_MODEL,
    SCOREBOARD,
    SESSIONS,
    TOPICS,
    USERS,
    VECTORS,
    VECTORS_MODEL,
)
from nextclick.v1 import learning_pb2, scoreboard_pb2
from nextclick.v1.impression_pb2 import Impression, ShadowAnswer
from nextclick.v1.profile_pb2 import Profile, ProfileItem, ProfileMark, ProfileSession
from nextclick.v1.session_pb2 import SessionRecord, Step
from online_models.ranking.candidates import CANDIDATES
from online_models.ranking.features.registry import N_FEATURES, SCHEMA
from records import example, item_vectors
from records.session_life import Applied
from server.kafka.acked_producer import Outcome
from server.replica.followed_topics import FOLLOWED
from tests.processor_time import floor_seconds

NOW_MS = 1_700_000_000_000

READ_BY_REPLICAS = (*(followed.name for followed in FOLLOWED), DEAD_LETTERS)
"""Topics of which a replica applies the records, and that of which it counts them."""

RUNS = 4
"""The most runs by which `longest` judges."""


class NoKafka:
    """Acknowledges all records, and keeps none."""

    def put(self, topic, records, timeout_s):
        return [Outcome("")] * len(records)


class Fuzz:
    """Makes records, and keeps what applying each takes."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.took, self.names = array("d"), []
        """Processor time of each step, in seconds, and what it was."""

    def note(self, name, seconds):
        self.took.append(seconds)
        self.names.append(name)

    def measured(self, name, work):
        started = time.thread_time()
        try:
            return work()
        finally:
            self.note(name, time.thread_time() - started)

    def fuzzed(self, topic):
        """Return key and value of a record, most of them not as they should be; or a tombstone."""
        key, value = self.record(topic)
        if self.random.random() < 0.05:
            value = None
        else:
            value = self.mutated(value, TOPICS[topic].max_value_bytes or MAX_MESSAGE_BYTES)
        if self.random.random() < 0.05:
            key = self.random.randbytes(self.random.choice([0, 10, 100_000]))
        return key, value

    def name(self, kind, n=40):
        name = f"{kind}{self.random.randrange(n)}"
        return name + "x" * (256 - len(name)) if self.random.random() < 0.02 else name

    def items(self, n):
        return [self.name("i") for _ in range(self.random.randint(1, n))]

    def context(self):
        """Return a context: of few values, of many long ones, or none."""
        kind = self.random.randrange(3)
        if kind == 0:
            return Context()
        if kind == 1:
            return Context(self.name("d", 3)[:64], self.name("c", 9)[:64], "", self.name("r")[:256])
        return Context(*(str(self.random.random()) for _ in range(4)))

    def record(self, topic):
        """Return key and value of a valid record, most of them as large as they may be."""
        pick = self.random
        if topic == SESSIONS:
            first = pick.randrange(1 << 20)
            life = pick.choice([0, NOW_MS])
            steps = [
                Step(
                    item_id=item,
                    seq=first + n,
                    timestamp_ms=1_000 * (first + n),
                    appended_ms=life and life + first + n,
                    type=n % 8,
                    strengthened_seq=pick.choice([0, first + n + 1]),
                    recommendation_id=pick.choice(["", self.name("r")]),
                    position=n,
                )
                for n, item in enumerate(self.items(SESSION_STEPS))
            ]
            session = SessionRecord(
                session_id=self.name("s"),
                user_id=self.name("u"),
                version=first + len(steps) - 1,
                steps=steps,
                hidden_item_ids=self.items(50),
                context=context_to_proto(self.context()),
                applied=pick.randrange(99),
                duplicates=pick.randrange(9),
                step_count=len(steps) + pick.randrange(9),
                first_timestamp_ms=1_000 * first,
                last_timestamp_ms=1_000 * (first + len(steps) - 1),
                incarnation=life and life + pick.randrange(first + 1),
                appended_ms=life and life + first + len(steps) - 1,
            )
            return session.session_id.encode(), session.SerializeToString()
        item = self.name("i")
        if topic == ITEMS:
            return item.encode(), encode_item(self.item(item))
        if topic == VECTORS:
            both = np.random.default_rng(pick.randrange(1 << 30)).normal(size=(2, 64))
            vectors = item_vectors.ItemVectors(*both.astype(np.float32), 1, [1] * 4)
            return item.encode(), item_vectors.encode(vectors)
        if topic == RANKER:
            state = learning_pb2.LearnerState(version=1, kept_versions=range(20))
            return RANKER_MODEL.encode(), state.SerializeToString()
        if topic in (EVENTS, IMPRESSIONS, EXAMPLES, COMMANDS, DEAD_LETTERS, PROFILES, USERS):
            return self.record_of_jobs(topic)
        assert topic == SCOREBOARD
        name = pick.choice(["blend", "ranker"])
        window = scoreboard_pb2.ScoreWindow(size=1_000, at=[scoreboard_pb2.CutoffScores(k=5)] * 3)
        score = scoreboard_pb2.Score(model=name, cases=9, windows=[window] * 2)
        return name.encode(), score.SerializeToString()

    def item(self, item_id):
        """Return an item of the catalogue, most of them as large as they may be."""
        pick = self.random
        if pick.random() < 0.1:
            return Item(item_id, deleted=True)
        opens, closes = (pick.choice([0, NOW_MS + pick.randrange(-9, 10)]) for _ in range(2))
        return Item(
            item_id,
            available=pick.random() < 0.9,
            categories=tuple(f"c{pick.randrange(30)}" for _ in range(MAX_CATEGORIES)),
            attributes={f"k{n}": f"{pick.randrange(9)}" * 200 for n in range(MAX_ATTRIBUTES)},
            title="a word " * 140,
            kind=pick.choice(["", "film", "song"]),
            description="of many words " * pick.choice([0, 580]),
            numbers={f"n{n}": float(pick.randrange(9)) for n in range(MAX_NUMBERS)},
            image_url=pick.choice(["", "https://a.shop/" + "x" * 2_000]),
            page_url=pick.choice(["", "https://a.shop/" + "y" * 2_000]),
            available_from_ms=opens,
            available_until_ms=max(closes, opens + 1) if closes else 0,
            embedding=[pick.random()] * pick.choice([0, MAX_EMBEDDING]),
        )

    def record_of_users(self, topic):
        """Return key and value of a valid record of a user."""
        if topic == PROFILES:
            made = self.profile()
            return made.user_id.encode(), made.SerializeToString()
        user_id, pick = self.name("u", 400), self.random
        more = {f"k{n}": "v" * 200 for n in range(pick.choice([0, 32]))}
        segments = tuple(f"g{n}" for n in range(pick.randrange(17)))
        user = User(user_id, more, segments, pick.random() < 0.9, pick.random() < 0.1)
        return user_id.encode(), encode_user(user)

    def profile(self):
        """Return a profile, most of them as large as they may be."""
        pick = self.random
        items = self.items(PROFILE_ITEMS)
        marks = {"purchased": MAX_PURCHASED_ITEMS, "liked": MAX_LIKED_ITEMS}
        marks["disliked"] = MAX_DISLIKED_ITEMS
        return Profile(
            user_id=self.name("u"),
            version=pick.randrange(1 << 20),
            incarnation=pick.choice([0, NOW_MS]),
            appended_ms=NOW_MS + pick.randrange(1 << 20),
            items=[
                ProfileItem(
                    item_id=item,
                    steps=2,
                    sessions=pick.randrange(3),
                    last_timestamp_ms=n,
                    weight=1,
                    type=n % 8,
                )
                for n, item in enumerate(items)
            ],
            sessions=pick.randrange(9),
            steps=pick.randrange(1 << 40),
            repeated_steps=pick.randrange(1 << 40),
            first_timestamp_ms=pick.randrange(NOW_MS),
            last_timestamp_ms=pick.randrange(NOW_MS),
            merged=[
                ProfileSession(
                    session_id=self.name("s"), incarnation=NOW_MS, version=n, appended_ms=NOW_MS
                )
                for n in range(MAX_MERGED_SESSIONS)
            ],
            **{
                name: [ProfileMark(item_id=item, timestamp_ms=1) for item in self.items(most)]
                for name, most in marks.items()
            },
        )

    def record_of_jobs(self, topic):
        """Return key and value of a valid record of another topic."""
        pick = self.random
        if topic in (PROFILES, USERS):
            return self.record_of_users(topic)
        session_id = self.name("s")
        if topic in (EVENTS, DEAD_LETTERS):
            kind = pick.choice(["view", "purchase", "rating", "dislike", "unknown"])
            event = Event(
                kind,
                self.name("i"),
                NOW_MS + pick.randrange(1_000_000),
                session_id=session_id,
                user_id=pick.choice(["", self.name("u")]),
                event_id=str(pick.randrange(1_000)),
                properties={f"k{n}": "v" * 1_000 for n in range(pick.choice([0, 32]))},
                context=self.context(),
                value=pick.choice([None, 1.0, 5.0]),
                recommendation_id=pick.choice(["", self.name("r")]),
                position=pick.randrange(9),
            )
            return session_id.encode(), encode_event(event)
        if topic == IMPRESSIONS:
            models = [f"m{n}" for n in range(MAX_RANKINGS)]
            shadows = [
                ShadowAnswer(
                    model=model,
                    item_ids=self.items(SCORED_ITEMS),
                    scores=[1] * 20,
                    diversity=pick.random(),
                    popularity=pick.random(),
                )
                for model in models
            ]
            answer = Impression(
                recommendation_id=self.name("r"),
                session_id=session_id,
                session_version=pick.randrange(1 << 20),
                item_ids=self.items(MAX_PAGE),
                scores=[1] * SCORED_ITEMS,
                appended_item_ids=self.items(SESSION_STEPS),
                model=pick.choice(models),
                shadows=shadows,
                model_version=pick.randrange(1 << 40),
                timestamp_ms=NOW_MS,
                known_items=pick.randrange(SESSION_STEPS),
                diversity=pick.choice([None, 0.5]),
                popularity=pick.choice([None, 0.5]),
                policy=pick.choice(["", "p"]),
                propensities=[0.5] * pick.choice([0, MAX_PAGE]),
                session_incarnation=NOW_MS,
            )
            return session_id.encode(), answer.SerializeToString()
        if topic == EXAMPLES:
            n = pick.choice([2, CANDIDATES])
            rng = np.random.default_rng(pick.randrange(1 << 30))
            features = rng.normal(size=(N_FEATURES, n)).astype(np.float32)
            seq = pick.randrange(1 << 20)
            if pick.random() < 0.3:  # as the versions before wrote it, with the candidates' ids
                former = learning_pb2.Example(
                    feature_schema=SCHEMA,
                    session_id=session_id,
                    seq=seq,
                    item_ids=[self.name("i") for _ in range(n)],
                    features=example.pack_features(features),
                    target=n,
                )
                return session_id.encode(), former.SerializeToString()
            click = Applied(NOW_MS, seq, NOW_MS + seq)
            case = example.Example(session_id, click, features, n - 1)
            return session_id.encode(), example.encode(case)
        assert topic == COMMANDS
        kinds = learning_pb2.LearnerCommand.Kind.values()
        command = learning_pb2.LearnerCommand(kind=pick.choice(kinds), version=pick.randrange(99))
        return pick.choice([VECTORS_MODEL, RANKER_MODEL]).encode(), command.SerializeToString()

    def mutated(self, raw, most):
        """Return bytes that are nearly valid, or not at all, or far too many of them."""
        pick = self.random
        kind = pick.randrange(6)
        if kind == 0:
            return raw
        if kind == 1:
            return pick.randbytes(pick.randrange(200))
        if kind == 2:  # a short field many times: the most work in the fewest bytes
            unit = bytes([8 * pick.randrange(1, 16) + 2, 0])
            return unit * (pick.choice([100, most, 4 * most]) // 2)
        out = bytearray(raw)
        for _ in range(pick.randint(1, 8)):
            at = pick.randrange(len(out) + 1)
            if kind == 3:
                out[at : at + 1] = pick.randbytes(1)
            elif kind == 4:
                del out[at : at + pick.randrange(20)]
            else:
                out[at:at] = out[at : at + pick.randrange(200)]
        return bytes(out)


def longest(run, bound):
    """Return the most processor time that a step takes, in floors, and a sentence of it.

    A floor is `floor_seconds`: how fast a machine is changes with what else it does. Of each step,
    the least of all runs counts; there are more runs while one is beyond ``bound`` floors. Loading
    of code, collection of garbage and the neighbours' use of the caches count as processor time,
    too, but not at the same step of each run. ``run()`` returns a `Fuzz` that has done the same
    steps every time.
    """
    least, names, floor_s = None, [], 0.0
    for _ in range(RUNS):
        fuzz = run()
        floor_s = max(floor_s, floor_seconds())
        assert least is None or fuzz.names == names
        took, names = np.array(fuzz.took), fuzz.names
        least = took if least is None else np.minimum(least, took)
        if least.max() <= bound * floor_s:
            break
    at = int(least.argmax())
    floors, seconds = float(least[at] / floor_s), float(least[at])
    told = f"longest: {1_000 * seconds:.2f} ms of processor time, {floors:.1f} floors; {names[at]}"
    print(told)
    return floors, told
