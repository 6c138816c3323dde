"""Loss, residual and curvature of logistic regression, row by row, from scores that are there already.

With scores z = scores[i] + step * direction[i], label c = codes[i] and weight v = weights[i] of row i:

    K columns:   p = softmax(z)        loss = -v log p[c]                   residual = v (p - onehot(c))
                 curvature H t = v (p * t - p (p . t)), where v p is the residual, for class c plus v
    one column:  p = 1 / (1 + e^-z)    loss = v (log(1 + e^z) - c z)        residual = v (p - c)
                 curvature H t = v p (1 - p) t

A line search changes `step` alone and never reads the samples again. All tables are (n_rows, n_columns), C-contiguous;
one call does the rows [start, stop), and the sum over these rows has an order of its own, the same in every call.

Cost: one pass over the tables, 8 bytes a cell each; two exponentials a cell, and a logarithm a row.

Edge cases: scores that are not finite give an infinite loss, which a line search refuses; log(1 + e^z) and log softmax
are made without overflow or cancellation.

Source: C.-J. Lin, R. C. Weng, S. S. Keerthi, Trust region Newton method for large-scale logistic regression, Journal of
Machine Learning Research 9 (2008), 627-650.
"""

from libc.math cimport INFINITY, fabs
from libc.string cimport memset

from deciban._kernels.types cimport index_t, real_t
from deciban._kernels.vector cimport vector_ops, vector_ops_select

cdef extern from "logistic.h":
    ctypedef struct logistic_ops:
        void (*multiply)(
            const double* x, Py_ssize_t n_rows, Py_ssize_t n, const double* w, double offset, double* out
        ) noexcept nogil
        void (*multiply_narrow)(
            const float* x, Py_ssize_t n_rows, Py_ssize_t n, const double* w, double offset, double* out
        ) noexcept nogil
        void (*add)(const double* x, Py_ssize_t n_rows, Py_ssize_t n, const double* v, double* out) noexcept nogil
        void (*add_narrow)(
            const float* x, Py_ssize_t n_rows, Py_ssize_t n, const double* v, double* out) noexcept nogil
        double (*evaluate)(
            const double* z, const double* direction, double step, const int* codes, const double* weights,
            Py_ssize_t n, double* curvature, double* residual) noexcept nogil
    const logistic_ops* logistic_ops_select() noexcept nogil

cdef const vector_ops* ops = vector_ops_select()
cdef const logistic_ops* single = logistic_ops_select()


cdef enum:
    GROUP = 32  # rows, at most, that are read twice, the second time from L1
    GROUP_BYTES = 16384


cdef void _check(
    const double[:, ::1] scores, const double[:, ::1] direction, const int[::1] codes, const double[::1] weights,
    Py_ssize_t start, Py_ssize_t stop,
) except *:
    cdef Py_ssize_t n_rows = scores.shape[0], row, n_codes = max(scores.shape[1], 2)
    if (
        not 0 <= start <= stop <= n_rows or codes.shape[0] != n_rows or weights.shape[0] != n_rows
        or direction.shape[0] not in (0, n_rows) or (direction.shape[0] and direction.shape[1] != scores.shape[1])
    ):
        raise ValueError("scores, direction, codes and weights do not agree in shape")
    for row in range(start, stop):
        if not 0 <= codes[row] < n_codes:
            raise ValueError("a code is of no class")


def evaluate(
    const double[:, ::1] scores, const double[:, ::1] direction, double step, const int[::1] codes,
    const double[::1] weights, Py_ssize_t start, Py_ssize_t stop, double[::1] scratch, double[:, ::1] curvature_out,
    double[:, ::1] residual_out,
):
    """Return the loss of rows [start, stop).

    `direction` may have no rows, for a step of zero. Unless `residual_out` has none, its rows become the residuals. For
    K columns these say all about the curvature, and `curvature_out` has no rows; for one its rows become v p (1 - p).
    `scratch` holds n_columns numbers.
    """
    cdef Py_ssize_t row, k, n = scores.shape[1]
    cdef double loss = 0.0, z
    cdef bint moved = direction.shape[0] > 0, wanted = residual_out.shape[0] > 0
    cdef double* values
    _check(scores, direction, codes, weights, start, stop)
    if (
        n == 0 or scratch.shape[0] < n or curvature_out.shape[0] != (residual_out.shape[0] if n == 1 else 0)
        or (wanted and (residual_out.shape[0] != scores.shape[0] or residual_out.shape[1] != n))
    ):
        raise ValueError("scores and outputs do not agree in shape")
    with nogil:
        if n == 1 and start < stop:
            loss = single.evaluate(
                &scores[start, 0], &direction[start, 0] if moved else NULL, step, &codes[start], &weights[start],
                stop - start, &curvature_out[start, 0] if wanted else NULL, &residual_out[start, 0] if wanted else NULL)
            start = stop
        for row in range(start, stop):
            values = &residual_out[row, 0] if wanted else &scratch[0]
            if moved:
                for k in range(n):
                    values[k] = scores[row, k] + step * direction[row, k]
            else:
                for k in range(n):
                    values[k] = scores[row, k]
            if not ops.normalize(values, n, False):
                loss = INFINITY
                break
            loss -= weights[row] * values[codes[row]]
            if wanted:
                ops.exp_shifted(values, n, 0.0)
                # all other probabilities, summed: 1 - p[c] would lose what is left of it
                z = 0.0
                for k in range(n):
                    z += 0.0 if k == codes[row] else values[k]
                    values[k] *= weights[row]
                values[codes[row]] = -weights[row] * z
    return loss if loss == loss else INFINITY


cdef void _check_curvature(
    const double[:, ::1] state, const int[::1] codes, const double[::1] weights, Py_ssize_t start, Py_ssize_t stop,
    const double[:, ::1] values,
) except *:
    cdef Py_ssize_t row, n_rows = state.shape[0], n_codes = max(state.shape[1], 2)
    if (
        not 0 <= start <= stop <= n_rows or codes.shape[0] != n_rows or weights.shape[0] != n_rows
        or values.shape[0] != n_rows or values.shape[1] != state.shape[1]
    ):
        raise ValueError("curvature, codes, weights and values do not agree in shape")
    for row in range(start, stop):
        if not 0 <= codes[row] < n_codes:
            raise ValueError("a code is of no class")


def apply_curvature(
    const double[:, ::1] state, const int[::1] codes, const double[::1] weights, Py_ssize_t start, Py_ssize_t stop,
    double[:, ::1] values,
):
    """Replace values[start:stop] by the product of the curvature with them.

    `state` is what :func:`evaluate` left: for one column its curvature, else its residual.
    """
    cdef Py_ssize_t row, k, n = state.shape[1]
    cdef double mean, own
    _check_curvature(state, codes, weights, start, stop, values)
    with nogil:
        for row in range(start, stop):
            if n == 1:
                values[row, 0] *= state[row, 0]
                continue
            own = weights[row] * values[row, codes[row]]
            mean = own
            for k in range(n):
                mean += state[row, k] * values[row, k]
            mean = mean / weights[row] if weights[row] > 0.0 else 0.0
            for k in range(n):
                values[row, k] = state[row, k] * (values[row, k] - mean)
            values[row, codes[row]] += own - weights[row] * mean


def diagonal(
    const double[:, ::1] state, const int[::1] codes, const double[::1] weights, Py_ssize_t start, Py_ssize_t stop,
    double[:, ::1] out,
):
    """Fill out[start:stop] with the diagonal of the curvature: v p (1 - p)."""
    cdef Py_ssize_t row, k, n = state.shape[1]
    cdef double p
    _check_curvature(state, codes, weights, start, stop, out)
    with nogil:
        for row in range(start, stop):
            for k in range(n):
                if n == 1:
                    out[row, k] = state[row, k]
                    continue
                p = fabs(state[row, k]) / weights[row] if weights[row] > 0.0 else 0.0  # for class c 1 - p
                out[row, k] = weights[row] * p * (1.0 - p)


def probabilities(
    const double[:, ::1] residual, const int[::1] codes, const double[::1] weights, Py_ssize_t start, Py_ssize_t stop,
    double[:, ::1] out,
):
    """Fill out[start:stop] with the probabilities of K columns; rows of weight 0, of which none is kept, with 0."""
    cdef Py_ssize_t row, k, n = residual.shape[1]
    _check_curvature(residual, codes, weights, start, stop, out)
    with nogil:
        for row in range(start, stop):
            for k in range(n):
                out[row, k] = 0.0 if weights[row] == 0.0 else residual[row, k] / weights[row] + (k == codes[row])


def dense_vector(
    const real_t[:, ::1] X, const double[::1] table, const double[::1] curvature, const double[::1] values,
    Py_ssize_t start, Py_ssize_t stop, double[::1] scores_out, double[::1] out,
):
    """Do products of rows [start, stop) of dense samples with one column, which may end in an intercept.

    With `table`, the rows of `scores_out` become X table. With `out`, to it is added X^T `values`, or where there are
    no values, X^T (curvature * scores), for which X is read once. What is left out is empty; X has features.

    Cost: 8 bytes of X (4 of float32) for 2 or 4 flops.
    """
    cdef Py_ssize_t n_rows = X.shape[0], n = X.shape[1], most, size, i, row
    cdef bint scored = table.shape[0] > 0, added = out.shape[0] > 0, given = values.shape[0] > 0
    cdef Py_ssize_t n_given = (table if scored else out).shape[0]
    cdef bint intercept = n_given > n
    cdef double offset = table[n] if scored and intercept else 0.0
    cdef double[GROUP] buffer
    cdef const real_t* x
    cdef const double* factors
    if (
        n == 0 or not 0 <= start <= stop <= n_rows or not n <= n_given <= n + 1
        or (scored and scores_out.shape[0] != n_rows)
        or (added and (out.shape[0] != n_given or (values if given else curvature).shape[0] != n_rows))
        or (added and not given and not scored)
    ):
        raise ValueError("X, coefficients and values do not agree in shape")
    most = max(4, min(GROUP, GROUP_BYTES // (n * <Py_ssize_t> sizeof(real_t)) & ~3))
    with nogil:
        row = start
        while row < stop:
            size = min(stop - row, most)
            x = &X[row, 0]
            if scored:
                if real_t is double:
                    single.multiply(x, size, n, &table[0], offset, &scores_out[row])
                else:
                    single.multiply_narrow(x, size, n, &table[0], offset, &scores_out[row])
            if added:
                if given:
                    factors = &values[row]
                else:
                    for i in range(size):
                        buffer[i] = curvature[row + i] * scores_out[row + i]
                    factors = buffer
                if real_t is double:
                    single.add(x, size, n, factors, &out[0])
                else:
                    single.add_narrow(x, size, n, factors, &out[0])
                if intercept:
                    for i in range(size):
                        out[n] += factors[i]
            row += size


def sparse_vector(
    const real_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr, const double[::1] vector,
    double offset, bint squared, Py_ssize_t start, Py_ssize_t stop, double[::1] out,
):
    """Fill out[start:stop] with the rows of a CSR matrix (or of its entries squared) times a vector, plus the offset.

    12 to 16 bytes an entry in order and one of `vector` at random; four sums, of entries 0, 4, 8, ..., of 1, 5, ... and
    so on, so that additions do not wait for each other. Returns False, and stops, at an index or a row pointer that is
    out of range.
    """
    cdef Py_ssize_t row, j, begin, end, k, n_entries = indices.shape[0]
    cdef unsigned long long n = <unsigned long long> vector.shape[0], index
    cdef double[4] total
    cdef double x
    cdef bint good = True
    if (
        data.shape[0] != n_entries or not 0 <= start <= stop < indptr.shape[0] or out.shape[0] < stop
    ):
        raise ValueError("data, indices, indptr and output do not agree in shape")
    with nogil:
        for row in range(start, stop):
            begin, end = indptr[row], indptr[row + 1]
            if begin < 0 or end < begin or end > n_entries:
                good = False
                break
            memset(total, 0, sizeof(total))
            j = begin
            while j + 4 <= end:
                for k in range(4):
                    index = <unsigned long long> <long long> indices[j + k]
                    if index >= n:
                        good = False
                        break
                    x = <double> data[j + k]
                    total[k] += (x * x if squared else x) * vector[<Py_ssize_t> index]
                if not good:
                    break
                j += 4
            while good and j < end:
                index = <unsigned long long> <long long> indices[j]
                if index >= n:
                    good = False
                    break
                x = <double> data[j]
                total[0] += (x * x if squared else x) * vector[<Py_ssize_t> index]
                j += 1
            if not good:
                break
            out[row] = ((total[0] + total[1]) + (total[2] + total[3])) + offset
    return good


cdef enum:
    LANES = 8  # sums made side by side, so that additions do not wait for each other


cdef inline double _total(const double* sums) noexcept nogil:
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))


cdef void _check_cells(Py_ssize_t start, Py_ssize_t stop, Py_ssize_t a, Py_ssize_t b, Py_ssize_t c) except *:
    if not 0 <= start <= stop <= min(a, b, c):
        raise ValueError("vectors do not agree in length")


def penalised(const double[::1] penalty, const double[::1] search, Py_ssize_t start, Py_ssize_t stop,
              double[::1] product):
    """Add penalty * search to product, for cells [start, stop); return the sum of search * product over them.

    `penalty` has one number for each of the equally many cells of a feature. This and the next two are the vector part
    of a conjugate gradient iteration, in as few passes over memory as it takes.
    """
    cdef Py_ssize_t i, lane, n_columns = product.shape[0] // max(penalty.shape[0], 1), row, _k
    cdef double[LANES] sums
    cdef double strength
    _check_cells(start, stop, search.shape[0], product.shape[0], penalty.shape[0] * n_columns)
    if n_columns == 0 or start % n_columns or stop % n_columns:
        raise ValueError("cells are not those of whole features")
    memset(sums, 0, sizeof(sums))
    with nogil:
        for row in range(start // n_columns, stop // n_columns):
            strength = penalty[row]
            i = row * n_columns
            for _k in range(n_columns // LANES):
                for lane in range(LANES):
                    product[i + lane] += strength * search[i + lane]
                    sums[lane] += search[i + lane] * product[i + lane]
                i += LANES
            for lane in range(n_columns % LANES):
                product[i + lane] += strength * search[i + lane]
                sums[lane] += search[i + lane] * product[i + lane]
    return _total(sums)


def advance(
    double step, const double[::1] search, const double[::1] product, const double[::1] inverse, Py_ssize_t start,
    Py_ssize_t stop, double[::1] direction, double[::1] residual,
):
    """Add step * search to direction, take step * product off residual; return the sum of residual^2 * inverse."""
    cdef Py_ssize_t i, lane, _k
    cdef double[LANES] sums
    _check_cells(start, stop, search.shape[0], product.shape[0], inverse.shape[0])
    _check_cells(start, stop, direction.shape[0], residual.shape[0], stop)
    memset(sums, 0, sizeof(sums))
    with nogil:
        i = start
        for _k in range((stop - start) // LANES):
            for lane in range(LANES):
                direction[i + lane] += step * search[i + lane]
                residual[i + lane] -= step * product[i + lane]
                sums[lane] += residual[i + lane] * residual[i + lane] * inverse[i + lane]
            i += LANES
        for lane in range(stop - i):
            direction[i + lane] += step * search[i + lane]
            residual[i + lane] -= step * product[i + lane]
            sums[lane] += residual[i + lane] * residual[i + lane] * inverse[i + lane]
    return _total(sums)


def turn(double ratio, const double[::1] inverse, const double[::1] residual, Py_ssize_t start, Py_ssize_t stop,
         double[::1] search):
    """Replace search by ratio * search + inverse * residual, for cells [start, stop)."""
    cdef Py_ssize_t i
    _check_cells(start, stop, inverse.shape[0], residual.shape[0], search.shape[0])
    with nogil:
        for i in range(start, stop):
            search[i] = ratio * search[i] + inverse[i] * residual[i]
