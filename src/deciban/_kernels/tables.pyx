"""Tables of two variables: marginals, what pairs and variables have in common.

    associate: log(p[a, b] / (p[a] p[b])), where p = x / sum x
    divergences: D[a] = sum_b p[b | a] log(p[b | a] / p[b]), whose mean over a is the mutual information

Arrays are looked at through NumPy's C interface, some nanoseconds each, as a table may have three rows; they are
C-contiguous, of double or float.

Cost: a table is read for the marginals, and again for a logarithm an entry; associate writes it once. Sparse forms cost
O(entries).
Edge cases: as in tables.c; a row without entries has the divergence 0.
Source: Cover, Thomas, Elements of Information Theory (2nd edition, 2006), chapter 2.
"""

cimport numpy as np
from libc.math cimport INFINITY, frexp, isfinite, ldexp
from libc.stdlib cimport free, malloc

cimport deciban._kernels.special as kinds
from deciban._kernels.arrays cimport FEW, is_few, type_of
from deciban._kernels.special cimport (
    STREAMED, divergences_double_ops, divergences_double_select, tables_double_ops, tables_double_select,
    tables_float_ops, tables_float_select,
)
from deciban._kernels.sums cimport add_to
from deciban._kernels.types cimport index_t, real_t

np.import_array()

cdef const tables_float_ops* float_ops = tables_float_select()
cdef const tables_double_ops* double_ops = tables_double_select()
cdef const divergences_double_ops* measures = divergences_double_select()

cdef enum:
    RUN = 256  # entries of a sparse row that are taken together
    SHORT = 32  # values of a row
    ROOM = 1024  # values of short rows that are taken together


FEW_VALUES = FEW

cdef double ORDINARY = 2.0 ** 900  # no sum is larger, or smaller than its inverse, that is divided by as it is


cdef const double* _doubles(np.ndarray x, Py_ssize_t least) except NULL:
    if not np.PyArray_ISCARRAY_RO(x) or np.PyArray_TYPE(x) != np.NPY_FLOAT64 or np.PyArray_SIZE(x) < least:
        raise ValueError("marginals must be C-contiguous doubles, one for each row or column")
    return <const double*> np.PyArray_DATA(x)


cdef (Py_ssize_t, Py_ssize_t) _shape(np.ndarray x) except *:
    if np.PyArray_NDIM(x) != 2 or not np.PyArray_ISCARRAY_RO(x):
        raise ValueError("a table must be a C-contiguous matrix")
    return np.PyArray_DIM(x, 0), np.PyArray_DIM(x, 1)


def add_up(np.ndarray x not None, np.ndarray rows not None, np.ndarray columns not None):
    """Write the sums of the rows of a table, and add those of its columns to `columns`."""
    cdef Py_ssize_t n_rows, n
    cdef void* data = np.PyArray_DATA(x)
    n_rows, n = _shape(x)
    cdef double* to_rows = <double*> _doubles(rows, n_rows)
    cdef double* to_columns = <double*> _doubles(columns, n)
    cdef bint wide = np.PyArray_TYPE(x) == np.NPY_FLOAT64
    if not wide and np.PyArray_TYPE(x) != np.NPY_FLOAT32:
        raise ValueError("a table must be of double or float")
    with nogil:
        if wide:
            double_ops.add_up(<const double*> data, n_rows, n, to_rows, to_columns)
        else:
            float_ops.add_up(<const float*> data, n_rows, n, to_rows, to_columns)


def associate(
    np.ndarray x not None, np.ndarray rows not None, double total, np.ndarray columns not None,
    np.ndarray inverses not None, double unit, np.ndarray out not None,
):
    """Write unit log(x total / (row column)) of all entries, given the sums of rows and columns; `out` may be x."""
    cdef int kind = type_of(x, out)
    cdef Py_ssize_t n_rows, n
    n_rows, n = _shape(x)
    cdef const double* of_rows = _doubles(rows, n_rows)
    cdef const double* of_columns = _doubles(columns, n)
    cdef const double* inverse = _doubles(inverses, n)
    cdef void* data = np.PyArray_DATA(x)
    cdef void* to = np.PyArray_DATA(out)
    cdef bint streamed = data != to and n_rows * n * (
        sizeof(double) if kind == np.NPY_FLOAT64 else sizeof(float)) >= <size_t> STREAMED
    with nogil:
        if kind == np.NPY_FLOAT64:
            double_ops.associate(
                <const double*> data, n_rows, n, of_rows, total, of_columns, inverse, unit, streamed, <double*> to)
        else:
            float_ops.associate(
                <const float*> data, n_rows, n, of_rows, total, of_columns, inverse, unit, streamed, <float*> to)
        if streamed:
            double_ops.settle()


cdef bint _is_ordinary(double total) noexcept nogil:
    return ORDINARY * total >= 1.0 and total <= ORDINARY


cdef double _divergence(
    const double* p, const double* q, Py_ssize_t n, double p_sum, double q_sum, int kind, double* scratch
) noexcept nogil:
    """Divergence of q / q_sum from p / p_sum; scratch for n numbers is used where 1 / p_sum is no ordinary number."""
    cdef int exponent
    cdef Py_ssize_t i
    if _is_ordinary(p_sum):
        return measures.sums[kind](p, q, n, 1.0 / p_sum, 1.0 / q_sum)
    frexp(p_sum, &exponent)
    for i in range(n):
        scratch[i] = ldexp(p[i], -exponent)
    return measures.sums[kind](scratch, q, n, 1.0 / ldexp(p_sum, -exponent), 1.0 / q_sum)


cdef bint _is_zero(const double* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if x[i] != 0:
            return False
    return True


cdef double _divergence_of_row(
    const double* p, const double* q, Py_ssize_t n, double p_sum, double q_sum, bint whole, double* scratch
) noexcept nogil:
    if p_sum < 0 or (p_sum == 0 and not _is_zero(p, n)):
        return INFINITY
    if p_sum == 0:
        return 0.0
    return _divergence(p, q, n, p_sum, q_sum, kinds.KL_OF_WHOLE if whole else kinds.KL, scratch)


cdef void _divergences_short(
    const double* P, const double* q, Py_ssize_t n_rows, Py_ssize_t n, const double* sums, double total, bint whole,
    double* scratch, double* out
) noexcept nogil:
    """Write the divergences of rows that are shorter than vectors: the terms of many rows first, then their sums."""
    cdef Py_ssize_t most = ROOM // n, row = 0, i, m
    cdef double* shares = scratch + ROOM
    cdef double* terms = scratch + 2 * ROOM
    cdef bint usual
    for i in range(min(most, n_rows) * n):
        scratch[i] = q[i] / total if i < n else scratch[i - n]
    while row < n_rows:
        m = min(most, n_rows - row)
        usual = True
        for i in range(m):
            usual &= sums[row + i] > 0 and _is_ordinary(sums[row + i])
        if usual:
            measures.share(P + row * n, m, n, shares)
            usual = measures.terms[kinds.KL_OF_WHOLE if whole else kinds.KL](shares, scratch, m * n, terms)
        if usual:
            measures.sum_rows(terms, m, n, out + row)
        else:
            for i in range(row, row + m):
                out[i] = _divergence_of_row(P + i * n, q, n, sums[i], total, whole, shares)
        row += m


cdef void _divergences(
    const double* P, const double* sums, const double* q, double total, bint whole, Py_ssize_t n_rows, Py_ssize_t n,
    double* scratch, double* out
) noexcept nogil:
    cdef Py_ssize_t row
    if 0 < n <= SHORT:
        _divergences_short(P, q, n_rows, n, sums, total, whole, scratch, out)
    else:
        for row in range(n_rows):
            out[row] = _divergence_of_row(P + row * n, q, n, sums[row], total, whole, scratch)


def divergences(
    np.ndarray x not None, np.ndarray rows not None, np.ndarray columns not None, double total, bint whole,
    np.ndarray out not None,
):
    """Write to out the divergence of every row, divided by its sum in `rows`, from `columns` / total.

    If that sums to 1, which is `whole`, the terms are those that are never negative. A row of zeros has none: 0.
    Negative numbers give inf, or NaN.
    """
    cdef Py_ssize_t n_rows, n
    n_rows, n = _shape(x)
    cdef const double* data = _doubles(x, n_rows * n)
    cdef const double* of_rows = _doubles(rows, n_rows)
    cdef const double* of_columns = _doubles(columns, n)
    cdef double* to = <double*> _doubles(out, n_rows)
    cdef double* scratch = <double*> malloc(max(n, <Py_ssize_t> (3 * ROOM)) * sizeof(double))
    if scratch == NULL:
        raise MemoryError
    with nogil:
        _divergences(data, of_rows, of_columns, total, whole, n_rows, n, scratch, to)
    free(scratch)


def gains(const double[:, ::1] present, const double[::1] size, double[::1] out):
    """Write what the presence of each feature tells of the class: present[c] of size[c] samples of class c have it."""
    cdef Py_ssize_t n = present.shape[0], n_features = present.shape[1], first = 0, most, m, i, k
    cdef int absent
    cdef double total = 0.0, times
    cdef double* memory
    cdef double* often
    cdef double* apart
    cdef double* rows
    if size.shape[0] != n or out.shape[0] != n_features:
        raise ValueError("features, classes and output do not agree in shape")
    for k in range(n):
        total += size[k]
    if total == 0:
        out[:] = 0.0
        return
    most = max(ROOM // n, <Py_ssize_t> 1)
    memory = <double*> malloc((max(n, <Py_ssize_t> (3 * ROOM)) + most * (n + 2)) * sizeof(double))
    if memory == NULL:
        raise MemoryError
    often = memory + max(n, <Py_ssize_t> (3 * ROOM))
    apart = often + most
    rows = apart + most
    with nogil:
        while first < n_features:
            m = min(most, n_features - first)
            for i in range(m):
                out[first + i] = 0.0
            for absent in range(2):
                for i in range(m):
                    often[i] = 0.0
                for k in range(n):
                    for i in range(m):
                        times = size[k] - present[k, first + i] if absent else present[k, first + i]
                        often[i] += times
                        rows[i * n + k] = times
                _divergences(rows, often, &size[0], total, True, m, n, memory, apart)
                for i in range(m):
                    if often[i] != 0:
                        out[first + i] += often[i] / total * apart[i]
            first += m
    free(memory)


cdef double* _marginals(object x, double* total) except NULL:
    """Return new memory with the sums of rows, of columns, the inverses of these, and as much room as for a row."""
    cdef Py_ssize_t n_rows = np.PyArray_DIM(x, 0), n = np.PyArray_DIM(x, 1), i
    cdef double* rows = <double*> malloc((n_rows + 3 * n) * sizeof(double))
    if rows == NULL:
        raise MemoryError
    cdef double* columns = rows + n_rows
    for i in range(n):
        columns[i] = 0.0
    if np.PyArray_TYPE(x) == np.NPY_FLOAT64:
        double_ops.add_up(<const double*> np.PyArray_DATA(x), n_rows, n, rows, columns)
    else:
        float_ops.add_up(<const float*> np.PyArray_DATA(x), n_rows, n, rows, columns)
    total[0] = 0.0
    for i in range(n_rows):
        total[0] += rows[i]
    for i in range(n):
        columns[n + i] = 1.0 / columns[i]
    return rows


def associate_at_once(x, bint normalize, double unit, np.ndarray out):
    """As :func:`associate`, of a few plain numbers, new without out; None where it takes more than that."""
    cdef double total
    cdef double* rows
    cdef double* columns
    cdef Py_ssize_t n_rows, n
    if not is_few(x) or np.PyArray_NDIM(x) != 2:
        return None
    n_rows, n = np.PyArray_DIM(x, 0), np.PyArray_DIM(x, 1)
    if out is None:
        out = np.PyArray_EMPTY(2, np.PyArray_DIMS(x), np.PyArray_TYPE(x), 0)
    else:
        type_of(x, out)
    rows = _marginals(x, &total)
    columns = rows + n_rows
    if not _is_ordinary(total):
        free(rows)
        return None
    if not normalize:
        total = 1.0
    if np.PyArray_TYPE(x) == np.NPY_FLOAT64:
        double_ops.associate(
            <const double*> np.PyArray_DATA(x), n_rows, n, rows, total, columns, columns + n, unit, False,
            <double*> np.PyArray_DATA(out))
    else:
        float_ops.associate(
            <const float*> np.PyArray_DATA(x), n_rows, n, rows, total, columns, columns + n, unit, False,
            <float*> np.PyArray_DATA(out))
    free(rows)
    return out


def information_at_once(x, bint normalize):
    """Return the mean of :func:`divergences` of a few plain doubles; None where it takes more than that."""
    cdef double total, information = 0.0
    cdef double* rows
    cdef Py_ssize_t n_rows, n, row
    if not is_few(x) or np.PyArray_NDIM(x) != 2 or np.PyArray_TYPE(x) != np.NPY_FLOAT64:
        return None
    n_rows, n = np.PyArray_DIM(x, 0), np.PyArray_DIM(x, 1)
    rows = _marginals(x, &total)
    if not _is_ordinary(total):
        free(rows)
        return None
    if not normalize:
        total = 1.0
    for row in range(n_rows):
        information += rows[row] / total * _divergence_of_row(
            <const double*> np.PyArray_DATA(x) + row * n, rows + n_rows, n, rows[row], total, normalize,
            rows + n_rows + 2 * n)
    free(rows)
    return information if -INFINITY < information < INFINITY else None


def add_up_sparse(
    const real_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr, Py_ssize_t start, Py_ssize_t stop,
    double[::1] rows, double[:, ::1] columns,
):
    """As :func:`add_up`, of CSR rows [start, stop) that the border has checked; columns are sums of two."""
    cdef Py_ssize_t row, i, j, k, last
    cdef double even, odd
    if start < 0 or stop >= indptr.shape[0] or rows.shape[0] < stop or data.shape[0] != indices.shape[0]:
        raise ValueError("input, output and rows do not agree")
    with nogil:
        for row in range(start, stop):
            even = odd = 0.0  # two sums that do not wait for each other
            i, last = indptr[row], indptr[row + 1]
            while i + 2 <= last:
                even += data[i]
                odd += data[i + 1]
                j, k = indices[i], indices[i + 1]
                add_to(&columns[j, 0], &columns[j, 1], data[i])
                add_to(&columns[k, 0], &columns[k, 1], data[i + 1])
                i += 2
            if i < last:
                even += data[i]
                k = indices[i]
                add_to(&columns[k, 0], &columns[k, 1], data[i])
            rows[row] = even + odd


def add_parts(const double[:, :, ::1] parts, Py_ssize_t start, Py_ssize_t stop, double[::1] out):
    """Write the sums [start, stop) of several parts, which are sums of two."""
    cdef Py_ssize_t part, k
    cdef double high, low
    if not 0 <= start <= stop <= out.shape[0] or parts.shape[1] != out.shape[0] or parts.shape[2] != 2:
        raise ValueError("parts and sums do not agree")
    with nogil:
        for k in range(start, stop):
            high = low = 0.0
            for part in range(parts.shape[0]):
                add_to(&high, &low, parts[part, k, 0])
                low += parts[part, k, 1]
            out[k] = high + low if isfinite(high) else high


def associate_sparse(
    const real_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr, const double[::1] rows, double total,
    const double[::1] columns, double unit, Py_ssize_t start, Py_ssize_t stop, real_t[::1] out,
):
    """As :func:`associate`, of the entries of CSR rows [start, stop)."""
    cdef Py_ssize_t row, i, k, m
    cdef double[RUN] column, inverse
    if (
        start < 0 or stop >= indptr.shape[0] or rows.shape[0] < stop or data.shape[0] != indices.shape[0]
        or out.shape[0] != data.shape[0]
    ):
        raise ValueError("input, output and rows do not agree")
    with nogil:
        for row in range(start, stop):
            i = indptr[row]
            while i < indptr[row + 1]:
                m = min(<Py_ssize_t> RUN, <Py_ssize_t> indptr[row + 1] - i)
                for k in range(m):
                    column[k] = columns[indices[i + k]]
                for k in range(m):  # sooner than another table that is not in cache is looked up
                    inverse[k] = 1.0 / column[k]
                if real_t is double:
                    double_ops.associate(&data[i], 1, m, &rows[row], total, column, inverse, unit, False, &out[i])
                else:
                    float_ops.associate(&data[i], 1, m, &rows[row], total, column, inverse, unit, False, &out[i])
                i += m


def divergences_sparse(
    const double[::1] data, const index_t[::1] indices, const index_t[::1] indptr, const double[::1] rows,
    const double[::1] columns, double total, Py_ssize_t start, Py_ssize_t stop, double[::1] out,
):
    """As :func:`divergences`, of CSR rows [start, stop), by terms that are 0 where there is no entry."""
    cdef Py_ssize_t row, i, k, m
    cdef double[RUN] column, scratch
    if (
        start < 0 or stop >= indptr.shape[0] or rows.shape[0] < stop or data.shape[0] != indices.shape[0]
        or out.shape[0] < stop
    ):
        raise ValueError("input, output and rows do not agree")
    with nogil:
        for row in range(start, stop):
            i = indptr[row]
            out[row] = 0.0
            if rows[row] < 0 or (rows[row] == 0 and not _is_zero(&data[0] + i, indptr[row + 1] - i)):
                out[row] = INFINITY
            while i < indptr[row + 1] and rows[row] != 0 and not out[row] == INFINITY:
                m = min(<Py_ssize_t> RUN, <Py_ssize_t> indptr[row + 1] - i)
                for k in range(m):
                    column[k] = columns[indices[i + k]]
                out[row] += _divergence(&data[i], column, m, rows[row], total, kinds.KL, scratch)
                i += m
