"""pytest plugin: scikit-learn's own tests must meet our classes, not scikit-learn's."""

from functools import partial

import deciban.patch


def pytest_collection_finish(session):
    replaced = {name for names in deciban.patch._CLASSES.values() for name in names}
    seen = {
        (name, (value.func if isinstance(value, partial) else value).__module__)
        for module in {item.module for item in session.items}
        for name, value in vars(module).items()
        if name in replaced
    }
    assert seen
    assert all(module.startswith("deciban.") for _, module in seen), seen
