"""A preconditioner for the Hessian of logistic regression: its diagonal blocks, one for each column of coefficients.

Block k of the Hessian is ``X.T @ diag(c) @ X + diag(penalty)`` with the curvature ``c_i = v_i p_ik (1 - p_ik)`` of row
i. It is made of some of the rows only: of all that outweigh the rest by far, and of others by systematic sampling, each
with a weight of one over its chance to be taken. For softmax, to which adding the same to all columns is nothing, a
solution is projected to where the columns sum to zero.

Sources: F. Roosta-Khorasani, M. W. Mahoney, Sub-sampled Newton methods, Mathematical Programming 174 (2019), 293-326;
J. Nocedal, S. J. Wright, Numerical Optimization (2006), chapter 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from deciban._arrays import Array
from deciban._parallel import run_blocks
from deciban.linear_model._samples import DenseSamples

if TYPE_CHECKING:
    from deciban.linear_model._newton import Problem

_EPS = float(np.finfo(np.float64).eps)
_ROWS_EACH = 3  # feature: rows that a block is made of
_ROWS_OF_ONE = 30  # the same where there is only one, so that a direction takes one or two products
_PART = 6  # of the rows: such a one at most stands for all
_FEATURES = 2000  # at most
_LARGE = 200  # features, whose blocks are worth a thread each
_PRODUCTS = 60  # with the Hessian that the blocks may cost


def _n_rows(problem: Problem) -> int:
    n_features, n_columns = problem.shape
    return (_ROWS_OF_ONE if n_columns == 1 else _ROWS_EACH) * n_features


def stand_for_all(problem: Problem) -> bool:
    """Return whether one block, of a small part of dense samples, is nearly as good as the whole Hessian."""
    samples = problem.samples
    return problem.shape[1] == 1 and isinstance(samples, DenseSamples) and _PART * _n_rows(problem) <= samples.n_rows


def pays(problem: Problem) -> bool:
    """Return whether the blocks cost no more than a few dozen products with the Hessian."""
    n_features = problem.shape[0]
    n_rows = min(problem.samples.n_rows, _n_rows(problem))
    flops = float(n_features) * n_features * (n_rows + n_features / 3)
    return n_features <= _FEATURES and flops <= _PRODUCTS * 4.0 * problem.samples.n_entries


def sampled(weights: Array, n_rows: int) -> tuple[Array, Array]:
    """Return about ``n_rows`` indices, the larger the weight the likelier, and their weights over their chances."""
    total = float(weights.sum())
    if not total > 0 or n_rows >= len(weights):
        index = np.flatnonzero(weights)
        return index, weights[index]
    chance = np.minimum(1.0, weights * (n_rows / total))
    certain = chance == 1.0
    rest = total - float(weights[certain].sum())
    if certain.any() and rest > 0:  # what these do not need goes to the others
        chance[~certain] = np.minimum(1.0, weights[~certain] * ((n_rows - certain.sum()) / rest))
    steps = np.floor(np.cumsum(chance) + 0.5)
    index = np.flatnonzero(np.diff(steps, prepend=0.0) > 0)
    return index, weights[index] / chance[index]


class Blocks:
    """Cholesky's factors of the blocks where a problem was last evaluated.

    Parameters
    ----------
    problem : Problem

    Raises
    ------
    numpy.linalg.LinAlgError
        If a block has no factors.
    """

    def __init__(self, problem: Problem) -> None:
        n_features, n_columns = problem.shape
        samples, penalty = problem.samples, problem.penalty[:, 0]
        self._factors = [(np.empty((0, 0)), True)] * n_columns
        self._scales = np.ones((n_columns, n_features))

        def task(k: int, _: int) -> None:
            index, weights = sampled(problem.column_curvature(k), _n_rows(problem))
            X = samples.dense(index)
            X *= np.sqrt(weights)[:, np.newaxis]
            if samples.intercept:
                X = np.column_stack([X, np.sqrt(weights)])
            block = X.T @ X
            diagonal = block.diagonal() + penalty
            scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))  # which suits features of every size
            block *= scale
            block *= scale[:, np.newaxis]
            block[np.diag_indices(n_features)] += penalty * scale**2 + n_features * _EPS
            self._factors[k] = cho_factor(block, lower=True, overwrite_a=True, check_finite=False)
            self._scales[k] = scale

        self._threads = None if n_features >= _LARGE else 1
        run_blocks(task, n_columns, self._threads)

    def solve(self, residual: Array) -> Array:
        """Return about the inverse Hessian's product with a table."""
        out = np.empty_like(residual)

        def task(k: int, _: int) -> None:
            scale = self._scales[k]
            out[:, k] = cho_solve(self._factors[k], scale * residual[:, k], check_finite=False) * scale

        run_blocks(task, len(self._factors), self._threads)
        if len(self._factors) > 1:
            out -= out.mean(axis=1, keepdims=True)
        return out
