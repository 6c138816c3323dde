"""How networks that generate are trained: fit and partial_fit, epoch by epoch, with their losses on show."""

from __future__ import annotations

import copy
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from deciban._arrays import Array
from deciban._generation import codes_of, codes_to_sample, seed_of
from deciban._kernels.team import Team
from deciban._lazy import unchanged_on_error
from deciban._parallel import blas_on_one_thread, cut, effective_n_threads, run_team
from deciban._sklearn import Interval, StrOptions, fit_context, validate_data
from deciban.generative._networks import ACTIVATIONS
from deciban.generative._samples import Samples

_FLOPS = 1e10  # of a call of a training kernel, between two of which Ctrl-C is heard: some 0.1 s
_SMALL = 2e6  # flops of a batch that are not worth a second thread


@contextmanager
def progress(title: str, n_epochs: int, verbose: bool) -> Iterator[Callable[[dict[str, float]], None]]:
    """Show how far training is and the losses of each epoch, by tqdm's bar or else a line an epoch."""
    if not verbose:
        yield lambda losses: None  # noqa: ARG005
        return
    if importlib.util.find_spec("tqdm") is None:
        epoch = 0

        def tell(losses: dict[str, float]) -> None:
            nonlocal epoch
            epoch += 1
            shown = ", ".join(f"{name}={value:.5g}" for name, value in losses.items())
            print(f"{title} [{epoch}/{n_epochs}] {shown}", file=sys.stderr)

        yield tell
        return
    from tqdm import tqdm

    with tqdm(total=n_epochs, desc=title, unit="epoch") as bar:

        def advance(losses: dict[str, float]) -> None:
            bar.set_postfix({name: f"{value:.5g}" for name, value in losses.items()})
            bar.update()

        yield advance


class State:
    """What training changes: parameters with the moments of Adam, and the streams of random numbers."""

    def __init__(self, parameters: Sequence[Array], seed: np.random.SeedSequence) -> None:
        self.parameters = list(parameters)
        self.first_moments = [np.zeros_like(own) for own in parameters]
        self.second_moments = [np.zeros_like(own) for own in parameters]
        # a generator's running average; a discriminator's as samples meet them, and what spectral normalisation goes by
        self.average = self.used = self.directions = self.sigma = np.empty(0)
        self.noise, self.shuffle = (np.random.PCG64(child) for child in seed.spawn(2))
        self.step = 0


class GenerativeNetwork(BaseEstimator):
    """Base of the estimators: fit and partial_fit, epoch by epoch."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "activation": [StrOptions(set(ACTIVATIONS))],
        "batch_size": [Interval(Integral, 1, 100_000, closed="both")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    loss_curve_: list[dict[str, float]]
    n_features_in_: int
    n_iter_: int
    classes_: Any
    class_count_: Array
    batch_size: Any
    learning_rate_init: Any
    beta_1: Any
    beta_2: Any
    epsilon: Any
    max_iter: Any
    random_state: Any
    verbose: Any
    _state: State

    _accepts_sparse = False

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the model to X, and conditional on y if that is given.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training samples; a sparse matrix only where the model takes one.
        y : array-like of shape (n_samples,), default=None
            Their labels.

        Returns
        -------
        self : object
            The fitted model.

        Raises
        ------
        FloatingPointError
            If training diverges: the message says in which epoch. The model is then as it was before.
        """
        with unchanged_on_error(self):
            for name in ("classes_", "class_count_"):
                self.__dict__.pop(name, None)
            self._begin(self._check(X, y, reset=True, classes=None), self.max_iter)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None, classes: Any = None) -> Self:
        """Go once through a part of the samples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training samples; a sparse matrix only where the model takes one.
        y : array-like of shape (n_samples,), default=None
            Their labels: at every call or at none.
        classes : array-like of shape (n_classes,), default=None
            All labels there will ever be; at the first call only. None for those in y.

        Returns
        -------
        self : object
            The fitted model.

        Raises
        ------
        FloatingPointError
            If training diverges. The model is then as it was before.
        """
        with unchanged_on_error(self):
            first = "_state" not in self.__dict__
            samples = self._check(X, y, reset=first, classes=classes)
            if first:
                self._begin(samples, 1)
            else:
                self._state = copy.deepcopy(self._state)
                self.loss_curve_ = list(self.loss_curve_)
                self._train(self._as_trained(samples), 1)
        return self

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of :meth:`score_samples`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples; a sparse matrix only where the model takes one.
        y : array-like of shape (n_samples,), default=None
            Labels, for a model that is conditional on them.

        Returns
        -------
        score : float
        """
        return float(np.mean(self.score_samples(X, y if self._n_labels else None)))

    def _begin(self, samples: Samples, n_epochs: int) -> None:
        self._state = self._initial_state(samples, seed_of(self.random_state))
        self.loss_curve_, self.n_iter_ = [], 0
        self._train(samples, n_epochs)

    def _as_trained(self, samples: Samples) -> Samples:
        dtype = self._state.parameters[0].dtype
        return samples._replace(
            X=samples.X.astype(dtype, copy=False),
            data=samples.data.astype(dtype, copy=False),
            scaled=samples.scaled.astype(dtype, copy=False),
        )

    def _check(self, X: Any, y: Any, reset: bool, classes: Any) -> Samples:
        """Return the samples of a fit, and count their labels."""
        X = self._check_features(X, reset=reset)
        conditional = self._n_labels > 0
        if not reset and (y is not None) != conditional:
            raise ValueError(
                "y was given to this model before: give it again"
                if conditional
                else "y was not given to this model before"
            )
        if y is None:
            return self._samples(X, None)
        y = column_or_1d(y, warn=True)
        if len(y) != X.shape[0]:
            raise ValueError(f"expected a label for each of {X.shape[0]} samples, got {len(y)}")
        if not conditional:
            check_classification_targets(y)
            self.classes_ = np.unique(y if classes is None else classes)
            self.class_count_ = np.zeros(len(self.classes_))
        codes = codes_of(y, self.classes_)
        self.class_count_ = self.class_count_ + np.bincount(codes, minlength=len(self.classes_))
        return self._samples(X, codes)

    def _check_features(self, X: Any, reset: bool) -> Any:
        return validate_data(
            self,
            X,
            reset=reset,
            accept_sparse="csr" if self._accepts_sparse else False,
            dtype=[np.float32, np.float64],
            order="C",
        )

    def _train(self, samples: Samples, n_epochs: int) -> None:
        state = self._state
        rng = np.random.Generator(state.shuffle)
        n_batches = -(-samples.n_samples // self._batch(samples))
        n_parameters = sum(len(own) for own in state.parameters)
        chunk = max(1, int(_FLOPS // (6 * n_parameters * self._batch(samples))))
        n_threads = effective_n_threads() if 6 * n_parameters * self._batch(samples) > _SMALL else 1
        run = self._training(samples)
        try:
            with progress(type(self).__name__, n_epochs, bool(self.verbose)) as show, blas_on_one_thread():
                for _ in range(n_epochs):
                    order = rng.permutation(samples.n_samples)
                    totals: list[Array] = []

                    def lead(team: Team, order: Array = order, totals: list[Array] = totals) -> None:
                        totals += [run(team, order, *batches) for batches in cut(n_batches, chunk)]

                    run_team(lead, n_threads)
                    losses = self._summary(np.sum(totals, axis=0), samples.n_samples)
                    self.n_iter_ += 1
                    if not all(np.isfinite(value) for value in losses.values()) or not all(
                        np.isfinite(own).all() for own in state.parameters
                    ):
                        raise FloatingPointError(
                            f"training diverged in epoch {self.n_iter_}: the losses are {losses}; "
                            "a smaller learning_rate_init, or samples on a smaller scale, may help"
                        )
                    self.loss_curve_.append(losses)
                    show(losses)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", ConvergenceWarning, stacklevel=4)

    def _batch(self, samples: Samples) -> int:
        return min(self.batch_size, samples.n_samples)

    def __sklearn_is_fitted__(self) -> bool:
        return "_state" in self.__dict__

    # --- labels

    @property
    def _n_labels(self) -> int:
        return len(self.classes_) if "classes_" in self.__dict__ else 0

    def _codes_to_judge(self, n_samples: int, y: Any) -> list[Array | None]:
        """Return the codes of given labels, or those of each class for all samples."""
        if y is None and self._n_labels:
            return [np.full(n_samples, code) for code in range(self._n_labels)]
        return [self._codes_for(n_samples, y)]

    def _codes_for(self, n_samples: int, y: Any) -> Array | None:
        if not self._n_labels:
            if y is not None:
                raise ValueError("the model is not conditional on labels: y was not given when it was fitted")
            return None
        if y is None:
            raise ValueError("the model is conditional on labels: give y")
        labels = np.asarray(y)
        if labels.ndim > 1 or (labels.ndim and len(labels) != n_samples):
            raise ValueError(f"y must be one label or one for each of {n_samples} samples, got shape {labels.shape}")
        return np.broadcast_to(codes_of(labels, self.classes_), (n_samples,))

    def _codes_to_sample(self, n_samples: int, y: Any, seed: np.random.SeedSequence) -> Array | None:
        if not self._n_labels:
            return self._codes_for(n_samples, y)
        return codes_to_sample(n_samples, y, self.classes_, self.class_count_, seed)

    def _log_prior(self) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(self.class_count_ / self.class_count_.sum())

    # --- what distinguishes the models

    def score_samples(self, X: Any, y: Any = None) -> Array:
        raise NotImplementedError

    def _samples(self, X: Any, codes: Array | None) -> Samples:
        raise NotImplementedError

    def _initial_state(self, samples: Samples, seed: np.random.SeedSequence) -> State:
        raise NotImplementedError

    def _training(self, samples: Samples) -> Callable[[Team, Array, int, int], Array]:
        """Return what trains on batches [first, last) of an order of the samples, and answers their summed losses."""
        raise NotImplementedError

    def _summary(self, totals: Array, n_samples: int) -> dict[str, float]:
        raise NotImplementedError
