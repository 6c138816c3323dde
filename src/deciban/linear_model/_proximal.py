"""Proximal Newton's method for logistic regression with an l1 or elastic-net penalty.

    f(W) = sum_i v_i loss(x_i W, y_i) + sum_fk (l1_f |W_fk| + l2_f W_fk^2 / 2)

Each iteration minimises a quadratic model of the loss, with the penalty as it is, by coordinate descent over the
coefficients in play: those that are not zero and those whose gradient is beyond the penalty. Where few coefficients
make a big model, conjugate gradients finish what the descent began on the face where no coefficient changes its sign.
From far away the penalty starts higher and falls by steps (continuation), so that few coefficients are ever in play;
and rows whose model falls short of their loss are damped, a row by as much as it needs.

Sources: J. Friedman, T. Hastie, R. Tibshirani, Regularization paths for generalized linear models via coordinate
descent, Journal of Statistical Software 33 (2010); G.-X. Yuan, C.-H. Ho, C.-J. Lin, An improved GLMNET for
l1-regularized logistic regression, JMLR 13 (2012), 1999-2030; R. H. Byrd, J. Nocedal, F. Oztoprak, An inexact
successive quadratic approximation method for L-1 regularized optimization, Mathematical Programming 157 (2016).
"""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import numpy as np

from deciban._arrays import Array
from deciban._kernels import coordinate
from deciban._parallel import run_blocks
from deciban.linear_model._newton import _EPS, _NO_TABLE, Problem, Result, whole
from deciban.linear_model._samples import DenseSamples

_SHRINK = 0.25  # of the penalty, from one iteration to the next while it is above its own size
_TOGETHER = 4  # classes whose coordinates descend side by side
_ENTRIES = 1 << 17  # entries of a sweep that are worth another thread
_SWEEPS = 60  # of one iteration, at most
_CONJUGATE = 40  # iterations of conjugate gradients on a face, at most
_FACES = 4  # faces, each within the one before, on which one iteration tries them
_TRUST = 0.1  # how far actual and modelled decrease differ where the model is taken at its word
_FLOOR = 1e-4  # of a row's damping: less is none


class _Cells:
    """The coefficients in play, class by class, and what a class needs of them."""

    def __init__(self, mask: Array, table: Array, l1: Array, l2: Array) -> None:
        self.classes, self.features = np.nonzero(mask.T)
        n_columns = table.shape[1]
        bounds = np.searchsorted(self.classes, np.arange(n_columns + 1)).tolist()
        self.parts = [slice(start, stop) for start, stop in pairwise(bounds)]
        self.before = table[self.features, self.classes]
        self.coef = self.before.copy()
        self.l1, self.l2 = l1[self.features], l2[self.features]

    def penalty(self, coef: Array) -> float:
        with np.errstate(over="ignore"):
            return float(self.l1 @ np.abs(coef) + 0.5 * (self.l2 @ (coef * coef)))


class _ColumnModel:
    """The quadratic model of the loss by columns of X: of a class, the model that :mod:`coordinate` describes."""

    def __init__(self, problem: Problem, cells: _Cells, damping: Array) -> None:
        self.cells = cells
        self.n_columns = problem.shape[1]
        self.residual = np.ascontiguousarray(problem.residual.T).copy()
        weights = problem.weights
        if self.n_columns == 1:
            self.weighted = problem.curvature.state.T.copy()
            self.share = np.zeros((1, len(weights)))
        else:
            self.share = np.ascontiguousarray(problem.probabilities(0, len(weights)).T)
            self.weighted = self.share * weights
        self.damping = damping * weights
        self.moved = np.zeros_like(self.residual)
        self.mean = np.zeros(len(weights))
        features, local = np.unique(cells.features, return_inverse=True)
        self.columns = problem.columns.columns(features)
        local = local.astype(np.int32)
        self.lists = [local[part] for part in cells.parts]
        n_groups = -(-self.n_columns // _TOGETHER) if self.n_columns > 2 * _TOGETHER else self.n_columns
        self.groups = [range(first, self.n_columns, n_groups) for first in range(n_groups)]
        lengths = np.diff(self.columns[2])[local]
        self._threads = None if lengths.sum() > _ENTRIES else 1
        self.row_curvature = np.empty_like(self.residual)
        self.column_curvature = np.empty(len(local))
        for group in self.groups:
            together = self.share[list(group)].sum(axis=0)
            for k in group:
                # what the others of the group do meanwhile is bounded by their shares (Gershgorin)
                self.row_curvature[k] = self.weighted[k] * (1.0 - 2.0 * self.share[k] + together) + self.damping

        def task(k: int, _: int) -> None:
            part = cells.parts[k]
            coordinate.curvatures(*self.columns, self.lists[k], self.row_curvature[k], self.column_curvature[part])

        run_blocks(task, self.n_columns, self._threads)
        self._scratch = np.empty_like(self.residual)

    def sweep(self, only_active: bool) -> float:
        """Minimise along every coordinate once, or along those that are not zero; return the decrease."""
        cells = self.cells
        decreases = [0.0] * self.n_columns
        for group in self.groups:
            moves = np.zeros((len(group), len(self.mean)))

            def task(block: int, _: int, group: range = group, moves: Array = moves) -> None:
                k = group[block]
                part, out = cells.parts[k], self._scratch[k]
                coordinate.slope(self.residual[k], self.weighted[k], self.mean, self.damping, self.moved[k], out)
                decreases[k] = coordinate.descend(
                    *self.columns, self.lists[k], self.column_curvature[part], cells.l1[part], cells.l2[part],
                    self.row_curvature[k], only_active, cells.coef[part], out, moves[block],
                )  # fmt: skip

            run_blocks(task, len(group), self._threads)
            for k, move in zip(group, moves, strict=True):
                self.moved[k] += move
                if self.n_columns > 1:
                    self.mean += self.share[k] * move
        return sum(decreases)

    def value(self) -> float:
        """Return what the model adds to the loss."""
        curved = self.weighted * (self.moved - self.mean) + self.damping * self.moved
        return float(np.vdot(self.residual, self.moved) + 0.5 * np.vdot(curved, self.moved))

    def _products(self, lists: list[Array], parts: list[slice], direction: Array, moved: Array) -> None:
        """Fill ``moved`` with the moves of the scores along a direction."""
        moved[:] = 0.0

        def task(k: int, _: int) -> None:
            coordinate.scatter(*self.columns, lists[k], direction[parts[k]], moved[k])

        run_blocks(task, self.n_columns, self._threads)

    def _slopes(self, lists: list[Array], parts: list[slice], moved: Array, residual: Array, out: Array) -> None:
        """Fill ``out`` with the gradient of the model where the scores moved, without the penalties."""
        mean = np.einsum("kn,kn->n", self.share, moved) if self.n_columns > 1 else np.zeros(moved.shape[1])

        def task(k: int, _: int) -> None:
            coordinate.slope(residual[k], self.weighted[k], mean, self.damping, moved[k], self._scratch[k])
            coordinate.gather(*self.columns, lists[k], self._scratch[k], out[parts[k]])

        run_blocks(task, self.n_columns, self._threads)

    def face(self) -> float:
        """Move towards the minimum over the coefficients that are not zero, signs as they are; return the decrease."""
        cells = self.cells
        index = np.flatnonzero(cells.coef)
        before, kept, kept_mean = self.value() + cells.penalty(cells.coef), self.moved, self.mean
        for _ in range(_FACES):
            coef = cells.coef[index]
            direction = self._conjugate(index)
            lists, parts = self._lists(index)
            for step in (1.0, 0.25, 1 / 16):
                found = coef + step * direction
                found[found * coef < 0] = 0.0  # stop at zero
                moved = np.empty_like(kept)
                self._products(lists, parts, found - coef, moved)
                self.moved = kept + moved
                if self.n_columns > 1:
                    self.mean = np.einsum("kn,kn->n", self.share, self.moved)
                cells.coef[index] = found
                after = self.value() + cells.penalty(cells.coef)
                if after <= before:
                    return before - after
            cells.coef[index] = coef
            self.moved, self.mean = kept, kept_mean
            # what would change its sign waits for the next descent
            index = index[(coef + direction) * coef > 0]
        return 0.0

    def _lists(self, index: Array) -> tuple[list[Array], list[slice]]:
        """Return some coefficients' columns, class by class, and where each class has its part of the index."""
        ends = np.searchsorted(index, [0, *(part.stop for part in self.cells.parts)]).tolist()
        parts = [slice(start, stop) for start, stop in pairwise(ends)]
        lists = [
            columns[index[part] - own.start]
            for columns, part, own in zip(self.lists, parts, self.cells.parts, strict=True)
        ]
        return lists, parts

    def _conjugate(self, index: Array) -> Array:
        """Return a direction for some coefficients, by conjugate gradients."""
        cells = self.cells
        lists, parts = self._lists(index)
        l2 = cells.l2[index]
        flat = self.column_curvature[index] + l2
        inverse = 1.0 / np.where(flat > 0, flat, 1.0)
        moved, nothing = np.empty_like(self.moved), np.zeros_like(self.moved)
        residual, product = np.empty((2, len(index)))
        direction = np.zeros(len(index))
        self._slopes(lists, parts, self.moved, self.residual, residual)
        residual += l2 * cells.coef[index] + cells.l1[index] * np.sign(cells.coef[index])
        residual *= -1.0
        search = inverse * residual
        size = first = float(residual @ search)
        for _ in range(min(_CONJUGATE, len(index))):
            self._products(lists, parts, search, moved)
            self._slopes(lists, parts, moved, nothing, product)
            product += l2 * search
            curvature = float(search @ product)
            if not curvature > _EPS * _EPS * size:
                break
            step = size / curvature
            direction = direction + step * search
            residual -= step * product
            turned = inverse * residual
            last, size = size, float(residual @ turned)
            if size <= 0.01 * first:
                break
            search *= size / last
            search += turned
        return direction

    def solve(self, close: bool) -> None:
        """Minimise the model with the penalties, loosely unless it is ``close`` to the loss."""
        share = 0.05 if close else 0.3
        total = self.sweep(False)
        sweeps = 1
        while sweeps < _SWEEPS:
            for _ in range(3):
                last = self.sweep(True)
                total += last
                if last <= share * total:
                    break
            else:
                if close:
                    total += self.face()
                    total += self.sweep(True)
            last = self.sweep(False)
            total += last
            sweeps += 5
            if last <= share * total:
                break

    def misfit(self, problem: Problem) -> Array:
        """Return the damping of rows that makes up for the model at the move it proposed."""
        out = np.empty(len(self.mean))
        if self.n_columns > 1:
            shares = np.ascontiguousarray(self.share.T)
        else:
            with np.errstate(invalid="ignore", divide="ignore"):
                shares = np.clip(self.residual[0] / problem.weights + problem.codes, 0.0, 1.0)[:, np.newaxis]
            shares[problem.weights == 0] = 0.0
        coordinate.misfit(shares, np.ascontiguousarray(self.moved.T), out)
        return out


def _solve_whole(problem: Problem, cells: _Cells, gradient: Array) -> float:
    """Minimise the model given by its whole Hessian; return the decrease."""
    n_features = problem.shape[0]
    hessian = problem.hessian()
    place = cells.classes * n_features + cells.features
    hessian = np.ascontiguousarray(hessian[np.ix_(place, place)])
    slope = gradient[cells.features, cells.classes]
    total, sweeps, active = 0.0, 0, False
    while sweeps < 2000:
        last = coordinate.descend_whole(hessian, cells.l1, active, cells.coef, slope)
        total += last
        sweeps += 1
        if last <= 1e-6 * total:
            if not active:
                break
            active = False
        else:
            active = True
    return total


def minimise_sparse(problem: Problem, table: Array, l1: Array, tol: float, max_iter: int) -> Result:
    """Minimise from ``table`` on, with an l1 penalty of ``l1`` for the coefficients of each feature.

    Done is when no component of the least subgradient is above ``tol`` and the last step lowered f by so little that
    what is left cannot matter, or when rounding hides any further descent.

    Parameters
    ----------
    problem : Problem
        Its penalty is the l2 part.
    table : ndarray of float64 of shape (n_features [+ 1], n_columns)
    l1 : ndarray of float64 of shape (n_features [+ 1],)
        None negative.
    tol : float
    max_iter : int
    """
    samples = problem.samples
    scores, direct = samples.scores(table), whole(problem)
    if direct or isinstance(samples, DenseSamples):
        return _minimise(problem, direct, scores, table.copy(), l1, tol, max_iter)
    # a feature whose gradient cannot get beyond the penalty stays out of it
    kept = np.flatnonzero((samples.reach(problem.weights) >= l1) | (table != 0).any(axis=1))
    inner = Problem(samples, problem.codes, problem.weights, problem.penalty[kept], problem.shape[1])
    inner.columns = samples.subset(kept)
    result = _minimise(inner, direct, scores, table[kept], l1[kept], tol, max_iter)
    found, result.table = result.table, np.zeros_like(table)
    result.table[kept] = found
    return result


def _minimise(
    problem: Problem, direct: bool, scores: Array, table: Array, l1: Array, tol: float, max_iter: int
) -> Result:
    l2 = problem.penalty[:, 0]
    loss = problem.loss(scores, _NO_TABLE, 0.0, derivatives=True)
    damping = np.zeros(len(scores))
    # a whole Hessian costs the same however few coefficients are in play
    scale, fit, trusted, descent = float(direct), 0.0, True, math.inf

    @cache
    def reach() -> Array:
        return np.maximum(problem.columns.reach(problem.weights), 1.0)

    def settled(left: float) -> bool:
        """Return whether f is this close to its minimum, and the least subgradient, relative to large columns, to 0."""
        close = left <= 0.01 * tol * max(value, tol)
        return close and (norm <= tol or bool((least <= tol * reach()[cells.features]).all()))

    for n_iter in range(max_iter + 1):
        gradient = problem.gradient(table)
        size = np.abs(gradient)
        if not np.isfinite(size).all():
            return Result(table, n_iter, False)
        if scale == 0.0:
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = np.where(l1[:, np.newaxis] > 0, size / l1[:, np.newaxis], 0.0)
            scale = max(1.0, _SHRINK * float(ratio[table == 0].max(initial=0.0)))
        elif trusted:
            scale = max(1.0, _SHRINK * scale)
        cells = _Cells((table != 0) | (size > scale * l1[:, np.newaxis]), table, scale * l1, l2)
        slope = gradient[cells.features, cells.classes]
        least = np.where(
            cells.before != 0, np.abs(slope + cells.l1 * np.sign(cells.before)), np.maximum(np.abs(slope) - cells.l1, 0)
        )
        norm = float(least.max(initial=0.0))
        value = loss + cells.penalty(cells.before)
        if scale == 1.0 and (norm == 0 or descent <= 8 * _EPS * value or settled(descent)):
            return Result(table, n_iter, True)
        if n_iter == max_iter:
            break
        if len(cells.coef) == 0:
            continue

        if direct:
            modelled = _solve_whole(problem, cells, gradient)
            direction = np.zeros_like(table)
            direction[cells.features, cells.classes] = cells.coef - cells.before
            moved = problem.samples.scores(direction)
        else:
            model = _ColumnModel(problem, cells, damping)
            model.solve(close=scale == 1.0 and abs(fit - 1.0) <= _TRUST)
            modelled = cells.penalty(cells.before) - model.value() - cells.penalty(cells.coef)
            moved = np.ascontiguousarray(model.moved.T)
        if modelled <= 2 * _EPS * abs(value) and scale == 1.0:
            return Result(table, n_iter, True)
        step = 1.0
        loss_there = problem.loss(scores, moved, 1.0, derivatives=True)
        lower = loss_there + cells.penalty(cells.coef)
        fit = (value - lower) / modelled if modelled > 0 else 1.0
        trusted = fit >= 0.3 or abs(value - lower) <= 8 * _EPS * abs(value)
        if not direct:
            damping = np.where(damping > _FLOOR, damping * (0.25 if fit >= 0.5 else 1.0), 0.0)
        if not trusted:
            if scale == 1.0 and settled(100 * modelled):
                return Result(table, n_iter, True)  # rounding of the loss hides what is left
            if not direct:
                damping = np.maximum(damping, model.misfit(problem))
                damping[damping < _FLOOR] = _FLOOR
            while True:
                step *= 0.5
                loss_there = problem.loss(scores, moved, step, derivatives=False)
                coef = cells.before + step * (cells.coef - cells.before)
                lower = loss_there + cells.penalty(coef)
                if lower <= value - 0.1 * step * modelled:
                    cells.coef = coef
                    break
                if step < (1e-12 if direct else 1 / 16):
                    step = 0.0
                    break
            loss_there = problem.loss(scores, moved, step, derivatives=True)
        if step == 0.0:
            if direct:
                return Result(table, n_iter, False)
            continue
        scores += step * moved
        table[cells.features, cells.classes] = cells.coef
        loss = loss_there
        descent = value - lower if scale == 1.0 and trusted else math.inf
    return Result(table, max_iter, False)
