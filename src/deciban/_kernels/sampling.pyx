"""Samples of discrete and normal distributions, from NumPy's bit generators.

A table of shares p_0 ... p_{n-1} becomes an alias table: n columns of width 1/n, column i a part keep[i] of which is
outcome i and the rest outcome alias[i]. One uniform number u picks a column by the whole part of n u and one of its two
outcomes by the fraction: O(n) to build, O(1) a draw, one or two cache misses. A document of L words is L draws, sorted
(radix sort, O(L)) and run-length encoded into the entries of a CSR row.

Cost of a word: a 64-bit random number, 12 bytes of table and, for a document of more than INSERTION words, one pass of
the sort for every eight bits of the largest index.

Edge cases: shares need not sum to one; shares of zero are never drawn; a document may be of length zero. The caller
sees to it that shares are finite, not negative and not all zero.

Sources: A. J. Walker, ACM Transactions on Mathematical Software 3 (1977), 253-256; M. D. Vose, IEEE Transactions on
Software Engineering 17 (1991), 972-975.
"""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset
from numpy.random.c_distributions cimport bitgen_t, random_poisson, random_standard_normal, random_standard_uniform

from deciban._kernels.random cimport stream_of

cdef enum:
    INSERTION = 48  # words up to which insertion sort is faster
    RADIX = 256


def alias_table(const double[::1] shares, double[::1] keep_out, int32_t[::1] alias_out):
    """Fill the alias table of the distribution that is proportional to `shares`."""
    cdef Py_ssize_t n = shares.shape[0]
    if keep_out.shape[0] != n or alias_out.shape[0] != n or n == 0:
        raise ValueError("shares and alias table do not agree in shape")
    with nogil:
        _alias_table(&shares[0], n, &keep_out[0], &alias_out[0])


cdef void _alias_table(const double* shares, Py_ssize_t n, double* keep_out, int32_t* alias_out) noexcept nogil:
    # Outcomes below the average are filled up one after the other by those above it: `small` and `large` walk over the
    # outcomes of either kind, and a large one that has been used up to below the average is the next small one.
    cdef Py_ssize_t i, small, large, current
    cdef double total = 0.0, average
    for i in range(n):
        total += shares[i]
    average = total / n
    for i in range(n):
        keep_out[i] = shares[i] / average
        alias_out[i] = <int32_t> i
    small = large = 0
    current = -1
    while True:
        if current < 0:
            while small < n and not shares[small] < average:
                small += 1
            if small == n:
                break
            current = small
            small += 1
        while large < n and (shares[large] < average or keep_out[large] < 1.0):
            large += 1
        if large == n:
            break
        alias_out[current] = <int32_t> large
        keep_out[large] -= 1.0 - keep_out[current]
        current = large if keep_out[large] < 1.0 else -1
    # what rounding left over: columns that nobody fills up are full, unless nothing of them may be drawn
    for i in range(n):
        if alias_out[i] == i and shares[i] > 0.0:
            keep_out[i] = 1.0
    for i in range(n):
        if alias_out[i] == i and not shares[i] > 0.0:
            alias_out[i] = <int32_t> _largest(shares, n)
            keep_out[i] = 0.0


cdef Py_ssize_t _largest(const double* values, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, best = 0
    for i in range(1, n):
        if values[i] > values[best]:
            best = i
    return best


cdef inline Py_ssize_t _draw(bitgen_t* stream, const double* keep, const int32_t* alias, Py_ssize_t n) noexcept nogil:
    cdef double u = random_standard_uniform(stream) * n
    cdef Py_ssize_t column = min(<Py_ssize_t> u, n - 1)
    return column if u - column < keep[column] else alias[column]


cdef void _sort(int32_t* values, int32_t* scratch, Py_ssize_t n, Py_ssize_t n_features) noexcept nogil:
    cdef Py_ssize_t i, j, shift = 0, position, size
    cdef int32_t value
    cdef int32_t* source = values
    cdef int32_t* target = scratch
    cdef Py_ssize_t[RADIX] starts
    if n <= INSERTION:
        for i in range(1, n):
            value = values[i]
            j = i
            while j > 0 and values[j - 1] > value:
                values[j] = values[j - 1]
                j -= 1
            values[j] = value
        return
    while shift == 0 or (n_features - 1) >> shift:
        memset(starts, 0, RADIX * sizeof(Py_ssize_t))
        for i in range(n):
            starts[(source[i] >> shift) & (RADIX - 1)] += 1
        position = 0
        for i in range(RADIX):
            size = starts[i]
            starts[i] = position
            position += size
        for i in range(n):
            value = source[i]
            target[starts[(value >> shift) & (RADIX - 1)]] = value
            starts[(value >> shift) & (RADIX - 1)] += 1
        source, target = target, source
        shift += 8
    if source != values:
        for i in range(n):
            values[i] = source[i]


def poisson(bit_generator, double mean, int64_t[::1] lengths_out):
    """Fill `lengths_out` with draws of the Poisson distribution."""
    cdef Py_ssize_t i
    cdef bitgen_t* stream = stream_of(bit_generator)
    with nogil:
        for i in range(lengths_out.shape[0]):
            lengths_out[i] = random_poisson(stream, mean)


def documents(
    bit_generator, const double[::1] keep, const int32_t[::1] alias, const int64_t[::1] lengths,
    int32_t[::1] scratch, int32_t[::1] indices_out, int64_t[::1] counts_out, int64_t[::1] sizes_out,
):
    """Draw a document of each length; return the number of entries.

    Document i has sizes_out[i] entries: words `indices_out`, increasing, drawn `counts_out` times. Both outputs have
    room for all words, `scratch` for those of the longest document.
    """
    cdef Py_ssize_t i, j, begin, end = 0, n_features = keep.shape[0], longest = 0
    cdef int64_t total = 0
    cdef bitgen_t* stream = stream_of(bit_generator)
    for i in range(lengths.shape[0]):
        if lengths[i] < 0 or lengths[i] > indices_out.shape[0] - total:
            raise ValueError("there is no room for documents of these lengths")
        total += lengths[i]
        longest = max(longest, lengths[i])
    if (
        scratch.shape[0] < longest or counts_out.shape[0] < total or sizes_out.shape[0] != lengths.shape[0]
        or alias.shape[0] != n_features or n_features == 0
    ):
        raise ValueError("alias table, lengths and outputs do not agree in shape")
    if total == 0:
        sizes_out[:] = 0
        return 0
    with nogil:
        for i in range(lengths.shape[0]):
            begin = end
            for j in range(lengths[i]):
                indices_out[begin + j] = <int32_t> _draw(stream, &keep[0], &alias[0], n_features)
            if lengths[i]:
                _sort(&indices_out[begin], &scratch[0], lengths[i], n_features)
            for j in range(lengths[i]):
                if end > begin and indices_out[end - 1] == indices_out[begin + j]:
                    counts_out[end - 1] += 1
                else:
                    indices_out[end] = indices_out[begin + j]
                    counts_out[end] = 1
                    end += 1
                # entries end before the words that are still to be read: end <= begin + j + 1
            sizes_out[i] = end - begin
    return end


def presences(bit_generator, const double[::1] shares, int32_t[::1] indices_out, int64_t[::1] sizes_out):
    """Draw which features are there in each of len(sizes_out) samples; return the number of entries.

    `indices_out` has room for every feature of every sample.
    """
    cdef Py_ssize_t i, f, begin, end = 0, n_features = shares.shape[0]
    cdef bitgen_t* stream = stream_of(bit_generator)
    if indices_out.shape[0] < n_features * sizes_out.shape[0]:
        raise ValueError("there is no room for the samples")
    with nogil:
        for i in range(sizes_out.shape[0]):
            begin = end
            for f in range(n_features):
                indices_out[end] = <int32_t> f
                end += random_standard_uniform(stream) < shares[f]
            sizes_out[i] = end - begin
    return end


def categories(
    bit_generator, const double[::1] keep, const int32_t[::1] alias, const Py_ssize_t[::1] starts,
    const Py_ssize_t[::1] rows, int64_t[:, ::1] out,
):
    """Draw a category for every feature of `rows` of `out`; feature f has the alias table starts[f]:starts[f + 1]."""
    cdef Py_ssize_t i, f, n_features = out.shape[1], n_cells = keep.shape[0]
    cdef bitgen_t* stream = stream_of(bit_generator)
    if starts.shape[0] != n_features + 1 or alias.shape[0] != n_cells or starts[0] != 0 or starts[n_features] > n_cells:
        raise ValueError("alias tables, starts and output do not agree in shape")
    for f in range(n_features):
        if starts[f + 1] <= starts[f]:
            raise ValueError("a feature has no categories")
    _check_rows(rows, out.shape[0])
    with nogil:
        for i in range(rows.shape[0]):
            for f in range(n_features):
                out[rows[i], f] = _draw(stream, &keep[starts[f]], &alias[starts[f]], starts[f + 1] - starts[f])


def normals(bit_generator, const double[::1] mean, const double[::1] scale, const Py_ssize_t[::1] rows,
            double[:, ::1] out):
    """Draw `rows` of `out` from normal distributions, one for each feature."""
    cdef Py_ssize_t i, f, n_features = out.shape[1]
    cdef bitgen_t* stream = stream_of(bit_generator)
    if mean.shape[0] != n_features or scale.shape[0] != n_features:
        raise ValueError("means, scales and output do not agree in shape")
    _check_rows(rows, out.shape[0])
    with nogil:
        for i in range(rows.shape[0]):
            for f in range(n_features):
                out[rows[i], f] = mean[f] + scale[f] * random_standard_normal(stream)


cdef int _check_rows(const Py_ssize_t[::1] rows, Py_ssize_t n_rows) except -1:
    cdef Py_ssize_t i
    for i in range(rows.shape[0]):
        if not 0 <= rows[i] < n_rows:
            raise ValueError("there are no such rows")
    return 0
