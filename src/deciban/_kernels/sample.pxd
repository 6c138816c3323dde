# The tables of loops of sample.h.
from libc.stdint cimport int32_t

cdef extern from "sample.h":
    ctypedef struct norms:
        double squares
        double magnitudes

    ctypedef struct sample_double_ops:
        double (*dot)(const double* x, const int32_t* indices, Py_ssize_t n, const double* w) noexcept nogil
        void (*add)(const double* x, const int32_t* indices, Py_ssize_t n, double step, double* w) noexcept nogil
        norms (*add_measured)(
            const double* x, const int32_t* indices, Py_ssize_t n, double step, int magnitudes, double* w
        ) noexcept nogil
        void (*truncate)(
            const int32_t* indices, Py_ssize_t n, double debt, double scale, double* paid, double* w) noexcept nogil
        double (*squares)(const double* x, Py_ssize_t n) noexcept nogil
        int (*finite)(const double* w, Py_ssize_t n) noexcept nogil

    ctypedef struct sample_float_ops:
        double (*dot)(const float* x, const int32_t* indices, Py_ssize_t n, const float* w) noexcept nogil
        void (*add)(const float* x, const int32_t* indices, Py_ssize_t n, double step, float* w) noexcept nogil
        norms (*add_measured)(
            const float* x, const int32_t* indices, Py_ssize_t n, double step, int magnitudes, float* w
        ) noexcept nogil
        void (*truncate)(
            const int32_t* indices, Py_ssize_t n, double debt, double scale, float* paid, float* w) noexcept nogil
        double (*squares)(const float* x, Py_ssize_t n) noexcept nogil
        int (*finite)(const float* w, Py_ssize_t n) noexcept nogil

    const sample_double_ops* sample_double_select() noexcept nogil
    const sample_float_ops* sample_float_select() noexcept nogil
