"""Distributions as CSR rows: checked, and measured without making them dense."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from deciban._arrays import aligned_empty, csr_parts, entries, malformed, to_csr
from deciban._kernels import csr, divergences, sparse_divergences, tables
from deciban._parallel import cut, run_blocks

Array = npt.NDArray[Any]

_TASK = 1 << 16  # entries of a task, at least
_TASKS = 16
_MANY_COLUMNS = 1 << 20  # of which most may be empty: beyond, only those that are not are counted


def checked(p: Any) -> Any:
    """Return a sparse matrix as CSR of float32 or float64, whose arrays may be its own: nobody writes to them."""
    data, indices, indptr = csr_parts(to_csr(p))
    n_entries = int(indptr[-1])
    X = sp.csr_matrix(p.shape)
    narrow = data.dtype in (np.float32, np.float16)
    X.data = data[:n_entries].astype(np.float32 if narrow else np.float64, copy=False)
    X.indices, X.indptr = indices[:n_entries], indptr
    return X


def without_duplicates(X: Any) -> Any:
    """Return checked rows whose duplicates are added up, sorted or not."""
    n_rows, n_columns = X.shape
    if n_columns > max(_MANY_COLUMNS, 4 * X.nnz):
        found = not X.has_canonical_format
    else:
        blocks = cut(n_rows, _rows_of_a_task(n_rows, X.nnz, n_columns))
        some = [False] * len(blocks)

        def task(block: int, _: int) -> None:
            some[block] = csr.has_duplicates(X.indices, X.indptr, n_columns, *blocks[block])

        run_blocks(task, len(blocks))
        found = any(some)
    if found:
        X = X.copy()
        X.sum_duplicates()
    return X


def like(X: Any) -> Any:
    """Return CSR rows of the structure of others, whose entries and indices have yet to be written."""
    found = sp.csr_matrix(X.shape)
    found.data, found.indices = (aligned_empty(array.shape, array.dtype) for array in (X.data, X.indices))
    found.indptr = X.indptr.copy()
    return found


def copy_indices(X: Any, start: int, stop: int, found: Any) -> None:
    """Write the indices of rows [start, stop) of X to those of another."""
    some = slice(X.indptr[start], X.indptr[stop])
    found.indices[some] = X.indices[some]


def _rows_of_a_task(n_rows: int, n_entries: int, n_columns: int = 0) -> int:
    """Return how many rows to take at once, where a task clears a number for each of some columns first."""
    n_tasks = min(_TASKS, n_entries // max(_TASK, n_columns))
    return max(1, -(-n_rows // max(1, n_tasks)))


def cross_entropies(p: Any, Q: Any, normalize: bool) -> Array | None:
    """Return the cross-entropies of CSR rows as they come, and one checked row: a product with a vector, if it is that.

    It is where the row has no NaN. Duplicates do not matter to it, and the kernel checks the indices.
    """
    n_rows, n_columns = p.shape
    if Q.shape not in ((n_columns,), (1, n_columns)) or n_columns > max(_MANY_COLUMNS, 4 * len(p.data)):
        return None
    one = _dense_row(Q)
    minus_logs = np.empty(n_columns)
    is_finite, has_nan = sparse_divergences.minus_logs(one, normalize, minus_logs)
    if has_nan:
        return None
    parts = entries(p)
    out = np.empty(n_rows)
    blocks = cut(n_rows, _rows_of_a_task(n_rows, len(parts[0])))
    good = [True] * len(blocks)

    def task(block: int, _: int) -> None:
        good[block] = sparse_divergences.cross_entropies(*parts, minus_logs, is_finite, normalize, *blocks[block], out)

    run_blocks(task, len(blocks))
    if not all(good):
        raise malformed(p)
    # perhaps for a sum, or its inverse, beyond the range of numbers
    is_lost = normalize and bool((np.isnan(out) & (np.diff(parts[2]) > 0)).any())
    return None if is_lost else out


def _sums_of_columns(X: Any, task: Callable[[int, int, Array], None]) -> Array:
    """Return sums, one a column, to which ``task(start, stop, columns)`` adds those of rows, as sums of two."""
    n_rows, n = X.shape
    n_parts = max(1, min(_TASKS, X.nnz // max(2 * n, _TASK)))
    blocks = cut(n_rows, max(1, -(-n_rows // n_parts)))
    parts = aligned_empty((len(blocks), n, 2))

    def add_up(block: int, _: int) -> None:
        parts[block] = 0.0
        task(*blocks[block], parts[block])

    run_blocks(add_up, len(blocks))
    columns = np.empty(n)
    pieces = cut(n, _TASK)
    run_blocks(lambda piece, _: tables.add_parts(parts, *pieces[piece], columns), len(pieces))
    return columns


def marginals(X: Any) -> tuple[Array, Array]:
    """Return the sums of rows and of columns."""
    of_rows = np.empty(X.shape[0])

    def task(start: int, stop: int, columns: Array) -> None:
        tables.add_up_sparse(X.data, X.indices, X.indptr, start, stop, of_rows, columns)

    return of_rows, _sums_of_columns(X, task)


def by_column(measure: int, p: Any, Q: Any, normalize: bool) -> Array | None:
    """Return the entropies of columns of a CSR matrix, or their cross-entropies and one checked row's, as entries lie.

    None if that is another measure, or takes sums, inverses or numbers that are out of range.
    """
    if measure not in (divergences.ENTROPY, divergences.CROSS):
        return None
    X = checked(p)
    inverses = logs = np.empty(0)
    if measure == divergences.ENTROPY:
        X = without_duplicates(X)
    else:
        if Q.shape not in ((X.shape[0],), (1, X.shape[0])):
            return None
        logs = np.empty(X.shape[0])
        _, has_nan = sparse_divergences.minus_logs(_dense_row(Q), normalize, logs)
        if has_nan:
            return None
    data, indices, indptr = _parts(X)
    if normalize:
        with np.errstate(all="ignore"):
            inverses = 1.0 / marginals(X)[1]
        inverses[~((abs(inverses) >= np.finfo(np.float64).tiny) & (abs(inverses) < np.inf))] = np.nan

    def task(start: int, stop: int, out: Array) -> None:
        if measure == divergences.ENTROPY:
            some = int(indptr[start]), int(indptr[stop])
            sparse_divergences.entropies_of_columns(data, indices, inverses, *some, out)
        else:
            sparse_divergences.cross_entropies_of_columns(data, indices, indptr, logs, start, stop, out)

    out = _sums_of_columns(X, task)
    if normalize:
        if measure == divergences.CROSS:
            with np.errstate(all="ignore"):
                out *= inverses
        out[np.isnan(inverses)] = np.nan
        is_lost = ~np.isfinite(out)
        if is_lost.any() and is_lost[indices].any():
            return None
    return out


def by_row(measure: int, P: Any, Q: Any, normalize: bool, weights: Array) -> Array:
    """Measure rows in float64; P or Q is sparse, either may have one row, and for an entropy both are the same."""
    out = np.empty(P.shape[0] if Q.shape[0] == 1 else Q.shape[0])
    if not len(out):
        return out
    if P.shape[1] > max(_MANY_COLUMNS, 4 * sum(X.nnz if sp.issparse(X) else X.size for X in (P, Q))):
        P, Q, weights = _without_empty_columns(P, Q, weights)
    kernel: Callable[..., None]
    arguments: tuple[Any, ...]
    n_columns = 0  # of scratch
    if measure == divergences.ENTROPY:
        P = without_duplicates(P)
        n_entries, kernel, arguments = P.nnz, sparse_divergences.entropies, (*_parts(P), normalize, weights)
    elif P.shape[0] == Q.shape[0]:
        pairs = [without_duplicates(X) if sp.issparse(X) else sp.csr_matrix(X) for X in (P, Q)]
        n_entries, n_columns = sum(X.nnz for X in pairs), P.shape[1]
        kernel = partial(sparse_divergences.rows_in_pairs, measure)
        arguments = (*_parts(*pairs), normalize, weights, P.shape[1])
    else:
        one_is_p = P.shape[0] == 1
        one, many = _dense_row(P if one_is_p else Q), without_duplicates(Q if one_is_p else P)
        absent = np.empty_like(one)
        whole = sparse_divergences.absences(measure, one, one_is_p, normalize, weights, absent)
        n_entries, kernel = many.nnz, partial(sparse_divergences.against_one, measure)
        arguments = (*_parts(many), one, one_is_p, normalize, weights, absent, whole)
    blocks = cut(len(out), _rows_of_a_task(len(out), n_entries, n_columns))
    run_blocks(lambda block, _: kernel(*arguments, *blocks[block], out), len(blocks))
    return out


def _parts(*matrices: Any) -> list[Array]:
    """Return data, indices and indptr of each, of types that a kernel takes."""
    index = np.result_type(*(array for X in matrices for array in (X.indices, X.indptr)))
    return [
        np.ascontiguousarray(array, dtype)
        for X in matrices
        for array, dtype in ((X.data, np.float64), (X.indices, index), (X.indptr, index))
    ]


def _dense_row(X: Any) -> Array:
    return np.ascontiguousarray((X.toarray() if sp.issparse(X) else X).reshape(-1), np.float64)


def _without_empty_columns(P: Any, Q: Any, weights: Array) -> tuple[Any, Any, Array]:
    columns = np.unique(np.concatenate([X.indices for X in (P, Q)]))
    found = []
    for X in (P, Q):
        narrow = sp.csr_matrix((X.shape[0], len(columns)))
        narrow.data, narrow.indptr = X.data, X.indptr
        narrow.indices = np.searchsorted(columns, X.indices).astype(X.indptr.dtype)
        found.append(narrow)
    return found[0], found[1], weights[columns] if len(weights) else weights
