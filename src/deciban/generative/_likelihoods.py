"""What the likelihoods of a variational autoencoder differ in: valid samples, first intercepts, and draws."""

from __future__ import annotations

from typing import Any

import numpy as np

from deciban._arrays import Array
from deciban._generation import alias_table
from deciban._kernels import sampling, variational

LIKELIHOODS = {
    "bernoulli": variational.BERNOULLI,
    "gaussian": variational.GAUSSIAN,
    "multinomial": variational.MULTINOMIAL,
}
# The decoder's last activation, which makes a sample's mean (multinomial: shares of each word).
OUTPUTS = {"bernoulli": "logistic", "gaussian": "identity", "multinomial": "softmax"}


def check_values(likelihood: str, values: Array) -> None:
    """Check that samples can come of a likelihood."""
    if likelihood == "gaussian" or not values.size:
        return
    if values.min() < 0:
        raise ValueError(f"Negative values in data passed to VAE: its likelihood is {likelihood}")
    if likelihood == "bernoulli" and values.max() > 1:
        raise ValueError(f"samples of a Bernoulli likelihood must lie in [0, 1], got {values.max()}")


def intercepts_of(likelihood: str, mean: Array, n_samples: int) -> Array:
    """Return the decoder's last intercepts that say how samples are on average."""
    if likelihood == "gaussian":
        return mean
    if likelihood == "bernoulli":
        mean = np.clip(mean, 1e-3, 1 - 1e-3)
        return np.log(mean) - np.log1p(-mean)
    total = mean.sum()
    return np.log((mean + 1e-3 / n_samples) / (total + 1e-3)) if total else np.zeros_like(mean)


def draw_bernoulli(rng: np.random.Generator, probabilities: Array) -> Array:
    """Draw ones and zeros."""
    return rng.random(probabilities.shape, np.float32) < probabilities


def draw_gaussian(rng: np.random.Generator, means: Array, variances: Array) -> Array:
    """Draw real features; variances are of each."""
    return means + np.sqrt(variances) * rng.standard_normal(means.shape)


def draw_documents(stream: Any, shares: Array, lengths: Array) -> tuple[Array, Array, Array]:
    """Draw a document of each row of shares: how many different words each has, which, and how often."""
    parts = []
    for row, length in zip(shares.astype(np.float64), lengths, strict=True):
        keep, alias = alias_table(row, "the decoder's output")
        size, indices, data = np.empty(1, np.int64), np.empty(length, np.int32), np.empty(length, np.int64)
        n = sampling.documents(stream, keep, alias, np.array([length]), np.empty(length, np.int32), indices, data, size)
        parts.append((size, indices[:n], data[:n]))
    sizes, indices, data = (np.concatenate(part) for part in zip(*parts, strict=True))
    return sizes, indices, data
