"""Joint distributions of two variables: conditional probabilities, Bayes' theorem, mutual information."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils import column_or_1d

from deciban._arrays import entries
from deciban._class_sums import count_dense, count_sparse
from deciban.information._measures import Array, numbers, rows, shares, unit
from deciban.special import log_softmax, rel_entr


def conditional_probability(joint: Any, axis: int = -1, *, alpha: float = 0.0) -> Any:
    """Return the probability of outcomes along ``axis`` given the rest, from joint probabilities or counts.

    Parameters
    ----------
    joint : array-like or sparse matrix
        Joint probabilities ``P(a, b)``, or how often each pair was seen.
    axis : int, default=-1
        Along which the result sums to one.
    alpha : float, default=0.0
        Added to each entry first (Laplace smoothing); a sparse matrix takes 0 only.

    Returns
    -------
    p : ndarray, or CSR matrix for sparse input
        ``P(a | b) = P(a, b) / sum_a P(a, b)``; NaN where nothing was seen (sparse: no entries).

    Raises
    ------
    ValueError
        If alpha is negative, or not 0 for a sparse matrix, or joint is not made of real numbers.

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
        table = shares(rows(joint, axis, "joint"), 1)
        return table if axis in (-1, 1) else table.T.tocsr()
    counts = numbers(joint, "joint")
    counts = counts.astype(np.result_type(counts, np.float32) if counts.dtype.kind == "f" else np.float64) + alpha
    return shares(counts, axis)


def bayes_posterior(prior: Any, likelihood: Any, *, log: bool = False) -> Array:
    """Return the probabilities of hypotheses after an observation, ``P(h | e)`` in proportion to ``P(h) P(e | h)``.

    Parameters
    ----------
    prior : array-like of shape (n_hypotheses,)
        ``P(h)``.
    likelihood : array-like of shape (n_hypotheses,) or (n_observations, n_hypotheses)
        ``P(e | h)`` for each observation.
    log : bool, default=False
        Whether arguments and result are logarithms (in nats), which do not underflow.

    Returns
    -------
    posterior : ndarray of the shape of likelihood
        Sums to one over the hypotheses; NaN for an observation that no hypothesis allows.

    Raises
    ------
    ValueError
        If the numbers of hypotheses differ, or arguments are not real numbers.

    References
    ----------
    C. M. Bishop, Pattern Recognition and Machine Learning, Springer, 2006, section 1.2.

    Examples
    --------
    >>> from deciban.information import bayes_posterior
    >>> bayes_posterior([0.5, 0.5], [0.9, 0.1])
    array([0.9, 0.1])
    """
    prior, likelihood = (
        numbers(p, name).astype(np.float64, copy=False) for p, name in ((prior, "prior"), (likelihood, "likelihood"))
    )
    if prior.ndim != 1 or likelihood.ndim not in (1, 2) or likelihood.shape[-1:] != prior.shape:
        raise ValueError(
            f"prior and likelihood must agree in the number of hypotheses, got {prior.shape} and {likelihood.shape}"
        )
    with np.errstate(all="ignore"):
        if log:
            return np.asarray(log_softmax(likelihood + prior, axis=-1))
        # fractions and exponents apart: products out of the range of numbers may be in proportion to some within
        (a, i), (b, j) = np.frexp(prior), np.frexp(likelihood)
        fraction, exponent = a * b, i + j
        largest = np.max(exponent, axis=-1, keepdims=True, where=fraction != 0, initial=-4096)
        product = np.ldexp(fraction, exponent - largest)
        return np.asarray(product / product.sum(axis=-1, keepdims=True))


def _joint(joint: Any, normalize: bool) -> tuple[Any, Array, Array]:
    """Return a joint distribution, and those of its rows and columns."""
    P = rows(joint, -1, "joint")
    if P.ndim != 2:
        raise ValueError(f"joint must have two dimensions, got {P.ndim}")
    if normalize:
        P = shares(P, None)
    if sp.issparse(P) and not P.data.all():
        P = P.copy()
        P.eliminate_zeros()
    with np.errstate(all="ignore"):
        a, b = (np.asarray(P.sum(axis=axis, dtype=np.float64)).ravel().astype(P.dtype) for axis in (1, 0))
    return P, a, b


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
    P, a, b = _joint(joint, normalize)
    scale = unit(base)
    if normalize and not a.sum() > 0:
        return math.nan
    if not np.isfinite(a).all():
        return math.nan
    with np.errstate(all="ignore"):
        some = a > 0
        if sp.issparse(P):
            row = np.repeat(np.arange(P.shape[0]), np.diff(P.indptr))
            others = P.data[~some[row]]
            row, columns, values = row[some[row]], P.indices[some[row]], P.data[some[row]]
            # a row's share of the product is taken off first, which may be too small a number otherwise
            terms = a[row] * rel_entr(values / a[row], b[columns])
        else:
            others = P[~some]
            terms = a[some, np.newaxis] * rel_entr(P[some] / a[some, np.newaxis], b)
        total = float(np.sum(terms, dtype=np.float64))
    if others.min(initial=0.0) < 0:
        return math.inf
    return total * scale


def pointwise_mutual_information(joint: Any, *, normalize: bool = False, base: float | str = "e") -> Any:
    """Return how much more often than by chance each pair occurs, ``log(P(a, b) / (P(a) P(b)))``.

    Parameters
    ----------
    joint : array-like or sparse matrix of shape (n_a, n_b)
        Joint probabilities; or counts, with ``normalize``.
    normalize, base
        As for :func:`entropy`.

    Returns
    -------
    pmi : ndarray, or CSR matrix for sparse input, of shape (n_a, n_b)
        -inf for pairs that do not occur (which a sparse matrix leaves out), NaN for what never occurs at all.

    Raises
    ------
    ValueError
        If joint is not a matrix of real numbers.

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
    P, a, b = _joint(joint, normalize)
    scale = unit(base)
    with np.errstate(all="ignore"):
        if sp.issparse(P):
            row = np.repeat(np.arange(P.shape[0]), np.diff(P.indptr))
            P = P.copy()
            P.data = np.log(P.data / a[row] / b[P.indices]) * scale
            return P
        return np.log(P / a[:, np.newaxis] / b) * scale


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
    samples = rows(X, -1, "X")
    if samples.ndim != 2:
        raise ValueError(f"X must have two dimensions, got {samples.ndim}")
    labels = column_or_1d(y)
    if len(labels) != samples.shape[0]:
        raise ValueError(f"X and y must have as many rows, got {samples.shape[0]} and {len(labels)}")
    classes, codes = np.unique(labels, return_inverse=True)
    codes = codes.astype(np.int32)
    none = np.empty(0)
    if sp.issparse(samples):
        present, _ = count_sparse(
            entries(samples), codes, len(classes), samples.shape[1], none, binary=True, threshold=0.0
        )
        unknown = samples.indices[np.isnan(samples.data)]
    else:
        present, _ = count_dense(samples, codes, len(classes), none, binary=True, threshold=0.0)
        unknown = np.isnan(samples.max(axis=0, initial=0.0))
    present = present.astype(np.float64, copy=False)
    size = np.bincount(codes, minlength=len(classes))
    share = size / max(len(codes), 1)
    there = present.sum(axis=0) / max(len(codes), 1)
    gain = np.zeros(samples.shape[1])
    for k, class_share in enumerate(share):
        for joint, marginal in ((present[k], there), (size[k] - present[k], 1.0 - there)):
            gain += rel_entr(joint / len(codes), marginal * class_share)
    gain[unknown] = np.nan
    return np.maximum(gain, 0.0) * unit(base)
