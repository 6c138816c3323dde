"""Dual coordinate ascent for logistic regression with one quadratic penalty.

An epoch takes every sample once, in random order, and costs about as much as two products with X; where a sample's
loss does not outweigh the penalty by far, each epoch leaves a fifth or a tenth of the gap between primal and dual. The
intercept, which has no penalty, follows the method of multipliers: it is the coefficient of a feature of constant
value, penalised for its distance from where it was after the last epoch.

Sources: H.-F. Yu, F.-L. Huang, C.-J. Lin, Dual coordinate descent methods for logistic regression and maximum entropy
models, Machine Learning 85 (2011), 41-75; D. P. Bertsekas, Constrained Optimization and Lagrange Multiplier Methods
(1982), chapter 2.
"""

from __future__ import annotations

import math

import numpy as np

from deciban._arrays import DATA_DTYPES, INDEX_DTYPES, Array, aligned_empty, malformed, specialise
from deciban._kernels import dual, posterior
from deciban._parallel import cut, run_blocks
from deciban._rows import answer_sparse, finish, sigmoids
from deciban.linear_model._blocks import pays
from deciban.linear_model._newton import Problem, Report, Result, minimise, tolerated, whole
from deciban.linear_model._samples import DenseSamples, SparseSamples

_epoch = specialise(dual.epoch, DATA_DTYPES[:2], INDEX_DTYPES)
_epoch_dense = specialise(dual.epoch_dense, DATA_DTYPES[:2])
_INTERCEPT = 0.1  # of a row's mean square: the square of the intercept's feature
_CELLS = 1 << 15  # of a block of vector arithmetic
_LOOK_BACK = 4  # epochs over which progress is measured
_PATIENCE = 120  # epochs still to come, from where on Newton's method takes over
_PATIENCE_FEW = 30  # the same where that has a good preconditioner
_OUTWEIGHED = 3.0  # cost times square of a row, on average, up to which dense samples are not left to that


class Ascent:
    """The state of the method for a :class:`Problem` whose features all have the same penalty, which is not zero.

    In the kernel's terms all of f is divided by the penalty, so that the cost of row i is ``weights[i] / penalty``.
    """

    def __init__(self, problem: Problem, table: Array) -> None:
        self.problem = problem
        self.samples = samples = problem.samples
        n_features, n_columns = samples.n_features, problem.shape[1]
        self.strength = float(problem.penalty[0, 0])
        self.costs = problem.weights / self.strength
        self.squares = samples.row_squares
        self.scale, self.held = 0.0, False
        if samples.intercept:
            intercept_penalty = float(problem.penalty[-1, 0])
            self.held = intercept_penalty > 0
            mean = float(self.squares.mean()) or 1.0
            self.scale = math.sqrt(self.strength / intercept_penalty if self.held else _INTERCEPT * mean)
        width = n_columns if n_columns == 1 else -(-n_columns // dual.LANES) * dual.LANES
        self.W = aligned_empty((n_features, width))
        self.W[:] = 0.0
        self.alpha = aligned_empty((samples.n_rows, width))
        self.alpha[:] = 0.0
        self.offset = np.full(width, dual.NEVER if width > 1 else 0.0)
        self.offset[:n_columns] = 0.0
        self.square = self.entropy = 0.0
        self._start(table)

    def _start(self, table: Array) -> None:
        n_columns = self.problem.shape[1]
        self._add_labels(self.alpha, 1.0)
        if table.any():
            scores, trouble = self.samples.scores(table), 0
            if n_columns == 1:
                scores = np.ascontiguousarray(sigmoids(scores[:, 0], False)[:, 1:])
            else:
                scores, trouble = finish(scores, posterior.POSTERIOR)
            if not trouble:
                self.alpha[:, :n_columns] = scores
                self._add_labels(scores, -1.0)
                scores *= -self.costs[:, np.newaxis]
                self.samples.add_transposed(scores, self.W)
                self.square = float(np.einsum("fk,fk->", self.W, self.W))
        if self.samples.intercept and self.held:
            self.offset[:n_columns] = self.scale**2 * self._imbalance()
        elif self.samples.intercept:
            self.offset[:n_columns] = table[-1]

    def _add_labels(self, values: Array, amount: float, rows: slice = slice(None)) -> None:
        """Add an amount to some rows' values of their own class, or of two classes of the second."""
        codes = self.problem.codes[rows]
        if self.problem.shape[1] == 1:
            values[:, 0] += amount * codes
        else:
            values[np.arange(len(codes)), codes] += amount

    def _imbalance(self) -> Array:
        """Return what the steps so far add up to for each column: at the minimum nothing, if the intercept is free."""
        n_columns, found = self.problem.shape[1], np.zeros(self.problem.shape[1])
        for start, stop in cut(len(self.costs), max(1, _CELLS // n_columns)):
            rows = slice(start, stop)
            values = -self.alpha[rows, :n_columns]
            self._add_labels(values, 1.0, rows)
            found += self.costs[rows] @ values
        return found

    def run(self, order: Array) -> tuple[float, float]:
        """Do an epoch; return about the gap between primal and dual, and the primal value, both divided by penalty."""
        sums = np.zeros(4)
        rows = self.squares, self.problem.codes, self.costs, order, self.scale
        state = self.W, self.offset, self.alpha, sums
        if isinstance(self.samples, DenseSamples):
            _epoch_dense[self.samples.X.dtype,](self.samples.X, *rows, *state)
        else:
            data, indices, indptr = self.samples.parts
            if not _epoch[data.dtype, indices.dtype](data, indices, indptr, *rows, *state):
                raise malformed(self.samples.matrix)
        if self.samples.intercept and not self.held:
            n_columns = self.problem.shape[1]
            self.offset[:n_columns] += self.scale**2 * self._imbalance()
        loss, self.entropy, gap, change = sums.tolist()
        self.square += change
        return gap, loss + 0.5 * self.square

    def table(self) -> Array:
        """Return the coefficients."""
        n_columns = self.problem.shape[1]
        found = aligned_empty(self.problem.shape)
        found[: self.samples.n_features] = self.W[:, :n_columns]
        if self.samples.intercept:
            found[-1] = self.offset[:n_columns]
        return found

    def measure(self) -> float:
        """Return f, and keep what the gradient is made of."""
        self.probability, loss = self._probabilities()
        value = loss + 0.5 * self.strength * self.square
        if self.held:
            offset = self.offset[: self.problem.shape[1]]
            value += 0.5 * self.strength * float(offset @ offset) / self.scale**2
        return value

    def _probabilities(self) -> tuple[Array, float]:
        codes, weights = self.problem.codes, self.problem.weights
        if self.W.shape[1] == 1:
            scores = self.samples.scores(self.table())[:, 0]
            log_p = sigmoids(scores, True)
            probability, own = np.exp(log_p[:, 1:]), log_p[np.arange(len(codes)), codes]
        else:
            if isinstance(self.samples, DenseSamples):
                log_p, trouble = finish(self.samples.scores(self.table()), posterior.LOG_POSTERIOR)
            else:
                log_p, trouble = answer_sparse(self.samples.matrix, self.W, self.offset, posterior.LOG_POSTERIOR)
            own = log_p[np.arange(len(codes)), codes]
            if trouble:
                return log_p, math.inf
            probability = np.exp(log_p, out=log_p)
        return probability, -float(weights @ own)

    def flat(self, gap: float, tol: float) -> bool:
        """Return whether no component of the gradient is above ``tol`` where f was last measured.

        Along one coefficient f curves by c at most, so that its gradient is at most ``sqrt(2 c gap)``: mostly that will
        do, where it is known how far above the minimum f may be.
        """
        problem, n_columns = self.problem, self.problem.shape[1]
        residual = self.probability
        self._add_labels(residual, -1.0)
        residual *= problem.weights[:, np.newaxis]
        free = False
        if self.samples.intercept:
            slope = residual[:, :n_columns].sum(axis=0)
            if self.held:
                slope += self.strength * self.offset[:n_columns] / self.scale**2
            if not np.abs(slope).max() <= tol:
                return False
            free = not self.held
        curvature = 0.25 * float(problem.weights @ self.squares) + self.strength
        # beside a free intercept the gap is known about
        return (8.0 if free else 2.0) * curvature * gap <= tol * tol or self._steepest(residual) <= tol

    def _steepest(self, residual: Array) -> float:
        """Return the largest component of the gradient, but for the intercepts."""
        gradient = aligned_empty(self.W.shape)
        strips = cut(len(gradient), max(1, _CELLS // gradient.shape[1]))
        run_blocks(lambda block, _: gradient[slice(*strips[block])].fill(0.0), len(strips))
        self.samples.add_transposed(residual, gradient)
        found = [0.0] * len(strips)

        def task(block: int, _: int) -> None:
            rows = slice(*strips[block])
            gradient[rows] += self.strength * self.W[rows]
            found[block] = float(np.abs(gradient[rows]).max(initial=0.0))

        run_blocks(task, len(strips))
        return max(found, default=0.0)

    def bound(self) -> float:
        """Return what f cannot fall below: the dual's value, less what a free intercept out of balance may hide."""
        value = self.entropy - 0.5 * self.square
        if self.samples.intercept:
            imbalance = self._imbalance()
            offset = self.offset[: self.problem.shape[1]]
            if self.held:
                value -= 0.5 * float(offset @ offset) / self.scale**2
            else:
                value -= float(offset @ imbalance) + 2.0 * self.scale**2 * float(imbalance @ imbalance)
        return value * self.strength


def suits(problem: Problem) -> bool:
    """Return whether the method can be tried: an l2 penalty, and no case that Newton's method likes better."""
    if not problem.penalty[0, 0] > 0 or whole(problem):
        return False
    if isinstance(problem.samples, SparseSamples):
        return True
    if problem.shape[1] == 1:
        return False
    if not pays(problem):
        return True
    mean = float(problem.weights @ problem.samples.row_squares) / problem.samples.n_rows
    return mean <= _OUTWEIGHED * float(problem.penalty[0, 0])


def _lower(ascent: Ascent, problem: Problem, table: Array) -> Array:
    """Return the coefficients, or those that it started from if these are better.

    With steps that are far from small compared with the penalty, the primal may be worse than it was.
    """
    return ascent.table() if ascent.measure() < problem.value(table) else table


def ascend(problem: Problem, table: Array, tol: float, max_iter: int, report: Report | None = None) -> Result:
    """Minimise by dual coordinate ascent, and by Newton's method from where that turns out slow.

    ``report`` hears of each epoch's end, and each iteration's.

    Done is when the gap between primal and dual is small (see :func:`tolerated`) and no component of the gradient is
    above ``tol``.
    """
    n_rows = problem.samples.n_rows
    ascent = Ascent(problem, table)
    rng = np.random.default_rng(0)
    rows = np.arange(n_rows, dtype=np.int32)
    patience = _PATIENCE_FEW if pays(problem) else _PATIENCE
    goal, gaps, n_iter = 0.009 * tol, [1.0], 0
    while n_iter < max_iter:
        gap, value = ascent.run(rng.permutation(rows))
        n_iter += 1
        gaps.append(gap)
        finite = math.isfinite(gap) and math.isfinite(value)
        if report is not None:
            report(_lower(ascent, problem, table) if finite else table)
        if not finite:
            result = minimise(problem, table, tol, max_iter - n_iter, report=report)
            return Result(result.table, n_iter + result.n_iter, result.converged)
        wanted = goal * value
        shrinks = min(1.0, gap / gaps[-2]) if n_iter > 1 else 1.0
        # the gap was measured on the way, a sample at a time: what is left now is about as much less as it was then
        if gap * shrinks <= wanted:
            bound = ascent.bound()
            left = ascent.measure() - bound
            if left <= tolerated(tol, bound) and ascent.flat(left, tol):
                return Result(ascent.table(), n_iter, True)
            if gap == 0:
                break
            goal *= 0.3
        elif n_iter > 2 * _LOOK_BACK:
            rate = math.log(gaps[-1 - _LOOK_BACK] / gap) / _LOOK_BACK
            if rate <= 0 or math.log(gap / wanted) > min(patience, max_iter - n_iter) * rate:
                break
    start = _lower(ascent, problem, table)
    result = minimise(problem, start, tol, max_iter - n_iter, ascent.bound(), report)
    return Result(result.table, n_iter + result.n_iter, result.converged)
