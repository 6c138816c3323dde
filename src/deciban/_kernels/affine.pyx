"""Affine maps of rows with an activation: softmax, or the logistic function, of X W + b.

X is (n_rows, n_inner), W (n_inner, n_columns). The product is made by products.pyx, or posterior.pyx where X is sparse,
of as many rows at a time as stay in cache with their results; so X is read once, and the result is written once.

Cost: 2 n_rows n_inner n_columns flops, or two for each entry and column, and an exponential an element of the result; W
is copied once for some rows. Sums over entries are in double precision.
Edge cases: zero times infinity is NaN; a row with NaN or an infinite maximum is as softmax (reductions.pyx) has it.
Source: as for those two.
"""

cimport numpy as np
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from deciban._kernels.posterior cimport _JOINT, _sparse_rows
from deciban._kernels.products cimport add_product
from deciban._kernels.reductions cimport softmax_rows
from deciban._kernels.special cimport (
    elementwise_double_ops, elementwise_double_select, elementwise_float_ops, elementwise_float_select,
)
from deciban._kernels.types cimport index_t, real_t

np.import_array()

cdef const elementwise_double_ops* double_ops = elementwise_double_select()
cdef const elementwise_float_ops* float_ops = elementwise_float_select()

cdef enum:
    CACHED = 1 << 18  # bytes of the result
    ENOUGH = 128  # rows for which W is copied once
    READ = 1048576  # values of X in a block, at most
    MULTIPLICATIONS = 4194304  # in a block: 100 us
    SHORT = 16384  # multiplications, a microsecond, for which other threads can wait


cdef void _repeat(const real_t* row, Py_ssize_t n, Py_ssize_t n_rows, real_t* out) noexcept nogil:
    cdef Py_ssize_t done = 1, more
    memcpy(out, row, n * sizeof(real_t))
    while done < n_rows:
        more = min(done, n_rows - done)
        memcpy(out + done * n, out, more * n * sizeof(real_t))
        done += more


cdef void _activate(bint is_softmax, Py_ssize_t n_rows, Py_ssize_t n_columns, real_t* z) noexcept nogil:
    if is_softmax:
        softmax_rows[real_t](z, n_rows, n_columns, False, False, z)
    elif real_t is double:
        double_ops.expit(z, z, n_rows * n_columns)
    else:
        float_ops.expit(z, z, n_rows * n_columns)


cdef void _rows(
    const real_t* X, Py_ssize_t n_rows, Py_ssize_t n_inner, const real_t* W, bint is_turned, Py_ssize_t n_columns,
    const real_t* b, bint is_softmax, real_t* out,
) noexcept nogil:
    """Write the activation of X W + b to `out`. W may lie by columns; no b (NULL) is zeros."""
    cdef Py_ssize_t together, row = 0, m
    together = max(<Py_ssize_t> ENOUGH, CACHED // (n_columns * <Py_ssize_t> sizeof(real_t)))
    while row < n_rows:
        m = min(together, n_rows - row)
        if b == NULL:
            memset(out, 0, m * n_columns * sizeof(real_t))
        else:
            _repeat(b, n_columns, m, out)
        if n_inner:
            add_product(X, m, n_inner, W, is_turned, n_columns, out)
        _activate(is_softmax, m, n_columns, out)
        X, out, row = X + m * n_inner, out + m * n_columns, row + m


cpdef Py_ssize_t rows_of_block(Py_ssize_t n_inner, Py_ssize_t n_columns) noexcept:
    """Return how many rows are worth the time that it takes to give them to another thread."""
    return max(<Py_ssize_t> ENOUGH, min(<Py_ssize_t> READ, MULTIPLICATIONS // n_columns) // max(n_inner, 1))


cdef bint _is_plain(object array, int type_number, int n_dimensions) noexcept:
    return (
        type(array) is np.ndarray and np.PyArray_TYPE(array) == type_number
        and np.PyArray_NDIM(array) == n_dimensions and np.PyArray_ISCARRAY_RO(array))


cdef bint _is_table(object array, int type_number) noexcept:
    return _is_plain(array, type_number, 2) or (
        type(array) is np.ndarray and np.PyArray_TYPE(array) == type_number and np.PyArray_NDIM(array) == 2
        and np.PyArray_ISFARRAY_RO(array))


cdef bint _share_memory(object a, object b) noexcept:
    cdef const char* of_a = np.PyArray_BYTES(a)
    cdef const char* of_b = np.PyArray_BYTES(b)
    return of_a < of_b + np.PyArray_NBYTES(b) and of_b < of_a + np.PyArray_NBYTES(a)


cdef void _fill(const real_t* x, object X, object W, object b, bint is_softmax, object out) noexcept:
    cdef Py_ssize_t n_rows = np.PyArray_DIM(X, 0), n_inner = np.PyArray_DIM(W, 0), n_columns = np.PyArray_DIM(W, 1)
    cdef bint is_turned = not np.PyArray_ISCARRAY_RO(W)
    cdef const real_t* w = <const real_t*> np.PyArray_DATA(W)
    cdef const real_t* offset = NULL
    cdef real_t* to = <real_t*> np.PyArray_DATA(out)
    if b is not None:
        offset = <const real_t*> np.PyArray_DATA(b)
    if n_rows * n_inner * n_columns <= SHORT:
        _rows(x, n_rows, n_inner, w, is_turned, n_columns, offset, is_softmax, to)
    else:
        with nogil:
            _rows(x, n_rows, n_inner, w, is_turned, n_columns, offset, is_softmax, to)


def at_once(object X, object W, object b, bint is_softmax, object out):
    """Return softmax(X W + b), or its logistic function, of rows of a single block; None where it takes more than that.

    Parameters
    ----------
    X, W, b, out : object
        None is returned unless they are ndarrays of one real type, C-contiguous (W may be of the other order), of
        shapes that agree, and nothing of the others is in the memory of `out`; no b is zeros, and no `out` new memory.
    is_softmax : bool

    Returns
    -------
    out : ndarray or None
    """
    cdef np.npy_intp[2] shape
    cdef int kind
    if type(X) is not np.ndarray:
        return None
    kind = np.PyArray_TYPE(X)
    if not (
        (kind == np.NPY_FLOAT64 or kind == np.NPY_FLOAT32) and _is_plain(X, kind, 2) and _is_table(W, kind)
        and (b is None or _is_plain(b, kind, 1)) and (out is None or _is_plain(out, kind, 2))
    ):
        return None
    shape[0], shape[1] = np.PyArray_DIM(X, 0), np.PyArray_DIM(W, 1)
    if not (
        shape[0] and shape[1] and np.PyArray_DIM(X, 1) == np.PyArray_DIM(W, 0)
        and shape[0] <= rows_of_block(np.PyArray_DIM(W, 0), shape[1])
        and (b is None or np.PyArray_DIM(b, 0) == shape[1])
    ):
        return None
    if out is None:
        out = np.PyArray_EMPTY(2, shape, kind, 0)
    elif not (
        np.PyArray_ISWRITEABLE(out) and np.PyArray_DIM(out, 0) == shape[0] and np.PyArray_DIM(out, 1) == shape[1]
        and not _share_memory(out, X) and not _share_memory(out, W) and (b is None or not _share_memory(out, b))
    ):
        return None
    if kind == np.NPY_FLOAT64:
        _fill(<const double*> np.PyArray_DATA(X), X, W, b, is_softmax, out)
    else:
        _fill(<const float*> np.PyArray_DATA(X), X, W, b, is_softmax, out)
    return out


def rows(
    const real_t[:, ::1] X, const real_t[:, ::1] table, bint is_turned, const real_t[::1] b, bint is_softmax,
    Py_ssize_t start, Py_ssize_t stop, real_t[:, ::1] out,
):
    """Write rows [start, stop) of softmax(X W + b), or of its logistic function, to `out`; the table is W, or W^T."""
    cdef Py_ssize_t n_inner = table.shape[is_turned], n_columns = table.shape[not is_turned]
    if (
        X.shape[1] != n_inner or b.shape[0] != n_columns or out.shape[0] != X.shape[0] or out.shape[1] != n_columns
        or not 0 <= start <= stop <= X.shape[0]
    ):
        raise ValueError("X, W, b and output do not agree in shape")
    if n_columns == 0 or start == stop:
        return
    with nogil:
        _rows(
            &X[start, 0] if n_inner else NULL, stop - start, n_inner, &table[0, 0] if n_inner else NULL, is_turned,
            n_columns, &b[0], is_softmax, &out[start, 0])


def sparse_rows(
    const real_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr, const real_t[:, ::1] W,
    const double[::1] b, bint is_softmax, Py_ssize_t start, Py_ssize_t stop, real_t[:, ::1] out,
):
    """Write the same for rows of a CSR matrix whose structure has been checked."""
    cdef Py_ssize_t n_columns = W.shape[1], n_entries = indices.shape[0], m = stop - start, k
    cdef double* joint = NULL
    if (
        data.shape[0] != n_entries or not 0 <= start <= stop < indptr.shape[0] or b.shape[0] != n_columns
        or out.shape[0] < stop or out.shape[1] != n_columns
    ):
        raise ValueError("entries, W, b and output do not agree in shape")
    if n_columns == 0 or m == 0:
        return
    if real_t is double:
        joint = &out[start, 0]
    else:
        joint = <double*> malloc(m * n_columns * sizeof(double))
        if joint == NULL:
            raise MemoryError
    with nogil:
        _sparse_rows[real_t, index_t, real_t](
            &data[0] if n_entries else NULL, &indices[0] if n_entries else NULL, &indptr[0], n_entries,
            &W[0, 0] if W.shape[0] else NULL, W.shape[0], n_columns, &b[0], False, 0.0, _JOINT, start, stop, joint,
            n_columns, NULL)
        if real_t is float:
            for k in range(m * n_columns):
                (&out[start, 0])[k] = <float> joint[k]
            free(joint)
        _activate(is_softmax, m, n_columns, &out[start, 0])
