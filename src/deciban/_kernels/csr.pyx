"""Is a compressed sparse row (CSR) matrix what it claims to be?

A CSR matrix of shape (n_rows, n_cols) is `indptr` of n_rows + 1 non-decreasing offsets, the first 0 and the last no
more than the length of `indices` and `data`; row i holds `data[indptr[i]:indptr[i+1]]` in columns `indices[...]`, each
in [0, n_cols). Kernels index with these numbers, so they are checked once, here, before any of them is used.

Edge cases: no rows, no columns and no entries are fine; indices may be unsorted and repeated, and there may be more
entries than `indptr` tells of. What is wrong is raised as ValueError that names the number; whether all of `data` is
finite is the answer, and what to do about it the caller's to say.

Cost: one read of `indptr` and `indices` (4 or 8 bytes an entry), one read of `data`; no writes. Bounded by memory
bandwidth: 1.8M entries take about 0.5 ms.
"""

from libc.limits cimport INT_MAX
from libc.stdlib cimport calloc, free

from deciban._kernels.types cimport index_t, real_t


def check_indptr(const index_t[::1] indptr, Py_ssize_t n_rows, Py_ssize_t n_entries):
    """Raise ValueError unless `indptr` is a valid row pointer for n_rows rows over n_entries stored entries."""
    cdef Py_ssize_t row
    cdef Py_ssize_t bad = -1
    if indptr.shape[0] != n_rows + 1:
        raise ValueError(
            f"indptr of a CSR matrix with {n_rows} rows must have {n_rows + 1} entries, got {indptr.shape[0]}"
        )
    if indptr[0] != 0:
        raise ValueError(f"indptr of a CSR matrix must start with 0, got {indptr[0]}")
    with nogil:
        for row in range(n_rows):
            if indptr[row + 1] < indptr[row]:
                bad = row
                break
    if bad >= 0:
        raise ValueError(
            f"indptr of a CSR matrix must not decrease, got {indptr[bad]} then {indptr[bad + 1]} at row {bad}"
        )
    if indptr[n_rows] > n_entries:
        raise ValueError(
            f"indptr of a CSR matrix ends at {indptr[n_rows]}, past its {n_entries} stored entries"
        )


ctypedef fused unsigned_t:
    unsigned int
    unsigned long long


cdef bint _any_outside(const unsigned_t* indices, Py_ssize_t n, unsigned_t n_cols) noexcept nogil:
    # of an index below 0, or of the last column less an index above it, the highest bit is set
    cdef Py_ssize_t i
    cdef unsigned_t bits = 0, last = n_cols - 1
    if n > 0 and n_cols == 0:
        return True
    for i in range(n):
        bits |= indices[i] | (last - indices[i])
    return bits >> (8 * sizeof(unsigned_t) - 1)


def check_indices(const index_t[::1] indices, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t n_cols):
    """Raise ValueError unless all of indices[start:stop] lie in [0, n_cols)."""
    cdef Py_ssize_t i
    cdef bint bad
    with nogil:
        if index_t is int:
            bad = _any_outside(
                <const unsigned int*> &indices[0] + start, stop - start, <unsigned int> min(n_cols, INT_MAX))
        else:
            bad = _any_outside(
                <const unsigned long long*> &indices[0] + start, stop - start, <unsigned long long> n_cols)
    if bad:
        for i in range(start, stop):
            if indices[i] < 0 or indices[i] >= n_cols:
                raise ValueError(f"column index {indices[i]} of a CSR matrix is out of range for {n_cols} columns")


cdef inline bint _any_nonfinite(const real_t* x, Py_ssize_t n) noexcept nogil:
    # x - x is 0 for finite x and NaN otherwise; eight sums so that the loop is not bound by one chain of additions
    cdef Py_ssize_t i, j
    cdef real_t[8] total
    for j in range(8):
        total[j] = 0
    for i in range(n // 8):
        for j in range(8):
            total[j] += x[8 * i + j] - x[8 * i + j]
    for i in range(8 * (n // 8), n):
        total[0] += x[i] - x[i]
    for j in range(1, 8):
        total[0] += total[j]
    return total[0] != 0 or total[0] != total[0]


def all_finite(const real_t[::1] data, Py_ssize_t start, Py_ssize_t stop):
    """Return whether data[start:stop] holds neither NaN nor infinity."""
    cdef bint bad
    if stop <= start:
        return True
    with nogil:
        bad = _any_nonfinite(&data[start], stop - start)
    return not bad


cdef inline bint _increases(const index_t* indices, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(1, n):
        if indices[j] <= indices[j - 1]:
            return False
    return True


def has_duplicates(
    const index_t[::1] indices, const index_t[::1] indptr, Py_ssize_t n_cols, Py_ssize_t start, Py_ssize_t stop,
):
    """Return whether one of rows [start, stop) of a checked matrix names a column twice; scratch is n_cols integers."""
    cdef Py_ssize_t row, j
    cdef int name = 0  # of a row, from 1
    cdef bint found = False
    cdef int* last
    if start < 0 or stop > indptr.shape[0] - 1 or stop - start > INT_MAX:
        raise ValueError(f"rows {start} to {stop} are not there, or too many at once")
    last = <int*> calloc(n_cols + 1, sizeof(int))
    if last == NULL:
        raise MemoryError
    with nogil:
        for row in range(start, stop):
            name += 1
            if _increases(&indices[0] + indptr[row], indptr[row + 1] - indptr[row]):
                continue
            for j in range(indptr[row], indptr[row + 1]):
                found |= last[indices[j]] == name
                last[indices[j]] = name
            if found:
                break
    free(last)
    return found
