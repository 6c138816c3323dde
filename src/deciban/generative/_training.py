"""What the networks that generate share: parameters, pieces of them, samples, epochs with their losses on show."""

from __future__ import annotations

import copy
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from deciban._arrays import Array, csr_parts
from deciban._generation import codes_of, codes_to_sample, seed_of
from deciban._kernels import layers
from deciban._kernels.team import Team
from deciban._lazy import unchanged_on_error
from deciban._parallel import blas_on_one_thread, cut, effective_n_threads, run_team
from deciban._sklearn import Interval, StrOptions, validate_data

_PIECE = 1 << 16  # parameters whose gradient is made and used at once: with their moments, 1 MB of float32
_FLOPS = 1e10  # of a call of a training kernel, between two of which Ctrl-C is heard: some 0.1 s
_SMALL = 2e6  # flops of a batch that are not worth a second thread
_NO_ENTRIES = np.empty(0, np.int32)
ACTIVATIONS = ("identity", "logistic", "tanh", "relu", "leaky_relu", "softplus", "gelu")


def pieces(sizes: Sequence[int], first_given: bool = False) -> Array:
    """Cut a network's parameters into pieces (layer, start, stop, kind), as pieces.pxd has them."""
    coefficients, intercepts, given = range(3)
    found = []
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        kind = given if first_given and layer == 0 else coefficients
        size = max(1, _PIECE // n_out)
        found += [(layer, start, min(start + size, n_in), kind) for start in range(0, n_in, size)]
        found.append((layer, 0, 0, intercepts))
    return np.array(found, np.intp)


def initial_parameters(sizes: Sequence[int], activation: str, rng: np.random.Generator, dtype: Any) -> Array:
    """Draw coefficients from the uniform distribution; intercepts are zero.

    References
    ----------
    X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010.
    """
    factor = 2.0 if activation == "logistic" else 6.0
    coefs = []
    for n_in, n_out in pairwise(sizes):
        bound = (factor / (n_in + n_out)) ** 0.5
        coefs.append(rng.uniform(-bound, bound, n_in * n_out))
    return np.concatenate([*coefs, np.zeros(sum(sizes[1:]))]).astype(dtype)


def make_network(sizes: Sequence[int], activation: str, last: str, capacity: int) -> layers.Network:
    """Return the network of these sizes with one activation on all layers but the last."""
    codes = [layers.ACTIVATIONS[activation]] * (len(sizes) - 2) + [layers.ACTIVATIONS[last]]
    return layers.Network(sizes, codes, capacity)


def outputs_of(network: layers.Network, parameters: Array, inputs: Array) -> Array:
    """Return what a network makes of at most a batch of rows."""
    room = np.empty(network.n_values, inputs.dtype)
    before = np.empty(network.n_values if network.keeps_before else 0, inputs.dtype)
    layers.apply_network(network, parameters, inputs, before, room)
    return network.values(-1, room, len(inputs))


def with_labels(inputs: Array, codes: Array | None, n_labels: int) -> Array:
    """Return the inputs of a network that sees labels: one-hot columns past the others."""
    if codes is None:
        return np.ascontiguousarray(inputs)
    return np.hstack([inputs, (codes[:, np.newaxis] == np.arange(n_labels)).astype(inputs.dtype)])


def check_layer_sizes(name: str, sizes: Any) -> None:
    """Check hidden_layer_sizes or one of its kind."""
    found = np.asarray(sizes)
    if found.ndim != 1 or (found.size and (found.dtype.kind not in "iu" or found.min() < 1)):
        raise ValueError(f"{name} must be positive integers, got {sizes!r}")


class Samples(NamedTuple):
    """Samples as the training kernels take them, dense or CSR; what is not used is empty."""

    X: Array
    data: Array
    scaled: Array
    indices: Array
    indptr: Array
    codes: Array

    @property
    def sparse(self) -> bool:
        return len(self.indptr) > 0

    @property
    def n_samples(self) -> int:
        return len(self.indptr) - 1 if self.sparse else len(self.X)

    @property
    def dtype(self) -> Any:
        return self.X.dtype

    @property
    def values(self) -> Array:
        """All values that are stored."""
        return self.data if self.sparse else self.X

    def mean_and_variance(self, n_features: int) -> tuple[Array, Array]:
        """Return the mean and the variance of every feature."""
        if not self.sparse:
            return self.X.mean(axis=0, dtype=np.float64), self.X.var(axis=0, dtype=np.float64)
        total = np.bincount(self.indices, self.data, minlength=n_features)
        squares = np.bincount(self.indices, np.square(self.data, dtype=np.float64), minlength=n_features)
        mean = total / self.n_samples
        return mean, np.maximum(squares / self.n_samples - mean**2, 0)


def make_samples(X: Any, codes: Array | None, unit_rows: bool) -> Samples:
    """Return checked samples for the kernels; with ``unit_rows`` an encoder sees CSR rows scaled to length one."""
    nothing = np.empty(0, X.dtype)
    given = _NO_ENTRIES if codes is None else np.ascontiguousarray(codes, np.int32)
    if not sp.issparse(X):
        return Samples(np.ascontiguousarray(X), nothing, nothing, _NO_ENTRIES, np.empty(0, np.int64), given)
    data, indices, indptr = csr_parts(X)
    indptr = indptr.astype(np.int64)
    begin = int(indptr[0])
    data, indices = data[begin : int(indptr[-1])], indices[begin : int(indptr[-1])].astype(np.int32)
    indptr = indptr - begin
    scaled = data
    if unit_rows:
        rows = np.repeat(np.arange(X.shape[0]), np.diff(indptr))
        length = np.sqrt(np.bincount(rows, np.square(data, dtype=np.float64), minlength=X.shape[0]))
        scaled = (data / np.maximum(length, np.finfo(np.float64).tiny)[rows]).astype(data.dtype)
    return Samples(np.empty((0, X.shape[1]), X.dtype), data, scaled, indices, indptr, given)


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
        # a discriminator's, as samples meet them, with what spectral normalisation goes by
        self.used = self.directions = self.sigma = np.empty(0)
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

    def _fit(self, X: Any, y: Any) -> None:
        with unchanged_on_error(self):
            for name in ("classes_", "class_count_"):
                self.__dict__.pop(name, None)
            samples = self._check(X, y, reset=True, classes=None)
            self._state = self._initial_state(samples, seed_of(self.random_state))
            self.loss_curve_, self.n_iter_ = [], 0
            self._train(samples, self.max_iter)

    def _partial_fit(self, X: Any, y: Any, classes: Any) -> None:
        with unchanged_on_error(self):
            first = "_state" not in self.__dict__
            samples = self._check(X, y, reset=first, classes=classes)
            if first:
                self._state = self._initial_state(samples, seed_of(self.random_state))
                self.loss_curve_, self.n_iter_ = [], 0
            else:
                self._state = copy.deepcopy(self._state)
                samples = self._as_trained(samples)
                self.loss_curve_ = list(self.loss_curve_)
            self._train(samples, 1)

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

    def _samples(self, X: Any, codes: Array | None) -> Samples:
        raise NotImplementedError

    def _initial_state(self, samples: Samples, seed: np.random.SeedSequence) -> State:
        raise NotImplementedError

    def _training(self, samples: Samples) -> Callable[[Team, Array, int, int], Array]:
        """Return what trains on batches [first, last) of an order of the samples, and answers their summed losses."""
        raise NotImplementedError

    def _summary(self, totals: Array, n_samples: int) -> dict[str, float]:
        raise NotImplementedError
