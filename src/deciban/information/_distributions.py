"""Measures of distributions, one number a row: entropy, divergences, likelihood; the last also of fitted models."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from deciban._kernels import divergences
from deciban.information._measures import Measured, measure, unit
from deciban.information._models import events_of, is_model, likelihood_of_labels, likelihood_of_samples
from deciban.information._shares import conditional_probability


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
        As :func:`entropy`; or if a label is none of the model's classes, or the weights do not have a positive sum.
    TypeError
        If a model has no probabilities of classes, one of which is a sample's.

    References
    ----------
    T. M. Cover, J. A. Thomas, Elements of Information Theory, 2nd edition, Wiley, 2006, chapter 2.

    Examples
    --------
    >>> from deciban.information import cross_entropy
    >>> round(float(cross_entropy([0.5, 0.5], [0.25, 0.75], base=2)), 12)
    1.207518749639
    """
    if is_model(p):
        total, weight = likelihood_of_labels(p, q, y, weights)
        if not weight > 0:
            raise ValueError(f"the mean over samples needs weights with a positive sum, got {weight}")
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
    if is_model(p):
        if X is None:
            raise ValueError("the perplexity of a model needs samples, X")
        if n_events is None:
            n_events = events_of(p, X)
        if not n_events > 0:
            raise ValueError(f"the number of events must be positive, got {n_events}; give n_events")
        with np.errstate(over="ignore"):
            return float(np.exp(-log_likelihood(p, X) / n_events))
    if X is not None:
        raise ValueError("X goes with a model, and p is none")
    found = entropy(p, normalize=normalize, axis=axis)
    if found.ndim == 0 and found < 80.0:
        return np.exp(found)
    with np.errstate(over="ignore"):
        return np.exp(found)


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
    p : array-like or sparse matrix, outcomes along ``axis``; or a fitted model
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
    if is_model(p):
        if y is not None:
            return likelihood_of_labels(p, X, y, weights)[0] * unit(base)
        return likelihood_of_samples(p, X, weights) * unit(base)
    if y is not None or weights is not None:
        raise ValueError("y and weights go with a model, and p is none")
    q = conditional_probability(p, axis) if normalize else p
    found = measure(divergences.CROSS, X, q, False, base, axis, None, ("X", "p"))
    found = np.subtract(0.0, found, out=found if isinstance(found, np.ndarray) else None)
    if normalize and sp.issparse(q):
        found = np.where(q.getnnz(axis) == 0, np.nan, found)  # a sparse row of NaN has no entries
    return found
