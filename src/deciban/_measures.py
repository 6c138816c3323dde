"""Distributions as rows of a matrix, dense or CSR, and their measures by kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from deciban._arrays import csr_parts
from deciban._kernels import divergences
from deciban._parallel import cut, run_blocks
from deciban.special import entr, rel_entr, xlogy

Array = npt.NDArray[Any]
Measured = Any  # an array of one number a row; a float for a single row

BLOCK = 1 << 16  # terms that one task sums, at least
_BLOCKS = 32  # of many rows


def unit(base: float | str) -> float:
    """Return what a nat is in the unit that a base stands for."""
    if base == "e":
        return 1.0
    if base == "deciban":
        return 10.0 / math.log(10.0)
    if isinstance(base, str) or not base > 1:
        raise ValueError(f"base must be 'e', 'deciban' or a number above 1, got {base!r}")
    return 1.0 / math.log(base)


def rows(p: Any, axis: int, name: str) -> Any:
    """Return distributions as rows: a matrix of float32 or float64, or a CSR matrix without duplicates."""
    if sp.issparse(p):
        if p.ndim != 2:
            raise ValueError(f"{name} must have two dimensions if it is sparse, got {p.ndim}")
        if axis not in (-2, -1, 0, 1):
            raise ValueError(f"axis {axis} is out of bounds for a sparse matrix")
        if p.dtype.kind not in "fiub":
            raise ValueError(f"{name} must be real numbers, got dtype {p.dtype}")
        X = _checked(p)
        if axis not in (-1, 1):
            X = X.T.tocsr()
        if not X.has_canonical_format:
            X.sum_duplicates()
        return X
    array = np.asarray(p)
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8 or array.ndim == 0:
        raise ValueError(
            f"{name} must be an array of real numbers, got dtype {array.dtype} and {array.ndim} dimensions"
        )
    array = np.moveaxis(array, axis, -1)
    return np.ascontiguousarray(array, dtype=np.float32 if array.dtype in (np.float32, np.float16) else np.float64)


def _checked(p: Any) -> Any:
    """Return a sparse matrix as CSR of our own; SciPy's conversions trust indices, so they are checked first."""
    if p.format == "csc":
        return sp.csr_matrix(_checked(p.T).T)
    if p.format != "csr":
        X = p.tocoo()
        for index, size in zip((X.row, X.col), X.shape, strict=True):
            if len(index) and not 0 <= index.min() <= index.max() < size:
                raise ValueError(f"an index of the sparse matrix is out of range for {size} rows or columns")
        p = X.tocsr()
    data, indices, indptr = csr_parts(p)
    n_entries = int(indptr[-1])
    X = sp.csr_matrix(p.shape)
    X.data, X.indices, X.indptr = data[:n_entries].astype(np.float64), indices[:n_entries].copy(), indptr.copy()
    return X


def measure(measure: int, p: Any, q: Any, normalize: bool, base: float | str, axis: int, weights: Any) -> Measured:
    scale = unit(base)
    P = rows(p, axis, "p")
    Q = P if q is None else rows(q, axis, "q")
    n = P.shape[-1]
    if Q.shape[-1] != n:
        raise ValueError(f"p and q must have the same number of outcomes, got {n} and {Q.shape[-1]}")
    if weights is not None:
        return _weighted(measure, P, Q, normalize, np.asarray(weights, dtype=np.float64)) * scale
    if sp.issparse(P) or sp.issparse(Q):
        return _sparse(measure, P, Q, normalize) * scale
    shape = np.broadcast_shapes(P.shape[:-1], Q.shape[:-1])
    dtype = np.result_type(P, Q)
    n_rows = math.prod(shape)
    P2 = np.ascontiguousarray(np.broadcast_to(P, (*shape, n)), dtype).reshape(n_rows, n)
    if Q.ndim == 1 or Q.shape[:-1] == (1,):
        Q2 = np.ascontiguousarray(Q, dtype).reshape(1, n)
    else:
        Q2 = np.ascontiguousarray(np.broadcast_to(Q, (*shape, n)), dtype).reshape(n_rows, n)
    out = np.empty(len(P2))
    if len(P2):
        blocks = cut(len(P2), max(1, BLOCK // max(n, 1), len(P2) // _BLOCKS))

        def task(block: int, _: int) -> None:
            divergences.dense_rows(measure, P2, Q2, normalize, *blocks[block], out)

        run_blocks(task, len(blocks))
    out *= scale
    if not shape:
        return dtype.type(out[0])
    return out.reshape(shape).astype(dtype, copy=False)


def _sparse(measure: int, P: Any, Q: Any, normalize: bool) -> Array:
    """Measure CSR rows; a dense partner is taken by its entries that are not 0."""
    P, Q = (X if sp.issparse(X) else sp.csr_matrix(np.atleast_2d(X).astype(np.float64, copy=False)) for X in (P, Q))
    if P.shape[0] == 1 and Q.shape[0] > 1:
        P = sp.csr_matrix(np.ones((Q.shape[0], 1))) @ P
    if Q.shape[0] not in (1, P.shape[0]):
        raise ValueError(f"p and q must have as many rows, or one of them one, got {P.shape[0]} and {Q.shape[0]}")
    index = np.result_type(P.indices, Q.indices, P.indptr, Q.indptr)
    parts = [
        np.ascontiguousarray(array, dtype)
        for X in (P, Q)
        for array, dtype in ((X.data, np.float64), (X.indices, index), (X.indptr, index))
    ]
    out = np.empty(P.shape[0])
    # a task clears a row of scratch, which should not cost more than its entries
    n_tasks = max(1, min(16, (P.nnz + Q.nnz) // max(P.shape[1], BLOCK)))
    blocks = cut(len(out), max(1, -(-len(out) // n_tasks)))

    def task(block: int, _: int) -> None:
        divergences.sparse_rows(measure, *parts, normalize, P.shape[1], *blocks[block], out)

    run_blocks(task, len(blocks))
    return out


def _weighted(measure: int, P: Any, Q: Any, normalize: bool, weights: Array) -> Measured:
    """Measure with a weight for every outcome: the terms are made, weighed and summed."""
    if weights.shape != (P.shape[-1],):
        raise ValueError(f"weights must have shape ({P.shape[-1]},), got {weights.shape}")
    if sp.issparse(P) or sp.issparse(Q):
        raise ValueError("weights of outcomes are not available for sparse rows")
    if normalize:
        with np.errstate(all="ignore"):
            P, Q = (X / X.sum(axis=-1, keepdims=True) for X in (P, Q))
    if measure == divergences.ENTROPY:
        terms = entr(P)
    elif measure == divergences.CROSS:
        terms = -xlogy(P, Q)
    elif measure == divergences.KL:
        terms = rel_entr(P, Q)
    else:
        middle = 0.5 * (P + Q)
        terms = 0.5 * (rel_entr(P, middle) + rel_entr(Q, middle))
    with np.errstate(all="ignore"):
        return (terms @ weights).astype(np.result_type(P, Q), copy=False)
