"""Special functions as NumPy ufuncs, with loops for float and double.

    expit(x) = 1 / (1 + exp(-x)), log_expit(x) = log(expit(x)), logit(p) = log(p / (1 - p)), entr(x) = -x log(x),
    xlogy(x, y) = x log(y), rel_entr(x, y) = x log(x / y), kl_div(x, y) = x log(x / y) - x + y

NumPy hands over one run of values, or many; a run whose values are not neighbours goes through a buffer of CHUNK.

Cost: arguments are read once and results written once, 0.3-1 ns an element of arithmetic (see elementwise.c).
Edge cases: as the mathematics says at 0, 1 and infinity, and as SciPy's functions of these names; NaN gives NaN. There
are no floating-point warnings: lanes compute what they then do not choose.
Source: Muller, Elementary Functions: Algorithms and Implementation (3rd edition, 2016), chapters 3, 10, 11.
"""

cimport numpy as np

from deciban._kernels.special cimport (
    elementwise_double_ops, elementwise_double_select, elementwise_float_ops, elementwise_float_select,
)
from deciban._kernels.types cimport real_t

cdef extern from "<fenv.h>" nogil:
    enum:
        FE_ALL_EXCEPT
    int feclearexcept(int)

np.import_array()
np.import_umath()

cdef enum:
    CHUNK = 256

ctypedef void (*double_1)(const double*, double*, Py_ssize_t) noexcept nogil
ctypedef void (*double_2)(const double*, const double*, double*, Py_ssize_t) noexcept nogil
ctypedef void (*float_1)(const float*, float*, Py_ssize_t) noexcept nogil
ctypedef void (*float_2)(const float*, const float*, float*, Py_ssize_t) noexcept nogil

ctypedef void* pointer


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
cdef pointer[2] on_expit = [<void*> f.expit, <void*> d.expit]
cdef pointer[2] on_log_expit = [<void*> f.log_expit, <void*> d.log_expit]
cdef pointer[2] on_logit = [<void*> f.logit, <void*> d.logit]
cdef pointer[2] on_entr = [<void*> f.entr, <void*> d.entr]
cdef pointer[2] on_xlogy = [<void*> f.xlogy, <void*> d.xlogy]
cdef pointer[2] on_rel_entr = [<void*> f.rel_entr, <void*> d.rel_entr]
cdef pointer[2] on_kl_div = [<void*> f.kl_div, <void*> d.kl_div]


cdef object _ufunc_1(void** data, const char* name):
    return np.PyUFunc_FromFuncAndData(loops_1, data, types_1, 2, 1, 1, np.PyUFunc_None, name, "", 0)


cdef object _ufunc_2(void** data, const char* name):
    return np.PyUFunc_FromFuncAndData(loops_2, data, types_2, 2, 2, 1, np.PyUFunc_None, name, "", 0)


expit = _ufunc_1(on_expit, "expit")
log_expit = _ufunc_1(on_log_expit, "log_expit")
logit = _ufunc_1(on_logit, "logit")
entr = _ufunc_1(on_entr, "entr")
xlogy = _ufunc_2(on_xlogy, "xlogy")
rel_entr = _ufunc_2(on_rel_entr, "rel_entr")
kl_div = _ufunc_2(on_kl_div, "kl_div")
