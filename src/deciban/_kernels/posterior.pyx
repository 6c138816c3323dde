"""Posterior probabilities of sparse rows under a table of log probabilities.

    joint_log_likelihood[i, k] = sum over the entries (f, x) of row i of x * table[f, k], + offset[k]

`table` is feature-major, (n_features, n_classes): one entry of X touches one short run of memory. Entries are added in
stored order and the offset last, which is the order of SciPy's product and gives its bits. Then, still in cache, a row
is reduced to its largest class or normalised by log-sum-exp.

Cost: 2 K flops and 8 K bytes of `table` an entry, which is past L2 for a text vocabulary: table rows are requested
some entries before they are used. 1.1M entries x 20 classes take 2 ms on one Zen 5 core.

Edge cases: a row without entries gives the offset; an index or row pointer out of range stops the loop before it is
used (MALFORMED); NaN or infinity in X (NONFINITE) and rows whose largest value is not finite (UNDEFINED) are reported,
and the caller leaves those to scikit-learn, with its errors and warnings. Indices may be unsorted and repeated.

Source: Manning, Raghavan, Schuetze, Introduction to Information Retrieval (2008), chapter 13.
"""

from libc.float cimport DBL_MAX
from libc.stdint cimport int64_t
from libc.string cimport memset

from deciban._kernels.prefetch cimport PREFETCH
from deciban._kernels.special cimport elementwise_double_ops, elementwise_double_select
from deciban._kernels.trouble cimport _MALFORMED, _NONFINITE, _UNDEFINED
from deciban._kernels.vector cimport VECTOR_ROWS, vector_ops, vector_ops_select

cdef const vector_ops* ops = vector_ops_select()
cdef const elementwise_double_ops* special = elementwise_double_select()

cdef enum:
    CHUNK = 64
    AHEAD = 64
    FAR = 1024  # entries
    FEATURES = 512  # of a tile: 128 KB with VECTOR_ROWS rows

JOINT, LOG_POSTERIOR, POSTERIOR, LARGEST, SHARES = range(5)
MALFORMED, NONFINITE, UNDEFINED = _MALFORMED, _NONFINITE, _UNDEFINED


cdef inline Py_ssize_t _argmax(const double* values, Py_ssize_t n) noexcept nogil:
    # as numpy.argmax: the first of equals, and the first NaN before anything
    cdef Py_ssize_t k, best = 0
    for k in range(n):
        if values[k] != values[k]:
            return k
        if values[k] > values[best]:
            best = k
    return best


cdef bint _share(double* p, Py_ssize_t n) noexcept nogil:
    # 1 / (1 + e^-score) over their sum: 1 / n each if that is 0; returns whether all are numbers
    cdef Py_ssize_t k
    cdef double total = 0.0
    special.expit(p, p, n)
    for k in range(n):
        total += p[k]
    for k in range(n):
        p[k] = p[k] / total if total != 0.0 else 1.0 / n
    return total == total


cdef int _finish(double* values, Py_ssize_t n, int answer, Py_ssize_t* largest) noexcept nogil:
    if answer == _LARGEST:
        largest[0] = _argmax(values, n)
    elif answer == _SHARES:
        return 0 if _share(values, n) else _UNDEFINED
    elif answer != _JOINT and not ops.normalize(values, n, answer == _POSTERIOR):
        return _UNDEFINED
    return 0


cdef inline void _accumulate(
    const double* x, const index_t* rows, Py_ssize_t n, Py_ssize_t ahead, const real_t* table, Py_ssize_t n_columns,
    double* out,
) noexcept nogil:
    if index_t is int and real_t is double:
        ops.accumulate(x, rows, n, ahead, table, n_columns, out)
    elif index_t is int:
        ops.accumulate_narrow(x, rows, n, ahead, table, n_columns, out)
    elif real_t is double:
        ops.accumulate_long(x, <const int64_t*> rows, n, ahead, table, n_columns, out)
    else:
        ops.accumulate_narrow_long(x, <const int64_t*> rows, n, ahead, table, n_columns, out)


cdef int _dense_row(
    const double* x, Py_ssize_t n_features, const real_t* table, Py_ssize_t n_classes, const double* offset, int answer,
    double* out, Py_ssize_t* largest,
) noexcept nogil:
    cdef Py_ssize_t k
    cdef bint finite
    if real_t is double:
        finite = ops.product(x, n_features, table, n_classes, out)
    else:
        finite = ops.product_narrow(x, n_features, table, n_classes, out)
    for k in range(n_classes):
        out[k] += offset[k]
    return _finish(out, n_classes, answer, largest) | (0 if finite else _NONFINITE)


cdef int _sparse_rows(
    const data_t* data, const index_t* indices, const index_t* indptr, Py_ssize_t n_entries,
    const real_t* table, Py_ssize_t n_features, Py_ssize_t n_classes, const double* offset,
    bint binary, double threshold, int answer, Py_ssize_t start, Py_ssize_t stop,
    double* out, Py_ssize_t out_stride, Py_ssize_t* largest_out,
) noexcept nogil:
    cdef Py_ssize_t row, i, j, begin, end, k, n, size
    cdef index_t signs, last_feature = <index_t> min(n_features - 1, <Py_ssize_t> 0x7FFFFFFF)
    cdef double[CHUNK] copied
    cdef index_t[CHUNK] chosen
    cdef const double* x
    cdef double* values
    cdef bint finite = True
    cdef int trouble = 0
    for row in range(start, stop):
        begin, end = indptr[row], indptr[row + 1]
        if begin < 0 or end < begin or end > n_entries:
            return _MALFORMED
        values = out + (row - start) * out_stride
        memset(values, 0, n_classes * sizeof(double))
        j = begin
        while j < end:
            n = min(end - j, CHUNK)
            for i in range(0, min(n, n_entries - j - FAR), 8):
                PREFETCH(&data[j + i + FAR])
                PREFETCH(&indices[j + i + FAR])
            # loops that become vector code: signs are gathered by "or"
            signs = 0
            for i in range(n):
                signs |= indices[j + i] | (last_feature - indices[j + i])
            if signs < 0:
                return _MALFORMED
            if data_t is double:
                x = data + j
            else:
                for i in range(n):
                    copied[i] = <double> data[j + i]
                x = copied
            if data_t is double or data_t is float:
                finite &= ops.finite(x, n)
            size = n
            if binary:
                size = 0
                for i in range(n):
                    chosen[size] = indices[j + i]
                    size += x[i] > threshold
                for i in range(size):
                    copied[i] = 1.0
                x = copied
            if size < n:
                _accumulate(x, chosen, size, 0, table, n_classes, values)
            else:
                # entries further on have yet to be checked; their rows are asked for, which may fail
                _accumulate(x, &indices[j], n, min(AHEAD, n_entries - j - n), table, n_classes, values)
            j += n
        for k in range(n_classes):
            values[k] += offset[k]
        trouble |= _finish(values, n_classes, answer, largest_out + row if answer == _LARGEST else NULL)
    if not finite:
        trouble |= _NONFINITE
    return trouble


cdef void _check_shapes(
    Py_ssize_t n_classes, const double[::1] offset, int answer, Py_ssize_t start, Py_ssize_t stop, double[:, ::1] out,
    Py_ssize_t[::1] largest_out,
) except *:
    if (
        offset.shape[0] != n_classes or out.shape[1] != n_classes or start < 0
        or out.shape[0] < (1 if answer == _LARGEST else stop) or (answer == _LARGEST and largest_out.shape[0] < stop)
    ):
        raise ValueError("table, offset and output do not agree in shape")


def sparse_rows(
    const data_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr,
    const double[:, ::1] table, const double[::1] offset, bint binary, double threshold,
    int answer, Py_ssize_t start, Py_ssize_t stop, double[:, ::1] out, Py_ssize_t[::1] largest_out,
):
    """Answer for rows [start, stop) of a CSR matrix.

    With `answer` LARGEST, the classes go to largest_out[start:stop] and `out` is scratch of one row; otherwise `out`
    gets rows [start, stop) of the answer. Returns the kinds of trouble met, or 0.
    """
    cdef Py_ssize_t n_classes = table.shape[1]
    cdef Py_ssize_t n_entries = indices.shape[0]
    cdef int trouble
    cdef Py_ssize_t stride = 0 if answer == _LARGEST else n_classes
    _check_shapes(n_classes, offset, answer, start, stop, out, largest_out)
    if data.shape[0] != n_entries or stop >= indptr.shape[0] or stop <= start or n_classes == 0:
        return _MALFORMED
    with nogil:
        trouble = _sparse_rows(
            &data[0] if n_entries else NULL, &indices[0] if n_entries else NULL, &indptr[0], n_entries,
            &table[0, 0], table.shape[0], n_classes, &offset[0], binary, threshold, answer, start, stop,
            &out[0 if answer == _LARGEST else start, 0], stride, &largest_out[0] if answer == _LARGEST else NULL,
        )
    return trouble


def finish_rows(double[:, ::1] values, int answer, Py_ssize_t start, Py_ssize_t stop):
    """Turn rows [start, stop) of joint log likelihoods into (log) posteriors in place; return the kinds of trouble."""
    cdef Py_ssize_t row
    cdef int trouble = 0
    if start < 0 or stop > values.shape[0] or values.shape[1] == 0:
        raise ValueError("there are no such rows")
    with nogil:
        for row in range(start, stop):
            trouble |= _finish(&values[row, 0], values.shape[1], answer, NULL)
    return trouble


cdef void _sigmoids(const double* scores, Py_ssize_t stride, bint log, Py_ssize_t n_rows, double* out) noexcept nogil:
    # `stride` in bytes
    cdef Py_ssize_t row = 0, i, n
    cdef double[CHUNK] z
    while row < n_rows:
        n = min(n_rows - row, CHUNK // 2)
        for i in range(n):
            z[2 * i + 1] = (<const double*> (<const char*> scores + (row + i) * stride))[0]
            z[2 * i] = -z[2 * i + 1]
        (special.log_expit if log else special.expit)(z, out + 2 * row, 2 * n)
        row += n


def sigmoid_rows(const double[:] scores, bint log, Py_ssize_t start, Py_ssize_t stop, double[:, ::1] out):
    """Fill rows [start, stop) of `out` with 1 - p and p = 1 / (1 + e^-score), or with their logarithms."""
    if not 0 <= start <= stop <= min(scores.shape[0], out.shape[0]) or out.shape[1] != 2:
        raise ValueError("scores and output do not agree in shape")
    if start < stop:
        with nogil:
            _sigmoids(&scores[start], scores.strides[0], log, stop - start, &out[start, 0])


def share_rows(double[:, ::1] scores, Py_ssize_t start, Py_ssize_t stop):
    """Turn rows [start, stop) of scores into shares, 1 / (1 + e^-score) over their sum: 1 / K each if that is 0."""
    cdef Py_ssize_t row
    if not 0 <= start <= stop <= scores.shape[0]:
        raise ValueError("there are no such rows")
    with nogil:
        for row in range(start, stop):
            _share(&scores[row, 0], scores.shape[1])


def exp_shifted(double[::1] values, double shift):
    """Replace values by exp(values - shift): what the answers are made with, for tests of its accuracy."""
    if values.shape[0]:
        ops.exp_shifted(&values[0], values.shape[0], shift)


def category_rows(
    const index_t[:, :] X, const Py_ssize_t[::1] starts, const double[:, ::1] table, const double[::1] offset,
    int answer, Py_ssize_t start, Py_ssize_t stop, double[:, ::1] out, Py_ssize_t[::1] largest_out,
):
    """Answer for rows [start, stop) of categories, as :func:`sparse_rows`; entry x of feature f is row starts[f] + x.

    `starts` has n_features + 1 entries; a category outside of its feature's rows is MALFORMED.
    """
    cdef Py_ssize_t row, f, size, k, n_classes = table.shape[1], n_features = X.shape[1]
    cdef int trouble = 0
    cdef double[CHUNK] x
    cdef int64_t[CHUNK] rows
    cdef double* values
    _check_shapes(n_classes, offset, answer, start, stop, out, largest_out)
    if starts.shape[0] != n_features + 1 or stop > X.shape[0]:
        raise ValueError("samples and starts do not agree in shape")
    for f in range(n_features + 1):
        if not 0 <= starts[f] <= table.shape[0]:
            raise ValueError("starts lie outside of the table")
    for size in range(CHUNK):
        x[size] = 1.0
    with nogil:
        for row in range(start, stop):
            values = &out[0 if answer == _LARGEST else row, 0]
            memset(values, 0, n_classes * sizeof(double))
            f = 0
            while f < n_features:
                size = 0
                while f < n_features and size < CHUNK:
                    if X[row, f] < 0 or X[row, f] >= starts[f + 1] - starts[f]:
                        trouble = _MALFORMED
                        break
                    rows[size] = starts[f] + X[row, f]
                    size += 1
                    f += 1
                if trouble & _MALFORMED:
                    break
                ops.accumulate_long(x, rows, size, 0, &table[0, 0], n_classes, values)
            if trouble & _MALFORMED:
                break
            for k in range(n_classes):
                values[k] += offset[k]
            trouble |= _finish(values, n_classes, answer, &largest_out[row] if answer == _LARGEST else NULL)
    return trouble


def category_places(
    const index_t[:, ::1] X, const Py_ssize_t[::1] starts, Py_ssize_t start, Py_ssize_t stop, int[:, ::1] out
):
    """Set out[i, f] = starts[f] + X[start + i, f], a row of the table; a category outside of it is MALFORMED."""
    cdef Py_ssize_t row, f, n_features = X.shape[1]
    cdef long long signs = 0, x
    if (
        starts.shape[0] != n_features + 1 or not 0 <= start <= stop <= X.shape[0] or out.shape[0] < stop - start
        or out.shape[1] != n_features or starts[n_features] > 0x7FFFFFFF
    ):
        raise ValueError("samples, starts and output do not agree in shape")
    with nogil:
        for row in range(stop - start):
            for f in range(n_features):
                x = X[start + row, f]
                signs |= x | (starts[f + 1] - starts[f] - 1 - x)
                out[row, f] = <int> (starts[f] + x)
    return _MALFORMED if signs < 0 else 0


def gaussian_rows(
    const data_t[:, ::1] X, const double[:, ::1] mean, const double[:, ::1] precision, const double[::1] offset,
    int answer, Py_ssize_t start, Py_ssize_t stop, double[:, ::1] out, Py_ssize_t[::1] largest_out, double[::1] scratch,
):
    """Answer for rows [start, stop) under normal distributions with diagonal covariance.

        joint_log_likelihood[i, k] = offset[k] - sum_f (X[i, f] - mean[k, f])^2 * precision[k, f] / 2

    VECTOR_ROWS rows are laid side by side, features first, so that all lanes are busy whatever the number of features
    or classes. Cost: 4 flops for each (row, feature, class), bound by arithmetic. `scratch` holds
    VECTOR_ROWS * (2 * min(n_features, FEATURES) + n_classes) doubles.
    """
    cdef Py_ssize_t block, part, first, n, i, k, f, from_f, n_chunk
    cdef Py_ssize_t n_features = X.shape[1], n_classes = mean.shape[0]
    cdef int trouble = 0
    cdef double* distance
    cdef double* tile
    cdef int64_t[VECTOR_ROWS] winners
    cdef double* rows
    cdef double* values
    _check_shapes(n_classes, offset, answer, start, stop, out, largest_out)
    if (
        stop > X.shape[0] or mean.shape[1] != n_features or precision.shape[0] != n_classes
        or precision.shape[1] != n_features
        or scratch.shape[0] < VECTOR_ROWS * (2 * min(n_features, FEATURES) + n_classes)
    ):
        raise ValueError("samples, means, precisions and scratch do not agree in shape")
    distance = &scratch[0]
    tile = distance + VECTOR_ROWS * n_classes
    rows = tile + VECTOR_ROWS * min(n_features, FEATURES)
    with nogil:
        for block in range((stop - start + VECTOR_ROWS - 1) // VECTOR_ROWS):
            first = start + block * VECTOR_ROWS
            n = min(VECTOR_ROWS, stop - first)
            memset(distance, 0, VECTOR_ROWS * n_classes * sizeof(double))
            for part in range((n_features + FEATURES - 1) // FEATURES):
                from_f = part * FEATURES
                n_chunk = min(FEATURES, n_features - from_f)
                if data_t is double and n == VECTOR_ROWS:
                    ops.interleave(<const double*> &X[first, from_f], n_features, n_chunk, tile)
                else:
                    for i in range(VECTOR_ROWS):
                        for f in range(n_chunk):
                            rows[i * n_chunk + f] = <double> X[first + i, from_f + f] if i < n else 0.0
                    ops.interleave(rows, n_chunk, n_chunk, tile)
                for k in range(n_classes):
                    ops.squared_distance(
                        tile, &mean[k, from_f], &precision[k, from_f], n_chunk, distance + k * VECTOR_ROWS)
            if answer == _LARGEST:
                if not ops.nearest(distance, &offset[0], n_classes, winners):
                    trouble |= _UNDEFINED
                for i in range(n):
                    largest_out[first + i] = winners[i]
                continue
            for i in range(n):
                values = &out[first + i, 0]
                for k in range(n_classes):
                    values[k] = offset[k] - 0.5 * distance[k * VECTOR_ROWS + i]
                    if not distance[k * VECTOR_ROWS + i] <= DBL_MAX:
                        trouble |= _UNDEFINED
                trouble |= _finish(values, n_classes, answer, NULL)
    return trouble


TILE_ROWS, TILE_FEATURES = VECTOR_ROWS, FEATURES
