"""What the problems work on. Every set is made once a process, the same every time; ``quick`` makes small ones."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from deciban.demo.texts import load_corpus
from deciban.feature_extraction.text import CountVectorizer


class Texts(NamedTuple):
    """Documents and the numbers of their classes."""

    train: list[str]
    train_labels: Any
    test: list[str]
    test_labels: Any


class Samples(NamedTuple):
    """Rows to learn from and rows to predict."""

    X: Any
    y: Any
    X_test: Any
    n_classes: int


@lru_cache(maxsize=1)
def corpus() -> Any:
    """Return the 20 newsgroups, or docstrings where there is no way to them."""
    return load_corpus()


@lru_cache(maxsize=2)
def texts(quick: bool) -> Texts:
    whole = corpus()
    _, train_labels = np.unique(whole.train_labels, return_inverse=True)
    _, test_labels = np.unique(whole.test_labels, return_inverse=True)
    n = 400 if quick else None
    return Texts(whole.train[:n], train_labels[:n], whole.test[:n], test_labels[:n])


# The same texts in other scripts, letter for letter: lengths and frequencies of words stay as they are.
_LATIN = str.maketrans("aeiounycAEIOUNYC", "äéîöüñýçÄÉÎÖÜÑÝÇ")
_CYRILLIC = {ord(a): ord("а") + i for i, a in enumerate("abcdefghijklmnopqrstuvwxyz")}
_CYRILLIC |= {ord(a): ord("А") + i for i, a in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ")}
_DESERET = {ord("A") + i: 0x10400 + i for i in range(26)} | {ord("a") + i: 0x10428 + i for i in range(26)}
SCRIPTS = {"Latin-1": _LATIN, "Cyrillic (2 bytes a character)": _CYRILLIC, "Deseret (4 bytes a character)": _DESERET}


@lru_cache(maxsize=1)
def spelt(quick: bool, script: str) -> Texts:
    """Return 4,000 of the documents (and none to test) in another script."""
    plain = texts(quick)
    return Texts([text.translate(SCRIPTS[script]) for text in plain.train[:4000]], plain.train_labels[:4000], [], [])


@lru_cache(maxsize=2)
def counts(quick: bool) -> Samples:
    """Return the word counts of the documents."""
    documents = texts(quick)
    vectorizer = CountVectorizer()
    X = vectorizer.fit_transform(documents.train)
    y = documents.train_labels
    return Samples(X, y, vectorizer.transform(documents.test), int(y.max()) + 1)


@lru_cache(maxsize=1)
def many_classes(quick: bool, n_classes: int) -> Samples:
    """Return random counts: 200,000 x 100,000 with 23 million entries, frequent columns first."""
    n_rows, n_columns, per_row = (2_000, 1_000, 30) if quick else (200_000, 100_000, 115)
    rng = np.random.default_rng(0)
    columns = (n_columns * rng.random(n_rows * per_row) ** 3).astype(np.int32)
    indptr = np.arange(0, n_rows * per_row + 1, per_row, dtype=np.int32)
    X = sp.csr_matrix((np.ones(len(columns), np.int64), columns, indptr), shape=(n_rows, n_columns))
    X.sum_duplicates()
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n_rows - n_classes)])
    return Samples(X, y, X[: n_rows // 20], n_classes)


@lru_cache(maxsize=1)
def gaussians(quick: bool) -> Samples:
    """Return 1,000,000 x 50 normal numbers in ten clouds."""
    n_rows = 5_000 if quick else 1_000_000
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, n_rows)
    X = rng.standard_normal((n_rows, 50))
    X += rng.standard_normal((10, 50))[y] * 0.5
    return Samples(X, y, X, 10)


@lru_cache(maxsize=1)
def categories(quick: bool) -> Samples:
    """Return 200,000 x 50 categories, ten a feature, some more frequent in one class than in another."""
    n_rows = 5_000 if quick else 200_000
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, n_rows)
    X = (rng.integers(0, 10, (n_rows, 50)) + (rng.random((n_rows, 50)) < 0.2) * y[:, np.newaxis]) % 10
    return Samples(X, y, X, 10)
