"""Sums of the rows of each class.

    table[f, c] = sum over the rows i of class c, in order, of weight[i] * X[i, f]

`codes[i]` is the class of row i, or negative for a row that counts for none. `table` is feature-major, (n_features,
n_classes). Every sum is made in row order, which is the order of SciPy's product with a one-hot matrix and gives its
bits; one call does the rows of the classes [class_start, class_stop), so that calls for different classes write to
different cells and the result does not depend on how classes are shared among threads.

Cost: O(entries of the classes) + one look at every row's code; an entry reads data and index (12-16 bytes) and updates
one random cell, a cache line in and out of L1. Measured on Zen 5: 2.6 ns an entry while the table fits in L3 (1.5 ns
while it fits in L2), 12 ns for a table of 1.6 GB; two threads halve that. `table` may lie either way in memory; with
classes first there is a copy to make in the end, which pays for many entries a cell.

Edge cases: indices may be unsorted and repeated. What is wrong with the input is reported, not raised: MALFORMED (a row
pointer or an index out of range; nothing is read or written there), NONFINITE, NEGATIVE.
"""

from libc.string cimport memset

from deciban._kernels.prefetch cimport PREFETCH

ctypedef fused data_t:
    double
    float
    int
    long long

ctypedef fused index_t:
    int
    long long

cdef enum:
    LINE = 8  # entries
    ROW_AHEAD = 128  # entries
    CELL_AHEAD = 32  # entries

MALFORMED, NONFINITE, NEGATIVE = 1, 2, 4
cdef enum Trouble:
    _MALFORMED = 1
    _NONFINITE = 2
    _NEGATIVE = 4


def group_rows(const int[::1] codes, Py_ssize_t[::1] starts, Py_ssize_t[::1] order):
    """List the rows of each class, in row order: class c has order[starts[c]:starts[c + 1]]. `starts` comes as 0."""
    cdef Py_ssize_t row, c, n_classes = starts.shape[0] - 1
    if order.shape[0] < codes.shape[0]:
        raise ValueError("there is no room for the order of all rows")
    for row in range(codes.shape[0]):
        if codes[row] >= n_classes:
            raise ValueError("a code is of no class")
    with nogil:
        for row in range(codes.shape[0]):
            if codes[row] >= 0:
                starts[codes[row]] += 1
        for c in range(1, n_classes + 1):
            starts[c] += starts[c - 1]
        # each class is filled from its end, which leaves its start behind
        for row in range(codes.shape[0] - 1, -1, -1):
            if codes[row] >= 0:
                starts[codes[row]] -= 1
                order[starts[codes[row]]] = row


def clear(double[:, ::1] table, Py_ssize_t start, Py_ssize_t stop):
    """Set rows [start, stop) to zero: the first touch of fresh pages, on the thread that runs this."""
    if stop > start and table.shape[1]:
        with nogil:
            memset(&table[start, 0], 0, (stop - start) * table.shape[1] * sizeof(double))


cdef inline int _trouble(double nothing, bint negative) noexcept nogil:
    return (_NONFINITE if nothing != 0.0 else 0) | (_NEGATIVE if negative else 0)


cdef inline Py_ssize_t _next_row(
    const int[::1] codes, Py_ssize_t row, int class_start, int class_stop,
) noexcept nogil:
    while row < codes.shape[0] and not class_start <= codes[row] < class_stop:
        row += 1
    return row


cdef int _sum_rows(
    const data_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr, const int[::1] codes,
    const double[::1] weights, int class_start, int class_stop, bint binary, double threshold, double[:, :] table,
) noexcept nogil:
    cdef Py_ssize_t row, upcoming, j, begin, end
    cdef Py_ssize_t step = table.strides[0] // <Py_ssize_t> sizeof(double), n_entries = indices.shape[0]
    cdef index_t signs, last_feature = <index_t> min(table.shape[0] - 1, <Py_ssize_t> 0x7FFFFFFF)
    cdef data_t data_signs
    cdef const data_t* entry_data
    cdef const index_t* entry_indices
    cdef Py_ssize_t far
    cdef int code
    cdef double value, weight = 1.0, nothing = 0.0
    cdef bint negative = False
    cdef bint weighted = weights.shape[0] > 0
    cdef double* cells
    upcoming = _next_row(codes, 0, class_start, class_stop)
    while upcoming < codes.shape[0]:
        row, code = upcoming, codes[upcoming]
        upcoming = _next_row(codes, row + 1, class_start, class_stop)
        if row + 1 < upcoming < codes.shape[0]:
            # rows of other classes lie between: the processor does not foresee where the next one starts
            begin = indptr[upcoming]
            if 0 <= begin < n_entries:
                for j in range(min(ROW_AHEAD, n_entries - begin) // LINE):
                    PREFETCH(&data[begin + LINE * j])
                    PREFETCH(&indices[begin + LINE * j])
        begin, end = indptr[row], indptr[row + 1]
        if begin < 0 or end < begin or end > n_entries:
            return _MALFORMED
        if weighted:
            weight = weights[row]
        # First what is wrong with the entries, in loops that become vector code: signs are gathered by "or".
        signs = 0
        for j in range(begin, end):
            signs |= indices[j] | (last_feature - indices[j])
        if signs < 0:
            return _MALFORMED
        if data_t is double or data_t is float:
            for j in range(begin, end):
                nothing += data[j] - data[j]  # NaN once something is not finite
                negative |= data[j] < 0
        else:
            data_signs = 0
            for j in range(begin, end):
                data_signs |= data[j]
            negative |= data_signs < 0
        cells = &table[0, code]
        if binary or weighted:
            for j in range(begin, end):
                value = <double> data[j]
                if binary:
                    value = 1.0 if value > threshold else 0.0
                cells[<Py_ssize_t> indices[j] * step] += weight * value
            continue
        entry_data, entry_indices = &data[0], &indices[0]
        far = min(end, n_entries - CELL_AHEAD)
        for j in range(begin, far):
            PREFETCH(cells + <Py_ssize_t> entry_indices[j + CELL_AHEAD] * step)
            cells[<Py_ssize_t> entry_indices[j] * step] += <double> entry_data[j]
        for j in range(max(begin, far), end):
            cells[<Py_ssize_t> entry_indices[j] * step] += <double> entry_data[j]
    return _trouble(nothing, negative)


def sum_rows(
    const data_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr, const int[::1] codes,
    const double[::1] weights, int class_start, int class_stop, bint binary, double threshold, double[:, :] table,
):
    """Add the rows of classes [class_start, class_stop) to `table`; return the kinds of trouble met, or 0.

    `weights` may be empty, for ones. With `binary`, a value counts as 1 if it is above `threshold`, else as 0.
    """
    cdef int trouble
    if (
        data.shape[0] != indices.shape[0] or codes.shape[0] >= indptr.shape[0]
        or 0 < weights.shape[0] < codes.shape[0] or class_start < 0 or class_stop > table.shape[1]
    ):
        raise ValueError("rows, codes, weights and table do not agree in shape")
    with nogil:
        trouble = _sum_rows(
            data, indices, indptr, codes, weights, class_start, class_stop, binary, threshold, table)
    return trouble


def check_rows(
    const data_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr, Py_ssize_t n_rows,
    Py_ssize_t n_features,
):
    """Return what is wrong with a CSR matrix: the kinds of trouble, or 0."""
    cdef Py_ssize_t row, j, begin, end, n_entries = indices.shape[0]
    cdef double value, nothing = 0.0
    cdef bint negative = False
    if data.shape[0] != n_entries or n_rows >= indptr.shape[0]:
        return _MALFORMED
    for row in range(n_rows):
        begin, end = indptr[row], indptr[row + 1]
        if begin < 0 or end < begin or end > n_entries:
            return _MALFORMED
        for j in range(begin, end):
            if <unsigned long long> <long long> indices[j] >= <unsigned long long> n_features:
                return _MALFORMED
            value = <double> data[j]
            negative |= value < 0.0
            if data_t is double or data_t is float:
                nothing += value - value
    return _trouble(nothing, negative)


def merge_rows(
    const data_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr, const int[::1] codes,
    const Py_ssize_t[::1] order, const double[::1] weights, bint binary, double threshold, double[::1] scratch,
    double[:, ::1] table, unsigned char[::1] done,
):
    """Sum the rows of each class by themselves, then add the sums to a table that has counts already.

    For a batch much smaller than the table: O(entries), and the bits of `table += sums` because a batch is summed
    before it is added. Rows have passed :func:`check_rows`, and what another process changed
    since (a memory map) is passed over; `order` lists them by class, each class's in row order;
    `scratch`, of n_features zeros, is left as zeros. `done[0]` is set at the end with no chance for an interrupt in
    between.
    """
    cdef Py_ssize_t i, first = 0, last, row, j, n = order.shape[0], n_entries = indices.shape[0]
    cdef unsigned long long n_features = <unsigned long long> min(table.shape[0], scratch.shape[0])
    cdef int code
    cdef double value, weight = 1.0
    cdef bint weighted = weights.shape[0] > 0
    if (
        data.shape[0] != n_entries or codes.shape[0] >= indptr.shape[0] or n > codes.shape[0]
        or 0 < weights.shape[0] < codes.shape[0]
    ):
        raise ValueError("rows, codes and weights do not agree in shape")
    with nogil:
        while first < n:
            code = codes[order[first]]
            last = first
            while last < n and codes[order[last]] == code:
                last += 1
            if 0 <= code < table.shape[1]:
                for i in range(first, last):
                    row = order[i]
                    if weighted:
                        weight = weights[row]
                    for j in range(max(indptr[row], 0), min(indptr[row + 1], n_entries)):
                        value = <double> data[j]
                        if binary:
                            value = 1.0 if value > threshold else 0.0
                        if <unsigned long long> <long long> indices[j] < n_features:
                            scratch[indices[j]] += weight * value
                for i in range(first, last):
                    row = order[i]
                    for j in range(max(indptr[row], 0), min(indptr[row + 1], n_entries)):
                        if <unsigned long long> <long long> indices[j] < n_features:
                            # a repeated feature finds zero the second time
                            table[indices[j], code] += scratch[indices[j]]
                            scratch[indices[j]] = 0.0
            first = last
        done[0] = 1


def add(const double[:, ::1] increments, double[:, ::1] table, unsigned char[::1] done):
    """Do `table += increments` and set `done[0]` with no chance for an interrupt in between."""
    cdef Py_ssize_t i, k
    if increments.shape[0] != table.shape[0] or increments.shape[1] != table.shape[1]:
        raise ValueError("increments and table do not agree in shape")
    with nogil:
        for i in range(table.shape[0]):
            for k in range(table.shape[1]):
                table[i, k] += increments[i, k]
        done[0] = 1


def sum_dense_rows(
    const data_t[:, ::1] X, const int[::1] codes, const double[::1] weights, int class_start, int class_stop,
    bint binary, double threshold, double[:, ::1] sums,
):
    """Add the dense rows of classes [class_start, class_stop) to `sums` (n_classes, n_features); return the trouble."""
    cdef Py_ssize_t row, f
    cdef int code
    cdef double weight = 1.0, smallest = 0.0, value
    cdef bint weighted = weights.shape[0] > 0
    cdef bint negative = False
    if (
        codes.shape[0] != X.shape[0] or 0 < weights.shape[0] < codes.shape[0] or class_start < 0
        or class_stop > sums.shape[0] or sums.shape[1] != X.shape[1]
    ):
        raise ValueError("samples, codes, weights and sums do not agree in shape")
    with nogil:
        for row in range(X.shape[0]):
            code = codes[row]
            if code < class_start or code >= class_stop:
                continue
            if weighted:
                weight = weights[row]
            if binary:
                for f in range(X.shape[1]):
                    sums[code, f] += weight * (1.0 if X[row, f] > threshold else 0.0)
            else:
                for f in range(X.shape[1]):
                    value = <double> X[row, f]
                    negative |= value < 0.0
                    sums[code, f] += weight * value
    return _trouble(smallest, negative)


def sum_categories(
    const index_t[:, :] X, const int[::1] codes, const double[::1] weights, int class_start, int class_stop,
    const Py_ssize_t[::1] starts, double[:, ::1] table,
):
    """Count the categories of every feature for classes [class_start, class_stop), in row order.

    Category x of feature f is row starts[f] + x of `table` (n_categories of all features, n_classes); one outside of
    its feature's rows is passed over.
    """
    cdef Py_ssize_t row, f
    cdef index_t category
    cdef double weight = 1.0
    cdef bint weighted = weights.shape[0] > 0
    if (
        codes.shape[0] != X.shape[0] or 0 < weights.shape[0] < codes.shape[0] or class_start < 0
        or class_stop > table.shape[1] or starts.shape[0] != X.shape[1] + 1
    ):
        raise ValueError("samples, codes, weights, starts and table do not agree in shape")
    for f in range(starts.shape[0]):
        if not 0 <= starts[f] <= table.shape[0]:
            raise ValueError("starts lie outside of the table")
    with nogil:
        for row in range(X.shape[0]):
            if codes[row] < class_start or codes[row] >= class_stop:
                continue
            if weighted:
                weight = weights[row]
            for f in range(X.shape[1]):
                category = X[row, f]
                if 0 <= category < starts[f + 1] - starts[f]:
                    table[starts[f] + category, codes[row]] += weight


cdef void _pairwise(
    const double[:, ::1] table, double shift, Py_ssize_t start, Py_ssize_t n, double* lanes, double* out,
) noexcept nogil:
    cdef Py_ssize_t n_classes = table.shape[1]
    cdef Py_ssize_t i, k, lane, half, whole
    if n < 8:
        for k in range(n_classes):
            out[k] = 0.0
        for i in range(n):
            for k in range(n_classes):
                out[k] += table[start + i, k] + shift
        return
    if n <= 128:
        whole = n - n % 8
        for i in range(8):
            for k in range(n_classes):
                lanes[i * n_classes + k] = table[start + i, k] + shift
        for i in range(8, whole):
            lane = i % 8
            for k in range(n_classes):
                lanes[lane * n_classes + k] += table[start + i, k] + shift
        for k in range(n_classes):
            out[k] = (
                ((lanes[k] + lanes[n_classes + k]) + (lanes[2 * n_classes + k] + lanes[3 * n_classes + k]))
                + ((lanes[4 * n_classes + k] + lanes[5 * n_classes + k])
                   + (lanes[6 * n_classes + k] + lanes[7 * n_classes + k]))
            )
        for i in range(whole, n):
            for k in range(n_classes):
                out[k] += table[start + i, k] + shift
        return
    half = n // 2
    half -= half % 8
    # the right half's sum waits behind `out`: depth <= log2(n), so the caller gives 64 rows of room
    _pairwise(table, shift, start, half, lanes, out)
    _pairwise(table, shift, start + half, n - half, lanes, out + n_classes)
    for k in range(n_classes):
        out[k] += out[n_classes + k]


def column_sums(
    const double[:, ::1] table, double shift, Py_ssize_t start, Py_ssize_t n, double[:, ::1] scratch,
):
    """Sum rows [start, start + n) of `table` + `shift` pairwise into scratch[0]; `scratch` is (72, n_classes).

    The order of additions is that of numpy.sum along a contiguous axis (Higham, The accuracy of floating point
    summation, 1993), so that scikit-learn's totals come out to the bit from a table that lies the other way.
    """
    with nogil:
        _pairwise(table, shift, start, n, &scratch[64, 0], &scratch[0, 0])


def look_up_logs(
    const double[:, ::1] table, const double[::1] logs, const double[::1] log_total, Py_ssize_t start, Py_ssize_t stop,
    double[:, ::1] out,
):
    """Set out[f, c] = logs[table[f, c]] - log_total[c] for rows [start, stop) of counts; return whether all could be.

    Counts are small whole numbers, most of them 0, so their logarithms are made once for each number and looked up: a
    tenth of the work. The first count that is no whole number below len(logs) ends it, and the rows are to be done
    otherwise. Cost: 8 bytes read and 8 written a cell, one cached load.
    """
    cdef Py_ssize_t f, c, n_logs = logs.shape[0], n_classes = table.shape[1], whole
    cdef bint fits = True
    cdef double count
    with nogil:
        for f in range(start, stop):
            for c in range(n_classes):
                count = table[f, c]
                if not (0.0 <= count < n_logs):
                    fits = False
                    break
                whole = <Py_ssize_t> count
                if <double> whole != count:
                    fits = False
                    break
                out[f, c] = logs[whole] - log_total[c]
            if not fits:
                break
    return fits
