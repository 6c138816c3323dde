"""The problems of special functions and of information measures, against SciPy, scikit-learn, NumPy and others."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.spatial.distance
import scipy.special
import scipy.stats
import sklearn.feature_selection
import sklearn.metrics
import sklearn.utils.extmath
from data import counts
from networks import blas
from peers import load
from work import Contender, Problem, Work

import deciban.information
import deciban.special

SHAPES = ((10_000, 1000), (1_000_000, 10))
DTYPES = (np.float64, np.float32)
# how many arrays of the size of the first one are read and written
TRAFFIC = {"logsumexp": 1, "logsumexp of columns": 1, "entropy": 1, "xlogy": 3, "rel_entr": 3, "kl_div": 3}


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


def close(expected: Any, got: Any, narrow_rtol: float = 2e-4) -> bool:
    if sp.issparse(expected):
        return np.array_equal(expected.indices, got.indices) and close(expected.data, got.data)
    narrow = np.asarray(expected).dtype == np.float32 or np.asarray(got).dtype == np.float32
    return np.allclose(expected, got, rtol=narrow_rtol if narrow else 1e-9, atol=1e-5 if narrow else 1e-12)


def close_columns(expected: Any, got: Any) -> bool:
    """The peers add up a million numbers of float32 one after the other, and lose 0.2 % (deciban 2e-6)."""
    return close(expected, got, narrow_rtol=4e-3)


def plain(call: Callable[..., Any]) -> Callable[[Any], Work]:
    """Make the work of ``call(x, p, q, out)``."""
    return lambda given: Work(lambda _: call(*given))


def in_torch(
    call: Callable[..., Any], n_threads: int, answer: Callable[[Any], Any] = lambda tensor: tensor.numpy()
) -> Callable[[Any], Work]:
    """Make the work of ``call(torch, x, p, q, out)``."""

    def make(data: Any) -> Work:
        torch = load("torch")
        tensors = [torch.from_numpy(array) for array in data]

        def work(_state: Any) -> Any:
            torch.set_num_threads(n_threads)
            return call(torch, *tensors)

        return Work(work, answer=answer)

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


def _numpy_logsumexp(x: Any, axis: int = 1) -> Any:
    m = x.max(axis=axis, keepdims=True)
    return np.log(np.exp(x - m).sum(axis=axis)) + m.squeeze(axis)


def _numpy_softmax(x: Any, out: Any, axis: int = 1) -> Any:
    np.exp(np.subtract(x, x.max(axis=axis, keepdims=True), out=out), out=out)
    out /= out.sum(axis=axis, keepdims=True)
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
            "scikit-learn": plain(lambda x, *_: sklearn.utils.extmath.softmax(x)),
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
    "logsumexp of columns": (
        lambda x, *_: scipy.special.logsumexp(x, axis=0),
        lambda x, *_: special.logsumexp(x, axis=0),
        {
            "NumPy": plain(lambda x, *_: _numpy_logsumexp(x, 0)),
            "PyTorch": lambda torch, x, *_: torch.logsumexp(x, 0),
            "JAX 2T": in_jax(lambda jax, x, *_: jax.scipy.special.logsumexp(x, axis=0)),
        },
    ),
    "softmax of columns": (
        lambda x, *_: scipy.special.softmax(x, axis=0),
        lambda x, _p, _q, out: special.softmax(x, axis=0, out=out),
        {
            "NumPy": plain(lambda x, _p, _q, out: _numpy_softmax(x, out, 0)),
            "PyTorch": lambda torch, x, _p, _q, out: torch.softmax(x, 0, out=out),
            "JAX 2T": in_jax(lambda jax, x, *_: jax.nn.softmax(x, axis=0)),
        },
    ),
    "log_softmax of columns": (
        lambda x, *_: scipy.special.log_softmax(x, axis=0),
        lambda x, _p, _q, out: special.log_softmax(x, axis=0, out=out),
        {
            "PyTorch": lambda torch, x, _p, _q, out: torch.log_softmax(x, 0, out=out),
            "JAX 2T": in_jax(lambda jax, x, *_: jax.nn.log_softmax(x, axis=0)),
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
    "logit": (
        lambda _x, p, _q, out: scipy.special.logit(p, out=out),
        lambda _x, p, _q, out: special.logit(p, out=out),
        {
            "numexpr 2T": in_numexpr("log(p / (1 - p))", p=1),
            "PyTorch": lambda torch, _x, p, _q, out: torch.logit(p, out=out),
            "JAX 2T": in_jax(lambda jax, _x, p, _q: jax.scipy.special.logit(p)),
        },
    ),
    "entr": (
        lambda _x, p, _q, out: scipy.special.entr(p, out=out),
        lambda _x, p, _q, out: special.entr(p, out=out),
        {
            "numexpr 2T": in_numexpr("-p * log(p)", p=1),
            "PyTorch": lambda torch, _x, p, _q, out: torch.special.entr(p, out=out),
            "JAX 2T": in_jax(lambda jax, _x, p, _q: jax.scipy.special.entr(p)),
        },
    ),
    "rel_entr": (
        lambda _x, p, q, out: scipy.special.rel_entr(p, q, out=out),
        lambda _x, p, q, out: special.rel_entr(p, q, out=out),
        {
            "numexpr 2T": in_numexpr("p * log(p / q)", p=1, q=2),
            "PyTorch": lambda torch, _x, p, q, out: torch.xlogy(p, p, out=out).sub_(torch.xlogy(p, q)),
            "JAX 2T": in_jax(lambda jax, _x, p, q: jax.scipy.special.rel_entr(p, q)),
        },
    ),
    "kl_div": (
        lambda _x, p, q, out: scipy.special.kl_div(p, q, out=out),
        lambda _x, p, q, out: special.kl_div(p, q, out=out),
        {
            "numexpr 2T": in_numexpr("p * log(p / q) - p + q", p=1, q=2),
            "PyTorch": lambda torch, _x, p, q, out: torch.xlogy(p, p, out=out).sub_(torch.xlogy(p, q)).sub_(p).add_(q),
            "JAX 2T": in_jax(lambda jax, _x, p, q: jax.scipy.special.kl_div(p, q)),
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
    "cross_entropy": (
        lambda _x, p, q, _: -scipy.special.xlogy(p, q).sum(axis=1),
        lambda _x, p, q, _: information.cross_entropy(p, q),
        {
            "PyTorch": lambda torch, _x, p, q, _: -torch.xlogy(p, q).sum(1),
            "JAX 2T": in_jax(lambda jax, _x, p, q: -jax.scipy.special.xlogy(p, q).sum(1)),
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
    n_arrays = TRAFFIC.get(name, 2)
    return Problem(
        "information" if name in information.__all__ else "special",
        f"{name}, {shape[0]:,} x {shape[1]:,}, {np.dtype(dtype).name}",
        partial(arrays, shape=shape, dtype=dtype),
        _contenders(name),
        close_columns if name.endswith("of columns") else close,
        n_bytes=n_arrays * shape[0] * shape[1] * np.dtype(dtype).itemsize,
    )


def _scipy_pairwise_kl(data: Any) -> Work:
    P, Q = data
    return Work(lambda _: np.array([scipy.special.rel_entr(p, Q).sum(axis=1) for p in P]))


def _scipy_pairwise_js(data: Any) -> Work:
    P, Q = data
    return Work(lambda _: scipy.spatial.distance.cdist(P, Q, "jensenshannon") ** 2)


def _against(peer: str, reference: Callable[[Any], Work], call: Callable[..., Any]) -> tuple[Contender, ...]:
    ours = plain(call)
    return Contender(peer, 1, reference), Contender("deciban", 1, ours), Contender("deciban 2T", 2, ours)


@lru_cache(maxsize=1)
def affine(quick: bool, shape: tuple[int, int, int], dtype: type, sparse: bool) -> tuple[Any, ...]:
    """Return samples, coefficients, intercepts, and room for results."""
    rng = np.random.default_rng(0)
    n_samples = max(1, shape[0] // 100) if quick else shape[0]
    X = counts(quick).X[:n_samples].astype(dtype) if sparse else rng.normal(0, 3, (n_samples, shape[1])).astype(dtype)
    W, b = rng.normal(0, 0.1, (X.shape[1], shape[2])).astype(dtype), rng.normal(0, 1, shape[2]).astype(dtype)
    return X, W, b, *(np.empty((X.shape[0], shape[2]), dtype) for _ in range(2))


def _affine_contenders(name: str, sparse: bool, n_calls: int) -> tuple[Contender, ...]:
    softmax = name == "affine_softmax"

    def in_scipy(n_threads: int) -> Callable[[Any], Work]:
        def make(samples: Any) -> Work:
            X, W, b, *_ = samples
            room = np.empty((X.shape[0], W.shape[1]), W.dtype)

            def once() -> Any:
                z = X @ W if sparse else np.matmul(X, W, out=room)
                z += b
                return scipy.special.softmax(z, axis=1) if softmax else scipy.special.expit(z, out=z)

            def call(_state: Any) -> Any:
                with blas().limit(limits=n_threads, user_api="blas"):
                    return _last(once, n_calls)

            return Work(call)

        return make

    def in_place(torch: Any, X: Any, W: Any, b: Any, z: Any, out: Any) -> Any:
        def once() -> Any:
            torch.addmm(b, X, W, out=z)
            return torch.softmax(z, 1, out=out) if softmax else torch.sigmoid(z, out=out)

        with torch.inference_mode():
            return _last(once, n_calls)

    function = getattr(special, name)
    ours = plain(lambda X, W, b, _z, out: _last(lambda: function(X, W, b, out=out), n_calls))
    found = [
        Contender("SciPy", 1, in_scipy(1)),
        Contender("deciban", 1, ours),
        Contender("deciban 2T", 2, ours),
    ]
    if not sparse:
        found.append(Contender("SciPy 2T", 2, in_scipy(2)))
        found += [Contender(f"PyTorch {n}T", n, in_torch(in_place, n)) for n in (1, 2)]
    return tuple(found)


def _last(call: Callable[[], Any], n_calls: int) -> Any:
    for _ in range(n_calls - 1):
        call()
    return call()


def _affine_problem(name: str, shape: tuple[int, int, int], dtype: type, sparse: bool = False) -> Problem:
    sizes = " x ".join(f"{size:,}" for size in shape)
    n_calls = 100 if shape[0] == 1 else 1
    return Problem(
        "special",
        f"{name}, {sizes}, {np.dtype(dtype).name}{', sparse' if sparse else ''}",
        partial(affine, shape=shape, dtype=dtype, sparse=sparse),
        _affine_contenders(name, sparse, n_calls),
        close,
        n_calls,
    )


def _side_by_side(found: Any) -> Any:
    return np.column_stack(found).astype(np.asarray(found[0]).dtype)


def _log_joint_contenders() -> tuple[Contender, ...]:
    def of_scipy(arrays: Any) -> Work:
        def posteriors(_: Any) -> Any:
            found = scipy.special.log_softmax(arrays[0], axis=1)
            return found, np.exp(found), found.argmax(axis=1)

        return Work(posteriors, answer=_side_by_side)

    def ours(arrays: Any) -> Work:
        x = arrays[0]
        out = np.empty_like(x), np.empty_like(x)
        return Work(lambda _: special.normalize_log_joint(x, out=out), answer=_side_by_side)

    def of_torch(n_threads: int) -> Callable[[Any], Work]:
        def posteriors(torch: Any, x: Any, p: Any, _q: Any, out: Any) -> Any:
            torch.log_softmax(x, 1, out=out)
            return out, torch.exp(out, out=p), torch.argmax(x, 1)

        def make(data: Any) -> Work:
            x, *_ = data
            return in_torch(posteriors, n_threads, _side_by_side)((x, np.empty_like(x), x[:0], np.empty_like(x)))

        return make

    return (
        Contender("SciPy", 1, of_scipy),
        Contender("deciban", 1, ours),
        Contender("deciban 2T", 2, ours),
        *(Contender(f"PyTorch {n}T", n, of_torch(n)) for n in (1, 2)),
    )


@lru_cache(maxsize=1)
def presence(quick: bool) -> tuple[Any, Any]:
    """Return which of 2,000 terms are in which document, and the documents' classes."""
    samples = counts(quick)
    return (samples.X[:, :2000] > 0).astype(np.int64).tocsr(), samples.y


def _mutual_info_classif(samples: Any) -> Work:
    X, y = samples
    return Work(lambda _: sklearn.feature_selection.mutual_info_classif(X, y, discrete_features=True))


@lru_cache(maxsize=1)
def contingency(quick: bool) -> tuple[Any]:
    """Return how often two variables of many values meet."""
    return (np.random.default_rng(0).poisson(2.0, (100, 100) if quick else (1000, 1000)),)


@lru_cache(maxsize=1)
def positive(quick: bool, shape: tuple[int, int], dtype: type) -> tuple[Any, Any]:
    """Return how often pairs were seen, each at least once, and room for a result."""
    counts = np.random.default_rng(0).poisson(2.0, (max(shape[0] // 100, 10) if quick else shape[0], shape[1])) + 1
    return counts.astype(dtype), np.empty(counts.shape, dtype)


def _mutual_info_score(counts: Any) -> Work:
    return Work(lambda _: sklearn.metrics.mutual_info_score(None, None, contingency=counts[0]))


def _numpy_pmi(table: Any, out: Any) -> Any:
    joint = np.divide(table, table.sum(), out=out)
    joint /= joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    return np.log(joint, out=joint)


def _numexpr_pmi(data: Any) -> Work:
    table, out = data
    numexpr = load("numexpr")

    def call(_state: Any) -> Any:
        rows, columns = table.sum(axis=1, keepdims=True), table.sum(axis=0)
        values = {"x": table, "total": rows.sum(), "rows": rows, "columns": columns}
        return numexpr.evaluate("log(x * total / (rows * columns))", values, out=out)

    return Work(call)


def _numpy_mutual_information(table: Any, out: Any) -> Any:
    joint = np.divide(table, table.sum(), out=out)
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    return scipy.special.entr(rows).sum() + scipy.special.entr(columns).sum() - scipy.special.entr(joint).sum()


def _scipy_mutual_information(counts: Any) -> Any:
    joint = counts / counts.sum()
    return scipy.special.rel_entr(joint, joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)).sum()


def _torch_pmi(torch: Any, table: Any, out: Any) -> Any:
    torch.mul(table, table.sum() / table.sum(1, keepdim=True), out=out)
    return out.div_(table.sum(0)).log_()


def _torch_shares(torch: Any, table: Any, out: Any, axis: int = 1) -> Any:
    return torch.div(table, table.sum(axis, keepdim=True), out=out)


def _torch_mutual_information(torch: Any, table: Any, out: Any) -> Any:
    torch.div(table, table.sum(), out=out)
    rows, columns = out.sum(1), out.sum(0)
    torch.special.entr(out, out=out)
    return torch.special.entr(rows).sum() + torch.special.entr(columns).sum() - out.sum()


def _torch_posterior(torch: Any, prior: Any, likelihood: Any, out: Any) -> Any:
    torch.mul(likelihood, prior, out=out)
    return out.div_(out.sum(1, keepdim=True))


def _torch_log_posterior(torch: Any, prior: Any, likelihood: Any, out: Any) -> Any:
    torch.add(likelihood, prior, out=out)
    return torch.log_softmax(out, 1, out=out)


def _numpy_posterior(prior: Any, likelihood: Any, out: Any) -> Any:
    np.multiply(likelihood, prior, out=out)
    out /= out.sum(axis=1, keepdims=True)
    return out


def _in_torch(call: Callable[..., Any]) -> tuple[Contender, ...]:
    return tuple(Contender(f"PyTorch {n}T", n, in_torch(call, n)) for n in (1, 2))


# of a table of positive counts, and room for a result: whose the reference is, it, ours, PyTorch's
TABLES: dict[str, tuple[str, Any, Any, Any]] = {
    "conditional_probability": (
        "NumPy",
        lambda table, out: np.divide(table, table.sum(axis=1, keepdims=True), out=out),
        lambda table, out: information.conditional_probability(table, out=out),
        _torch_shares,
    ),
    "conditional_probability of columns": (
        "NumPy",
        lambda table, out: np.divide(table, table.sum(axis=0), out=out),
        lambda table, out: information.conditional_probability(table, 0, out=out),
        partial(_torch_shares, axis=0),
    ),
    "pointwise_mutual_information": (
        "NumPy",
        _numpy_pmi,
        lambda table, out: information.pointwise_mutual_information(table, normalize=True, out=out),
        _torch_pmi,
    ),
    "mutual_information": (
        "SciPy",
        _numpy_mutual_information,
        lambda table, _: information.mutual_information(table, normalize=True),
        _torch_mutual_information,
    ),
    "log_likelihood": (
        "NumPy",
        lambda table, _: (table * np.log(table / table.sum(axis=1, keepdims=True))).sum(axis=1),
        lambda table, _: information.log_likelihood(table, table, normalize=True),
        lambda torch, table, out: torch.xlogy(table, _torch_shares(torch, table, out), out=out).sum(1),
    ),
    "perplexity": (
        "SciPy",
        lambda table, _: np.exp(scipy.stats.entropy(table, axis=1)),
        lambda table, _: information.perplexity(table, normalize=True),
        lambda torch, table, out: torch.special.entr(_torch_shares(torch, table, out), out=out).sum(1).exp_(),
    ),
}


def _table_problem(name: str, shape: tuple[int, int], dtype: type) -> Problem:
    peer, reference, ours, torch = TABLES[name]
    others = [Contender("numexpr 2T", 2, _numexpr_pmi)] if name.startswith("pointwise") else []
    return Problem(
        "information",
        f"{name}, {shape[0]:,} x {shape[1]:,}, {np.dtype(dtype).name}",
        partial(positive, shape=shape, dtype=dtype),
        (*_against(peer, plain(reference), ours), *others, *_in_torch(torch)),
        close,
        n_bytes=2 * shape[0] * shape[1] * np.dtype(dtype).itemsize,
    )


@lru_cache(maxsize=1)
def observations(quick: bool, shape: tuple[int, int], dtype: type, log: bool) -> tuple[Any, ...]:
    """Return prior probabilities and likelihoods, or their logarithms, and room for a result."""
    rng = np.random.default_rng(0)
    prior, likelihood = rng.dirichlet(np.ones(shape[1])), arrays(quick, shape, dtype)[1]
    if log:
        prior, likelihood = np.log(prior), np.log(likelihood)
    return prior.astype(dtype), likelihood, np.empty_like(likelihood)


def _posterior(shape: tuple[int, int], dtype: type, log: bool) -> Problem:
    if log:
        reference = plain(lambda prior, likelihood, _: scipy.special.log_softmax(likelihood + prior, axis=1))
    else:
        reference = plain(_numpy_posterior)
    return Problem(
        "information",
        f"bayes_posterior{' of logarithms' if log else ''}, {shape[0]:,} x {shape[1]:,}, {np.dtype(dtype).name}",
        partial(observations, shape=shape, dtype=dtype, log=log),
        (
            *_against(
                "SciPy" if log else "NumPy",
                reference,
                lambda prior, likelihood, out: information.bayes_posterior(prior, likelihood, log=log, out=out),
            ),
            *_in_torch(_torch_log_posterior if log else _torch_posterior),
        ),
        close,
        n_bytes=2 * shape[0] * shape[1] * np.dtype(dtype).itemsize,
    )


@lru_cache(maxsize=1)
def documents(quick: bool) -> tuple[Any, Any]:
    """Return the shares of words in documents, and in all of them with one more of each word."""
    X = information.conditional_probability(counts(quick).X)
    total = np.asarray(counts(quick).X.sum(axis=0)).ravel() + 1.0
    return X, total / total.sum()


def _in_rows(terms: Any, X: Any) -> Any:
    return np.asarray(sp.csr_matrix((terms, X.indices, X.indptr), X.shape).sum(axis=1)).ravel()


def _in_columns(X: Any) -> Any:
    return np.bincount(X.indices, X.data, X.shape[1])


def _with_entries(entries: Any, X: Any) -> Any:
    return sp.csr_matrix((entries, X.indices, X.indptr), X.shape)


def _scipy_pmi_of_documents(X: Any) -> Any:
    logs = np.log(X.data)
    logs -= np.repeat(np.log(_in_rows(X.data, X)), np.diff(X.indptr))
    logs += np.log(X.data.sum() / _in_columns(X))[X.indices]
    return _with_entries(logs, X)


def _scipy_js_of_documents(X: Any, q: Any) -> Any:
    p, q_there = X.data, q[X.indices]
    m = (p + q_there) / 2
    there = scipy.special.rel_entr(p, m) + scipy.special.rel_entr(q_there, m)
    # words that a document does not have: q log(q / (q / 2))
    return (_in_rows(there, X) + np.log(2) * (1 - _in_rows(q_there, X))) / 2


# of CSR rows, and one dense row: what SciPy does with the entries, and ours
SPARSE: dict[str, tuple[Any, Any]] = {
    "entropy": (
        lambda X, _: _in_rows(scipy.special.entr(X.data), X),
        lambda X, _: information.entropy(X),
    ),
    "cross_entropy": (lambda X, q: -(X @ np.log(q)), information.cross_entropy),
    "kl_divergence": (
        lambda X, q: _in_rows(scipy.special.rel_entr(X.data, q[X.indices]), X),
        information.kl_divergence,
    ),
    "js_divergence": (_scipy_js_of_documents, information.js_divergence),
    "entropy of columns": (
        lambda X, _: np.bincount(X.indices, scipy.special.entr(X.data), X.shape[1]),
        lambda X, _: information.entropy(X, axis=0),
    ),
    "conditional_probability": (
        lambda X, _: _with_entries(X.data / np.repeat(_in_rows(X.data, X), np.diff(X.indptr)), X),
        lambda X, _: information.conditional_probability(X),
    ),
    "conditional_probability of columns": (
        lambda X, _: _with_entries(X.data / _in_columns(X)[X.indices], X),
        lambda X, _: information.conditional_probability(X, 0),
    ),
    "pointwise_mutual_information": (
        lambda X, _: _scipy_pmi_of_documents(X),
        lambda X, _: information.pointwise_mutual_information(X, normalize=True),
    ),
    "mutual_information": (
        lambda X, _: X.data @ _scipy_pmi_of_documents(X).data / X.data.sum(),
        lambda X, _: information.mutual_information(X, normalize=True),
    ),
    "log_likelihood": (lambda X, q: X @ np.log(q), lambda X, q: information.log_likelihood(q, X)),
    "perplexity": (
        lambda X, _: np.exp(_in_rows(scipy.special.entr(X.data), X)),
        lambda X, _: information.perplexity(X),
    ),
}


@lru_cache(maxsize=1)
def documents_and_classes(quick: bool) -> tuple[Any, Any]:
    """Return the shares of words in 200 documents, and in those of each class with a hundredth of one more of each."""
    samples = counts(quick)
    totals = np.array([samples.X[samples.y == c].sum(axis=0) for c in np.unique(samples.y)]).squeeze(1) + 0.01
    return information.conditional_probability(samples.X[:200]), totals / totals.sum(axis=1, keepdims=True)


def _scipy_pairwise_kl_of_documents(P: Any, Q: Any) -> Any:
    return -_in_rows(scipy.special.entr(P.data), P)[:, np.newaxis] - P @ np.log(Q).T


def _matrix_product(data: Any) -> Work:
    P, Q = data
    return Work(lambda _: P @ Q.T)


# name, data, contenders
OTHERS = (
    (
        "pairwise_js, 500 x 2,000 with 500 x 2,000",
        two_sets,
        _against("SciPy", _scipy_pairwise_js, information.pairwise_js),
    ),
    (
        "mutual_information of counts, 1,000 x 1,000",
        contingency,
        (
            *_against("scikit-learn", _mutual_info_score, partial(information.mutual_information, normalize=True)),
            Contender("SciPy", 1, plain(_scipy_mutual_information)),
        ),
    ),
    *(
        (f"{name}, 11,314 x 130,107, sparse", documents, _against("SciPy", plain(reference), ours))
        for name, (reference, ours) in SPARSE.items()
    ),
    (
        "pairwise_kl, 200 x 130,107 with 20 x 130,107, sparse",
        documents_and_classes,
        _against("SciPy", plain(_scipy_pairwise_kl_of_documents), information.pairwise_kl),
    ),
    (
        "information_gain, 11,314 x 2,000, sparse",
        presence,
        _against("scikit-learn", _mutual_info_classif, information.information_gain),
    ),
)

PROBLEMS = [
    *(_problem(name, shape, dtype) for name in FUNCTIONS for shape in SHAPES for dtype in DTYPES),
    Problem(
        "information",
        "pairwise_kl, 500 x 2,000 with 500 x 2,000",
        two_sets,
        (
            *_against("SciPy", _scipy_pairwise_kl, information.pairwise_kl),
            # not the answer, but the least that it can cost
            Contender("matrix product alone 2T", 2, _matrix_product, lambda _expected, _got: True),
        ),
        close,
    ),
    *(Problem("information", name, make, contenders, close) for name, make, contenders in OTHERS),
    *(_posterior(shape, dtype, log) for shape in SHAPES for log in (False, True) for dtype in DTYPES),
    *(
        _table_problem(name, shape, dtype)
        for name in TABLES
        for shape in ((1000, 1000), *SHAPES)
        for dtype in DTYPES
        # in single precision the peers' sums of entropies lose all digits
        if name != "mutual_information" or dtype is np.float64
    ),
    *(
        _affine_problem(name, shape, dtype)
        for name, shape in (
            ("affine_softmax", (10_000, 1000, 20)),
            ("affine_softmax", (60_000, 784, 10)),
            ("affine_softmax", (10_000, 1000, 500)),
            ("affine_sigmoid", (10_000, 1000, 20)),
            ("affine_sigmoid", (10_000, 1000, 1)),
            ("affine_sigmoid", (1_000_000, 10, 1)),
            ("affine_softmax", (1_000_000, 10, 10)),
            ("affine_sigmoid", (1_000_000, 10, 20)),
            ("affine_softmax", (1, 1000, 20)),
            ("affine_sigmoid", (1, 20, 10)),
            ("affine_sigmoid", (1, 1000, 500)),
        )
        for dtype in DTYPES
    ),
    *(
        _affine_problem(name, shape, dtype, sparse=True)
        for name, shape in (
            ("affine_softmax", (11_314, 130_107, 20)),
            ("affine_sigmoid", (11_314, 130_107, 20)),
            ("affine_sigmoid", (11_314, 130_107, 1)),
            ("affine_softmax", (1, 130_107, 20)),
        )
        for dtype in DTYPES
    ),
    *(
        Problem(
            "special",
            f"normalize_log_joint, {shape[0]:,} x {shape[1]:,}, {np.dtype(dtype).name}",
            partial(arrays, shape=shape, dtype=dtype),
            _log_joint_contenders(),
            close,
        )
        for shape in (*SHAPES, (100_000, 20))
        for dtype in DTYPES
    ),
]
