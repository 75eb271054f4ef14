"""Small worlds of pages whose truth is known: every page is enumerated, with its probability.

A visitor looks at a page from the top, clicks on at most one item, and may stop looking before the
next: what is clicked at a place depends on the items at it and before it.
"""

from itertools import permutations
from math import exp

import numpy as np

from evaluation.off_policy.pages import Pages


def plackett_luce(temperature):
    """A policy as a function of scores and what is left: the probability of each one left."""

    def choose(scores, left):
        odds = {a: exp(scores[a] / temperature) for a in left}
        return {a: odd / sum(odds.values()) for a, odd in odds.items()}

    return choose


def epsilon_greedy(epsilon):
    def choose(scores, left):
        best = max(left, key=lambda a: scores[a])
        return {a: (1 - epsilon) * (a == best) + epsilon / len(left) for a in left}

    return choose


class World:
    """``scores`` and chances of a click, ``appeal``, are (contexts, items); pages have k places."""

    def __init__(self, scores, appeal, places, goes_on=0.7):
        self.scores, self.appeal = np.asarray(scores, float), np.asarray(appeal, float)
        self.places, self.goes_on = places, goes_on
        self._chances = {}
        contexts, items = self.scores.shape
        self.cases = [
            (x, page) for x in range(contexts) for page in permutations(range(items), places)
        ]

    @classmethod
    def drawn(cls, seed, contexts=5, items=5, places=3, rate=0.3):
        """A world where what scores more is clicked more, roughly."""
        random = np.random.default_rng(seed)
        scores = random.normal(size=(contexts, items))
        noise = random.normal(size=(contexts, items))
        return cls(scores, rate / (1 + np.exp(-scores - noise)), places)

    def chances(self, policy):
        """The conditional probability of each choice of each case, (cases, k)."""
        if policy not in self._chances:
            self._chances[policy] = self._all_chances(policy)
        return self._chances[policy]

    def _all_chances(self, policy):
        found = np.empty((len(self.cases), self.places))
        for i, (x, page) in enumerate(self.cases):
            left = list(range(self.scores.shape[1]))
            for k, a in enumerate(page):
                found[i, k] = policy(self.scores[x], left)[a]
                left.remove(a)
        return found

    def probabilities(self, policy):
        """The probability of each case, all contexts being as likely."""
        return self.chances(policy).prod(axis=1) / len(self.scores)

    def clicks(self):
        """The probability of a click at each place of each case, (cases, k)."""
        found = np.empty((len(self.cases), self.places))
        for i, (x, page) in enumerate(self.cases):
            looks = 1.0
            for k, a in enumerate(page):
                found[i, k] = looks * self.appeal[x, a]
                looks *= (1 - self.appeal[x, a]) * self.goes_on
        return found

    def truth(self, policy):
        """Clicks a page under a policy."""
        return float(self.probabilities(policy) @ self.clicks().sum(axis=1))

    def pages_of(self, case, clicked, logging, visitor=None):
        """Pages of cases by number, with the place that was clicked; -1: none."""
        n, items = len(case), self.scores.shape[1]
        context = np.array([x for x, _ in self.cases])[case]
        shown = np.array([page for _, page in self.cases])[case]
        return Pages(
            item=np.tile(np.arange(items), len(self.scores)),
            score=self.scores.ravel(),
            first=context * items,
            size=np.full(n, items),
            shown=shown,
            propensity=self.chances(logging)[case],
            click=(np.asarray(clicked)[:, None] == np.arange(self.places)).astype(float),
            place=np.broadcast_to(np.arange(self.places), (n, self.places)).copy(),
            visitor=np.arange(n) if visitor is None else visitor,
            inclusion=np.ones(n),
            time_s=np.arange(n, dtype=float),
            names=[f"i{a}" for a in range(items)],
        )

    def log(self, logging, n, random):
        """A log of n pages, drawn with a policy."""
        likely = self.probabilities(logging)
        case = random.choice(len(self.cases), n, p=likely / likely.sum())
        sums = np.cumsum(self.clicks()[case], axis=1)
        drawn = random.random(n)[:, None]
        clicked = np.where(drawn[:, 0] < sums[:, -1], (sums <= drawn).sum(axis=1), -1)
        return self.pages_of(case, clicked, logging)

    def every_outcome(self, logging):
        """All cases with every outcome, as a log, and the probability of each.

        A visitor is a context: which half of the log a page is in may depend on nothing else.
        """
        k = self.places
        case = np.repeat(np.arange(len(self.cases)), k + 1)
        clicked = np.tile(np.arange(-1, k), len(self.cases))
        clicks = self.clicks()
        outcomes = np.concatenate([1 - clicks.sum(axis=1, keepdims=True), clicks], axis=1)
        likely = np.repeat(self.probabilities(logging), k + 1) * outcomes.ravel()
        visitor = np.array([x for x, _ in self.cases])[case]
        return self.pages_of(case, clicked, logging, visitor), likely
