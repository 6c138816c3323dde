"""The examples of the documentation run."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import deciban

ROOT = Path(__file__).parents[1]
MODULES = [
    module.name for module in pkgutil.walk_packages(deciban.__path__, "deciban.") if "_kernels" not in module.name
]


@pytest.mark.parametrize("name", ["deciban", *(name for name in MODULES if not name.endswith("__main__"))])
def test_docstrings(name):
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS).failed == 0


@pytest.mark.parametrize(
    "cls", [*deciban.patch._CLASSES["naive_bayes"], *deciban.patch._CLASSES["feature_extraction.text"]]
)
def test_every_estimator_has_an_example_of_our_own(cls):
    module = "naive_bayes" if cls in deciban.patch._CLASSES["naive_bayes"] else "feature_extraction.text"
    doc = getattr(importlib.import_module(f"deciban.{module}"), cls).__doc__
    assert "Examples" in doc
    assert f"from deciban.{module} import" in doc
    assert "References" in doc


def test_the_readme(capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names = {}
    for block in blocks:
        exec(block, names)
    assert capsys.readouterr().out == "['dog']\n"
