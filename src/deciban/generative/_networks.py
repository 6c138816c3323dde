"""Networks as vectors of parameters: initial values, the pieces that a step of the optimiser takes, outputs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from deciban._arrays import Array
from deciban._kernels import layers

_PIECE = 1 << 16  # parameters whose gradient is made and used at once: with their moments, 1 MB of float32
ACTIVATIONS = ("identity", "logistic", "tanh", "relu", "leaky_relu", "softplus", "gelu")


def pieces(sizes: Sequence[int], first_given: bool = False) -> Array:
    """Cut a network's parameters into pieces (layer, start, stop, kind), as pieces.pxd has them."""
    coefficients, intercepts, given = range(3)
    found = []
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        kind = given if first_given and layer == 0 else coefficients
        # of one size, so that threads are done at the same time
        edges = np.linspace(0, n_in, min(n_in, -(-n_in * n_out // _PIECE)) + 1).astype(int)
        found += [(layer, start, stop, kind) for start, stop in pairwise(edges)]
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


def tables_of(part: str, kind: str) -> property:
    """Return an attribute of a model: the ``coef`` or ``intercept`` of each layer of its network ``part``, as views."""

    def get(model: Any) -> list[Array]:
        check_is_fitted(model)
        network, parameters = model._part(part)
        return [getattr(network, kind)(layer, parameters) for layer in range(network.n_layers)]

    return property(get, doc=f"{'Coefficients' if kind == 'coef' else 'Intercepts'} of the {part}'s layers.")
