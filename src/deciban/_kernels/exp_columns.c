/* Sums of exponentials, and softmax, of columns side by side: the loops of special.h, for one real type and one tier. A
 * multiplication and an addition may become one operation here.
 *
 * Cost: columns are read twice, for their maxima and for the rest, the second time from cache if they stay there. Of taller
 * ones blocks of rows are added up, together() makes one sum of what is known of each, and shift_columns() reads them once
 * more. It makes exponentials anew: to keep those of the sums took 3 to 30 % longer with AVX-512 (Zen 5, 80 MB), where
 * memory is what costs, and a third less with AVX2.
 */
#include "special.h"

#include <float.h>

#include "elementary.h"
#include "exponentials.h"
#include "runs.h"
#include "squares.h"

static void largest_of_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns,
                               real *restrict largest) {
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        largest[k] = -INFINITY;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const real *row = x + i * stride;
#pragma omp simd
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            largest[k] = row[k] > largest[k] ? row[k] : largest[k];
        }
    }
}

/* out[k] = exp(-|x[k] - shifts[k]|) 2^RAISE */
static inline void exp_apart_run(const real *x, const real *shifts, ptrdiff_t n, real *out) {
#ifdef HAVE_LANES
    for (ptrdiff_t k = 0; k < n; k += LANES) {
        lanes apart = VECTOR(sub)(load_first(x + k, n - k), load_first(shifts + k, n - k));
        store_first(out + k, n - k, exp_lanes(apart));
    }
#else
#pragma omp simd
    for (ptrdiff_t k = 0; k < n; k++) {
        out[k] = exp_raised(minus_size(x[k] - shifts[k]));
    }
#endif
}

/* Add the terms of some rows, `step` apart, to sums that begin with RAISED (as in add_run()), and what that rounds off;
 * those of the largest values are counted instead. */
static inline void add_rows(const real *x, ptrdiff_t stride, const real *terms, ptrdiff_t step, const int n_rows,
                            ptrdiff_t n_columns, const real *restrict largest, real *restrict sums, real *restrict lost,
                            real *restrict count) {
#pragma omp simd
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        real sum = sums[k], low = lost[k], found = count[k];
        for (int row = 0; row < n_rows; row++) {
            int top = x[row * stride + k] == largest[k];
            real term = top ? 0 : terms[row * step + k], before = sum;
            sum = before + term;
            low += term - (sum - before);
            found += top ? 1 : 0;
        }
        sums[k] = sum, lost[k] = low, count[k] = found;
    }
}

/* The maximum, the count of it and the rest of each of at most COLUMNS columns; the exponentials go to `kept`, of the
 * same shape as x, unless that is NULL. What additions round off is added up too: it costs little next to an exponential,
 * and rows of a few values have no lanes that share the rounding. If it goes on, the next n rows are asked for. */
static void sum_exp_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, real *restrict largest,
                            double *restrict count, double *restrict rest, real *kept, int goes_on) {
    enum { ROWS = 4 }; /* at a time */
    real some_count[COLUMNS], some_rest[COLUMNS], lost[COLUMNS], passing[ROWS * COLUMNS], shift[COLUMNS];
    largest_of_columns(x, n, stride, n_columns, largest);
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        shift[k] = taken_off(largest[k]);
        count[k] = rest[k] = 0.0;
    }
    for (ptrdiff_t from = 0; from < n; from += RUN) {
        ptrdiff_t stop = n - from < RUN ? n : from + RUN;
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            some_count[k] = lost[k] = 0;
            some_rest[k] = RAISED;
        }
        for (ptrdiff_t i = from, m; i < stop; i += m) {
            const real *rows = x + i * stride;
            real *terms = kept == NULL ? passing : kept + i * stride;
            ptrdiff_t step = kept == NULL ? n_columns : stride;
            m = stop - i < ROWS ? 1 : ROWS;
            for (ptrdiff_t row = 0; row < m; row++) {
                if (goes_on) {
                    fetch(rows + (n + row) * stride, n_columns);
                }
                exp_apart_run(rows + row * stride, shift, n_columns, terms + row * step);
            }
            if (m == ROWS) {
                add_rows(rows, stride, terms, step, ROWS, n_columns, largest, some_rest, lost, some_count);
            } else {
                add_rows(rows, stride, terms, step, 1, n_columns, largest, some_rest, lost, some_count);
            }
        }
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            count[k] += some_count[k];
            rest[k] += ((double)(some_rest[k] - RAISED) + lost[k]) / (double)RAISED;
        }
    }
}

static void sum_exp_block(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, double *largest, double *count,
                          double *rest) {
    real tops[COLUMNS];
    sum_exp_columns(x, n, stride, n_columns, tops, count, rest, NULL, 1);
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        largest[k] = tops[k];
    }
}

/* The same of terms b exp(x), whose factors are `b_stride` apart along a column and `step` from column to column. They
 * are added a few at a time, and those sums with what additions round off. */
static inline void sum_exp_columns_with(const real *x, ptrdiff_t n, ptrdiff_t stride, const real *b, ptrdiff_t b_stride,
                                        const ptrdiff_t step, ptrdiff_t n_columns, double *restrict tops,
                                        double *restrict count, double *restrict rest, double *sizes) {
    enum { FEW = 16 };
    real largest[COLUMNS], shift[COLUMNS], some_count[COLUMNS], some_rest[COLUMNS], terms[COLUMNS];
    double lost[COLUMNS];
    real least[COLUMNS], most[COLUMNS];
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        largest[k] = -INFINITY;
        least[k] = INFINITY;
        most[k] = 0;
        count[k] = rest[k] = lost[k] = 0.0;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const real *row = x + i * stride, *factors = b + i * b_stride;
#pragma omp simd
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            real factor = factors[k * step], value = factor != 0 ? row[k] : -INFINITY;
            largest[k] = value > largest[k] ? value : largest[k];
            widen(factor, least + k, most + k);
        }
    }
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        sizes[0] = least[k] < sizes[0] ? least[k] : sizes[0];
        sizes[1] = most[k] > sizes[1] ? most[k] : sizes[1];
        tops[k] = largest[k];
        shift[k] = taken_off(largest[k]);
    }
    for (ptrdiff_t from = 0; from < n; from += FEW) {
        ptrdiff_t stop = n - from < FEW ? n : from + FEW;
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            some_count[k] = some_rest[k] = 0;
        }
        for (ptrdiff_t i = from; i < stop; i++) {
            const real *row = x + i * stride, *factors = b + i * b_stride;
            exp_apart_run(row, shift, n_columns, terms);
#pragma omp simd
            for (ptrdiff_t k = 0; k < n_columns; k++) {
                real factor = factors[k * step];
                int left_out = factor == 0, top = row[k] == largest[k];
                some_rest[k] += left_out || top ? 0 : factor * (terms[k] * (1 / RAISED));
                some_count[k] += left_out || !top ? 0 : factor;
            }
        }
#pragma omp simd
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            double some = some_rest[k], sum = rest[k] + some, added = sum - rest[k];
            lost[k] += (rest[k] - (sum - added)) + (some - added);
            rest[k] = sum;
            count[k] += some_count[k];
        }
    }
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        rest[k] += lost[k] == lost[k] ? lost[k] : 0.0; /* infinities lose nothing */
        if (!is_finite(largest[k])) {
            count[k] = sum_of_infinite(x + k, stride, b + k * step, b_stride, n, largest[k]);
        }
    }
}

static void sum_exp_times_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, const real *b, ptrdiff_t b_stride,
                                  ptrdiff_t step, ptrdiff_t n_columns, double *largest, double *count, double *rest,
                                  double *sizes) {
    if (step == 0) {
        sum_exp_columns_with(x, n, stride, b, b_stride, 0, n_columns, largest, count, rest, sizes);
    } else {
        sum_exp_columns_with(x, n, stride, b, b_stride, 1, n_columns, largest, count, rest, sizes);
    }
}

static void log_sum_exp_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, real *out) {
    real largest[COLUMNS];
    double count[COLUMNS], rest[COLUMNS];
    sum_exp_columns(x, n, stride, n_columns, largest, count, rest, NULL, 0);
#pragma omp simd
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        out[k] = log_sum_of(largest[k], count[k], rest[k]);
    }
}

/* What the logarithm of the softmax takes off: the largest value first, then a sum of two. */
static inline void parts_of_log(real largest, double count, double rest, real *base, real *high, real *low) {
    int finite = is_finite(largest);
    real some_low, some_high = log_total(count, rest, &some_low);
    *base = finite ? largest : 0;
    *high = finite ? some_high : largest + (real)rest;
    *low = finite ? some_low : 0;
}

static inline void log_run(const real *x, const real *base, const real *high, const real *low, ptrdiff_t n, real *out) {
#pragma omp simd
    for (ptrdiff_t k = 0; k < n; k++) {
        out[k] = shifted(x[k] - base[k], high[k], low[k]);
    }
}

/* The logarithm of the softmax, from what sum_exp_columns() has found; x may be `out`. */
static void log_of_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, const real *largest,
                           const double *count, const double *rest, real *out, ptrdiff_t out_stride) {
    real base[COLUMNS], high[COLUMNS], low[COLUMNS];
#pragma omp simd
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        parts_of_log(largest[k], count[k], rest[k], base + k, high + k, low + k);
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        log_run(x + i * stride, base, high, low, n_columns, out + i * out_stride);
    }
}

static void log_softmax_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, real *out,
                                ptrdiff_t out_stride) {
    real largest[COLUMNS];
    double count[COLUMNS], rest[COLUMNS];
    sum_exp_columns(x, n, stride, n_columns, largest, count, rest, NULL, 0);
    log_of_columns(x, n, stride, n_columns, largest, count, rest, out, out_stride);
}

/* Both, and the place of the largest value, of columns with nothing between them; log_out may be x. */
static void softmax_pair_columns(const real *x, ptrdiff_t n, ptrdiff_t n_columns, real *log_out, real *out,
                                 ptrdiff_t *places) {
    real largest[COLUMNS], place[COLUMNS], factor[COLUMNS], low[COLUMNS];
    double count[COLUMNS], rest[COLUMNS];
    sum_exp_columns(x, n, n_columns, n_columns, largest, count, rest, out, 0);
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        place[k] = 0;
    }
    for (ptrdiff_t i = n - 1; i >= 0; i--) {
        const real *row = x + i * n_columns;
#pragma omp simd
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            place[k] = row[k] == largest[k] ? (real)i : place[k];
        }
    }
#pragma omp simd
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        double total = count[k] + rest[k];
        real some_low, high = inverse(total, rest[k] - (total - count[k]), &some_low);
        factor[k] = is_finite(largest[k]) ? high / RAISED : (real)NAN;
        low[k] = some_low / RAISED;
    }
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        places[k] = rest[k] == rest[k] ? (ptrdiff_t)place[k] : first_place(x + k, n_columns, (real)NAN);
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        real *to = out + i * n_columns;
#pragma omp simd
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            to[k] = fused(to[k], factor[k], to[k] * low[k]);
        }
    }
    log_of_columns(x, n, n_columns, n_columns, largest, count, rest, log_out, n_columns);
}

static void softmax_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, int log, real *out,
                            ptrdiff_t out_stride) {
    if (log) {
        log_softmax_columns(x, n, stride, n_columns, out, out_stride);
        return;
    }
    real largest[COLUMNS], total[COLUMNS], lost[COLUMNS];
    largest_of_columns(x, n, stride, n_columns, largest);
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        total[k] = RAISED; /* as in add_run() */
        lost[k] = 0;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const real *row = x + i * stride;
        real *to = out + i * out_stride;
        exp_apart_run(row, largest, n_columns, to);
#pragma omp simd
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            real sum = total[k] + to[k];
            lost[k] += to[k] - (sum - total[k]);
            total[k] = sum;
        }
    }
#pragma omp simd
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        real some_low, high = inverse(total[k] - RAISED, lost[k], &some_low);
        total[k] = is_finite(largest[k]) ? high : (real)NAN;
        lost[k] = some_low;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        real *to = out + i * out_stride;
#pragma omp simd
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            to[k] = fused(to[k], total[k], to[k] * lost[k]);
        }
    }
}

/* --- columns that do not stay in cache --- */

static void together_columns(double *sums, ptrdiff_t stride, const double *more, ptrdiff_t more_stride, ptrdiff_t n) {
#pragma omp simd
    for (ptrdiff_t k = 0; k < n; k++) {
        double *to = sums + k;
        const double *from = more + k;
        exp_sum a = {to[0], to[stride], to[2 * stride], to[3 * stride]};
        exp_sum b = {from[0], from[more_stride], from[2 * more_stride], from[3 * more_stride]};
        a = together(a, b);
        to[0] = a.largest, to[stride] = a.count, to[2 * stride] = a.rest, to[3 * stride] = a.low;
    }
}

static void log_sums(const double *sums, ptrdiff_t stride, ptrdiff_t n, real *out) {
#pragma omp simd
    for (ptrdiff_t k = 0; k < n; k++) {
        out[k] = log_sum_of((real)sums[k], sums[k + stride], sums[k + 2 * stride] + sums[k + 3 * stride]);
    }
}

static void shifts(const double *sums, ptrdiff_t stride, ptrdiff_t n, int log, real *base, real *high, real *low) {
#pragma omp simd
    for (ptrdiff_t k = 0; k < n; k++) {
        double count = sums[k + stride], rest = sums[k + 2 * stride], rest_low = sums[k + 3 * stride];
        real largest = (real)sums[k];
        if (log) {
            parts_of_log(largest, count, rest + rest_low, base + k, high + k, low + k);
        } else {
            double total = count + rest;
            real some_low, factor = inverse(total, (rest - (total - count)) + rest_low, &some_low);
            int finite = is_finite(largest);
            base[k] = finite ? largest : 0;
            high[k] = finite ? factor / RAISED : (real)NAN;
            low[k] = some_low / RAISED;
        }
    }
}

/* out[k] = exp(x[k] - base[k]) (high[k] + low[k]), where exp() is raised; rounded once. */
static inline void exp_times_columns(const real *x, const real *base, const real *high, const real *low, ptrdiff_t n,
                                     real *out) {
#ifdef HAVE_LANES
    for (ptrdiff_t k = 0; k < n; k += LANES) {
        ptrdiff_t left = n - k;
        lanes rounded, e = exp_parts_lanes(VECTOR(sub)(load_first(x + k, left), load_first(base + k, left)), &rounded);
        lanes highs = load_first(high + k, left);
        lanes beyond = VECTOR(fmadd)(e, load_first(low + k, left), VECTOR(mul)(rounded, highs));
        store_first(out + k, left, VECTOR(fmadd)(e, highs, beyond));
    }
#else
#pragma omp simd
    for (ptrdiff_t k = 0; k < n; k++) {
        real rounded, e = exp_raised_parts(minus_size(x[k] - base[k]), &rounded);
        out[k] = fused(e, high[k], fused(e, low[k], rounded * high[k]));
    }
#endif
}

static void shift_columns(const real *x, ptrdiff_t size, ptrdiff_t n_columns, const real *base, const real *high,
                          const real *low, int log, int streamed, real *out) {
    _Alignas(LINE) real piece[STREAM];
    ptrdiff_t m = streamed ? first_piece(out, STREAM) : STREAM, column = 0;
    for (ptrdiff_t at = 0; at < size; at += m, m = STREAM) {
        m = size - at < m ? size - at : m;
        real *to = streamed ? piece : out + at;
        for (ptrdiff_t i = 0, run; i < m; i += run) {
            run = m - i < n_columns - column ? m - i : n_columns - column;
            if (log) {
                log_run(x + at + i, base + column, high + column, low + column, run, to + i);
            } else {
                exp_times_columns(x + at + i, base + column, high + column, low + column, run, to + i);
            }
            column = column + run == n_columns ? 0 : column + run;
        }
        if (streamed) {
            stream(piece, out + at, m);
        }
    }
}

#ifdef REAL_IS_FLOAT
const exp_columns_float_ops TIER_NAME(exp_columns_float) = {
#else
const exp_columns_double_ops TIER_NAME(exp_columns_double) = {
#endif
    log_sum_exp_columns, softmax_columns, softmax_pair_columns, sum_exp_block, sum_exp_times_columns, together_columns,
    log_sums, shifts, shift_columns};
