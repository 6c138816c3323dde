"""Log-sum-exp and softmax along the middle axis of an array of shape (outer, n, inner).

    logsumexp(x) = m + log sum_i exp(x_i - m), m = max_i x_i;  softmax(x)_i = exp(x_i - m) / sum_j exp(x_j - m)

The terms that equal m are counted, the others summed, and the logarithm is log1p(count - 1 + rest): it loses nothing
where one term is far above all others. Three ways through memory: a row of neighbours (inner = 1, n of SHORT or more);
short rows, TILE of which are turned to lie side by side; and columns (inner > 1), as many at a time as stay in L2.
Columns of which too few do, or that are too few, are added up by blocks of rows, and for softmax read once more.

Cost: one read of x, and one write for softmax (of many rows past the caches), while a row (or TILE rows, or a block of
columns) stays in cache; an exponential an element, two for softmax of what is beyond cache.
Naive Bayes has loops of its own for this (posterior.pyx), which give the same bits on every instruction set, as these
do not, and report rows that have no posterior.

Edge cases: NaN gives NaN; a row of -inf has the log-sum -inf, and NaN for softmax; n = 0 is the caller's.
Source: Blanchard, Higham, Higham, Accurately computing the log-sum-exp and softmax functions (IMA Journal of Numerical
Analysis, 2021).
"""

from libc.math cimport INFINITY, isfinite, log as log_, log1p
from libc.string cimport memcpy, memset

from deciban._kernels.columns cimport pieces_of, width_of
from deciban._kernels.prefetch cimport PREFETCH
from deciban._kernels.special cimport (
    COLUMNS, STREAMED, exp_columns_double_ops, exp_columns_double_select, exp_columns_float_ops,
    exp_columns_float_select, exp_sum, reductions_double_ops, reductions_double_select, reductions_float_ops,
    reductions_float_select,
)
from deciban._kernels.types cimport real_t

cdef const reductions_float_ops* float_ops = reductions_float_select()
cdef const reductions_double_ops* double_ops = reductions_double_select()
cdef const exp_columns_float_ops* float_columns = exp_columns_float_select()
cdef const exp_columns_double_ops* double_columns = exp_columns_double_select()

cdef enum:
    TILE = 64  # short rows at a time
    NARROW = 16  # a vector of them, where there are few
    SHORT = 128  # values of a row
    SHORT_SOFTMAX = 64  # of one that is no dearer by itself, without a logarithm at its end
    CACHED = 1 << 17  # values of a block of columns
    BLOCK = 1 << 15  # of rows that are read twice
    ENOUGH = 1 << 14  # for Python to hand out


def n_items(Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner):
    """Return the number of pieces that the work is made of: rows, or blocks of columns."""
    return pieces_of(outer, n, inner, CACHED)


cdef void _turn(const real_t* x, Py_ssize_t n_rows, Py_ssize_t n, Py_ssize_t width, real_t* tile) noexcept nogil:
    """Lay `width` rows side by side, -inf where there are fewer."""
    cdef Py_ssize_t k
    if n_rows < width:
        for k in range(n * width):
            tile[k] = -INFINITY
    if real_t is double:
        double_ops.turn(x, n, n_rows, n, tile, width)
    else:
        float_ops.turn(x, n, n_rows, n, tile, width)


cdef void _turn_back(
    const real_t* tile, Py_ssize_t width, Py_ssize_t n_rows, Py_ssize_t n, bint streamed, real_t* out,
) noexcept nogil:
    cdef real_t[SHORT * TILE] rows
    cdef real_t* to = out
    if streamed:
        to = rows
    if real_t is double:
        double_ops.turn(tile, width, n, n_rows, to, n)
        if streamed:
            double_ops.stream(rows, out, n_rows * n)
    else:
        float_ops.turn(tile, width, n, n_rows, to, n)
        if streamed:
            float_ops.stream(rows, out, n_rows * n)


def logsumexp(const real_t[:, :, ::1] X, real_t[:, ::1] out, Py_ssize_t start, Py_ssize_t stop):
    """Write pieces [start, stop) of the log-sum-exp of X, (outer, n, inner), to out, (outer, inner)."""
    cdef Py_ssize_t n = X.shape[1], inner = X.shape[2], width, per_row, piece, row, column, m
    cdef real_t[SHORT * TILE] tile
    if (
        out.shape[0] != X.shape[0] or out.shape[1] != inner or n == 0 or start < 0
        or stop > n_items(X.shape[0], n, inner)
    ):
        raise ValueError("input, output and pieces do not agree")
    if stop <= start:
        return
    with nogil:
        if inner == 1 and n >= SHORT:
            for row in range(start, stop):
                if real_t is double:
                    out[row, 0] = double_ops.log_sum_exp(&X[row, 0, 0], n)
                else:
                    out[row, 0] = float_ops.log_sum_exp(&X[row, 0, 0], n)
        elif inner == 1:
            for piece in range((stop - start + TILE - 1) // TILE):
                row = start + piece * TILE
                m = min(<Py_ssize_t> TILE, stop - row)
                _turn(&X[row, 0, 0], m, n, TILE, tile)
                # the tile is no longer needed when its first row receives the result
                if real_t is double:
                    double_columns.log_sum_exp_columns(tile, n, TILE, TILE, tile)
                else:
                    float_columns.log_sum_exp_columns(tile, n, TILE, TILE, tile)
                memcpy(&out[row, 0], tile, m * sizeof(real_t))
        else:
            width = width_of(n, inner, CACHED)
            per_row = (inner + width - 1) // width
            for piece in range(start, stop):
                row, column = piece // per_row, piece % per_row * width
                m = min(width, inner - column)
                if real_t is double:
                    double_columns.log_sum_exp_columns(&X[row, 0, column], n, inner, m, &out[row, column])
                else:
                    float_columns.log_sum_exp_columns(&X[row, 0, column], n, inner, m, &out[row, column])


cdef void _sum_exp_times(
    const real_t* x, Py_ssize_t n, Py_ssize_t stride, const real_t* b, Py_ssize_t b_stride, Py_ssize_t step,
    Py_ssize_t n_columns, double* largest, double* count, double* rest, double* sizes,
) noexcept nogil:
    if real_t is double:
        double_columns.sum_exp_times_columns(x, n, stride, b, b_stride, step, n_columns, largest, count, rest, sizes)
    else:
        float_columns.sum_exp_times_columns(x, n, stride, b, b_stride, step, n_columns, largest, count, rest, sizes)


cdef void _sum_exp_times_short(
    const real_t* x, Py_ssize_t n_rows, Py_ssize_t n, const real_t* b, Py_ssize_t b_size, Py_ssize_t b_step,
    double* largest, double* count, double* rest, double* sizes,
) noexcept nogil:
    """Of at most TILE rows, turned; so are their factors, unless all rows or all terms of a row have the same."""
    cdef real_t[SHORT * TILE] tile
    cdef real_t[SHORT * TILE] factors
    cdef double[3][TILE] found
    cdef Py_ssize_t row
    _turn(x, n_rows, n, TILE, tile)
    if b_size == 0:
        _sum_exp_times(tile, n, TILE, b, b_step, 0, TILE, found[0], found[1], found[2], sizes)
    elif b_step == 0:
        for row in range(TILE):
            factors[row] = b[row * b_size] if row < n_rows else 0
        _sum_exp_times(tile, n, TILE, factors, 0, 1, TILE, found[0], found[1], found[2], sizes)
    else:
        if n_rows < TILE:
            for row in range(n * TILE):
                factors[row] = 0
        if real_t is double:
            double_ops.turn(b, b_size, n_rows, n, factors, TILE)
        else:
            float_ops.turn(b, b_size, n_rows, n, factors, TILE)
        _sum_exp_times(tile, n, TILE, factors, TILE, 1, TILE, found[0], found[1], found[2], sizes)
    memcpy(largest, found[0], n_rows * sizeof(double))
    memcpy(count, found[1], n_rows * sizeof(double))
    memcpy(rest, found[2], n_rows * sizeof(double))


def sum_exp_times(
    const real_t[:, :, ::1] X, const real_t[:, :, :] B, Py_ssize_t start, Py_ssize_t stop, double[:, ::1] sums_out,
):
    """Write what the sums of B exp(X) over the middle axis are made of, of outer rows [start, stop).

    That is the largest X of a term, the sum M of the factors of such terms, and that R of all others divided by exp of
    the largest, the fields of exp_sum: the rows of `sums_out`, the last of them 0. Terms with a factor of 0 are left
    out, whatever X is there. B may repeat what it holds by strides of 0; along the last axis, or if that is of length 1
    the middle one, it does, or is contiguous.
    Returns the least and the largest size of factors that are finite and not 0 (infinity and 0 if there are none).
    """
    cdef Py_ssize_t n = X.shape[1], inner = X.shape[2], size = sizeof(real_t), row, piece, column, m, at
    cdef Py_ssize_t b_row = B.strides[0] // size, b_stride = B.strides[1] // size, b_step = B.strides[2] // size
    cdef Py_ssize_t width = width_of(2 * n, inner, CACHED)  # of two arrays
    cdef double[2] sizes
    cdef double* largest
    cdef double* count
    cdef double* rest
    cdef exp_sum found
    if (
        B.shape[0] != X.shape[0] or B.shape[1] != n or B.shape[2] != inner or n == 0 or inner == 0 or start < 0
        or stop > X.shape[0] or start >= stop or sums_out.shape[0] != 4 or sums_out.shape[1] != (stop - start) * inner
    ):
        raise ValueError("input, factors and output do not agree in shape")
    if inner == 1:
        b_step = 0
    if (b_step if inner > 1 else b_stride) not in (0, 1) and (inner > 1 or n > 1):
        raise ValueError("factors are not contiguous")
    largest, count, rest = &sums_out[0, 0], &sums_out[1, 0], &sums_out[2, 0]
    sizes[0], sizes[1] = INFINITY, 0.0
    sums_out[3, :] = 0.0
    with nogil:
        if inner > 1:
            for row in range(start, stop):
                for piece in range((inner + width - 1) // width):
                    column = piece * width
                    m = min(width, inner - column)
                    at = (row - start) * inner + column
                    _sum_exp_times(
                        &X[row, 0, column], n, inner, &B[row, 0, column], b_stride, b_step, m, largest + at, count + at,
                        rest + at, sizes)
        elif n >= SHORT:
            for row in range(start, stop):
                if real_t is double:
                    found = double_ops.sum_exp_times(&X[row, 0, 0], &B[row, 0, 0], b_stride, n, sizes)
                else:
                    found = float_ops.sum_exp_times(&X[row, 0, 0], &B[row, 0, 0], b_stride, n, sizes)
                at = row - start
                largest[at], count[at], rest[at] = found.largest, found.count, found.rest
        else:
            for piece in range((stop - start + TILE - 1) // TILE):
                at = piece * TILE
                row = start + at
                _sum_exp_times_short(
                    &X[row, 0, 0], min(<Py_ssize_t> TILE, stop - row), n, &B[row, 0, 0], b_row, b_stride, largest + at,
                    count + at, rest + at, sizes)
    return sizes[0], sizes[1]


def n_beside(Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner):
    """Return how many rows to take as one where columns are better added up by blocks of rows, or else 0.

    That is where few stay in cache at a time, or there are few, which by themselves do not fill vectors.
    """
    cdef Py_ssize_t beside = 1
    if inner < 2 or n * inner <= (ENOUGH if outer == 1 and inner < NARROW else CACHED):
        return 0
    if inner >= NARROW and n * TILE <= CACHED:
        return 0
    while 2 * beside * inner <= COLUMNS:
        beside *= 2
    return beside


cdef void _sum_exp_block(
    const real_t* x, Py_ssize_t n, Py_ssize_t width, Py_ssize_t n_columns, double* sums_out,
) noexcept nogil:
    """Take n rows, width apart, into what is known of the sums of n_columns columns."""
    cdef double[4 * COLUMNS] found
    cdef Py_ssize_t column = 0, m
    memset(found, 0, sizeof(found))
    while column < n_columns:
        m = min(<Py_ssize_t> COLUMNS, n_columns - column)
        if real_t is double:
            double_columns.sum_exp_columns(x + column, n, width, m, found, found + COLUMNS, found + 2 * COLUMNS)
        else:
            float_columns.sum_exp_columns(x + column, n, width, m, found, found + COLUMNS, found + 2 * COLUMNS)
        double_columns.together_columns(sums_out + column, width, found, COLUMNS, m)
        column += m


def sum_exp_columns(const real_t[:, ::1] X, Py_ssize_t start, Py_ssize_t stop, double[:, ::1] sums_out):
    """Write what the sums of exp(X) along columns are made of, of rows [start, stop) that are taken some as one.

    `sums_out` has the fields of exp_sum for rows, and as many columns as those rows have together.
    """
    cdef Py_ssize_t inner = X.shape[1], width = sums_out.shape[1], size = (stop - start) * inner, row = 0, n, m, k
    if sums_out.shape[0] != 4 or inner == 0 or width % inner or width == 0 or not 0 <= start < stop <= X.shape[0]:
        raise ValueError("input, rows and output do not agree")
    with nogil:
        for k in range(4 * width):
            (&sums_out[0, 0])[k] = -INFINITY if k < width else 0.0
        n = size // width
        while row < n:
            m = min(max(<Py_ssize_t> 1, BLOCK // min(width, <Py_ssize_t> COLUMNS)), n - row)
            _sum_exp_block(&X[start, 0] + row * width, m, width, width, &sums_out[0, 0])
            row += m
        _sum_exp_block(&X[start, 0] + n * width, 1, width, size - n * width, &sums_out[0, 0])


cdef void _add_up(double[:, :, ::1] sums, Py_ssize_t inner) noexcept nogil:
    """Make one of the parts of sums, (n_parts, 4, width), and of columns `inner` apart."""
    cdef Py_ssize_t width = sums.shape[2], part
    for part in range(1, sums.shape[0]):
        double_columns.together_columns(&sums[0, 0, 0], width, &sums[part, 0, 0], width, width)
    for part in range(1, width // inner):
        double_columns.together_columns(&sums[0, 0, 0], width, &sums[0, 0, part * inner], width, inner)


def log_sums(double[:, :, ::1] sums, real_t[::1] out):
    """Write the logarithm of sums whose parts sum_exp_columns() has found, (n_parts, 4, width).

    The parts are overwritten.
    """
    cdef Py_ssize_t inner = out.shape[0]
    if sums.shape[0] == 0 or sums.shape[1] != 4 or inner == 0 or sums.shape[2] % inner:
        raise ValueError("sums and output do not agree in shape")
    with nogil:
        _add_up(sums, inner)
        if real_t is double:
            double_columns.log_sums(&sums[0, 0, 0], sums.shape[2], inner, &out[0])
        else:
            float_columns.log_sums(&sums[0, 0, 0], sums.shape[2], inner, &out[0])


def shifts(double[:, :, ::1] sums, Py_ssize_t inner, bint log, real_t[:, ::1] out):
    """Write what shift_columns() needs, (3, width), of such sums of `inner` columns; they are overwritten."""
    cdef Py_ssize_t width = out.shape[1], i, part
    if (
        sums.shape[0] == 0 or sums.shape[1] != 4 or inner <= 0 or width == 0 or width % inner
        or sums.shape[2] != width or out.shape[0] != 3
    ):
        raise ValueError("sums and output do not agree in shape")
    with nogil:
        _add_up(sums, inner)
        if real_t is double:
            double_columns.shifts(&sums[0, 0, 0], width, inner, log, &out[0, 0], &out[1, 0], &out[2, 0])
        else:
            float_columns.shifts(&sums[0, 0, 0], width, inner, log, &out[0, 0], &out[1, 0], &out[2, 0])
        for i in range(3):
            for part in range(1, width // inner):
                memcpy(&out[i, part * inner], &out[i, 0], inner * sizeof(real_t))


def shift_columns(
    const real_t[:, ::1] X, const real_t[:, ::1] by, bint log, Py_ssize_t start, Py_ssize_t stop, real_t[:, ::1] out,
):
    """Write rows [start, stop) of the softmax along columns, or its logarithm, by what shifts() has found."""
    cdef Py_ssize_t inner = X.shape[1], width = by.shape[1]
    cdef bint streamed
    if (
        out.shape[0] != X.shape[0] or out.shape[1] != inner or by.shape[0] != 3 or inner == 0 or width % inner
        or not 0 <= start < stop <= X.shape[0]
    ):
        raise ValueError("input, output and rows do not agree")
    streamed = &out[0, 0] != &X[0, 0] and X.shape[0] * inner * <Py_ssize_t> sizeof(real_t) >= STREAMED
    with nogil:
        if real_t is double:
            double_columns.shift_columns(
                &X[start, 0], (stop - start) * inner, width, &by[0, 0], &by[1, 0], &by[2, 0], log, streamed,
                &out[start, 0])
        else:
            float_columns.shift_columns(
                &X[start, 0], (stop - start) * inner, width, &by[0, 0], &by[1, 0], &by[2, 0], log, streamed,
                &out[start, 0])
        if streamed:
            double_ops.settle()


def log_of_sums(double[:, :, ::1] sums, real_t[::1] out, real_t[::1] sign_out):
    """Write the logarithm of the size, and the sign, of sums whose parts sum_exp_times() has found: (n_parts, 4, n).

    The logarithm of M + R is taken as log1p of what is above 1 where that may be little; nothing is lost if R is small.
    The parts are overwritten.
    """
    cdef Py_ssize_t i
    cdef double sign, total, low, size, largest, count, rest
    if sums.shape[0] == 0 or sums.shape[1] != 4 or out.shape[0] != sums.shape[2] or sign_out.shape[0] != sums.shape[2]:
        raise ValueError("sums and output do not agree in shape")
    with nogil:
        _add_up(sums, sums.shape[2])
        for i in range(sums.shape[2]):
            largest, count, rest = sums[0, 0, i], sums[0, 1, i], sums[0, 2, i]
            if not isfinite(largest):
                largest = 0.0  # infinite terms are in `count` themselves
            total = count + rest
            sign = -1.0 if total < 0.0 else 1.0
            # what the addition rounds off
            low = total - count
            low = (count - (total - low)) + (rest - low) + sums[0, 3, i]
            if not isfinite(low):
                low = 0.0
            total *= sign
            low *= sign
            if 0.5 <= total <= 2.0:
                size = log1p((total - 1.0) + low)
            else:
                size = log_(total) + (low / total if total > 0.0 else 0.0)
            out[i] = <real_t> (largest + size)
            sign_out[i] = <real_t> (sign if total > 0.0 else total)


def softmax_pair(
    const real_t[:, ::1] X, real_t[:, ::1] log_out, real_t[:, ::1] out, Py_ssize_t[::1] largest_out, Py_ssize_t start,
    Py_ssize_t stop,
):
    """Write the softmax of rows [start, stop), its logarithm, and the place of each row's largest value.

    One exponential a value for all; the place is the first of equals, or of the first NaN. X is none of the outputs.
    """
    cdef Py_ssize_t row, piece, m, n = X.shape[1]
    cdef bint streamed = (stop - start) * n * <Py_ssize_t> sizeof(real_t) >= STREAMED
    cdef real_t[SHORT * TILE] logs
    cdef real_t[SHORT * TILE] shares
    cdef Py_ssize_t[TILE] places
    if (
        out.shape[0] != X.shape[0] or out.shape[1] != n or log_out.shape[0] != X.shape[0] or log_out.shape[1] != n
        or largest_out.shape[0] != X.shape[0] or n == 0 or start < 0 or stop > X.shape[0]
    ):
        raise ValueError("input, output and rows do not agree")
    if stop <= start:
        return
    with nogil:
        if n >= SHORT:
            for row in range(start, stop):
                if real_t is double:
                    largest_out[row] = double_ops.softmax_pair(&X[row, 0], n, streamed, &log_out[row, 0], &out[row, 0])
                else:
                    largest_out[row] = float_ops.softmax_pair(&X[row, 0], n, streamed, &log_out[row, 0], &out[row, 0])
        else:
            for piece in range((stop - start + TILE - 1) // TILE):
                row = start + piece * TILE
                m = min(<Py_ssize_t> TILE, stop - row)
                if streamed:  # lines that two tiles share, of which neither writes all
                    PREFETCH(&log_out[row, 0] + m * n)
                    PREFETCH(&out[row, 0] + m * n)
                _turn(&X[row, 0], m, n, TILE, logs)
                if real_t is double:
                    double_columns.softmax_pair_columns(logs, n, TILE, logs, shares, places)
                else:
                    float_columns.softmax_pair_columns(logs, n, TILE, logs, shares, places)
                _turn_back(logs, TILE, m, n, streamed, &log_out[row, 0])
                _turn_back(shares, TILE, m, n, streamed, &out[row, 0])
                memcpy(&largest_out[row], places, m * sizeof(Py_ssize_t))
        if streamed:
            double_ops.settle()


cdef void softmax_rows(
    const real_t* x, Py_ssize_t n_rows, Py_ssize_t n, bint log, bint streamed, real_t* out,
) noexcept nogil:
    """The softmax of rows of n neighbours, or its logarithm; `out` may be x. If it is streamed, settle() at last."""
    cdef Py_ssize_t row, m, width
    cdef real_t[SHORT * TILE] tile
    if n >= (SHORT if log else SHORT_SOFTMAX):
        for row in range(n_rows):
            if real_t is double:
                double_ops.softmax(x + row * n, n, log, streamed, out + row * n)
            else:
                float_ops.softmax(x + row * n, n, log, streamed, out + row * n)
        return
    row = 0
    while row < n_rows:
        m = min(<Py_ssize_t> TILE, n_rows - row)
        if streamed:
            PREFETCH(out + (row + m) * n)  # the line that two tiles share, of which neither writes all
        width = (m + NARROW - 1) // NARROW * NARROW
        _turn(x + row * n, m, n, width, tile)
        if real_t is double:
            double_columns.softmax_columns(tile, n, width, width, log, tile, width)
        else:
            float_columns.softmax_columns(tile, n, width, width, log, tile, width)
        _turn_back(tile, width, m, n, streamed, out + row * n)
        row += m


def softmax(const real_t[:, :, ::1] X, bint log, real_t[:, :, ::1] out, Py_ssize_t start, Py_ssize_t stop):
    """Write pieces [start, stop) of the softmax of X, or its logarithm, to out of the same shape (or X itself)."""
    cdef Py_ssize_t n = X.shape[1], inner = X.shape[2], width, per_row, piece, row, column, m
    cdef bint streamed = (stop - start) * n * <Py_ssize_t> sizeof(real_t) >= STREAMED
    if (
        out.shape[0] != X.shape[0] or out.shape[1] != n or out.shape[2] != inner or n == 0 or start < 0
        or stop > n_items(X.shape[0], n, inner)
    ):
        raise ValueError("input, output and pieces do not agree")
    if stop <= start:
        return
    with nogil:
        if inner == 1:
            softmax_rows(&X[start, 0, 0], stop - start, n, log, streamed, &out[start, 0, 0])
            if streamed:
                double_ops.settle()
        else:
            width = width_of(n, inner, CACHED)
            per_row = (inner + width - 1) // width
            for piece in range(start, stop):
                row, column = piece // per_row, piece % per_row * width
                m = min(width, inner - column)
                if real_t is double:
                    double_columns.softmax_columns(
                        &X[row, 0, column], n, inner, m, log, &out[row, 0, column], inner)
                else:
                    float_columns.softmax_columns(
                        &X[row, 0, column], n, inner, m, log, &out[row, 0, column], inner)


def sum_exp(const real_t[::1] x):
    """Return what part of a long row adds to its sum: the largest value, how many there are, the rest in two parts."""
    cdef exp_sum found
    with nogil:
        if real_t is double:
            found = double_ops.sum_exp(&x[0], x.shape[0])
        else:
            found = float_ops.sum_exp(&x[0], x.shape[0])
    return found.largest, found.count, found.rest, found.low


def shift(const real_t[::1] x, real_t largest, real_t high, real_t low, bint log, real_t[::1] out):
    """Write part of the softmax of a long row, or its logarithm.

    That is exp(x - largest) * (high + low), or x - largest - (high + low).
    """
    if out.shape[0] != x.shape[0]:
        raise ValueError("input and output do not agree in shape")
    with nogil:
        if real_t is double:
            double_ops.shift(&x[0], x.shape[0], largest, high, low, log, &out[0])
        else:
            float_ops.shift(&x[0], x.shape[0], largest, high, low, log, &out[0])
