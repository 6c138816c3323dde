# The loops of vector.c; vector.h says what each does.
from libc.stdint cimport int64_t

cdef extern from "vector.h":
    enum:
        VECTOR_ROWS
    ctypedef struct vector_ops:
        void (*accumulate)(
            const double* x, const int* rows, Py_ssize_t n, Py_ssize_t ahead, const double* table,
            Py_ssize_t n_columns, double* out) noexcept nogil
        void (*accumulate_long)(
            const double* x, const int64_t* rows, Py_ssize_t n, Py_ssize_t ahead, const double* table,
            Py_ssize_t n_columns, double* out) noexcept nogil
        void (*accumulate_narrow)(
            const double* x, const int* rows, Py_ssize_t n, Py_ssize_t ahead, const float* table,
            Py_ssize_t n_columns, double* out) noexcept nogil
        void (*accumulate_narrow_long)(
            const double* x, const int64_t* rows, Py_ssize_t n, Py_ssize_t ahead, const float* table,
            Py_ssize_t n_columns, double* out) noexcept nogil
        int (*finite)(const double* x, Py_ssize_t n) noexcept nogil
        int (*product)(
            const double* x, Py_ssize_t n, const double* table, Py_ssize_t n_columns, double* out) noexcept nogil
        int (*product_narrow)(
            const double* x, Py_ssize_t n, const float* table, Py_ssize_t n_columns, double* out) noexcept nogil
        void (*exp_shifted)(double* values, Py_ssize_t n, double shift) noexcept nogil
        int (*normalize)(double* values, Py_ssize_t n, int as_probability) noexcept nogil
        void (*interleave)(const double* x, Py_ssize_t stride, Py_ssize_t n_features, double* out) noexcept nogil
        void (*squared_distance)(
            const double* x, const double* mean, const double* precision, Py_ssize_t n_features, double* out
        ) noexcept nogil
        int (*nearest)(
            const double* distance, const double* offset, Py_ssize_t n_classes, int64_t* nearest_out) noexcept nogil
        void (*add_shifted)(
            const double* x, const double* shift, double weight, Py_ssize_t n, double* sums, double* squares
        ) noexcept nogil
    const vector_ops* vector_ops_select() noexcept nogil
