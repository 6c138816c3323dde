"""Answers row by row: blocks of samples on threads, from scores to classes and probabilities, still in cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from deciban._arrays import DATA_DTYPES, INDEX_DTYPES, Array, entries, specialise
from deciban._kernels import posterior
from deciban._parallel import cut, run_blocks

Rows = Callable[[int, int, Array, Array], int]

_sparse_rows = specialise(posterior.sparse_rows, DATA_DTYPES, INDEX_DTYPES)
_NO_CLASSES = np.empty(0, np.intp)
_STRETCH = 1 << 14  # labels that stay in cache
_BLOCK = 1 << 20  # multiplications a block: 200-400 us


def answer_rows(
    rows: Rows, answer: int, n_rows: int, n_classes: int, cost: int, together: int = 1
) -> tuple[Array, int]:
    """Call ``rows(start, stop, out, largest)`` for blocks of all rows; return the answer and the trouble met.

    ``cost`` is the number of multiplications for each row and class; a kernel likes blocks of a multiple of
    ``together``.
    """
    largest_only = answer == posterior.LARGEST
    largest = np.empty(n_rows, np.intp) if largest_only else _NO_CLASSES
    size = max(1, _BLOCK // (n_classes * cost * together)) * together
    if size >= n_rows:
        out = np.empty((1 if largest_only else n_rows, n_classes))
        return largest if largest_only else out, rows(0, n_rows, out, largest)
    out = np.empty((0 if largest_only else n_rows, n_classes))
    blocks = cut(n_rows, size)
    trouble = [0] * len(blocks)

    def task(block: int, _: int) -> None:
        trouble[block] = rows(*blocks[block], np.empty((1, n_classes)) if largest_only else out, largest)

    run_blocks(task, len(blocks))
    return largest if largest_only else out, int(np.bitwise_or.reduce(trouble))


def answer_sparse(
    X: Any, table: Array, offset: Array, answer: int, binary: bool = False, threshold: float = 0.0
) -> tuple[Array, int]:
    """Return the answer for the rows of a CSR matrix whose scores are X @ table + offset, and the trouble met.

    With ``binary``, an entry counts as 1 where it is above the threshold, else as nothing.
    """
    data, indices, indptr = entries(X)
    kernel = _sparse_rows[data.dtype, indices.dtype]

    def rows(start: int, stop: int, out: Array, largest: Array) -> int:
        return kernel(data, indices, indptr, table, offset, binary, threshold, answer, start, stop, out, largest)

    n_rows = X.shape[0]
    return answer_rows(rows, answer, n_rows, len(offset), len(data) // n_rows + 1)


def labelled(classes: Array, largest: Array) -> Array:
    """Return ``classes[largest]``, with many rows in the memory of ``largest`` where labels fit in there."""
    if len(largest) <= _STRETCH or type(classes) is not np.ndarray:
        return classes[largest]
    if classes.dtype.kind not in "iuf" or classes.itemsize != largest.itemsize:
        return classes[largest]
    labels = largest.view(classes.dtype)
    for start in range(0, len(largest), _STRETCH):
        labels[start : start + _STRETCH] = classes[largest[start : start + _STRETCH]]
    return labels


def finish(scores: Array, answer: int) -> tuple[Array, int]:
    """Return the answer for rows of scores, which it may overwrite, and the trouble met."""
    if answer == posterior.JOINT:
        return scores, 0
    if answer == posterior.LARGEST:
        return np.argmax(scores, axis=1), 0
    blocks = cut(len(scores), max(1, _BLOCK // (8 * scores.shape[1])))
    troubles = [0] * len(blocks)

    def task(block: int, _: int) -> None:
        troubles[block] = posterior.finish_rows(scores, answer, *blocks[block])

    run_blocks(task, len(blocks))
    return scores, int(np.bitwise_or.reduce(troubles, initial=0))


def sigmoids(scores: Array, log: bool) -> Array:
    """Return (log) probabilities of shape (n_rows, 2) out of the scores of the second of two classes."""
    out = np.empty((len(scores), 2))
    blocks = cut(len(scores), _BLOCK >> 5)
    run_blocks(lambda block, _: posterior.sigmoid_rows(scores, log, *blocks[block], out), len(blocks))
    return out


def share_rows(scores: Array) -> Array:
    """Return the logistic function of scores over its sums along rows, in place."""
    blocks = cut(len(scores), max(1, (_BLOCK >> 4) // scores.shape[1]))
    run_blocks(lambda block, _: posterior.share_rows(scores, *blocks[block]), len(blocks))
    return scores
