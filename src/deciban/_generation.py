"""What every model that generates does first: streams of random numbers, one a block, and labels to sample for."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state

from deciban._arrays import Array, make_csr
from deciban._kernels import sampling
from deciban._sklearn import csr_container


def seed_of(random_state: Any) -> np.random.SeedSequence:
    """Return a seed drawn from what scikit-learn takes for ``random_state``; None draws a new one at every call."""
    return np.random.SeedSequence(check_random_state(random_state).randint(0, 2**32, size=4, dtype=np.uint32).tolist())


def streams(seed: np.random.SeedSequence, n_streams: int) -> list[np.random.PCG64]:
    """Return independent bit generators, one for each block of work, so that no thread count changes a sample.

    References
    ----------
    M. E. O'Neill, PCG: a family of simple fast space-efficient statistically good algorithms for random number
    generation, Harvey Mudd College, HMC-CS-2014-0905.
    """
    return [np.random.PCG64(child) for child in seed.spawn(n_streams)]


def number_of_samples(n_samples: Any, y: Any) -> int:
    """Return how many samples are asked for: ``n_samples``, else as many as there are labels, else one.

    Raises
    ------
    TypeError
        If it is no whole number.
    ValueError
        If it is negative, or not the number of labels.
    """
    n_labels = None if y is None or np.ndim(y) == 0 else len(y)
    if n_samples is None:
        return 1 if n_labels is None else n_labels
    if not isinstance(n_samples, Integral):
        raise TypeError(f"n_samples must be an integer, got {n_samples!r}")
    if n_samples < 0:
        raise ValueError(f"n_samples must not be negative, got {n_samples}")
    if n_labels is not None and n_labels != n_samples:
        raise ValueError(f"y must be one label or n_samples={n_samples} labels, got {n_labels}")
    return int(n_samples)


def codes_to_sample(
    n_samples: int, y: Any, classes: Array, prior: Array, seed: np.random.SeedSequence
) -> npt.NDArray[np.intp]:
    """Return the class of each sample to draw, as its index among ``classes``.

    Parameters
    ----------
    n_samples : int
        Their number.
    y : label, array-like of shape (n_samples,) or None
        The labels asked for; None to draw them from the prior.
    classes : ndarray of shape (n_classes,)
        Sorted labels.
    prior : ndarray of shape (n_classes,)
        Probabilities; they need not sum to one.
    seed : SeedSequence
        Of the draw.

    Raises
    ------
    ValueError
        If a label is none of the classes, or the prior is no distribution.
    """
    if y is None:
        total = prior.sum()
        if not (prior.shape == classes.shape and np.isfinite(total) and total > 0 and prior.min() >= 0):
            raise ValueError("the class priors are not probabilities: give y, the labels to sample for")
        uniform = np.random.Generator(streams(seed, 1)[0]).random(n_samples)
        upto = np.cumsum(prior / total)
        # rounding may leave the last step below one, and a class of no probability is never drawn
        return np.minimum(np.searchsorted(upto, uniform, side="right"), int(np.flatnonzero(prior)[-1]))
    wanted = np.asarray(y)
    if wanted.ndim > 1:
        raise ValueError(f"y must be one label or a one-dimensional array of labels, got shape {wanted.shape}")
    return np.broadcast_to(codes_of(wanted, classes), (n_samples,))


def codes_of(y: Array, classes: Array) -> npt.NDArray[np.intp]:
    """Return the index of each label among ``classes``; a label that is none of them is a ValueError."""
    comparable = y.dtype.kind == classes.dtype.kind or {y.dtype.kind, classes.dtype.kind} <= set("biuf")
    known = np.isin(y, classes) if comparable else np.zeros(y.shape, bool)
    if not known.all():
        raise ValueError(f"y holds labels that training did not see: {np.unique(y[~known])[:5].tolist()}")
    return np.searchsorted(classes, y)


def alias_table(shares: Array, name: str) -> tuple[Array, Array]:
    """Return the alias table of shares that come from attributes, which may hold anything."""
    if not (len(shares) and np.isfinite(shares).all() and shares.min() >= 0 and shares.max() > 0):
        raise ValueError(f"{name} does not hold the logarithms of probabilities")
    keep, alias = np.empty(len(shares)), np.empty(len(shares), np.int32)
    sampling.alias_table(np.ascontiguousarray(shares), keep, alias)
    return keep, alias


def sparse_samples(blocks: list[Any], n_samples: int, n_features: int) -> Any:
    """Put blocks of (rows, (sizes, indices, data)) together into one CSR matrix."""
    if not blocks:
        return csr_container()((n_samples, n_features), dtype=np.int64)
    order, parts = zip(*blocks, strict=True)
    sizes, indices, data = (np.concatenate(part) for part in zip(*parts, strict=True))
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    index_dtype = np.int32 if indptr[-1] <= np.iinfo(np.int32).max else np.int64
    X = make_csr(
        csr_container(),
        data,
        indices.astype(index_dtype, copy=False),
        indptr.astype(index_dtype),
        (n_samples, n_features),
    )
    place = np.empty(n_samples, np.intp)
    place[np.concatenate(order)] = np.arange(n_samples)
    return X[place]


def document_lengths(length: Any, n_samples: int) -> Array | None:
    """Return the length of each document; None to draw them."""
    if length is None:
        return None
    given = np.asarray(length)
    if given.dtype.kind not in "iu" or given.ndim > 1:
        raise TypeError(f"length must be an integer, or one for each sample, got {length!r}")
    if given.ndim and len(given) != n_samples:
        raise ValueError(f"length must be an integer or one for each of {n_samples} samples, got {len(given)}")
    if given.min(initial=0) < 0:
        raise ValueError(f"length must not be negative, got {given.min()}")
    return np.broadcast_to(given.astype(np.int64), (n_samples,))
