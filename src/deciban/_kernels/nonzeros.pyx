"""Products of a matrix with many zeros by a table: X W, and X^T D, in time for what is not zero.

nonzeros.h says how. Dense products are faster where most elements are not zero, or rows of the table are short:
nonzeros.pxd draws the line.

Cost: n_rows n_in / 8 bytes of marks, 0.2 ns an element; 2 flops an element that is not zero and column of the table.
Edge cases: zero times an infinity or NaN of the table is left out, as if it were zero.
"""

from libc.stdint cimport uint64_t

import numpy as np

cdef extern from "nonzeros.h":
    ctypedef struct nonzeros_double_ops:
        Py_ssize_t (*mark)(const double*, Py_ssize_t, Py_ssize_t, uint64_t*) noexcept nogil
        Py_ssize_t (*turn)(
            const uint64_t*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, uint64_t*) noexcept nogil
        void (*multiply)(
            const double*, Py_ssize_t, Py_ssize_t, const uint64_t*, Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t,
            double*) noexcept nogil

    ctypedef struct nonzeros_float_ops:
        Py_ssize_t (*mark)(const float*, Py_ssize_t, Py_ssize_t, uint64_t*) noexcept nogil
        void (*multiply)(
            const float*, Py_ssize_t, Py_ssize_t, const uint64_t*, Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t,
            float*) noexcept nogil

    const nonzeros_double_ops* nonzeros_double_select() noexcept nogil
    const nonzeros_float_ops* nonzeros_float_select() noexcept nogil

cdef const nonzeros_double_ops* d = nonzeros_double_select()
cdef const nonzeros_float_ops* f = nonzeros_float_select()


cdef Py_ssize_t mark(const real_t* x, Py_ssize_t n_rows, Py_ssize_t n_columns, uint64_t* marks) noexcept nogil:
    """Fill marks (n_rows, n_words(n_columns)); return how many are set."""
    if real_t is double:
        return d.mark(x, n_rows, n_columns, marks)
    else:
        return f.mark(x, n_rows, n_columns, marks)


cdef Py_ssize_t turn(
    const uint64_t* marks, Py_ssize_t n_rows, Py_ssize_t n_marks, Py_ssize_t first_word, Py_ssize_t last_word,
    uint64_t* out,
) noexcept nogil:
    """Fill out with rows of n_words(n_rows) marks for columns 64 first_word, ... of marks (n_rows, n_marks)."""
    return d.turn(marks, n_rows, n_marks, first_word, last_word, out)


cdef void multiply_marked(
    const real_t* x, Py_ssize_t row_step, Py_ssize_t step, const uint64_t* marks, Py_ssize_t n_rows,
    Py_ssize_t n_inner, const real_t* table, Py_ssize_t n_columns, real_t* out,
) noexcept nogil:
    """out (n_rows, n_columns) = sums over the marked k of x[row row_step + k step] table[k], of n_inner rows."""
    if real_t is double:
        d.multiply(x, row_step, step, marks, n_rows, n_inner, table, n_columns, out)
    else:
        f.multiply(x, row_step, step, marks, n_rows, n_inner, table, n_columns, out)


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
    cdef uint64_t[::1] marks = np.empty(n_rows * n_words(n_in), np.uint64)
    cdef uint64_t[::1] turned = np.empty(WORD * n_words(n_in) * n_words(n_rows), np.uint64)
    with nogil:
        found = mark(&X[0, 0], n_rows, n_in, &marks[0])
        if transposed:
            turn(&marks[0], n_rows, n_words(n_in), 0, n_words(n_in), &turned[0])
            multiply_marked(&X[0, 0], 1, n_in, &turned[0], n_in, n_rows, &table[0, 0], out.shape[1], &out[0, 0])
        else:
            multiply_marked(&X[0, 0], n_in, 1, &marks[0], n_rows, n_in, &table[0, 0], out.shape[1], &out[0, 0])
    return found
