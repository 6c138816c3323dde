"""Sums of the rows of each class: what naive Bayes counts, and what tells how much a feature says of the class."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deciban._arrays import DATA_DTYPES, INDEX_DTYPES, Array, aligned_empty, specialise
from deciban._kernels import counts
from deciban._parallel import cut, effective_n_threads, run_blocks

_SMALL_ENTRIES = 1 << 15  # below this, handing work to another thread costs more than it saves
_CELL_DTYPES = (np.dtype(np.uint16), np.dtype(np.float64))

_sum_rows = specialise(counts.sum_rows, DATA_DTYPES, INDEX_DTYPES, _CELL_DTYPES)
_sum_dense_rows = specialise(counts.sum_dense_rows, DATA_DTYPES)


def group_rows(codes: Array, n_classes: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the rows listed by class, and where each class starts (and the last one ends) in that list."""
    starts, order = np.zeros(n_classes + 1, np.intp), np.empty(len(codes), np.intp)
    counts.group_rows(codes, starts, order)
    return order[: starts[-1]], starts


def count_sparse(
    parts: tuple[Array, Array, Array],
    codes: Array,
    n_classes: int,
    n_features: int,
    weights: Array,
    binary: bool,
    threshold: float,
) -> tuple[Array, int]:
    """Return the table (n_classes, n_features) of sums of the rows of each class, and the trouble met.

    Of uint16 where all is whole numbers that small, else of float64.
    """
    data, indices, indptr = parts
    n_threads = effective_n_threads() if len(data) + n_features * n_classes > _SMALL_ENTRIES else 1
    order, starts = group_rows(codes, n_classes)
    bounds = balanced(codes, indptr, n_classes, n_threads)
    for dtype in _CELL_DTYPES[1:] if len(weights) else _CELL_DTYPES:
        kernel = _sum_rows[data.dtype, indices.dtype, dtype]
        table = aligned_empty((n_classes, n_features), dtype)
        trouble = [0] * (len(bounds) - 1)

        def count(block: int, _: int, kernel: Any = kernel, table: Array = table, trouble: Any = trouble) -> None:
            classes = bounds[block], bounds[block + 1]
            trouble[block] = kernel(data, indices, indptr, starts, order, weights, *classes, binary, threshold, table)

        run_blocks(count, len(trouble), n_threads)
        met = int(np.bitwise_or.reduce(trouble))
        if not met & counts.WIDE or met & counts.MALFORMED:
            break
    return table, met


def balanced(codes: Array, indptr: Array | None, n_classes: int, n_parts: int) -> list[int]:
    """Cut the classes into at most ``n_parts`` ranges of about as many entries each (or rows, without ``indptr``)."""
    if n_parts == 1 or n_classes == 1:
        return [0, n_classes]
    sizes = None if indptr is None else np.diff(indptr)
    upto = np.cumsum(np.bincount(np.maximum(codes, 0), sizes, minlength=n_classes))
    bounds = np.searchsorted(upto, upto[-1] * np.arange(1, n_parts) / n_parts) + 1
    return sorted({0, *(int(bound) for bound in bounds if bound < n_classes), n_classes})


def count_dense(
    X: Array, codes: Array, n_classes: int, weights: Array, binary: bool, threshold: float
) -> tuple[Array, int]:
    """Return the table (n_classes, n_features) of sums of dense rows of each class, and the trouble met."""
    X = np.ascontiguousarray(X, dtype=X.dtype if X.dtype in DATA_DTYPES else np.float64)
    kernel = _sum_dense_rows[X.dtype,]
    n_threads = effective_n_threads() if X.size > _SMALL_ENTRIES else 1
    if binary and not len(weights):  # whole numbers: rows may be added in any order
        rows = cut(len(X), -(-len(X) // min(n_threads, 1 + X.size // (8 * n_classes * X.shape[1])))) if X.size else []
        tables = np.zeros((max(len(rows), 1), n_classes, X.shape[1]))

        def count_some(block: int, _: int) -> None:
            some = slice(*rows[block])
            kernel(X[some], codes[some], weights, 0, n_classes, binary, threshold, tables[block])

        run_blocks(count_some, len(rows), n_threads)
        return tables[0] if len(tables) == 1 else tables.sum(axis=0), 0
    table = np.zeros((n_classes, X.shape[1]))
    bounds = balanced(codes, None, n_classes, n_threads)
    trouble = [0] * (len(bounds) - 1)

    def count(block: int, _: int) -> None:
        trouble[block] = kernel(X, codes, weights, bounds[block], bounds[block + 1], binary, threshold, table)

    run_blocks(count, len(trouble), n_threads)
    return table, int(np.bitwise_or.reduce(trouble))
