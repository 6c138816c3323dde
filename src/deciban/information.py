"""Measures of information: entropy, cross-entropy, divergences, likelihood, of arrays, sparse rows and models.

A distribution is a row of probabilities, or of counts with ``normalize=True``; nothing is ever normalized silently.
``base`` is "e" (nats), 2 (bits), 10 (bans), "deciban" (ten to a ban, Turing's unit of evidence) or another number above
1. ``0 log 0`` is 0; a NaN in a row makes the row's result NaN; a row that sums to 0 has no distribution, and gives NaN
with ``normalize=True``. CSR rows are never made dense.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.base import OutlierMixin
from sklearn.pipeline import Pipeline
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_is_fitted

from deciban._arrays import entries
from deciban._class_sums import count_dense, count_sparse
from deciban._kernels import divergences
from deciban._measures import BLOCK, Array, Measured, logarithms, measure, products, rows, shares, unit
from deciban._parallel import cut, run_blocks
from deciban.special import logsumexp, normalize_log_joint, rel_entr

__all__ = [
    "bayes_posterior",
    "conditional_probability",
    "cross_entropy",
    "entropy",
    "information_gain",
    "js_divergence",
    "kl_divergence",
    "log_likelihood",
    "mutual_information",
    "pairwise_js",
    "pairwise_kl",
    "perplexity",
    "pointwise_mutual_information",
]


# Classes whose scores are no logarithms of probabilities: those of complements, of a discriminator.
_NO_LIKELIHOODS = {"ComplementNB", "GAN"}


def _is_model(value: Any) -> bool:
    return any(hasattr(value, name) for name in ("predict", "predict_proba", "score_samples"))


def entropy(
    p: Any, *, normalize: bool = False, base: float | str = "e", axis: int = -1, weights: Any = None
) -> Measured:
    """Return the entropy of distributions, ``-sum p log p``.

    Parameters
    ----------
    p : array-like or sparse matrix, outcomes along ``axis``
        Probabilities; or counts, with ``normalize``.
    normalize : bool, default=False
        Whether to divide by the sum first.
    base : {"e", 2, 10, "deciban"} or float, default="e"
        The unit of the result: nats, bits, bans, decibans.
    axis : int, default=-1
        Along which the outcomes lie.
    weights : array-like of shape (n_outcomes,), default=None
        Factors of the terms, for outcomes; None for ones. A weight of 0 leaves its term out.

    Returns
    -------
    h : float or ndarray
        One number for each distribution, float32 for float32.

    Raises
    ------
    ValueError
        If the input is not made of real numbers, or a sparse matrix is malformed.

    References
    ----------
    T. M. Cover, J. A. Thomas, Elements of Information Theory, 2nd edition, Wiley, 2006, chapter 2.

    Examples
    --------
    >>> from deciban.information import entropy
    >>> float(entropy([3, 3, 3, 3], normalize=True, base=2))
    2.0
    """
    return measure(divergences.ENTROPY, p, None, normalize, base, axis, weights)


def cross_entropy(
    p: Any,
    q: Any,
    y: Any = None,
    *,
    normalize: bool = False,
    base: float | str = "e",
    axis: int = -1,
    weights: Any = None,
) -> Measured:
    """Return the cross-entropy ``-sum p log q``, or a fitted model's on labelled samples.

    Parameters
    ----------
    p : array-like or sparse matrix, outcomes along ``axis``; or a fitted classifier
        The true probabilities, or the model.
    q : as p; or samples of shape (n_samples, n_features)
        The probabilities that are tried; or the model's samples.
    y : array-like of shape (n_samples,), default=None
        Labels, with a model.
    normalize, base, axis
        As for :func:`entropy`.
    weights : array-like, default=None
        Factors of the terms; with a model, of the samples.

    Returns
    -------
    h : float or ndarray
        One number for each distribution; with a model the mean of ``-log P(y | x)`` over the samples.

    Raises
    ------
    ValueError
        As :func:`entropy`; or if a label is none of the model's classes.

    References
    ----------
    As for :func:`entropy`.

    Examples
    --------
    >>> from deciban.information import cross_entropy
    >>> round(float(cross_entropy([0.5, 0.5], [0.25, 0.75], base=2)), 12)
    1.207518749639
    """
    if _is_model(p):
        total, weight = _log_likelihood_of_labels(p, q, y, weights)
        return -total / weight * unit(base)
    if y is not None:
        raise ValueError("y goes with a model, and p is none: it has no predict_proba")
    return measure(divergences.CROSS, p, q, normalize, base, axis, weights)


def kl_divergence(
    p: Any, q: Any, *, normalize: bool = False, base: float | str = "e", axis: int = -1, weights: Any = None
) -> Measured:
    """Return the Kullback-Leibler divergence of q from p, ``sum p log(p / q)``.

    Parameters
    ----------
    p, q : array-like or sparse matrix, outcomes along ``axis``
        Distributions; they broadcast, and one row of q serves all of p.
    normalize, base, axis, weights
        As for :func:`entropy`.

    Returns
    -------
    d : float or ndarray
        inf where q rules out what p has.

    Raises
    ------
    ValueError
        As :func:`entropy`; or if p and q do not have the same number of outcomes.

    References
    ----------
    S. Kullback, R. A. Leibler, On information and sufficiency, Annals of Mathematical Statistics 22 (1951), 79-86.

    Examples
    --------
    >>> from deciban.information import kl_divergence
    >>> round(float(kl_divergence([0.5, 0.5], [0.25, 0.75], base=2)), 12)
    0.207518749639
    """
    return measure(divergences.KL, p, q, normalize, base, axis, weights)


def js_divergence(
    p: Any, q: Any, *, normalize: bool = False, base: float | str = "e", axis: int = -1, weights: Any = None
) -> Measured:
    """Return the Jensen-Shannon divergence: the mean of the divergences of ``m = (p + q) / 2`` from p and from q.

    Parameters
    ----------
    p, q : array-like or sparse matrix, outcomes along ``axis``
        Distributions; they broadcast, and one row of q serves all of p.
    normalize, base, axis, weights
        As for :func:`entropy`.

    Returns
    -------
    d : float or ndarray
        Between 0 and log 2 (1 bit); its square root is a metric.

    Raises
    ------
    ValueError
        As :func:`kl_divergence`.

    References
    ----------
    J. Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37 (1991),
    145-151.

    Examples
    --------
    >>> from deciban.information import js_divergence
    >>> float(js_divergence([1, 0], [0, 1], base=2))
    1.0
    """
    return measure(divergences.JS, p, q, normalize, base, axis, weights)


def perplexity(
    p: Any,
    X: Any = None,
    *,
    normalize: bool = False,
    axis: int = -1,
    n_events: float | None = None,
) -> Measured:
    """Return the perplexity: the number of equally likely outcomes with the same entropy.

    Parameters
    ----------
    p : array-like or sparse matrix, outcomes along ``axis``; or a fitted model
        Distributions; or a model of samples (see :func:`log_likelihood`).
    X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
        The samples, with a model.
    normalize, axis
        As for :func:`entropy`.
    n_events : float, default=None
        With a model: the number of events that the likelihood is shared among; None for the sum of X, which suits
        counts of words.

    Returns
    -------
    perplexity : float or ndarray
        ``exp(entropy)``; with a model ``exp(-log_likelihood(p, X) / n_events)``.

    Raises
    ------
    ValueError
        As :func:`entropy`; or if a model comes without samples.

    References
    ----------
    F. Jelinek, Statistical Methods for Speech Recognition, MIT Press, 1997.

    Examples
    --------
    >>> from deciban.information import perplexity
    >>> round(float(perplexity([0.25, 0.25, 0.25, 0.25])), 12)
    4.0
    """
    if _is_model(p):
        if X is None:
            raise ValueError("the perplexity of a model needs samples, X")
        if n_events is None:
            samples = p[:-1].transform(X) if isinstance(p, Pipeline) else X
            n_events = float(samples.sum() if sp.issparse(samples) else np.asarray(samples, dtype=np.float64).sum())
        if not n_events > 0:
            raise ValueError(f"the number of events must be positive, got {n_events}; give n_events")
        with np.errstate(over="ignore"):
            return float(np.exp(-log_likelihood(p, X) / n_events))
    if X is not None:
        raise ValueError("X goes with a model, and p is none")
    return np.exp(entropy(p, normalize=normalize, axis=axis))


def log_likelihood(
    p: Any,
    X: Any,
    y: Any = None,
    *,
    normalize: bool = False,
    base: float | str = "e",
    axis: int = -1,
    weights: Any = None,
) -> Measured:
    """Return the log-likelihood of counts under distributions, or of samples under a fitted model.

    Parameters
    ----------
    p : array-like, outcomes along ``axis``; or a fitted model
        Probabilities; or a model with ``predict_proba`` (for labels), and ``score_samples`` or
        ``predict_joint_log_proba`` (for samples).
    X : {array-like, sparse matrix}
        Counts of outcomes, a row for each experiment; or samples.
    y : array-like of shape (n_samples,), default=None
        With a model: the labels whose likelihood given X is asked for; None for the likelihood of X itself.
    normalize : bool, default=False
        Whether to divide p by its sum first.
    base, axis
        As for :func:`entropy`.
    weights : array-like of shape (n_samples,), default=None
        With a model: weights of the samples.

    Returns
    -------
    log_likelihood : float or ndarray
        ``sum x log p`` for each row of counts, without the multinomial coefficient, which does not depend on p; with a
        model the sum over all samples of ``log P(y | x)``, or of ``log P(x)``.

    Raises
    ------
    ValueError
        As :func:`entropy`; or if a label is none of the model's classes.
    TypeError
        If a model cannot say what is asked, as a GAN and ComplementNB cannot say how likely samples are.

    References
    ----------
    C. M. Bishop, Pattern Recognition and Machine Learning, Springer, 2006, chapter 2.

    Examples
    --------
    >>> from deciban.information import log_likelihood
    >>> round(float(log_likelihood([0.5, 0.5], [1, 2], base=2)), 12)
    -3.0
    """
    if _is_model(p):
        if y is not None:
            return _log_likelihood_of_labels(p, X, y, weights)[0] * unit(base)
        if isinstance(p, Pipeline):
            p, X = p[-1], p[:-1].transform(X)
        if isinstance(p, OutlierMixin) or not _NO_LIKELIHOODS.isdisjoint(cls.__name__ for cls in type(p).__mro__):
            raise TypeError(f"the scores of {type(p).__name__} are no likelihoods of samples")
        if hasattr(p, "predict_joint_log_proba"):
            scores = logsumexp(p.predict_joint_log_proba(X), axis=1)
        elif hasattr(p, "score_samples"):
            scores = np.asarray(p.score_samples(X))
        else:
            raise TypeError(f"{type(p).__name__} does not model samples: give the labels y")
        return float(scores.sum() if weights is None else scores @ np.asarray(weights)) * unit(base)
    if y is not None or weights is not None:
        raise ValueError("y and weights go with a model, and p is none")
    q = np.asarray(p, dtype=np.float64)
    if normalize:
        q = shares(q, axis)
    return -cross_entropy(X, q, base=base, axis=axis)


def _log_likelihood_of_labels(model: Any, X: Any, y: Any, weights: Any) -> tuple[float, float]:
    """Return the weighted sum of log P(y | x), and the sum of weights."""
    if y is None:
        raise ValueError("the likelihood of labels needs y")
    check_is_fitted(model)
    if not hasattr(model, "predict_proba") or not hasattr(model, "classes_"):
        raise TypeError(f"{type(model).__name__} has no probabilities of classes (predict_proba and classes_)")
    labels, classes = column_or_1d(y), np.asarray(model.classes_)
    codes = np.searchsorted(classes, labels)
    known = codes < len(classes)
    known[known] = classes[codes[known]] == labels[known]
    if not known.all():
        raise ValueError(f"y has a label that the model does not know: {labels[~known][0]!r}")
    if hasattr(model, "predict_log_proba"):
        log_proba = np.asarray(model.predict_log_proba(X))
    else:
        with np.errstate(divide="ignore"):
            log_proba = np.log(model.predict_proba(X))
    if log_proba.shape != (len(labels), len(classes)):
        raise ValueError(f"X and y must have as many rows, got {len(log_proba)} and {len(labels)}")
    found = log_proba[np.arange(len(labels)), codes]
    if weights is None:
        return float(found.sum()), float(len(labels))
    w = np.asarray(weights, dtype=np.float64)
    return float(found @ w), float(w.sum())


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
        If alpha is negative, or not 0 for a sparse matrix.

    References
    ----------
    As for :func:`entropy`.

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
    counts = np.asarray(joint)
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
        If the numbers of hypotheses differ.

    References
    ----------
    C. M. Bishop, Pattern Recognition and Machine Learning, Springer, 2006, section 1.2.

    Examples
    --------
    >>> from deciban.information import bayes_posterior
    >>> bayes_posterior([0.5, 0.5], [0.9, 0.1])
    array([0.9, 0.1])
    """
    prior, likelihood = np.asarray(prior, dtype=np.float64), np.asarray(likelihood, dtype=np.float64)
    if prior.ndim != 1 or likelihood.ndim not in (1, 2) or likelihood.shape[-1:] != prior.shape:
        raise ValueError(
            f"prior and likelihood must agree in the number of hypotheses, got {prior.shape} and {likelihood.shape}"
        )
    if log:
        joint = np.atleast_2d(likelihood + prior)
        return normalize_log_joint(joint)[0].reshape(likelihood.shape)
    product = likelihood * prior
    with np.errstate(all="ignore"):
        return np.asarray(product / product.sum(axis=-1, keepdims=True))


def _joint(joint: Any, normalize: bool) -> tuple[Any, Array, Array]:
    """Return a joint distribution, and those of its rows and columns."""
    P = rows(joint, -1, "joint")
    if P.ndim != 2:
        raise ValueError(f"joint must have two dimensions, got {P.ndim}")
    if normalize:
        P = shares(P, None)
    return P, np.asarray(P.sum(axis=1)).ravel(), np.asarray(P.sum(axis=0)).ravel()


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
        What one variable tells of the other.

    Raises
    ------
    ValueError
        If joint is not a matrix of real numbers.

    References
    ----------
    As for :func:`entropy`.

    Examples
    --------
    >>> from deciban.information import mutual_information
    >>> mutual_information([[2, 0], [0, 2]], normalize=True, base=2)
    1.0
    """
    P, a, b = _joint(joint, normalize)
    if sp.issparse(P):
        row = np.repeat(np.arange(P.shape[0]), np.diff(P.indptr))
        # a row's share of the product is taken off first, which may be too small a number otherwise
        terms = a[row] * rel_entr(P.data / a[row], b[P.indices])
    else:
        terms = a[a > 0, np.newaxis] * rel_entr(P[a > 0] / a[a > 0, np.newaxis], b)
    if normalize and not a.sum() > 0:
        return math.nan
    return float(np.sum(terms, dtype=np.float64)) * unit(base)


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
        Counts or weights; a feature is present where it is above 0.
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
    classes, codes = np.unique(np.asarray(y), return_inverse=True)
    if codes.shape != samples.shape[:1]:
        raise ValueError(f"X and y must have as many rows, got {samples.shape[0]} and {np.shape(y)}")
    codes = codes.astype(np.int32)
    none = np.empty(0)
    if sp.issparse(samples):
        present, _ = count_sparse(
            entries(samples), codes, len(classes), samples.shape[1], none, binary=True, threshold=0.0
        )
    else:
        present, _ = count_dense(samples, codes, len(classes), none, binary=True, threshold=0.0)
    present = present.astype(np.float64, copy=False)
    size = np.bincount(codes, minlength=len(classes))
    share = size / max(len(codes), 1)
    there = present.sum(axis=0) / max(len(codes), 1)
    gain = np.zeros(samples.shape[1])
    for k, class_share in enumerate(share):
        for joint, marginal in ((present[k], there), (size[k] - present[k], 1.0 - there)):
            gain += rel_entr(joint / len(codes), marginal * class_share)
    return np.maximum(gain, 0.0) * unit(base)


def _two_sets(P: Any, Q: Any, normalize: bool) -> tuple[Any, Any]:
    P, Q = rows(P, -1, "P"), rows(Q, -1, "Q")
    if P.ndim != 2 or Q.ndim != 2 or P.shape[1] != Q.shape[1]:
        raise ValueError(f"P and Q must be rows of as many outcomes, got shapes {P.shape} and {Q.shape}")
    if normalize:
        P, Q = conditional_probability(P), conditional_probability(Q)
    return P, Q


def _without_rows_of_zero(D: Array, P: Any, Q: Any, normalize: bool) -> None:
    """Set to NaN what belongs to sparse rows without a distribution; dense ones are NaN already."""
    if normalize and sp.issparse(P):
        D[np.diff(P.indptr) == 0] = np.nan
    if normalize and sp.issparse(Q):
        D[:, np.diff(Q.indptr) == 0] = np.nan


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
    own = np.asarray(entropy(P))
    dense = Q.toarray() if sp.issparse(Q) else Q
    impossible = dense == 0
    some = bool(impossible.any())
    logs = logarithms(np.where(impossible, dense.dtype.type(1), dense) if some else dense)
    D = np.asarray(P @ logs.T) if sp.issparse(P) else products(P, logs)
    np.subtract(-own[:, np.newaxis], D, out=D)
    if normalize:
        np.maximum(D, 0.0, out=D)  # rounding
    if some:
        ruled_out = impossible.astype(dense.dtype)
        D[(np.asarray(P @ ruled_out.T) if sp.issparse(P) else products(P, ruled_out)) > 0] = np.inf
    _without_rows_of_zero(D, P, Q, normalize)
    D *= D.dtype.type(unit(base))
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
    out = np.empty((P.shape[0], Q.shape[0]))
    if sp.issparse(P) or sp.issparse(Q):
        P, Q = (X if sp.issparse(X) else sp.csr_matrix(X) for X in (P, Q))
        for row in range(P.shape[0]):
            out[row] = js_divergence(Q, P[row])
        _without_rows_of_zero(out, P, Q, normalize)
        return out * unit(base)
    dtype = np.result_type(P, Q)
    P, Q = np.ascontiguousarray(P, dtype), np.ascontiguousarray(Q, dtype)
    blocks = cut(len(P), max(1, BLOCK // max(Q.size, 1)))

    def task(block: int, _: int) -> None:
        divergences.pairs(divergences.JS, P, Q, False, *blocks[block], out)

    run_blocks(task, len(blocks))
    return (out * unit(base)).astype(dtype, copy=False)
