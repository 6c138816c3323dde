"""Shares of a whole: numbers divided by the sums of their rows or columns.

    p[a, b] = x[a, b] / sum_b x[a, b]

Shares of x times prior probabilities are posterior ones. Rows are divided one by one; columns in blocks that stay in
cache; a table too tall for that is read twice, row by row.

Cost: x is read once (a tall one twice) and the result written once; three operations a number, and an addition.
Edge cases: as in shares.c.
Source: Cover, Thomas, Elements of Information Theory (2nd edition, 2006), chapter 2.
"""

cimport numpy as np

from deciban._kernels.arrays cimport is_few, type_of
from deciban._kernels.columns cimport pieces_of, width_of
from deciban._kernels.special cimport (
    COLUMNS, shares_double_ops, shares_double_select, shares_float_ops, shares_float_select,
)
from deciban._kernels.types cimport index_t, real_t

np.import_array()

cdef const shares_float_ops* float_ops = shares_float_select()
cdef const shares_double_ops* double_ops = shares_double_select()

cdef enum:
    SHORT = 32  # values of a row
    CACHED = 1 << 20  # values of a block of columns
    PAST_CACHES = 1 << 24  # bytes of a result; from here on they are written past the caches


def n_items(Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner):
    """Return the number of pieces that shares along the middle axis are made of: rows, or blocks of columns."""
    return pieces_of(outer, n, inner, CACHED)


cdef void _share_rows(
    const real_t* x, const real_t* factors, real_t added, Py_ssize_t n_rows, Py_ssize_t n, bint streamed, real_t* out
) noexcept nogil:
    cdef Py_ssize_t row
    if n <= SHORT:
        if real_t is double:
            double_ops.share_short(x, factors, added, n_rows, n, streamed, out)
        else:
            float_ops.share_short(x, factors, added, n_rows, n, streamed, out)
    else:
        for row in range(n_rows):
            if real_t is double:
                double_ops.share(x + row * n, factors, added, n, streamed, out + row * n)
            else:
                float_ops.share(x + row * n, factors, added, n, streamed, out + row * n)
    if streamed:
        double_ops.settle()


cdef void _share_columns(
    const real_t* x, real_t added, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t start, Py_ssize_t stop, real_t* out
) noexcept nogil:
    cdef Py_ssize_t width = width_of(n, inner, CACHED), piece, m, at
    cdef Py_ssize_t per_row = (inner + width - 1) // width
    for piece in range(start, stop):
        at = piece // per_row * n * inner + piece % per_row * width
        m = min(width, inner - piece % per_row * width)
        if real_t is double:
            double_ops.share_columns(x + at, added, n, inner, m, out + at)
        else:
            float_ops.share_columns(x + at, added, n, inner, m, out + at)


def share(
    np.ndarray x not None, np.ndarray factors, double added, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t start,
    Py_ssize_t stop, np.ndarray out not None,
):
    """Write pieces [start, stop) of x + added, seen as (outer, n, inner), divided by its sums along the middle axis.

    Of rows, where inner is 1, x may be multiplied by `factors` first, one for each value of a row. `out` may be x.
    """
    cdef int kind = type_of(x, out)
    cdef Py_ssize_t size = np.PyArray_SIZE(x)
    cdef void* data = np.PyArray_DATA(x)
    cdef void* to = np.PyArray_DATA(out)
    cdef void* by = NULL
    if factors is not None:
        if (
            inner != 1 or not np.PyArray_ISCARRAY_RO(factors) or np.PyArray_TYPE(factors) != kind
            or np.PyArray_SIZE(factors) != n
        ):
            raise ValueError("factors must be as the values of a row")
        by = np.PyArray_DATA(factors)
    # what is written in place is in cache already
    cdef bint streamed = data != to and np.PyArray_NBYTES(out) >= PAST_CACHES
    if n < 1 or inner < 1 or size % (n * inner) or start < 0 or stop > n_items(size // (n * inner), n, inner):
        raise ValueError("table and pieces do not agree")
    with nogil:
        if kind == np.NPY_FLOAT64 and inner == 1:
            _share_rows[double](
                <const double*> data + start * n, <const double*> by, added, stop - start, n, streamed,
                <double*> to + start * n)
        elif kind == np.NPY_FLOAT64:
            _share_columns[double](<const double*> data, added, n, inner, start, stop, <double*> to)
        elif inner == 1:
            _share_rows[float](
                <const float*> data + start * n, <const float*> by, <float> added, stop - start, n,
                streamed, <float*> to + start * n)
        else:
            _share_columns[float](<const float*> data, <float> added, n, inner, start, stop, <float*> to)


cdef inline Py_ssize_t _together(Py_ssize_t n) noexcept nogil:
    """How many rows of n are taken for one, so that it is not short."""
    return max(<Py_ssize_t> 1, COLUMNS // n)


cdef bint _sum_columns(
    const real_t* x, real_t added, Py_ssize_t n_rows, Py_ssize_t n, double* totals, double* lost
) noexcept nogil:
    if real_t is double:
        return double_ops.sum_columns(x, added, n_rows, n, n, totals, lost)
    else:
        return float_ops.sum_columns(x, added, n_rows, n, n, totals, lost)


cdef (Py_ssize_t, Py_ssize_t) _shape(np.ndarray x, int kind) except *:
    if (
        np.PyArray_NDIM(x) != 2 or not np.PyArray_ISCARRAY_RO(x) or np.PyArray_TYPE(x) != kind
        or np.PyArray_SIZE(x) == 0
    ):
        raise ValueError("a table must be a C-contiguous matrix of one real type")
    return np.PyArray_DIM(x, 0), np.PyArray_DIM(x, 1)


cdef bint _sum_tall(
    const real_t* x, real_t added, Py_ssize_t n_rows, Py_ssize_t n, double* totals, double* lost
) noexcept nogil:
    cdef Py_ssize_t rows = _together(n), k
    cdef double[2][COLUMNS] sums
    cdef bint unsigned
    for k in range(n):
        totals[k] = lost[k] = 0.0
    if rows == 1:
        return _sum_columns(x, added, n_rows, n, totals, lost)
    for k in range(rows * n):
        sums[0][k] = sums[1][k] = 0.0
    unsigned = _sum_columns(x, added, n_rows // rows, rows * n, sums[0], sums[1])
    unsigned &= _sum_columns(x + n_rows // rows * rows * n, added, 1, n_rows % rows * n, sums[0], sums[1])
    for k in range(2):
        _sum_columns[double](sums[k], 0.0, rows, n, totals, lost)
    return unsigned


def sum_columns(np.ndarray x not None, double added, Py_ssize_t start, Py_ssize_t stop, np.ndarray out not None):
    """Write sums of columns of rows [start, stop) of x + added, each as one of two; return if no term has a sign."""
    cdef Py_ssize_t n_rows, n
    cdef int kind = np.PyArray_TYPE(x)
    cdef void* data = np.PyArray_DATA(x)
    cdef double* to = <double*> np.PyArray_DATA(out)
    cdef bint unsigned
    n_rows, n = _shape(x, kind)
    if (
        (kind != np.NPY_FLOAT64 and kind != np.NPY_FLOAT32) or not 0 <= start <= stop <= n_rows
        or _shape(out, np.NPY_FLOAT64) != (2, n) or not np.PyArray_ISWRITEABLE(out)
    ):
        raise ValueError("table, rows and sums do not agree")
    with nogil:
        if kind == np.NPY_FLOAT64:
            unsigned = _sum_tall[double](<const double*> data + start * n, added, stop - start, n, to, to + n)
        else:
            unsigned = _sum_tall[float](<const float*> data + start * n, <float> added, stop - start, n, to, to + n)
    return unsigned


def divisors(np.ndarray sums not None, np.ndarray out not None):
    """Write what :func:`divide_columns` takes; return whether it divides by all these sums."""
    cdef int kind = np.PyArray_TYPE(out)
    cdef Py_ssize_t n = _shape(sums, np.NPY_FLOAT64)[1]
    cdef const double* data = <const double*> np.PyArray_DATA(sums)
    cdef void* to = np.PyArray_DATA(out)
    if type_of(out, out) != kind or np.PyArray_DIM(sums, 0) != 2 or np.PyArray_SIZE(out) != 2 * n:
        raise ValueError("sums and divisors do not agree")
    if kind == np.NPY_FLOAT64:
        return double_ops.divisors(data, data + n, n, <double*> to, <double*> to + n) != 0
    return float_ops.divisors(data, data + n, n, <float*> to, <float*> to + n) != 0


cdef void _divide_columns(
    const real_t* x, real_t added, const real_t* by, Py_ssize_t size, Py_ssize_t n, bint streamed, real_t* out
) noexcept nogil:
    cdef Py_ssize_t rows = _together(n), k
    cdef real_t[2][COLUMNS] repeated
    cdef const real_t* firsts = by
    cdef const real_t* seconds = by + n
    if rows > 1:
        for k in range(rows * n):
            repeated[0][k], repeated[1][k] = firsts[k % n], seconds[k % n]
        firsts, seconds = repeated[0], repeated[1]
    if real_t is double:
        double_ops.divide_columns(x, added, size, rows * n, firsts, seconds, streamed, out)
    else:
        float_ops.divide_columns(x, added, size, rows * n, firsts, seconds, streamed, out)
    if streamed:
        double_ops.settle()


def divide_columns(
    np.ndarray x not None, double added, np.ndarray by not None, Py_ssize_t start, Py_ssize_t stop,
    np.ndarray out not None
):
    """Write rows [start, stop) of x + added, divided by the sums of columns that `by` was made of. `out` may be x."""
    cdef int kind = type_of(x, out)
    cdef Py_ssize_t n_rows, n, size
    cdef void* data = np.PyArray_DATA(x)
    cdef void* to = np.PyArray_DATA(out)
    cdef void* divide_by = np.PyArray_DATA(by)
    cdef bint streamed = data != to and np.PyArray_NBYTES(out) >= PAST_CACHES
    n_rows, n = _shape(x, kind)
    if _shape(by, kind) != (2, n) or not 0 <= start <= stop <= n_rows:
        raise ValueError("table, rows and divisors do not agree")
    size = (stop - start) * n
    with nogil:
        if kind == np.NPY_FLOAT64:
            _divide_columns[double](
                <const double*> data + start * n, added, <const double*> divide_by, size, n, streamed,
                <double*> to + start * n)
        else:
            _divide_columns[float](
                <const float*> data + start * n, <float> added, <const float*> divide_by, size, n, streamed,
                <float*> to + start * n)


def share_at_once(x, factors, Py_ssize_t axis, double added, np.ndarray out):
    """As :func:`share`, of a few plain numbers along any axis; None where it takes more than that.

    The result is new where out is None.
    """
    cdef Py_ssize_t n, inner = 1, size
    cdef int n_dimensions, i
    cdef void* by = NULL
    cdef void* data
    cdef void* to
    if not is_few(x):
        return None
    n_dimensions = np.PyArray_NDIM(x)
    if axis < 0:
        axis += n_dimensions
    if not 0 <= axis < n_dimensions:
        return None
    n, size = np.PyArray_DIM(x, axis), np.PyArray_SIZE(x)
    for i in range(axis + 1, n_dimensions):
        inner *= np.PyArray_DIM(x, i)
    if factors is not None:
        if not is_few(factors) or np.PyArray_TYPE(factors) != np.PyArray_TYPE(x) or np.PyArray_SIZE(factors) != n:
            return None
        by = np.PyArray_DATA(factors)
    if out is None:
        out = np.PyArray_EMPTY(n_dimensions, np.PyArray_DIMS(x), np.PyArray_TYPE(x), 0)
    else:
        type_of(x, out)
    data, to = np.PyArray_DATA(x), np.PyArray_DATA(out)
    if np.PyArray_TYPE(x) == np.NPY_FLOAT64:
        if inner == 1:
            _share_rows[double](<const double*> data, <const double*> by, added, size // n, n, False, <double*> to)
        else:
            _share_columns[double](
                <const double*> data, added, n, inner, 0, n_items(size // (n * inner), n, inner), <double*> to)
    elif inner == 1:
        _share_rows[float](<const float*> data, <const float*> by, <float> added, size // n, n, False, <float*> to)
    else:
        _share_columns[float](
            <const float*> data, <float> added, n, inner, 0, n_items(size // (n * inner), n, inner), <float*> to)
    return out


def share_sparse(const real_t[::1] data, const index_t[::1] indptr, Py_ssize_t start, Py_ssize_t stop, real_t[::1] out):
    """Write the entries of CSR rows [start, stop), each divided by the sum of its row."""
    cdef Py_ssize_t row
    if start < 0 or stop >= indptr.shape[0] or out.shape[0] != data.shape[0]:
        raise ValueError("input, output and rows do not agree")
    with nogil:
        for row in range(start, stop):
            if indptr[row + 1] > indptr[row]:
                if real_t is double:
                    double_ops.share(
                        &data[indptr[row]], NULL, 0.0, indptr[row + 1] - indptr[row], False, &out[indptr[row]])
                else:
                    float_ops.share(
                        &data[indptr[row]], NULL, 0.0, indptr[row + 1] - indptr[row], False, &out[indptr[row]])


def share_by_column(
    const real_t[::1] data, const index_t[::1] indices, const double[::1] columns, Py_ssize_t start, Py_ssize_t stop,
    real_t[::1] out,
):
    """Write CSR entries [start, stop), each divided by the sum of its column."""
    cdef Py_ssize_t i
    if start < 0 or stop > data.shape[0] or data.shape[0] != indices.shape[0] or out.shape[0] != data.shape[0]:
        raise ValueError("input, output and entries do not agree")
    with nogil:
        for i in range(start, stop):
            out[i] = <real_t> (data[i] / columns[indices[i]])
