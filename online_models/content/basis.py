"""The basis of content vectors: TF-IDF, and its truncated SVD.

An item's terms weigh (1 + ln count) * idf, with idf = 1 + ln((1 + items) / (1 + items that have the
term)), at unit length (Salton & Buckley, "Term-weighting approaches in automatic text retrieval",
1988). The vector is their product with the first 64 right singular vectors of all items' weights
(latent semantic analysis; Deerwester et al., JASIS 1990), at unit length: so a new item is
projected by the basis that is there, and gets the vector that a fit of the same items gives.

The shop's own embeddings are further columns of the same matrix. Where an item has terms and an
embedding, each has half of its squared length, so that the cosine of two such items is the mean of
the cosines of their texts and of their embeddings, as far as 64 dimensions tell.

The singular vectors come from a randomised subspace iteration (Halko, Martinsson & Tropp, "Finding
structure with randomness", SIAM Review 2011) with a fixed seed: the same items in the same order
give the same basis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from online_models.content.terms import ITEM_TERMS, TERMS
from online_models.vectors.two_towers import DIMENSIONS

MORE = 10
"""Dimensions that the iteration has beside those that are kept."""

ITERATIONS = 6

HALF = np.float32(math.sqrt(0.5))

TINY = np.float32(1e-6)
"""A projection that is shorter has no direction: nothing of the item is known to the basis."""

RANK = 1e-10
"""Share of the largest squared length below which there is nothing but rounding."""

TURNED_AT_ONCE = 8_192
"""Rows that are turned at once, so that a basis of many terms is not copied as a whole."""

BASIS_BYTES = TERMS * (DIMENSIONS + 1) * 4
"""Of a basis: two of them, while another one is fitted."""

Matrix = NDArray[np.float32]
Terms = NDArray[np.int32]
Counts = NDArray[np.uint8]


@dataclass(frozen=True)
class Corpus:
    """Items as rows of a sparse matrix.

    Parameters
    ----------
    terms, counts
        (n, ITEM_TERMS) int32 and uint8; see `terms.Counted`.
    embeddings
        (n, width) float32 of unit length, or zero for an item that has none.
    """

    terms: Terms
    counts: Counts
    embeddings: Matrix

    def __len__(self) -> int:
        return len(self.terms)


@dataclass(frozen=True)
class Basis:
    """What projects an item's terms and embedding to its vector.

    Parameters
    ----------
    items
        How many it was fitted on.
    idf
        (TERMS,) float32.
    of_terms, of_embeddings
        (TERMS, 64) and (width, 64) float32.
    """

    items: int
    idf: Matrix
    of_terms: Matrix
    of_embeddings: Matrix

    @property
    def width(self) -> int:
        """Numbers of an embedding; 0 if there were none."""
        return len(self.of_embeddings)

    def project(self, corpus: Corpus) -> Matrix:
        """Return the vectors of items, (n, 64) of unit length; zero where nothing is known."""
        weights = weigh(corpus, self.idf)
        out = np.zeros((len(corpus), DIMENSIONS), np.float32)
        _times(corpus.terms, weights, self.of_terms, out)
        if self.width and corpus.embeddings.shape[1] == self.width:
            out += _scaled(corpus) @ self.of_embeddings
        lengths = np.linalg.norm(out, axis=1, keepdims=True)
        return np.divide(out, lengths, out=np.zeros_like(out), where=lengths > TINY)


def fit(corpus: Corpus, seed: int = 0) -> Basis:
    """Return the basis of some items."""
    n, width = len(corpus), corpus.embeddings.shape[1]
    having = np.bincount(corpus.terms[corpus.terms > 0], minlength=TERMS)
    idf = (1 + np.log((1 + n) / (1 + having))).astype(np.float32)
    used = np.flatnonzero(having)
    places = np.zeros(TERMS, np.int32)
    places[used] = np.arange(1, len(used) + 1)
    weights, terms = weigh(corpus, idf), places[corpus.terms]
    kept = _right_singular_vectors(terms, weights, _scaled(corpus), len(used) + 1, seed)
    of_terms = np.zeros((TERMS, DIMENSIONS), np.float32)
    of_terms[used] = kept[1 : len(used) + 1]
    return Basis(n, idf, of_terms, kept[len(used) + 1 :].reshape(width, DIMENSIONS))


def weigh(corpus: Corpus, idf: Matrix) -> Matrix:
    """Return the weights of items' terms, (n, ITEM_TERMS); at unit length, or half of it."""
    weights = np.zeros(corpus.terms.shape, np.float32)
    _weigh(corpus.terms, corpus.counts, idf, weights)
    if corpus.embeddings.shape[1]:
        weights[corpus.embeddings.any(axis=1)] *= HALF
    return weights


def _scaled(corpus: Corpus) -> Matrix:
    """Return the embeddings; those of items with terms as well have half of the squared length."""
    scale = np.where(corpus.terms[:, 0] > 0, HALF, np.float32(1))
    return corpus.embeddings * scale[:, None]


def _right_singular_vectors(
    terms: Terms, weights: Matrix, embeddings: Matrix, size: int, seed: int
) -> Matrix:
    """Return the first singular vectors on the side of the columns, (size + width, 64).

    There may be fewer than 64; the other columns are zero.
    """
    columns = size + embeddings.shape[1]
    wide = min(DIMENSIONS + MORE, columns)
    rng = np.random.default_rng(seed)
    q = rng.standard_normal((columns, wide), np.float32)
    q[0] = 0  # the place of no term
    for _ in range(ITERATIONS):
        y = _forth(terms, weights, embeddings, size, q)
        q = _orthonormal(_back(terms, weights, embeddings, size, y))
    y = _forth(terms, weights, embeddings, size, q).astype(np.float64)
    squares, turned = np.linalg.eigh(y.T @ y)
    best = np.argsort(-squares, kind="stable")[:DIMENSIONS]
    best = best[squares[best] > RANK * max(float(squares.max()), float(TINY))]
    kept = np.zeros((columns, DIMENSIONS), np.float32)
    kept[:, : len(best)] = q @ turned[:, best].astype(np.float32)
    return kept


def _forth(terms: Terms, weights: Matrix, embeddings: Matrix, size: int, q: Matrix) -> Matrix:
    """Return the product of the matrix with ``q``."""
    out = np.zeros((len(terms), q.shape[1]), np.float32)
    _times(terms, weights, q[:size], out)
    if embeddings.shape[1]:
        out += embeddings @ q[size:]
    return out


def _back(terms: Terms, weights: Matrix, embeddings: Matrix, size: int, y: Matrix) -> Matrix:
    """Return the product of the transposed matrix with ``y``."""
    out = np.zeros((size + embeddings.shape[1], y.shape[1]), np.float32)
    _transposed_times(terms, weights, y, out[:size])
    if embeddings.shape[1]:
        out[size:] = embeddings.T @ y
    return out


def _orthonormal(z: Matrix) -> Matrix:
    """Make the columns of ``z`` orthonormal, in place; zero where there are fewer dimensions.

    By the eigenvectors of its Gram matrix (Stathopoulos & Wu, "A block orthogonalization procedure
    with constant synchronization requirements", SISC 2002), twice, since once is not exact.
    """
    for _ in range(2):
        gram = np.zeros((z.shape[1], z.shape[1]))
        for start in range(0, len(z), TURNED_AT_ONCE):
            part = z[start : start + TURNED_AT_ONCE].astype(np.float64)
            gram += part.T @ part
        values, turned = np.linalg.eigh(gram)
        kept = values > RANK * max(float(values.max()), float(TINY))
        scale = np.where(kept, 1 / np.sqrt(np.where(kept, values, 1)), 0)
        step = (turned * scale).astype(np.float32)
        for start in range(0, len(z), TURNED_AT_ONCE):
            some = slice(start, start + TURNED_AT_ONCE)
            z[some] = z[some] @ step
    return z


@njit(cache=True, nogil=True)
def _weigh(terms: Terms, counts: Counts, idf: Matrix, out: Matrix) -> None:
    """Set ``out`` to the weights of terms at unit length."""
    for i in range(len(terms)):
        squares = np.float32(0)
        for j in range(ITEM_TERMS):
            t = terms[i, j]
            if t == 0:
                break
            w = np.float32(1 + math.log(counts[i, j])) * idf[t]
            out[i, j] = w
            squares += w * w
        if squares > 0:
            scale = np.float32(1) / np.sqrt(squares)
            for j in range(ITEM_TERMS):
                out[i, j] *= scale


@njit(cache=True, nogil=True)
def _times(terms: Terms, weights: Matrix, q: Matrix, out: Matrix) -> None:
    """Add to ``out`` the product of the sparse rows with ``q``."""
    for i in range(len(terms)):
        for j in range(ITEM_TERMS):
            t = terms[i, j]
            if t == 0:
                break
            w = weights[i, j]
            for d in range(q.shape[1]):
                out[i, d] += w * q[t, d]


@njit(cache=True, nogil=True)
def _transposed_times(terms: Terms, weights: Matrix, y: Matrix, out: Matrix) -> None:
    """Add to ``out`` the product of the transposed sparse rows with ``y``."""
    for i in range(len(terms)):
        for j in range(ITEM_TERMS):
            t = terms[i, j]
            if t == 0:
                break
            w = weights[i, j]
            for d in range(y.shape[1]):
                out[t, d] += w * y[i, d]
