"""Products of a matrix with many zeros by a table: X W, and X^T D, in time for what is not zero.

nonzeros.h says how. Dense products are faster where most elements are not zero, or rows of the table are short: where
this is so nothing is done, and the answer tells.

Cost: 0.02 ns an element to look at them all (Zen 5, AVX-512); 2 flops an element that is not zero and column of the
table. Marks are on the stack: a call is of as many rows of the result as they have room for.
Edge cases: zero times an infinity or NaN of the table is left out, as if it were zero.
"""

from libc.stdint cimport uint64_t

import numpy as np

cdef extern from "nonzeros.h":
    ctypedef struct nonzeros_double_ops:
        Py_ssize_t (*mark)(const double*, Py_ssize_t, Py_ssize_t, uint64_t*) noexcept nogil
        Py_ssize_t (*mark_columns)(const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, uint64_t*) noexcept nogil
        void (*multiply)(
            const double*, Py_ssize_t, Py_ssize_t, const uint64_t*, Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t,
            double*) noexcept nogil

    ctypedef struct nonzeros_float_ops:
        Py_ssize_t (*mark)(const float*, Py_ssize_t, Py_ssize_t, uint64_t*) noexcept nogil
        Py_ssize_t (*mark_columns)(const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, uint64_t*) noexcept nogil
        void (*multiply)(
            const float*, Py_ssize_t, Py_ssize_t, const uint64_t*, Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t,
            float*) noexcept nogil

    const nonzeros_double_ops* nonzeros_double_select() noexcept nogil
    const nonzeros_float_ops* nonzeros_float_select() noexcept nogil

cdef const nonzeros_double_ops* d = nonzeros_double_select()
cdef const nonzeros_float_ops* f = nonzeros_float_select()

cdef enum:
    WORD = 64
    LONG = 256   # bytes of the table's rows, at least
    ROOM = 4096  # words of marks
    ENOUGH = 16  # rows of the result, for which the table is copied once


cdef inline Py_ssize_t _n_words(Py_ssize_t n) noexcept nogil:
    return (n + WORD - 1) // WORD


cdef inline Py_ssize_t _mark(
    const real_t* x, Py_ssize_t n_rows, Py_ssize_t n_columns, uint64_t* marks,
) noexcept nogil:
    if real_t is double:
        return d.mark(x, n_rows, n_columns, marks)
    else:
        return f.mark(x, n_rows, n_columns, marks)


cdef inline Py_ssize_t _mark_columns(
    const real_t* x, Py_ssize_t row_step, Py_ssize_t n_rows, Py_ssize_t n_columns, uint64_t* marks,
) noexcept nogil:
    if real_t is double:
        return d.mark_columns(x, row_step, n_rows, n_columns, marks)
    else:
        return f.mark_columns(x, row_step, n_rows, n_columns, marks)


cdef inline void _multiply(
    const real_t* x, Py_ssize_t row_step, Py_ssize_t step, const uint64_t* marks, Py_ssize_t n_rows,
    Py_ssize_t n_inner, const real_t* table, Py_ssize_t n_columns, real_t* out,
) noexcept nogil:
    if real_t is double:
        d.multiply(x, row_step, step, marks, n_rows, n_inner, table, n_columns, out)
    else:
        f.multiply(x, row_step, step, marks, n_rows, n_inner, table, n_columns, out)


cdef inline bint _are_few(Py_ssize_t n_marked, Py_ssize_t n) noexcept nogil:
    return 3 * n_marked <= 2 * n


cdef Py_ssize_t rows_at_once(Py_ssize_t n_inner) noexcept nogil:
    """How many rows of the result a call can be of, with so many inner elements; 0 if they are too many."""
    cdef Py_ssize_t found = ROOM // max(_n_words(n_inner), 1)
    return found if found >= ENOUGH else 0


cdef bint multiply_few(
    const real_t* X, Py_ssize_t n_rows, Py_ssize_t n_in, const real_t* coef, Py_ssize_t n_out, real_t* out,
) noexcept nogil:
    """out (n_rows, n_out) = X coef, if that is faster so; return whether it is."""
    cdef uint64_t[ROOM] marks
    if n_out * sizeof(real_t) < LONG or not _are_few(_mark(X, n_rows, n_in, marks), n_rows * n_in):
        return False
    _multiply(X, n_in, 1, marks, n_rows, n_in, coef, n_out, out)
    return True


cdef bint multiply_few_into_gradient(
    const real_t* X, const real_t* deltas, Py_ssize_t n_rows, Py_ssize_t n_in, Py_ssize_t n_out, Py_ssize_t start,
    Py_ssize_t stop, real_t* out,
) noexcept nogil:
    """out (stop - start, n_out) = X[:, start:stop]^T deltas, if that is faster so; return whether it is."""
    cdef uint64_t[ROOM] marks
    cdef Py_ssize_t n = stop - start
    if n_out * sizeof(real_t) < LONG or not _are_few(_mark_columns(X + start, n_in, n_rows, n, marks), n_rows * n):
        return False
    _multiply(X + start, 1, n_in, marks, n, n_rows, deltas, n_out, out)
    return True


# --- for Python -------------------------------------------------------------------------------------------------------

def multiply_nonzeros(const real_t[:, ::1] X, const real_t[:, ::1] table, bint transposed, real_t[:, ::1] out):
    """Fill `out` with X table, or X^T table; return how many elements of X are not zero."""
    cdef Py_ssize_t n_rows = X.shape[0], n_in = X.shape[1], found
    n_out, n_inner = (n_in, n_rows) if transposed else (n_rows, n_in)
    if table.shape[0] != n_inner or out.shape[0] != n_out or out.shape[1] != table.shape[1]:
        raise ValueError("X, table and output do not agree in shape")
    if not (n_rows and n_in and out.shape[1]):
        np.asarray(out)[:] = 0
        return 0
    cdef uint64_t[::1] marks = np.empty(n_out * _n_words(n_inner), np.uint64)
    with nogil:
        if transposed:
            found = _mark_columns(&X[0, 0], n_in, n_rows, n_in, &marks[0])
            _multiply(&X[0, 0], 1, n_in, &marks[0], n_in, n_rows, &table[0, 0], out.shape[1], &out[0, 0])
        else:
            found = _mark(&X[0, 0], n_rows, n_in, &marks[0])
            _multiply(&X[0, 0], n_in, 1, &marks[0], n_rows, n_in, &table[0, 0], out.shape[1], &out[0, 0])
    return found
