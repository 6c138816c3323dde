"""The story, told by either library: from texts to predictions, compared, timed and weighed."""

from __future__ import annotations

import gc
import importlib.util
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import make_pipeline

import deciban
from deciban._parallel import effective_n_threads
from deciban.demo.texts import Corpus
from deciban.feature_extraction.text import CountVectorizer
from deciban.naive_bayes import MultinomialNB

LIBRARIES = ("scikit-learn", "deciban")
STAGES = {
    "fit_transform": "CountVectorizer.fit_transform",
    "fit": "MultinomialNB.fit",
    "transform": "CountVectorizer.transform",
    "predict": "MultinomialNB.predict, the first",
    "whole": "all of these",
    "one": "one document, Pipeline.predict",
}
_N_ONE = 50  # documents that are predicted one by one


def _estimators(library: str) -> tuple[Any, Any]:
    """Return a vectorizer and a classifier of a library; scikit-learn's own, even where it is patched."""
    classes: Any = (CountVectorizer, MultinomialNB)
    if library == "scikit-learn":
        classes = [cls._sklearn_class() for cls in classes]
    return classes[0](), classes[1]()


def differences(corpus: Corpus) -> tuple[list[tuple[str, str]], float]:
    """Run both libraries and compare what comes out, to the bit.

    Parameters
    ----------
    corpus : Corpus

    Returns
    -------
    checks : list of (str, str)
        What was compared, and how it differs ("" where it does not).
    accuracy : float
        Of deciban's predictions.
    """
    results = []
    for library in LIBRARIES:
        vectorizer, classifier = _estimators(library)
        X = vectorizer.fit_transform(corpus.train)
        classifier.fit(X, corpus.train_labels)
        X_test = vectorizer.transform(corpus.test)
        results.append((vectorizer.vocabulary_, X, X_test, classifier.predict(X_test)))
    (words, X, X_test, labels), (our_words, our_X, our_X_test, our_labels) = results

    def matrix(one: Any, other: Any) -> str:
        parts = [(getattr(one, part), getattr(other, part)) for part in ("data", "indices", "indptr")]
        same = one.shape == other.shape and all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in parts)
        return "" if same else f"{one!r} and {other!r} differ"

    n_different = int(np.sum(labels != our_labels))
    checks = [
        (f"vocabulary of {len(words):,} words", "" if list(words.items()) == list(our_words.items()) else "differs"),
        (f"training matrix {X.shape[0]:,} x {X.shape[1]:,}, {X.nnz:,} counts", matrix(X, our_X)),
        (f"test matrix {X_test.shape[0]:,} x {X_test.shape[1]:,}, {X_test.nnz:,} counts", matrix(X_test, our_X_test)),
        (f"{len(labels):,} predictions", f"{n_different:,} differ" if n_different else ""),
    ]
    return checks, float(np.mean(our_labels == corpus.test_labels))


def time_stages(library: str, corpus: Corpus) -> dict[str, float]:
    """Run the story once, from texts to predictions.

    Parameters
    ----------
    library : {"scikit-learn", "deciban"}
    corpus : Corpus

    Returns
    -------
    seconds : dict of str to float
        Of each stage, of the whole, and of one document through a fitted pipeline (the median of 50).
    """
    vectorizer, classifier = _estimators(library)
    gc.collect()
    clock = [time.perf_counter()]
    X = vectorizer.fit_transform(corpus.train)
    clock.append(time.perf_counter())
    classifier.fit(X, corpus.train_labels)
    clock.append(time.perf_counter())
    X_test = vectorizer.transform(corpus.test)
    clock.append(time.perf_counter())
    classifier.predict(X_test)
    clock.append(time.perf_counter())

    pipeline = make_pipeline(vectorizer, classifier)
    one = []
    for text in corpus.test[:_N_ONE]:
        start = time.perf_counter()
        pipeline.predict([text])
        one.append(time.perf_counter() - start)
    return dict(zip(STAGES, [*np.diff(clock), clock[-1] - clock[0], statistics.median(one)], strict=True))


def peak_memory(start_anew: bool = False) -> float | None:
    """Return the most memory that this process has held, in MB (None where the system does not say).

    Parameters
    ----------
    start_anew : bool, default=False
        Forget earlier peaks first, where the system can (Linux).

    Returns
    -------
    megabytes : float or None
    """
    status = Path("/proc/self/status")
    if status.exists():  # the peak that getrusage reports here can be that of the process which started this one
        if start_anew and os.access("/proc/self/clear_refs", os.W_OK):
            Path("/proc/self/clear_refs").write_text("5")
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) / 1024
    if importlib.util.find_spec("resource") is None:
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _print_added_memory(library: str, path: str, n_threads: int) -> None:
    """Run in a process of its own: print by how much the story raises the peak of memory above that of the texts."""
    deciban.set_config(n_threads=n_threads)
    with open(path, "rb") as file:
        corpus = Corpus(*pickle.load(file))
    for name in LIBRARIES:  # what is loaded on first use belongs to no stage
        time_stages(name, Corpus("", ["a b", "two words"], [0, 1], ["some words"], [0]))
    gc.collect()
    before = peak_memory(start_anew=True)
    time_stages(library, corpus)
    after = peak_memory()
    print("nan" if before is None or after is None else after - before)


def added_memory(library: str, corpus: Corpus) -> float:
    """Measure how much memory the story takes on top of the texts and the loaded modules, in a fresh process.

    Parameters
    ----------
    library : {"scikit-learn", "deciban"}
    corpus : Corpus

    Returns
    -------
    megabytes : float
        NaN where the system does not say.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "corpus.pickle")
        with open(path, "wb") as file:
            pickle.dump(tuple(corpus), file)
        arguments = f"{library!r}, {path!r}, {effective_n_threads()}"
        code = f"from deciban.demo.measure import _print_added_memory as run; run({arguments})"
        return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
