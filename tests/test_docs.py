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


def estimators():
    rooms = {**deciban.patch._CLASSES, "generative": importlib.import_module("deciban.generative").__all__}
    for room, names in rooms.items():
        for name in names:
            cls = getattr(importlib.import_module(f"deciban.{room}"), name)
            if isinstance(cls, type):
                yield pytest.param(room, cls, id=f"{room}.{name}")


@pytest.mark.parametrize(("room", "cls"), estimators())
def test_every_estimator_has_an_example_of_our_own(room, cls):
    assert "Examples" in cls.__doc__
    assert f"from deciban.{room} import" in cls.__doc__
    assert "References" in cls.__doc__


def test_estimators_of_every_room_are_among_them():
    assert {room for room, _ in (case.values for case in estimators())} >= {
        "feature_extraction.text",
        "generative",
        "linear_model",
        "naive_bayes",
        "neural_network",
    }


def test_the_readme(capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names = {}
    for block in blocks:
        exec(block, names)
    assert capsys.readouterr().out == "['dog']\n"
