# Arrays as NumPy's C interface shows them, in some nanoseconds: a table may have three rows.
cimport numpy as np

cdef enum:
    FEW = 16384  # values, for which other threads can wait


cdef inline int type_of(np.ndarray x, np.ndarray out) except -1:
    # The type of two arrays of as many numbers, C-contiguous and in native order.
    cdef int kind = np.PyArray_TYPE(x)
    if (
        not np.PyArray_ISCARRAY_RO(x) or not np.PyArray_ISCARRAY(out) or np.PyArray_TYPE(out) != kind
        or np.PyArray_SIZE(x) != np.PyArray_SIZE(out) or (kind != np.NPY_FLOAT64 and kind != np.NPY_FLOAT32)
    ):
        raise ValueError("input and output must be C-contiguous, of one real type and size")
    return kind


cdef inline bint is_plain(object x):
    # Whether x is an array of numbers of either real type, along an axis or more, that is taken as it is.
    return (
        type(x) is np.ndarray and np.PyArray_NDIM(x) > 0 and np.PyArray_ISCARRAY_RO(x)
        and (np.PyArray_TYPE(x) == np.NPY_FLOAT64 or np.PyArray_TYPE(x) == np.NPY_FLOAT32))


cdef inline bint is_plain_of(object x, int kind, int n_dimensions) noexcept:
    # Whether x is an array of that type and of as many axes, that is taken as it is.
    return (
        type(x) is np.ndarray and np.PyArray_TYPE(x) == kind and np.PyArray_NDIM(x) == n_dimensions
        and np.PyArray_ISCARRAY_RO(x))


cdef inline bint is_few(object x):
    # Whether x is plain, with at most FEW values.
    return is_plain(x) and 0 < np.PyArray_SIZE(x) <= FEW
