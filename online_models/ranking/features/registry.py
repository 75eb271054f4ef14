"""The features of a candidate, in order, their schema, and the kernel that computes them.

Weights that were learned with another schema cannot be used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numba import njit

from online_models.memory.chain import in_order
from online_models.memory.names import unique
from online_models.memory.state import State
from online_models.memory.table import Table
from online_models.ranking.candidates import CANDIDATES
from online_models.ranking.features import (
    blend_order,
    blend_terms,
    content,
    links,
    new_items,
    past,
    session_shape,
    source_logs,
    times,
    trend,
    vectors,
)

FAMILIES = (
    blend_terms.FAMILY,
    vectors.FAMILY,
    source_logs.FAMILY,
    blend_order.FAMILY,
    links.LAST,
    trend.FAMILY,
    session_shape.FAMILY,
    times.FAMILY,
    content.FAMILY,
    links.SECOND,
)
"""The blend's terms come first: its weights apply to the first features."""

OPTIONAL = (past.FAMILY, new_items.FAMILY)
"""All features of these are 0 for a request that lacks what they are of, and for such a request
the rankings are what they would be without them. They come after all others."""

EVERY = (*FAMILIES, *OPTIONAL)

FEATURES = tuple(feature for family in EVERY for feature in family.features)
NAMES = unique("features", (feature.name for feature in FEATURES))
N_FEATURES = len(FEATURES)
N_COMMON = sum(len(family.features) for family in FAMILIES)
"""Features that are not optional."""

N_INPUTS = -(-N_FEATURES // 4) * 4
"""Rows of ``st.features``: a multiple of four, as the network's kernels need it; the rest is 0."""

TRANSFORMS = 2
"""Version of how all features are computed; of one alone that is computed in another way, increase
its `version`."""

VERSIONED = tuple(
    feature.name if feature.version == 1 else f"{feature.name}@{feature.version}"
    for feature in FEATURES
)


def _schema(names: Sequence[str]) -> str:
    return hashlib.blake2b(f"{TRANSFORMS},{','.join(names)}".encode(), digest_size=4).hexdigest()


SCHEMA = _schema(VERSIONED)
COMMON_SCHEMA = _schema(VERSIONED[:N_COMMON])
"""The schema of code that has no optional features. What it has learned is used: the weights of
optional features begin at zero (`ranking.network`)."""

_RENAMED = {"6a4f4584": "41e7a5bb"}
"""A schema, and an older one that only had other names for the same features."""

FITTING_SCHEMAS = frozenset({SCHEMA, COMMON_SCHEMA, _RENAMED.get(COMMON_SCHEMA, COMMON_SCHEMA)})
"""Schemas whose weights and examples can be used."""


def features_of(schema: str) -> int:
    """Return the number of features of a fitting schema."""
    return N_FEATURES if schema == SCHEMA else N_COMMON


_FIRSTS = np.cumsum([0, *(len(family.features) for family in EVERY)])

TABLES = (
    *(table for family in EVERY for table in family.tables),
    Table("features", np.float32, (N_INPUTS, CANDIDATES)),
    Table("left_out_features", np.uint8, (N_INPUTS,)),
)


@njit(cache=True)
def _wanted(st: State, place: int) -> bool:
    """Whether a family is needed: not all of its features are left out."""
    if st.request[0].n_left_out == 0:
        return True
    for k in range(_FIRSTS[place], _FIRSTS[place + 1]):
        if not st.left_out_features[k]:
            return True
    return False


_fill = in_order(
    "_fill",
    __name__,
    [(family.fill, (int(first),)) for family, first in zip(EVERY, _FIRSTS, strict=False)],
    wanted=_wanted,
)


@njit(cache=True)
def _blank(st: State) -> None:
    """Set features that are left out, and columns beyond the candidates, to 0."""
    x, n = st.features, st.found[0].candidates
    if st.request[0].n_left_out > 0:
        for k in range(N_FEATURES):
            if st.left_out_features[k]:
                x[k, :n] = 0
    for k in range(N_FEATURES):
        for i in range(n, CANDIDATES):
            x[k, i] = 0


@njit(cache=True)
def set_features(st: State) -> None:
    """Compute ``st.features[:, :n]`` for the candidates, unless that has been done.

    ``st.pool_score`` holds the scores that they were picked by.
    """
    if st.found[0].has_features:
        return
    _fill(st)
    _blank(st)
    st.found[0].has_features = 1
