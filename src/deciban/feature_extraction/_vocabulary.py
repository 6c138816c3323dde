"""A fitted vocabulary: a native table of terms and, once somebody looks, a dict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from deciban._kernels.terms import Terms
from deciban._lazy import Lazy, LazyAttribute


class WatchedDict(dict[str, int]):
    """A dict that knows whether it was changed since the native table was made of it.

    It pickles and copies as a plain dict.
    """

    changed = False

    def __reduce__(self) -> tuple[Any, ...]:  # type: ignore[override]
        return dict, (dict(self),)


def _watch(name: str) -> None:
    method = getattr(dict, name)

    def watched(self: WatchedDict, *args: Any, **kwargs: Any) -> Any:
        self.changed = True
        return method(self, *args, **kwargs)

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
    """

    __slots__ = ("_native", "n_columns")

    def __init__(self, terms: Terms, columns: npt.NDArray[np.int32], n_columns: int) -> None:
        super().__init__(lambda: self._make_dict(terms, columns))
        self._native: tuple[Terms, npt.NDArray[np.int32]] | None = (terms, columns)
        self.n_columns = n_columns

    @classmethod
    def of(cls, mapping: Mapping[str, int]) -> Vocabulary:
        """Make a vocabulary of a copy of a mapping, its native table only when it is needed."""
        vocabulary = cls.__new__(cls)
        vocabulary._make = None
        vocabulary._value = WatchedDict(mapping)
        vocabulary._native = None
        vocabulary.n_columns = len(mapping)
        return vocabulary

    @staticmethod
    def _make_dict(terms: Terms, columns: npt.NDArray[np.int32]) -> WatchedDict:
        result = WatchedDict()
        terms.fill_dict(columns, result)
        return result

    def native(self) -> tuple[Terms, npt.NDArray[np.int32]] | None:
        """Return the table and each term's column, or None where the dict is not {str: 0 ... n - 1}."""
        if self._make is not None:  # nobody has seen a dict that could have changed
            return self._native
        if self._native is None or self._value.changed:
            self._value.changed = False
            self._native = self._native_of(self._value)
            self.n_columns = len(self._value)
        return self._native

    @staticmethod
    def _native_of(mapping: Mapping[Any, Any]) -> tuple[Terms, npt.NDArray[np.int32]] | None:
        if not mapping or not all(isinstance(term, str) for term in mapping):
            return None
        columns = np.array(list(mapping.values()))
        n = len(columns)
        if columns.ndim != 1 or columns.dtype.kind not in "iu" or columns.min() < 0 or columns.max() >= n:
            return None
        return Terms.of(mapping), columns.astype(np.int32)

    def names(self) -> list[str] | None:
        """Return the terms in order of column, or None where :meth:`native` is None."""
        native = self.native()
        if native is None:
            return None
        terms, columns = native
        numbers = np.full(self.n_columns, len(terms), dtype=np.uint32)
        kept = np.flatnonzero(columns >= 0)
        numbers[columns[kept]] = kept
        return terms.strings(numbers)


class VocabularyAttribute(LazyAttribute):
    """The attribute ``vocabulary_``: what is assigned becomes a :class:`Vocabulary`."""

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.name] = Vocabulary.of(value) if isinstance(value, Mapping) else value
