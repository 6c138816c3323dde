"""The naive Bayes classifiers as models that generate: samples, and the likelihood of samples without labels."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from deciban._arrays import Array
from deciban._generation import (
    alias_table,
    codes_to_sample,
    document_lengths,
    number_of_samples,
    seed_of,
    sparse_samples,
    streams,
)
from deciban._kernels import sampling
from deciban._parallel import cut, run_blocks
from deciban.naive_bayes._counts import checked_class_count
from deciban.special import logsumexp

_CELLS = 1 << 20  # values drawn by a block
_DOCUMENTS = 2048  # documents drawn by a block: they share an alias table, which costs as much as some hundred of them

_LONGEST = 1e9  # mean number of words: beyond it something is wrong

Draw = Callable[[np.random.PCG64, int, Array], Any]


class Generates:
    """Mixin: ``sample`` draws a class, then a sample of it; ``score_samples`` sums over classes."""

    classes_: Any
    n_features_in_: int

    def sample(self, n_samples: int | None = None, *, random_state: Any = None, y: Any = None) -> tuple[Any, Array]:
        """Draw samples from the fitted model.

        Parameters
        ----------
        n_samples : int, default=None
            How many; None for as many as there are labels in ``y``, or one.
        random_state : int, RandomState instance or None, default=None
            The same seed draws the same samples, whatever the number of threads.
        y : label or array-like of shape (n_samples,), default=None
            Labels to draw samples of: one for all or one for each. None draws them from the class priors.

        Returns
        -------
        X : {ndarray, sparse matrix} of shape (n_samples, n_features)
            The samples: CSR where the model is one of counts or of presence.
        y : ndarray of shape (n_samples,)
            Their labels.

        Raises
        ------
        ValueError
            If a label is not one of ``classes_``, or the fitted attributes are no distribution.

        Examples
        --------
        >>> from deciban.naive_bayes import GaussianNB
        >>> model = GaussianNB().fit([[1.0, 0.0], [1.1, 0.2], [9.0, 5.0], [9.1, 5.2]], [0, 0, 1, 1])
        >>> X, y = model.sample(3, random_state=0, y=1)
        >>> X.round().tolist(), y.tolist()
        ([[9.0, 5.0], [9.0, 5.0], [9.0, 5.0]], [1, 1, 1])
        """
        codes, seed = self._classes_to_sample(n_samples, random_state, y)
        return self._sample(codes, seed), self.classes_[codes]

    def score_samples(self, X: Any) -> Array:
        """Return the log-likelihood of every sample, whatever its class: ``log sum_y P(x, y)``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            In nats.
        """
        return logsumexp(self.predict_joint_log_proba(X), axis=1)  # type: ignore[attr-defined]

    def _classes_to_sample(self, n_samples: Any, random_state: Any, y: Any) -> tuple[Array, np.random.SeedSequence]:
        check_is_fitted(self)
        n_samples = number_of_samples(n_samples, y)
        seed = seed_of(random_state)
        prior = np.asarray(self._class_prior(), dtype=np.float64)
        if prior.shape != (len(self.classes_),):
            raise ValueError(f"there must be one prior for each of {len(self.classes_)} classes, got {prior.shape}")
        return codes_to_sample(n_samples, y, self.classes_, prior, seed), seed

    def _sample(self, codes: Array, seed: np.random.SeedSequence) -> Any:
        raise NotImplementedError

    def _class_prior(self) -> Array:
        return np.exp(self.class_log_prior_)  # type: ignore[attr-defined]


def draw_blocks(codes: Array, n_classes: int, size: int, seed: np.random.SeedSequence, draw: Draw) -> list[Any]:
    """Call ``draw(stream, code, rows)`` for blocks of at most ``size`` rows of one class; return rows and what it made.

    The blocks depend on the codes alone, and each has a stream of its own.
    """
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(n_classes + 1))
    blocks = [
        (code, order[begin + start : begin + stop])
        for code, (begin, end) in enumerate(pairwise(bounds.tolist()))
        for start, stop in cut(end - begin, max(1, size))
    ]
    generators = streams(seed, len(blocks))
    made: list[Any] = [None] * len(blocks)

    def task(block: int, _: int) -> None:
        code, rows = blocks[block]
        made[block] = rows, draw(generators[block], code, rows)

    run_blocks(task, len(blocks))
    return made


def sample_documents(model: Any, codes: Array, seed: np.random.SeedSequence, length: Any) -> Any:
    """Draw documents of a multinomial model."""
    n_samples, n_features = len(codes), model.n_features_in_
    lengths = document_lengths(length, n_samples)
    log_prob = model._checked_table(model.feature_log_prob_)
    means = None if lengths is not None else _mean_lengths(model)

    def draw(stream: np.random.PCG64, code: int, rows: Array) -> tuple[Array, Array, Array]:
        keep, alias = alias_table(np.exp(log_prob[:, code]), "feature_log_prob_")
        if lengths is not None:
            chosen = lengths[rows]
        else:
            chosen = np.empty(len(rows), np.int64)
            mean = float(means[code])  # type: ignore[index]
            if not 0 <= mean < _LONGEST:
                raise ValueError(
                    f"training gave class {model.classes_[code]!r} no documents to be as long as: give length"
                )
            sampling.poisson(stream, mean, chosen)
        n_words = int(chosen.sum())
        sizes, indices, data = np.empty(len(rows), np.int64), np.empty(n_words, np.int32), np.empty(n_words, np.int64)
        scratch = np.empty(chosen.max(initial=0), np.int32)
        n = sampling.documents(stream, keep, alias, chosen, scratch, indices, data, sizes)
        return sizes, indices[:n], data[:n]

    return sparse_samples(draw_blocks(codes, len(model.classes_), _DOCUMENTS, seed, draw), n_samples, n_features)


def _mean_lengths(model: Any) -> Array:
    with np.errstate(all="ignore"):
        return model._table().sum(axis=1, dtype=np.float64) / checked_class_count(model)


def sample_presences(model: Any, codes: Array, seed: np.random.SeedSequence) -> Any:
    """Draw which features are there."""
    n_samples, n_features = len(codes), model.n_features_in_
    log_prob = model._checked_table(model.feature_log_prob_)

    def draw(stream: np.random.PCG64, code: int, rows: Array) -> tuple[Array, Array, Array]:
        shares = np.ascontiguousarray(np.exp(log_prob[:, code]))
        if not (shares >= 0).all():
            raise ValueError("feature_log_prob_ does not hold the logarithms of probabilities")
        sizes, indices = np.empty(len(rows), np.int64), np.empty(len(rows) * n_features, np.int32)
        n = sampling.presences(stream, shares, indices, sizes)
        return sizes, indices[:n].copy(), np.ones(n, np.int64)

    blocks = draw_blocks(codes, len(model.classes_), _CELLS // n_features, seed, draw)
    return sparse_samples(blocks, n_samples, n_features)


def sample_categories(
    codes: Array, n_classes: int, log_prob: Array, starts: Array, seed: np.random.SeedSequence
) -> Array:
    """Draw categories; ``log_prob`` has a row for each category of every feature, those of feature f from starts[f]."""
    out = np.empty((len(codes), len(starts) - 1), np.int64)

    def draw(stream: np.random.PCG64, code: int, rows: Array) -> None:
        tables = [alias_table(np.exp(log_prob[a:b, code]), "feature_log_prob_") for a, b in pairwise(starts.tolist())]
        keep, alias = (np.concatenate(part) for part in zip(*tables, strict=True))
        sampling.categories(stream, keep, alias, starts, rows, out)

    draw_blocks(codes, n_classes, _CELLS // out.shape[1], seed, draw)
    return out


def sample_normals(codes: Array, mean: Array, var: Array, seed: np.random.SeedSequence) -> Array:
    """Draw from normal distributions, one for each class and feature."""
    if not (np.isfinite(mean).all() and (var >= 0).all()):
        raise ValueError("theta_ and var_ do not hold means and variances")
    out, scale = np.empty((len(codes), mean.shape[1])), np.sqrt(var)

    def draw(stream: np.random.PCG64, code: int, rows: Array) -> None:
        sampling.normals(stream, mean[code], scale[code], rows, out)

    draw_blocks(codes, len(mean), _CELLS // mean.shape[1], seed, draw)
    return out
