"""Plain-Python models of a few lines each: what the kernels must agree with.

They keep whole histories and recount everything at each question. Bounds that a small
stream does not reach (ring 512, rules 128, 100 neighbours) are left out.
"""

import math
from collections import defaultdict

AGE, RECENT, PLACE, AFTER = 20_000.0, 1_000.0, 3.0, 1.5


def near(distance):
    return math.exp(-distance / PLACE)


class Oracle:
    """Sessions as lists of items, in the order in which they were opened."""

    def __init__(self):
        self.sessions = []
        self.clicks = []

    def learn(self, number, item):
        while len(self.sessions) <= number:
            self.sessions.append([])
        self.sessions[number].append(item)
        self.clicks.append(item)

    # ---- session-kNN

    def neighbours(self, query, own=-1):
        """Return {item: (knn, after, flat, fresh)} of all sessions that share an item."""
        newest = len(self.sessions)
        latest = [a for a in dict.fromkeys(reversed(query)) if a in self.clicks][:8]
        place = {a: query[::-1].index(a) for a in latest}
        votes = defaultdict(lambda: [0.0] * 4)
        for number, session in enumerate(self.sessions):
            shared = [a for a in latest if a in session]
            if number == own or not shared:
                continue
            similarity = 0.0
            for a in shared:
                support = sum(a in s for s in self.sessions)
                idf = max(math.log((newest + 1) / (support + 1)), 0)
                similarity += near(place[a]) * idf + 1e-9
            age = newest - (number + 1)
            s = similarity / math.sqrt(len(session) + 2) * math.exp(-(age >> 6) * 64 / AGE)
            match = len(session) - 1 - session[::-1].index(shared[0])
            w = s * near(place[shared[0]])
            for u, b in enumerate(session):
                v = votes[b]
                v[0] += w * near(abs(u - match))
                v[1] += w * math.exp(-(u - match - 1) / AFTER) if u > match else 0
                v[2] += s
                v[3] += w * near(abs(u - match)) * math.exp(-(age >> 3) * 8 / RECENT)
        return dict(votes)

    # ---- rules and co-visits

    def links(self):
        """All (earlier item, later item, distance) within 10 steps of one session."""
        for session in self.sessions:
            for v, b in enumerate(session):
                for u in range(max(0, v - 10), v):
                    yield session[u], b, v - u

    def rules(self, query):
        """Return {item: sequential score} for the latest three items of the query."""
        out = defaultdict(float)
        for q, a in enumerate(query[::-1][:3]):
            left = sum(1 / d for x, y, d in self.links() if x == a and y != a)
            for x, b, d in self.links():
                if x == a and b != a:
                    out[b] += 0.5**q / (left + 2) / d
        return dict(out)

    def covisits(self, query):
        """Return {item: damped cosine of co-visits} for the latest three items."""
        out = defaultdict(float)
        for q, a in enumerate(query[::-1][:3]):
            for x, y, _ in self.links():
                if x != y and a in (x, y):
                    b = y if x == a else x
                    damp = math.sqrt((self.clicks.count(a) + 10) * (self.clicks.count(b) + 10))
                    out[b] += 0.5**q / damp
        return dict(out)

    def successors(self, query):
        """Return {item: share of direct successions} of the last item."""
        a = query[-1]
        after = [b for x, b, d in self.links() if x == a and d == 1]
        return {b: after.count(b) / (len(after) + 2) for b in after}

    # ---- popularity

    def popularity(self, decay=20_000.0):
        """Return {item: decayed count}, at the clock after the last click."""
        out = defaultdict(float)
        for clock, item in enumerate(self.clicks):
            out[item] += math.exp(-(len(self.clicks) - clock) / decay)
        return dict(out)
