"""The most probable class of sparse rows, by a table in fixed point, with doubt.

    score[i, k] = sum over the entries (f, x) of row i of x * table[f, k], + offset[k]

The largest score does not change if the same number is taken from all cells, so a cell holds its score less the
middle of all scores' range, in units of u: 24 bits, the upper 16 (high) before the lower 8 (low) of all classes.
Features of up to 21 classes so take one cache line, and whole numbers x are summed by whole-number arithmetic, exactly.

A row is first summed with the high parts alone, which are off by no more than 128.5 u. Where the best class is ahead of
all others by more than twice what that can make of the row, 257 u sum |x|, it is settled; else (one row of a thousand)
it is summed once more with all 24 bits, now off by u / 2. What is still in doubt is left to a table in double
precision. Both bounds allow for what sums in double precision are themselves off by, of the order of 2^-53 n_entries
sum |x| max |table|: the class is the one that they give.

Real numbers x are summed in single precision, 64 at a time: rounded once each, multiplied and added, the sum is off by
another 66 2^-24 32767 high units of sum |x|, an eighth of one.

Cost: one or more cache lines of the table an entry, and 12 bytes of the matrix, which are asked for some entries before
they are used; an addition and a multiplication of 16 bits for each class. 1.1M entries x 20 classes take 1.9 ms on one
Zen 4 core.

Edge cases: a row without entries gives the offset's largest; equal classes, rows whose whole numbers do not fit in 16
bits or add up to more than 65535, and what is not finite are in doubt. An index or row pointer out of range stops the
loop before it is used (MALFORMED). Indices may be unsorted and repeated.

Source: N. J. Higham, Accuracy and stability of numerical algorithms (2002), chapters 3 and 4.
"""

from libc.stdlib cimport free, malloc

from deciban._kernels.trouble cimport _MALFORMED, _NONFINITE
from deciban._kernels.types cimport data_t, index_t


cdef extern from "largest.h":
    enum:
        LARGEST_SLACK
    ctypedef struct largest_rows_in:
        const void* data
        const void* indices
        const void* indptr
        Py_ssize_t n_entries
        int is_real
        int data_bytes
        int index_bytes
    ctypedef struct largest_table:
        const char* cells
        Py_ssize_t n_features
        Py_ssize_t n_classes
        Py_ssize_t stride
        double unit
        double largest_value
        const double* offset
    ctypedef struct largest_ops:
        int (*pack)(
            const double* scores, Py_ssize_t n_features, Py_ssize_t n_classes, double middle, double unit,
            Py_ssize_t stride, char* cells) noexcept nogil
        int (*rows)(
            const largest_rows_in* X, const largest_table* table, int binary, double threshold, Py_ssize_t start,
            Py_ssize_t stop, void* scratch, Py_ssize_t* largest_out) noexcept nogil
    size_t largest_scratch_bytes(Py_ssize_t n_classes) noexcept nogil
    const largest_ops* largest_ops_select() noexcept nogil

cdef const largest_ops* ops = largest_ops_select()

MALFORMED, NONFINITE = _MALFORMED, _NONFINITE
UNITS = 32767.0 * 256.0  # from the middle to the farthest that a cell can hold
cdef enum:
    _LINE = 64  # bytes


def stride_of(Py_ssize_t n_classes):
    """Return how many bytes a feature takes: whole lines, or a part of one that does not cross its end."""
    cdef Py_ssize_t stride = 4
    if 3 * n_classes > _LINE:
        return (3 * n_classes + _LINE - 1) // _LINE * _LINE
    while stride < 3 * n_classes:
        stride *= 2
    return stride


def table_bytes(Py_ssize_t n_features, Py_ssize_t n_classes):
    """Return the size of a table: a register that begins in the last row may end behind it."""
    return n_features * stride_of(n_classes) + LARGEST_SLACK


def pack(const double[:, ::1] scores, double middle, double unit, Py_ssize_t start, unsigned char[::1] cells):
    """Write scores, features first, into the cells from feature `start` on; return whether all fit."""
    cdef Py_ssize_t n_features = scores.shape[0], n_classes = scores.shape[1], stride = stride_of(n_classes)
    cdef bint fits
    if n_classes == 0 or start < 0 or cells.shape[0] < (start + n_features) * stride + LARGEST_SLACK:
        raise ValueError("scores and cells do not agree in shape")
    if n_features == 0:
        return True
    with nogil:
        fits = ops.pack(&scores[0, 0], n_features, n_classes, middle, unit, stride, <char*> &cells[start * stride])
    return fits


def largest_rows(
    const data_t[::1] data, const index_t[::1] indices, const index_t[::1] indptr, const unsigned char[::1] cells,
    Py_ssize_t n_features, double unit, double largest_value, const double[::1] offset, bint binary, double threshold,
    Py_ssize_t start, Py_ssize_t stop, Py_ssize_t[::1] largest_out,
):
    """Set largest_out[start:stop] to the largest class of rows of a CSR matrix, or to -1 for a row in doubt.

    No absolute value of the scores that `cells` were made of is above `largest_value`. With `binary`, an entry counts
    as 1 where it is above the threshold, else as nothing. Returns the kinds of trouble met, or 0.
    """
    cdef largest_rows_in X
    cdef largest_table table
    cdef int trouble
    cdef void* scratch
    cdef Py_ssize_t n_classes = offset.shape[0]
    if (
        n_classes == 0 or n_features < 0 or start < 0 or largest_out.shape[0] < stop
        or cells.shape[0] < n_features * stride_of(n_classes) + LARGEST_SLACK
    ):
        raise ValueError("cells, offset and output do not agree in shape")
    X.n_entries = indices.shape[0]
    if data.shape[0] != X.n_entries or stop >= indptr.shape[0] or stop <= start:
        return _MALFORMED
    X.data, X.indices = &data[0] if X.n_entries else NULL, &indices[0] if X.n_entries else NULL
    X.indptr = &indptr[0]
    X.is_real = data_t is double or data_t is float
    X.data_bytes, X.index_bytes = sizeof(data_t), sizeof(index_t)
    table.cells, table.n_features, table.n_classes = <const char*> &cells[0], n_features, n_classes
    table.stride, table.unit, table.largest_value, table.offset = stride_of(n_classes), unit, largest_value, &offset[0]
    scratch = malloc(largest_scratch_bytes(n_classes))
    if scratch == NULL:
        raise MemoryError
    with nogil:
        trouble = ops.rows(&X, &table, binary, threshold, start, stop, scratch, &largest_out[0])
    free(scratch)
    return trouble
