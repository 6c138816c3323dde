# Products that skip zeros; nonzeros.h says how.
from libc.stdint cimport uint64_t

from deciban._kernels.layers cimport real_t

cdef enum:
    WORD = 64


cdef inline Py_ssize_t n_words(Py_ssize_t n) noexcept nogil:
    return (n + WORD - 1) // WORD


cdef inline bint is_worthwhile(real_t* _type, Py_ssize_t n_columns) noexcept nogil:
    # Whether rows of the table are long enough for skipping zeros to be faster than BLAS.
    return n_columns * sizeof(real_t) >= 256


cdef inline bint are_few(real_t* _type, Py_ssize_t n_marked, Py_ssize_t n, Py_ssize_t n_columns) noexcept nogil:
    # Whether so few are marked that it is. With rows of up to 1024 bytes it is no slower where no element is zero: BLAS
    # prepares both matrices for products that are soon done (200 x 784 by 784 x 100 and its gradient: 0.12 s each for
    # 300 of them in float, 0.12 and 0.15 by OpenBLAS; 0.24 and 0.25 in double, 0.24 and 0.27; Zen 4).
    return n_columns * sizeof(real_t) <= 1024 or 4 * n_marked <= 3 * n


cdef Py_ssize_t mark(const real_t* x, Py_ssize_t n_rows, Py_ssize_t n_columns, uint64_t* marks) noexcept nogil
cdef Py_ssize_t turn(
    const uint64_t* marks, Py_ssize_t n_rows, Py_ssize_t n_marks, Py_ssize_t first_word, Py_ssize_t last_word,
    uint64_t* out,
) noexcept nogil
cdef void multiply_marked(
    const real_t* x, Py_ssize_t row_step, Py_ssize_t step, const uint64_t* marks, Py_ssize_t n_rows,
    Py_ssize_t n_inner, const real_t* table, Py_ssize_t n_columns, real_t* out,
) noexcept nogil
