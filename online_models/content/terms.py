"""What an item is, as counted terms and the shop's own vector; no learning.

Terms are hashed into a bounded vocabulary (Weinberger et al., "Feature hashing", ICML 2009). The
learned vectors have tokens of their own (`tables.content_tokens`): fewer, each with a vector.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nextclick.limits import MAX_EMBEDDING

TERMS = 1 << 16
"""Numbers that all terms are hashed into."""

ITEM_TERMS = 64
"""Different terms kept of an item: the first in the order of `terms_of`."""

MOST_COUNTED = 255

LARGEST = 1e18
"""Numbers of an embedding are at most this, so that no sum of their squares overflows."""

_WORD = re.compile(r"\w{2,}")

Embedding = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Content:
    """What the catalogue says that an item is; see `Item` in ``catalog_service.proto``."""

    categories: Sequence[str] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    kind: str = ""
    description: str = ""
    embedding: Sequence[float] = ()


class Counted(NamedTuple):
    """An item's terms.

    Parameters
    ----------
    terms
        Numbers from 1, (ITEM_TERMS,) int32; 0 after the last one.
    counts
        How often the item has each, (ITEM_TERMS,) uint8.
    embedding
        The shop's own vector at unit length, (width,) float32; None if it has none.
    """

    terms: NDArray[np.int32]
    counts: NDArray[np.uint8]
    embedding: Embedding | None = None


def term_number(term: str) -> int:
    """Return the number of a term, 1..TERMS - 1."""
    return 1 + zlib.crc32(term.encode()) % (TERMS - 1)


def terms_of(content: Content) -> list[str]:
    """Return an item's terms: kind, categories, attributes by name, words of title, description.

    Words of title and description are the same terms, so that a title finds a description.

    >>> terms_of(Content(("drama",), {"brand": "x"}, "The Trial", "film", "A trial."))
    ['k:film', 'c:drama', 'a:brand=x', 'w:the', 'w:trial', 'w:trial']
    """
    terms = [f"k:{content.kind}"] if content.kind else []
    terms += [f"c:{category}" for category in content.categories]
    terms += [f"a:{name}={value}" for name, value in sorted(content.attributes.items())]
    for text in (content.title, content.description):
        terms += [f"w:{word}" for word in _WORD.findall(text.lower())]
    return terms


def counted(content: Content) -> Counted:
    """Return an item's counted terms and its embedding."""
    counts = Counter(map(term_number, terms_of(content)))
    terms, times = np.zeros(ITEM_TERMS, np.int32), np.zeros(ITEM_TERMS, np.uint8)
    for place, (term, n) in enumerate(counts.items()):
        if place == ITEM_TERMS:
            break
        terms[place] = term
        times[place] = min(n, MOST_COUNTED)
    return Counted(terms, times, unit(content.embedding))


def unit(embedding: Sequence[float]) -> Embedding | None:
    """Return an embedding at unit length; None if it has no direction, or a number is too large."""
    if not len(embedding):
        return None
    vector = np.asarray(embedding[:MAX_EMBEDDING], np.float64)
    if not (np.abs(vector) <= LARGEST).all():  # nor is anything that is no number
        return None
    length = np.linalg.norm(vector)
    return (vector / length).astype(np.float32) if length > 0 else None
