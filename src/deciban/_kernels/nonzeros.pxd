# Products that skip zeros; nonzeros.h says how.
from libc.stdint cimport uint64_t

from deciban._kernels.layers cimport real_t

cdef enum:
    WORD = 64


cdef inline Py_ssize_t n_words(Py_ssize_t n) noexcept nogil:
    return (n + WORD - 1) // WORD


cdef inline bint is_worthwhile(real_t* _type, Py_ssize_t n_columns) noexcept nogil:
    # Whether rows of the table are long enough for skipping zeros to be worth while.
    return n_columns * sizeof(real_t) >= 256


cdef inline bint are_few(Py_ssize_t n_marked, Py_ssize_t n) noexcept nogil:
    # Whether so few are marked that it is.
    return 3 * n_marked <= 2 * n


cdef Py_ssize_t mark(const real_t* x, Py_ssize_t n_rows, Py_ssize_t n_columns, uint64_t* marks) noexcept nogil
cdef Py_ssize_t turn(
    const uint64_t* marks, Py_ssize_t n_rows, Py_ssize_t n_marks, Py_ssize_t first_word, Py_ssize_t last_word,
    uint64_t* out,
) noexcept nogil
cdef void multiply_marked(
    const real_t* x, Py_ssize_t row_step, Py_ssize_t step, const uint64_t* marks, Py_ssize_t n_rows,
    Py_ssize_t n_inner, const real_t* table, Py_ssize_t n_columns, real_t* out,
) noexcept nogil
