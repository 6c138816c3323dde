"""The border: sparse matrices from outside are checked once, in native code, before a kernel indexes with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from deciban._kernels import csr

Array = npt.NDArray[Any]

CSR_TYPES = (sp.csr_matrix, sp.csr_array)
DATA_DTYPES = tuple(np.dtype(name) for name in ("float64", "float32", "int64", "int32"))
INDEX_DTYPES = (np.dtype(np.int64), np.dtype(np.int32))
_LINE = 64  # bytes of a cache line


def csr_parts(X: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Check a SciPy CSR matrix or array and return its parts, ready for a kernel.

    Parameters
    ----------
    X : scipy.sparse.csr_matrix or csr_array of shape (n_rows, n_cols)

    Returns
    -------
    data : ndarray of shape (n_entries,)
        Of X's dtype, C-contiguous, in native byte order.
    indices, indptr : ndarray of int32 or int64, of one dtype, C-contiguous
        Every row's columns, within [0, n_cols); rows may be unsorted and hold duplicates.

    Raises
    ------
    ValueError
        If the three arrays do not make a matrix of that shape.
    """
    n_rows, n_cols = X.shape
    data, indices, indptr = X.data, X.indices, X.indptr
    for name, array in (("data", data), ("indices", indices), ("indptr", indptr)):
        if not isinstance(array, np.ndarray) or array.ndim != 1:
            raise ValueError(f"{name} of a CSR matrix must be a one-dimensional array, got {type(array).__name__}")
    for name, array in (("indices", indices), ("indptr", indptr)):
        if array.dtype.kind not in "iu":
            raise ValueError(f"{name} of a CSR matrix must be integers, got dtype {array.dtype}")
    if len(data) != len(indices):
        raise ValueError(
            f"data and indices of a CSR matrix must have the same length, got {len(data)} and {len(indices)}"
        )
    if indices.dtype != indptr.dtype or indices.dtype not in INDEX_DTYPES or not indices.dtype.isnative:
        indices, indptr = indices.astype(np.int64), indptr.astype(np.int64)
    indices, indptr = np.ascontiguousarray(indices), np.ascontiguousarray(indptr)
    csr.check_indptr(indptr, n_rows, len(indices))
    csr.check_indices(indices, 0, int(indptr[-1]), n_cols)
    return np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("=")), indices, indptr


def entries(X: Any) -> tuple[Array, Array, Array]:
    """Return data, indices and indptr of a CSR matrix in types that kernels take; kernels check the numbers in them."""
    data, indices, indptr = X.data, X.indices, X.indptr
    if not (
        isinstance(data, np.ndarray)
        and isinstance(indices, np.ndarray)
        and isinstance(indptr, np.ndarray)
        and data.ndim == indices.ndim == indptr.ndim == 1
        and indices.dtype == indptr.dtype
        and indices.dtype in INDEX_DTYPES
        and len(data) == len(indices)
        and len(indptr) == X.shape[0] + 1
        and data.flags.c_contiguous
        and indices.flags.c_contiguous
        and indptr.flags.c_contiguous
        and data.dtype.isnative
    ):
        data, indices, indptr = csr_parts(X)
    if data.dtype not in DATA_DTYPES:
        data = data.astype(np.float64)
    return data, indices, indptr


def malformed(X: Any) -> ValueError:
    """Return the error for a matrix in which a kernel met a row pointer or an index out of range."""
    csr_parts(X)  # raises the error that says which
    return ValueError("the arrays of the CSR matrix changed while it was being read")


def specialise(kernel: Any, *dtypes: tuple[np.dtype[Any], ...]) -> dict[tuple[np.dtype[Any], ...], Callable[..., int]]:
    """Return a table from dtypes to a kernel's variants: choosing by lookup costs 0.1 us, Cython's dispatch several."""
    names = {"float64": "double", "float32": "float", "int64": "long long", "int32": "int", "uint16": "unsigned short"}
    keys: list[tuple[np.dtype[Any], ...]] = [()]
    for choices in dtypes:
        keys = [(*key, dtype) for key in keys for dtype in choices]
    return {key: kernel.__signatures__["|".join(names[dtype.name] for dtype in key)] for key in keys}


def aligned_empty(shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
    """Return an uninitialised C-contiguous array that starts on a cache line.

    NumPy's own start anywhere: a run of 20 doubles out of a table then touches four lines where three would do.
    """
    n_values, size = math.prod(shape), np.dtype(dtype).itemsize
    room = np.empty(n_values + _LINE // size, dtype)
    skip = -room.ctypes.data % _LINE // size
    return room[skip : skip + n_values].reshape(shape)


def make_csr(
    container: Any,
    data: npt.NDArray[Any],
    indices: npt.NDArray[Any],
    indptr: npt.NDArray[Any],
    shape: tuple[int, int],
) -> Any:
    """Make a SciPy CSR matrix of parts that a kernel just wrote.

    SciPy's constructor checks its arguments for 16 us or more, as much as a kernel needs for a document. The parts here
    are known to be right, so they are put into a copy of an empty matrix.

    Parameters
    ----------
    container : type
        scipy.sparse.csr_matrix or csr_array.
    data, indices, indptr : ndarray
        The parts; kept, not copied.
    shape : (int, int)
        Number of rows and columns.
    """
    template = _templates.get(container)
    if template is None:
        template = _templates[container] = dict(vars(container((0, 0))))
    X = container.__new__(container)
    X.__dict__.update(template)
    X.data, X.indices, X.indptr, X._shape = data, indices, indptr, shape
    return X


_templates: dict[type, dict[str, Any]] = {}
