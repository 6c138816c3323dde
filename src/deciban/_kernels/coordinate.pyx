"""Coordinate descent on a quadratic model of a loss with an l1 penalty, column of X by column.

The model stands for the loss around scores z, whose gradient there is r, in one column of coefficients w (a class):

    q(w) = r . s + s . (h * (s - m)) / 2 + s . (d * s) / 2 + l1 . |w| + l2 . w^2 / 2,   s = X (w - w at z)

with h the row's weight times its curvature, m what the other classes' moves make of it (0 for two classes) and d a
damping of rows. For K classes, h = v p_k and m = sum_k p_k s_k, of which class k itself makes the share p_k: along its
own coordinates the curvature of a row is c = h (1 - p_k) + d. Every update minimises q along one coordinate,

    w_j <- soft(w_j H_j - g_j, l1_j) / H_j,   g_j = x_j . t + l2_j w_j,   H_j = x_j . (c * x_j) + l2_j

where t is the gradient in the scores, which the update itself moves on by c * x_j times the change of w_j.

Shapes: X by columns, `data` and `rows` from `indptr[j]` to `indptr[j + 1]`; without `rows` the columns are dense. Row
vectors have n_rows numbers; the lists of columns, coefficients, curvatures and penalties one for each coordinate.

Cost: of a coordinate, a pass over its column (12 bytes an entry in order, 8 at random that stay in L2) and one more
where it changes; 2 and 6 flops an entry. Sums are of entries 0, 4, 8, ..., of 1, 5, ... and so on, in double precision.

Edge cases: a coordinate of no curvature goes to 0 where its penalty outweighs its gradient, else stays.

Sources: J. Friedman, T. Hastie, R. Tibshirani, Regularization paths for generalized linear models via coordinate
descent, Journal of Statistical Software 33 (2010); G.-X. Yuan, C.-H. Ho, C.-J. Lin, An improved GLMNET for
l1-regularized logistic regression, Journal of Machine Learning Research 13 (2012), 1999-2030.
"""

from libc.math cimport exp, fabs, log

from deciban._kernels.types cimport index_t, real_t


cdef inline double _dot(const double* x, const int* rows, Py_ssize_t n, const double* values) noexcept nogil:
    """Return the sum of x * values, of the rows if there are any."""
    cdef double a = 0.0, b = 0.0, c = 0.0, d = 0.0
    cdef Py_ssize_t j = 0
    if rows == NULL:
        while j + 4 <= n:
            a += x[j] * values[j]
            b += x[j + 1] * values[j + 1]
            c += x[j + 2] * values[j + 2]
            d += x[j + 3] * values[j + 3]
            j += 4
        while j < n:
            a += x[j] * values[j]
            j += 1
    else:
        while j + 4 <= n:
            a += x[j] * values[rows[j]]
            b += x[j + 1] * values[rows[j + 1]]
            c += x[j + 2] * values[rows[j + 2]]
            d += x[j + 3] * values[rows[j + 3]]
            j += 4
        while j < n:
            a += x[j] * values[rows[j]]
            j += 1
    return (a + b) + (c + d)


cdef inline void _add(
    double change, const double* x, const int* rows, Py_ssize_t n, const double* curvature, double* moved,
    double* slope,
) noexcept nogil:
    """Move the scores by change * x, and the gradient in them by as much times the curvature, where that is given."""
    cdef Py_ssize_t j, i
    cdef double move
    if curvature == NULL:
        for j in range(n):
            i = j if rows == NULL else rows[j]
            moved[i] += change * x[j]
    elif rows == NULL:
        for j in range(n):
            move = change * x[j]
            moved[j] += move
            slope[j] += curvature[j] * move
    else:
        for j in range(n):
            i = rows[j]
            move = change * x[j]
            moved[i] += move
            slope[i] += curvature[i] * move


cdef inline double _best(double w, double gradient, double curvature, double l1) noexcept nogil:
    """Return the minimum along a coordinate."""
    cdef double target = w * curvature - gradient
    if target > l1:
        return (target - l1) / curvature
    if target < -l1:
        return (target + l1) / curvature
    return 0.0


cdef void _check(
    const double[::1] data, const int[::1] rows, const long long[::1] indptr, const int[::1] columns, Py_ssize_t n_rows,
    Py_ssize_t n_a, Py_ssize_t n_b, Py_ssize_t n_c, Py_ssize_t n_values, Py_ssize_t n_others,
) except *:
    """Raise unless the columns are within the data and all else is as long as the rows and the columns."""
    cdef Py_ssize_t a, f
    cdef bint good = (
        rows.shape[0] in (0, data.shape[0]) and indptr.shape[0] > 0 and indptr[indptr.shape[0] - 1] <= data.shape[0]
        and n_a == n_rows and n_b == n_rows and n_c == n_rows
        and n_values == columns.shape[0] and n_others == columns.shape[0]
    )
    for a in range(columns.shape[0]):
        f = columns[a]
        if not good or not 0 <= f < indptr.shape[0] - 1 or not 0 <= indptr[f] <= indptr[f + 1]:
            good = False
            break
        if rows.shape[0] == 0 and indptr[f + 1] - indptr[f] != n_rows:
            good = False
    if not good:
        raise ValueError("columns, coordinates and rows do not agree")


def take(
    const real_t[::1] data, const index_t[::1] rows, const index_t[::1] indptr, const long long[::1] features,
    Py_ssize_t n_rows, const long long[::1] indptr_out, double[::1] data_out, int[::1] rows_out,
):
    """Copy the entries of some features, each a row of the transpose of X, to where `indptr_out` says.

    Returns False where an entry is of no row or a feature does not fit: the kernels that follow trust the copy.
    """
    cdef Py_ssize_t a, f, j, start, n, n_features = features.shape[0]
    cdef unsigned long long row, end = <unsigned long long> n_rows
    cdef bint good = True
    if indptr_out.shape[0] != n_features + 1 or data_out.shape[0] != rows_out.shape[0]:
        raise ValueError("features and output do not agree in shape")
    with nogil:
        for a in range(n_features):
            f = features[a]
            if not 0 <= f < indptr.shape[0] - 1:
                good = False
                break
            start, n = indptr_out[a], indptr[f + 1] - indptr[f]
            if (
                indptr[f] < 0 or n < 0 or indptr[f + 1] > data.shape[0] or indptr[f + 1] > rows.shape[0] or start < 0
                or start + n != indptr_out[a + 1] or start + n > data_out.shape[0]
            ):
                good = False
                break
            for j in range(n):
                row = <unsigned long long> <long long> rows[indptr[f] + j]
                good = good and row < end
                data_out[start + j] = <double> data[indptr[f] + j]
                rows_out[start + j] = <int> row
    return good


def curvatures(
    const double[::1] data, const int[::1] rows, const long long[::1] indptr, const int[::1] columns,
    const double[::1] curvature, double[::1] out,
):
    """Fill `out` with x_j . (c * x_j) for each of the columns."""
    cdef Py_ssize_t a, f, j
    cdef double total
    cdef bint sparse = rows.shape[0] > 0
    _check(data, rows, indptr, columns, curvature.shape[0], curvature.shape[0], curvature.shape[0], curvature.shape[0],
           out.shape[0], out.shape[0])
    with nogil:
        for a in range(columns.shape[0]):
            f = columns[a]
            total = 0.0
            for j in range(indptr[f], indptr[f + 1]):
                total += data[j] * data[j] * curvature[rows[j] if sparse else j - indptr[f]]
            out[a] = total


def gather(
    const double[::1] data, const int[::1] rows, const long long[::1] indptr, const int[::1] columns,
    const double[::1] values, double[::1] out,
):
    """Fill `out` with x_j . values for each of the columns."""
    cdef Py_ssize_t a, f
    _check(data, rows, indptr, columns, values.shape[0], values.shape[0], values.shape[0], values.shape[0],
           out.shape[0], out.shape[0])
    with nogil:
        for a in range(columns.shape[0]):
            f = columns[a]
            if indptr[f + 1] > indptr[f]:
                out[a] = _dot(&data[indptr[f]], &rows[indptr[f]] if rows.shape[0] else NULL,
                              indptr[f + 1] - indptr[f], &values[0])
            else:
                out[a] = 0.0


def scatter(
    const double[::1] data, const int[::1] rows, const long long[::1] indptr, const int[::1] columns,
    const double[::1] coef, double[::1] out,
):
    """Add the sum of coef_j x_j over the columns to `out`."""
    cdef Py_ssize_t a, f
    _check(data, rows, indptr, columns, out.shape[0], out.shape[0], out.shape[0], out.shape[0], coef.shape[0],
           coef.shape[0])
    with nogil:
        for a in range(columns.shape[0]):
            f = columns[a]
            if coef[a] != 0.0 and indptr[f + 1] > indptr[f]:
                _add(coef[a], &data[indptr[f]], &rows[indptr[f]] if rows.shape[0] else NULL,
                     indptr[f + 1] - indptr[f], NULL, &out[0], NULL)


def descend(
    const double[::1] data, const int[::1] rows, const long long[::1] indptr, const int[::1] columns,
    const double[::1] column_curvature, const double[::1] l1, const double[::1] l2, const double[::1] row_curvature,
    bint only_active, double[::1] coef, double[::1] slope, double[::1] moved,
):
    """Minimise along each of the coordinates once, in order, or along those that are not 0; return the decrease of q.

    `slope` is t on the way in and out; what the scores move by is added to `moved`.
    """
    cdef Py_ssize_t a, f, n
    cdef double w, gradient, curvature, found, change, decrease = 0.0
    cdef const double* x = NULL
    cdef const int* x_rows = NULL
    _check(data, rows, indptr, columns, row_curvature.shape[0], slope.shape[0], moved.shape[0], slope.shape[0],
           coef.shape[0], column_curvature.shape[0])
    if l1.shape[0] != columns.shape[0] or l2.shape[0] != columns.shape[0]:
        raise ValueError("penalties and coordinates do not agree")
    with nogil:
        for a in range(columns.shape[0]):
            w = coef[a]
            if only_active and w == 0.0:
                continue
            f = columns[a]
            n = indptr[f + 1] - indptr[f]
            curvature = column_curvature[a] + l2[a]
            gradient = l2[a] * w
            if n > 0:
                x = &data[indptr[f]]
                if rows.shape[0]:
                    x_rows = &rows[indptr[f]]
                gradient += _dot(x, x_rows, n, &slope[0])
            if not (curvature > 0.0 or fabs(gradient) < l1[a]):
                continue
            found = _best(w, gradient, curvature, l1[a])
            change = found - w
            if change == 0.0:
                continue
            coef[a] = found
            decrease -= change * (gradient + 0.5 * curvature * change) + l1[a] * (fabs(found) - fabs(w))
            if n > 0:
                _add(change, x, x_rows, n, &row_curvature[0], &moved[0], &slope[0])
    return decrease


def descend_whole(
    const double[:, ::1] hessian, const double[::1] l1, bint only_active, double[::1] coef, double[::1] gradient,
):
    """The same for a model that is given by its whole Hessian, l2 penalty and all; `gradient` is of that model."""
    cdef Py_ssize_t a, b, n = hessian.shape[0]
    cdef double w, found, change, decrease = 0.0
    if hessian.shape[1] != n or l1.shape[0] != n or coef.shape[0] != n or gradient.shape[0] != n:
        raise ValueError("Hessian, penalties, coordinates and gradient do not agree in shape")
    with nogil:
        for a in range(n):
            w = coef[a]
            if (only_active and w == 0.0) or not (hessian[a, a] > 0.0 or fabs(gradient[a]) < l1[a]):
                continue
            found = _best(w, gradient[a], hessian[a, a], l1[a])
            change = found - w
            if change == 0.0:
                continue
            coef[a] = found
            decrease -= change * (gradient[a] + 0.5 * hessian[a, a] * change) + l1[a] * (fabs(found) - fabs(w))
            for b in range(n):
                gradient[b] += change * hessian[a, b]
    return decrease


def slope(
    const double[::1] residual, const double[::1] weighted, const double[::1] mean, const double[::1] damping,
    const double[::1] moved, double[::1] out,
):
    """Fill `out` with the gradient of the model in the scores of a class, r + h * (s - m) + d * s."""
    cdef Py_ssize_t i, n = out.shape[0]
    if not residual.shape[0] == weighted.shape[0] == mean.shape[0] == damping.shape[0] == moved.shape[0] == n:
        raise ValueError("row vectors do not agree in length")
    with nogil:
        for i in range(n):
            out[i] = residual[i] + weighted[i] * (moved[i] - mean[i]) + damping[i] * moved[i]


def misfit(const double[:, ::1] shares, const double[:, ::1] moved, double[::1] out):
    """Fill `out` with the damping, within [0, 1/2], that a row's model would have needed at these moves of its scores.

    A row of softmax probabilities p whose scores move by s changes its loss by linear terms and the log of
    sum_k p_k e^(s_k - m), m = p . s; the model has half the variance of s under p in its place, and half of
    damping |s|^2 can make up for what that lacks. For two classes, `shares` is (n_rows, 1), the probability of the
    second, and the first one's scores do not move.
    """
    cdef Py_ssize_t i, k, n_columns = moved.shape[1]
    cdef double mean, square, variance, largest, total, first
    if shares.shape[0] != moved.shape[0] or shares.shape[1] != n_columns or out.shape[0] != moved.shape[0]:
        raise ValueError("probabilities, moves and output do not agree in shape")
    with nogil:
        for i in range(moved.shape[0]):
            mean = square = variance = total = 0.0
            largest = 0.0 if n_columns == 1 else moved[i, 0]
            for k in range(n_columns):
                mean += shares[i, k] * moved[i, k]
                variance += shares[i, k] * moved[i, k] * moved[i, k]
                square += moved[i, k] * moved[i, k]
                largest = max(largest, moved[i, k])
            if n_columns == 1:
                first = 1.0 - shares[i, 0]
                total = first * exp(-largest)
            for k in range(n_columns):
                total += shares[i, k] * exp(moved[i, k] - largest)
            variance -= mean * mean
            total = 2.0 * (log(total) + largest - mean) - variance if total > 0.0 else square
            out[i] = min(max(total / square, 0.0), 0.5) if square > 0.0 else 0.0
