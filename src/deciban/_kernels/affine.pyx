"""Affine maps of rows with an activation: softmax, or the logistic function, of X W + b.

X is (n_rows, n_inner), W (n_inner, n_columns). The product is made by products.pyx, or posterior.pyx where X is sparse,
of as many rows at a time as stay in cache with their results; so X is read once, and the result is written once.

Cost: 2 n_rows n_inner n_columns flops, or two for each entry and column, and an exponential an element of the result; W
is copied once for some rows. Sums over entries are in double precision.
Edge cases: zero times infinity is NaN; a row with NaN or an infinite maximum is as softmax (reductions.pyx) has it.
Source: as for those two.
"""

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from deciban._kernels.posterior cimport _JOINT, _sparse_rows
from deciban._kernels.products cimport add_product
from deciban._kernels.reductions cimport softmax_rows
from deciban._kernels.special cimport (
    elementwise_double_ops, elementwise_double_select, elementwise_float_ops, elementwise_float_select,
)
from deciban._kernels.types cimport index_t, real_t

cdef const elementwise_double_ops* double_ops = elementwise_double_select()
cdef const elementwise_float_ops* float_ops = elementwise_float_select()

cdef enum:
    CACHED = 1 << 18  # bytes of the result
    ENOUGH = 128  # rows for which W is copied once


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


def rows(
    const real_t[:, ::1] X, const real_t[:, ::1] W, const real_t[::1] b, bint is_softmax, Py_ssize_t start,
    Py_ssize_t stop, real_t[:, ::1] out,
):
    """Write rows [start, stop) of softmax(X W + b), or of its logistic function, to `out`."""
    cdef Py_ssize_t n_inner = W.shape[0], n_columns = W.shape[1], together, row = start, m
    if (
        X.shape[1] != n_inner or b.shape[0] != n_columns or out.shape[0] != X.shape[0] or out.shape[1] != n_columns
        or not 0 <= start <= stop <= X.shape[0]
    ):
        raise ValueError("X, W, b and output do not agree in shape")
    if n_columns == 0:
        return
    together = max(<Py_ssize_t> ENOUGH, CACHED // (n_columns * <Py_ssize_t> sizeof(real_t)))
    with nogil:
        while row < stop:
            m = min(together, stop - row)
            _repeat(&b[0], n_columns, m, &out[row, 0])
            if n_inner:
                add_product(&X[row, 0], m, n_inner, &W[0, 0], n_columns, &out[row, 0])
            _activate(is_softmax, m, n_columns, &out[row, 0])
            row += m


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
