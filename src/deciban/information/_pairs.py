"""Divergences of every row of one set from every row of another."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from deciban._kernels import divergences
from deciban._kernels.products import HAS_TILES
from deciban._products import products
from deciban.information._distributions import entropy, kl_divergence
from deciban.information._measures import Array, in_blocks, in_unit, logarithms, rows, unit
from deciban.information._shares import conditional_probability
from deciban.information._sparse import by_row

_FEW = 1 << 12  # terms, which are sooner summed than products of matrices are prepared
# products, for which other threads are not asked; BLAS, which makes them without wide registers, might ask its own
_AT_ONCE = 1 << 22 if HAS_TILES else 0


def _two_sets(P: Any, Q: Any, normalize: bool) -> tuple[Any, Any]:
    P, Q = rows(P, -1, "P"), rows(Q, -1, "Q")
    if P.ndim != 2 or Q.ndim != 2 or P.shape[1] != Q.shape[1]:
        raise ValueError(f"P and Q must be rows of as many outcomes, got shapes {P.shape} and {Q.shape}")
    if normalize:
        P, Q = conditional_probability(P), conditional_probability(Q)
    return P, Q


def _where_rows_are(P: Any, Q: Any) -> tuple[Any, Any]:
    """Return the columns of both in which CSR rows P have entries, if those are few."""
    is_there = np.zeros(P.shape[1], dtype=bool)
    is_there[P.indices] = True
    columns = np.flatnonzero(is_there)
    if 2 * len(columns) > P.shape[1]:
        return P, Q
    narrow = sp.csr_matrix((P.shape[0], len(columns)))
    narrow.data, narrow.indptr = P.data, P.indptr
    narrow.indices = (np.cumsum(is_there, dtype=P.indices.dtype) - 1)[P.indices]
    return narrow, Q[:, columns]


def _odd_rows(Q: Any) -> Array:
    """Return which rows have numbers that are negative or not finite, or too large to be added up."""
    if sp.issparse(Q):
        found = np.zeros(Q.shape[0], dtype=bool)
        found[np.repeat(np.arange(len(found)), np.diff(Q.indptr))[~(np.isfinite(Q.data) & (Q.data >= 0))]] = True
        return found
    with np.errstate(all="ignore"):
        return np.asarray(~np.isfinite(Q.sum(axis=1)) | (Q.min(axis=1, initial=0) < 0))


def _without_rows_of_zero(D: Array, P: Any, Q: Any, normalize: bool) -> None:
    """Set to NaN what belongs to rows without a distribution; dense ones that have outcomes are NaN already."""
    if normalize and not P.shape[1]:
        D[:] = np.nan
    if normalize and sp.issparse(P):
        D[np.diff(P.indptr) == 0] = np.nan
    if normalize and sp.issparse(Q):
        D[:, np.diff(Q.indptr) == 0] = np.nan


def _of_dense_pairs(measure: int, P: Array, Q: Array) -> Array:
    """Return, in float64 and nats, what every row of P and every row of Q measure, by terms."""
    if P.dtype != Q.dtype:
        P, Q = P.astype(np.float64, copy=False), Q.astype(np.float64, copy=False)
    out = np.empty((len(P), len(Q)))
    if out.size * P.shape[1] <= _FEW:
        divergences.pairs(measure, P, Q, 0, len(P), out)
    else:
        in_blocks(len(P), Q.size, lambda start, stop: divergences.pairs(measure, P, Q, start, stop, out))
    return out


def pairwise_kl(P: Any, Q: Any, *, normalize: bool = False, base: float | str = "e") -> Array:
    """Return the Kullback-Leibler divergence of every row of Q from every row of P.

    Parameters
    ----------
    P : array-like or sparse matrix of shape (n_p, n_outcomes)
        Distributions.
    Q : array-like or sparse matrix of shape (n_q, n_outcomes)
        Distributions; made dense for its logarithms, as those of zeros are not 0.
    normalize, base
        As for :func:`entropy`.

    Returns
    -------
    D : ndarray of shape (n_p, n_q)
        ``D[i, j] = sum P[i] log(P[i] / Q[j])``.

    Raises
    ------
    ValueError
        As :func:`kl_divergence`.

    Notes
    -----
    ``sum p log p - P @ log(Q).T``: a product of matrices, at the speed of such. Divergences near 0 have an absolute
    error of about 1e-16 times the entropy; :func:`kl_divergence` gives all their digits.

    References
    ----------
    As for :func:`kl_divergence`.

    Examples
    --------
    >>> from deciban.information import pairwise_kl
    >>> pairwise_kl([[0.5, 0.5]], [[0.5, 0.5], [0.0, 1.0]])
    array([[ 0., inf]])
    """
    P, Q = _two_sets(P, Q, normalize)
    scale = unit(base)
    if not sp.issparse(P) and not sp.issparse(Q) and P.size * len(Q) <= _FEW:
        D = _of_dense_pairs(divergences.KL, P, Q)
        if normalize:
            np.maximum(D, 0.0, out=D)  # rounding
        _without_rows_of_zero(D, P, Q, normalize)
        return in_unit(D, scale, np.result_type(P.dtype, Q.dtype))
    D = divergences.pairs_at_once(P, Q, _AT_ONCE)
    if D is not None:
        if normalize:
            np.maximum(D, 0.0, out=D)  # rounding
        return in_unit(D, scale, D.dtype)
    own = np.asarray(entropy(P))
    narrow_P, narrow_Q = _where_rows_are(P, Q) if sp.issparse(P) else (P, Q)
    dense = narrow_Q.toarray() if sp.issparse(narrow_Q) else narrow_Q
    impossible = dense == 0
    some = bool(impossible.any())
    logs = logarithms(np.where(impossible, dense.dtype.type(1), dense) if some else dense)
    D = np.asarray(narrow_P @ logs.T) if sp.issparse(P) else products(P, logs)

    def subtract(start: int, stop: int) -> None:
        with np.errstate(all="ignore"):
            some_rows = D[start:stop]
            np.subtract(-own[start:stop, np.newaxis], some_rows, out=some_rows)
            if normalize:
                np.maximum(some_rows, 0.0, out=some_rows)  # rounding
            if scale != 1:
                some_rows *= D.dtype.type(scale)

    in_blocks(len(D), D.shape[1], subtract)
    with np.errstate(invalid="ignore"):
        odd_p = ~np.isfinite(own)
        odd_q = ~np.isfinite(logs.sum(axis=1)) if narrow_Q is Q else _odd_rows(Q)
    if some:
        ruled_out = impossible.astype(dense.dtype)
        D[(np.asarray(narrow_P @ ruled_out.T) if sp.issparse(P) else products(P, ruled_out)) > 0] = np.inf
    # numbers that are negative or not finite make sums, or products of 0 with them, that are not what their terms are
    for i in np.flatnonzero(odd_p):
        D[i] = kl_divergence(P[[i]], Q, base=base)
    for j in np.flatnonzero(odd_q):
        D[:, j] = kl_divergence(P, Q[[j]], base=base)
    _without_rows_of_zero(D, P, Q, normalize)
    return D


def pairwise_js(P: Any, Q: Any, *, normalize: bool = False, base: float | str = "e") -> Array:
    """Return the Jensen-Shannon divergence of every row of P and every row of Q.

    Parameters
    ----------
    P, Q : array-like or sparse matrix of shape (n_p, n_outcomes) and (n_q, n_outcomes)
        Distributions.
    normalize, base
        As for :func:`entropy`.

    Returns
    -------
    D : ndarray of shape (n_p, n_q)
        Between 0 and log 2 (1 bit).

    Raises
    ------
    ValueError
        As :func:`js_divergence`.

    References
    ----------
    As for :func:`js_divergence`.

    Examples
    --------
    >>> from deciban.information import pairwise_js
    >>> pairwise_js([[1, 0]], [[1, 0], [0, 1]], base=2)
    array([[0., 1.]])
    """
    P, Q = _two_sets(P, Q, normalize)
    if sp.issparse(P) or sp.issparse(Q):
        P, Q = (X if sp.issparse(X) else sp.csr_matrix(X) for X in (P, Q))
        out = np.empty((P.shape[0], Q.shape[0]))
        for row in range(P.shape[0]):
            out[row] = by_row(divergences.JS, Q, P[row], False, np.empty(0))
    else:
        out = _of_dense_pairs(divergences.JS, P, Q)
    _without_rows_of_zero(out, P, Q, normalize)
    return in_unit(out, unit(base), np.result_type(P.dtype, Q.dtype))
