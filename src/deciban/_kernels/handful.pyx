"""Answers for a handful of rows, where checks in Python would take longer than the answer.

    scores[i, k] = sum over the entries (f, x) of row i of x * table[f, k], + offset[k]

Samples, table and offset are looked at through NumPy's C interface at every call, some nanoseconds each, and read where
they are: what is written into an attribute is seen by the next call, and nothing is prepared that could be out of date.
Whatever is not plain gets None, for the long way to say what is wrong with it, or to do better.

Cost: 0.4 us a call, and that of :mod:`posterior`, whose loops these are: O(entries) for each column. Numbers that are
not double are copied.
Edge cases: numbers of other types, arrays of other layouts, indices out of range and what is not finite give None, and
so do more than a handful of rows.
Source: as for :mod:`posterior`.
"""

cimport numpy as np
from cpython.long cimport PyLong_AsSsize_t
from cpython.object cimport PyObject, PyObject_GenericGetDict
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.float cimport DBL_MAX
from libc.math cimport fabs
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc

from deciban._kernels.hooks cimport replaces
from deciban._kernels.posterior cimport (
    _JOINT, _LARGEST, _LOG_POSTERIOR, _SHARES, _dense_row, _sigmoids, _sparse_rows,
)
from deciban._kernels.trouble cimport _UNDEFINED

from scipy.sparse import csr_array, csr_matrix

np.import_array()

cdef object _csr_array = csr_array, _csr_matrix = csr_matrix  # found faster than among the names of a module

cdef enum:
    SPARSE = 64  # rows
    DENSE = 4  # rows, for BLAS does better with more
    ENTRIES = 16384
    CELLS = 1048576  # multiplications
    SHORT = 16384  # multiplications, some microseconds, for which other threads can wait
    ROOM = 64  # doubles on the stack

cdef int[ENTRIES] every_feature  # 0, 1, 2, ...: the indices of a dense row


cdef void _count_features() noexcept:
    cdef int i
    for i in range(ENTRIES):
        every_feature[i] = i


_count_features()


cdef struct Task:
    bint dense, linear, binary
    double threshold
    int answer, data_type, index_type, table_type, offset_type
    Py_ssize_t n_rows, n_features, n_columns, n_entries
    const void* data
    const void* indices
    const void* indptr
    const void* table
    const void* offset
    PyObject* holders[3]  # of data, indices and indptr


cdef inline bint _is_plain(object array, int n_dimensions) noexcept:
    return (
        type(array) is np.ndarray and np.PyArray_NDIM(array) == n_dimensions and np.PyArray_ISCARRAY_RO(array))


cdef inline bint _is_real(int type_number) noexcept nogil:
    return type_number == np.NPY_FLOAT64 or type_number == np.NPY_FLOAT32


cdef const double* _as_doubles(const void* numbers, int type_number, Py_ssize_t n, double* room) noexcept nogil:
    # the numbers themselves, if they are doubles
    cdef Py_ssize_t i
    if type_number == np.NPY_FLOAT64:
        return <const double*> numbers
    if type_number == np.NPY_FLOAT32:
        for i in range(n):
            room[i] = (<const float*> numbers)[i]
    elif type_number == np.NPY_INT64:
        for i in range(n):
            room[i] = <double> (<const int64_t*> numbers)[i]
    else:
        for i in range(n):
            room[i] = (<const int32_t*> numbers)[i]
    return room


cdef inline int _rows_of(
    const Task* task, const double* x, const void* indices, const void* indptr, int index_type, Py_ssize_t n_rows,
    Py_ssize_t n_entries, const double* offset, int answer, double* scores, Py_ssize_t* largest,
) noexcept nogil:
    if index_type == np.NPY_INT32:
        if task.table_type == np.NPY_FLOAT64:
            return _sparse_rows[double, int, double](
                x, <const int*> indices, <const int*> indptr, n_entries, <const double*> task.table,
                task.n_features, task.n_columns, offset, task.binary, task.threshold, answer, 0, n_rows, scores,
                task.n_columns, largest)
        return _sparse_rows[double, int, float](
            x, <const int*> indices, <const int*> indptr, n_entries, <const float*> task.table,
            task.n_features, task.n_columns, offset, task.binary, task.threshold, answer, 0, n_rows, scores,
            task.n_columns, largest)
    if task.table_type == np.NPY_FLOAT64:
        return _sparse_rows[double, longlong, double](
            x, <const long long*> indices, <const long long*> indptr, n_entries, <const double*> task.table,
            task.n_features, task.n_columns, offset, task.binary, task.threshold, answer, 0, n_rows, scores,
            task.n_columns, largest)
    return _sparse_rows[double, longlong, float](
        x, <const long long*> indices, <const long long*> indptr, n_entries, <const float*> task.table,
        task.n_features, task.n_columns, offset, task.binary, task.threshold, answer, 0, n_rows, scores,
        task.n_columns, largest)


cdef inline int _dense_row_of(
    const Task* task, const double* x, const double* offset, int answer, double* scores, Py_ssize_t* largest,
) noexcept nogil:
    if task.table_type == np.NPY_FLOAT64:
        return _dense_row[double](
            x, task.n_features, <const double*> task.table, task.n_columns, offset, answer, scores, largest)
    return _dense_row[float](
        x, task.n_features, <const float*> task.table, task.n_columns, offset, answer, scores, largest)


cdef inline bint _is_scratch(const Task* task) noexcept nogil:
    # whether scores are not what is returned, nor as large
    return task.answer == _LARGEST or (task.linear and task.n_columns == 1 and task.answer != _JOINT)


cdef int _compute(const Task* task, double* room, double* out, Py_ssize_t* largest) noexcept nogil:
    """Fill `out`, or `largest`; return the kinds of trouble met. `room` is for what `_n_room` counts."""
    cdef bint logistic = task.linear and task.n_columns == 1
    cdef int wanted = _JOINT if logistic else task.answer, trouble = 0
    cdef Py_ssize_t row, k
    cdef double* scores = out
    cdef int[2] whole
    cdef const double* x = _as_doubles(task.data, task.data_type, task.n_entries, room)
    if x == room:
        room += task.n_entries
    cdef const double* offset = _as_doubles(task.offset, task.offset_type, task.n_columns, room)
    if offset == room:
        room += task.n_columns
    if _is_scratch(task):
        scores = room
    if task.dense and task.linear:
        for row in range(task.n_rows):
            trouble |= _dense_row_of(
                task, x + row * task.n_features, offset, wanted, scores + row * task.n_columns,
                largest + row if wanted == _LARGEST else NULL)
    elif task.dense:
        whole[0], whole[1] = 0, <int> task.n_features
        for row in range(task.n_rows):
            trouble |= _rows_of(
                task, x + row * task.n_features, every_feature, whole, np.NPY_INT32, 1, task.n_features, offset, wanted,
                scores + row * task.n_columns, largest + row if wanted == _LARGEST else NULL)
    else:
        trouble = _rows_of(
            task, x, task.indices, task.indptr, task.index_type, task.n_rows, task.n_entries, offset, wanted, scores,
            largest)
    if (task.dense or task.linear) and (wanted == _JOINT or wanted == _LARGEST):
        for k in range(task.n_rows * task.n_columns if trouble == 0 else 0):
            if not fabs(scores[k]) <= DBL_MAX:
                return _UNDEFINED
    if trouble == 0:
        if logistic and task.answer == _LARGEST:
            for row in range(task.n_rows):
                largest[row] = scores[row] > 0.0
        elif logistic and task.answer != _JOINT:
            _sigmoids(scores, sizeof(double), task.answer == _LOG_POSTERIOR, task.n_rows, out)
    return trouble


cdef inline Py_ssize_t _n_room(const Task* task) noexcept nogil:
    """Return how many doubles `_compute` may need."""
    return (
        (0 if task.data_type == np.NPY_FLOAT64 else task.n_entries)
        + (0 if task.offset_type == np.NPY_FLOAT64 else task.n_columns)
        + (task.n_rows * task.n_columns if _is_scratch(task) else 0))


cdef Py_ssize_t _size(object size) except? -1:
    # -1 for what is no size
    return PyLong_AsSsize_t(size) if type(size) is int else -1


cdef bint _read_samples(object X, Task* task) except -1:
    """Note where samples are, and how many; return whether they are plain, and no more than a handful."""
    cdef dict parts
    cdef object data, indices, indptr, shape
    if type(X) is np.ndarray:
        if not _is_plain(X, 2) or np.PyArray_DIM(X, 1) != task.n_features:
            return False
        task.dense, data = True, X
        indices = indptr = X
        task.n_rows = np.PyArray_DIM(X, 0)
        if task.n_rows > DENSE:
            return False
        task.n_entries = task.n_rows * task.n_features
    elif type(X) is _csr_matrix or type(X) is _csr_array:
        parts = PyObject_GenericGetDict(X, NULL)
        shape, data = parts.get("_shape"), parts.get("data")
        indices, indptr = parts.get("indices"), parts.get("indptr")
        if not (
            type(shape) is tuple and len(<tuple> shape) == 2 and _size((<tuple> shape)[1]) == task.n_features
            and _is_plain(data, 1) and _is_plain(indices, 1) and _is_plain(indptr, 1)
        ):
            return False
        task.dense = False
        task.n_rows, task.n_entries = _size((<tuple> shape)[0]), np.PyArray_DIM(data, 0)
        task.index_type = np.PyArray_TYPE(indices)
        if (
            np.PyArray_DIM(indices, 0) != task.n_entries or np.PyArray_DIM(indptr, 0) != task.n_rows + 1
            or np.PyArray_TYPE(indptr) != task.index_type
            or (task.index_type != np.NPY_INT64 and task.index_type != np.NPY_INT32)
        ):
            return False
        task.indices, task.indptr = np.PyArray_DATA(indices), np.PyArray_DATA(indptr)
    else:
        return False
    task.data, task.data_type = np.PyArray_DATA(data), np.PyArray_TYPE(data)
    task.holders[0], task.holders[1], task.holders[2] = <PyObject*> data, <PyObject*> indices, <PyObject*> indptr
    return (
        (_is_real(task.data_type) or task.data_type == np.NPY_INT64 or task.data_type == np.NPY_INT32)
        and 0 < task.n_rows <= SPARSE and task.n_entries <= ENTRIES
        and (task.n_entries + task.n_rows) * task.n_columns <= CELLS)


cdef bint _read_offset(object offset, Task* task) except -1:
    if not _is_plain(offset, 1) or np.PyArray_DIM(offset, 0) != task.n_columns:
        return False
    task.offset, task.offset_type = np.PyArray_DATA(offset), np.PyArray_TYPE(offset)
    return _is_real(task.offset_type)


cdef object _do(Task* task):
    """Return the answer, or None."""
    cdef np.npy_intp[2] shape
    cdef double[ROOM] small_room
    cdef double* room = small_room
    cdef double* to = NULL
    cdef Py_ssize_t* largest = NULL
    cdef Py_ssize_t n_room = _n_room(task)
    cdef int trouble, i
    cdef bint narrow = (
        task.linear and task.answer != _LARGEST and task.data_type == np.NPY_FLOAT32
        and task.table_type == np.NPY_FLOAT32 and task.offset_type == np.NPY_FLOAT32)
    if narrow and task.answer == _SHARES:
        return None  # rows that no class claims are other ones in single precision
    shape[0], shape[1] = task.n_rows, task.n_columns
    if task.answer == _LARGEST:
        out = np.PyArray_EMPTY(1, shape, np.NPY_INTP, 0)
        largest = <Py_ssize_t*> np.PyArray_DATA(out)
    else:
        if _is_scratch(task):
            shape[1] = 2
        out = np.PyArray_EMPTY(2, shape, np.NPY_FLOAT64, 0)
        to = <double*> np.PyArray_DATA(out)
    if n_room > ROOM:
        room = <double*> malloc(n_room * sizeof(double))
        if room == NULL:
            raise MemoryError
    if (task.n_entries + task.n_rows) * task.n_columns <= SHORT:
        trouble = _compute(task, room, to, largest)
    else:
        for i in range(3):  # another thread may put other arrays into the matrix
            Py_INCREF(<object> task.holders[i])
        with nogil:
            trouble = _compute(task, room, to, largest)
        for i in range(3):
            Py_DECREF(<object> task.holders[i])
    if room != small_room:
        free(room)
    if trouble:
        return None
    if narrow:
        return np.PyArray_Cast(out, np.NPY_FLOAT32)
    return out


def few_rows(
    X, Py_ssize_t n_features, Py_ssize_t n_columns, table, offset, bint linear, bint binary, double threshold,
    int answer,
):
    """Answer for a few rows, or return None: something asks for a closer look, or there are more than a few.

    Parameters
    ----------
    X : object
        Samples: None unless of the very class of a CSR matrix, a CSR array, or an ndarray.
    n_features, n_columns : int
        How many there should be.
    table : ndarray of shape (n_features, n_columns), float64 or float32
        Scores are X @ table + offset, in double precision; None if it is not contiguous.
    offset : ndarray of shape (n_columns,), float64 or float32
    linear : bool
        Whether a single column is of the second of two classes, with the logistic function for its probability, and
        scores that are not finite give None. The answer is in single precision where all three arrays are.
    binary, threshold
        As for :func:`posterior.sparse_rows`.
    answer : int
        As there; or SHARES, the logistic function of every score over their sum.

    Returns
    -------
    out : ndarray or None
        Of shape (n_rows,) for LARGEST, else (n_rows, n_columns); but two columns of probabilities for a logistic one.
    """
    cdef Task task
    if not 0 <= answer <= _SHARES:
        raise ValueError(f"there is no answer {answer}")
    if (
        n_columns < 1 or not _is_plain(table, 2) or np.PyArray_DIM(table, 0) != n_features
        or np.PyArray_DIM(table, 1) != n_columns or not _is_real(np.PyArray_TYPE(table))
    ):
        return None
    task.n_features, task.n_columns, task.answer = n_features, n_columns, answer
    task.table, task.table_type = np.PyArray_DATA(table), np.PyArray_TYPE(table)
    task.linear, task.binary, task.threshold = linear, binary, threshold
    if not (_read_offset(offset, &task) and _read_samples(X, &task)):
        return None
    return _do(&task)


def linear_rows(model, X, int answer):
    """Answer for a few rows of a fitted linear classifier as :func:`few_rows`, or return None.

    Parameters
    ----------
    model : object
        With ``coef_`` of shape (n_classes or 1, n_features), laid out with the features first, ``intercept_``,
        ``classes_`` and ``n_features_in_`` as attributes of its own, and by its class ``_made_of``: for each answer,
        the methods that have to be in place.
    X : object
        Samples.
    answer : int
        As for :func:`posterior.sparse_rows`.
    """
    cdef Task task
    cdef dict state = PyObject_GenericGetDict(model, NULL)
    cdef object cls = type(model)
    if not 0 <= answer <= _SHARES:
        raise ValueError(f"there is no answer {answer}")
    if replaces(state, cls, <dict> (<tuple> cls._made_of)[answer]):
        return None
    coef, offset, classes = state.get("coef_"), state.get("intercept_"), state.get("classes_")
    if (
        type(coef) is not np.ndarray or np.PyArray_NDIM(coef) != 2 or not np.PyArray_ISFARRAY_RO(coef)
        or type(classes) is not np.ndarray or np.PyArray_NDIM(classes) != 1 or "feature_names_in_" in state
    ):
        return None
    task.n_columns = np.PyArray_DIM(classes, 0)
    if task.n_columns <= 2:
        task.n_columns = 1
    task.n_features, task.answer = _size(state.get("n_features_in_")), answer
    task.table, task.table_type = np.PyArray_DATA(coef), np.PyArray_TYPE(coef)
    task.linear, task.binary, task.threshold = True, False, 0.0
    if (
        np.PyArray_DIM(coef, 0) != task.n_columns or np.PyArray_DIM(coef, 1) != task.n_features
        or not _is_real(task.table_type) or not _read_offset(offset, &task) or not _read_samples(X, &task)
    ):
        return None
    return _do(&task)
