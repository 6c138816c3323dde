"""Epochs of stochastic gradient descent: rows as the kernel sees them, classes on threads, and when to stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from deciban._arrays import INDEX_DTYPES, Array, entries, malformed, specialise
from deciban._kernels import stochastic
from deciban._parallel import cut, run_blocks
from deciban.linear_model._weights import Parts, Weights

REAL_DTYPES = (np.dtype(np.float64), np.dtype(np.float32))

_epoch = specialise(stochastic.epoch, REAL_DTYPES)
_gather = specialise(stochastic.gather, REAL_DTYPES)
_scatter = specialise(stochastic.scatter, REAL_DTYPES)
_settle = specialise(stochastic.settle, REAL_DTYPES)
_localise = specialise(stochastic.localise, INDEX_DTYPES)

_CELLS = 1 << 16  # weights a block of a copy from or to the table
_ENTRIES = 1 << 16  # a block of classes of one epoch, times their number: 100 us
_SHARED = 1 << 20  # from which on two threads are worth it: 1.4 ms of one, where a helper may take 1 ms to wake up
_DENSE = np.empty(0, np.int32)
_ONE = {dtype: np.ones(1, dtype) for dtype in REAL_DTYPES}
_NOBODY = np.empty(0, np.uint8)


class Rows(NamedTuple):
    """Rows whose features are numbered 0, 1, ..., n_local - 1; ``features`` says which they are, None for all."""

    data: Array
    indices: npt.NDArray[np.int32]
    indptr: npt.NDArray[np.intp]
    features: npt.NDArray[np.int32] | None
    n_local: int

    def matrix(self) -> Any:
        """Return the rows as a matrix of shape (n_rows, n_local)."""
        shape = len(self.indptr) - 1, self.n_local
        if self.features is None:
            return self.data.reshape(shape)
        return sp.csr_matrix((self.data, self.indices, self.indptr), shape=shape)


def dense_rows(X: Array) -> Rows:
    """Make rows of a C-contiguous array."""
    n_rows, n_features = X.shape
    return Rows(X.ravel(), _DENSE, np.arange(n_rows + 1, dtype=np.intp) * n_features, None, n_features)


def sparse_rows(X: Any, places: list[npt.NDArray[np.int32]]) -> Rows:
    """Make rows of a CSR matrix; ``places`` keeps a table of -1 for each feature, which two threads never take at once.

    Raises
    ------
    ValueError
        If the matrix is malformed.
    """
    data, indices, indptr = entries(X)
    n_rows, n_features = X.shape
    n_entries = int(indptr[-1])
    if (
        indptr[0] != 0
        or n_entries > len(data)
        or (n_rows > 1 and not (indptr[1:] >= indptr[:-1]).all())
        or n_entries < 0
    ):
        raise malformed(X)
    data, indices = data[:n_entries], indices[:n_entries]
    local = np.empty(n_entries, np.int32)
    features = np.empty(min(n_features, n_entries), np.int32)
    try:
        place = places.pop()
    except IndexError:
        place = np.full(n_features, -1, np.int32)
    n_local = _localise[indices.dtype,](indices, n_features, place, local, features)
    places.append(place)
    if n_local < 0:
        raise malformed(X)
    return Rows(data, local, indptr.astype(np.intp), features[:n_local], n_local)


class Stopping(NamedTuple):
    """When to stop: after ``max_iter`` epochs, or ``patience`` of them in a row without a gain of ``tol``.

    The gain is that of ``score(column)(weights, intercept)``, or else of the mean objective.
    """

    max_iter: int
    tol: float
    patience: int
    adaptive: bool
    score: Callable[[int], Callable[[Array, float], float]] | None


class Targets(NamedTuple):
    """What is learned: column k tells rows of code ``first_label + k`` from the others, or rows held out."""

    codes: npt.NDArray[np.int32]
    first_label: int
    class_weight: Array
    other_weight: float
    sample_weight: Array | None
    held_out: npt.NDArray[np.uint8]
    n_trained: int


def new_state(parts: Parts, t: float, eta: float) -> Array:
    """Return what each column of weights has to remember."""
    state = np.zeros((len(parts.scale), stochastic.N_STATE))
    state[:, [stochastic.KEPT, stochastic.KEPT_SHARE]] = 1.0
    state[:, stochastic.T] = t
    state[:, stochastic.ETA] = eta
    state[:, stochastic.SCALE] = parts.scale
    state[:, stochastic.MIX] = parts.mix
    state[:, stochastic.SHARE] = parts.share
    return state


def descend(
    rows: Rows,
    weights: Weights,
    state: Array,
    rule: stochastic.Descent,
    targets: Targets,
    seeds: npt.NDArray[np.uint32] | None,
    stopping: Stopping,
    truncates: bool,
    n_threads: int | None,
) -> list[int]:
    """Learn until it is time to stop; return the number of epochs of each column.

    ``seeds`` shuffle the rows before every epoch, each column's by itself, so that no thread waits for another.

    Raises
    ------
    ValueError
        If weights overflow; they are left as they were.
    """
    parts = weights.writable()
    dtype, n_columns = parts.table.dtype, len(parts.scale)
    nothing = np.empty((0, 0), dtype)
    n_rows, n_entries = len(targets.codes), len(rows.data)
    if n_entries * n_columns * stopping.max_iter < _SHARED:
        n_threads = 1
    local = _take(parts.table, rows, weights.fresh, n_threads)
    averages = nothing if parts.averages is None else _take(parts.averages, rows, weights.fresh, n_threads)
    paid = np.zeros_like(local) if truncates else nothing
    sample_weight = targets.sample_weight
    if sample_weight is None:
        sample_weight = np.ones(n_rows, dtype) if n_rows > 1 else _ONE[dtype]
    once = stopping.max_iter == 1
    blocks = cut(n_columns, max(1, _ENTRIES // max(1, n_entries)) if once else 1)
    n_iter, failed = [0] * n_columns, [0] * n_columns
    kernel = _epoch[dtype,]

    def run(orders: Array, start: int, stop: int) -> bool:
        return bool(
            kernel(
                rule, rows.data, rows.indices, rows.indptr, targets.codes, orders, targets.held_out, sample_weight,
                targets.class_weight, targets.other_weight, targets.first_label, start, stop, local, averages, paid,
                state,
            )
        )  # fmt: skip

    def learn(block: int, _: int) -> None:
        start, stop = blocks[block]
        orders = np.empty((stop - start, n_rows), np.int32)
        if seeds is None or n_rows == 1:
            orders[:] = np.arange(n_rows, dtype=np.int32)
        else:
            for k in range(start, stop):
                stochastic.permutation(int(seeds[k]), orders[k - start])
        if once:
            n_iter[start:stop] = [1] * (stop - start)
            if not run(orders, start, stop):
                failed[start] = 1
            return
        shuffle = None if seeds is None else orders[0].copy()
        progress = _Progress(stopping)
        score = None if stopping.score is None else stopping.score(start)
        for epoch in range(1, stopping.max_iter + 1):
            if epoch > 1 and shuffle is not None:
                orders = orders[:, shuffle]
            n_iter[start] = epoch
            if not run(orders, start, stop):
                failed[start] = epoch
                return
            if score is not None:
                goes_on = progress.scored(score(local[start], float(state[start, stochastic.INTERCEPT])))
            else:
                goes_on = progress.reached(float(state[start, stochastic.OBJECTIVE]) / targets.n_trained)
            if not goes_on:
                if not (stopping.adaptive and state[start, stochastic.ETA] > 1e-6):
                    break
                state[start, stochastic.ETA] /= 5
                progress.waited = 0
        _settle[dtype,](local, averages, start, stop, state)

    run_blocks(learn, len(blocks), n_threads)
    for epoch in failed:
        if epoch:
            raise ValueError(
                f"Floating-point under-/overflow occurred at epoch #{epoch}. Scaling input data with StandardScaler or "
                "MinMaxScaler might help."
            )
    if rows.features is not None and not weights.fresh:
        _keep(parts, rows.features, state)
    _put(local, rows, parts.table, n_threads)
    if parts.averages is not None:
        _put(averages, rows, parts.averages, n_threads)
    scale, mix, share = (state[:, i].copy() for i in (stochastic.SCALE, stochastic.MIX, stochastic.SHARE))
    weights.parts = Parts(parts.table, parts.averages, scale, mix, share)
    weights.fresh = False
    return n_iter


class _Progress:
    """Counts the epochs in a row that gained nothing."""

    def __init__(self, stopping: Stopping) -> None:
        self.stopping = stopping
        self.waited = 0
        self.best = np.inf
        self.best_score = -np.inf

    def _after(self, gained: bool) -> bool:
        self.waited = 0 if gained else self.waited + 1
        return self.waited < self.stopping.patience

    def reached(self, objective: float) -> bool:
        gained = not (self.stopping.tol > -np.inf and objective > self.best - self.stopping.tol)
        if objective < self.best:
            self.best = objective
        return self._after(gained)

    def scored(self, score: float) -> bool:
        gained = not (self.stopping.tol > -np.inf and score < self.best_score + self.stopping.tol)
        if score > self.best_score:
            self.best_score = score
        return self._after(gained)


def _take(table: Array, rows: Rows, zero: bool, n_threads: int | None) -> Array:
    """Return the weights of the features of some rows, (n_columns, n_local)."""
    if zero:
        return np.zeros((table.shape[1], rows.n_local), table.dtype)
    if rows.features is None:
        return np.array(table.T, order="C", copy=True)
    out, features = np.empty((table.shape[1], rows.n_local), table.dtype), rows.features
    kernel, blocks = _gather[table.dtype,], cut(rows.n_local, max(1, _CELLS // table.shape[1]))

    def copy(block: int, _: int) -> None:
        kernel(table, features, *blocks[block], out)

    run_blocks(copy, len(blocks), n_threads)
    return out


def _put(local: Array, rows: Rows, table: Array, n_threads: int | None) -> None:
    """Write weights back to where :func:`_take` has them from."""
    if rows.features is None:
        table[:] = local.T
        return
    features, kernel = rows.features, _scatter[table.dtype,]
    blocks = cut(rows.n_local, max(1, _CELLS // table.shape[1]))

    def copy(block: int, _: int) -> None:
        kernel(local, features, *blocks[block], table)

    run_blocks(copy, len(blocks), n_threads)


def _keep(parts: Parts, features: Array, state: Array) -> None:
    """Do to the weights of features of no row what was done to the others when their scale was multiplied in."""
    kept, mix, share = (state[:, i] for i in (stochastic.KEPT, stochastic.KEPT_MIX, stochastic.KEPT_SHARE))
    changed = np.flatnonzero((kept != 1) | (mix != 0) | (share != 1))
    if not len(changed):
        return
    others = np.ones(len(parts.table), bool)
    others[features] = False
    for k in changed:
        column = parts.table[others, k]
        if parts.averages is not None:
            parts.averages[others, k] = share[k] * parts.averages[others, k] + mix[k] * column
        parts.table[others, k] = kept[k] * column
