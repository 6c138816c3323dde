"""Stochastic gradient descent, epoch after epoch, until nothing improves."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.utils import shuffle

from deciban._arrays import Array
from deciban._parallel import blas_on_one_thread
from deciban.neural_network._training import Model, Optimizer


class Validation:
    """Samples set aside, to say when to stop, and those left to train on."""

    def __init__(self, estimator: Any, X: Any, y: Array, weights: Array | None, given: Any) -> None:
        self._estimator = estimator
        self.train: Array | None = None
        if given is not None:
            self._X, self._y = given
            self._weights = None
            return
        # the same samples as if X and y were split: who is where depends on their number alone
        self.train, held = train_test_split(
            np.arange(len(y)),
            random_state=estimator._random_state,
            test_size=estimator.validation_fraction,
            stratify=y if is_classifier(estimator) and estimator.n_outputs_ == 1 else None,
        )
        if len(held) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        self._X, self._y = X[held], y[held]
        self._weights = None if weights is None else weights[held]
        if is_classifier(estimator):
            self._y = estimator._label_binarizer.inverse_transform(self._y)

    def score(self) -> float:
        """Return the accuracy or R2 of the samples set aside; NaN if a prediction is not finite."""
        found = self._estimator._predict(self._X, check_input=False)
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            return float("nan")
        measure = accuracy_score if is_classifier(self._estimator) else r2_score
        return float(measure(self._y, found, sample_weight=self._weights))


def batch_size(estimator: Any, n_samples: int) -> int:
    """Return the number of samples of a batch, out of those to train on."""
    if isinstance(estimator.batch_size, str):
        return min(200, n_samples)
    if estimator.batch_size > n_samples:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=2
        )
    return int(np.clip(estimator.batch_size, 1, n_samples))


def descend(
    estimator: Any,
    model: Model,
    X: Any,
    targets: Array,
    weights: Array | None,
    validation: Validation | None,
    incremental: bool,
) -> None:
    """Fit by Adam or gradient descent: ``max_iter`` epochs, or until no improvement; one if ``incremental``.

    ``weights`` are None or one for each of all samples. Ctrl-C ends the fit early, with a warning; with a validation
    the best parameters so far are kept, else the last.
    """
    n_samples = len(targets) if validation is None or validation.train is None else len(validation.train)
    chosen = None if validation is None else validation.train
    sample_idx = np.arange(n_samples)
    optimizer = Optimizer(estimator, model, incremental)
    best = model.parameters.copy() if validation is not None else None
    model.show(estimator, model.parameters)
    estimator.loss_curve_ = list(estimator.loss_curve_)
    try:
        with blas_on_one_thread():
            trainer = model.trainer(estimator, X, targets, weights, float(estimator.dropout))
            optimizer.drive(trainer)
            estimator.n_iter_ = 0
            for _ in range(estimator.max_iter):
                if estimator.shuffle:
                    sample_idx = shuffle(sample_idx, random_state=estimator._random_state)
                order = sample_idx if chosen is None else chosen[sample_idx]
                estimator.loss_ = model.run(trainer, order) / n_samples
                estimator.n_iter_ += 1
                estimator.t_ += n_samples
                estimator.loss_curve_.append(estimator.loss_)
                if estimator.verbose:
                    print(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
                _count(estimator, model, validation, best)
                optimizer.end_epoch(trainer, estimator.t_)
                if estimator._no_improvement_count > estimator.n_iter_no_change:
                    what = "Validation score did not" if validation is not None else "Training loss did not"
                    message = (
                        f"{what} improve more than tol={estimator.tol:f} for "
                        f"{estimator.n_iter_no_change:d} consecutive epochs."
                    )
                    if optimizer.stops(trainer, message, estimator.verbose):
                        break
                    estimator._no_improvement_count = 0
                if incremental:
                    break
                if estimator.n_iter_ == estimator.max_iter:
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the optimization "
                        "hasn't converged yet.",
                        ConvergenceWarning,
                        stacklevel=2,
                    )
                if validation is None and not np.isfinite(model.parameters).all():
                    break  # for good: the caller says so
    except KeyboardInterrupt:
        optimizer.note(trainer)
        warnings.warn("Training interrupted by user.", stacklevel=2)
    if best is not None:
        model.show(estimator, best)
        estimator._best_coefs, estimator._best_intercepts = estimator.coefs_, estimator.intercepts_


def _count(estimator: Any, model: Model, validation: Validation | None, best: Array | None) -> None:
    """Compare the epoch with the best one so far, and keep its parameters if it is better."""
    if validation is not None and best is not None:
        score = validation.score()
        estimator.validation_scores_ = [*estimator.validation_scores_, score]
        if estimator.verbose:
            print(f"Validation score: {score:f}")
        improved = not score < estimator.best_validation_score_ + estimator.tol
        if score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
            best[:] = model.parameters
    else:
        loss = estimator.loss_curve_[-1]
        improved = not loss > estimator.best_loss_ - estimator.tol
        estimator.best_loss_ = min(estimator.best_loss_, loss)
    estimator._no_improvement_count = 0 if improved else estimator._no_improvement_count + 1
