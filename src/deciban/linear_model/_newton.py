"""Newton's method for logistic regression with a quadratic penalty.

    f(W) = sum_i v_i loss(x_i W, y_i) + sum_fk penalty_f W_fk^2 / 2

with W of shape (n_features [+ 1 for the intercept], n_columns), one column for two classes, else one for each class.
A direction comes from Cholesky's factors of the whole Hessian where there are few coefficients, else from conjugate
gradients, stopped early while far from the minimum and preconditioned with the Hessian's blocks of one column each
where there are few features, with its diagonal where there are many. A line search then goes back from the full step;
it moves the scores, and so does not read the samples.

Sources: C.-J. Lin, R. C. Weng, S. S. Keerthi, Trust region Newton method for large-scale logistic regression, JMLR 9
(2008), 627-650; J. Nocedal, S. J. Wright, Numerical Optimization (2006), chapters 3 and 7.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dsycon, dsytrf

from deciban._arrays import aligned_empty
from deciban._kernels import logistic
from deciban._parallel import blas_on_one_thread, cut, run_blocks
from deciban.linear_model._blocks import Blocks, pays, stand_for_all
from deciban.linear_model._samples import Curvature, DenseSamples, SparseColumns, SparseSamples, summed

Array = npt.NDArray[Any]

_EPS = float(np.finfo(np.float64).eps)
_ROWS = 1 << 14  # cells of a block of row-wise work
_WHOLE = 300  # coefficients of one column, at most, whose whole Hessian is made; half as many of several
_WHOLE_FLOPS = 2e10  # and multiplications that this takes, at most
_FACTORED = 1000  # coefficients, at most, of a Hessian that is made only to know whether it is singular
_MANY = 500  # products with the Hessian for a direction, at most
_WORTH = 20  # of them, for a column of dense samples, are worth the whole Hessian
_SAMPLES = 1 << 17  # cells of a block of samples, times columns, of which a Hessian is made
_CELLS = 1 << 15  # of a block of vector arithmetic: four vectors of that size stay in L2
_PART = 5  # of the rows, one is enough to begin with
_ROWS_EACH = 40  # coefficient, at least, in such a part
_SURE = 0.01  # of what is tolerated: with the whole Hessian another step is cheap and squares what is left
_STALE = 3  # products for a direction: a preconditioner that lets it take more is made anew
_PART_ITER = 20  # iterations for it, at most: together they cost no more than three of all rows
_PART_TOL = 1e-2  # far below how far apart its minimum and that of all rows are
_NO_TABLE = np.empty((0, 1))


Report = Callable[[Array], None]


@dataclass
class Result:
    """Where the method stopped: coefficients, iterations, and whether it is the minimum as far as was asked."""

    table: Array
    n_iter: int
    converged: bool


class Problem:
    """The function to minimise, and the derivatives where it was last evaluated.

    Parameters
    ----------
    samples : DenseSamples or SparseSamples
    codes : ndarray of int32 of shape (n_samples,)
        The column of each sample's class; 0 or 1 if there is one column.
    weights : ndarray of float64 of shape (n_samples,)
        None negative.
    penalty : ndarray of float64 of shape (n_features [+ 1], 1)
    n_columns : int
    """

    def __init__(
        self, samples: DenseSamples | SparseSamples, codes: Array, weights: Array, penalty: Array, n_columns: int
    ) -> None:
        self.samples, self.codes, self.weights, self.penalty = samples, codes, weights, penalty
        self.columns: DenseSamples | SparseColumns = samples  # of which gradients are made
        self.shape = len(penalty), n_columns
        self._has_penalty = bool(penalty.any())
        self._blocks = cut(len(codes), max(1, _ROWS // n_columns))

    @cached_property
    def residual(self) -> Array:
        """The residuals where derivatives were last made; of several columns all that is kept of every row."""
        return np.empty((len(self.codes), self.shape[1]))

    @cached_property
    def curvature(self) -> Curvature:
        """The curvature where derivatives were last made."""
        state = np.empty_like(self.residual) if self.shape[1] == 1 else self.residual
        return Curvature(state, self.codes, self.weights)

    @cached_property
    def moved(self) -> Array:
        """Room for the scores of a direction."""
        return aligned_empty(self.residual.shape)

    @cached_property
    def searched(self) -> Array:
        """Room for the scores of a direction on the way to another."""
        return aligned_empty(self.residual.shape)

    def probabilities(self, start: int, stop: int) -> Array:
        """Return the probabilities of some rows where derivatives were last made, of several columns."""
        rows = slice(start, stop)
        out = np.empty((stop - start, self.shape[1]))
        logistic.probabilities(self.residual[rows], self.codes[rows], self.weights[rows], 0, stop - start, out)
        return out

    def inner(self, left: Array, right: Array) -> float:
        """Return the sum of penalty * left * right."""
        with np.errstate(over="ignore", invalid="ignore"):
            return float(self.penalty[:, 0] @ np.einsum("fk,fk->f", left, right))

    def loss(self, scores: Array, direction: Array, step: float, derivatives: bool) -> float:
        """Return the first part of f, where the scores are ``scores + step * direction``."""
        losses = [0.0] * len(self._blocks)
        outputs = _NO_TABLE, _NO_TABLE
        if derivatives:
            outputs = self.curvature.state if self.shape[1] == 1 else _NO_TABLE, self.residual

        def task(block: int, _: int) -> None:
            scratch = np.empty(self.shape[1])
            losses[block] = logistic.evaluate(
                scores, direction, step, self.codes, self.weights, *self._blocks[block], scratch, *outputs
            )

        run_blocks(task, len(losses))
        return sum(losses)

    def value(self, table: Array) -> float:
        """Return f."""
        loss = self.loss(self.samples.scores(table), _NO_TABLE, 0.0, derivatives=False)
        return loss + 0.5 * self.inner(table, table)

    def gradient(self, table: Array) -> Array:
        """Return the gradient where the derivatives were last made."""
        found = self.columns.transposed(self.residual)
        if not self._has_penalty:
            return found
        strips = cut(len(found), max(1, _CELLS // self.shape[1]))

        def task(block: int, _: int) -> None:
            rows = slice(*strips[block])
            found[rows] += self.penalty[rows] * table[rows]

        run_blocks(task, len(strips))
        return found

    def curved(self, direction: Array, out: Array, scores_out: Array | None = None) -> None:
        """Fill ``out`` with the Hessian of the last derivatives, but for the penalty, times a direction.

        ``scores_out`` gets the scores of the direction, which are made on the way.
        """
        self.samples.sandwich(direction, self.curvature, out, scores_out)

    def diagonal(self) -> Array:
        """Return the diagonal of the Hessian, in the shape of the coefficients."""
        values = np.empty_like(self.residual)
        logistic.diagonal(*self.curvature, 0, len(values), values)
        found = self.samples.squares(values)
        found += self.penalty
        return found

    def column_curvature(self, column: int) -> Array:
        """Return a column of the diagonal of each row's curvature, ``v p (1 - p)``."""
        if self.shape[1] == 1:
            return self.curvature.state[:, 0]
        size = np.abs(self.residual[:, column])  # v p, or of the row's own class v (1 - p)
        return size * (1.0 - np.divide(size, self.weights, out=np.zeros_like(size), where=self.weights > 0))

    def hessian(self) -> Array:
        """Return the whole Hessian, over coefficients in the order of columns, then of features."""
        n_features, n_columns = self.shape
        size = n_features * n_columns
        blocks = cut(self.samples.n_rows, max(64, _SAMPLES // max(1, size)))

        def add(start: int, stop: int, out: Array) -> None:
            X = self.samples.dense(slice(start, stop))
            if n_columns == 1:
                rooted, root = np.empty((len(X), size)), np.sqrt(self.curvature.state[start:stop])
                np.multiply(X, root, out=rooted[:, : X.shape[1]])
                rooted[:, X.shape[1] :] = root  # of the intercept
                out += rooted.T @ rooted  # BLAS makes one half of it
                return
            if self.samples.intercept:
                X = np.column_stack([X, np.ones(len(X))])
            p, v = self.probabilities(start, stop), self.weights[start:stop, np.newaxis]
            spread = ((np.sqrt(v) * p)[:, :, np.newaxis] * X[:, np.newaxis]).reshape(len(X), size)
            product = (spread.T @ spread).reshape(n_columns, n_features, n_columns, n_features)
            weighted = v * p * (1.0 - p)
            for k in range(n_columns):  # not as v p - v p^2, of which little may be left
                product[k, :, k] = -(X.T @ (weighted[:, k, np.newaxis] * X))
            out -= product.reshape(size, size)

        whole = summed(blocks, (size, size), self.samples.n_rows * n_features, add)
        whole[np.diag_indices(size)] += np.tile(self.penalty[:, 0], n_columns)
        return whole


def _solve_whole(problem: Problem, gradient: Array) -> Array | None:
    """Return Newton's direction by Cholesky's factors; None if there are none even of a shifted Hessian."""
    hessian = problem.hessian()
    if not np.isfinite(hessian).all():
        return None
    diagonal = hessian.diagonal()
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))  # makes the diagonal 1: the shift suits every feature
    hessian *= scale[:, None]
    hessian *= scale
    right = -gradient.T.ravel() * scale
    shift = len(right) * _EPS * (2 if problem.shape[1] > 1 else 0)  # softmax does not see what all columns share
    while shift < 1.0:
        shifted = hessian.copy()
        shifted[np.diag_indices(len(right))] += shift
        try:
            factors = cho_factor(shifted, lower=True, overwrite_a=True, check_finite=False)
        except np.linalg.LinAlgError:
            shift = max(100.0 * shift, len(right) * _EPS)
            continue
        solution = cho_solve(factors, right, check_finite=False) * scale
        direction = np.ascontiguousarray(solution.reshape(problem.shape[::-1]).T)
        return direction if np.isfinite(direction).all() else None
    return None


def _solve_inexactly(problem: Problem, gradient: Array, accuracy: float) -> Array:
    """Return Newton's direction by preconditioned conjugate gradients, to a share of the gradient's norm."""
    inverse = problem.diagonal()
    inverse[inverse <= 0] = 1.0
    np.reciprocal(inverse, out=inverse)
    direction, search, product = np.zeros_like(gradient), np.zeros_like(gradient), np.zeros_like(gradient)
    residual = -gradient
    n_columns = problem.shape[1]
    blocks = cut(gradient.size, max(1, _CELLS // n_columns) * n_columns)
    sums = [0.0] * len(blocks)
    flat = [array.reshape(-1) for array in (inverse, direction, search, product, residual)]
    penalty = np.ascontiguousarray(problem.penalty[:, 0])

    def added(work: Callable[[int, int], float | None]) -> float:
        def task(block: int, _: int) -> None:
            sums[block] = work(*blocks[block]) or 0.0

        run_blocks(task, len(blocks))
        return sum(sums)

    m, d, s, h, r = flat
    ratio = 0.0

    def advance(step: float, start: int, stop: int) -> float:
        return logistic.advance(step, s, h, m, start, stop, d, r)

    def turn(ratio: float, start: int, stop: int) -> None:
        logistic.turn(ratio, m, r, start, stop, s)

    size = added(partial(advance, 0.0))
    goal = accuracy * accuracy * size
    for _ in range(min(gradient.size, _MANY)):
        added(partial(turn, ratio))
        problem.curved(search, product)
        curvature = added(lambda start, stop: logistic.penalised(penalty, s, start, stop, h))
        if not curvature > _EPS * _EPS * size:
            break  # flat, as far as rounding shows
        step, last = size / curvature, size
        size = added(partial(advance, step))
        if size <= goal:
            break
        ratio = size / last
    return direction if direction.any() else inverse * -gradient


def _solve_with_blocks(
    problem: Problem, gradient: Array, accuracy: float, most: int, blocks: Blocks
) -> tuple[Array | None, Array, int]:
    """Return Newton's direction as :func:`_solve_inexactly`, preconditioned with the blocks of each column.

    Returns as well the scores that go with it, which cost nothing here, and the number of products with the Hessian, of
    at most ``most``.
    """
    direction, product, residual = np.zeros_like(gradient), np.empty_like(gradient), -gradient
    search = blocks.solve(residual)
    size = float(np.vdot(residual, search))
    goal = accuracy * accuracy * size
    moved, scores, n_products = problem.moved, problem.searched, 0
    moved[:] = 0.0
    while n_products < min(gradient.size, most):
        n_products += 1
        problem.curved(search, product, scores)
        product += problem.penalty * search
        curvature = float(np.vdot(search, product))
        if not curvature > _EPS * _EPS * size:
            break  # flat, as far as rounding shows
        step, last = size / curvature, size
        direction += step * search
        scores *= step
        moved += scores
        residual -= step * product
        turned = blocks.solve(residual)
        size = float(np.vdot(residual, turned))
        if size <= goal:
            break
        search *= size / last
        search += turned
    return direction if np.isfinite(direction).all() and direction.any() else None, moved, n_products


def is_singular(problem: Problem, table: Array) -> bool:
    """Return whether the Hessian is so nearly singular that Newton's direction would be made of rounding errors.

    A penalty that rounding does not hide keeps it from that, and few rows do not. Between the two it is made and
    factored, where that takes no longer than an iteration may.
    """
    samples, n_columns = problem.samples, problem.shape[1]
    size = problem.shape[0] * n_columns
    weakest = float(problem.penalty[: samples.n_features].min(initial=math.inf))
    largest = float(problem.weights @ samples.row_squares) + 1.0 + weakest  # eigenvalue, at most
    if weakest > size * _EPS * largest:
        return False
    kept = np.ones(size, bool)
    if n_columns > 1:  # softmax does not see what all columns share: the last one has none of what is free
        kept[-len(table) :] = problem.penalty[:, 0] != 0
    if samples.n_rows * max(1, n_columns - 1) < kept.sum():
        return True
    if size > _FACTORED or samples.n_rows * float(size) * size / 2 > _WHOLE_FLOPS:
        return False
    with blas_on_one_thread():
        problem.loss(samples.scores(table), _NO_TABLE, 0.0, derivatives=True)
        hessian = problem.hessian()[np.ix_(kept, kept)]
    factors, pivots, exactly = dsytrf(hessian)
    reciprocal, _ = dsycon(factors, pivots, float(np.abs(hessian).sum(axis=0).max()))
    return bool(exactly > 0 or not reciprocal >= _EPS)


def whole(problem: Problem) -> bool:
    """Return whether the whole Hessian is worth making."""
    n = problem.shape[0] * problem.shape[1]
    most = _WHOLE if problem.shape[1] == 1 else _WHOLE // 2
    return n <= most and problem.samples.n_rows * float(n) * n / 2 <= _WHOLE_FLOPS


def tolerated(tol: float, value: float) -> float:
    """Return how far above the minimum f may stay: 1e-6 of it at the usual ``tol`` of 1e-4."""
    return max(0.01 * tol * value, 0.1 * tol * tol)


def _from_a_part(problem: Problem, samples: DenseSamples) -> tuple[Array, Array, Problem] | None:
    """Return the minimum for every fifth row, its scores, and the problem of these rows where it was last evaluated.

    None where f is lower at zero, or rows are few. Where there are many rows for each coefficient, a part of them has
    nearly the same minimum, and Newton's method goes the long way there at a fifth of the cost, or, beginning in turn
    with a part of the part, at less.
    """
    n_rows = samples.n_rows // _PART
    if n_rows < _ROWS_EACH * problem.shape[0] * problem.shape[1]:
        return None
    weights = problem.weights[::_PART]
    if not weights.sum() > 0:
        return None
    some = DenseSamples(np.ascontiguousarray(samples.X[::_PART]), samples.intercept)
    part = Problem(some, problem.codes[::_PART].copy(), weights / weights.sum(), problem.penalty, problem.shape[1])
    found = minimise(part, np.zeros(problem.shape), _PART_TOL, _PART_ITER).table
    scores = samples.scores(found)
    value = problem.loss(scores, _NO_TABLE, 0.0, derivatives=True) + 0.5 * problem.inner(found, found)
    if not value < math.log(max(2, problem.shape[1])) * problem.weights.sum():
        return None
    return found, scores, part


def _preconditioner(problem: Problem) -> Blocks | None:
    """Return a preconditioner, or None if one of its blocks has no Cholesky's factors."""
    try:
        return Blocks(problem)
    except np.linalg.LinAlgError:
        return None


def minimise(
    problem: Problem, table: Array, tol: float, max_iter: int, bound: float = -math.inf, report: Report | None = None
) -> Result:
    """Minimise from ``table`` on; f is known to fall nowhere below ``bound``; ``report`` hears of each iteration's end.

    Done is when no component of the gradient is above ``tol`` and the last step lowered f by so little that what is
    left cannot matter (see :func:`tolerated`), or when rounding hides any further descent.
    """
    samples = problem.samples
    direct = whole(problem)
    in_blocks = pays(problem) and (not direct or stand_for_all(problem))
    start, blocks, n_products = None, None, 0
    if (direct or in_blocks) and not table.any() and max_iter > 0 and isinstance(samples, DenseSamples):
        start = _from_a_part(problem, samples)
        if start is not None and in_blocks:
            blocks = _preconditioner(start[2])
    if in_blocks and table.shape[1] > 1:
        table = table if start is None else start[0]
        table, start = table - table.mean(axis=1, keepdims=True), None  # of no use to the loss
    table, scores = (table, samples.scores(table)) if start is None else start[:2]
    size = problem.inner(table, table)
    value = problem.loss(scores, _NO_TABLE, 0.0, derivatives=True) + 0.5 * size
    gradient = problem.gradient(table)
    first_norm, left = 0.0, value - bound
    for n_iter in range(max_iter + 1):
        norm = float(np.abs(gradient).max(initial=0.0))
        first_norm = first_norm or norm
        small = norm <= tol
        if not np.isfinite(norm):
            return Result(table, n_iter, False)
        if norm == 0 or (small and left <= tolerated(tol, value) * (_SURE if direct else 1.0)):
            return Result(table, n_iter, True)
        if n_iter == max_iter:
            break
        accuracy = min(0.3, max(0.03 if direct else 0.1, math.sqrt(norm / first_norm)))
        direction = None
        if in_blocks and (blocks is None or n_products > _STALE):
            blocks = _preconditioner(problem)
        if in_blocks and blocks is not None:
            most = _WORTH if direct else _MANY
            direction, moved, n_products = _solve_with_blocks(problem, gradient, accuracy, most, blocks)
            in_blocks = not direct or n_products < _WORTH
        if direction is None:
            direction = _solve_whole(problem, gradient) if direct else None
            if direction is None:
                direction = _solve_inexactly(problem, gradient, accuracy)
            moved = samples.scores(direction, problem.moved)
        slope = float(np.einsum("fk,fk->", gradient, direction))
        if not slope < 0 or -slope <= 2 * _EPS * abs(value):
            return Result(table, n_iter, small or -slope <= 2 * _EPS * abs(value))
        mixed, grown = problem.inner(table, direction), problem.inner(direction, direction)
        step = 1.0
        while True:
            lower = problem.loss(scores, moved, step, derivatives=step == 1.0)
            lower += 0.5 * size + step * mixed + 0.5 * step * step * grown
            if lower <= value + 1e-4 * step * slope:
                break
            if abs(lower - value) <= 8 * _EPS * abs(value) and step == 1.0:
                break  # equal but for rounding: Newton's own step is then the better point
            step *= 0.5
            if step < 1e-12:
                return Result(table, n_iter, small)
        descent = value - lower
        left = min(0.02 * descent, lower - bound)
        moved *= step
        scores += moved
        table = table + step * direction
        if report is not None:
            report(table)
        size = problem.inner(table, table)
        value = lower
        if step != 1.0:
            value = problem.loss(scores, _NO_TABLE, 0.0, derivatives=True) + 0.5 * size
        last_norm, gradient = norm, problem.gradient(table)
        if abs(descent) <= 8 * _EPS * abs(value) and float(np.abs(gradient).max()) >= 0.5 * last_norm:
            return Result(table, n_iter + 1, True)  # rounding hides what is left
    return Result(table, max_iter, False)
