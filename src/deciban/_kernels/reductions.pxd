# Sums of exponentials; reductions.pyx says how.
from deciban._kernels.types cimport real_t

cdef void softmax_rows(
    const real_t* x, Py_ssize_t n_rows, Py_ssize_t n, bint log, bint streamed, real_t* out,
) noexcept nogil
