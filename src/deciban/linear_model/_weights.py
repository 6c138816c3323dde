"""The weights of linear models while they are learned: shrunk and averaged by three numbers a class."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from deciban._arrays import Array
from deciban._lazy import Lazy


class Parts(NamedTuple):
    """Weights ``scale * table`` and averages ``(averages + mix * table) / share``.

    ``table`` and ``averages`` (None where there are no averages) have shape (n_features, n_columns), the others
    (n_columns,).
    """

    table: Array
    averages: Array | None
    scale: Array
    mix: Array
    share: Array


class Weights:
    """Weights and maybe their averages, as a learner left them: nothing is multiplied out before somebody looks.

    The parts are replaced as one, never changed under a reader; only the owner, who asks for them by
    :meth:`writable`, writes into the tables.
    """

    def __init__(self, table: Array, averages: Array | None) -> None:
        n_columns = table.shape[1]
        self.parts = Parts(table, averages, np.ones(n_columns), np.zeros(n_columns), np.ones(n_columns))
        self.fresh = False  # all zero
        self.parameters: Any = None  # that the learner found in order
        self._shown = False
        self._looked: tuple[Parts | None, bool] = None, False  # of which parts it is known whether they are settled
        self.places: list[npt.NDArray[np.int32]] = []  # tables of -1 for each feature, for one learner at a time

    @classmethod
    def zeros(cls, n_features: int, n_columns: int, dtype: Any, averaged: bool) -> Weights:
        """Make weights that are zero."""
        shape = n_features, n_columns
        weights = cls(np.zeros(shape, dtype), np.zeros(shape, dtype) if averaged else None)
        weights.fresh = True
        return weights

    @classmethod
    def of(cls, coef: Any, average: Any | None) -> Weights:
        """Copy coefficients of shape (n_columns, n_features) or (n_features,), and their averages."""
        tables = [
            None if array is None else np.array(np.atleast_2d(array).T, order="C", copy=True)
            for array in (coef, average)
        ]
        assert tables[0] is not None
        return cls(tables[0], tables[1])

    def writable(self) -> Parts:
        """Return the parts to write into: a copy of tables that somebody else may hold."""
        if self._shown:
            table, averages, *rest = self.parts
            self.parts = Parts(table.copy(), None if averages is None else averages.copy(), *rest)
            self._shown = False
        return self.parts

    def is_settled(self) -> bool:
        """Return whether scale and share are multiplied into the tables."""
        looked = self._looked
        if looked[0] is not self.parts:
            parts = self.parts
            _, _, scale, mix, share = parts
            looked = self._looked = parts, bool((scale == 1).all() and (share == 1).all() and not mix.any())
        return looked[1]

    def settled(self) -> Parts:
        """Return the parts, with scale and share multiplied into the tables."""
        if not self.is_settled():
            table, averages, scale, mix, share = self.parts
            dtype = table.dtype.type
            if averages is not None:
                averages = table * (mix / share).astype(dtype) + averages * (1 / share).astype(dtype)
            table = table * scale.astype(dtype)
            self.parts = Parts(table, averages, np.ones_like(scale), np.zeros_like(mix), np.ones_like(share))
            self._shown = False
        return self.parts

    def peek(self, averaged: bool) -> Array:
        """Return the weights or their averages, (n_columns, n_features), for a look."""
        parts = self.settled()
        table = parts.averages if averaged else parts.table
        assert table is not None
        return table.T

    def show(self, averaged: bool) -> Array:
        """Return the weights or their averages, (n_columns, n_features), to keep and to write into."""
        coef = self.peek(averaged)
        self._shown = True
        return coef


class Coefficients(Lazy):
    """An attribute that shows weights, or their averages."""

    __slots__ = ("averaged", "weights")

    def __init__(self, weights: Weights, averaged: bool) -> None:
        self.weights = weights
        self.averaged = averaged

    def get(self) -> Array:
        return self.weights.show(self.averaged)
