"""The problems of special functions and of information measures, against SciPy, NumPy, numexpr, PyTorch and JAX."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import scipy.spatial.distance
import scipy.special
import scipy.stats
from peers import load
from work import Contender, Problem, Work

import deciban.information
import deciban.special

SHAPES = ((10_000, 1000), (1_000_000, 10))
DTYPES = (np.float64, np.float32)
# how many arrays of the size of the first one are read and written
TRAFFIC = {"logsumexp": 1, "entropy": 1}


@lru_cache(maxsize=1)
def arrays(quick: bool, shape: tuple[int, int], dtype: type) -> tuple[Any, ...]:
    """Return log-odds, two sets of distributions, and room for a result."""
    rng = np.random.default_rng(0)
    n = shape[0] // 100 if quick else shape[0]
    x = rng.normal(0, 3, (n, shape[1])).astype(dtype)
    p, q = (scipy.special.softmax(rng.normal(0, 1, x.shape), axis=1).astype(dtype) for _ in range(2))
    return x, p, q, np.empty_like(x)


@lru_cache(maxsize=1)
def two_sets(quick: bool) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return tuple(rng.dirichlet(np.ones(200 if quick else 2000), 50 if quick else 500) for _ in range(2))


def close(expected: Any, got: Any) -> bool:
    narrow = np.asarray(expected).dtype == np.float32 or np.asarray(got).dtype == np.float32
    return np.allclose(expected, got, rtol=2e-4 if narrow else 1e-9, atol=1e-5 if narrow else 1e-12)


def plain(call: Callable[..., Any]) -> Callable[[Any], Work]:
    """Make the work of ``call(x, p, q, out)``."""
    return lambda data: Work(lambda _: call(*data))


def in_torch(call: Callable[..., Any], n_threads: int) -> Callable[[Any], Work]:
    """Make the work of ``call(torch, x, p, q, out)``."""

    def make(data: Any) -> Work:
        torch = load("torch")
        tensors = [torch.from_numpy(array) for array in data]

        def work(_state: Any) -> Any:
            torch.set_num_threads(n_threads)
            return call(torch, *tensors)

        return Work(work, answer=lambda tensor: tensor.numpy())

    return make


def in_jax(call: Callable[..., Any]) -> Callable[[Any], Work]:
    """Make the work of ``call(jax, x, p, q)``, compiled beforehand; XLA uses every CPU."""

    def make(data: Any) -> Work:
        jax = load("jax")
        jax.config.update("jax_enable_x64", True)
        arrays = [jax.numpy.asarray(array) for array in data[:3]]
        compiled = jax.jit(partial(call, jax))
        return Work(lambda _: compiled(*arrays).block_until_ready(), answer=np.asarray)

    return make


def in_numexpr(expression: str, **names: int) -> Callable[[Any], Work]:
    def make(data: Any) -> Work:
        numexpr = load("numexpr")
        values = {name: data[place] for name, place in names.items()}
        return Work(lambda _: numexpr.evaluate(expression, values, out=data[3]))

    return make


def _numpy_logsumexp(x: Any) -> Any:
    m = x.max(axis=1, keepdims=True)
    return np.log(np.exp(x - m).sum(axis=1)) + m[:, 0]


def _numpy_softmax(x: Any, out: Any) -> Any:
    np.exp(np.subtract(x, x.max(axis=1, keepdims=True), out=out), out=out)
    out /= out.sum(axis=1, keepdims=True)
    return out


def _numpy_expit(x: Any, out: Any) -> Any:
    np.exp(np.negative(x, out=out), out=out)
    out += 1
    return np.reciprocal(out, out=out)


def _torch_js(torch: Any, p: Any, q: Any) -> Any:
    m = ((p + q) / 2).log()
    return (torch.xlogy(p, p) - p * m + torch.xlogy(q, q) - q * m).sum(1) / 2


def _jax_js(jax: Any, p: Any, q: Any) -> Any:
    rel_entr, m = jax.scipy.special.rel_entr, (p + q) / 2
    return (rel_entr(p, m) + rel_entr(q, m)).sum(1) / 2


def _jax_js_of_logs(jax: Any, p: Any, q: Any) -> Any:
    log = jax.numpy.log
    m = log((p + q) / 2)
    return (p * (log(p) - m) + q * (log(q) - m)).sum(1) / 2


special, information = deciban.special, deciban.information

# name: (SciPy, deciban, {other contender: work})
FUNCTIONS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "logsumexp": (
        lambda x, *_: scipy.special.logsumexp(x, axis=1),
        lambda x, *_: special.logsumexp(x, axis=1),
        {
            "NumPy": plain(lambda x, *_: _numpy_logsumexp(x)),
            "PyTorch": lambda torch, x, *_: torch.logsumexp(x, 1),
            "JAX 2T": in_jax(lambda jax, x, *_: jax.scipy.special.logsumexp(x, axis=1)),
        },
    ),
    "softmax": (
        lambda x, *_: scipy.special.softmax(x, axis=1),
        lambda x, _p, _q, out: special.softmax(x, axis=1, out=out),
        {
            "NumPy": plain(lambda x, _p, _q, out: _numpy_softmax(x, out)),
            "PyTorch": lambda torch, x, _p, _q, out: torch.softmax(x, 1, out=out),
            "JAX 2T": in_jax(lambda jax, x, *_: jax.nn.softmax(x, axis=1)),
        },
    ),
    "log_softmax": (
        lambda x, *_: scipy.special.log_softmax(x, axis=1),
        lambda x, _p, _q, out: special.log_softmax(x, axis=1, out=out),
        {
            "PyTorch": lambda torch, x, _p, _q, out: torch.log_softmax(x, 1, out=out),
            "JAX 2T": in_jax(lambda jax, x, *_: jax.nn.log_softmax(x, axis=1)),
        },
    ),
    "expit": (
        lambda x, _p, _q, out: scipy.special.expit(x, out=out),
        lambda x, _p, _q, out: special.expit(x, out=out),
        {
            "NumPy": plain(lambda x, _p, _q, out: _numpy_expit(x, out)),
            "numexpr 2T": in_numexpr("1 / (1 + exp(-x))", x=0),
            "PyTorch": lambda torch, x, _p, _q, out: torch.sigmoid(x, out=out),
            "JAX 2T": in_jax(lambda jax, x, *_: jax.nn.sigmoid(x)),
        },
    ),
    "log_expit": (
        lambda x, _p, _q, out: scipy.special.log_expit(x, out=out),
        lambda x, _p, _q, out: special.log_expit(x, out=out),
        {
            "PyTorch": lambda torch, x, *_: torch.nn.functional.logsigmoid(x),
            "JAX 2T": in_jax(lambda jax, x, *_: jax.nn.log_sigmoid(x)),
        },
    ),
    "xlogy": (
        lambda _x, p, q, out: scipy.special.xlogy(p, q, out=out),
        lambda _x, p, q, out: special.xlogy(p, q, out=out),
        {
            "numexpr 2T": in_numexpr("p * log(q)", p=1, q=2),
            "PyTorch": lambda torch, _x, p, q, out: torch.xlogy(p, q, out=out),
        },
    ),
    "entropy": (
        lambda _x, p, *_: scipy.special.entr(p).sum(axis=1),
        lambda _x, p, *_: information.entropy(p),
        {
            "scipy.stats": plain(lambda _x, p, *_: scipy.stats.entropy(p, axis=1)),
            "PyTorch": lambda torch, _x, p, *_: torch.special.entr(p).sum(1),
            "JAX 2T": in_jax(lambda jax, _x, p, _q: jax.scipy.special.entr(p).sum(1)),
            "JAX, of logarithms 2T": in_jax(lambda jax, _x, p, _q: -(p * jax.numpy.log(p)).sum(1)),
        },
    ),
    "kl_divergence": (
        lambda _x, p, q, _: scipy.special.rel_entr(p, q).sum(axis=1),
        lambda _x, p, q, _: information.kl_divergence(p, q),
        {
            "scipy.stats": plain(lambda _x, p, q, _: scipy.stats.entropy(p, q, axis=1)),
            "PyTorch": lambda torch, _x, p, q, _: (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(1),
            "JAX 2T": in_jax(lambda jax, _x, p, q: jax.scipy.special.rel_entr(p, q).sum(1)),
            # right only where no probability is 0
            "JAX, of logarithms 2T": in_jax(lambda jax, _x, p, q: (p * (jax.numpy.log(p) - jax.numpy.log(q))).sum(1)),
        },
    ),
    "js_divergence": (
        lambda _x, p, q, _: scipy.spatial.distance.jensenshannon(p, q, axis=1) ** 2,
        lambda _x, p, q, _: information.js_divergence(p, q),
        {
            "PyTorch": lambda torch, _x, p, q, _: _torch_js(torch, p, q),
            "JAX 2T": in_jax(lambda jax, _x, p, q: _jax_js(jax, p, q)),
            "JAX, of logarithms 2T": in_jax(lambda jax, _x, p, q: _jax_js_of_logs(jax, p, q)),
        },
    ),
}


def _contenders(name: str) -> tuple[Contender, ...]:
    scipy_form, ours, others = FUNCTIONS[name]
    found = [
        Contender("SciPy", 1, plain(scipy_form)),
        Contender("deciban", 1, plain(ours)),
        Contender("deciban 2T", 2, plain(ours)),
    ]
    for other, call in others.items():
        if other == "PyTorch":
            found += [Contender(f"PyTorch {n}T", n, in_torch(call, n)) for n in (1, 2)]
        else:
            found.append(Contender(other, 2 if other.endswith("2T") else 1, call))
    return tuple(found)


def _problem(name: str, shape: tuple[int, int], dtype: type) -> Problem:
    n_arrays = TRAFFIC.get(name, 3 if name == "xlogy" else 2)
    return Problem(
        "information" if name in information.__all__ else "special",
        f"{name}, {shape[0]:,} x {shape[1]:,}, {np.dtype(dtype).name}",
        partial(arrays, shape=shape, dtype=dtype),
        _contenders(name),
        close,
        n_bytes=n_arrays * shape[0] * shape[1] * np.dtype(dtype).itemsize,
    )


def _scipy_pairwise_kl(data: Any) -> Work:
    P, Q = data
    return Work(lambda _: np.array([scipy.special.rel_entr(p, Q).sum(axis=1) for p in P]))


def _pairwise_contenders(name: str, reference: Callable[[Any], Work]) -> tuple[Contender, ...]:
    def ours(data: Any) -> Work:
        return Work(lambda _: getattr(information, name)(*data))

    return Contender("SciPy", 1, reference), Contender("deciban", 1, ours), Contender("deciban 2T", 2, ours)


def _matrix_product(data: Any) -> Work:
    P, Q = data
    return Work(lambda _: P @ Q.T)


PROBLEMS = [
    *(_problem(name, shape, dtype) for name in FUNCTIONS for shape in SHAPES for dtype in DTYPES),
    Problem(
        "information",
        "pairwise_kl, 500 x 2,000 with 500 x 2,000",
        two_sets,
        (
            *_pairwise_contenders("pairwise_kl", _scipy_pairwise_kl),
            # not the answer, but the least that it can cost
            Contender("matrix product alone 2T", 2, _matrix_product, lambda _expected, _got: True),
        ),
        close,
    ),
]
