"""Entropies and divergences of rows: one number a row, dense or sparse.

    ENTROPY: -sum_f p_f log p_f, CROSS: -sum_f p_f log q_f, KL: sum_f p_f log(p_f / q_f),
    JS: sum_f (p_f log(p_f / m_f) + q_f log(q_f / m_f)) / 2 with m = (p + q) / 2; in nats

Divergences are sums of terms x log(x / y) - x + y where what is added cancels: they are never negative.

`normalize` divides every row by its sum first; a sum whose inverse is no normal number gives NaN, and the caller scales
the row and tries again. `weights`, one for each outcome or none at all, multiply terms; a weight of 0 leaves one out.
A sparse row is gathered into pairs (p_f, q_f) of the features that
either has, so that they are neighbours as those of a dense row are; q is looked up in a dense row of scratch.

Cost: p and q are read from memory once (a second time from cache with `normalize`); one logarithm a term, two for JS.
The sparse forms cost O(entries).
Edge cases: terms with p = 0 are 0, p > 0 = q gives inf; NaN gives NaN; a row whose sum is 0 gives NaN when normalized.
Source: Cover, Thomas, Elements of Information Theory (2nd edition, 2006), chapter 2; Lin, Divergence measures based on
the Shannon entropy (IEEE Transactions on Information Theory, 1991).
"""

from libc.float cimport DBL_MAX, DBL_MIN, FLT_MAX, FLT_MIN
from libc.math cimport NAN, fabs
from libc.stdlib cimport free, malloc

from deciban._kernels.special cimport (
    divergences_double_ops, divergences_double_select, divergences_float_ops, divergences_float_select,
    elementwise_double_ops, elementwise_double_select, elementwise_float_ops, elementwise_float_select, real_t,
)

ctypedef fused index_t:
    int
    long long

cdef const divergences_float_ops* float_ops = divergences_float_select()
cdef const divergences_double_ops* double_ops = divergences_double_select()
cdef const elementwise_float_ops* float_points = elementwise_float_select()
cdef const elementwise_double_ops* double_points = elementwise_double_select()

cdef enum:
    SHORT = 32  # outcomes
    ROOM = 1024  # values of short rows that are taken together

ENTROPY, CROSS, KL, JS = range(4)
cdef enum Measure:
    _ENTROPY, _CROSS, _KL, _JS


cdef inline double _factor(double total, real_t* _type) noexcept nogil:
    """Return what a row of that sum is multiplied by, or NaN where digits would be lost."""
    cdef double factor = 1.0 / total
    if real_t is double:
        return factor if DBL_MIN <= fabs(factor) <= DBL_MAX else NAN
    else:
        return factor if FLT_MIN <= fabs(factor) <= FLT_MAX else NAN


cdef double _measure(int measure, const real_t* p, const real_t* q, Py_ssize_t n, bint normalize) noexcept nogil:
    cdef double a = 1.0, b = 1.0
    if real_t is double:
        if normalize:
            a = _factor[double](double_ops.sum(p, n), NULL)
            b = _factor[double](double_ops.sum(q, n), NULL)
        if measure == _ENTROPY:
            return double_ops.sum_entr(p, n, a)
        if measure == _CROSS:
            return double_ops.sum_cross(p, q, n, a, b)
        if measure == _KL:
            # of sums of 1 the terms that cannot be negative make the same divergence, with nothing to cancel
            return (double_ops.sum_kl_div if normalize else double_ops.sum_rel_entr)(p, q, n, a, b)
        return 0.5 * double_ops.sum_js(p, q, n, a, b)
    else:
        if normalize:
            a = _factor[float](float_ops.sum(p, n), NULL)
            b = _factor[float](float_ops.sum(q, n), NULL)
        if measure == _ENTROPY:
            return float_ops.sum_entr(p, n, a)
        if measure == _CROSS:
            return float_ops.sum_cross(p, q, n, a, b)
        if measure == _KL:
            return (float_ops.sum_kl_div if normalize else float_ops.sum_rel_entr)(p, q, n, a, b)
        return 0.5 * float_ops.sum_js(p, q, n, a, b)


cdef void _terms(
    int measure, const real_t* p, real_t* q, Py_ssize_t n, bint whole, real_t* terms, real_t* spare
) noexcept nogil:
    """Write the terms of a measure; of a cross-entropy with the other sign. `whole` is for rows that sum to 1."""
    cdef Py_ssize_t i
    if measure == _JS:
        for i in range(n):
            spare[i] = <real_t> 0.5 * (p[i] + q[i])
            if spare[i] == 0.0:  # of the smallest number and 0 it would be neither's
                spare[i] = p[i] + q[i]
    if real_t is double:
        if measure == _ENTROPY:
            double_points.entr(p, terms, n)
        elif measure == _CROSS:
            double_points.xlogy(p, q, terms, n)
        elif measure == _KL:
            (double_points.kl_div if whole else double_points.rel_entr)(p, q, terms, n)
        else:
            double_points.kl_div(p, spare, terms, n)
            double_points.kl_div(q, spare, q, n)
    else:
        if measure == _ENTROPY:
            float_points.entr(p, terms, n)
        elif measure == _CROSS:
            float_points.xlogy(p, q, terms, n)
        elif measure == _KL:
            (float_points.kl_div if whole else float_points.rel_entr)(p, q, terms, n)
        else:
            float_points.kl_div(p, spare, terms, n)
            float_points.kl_div(q, spare, q, n)
    if measure == _JS:
        for i in range(n):
            terms[i] = <real_t> 0.5 * (terms[i] + q[i])


cdef int _brief_terms(
    int measure, const real_t* p, const real_t* q, Py_ssize_t n, bint whole, real_t* terms
) noexcept nogil:
    """As :func:`_terms`, fast; return 0 where that does not do."""
    if real_t is double:
        if measure == _ENTROPY:
            return double_ops.terms_entr(p, n, terms)
        if measure == _CROSS:
            return double_ops.terms_cross(p, q, n, terms)
        if measure == _KL:
            return (double_ops.terms_kl_div if whole else double_ops.terms_rel_entr)(p, q, n, terms)
        return double_ops.terms_js(p, q, n, terms)
    else:
        if measure == _ENTROPY:
            return float_ops.terms_entr(p, n, terms)
        if measure == _CROSS:
            return float_ops.terms_cross(p, q, n, terms)
        if measure == _KL:
            return (float_ops.terms_kl_div if whole else float_ops.terms_rel_entr)(p, q, n, terms)
        return float_ops.terms_js(p, q, n, terms)


cdef void _scaled(const real_t* x, Py_ssize_t n_rows, Py_ssize_t n, bint normalize, real_t* out) noexcept nogil:
    cdef Py_ssize_t row, i
    cdef double total
    cdef real_t factor = 1.0
    for row in range(n_rows):
        if normalize:
            total = 0.0
            for i in range(n):
                total += x[row * n + i]
            factor = <real_t> _factor[real_t](total, NULL)
        for i in range(n):
            out[row * n + i] = factor * x[row * n + i]


cdef void _measure_short(
    int measure, const real_t* P, const real_t* Q, Py_ssize_t q_step, Py_ssize_t n_rows, Py_ssize_t n, bint normalize,
    real_t* scratch, double* out,
) noexcept nogil:
    """Measure rows that are shorter than vectors: the terms of many rows first, then their sums; scratch of 3 ROOM."""
    cdef Py_ssize_t row, size = n_rows * n
    cdef const real_t* p = P
    cdef const real_t* q = Q
    cdef real_t* terms = scratch + 2 * ROOM
    if normalize:
        _scaled(P, n_rows, n, True, scratch)
        p = scratch
    if measure != _ENTROPY and (normalize or q_step == 0):
        for row in range(n_rows):
            _scaled(Q + row * q_step, 1, n, normalize, scratch + ROOM + row * n)
        q = scratch + ROOM
    if not _brief_terms(measure, p, q, size, normalize, terms):  # some row is unusual
        for row in range(n_rows):
            out[row] = _measure(measure, P + row * n, Q + row * q_step, n, normalize)
        return
    if real_t is double:
        double_ops.sum_rows(terms, n_rows, n, out)
    else:
        float_ops.sum_rows(terms, n_rows, n, out)
    if measure == _JS:
        for row in range(n_rows):
            out[row] *= 0.5


cdef double _measure_weighted(
    int measure, const real_t* p, const real_t* q, Py_ssize_t n, bint normalize, const double* weights, real_t* scratch
) noexcept nogil:
    """Measure a row with a weight for each outcome; scratch of 4 ROOM."""
    cdef Py_ssize_t piece, start, i, m
    cdef real_t* terms = scratch + 2 * ROOM
    cdef double total = 0.0
    cdef real_t a = 1.0, b = 1.0
    if normalize:
        if real_t is double:
            a, b = _factor[double](double_ops.sum(p, n), NULL), _factor[double](double_ops.sum(q, n), NULL)
        else:
            a = <float> _factor[float](float_ops.sum(p, n), NULL)
            b = <float> _factor[float](float_ops.sum(q, n), NULL)
    for piece in range((n + ROOM - 1) // ROOM):
        start = piece * ROOM
        m = min(n - start, <Py_ssize_t> ROOM)
        for i in range(m):
            scratch[i] = a * p[start + i]
            scratch[ROOM + i] = b * q[start + i]
        _terms(measure, scratch, scratch + ROOM, m, False, terms, terms + ROOM)
        for i in range(m):
            if weights[start + i] != 0.0:
                total += weights[start + i] * terms[i]
    return -total if measure == _CROSS else total


def dense_rows(
    int measure, const real_t[:, ::1] P, const real_t[:, ::1] Q, bint normalize, const double[::1] weights,
    Py_ssize_t start, Py_ssize_t stop, double[::1] out,
):
    """Write the measure of rows [start, stop) to out; Q has as many rows as P, or one for all."""
    cdef Py_ssize_t row, m, q_step, n = P.shape[1], n_weights = weights.shape[0]
    cdef real_t* scratch
    if (
        Q.shape[1] != n or (Q.shape[0] != P.shape[0] and Q.shape[0] != 1) or start < 0 or stop > P.shape[0]
        or out.shape[0] < stop or (n_weights and n_weights != n)
    ):
        raise ValueError("rows, weights and output do not agree in shape")
    if n == 0:
        out[start:stop] = NAN if normalize else 0.0
        return
    q_step = n if Q.shape[0] > 1 else 0
    scratch = <real_t*> malloc(4 * ROOM * sizeof(real_t))
    if scratch == NULL:
        raise MemoryError
    with nogil:
        row = start
        while row < stop:
            m = 1
            if n_weights:
                out[row] = _measure_weighted(
                    measure, &P[row, 0], &Q[0, 0] + row * q_step, n, normalize, &weights[0], scratch)
            elif n < SHORT:
                m = min(ROOM // n, stop - row)
                _measure_short(
                    measure, &P[row, 0], &Q[0, 0] + row * q_step, q_step, m, n, normalize, scratch, &out[row])
            else:
                out[row] = _measure(measure, &P[row, 0], &Q[0, 0] + row * q_step, n, normalize)
            row += m
    free(scratch)


def pairs(
    int measure, const real_t[:, ::1] P, const real_t[:, ::1] Q, bint normalize, Py_ssize_t start, Py_ssize_t stop,
    double[:, ::1] out,
):
    """Write the measure of rows [start, stop) of P with every row of Q to out, (n_rows of P, n_rows of Q)."""
    cdef Py_ssize_t i, j, n = P.shape[1]
    if Q.shape[1] != n or start < 0 or stop > P.shape[0] or out.shape[0] < stop or out.shape[1] != Q.shape[0]:
        raise ValueError("rows and output do not agree in shape")
    with nogil:
        for i in range(start, stop):
            for j in range(Q.shape[0]):
                out[i, j] = _measure(measure, &P[i, 0], &Q[j, 0], n, normalize) if n else 0.0


def sparse_rows(
    int measure, const double[::1] p_data, const index_t[::1] p_indices, const index_t[::1] p_indptr,
    const double[::1] q_data, const index_t[::1] q_indices, const index_t[::1] q_indptr, bint normalize,
    const double[::1] weights, Py_ssize_t n_features, Py_ssize_t start, Py_ssize_t stop, double[::1] out,
):
    """As :func:`dense_rows`, of CSR rows without duplicates that the border has checked; Q may have one row."""
    cdef Py_ssize_t row, j, size, q_row, n_q = q_indptr.shape[0] - 1, room = n_features + 1
    cdef bint weighted = weights.shape[0] > 0
    cdef double* looked_up
    cdef double* p
    cdef double* q
    cdef double* w
    if (
        p_data.shape[0] != p_indices.shape[0] or q_data.shape[0] != q_indices.shape[0] or start < 0
        or stop >= p_indptr.shape[0] or out.shape[0] < stop or (n_q != 1 and n_q != p_indptr.shape[0] - 1)
        or (weighted and weights.shape[0] != n_features)
    ):
        raise ValueError("rows, weights and output do not agree in shape")
    looked_up = <double*> malloc((4 * room + (4 * ROOM if weighted else 0)) * sizeof(double))
    if looked_up == NULL:
        raise MemoryError
    p, q, w = looked_up + room, looked_up + 2 * room, looked_up + 3 * room
    with nogil:
        for j in range(n_features):
            looked_up[j] = 0.0
        for row in range(start, stop):
            q_row = row if n_q > 1 else 0
            for j in range(q_indptr[q_row], q_indptr[q_row + 1]):
                looked_up[q_indices[j]] = q_data[j]
            size = 0
            for j in range(p_indptr[row], p_indptr[row + 1]):
                p[size] = p_data[j]
                q[size] = looked_up[p_indices[j]]
                looked_up[p_indices[j]] = 0.0
                if weighted:
                    w[size] = weights[p_indices[j]]
                size += 1
            for j in range(q_indptr[q_row], q_indptr[q_row + 1]):
                if looked_up[q_indices[j]] != 0.0:  # what p does not have
                    p[size] = 0.0
                    q[size] = looked_up[q_indices[j]]
                    looked_up[q_indices[j]] = 0.0
                    if weighted:
                        w[size] = weights[q_indices[j]]
                    size += 1
            if size == 0:
                out[row] = NAN if normalize else 0.0
            elif weighted:
                out[row] = _measure_weighted[double](measure, p, q, size, normalize, w, w + room)
            else:
                out[row] = _measure[double](measure, p, q, size, normalize)
    free(looked_up)
