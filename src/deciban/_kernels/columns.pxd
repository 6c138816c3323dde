# Blocks of columns that are reduced side by side, so that they stay in a cache of so many values between two passes.
from deciban._kernels.special cimport COLUMNS


cdef inline Py_ssize_t width_of(Py_ssize_t n, Py_ssize_t inner, Py_ssize_t cached) noexcept nogil:
    # How many columns of n values are taken together: whole vectors, and lines of memory that threads do not share.
    return min(inner, max(<Py_ssize_t> 16, min(<Py_ssize_t> COLUMNS, cached // max(n, <Py_ssize_t> 1)) // 16 * 16))


cdef inline Py_ssize_t pieces_of(Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t cached) noexcept nogil:
    # How many pieces the middle axis of (outer, n, inner) is reduced in: rows, or blocks of columns.
    cdef Py_ssize_t width
    if inner == 1:
        return outer
    width = max(<Py_ssize_t> 1, width_of(n, inner, cached))
    return outer * ((inner + width - 1) // width)
