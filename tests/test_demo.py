"""The demonstration runs anywhere: without a network, and without the optional packages."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from deciban.demo import Corpus, docstring_corpus, texts
from deciban.demo.__main__ import _progress, main
from deciban.demo.measure import differences
from deciban.naive_bayes import MultinomialNB


@pytest.fixture(scope="module")
def corpus():
    return docstring_corpus(["numpy"])


def test_docstring_corpus(corpus):
    assert corpus.name == "docstrings of numpy"
    assert len(corpus.train) == len(corpus.train_labels)
    assert len(corpus.test) == len(corpus.test_labels)
    assert set(corpus.train_labels) == set(corpus.test_labels) >= {"numpy.lib", "numpy.ma"}
    assert not set(corpus.train) & set(corpus.test)
    assert all(corpus.train)


def test_docstring_corpus_is_reproducible(corpus):
    again = docstring_corpus(["numpy"])
    assert again.train == corpus.train
    np.testing.assert_array_equal(again.test_labels, corpus.test_labels)


def test_no_difference(corpus):
    checks, accuracy = differences(corpus)
    assert len(checks) == 4
    assert not any(difference for _, difference in checks)
    assert accuracy > 0.6


def test_a_difference_is_reported(monkeypatch):
    monkeypatch.setattr(MultinomialNB, "predict", lambda _self, X: np.zeros(X.shape[0], int))
    corpus = Corpus("two", ["red rose", "blue sea"] * 3, np.array([0, 1] * 3), ["a rose", "a sea"], np.array([0, 1]))
    checks, accuracy = differences(corpus)
    assert [difference for _, difference in checks] == ["", "", "", "1 differ"]
    assert accuracy == 0.5


def test_demo(tmp_path):
    plot = ["--plot", str(tmp_path / "plot.png")] if importlib.util.find_spec("matplotlib") else []
    done = subprocess.run(
        [sys.executable, "-m", "deciban.demo", "--docstrings", "--repeat", "1", "--threads", "1", *plot],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("  same  ") == 4
    assert "DIFFERENT" not in done.stdout
    assert "peak memory" in done.stdout
    assert not plot or (tmp_path / "plot.png").stat().st_size > 10_000


@pytest.mark.parametrize("arguments", [["--repeat", "0"], ["--threads", "0"]])
def test_bad_arguments(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "at least 1" in capsys.readouterr().err


def test_without_tqdm_and_matplotlib(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with _progress(2) as step:
        step("one thing")
        step("another")
    assert capsys.readouterr().err == "[1/2] one thing\n[2/2] another\n"
    with pytest.raises(SystemExit, match="2"):
        main(["--plot", "plot.png"])
    assert "pip install matplotlib" in capsys.readouterr().err


def test_without_network(monkeypatch, capsys, corpus):
    def unreachable(download_if_missing, **_options):
        raise OSError("no route" if download_if_missing else "not cached")

    monkeypatch.setattr(texts, "fetch_20newsgroups", unreachable)
    monkeypatch.setattr(texts, "docstring_corpus", lambda: corpus)
    for reachable in (False, True):
        monkeypatch.setattr(texts, "_reachable", lambda _url, seconds, answer=reachable: seconds > 0 and answer)
        assert texts.load_corpus() is corpus
        out = capsys.readouterr().out
        assert "using the docstrings" in out
        assert ("no route" in out) == reachable


def test_nobody_answers():
    assert not texts._reachable("http://127.0.0.1:9/", seconds=2)


def test_digits(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="the picture needs matplotlib")
    picture = tmp_path / "digits.png"
    assert main(["digits", "--epochs", "2", "--output", str(picture)]) == 0
    shown = capsys.readouterr()
    assert "1,347 images of 64 pixels" in shown.out
    assert "discriminator=" in shown.err
    assert picture.stat().st_size > 10_000
    with pytest.raises(SystemExit, match="2"):
        main(["digits", "--epochs", "0"])
    assert "at least 1" in capsys.readouterr().err
