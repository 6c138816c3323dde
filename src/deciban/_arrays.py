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
_LARGE = 1 << 20  # bytes from which on an array's memory is kept for another
_RESERVED = 1 << 26  # bytes kept at most


def is_plain(array: Array) -> bool:
    """Return whether the numbers of an array are neighbours, each where the processor wants it."""
    return array.flags.c_contiguous and array.flags.aligned


def aligned(array: Array) -> Array:
    """Return an array whose numbers are where the processor wants them, as those of a packed struct are not."""
    return array if array.flags.aligned else array.copy("K")


def plain(array: Any, dtype: Any = None) -> Array:
    """Return an array that :func:`is_plain`, and of a dtype: itself, if it is that."""
    return aligned(np.ascontiguousarray(array, dtype=dtype))


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
    indices, indptr = plain(indices), plain(indptr)
    csr.check_indptr(indptr, n_rows, len(indices))
    csr.check_indices(indices, 0, int(indptr[-1]), n_cols)
    return plain(data, data.dtype.newbyteorder("=")), indices, indptr


def to_csr(X: Any) -> Any:
    """Return a sparse matrix as CSR; SciPy's conversions trust the indices, so that they are checked first.

    What is CSR already is returned as it is: :func:`csr_parts` checks it.

    Raises
    ------
    ValueError
        If its arrays do not make a matrix of its shape.
    """
    if X.format == "csr":
        return X
    if X.format == "csc":
        return make_csr(sp.csr_matrix, *csr_parts(X.T), X.shape[::-1]).T.tocsr()
    if X.format == "dia":
        X = type(X)((X.data, X.offsets), shape=X.shape)  # which checks them
    X = X.tocoo()
    for index, size in zip((X.row, X.col), X.shape, strict=True):
        if len(index) and not 0 <= index.min() <= index.max() < size:
            raise ValueError(f"an index of the sparse matrix is out of range for {size} rows or columns")
    return X.tocsr()


def check_sparse(X: Any) -> None:
    """Check a CSR or CSC matrix, if X is one, before SciPy or scikit-learn index with what it holds.

    Raises
    ------
    ValueError
        If its arrays do not make a matrix of its shape.
    """
    if sp.issparse(X) and X.format in ("csr", "csc"):
        csr_parts(X if X.format == "csr" else X.T)


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
        and is_plain(data)
        and is_plain(indices)
        and is_plain(indptr)
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


def feature_major(value: Any) -> Any:
    """Return a matrix (n_classes, n_features) of real numbers laid out feature by feature; whatever else, as it is."""
    if type(value) is np.ndarray and value.ndim == 2 and value.dtype.kind == "f" and value.dtype.isnative:
        table = value.T
        if not table.flags.c_contiguous:
            table = aligned_empty(table.shape, table.dtype)
            table[:] = value.T
        return table.T
    return value


class Room:
    """Memory of a large array, which goes to the reserve when neither the array nor a view of it is left."""

    def __init__(self, memory: Array) -> None:
        self._memory = memory
        start = memory.ctypes.data
        # an array made of this one has it for its base, and so has every view of the array: NumPy stops there
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1",
            "data": (start + -start % _LINE, False),
            "shape": (len(memory) - _LINE,),
        }

    def __del__(self) -> None:
        _reserve.append(self._memory)
        while sum(map(len, _reserve)) > _RESERVED:
            _reserve.pop(0)


_reserve: list[Array] = []


def aligned_empty(shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
    """Return an uninitialised C-contiguous array that starts on a cache line.

    NumPy's own start anywhere: a run of 20 doubles out of a table then touches four lines where three would do. And the
    first touch of fresh memory, which the system has to clear, can cost more than all that is done with it (5 to 20 ms
    for the 20 MB of a table, on a virtual machine), so that the memory of large arrays that nobody holds any more, up
    to 64 MB of it, is kept for the next of about that size.
    """
    dtype = np.dtype(dtype)
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes < _LARGE:
        memory = np.empty(n_bytes + _LINE, np.uint8)
        skip = -memory.ctypes.data % _LINE
        return memory[skip : skip + n_bytes].view(dtype).reshape(shape)
    for i, memory in enumerate(_reserve):
        if n_bytes <= len(memory) - _LINE <= 2 * n_bytes:
            try:
                memory = _reserve.pop(i)
            except IndexError:  # another thread took one
                break
            if n_bytes <= len(memory) - _LINE:
                return np.asarray(Room(memory))[:n_bytes].view(dtype).reshape(shape)
            break
    return np.asarray(Room(np.empty(n_bytes + _LINE, np.uint8))).view(dtype).reshape(shape)


def apart(array: Array, out: Array | None) -> bool:
    """Return whether writing to ``out``, or to the array itself, spoils nothing that has yet to be read."""
    if out is None or not np.may_share_memory(array, out):
        return True
    return array.ctypes.data == out.ctypes.data and array.strides == out.strides


def check_out(out: Any, shape: tuple[int, ...], dtype: Any, *given: Any, or_itself: bool = False) -> None:
    """Check that ``out``, unless it is None, takes a result, in no memory of what is given (or in all of one of them).

    Raises
    ------
    ValueError
        If it is no array that a kernel can write the result to.
    """
    if out is None:
        return
    if not (isinstance(out, np.ndarray) and out.shape == shape and out.dtype == dtype and out.flags.carray):
        raise ValueError(f"out must be a C-contiguous array of {np.dtype(dtype)} and of shape {shape}")
    for array in given:
        if isinstance(array, np.ndarray) and not (
            apart(array, out) if or_itself else not np.may_share_memory(array, out)
        ):
            itself = "an argument itself, or " if or_itself else ""
            raise ValueError(f"out must be {itself}in memory that no argument is in")


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
    state = X.__dict__
    state.update(template)
    state["data"], state["indices"], state["indptr"], state["_shape"] = data, indices, indptr, shape
    return X


_templates: dict[type, dict[str, Any]] = {}
