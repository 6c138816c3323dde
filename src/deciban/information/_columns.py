"""Measures of dense distributions whose outcomes are rows of memory, and cross-entropies from one distribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from deciban._arrays import Array, is_plain, plain
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
    return turned if is_plain(turned) and turned.shape[1] > 1 and axis in (-2, -1, 0, 1) else None


def _one(q: Any, n: int, dtype: np.dtype[Any]) -> Array | None:
    """Return one distribution of n outcomes for all, as a vector."""
    if type(q) is not np.ndarray or q.dtype != dtype or q.size != n or q.ndim > 2:
        return None
    return plain(q.ravel())


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


def _inverses(X: Array) -> tuple[Array, Array] | None:
    """Return the inverses of sums of columns, and which columns have none, whose sum is 0 or NaN.

    None if a sum or its inverse is beyond the range of numbers.
    """
    sums = _sums(X, lambda *block: divergences.sum_columns(X, *block))
    if sums is None:
        return None
    without = (sums == 0) | np.isnan(sums)
    with np.errstate(over="ignore"):
        inverses = np.divide(1.0, sums, where=~without, out=np.ones(len(sums)))
    limits = np.finfo(X.dtype)
    sizes = np.abs(inverses)
    return (inverses, without) if (sizes >= limits.tiny).all() and (sizes <= limits.max).all() else None


def of_columns(measure: int, p: Any, q: Any, axis: int, normalize: bool, weights: Array | None) -> Array | None:
    """Measure, in float64, every column of a large table; None where outcomes do not lie so, or types differ.

    None as well if a column is to be divided by a sum whose inverse is beyond the range of numbers.
    """
    P = _by_outcome(p, axis)
    if P is None or (weights is not None and weights.shape != P.shape[:1]):
        return None
    n = len(P)
    Q = P if q is None else _by_outcome(q, axis)
    one = None
    if Q is None or Q.dtype != P.dtype or Q.shape != P.shape:
        one = _one(q, n, P.dtype)
        if one is None:
            return None
        Q = one[:, np.newaxis]
    factors = np.empty((0, P.shape[1]), P.dtype)
    without = None
    if normalize:
        of_p = _inverses(P)
        of_q = of_p if q is None else _inverses(Q)
        if of_p is None or of_q is None:
            return None
        factors = np.array(np.broadcast_arrays(of_p[0], of_q[0]), P.dtype)
        without = of_p[1] | of_q[1]
        if one is not None:
            one = one * factors[1, 0]
            Q = one[:, np.newaxis]
    found: Any = None
    if one is not None and measure == divergences.CROSS and weights is None:
        found = _sums(P, lambda *block: divergences.columns_from_one(P, one, *block))
        if found is not None and normalize:
            found *= factors[0]
    if found is None:
        w = _NONE if weights is None else weights
        found = _sums(P, lambda *block: divergences.dense_columns(measure, P, Q, factors, w, *block))
    if without is not None:
        found[without] = np.nan
    return 0.5 * found if measure == divergences.JS else found


def cross_entropies_from_one(P: Any, q: Any, scale: float) -> Array | None:
    """Return ``-P @ log(q)`` of rows, in a unit; None if they are no plain rows, or a logarithm is not finite."""
    if not (type(P) is type(q) is np.ndarray and P.ndim == 2 and is_plain(P) and len(P) > 1):
        return None
    if q.ndim == 0 or q.shape[-1] != P.shape[1] or q.size == 0:
        return None
    one = _one(q, P.shape[1], P.dtype) if P.dtype in (np.float64, np.float32) else None
    if one is None:
        return None
    logs, out = np.empty(len(one)), np.empty(len(P), P.dtype)
    if not divergences.negative_logarithms(one, 0, len(one), logs):
        return None
    logs *= scale
    blocks = cut(len(P), max(1, BLOCK // P.shape[1], -(-len(P) // SUMMED)))
    run_blocks(lambda block, _: divergences.weighted_rows(P, logs, *blocks[block], out), len(blocks))
    return out
