"""The problems of perceptrons: an epoch of training and predictions, against scikit-learn, PyTorch and bare GEMM."""

import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

import data
import numpy as np
import scipy.linalg.blas
import sklearn.neural_network
from network_peers import BATCH, Torch, jax_epoch
from peers import load
from sklearn.metrics import log_loss
from threadpoolctl import ThreadpoolController
from work import Contender, Problem, Work

import deciban.neural_network
from deciban.demo.digits import fashion_mnist
from deciban.feature_extraction.text import TfidfTransformer

ENOUGH = 0.4  # of the validation loss: a few epochs


@lru_cache(maxsize=1)
def blas() -> ThreadpoolController:
    """Return what sets the threads of BLAS; making one takes milliseconds."""
    return ThreadpoolController()


@lru_cache(maxsize=2)
def images(quick: bool, dtype: type) -> data.Samples:
    """Return Fashion-MNIST, pixels in [0, 1], or random numbers of its shape where its files are not."""
    n_train, n_test = (2000, 500) if quick else (60_000, 10_000)
    parts = []
    for name, n_rows in (("train", n_train), ("t10k", n_test)):
        try:
            X, y = fashion_mnist(name)
        except OSError:
            rng = np.random.default_rng(0)
            X, y = rng.random((n_rows, 784)), rng.integers(0, 10, n_rows)
        parts.append((X[:n_rows].astype(dtype), y[:n_rows]))
    (X, y), (X_test, _) = parts
    return data.Samples(X, y, X_test, 10)


@lru_cache(maxsize=1)
def noise(quick: bool) -> data.Samples:
    """Return random numbers of the images' shape, none of them zero."""
    rng = np.random.default_rng(0)
    n_rows = 2000 if quick else 60_000
    X = rng.random((n_rows, 784), np.float32) + np.float32(0.01)
    return data.Samples(X, rng.integers(0, 10, n_rows), X[:10], 10)


@lru_cache(maxsize=1)
def words(quick: bool) -> data.Samples:
    """Return TF-IDF of the newsgroups."""
    counts = data.counts(quick)
    transformer = TfidfTransformer().fit(counts.X)
    return data.Samples(
        transformer.transform(counts.X), counts.y, transformer.transform(counts.X_test), counts.n_classes
    )


def _module(name: str) -> Any:
    return {"scikit-learn": sklearn.neural_network, "deciban": deciban.neural_network}[name]


def epoch(library: str, hidden: tuple[int, ...], n_threads: int) -> Callable[[Any], Work]:
    """Make one epoch of Adam, checks of the samples included; its answer is the loss."""

    def make(samples: Any) -> Work:
        def call(_state: Any) -> Any:
            model = _module(library).MLPClassifier(hidden, batch_size=BATCH, max_iter=1, random_state=0)
            with warnings.catch_warnings(), blas().limit(limits=n_threads, user_api="blas"):
                warnings.simplefilter("ignore")
                return model.fit(samples.X, samples.y).loss_

        return Work(call)

    return make


def torch_epoch(hidden: tuple[int, ...], n_threads: int, compiled: bool = False) -> Callable[[Any], Work]:
    """Make the same by PyTorch."""

    def make(samples: Any) -> Work:
        torch = Torch(samples, hidden, n_threads, compiled)

        def call(_state: Any) -> float:
            torch.begin()
            return torch.epoch()

        return Work(call)

    return make


def jax(hidden: tuple[int, ...]) -> Callable[[Any], Work]:
    """Make the same by JAX, which takes every CPU."""

    def make(samples: Any) -> Work:
        run = jax_epoch(samples, hidden)
        return Work(lambda _: run())

    return make


def until(library: str, n_threads: int) -> Callable[[Any], Work]:
    """Make epochs until the loss of the last sixth of the samples is below ``ENOUGH``; its answer is that loss."""

    def make(samples: Any) -> Work:
        n_train = len(samples.X) * 5 // 6
        X, y = samples.X[n_train:], samples.y[n_train:]
        known = samples._replace(X=samples.X[:n_train], y=samples.y[:n_train])
        classes = np.arange(samples.n_classes)
        torch = Torch(known, (100,), n_threads) if library == "PyTorch" else None

        def call(_state: Any) -> float:
            if torch is None:
                model = _module(library).MLPClassifier(batch_size=BATCH, random_state=0)
                train = partial(model.partial_fit, known.X, known.y, classes=classes)
            else:
                torch.begin()
                model, train = torch, torch.epoch
            found = np.inf
            with blas().limit(limits=n_threads, user_api="blas"):
                for _ in range(50):
                    train()
                    found = log_loss(y, model.predict_proba(X).astype(np.float64), labels=classes)
                    if found < ENOUGH:
                        break
            return found

        return Work(call)

    return make


def products(hidden: tuple[int, ...], n_threads: int) -> Callable[[Any], Work]:
    """Make the matrix products of an epoch, and nothing else: no training takes less."""

    def make(samples: Any) -> Work:
        dtype = samples.X.dtype
        gemm = scipy.linalg.blas.get_blas_funcs("gemm", dtype=dtype)
        rng = np.random.default_rng(0)
        sizes = (samples.X.shape[1], *hidden, samples.n_classes)
        # columns are samples, as BLAS sees arrays of rows
        units = [np.asfortranarray(rng.random((size, BATCH)), dtype) for size in sizes]
        coefs = [np.asfortranarray(rng.random((n_out, n_in)), dtype) for n_in, n_out in pairwise(sizes)]
        into = [np.empty_like(table, order="F") for table in units], [np.empty_like(coef, order="F") for coef in coefs]

        def call(_state: Any) -> None:
            with blas().limit(limits=n_threads, user_api="blas"):
                for _ in range(len(samples.X) // BATCH):
                    for at, coef in enumerate(coefs):
                        gemm(1, coef, units[at], 0, into[0][at + 1], overwrite_c=1)
                    for at in reversed(range(len(coefs))):
                        gemm(1, units[at + 1], units[at], 0, into[1][at], trans_b=1, overwrite_c=1)
                        if at:
                            gemm(1, coefs[at], units[at + 1], 0, into[0][at], trans_a=1, overwrite_c=1)

        return Work(call)

    return make


def prediction(library: str, n_rows: int, n_calls: int, n_threads: int) -> Callable[[Any], Work]:
    """Make calls of ``predict_proba`` for the first rows of the test part."""

    def make(samples: Any) -> Work:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = deciban.neural_network.MLPClassifier(batch_size=BATCH, max_iter=1, random_state=0)
            model.fit(samples.X, samples.y)
        model = model.to_sklearn() if library == "scikit-learn" else model
        rows = samples.X_test[:n_rows]

        def call(_state: Any) -> Any:
            with blas().limit(limits=n_threads, user_api="blas"):
                for _ in range(n_calls):
                    answer = model.predict_proba(rows)
                return answer

        return Work(call)

    return make


def torch_prediction(n_rows: int, n_calls: int, n_threads: int) -> Callable[[Any], Work]:
    def make(samples: Any) -> Work:
        torch = load("torch")
        linear = partial(torch.nn.Linear, dtype=torch.from_numpy(samples.X).dtype)
        model = torch.nn.Sequential(
            linear(samples.X.shape[1], 100), torch.nn.ReLU(), linear(100, samples.n_classes), torch.nn.Softmax(1)
        )

        def call(_state: Any) -> Any:
            torch.set_num_threads(n_threads)
            with torch.inference_mode():
                for _ in range(n_calls):
                    answer = model(torch.from_numpy(samples.X_test[:n_rows])).numpy()
            return answer

        return Work(call)

    return make


def close(expected: Any, got: Any) -> bool:
    return np.allclose(expected, got, rtol=1e-3, atol=1e-5)


def alike(expected: Any, got: Any) -> bool:
    """Of another library: the same beginning and the same batches, rounded otherwise."""
    return abs(got / expected - 1) < 0.02


def enough(expected: Any, got: Any) -> bool:
    """As low as asked for, or, where the samples are too few for that, as low as scikit-learn's."""
    return got < max(ENOUGH, 1.05 * expected)


def anything(_expected: Any, _got: Any) -> bool:
    return True


def _each(name: str, make: Callable[[int], Any], agree: Any = None) -> list[Contender]:
    return [Contender(f"{name}, {n} thread{'s' * (n > 1)}", n, make(n), agree) for n in (1, 2)]


def _epoch_problem(
    name: str, hidden: tuple[int, ...], samples: Callable[[bool], Any], dtype: type | None = None
) -> Problem:
    contenders = _each("scikit-learn", partial(epoch, "scikit-learn", hidden))
    contenders += _each("deciban", partial(epoch, "deciban", hidden))
    if dtype is not None:
        name = f"{name}, {dtype.__name__}"
        contenders += _each("PyTorch", partial(torch_epoch, hidden), alike)
        contenders += _each("PyTorch compiled", partial(torch_epoch, hidden, compiled=True), alike)
        contenders.append(Contender("JAX", 2, jax(hidden), alike))
        contenders += _each("GEMM alone", partial(products, hidden), anything)
    return Problem("networks", f"MLP, an epoch of {name}", samples, tuple(contenders), close)


def _prediction_problem(n_rows: int, n_calls: int, dtype: type) -> Problem:
    contenders = [
        *_each("scikit-learn", partial(prediction, "scikit-learn", n_rows, n_calls)),
        *_each("deciban", partial(prediction, "deciban", n_rows, n_calls)),
        *_each("PyTorch", partial(torch_prediction, n_rows, n_calls), anything),
    ]
    name = f"MLP predict_proba, {n_rows} x 784, hidden 100, {dtype.__name__}"
    return Problem("networks", name, partial(images, dtype=dtype), tuple(contenders), close, n_calls)


PROBLEMS = [
    *(
        _epoch_problem(f"60000 x 784, hidden {name}", hidden, partial(images, dtype=dtype), dtype)
        for name, hidden in (("100", (100,)), ("512-512", (512, 512)))
        for dtype in (np.float32, np.float64)
    ),
    _epoch_problem("60000 x 784 without zeros, hidden 100", (100,), noise, np.float32),
    Problem(
        "networks",
        f"MLP, 50000 x 784, hidden 100, float32, until the validation loss is {ENOUGH}",
        partial(images, dtype=np.float32),
        tuple(
            contender
            for library in ("scikit-learn", "deciban", "PyTorch")
            for contender in _each(library, partial(until, library))
        ),
        enough,
    ),
    _epoch_problem("20 newsgroups TF-IDF, hidden 100", (100,), words),
    *(
        _prediction_problem(n_rows, n_calls, dtype)
        for n_rows, n_calls in ((1, 200), (10_000, 1))
        for dtype in (np.float32, np.float64)
    ),
]
