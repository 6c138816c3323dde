"""What the naive Bayes classifiers that count share: labels to codes, counts to tables of logarithms."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import type_of_target

from deciban._arrays import DATA_DTYPES, INDEX_DTYPES, Array, aligned_empty, specialise
from deciban._kernels import counts
from deciban._lazy import Lazy, LazyAttribute
from deciban._parallel import cut, effective_n_threads, run_blocks

FIT_METHODS = ("_check_X_y", "_count", "_init_counters", "_update_feature_log_prob")
_CELLS = 1 << 16  # elements a block of table arithmetic: 512 KB, which stays in L2
_LOGS = 1 << 13  # whole numbers whose logarithms are looked up: 64 KB
_LEAF = 8192  # rows summed by one task
_MANY_A_CELL = 4  # entries for each cell, from where on a copy of the table costs little
_SMALL_ENTRIES = 1 << 15  # below this, handing work to another thread costs more than it saves

sum_rows = specialise(counts.sum_rows, DATA_DTYPES, INDEX_DTYPES)
check_rows = specialise(counts.check_rows, DATA_DTYPES, INDEX_DTYPES)
merge_rows = specialise(counts.merge_rows, DATA_DTYPES, INDEX_DTYPES)
sum_dense_rows = specialise(counts.sum_dense_rows, DATA_DTYPES)


def encode(y: Array) -> tuple[Array, npt.NDArray[np.int32]]:
    """Return the sorted classes in y and each label's index among them, as scikit-learn's LabelBinarizer sees them."""
    if y.dtype.kind not in "iu":
        classes = LabelBinarizer().fit(y).classes_
        return classes, np.searchsorted(classes, y).astype(np.int32)
    smallest, largest = int(y.min()), int(y.max())
    if largest - smallest > 4 * len(y) + 1024 or largest > np.iinfo(np.int64).max:
        classes, codes = np.unique(y, return_inverse=True)
        return classes.astype(classes.dtype.newbyteorder("="), copy=False), codes.astype(np.int32)
    shifted = y.astype(np.int64) - smallest
    present = np.bincount(shifted) > 0
    rank = np.cumsum(present, dtype=np.int32) - np.int32(1)
    return (np.flatnonzero(present) + smallest).astype(y.dtype.newbyteorder("=")), rank[shifted]


def positions(y: Array, classes: Array) -> npt.NDArray[np.int32] | None:
    """Return each label's index among sorted classes, -1 where it is none of them; None if they do not compare."""
    if y.dtype != classes.dtype and {y.dtype.kind, classes.dtype.kind} not in ({"i"}, {"f"}, {"i", "f"}, {"U"}):
        return None
    if y.dtype.kind not in "iufU":
        return None
    codes = np.searchsorted(classes, y)
    codes[codes == len(classes)] = 0
    codes[classes[codes] != y] = -1
    return codes.astype(np.int32)


def encode_known(y: Array, classes: Array) -> npt.NDArray[np.int32] | None:
    """Return each label's index among known classes, as scikit-learn's partial_fit counts it; None if only it can say.

    A label that is not among the classes is counted for none (-1). With two classes and at most two different labels
    scikit-learn takes whatever is not the second class for the first, and with one class everything for that one.
    """
    if y.dtype.kind in "iu":
        limits = np.iinfo(y.dtype)
        if classes.dtype.kind not in "iu" or classes[0] < limits.min or classes[-1] > limits.max:
            return None
    elif type_of_target(y) not in ("binary", "multiclass"):
        return None
    codes = positions(y, classes)
    if codes is None or len(classes) == 1:
        return codes if codes is None else np.zeros_like(codes)
    if len(classes) == 2 and codes.min() < 0 and len(np.unique(y)) <= 2:
        codes[codes < 0] = 0
    return codes


def group_rows(codes: Array, n_classes: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the rows listed by class, and where each class starts (and the last one ends) in that list."""
    starts, order = np.zeros(n_classes + 1, np.intp), np.empty(len(codes), np.intp)
    counts.group_rows(codes, starts, order)
    return order[: starts[-1]], starts


def class_counts(codes: Array, n_classes: int, weights: Array) -> npt.NDArray[np.float64]:
    """Return the number, or the weight, of the rows of each class, added in row order."""
    if n_classes == 1 and len(weights):
        return np.array([weights.sum()])
    if codes.min(initial=0) < 0:
        known = codes >= 0
        codes, weights = codes[known], weights[known] if len(weights) else weights
    found = np.bincount(codes, weights if len(weights) else None, minlength=n_classes)
    return found.astype(np.float64, copy=False)


def checked_class_count(estimator: Any) -> Array:
    """Return ``class_count_`` as an array of one number for each class; it may come from anywhere."""
    count = np.asarray(estimator.class_count_)
    expected = (len(estimator.classes_),)
    if count.dtype.kind not in "fiu" or count.shape != expected:
        raise ValueError(
            f"class_count_ must be an array of real numbers of shape {expected}, "
            f"got {count.dtype} of shape {count.shape}"
        )
    return count


def count_sparse(
    parts: tuple[Array, Array, Array],
    codes: Array,
    n_classes: int,
    n_features: int,
    weights: Array,
    binary: bool,
    threshold: float,
) -> tuple[Array, int]:
    """Return the table (n_features, n_classes) of sums of the rows of each class, and the trouble met."""
    data, indices, indptr = parts
    n_cells = n_features * n_classes
    n_threads = effective_n_threads() if len(data) + n_cells > _SMALL_ENTRIES else 1
    if n_threads > 1 and len(data) > _MANY_A_CELL * n_cells:
        table = np.zeros((n_classes, n_features)).T
    else:
        table = aligned_empty((n_features, n_classes))
        strips = cut(n_features, max(1, -(-n_features // (4 * n_threads))))
        run_blocks(lambda block, _: counts.clear(table, *strips[block]), len(strips), n_threads)
    kernel = sum_rows[data.dtype, indices.dtype]
    bounds = balanced(codes, indptr, n_classes, n_threads)
    trouble = [0] * (len(bounds) - 1)

    def count(block: int, _: int) -> None:
        trouble[block] = kernel(
            data, indices, indptr, codes, weights, bounds[block], bounds[block + 1], binary, threshold, table
        )

    run_blocks(count, len(trouble), n_threads)
    return np.ascontiguousarray(table), int(np.bitwise_or.reduce(trouble))


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
    """Return the table (n_features, n_classes) of sums of dense rows of each class, and the trouble met."""
    X = np.ascontiguousarray(X, dtype=X.dtype if X.dtype in DATA_DTYPES else np.float64)
    kernel = sum_dense_rows[X.dtype,]
    sums = np.zeros((n_classes, X.shape[1]))
    n_threads = effective_n_threads() if X.size > _SMALL_ENTRIES else 1
    bounds = balanced(codes, None, n_classes, n_threads)
    trouble = [0] * (len(bounds) - 1)

    def count(block: int, _: int) -> None:
        trouble[block] = kernel(X, codes, weights, bounds[block], bounds[block + 1], binary, threshold, sums)

    run_blocks(count, len(trouble), n_threads)
    return np.ascontiguousarray(sums.T), int(np.bitwise_or.reduce(trouble))


def each_block(table: Array, step: Callable[[slice], Any]) -> None:
    """Call ``step`` for slices of the table's rows that fit in cache, on threads, without floating-point warnings."""
    strips = cut(len(table), max(1, _CELLS // table.shape[1]))

    def task(block: int, _: int) -> None:
        with np.errstate(all="ignore"):
            step(slice(*strips[block]))

    run_blocks(task, len(strips))


def column_totals(table: Array, shift: float = 0.0) -> npt.NDArray[np.float64]:
    """Return the sum of every column of ``table + shift``, added in the order of numpy.sum along a contiguous axis."""

    def cuts(start: int, n: int) -> list[int]:
        if n <= _LEAF:
            return [start]
        half = n // 2 - n // 2 % 8
        return cuts(start, half) + cuts(start + half, n - half)

    starts = [*cuts(0, len(table)), len(table)]
    leaves = list(pairwise(starts))
    found: dict[int, Array] = {}

    def task(block: int, _: int) -> None:
        start, stop = leaves[block]
        scratch = np.empty((72, table.shape[1]))
        counts.column_sums(table, shift, start, stop - start, scratch)
        found[start] = scratch[0]

    run_blocks(task, len(leaves))

    def total(start: int, n: int) -> Array:
        if n <= _LEAF:
            return found[start]
        half = n // 2 - n // 2 % 8
        return total(start, half) + total(start + half, n - half)

    return total(0, len(table))


class Counts(Lazy):
    """Counts as a table with features first; ``view`` is how the attribute shows it.

    The logarithms belong to the counts as fit left them. Somebody who sees the counts can write to them, so the
    logarithms are made first.
    """

    __slots__ = ("starts", "table")

    starts: Array  # of each feature's rows, where a feature has several

    def __init__(self, table: Array, view: Callable[[], Any], *dependents: Lazy) -> None:
        def make() -> Any:
            for dependent in dependents:
                dependent.get()
            return view()

        super().__init__(make)
        self.table = table


class Table(Lazy):
    """``feature_log_prob_``, and the table that predictions are made with once it is known."""

    __slots__ = ("scores",)

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__(make)
        self.scores: Any = None


class TableAttribute(LazyAttribute):
    """A :class:`LazyAttribute` whose entry in ``__dict__`` is always a :class:`Table`.

    An array is laid out with features first, as predictions read it, so that they see what is written into it.
    """

    def __set__(self, instance: Any, value: Any) -> None:
        if type(value) is np.ndarray and value.ndim == 2 and value.dtype == np.float64 and value.dtype.isnative:
            value = np.ascontiguousarray(value.T).T
        instance.__dict__[self.name] = value if isinstance(value, Table) else Table(lambda: value)


def _per_feature(alpha: Array) -> Array:
    """Shape a smoothing parameter, a number or one for each feature, for arithmetic with features first."""
    return alpha[:, np.newaxis] if alpha.ndim else alpha


def _cut_rows(values: Array, rows: slice) -> Array:
    return values[rows] if values.ndim else values


def _logs_less(table: Array, alpha: Array, log_total: Array) -> Array:
    """Return log(table + alpha) - log_total, the logarithms of small whole counts looked up."""
    out = aligned_empty(table.shape)
    with np.errstate(all="ignore"):
        # made by the same loop of NumPy's as those that are not looked up, for the same bits
        logs = np.log(np.arange(_LOGS) + alpha) if not alpha.ndim and table.size > _LOGS else np.empty(0)
    strips = cut(len(table), max(1, _CELLS // table.shape[1]))

    def task(block: int, _: int) -> None:
        start, stop = strips[block]
        if len(logs) and counts.look_up_logs(table, logs, log_total, start, stop, out):
            return
        rows = slice(start, stop)
        with np.errstate(all="ignore"):
            smoothed = np.add(table[rows], _cut_rows(_per_feature(alpha), rows), out=out[rows])
            np.subtract(np.log(smoothed, out=smoothed), log_total, out=smoothed)

    run_blocks(task, len(strips))
    return out


def multinomial_log_prob(table: Array, alpha: Array) -> Array:
    """Return log(count + alpha) - log(the class's total of those)."""
    if alpha.ndim:
        smoothed = np.empty_like(table)
        each_block(smoothed, lambda rows: np.add(table[rows], _cut_rows(_per_feature(alpha), rows), out=smoothed[rows]))
        total = column_totals(smoothed)
    else:
        total = column_totals(table, float(alpha))
    return _logs_less(table, alpha, np.log(total))


def bernoulli_log_prob(table: Array, class_count: Array, alpha: Array) -> Array:
    """Return log(count + alpha) - log(class_count + 2 alpha)."""
    return _logs_less(table, alpha, np.log(class_count + alpha * 2))


def bernoulli_scores(log_prob: Array) -> tuple[Array | None, Array]:
    """Return log p - log(1 - p), and the sums of log(1 - p); no table if one of those is not finite."""
    out = aligned_empty(log_prob.shape)

    def log_absent(rows: slice) -> None:
        block = np.exp(log_prob[rows], out=out[rows])
        np.log(np.subtract(1, block, out=block), out=block)

    each_block(out, log_absent)
    absent = column_totals(out)
    each_block(out, lambda rows: np.subtract(log_prob[rows], out[rows], out=out[rows]))
    return (out if np.isfinite(absent).all() else None), absent


def feature_totals(table: Array) -> Array:
    """Return the sum over classes of every feature's counts, added in the order of the classes."""
    out = np.empty(len(table))
    each_block(table, lambda rows: np.add.reduce(np.ascontiguousarray(table[rows].T), axis=0, out=out[rows]))
    return out


def complement_weights(table: Array, feature_all: Array, alpha: Array, norm: bool) -> Array:
    """Return minus log of the smoothed share of each feature in all other classes; with ``norm``, scaled to sum 1."""
    out = aligned_empty(table.shape)
    smoothed = feature_all + alpha
    each_block(out, lambda rows: np.subtract(smoothed[rows, np.newaxis], table[rows], out=out[rows]))
    total = column_totals(out)

    def log(rows: slice) -> None:
        block = np.divide(out[rows], total, out=out[rows])
        np.log(block, out=block)
        if not norm:
            np.negative(block, out=block)

    each_block(out, log)
    if norm:
        total = column_totals(out)
        each_block(out, lambda rows: np.divide(out[rows], total, out=out[rows]))
    return out
