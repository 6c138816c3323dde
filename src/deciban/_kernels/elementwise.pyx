"""Special functions as NumPy ufuncs, with loops for float and double.

    expit(x) = 1 / (1 + exp(-x)), log_expit(x) = log(expit(x)), logit(p) = log(p / (1 - p)), entr(x) = -x log(x),
    xlogy(x, y) = x log(y), rel_entr(x, y) = x log(x / y), kl_div(x, y) = x log(x / y) - x + y

NumPy hands over one run of values, or many; a run whose values are not neighbours goes through a buffer of CHUNK. A
call with a few numbers goes around NumPy's machinery (at_once).

Cost: arguments are read once and results written once, 0.3-1 ns an element of arithmetic (see elementwise.c).
Edge cases: as the mathematics says at 0, 1 and infinity, and as SciPy's functions of these names; NaN gives NaN. There
are no floating-point warnings: lanes compute what they then do not choose.
Source: Muller, Elementary Functions: Algorithms and Implementation (3rd edition, 2016), chapters 3, 10, 11.
"""

cimport numpy as np
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact

from deciban._kernels.arrays cimport FEW
from deciban._kernels.special cimport (
    elementwise_double_ops, elementwise_double_select, elementwise_float_ops, elementwise_float_select,
)
from deciban._kernels.types cimport real_t

cdef extern from "<fenv.h>" nogil:
    enum:
        FE_ALL_EXCEPT
    int feclearexcept(int)

cdef extern from *:
    void __builtin_prefetch(const void*) nogil

np.import_array()
np.import_umath()

cdef enum:
    CHUNK = 256
    LINE = 64  # bytes

ctypedef void (*double_1)(const double*, double*, Py_ssize_t) noexcept nogil
ctypedef void (*double_2)(const double*, const double*, double*, Py_ssize_t) noexcept nogil
ctypedef void (*float_1)(const float*, float*, Py_ssize_t) noexcept nogil
ctypedef void (*float_2)(const float*, const float*, float*, Py_ssize_t) noexcept nogil

ctypedef void* pointer
ctypedef char* address


cdef void _run_1(real_t* _type, char** args, np.npy_intp n, np.npy_intp* steps, void* function) noexcept nogil:
    cdef real_t[CHUNK] x, out
    cdef np.npy_intp piece, start, i, m
    if steps[0] == sizeof(real_t) and steps[1] == sizeof(real_t):
        if real_t is double:
            (<double_1> function)(<const real_t*> args[0], <real_t*> args[1], n)
        else:
            (<float_1> function)(<const real_t*> args[0], <real_t*> args[1], n)
        return
    for piece in range((n + CHUNK - 1) // CHUNK):
        start = piece * CHUNK
        m = min(CHUNK, n - start)
        for i in range(m):
            x[i] = (<real_t*> (args[0] + (start + i) * steps[0]))[0]
        if real_t is double:
            (<double_1> function)(x, out, m)
        else:
            (<float_1> function)(x, out, m)
        for i in range(m):
            (<real_t*> (args[1] + (start + i) * steps[1]))[0] = out[i]


cdef void _run_2(real_t* _type, char** args, np.npy_intp n, np.npy_intp* steps, void* function) noexcept nogil:
    cdef real_t[CHUNK] x, y, out
    cdef np.npy_intp piece, start, i, m
    if steps[0] == sizeof(real_t) and steps[1] == sizeof(real_t) and steps[2] == sizeof(real_t):
        if real_t is double:
            (<double_2> function)(<const real_t*> args[0], <const real_t*> args[1], <real_t*> args[2], n)
        else:
            (<float_2> function)(<const real_t*> args[0], <const real_t*> args[1], <real_t*> args[2], n)
        return
    for piece in range((n + CHUNK - 1) // CHUNK):
        start = piece * CHUNK
        m = min(CHUNK, n - start)
        for i in range(m):
            x[i] = (<real_t*> (args[0] + (start + i) * steps[0]))[0]
            y[i] = (<real_t*> (args[1] + (start + i) * steps[1]))[0]
        if real_t is double:
            (<double_2> function)(x, y, out, m)
        else:
            (<float_2> function)(x, y, out, m)
        for i in range(m):
            (<real_t*> (args[2] + (start + i) * steps[2]))[0] = out[i]


cdef void _float_1(char** args, const np.npy_intp* n, const np.npy_intp* steps, void* function) noexcept nogil:
    _run_1[float](NULL, args, n[0], <np.npy_intp*> steps, function)
    feclearexcept(FE_ALL_EXCEPT)


cdef void _double_1(char** args, const np.npy_intp* n, const np.npy_intp* steps, void* function) noexcept nogil:
    _run_1[double](NULL, args, n[0], <np.npy_intp*> steps, function)
    feclearexcept(FE_ALL_EXCEPT)


cdef void _float_2(char** args, const np.npy_intp* n, const np.npy_intp* steps, void* function) noexcept nogil:
    _run_2[float](NULL, args, n[0], <np.npy_intp*> steps, function)
    feclearexcept(FE_ALL_EXCEPT)


cdef void _double_2(char** args, const np.npy_intp* n, const np.npy_intp* steps, void* function) noexcept nogil:
    _run_2[double](NULL, args, n[0], <np.npy_intp*> steps, function)
    feclearexcept(FE_ALL_EXCEPT)


ctypedef np.PyUFuncGenericFunction loop

# NumPy keeps pointers to these as long as the ufuncs live
cdef loop[2] loops_1 = [<loop> _float_1, <loop> _double_1]
cdef loop[2] loops_2 = [<loop> _float_2, <loop> _double_2]
cdef char[4] types_1 = [np.NPY_FLOAT, np.NPY_FLOAT, np.NPY_DOUBLE, np.NPY_DOUBLE]
cdef char[6] types_2 = [
    np.NPY_FLOAT, np.NPY_FLOAT, np.NPY_FLOAT, np.NPY_DOUBLE, np.NPY_DOUBLE, np.NPY_DOUBLE]
cdef const elementwise_float_ops* f = elementwise_float_select()
cdef const elementwise_double_ops* d = elementwise_double_select()
# of each function, in the order of its number, that of float and that of double
cdef pointer[14] functions = [
    <void*> f.expit, <void*> d.expit, <void*> f.log_expit, <void*> d.log_expit, <void*> f.logit, <void*> d.logit,
    <void*> f.entr, <void*> d.entr, <void*> f.xlogy, <void*> d.xlogy, <void*> f.rel_entr, <void*> d.rel_entr,
    <void*> f.kl_div, <void*> d.kl_div]
EXPIT, LOG_EXPIT, LOGIT, ENTR, XLOGY, REL_ENTR, KL_DIV = range(7)


cdef object _ufunc_1(void** data, const char* name):
    return np.PyUFunc_FromFuncAndData(loops_1, data, types_1, 2, 1, 1, np.PyUFunc_None, name, "", 0)


cdef object _ufunc_2(void** data, const char* name):
    return np.PyUFunc_FromFuncAndData(loops_2, data, types_2, 2, 2, 1, np.PyUFunc_None, name, "", 0)


expit = _ufunc_1(&functions[0], "expit")
log_expit = _ufunc_1(&functions[2], "log_expit")
logit = _ufunc_1(&functions[4], "logit")
entr = _ufunc_1(&functions[6], "entr")
xlogy = _ufunc_2(&functions[8], "xlogy")
rel_entr = _ufunc_2(&functions[10], "rel_entr")
kl_div = _ufunc_2(&functions[12], "kl_div")
cdef tuple ufuncs = (expit, log_expit, logit, entr, xlogy, rel_entr, kl_div)
cdef np.dtype double_dtype = np.PyArray_DescrFromType(np.NPY_DOUBLE)
cdef object double_type = (<object> double_dtype).type

cdef extern from "numpy/arrayobject.h":
    object PyArray_Scalar(void* data, np.dtype dtype, object base)


cdef inline bint _is_number(object x):
    return PyFloat_CheckExact(x) or type(x) is double_type


cdef inline bint _is_real(object x):
    """Return whether x is an array of float or double, or a float of Python's own."""
    if type(x) is np.ndarray:
        return np.PyArray_TYPE(x) == np.NPY_DOUBLE or np.PyArray_TYPE(x) == np.NPY_FLOAT
    return PyFloat_CheckExact(x)


cdef inline bint _is_run(object x, object like):
    """Return whether x is an array of the type, shape and order of another one, which is C-contiguous."""
    cdef int i
    if (
        type(x) is not np.ndarray or np.PyArray_TYPE(x) != np.PyArray_TYPE(like)
        or np.PyArray_NDIM(x) != np.PyArray_NDIM(like) or not np.PyArray_ISCARRAY_RO(x)
    ):
        return False
    for i in range(np.PyArray_NDIM(x)):
        if np.PyArray_DIM(x, i) != np.PyArray_DIM(like, i):
            return False
    return True


cdef inline bint _overlap(object x, object out):
    """Return whether runs of equal size begin apart and share memory."""
    cdef Py_ssize_t apart = np.PyArray_BYTES(out) - np.PyArray_BYTES(x)
    return apart != 0 and -np.PyArray_NBYTES(x) < apart < np.PyArray_NBYTES(x)


cdef inline bint _is_column(object x, object like):
    """Return whether x is an array along one axis, of the type and length of another one, wherever its values are."""
    return (
        type(x) is np.ndarray and np.PyArray_TYPE(x) == np.PyArray_TYPE(like) and np.PyArray_NDIM(x) == 1
        and np.PyArray_ISBEHAVED_RO(x) and np.PyArray_DIM(x, 0) == np.PyArray_DIM(like, 0))


cdef inline bint _meet(object x, object out):
    """Return whether some value of one column may lie between values of another."""
    cdef Py_ssize_t to_last = (np.PyArray_DIM(x, 0) - 1) * np.PyArray_STRIDE(x, 0)
    cdef Py_ssize_t to_last_out = (np.PyArray_DIM(out, 0) - 1) * np.PyArray_STRIDE(out, 0)
    cdef Py_ssize_t apart = np.PyArray_BYTES(out) - np.PyArray_BYTES(x), size = np.PyArray_ITEMSIZE(x)
    return (
        apart + min(to_last_out, 0) < max(to_last, 0) + size and min(to_last, 0) < apart + max(to_last_out, 0) + size)


cdef object _column(int function, object x, object y, object out):
    """Write a function of the values along one axis to `out`, which may be None for a new array; return that."""
    if out is None:
        out = np.PyArray_EMPTY(1, np.PyArray_DIMS(x), np.PyArray_TYPE(x), 0)
    cdef bint wide = np.PyArray_TYPE(x) == np.NPY_DOUBLE, of_two = y is not None
    cdef address[3] cells = [np.PyArray_BYTES(x), np.PyArray_BYTES(out), np.PyArray_BYTES(out)]
    cdef np.npy_intp[3] steps = [np.PyArray_STRIDE(x, 0), np.PyArray_STRIDE(out, 0), np.PyArray_STRIDE(out, 0)]
    if of_two:
        cells[1], steps[1] = np.PyArray_BYTES(y), np.PyArray_STRIDE(y, 0)
        if wide:
            _run_2[double](NULL, cells, np.PyArray_SIZE(x), steps, functions[2 * function + 1])
        else:
            _run_2[float](NULL, cells, np.PyArray_SIZE(x), steps, functions[2 * function])
    elif wide:
        _run_1[double](NULL, cells, np.PyArray_SIZE(x), steps, functions[2 * function + 1])
    else:
        _run_1[float](NULL, cells, np.PyArray_SIZE(x), steps, functions[2 * function])
    return out


def at_once(int function, object x, object y, object out):
    """Return a function of a few plain numbers; None where it takes more than that.

    Parameters
    ----------
    function : int
        EXPIT and so on.
    x, y : object
        Arguments; None unless arrays of float or double, or Python's floats, and lists. y is None for functions of x.
    out : ndarray or None
        Where to write the result; None for a new array.

    Returns
    -------
    result : ndarray, NumPy scalar or None
    """
    cdef double number, other
    cdef bint of_two = y is not None
    cdef int kind
    if _is_number(x) and (not of_two or _is_number(y)) and out is None:
        number = PyFloat_AS_DOUBLE(x)
        if of_two:
            other = PyFloat_AS_DOUBLE(y)
            (<double_2> functions[2 * function + 1])(&number, &other, &number, 1)
        else:
            (<double_1> functions[2 * function + 1])(&number, &number, 1)
        return PyArray_Scalar(&number, double_dtype, None)
    if type(x) is list:
        x = np.PyArray_FROM_O(x)
    if type(y) is list:
        y = np.PyArray_FROM_O(y)
    if not _is_real(x) or (of_two and not _is_real(y)):
        return None
    if type(x) is np.ndarray and np.PyArray_SIZE(x) > FEW or type(y) is np.ndarray and np.PyArray_SIZE(y) > FEW:
        return None
    if (
        type(x) is np.ndarray and np.PyArray_NDIM(x) > 0 and np.PyArray_ISCARRAY_RO(x)
        and (not of_two or _is_run(y, x))
        and (out is None or (_is_run(out, x) and np.PyArray_ISWRITEABLE(out) and not _overlap(x, out)
                             and not (of_two and _overlap(y, out))))
    ):
        if out is None:
            out = np.PyArray_EMPTY(np.PyArray_NDIM(x), np.PyArray_DIMS(x), np.PyArray_TYPE(x), 0)
        kind = np.PyArray_TYPE(x) == np.NPY_DOUBLE
        if of_two:
            (<double_2> functions[2 * function + kind])(
                <const double*> np.PyArray_DATA(x), <const double*> np.PyArray_DATA(y), <double*> np.PyArray_DATA(out),
                np.PyArray_SIZE(x))
        else:
            (<double_1> functions[2 * function + kind])(
                <const double*> np.PyArray_DATA(x), <double*> np.PyArray_DATA(out), np.PyArray_SIZE(x))
        return out
    if (
        type(x) is np.ndarray and _is_column(x, x) and (not of_two or _is_column(y, x))
        and (out is None or (_is_column(out, x) and np.PyArray_ISWRITEABLE(out) and not _meet(x, out)
                             and not (of_two and _meet(y, out))))
    ):
        return _column(function, x, y, out)
    if of_two:
        return ufuncs[function](x, y) if out is None else ufuncs[function](x, y, out)
    return ufuncs[function](x) if out is None else ufuncs[function](x, out)


def in_rows(np.ufunc ufunc, list arrays not None):
    """Call one of these ufuncs row by row, for less than what NumPy takes for each.

    Parameters
    ----------
    ufunc : ufunc
        EXPIT's and so on.
    arrays : list of ndarray of shape (n_rows, n)
        Arguments and the result, all of float or all of double.
    """
    cdef bint wide = np.PyArray_TYPE(arrays[0]) == np.NPY_DOUBLE
    cdef int n_arrays = ufunc.nargs, k
    cdef void* function = ufunc.data[wide]
    cdef address[3] rows
    cdef address[3] cells
    cdef np.npy_intp[3] apart, steps
    cdef np.npy_intp n_rows = np.PyArray_DIM(arrays[0], 0), n = np.PyArray_DIM(arrays[0], 1)
    cdef np.npy_intp size = n, i, piece, start, m, line
    cdef bint[3] far  # from the end of a row to the next one, so that processors do not ask for it in time
    for k in range(n_arrays):
        rows[k] = <char*> np.PyArray_DATA(arrays[k])
        apart[k] = np.PyArray_STRIDE(arrays[k], 0)
        steps[k] = np.PyArray_STRIDE(arrays[k], 1)
        far[k] = 0 < steps[k] <= LINE and apart[k] > n * steps[k] + LINE
        if far[k]:
            size = CHUNK
    with nogil:
        for i in range(n_rows):
            for piece in range((n + size - 1) // size):
                start = piece * size
                m = min(size, n - start)
                for k in range(n_arrays):
                    cells[k] = rows[k] + start * steps[k]
                    if far[k] and i + 1 < n_rows:
                        for line in range((m * steps[k] + LINE - 1) // LINE):
                            __builtin_prefetch(cells[k] + apart[k] + line * LINE)
                if n_arrays == 2:
                    if wide:
                        _run_1[double](NULL, cells, m, steps, function)
                    else:
                        _run_1[float](NULL, cells, m, steps, function)
                elif wide:
                    _run_2[double](NULL, cells, m, steps, function)
                else:
                    _run_2[float](NULL, cells, m, steps, function)
            for k in range(n_arrays):
                rows[k] += apart[k]
