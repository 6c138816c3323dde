"""The problems of stochastic gradient descent: whole fits and small steps, against Vowpal Wabbit and river too."""

import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import data
import numpy as np
import sklearn.linear_model
from peers import load
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfTransformer
from work import Contender, Problem, Work

import deciban.linear_model

N_STEPS = 20  # of a stream, one call each
N_PASSES = 8  # of Vowpal Wabbit: as many epochs as a class needs here on average


@lru_cache(maxsize=1)
def tfidf(quick: bool) -> data.Samples:
    """Return the TF-IDF weights of the documents."""
    samples = data.counts(quick)
    transformer = TfidfTransformer()
    X = transformer.fit_transform(samples.X)
    return data.Samples(X, samples.y, transformer.transform(samples.X_test), samples.n_classes)


@lru_cache(maxsize=1)
def dense(quick: bool, n_classes: int) -> data.Samples:
    """Return 100,000 x 100 normal numbers whose classes a linear model explains, but for noise.

    Rows have a length of about 1: of longer ones, the first steps magnify rounding until runs have little in common.
    """
    rng = np.random.default_rng(0)
    X = 0.1 * rng.standard_normal((2_000 if quick else 100_000, 100))
    y = np.argmax(10 * X @ rng.standard_normal((100, n_classes)) + rng.gumbel(size=(len(X), n_classes)), axis=1)
    return data.Samples(X, y, X[:1000], n_classes)


def same_scores(expected: Any, got: Any) -> bool:
    """Whether decisions are equal, but for rounding that steps have magnified; or, of another model, labels by half."""
    if got.shape != expected.shape:
        labels = expected.argmax(axis=1) if expected.ndim > 1 else (expected > 0).astype(int)
        return bool(np.mean(labels == got) > 0.5)
    return np.allclose(expected, got, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def fit(cls: Any, samples: data.Samples, **options: Any) -> Work:
    def call(_state: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return cls(random_state=0, **options).fit(samples.X, samples.y)

    return Work(call, answer=lambda model: model.decision_function(samples.X_test[:500]))


def stream(cls: Any, samples: data.Samples, size: int, predicts: bool = False, **options: Any) -> Work:
    """Call partial_fit, and maybe predict before it, on one batch after another."""
    starts = np.arange(N_STEPS) * size % (len(samples.y) - size + 1)
    batches = [(samples.X[start : start + size], samples.y[start : start + size]) for start in starts]

    def fresh() -> Any:
        model = cls(random_state=0, **options)
        for X, y in batches[:2]:
            model.partial_fit(X, y, classes=np.arange(samples.n_classes))
        return model

    def call(model: Any) -> Any:
        for X, y in batches:
            if predicts:
                model.predict(X)
            model.partial_fit(X, y)
        return model

    return Work(call, fresh, answer=lambda model: model.decision_function(samples.X_test[:500]))


def vowpal_wabbit(samples: data.Samples) -> Work:
    """One logistic model a class, rows in their order; the texts of the rows are parsed beforehand."""
    workspace = load("vowpalwabbit").Workspace(f"--oaa {samples.n_classes} --loss_function=logistic -b 18 --quiet")

    def parsed(X: Any, y: Any) -> list[Any]:
        rows = np.split(X.indices, X.indptr[1:-1]), np.split(X.data, X.indptr[1:-1])
        lines = (
            f"{label + 1} | " + " ".join(f"{f}:{x:.9g}" for f, x in zip(*row, strict=True))
            for label, *row in zip(y, *rows, strict=True)
        )
        return [workspace.parse(line) for line in lines]

    order = np.random.default_rng(0).permutation(len(samples.y))
    examples = parsed(samples.X[order], samples.y[order])
    test = parsed(samples.X_test[:500], np.zeros(min(500, samples.X_test.shape[0]), int))

    def call(_state: Any) -> Any:
        for _ in range(N_PASSES):
            for example in examples:
                workspace.learn(example)

    return Work(call, answer=lambda _: np.array([workspace.predict(example) for example in test]) - 1)


def river_steps(samples: data.Samples) -> Work:
    """One logistic model a class, by dicts, one row at a time."""
    linear_model, multiclass, optim = (load(f"river.{name}") for name in ("linear_model", "multiclass", "optim"))
    rows = [dict(zip(samples.X[i].indices.tolist(), samples.X[i].data.tolist(), strict=True)) for i in range(N_STEPS)]
    labels = samples.y[:N_STEPS].tolist()

    def fresh() -> Any:
        model = multiclass.OneVsRestClassifier(linear_model.LogisticRegression(optim.SGD(0.5)))
        for label in range(samples.n_classes):  # so that there is a model of each class
            model.learn_one(rows[0], label)
        return model

    def call(model: Any) -> Any:
        for row, label in zip(rows, labels, strict=True):
            model.learn_one(row, label)
        return model

    return Work(call, fresh)


def libraries(make: Callable[..., Work], both_threads: bool = False) -> tuple[Contender, ...]:
    """scikit-learn, maybe on two threads as well, and deciban on one and on two."""
    theirs, ours = sklearn.linear_model.SGDClassifier, deciban.linear_model.SGDClassifier
    contenders = [Contender("scikit-learn", 1, partial(make, theirs))]
    if both_threads:
        contenders.append(Contender("scikit-learn 2T", 2, partial(make, theirs, n_jobs=2)))
    contenders += [Contender("deciban", 1, partial(make, ours)), Contender("deciban 2T", 2, partial(make, ours))]
    return tuple(contenders)


def _problems() -> list[Problem]:
    problem = partial(Problem, "stochastic", data=tfidf, agree=same_scores)
    log, wabbit = {"loss": "log_loss"}, Contender("Vowpal Wabbit, 8 passes", 1, vowpal_wabbit)
    name = "SGDClassifier"
    found = []
    for options in (log, {"loss": "hinge"}, {**log, "average": True}, {**log, "penalty": "l1"}):
        kind = ", ".join(str(value) if key != "average" else "averaged" for key, value in options.items())
        peers = (wabbit,) if options is log else ()
        found.append(
            problem(f"{name}.fit, {kind}", contenders=(*libraries(partial(fit, **options), both_threads=True), *peers))
        )
    found += [
        problem(
            f"{name}.fit, dense, 2 classes", data=partial(dense, n_classes=2), contenders=libraries(partial(fit, **log))
        ),
        problem(
            f"{name}.fit, dense, 10 classes",
            data=partial(dense, n_classes=10),
            contenders=libraries(partial(fit, **log), both_threads=True),
        ),
        problem(
            f"{name}.partial_fit, one document",
            contenders=(
                *libraries(partial(stream, size=1, **log)),
                Contender("river", 1, river_steps, agree=lambda _expected, _got: True),  # another model, in dicts
            ),
            n_calls=N_STEPS,
        ),
        problem(
            f"{name}.partial_fit, 100 documents",
            contenders=libraries(partial(stream, size=100, **log)),
            n_calls=N_STEPS,
        ),
        problem(
            "predict and partial_fit, 100 documents",
            contenders=libraries(partial(stream, size=100, predicts=True, **log)),
            n_calls=N_STEPS,
        ),
    ]
    return found


PROBLEMS = _problems()
