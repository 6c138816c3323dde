# The loops of posterior.pyx over sparse rows, for kernels that check samples in another way.
from deciban._kernels.types cimport data_t, index_t, real_t

cdef enum Answer:
    _JOINT, _LOG_POSTERIOR, _POSTERIOR, _LARGEST, _SHARES

cdef int _sparse_rows(
    const data_t* data, const index_t* indices, const index_t* indptr, Py_ssize_t n_entries,
    const real_t* table, Py_ssize_t n_features, Py_ssize_t n_classes, const double* offset,
    bint binary, double threshold, int answer, Py_ssize_t start, Py_ssize_t stop,
    double* out, Py_ssize_t out_stride, Py_ssize_t* largest_out,
) noexcept nogil

cdef int _dense_row(
    const double* x, Py_ssize_t n_features, const real_t* table, Py_ssize_t n_classes, const double* offset, int answer,
    double* out, Py_ssize_t* largest,
) noexcept nogil

cdef void _sigmoids(const double* scores, Py_ssize_t stride, bint log, Py_ssize_t n_rows, double* out) noexcept nogil
