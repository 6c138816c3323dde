"""Measures of dense distributions whose outcomes are rows of memory, and cross-entropies from one distribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from deciban._arrays import Array
from deciban._kernels import divergences
from deciban._parallel import cut, run_blocks

BLOCK = 1 << 16  # terms that one task sums, at least
BLOCKS = 32  # of many rows
SUMMED = 16  # of many rows, each with sums of all columns, which leave the caches before they are added up
_MANY = 1 << 15  # columns that are cut among threads
_NONE = np.empty(0)


def _by_outcome(p: Any, axis: int) -> Array | None:
    """Return a large table with a row for each outcome, if it lies in memory like that."""
    if type(p) is not np.ndarray or p.ndim != 2 or p.dtype not in (np.float64, np.float32) or p.size < BLOCK:
        return None
    turned = p if axis in (0, -2) else p.T
    return turned if turned.flags.carray and turned.shape[1] > 1 and axis in (-2, -1, 0, 1) else None


def _one(q: Any, n: int, dtype: np.dtype[Any]) -> Array | None:
    """Return one distribution of n outcomes for all, as a vector."""
    if type(q) is not np.ndarray or q.dtype != dtype or q.size != n or q.ndim > 2:
        return None
    return q.ravel()


def _sums(X: Array, add: Callable[[int, int, int, int, Array], bool | None]) -> Array | None:
    """Return for each column what ``add(start, stop, first, last, out)`` sums, by blocks of rows or of columns.

    None if it returns False for a block.
    """
    summed: list[bool | None] = []
    n, inner = X.shape
    if inner >= _MANY:
        columns = cut(inner, max(1024, inner // BLOCKS))
        parts = np.zeros((1, 2, inner))
        run_blocks(lambda block, _: summed.append(add(0, n, *columns[block], parts[0])), len(columns))
    else:
        rows = cut(n, max(BLOCK // inner, -(-n // SUMMED)))
        parts = np.zeros((len(rows), 2, inner))
        run_blocks(lambda block, _: summed.append(add(*rows[block], 0, inner, parts[block])), len(rows))
    if False in summed:
        return None
    out = np.empty(inner)
    divergences.add_up_parts(parts, out)
    return out


def of_columns(measure: int, p: Any, q: Any, axis: int, weights: Array | None) -> Array | None:
    """Measure, in float64, every column of a large table; None where outcomes do not lie so, or types differ."""
    P = _by_outcome(p, axis)
    if P is None or (weights is not None and weights.shape != P.shape[:1]):
        return None
    n = len(P)
    Q = P if q is None else _by_outcome(q, axis)
    if Q is None or Q.dtype != P.dtype or Q.shape != P.shape:
        one = _one(q, n, P.dtype)
        if one is None:
            return None
        if measure == divergences.CROSS and weights is None:
            found = _sums(P, lambda *block: divergences.columns_from_one(P, one, *block))
            if found is not None:
                return found
        Q = one[:, np.newaxis]
    w = _NONE if weights is None else weights
    found = _sums(P, lambda *block: divergences.dense_columns(measure, P, Q, w, *block))
    return 0.5 * found if found is not None and measure == divergences.JS else found


def cross_entropies_from_one(P: Array, q: Array) -> Array | None:
    """Return ``-P @ log(q)`` of rows, without losing digits; None if a logarithm is not finite."""
    logs, out = np.empty(len(q)), np.empty(len(P))
    if not divergences.negative_logarithms(q, 0, len(q), logs):
        return None
    blocks = cut(len(P), max(1, BLOCK // P.shape[1], len(P) // BLOCKS))
    run_blocks(lambda block, _: divergences.weighted_rows(P, logs, *blocks[block], out), len(blocks))
    return out
