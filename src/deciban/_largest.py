"""The most probable class of sparse rows: scores in fixed point, and blocks of rows on threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from deciban._arrays import DATA_DTYPES, INDEX_DTYPES, Array, aligned_empty, entries, specialise
from deciban._kernels import largest, posterior
from deciban._rows import answer_rows

_HUGE = 1e30  # of which sums in single precision might overflow
_SMALL = 1e-290  # whose reciprocal is finite

_largest_rows = specialise(largest.largest_rows, DATA_DTYPES, INDEX_DTYPES)


class FixedTable:
    """Scores of every feature and class in 24 bits, for the largest class alone.

    Parameters
    ----------
    n_features, n_classes : int
        How many there are.
    lowest, highest : float
        Between which all scores lie.

    Attributes
    ----------
    usable : bool
        Whether all scores that were written are finite and lie where they should.
    """

    __slots__ = ("_cells", "_largest_value", "_middle", "_n_features", "_unit", "usable")

    def __init__(self, n_features: int, n_classes: int, lowest: float, highest: float) -> None:
        self._largest_value = max(-lowest, highest)
        self.usable = self._largest_value < _HUGE  # not so for NaN
        self._n_features = n_features
        self._middle = (lowest + highest) / 2
        self._unit = max((highest - lowest) * (0.5 + 1e-12) / largest.UNITS, _SMALL)
        self._cells = aligned_empty((largest.table_bytes(n_features, n_classes),), np.uint8)

    def write(self, start: int, scores: Array) -> None:
        """Write the scores of the features from ``start`` on, (n, n_classes)."""
        if not largest.pack(scores, self._middle, self._unit, start, self._cells):
            self.usable = False

    def answer(self, X: Any, offset: Array, binary: bool, threshold: float) -> tuple[Array, int]:
        """Return the largest class of the rows of a CSR matrix, -1 for a row in doubt, and the trouble met.

        With ``binary``, an entry counts as 1 where it is above the threshold, else as nothing.
        """
        parts = entries(X)

        def task(start: int, stop: int, _: Array, out: Array) -> int:
            return self.rows(parts, offset, binary, threshold, start, stop, out)

        n_rows = X.shape[0]
        return answer_rows(task, posterior.LARGEST, n_rows, len(offset), len(parts[0]) // n_rows + 1)

    def rows(
        self,
        parts: tuple[Array, Array, Array],
        offset: Array,
        binary: bool,
        threshold: float,
        start: int,
        stop: int,
        out: Array,
    ) -> int:
        """Set ``out[start:stop]`` to the largest class of rows of data, indices and indptr; return the trouble met."""
        kernel = _largest_rows[parts[0].dtype, parts[1].dtype]
        table = self._cells, self._n_features, self._unit, self._largest_value
        return kernel(*parts, *table, offset, binary, threshold, start, stop, out)
