# What generative networks do alike: lay buffers out, label rows with one-hot columns, draw noise, and check which
# samples are asked for.
from libc.string cimport memset
from numpy.random cimport bitgen_t
from numpy.random.c_distributions cimport random_standard_normal_fill, random_standard_normal_fill_f

from deciban._kernels.types cimport real_t


cdef inline real_t* take(real_t** room, Py_ssize_t size) noexcept nogil:
    # The next `size` numbers of a buffer.
    cdef real_t* found = room[0]
    room[0] += size
    return found


cdef inline void label(real_t* row, const int* codes, Py_ssize_t sample, Py_ssize_t n_labels) noexcept nogil:
    if n_labels:
        memset(row, 0, n_labels * sizeof(real_t))
        row[codes[sample]] = 1


cdef inline void draw_normal(bitgen_t* stream, Py_ssize_t n, real_t* out) noexcept nogil:
    # n numbers of N(0, 1).
    if real_t is double:
        random_standard_normal_fill(stream, n, out)
    else:
        random_standard_normal_fill_f(stream, n, out)


cdef inline int check_samples(
    const int[::1] codes, Py_ssize_t n_labels, const Py_ssize_t[::1] order, Py_ssize_t n_samples
) except -1:
    cdef Py_ssize_t i
    if codes.shape[0] != (n_samples if n_labels else 0):
        raise ValueError(f"expected a code for each of {n_samples} samples only with labels, got {codes.shape[0]}")
    for i in range(codes.shape[0]):
        if not 0 <= codes[i] < n_labels:
            raise ValueError("a code is of no class")
    for i in range(order.shape[0]):
        if not 0 <= order[i] < n_samples:
            raise ValueError("there are no such samples")
    return 0
