"""Affine maps of rows with an activation: softmax, or the logistic function, of X W + b.

X is (n_rows, n_inner), W (n_inner, n_columns). The product is made by products.pyx, or posterior.pyx where X is sparse
(here where W is one column), of as many rows at a time as stay in cache with their results; so X is read once, and the
result is written once. Indices of sparse rows are checked as they are read.

Cost: 2 n_rows n_inner n_columns flops, or two for each entry and column, and an exponential an element of the result; W
is copied once for some rows. Sums over entries are in double precision.
Edge cases: zero times infinity is NaN; a row with NaN or an infinite maximum is as softmax (reductions.pyx) has it.
Source: as for those two.
"""

cimport numpy as np
from cpython.object cimport PyObject_GenericGetDict
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from deciban._kernels.arrays cimport is_plain_of
from deciban._kernels.posterior cimport _JOINT, _sparse_rows
from deciban._kernels.prefetch cimport PREFETCH
from deciban._kernels.products cimport add_product
from deciban._kernels.reductions cimport softmax_rows
from deciban._kernels.special cimport (
    elementwise_double_ops, elementwise_double_select, elementwise_float_ops, elementwise_float_select,
)
from deciban._kernels.trouble cimport _MALFORMED
from deciban._kernels.types cimport index_t, real_t

from scipy.sparse import csr_array, csr_matrix

np.import_array()

cdef object _csr_array = csr_array, _csr_matrix = csr_matrix  # found faster than among the names of a module

cdef const elementwise_double_ops* double_ops = elementwise_double_select()
cdef const elementwise_float_ops* float_ops = elementwise_float_select()

cdef enum:
    CACHED = 1 << 18  # bytes of the result
    ENOUGH = 128  # rows for which W is copied once
    READ = 1048576  # values of X in a block, at most
    MULTIPLICATIONS = 4194304  # in a block: 100 us
    SHORT = 16384  # multiplications, a microsecond, for which other threads can wait
    SPARSE = 262144  # of sparse rows, that are not worth another thread
    AHEAD = 512  # entries that memory is asked for beforehand
    NO_MEMORY = -1


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


cdef inline bint _dot(
    const real_t* x, const index_t* indices, Py_ssize_t n, const real_t* w, size_t n_features, double* out
) noexcept nogil:
    """Add the product of a run of entries with the only column; return whether all indices are in range."""
    cdef Py_ssize_t j = 0
    cdef size_t p, q, r, s  # an index below 0 is a very large one
    cdef double a = 0.0, b = 0.0, c = 0.0, d = 0.0
    while j + 4 <= n:
        PREFETCH(x + j + AHEAD)
        PREFETCH(indices + j + AHEAD)
        p, q, r, s = <size_t> indices[j], <size_t> indices[j + 1], <size_t> indices[j + 2], <size_t> indices[j + 3]
        if (p >= n_features) | (q >= n_features) | (r >= n_features) | (s >= n_features):
            return False
        a += <double> x[j] * <double> w[p]
        b += <double> x[j + 1] * <double> w[q]
        c += <double> x[j + 2] * <double> w[r]
        d += <double> x[j + 3] * <double> w[s]
        j += 4
    while j < n:
        p = <size_t> indices[j]
        if p >= n_features:
            return False
        a += <double> x[j] * <double> w[p]
        j += 1
    out[0] = (a + b) + (c + d)
    return True


cdef int _dots(
    const real_t* data, const index_t* indices, const index_t* indptr, Py_ssize_t n_entries, const real_t* w,
    Py_ssize_t n_features, double b, Py_ssize_t start, Py_ssize_t stop, real_t* out,
) noexcept nogil:
    cdef Py_ssize_t row, begin, end
    cdef double found
    for row in range(start, stop):
        begin, end = indptr[row], indptr[row + 1]
        if begin < 0 or end < begin or end > n_entries:
            return _MALFORMED
        if not _dot(data + begin, indices + begin, end - begin, w, n_features, &found):
            return _MALFORMED
        out[row - start] = <real_t> (found + b)
    return 0


cdef int _sparse_rows_of(
    const real_t* data, const index_t* indices, const index_t* indptr, Py_ssize_t n_entries, const real_t* W,
    Py_ssize_t n_features, Py_ssize_t n_columns, const real_t* b, bint is_softmax, Py_ssize_t start, Py_ssize_t stop,
    real_t* out,
) noexcept nogil:
    """Write the activation of rows [start, stop) of X W + b to `out`; no b (NULL) is zeros. Return the trouble met."""
    cdef Py_ssize_t m = stop - start, k
    cdef int trouble
    cdef double* room
    cdef double* joint
    if start == 0 and indptr[0] != 0:
        return _MALFORMED
    if n_columns == 1:
        trouble = _dots(
            data, indices, indptr, n_entries, W, n_features, 0.0 if b == NULL else <double> b[0], start, stop, out)
        if trouble == 0:
            _activate(is_softmax, m, 1, out)
        return trouble
    room = <double*> malloc((n_columns + (0 if real_t is double else m * n_columns)) * sizeof(double))
    if room == NULL:
        return NO_MEMORY
    for k in range(n_columns):
        room[k] = 0.0 if b == NULL else <double> b[k]
    if real_t is double:
        joint = out
    else:
        joint = room + n_columns
    trouble = _sparse_rows[real_t, index_t, real_t](
        data, indices, indptr, n_entries, W, n_features, n_columns, room, False, 0.0, _JOINT, start, stop, joint,
        n_columns, NULL) & _MALFORMED
    if trouble == 0:
        if real_t is float:
            for k in range(m * n_columns):
                out[k] = <float> joint[k]
        _activate(is_softmax, m, n_columns, out)
    free(room)
    return trouble


cpdef Py_ssize_t rows_of_block(Py_ssize_t n_inner, Py_ssize_t n_columns) noexcept:
    """Return how many rows are worth the time that it takes to give them to another thread."""
    return max(<Py_ssize_t> ENOUGH, min(<Py_ssize_t> READ, MULTIPLICATIONS // n_columns) // max(n_inner, 1))


cdef bint _is_table(object array, int type_number) noexcept:
    return is_plain_of(array, type_number, 2) or (
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


cdef object _csr_at_once(object X, object W, object b, bint is_softmax, object out):
    """As at_once() of a CSR matrix: None also where its arrays are not plain, or do not make a matrix."""
    cdef dict parts = PyObject_GenericGetDict(X, NULL)
    cdef object data = parts.get("data"), indices = parts.get("indices"), indptr = parts.get("indptr")
    cdef object size = parts.get("_shape")
    cdef np.npy_intp[2] shape
    cdef Py_ssize_t n_entries, n_features
    cdef int kind, index_kind, trouble
    if type(W) is not np.ndarray or type(data) is not np.ndarray or type(indices) is not np.ndarray:
        return None
    kind, index_kind = np.PyArray_TYPE(W), np.PyArray_TYPE(indices)
    if not (
        (kind == np.NPY_FLOAT64 or kind == np.NPY_FLOAT32) and is_plain_of(W, kind, 2) and is_plain_of(data, kind, 1)
        and (index_kind == np.NPY_INT32 or index_kind == np.NPY_INT64) and is_plain_of(indices, index_kind, 1)
        and is_plain_of(indptr, index_kind, 1) and type(size) is tuple and len(<tuple> size) == 2
    ):
        return None
    n_entries, n_features = np.PyArray_DIM(data, 0), np.PyArray_DIM(W, 0)
    shape[0], shape[1] = np.PyArray_DIM(indptr, 0) - 1, np.PyArray_DIM(W, 1)
    if not (
        shape[0] > 0 and shape[1] and size == (shape[0], n_features) and np.PyArray_DIM(indices, 0) == n_entries
        and (n_entries + shape[0]) * shape[1] <= SPARSE
    ):
        return None
    out = _output(shape, kind, b, out, (data, indices, indptr, W))
    if out is None:
        return None
    if kind == np.NPY_FLOAT64 and index_kind == np.NPY_INT32:
        trouble = _fill_sparse(<const double*> np.PyArray_DATA(data), <const int*> np.PyArray_DATA(indices), n_entries,
                               indptr, W, b, is_softmax, out)
    elif kind == np.NPY_FLOAT64:
        trouble = _fill_sparse(<const double*> np.PyArray_DATA(data), <const long long*> np.PyArray_DATA(indices),
                               n_entries, indptr, W, b, is_softmax, out)
    elif index_kind == np.NPY_INT32:
        trouble = _fill_sparse(<const float*> np.PyArray_DATA(data), <const int*> np.PyArray_DATA(indices), n_entries,
                               indptr, W, b, is_softmax, out)
    else:
        trouble = _fill_sparse(<const float*> np.PyArray_DATA(data), <const long long*> np.PyArray_DATA(indices),
                               n_entries, indptr, W, b, is_softmax, out)
    return None if trouble else out


cdef int _fill_sparse(
    const real_t* data, const index_t* indices, Py_ssize_t n_entries, object indptr, object W, object b,
    bint is_softmax, object out,
) noexcept:
    cdef Py_ssize_t n_rows = np.PyArray_DIM(out, 0), n_features = np.PyArray_DIM(W, 0), n_columns = np.PyArray_DIM(W, 1)
    cdef const index_t* starts = <const index_t*> np.PyArray_DATA(indptr)
    cdef const real_t* w = <const real_t*> np.PyArray_DATA(W)
    cdef const real_t* offset = NULL
    cdef real_t* to = <real_t*> np.PyArray_DATA(out)
    cdef int trouble
    if b is not None:
        offset = <const real_t*> np.PyArray_DATA(b)
    if n_entries * n_columns <= SHORT:
        return _sparse_rows_of(
            data, indices, starts, n_entries, w, n_features, n_columns, offset, is_softmax, 0, n_rows, to)
    with nogil:
        trouble = _sparse_rows_of(
            data, indices, starts, n_entries, w, n_features, n_columns, offset, is_softmax, 0, n_rows, to)
    return trouble


cdef object _output(np.npy_intp* shape, int kind, object b, object out, tuple others):
    """Return `out`, or a new array; None unless b and out are plain, of that shape, and out is in memory of its own."""
    if b is not None and not (is_plain_of(b, kind, 1) and np.PyArray_DIM(b, 0) == shape[1]):
        return None
    if out is None:
        return np.PyArray_EMPTY(2, shape, kind, 0)
    if not (
        is_plain_of(out, kind, 2) and np.PyArray_ISWRITEABLE(out) and np.PyArray_DIM(out, 0) == shape[0]
        and np.PyArray_DIM(out, 1) == shape[1] and (b is None or not _share_memory(out, b))
    ):
        return None
    for other in others:
        if _share_memory(out, other):
            return None
    return out


def at_once(object X, object W, object b, bint is_softmax, object out):
    """Return softmax(X W + b), or its logistic function, of rows of a single block; None where it takes more than that.

    Parameters
    ----------
    X, W, b, out : object
        None is returned unless they are ndarrays of one real type, C-contiguous (W may be of the other order), of
        shapes that agree, and nothing of the others is in the memory of `out`; no b is zeros, and no `out` new memory.
        X may be a CSR matrix of such arrays.
    is_softmax : bool

    Returns
    -------
    out : ndarray or None
    """
    cdef np.npy_intp[2] shape
    cdef int kind
    if type(X) is _csr_matrix or type(X) is _csr_array:
        return _csr_at_once(X, W, b, is_softmax, out)
    if type(X) is not np.ndarray:
        return None
    kind = np.PyArray_TYPE(X)
    if not (
        (kind == np.NPY_FLOAT64 or kind == np.NPY_FLOAT32) and is_plain_of(X, kind, 2) and _is_table(W, kind)
        and np.PyArray_DIM(X, 1) == np.PyArray_DIM(W, 0)
    ):
        return None
    shape[0], shape[1] = np.PyArray_DIM(X, 0), np.PyArray_DIM(W, 1)
    if not shape[0] or not shape[1] or shape[0] > rows_of_block(np.PyArray_DIM(W, 0), shape[1]):
        return None
    out = _output(shape, kind, b, out, (X, W))
    if out is None:
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
    const real_t[::1] b, bint is_softmax, Py_ssize_t start, Py_ssize_t stop, real_t[:, ::1] out,
):
    """Write the same for rows of a CSR matrix; return whether all their indices are in range."""
    cdef Py_ssize_t n_columns = W.shape[1], n_entries = indices.shape[0]
    cdef int trouble
    if (
        data.shape[0] != n_entries or not 0 <= start <= stop < indptr.shape[0] or b.shape[0] != n_columns
        or out.shape[0] < stop or out.shape[1] != n_columns
    ):
        raise ValueError("entries, W, b and output do not agree in shape")
    if n_columns == 0 or start == stop:
        return True
    with nogil:
        trouble = _sparse_rows_of(
            &data[0] if n_entries else NULL, &indices[0] if n_entries else NULL, &indptr[0], n_entries,
            &W[0, 0] if W.shape[0] else NULL, W.shape[0], n_columns, &b[0], is_softmax, start, stop, &out[start, 0])
    if trouble == NO_MEMORY:
        raise MemoryError
    return trouble == 0
