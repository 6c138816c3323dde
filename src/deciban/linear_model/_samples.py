"""Samples as the solver sees them: products of X, X transposed and X squared with tables of a few columns.

A table has a row for each feature and, with an intercept, one more; the intercept is a feature that is always 1. Work
is cut by the data alone and every sum has its place, so the results do not depend on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from deciban._arrays import INDEX_DTYPES, Array, aligned_empty, csr_parts, malformed, specialise
from deciban._kernels import coordinate, dual, logistic, posterior
from deciban._parallel import cut, run_blocks

_DTYPES = (np.dtype(np.float64), np.dtype(np.float32))
_sparse_rows = specialise(posterior.sparse_rows, _DTYPES, INDEX_DTYPES)
_take = specialise(coordinate.take, _DTYPES, INDEX_DTYPES)
_dense_vector = specialise(logistic.dense_vector, _DTYPES)
_sparse_vector = specialise(logistic.sparse_vector, _DTYPES, INDEX_DTYPES)
_add_rows = specialise(dual.add_rows, _DTYPES, INDEX_DTYPES)
_BLOCK = 1 << 20  # multiplications a block of a sparse product
_CELLS = 1 << 17  # samples' numbers a dense block: 1 MB, which stays in L2 from the first product to the second
_PRODUCT = 1 << 19  # multiplications of a product of small matrices, which OpenBLAS does without copies of them
_NO_CLASSES = np.empty(0, np.intp)
_NOTHING = np.empty(0)
_SMALL = 1 << 15  # multiplications that are not worth another thread
_STRIPS = 32  # of rows, at most, that are summed side by side
Add = Callable[[int, int, Array], None]  # first row, last row + 1, sum


class Curvature(NamedTuple):
    """How each row's loss curves with its scores: H, a matrix for each row.

    Attributes
    ----------
    state : ndarray of shape (n_samples, n_columns)
        Of one column the curvature itself, of several the residuals, which tell it.
    codes : ndarray of int32 of shape (n_samples,)
    weights : ndarray of float64 of shape (n_samples,)
    """

    state: Array
    codes: Array
    weights: Array

    def apply(self, start: int, stop: int, values: Array) -> None:
        """Replace rows [start, stop), which are all of ``values``, by the product of their curvature with them."""
        rows = slice(start, stop)
        logistic.apply_curvature(self.state[rows], self.codes[rows], self.weights[rows], 0, stop - start, values)


def summed(blocks: list[tuple[int, int]], shape: tuple[int, ...], most: int, work: Add) -> Array:
    """Return the sum of what ``work(start, stop, out)`` adds to an array of zeros, over blocks of rows.

    Neighbouring blocks make a strip, which has an array and a thread to itself; the strips are summed in order. They
    are as many as the blocks and memory for ``most`` numbers allow.
    """
    n_strips = max(1, min(_STRIPS, most // max(1, math.prod(shape))))
    strips = cut(len(blocks), max(1, -(-len(blocks) // n_strips)))
    sums = np.zeros((max(1, len(strips)), *shape))

    def task(strip: int, _: int) -> None:
        for block in range(*strips[strip]):
            work(*blocks[block], sums[strip])

    run_blocks(task, len(strips))
    return np.asarray(sums[0] if len(sums) == 1 else sums.sum(axis=0))


class DenseSamples:
    """A dense X, C-contiguous, float64 or float32; products with several columns are BLAS's, a block on each thread."""

    def __init__(self, X: Array, intercept: bool) -> None:
        self.X = X
        self._vector = _dense_vector[X.dtype,]
        self.intercept = intercept
        self.n_rows, self.n_features = X.shape

    def _blocks(self, n_columns: int) -> list[tuple[int, int]]:
        """Cut the rows for products with a table of so many columns."""
        n_features = max(1, self.n_features)
        return cut(self.n_rows, max(64, min(_CELLS // n_features, _PRODUCT // (n_features * max(1, n_columns)))))

    @property
    def n_entries(self) -> int:
        """The numbers that a product with X reads."""
        return int(self.X.size)

    def dense(self, rows: slice | Array) -> Array:
        """Return some samples in double precision."""
        return self.X[rows].astype(np.float64, copy=False)

    @cached_property
    def row_squares(self) -> Array:
        """The sum of squares of every row."""
        return np.einsum("if,if->i", self.X, self.X, dtype=np.float64)

    def add_transposed(self, values: Array, out: Array) -> None:
        """Add X.T @ values to ``out``."""
        out[:, : values.shape[1]] += self.transposed(values)[: self.n_features]

    def scores(self, table: Array, out: Array | None = None) -> Array:
        """Return X @ table."""
        out = np.empty((self.n_rows, table.shape[1])) if out is None else out
        blocks = self._blocks(table.shape[1])

        def task(block: int, _: int) -> None:
            if self._is_vector(table):
                self._vector(self.X, table[:, 0], _NOTHING, _NOTHING, *blocks[block], out[:, 0], _NOTHING)
            else:
                start, stop = blocks[block]
                self._scores(start, stop, table, out[start:stop])

        run_blocks(task, len(blocks))
        return out

    def transposed(self, values: Array) -> Array:
        """Return X.T @ values."""

        def add(start: int, stop: int, out: Array) -> None:
            if self._is_vector(values):
                self._vector(self.X, _NOTHING, _NOTHING, values[:, 0], start, stop, _NOTHING, out[:, 0])
            else:
                self._add(self.dense(slice(start, stop)), values[start:stop], out)

        return self._summed(values.shape[1], add)

    def squares(self, values: Array) -> Array:
        """Return (X * X).T @ values."""

        def add(start: int, stop: int, out: Array) -> None:
            self._add(self.dense(slice(start, stop)) ** 2, values[start:stop], out)

        return self._summed(values.shape[1], add)

    def reach(self, weights: Array) -> Array:
        """Return the most that each feature's gradient can be where a residual is at most its row's weight."""

        def add(start: int, stop: int, out: Array) -> None:
            self._add(np.abs(self.dense(slice(start, stop))), weights[start:stop, np.newaxis], out)

        return self._summed(1, add)[:, 0]

    def columns(self, features: Array) -> tuple[Array, Array, Array]:
        """Return the columns of some features one after the other, no rows (they are dense), and where each begins."""
        out = np.empty((len(features), self.n_rows))
        own = features < self.n_features
        for row in np.flatnonzero(own):
            out[row] = self.X[:, features[row]]
        out[~own] = 1.0
        return out.reshape(-1), np.empty(0, np.int32), np.arange(len(features) + 1, dtype=np.int64) * self.n_rows

    def sandwich(self, table: Array, curvature: Curvature, out: Array, scores_out: Array | None = None) -> None:
        """Fill ``out`` with X.T @ H(X @ table), reading X once, and ``scores_out`` with X @ table."""
        n_columns = table.shape[1]
        if self._is_vector(table):
            weights = curvature.state[:, 0]
            scores = np.empty((self.n_rows, 1)) if scores_out is None else scores_out

        def add(start: int, stop: int, total: Array) -> None:
            if self._is_vector(table):
                self._vector(self.X, table[:, 0], weights, _NOTHING, start, stop, scores[:, 0], total[:, 0])
                return
            values = np.empty((stop - start, n_columns))
            X = self._scores(start, stop, table, values)
            if scores_out is not None:
                scores_out[start:stop] = values
            curvature.apply(start, stop, values)
            self._add(X, values, total)

        out[:] = self._summed(n_columns, add)

    def _is_vector(self, table: Array) -> bool:
        return table.shape[1] == 1 and self.n_features > 0

    def _scores(self, start: int, stop: int, table: Array, out: Array) -> Array:
        X = self.dense(slice(start, stop))
        np.dot(X, table[: self.n_features], out=out)
        if self.intercept:
            out += table[-1]
        return X

    def _add(self, X: Array, values: Array, out: Array) -> None:
        out[: self.n_features] += X.T @ values
        if self.intercept:
            out[-1] += values.sum(axis=0)

    def _summed(self, n_columns: int, work: Add) -> Array:
        shape = self.n_features + self.intercept, n_columns
        return summed(self._blocks(n_columns), shape, self.X.size // 4, work)


class SparseColumns:
    """The columns of a sparse X, float64 or float32, as rows of its transpose: products gather.

    Parameters
    ----------
    matrix : object
        What an error is said of.
    shape : (int, int)
        Of X.
    intercept : bool
    flip : callable
        Makes the checked parts of the CSR matrix that X's transpose is.
    """

    def __init__(
        self,
        matrix: Any,
        shape: tuple[int, int],
        intercept: bool,
        flip: Callable[[], tuple[Array, Array, Array]],
    ) -> None:
        self.matrix, self.intercept, self._flip = matrix, intercept, flip
        self.n_rows, self.n_features = shape

    @cached_property
    def _flipped(self) -> tuple[Array, Array, Array]:
        return self._flip()

    def transposed(self, values: Array) -> Array:
        """Return X.T @ values."""
        return self._gathered(self._flipped, values, squared=False)

    def squares(self, values: Array) -> Array:
        """Return (X * X).T @ values."""
        return self._gathered(self._flipped, values, squared=True)

    def columns(self, features: Array) -> tuple[Array, Array, Array]:
        """Return the columns of some features in double precision: entries, their rows, and where a column begins."""
        data, rows, indptr = self._flipped
        lengths = np.full(len(features), self.n_rows)
        own = features[features < self.n_features]
        lengths[: len(own)] = indptr[own + 1] - indptr[own]
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        data_out, rows_out = np.empty(bounds[-1]), np.empty(bounds[-1], np.int32)
        if not _take[data.dtype, rows.dtype](
            data, rows, indptr, own, self.n_rows, bounds[: len(own) + 1], data_out, rows_out
        ):
            raise malformed(self.matrix)
        if len(own) < len(features):  # the intercept comes last
            data_out[bounds[-2] :] = 1.0
            rows_out[bounds[-2] :] = np.arange(self.n_rows)
        return data_out, rows_out, bounds

    def reach(self, weights: Array) -> Array:
        """Return the most that each feature's gradient can be where a residual is at most its row's weight."""
        data, rows, indptr = self._flipped
        return self._gathered((np.abs(data), rows, indptr), weights[:, np.newaxis], squared=False)[:, 0]

    def subset(self, features: Array) -> SparseColumns:
        """Return the columns of some features, and the intercept if there is one, which has to be among them."""
        data, rows, indptr = self.columns(features[: len(features) - self.intercept])
        flipped = data, rows, indptr.astype(rows.dtype)
        return SparseColumns(self.matrix, (self.n_rows, len(indptr) - 1), self.intercept, lambda: flipped)

    def _gathered(
        self, parts: tuple[Array, Array, Array], values: Array, squared: bool, out: Array | None = None
    ) -> Array:
        n_rows, n_columns = self.n_features, values.shape[1]
        if out is None:
            out = aligned_empty((n_rows + self.intercept, n_columns))
        self._product(parts, values, np.zeros(n_columns), squared, n_rows, out)
        if self.intercept:
            out[-1] = values.sum(axis=0)
        return out

    def _product(
        self,
        parts: tuple[Array, Array, Array],
        table: Array,
        offset: Array,
        squared: bool,
        n_rows: int,
        out: Array,
    ) -> None:
        data, indices, indptr = parts
        n_columns = table.shape[1]
        # rows of features may be of any length: cut where the entries (and the rows) are even
        work = indptr[1:].astype(np.int64) * n_columns + np.arange(1, n_rows + 1)
        edges = np.arange(_BLOCK, int(work[-1]), _BLOCK) if n_rows else np.empty(0)
        bounds = np.unique(np.concatenate([[0], np.searchsorted(work, edges, side="right"), [n_rows]])).tolist()
        good = [True] * (len(bounds) - 1)

        if n_columns == 1:
            vector, flat = table[:, 0], out[:, 0]
            vector_kernel = _sparse_vector[data.dtype, indices.dtype]

            def task(block: int, _: int) -> None:
                rows = bounds[block], bounds[block + 1]
                good[block] = bool(vector_kernel(data, indices, indptr, vector, float(offset[0]), squared, *rows, flat))

        else:
            if squared:
                data = data.astype(np.float64) ** 2
            table_kernel = _sparse_rows[data.dtype, indices.dtype]

            def task(block: int, _: int) -> None:
                rows = bounds[block], bounds[block + 1]
                trouble = table_kernel(
                    data, indices, indptr, table, offset, False, 0.0, posterior.JOINT, *rows, out, _NO_CLASSES
                )
                good[block] = not trouble & posterior.MALFORMED

        run_blocks(task, len(good))
        if not all(good):
            raise malformed(self.matrix)


class SparseSamples(SparseColumns):
    """A CSR matrix, float64 or float32, and its transpose: products gather, so no two threads write to one cell."""

    def __init__(self, X: Any, intercept: bool) -> None:
        parts = self.parts = csr_parts(X)
        # of the parts that were checked, which X need not share
        super().__init__(X, X.shape, intercept, lambda: csr_parts(sp.csc_matrix(parts, shape=X.shape[::-1]).tocsr()))

    @cached_property
    def _whole(self) -> sp.csr_matrix:
        return sp.csr_matrix(self.parts, shape=(self.n_rows, self.n_features))

    @property
    def n_entries(self) -> int:
        """The numbers that a product with X reads."""
        return len(self.parts[0])

    def dense(self, rows: slice | Array) -> Array:
        """Return some samples, dense and in double precision."""
        return np.asarray(self._whole[rows].toarray()).astype(np.float64, copy=False)

    def scores(self, table: Array, out: Array | None = None) -> Array:
        """Return X @ table."""
        offset = table[-1] if self.intercept else np.zeros(table.shape[1])
        out = aligned_empty((self.n_rows, table.shape[1])) if out is None else out
        self._product(self.parts, table[: self.n_features], offset, False, self.n_rows, out)
        return out

    @cached_property
    def row_squares(self) -> Array:
        """The sum of squares of every row."""
        out = np.empty((self.n_rows, 1))
        self._product(self.parts, np.ones((self.n_features, 1)), np.zeros(1), True, self.n_rows, out)
        return out[:, 0]

    def add_transposed(self, values: Array, out: Array) -> None:
        """Add X.T @ values to the first columns of ``out``, on one thread."""
        data, indices, indptr = self.parts
        if not _add_rows[data.dtype, indices.dtype](data, indices, indptr, values, values.shape[1], out):
            raise malformed(self.matrix)

    def transposed(self, values: Array) -> Array:
        """Return X.T @ values."""
        if "_flipped" in self.__dict__:
            return super().transposed(values)
        out = np.zeros((self.n_features + self.intercept, values.shape[1]))
        self.add_transposed(values, out[: self.n_features])
        if self.intercept:
            out[-1] = values.sum(axis=0)
        return out

    def sandwich(self, table: Array, curvature: Curvature, out: Array, scores_out: Array | None = None) -> None:
        """As :meth:`DenseSamples.sandwich`, in two passes."""
        values = self.scores(table)
        blocks = cut(self.n_rows, max(1, _SMALL // table.shape[1]))

        def task(block: int, _: int) -> None:
            rows = slice(*blocks[block])
            if scores_out is not None:
                scores_out[rows] = values[rows]
            curvature.apply(*blocks[block], values[rows])

        run_blocks(task, len(blocks))
        self._gathered(self._flipped, values, squared=False, out=out)
