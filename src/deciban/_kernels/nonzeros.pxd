# Products that skip zeros; nonzeros.h says how.
from deciban._kernels.types cimport real_t

cdef Py_ssize_t rows_at_once(Py_ssize_t n_inner) noexcept nogil
cdef bint multiply_few(
    const real_t* X, Py_ssize_t n_rows, Py_ssize_t n_in, const real_t* coef, Py_ssize_t n_out, real_t* out,
) noexcept nogil
cdef bint multiply_few_into_gradient(
    const real_t* X, const real_t* deltas, Py_ssize_t n_rows, Py_ssize_t n_in, Py_ssize_t n_out, Py_ssize_t start,
    Py_ssize_t stop, real_t* out,
) noexcept nogil
