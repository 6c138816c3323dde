"""Entropies and divergences of dense rows: one number a row.

    ENTROPY: -sum_f p_f log p_f, CROSS: -sum_f p_f log q_f, KL: sum_f p_f log(p_f / q_f),
    JS: sum_f (p_f log(p_f / m_f) + q_f log(q_f / m_f)) / 2 with m = (p + q) / 2; in nats

Divergences are sums of terms x log(x / y) - x + y where what is added cancels: they are never negative.

`normalize` divides every row by its sum first; a sum whose inverse is no normal number gives NaN, and the caller scales
the row and tries again. `weights`, one for each outcome or none at all, multiply terms; a weight of 0 leaves one out.

Cost: p and q are read from memory once (a second time from cache with `normalize`); one logarithm a term, two for JS.
Edge cases: terms with p = 0 are 0, p > 0 = q gives inf; NaN gives NaN; a row whose sum is 0 gives NaN when normalized.
Source: Cover, Thomas, Elements of Information Theory (2nd edition, 2006), chapter 2; Lin, Divergence measures based on
the Shannon entropy (IEEE Transactions on Information Theory, 1991).
"""

cimport deciban._kernels.special as kinds
cimport numpy as np
from libc.float cimport FLT_MAX
from libc.math cimport NAN, isfinite
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from deciban._kernels.arrays cimport is_few, is_plain, is_plain_of
from deciban._kernels.products cimport multiply_transposed
from deciban._kernels.special cimport (
    divergences_double_ops, divergences_double_select, divergences_float_ops, divergences_float_select, kind_of,
)
from deciban._kernels.types cimport real_t

np.import_array()

cdef const divergences_float_ops* float_ops = divergences_float_select()
cdef const divergences_double_ops* double_ops = divergences_double_select()

cdef enum:
    SHORT = 32  # outcomes
    ROOM = 1024  # values of short rows that are taken together
    LOGARITHM = 16  # multiplications, which take as long

ENTROPY, CROSS, KL, JS = kinds.ENTROPY, kinds.CROSS, kinds.KL, kinds.JS


cdef double _measure(
    int measure, const real_t* p, const real_t* q, const double* weights, Py_ssize_t n, bint normalize
) noexcept nogil:
    """Measure a row; `weights` is NULL, or one for each outcome."""
    cdef double a = 1.0, b = 1.0, found
    if real_t is double:
        if normalize:
            a, b = double_ops.inverse(p, n), double_ops.inverse(q, n)
            if a != a or b != b:  # whatever the weights are
                return NAN
        if weights != NULL:
            found = double_ops.weighted[measure](p, q, weights, n, a, b)
        else:
            found = double_ops.sums[kind_of(measure, normalize)](p, q, n, a, b)
    else:
        if normalize:
            a, b = float_ops.inverse(p, n), float_ops.inverse(q, n)
            if a != a or b != b:
                return NAN
        if weights != NULL:
            found = float_ops.weighted[measure](p, q, weights, n, a, b)
        else:
            found = float_ops.sums[kind_of(measure, normalize)](p, q, n, a, b)
    return 0.5 * found if measure == kinds.JS else found


cdef void _share(const real_t* x, Py_ssize_t step, Py_ssize_t n_rows, Py_ssize_t n, real_t* out) noexcept nogil:
    """Write short rows, each divided by its sum; or the same one n_rows times, for a step of 0."""
    if real_t is double:
        double_ops.share(x, n_rows if step else 1, n, out)
    else:
        float_ops.share(x, n_rows if step else 1, n, out)
    if step == 0:
        _repeat(out, n_rows, n, out)


cdef void _repeat(const real_t* x, Py_ssize_t n_rows, Py_ssize_t n, real_t* out) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(1 if x == out else 0, n_rows):
        memcpy(out + row * n, x, n * sizeof(real_t))


cdef void _sum_weighted(
    const real_t* terms, const double* weights, Py_ssize_t n_rows, Py_ssize_t n, double* out
) noexcept nogil:
    """Write the sums of short rows of at most ROOM terms, times weights that are the same for all rows."""
    cdef Py_ssize_t row, i
    cdef double[ROOM] weighted
    for row in range(n_rows):
        for i in range(n):
            weighted[row * n + i] = weights[i] * terms[row * n + i]
    double_ops.sum_rows(weighted, n_rows, n, out)


cdef void _measure_short(
    int measure, const real_t* P, Py_ssize_t p_step, const real_t* Q, Py_ssize_t q_step, Py_ssize_t n_rows,
    Py_ssize_t n, bint normalize, const double* weights, real_t* scratch, double* out,
) noexcept nogil:
    """Measure rows that are shorter than vectors: the terms of many rows first, then their sums; scratch of 3 ROOM."""
    cdef Py_ssize_t row
    cdef int ordinary, kind = kind_of(measure, normalize and weights == NULL)
    cdef const real_t* p = P
    cdef const real_t* q = Q
    cdef real_t* q_scratch = scratch + ROOM
    cdef real_t* terms = scratch + 2 * ROOM
    if normalize:
        _share(P, p_step, n_rows, n, scratch)
        p = scratch
    elif p_step == 0:
        _repeat(P, n_rows, n, scratch)
        p = scratch
    if measure == kinds.ENTROPY:
        q = p
    elif normalize:
        _share(Q, q_step, n_rows, n, q_scratch)
        q = q_scratch
    elif q_step == 0:
        _repeat(Q, n_rows, n, q_scratch)
        q = q_scratch
    if real_t is double:
        ordinary = double_ops.terms[kind](p, q, n_rows * n, terms)
    else:
        ordinary = float_ops.terms[kind](p, q, n_rows * n, terms)
    if not ordinary:
        for row in range(n_rows):
            out[row] = _measure(measure, P + row * p_step, Q + row * q_step, weights, n, normalize)
        return
    if weights != NULL:
        _sum_weighted(terms, weights, n_rows, n, out)
    elif real_t is double:
        double_ops.sum_rows(terms, n_rows, n, out)
    else:
        float_ops.sum_rows(terms, n_rows, n, out)
    if measure == kinds.JS:
        for row in range(n_rows):
            out[row] *= 0.5


cdef void _measure_rows(
    int measure, const real_t* P, Py_ssize_t p_step, const real_t* Q, Py_ssize_t q_step, Py_ssize_t n_rows,
    Py_ssize_t n, bint normalize, const double* weights, real_t* scratch, double* out,
) noexcept nogil:
    """Measure rows of at least one value, from row to row a step, or 0; `weights` may be NULL, scratch is of 3 ROOM."""
    cdef Py_ssize_t row = 0, m
    while row < n_rows:
        if n < SHORT:
            m = min(<Py_ssize_t> ROOM // n, n_rows - row)
            _measure_short(
                measure, P + row * p_step, p_step, Q + row * q_step, q_step, m, n, normalize, weights, scratch,
                out + row)
        else:
            m = 1
            out[row] = _measure(measure, P + row * p_step, Q + row * q_step, weights, n, normalize)
        row += m


def dense_rows(
    int measure, const real_t[:, ::1] P, const real_t[:, ::1] Q, bint normalize, const double[::1] weights,
    Py_ssize_t start, Py_ssize_t stop, double[::1] out,
):
    """Write the measure of rows [start, stop) to out; Q has as many rows as P, or one for all."""
    cdef Py_ssize_t q_step, n = P.shape[1], n_weights = weights.shape[0]
    cdef real_t* scratch
    if (
        Q.shape[1] != n or (Q.shape[0] != P.shape[0] and Q.shape[0] != 1) or start < 0 or stop > P.shape[0]
        or out.shape[0] < stop or (n_weights and n_weights != n)
    ):
        raise ValueError("rows, weights and output do not agree in shape")
    if n == 0:
        out[start:stop] = NAN if normalize else 0.0
        return
    if stop <= start:
        return
    q_step = n if Q.shape[0] > 1 else 0
    scratch = <real_t*> malloc(3 * ROOM * sizeof(real_t))
    if scratch == NULL:
        raise MemoryError
    with nogil:
        _measure_rows(
            measure, &P[start, 0], n, &Q[0, 0] + start * q_step, q_step, stop - start, n, normalize,
            &weights[0] if n_weights else NULL, scratch, &out[start])
    free(scratch)


cdef Py_ssize_t _agreement(object p, object q) noexcept:
    """Return from row to row of q how far it is: a row, or 0 where one serves all; -1 where p and q do not agree."""
    cdef int n_dimensions = np.PyArray_NDIM(p), i
    cdef Py_ssize_t n = np.PyArray_DIM(p, n_dimensions - 1)
    if np.PyArray_NDIM(q) == 1 and np.PyArray_DIM(q, 0) == n:
        return 0
    if np.PyArray_NDIM(q) != n_dimensions:
        return -1
    for i in range(n_dimensions):
        if np.PyArray_DIM(q, i) != np.PyArray_DIM(p, i):
            return -1
    return n


def at_once(int measure, object p, object q, bint normalize, double unit, object weights=None):
    """Return the measure of the last axis of a few plain numbers, times unit; None where it takes more than that.

    Parameters
    ----------
    measure : int
        ENTROPY, CROSS, KL or JS.
    p, q : object
        None unless ndarrays of one real type, C-contiguous, q of the shape of p or one row; q is None for ENTROPY.
    normalize : bool
        Whether to divide by sums; None if a result is NaN then.
    unit : float
        What a nat is.
    weights : object, default=None
        Factors of the terms, for outcomes; None unless a C-contiguous vector of float64.

    Returns
    -------
    out : ndarray, NumPy scalar or None
    """
    cdef double[3 * ROOM] scratch
    cdef double* out
    cdef Py_ssize_t n, n_rows, q_step, i
    cdef const double* factors = NULL
    cdef np.ndarray found
    cdef int kind
    if q is None:
        q = p
    if not is_few(p) or not is_plain(q) or np.PyArray_TYPE(p) != np.PyArray_TYPE(q):
        return None
    kind = np.PyArray_TYPE(p)
    n = np.PyArray_DIM(p, np.PyArray_NDIM(p) - 1)
    q_step = _agreement(p, q)
    if q_step < 0:
        return None
    if weights is not None:
        if not (is_plain_of(weights, np.NPY_FLOAT64, 1) and np.PyArray_DIM(weights, 0) == n):
            return None
        factors = <const double*> np.PyArray_DATA(weights)
    n_rows = np.PyArray_SIZE(p) // n
    found = np.PyArray_EMPTY(np.PyArray_NDIM(p) - 1, np.PyArray_DIMS(p), np.NPY_FLOAT64, 0)
    out = <double*> np.PyArray_DATA(found)
    if kind == np.NPY_FLOAT64:
        _measure_rows[double](
            measure, <const double*> np.PyArray_DATA(p), n, <const double*> np.PyArray_DATA(q), q_step, n_rows, n,
            normalize, factors, scratch, out)
    else:
        _measure_rows[float](
            measure, <const float*> np.PyArray_DATA(p), n, <const float*> np.PyArray_DATA(q), q_step, n_rows, n,
            normalize, factors, <float*> scratch, out)
    for i in range(n_rows):
        if normalize and out[i] != out[i]:
            return None
        out[i] *= unit
        if kind == np.NPY_FLOAT32 and isfinite(out[i]) and not -FLT_MAX <= out[i] <= FLT_MAX:
            return None  # NumPy would warn
    if kind == np.NPY_FLOAT32:
        found = np.PyArray_Cast(found, kind)
    return found if np.PyArray_NDIM(p) > 1 else found[()]


cdef bint _pairs_by_products(
    const real_t* P, Py_ssize_t n_rows, const real_t* Q, Py_ssize_t n_columns, Py_ssize_t n, real_t* logs,
    real_t* scratch, double* own, real_t* out,
) noexcept nogil:
    """Write KL as P (-log Q)^T less the entropies of P's rows; False where a number is such that it is not that."""
    cdef Py_ssize_t i, j, start = 0, m
    cdef int ordinary = 1
    for i in range(ROOM):
        scratch[i] = 1
    while ordinary and start < n_columns * n:
        m = min(<Py_ssize_t> ROOM, n_columns * n - start)
        if real_t is double:
            ordinary = double_ops.terms[kinds.CROSS](scratch, Q + start, m, logs + start)
        else:
            ordinary = float_ops.terms[kinds.CROSS](scratch, Q + start, m, logs + start)
        start += m
    if not ordinary:
        return False
    _measure_rows(kinds.ENTROPY, P, n, P, n, n_rows, n, False, NULL, scratch, own)
    for i in range(n_rows):
        if not isfinite(own[i]):
            return False
    multiply_transposed(P, n_rows, n, logs, n_columns, out)
    for i in range(n_rows):
        for j in range(n_columns):
            out[i * n_columns + j] = <real_t> (out[i * n_columns + j] - own[i])
    return True


cdef object _products_at_once(const real_t* P, object rows, object others, object out):
    cdef Py_ssize_t n_rows = np.PyArray_DIM(rows, 0), n = np.PyArray_DIM(rows, 1), n_columns = np.PyArray_DIM(others, 0)
    cdef const real_t* Q = <const real_t*> np.PyArray_DATA(others)
    cdef real_t* to = <real_t*> np.PyArray_DATA(out)
    cdef bint done
    cdef real_t* room = <real_t*> malloc((n_columns * n + 3 * ROOM) * sizeof(real_t))
    cdef double* own = <double*> malloc(n_rows * sizeof(double))
    if room == NULL or own == NULL:
        free(room)
        free(own)
        raise MemoryError
    with nogil:
        done = _pairs_by_products(P, n_rows, Q, n_columns, n, room + 3 * ROOM, room, own, to)
    free(room)
    free(own)
    return out if done else None


def pairs_at_once(object P, object Q, Py_ssize_t most):
    """Return KL of every row of Q from every row of P, in nats, as a product; None where it takes more than that.

    Parameters
    ----------
    P, Q : object
        None unless ndarrays of one real type, C-contiguous, with as many columns, and all numbers usual.
    most : int
        Multiplications; None where there are more, logarithms among them.

    Returns
    -------
    out : ndarray or None
    """
    cdef np.npy_intp[2] shape
    cdef int kind
    cdef object out
    if not is_plain(P) or not is_plain(Q):
        return None
    kind = np.PyArray_TYPE(P)
    if not (is_plain_of(P, kind, 2) and is_plain_of(Q, kind, 2) and np.PyArray_DIM(P, 1) == np.PyArray_DIM(Q, 1)):
        return None
    shape[0], shape[1] = np.PyArray_DIM(P, 0), np.PyArray_DIM(Q, 0)
    if not (np.PyArray_SIZE(P) and 0 < np.PyArray_SIZE(Q) * (shape[0] + LOGARITHM) <= most):
        return None
    out = np.PyArray_EMPTY(2, shape, kind, 0)
    if kind == np.NPY_FLOAT64:
        return _products_at_once(<const double*> np.PyArray_DATA(P), P, Q, out)
    return _products_at_once(<const float*> np.PyArray_DATA(P), P, Q, out)


def pairs(
    int measure, const real_t[:, ::1] P, const real_t[:, ::1] Q, Py_ssize_t start, Py_ssize_t stop, double[:, ::1] out,
):
    """Write the measure of rows [start, stop) of P with every row of Q to out, (n_rows of P, n_rows of Q)."""
    cdef Py_ssize_t i, n = P.shape[1], n_rows = Q.shape[0]
    cdef double[3 * ROOM] scratch
    if Q.shape[1] != n or start < 0 or stop > P.shape[0] or out.shape[0] < stop or out.shape[1] != Q.shape[0]:
        raise ValueError("rows and output do not agree in shape")
    if n == 0 or n_rows == 0:
        out[start:stop] = 0.0
        return
    with nogil:
        for i in range(start, stop):
            _measure_rows(
                measure, &P[i, 0], 0, &Q[0, 0], n, n_rows, n, False, NULL, <real_t*> scratch, &out[i, 0])


cdef void _terms(int measure, const real_t* p, const real_t* q, Py_ssize_t n, real_t* terms) noexcept nogil:
    """Write the terms of a measure, whatever the numbers are."""
    cdef Py_ssize_t i
    cdef int ordinary
    if real_t is double:
        ordinary = double_ops.terms[measure](p, q, n, terms)
    else:
        ordinary = float_ops.terms[measure](p, q, n, terms)
    for i in range(0 if ordinary else n):
        if real_t is double:
            terms[i] = double_ops.sums[measure](p + i, q + i, 1, 1.0, 1.0)
        else:
            terms[i] = <real_t> float_ops.sums[measure](p + i, q + i, 1, 1.0, 1.0)


cdef void _add(const real_t* x, Py_ssize_t n, double factor, double* sums, double* lost) noexcept nogil:
    if real_t is double:
        double_ops.add(x, n, factor, sums, lost)
    else:
        float_ops.add(x, n, factor, sums, lost)


cdef const real_t* _times(
    const real_t* x, const real_t* factors, Py_ssize_t n_rows, Py_ssize_t n, real_t* out
) noexcept nogil:
    """Write rows that are side by side, each multiplied by the same factors; return where they are."""
    cdef Py_ssize_t i, j
    for i in range(n_rows):
        for j in range(n):
            out[i * n + j] = x[i * n + j] * factors[j]
    return out


def dense_columns(
    int measure, const real_t[:, ::1] P, const real_t[:, ::1] Q, const real_t[:, ::1] factors,
    const double[::1] weights, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t first, Py_ssize_t last,
    double[:, ::1] out,
):
    """Add to out, (2, n_columns), what rows [start, stop) add to the measure of columns [first, last).

    The second row of `out` is what the first one's sums round off. Q is of the shape of P, or has one column for all.
    `factors` to normalise with, (2, n_columns), multiply P and Q, but not its only column; without, there are none of
    them. Rows side by side are summed side by side, as many as there is ROOM for.
    """
    cdef Py_ssize_t inner = P.shape[1], n_weights = weights.shape[0], left = first, row = start, width, n_rows, i, j
    cdef bint one = Q.shape[1] == 1 and inner > 1, normalize = factors.shape[0] > 0
    cdef int kind = kind_of(measure, normalize and not n_weights)
    cdef real_t[ROOM] terms, p_scratch, q_scratch
    cdef double[ROOM] sums, lost
    cdef const real_t* p
    cdef const real_t* q
    if (
        Q.shape[0] != P.shape[0] or (Q.shape[1] != inner and not one) or start < 0 or stop > P.shape[0] or first < 0
        or last > inner or out.shape[0] != 2 or out.shape[1] != inner or (n_weights and n_weights != P.shape[0])
        or (normalize and (factors.shape[0] != 2 or factors.shape[1] != inner))
    ):
        raise ValueError("columns, weights and output do not agree in shape")
    with nogil:
        while left < last:
            width = min(<Py_ssize_t> ROOM, last - left)
            n_rows = <Py_ssize_t> ROOM // width if width == inner else 1
            for i in range(ROOM):
                sums[i] = lost[i] = 0.0
            row = start
            while row < stop:
                n_rows = min(n_rows, stop - row)
                p = &P[row, left]
                if normalize:
                    p = _times(p, &factors[0, left], n_rows, width, p_scratch)
                if measure == kinds.ENTROPY:
                    q = p
                elif one:
                    q = q_scratch
                    for i in range(n_rows):
                        for j in range(width):
                            q_scratch[i * width + j] = Q[row + i, 0]
                else:
                    q = &Q[row, left]
                    if normalize:
                        q = _times(q, &factors[1, left], n_rows, width, q_scratch)
                _terms(kind, p, q, n_rows * width, terms)
                if n_weights:
                    for i in range(n_rows):
                        if weights[row + i] != 0.0:
                            _add(&terms[i * width], width, weights[row + i], sums, lost)
                else:
                    _add(&terms[0], n_rows * width, 1.0, sums, lost)
                row += n_rows
            for i in range(<Py_ssize_t> ROOM // width):
                double_ops.add(&sums[i * width], width, 1.0, &out[0, left], &out[1, left])
                for j in range(width):
                    out[1, left + j] += lost[i * width + j]
            left += width


cdef bint _negative_logarithms(const real_t* q, Py_ssize_t n, double* out) noexcept nogil:
    """Write -log(q) of at most ROOM numbers; False if one is 0, negative, denormal, infinite or NaN."""
    cdef Py_ssize_t i
    cdef double[ROOM] ones, wide
    for i in range(n):
        ones[i] = 1.0
        wide[i] = q[i]
    return double_ops.terms[kinds.CROSS](ones, wide, n, out) != 0


def negative_logarithms(const real_t[::1] q, Py_ssize_t start, Py_ssize_t stop, double[::1] out):
    """Write -log(q) of [start, stop); return False if a number is 0, negative, denormal, infinite or NaN."""
    cdef Py_ssize_t i = start
    cdef bint usual = True
    if start < 0 or stop > q.shape[0] or out.shape[0] < stop:
        raise ValueError("numbers and output do not agree in shape")
    with nogil:
        while usual and i < stop:
            usual = _negative_logarithms(&q[i], min(<Py_ssize_t> ROOM, stop - i), &out[i])
            i += ROOM
    return usual


cdef inline void _add_rows(
    const real_t* x, Py_ssize_t step, Py_ssize_t n_rows, Py_ssize_t n, const double* weights, double* sums,
    double* lost,
) noexcept nogil:
    if real_t is double:
        double_ops.add_rows(x, step, n_rows, n, weights, sums, lost)
    else:
        float_ops.add_rows(x, step, n_rows, n, weights, sums, lost)


def columns_from_one(
    const real_t[:, ::1] P, const real_t[::1] q, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t first, Py_ssize_t last,
    double[:, ::1] out,
):
    """Add -P log(q) of rows [start, stop) to out, as dense_columns does; return as :func:`negative_logarithms`."""
    cdef Py_ssize_t row = start, n_rows, inner = P.shape[1]
    cdef bint usual = True
    cdef double[ROOM] logs
    if (
        start < 0 or stop > P.shape[0] or first < 0 or last > inner or out.shape[0] != 2 or out.shape[1] != inner
        or q.shape[0] != P.shape[0]
    ):
        raise ValueError("columns, logarithms and output do not agree in shape")
    if last <= first:
        return True
    with nogil:
        while usual and row < stop:
            n_rows = min(<Py_ssize_t> ROOM, stop - row)
            usual = _negative_logarithms(&q[row], n_rows, logs)
            _add_rows(&P[row, first], inner, n_rows, last - first, logs, &out[0, first], &out[1, first])
            row += n_rows
    return usual


def sum_columns(
    const real_t[:, ::1] P, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t first, Py_ssize_t last, double[:, ::1] out,
):
    """Add rows [start, stop) to out, as dense_columns does."""
    cdef Py_ssize_t row = start, n_rows, i, inner = P.shape[1]
    cdef double[ROOM] ones
    if start < 0 or stop > P.shape[0] or first < 0 or last > inner or out.shape[0] != 2 or out.shape[1] != inner:
        raise ValueError("columns and output do not agree in shape")
    if last <= first:
        return
    with nogil:
        for i in range(ROOM):
            ones[i] = 1.0
        while row < stop:
            n_rows = min(<Py_ssize_t> ROOM, stop - row)
            _add_rows(&P[row, first], inner, n_rows, last - first, ones, &out[0, first], &out[1, first])
            row += n_rows


def weighted_rows(
    const real_t[:, ::1] X, const double[::1] weights, Py_ssize_t start, Py_ssize_t stop, real_t[::1] out,
):
    """Write the sums of rows [start, stop) times weights to out."""
    cdef Py_ssize_t n = X.shape[1]
    if start < 0 or stop > X.shape[0] or out.shape[0] != X.shape[0] or weights.shape[0] != n or n == 0:
        raise ValueError("rows, weights and output do not agree in shape")
    if stop <= start:
        return
    with nogil:
        if real_t is double:
            double_ops.weighted_rows(&X[start, 0], stop - start, n, &weights[0], &out[start])
        else:
            float_ops.weighted_rows(&X[start, 0], stop - start, n, &weights[0], &out[start])


def add_up_parts(const double[:, :, ::1] parts, double[::1] out):
    """Write the sums of parts, (n_parts, 2, n_columns), each with what it rounds off, to out."""
    cdef Py_ssize_t part, i, n = parts.shape[2]
    cdef double* lost
    if out.shape[0] != n:
        raise ValueError("parts and output do not agree in shape")
    if n == 0:
        return
    lost = <double*> malloc(n * sizeof(double))
    if lost == NULL:
        raise MemoryError
    with nogil:
        for i in range(n):
            out[i] = lost[i] = 0.0
        for part in range(parts.shape[0]):
            double_ops.add(&parts[part, 0, 0], n, 1.0, &out[0], lost)
            for i in range(n):
                lost[i] += parts[part, 1, i]
        for i in range(n):
            if isfinite(out[i]):  # of infinity nothing is lost
                out[i] += lost[i]
    free(lost)
