"""pytest plugin: scikit-learn's own tests must meet our classes, not scikit-learn's."""

from functools import partial
from types import FunctionType

import deciban.patch
from deciban.linear_model import _logistic


def class_of(value):
    """The class that a name in a test module stands for: itself, what it is a partial of, or what it makes."""
    if isinstance(value, FunctionType):
        return type(value())
    return value.func if isinstance(value, partial) else value


def pytest_collection_finish(session):
    replaced = {name for names in deciban.patch._CLASSES.values() for name in names}
    modules = {item.module for item in session.items}
    for module in modules:  # a private part of LogisticRegressionCV.fit, where ours has its own
        if hasattr(module, "_log_reg_scoring_path"):
            module._log_reg_scoring_path = _logistic._log_reg_scoring_path
    seen = {
        (name, class_of(value).__module__)
        for module in modules
        for name, value in vars(module).items()
        if name in replaced
    }
    assert seen
    assert all(module.startswith("deciban.") for _, module in seen), seen
