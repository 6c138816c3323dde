"""The problems of numbers that do not lie in rows side by side, every second row or columns, and of factors."""

from functools import lru_cache, partial
from typing import Any

import numpy as np
import scipy.special
import scipy.stats
from mathematics import DTYPES, SHAPES, arrays, close, in_torch, plain
from work import Contender, Problem

from deciban import information, special


@lru_cache(maxsize=1)
def every_second_row(quick: bool, shape: tuple[int, int], dtype: type) -> tuple[Any, ...]:
    """Return log-odds in every second row of an array, two sets of distributions, and room for a result."""
    x, p, q, out = arrays(quick, shape, dtype)
    return np.repeat(x, 2, axis=0)[::2], p, q, out


def _numpy_logsumexp(x: Any, b: Any, axis: int) -> Any:
    largest = x.max(axis=axis, keepdims=True)
    return np.log((b * np.exp(x - largest)).sum(axis=axis)) + largest.squeeze(axis)


def _torch_logsumexp(torch: Any, x: Any, _p: Any, b: Any, out: Any, axis: int) -> Any:
    largest = x.amax(axis, keepdim=True)
    torch.sub(x, largest, out=out).exp_().mul_(b)
    return out.sum(axis).log_().add_(largest.squeeze(axis))


def _of_columns(p: Any) -> Any:
    return p / p.sum(0)


def _torch_kl(torch: Any, p: Any, q: Any) -> Any:
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(0)


# name: (group, data, SciPy, deciban, NumPy or none, PyTorch)
FUNCTIONS: dict[str, tuple[str, Any, Any, Any, Any, Any]] = {
    "expit of every second row": (
        "special",
        every_second_row,
        lambda x, _p, _q, out: scipy.special.expit(x, out=out),
        lambda x, _p, _q, out: special.expit(x, out=out),
        None,
        lambda torch, x, _p, _q, out: torch.sigmoid(x, out=out),
    ),
    "softmax of every second row": (
        "special",
        every_second_row,
        lambda x, *_: scipy.special.softmax(x, axis=1),
        lambda x, _p, _q, out: special.softmax(x, axis=1, out=out),
        None,
        lambda torch, x, _p, _q, out: torch.softmax(x, 1, out=out),
    ),
    **{
        f"logsumexp with factors{of}": (
            "special",
            arrays,
            lambda x, _p, b, _out, axis=axis: scipy.special.logsumexp(x, axis=axis, b=b),
            lambda x, _p, b, _out, axis=axis: special.logsumexp(x, axis=axis, b=b),
            lambda x, _p, b, _out, axis=axis: _numpy_logsumexp(x, b, axis),
            partial(_torch_logsumexp, axis=axis),
        )
        for axis, of in ((1, ""), (0, " of columns"))
    },
    "entropy of columns, normalized": (
        "information",
        arrays,
        lambda _x, p, *_: scipy.stats.entropy(p, axis=0),
        lambda _x, p, *_: information.entropy(p, normalize=True, axis=0),
        lambda _x, p, *_: scipy.special.entr(_of_columns(p)).sum(axis=0),
        lambda torch, _x, p, *_: torch.special.entr(_of_columns(p)).sum(0),
    ),
    "cross_entropy of columns, normalized": (
        "information",
        arrays,
        lambda _x, p, q, _: -scipy.special.xlogy(_of_columns(p), _of_columns(q)).sum(axis=0),
        lambda _x, p, q, _: information.cross_entropy(p, q, normalize=True, axis=0),
        lambda _x, p, q, _: -(_of_columns(p) * np.log(_of_columns(q))).sum(axis=0),
        lambda torch, _x, p, q, _: -torch.xlogy(_of_columns(p), _of_columns(q)).sum(0),
    ),
    "kl_divergence of columns, normalized": (
        "information",
        arrays,
        lambda _x, p, q, _: scipy.stats.entropy(p, q, axis=0),
        lambda _x, p, q, _: information.kl_divergence(p, q, normalize=True, axis=0),
        lambda _x, p, q, _: scipy.special.rel_entr(_of_columns(p), _of_columns(q)).sum(axis=0),
        lambda torch, _x, p, q, _: _torch_kl(torch, _of_columns(p), _of_columns(q)),
    ),
}


def _problem(name: str, shape: tuple[int, int], dtype: type) -> Problem:
    group, data, in_scipy, ours, in_numpy, torch = FUNCTIONS[name]
    return Problem(
        group,
        f"{name}, {shape[0]:,} x {shape[1]:,}, {np.dtype(dtype).name}",
        partial(data, shape=shape, dtype=dtype),
        (
            Contender("SciPy", 1, plain(in_scipy)),
            Contender("deciban", 1, plain(ours)),
            Contender("deciban 2T", 2, plain(ours)),
            *([Contender("NumPy", 1, plain(in_numpy))] if in_numpy else []),
            *(Contender(f"PyTorch {n}T", n, in_torch(torch, n)) for n in (1, 2)),
        ),
        close,
        n_bytes=2 * shape[0] * shape[1] * np.dtype(dtype).itemsize,
    )


PROBLEMS = [_problem(name, shape, dtype) for name in FUNCTIONS for shape in SHAPES for dtype in DTYPES]
