"""The name under which the scoreboard keeps an answer: its ranking, and what has re-ordered it."""

from __future__ import annotations


def scored_name(ranking: str, policy: str) -> str:
    """Return the name; ``policy`` is empty where none has re-ordered the answer.

    >>> scored_name("ranker", ""), scored_name("ranker", "epsilon-greedy")
    ('ranker', 'ranker+epsilon-greedy')
    """
    return f"{ranking}+{policy}" if policy else ranking
