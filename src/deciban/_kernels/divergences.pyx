"""Entropies and divergences of rows: one number a row, dense or sparse.

    ENTROPY: -sum_f p_f log p_f, CROSS: -sum_f p_f log q_f, KL: sum_f p_f log(p_f / q_f),
    JS: sum_f (p_f log(p_f / m_f) + q_f log(q_f / m_f)) / 2 with m = (p + q) / 2; in nats

Divergences are sums of terms x log(x / y) - x + y where what is added cancels: they are never negative.

`normalize` divides every row by its sum first. A sparse row is gathered into pairs (p_f, q_f) of the features that
either has, so that they are neighbours as those of a dense row are; q is looked up in a dense row of scratch.

Cost: p and q are read from memory once (a second time from cache with `normalize`); one logarithm a term, two for JS.
The sparse forms cost O(entries).
Edge cases: terms with p = 0 are 0, p > 0 = q gives inf; NaN gives NaN; a row whose sum is 0 gives NaN when normalized.
Source: Cover, Thomas, Elements of Information Theory (2nd edition, 2006), chapter 2; Lin, Divergence measures based on
the Shannon entropy (IEEE Transactions on Information Theory, 1991).
"""

from libc.math cimport NAN
from libc.stdlib cimport free, malloc

from deciban._kernels.special cimport (
    real_t, special_double_ops, special_double_select, special_float_ops, special_float_select,
)

ctypedef fused index_t:
    int
    long long

cdef const special_float_ops* float_ops = special_float_select()
cdef const special_double_ops* double_ops = special_double_select()

cdef enum:
    SHORT = 32  # outcomes
    ROOM = 2048  # values of short rows that are taken together

ENTROPY, CROSS, KL, JS = range(4)
cdef enum Measure:
    _ENTROPY, _CROSS, _KL, _JS


cdef double _measure(int measure, const real_t* p, const real_t* q, Py_ssize_t n, bint normalize) noexcept nogil:
    cdef double a = 1.0, b = 1.0
    if real_t is double:
        if normalize:
            a = 1.0 / double_ops.sum(p, n)
            b = 1.0 / double_ops.sum(q, n)
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
            a = 1.0 / float_ops.sum(p, n)
            b = 1.0 / float_ops.sum(q, n)
        if measure == _ENTROPY:
            return float_ops.sum_entr(p, n, a)
        if measure == _CROSS:
            return float_ops.sum_cross(p, q, n, a, b)
        if measure == _KL:
            # of sums of 1 the terms that cannot be negative make the same divergence, with nothing to cancel
            return (float_ops.sum_kl_div if normalize else float_ops.sum_rel_entr)(p, q, n, a, b)
        return 0.5 * float_ops.sum_js(p, q, n, a, b)


cdef void _scaled(const real_t* x, Py_ssize_t n_rows, Py_ssize_t n, bint normalize, real_t* out) noexcept nogil:
    cdef Py_ssize_t row, i
    cdef real_t total
    for row in range(n_rows):
        total = 1.0
        if normalize:
            total = 0.0
            for i in range(n):
                total += x[row * n + i]
            total = 1.0 / total
        for i in range(n):
            out[row * n + i] = total * x[row * n + i]


cdef void _measure_short(
    int measure, const real_t* P, const real_t* Q, Py_ssize_t q_step, Py_ssize_t n_rows, Py_ssize_t n, bint normalize,
    real_t* scratch, double* out,
) noexcept nogil:
    """Measure rows that are shorter than vectors: the terms of many rows first, then their sums; scratch of 4 ROOM."""
    cdef Py_ssize_t row, i, size = n_rows * n
    cdef real_t* p = scratch
    cdef real_t* q = p + ROOM
    cdef real_t* terms = q + ROOM
    cdef real_t* middle = terms + ROOM
    cdef double total, sign = -1.0 if measure == _CROSS else 1.0
    _scaled(P, n_rows, n, normalize, p)
    if measure != _ENTROPY:
        for row in range(n_rows):
            _scaled(Q + row * q_step, 1, n, normalize, q + row * n)
    if real_t is double:
        if measure == _ENTROPY:
            double_ops.entr(p, terms, size)
        elif measure == _CROSS:
            double_ops.xlogy(p, q, terms, size)
        elif measure == _KL and normalize:
            double_ops.kl_div(p, q, terms, size)
        elif measure == _KL:
            double_ops.rel_entr(p, q, terms, size)
    else:
        if measure == _ENTROPY:
            float_ops.entr(p, terms, size)
        elif measure == _CROSS:
            float_ops.xlogy(p, q, terms, size)
        elif measure == _KL and normalize:
            float_ops.kl_div(p, q, terms, size)
        elif measure == _KL:
            float_ops.rel_entr(p, q, terms, size)
    if measure == _JS:
        for i in range(size):
            middle[i] = <real_t> 0.5 * (p[i] + q[i])
        if real_t is double:
            double_ops.kl_div(p, middle, terms, size)
            double_ops.kl_div(q, middle, p, size)
        else:
            float_ops.kl_div(p, middle, terms, size)
            float_ops.kl_div(q, middle, p, size)
        for i in range(size):
            terms[i] = <real_t> 0.5 * (terms[i] + p[i])
    for row in range(n_rows):
        total = 0.0
        for i in range(n):
            total += terms[row * n + i]
        out[row] = sign * total


def dense_rows(
    int measure, const real_t[:, ::1] P, const real_t[:, ::1] Q, bint normalize, Py_ssize_t start, Py_ssize_t stop,
    double[::1] out,
):
    """Write the measure of rows [start, stop) to out; Q has as many rows as P, or one for all."""
    cdef Py_ssize_t row, m, n = P.shape[1], together
    cdef real_t* scratch
    if (
        Q.shape[1] != n or (Q.shape[0] != P.shape[0] and Q.shape[0] != 1) or start < 0 or stop > P.shape[0]
        or out.shape[0] < stop
    ):
        raise ValueError("rows and output do not agree in shape")
    if n == 0:
        out[start:stop] = NAN if normalize else 0.0
        return
    if n < SHORT:
        scratch = <real_t*> malloc(4 * ROOM * sizeof(real_t))
        if scratch == NULL:
            raise MemoryError
        together = ROOM // n
        with nogil:
            row = start
            while row < stop:
                m = min(together, stop - row)
                _measure_short(
                    measure, &P[row, 0], &Q[row if Q.shape[0] > 1 else 0, 0], n if Q.shape[0] > 1 else 0, m, n,
                    normalize, scratch, &out[row])
                row += m
        free(scratch)
        return
    with nogil:
        for row in range(start, stop):
            out[row] = _measure(measure, &P[row, 0], &Q[row if Q.shape[0] > 1 else 0, 0], n, normalize)


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
    Py_ssize_t n_features, Py_ssize_t start, Py_ssize_t stop, double[::1] out,
):
    """As :func:`dense_rows`, of CSR rows without duplicates that the border has checked; Q may have one row."""
    cdef Py_ssize_t row, j, size, f, q_row, n_q = q_indptr.shape[0] - 1
    cdef double* looked_up
    cdef double* p
    cdef double* q
    if (
        p_data.shape[0] != p_indices.shape[0] or q_data.shape[0] != q_indices.shape[0] or start < 0
        or stop >= p_indptr.shape[0] or out.shape[0] < stop or (n_q != 1 and n_q != p_indptr.shape[0] - 1)
    ):
        raise ValueError("rows and output do not agree in shape")
    looked_up = <double*> malloc((3 * n_features + 3) * sizeof(double))
    if looked_up == NULL:
        raise MemoryError
    p = looked_up + n_features + 1
    q = p + n_features + 1
    with nogil:
        for f in range(n_features):
            looked_up[f] = 0.0
        for row in range(start, stop):
            q_row = row if n_q > 1 else 0
            for j in range(q_indptr[q_row], q_indptr[q_row + 1]):
                looked_up[q_indices[j]] = q_data[j]
            size = 0
            for j in range(p_indptr[row], p_indptr[row + 1]):
                p[size] = p_data[j]
                q[size] = looked_up[p_indices[j]]
                looked_up[p_indices[j]] = 0.0
                size += 1
            for j in range(q_indptr[q_row], q_indptr[q_row + 1]):
                if looked_up[q_indices[j]] != 0.0:  # what p does not have
                    p[size] = 0.0
                    q[size] = looked_up[q_indices[j]]
                    looked_up[q_indices[j]] = 0.0
                    size += 1
            if size:
                out[row] = _measure[double](measure, p, q, size, normalize)
            else:
                out[row] = NAN if normalize else 0.0
    free(looked_up)
