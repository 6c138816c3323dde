"""The problems of one row: probabilities by linear models, against scikit-learn and PyTorch."""

import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import data
import numpy as np
from peers import load
from stochastic import dense, tfidf
from work import Contender, Problem, Work, after_a_pause

import deciban.linear_model

N_ROWS = 50  # taken one by one


@lru_cache(maxsize=2)
def fitted(name: str, samples: Callable[[bool], data.Samples], quick: bool) -> Any:
    """Return deciban's model of the samples; what the others have is made of it, so that all answer the same."""
    options = {"loss": "log_loss", "random_state": 0} if name == "SGDClassifier" else {"tol": 1e-2}
    found = samples(quick)
    return getattr(deciban.linear_model, name)(**options).fit(found.X, found.y)


def each_row(answer: Callable[[Any], Any], rows: list[Any]) -> Work:
    return Work(lambda _: np.concatenate([answer(row) for row in rows]))


def one_by_one(library: str, task: tuple[Any, list[Any]]) -> Work:
    model, rows = task
    model = model.to_sklearn() if library == "scikit-learn" else model
    return each_row(model.predict_proba, rows)


def torch_one_by_one(task: tuple[Any, list[Any]]) -> Work:
    """A matrix product and softmax, of tensors made beforehand."""
    model, rows = task
    torch = load("torch")
    table, offset = torch.from_numpy(np.ascontiguousarray(model.coef_.T)), torch.from_numpy(model.intercept_)

    def tensor(row: Any) -> Any:
        if isinstance(row, np.ndarray):
            return torch.from_numpy(row)
        parts = (torch.from_numpy(part) for part in (row.indptr, row.indices, row.data))
        return torch.sparse_csr_tensor(*parts, size=row.shape, check_invariants=False)

    def answer(row: Any) -> Any:
        torch.set_num_threads(1)
        with torch.inference_mode():
            return torch.softmax(row @ table + offset, 1).numpy()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of PyTorch, that its CSR tensors are young
        tensors = [tensor(row) for row in rows]
    return each_row(answer, tensors)


def close(expected: Any, got: Any) -> bool:
    return np.allclose(expected, got, rtol=1e-6, atol=1e-12)


def _task(name: str, samples: Callable[[bool], data.Samples], quick: bool) -> tuple[Any, list[Any]]:
    X = samples(quick).X_test
    return fitted(name, samples, quick), [X[i : i + 1] for i in range(N_ROWS)]


def _problems() -> list[Problem]:
    found = []
    for name, kind, samples in (
        ("LogisticRegression", "a document, 20 classes", tfidf),
        ("LogisticRegression", "dense, 100 features, 10 classes", partial(dense, n_classes=10)),
        ("LogisticRegression", "dense, 100 features, 2 classes", partial(dense, n_classes=2)),
        ("SGDClassifier", "a document, 20 classes", tfidf),
    ):
        contenders = [
            Contender("scikit-learn", 1, partial(one_by_one, "scikit-learn")),
            Contender("deciban", 1, partial(one_by_one, "deciban")),
        ]
        if name == "LogisticRegression" and "2 classes" not in kind.split(", "):
            contenders.append(Contender("PyTorch", 1, torch_one_by_one))
        found.append(
            Problem(
                "rows", f"{name}.predict_proba, {kind}", partial(_task, name, samples), tuple(contenders), close, N_ROWS
            )
        )
    return [*found, after_a_pause(found[0])]


PROBLEMS = _problems()
