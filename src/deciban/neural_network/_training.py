"""Fits of a perceptron: parameters as one vector, epochs by the kernel, L-BFGS over its loss and gradient.

The batches, their order and the steps are scikit-learn's; only the rounding of sums differs. How the kernel cuts a
batch never depends on the number of threads, and BLAS is held to one thread meanwhile, so neither does the result.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import scipy.optimize
import scipy.sparse as sp

from deciban._arrays import Array, csr_parts
from deciban._kernels import layers
from deciban._kernels.training import Trainer
from deciban._parallel import blas_on_one_thread, effective_n_threads, run_blocks
from deciban._sklearn import check_optimize_result, lbfgs_print_options, make_optimizer

_LOSSES = {"identity": "squared_error", "exp": "poisson", "logistic": "logistic_entropy", "softmax": "softmax_entropy"}
_ROWS = 1024  # of a chunk of L-BFGS's gradient
_CALL = 1 << 33  # multiplications of a call of the kernel, 0.1-0.5 s: between calls, Ctrl-C is heard
_SMALL = 1 << 20  # multiplications of a batch that are not worth another thread


class Model:
    """The parameters of an estimator as one vector, ``coefs_`` and ``intercepts_`` as views of it."""

    def __init__(self, estimator: Any, dtype: np.dtype[Any], batch_size: int) -> None:
        coefs, intercepts = estimator.coefs_, estimator.intercepts_
        sizes = [np.shape(coefs[0])[0], *(np.shape(coef)[1] for coef in coefs)]
        hidden = layers.ACTIVATIONS[estimator.activation]
        activations = [hidden] * (len(coefs) - 1) + [layers.ACTIVATIONS["identity"]]
        self.network = layers.Network(sizes, activations, batch_size)
        self.loss = _LOSSES[estimator.out_activation_]
        self.parameters = self.pack(coefs, intercepts, dtype)

    def pack(self, coefs: list[Array], intercepts: list[Array], dtype: np.dtype[Any]) -> Array:
        """Return tables and vectors of all layers as one new vector."""
        packed = np.empty(self.network.n_parameters, dtype)
        for name, views, arrays in (("coefs_", self.coefs, coefs), ("intercepts_", self.intercepts, intercepts)):
            for index, (view, array) in enumerate(zip(views(packed), arrays, strict=True)):
                if np.shape(array) != view.shape:
                    raise ValueError(f"{name}[{index}] must have shape {view.shape}, got {np.shape(array)}")
                view[...] = array
        return packed

    def coefs(self, packed: Array) -> list[Array]:
        """Return the layers' tables as views of a vector."""
        return [self.network.coef(index, packed) for index in range(self.network.n_layers)]

    def intercepts(self, packed: Array) -> list[Array]:
        """Return the layers' intercepts as views of a vector."""
        return [self.network.intercept(index, packed) for index in range(self.network.n_layers)]

    def show(self, estimator: Any, packed: Array) -> None:
        """Make a vector the estimator's parameters."""
        estimator.coefs_, estimator.intercepts_ = self.coefs(packed), self.intercepts(packed)

    def trainer(self, estimator: Any, X: Any, targets: Array, weights: Array | None, dropout: float) -> Trainer:
        """Return the kernel at work on some samples; targets and weights are cast to the parameters' dtype."""
        dtype = self.parameters.dtype
        if self.loss != "softmax_entropy":
            targets = np.ascontiguousarray(targets, dtype=dtype)
        if weights is not None:
            weights = np.ascontiguousarray(weights, dtype=dtype)
        key = estimator._random_state.randint(np.iinfo(np.int64).max, dtype=np.int64) if dropout else 0
        multiplications = 3 * self.network.capacity * self.network.n_parameters
        n_workers = 1 if multiplications < _SMALL else effective_n_threads()
        # scikit-learn's entropies take probabilities no nearer to 0 than this
        limit = -float(np.log(np.finfo(dtype).eps))
        return Trainer(
            self.network, _samples(X, dtype), targets, weights, layers.LOSSES[self.loss], limit,
            float(estimator.alpha), dropout, key, self.parameters, n_workers,
        )  # fmt: skip

    def run(self, trainer: Trainer, order: Array | None) -> float:
        """Do an epoch and return the sum of its losses.

        Raises
        ------
        ZeroDivisionError
            If the weights of a batch sum to zero.
        """
        n_rows, size = trainer.n_samples if order is None else len(order), self.network.capacity
        n_batches = -(-n_rows // size)
        step = max(1, _CALL // trainer.multiplications)
        trainer.begin()
        try:
            for first in range(0, n_batches, step):
                last = min(first + step, n_batches)
                trainer.open()

                def work(block: int, _: int, first: int = first, last: int = last) -> None:
                    if block:
                        trainer.help(block)
                    else:
                        trainer.lead(order, first, last)

                run_blocks(work, trainer.n_workers, trainer.n_workers)
                if trainer.without_weight:
                    raise ZeroDivisionError("Weights sum to zero, can't be normalized")
        finally:
            trainer.settle()
        return trainer.loss


def _samples(X: Any, dtype: np.dtype[Any]) -> Any:
    if not sp.issparse(X):
        return X.astype(dtype, copy=False)
    data, indices, indptr = csr_parts(X.tocsr())
    return (
        data.astype(dtype, copy=False),
        indices.astype(np.int32, copy=False),
        indptr.astype(np.int64, copy=False),
    )


class Optimizer:
    """scikit-learn's optimiser of an estimator, whose moments are vectors that the kernel changes."""

    def __init__(self, estimator: Any, model: Model, incremental: bool) -> None:
        known = estimator.__dict__.get("_optimizer") if incremental else None
        self.plain = make_optimizer(estimator) if known is None else copy.copy(known)
        self._is_adam = hasattr(self.plain, "ms")
        self._moments = []
        n_layers = model.network.n_layers
        for name in ("ms", "vs") if self._is_adam else ("velocities",):
            moments = getattr(self.plain, name)
            if moments:
                packed = model.pack(moments[:n_layers], moments[n_layers:], model.parameters.dtype)
            else:
                packed = np.zeros_like(model.parameters)
            self._moments.append(packed)
            setattr(self.plain, name, [*model.coefs(packed), *model.intercepts(packed)])
        estimator._optimizer = self.plain

    def drive(self, trainer: Trainer) -> None:
        """Let the kernel take this optimiser's steps."""
        plain = self.plain
        if self._is_adam:
            first, second = self._moments
            rate = plain.learning_rate_init
            trainer.use_adam(first, second, plain.t, rate, plain.beta_1, plain.beta_2, plain.epsilon)
        else:
            trainer.use_sgd(self._moments[0], plain.learning_rate, plain.momentum, plain.nesterov)

    def note(self, trainer: Trainer) -> None:
        """Note how far the kernel has come."""
        if self._is_adam:
            plain = self.plain
            plain.t = trainer.t
            plain.learning_rate = (
                plain.learning_rate_init * np.sqrt(1 - plain.beta_2**plain.t) / (1 - plain.beta_1**plain.t)
            )

    def end_epoch(self, trainer: Trainer, n_seen: int) -> None:
        """Change the learning rate as its schedule says."""
        self.note(trainer)
        self.plain.iteration_ends(n_seen)
        self._hand_over(trainer)

    def stops(self, trainer: Trainer, message: str, verbose: Any) -> bool:
        """Say whether to stop where nothing improves, or go on with a lower learning rate."""
        stopped = bool(self.plain.trigger_stopping(message, verbose))
        self._hand_over(trainer)
        return stopped

    def _hand_over(self, trainer: Trainer) -> None:
        if not self._is_adam:
            trainer.set_learning_rate(self.plain.learning_rate)


def minimise(estimator: Any, model: Model, X: Any, targets: Array, weights: Array | None) -> None:
    """Fit by SciPy's L-BFGS-B, in double precision, over the mean loss and its gradient of all samples."""
    network = model.network
    gradient = np.empty(network.n_parameters)
    trainer = model.trainer(estimator, X, targets, weights, 0.0)
    trainer.use_none(gradient)
    n_coefs = network.n_parameters - sum(len(intercept) for intercept in model.intercepts(gradient))
    total = float(trainer.n_samples if weights is None else weights.sum())
    if total == 0:
        raise ZeroDivisionError("Weights sum to zero, can't be normalized")
    alpha = float(estimator.alpha)

    def evaluate(parameters: Array) -> tuple[float, Array]:
        model.parameters[:] = parameters
        gradient[:] = 0.0
        loss = model.run(trainer, None)
        coefs = parameters[:n_coefs]
        found = gradient.copy()
        found[:n_coefs] += alpha * coefs
        return (loss + 0.5 * alpha * float(coefs @ coefs)) / total, found / total

    with blas_on_one_thread(), np.errstate(all="ignore"):
        result = scipy.optimize.minimize(
            evaluate,
            model.parameters.copy(),
            method="L-BFGS-B",
            jac=True,
            options={
                "maxfun": estimator.max_fun,
                "maxiter": estimator.max_iter,
                "gtol": estimator.tol,
                **lbfgs_print_options(estimator.verbose),
            },
        )
    estimator.n_iter_ = check_optimize_result("lbfgs", result, estimator.max_iter)
    estimator.loss_ = result.fun
    model.parameters[:] = result.x
    model.show(estimator, model.parameters)
