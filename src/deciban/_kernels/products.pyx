"""Products of dense tables, as layers need them: X W forward, D W^T backward, X^T D for gradients.

By the tiles of products.h where the processor has AVX2 or AVX-512, else by BLAS, as where rows of the result are short
and those of X are not together;
but where a third or more of X is zero, as pixels are and what comes out of rectifiers and dropout, and rows are long
enough, by nonzeros.pyx, which skips zeros. Calls decide this each for itself.

Cost: 2 n_rows n_in n_out flops, less the zeros' share; the table is copied once a call, so a call of a few rows costs
most for its size.
Edge cases: zero in X times infinity is NaN, or nothing where zeros are skipped.
Source: K. Goto, R. van de Geijn, Anatomy of high-performance matrix multiplication, ACM Transactions on Mathematical
Software 34 (2008).
"""

from scipy.linalg.cython_blas cimport dgemm, sgemm

from deciban._kernels.nonzeros cimport multiply_few, multiply_few_into_gradient, rows_at_once

cdef extern from "products.h":
    ctypedef struct products_double_ops:
        void (*multiply)(
            const double*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t,
            Py_ssize_t, int, double*) noexcept nogil

    ctypedef struct products_float_ops:
        void (*multiply)(
            const float*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t,
            Py_ssize_t, int, float*) noexcept nogil

    const products_double_ops* products_double_select() noexcept nogil
    const products_float_ops* products_float_select() noexcept nogil

cdef const products_double_ops* d = products_double_select()
cdef const products_float_ops* f = products_float_select()

cdef enum:
    SHORT = 32  # bytes of a row

HAS_TILES = d.multiply != NULL


cdef void _product(
    const real_t* x, Py_ssize_t x_size, bint x_is_turned, Py_ssize_t n_rows, Py_ssize_t n_inner, const real_t* table,
    Py_ssize_t table_size, bint table_is_turned, Py_ssize_t n_columns, bint is_added, real_t* out,
) noexcept nogil:
    # out (n_rows, n_columns) = x (n_rows, n_inner) table (n_inner, n_columns), or that added to `out`. Rows in memory
    # are `size` apart; they are columns of a table that is turned.
    cdef char x_as = c'T' if x_is_turned else c'N', table_as = c'T' if table_is_turned else c'N'
    cdef int m = <int> n_columns, n = <int> n_rows, k = <int> n_inner, ldx = <int> x_size, ldt = <int> table_size
    cdef Py_ssize_t row_step = 1 if x_is_turned else x_size, step = x_size if x_is_turned else 1
    cdef Py_ssize_t table_row_step = 1 if table_is_turned else table_size
    cdef Py_ssize_t table_step = table_size if table_is_turned else 1
    cdef real_t one = 1, scale = 1 if is_added else 0
    if n_rows == 0 or n_columns == 0:
        return
    if (n_columns * sizeof(real_t) >= SHORT or not x_is_turned) and n_inner > 0:
        if real_t is double:
            if d.multiply != NULL:
                d.multiply(
                    x, row_step, step, n_rows, n_inner, table, table_row_step, table_step, n_columns, is_added, out)
                return
        elif f.multiply != NULL:
            f.multiply(x, row_step, step, n_rows, n_inner, table, table_row_step, table_step, n_columns, is_added, out)
            return
    # Rows are columns to BLAS, so it makes the transpose of the product.
    if real_t is double:
        dgemm(&table_as, &x_as, &m, &n, &k, &one, <double*> table, &ldt, <double*> x, &ldx, &scale, out, &m)
    else:
        sgemm(&table_as, &x_as, &m, &n, &k, &one, <float*> table, &ldt, <float*> x, &ldx, &scale, out, &m)


cdef void multiply(
    const real_t* X, Py_ssize_t n_rows, Py_ssize_t n_in, const real_t* coef, Py_ssize_t n_out, real_t* out,
) noexcept nogil:
    """out (n_rows, n_out) = X coef."""
    cdef Py_ssize_t start = 0, most = rows_at_once(n_in), n
    while start < n_rows:
        n = min(n_rows - start, most) if most else n_rows
        if not most or not multiply_few(X + start * n_in, n, n_in, coef, n_out, out + start * n_out):
            _product(
                X + start * n_in, n_in, False, n, n_in, coef, n_out, False, n_out, False, out + start * n_out)
        start += n


cdef void add_product(
    const real_t* X, Py_ssize_t n_rows, Py_ssize_t n_in, const real_t* coef, bint coef_is_turned, Py_ssize_t n_out,
    real_t* out,
) noexcept nogil:
    """out (n_rows, n_out) += X coef, zeros of X and all; a table that is turned is coef^T."""
    _product(
        X, n_in, False, n_rows, n_in, coef, n_in if coef_is_turned else n_out, coef_is_turned, n_out, True, out)


cdef void multiply_transposed(
    const real_t* deltas, Py_ssize_t n_rows, Py_ssize_t n_out, const real_t* coef, Py_ssize_t n_in, real_t* out,
) noexcept nogil:
    """out (n_rows, n_in) = deltas coef^T."""
    _product(deltas, n_out, False, n_rows, n_out, coef, n_out, True, n_in, False, out)


cdef void multiply_into_gradient(
    const real_t* X, const real_t* deltas, Py_ssize_t n_rows, Py_ssize_t n_in, Py_ssize_t n_out, Py_ssize_t start,
    Py_ssize_t stop, bint is_added, real_t* out,
) noexcept nogil:
    """out (stop - start, n_out) = X[:, start:stop]^T deltas, or that added to `out`."""
    cdef Py_ssize_t most = 0 if is_added else rows_at_once(n_rows), end
    while start < stop:
        end = min(start + most, stop) if most else stop
        if not most or not multiply_few_into_gradient(X, deltas, n_rows, n_in, n_out, start, end, out):
            _product(
                X + start, n_in, True, end - start, n_rows, deltas, n_out, False, n_out, is_added, out)
        out += (end - start) * n_out
        start = end


# --- for Python -------------------------------------------------------------------------------------------------------

def multiply_tables(
    const real_t[:, ::1] X, bint X_is_turned, const real_t[:, ::1] table, bint table_is_turned, bint is_added,
    real_t[:, ::1] out,
):
    """Fill `out` with X table, or add that to it; either may be given as its transpose."""
    cdef Py_ssize_t n_rows, n_inner, found, n_columns
    n_rows, n_inner = (X.shape[1], X.shape[0]) if X_is_turned else (X.shape[0], X.shape[1])
    found, n_columns = (table.shape[1], table.shape[0]) if table_is_turned else (table.shape[0], table.shape[1])
    if found != n_inner or out.shape[0] != n_rows or out.shape[1] != n_columns:
        raise ValueError("X, table and output do not agree in shape")
    if n_rows and n_inner and n_columns:
        with nogil:
            _product(
                &X[0, 0], X.shape[1], X_is_turned, n_rows, n_inner, &table[0, 0], table.shape[1],
                table_is_turned, n_columns, is_added, &out[0, 0])
    elif not is_added:
        out[:, :] = 0
