/* Runs of values that stay in the first cache between two loops over them: the largest, their exponentials, their sums, and a
 * way for results around the caches. Included after elementary.h, whose `real` it shares.
 *
 * Cost: an exponential is 17 (double) or 11 (float) multiplications and additions, with AVX-512 10 or 7 (lanes.h).
 */
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "lanes.h"

#define RUN 256    /* values of a run */
#define STREAM 512 /* values of a result on its way to memory */
#define LINE 64    /* bytes */

/* The largest value; NaN is none. */
static inline real largest_of(const real *x, ptrdiff_t n) {
    real largest = -INFINITY;
#ifdef HAVE_LANES
    lanes none = VECTOR(set1)(-INFINITY), tops = none, others = none;
    ptrdiff_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) { /* two maxima that do not wait for each other */
        tops = VECTOR(max)(VECTOR(loadu)(x + i), tops); /* of a pair with NaN the second */
        others = VECTOR(max)(VECTOR(loadu)(x + i + LANES), others);
    }
    for (; i < n; i += LANES) {
        tops = VECTOR(max)(VECTOR(mask_loadu)(none, first_lanes(n - i), x + i), tops);
    }
    largest = VECTOR(reduce_max)(VECTOR(max)(tops, others));
#else
#pragma omp simd reduction(max : largest)
    for (ptrdiff_t i = 0; i < n; i++) {
        largest = x[i] > largest ? x[i] : largest;
    }
#endif
    return largest;
}

/* out[i] = exp(-|x[i] - shift|) 2^RAISE; returns the sum of a run of them. */
static inline real exp_run(const real *x, real shift, ptrdiff_t n, real *out) {
#ifdef HAVE_LANES
    lanes shifts = VECTOR(set1)(shift), total = VECTOR(setzero)();
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        lanes terms = exp_lanes(VECTOR(sub)(VECTOR(loadu)(x + i), shifts));
        VECTOR(storeu)(out + i, terms);
        total = VECTOR(add)(total, terms);
    }
    if (i < n) {
        unsigned last = first_lanes(n - i);
        lanes terms = exp_lanes(VECTOR(sub)(VECTOR(maskz_loadu)(last, x + i), shifts));
        VECTOR(mask_storeu)(out + i, last, terms);
        total = VECTOR(mask_add)(total, last, total, terms);
    }
    return VECTOR(reduce_add)(total);
#else
    real total = 0;
#pragma omp simd reduction(+ : total)
    for (ptrdiff_t i = 0; i < n; i++) {
        out[i] = exp_raised(minus_size(x[i] - shift));
        total += out[i];
    }
    return total;
#endif
}

/* out[i] + rounded[i] = exp(-|x[i]|) 2^RAISE of a run. */
static inline void exp_parts_run(const real *x, ptrdiff_t n, real *out, real *rounded) {
#ifdef HAVE_LANES
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        lanes low, terms = exp_parts_lanes(load_first(x + i, n - i), &low);
        store_first(out + i, n - i, terms);
        store_first(rounded + i, n - i, low);
    }
#else
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        out[i] = exp_raised_parts(minus_size(x[i]), rounded + i);
    }
#endif
}

/* out[i] = exp(-|x[i] - shift|) 2^RAISE (high + low) of n values, rounded once. */
static inline void exp_times_run(const real *x, real shift, real high, real low, ptrdiff_t n, real *out) {
#ifdef HAVE_LANES
    const lanes shifts = VECTOR(set1)(shift), highs = VECTOR(set1)(high), lows = VECTOR(set1)(low);
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        lanes rounded, e = exp_parts_lanes(VECTOR(sub)(load_first(x + i, n - i), shifts), &rounded);
        lanes beyond = VECTOR(fmadd)(e, lows, VECTOR(mul)(rounded, highs));
        store_first(out + i, n - i, VECTOR(fmadd)(e, highs, beyond));
    }
#else
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        real rounded, e = exp_raised_parts(minus_size(x[i] - shift), &rounded);
        out[i] = fused(e, high, fused(e, low, rounded * high));
    }
#endif
}

/* Sums of numbers between 0 and RAISED, side by side, as many on every processor. A sum begins with RAISED, so that it is
 * never below what is added, and what it rounds off is exactly x - ((sum + x) - sum); that is added up too. */
enum { WIDTH = 2 * LINE / sizeof(real) };
typedef real wide __attribute__((vector_size(2 * LINE), aligned(sizeof(real)), may_alias));
typedef struct {
    real high[WIDTH], low[WIDTH];
} sums;

static inline void begin(sums *all) {
    for (int k = 0; k < WIDTH; k++) {
        all->high[k] = RAISED;
        all->low[k] = 0;
    }
}

static inline void add_run(const real *x, ptrdiff_t n, sums *all) {
    wide high, low;
    memcpy(&high, all->high, sizeof high);
    memcpy(&low, all->low, sizeof low);
    ptrdiff_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        wide here = *(const wide *)(x + i), sum = high + here;
        low += here - (sum - high);
        high = sum;
    }
    memcpy(all->high, &high, sizeof high);
    memcpy(all->low, &low, sizeof low);
    for (ptrdiff_t k = 0; i < n; i++, k++) {
        real sum = all->high[k] + x[i];
        all->low[k] += x[i] - (sum - all->high[k]);
        all->high[k] = sum;
    }
}

/* The sum of all as a sum of two. */
static inline double sum_of(const sums *all, double *low) {
    double parts[WIDTH], lost[WIDTH];
    for (int k = 0; k < WIDTH; k++) {
        parts[k] = all->high[k] - RAISED;
        lost[k] = all->low[k];
    }
    for (int half = WIDTH / 2; half > 0; half /= 2) {
        for (int k = 0; k < half; k++) {
            double a = parts[k], b = parts[k + half], sum = a + b, added = sum - a;
            lost[k] += lost[k + half] + ((a - (sum - added)) + (b - added));
            parts[k] = sum;
        }
    }
    double sum = parts[0] + lost[0];
    *low = lost[0] - (sum - parts[0]);
    return sum;
}

/* Write a result that will have left the caches before anybody reads it, so that memory is not asked for what was there:
 * pieces that end at a LINE, and settle() after the last. */
static inline void stream(const real *x, real *out, ptrdiff_t n) {
#ifdef __SSE2__
    for (; n > 0 && (uintptr_t)out % LINE != 0; n--) {
        *out++ = *x++;
    }
    const ptrdiff_t line = LINE / sizeof(real);
    for (; n >= line; n -= line, x += line, out += line) {
#ifdef __AVX512F__
        _mm512_stream_si512((void *)out, _mm512_loadu_si512(x));
#else
        for (int k = 0; k < LINE / 16; k++) {
            _mm_stream_si128((__m128i *)out + k, _mm_loadu_si128((const __m128i *)x + k));
        }
#endif
    }
#endif
    memcpy(out, x, n * sizeof(real));
}

static inline void settle(void) {
#ifdef __SSE2__
    _mm_sfence();
#endif
}

/* How many values from the first on make pieces of n end at a LINE. */
static inline ptrdiff_t first_piece(const real *out, ptrdiff_t n) {
    return n - (ptrdiff_t)((uintptr_t)out % LINE / sizeof(real));
}

/* Ask for values that the loop after this one reads: what memory does while there is arithmetic costs nothing. */
static inline void fetch(const real *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += LINE / sizeof(real)) {
        __builtin_prefetch(x + i);
    }
}
