"""A fitted vocabulary: a native table of terms and, once somebody looks, a dict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from deciban._kernels.terms import Terms
from deciban._kernels.tokens import Analyzer
from deciban._lazy import Lazy, LazyAttribute

Native = tuple[Terms, npt.NDArray[np.int32], int]  # terms, each one's column or -1, number of columns


class WatchedDict(dict[str, int]):
    """A dict that counts how often it was changed; it pickles and copies as a plain dict."""

    version = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


def _watch(name: str) -> None:
    method = getattr(dict, name)

    def watched(self: WatchedDict, *args: Any, **kwargs: Any) -> Any:
        self.version += 1
        try:
            return method(self, *args, **kwargs)
        finally:
            self.version += 1  # a table made in between is of neither state

    watched.__name__ = name
    watched.__doc__ = method.__doc__
    setattr(WatchedDict, name, watched)


for _name in ("__setitem__", "__delitem__", "__ior__", "clear", "pop", "popitem", "setdefault", "update"):
    _watch(_name)


class Vocabulary(Lazy):
    """Terms and their columns, as a native table or as the dict that users see; each is made of the other on demand.

    Parameters
    ----------
    terms : Terms
        The terms, in the order that the dict has.
    columns : ndarray of shape (n_terms,), dtype int32
        Each term's column, or -1 for a term that is not of the vocabulary.
    n_columns : int
        Number of terms that are.

    Attributes
    ----------
    ready : (tuple, Analyzer) or None
        The analyzer that documents were last cut by, and the vectorizer's parameters that it was made for.
    """

    __slots__ = ("_native", "ready")

    def __init__(self, terms: Terms, columns: npt.NDArray[np.int32], n_columns: int) -> None:
        super().__init__(lambda: self._make_dict(terms, columns))
        # of a version of the dict: published in one assignment, for threads that share the vectorizer
        self._native: tuple[int, Native | None] | None = (0, (terms, columns, n_columns))
        self.ready: tuple[tuple[Any, ...], Analyzer] | None = None

    @classmethod
    def of(cls, mapping: Mapping[str, int]) -> Vocabulary:
        """Make a vocabulary of a copy of a mapping, its native table only when it is needed."""
        vocabulary = cls.__new__(cls)
        vocabulary._make = None
        vocabulary._value = WatchedDict(mapping)
        vocabulary._native = None
        vocabulary.ready = None
        return vocabulary

    @staticmethod
    def _make_dict(terms: Terms, columns: npt.NDArray[np.int32]) -> WatchedDict:
        result = WatchedDict()
        terms.fill_dict(columns, result)
        return result

    def native(self) -> Native | None:
        """Return table, columns and their number, or None where the dict is not {str: 0 ... n - 1}."""
        version = 0 if self._make is not None else self._value.version
        native = self._native
        if native is None or native[0] != version:
            native = self._native = version, self._native_of(dict(self._value))
        return native[1]

    @staticmethod
    def _native_of(mapping: dict[Any, Any]) -> Native | None:
        if not mapping or not all(isinstance(term, str) for term in mapping):
            return None
        columns = np.array(list(mapping.values()))
        n = len(columns)
        if columns.ndim != 1 or columns.dtype.kind not in "iu" or columns.min() < 0 or columns.max() >= n:
            return None
        return Terms.of(mapping), columns.astype(np.int32), n

    def names(self) -> list[str] | None:
        """Return the terms in order of column, or None where there is not one for each."""
        native = self.native()
        if native is None:
            return None
        terms, columns, n_columns = native
        numbers = np.full(n_columns, len(terms), dtype=np.uint32)
        kept = np.flatnonzero(columns >= 0)
        numbers[columns[kept]] = kept
        return terms.strings(numbers) if (numbers < len(terms)).all() else None


class VocabularyAttribute(LazyAttribute):
    """The attribute ``vocabulary_``: what is assigned becomes a :class:`Vocabulary`."""

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.name] = Vocabulary.of(value) if isinstance(value, Mapping) else value
