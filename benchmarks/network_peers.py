"""Perceptrons of PyTorch and JAX that begin where scikit-learn's do, and take the same batches in the same order."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from peers import load
from sklearn.utils import check_random_state, shuffle

BATCH = 200


def beginning(sizes: tuple[int, ...], dtype: Any) -> tuple[list[Any], Any]:
    """Return coefficients and intercepts as scikit-learn draws them for ``random_state=0``, and the stream after that.

    They are uniform up to sqrt(6 / (n_in + n_out)), as it takes them for rectifiers.
    """
    rng = check_random_state(0)
    layers = []
    for n_in, n_out in pairwise(sizes):
        bound = np.sqrt(6.0 / (n_in + n_out))
        coef = rng.uniform(-bound, bound, (n_in, n_out))
        layers.append((coef.astype(dtype), rng.uniform(-bound, bound, n_out).astype(dtype)))
    return layers, rng


def orders(n_rows: int, rng: Any) -> Iterator[Any]:
    """Yield the order of the samples, epoch after epoch."""
    order = np.arange(n_rows)
    while True:
        order = shuffle(order, random_state=rng)
        yield order


class Torch:
    """Epochs by eager PyTorch and its fused Adam, or with the model and loss compiled."""

    def __init__(self, samples: Any, hidden: tuple[int, ...], n_threads: int, compiled: bool = False) -> None:
        torch = self.torch = load("torch")
        self.n_threads = n_threads
        self.X, self.y = torch.from_numpy(samples.X), torch.from_numpy(np.asarray(samples.y, np.int64))
        self.sizes = (samples.X.shape[1], *hidden, samples.n_classes)
        layers: list[Any] = []
        for n_in, n_out in pairwise(self.sizes):
            layers += [torch.nn.Linear(n_in, n_out, dtype=self.X.dtype), torch.nn.ReLU()]
        self.model = torch.nn.Sequential(*layers[:-1])
        self.loss = torch.compile(self._loss) if compiled else self._loss

    def _loss(self, X: Any, y: Any) -> Any:
        return self.torch.nn.functional.cross_entropy(self.model(X), y)

    def begin(self) -> None:
        """Go back to the beginning."""
        torch = self.torch
        torch.set_num_threads(self.n_threads)
        layers, rng = beginning(self.sizes, np.dtype(str(self.X.dtype).removeprefix("torch.")))
        with torch.no_grad():
            for own, (coef, intercept) in zip(list(self.model)[::2], layers, strict=True):
                own.weight.copy_(torch.from_numpy(coef.T))
                own.bias.copy_(torch.from_numpy(intercept))
        self.optimizer = torch.optim.Adam(self.model.parameters(), fused=True)
        self.orders = orders(len(self.X), rng)

    def epoch(self) -> float:
        """Train on all samples once; return their mean loss on the way."""
        order, total = self.torch.from_numpy(next(self.orders)), 0.0
        for start in range(0, len(self.X), BATCH):
            batch = order[start : start + BATCH]
            self.optimizer.zero_grad()
            loss = self.loss(self.X[batch], self.y[batch])
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(batch)
        return total / len(self.X)

    def predict_proba(self, X: Any) -> Any:
        """Return probabilities of the classes."""
        with self.torch.inference_mode():
            return self.torch.softmax(self.model(self.torch.from_numpy(X)), 1).numpy()


def jax_epoch(samples: Any, hidden: tuple[int, ...]) -> Callable[[], float]:
    """Return what does an epoch by JAX, one compiled loop over its batches, and returns the mean loss."""
    jax = load("jax")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    X, y = jnp.asarray(samples.X), jnp.asarray(samples.y)
    sizes = (samples.X.shape[1], *hidden, samples.n_classes)

    def mean_loss(layers: Any, batch: Any) -> Any:
        outputs = X[batch]
        for at, (coef, intercept) in enumerate(layers):
            outputs = outputs @ coef + intercept
            outputs = jax.nn.relu(outputs) if at < len(layers) - 1 else jax.nn.log_softmax(outputs)
        return -outputs[jnp.arange(BATCH), y[batch]].mean()

    def step(state: Any, batch: Any) -> Any:
        layers, first, second, t = state
        loss, gradient = jax.value_and_grad(mean_loss)(layers, batch)
        t += 1
        rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
        layers = jax.tree.map(
            lambda p, m, v: (p - rate * m / (jnp.sqrt(v) + 1e-8)).astype(p.dtype), layers, first, second
        )
        return (layers, first, second, t), loss

    @jax.jit
    def run(layers: Any, batches: Any) -> Any:
        zeros = jax.tree.map(jnp.zeros_like, layers)
        return jax.lax.scan(step, (layers, zeros, zeros, 0.0), batches)[1].mean()

    def call() -> float:
        layers, rng = beginning(sizes, samples.X.dtype)
        order = next(orders(len(samples.X), rng))
        return float(run(layers, jnp.asarray(order[: len(order) // BATCH * BATCH].reshape(-1, BATCH))))

    return call
