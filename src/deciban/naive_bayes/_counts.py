"""What the naive Bayes classifiers that count share: labels to codes, counts to tables of logarithms.

Counts lie class by class, (n_classes, n_features), as they are made and as ``feature_count_`` shows them; tables of
logarithms lie feature by feature, (n_features, n_classes), as predictions read them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import type_of_target

from deciban._arrays import DATA_DTYPES, INDEX_DTYPES, Array, Room, aligned_empty, feature_major, specialise
from deciban._kernels import counts
from deciban._largest import FixedTable
from deciban._lazy import Lazy, LazyAttribute
from deciban._parallel import cut, run_blocks

FIT_METHODS = ("_check_X_y", "_count", "_init_counters", "_update_feature_log_prob")
_CELLS = 1 << 16  # elements a block of table arithmetic: 512 KB, which stays in L2
_WHOLE = 1 << 16  # numbers of 16 bits
_LABELS = 1 << 17  # labels a block: 100 us

check_rows = specialise(counts.check_rows, DATA_DTYPES, INDEX_DTYPES)
merge_rows = specialise(counts.merge_rows, DATA_DTYPES, INDEX_DTYPES)
grow_rows = specialise(counts.grow_rows, DATA_DTYPES, INDEX_DTYPES)


def encode(y: Array) -> tuple[Array, npt.NDArray[np.int32]]:
    """Return the sorted classes in y and each label's index among them, as scikit-learn's LabelBinarizer sees them."""
    if y.dtype.kind not in "iu":
        classes = LabelBinarizer().fit(y).classes_
        return classes, np.searchsorted(classes, y).astype(np.int32)
    smallest, largest = int(y.min()), int(y.max())
    if largest - smallest > 4 * len(y) + 1024 or largest > np.iinfo(np.int64).max:
        classes, inverse = np.unique(y, return_inverse=True)
        return classes.astype(classes.dtype.newbyteorder("="), copy=False), inverse.astype(np.int32)
    labels = y if y.dtype in (np.int64, np.int32) and y.dtype.isnative else y.astype(np.int64)
    present = np.zeros(largest - smallest + 1, np.uint8)
    counts.find_labels(labels, smallest, present)
    rank = np.cumsum(present, dtype=np.int32) - np.int32(1)
    codes = np.empty(len(y), np.int32)
    blocks = cut(len(y), _LABELS)
    run_blocks(lambda block, _: counts.rank_labels(labels, smallest, rank, *blocks[block], codes), len(blocks))
    return (np.flatnonzero(present) + smallest).astype(y.dtype.newbyteorder("=")), codes


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


class Cells:
    """The table that fit adds to, of uint16 as long as that is enough and nobody outside has seen it.

    It stands by itself so that nothing refers in a circle: tables go when their estimator goes, not later.
    """

    __slots__ = ("table",)

    def __init__(self, table: Array) -> None:
        self.table = table

    def wide(self) -> Array:
        """Return the table in double precision, in which it is kept from then on."""
        if self.table.dtype != np.float64:
            self.table = self.table.astype(np.float64)
        return self.table


class Counts(Lazy):
    """``feature_count_`` or ``category_count_``: its cells, and ``view``, which makes the attribute of them.

    The logarithms belong to the counts as fit left them. Somebody who sees the counts can write to them, so the
    logarithms are made first.
    """

    __slots__ = ("cells", "starts")

    starts: Array  # of each feature's rows, where a feature has several

    def __init__(self, cells: Cells, view: Callable[[], Any], *dependents: Table) -> None:
        def make() -> Any:
            for dependent in dependents:
                dependent.made()
            return view()

        super().__init__(make)
        self.cells = cells


class Table(Lazy):
    """``feature_log_prob_``, and what predictions are made with once it is known.

    Parameters
    ----------
    make : callable
        Makes the attribute's value.
    make_fixed : callable, default=None
        Makes ``fixed`` without it, if that is possible.
    seen : bool, default=False
        Whether somebody outside holds the value.

    Attributes
    ----------
    scores : object
        What the model's predictions take instead of the value, in double precision.
    fixed : object
        The same with a :class:`FixedTable`; only as long as nobody has seen the value, and so can write into it.
    """

    __slots__ = ("fixed", "make_fixed", "scores", "seen")

    def __init__(
        self, make: Callable[[], Any], make_fixed: Callable[[], FixedTable] | None = None, seen: bool = False
    ) -> None:
        super().__init__(make)
        self.scores: Any = None
        self.fixed: Any = None
        self.make_fixed = make_fixed
        self.seen = seen

    def get(self) -> Any:
        value = self.made()
        self.seen, self.fixed = True, None
        return value

    def made(self) -> Any:
        """Return the value, for use inside."""
        value = super().get()
        self.make_fixed = None  # the counts may change from here on
        return value

    def hidden(self) -> bool:
        """Return whether nobody outside can write into the value, because nobody has seen it or all have let it go.

        A pickle, a copy, or a glance at the attribute leaves nobody who holds the array or a view of it.
        """
        if self.seen:
            value = self.made()
            if isinstance(self.scores, np.ndarray) and np.may_share_memory(self.scores, value):
                self.scores = None  # a view, which is one reference more
            if not _alone(_references(value)):
                return False
            self.seen, self.fixed = False, None
        return True


def _references(array: Any) -> list[int]:
    """Return how many refer to an array, to what it is a view of, and so on; of other memory, more than can be."""
    found = []
    while isinstance(array, np.ndarray):
        found.append(sys.getrefcount(array))
        array = array.base
    return found if array is None or type(array) in (bytes, Room) else [*found, sys.maxsize]


def _alone(found: list[int]) -> bool:
    return bool(found) and len(found) <= len(_OURS) and all(n <= own for n, own in zip(found, _OURS, strict=False))


def _referred_to_once() -> list[int]:
    table = Table(lambda: np.empty((2, 2)).T)
    value = table.made()
    return _references(value)


_OURS = _referred_to_once()  # which counts the variables on the way too, as this version of Python does


class TableAttribute(LazyAttribute):
    """A :class:`LazyAttribute` whose entry in ``__dict__`` is always a :class:`Table`.

    An array is laid out with features first, as predictions read it, so that they see what is written into it.
    """

    def __set__(self, instance: Any, value: Any) -> None:
        value = feature_major(value)
        instance.__dict__[self.name] = value if isinstance(value, Table) else Table(lambda: value, seen=True)


# --- tables, strip by strip -------------------------------------------------------------------------------------------
#
# A strip is a range of features whose cells fit in cache. Strips are where numpy.sum cuts a long axis in two, and in
# two again, so that the sums of strips add up to its bits (N. J. Higham, The accuracy of floating point summation,
# 1993).


def _strip_size(n_classes: int) -> int:
    return max(128, _CELLS // n_classes)  # numpy.sum itself cuts no further


def _half(n: int) -> int:
    return n // 2 - n // 2 % 8


def each_strip(n_features: int, n_classes: int, step: Callable[[int, int], Any]) -> list[Any]:
    """Return ``step(start, stop)`` of every strip of features, called on threads, without floating-point warnings."""
    size = _strip_size(n_classes)

    def cuts(start: int, n: int) -> list[tuple[int, int]]:
        if n <= size:
            return [(start, start + n)]
        half = _half(n)
        return cuts(start, half) + cuts(start + half, n - half)

    strips = cuts(0, n_features)
    results: list[Any] = [None] * len(strips)

    def task(block: int, _: int) -> None:
        with np.errstate(all="ignore"):
            results[block] = step(*strips[block])

    run_blocks(task, len(strips))
    return results


def pairwise_sum(parts: list[Array], n_features: int, n_classes: int) -> Array:
    """Return the sum of the sums of strips, in the order of numpy.sum along a contiguous axis."""
    size, rest = _strip_size(n_classes), iter(parts)

    def total(n: int) -> Array:
        if n <= size:
            return next(rest)
        left = total(_half(n))
        return left + total(n - _half(n))

    return total(n_features)


def _cut(values: Array, start: int, stop: int) -> Array:
    """Return a smoothing parameter, a number or one for each feature, for a strip."""
    return values[start:stop] if values.ndim else values


def _smoothed_totals(table: Array, alpha: Array) -> Array:
    """Return the sum over features of count + alpha for every class, to the bits of numpy.sum."""
    n_classes, n_features = table.shape
    if table.dtype == np.uint16 and not alpha.ndim and float(alpha * _WHOLE).is_integer():
        sums = [0] * n_classes

        def add(c: int, _: int) -> None:
            sums[c] = counts.total(table[c])

        run_blocks(add, n_classes)
        totals = np.array(sums, dtype=np.float64) + n_features * float(alpha)
        if totals.max() < 2.0**36:  # then every sum on the way is a whole number of 1 / 65536, exact in any order
            return totals
    return pairwise_sum(
        each_strip(
            n_features,
            n_classes,
            lambda start, stop: np.add.reduce(
                np.add(table[:, start:stop], _cut(alpha, start, stop), dtype=np.float64), axis=1
            ),
        ),
        n_features,
        n_classes,
    )


Fill = Callable[[int, int, Array], None]  # writes the scores of some features, (stop - start, n_classes)


def _logs_less(table: Array, alpha: Array, log_total: Array) -> Fill:
    """Return what writes log(count + alpha) - log_total, the logarithms of small whole counts looked up."""
    if table.dtype == np.uint16 and not alpha.ndim and table.size > _WHOLE:
        # made by the same loop of NumPy's as those that are not looked up, for the same bits
        logs = np.log(np.arange(_WHOLE) + alpha)
        return lambda start, _, out: counts.look_up_logs(table, logs, log_total, start, out)

    def fill(start: int, stop: int, out: Array) -> None:
        block = np.add(table[:, start:stop], _cut(alpha, start, stop), dtype=np.float64)
        np.subtract(np.log(block, out=block), log_total[:, np.newaxis], out=block)
        out[:] = block.T

    return fill


def _filled(shape: tuple[int, int], fill: Fill) -> Array:
    """Return the scores of all features, which come first."""
    out = aligned_empty(shape)
    each_strip(*shape, lambda start, stop: fill(start, stop, out[start:stop]))
    return out


def _fixed(shape: tuple[int, int], fill: Fill, lowest: float, highest: float) -> FixedTable:
    """Return the same in fixed point."""
    fixed = FixedTable(*shape, lowest, highest)

    def write(start: int, stop: int) -> None:
        block = np.empty((stop - start, shape[1]))
        fill(start, stop, block)
        fixed.write(start, block)

    each_strip(*shape, write)
    return fixed


def fixed_scores(table: Array) -> FixedTable:
    """Return a table with features first in fixed point."""
    n_features, n_classes = table.shape

    def limits(start: int, stop: int) -> tuple[float, float]:
        return float(table[start:stop].min(initial=0.0)), float(table[start:stop].max(initial=0.0))

    lowest, highest = zip(*each_strip(n_features, n_classes, limits), strict=True)
    fixed = FixedTable(n_features, n_classes, min(lowest), max(highest))
    each_strip(n_features, n_classes, lambda start, stop: fixed.write(start, table[start:stop]))
    return fixed


def multinomial_log_prob(table: Array, alpha: Array) -> Array:
    """Return log(count + alpha) - log(the class's total of those), features first."""
    return _filled(table.T.shape, _logs_less(table, alpha, np.log(_smoothed_totals(table, alpha))))


def fixed_multinomial(table: Array, alpha: Array) -> FixedTable:
    """Return the same in fixed point: all lies between log(alpha / total) and 0."""
    log_total = np.log(_smoothed_totals(table, alpha))
    return _fixed(table.T.shape, _logs_less(table, alpha, log_total), float(np.log(alpha.min()) - log_total.max()), 0.0)


def bernoulli_log_prob(table: Array, class_count: Array, alpha: Array) -> Array:
    """Return log(count + alpha) - log(class_count + 2 alpha), features first."""
    return _filled(table.T.shape, _logs_less(table, alpha, np.log(class_count + alpha * 2)))


def bernoulli_scores(log_prob: Array) -> tuple[Array | None, Array]:
    """Return log p - log(1 - p), features first, and the sums of log(1 - p); no table if one of those is not finite."""
    n_features, n_classes = log_prob.shape
    out = aligned_empty(log_prob.shape)

    def score(start: int, stop: int) -> Array:
        block = np.array(log_prob[start:stop].T, order="C")  # a copy, also where one would do without
        absent = np.exp(block)
        np.log(np.subtract(1, absent, out=absent), out=absent)
        out[start:stop] = np.subtract(block, absent, out=block).T
        return np.add.reduce(absent, axis=1)

    absent = pairwise_sum(each_strip(n_features, n_classes, score), n_features, n_classes)
    return (out if np.isfinite(absent).all() else None), absent


def feature_totals(table: Array) -> Array:
    """Return the sum over classes of every feature's counts, added in the order of the classes."""
    out = np.empty(table.shape[1])

    def add(start: int, stop: int) -> None:
        np.add.reduce(table[:, start:stop], axis=0, dtype=np.float64, out=out[start:stop])

    each_strip(table.shape[1], len(table), add)
    return out


def _complement(table: Array, alpha: Array, norm: bool) -> tuple[Fill, float]:
    """Return what writes the weights of complement_weights, and how large they may be."""
    n_classes, n_features = table.shape
    smoothed = feature_totals(table) + alpha

    def rest(start: int, stop: int) -> Array:
        return smoothed[start:stop] - table[:, start:stop]

    def summed(block: Callable[[int, int], Array]) -> Array:
        parts = each_strip(n_features, n_classes, lambda start, stop: np.add.reduce(block(start, stop), axis=1))
        return pairwise_sum(parts, n_features, n_classes)[:, np.newaxis]

    total = summed(rest)

    def logs(start: int, stop: int) -> Array:
        block = rest(start, stop)
        return np.log(np.divide(block, total, out=block), out=block)

    log_total = summed(logs) if norm else None

    def fill(start: int, stop: int, out: Array) -> None:
        block = logs(start, stop)
        block = np.negative(block, out=block) if log_total is None else np.divide(block, log_total, out=block)
        out[:] = block.T

    largest_value = float(np.log(total.max()) - np.log(alpha.min()))
    return fill, largest_value if log_total is None else largest_value / float(np.abs(log_total).min())


def complement_weights(table: Array, alpha: Array, norm: bool) -> Array:
    """Return minus log of the smoothed share of each feature in all other classes; with ``norm``, scaled to sum 1."""
    return _filled(table.T.shape, _complement(table, alpha, norm)[0])


def fixed_complement(table: Array, alpha: Array, norm: bool) -> FixedTable:
    """Return the same in fixed point."""
    fill, largest_value = _complement(table, alpha, norm)
    return _fixed(table.T.shape, fill, 0.0, largest_value)
