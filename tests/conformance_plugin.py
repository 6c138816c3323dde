"""pytest plugin: scikit-learn's own tests must meet our classes, not scikit-learn's."""

from functools import partial
from types import FunctionType

import deciban.patch


def class_of(value):
    """The class that a name in a test module stands for: itself, what it is a partial of, or what it makes."""
    if isinstance(value, FunctionType):
        return type(value())
    return value.func if isinstance(value, partial) else value


def pytest_collection_finish(session):
    replaced = {name for names in deciban.patch._CLASSES.values() for name in names}
    seen = {
        (name, class_of(value).__module__)
        for module in {item.module for item in session.items}
        for name, value in vars(module).items()
        if name in replaced
    }
    assert seen
    assert all(module.startswith("deciban.") for _, module in seen), seen
