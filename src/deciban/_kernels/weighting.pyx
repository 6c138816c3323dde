"""Term weighting: rows of counts become tf-idf rows of unit norm, in one pass.

    x[i, j] <- tf(x[i, j]) idf[j] / ||row i||,   tf(c) = c or 1 + ln c,   || || the l1 or l2 norm or 1

for a CSR matrix of shape (n_rows, n_cols) in place. A row of norm 0 stays as it is. Sums are in double and in stored
order, so the result is the same for any number of threads and the same to the bit as multiplying and normalising in
separate passes (scikit-learn's order of operations).

Cost: reads 4 (index) + 8 (value) + 8 (idf, cached) bytes an entry, writes 8; 3 flops. Bound by memory.
Source: Manning, Raghavan, Schuetze, Introduction to Information Retrieval (2008), section 6.4 (SMART notation).
"""

from libc.math cimport fabs, sqrt
from libc.stdint cimport int64_t

from deciban._kernels.types cimport index_t, real_t

cdef enum:
    NORM_NONE = 0
    NORM_L1 = 1
    NORM_L2 = 2


cdef int _weight_rows(const index_t* indptr, const index_t* indices, real_t* data, const real_t* tf, const real_t* idf,
                      int norm, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    cdef Py_ssize_t row, i
    cdef double total
    cdef real_t difference
    cdef int seen = 0
    for row in range(start, stop):
        total = 0
        for i in range(indptr[row], indptr[row + 1]):
            if tf != NULL:
                data[i] = tf[<int64_t> data[i]]
            if idf != NULL:
                data[i] = data[i] * idf[indices[i]]
            difference = data[i] - data[i]  # 0, or NaN where the weight is not finite
            seen |= (difference != difference) << (data[i] != data[i])
            if norm == NORM_L2:
                total += data[i] * data[i]
            elif norm == NORM_L1:
                total += fabs(data[i])
        if norm == NORM_NONE or total == 0:
            continue
        if norm == NORM_L2:
            total = sqrt(total)
        for i in range(indptr[row], indptr[row + 1]):
            data[i] = <real_t> (data[i] / total)
    return seen


def weight_rows(const index_t[::1] indptr, const index_t[::1] indices, real_t[::1] data, const real_t[::1] tf,
                const real_t[::1] idf, norm, Py_ssize_t start, Py_ssize_t stop):
    """Weight rows start..stop in place; ``tf`` maps a count (a small integer) to its weight, None leaves it.

    Returns whether a weight was infinite (1) or NaN (2) before it was divided by the norm, as a sum of the two. The
    caller vouches for indptr, indices < len(idf) and, where ``tf`` is given, for counts < len(tf).
    """
    cdef int seen
    cdef int code = {None: NORM_NONE, "l1": NORM_L1, "l2": NORM_L2}[norm]
    if start >= stop or data.shape[0] == 0:
        return 0
    with nogil:
        seen = _weight_rows(
            &indptr[0], &indices[0], &data[0], &tf[0] if tf is not None else NULL,
            &idf[0] if idf is not None else NULL, code, start, stop,
        )
    return seen
