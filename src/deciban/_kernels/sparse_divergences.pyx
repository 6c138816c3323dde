"""Entropies and divergences of CSR rows: one number a row, as divergences.pyx has them of dense ones.

A sparse row is gathered into pairs (p_f, q_f) of the features that either row has, so that they are neighbours as those
of a dense row are; the other row is looked up in a dense one. Where many rows meet a single one, features that a row
does not have are not visited: what each of them would add (`absent`, 0 for most measures) is summed once for all
features, and what those that the row has would have added is taken off, in twice the precision.

All rows are checked and free of duplicates, but those that are multiplied by a vector, whose kernel checks them itself:
it waits for memory, and one more read of the indices would take a fifth of its time. `normalize` and `weights` are as
in divergences.pyx.

Cost: O(entries) gathers and logarithms, and O(features) once a call: 8 bytes of p and 4 of its index from memory an
entry, 8 or 16 from the cache where the single row fits into it.
Edge cases: a row without entries is NaN when normalized; what is absent may be infinite (p > 0 = q), or NaN.
Source: Cover, Thomas, Elements of Information Theory (2nd edition, 2006), chapter 2; T. J. Dekker, A floating-point
technique for extending the available precision (Numerische Mathematik 18, 1971).
"""

cimport deciban._kernels.special as kinds
from libc.math cimport INFINITY, NAN, fabs, isfinite
from libc.stdlib cimport calloc, free, malloc

from deciban._kernels.prefetch cimport PREFETCH
from deciban._kernels.special cimport divergences_double_ops, divergences_double_select, kind_of
from deciban._kernels.sums cimport add_to
from deciban._kernels.types cimport data_t, index_t

cdef const divergences_double_ops* ops = divergences_double_select()

cdef enum:
    PIECE = 256  # features
    RUN = 64  # entries
    AHEAD = 512  # entries that memory is asked for beforehand: a page, past which no processor looks by itself

cdef double TOO_LITTLE = 2.0**-40

cdef struct Tally:
    # The sum of finite numbers in two parts, and how many there are of those that are not 0, and of the others.
    double high
    double low
    Py_ssize_t n_finite
    Py_ssize_t n_plus
    Py_ssize_t n_minus
    Py_ssize_t n_nan


cdef inline void _count(double x, Tally* tally) noexcept nogil:
    if x == 0.0:
        return
    if isfinite(x):
        add_to(&tally.high, &tally.low, x)
        tally.n_finite += 1
    elif x > 0.0:
        tally.n_plus += 1
    elif x < 0.0:
        tally.n_minus += 1
    else:
        tally.n_nan += 1


cdef double _left(const Tally* whole, const Tally* seen) noexcept nogil:
    """Return the sum of what is part of the whole and was not seen."""
    cdef double apart = whole.high - seen.high, added = apart - whole.high, left = 0.0
    if whole.n_finite > seen.n_finite:
        left = apart + ((whole.high - (apart - added)) + (-seen.high - added) + (whole.low - seen.low))
    if whole.n_plus > seen.n_plus:
        left += INFINITY
    if whole.n_minus > seen.n_minus:
        left -= INFINITY
    return NAN if whole.n_nan > seen.n_nan else left


cdef bint _is_lost(const Tally* whole, const Tally* seen, double left) noexcept nogil:
    """Return whether what is left of the whole is so little that its digits are gone."""
    return whole.n_finite > seen.n_finite and fabs(left) < TOO_LITTLE * fabs(whole.high)


cdef double _of_others(
    const double[::1] absent, const index_t[::1] indices, Py_ssize_t first, Py_ssize_t last, char* is_there
) noexcept nogil:
    """Return the sum over features that a row does not have, one by one; no flag is set, before and after."""
    cdef Py_ssize_t f, j
    cdef double total = 0.0
    for j in range(first, last):
        is_there[indices[j]] = True
    for f in range(absent.shape[0]):
        if not is_there[f]:
            total += absent[f]
    for j in range(first, last):
        is_there[indices[j]] = False
    return total


cdef inline double _terms(
    int measure, const double* p, const double* q, const double* weights, Py_ssize_t n, double a, double b,
    bint normalize,
) noexcept nogil:
    """Return the sum of the terms of a p and b q; `weights` is NULL, or one for each."""
    cdef double found
    if a != a or b != b:  # whatever the weights are
        return NAN
    if n == 0:
        return 0.0
    if weights != NULL:
        found = ops.weighted[measure](p, q, weights, n, a, b)
    else:
        found = ops.sums[kind_of(measure, normalize)](p, q, n, a, b)
    return 0.5 * found if measure == kinds.JS else found


cdef Py_ssize_t _longest(const index_t[::1] indptr, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    cdef Py_ssize_t row, longest = 0
    for row in range(start, stop):
        longest = max(longest, indptr[row + 1] - indptr[row])
    return longest


def entropies(
    const double[::1] data, const index_t[::1] indices, const index_t[::1] indptr, bint normalize,
    const double[::1] weights, Py_ssize_t start, Py_ssize_t stop, double[::1] out,
):
    """Write the entropy of rows [start, stop) to out."""
    cdef Py_ssize_t row, first, n, j, longest = _longest(indptr, start, stop)
    cdef bint weighted = weights.shape[0] > 0
    cdef const double* p
    cdef double* w = NULL
    cdef double scale
    if weighted:
        w = <double*> malloc((longest + 1) * sizeof(double))
        if w == NULL:
            raise MemoryError
    with nogil:
        for row in range(start, stop):
            first, n = indptr[row], indptr[row + 1] - indptr[row]
            if n == 0:
                out[row] = NAN if normalize else 0.0
                continue
            p = &data[first]
            if weighted:
                for j in range(n):
                    w[j] = weights[indices[first + j]]
            scale = ops.inverse(p, n) if normalize else 1.0
            out[row] = _terms(kinds.ENTROPY, p, p, w, n, scale, scale, normalize)
    free(w)


def entropies_of_columns(
    const double[::1] data, const index_t[::1] indices, const double[::1] inverses, Py_ssize_t start, Py_ssize_t stop,
    double[:, ::1] out,
):
    """Add the terms of entries [start, stop) to the entropies of columns, sums of two; sums' inverses may be given."""
    cdef Py_ssize_t i, k, m
    cdef bint scaled = inverses.shape[0] > 0
    cdef double[PIECE] here, terms
    cdef const double* p
    with nogil:
        while start < stop:
            m = min(PIECE, stop - start)
            p = &data[start]
            if scaled:
                for i in range(m):
                    here[i] = data[start + i] * inverses[indices[start + i]]
                p = here
            if not ops.terms[kinds.ENTROPY](p, p, m, terms):  # something is unusual
                for i in range(m):
                    terms[i] = _terms(kinds.ENTROPY, p + i, p + i, NULL, 1, 1.0, 1.0, False)
            for i in range(m):
                k = indices[start + i]
                add_to(&out[k, 0], &out[k, 1], terms[i])
            start += m


def cross_entropies_of_columns(
    const double[::1] data, const index_t[::1] indices, const index_t[::1] indptr, const double[::1] minus_logs,
    Py_ssize_t start, Py_ssize_t stop, double[:, ::1] out,
):
    """Add what rows [start, stop), for each of which -log q is given, add to columns' cross-entropies, sums of two."""
    cdef Py_ssize_t row, j, k
    with nogil:
        for row in range(start, stop):
            for j in range(indptr[row], indptr[row + 1]):
                if data[j] != 0.0:  # times infinity it is nothing
                    k = indices[j]
                    add_to(&out[k, 0], &out[k, 1], data[j] * minus_logs[row])


def absences(
    int measure, const double[::1] one, bint one_is_p, bint normalize, const double[::1] weights, double[::1] absent,
):
    """Write what each feature of a row adds where the other has nothing; return the sum for :func:`against_one`."""
    cdef Py_ssize_t start = 0, i, m, n = one.shape[0]
    cdef bint weighted = weights.shape[0] > 0
    cdef double scale = 1.0
    cdef double[PIECE] zeros, here
    cdef double* p = &here[0] if one_is_p else &zeros[0]
    cdef double* q = &zeros[0] if one_is_p else &here[0]
    cdef Tally whole = Tally(0.0, 0.0, 0, 0, 0, 0)
    if absent.shape[0] != n or (weighted and weights.shape[0] != n):
        raise ValueError("the row, weights and output do not agree in shape")
    with nogil:
        if normalize and n:
            scale = ops.inverse(&one[0], n)
        for i in range(PIECE):
            zeros[i] = 0.0
        while start < n:
            m = min(PIECE, n - start)
            for i in range(m):
                here[i] = scale * one[start + i]
            # in one go, unless there is something unusual, or infinite
            if weighted or not ops.terms[kind_of(measure, normalize)](p, q, m, &absent[start]):
                for i in range(m):
                    absent[start + i] = _terms(
                        measure, p + i, q + i, &weights[start + i] if weighted else NULL, 1, 1.0, 1.0, normalize)
            elif measure == kinds.JS:
                for i in range(m):
                    absent[start + i] *= 0.5
            for i in range(m):
                _count(absent[start + i], &whole)
            start += m
    return whole


def against_one(
    int measure, const double[::1] data, const index_t[::1] indices, const index_t[::1] indptr, const double[::1] one,
    bint one_is_p, bint normalize, const double[::1] weights, const double[::1] absent, Tally whole, Py_ssize_t start,
    Py_ssize_t stop, double[::1] out,
):
    """Write the measure of rows [start, stop) and a dense row, which is p or q, to out; not of entropies."""
    cdef Py_ssize_t row, first, j, n, f, longest = _longest(indptr, start, stop)
    cdef bint weighted = weights.shape[0] > 0
    cdef bint silent = not (whole.n_finite or whole.n_plus or whole.n_minus or whole.n_nan)
    cdef double one_scale = 1.0, scale = 1.0, left
    cdef const double* x
    cdef double* other = <double*> malloc(2 * (longest + 1) * sizeof(double))
    cdef double* w = NULL
    cdef char* is_there = <char*> calloc(one.shape[0] + 1, 1)
    cdef Tally seen
    if other == NULL or is_there == NULL:
        free(other)
        free(is_there)
        raise MemoryError
    with nogil:
        if normalize and one.shape[0]:
            one_scale = ops.inverse(&one[0], one.shape[0])
        if weighted:
            w = other + longest + 1
        for row in range(start, stop):
            first, n = indptr[row], indptr[row + 1] - indptr[row]
            if n == 0 and normalize:
                out[row] = NAN
                continue
            x = &data[0] + first
            seen = Tally(0.0, 0.0, 0, 0, 0, 0)
            for j in range(n):
                f = indices[first + j]
                other[j] = one[f]
                if weighted:
                    w[j] = weights[f]
                if not silent:
                    _count(absent[f], &seen)
            if normalize:
                scale = ops.inverse(x, n)
            if one_is_p:
                out[row] = _terms(measure, other, x, w, n, one_scale, scale, normalize)
            else:
                out[row] = _terms(measure, x, other, w, n, scale, one_scale, normalize)
            if not silent:
                left = _left(&whole, &seen)
                if _is_lost(&whole, &seen, left):
                    left = _of_others(absent, indices, first, first + n, is_there)
                out[row] += left
    free(other)
    free(is_there)


def minus_logs(const double[::1] q, bint normalize, double[::1] out):
    """Write what one of each outcome adds to a cross-entropy; return whether all is finite, and whether q has NaN.

    NaN is written where the sum of q, which it is divided by, is out of range.
    """
    cdef Py_ssize_t start = 0, i, m, n = q.shape[0]
    cdef double scale = 1.0
    cdef double[PIECE] one, here
    cdef bint is_finite = True, has_nan = False
    if out.shape[0] != n:
        raise ValueError("input and output do not agree in length")
    with nogil:
        if normalize and n:
            scale = ops.inverse(&q[0], n)
        for i in range(PIECE):
            one[i] = 1.0
        while start < n:
            m = min(PIECE, n - start)
            for i in range(m):
                here[i] = scale * q[start + i]
            if not ops.terms[kinds.CROSS](one, here, m, &out[start]):
                for i in range(m):
                    has_nan |= q[start + i] != q[start + i]
                    out[start + i] = _terms(kinds.CROSS, one, here + i, NULL, 1, 1.0, 1.0, False)
                    is_finite &= isfinite(out[start + i])
            start += m
    return is_finite, has_nan


cdef inline double _inverse(const data_t* p, Py_ssize_t n) noexcept nogil:
    """Return 1 / sum p, or NaN where that is no normal number."""
    cdef Py_ssize_t j = 0, stop
    cdef double even, odd, total = 0.0
    if data_t is double:
        total = ops.inverse(p, n)
    else:
        while j < n:
            stop = min(n, j + RUN)
            even = odd = 0.0
            while j + 2 <= stop:
                even += <double> p[j]
                odd += <double> p[j + 1]
                j += 2
            if j < stop:
                even += <double> p[j]
                j += 1
            total += even + odd
        total = ops.inverse(&total, 1)
    return total


cdef inline bint _product(
    const data_t* p, const index_t* indices, Py_ssize_t n, double scale, const double* minus_logs, Py_ssize_t n_logs,
    bint is_finite, double* out,
) noexcept nogil:
    """Write the sum of scale p (-log q), of a run of entries; return whether all indices are in range."""
    cdef Py_ssize_t j
    cdef size_t a, b, c, d, n_all = n_logs  # an index below 0 is a very large one
    cdef double[4] parts
    parts[0] = parts[1] = parts[2] = parts[3] = 0.0
    for j in range(0, RUN, 8):
        PREFETCH(p + AHEAD + j)
        PREFETCH(indices + AHEAD + j)
    j = 0
    while is_finite and j + 4 <= n:
        a, b = <size_t> indices[j], <size_t> indices[j + 1]
        c, d = <size_t> indices[j + 2], <size_t> indices[j + 3]
        if (a >= n_all) | (b >= n_all) | (c >= n_all) | (d >= n_all):
            return False
        parts[0] += scale * <double> p[j] * minus_logs[a]
        parts[1] += scale * <double> p[j + 1] * minus_logs[b]
        parts[2] += scale * <double> p[j + 2] * minus_logs[c]
        parts[3] += scale * <double> p[j + 3] * minus_logs[d]
        j += 4
    while j < n:
        a = <size_t> indices[j]
        if a >= n_all:
            return False
        if is_finite or scale * <double> p[j] != 0.0:  # times infinity it is nothing
            parts[0] += scale * <double> p[j] * minus_logs[a]
        j += 1
    out[0] = (parts[0] + parts[1]) + (parts[2] + parts[3])
    return True


def cross_entropies(
    const data_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr, const double[::1] minus_logs,
    bint is_finite, bint normalize, Py_ssize_t start, Py_ssize_t stop, double[::1] out,
):
    """Write the cross-entropy of rows [start, stop), which may have duplicates, and one of given -log q to out.

    Nobody has checked the rows: whether all of their pointers and indices are in range is returned.
    """
    cdef Py_ssize_t row, j, n, last, n_entries = min(data.shape[0], indices.shape[0])
    cdef double scale = 1.0, total, lost, part, before
    cdef bint good = True
    if start < 0 or stop > indptr.shape[0] - 1 or stop > out.shape[0]:
        raise ValueError("rows and output do not agree")
    with nogil:
        for row in range(start, stop):
            total = lost = 0.0
            j, last = indptr[row], indptr[row + 1]
            if j < 0 or last < j or last > n_entries:
                good = False
                break
            if normalize:
                scale = _inverse(&data[0] + j, last - j)
            while j < last and good:
                n = min(RUN, last - j)
                part = 0.0
                good = _product(
                    &data[0] + j, &indices[0] + j, n, scale, &minus_logs[0], minus_logs.shape[0], is_finite, &part)
                before = total
                total += part
                if isfinite(total):
                    lost += part - (total - before)
                j += n
            if not good:
                break
            out[row] = total + lost if scale == scale else NAN
    return good and (stop < 1 or indptr[0] == 0)


def rows_in_pairs(
    int measure, const double[::1] p_data, const index_t[::1] p_indices, const index_t[::1] p_indptr,
    const double[::1] q_data, const index_t[::1] q_indices, const index_t[::1] q_indptr, bint normalize,
    const double[::1] weights, Py_ssize_t n_features, Py_ssize_t start, Py_ssize_t stop, double[::1] out,
):
    """Write the measure of rows [start, stop) of both to out."""
    cdef Py_ssize_t row, j, size, room = _longest(p_indptr, start, stop) + _longest(q_indptr, start, stop) + 1
    cdef bint weighted = weights.shape[0] > 0
    cdef double a = 1.0, b = 1.0
    cdef double* looked_up = <double*> calloc(n_features + 1, sizeof(double))
    cdef double* p = <double*> malloc(3 * room * sizeof(double))
    cdef double* q = p + room
    cdef double* w = q + room
    if looked_up == NULL or p == NULL:
        free(looked_up)
        free(p)
        raise MemoryError
    with nogil:
        for row in range(start, stop):
            for j in range(q_indptr[row], q_indptr[row + 1]):
                looked_up[q_indices[j]] = q_data[j]
            size = 0
            for j in range(p_indptr[row], p_indptr[row + 1]):
                p[size] = p_data[j]
                q[size] = looked_up[p_indices[j]]
                looked_up[p_indices[j]] = 0.0
                if weighted:
                    w[size] = weights[p_indices[j]]
                size += 1
            for j in range(q_indptr[row], q_indptr[row + 1]):
                if looked_up[q_indices[j]] != 0.0:  # what p does not have
                    p[size] = 0.0
                    q[size] = looked_up[q_indices[j]]
                    looked_up[q_indices[j]] = 0.0
                    if weighted:
                        w[size] = weights[q_indices[j]]
                    size += 1
            if size == 0:
                out[row] = NAN if normalize else 0.0
                continue
            if normalize:
                a, b = ops.inverse(p, size), ops.inverse(q, size)
            out[row] = _terms(measure, p, q, w if weighted else NULL, size, a, b, normalize)
    free(looked_up)
    free(p)
