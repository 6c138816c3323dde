"""The tutorial runs, and prints what it shows."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d*)?")


def same(printed, shown):
    """Return whether two outputs have the same words, and numbers that agree to their last digits."""
    numbers, expected = ([float(n) for n in NUMBER.findall(text)] for text in (printed, shown))
    words = (NUMBER.sub("#", text).split() for text in (printed, shown))
    return next(words) == next(words) and numbers == pytest.approx(expected, rel=0.01, abs=0.021)


def run(name, capsys):
    """Run a page's examples, one after the other; see that they print what it shows; return its text."""
    page = (DOCS / name).read_text()
    names = {}
    for code, shown in BLOCK.findall(page):
        exec(code, names)
        printed = capsys.readouterr().out
        assert same(printed, shown), f"printed\n{printed}\nthe page shows\n{shown}"
    return page


def test_the_page(newsgroups, tmp_path, monkeypatch, capsys):  # noqa: ARG001
    monkeypatch.setenv("MPLBACKEND", "Agg")
    pytest.importorskip("matplotlib", reason="the plots need matplotlib").use("Agg")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    page = run("tutorial.md", capsys)
    images = re.findall(r"!\[.*?\]\((.*?)\)", page)
    assert images
    for image in images:
        assert (tmp_path / image).exists()


def test_the_page_on_streams(newsgroups, capsys):  # noqa: ARG001
    run("streaming.md", capsys)


def test_the_page_on_models_that_generate(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="the plots need matplotlib").use("Agg")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    page = run("generative.md", capsys)
    drawn = {f"images/{path.name}" for path in (tmp_path / "images").iterdir()}
    images = set(re.findall(r"!\[.*?\]\((.*?)\)", page))
    assert drawn <= images
    for image in images:
        assert 0 < (DOCS / image).stat().st_size < 150_000


def test_images_are_there():
    for image in re.findall(r"!\[.*?\]\((.*?)\)", (DOCS / "tutorial.md").read_text()):
        assert 0 < (DOCS / image).stat().st_size < 60_000
