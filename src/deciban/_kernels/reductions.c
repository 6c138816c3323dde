/* Sums of exponentials, and softmax, of rows: the loops of special.h, for one real type and one tier. A multiplication and an addition
 * may become one operation here (these are not sums that have to agree with somebody else's to the bit).
 *
 * Cost: every loop reads its arguments from memory once and writes its result once while a row fits in cache; the next row
 * is asked for while there is arithmetic.
 */
#include "special.h"

#include <float.h>

#include "elementary.h"
#include "exponentials.h"
#include "runs.h"
#include "squares.h"

#define PIECE 4096 /* values whose maximum is taken together: they stay in the first caches */

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

static real log_sum_exp(const real *x, ptrdiff_t n) {
    exp_sum found = sum_exp(x, n);
    return log_sum_of((real)found.largest, found.count, found.rest);
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

#ifdef REAL_IS_FLOAT
const reductions_float_ops TIER_NAME(reductions_float) = {
#else
const reductions_double_ops TIER_NAME(reductions_double) = {
#endif
    sum_exp, sum_exp_times, log_sum_exp, turn, softmax, stream, settle, softmax_pair, shift};
