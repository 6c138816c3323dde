"""Zero-change use: put deciban's classes in the place of scikit-learn's, and back.

While patched, every global name in the process that stood for a replaced class stands for deciban's class of the same
name: in scikit-learn's modules, in modules that imported the name earlier, under whatever alias. A scikit-learn module
that is not loaded yet is patched when it is, so patching by itself imports next to nothing.

What else changes, and what does not
    * Pickles (and joblib files) of scikit-learn's estimators load as deciban's, whole pipelines too. Pickles written
      of deciban's need deciban to load; ``estimator.to_sklearn()`` makes one that does not.
    * Estimators that exist already stay scikit-learn's, and so do their clones, copies and pickles. They go on working,
      but ``isinstance(old, MultinomialNB)`` is False while the name means deciban's class.
    * Only global names are replaced. A class kept elsewhere (in a dict, as a default argument, as the base of a
      subclass, in a local variable) stays scikit-learn's, and cannot itself be pickled while patched. A method of such
      a subclass that spells out ``super(MultinomialNB, self)`` or ``MultinomialNB.fit(self, ...)`` fails while patched;
      a bare ``super()`` does not. So patch first, before the imports and definitions of the program.
    * Worker processes: forked ones are patched like their parent. Ones that start afresh (spawn, loky) get deciban's
      objects as arguments as they are, but import scikit-learn's classes by themselves, unless the environment variable
      ``DECIBAN_PATCH=1`` is set: then every Python that has deciban installed starts patched (a ``.pth`` file sees to
      it, which an editable install lacks: there, a process is patched once it imports deciban). ``python -m deciban``
      sets the variable for its children. Options of :func:`deciban.set_config` are not handed on to new processes.
"""

from __future__ import annotations

import copyreg
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# sklearn.<module> -> the classes that deciban.<module> replaces
_CLASSES = {
    "feature_extraction.text": ("CountVectorizer", "HashingVectorizer", "TfidfTransformer", "TfidfVectorizer"),
    "linear_model": ("LogisticRegression", "LogisticRegressionCV", "SGDClassifier"),
    "naive_bayes": ("BernoulliNB", "CategoricalNB", "ComplementNB", "GaussianNB", "MultinomialNB"),
    "neural_network": ("MLPClassifier", "MLPRegressor"),
}

_lock = threading.Lock()  # never held during an import, which has locks of its own
_depth = 0  # calls of patch_sklearn that no unpatch_sklearn has answered yet
_loading: set[str] = set()  # modules of deciban's being executed
_replaced: dict[str, tuple[list[tuple[type, type]], set[tuple[str, str]]]] = {}


def patch_sklearn() -> None:
    """Replace scikit-learn's text vectorizers, naive Bayes, linear models and perceptrons everywhere in this process.

    Calls are counted: as many of :func:`unpatch_sklearn` undo them. See :mod:`deciban.patch` for what is replaced.

    Examples
    --------
    >>> import deciban
    >>> deciban.patch_sklearn()
    >>> from sklearn.naive_bayes import MultinomialNB
    >>> MultinomialNB.__module__
    'deciban.naive_bayes'
    >>> deciban.unpatch_sklearn()
    """
    global _depth
    with _lock:
        _depth += 1
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)
    for module in _CLASSES:
        # Loaded, or being loaded by another thread that began before the finder was there.
        if f"sklearn.{_top(module)}" in sys.modules or f"deciban.{module}" in sys.modules:
            __import__(f"deciban.{module}")
            _replace(module)


def unpatch_sklearn() -> None:
    """Undo one :func:`patch_sklearn`; the last one puts scikit-learn's classes back.

    Global names bound while patched go back too, those imported from deciban by name among them. Estimators
    made meanwhile stay deciban's. Without a patch to undo, nothing happens.

    Examples
    --------
    >>> import deciban
    >>> deciban.unpatch_sklearn()
    """
    global _depth
    with _lock:
        _depth = max(_depth - 1, 0)
        if _depth:
            return
        if _finder in sys.meta_path:
            sys.meta_path.remove(_finder)
        for pairs, kept in _replaced.values():
            _rebind({id(ours): theirs for theirs, ours in pairs}, kept)
            for theirs, _ in pairs:
                copyreg.dispatch_table.pop(theirs, None)
        _replaced.clear()


@contextmanager
def sklearn_patched() -> Iterator[None]:
    """Patch scikit-learn within a ``with`` block (or a decorated function); blocks may be nested.

    The patch is the process's: other threads see it as long as the block runs.

    Examples
    --------
    >>> import deciban
    >>> with deciban.sklearn_patched():
    ...     from sklearn.feature_extraction.text import TfidfVectorizer
    ...     TfidfVectorizer.__module__
    'deciban.feature_extraction.text'
    """
    patch_sklearn()
    try:
        yield
    finally:
        unpatch_sklearn()


def _top(module: str) -> str:
    return module.partition(".")[0]


def _replace(module: str) -> None:
    """Rebind the names of one module's classes, if not done yet; both modules are loaded."""
    with _lock:
        if not _depth or module in _replaced:
            return
        theirs, ours = sys.modules[f"sklearn.{module}"], sys.modules[f"deciban.{module}"]
        pairs = [(getattr(theirs, name), getattr(ours, name)) for name in _CLASSES[module]]
        mine = {id(cls) for _, cls in pairs}
        kept = {(owner, name) for owner, names in _namespaces() for name, cls in list(names.items()) if id(cls) in mine}
        _rebind({id(old): new for old, new in pairs}, kept)
        for old, _ in pairs:
            copyreg.pickle(old, _reduce)
        _replaced[module] = pairs, kept


def _namespaces() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every loaded module but deciban's own: its name and its global names."""
    for name, module in list(sys.modules.items()):
        # A lazy module would be loaded by a look at its attributes: ask its type, and take its dict past it.
        if issubclass(type(module), ModuleType) and _top(name) != "deciban":
            yield name, object.__getattribute__(module, "__dict__")


def _rebind(table: dict[int, type], kept: set[tuple[str, str]]) -> None:
    """Bind every global name of a class in ``table`` (by id) to its substitute."""
    for owner, names in _namespaces():
        for name, value in list(names.items()):
            if id(value) in table and (owner, name) not in kept:
                names[name] = table[id(value)]


class _Finder:
    """Lets Python find the modules to patch as ever, and patches when they have been executed.

    ``sklearn.<top>`` brings deciban's module in, and the end of deciban's module patches: so whichever of the two
    is imported first, both are complete by then.
    """

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        execute: Callable[[ModuleType, str, Callable[[ModuleType], None]], None]
        package, _, name = fullname.partition(".")
        if package == "sklearn" and name in map(_top, _CLASSES):
            execute = self._exec_theirs
        elif package == "deciban" and name in _CLASSES:
            execute = self._exec_ours
        else:
            return None
        others = (finder for finder in list(sys.meta_path) if finder is not self)
        spec = next(filter(None, (finder.find_spec(fullname, path, target) for finder in others)), None)
        if spec is not None:
            loader: Any = spec.loader  # made for this spec alone
            exec_module = loader.exec_module

            def exec_and_patch(module: ModuleType) -> None:
                del loader.exec_module
                execute(module, name, exec_module)

            loader.exec_module = exec_and_patch
        return spec

    @staticmethod
    def _exec_theirs(module: Any, top: str, exec_module: Callable[[ModuleType], None]) -> None:
        exec_module(module)
        # This thread holds the import lock of scikit-learn's module and is about to ask for that of deciban's. A thread
        # that has the latter and asks for the former must not wait for us: either it began before we look into
        # _loading, and we leave the patch to it, or it finds the module complete, which it is, and takes no lock.
        module.__spec__._initializing = False
        for name in _CLASSES:
            if _top(name) == top:
                with _lock:
                    loading = name in _loading
                if not loading:
                    __import__(f"deciban.{name}")

    @staticmethod
    def _exec_ours(module: ModuleType, name: str, exec_module: Callable[[ModuleType], None]) -> None:
        with _lock:
            _loading.add(name)
        try:
            exec_module(module)
        finally:
            with _lock:
                _loading.discard(name)
        _replace(name)


_finder: Any = _Finder()


class _ByName:
    """A replaced class within a pickle; pickle itself refuses classes that their module does not show."""

    def __init__(self, cls: type) -> None:
        self.cls = cls

    def __call__(self) -> object:
        return object.__new__(self.cls)

    def __reduce__(self) -> tuple[Any, ...]:
        from pkgutil import resolve_name

        return resolve_name, (f"{self.cls.__module__}:{self.cls.__qualname__}",)


def _reduce(estimator: Any) -> tuple[Any, ...]:
    """Pickle scikit-learn's estimator so that it loads as whatever its name stands for then; copies keep its class."""
    return _ByName(type(estimator)), (), estimator.__getstate__()
