"""Other libraries, made to answer the same questions; a :class:`MissingPeerError` says that one cannot run."""

import importlib
import os
import re
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import scipy.sparse as sp
import sklearn.utils
from work import Work


class MissingPeerError(Exception):
    """A peer is not installed, or does not run here."""


def load(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPeerError(f"{name} does not import: {error}") from error


def polars_counts(texts: Any) -> Work:
    """Words and their counts by Rust's regex and a parallel group_by, then SciPy's matrix."""
    pl = load("polars")
    words = pl.col("text").str.to_lowercase().str.extract_all(r"[\p{L}\p{N}_]{2,}")

    def call(_state: Any) -> Any:
        frame = pl.DataFrame({"row": range(len(texts.train)), "text": texts.train})
        terms = (
            frame.lazy().select("row", word=words).explode("word").drop_nulls().group_by("row", "word").len().collect()
        )
        names = terms.select(pl.col("word").unique().sort()).with_row_index("column")
        terms = terms.join(names, on="word")
        data, rows, columns = (terms[name].to_numpy() for name in ("len", "row", "column"))
        return sp.csr_matrix((data, (rows, columns)), shape=(len(texts.train), len(names)))

    return Work(call)


def fastcountvectorizer(texts: Any, n_documents: int | None = None, **options: Any) -> Work:
    """Counts in C++; the regular expression and the lower case are scikit-learn's preprocessing."""
    if not hasattr(sklearn.utils, "_IS_32BIT"):
        sklearn.utils._IS_32BIT = sys.maxsize < 2**32  # it imports this from older scikit-learns
    cls = load("fastcountvectorizer").FastCountVectorizer
    spaces = partial(re.compile(r"\s\s+").sub, " ")
    make_ready = spaces if options.get("analyzer") == "char" else str
    documents = texts.train[:n_documents]
    return Work(lambda _: cls(**options).fit_transform([make_ready(text.lower()) for text in documents]))


def _daal4py() -> Any:
    sys.modules.setdefault("daal4py.sklearn", ModuleType("daal4py.sklearn"))  # its patches need an older scikit-learn
    daal = load("daal4py")
    if not hasattr(daal, "multinomial_naive_bayes_training"):
        raise MissingPeerError("this daal4py, of scikit-learn-intelex, has no naive Bayes any more")
    daal.daalinit(1)
    return daal


def _daal4py_training(daal: Any, samples: Any) -> Callable[[], Any]:
    # Conversions are not timed: it takes floats only.
    X, y = samples.X.astype(float), samples.y.astype(float)[:, None]
    options = {"nClasses": samples.n_classes, "method": "fastCSR"}
    return lambda: daal.multinomial_naive_bayes_training(**options).compute(X, y).model


def _daal4py_prediction(daal: Any, X: Any, n_classes: int) -> Callable[[Any], Any]:
    X = X.astype(float)
    options = {"nClasses": n_classes, "method": "fastCSR"}
    return lambda m: daal.multinomial_naive_bayes_prediction(**options).compute(X, m).prediction.ravel().astype(int)


def daal4py_fit(samples: Any) -> Work:
    daal = _daal4py()
    fit = _daal4py_training(daal, samples)
    return Work(lambda _: fit(), answer=_daal4py_prediction(daal, samples.X_test[:500], samples.n_classes))


def daal4py_predict(samples: Any) -> Work:
    daal = _daal4py()
    model = _daal4py_training(daal, samples)()
    predict = _daal4py_prediction(daal, samples.X_test, samples.n_classes)
    return Work(lambda _: predict(model))


def mlpack_fit(samples: Any) -> Work:
    nbc = load("mlpack").nbc
    y = samples.y.astype(np.uint64)

    def answer(model: Any) -> Any:
        return nbc(input_model=model, test=samples.X_test[:500])["predictions"].ravel().astype(int)

    return Work(lambda _: nbc(training=samples.X, labels=y)["output_model"], answer=answer)


def mlpack_predict(samples: Any) -> Work:
    nbc = load("mlpack").nbc
    model = nbc(training=samples.X, labels=samples.y.astype(np.uint64))["output_model"]
    return Work(lambda _: nbc(input_model=model, test=samples.X_test)["predictions"].ravel().astype(int))


def fasttext_one(texts: Any, n_documents: int) -> Work:
    """fastText is another model of the same words: it is timed for its speed, not for its answers."""
    fasttext = load("fasttext")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "train.txt")
        with open(path, "w", encoding="utf-8") as file:
            for text, label in zip(texts.train, texts.train_labels, strict=True):
                file.write(f"__label__{label} {' '.join(text.split())}\n")
        n_epochs = max(10, 40_000 // len(texts.train))
        model = fasttext.train_supervised(path, epoch=n_epochs, lr=0.5, dim=10, thread=2, verbose=0)
    documents = texts.test[:n_documents]
    predict = model.f.predict  # the Python method around it fails on NumPy 2

    def call(_state: Any) -> Any:
        return [predict(f"{' '.join(text.split())}\n", 1, 0.0, "strict") for text in documents]

    return Work(
        call, answer=lambda answers: np.array([int(answer[0][1].removeprefix("__label__")) for answer in answers])
    )
