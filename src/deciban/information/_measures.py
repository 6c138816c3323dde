"""Distributions as rows of a matrix, dense or CSR, and their measures by kernel."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from deciban._arrays import aligned, plain
from deciban._kernels import divergences, tables
from deciban._parallel import cut, run_blocks
from deciban.information._columns import BLOCK, BLOCKS, cross_entropies_from_one, of_columns
from deciban.information._sparse import by_column, checked, cross_entropies, without_duplicates
from deciban.information._sparse import by_row as sparse_by_row

Array = npt.NDArray[Any]
Measured = Any  # an array of one number a row; a float for a single row

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


def unit(base: float | str) -> float:
    """Return what a nat is in the unit that a base stands for."""
    if base == "e":
        return 1.0
    if base == "deciban":
        return 10.0 / math.log(10.0)
    if isinstance(base, str) or not 1 < base < math.inf:
        raise ValueError(f"base must be 'e', 'deciban' or a number above 1, got {base!r}")
    return 1.0 / math.log(base)


def numbers(p: Any, name: str) -> Array:
    """Return an array of real numbers, of one of NumPy's own types."""
    if type(p) not in (np.ndarray, list) and np.ma.is_masked(p):
        raise ValueError(f"{name} has masked entries, which are no numbers: fill them first")
    array = np.asarray(p)
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise ValueError(f"{name} must be an array of real numbers, got dtype {array.dtype}")
    return aligned(array)


def rows(p: Any, axis: int, name: str, *, merged: bool = True) -> Any:
    """Return distributions as rows: a matrix of float32 or float64, or CSR, if ``merged`` without duplicates."""
    axis = operator.index(axis)
    if sp.issparse(p):
        if p.ndim != 2:
            raise ValueError(f"{name} must have two dimensions if it is sparse, got {p.ndim}")
        if axis not in (-2, -1, 0, 1):
            raise ValueError(f"axis {axis} is out of bounds for a sparse matrix")
        if p.dtype.kind not in "fiub":
            raise ValueError(f"{name} must be real numbers, got dtype {p.dtype}")
        X = checked(p if axis in (-1, 1) else p.T)
        return without_duplicates(X) if merged else X
    array = numbers(p, name)
    if array.ndim == 0:
        raise ValueError(f"{name} must be an array of real numbers, got one number")
    if axis not in (-1, array.ndim - 1):
        array = np.moveaxis(array, axis, -1)
    return np.ascontiguousarray(array, dtype=real_type(array.dtype))


def real_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of results for numbers of a type: float32 for it and for smaller ones, else float64."""
    return _FLOAT32 if dtype.kind == "f" and dtype.itemsize <= 4 else _FLOAT64


def few(counts: Array, dtype: np.dtype[Any] | None = None) -> Array:
    """Return a few numbers as kernels take them, and many as they are."""
    if counts.size > tables.FEW_VALUES:
        return counts
    return np.asarray(counts, real_type(counts.dtype) if dtype is None else dtype, order="C")


def in_blocks(n_items: int, cost: int, task: Callable[[int, int], None], least: int = BLOCK) -> None:
    """Call ``task(start, stop)`` for blocks of all items, each of ``cost`` values."""
    size = max(1, least // max(cost, 1), n_items // BLOCKS)
    if n_items <= size:
        task(0, n_items)
        return
    blocks = cut(n_items, size)
    run_blocks(lambda block, _: task(*blocks[block]), len(blocks))


def in_range(X: Any) -> Any:
    """Return rows, dense or CSR, times powers of 2 that bring the largest values of each near 1."""
    if sp.issparse(X):
        largest = abs(X.copy()).max(axis=1).toarray()  # abs() would sort the rows of X, which may be another's
        found = X.copy()
        found.data = np.ldexp(X.data, -np.repeat(np.frexp(largest)[1].ravel(), np.diff(X.indptr)))
        return found
    return np.ldexp(X, -np.frexp(np.abs(X).max(axis=1, keepdims=True, initial=0))[1])


def measure(
    measure: int,
    p: Any,
    q: Any,
    normalize: bool,
    base: float | str,
    axis: int,
    weights: Any,
    names: tuple[str, str] = ("p", "q"),
) -> Measured:
    scale = unit(base)
    from_one = measure == divergences.CROSS and weights is None and not normalize
    if axis == getattr(p, "ndim", 0) - 1:
        axis = -1
    if axis == -1:
        found = divergences.at_once(measure, p, q, normalize, scale, weights)
        if found is None and from_one:
            found = cross_entropies_from_one(p, q, scale)
        if found is not None:
            return found
    axis = operator.index(axis)
    by_outcome = None if weights is None else plain(weights, np.float64)
    found = of_columns(measure, p, q, axis, normalize, by_outcome)
    if found is not None:
        return in_unit(found, scale, p.dtype)
    Q: Any = None if q is None else rows(q, axis, names[1], merged=False)
    if weights is None and _is_csr(p):
        if axis in (-2, 0):
            found = by_column(measure, p, Q, normalize)
        else:
            found = cross_entropies(p, Q, normalize) if measure == divergences.CROSS and axis in (-1, 1) else None
        if found is not None:
            return in_unit(found, scale, np.result_type(real_type(p.dtype), real_type(p.dtype) if q is None else Q))
    P: Any = rows(p, axis, names[0], merged=False)
    Q = P if q is None else Q
    if weights is None:
        found = divergences.at_once(measure, P, Q, normalize, scale)
        if found is not None:
            return found
    n = P.shape[-1]
    if Q.shape[-1] != n:
        raise ValueError(f"{names[0]} and {names[1]} must have the same number of outcomes, got {n} and {Q.shape[-1]}")
    w = np.empty(0) if weights is None else plain(weights, np.float64)
    if weights is not None and w.shape != (n,):
        raise ValueError(f"weights must have shape ({n},), got {w.shape}")
    dtype = np.result_type(P.dtype, Q.dtype)
    if sp.issparse(P) or sp.issparse(Q):
        P, Q = (X if sp.issparse(X) else np.atleast_2d(X) for X in (P, Q))
        counts = P.shape[0], Q.shape[0]
        if P.ndim > 2 or Q.ndim > 2 or (counts[0] != counts[1] and 1 not in counts):
            raise ValueError(
                f"{names[0]} and {names[1]} must have as many rows, or one of them one, got {counts[0]} and {counts[1]}"
            )
        if isinstance(Q, np.ndarray) and P.shape[0] == 1 < len(Q):
            P = P.toarray()
        elif isinstance(P, np.ndarray) and Q.shape[0] == 1 < len(P):
            Q = Q.toarray()
    sparse = sp.issparse(P) or sp.issparse(Q)
    if sparse:
        shape: tuple[int, ...] = (P.shape[0] if Q.shape[0] == 1 else Q.shape[0],)
    else:
        shape = np.broadcast_shapes(P.shape[:-1], Q.shape[:-1])
        n_rows = math.prod(shape)
        one = Q.ndim == 1 or Q.shape[:-1] == (1,)
        P = np.ascontiguousarray(np.broadcast_to(P, (*shape, n)), dtype).reshape(n_rows, n)
        Q = Q if one else np.broadcast_to(Q, (*shape, n))
        Q = np.ascontiguousarray(Q, dtype).reshape(1 if one else n_rows, n)
        if from_one and one:
            found = cross_entropies_from_one(P, Q, scale)
            if found is not None:
                return found.reshape(shape)
    by_row = sparse_by_row if sparse else _by_row
    out = by_row(measure, P, Q, normalize, w)
    lost = np.flatnonzero(np.isnan(out)) if normalize else ()
    if len(lost):  # perhaps for a sum, or its inverse, beyond the range of numbers
        p_lost, q_lost = (in_range(X if X.shape[0] == 1 else X[lost]) for X in (P, Q))
        out[lost] = by_row(measure, p_lost, q_lost, normalize, w)
    out = in_unit(out, scale, dtype)
    return out.reshape(shape) if shape else out[0]


def _is_csr(p: Any) -> bool:
    return sp.issparse(p) and p.format == "csr" and p.ndim == 2 and p.dtype.kind in "fiub"


def in_unit(found: Array, scale: float, dtype: np.dtype[Any]) -> Array:
    """Return what was found in nats, in a unit and of a type."""
    if scale == 1 and found.dtype == dtype:
        return found
    with np.errstate(over="ignore"):
        found *= scale
        return found.astype(dtype, copy=False)


def _by_row(measure: int, P: Array, Q: Array, normalize: bool, weights: Array) -> Array:
    """Measure dense rows in float64; Q may have one row."""
    out = np.empty(len(P))

    def task(start: int, stop: int) -> None:
        divergences.dense_rows(measure, P, Q, normalize, weights, start, stop, out)

    in_blocks(len(P), P.shape[1], task)
    return out


def logarithms(P: Array) -> Array:
    """Return log P, without warnings."""
    out = np.empty_like(P)

    def task(start: int, stop: int) -> None:
        with np.errstate(all="ignore"):
            np.log(P[start:stop], out=out[start:stop])

    in_blocks(len(P), P.shape[1], task)
    return out
