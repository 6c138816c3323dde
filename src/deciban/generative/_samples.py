"""Samples as the training kernels take them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from deciban._arrays import Array, csr_parts

_NO_ENTRIES = np.empty(0, np.int32)


class Samples(NamedTuple):
    """Samples as the training kernels take them, dense or CSR; what is not used is empty."""

    X: Array
    data: Array
    scaled: Array
    indices: Array
    indptr: Array
    codes: Array

    @property
    def sparse(self) -> bool:
        return len(self.indptr) > 0

    @property
    def n_samples(self) -> int:
        return len(self.indptr) - 1 if self.sparse else len(self.X)

    @property
    def dtype(self) -> Any:
        return self.X.dtype

    @property
    def values(self) -> Array:
        """All values that are stored."""
        return self.data if self.sparse else self.X

    def mean_and_variance(self, n_features: int) -> tuple[Array, Array]:
        """Return the mean and the variance of every feature."""
        if not self.sparse:
            return self.X.mean(axis=0, dtype=np.float64), self.X.var(axis=0, dtype=np.float64)
        total = np.bincount(self.indices, self.data, minlength=n_features)
        squares = np.bincount(self.indices, np.square(self.data, dtype=np.float64), minlength=n_features)
        mean = total / self.n_samples
        return mean, np.maximum(squares / self.n_samples - mean**2, 0)


def make_samples(X: Any, codes: Array | None, unit_rows: bool) -> Samples:
    """Return checked samples for the kernels; with ``unit_rows`` an encoder sees CSR rows scaled to length one."""
    nothing = np.empty(0, X.dtype)
    given = _NO_ENTRIES if codes is None else np.ascontiguousarray(codes, np.int32)
    if not sp.issparse(X):
        return Samples(np.ascontiguousarray(X), nothing, nothing, _NO_ENTRIES, np.empty(0, np.int64), given)
    data, indices, indptr = csr_parts(X)
    if not X.has_canonical_format:  # squares of entries are summed: one entry a feature
        X = type(X)((data, indices, indptr), shape=X.shape, copy=True)
        X.sum_duplicates()
        data, indices, indptr = X.data, X.indices, X.indptr
    indptr = indptr.astype(np.int64)
    begin = int(indptr[0])
    data, indices = data[begin : int(indptr[-1])], indices[begin : int(indptr[-1])].astype(np.int32)
    indptr = indptr - begin
    scaled = data
    if unit_rows:
        rows = np.repeat(np.arange(X.shape[0]), np.diff(indptr))
        length = np.sqrt(np.bincount(rows, np.square(data, dtype=np.float64), minlength=X.shape[0]))
        scaled = (data / np.maximum(length, np.finfo(np.float64).tiny)[rows]).astype(data.dtype)
    return Samples(np.empty((0, X.shape[1]), X.dtype), data, scaled, indices, indptr, given)
