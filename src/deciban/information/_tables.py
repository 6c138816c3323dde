"""Joint distributions of two variables: what they, their values, and features and classes tell of each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils import column_or_1d

from deciban._arrays import aligned_empty, check_out, entries, is_plain
from deciban._class_sums import count_dense, count_sparse
from deciban._kernels import counts, tables
from deciban._parallel import cut, run_blocks
from deciban.information._columns import BLOCK
from deciban.information._measures import Array, few, in_blocks, numbers, real_type, rows, unit
from deciban.information._sparse import copy_indices, like, marginals

_SUMS = 16  # of columns that are kept apart, at most
_LABELS = 64  # whole numbers so near to each other are looked up, not sorted


class _Table:
    """A joint distribution, or counts: a CSR matrix, or a dense table as kernels take it, and its sums."""

    def __init__(self, joint: Any, normalize: bool, dtype: Any = None) -> None:
        self.total: float
        self.is_sparse = sp.issparse(joint)
        table: Any = rows(joint, -1, "joint") if self.is_sparse else numbers(joint, "joint")
        if table.ndim != 2:
            raise ValueError(f"joint must have two dimensions, got {table.ndim}")
        if self.is_sparse and not table.data.all():
            table = table.copy()
            table.eliminate_zeros()
        self.table = table
        self._convert(real_type(table.dtype) if dtype is None else np.dtype(dtype))
        self._add_up()
        if normalize and math.isinf(self.total):  # perhaps of finite numbers: a power of 2 changes none of their digits
            exponent = int(np.frexp(np.abs(self.entries).max())[1])
            self.entries = np.ldexp(self.entries, -exponent)
            self._add_up()
        if not normalize:
            self.total = 1.0

    @property
    def entries(self) -> Array:
        """What it holds: all numbers, or those of a sparse matrix."""
        return np.asarray(self.table.data if self.is_sparse else self.table)

    @entries.setter
    def entries(self, values: Array) -> None:
        if self.is_sparse:
            self.table.data = values
        else:
            self.table = values

    def _convert(self, dtype: np.dtype[Any]) -> None:
        given = self.entries
        if given.dtype == dtype and is_plain(given):
            return
        out = aligned_empty(given.shape, dtype)

        def task(start: int, stop: int) -> None:
            np.copyto(out[start:stop], given[start:stop])

        in_blocks(len(given), given[:1].size, task)
        self.entries = out

    def _add_up(self) -> None:
        n_rows, n = self.table.shape
        if self.is_sparse:
            self.rows, self.columns = marginals(self.table)
        else:
            self.rows = np.empty(n_rows)
            blocks = cut(n_rows, max(1, BLOCK // max(n, 1), n_rows // _SUMS))
            columns = np.zeros((max(len(blocks), 1), n))

            def task(block: int, _: int) -> None:
                start, stop = blocks[block]
                tables.add_up(self.table[start:stop], self.rows[start:stop], columns[block])

            run_blocks(task, len(blocks))
            with np.errstate(all="ignore"):
                self.columns = columns[0] if len(blocks) <= 1 else columns.sum(axis=0)
        with np.errstate(all="ignore"):
            self.total = float(self.rows.sum())

    def for_rows(self, task: Callable[[int, int], None]) -> None:
        """Call ``task(start, stop)`` for blocks of rows."""
        n_rows, n = self.table.shape
        in_blocks(n_rows, self.table.nnz // max(n_rows, 1) if self.is_sparse else n, task)


def mutual_information(joint: Any, *, normalize: bool = False, base: float | str = "e") -> float:
    """Return the mutual information of two variables, ``sum P(a, b) log(P(a, b) / (P(a) P(b)))``.

    Parameters
    ----------
    joint : array-like or sparse matrix of shape (n_a, n_b)
        Joint probabilities; or counts, with ``normalize``.
    normalize, base
        As for :func:`entropy`.

    Returns
    -------
    information : float
        What one variable tells of the other; NaN if an entry is NaN, inf if one is negative.

    Raises
    ------
    ValueError
        If joint is not a matrix of real numbers.

    References
    ----------
    T. M. Cover, J. A. Thomas, Elements of Information Theory, 2nd edition, Wiley, 2006, chapter 2.

    Examples
    --------
    >>> from deciban.information import mutual_information
    >>> mutual_information([[2, 0], [0, 2]], normalize=True, base=2)
    1.0
    """
    scale = unit(base)
    if not sp.issparse(joint):
        joint = few(numbers(joint, "joint"), np.dtype(np.float64))
    at_once = tables.information_at_once(joint, normalize)
    if at_once is not None:
        return at_once * scale
    found = _Table(joint, normalize, np.float64 if sp.issparse(joint) else None)
    if not found.entries.size:
        return math.nan if normalize else 0.0
    if not found.total > 0 or np.isinf(found.rows).any():
        return math.nan
    columns, total = found.columns, found.total
    fraction, exponent = math.frexp(total)
    if abs(exponent) > 900:  # the inverse would be no ordinary number
        columns, total = np.ldexp(columns, -exponent), fraction
    apart = np.empty(len(found.rows))

    def task(start: int, stop: int) -> None:
        if found.is_sparse:
            X = found.table
            tables.divergences_sparse(X.data, X.indices, X.indptr, found.rows, columns, total, start, stop, apart)
        else:
            some, sums = found.table[start:stop], found.rows[start:stop]
            tables.divergences(some.astype(float, copy=False), sums, columns, total, normalize, apart[start:stop])

    found.for_rows(task)
    with np.errstate(all="ignore"):
        information = float((found.rows / found.total * apart).sum())
    if math.isfinite(information):
        return information * scale
    entries = found.entries
    least = entries.min()
    if not least >= 0:
        return math.nan if np.isnan(least) else math.inf
    # shares out of the range of numbers: their logarithms are within
    pmi = pointwise_mutual_information(joint, normalize=normalize)
    logarithms = pmi.data if found.is_sparse else pmi
    there = entries > 0
    return float((entries[there] / found.total * logarithms[there]).sum()) * scale


def pointwise_mutual_information(
    joint: Any, *, normalize: bool = False, base: float | str = "e", out: Array | None = None
) -> Any:
    """Return how much more often than by chance each pair occurs, ``log(P(a, b) / (P(a) P(b)))``.

    Parameters
    ----------
    joint : array-like or sparse matrix of shape (n_a, n_b)
        Joint probabilities; or counts, with ``normalize``.
    normalize, base
        As for :func:`entropy`.
    out : ndarray of shape (n_a, n_b), default=None
        Where to write the result of a dense table: C-contiguous, of its dtype. It may be joint itself.

    Returns
    -------
    pmi : ndarray, or CSR matrix for sparse input, of shape (n_a, n_b)
        -inf for pairs that do not occur (which a sparse matrix leaves out), NaN for what never occurs at all. float32
        for float32, else float64.

    Raises
    ------
    ValueError
        If joint is not a matrix of real numbers, or ``out`` cannot be written to.

    References
    ----------
    K. W. Church, P. Hanks, Word association norms, mutual information, and lexicography, Computational Linguistics 16
    (1990), 22-29.

    Examples
    --------
    >>> from deciban.information import pointwise_mutual_information
    >>> pointwise_mutual_information([[2, 0], [0, 2]], normalize=True, base=2)
    array([[  1., -inf],
           [-inf,   1.]])
    """
    scale = unit(base)
    given = joint
    if not sp.issparse(joint):
        joint = few(numbers(joint, "joint"))
        check_out(out, joint.shape, real_type(joint.dtype), given, or_itself=True)
    elif out is not None:
        raise ValueError("the result for a sparse matrix is sparse, and takes no out")
    at_once = tables.associate_at_once(joint, normalize, scale, out)
    if at_once is not None:
        return at_once
    found = _Table(joint, normalize)
    pmi: Any
    if found.is_sparse:
        X = found.table
        pmi = like(X)
    else:
        pmi = np.empty_like(found.table) if out is None else out
        with np.errstate(all="ignore"):
            inverses = 1.0 / found.columns

    def task(start: int, stop: int) -> None:
        if found.is_sparse:
            copy_indices(X, start, stop, pmi)
            tables.associate_sparse(
                *(X.data, X.indices, X.indptr, found.rows, found.total, found.columns, scale, start, stop, pmi.data)
            )
        else:
            some, sums = found.table[start:stop], found.rows[start:stop]
            tables.associate(some, sums, found.total, found.columns, inverses, scale, pmi[start:stop])

    found.for_rows(task)
    return pmi


def information_gain(X: Any, y: Any, *, base: float | str = "e") -> npt.NDArray[np.float64]:
    """Return how much the presence of each feature tells of the class: a score for ``SelectKBest``.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Counts or weights; a feature is present where it is above 0, and NaN makes its gain NaN.
    y : array-like of shape (n_samples,)
        Class labels.
    base : as for :func:`entropy`
        The unit.

    Returns
    -------
    gain : ndarray of shape (n_features,)
        The mutual information of presence and class, ``H(y) - H(y | present)``.

    Raises
    ------
    ValueError
        If X and y do not agree in length, or X is malformed.

    References
    ----------
    Y. Yang, J. O. Pedersen, A comparative study on feature selection in text categorization, ICML 1997.

    Examples
    --------
    >>> from sklearn.feature_selection import SelectKBest
    >>> from deciban.information import information_gain
    >>> SelectKBest(information_gain, k=1).fit_transform([[1, 1], [1, 0]], ["ham", "spam"])
    array([[1],
           [0]])
    """
    samples: Any = rows(X, -1, "X") if sp.issparse(X) else numbers(X, "X")
    if samples.ndim != 2:
        raise ValueError(f"X must have two dimensions, got {samples.ndim}")
    is_vector = type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "iub"
    codes, size = _coded(y if is_vector else column_or_1d(y))
    if len(codes) != samples.shape[0]:
        raise ValueError(f"X and y must have as many rows, got {samples.shape[0]} and {len(codes)}")
    none = np.empty(0)
    unknown: Any = slice(0)
    if sp.issparse(samples):
        present, trouble = count_sparse(
            entries(samples), codes, len(size), samples.shape[1], none, binary=True, threshold=0.0
        )
        if trouble & counts.NONFINITE:
            unknown = samples.indices[np.isnan(samples.data)]
    else:
        present, _ = count_dense(samples, codes, len(size), none, binary=True, threshold=0.0)
    gain = np.empty(samples.shape[1])

    def task(start: int, stop: int) -> None:
        tables.gains(present[:, start:stop].astype(np.float64), size, gain[start:stop])

    in_blocks(len(gain), len(size), task)
    gain[unknown] = np.nan
    return gain * unit(base)


def _coded(labels: Array) -> tuple[npt.NDArray[np.int32], Array]:
    """Return the labels as numbers from 0 on, and how often there is each."""
    if labels.dtype.kind == "i" and labels.size:
        least = int(labels.min())
        if int(labels.max()) - least < _LABELS:  # some may be nobody's
            codes = np.subtract(labels, least, dtype=np.int64)
            return codes.astype(np.int32), np.bincount(codes).astype(np.float64)
    classes, codes = np.unique(labels, return_inverse=True)
    return codes.astype(np.int32), np.bincount(codes, minlength=len(classes)).astype(np.float64)
