"""What every model that generates does first: streams of random numbers, one a block, and labels to sample for."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state

from deciban._arrays import Array


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
        if not (np.isfinite(total) and total > 0 and prior.min() >= 0):
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
