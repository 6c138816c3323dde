"""Naive Bayes, and tables of two variables, in plain NumPy.

Straight from the equations: slow, short, and independent of what it is compared with.
"""

import numpy as np


def one_hot(codes, n_classes, weights=None):
    Y = (codes[:, None] == np.arange(n_classes)).astype(float)
    return Y if weights is None else Y * np.asarray(weights)[:, None]


def count(X, codes, n_classes, weights=None):
    """Return feature_count (n_classes, n_features) and class_count (n_classes,)."""
    Y = one_hot(codes, n_classes, weights)
    return Y.T @ np.asarray(X, dtype=float), Y.sum(axis=0)


def multinomial(feature_count, class_count, alpha):
    smoothed = feature_count + alpha
    return np.log(smoothed / smoothed.sum(axis=1, keepdims=True)), np.log(class_count / class_count.sum())


def complement(feature_count, alpha, norm=False):
    smoothed = feature_count.sum(axis=0) - feature_count + alpha
    weights = -np.log(smoothed / smoothed.sum(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) if norm else weights


def bernoulli_joint(X, feature_count, class_count, alpha):
    p = (feature_count + alpha) / (class_count[:, None] + 2 * alpha)
    present = np.asarray(X) > 0
    scores = [np.where(present, np.log(p[k]), np.log1p(-p[k])).sum(axis=1) for k in range(len(p))]
    return np.stack(scores, axis=1) + np.log(class_count / class_count.sum())


def gaussian_joint(X, theta, var, prior):
    distance = [((X - t) ** 2 / v + np.log(2 * np.pi * v)).sum(axis=1) for t, v in zip(theta, var, strict=True)]
    return np.log(prior) - np.stack(distance, axis=1) / 2


def log_posterior(joint):
    largest = joint.max(axis=1, keepdims=True)
    return joint - largest - np.log(np.exp(joint - largest).sum(axis=1, keepdims=True))


def shares(x, axis, alpha=0.0):
    smoothed = np.asarray(x, dtype=float) + alpha
    with np.errstate(invalid="ignore"):
        return smoothed / smoothed.sum(axis=axis, keepdims=True)


def pointwise_mutual_information(x):
    p = np.asarray(x, dtype=np.longdouble) / np.sum(x, dtype=np.longdouble)
    with np.errstate(all="ignore"):
        return np.log(p / (p.sum(axis=1, keepdims=True) * p.sum(axis=0)))
