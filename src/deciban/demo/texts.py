"""The texts: the 20 newsgroups where they can be had, else the docstrings of the installed packages."""

from __future__ import annotations

import ast
import importlib.util
import socket
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import fetch_20newsgroups
from sklearn.model_selection import train_test_split

_MIN_DOCSTRINGS = 60
_HOST = "https://ndownloader.figshare.com/"  # where scikit-learn fetches the 20 newsgroups from


class Corpus(NamedTuple):
    """Labelled texts, cut into a part to learn from and a part to predict."""

    name: str
    train: list[str]
    train_labels: Any
    test: list[str]
    test_labels: Any


def docstrings(package: str) -> Iterable[tuple[str, str]]:
    """Read the docstrings of a package's public modules, classes and functions from its source; nothing is imported.

    Parameters
    ----------
    package : str
        A top-level package that is installed.

    Yields
    ------
    docstring : str
    label : str
        The subpackage (or module) that it comes from, such as "scipy.stats".
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        root = Path(folder)
        for path in sorted(root.rglob("*.py")):
            *folders, file = path.relative_to(root).with_suffix("").parts
            if "tests" in folders or file in ("conftest", "setup"):
                continue
            label = f"{package}.{[*folders, file][0]}"
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    text = ast.get_docstring(node)
                    if text and not getattr(node, "name", "").startswith("_"):
                        yield text, label


def docstring_corpus(packages: Sequence[str] = ("numpy", "scipy", "sklearn")) -> Corpus:
    """Build a corpus that every installation has: docstrings, labelled by the subpackage that they come from.

    Parameters
    ----------
    packages : sequence of str
        Packages that are installed.

    Returns
    -------
    corpus : Corpus
        Of the subpackages with at least 60 different docstrings; a quarter of each is for the test.

    Examples
    --------
    >>> from deciban.demo import docstring_corpus
    >>> corpus = docstring_corpus(["numpy"])
    >>> "numpy.ma" in corpus.train_labels
    True
    """
    label_of = dict(pair for package in packages for pair in docstrings(package))
    sizes = Counter(label_of.values())
    texts, labels = zip(*(pair for pair in label_of.items() if sizes[pair[1]] >= _MIN_DOCSTRINGS), strict=True)
    train, test, train_labels, test_labels = train_test_split(
        texts, np.array(labels), test_size=0.25, random_state=0, stratify=labels
    )
    return Corpus(f"docstrings of {', '.join(packages)}", train, train_labels, test, test_labels)


def newsgroups(download: bool) -> Corpus:
    """Load the 20 newsgroups, by scikit-learn's own loader, from its own cache.

    Parameters
    ----------
    download : bool
        Whether to try the network where they are not cached.

    Returns
    -------
    corpus : Corpus

    Raises
    ------
    OSError
        If they are neither cached nor can be fetched.
    """
    parts = [
        fetch_20newsgroups(subset=subset, download_if_missing=download, n_retries=1, delay=0.1)
        for subset in ("train", "test")
    ]
    return Corpus("20 newsgroups", *(value for part in parts for value in (part.data, part.target)))


def _reachable(url: str, seconds: float) -> bool:
    """Whether a server answers, whatever it says; a look-up of its name that hangs is not waited for."""
    answers: list[bool] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(url, timeout=seconds).close()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            return
        answers.append(True)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answers)


def load_corpus() -> Corpus:
    """Load the 20 newsgroups, cached or fetched, and where there are none build the corpus of docstrings."""
    try:
        return newsgroups(download=False)
    except OSError:
        print("The 20 newsgroups are not in scikit-learn's cache: trying to download them.")
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(10)
    try:
        if _reachable(_HOST, seconds=4):
            return newsgroups(download=True)
    except OSError as error:
        print(f"The download failed ({error}).")
    finally:
        socket.setdefaulttimeout(timeout)
    print("There is no way to them from here: using the docstrings of the installed packages.")
    return docstring_corpus()
