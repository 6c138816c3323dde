/* Sums of exponentials, and softmax: the loops of special.h, for one real type and one tier. A multiplication and an addition
 * may become one operation here (these are not sums that have to agree with somebody else's to the bit).
 *
 * Cost: every loop reads its arguments from memory once and writes its result once while a row fits in cache; the next row
 * is asked for while there is arithmetic.
 */
#include "special.h"

#include <float.h>

#include "elementary.h"
#include "runs.h"
#include "squares.h"

#define PIECE 4096 /* values whose maximum is taken together: they stay in the first caches */

/* What is taken off before exp, never an infinity: NaN shows in the exponentials still. */
static inline real taken_off(real largest) { return largest > LARGEST ? LARGEST : largest < -LARGEST ? 0 : largest; }

static exp_sum together(exp_sum a, exp_sum b) {
    if (b.largest > a.largest) {
        exp_sum swapped = a;
        a = b;
        b = swapped;
    }
    double scale = b.largest == a.largest ? 1.0 : b.largest > -INFINITY ? exp(b.largest - a.largest) : 0.0;
    double more = b.rest;
    if (b.largest == a.largest) {
        a.count += b.count;
    } else {
        more = (b.count + b.rest) * scale; /* NaN, if there was one, whatever the scale */
    }
    double sum = a.rest + more, added = sum - a.rest;
    a.low += ((a.rest - (sum - added)) + (more - added)) + b.low * scale;
    a.rest = sum;
    return a;
}

/* Set the terms of the largest values to 0; return how many they are. */
static inline real take_out(const real *x, real largest, ptrdiff_t n, real *terms) {
    real count = 0;
#pragma omp simd reduction(+ : count)
    for (ptrdiff_t i = 0; i < n; i++) {
        terms[i] = x[i] == largest ? 0 : terms[i];
        count += x[i] == largest ? 1 : 0;
    }
    return count;
}

/* The first place of a value that is there, or of NaN, among values `stride` apart. */
static inline ptrdiff_t first_place(const real *x, ptrdiff_t stride, real value) {
    ptrdiff_t i = 0;
    while (!(x[i * stride] == value || (value != value && x[i * stride] != x[i * stride]))) {
        i++;
    }
    return i;
}

static exp_sum sum_exp(const real *x, ptrdiff_t n) {
    exp_sum total = {-INFINITY, 0.0, 0.0, 0.0};
    for (ptrdiff_t start = 0; start < n; start += PIECE) {
        const real *piece = x + start;
        ptrdiff_t m = n - start < PIECE ? n - start : PIECE;
        real tops[PIECE / RUN], largest = -INFINITY;
        for (ptrdiff_t from = 0; from < m; from += RUN) {
            real top = tops[from / RUN] = largest_of(piece + from, m - from < RUN ? m - from : RUN);
            largest = top > largest ? top : largest;
        }
        real shift = taken_off(largest);
        exp_sum found = {largest, 0.0, 0.0, 0.0};
        sums rest;
        begin(&rest);
        for (ptrdiff_t from = 0; from < m; from += RUN) {
            ptrdiff_t size = m - from < RUN ? m - from : RUN;
            real terms[RUN];
            fetch(piece + m + from, size);
            exp_run(piece + from, shift, size, terms);
            if (tops[from / RUN] == largest) {
                found.count += take_out(piece + from, largest, size, terms);
            }
            add_run(terms, size, &rest);
        }
        found.rest = sum_of(&rest, &found.low) / (double)RAISED;
        found.low /= (double)RAISED;
        total = together(total, found);
    }
    return total;
}

/* Take the size of a factor into the range of those that are finite and not 0. */
static inline void widen(real factor, real *least, real *most) {
    real size = factor < 0 ? -factor : factor;
    *least = size > 0 && size < *least ? size : *least;
    *most = size <= LARGEST && size > *most ? size : *most;
}

/* What b exp(x) of an infinite largest x adds up to: an infinity, NaN, or 0. */
static double sum_of_infinite(const real *x, ptrdiff_t stride, const real *b, ptrdiff_t step, ptrdiff_t n, real largest) {
    double sum = 0.0;
    for (ptrdiff_t i = 0; i < n; i++) {
        double factor = b[i * step];
        sum += factor != 0 && x[i * stride] == largest ? factor * exp((double)largest) : 0.0;
    }
    return sum;
}

/* The same of terms b[i * step] exp(x[i]), those with a factor of 0 left out: `count` is the sum of the factors of the
 * largest ones. */
static inline exp_sum sum_exp_with(const real *x, const real *b, const ptrdiff_t step, ptrdiff_t n, double *sizes) {
    real largest = -INFINITY, least = INFINITY, most = 0;
#pragma omp simd reduction(max : largest, most) reduction(min : least)
    for (ptrdiff_t i = 0; i < n; i++) {
        real factor = b[i * step], value = factor != 0 ? x[i] : -INFINITY;
        largest = value > largest ? value : largest;
        widen(factor, &least, &most);
    }
    sizes[0] = least < sizes[0] ? least : sizes[0];
    sizes[1] = most > sizes[1] ? most : sizes[1];
    exp_sum found = {largest, 0.0, 0.0, 0.0};
    real shift = taken_off(largest);
    for (ptrdiff_t from = 0; from < n; from += RUN) {
        ptrdiff_t size = n - from < RUN ? n - from : RUN;
        const real *here = x + from, *factors = b + from * step;
        real rest = 0, count = 0, terms[RUN];
        exp_run(here, shift, size, terms);
#pragma omp simd reduction(+ : rest, count)
        for (ptrdiff_t i = 0; i < size; i++) {
            real factor = factors[i * step];
            int left_out = factor == 0, top = here[i] == largest;
            rest += left_out || top ? 0 : factor * (terms[i] * (1 / RAISED));
            count += left_out || !top ? 0 : factor;
        }
        found.count += count;
        found.rest += rest;
    }
    if (!is_finite(largest)) {
        found.count = sum_of_infinite(x, 1, b, step, n, largest);
    }
    return found;
}

static exp_sum sum_exp_times(const real *x, const real *b, ptrdiff_t step, ptrdiff_t n, double *sizes) {
    return step == 0 ? sum_exp_with(x, b, 0, n, sizes) : sum_exp_with(x, b, 1, n, sizes);
}

/* apart - (shift + low), rounded once; an infinity loses nothing. */
static inline real shifted(real apart, real shift, real low) {
    real found = apart - shift, lost = rounded_off(apart, -shift, found);
    return found + ((lost == lost ? lost : 0) - low);
}

static void shift(const real *x, ptrdiff_t n, real largest, real high, real low, int log, real *out) {
    if (log) {
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++) {
            out[i] = shifted(x[i] - largest, high, low);
        }
    } else {
        exp_times_run(x, largest, high / RAISED, low / RAISED, n, out);
    }
}

/* log(count + rest) as a sum of two. */
static inline real log_total(double count, double rest, real *low) {
    double above = (count - 1.0) + rest;
    real x = (real)above, high = log1p_parts(x, low);
    *low += (real)((rest - (above - (count - 1.0))) + (above - x)) / (1 + x); /* what x lacks */
    return high;
}

/* largest + log(count + rest) */
static inline real log_sum_of(real largest, double count, double rest) {
    real low, high = log_total(count, rest, &low), sum = largest + high;
    real found = sum + (rounded_off(largest, high, sum) + low);
    /* an infinite or missing maximum decides by itself, unless there was NaN */
    return is_finite(largest) ? found : largest + (real)rest;
}

static real log_sum_exp(const real *x, ptrdiff_t n) {
    exp_sum found = sum_exp(x, n);
    return log_sum_of((real)found.largest, found.count, found.rest);
}

/* 1 / (x + x_low) as a sum of two: who multiplies by it rounds once. */
static inline real inverse(double x, double x_low, real *low) {
    double quotient = 1.0 / x;
    real high = (real)quotient;
#ifdef REAL_IS_FLOAT
    *low = (real)((quotient - high) - quotient * quotient * x_low);
#else
    *low = high * (remainder_of(1, high, x) - high * x_low);
#endif
    return high;
}

static void softmax(const real *x, ptrdiff_t n, int log, int streamed, real *out) {
    _Alignas(LINE) real buffer[PIECE];
    if (log) {
        exp_sum found = sum_exp(x, n);
        int finite = is_finite((real)found.largest);
        real base = finite ? (real)found.largest : 0, low = 0;
        real high = finite ? log_total(found.count, found.rest, &low) : (real)(found.largest + found.rest);
        if (!streamed) {
            shift(x, n, base, high, low, 1, out);
            return;
        }
        ptrdiff_t m = first_piece(out, STREAM) < n ? first_piece(out, STREAM) : n;
        for (ptrdiff_t at = 0; at < n; at += m, m = n - at < STREAM ? n - at : STREAM) {
            shift(x + at, m, base, high, low, 1, buffer);
            stream(buffer, out + at, m);
        }
        return;
    }
    real largest = largest_of(x, n);
    if (n <= PIECE) {
        real *terms = streamed ? buffer : out;
        sums parts;
        begin(&parts);
        for (ptrdiff_t from = 0; from < n; from += RUN) {
            ptrdiff_t size = n - from < RUN ? n - from : RUN;
            fetch(x + n + from, size);
            exp_run(x + from, largest, size, terms + from);
            add_run(terms + from, size, &parts);
        }
        double total_low, total = sum_of(&parts, &total_low);
        real low, factor = inverse(is_finite(largest) ? total : NAN, total_low, &low);
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++) {
            terms[i] = fused(terms[i], factor, terms[i] * low);
        }
        if (streamed) {
            stream(terms, out, n);
        }
        return;
    }
    exp_sum found = sum_exp(x, n);
    double total = is_finite(largest) ? found.count + found.rest : NAN;
    real low, high = inverse(total, (found.rest - (total - found.count)) + found.low, &low);
    shift(x, n, largest, high, low, 0, out);
}

/* Both softmax and its logarithm; return the place of the largest value. */
static ptrdiff_t softmax_pair(const real *x, ptrdiff_t n, int streamed, real *log_out, real *out) {
    _Alignas(LINE) real buffer[PIECE];
    int is_buffered = streamed && n <= PIECE;
    real *all = is_buffered ? buffer : out, largest = -INFINITY;
    ptrdiff_t first = 0; /* run that holds the largest value */
    for (ptrdiff_t from = 0; from < n; from += RUN) {
        real top = largest_of(x + from, n - from < RUN ? n - from : RUN);
        first = top > largest ? from : first;
        largest = top > largest ? top : largest;
    }
    real shifted = taken_off(largest);
    double count = 0.0;
    sums parts;
    begin(&parts);
    __builtin_prefetch(out + n, 1); /* lines that are shared with the next row, which cannot be streamed */
    __builtin_prefetch(log_out + n, 1);
    for (ptrdiff_t from = 0; from < n; from += RUN) {
        ptrdiff_t size = n - from < RUN ? n - from : RUN;
        real others[RUN], *terms = all + from;
        fetch(x + n + from, size);
        exp_run(x + from, shifted, size, terms);
        if (from >= first && largest_of(x + from, size) == largest) {
            memcpy(others, terms, size * sizeof(real));
            count += take_out(x + from, largest, size, others);
            terms = others;
        }
        add_run(terms, size, &parts);
    }
    double rest_low, rest = sum_of(&parts, &rest_low) / (double)RAISED, total = count + rest;
    rest_low /= (double)RAISED;
    int finite = is_finite(largest);
    real low, factor = inverse(finite ? total : NAN, (rest - (total - count)) + rest_low, &low) / RAISED;
    low /= RAISED;
    real log_low = 0, log_high = finite ? log_total(count, rest, &log_low) : largest + (real)rest;
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        all[i] = fused(all[i], factor, all[i] * low);
    }
    if (is_buffered) {
        stream(buffer, out, n);
        shift(x, n, finite ? largest : 0, log_high, log_low, 1, buffer);
        stream(buffer, log_out, n);
    } else {
        shift(x, n, finite ? largest : 0, log_high, log_low, 1, log_out);
    }
    return rest == rest ? first + first_place(x + first, 1, largest) : first_place(x, 1, (real)NAN);
}

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

/* The maximum, the count of it and the rest of each of at most COLUMNS columns; the exponentials go to `kept`, of the
 * same shape as x, unless that is NULL. What additions round off is added up too: it costs little next to an exponential,
 * and rows of a few values have no lanes that share the rounding. */
static void sum_exp_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, real *restrict largest,
                            double *restrict count, double *restrict rest, real *kept) {
    real some_count[COLUMNS], some_rest[COLUMNS], lost[COLUMNS], passing[COLUMNS], shift[COLUMNS];
    largest_of_columns(x, n, stride, n_columns, largest);
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        shift[k] = taken_off(largest[k]);
        count[k] = rest[k] = 0.0;
    }
    for (ptrdiff_t from = 0; from < n; from += RUN) {
        ptrdiff_t stop = n - from < RUN ? n : from + RUN;
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            some_count[k] = lost[k] = 0;
            some_rest[k] = RAISED; /* as in add_run() */
        }
        for (ptrdiff_t i = from; i < stop; i++) {
            const real *row = x + i * stride;
            real *terms = kept == NULL ? passing : kept + i * stride;
#pragma omp simd
            for (ptrdiff_t k = 0; k < n_columns; k++) {
                terms[k] = row[k] - shift[k];
            }
            exp_run(terms, 0, n_columns, terms);
#pragma omp simd
            for (ptrdiff_t k = 0; k < n_columns; k++) {
                real term = row[k] == largest[k] ? 0 : terms[k], before = some_rest[k];
                some_rest[k] = before + term;
                lost[k] += term - (some_rest[k] - before);
                some_count[k] += row[k] == largest[k] ? 1 : 0;
            }
        }
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            count[k] += some_count[k];
            rest[k] += ((double)(some_rest[k] - RAISED) + lost[k]) / (double)RAISED;
        }
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
#pragma omp simd
            for (ptrdiff_t k = 0; k < n_columns; k++) {
                terms[k] = row[k] - shift[k];
            }
            exp_run(terms, 0, n_columns, terms);
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
    sum_exp_columns(x, n, stride, n_columns, largest, count, rest, NULL);
#pragma omp simd
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        out[k] = log_sum_of(largest[k], count[k], rest[k]);
    }
}

/* The logarithm of the softmax, from what sum_exp_columns() has found; x may be `out`. */
static void log_of_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, const real *largest,
                           const double *count, const double *rest, real *out, ptrdiff_t out_stride) {
    real base[COLUMNS], shift[COLUMNS], low[COLUMNS];
#pragma omp simd
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        int finite = is_finite(largest[k]);
        real some_low, high = log_total(count[k], rest[k], &some_low);
        shift[k] = finite ? high : largest[k] + (real)rest[k];
        low[k] = finite ? some_low : 0;
        base[k] = finite ? largest[k] : 0;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const real *row = x + i * stride;
        real *to = out + i * out_stride;
#pragma omp simd
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            to[k] = shifted(row[k] - base[k], shift[k], low[k]);
        }
    }
}

static void log_softmax_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, real *out,
                                ptrdiff_t out_stride) {
    real largest[COLUMNS];
    double count[COLUMNS], rest[COLUMNS];
    sum_exp_columns(x, n, stride, n_columns, largest, count, rest, NULL);
    log_of_columns(x, n, stride, n_columns, largest, count, rest, out, out_stride);
}

/* Both, and the place of the largest value, of columns with nothing between them; log_out may be x. */
static void softmax_pair_columns(const real *x, ptrdiff_t n, ptrdiff_t n_columns, real *log_out, real *out,
                                 ptrdiff_t *places) {
    real largest[COLUMNS], place[COLUMNS], factor[COLUMNS], low[COLUMNS];
    double count[COLUMNS], rest[COLUMNS];
    sum_exp_columns(x, n, n_columns, n_columns, largest, count, rest, out);
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
#pragma omp simd
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            to[k] = row[k] - largest[k];
        }
        exp_run(to, 0, n_columns, to);
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

#ifdef REAL_IS_FLOAT
const reductions_float_ops TIER_NAME(reductions_float) = {
#else
const reductions_double_ops TIER_NAME(reductions_double) = {
#endif
    sum_exp, sum_exp_times, together, sum_exp_times_columns, log_sum_exp, turn, softmax, stream, settle, softmax_pair, shift, log_sum_exp_columns,
    softmax_columns, softmax_pair_columns};
