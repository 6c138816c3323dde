"""Likelihoods under fitted models, scikit-learn's and ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import OutlierMixin
from sklearn.pipeline import Pipeline
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_is_fitted

from deciban.special import logsumexp

# Classes whose scores are no logarithms of probabilities: those of complements, of a discriminator.
_NO_LIKELIHOODS = {"ComplementNB", "GAN"}


def is_model(value: Any) -> bool:
    return any(hasattr(value, name) for name in ("predict", "predict_proba", "score_samples"))


def events_of(model: Any, X: Any) -> float:
    """Return the sum of samples, as the model at the end of a pipeline sees them."""
    samples = model[:-1].transform(X) if isinstance(model, Pipeline) else X
    return float(samples.sum() if sp.issparse(samples) else np.asarray(samples, dtype=np.float64).sum())


def likelihood_of_samples(model: Any, X: Any, weights: Any) -> float:
    """Return the weighted sum of log P(x)."""
    if isinstance(model, Pipeline):
        model, X = model[-1], model[:-1].transform(X)
    if isinstance(model, OutlierMixin) or not _NO_LIKELIHOODS.isdisjoint(cls.__name__ for cls in type(model).__mro__):
        raise TypeError(f"the scores of {type(model).__name__} are no likelihoods of samples")
    if hasattr(model, "predict_joint_log_proba"):
        scores = logsumexp(model.predict_joint_log_proba(X), axis=1)
    elif hasattr(model, "score_samples"):
        scores = np.asarray(model.score_samples(X))
    else:
        raise TypeError(f"{type(model).__name__} does not model samples: give the labels y")
    return float(scores.sum() if weights is None else scores @ np.asarray(weights))


def likelihood_of_labels(model: Any, X: Any, y: Any, weights: Any) -> tuple[float, float]:
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
