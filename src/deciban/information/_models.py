"""Likelihoods under fitted models, scikit-learn's and ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.pipeline import Pipeline
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_is_fitted

from deciban.special import logsumexp

# Classes whose scores are no logarithms of probabilities: those of complements, of a discriminator, of one bit each.
_NO_LIKELIHOODS = {"BernoulliRBM", "ComplementNB", "GAN"}


def is_model(value: Any) -> bool:
    if type(value) in (np.ndarray, list):
        return False
    # a table may have a column of such a name
    return any(callable(getattr(value, name, None)) for name in ("predict", "predict_proba", "score_samples"))


def _innermost(model: Any, X: Any) -> tuple[Any, Any]:
    """Return the model at the end of pipelines and searches, and the samples as it sees them."""
    while True:
        if isinstance(model, Pipeline):
            X = model[:-1].transform(X) if len(model) > 1 else X
            model = model[-1]
        elif hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        else:
            return model, X


def events_of(model: Any, X: Any) -> float:
    """Return the sum of samples, as the innermost model sees them."""
    _, samples = _innermost(model, X)
    return float(samples.sum() if sp.issparse(samples) else np.asarray(samples, dtype=np.float64).sum())


def likelihood_of_samples(model: Any, X: Any, weights: Any) -> float:
    """Return the weighted sum of log P(x)."""
    model, X = _innermost(model, X)
    if isinstance(model, OutlierMixin) or not _NO_LIKELIHOODS.isdisjoint(cls.__name__ for cls in type(model).__mro__):
        raise TypeError(f"the scores of {type(model).__name__} are no likelihoods of samples")
    if hasattr(model, "predict_joint_log_proba"):
        scores = logsumexp(model.predict_joint_log_proba(X), axis=1)
    elif hasattr(model, "score_samples"):
        scores = model.score_samples(X)
    else:
        raise TypeError(f"{type(model).__name__} does not model samples: give the labels y")
    return _total(scores, weights)[0]


def likelihood_of_labels(model: Any, X: Any, y: Any, weights: Any) -> tuple[float, float]:
    """Return the weighted sum of log P(y | x), and the sum of weights."""
    if y is None:
        raise ValueError("the likelihood of labels needs y")
    if isinstance(model, BaseEstimator):
        check_is_fitted(model)
    if not hasattr(model, "predict_proba") or not hasattr(model, "classes_"):
        raise TypeError(f"{type(model).__name__} has no probabilities of classes (predict_proba and classes_)")
    labels, classes = column_or_1d(y), np.asarray(model.classes_)
    if classes.ndim != 1:
        raise TypeError(f"{type(model).__name__} has several labels a sample")
    order = np.argsort(classes)
    codes = np.searchsorted(classes, labels, sorter=order)
    known = codes < len(classes)
    codes[known] = order[codes[known]]
    known[known] = classes[codes[known]] == labels[known]
    if not known.all():
        raise ValueError(f"y has a label that the model does not know: {labels[~known][0]!r}")
    with np.errstate(divide="ignore"):
        has_logs = hasattr(model, "predict_log_proba")
        log_proba = np.asarray(model.predict_log_proba(X) if has_logs else np.log(model.predict_proba(X)))
    if log_proba.shape != (len(labels), len(classes)):
        raise ValueError(f"X and y must have as many rows, got {len(log_proba)} and {len(labels)}")
    if (abs(np.exp(log_proba).sum(axis=1) - 1) > 1e-3).any():
        raise TypeError(f"the probabilities of {type(model).__name__} do not sum to one: labels are not alternatives")
    return _total(log_proba[np.arange(len(labels)), codes], weights)


def _total(scores: Any, weights: Any) -> tuple[float, float]:
    """Return the weighted sum of scores, those of weight 0 left out, and the sum of weights."""
    scores = np.asarray(scores, dtype=np.float64)
    if weights is None:
        return float(scores.sum()), float(len(scores))
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != scores.shape:
        raise ValueError(f"weights must have shape {scores.shape}, got {w.shape}")
    used = w != 0
    return float(scores[used] @ w[used]), float(w.sum())
