# Products of dense tables; products.pyx says how.
from deciban._kernels.types cimport real_t

cdef void multiply(
    const real_t* X, Py_ssize_t n_rows, Py_ssize_t n_in, const real_t* coef, Py_ssize_t n_out, real_t* out,
) noexcept nogil
cdef void add_product(
    const real_t* X, Py_ssize_t n_rows, Py_ssize_t n_in, const real_t* coef, bint coef_is_turned, Py_ssize_t n_out,
    real_t* out,
) noexcept nogil
cdef void multiply_transposed(
    const real_t* deltas, Py_ssize_t n_rows, Py_ssize_t n_out, const real_t* coef, Py_ssize_t n_in, real_t* out,
) noexcept nogil
cdef void multiply_into_gradient(
    const real_t* X, const real_t* deltas, Py_ssize_t n_rows, Py_ssize_t n_in, Py_ssize_t n_out, Py_ssize_t start,
    Py_ssize_t stop, bint is_added, real_t* out,
) noexcept nogil
