"""Shares of a whole: conditional probabilities, and Bayes' theorem."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import scipy.sparse as sp

from deciban._arrays import check_out
from deciban._kernels import csr, reductions, shares
from deciban._parallel import cut, run_blocks
from deciban.information._columns import SUMMED
from deciban.information._measures import Array, few, in_blocks, numbers, real_type, rows
from deciban.information._sparse import copy_indices, like, marginals

_LONG = 1 << 17  # values of a block that are but read, divided and written: 30 us
_LARGE = 1 << 21  # values of a table whose blocks of columns do not stay in cache
_TALL = 512  # rows of such a table, at least
_NARROW = 64  # columns, which are better taken with their rows
_LEAST = 16  # rows of a block, for the sums of each


def _shares(counts: Array, axis: int, alpha: float, factors: Array | None, out: Array | None) -> Array:
    """Return counts + alpha, or counts times factors along the last axis, divided by their sums along an axis."""
    shape = counts.shape
    if not -len(shape) <= operator.index(axis) < len(shape):
        raise np.exceptions.AxisError(axis, len(shape))
    axis %= len(shape)
    if not counts.flags.c_contiguous:
        if counts.flags.f_contiguous and factors is None and out is None:
            return _shares(counts.T, len(shape) - 1 - axis, alpha, None, None).T
        counts = np.ascontiguousarray(counts)
    if out is None:
        out = np.empty(shape, real_type(counts.dtype))
    if not counts.size:
        return out
    n, inner = shape[axis], math.prod(shape[axis + 1 :])
    if inner > 1:
        if counts.dtype != out.dtype or not counts.flags.aligned:
            np.copyto(out, counts)
            counts = out
        tables = counts.reshape(-1, n, inner), out.reshape(-1, n, inner)
        if n < _TALL or n * inner < (_LONG if inner < _NARROW else _LARGE):
            _share_columns(*tables, alpha)
            return out
        for table, to in zip(*tables, strict=True):
            if not _share_tall(table, to, alpha):
                _share_columns(table, to, alpha)
        return out
    as_it_is = counts.dtype == out.dtype and counts.flags.aligned

    def task(start: int, stop: int) -> None:
        if as_it_is:
            shares.share(counts, factors, alpha, n, 1, start, stop, out)
        else:
            some = out.reshape(-1, n)[start:stop]
            np.copyto(some, counts.reshape(-1, n)[start:stop])
            shares.share(some, factors, alpha, n, 1, 0, stop - start, some)

    in_blocks(counts.size // n, n, task, _LONG)
    return out


def _share_columns(counts: Array, out: Array, alpha: float) -> None:
    """Divide counts + alpha by their sums along the last axis but one, by blocks of columns."""
    n, inner = counts.shape[-2:]
    n_items = shares.n_items(counts.size // (n * inner), n, inner)

    def task(start: int, stop: int) -> None:
        shares.share(counts, None, alpha, n, inner, start, stop, out)

    in_blocks(n_items, counts.size // n_items, task, _LONG)


def _share_tall(counts: Array, out: Array, alpha: float) -> bool:
    """Do the same for one table by two passes over its rows; return False where its numbers take more than that."""
    n, inner = counts.shape
    blocks = cut(n, max(_LONG // inner, -(-n // SUMMED), _LEAST))
    sums = np.empty((len(blocks), 2, inner))
    unsigned = [False] * len(blocks)

    def add_up(block: int, _: int) -> None:
        unsigned[block] = shares.sum_columns(counts, alpha, *blocks[block], sums[block])

    run_blocks(add_up, len(blocks))
    total, by = np.empty((2, inner)), np.empty((2, inner), counts.dtype)
    shares.sum_columns(sums.reshape(-1, inner), 0.0, 0, 2 * len(blocks), total)
    if not (all(unsigned) and shares.divisors(total, by)):
        return False
    run_blocks(lambda block, _: shares.divide_columns(counts, alpha, by, *blocks[block], out), len(blocks))
    return True


def _sparse_shares(X: Any) -> Any:
    """Return CSR rows divided by their sums."""
    found = like(X)

    def task(start: int, stop: int) -> None:
        copy_indices(X, start, stop, found)
        shares.share_sparse(X.data, X.indptr, start, stop, found.data)

    in_blocks(X.shape[0], X.nnz // max(X.shape[0], 1), task)
    return found


def _sparse_shares_of_columns(X: Any) -> Any:
    """Return the entries of CSR rows divided by the sums of their columns; None if one of these is out of range."""
    _, sums = marginals(X)
    if not csr.all_finite(sums, 0, len(sums)):
        return None
    found = like(X)

    def task(start: int, stop: int) -> None:
        copy_indices(X, start, stop, found)
        shares.share_by_column(X.data, X.indices, sums, int(X.indptr[start]), int(X.indptr[stop]), found.data)

    in_blocks(X.shape[0], X.nnz // max(X.shape[0], 1), task)
    return found


def conditional_probability(joint: Any, axis: int = -1, *, alpha: float = 0.0, out: Array | None = None) -> Any:
    """Return the probability of outcomes along ``axis`` given the rest, from joint probabilities or counts.

    Parameters
    ----------
    joint : array-like or sparse matrix
        Joint probabilities ``P(a, b)``, or how often each pair was seen.
    axis : int, default=-1
        Along which the result sums to one.
    alpha : float, default=0.0
        Added to each entry first (Laplace smoothing); a sparse matrix takes 0 only.
    out : ndarray, default=None
        Where to write the result of a dense array: C-contiguous, of its shape and dtype. It may be joint itself. New
        memory can take as long as the work does.

    Returns
    -------
    p : ndarray, or CSR matrix for sparse input
        ``P(a | b) = P(a, b) / sum_a P(a, b)``, float32 for float32, else float64; NaN where nothing was seen (sparse:
        no entries).

    Raises
    ------
    ValueError
        If alpha is negative, or not 0 for a sparse matrix, or joint is not made of real numbers, or ``out`` cannot be
        written to.

    References
    ----------
    T. M. Cover, J. A. Thomas, Elements of Information Theory, 2nd edition, Wiley, 2006, chapter 2.

    Examples
    --------
    >>> from deciban.information import conditional_probability
    >>> conditional_probability([[1, 3], [2, 2]])
    array([[0.25, 0.75],
           [0.5 , 0.5 ]])
    """
    if not alpha >= 0:
        raise ValueError(f"alpha must not be negative, got {alpha}")
    if sp.issparse(joint):
        if alpha:
            raise ValueError("alpha would make every entry of a sparse matrix count: use 0, or a dense array")
        if out is not None:
            raise ValueError("the result for a sparse matrix is sparse, and takes no out")
        if operator.index(axis) in (-2, 0) and joint.format == "csr":
            found = _sparse_shares_of_columns(rows(joint, -1, "joint", merged=False))
            if found is not None:
                return found
        table = _sparse_shares(rows(joint, axis, "joint", merged=False))
        return table if axis in (-1, 1) else table.T.tocsr()
    counts = few(numbers(joint, "joint"))
    check_out(out, counts.shape, real_type(counts.dtype), joint, or_itself=True)
    found = shares.share_at_once(counts, None, axis, alpha, out)
    return _shares(counts, axis, alpha, None, out) if found is None else found


def bayes_posterior(prior: Any, likelihood: Any, *, log: bool = False, out: Array | None = None) -> Array:
    """Return the probabilities of hypotheses after an observation, ``P(h | e)`` in proportion to ``P(h) P(e | h)``.

    Parameters
    ----------
    prior : array-like of shape (n_hypotheses,)
        ``P(h)``.
    likelihood : array-like of shape (n_hypotheses,) or (n_observations, n_hypotheses)
        ``P(e | h)`` for each observation.
    log : bool, default=False
        Whether arguments and result are logarithms (in nats), which do not underflow.
    out : ndarray, default=None
        Where to write the result: C-contiguous, of its shape and dtype. It may be likelihood itself.

    Returns
    -------
    posterior : ndarray of the shape of likelihood
        Sums to one over the hypotheses; NaN for an observation that no hypothesis allows. float32 if both arguments
        are, else float64.

    Raises
    ------
    ValueError
        If the numbers of hypotheses differ, arguments are not real numbers, or ``out`` cannot be written to.

    References
    ----------
    C. M. Bishop, Pattern Recognition and Machine Learning, Springer, 2006, section 1.2.

    Examples
    --------
    >>> from deciban.information import bayes_posterior
    >>> bayes_posterior([0.5, 0.5], [0.9, 0.1])
    array([0.9, 0.1])
    """
    given = prior, likelihood
    prior, likelihood = numbers(prior, "prior"), numbers(likelihood, "likelihood")
    if prior.ndim != 1 or likelihood.ndim not in (1, 2) or likelihood.shape[-1:] != prior.shape:
        raise ValueError(
            f"prior and likelihood must agree in the number of hypotheses, got {prior.shape} and {likelihood.shape}"
        )
    dtype = np.result_type(real_type(prior.dtype), real_type(likelihood.dtype))
    prior, likelihood = np.ascontiguousarray(prior, dtype), likelihood.astype(dtype, copy=False)
    check_out(out, likelihood.shape, dtype, *given, or_itself=True)
    if not log or not likelihood.size:
        found = shares.share_at_once(likelihood, prior, -1, 0.0, out)
        return _shares(likelihood, -1, 0.0, prior, out) if found is None else found
    if out is None:
        out = np.empty(likelihood.shape, dtype)
    n = len(prior)
    joint, posterior = likelihood.reshape(-1, n), out.reshape(-1, n, 1)

    def task(start: int, stop: int) -> None:
        with np.errstate(all="ignore"):
            np.add(joint[start:stop], prior, out=posterior[start:stop, :, 0])
        reductions.softmax(posterior, True, posterior, start, stop)

    in_blocks(len(joint), n, task)
    return out
