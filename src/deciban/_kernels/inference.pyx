"""What a fitted network answers for rows: its layers one after the other, from lists of coefficients and intercepts.

    a_0 = x,   a_{l+1} = f(a_l W_l + b_l),   f the output's activation for the last layer

The lists may come from anywhere, a pickle or a user, and are checked at every call, through NumPy's C interface: tens
of nanoseconds a layer. One row of samples, or a few, are taken one at a time, without the coefficients of inputs that
are zero (so an infinite coefficient times zero counts as zero there); more go through products.pyx.

Cost: 2 n_in n_out flops a row and layer, O(n_entries n_out) for the first one with CSR rows; for one row, the time to
read the coefficients. Buffers for two layers of the rows of a call.

Edge cases: samples that are not finite, or indices and row pointers of CSR out of range, are told by the return value,
before anything is computed.
Source: I. Goodfellow, Y. Bengio, A. Courville, Deep Learning (2016), chapter 6.
"""

cimport numpy as np
from libc.stdlib cimport free, malloc

from deciban._kernels.layers cimport N_ACTIVATIONS, SOFTMAX, activate, all_finite, sparse_row
from deciban._kernels.products cimport multiply
from deciban._kernels.trouble cimport _MALFORMED, _NONFINITE
from deciban._kernels.types cimport index_t, real_t

np.import_array()

cdef enum:
    FEW = 3  # rows that are taken one at a time
    MOST = 2147483647

# What `apply_rows` and `apply_sparse_rows` return besides 0.
NONFINITE, MALFORMED = _NONFINITE, _MALFORMED

cdef struct map:
    Py_ssize_t n_in
    Py_ssize_t n_out
    const char* coef
    const char* intercept


cdef bint _is_plain(object array, int type_number, int n_dimensions) noexcept:
    return (
        isinstance(array, np.ndarray) and np.PyArray_TYPE(array) == type_number
        and np.PyArray_NDIM(array) == n_dimensions and np.PyArray_ISCARRAY_RO(array))


cdef map* _maps(list coefs, list intercepts, int type_number, Py_ssize_t n_features, Py_ssize_t n_outputs) except NULL:
    # The layers' addresses and shapes; the caller frees them.
    cdef Py_ssize_t n_layers = len(coefs), n_in = n_features, index
    cdef map* maps
    if n_layers < 1 or len(intercepts) != n_layers:
        raise ValueError(f"expected as many intercepts as coefficients, got {len(intercepts)} and {n_layers}")
    maps = <map*> malloc(n_layers * sizeof(map))
    if maps == NULL:
        raise MemoryError
    for index in range(n_layers):
        coef, intercept = coefs[index], intercepts[index]
        if not (_is_plain(coef, type_number, 2) and _is_plain(intercept, type_number, 1)):
            free(maps)
            raise TypeError("coefficients and intercepts must be contiguous arrays of the samples' dtype")
        maps[index].n_in, maps[index].n_out = np.PyArray_DIM(coef, 0), np.PyArray_DIM(coef, 1)
        if (
            maps[index].n_in != n_in or np.PyArray_DIM(intercept, 0) != maps[index].n_out or maps[index].n_out > MOST
            or (index == n_layers - 1 and maps[index].n_out != n_outputs)
        ):
            n_out = maps[index].n_out
            free(maps)
            raise ValueError(
                f"coefs_[{index}] of shape ({np.PyArray_DIM(coef, 0)}, {n_out}) and intercepts_[{index}] of shape "
                f"({np.PyArray_DIM(intercept, 0)},) do not fit {n_in} inputs, or {n_outputs} outputs at the end")
        maps[index].coef = <const char*> np.PyArray_DATA(coef)
        maps[index].intercept = <const char*> np.PyArray_DATA(intercept)
        n_in = maps[index].n_out
    return maps


cdef void _multiply_few(
    const real_t* x, Py_ssize_t n_rows, Py_ssize_t n_in, const real_t* coef, Py_ssize_t n_out, real_t* values,
    int* indices, real_t* out,
) noexcept nogil:
    cdef Py_ssize_t row, k, n
    for row in range(n_rows):
        n = 0
        for k in range(n_in):
            values[n] = x[row * n_in + k]
            indices[n] = <int> k
            n += values[n] != 0
        sparse_row(values, indices, n, coef, n_out, out + row * n_out)


cdef void _apply(
    const map* maps, Py_ssize_t n_layers, Py_ssize_t begun, int hidden, int output, const real_t* x, Py_ssize_t n_rows,
    real_t* values, int* indices, real_t* one, real_t* other, real_t* out,
) noexcept nogil:
    # With `begun`, `one` has the product of the first layer already.
    cdef Py_ssize_t index
    cdef const map* own
    cdef real_t* to
    for index in range(n_layers):
        own = &maps[index]
        to = out if index == n_layers - 1 else one
        if not (begun and index == 0):
            if n_rows <= FEW:
                _multiply_few(x, n_rows, own.n_in, <const real_t*> own.coef, own.n_out, values, indices, to)
            else:
                multiply(x, n_rows, own.n_in, <const real_t*> own.coef, own.n_out, to)
        activate(
            output if index == n_layers - 1 else hidden, to, <const real_t*> own.intercept, n_rows, own.n_out, to)
        x = to
        one, other = other, one


cdef Py_ssize_t _widest(const map* maps, Py_ssize_t n_layers) noexcept nogil:
    cdef Py_ssize_t index, widest = 1
    for index in range(n_layers):
        widest = max(widest, maps[index].n_in if index else 1, maps[index].n_out)
    return widest


cdef int _answer(
    const map* maps, Py_ssize_t n_layers, int hidden, int output, const real_t* x, Py_ssize_t n_rows, real_t* out,
) noexcept nogil:
    # 0, NONFINITE, or -1 where memory ran out.
    cdef Py_ssize_t widest = _widest(maps, n_layers), n_in = maps[0].n_in
    cdef Py_ssize_t n_few = max(widest, n_in)
    cdef real_t* room
    if not all_finite(x, n_rows * n_in):
        return _NONFINITE
    room = <real_t*> malloc(2 * n_rows * widest * sizeof(real_t) + n_few * (sizeof(real_t) + sizeof(int)))
    if room == NULL:
        return -1
    _apply(
        maps, n_layers, 0, hidden, output, x, n_rows, room + 2 * n_rows * widest,
        <int*> (room + 2 * n_rows * widest + n_few), room, room + n_rows * widest, out)
    free(room)
    return 0


def apply_rows(list coefs, list intercepts, int hidden, int output, const real_t[:, ::1] X, real_t[:, ::1] out):
    """Fill `out` with what the network answers for the rows of X; return NONFINITE if they are not all finite."""
    cdef Py_ssize_t n_rows = X.shape[0], n_layers = len(coefs)
    cdef int trouble = 0
    cdef map* maps
    if not (0 <= hidden < SOFTMAX and 0 <= output < N_ACTIVATIONS) or out.shape[0] != n_rows:
        raise ValueError("no such activation, or an output of another length than the samples")
    if X.shape[1] > MOST:
        raise ValueError(f"there are more than {MOST} features")
    if n_rows == 0 or X.shape[1] == 0 or out.shape[1] == 0:
        return 0
    maps = _maps(
        coefs, intercepts, np.NPY_FLOAT64 if real_t is double else np.NPY_FLOAT32, X.shape[1], out.shape[1])
    with nogil:
        trouble = _answer(maps, n_layers, hidden, output, &X[0, 0], n_rows, &out[0, 0])
    free(maps)
    if trouble < 0:
        raise MemoryError
    return trouble


def few_rows(coefs, intercepts, int hidden, int output, X, Py_ssize_t n_features):
    """Return what the network answers for a few rows, or None: something asks for a closer look.

    Parameters
    ----------
    coefs, intercepts : list of ndarray
        Contiguous, of the samples' dtype, float64 or float32; otherwise None.
    hidden, output : int
        Activations.
    X : ndarray of shape (n_rows, n_features)
        Exactly of that class, contiguous, of at most three rows and finite; otherwise None.
    n_features : int
        How many there should be.

    Raises
    ------
    ValueError
        If the layers do not fit each other, or the samples.
    """
    cdef Py_ssize_t n_rows, n_layers
    cdef int type_number, trouble
    cdef map* maps
    cdef np.npy_intp[2] shape
    cdef const void* x
    cdef void* to
    if not (0 <= hidden < SOFTMAX and 0 <= output < N_ACTIVATIONS):
        raise ValueError("no such activation")
    if type(X) is not np.ndarray or type(coefs) is not list or type(intercepts) is not list:
        return None
    n_layers, type_number = len(<list> coefs), np.PyArray_TYPE(X)
    if (
        type_number not in (np.NPY_FLOAT64, np.NPY_FLOAT32) or not _is_plain(X, type_number, 2)
        or np.PyArray_DIM(X, 1) != n_features or not 0 < np.PyArray_DIM(X, 0) <= FEW or not 0 < n_features <= MOST
        or n_layers == 0 or len(<list> intercepts) != n_layers
    ):
        return None
    for coef in <list> coefs:
        if not _is_plain(coef, type_number, 2):
            return None
    for intercept in <list> intercepts:
        if not _is_plain(intercept, type_number, 1):
            return None
    n_rows = np.PyArray_DIM(X, 0)
    shape[0], shape[1] = n_rows, np.PyArray_DIM(intercept, 0)
    if shape[1] == 0:
        return None
    maps = _maps(coefs, intercepts, type_number, n_features, shape[1])
    out = np.PyArray_EMPTY(2, shape, type_number, 0)
    x, to = np.PyArray_DATA(X), np.PyArray_DATA(out)
    with nogil:
        if type_number == np.NPY_FLOAT64:
            trouble = _answer(maps, n_layers, hidden, output, <const double*> x, n_rows, <double*> to)
        else:
            trouble = _answer(maps, n_layers, hidden, output, <const float*> x, n_rows, <float*> to)
    free(maps)
    if trouble < 0:
        raise MemoryError
    return None if trouble else out


def apply_sparse_rows(
    list coefs, list intercepts, int hidden, int output, const real_t[::1] data, const index_t[::1] indices,
    const index_t[::1] indptr, Py_ssize_t n_features, Py_ssize_t start, Py_ssize_t stop, real_t[:, ::1] out,
):
    """Fill out[start:stop] with the answers for rows of a CSR matrix; return NONFINITE or MALFORMED if it is that."""
    cdef Py_ssize_t n_rows = stop - start, n_layers = len(coefs), n_entries = indices.shape[0], widest, row, n, n_few, k
    cdef long long begin, end, j
    cdef int trouble = 0
    cdef map* maps
    cdef real_t* room
    cdef int* columns
    if (
        not (0 <= hidden < SOFTMAX and 0 <= output < N_ACTIVATIONS) or not 0 <= start <= stop < indptr.shape[0]
        or stop > out.shape[0] or data.shape[0] != n_entries or n_features > MOST
    ):
        raise ValueError("no such activation, or arrays and rows that do not agree")
    if n_rows == 0 or out.shape[1] == 0:
        return 0
    begin, end = indptr[start], indptr[start]
    n_few = 0  # entries of the longest row
    for row in range(start, stop):
        begin, end = indptr[row], indptr[row + 1]
        if begin < 0 or end < begin or end > n_entries:
            return _MALFORMED
        n_few = max(n_few, end - begin)
    maps = _maps(coefs, intercepts, np.NPY_FLOAT64 if real_t is double else np.NPY_FLOAT32, n_features, out.shape[1])
    widest = _widest(maps, n_layers)
    n_few = max(widest, n_few)
    room = <real_t*> malloc(2 * n_rows * widest * sizeof(real_t) + n_few * (sizeof(real_t) + sizeof(int)))
    if room == NULL:
        free(maps)
        raise MemoryError
    with nogil:
        columns = <int*> (room + 2 * n_rows * widest + n_few)
        for row in range(start, stop):
            begin, n = indptr[row], indptr[row + 1] - indptr[row]
            for k in range(n):
                j = indices[begin + k]
                if not 0 <= j < n_features:
                    trouble = _MALFORMED
                    break
                columns[k] = <int> j
            if trouble == 0 and n and not all_finite(&data[begin], n):
                trouble = _NONFINITE
            if trouble:
                break
            sparse_row(
                &data[begin] if n else NULL, columns, n, <const real_t*> maps[0].coef, maps[0].n_out,
                (&out[start, 0] if n_layers == 1 else room) + (row - start) * maps[0].n_out)
        if trouble == 0:
            _apply(
                maps, n_layers, 1, hidden, output, <const real_t*> room, n_rows, room + 2 * n_rows * widest, columns,
                room, room + n_rows * widest, &out[start, 0])
    free(room)
    free(maps)
    return trouble
