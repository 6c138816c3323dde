/* The loops of special.h, for one real type and one tier. A multiplication and an addition may become one operation here
 * (these are not sums that have to agree with somebody else's to the bit).
 *
 * Cost: an exponential is 17 (double) or 11 (float) multiplications and additions, a logarithm about as many and a
 * division. Eight doubles or sixteen floats at a time that is 1-2 ns an element, near what memory delivers: every loop
 * reads its arguments once and writes its result once while a row fits in cache.
 */
#include "special.h"

#include <float.h>

#include "elementary.h"

#define PIECE 4096 /* values whose maximum is taken together: they stay in the first caches */
#define RUN 256    /* values that one running sum takes, before it is added to the sum of sums */

/* a b + c, rounded once where the processor can. */
static inline real fused(real a, real b, real c) {
#if defined(REAL_IS_FLOAT) && defined(FP_FAST_FMAF)
    return fmaf(a, b, c);
#elif !defined(REAL_IS_FLOAT) && defined(FP_FAST_FMA)
    return fma(a, b, c);
#else
    return a * b + c;
#endif
}

/* What the sum of a and b lacks, exactly (Knuth's two-sum). */
static inline real rounded_off(real a, real b, real sum) {
    real added = sum - a;
    return (a - (sum - added)) + (b - added);
}

static inline int is_finite(real x) { return x >= -LARGEST && x <= LARGEST; }

static inline real expit_point(real x) {
    real e = exp_raised(minus_size(x));
    return (x < 0 ? e : RAISED) / (RAISED + e);
}

/* min(x, 0) - log(1 + e), e = exp(-|x|); log(1 + e) = e - s (e - rest), s = e / (2 + e) up to 1/3. */
static inline real log_expit_point(real x) {
    real e = exp_raised(minus_size(x)) * (1 / RAISED);
    real s = e / (2 + e);
    return (x < 0 ? x : 0) - (e - s * (e - atanh_rest_wide(s)));
}

/* log(p / (1 - p)): near 1/2 it is 2 atanh(2 p - 1), whose argument is exact. */
static inline real logit_point(real p) {
    real k, low, rest = 1 - p, rounded, s = log_parts(p, rest, &k, &rounded);
    int near_half = p > (real)0.4143 && p < (real)0.5857;
    s = near_half ? 2 * p - 1 : s;
    real high = log_whole(s, atanh_rest(s), near_half ? 0 : k, &low);
    /* log(rest) lacks what 1 - p rounds off */
    real found = high + (near_half ? low : low + (2 * rounded - ((1 - rest) - p) / rest));
    found = p == 0 ? -INFINITY : p == 1 ? INFINITY : found;
    return p >= 0 && p <= 1 ? found : NAN;
}

#ifdef REAL_IS_FLOAT
/* x log(x / y) and the like of float numbers: computed in double, as SciPy does, and rounded once. Both are positive and
 * finite, so that as double they are normal, and nothing overflows. As ratio_parts() and atanh_rest_brief(), with a
 * polynomial that suffices for 1e-10. */
static inline double wide_parts(double x, double y, double *k, double *rest) {
    const uint64_t one = (uint64_t)1 << 52;
    uint64_t x_bits, y_bits, k_bits;
    memcpy(&x_bits, &x, sizeof x);
    memcpy(&y_bits, &y, sizeof y);
    uint64_t apart = x_bits - y_bits + (2048 * one + one / 2);
    k_bits = apart >> 52 | (uint64_t)(1023 + 52) << 52;
    memcpy(k, &k_bits, sizeof *k);
    *k -= 0x1p52 + 2048;
    y_bits += (apart & ~(one - 1)) - 2048 * one;
    memcpy(&y, &y_bits, sizeof y);
    double s = (x - y) / (x + y), z = s * s;
    double p = 0x1.e68265901a83cp-3;
    p = p * z + 0x1.242bd4653fb6ep-2;
    p = p * z + 0x1.999a6db2c797cp-2;
    p = p * z + 0x1.55555533310a6p-1;
    *rest = p * z;
    return s;
}

static inline real rel_entr_usual(real x, real y) {
    double k, rest, s = wide_parts(x, y, &k, &rest);
    return (real)(x * (k * 0x1.62e42fefa39efp-1 + s * (2 + rest)));
}

/* Where k is 0 the terms cancel, and what is left is (x - y) (atanh(s) - s + s atanh(s)) / s. */
static inline real kl_div_usual(real x, real y) {
    double k, rest, s = wide_parts(x, y, &k, &rest), difference = (double)y - x;
    double far = difference + x * (k * 0x1.62e42fefa39efp-1 + s * (2 + rest));
    return (real)(k == 0 ? -difference * (s + 0.5 * rest * (1 + s)) : far);
}

static inline real entr_usual(real x) { return -rel_entr_usual(x, 1); }
#else
static inline real entr_usual(real x) {
    real low, high = log_usual(x, &low);
    return -fused(x, high, x * low);
}

static inline real rel_entr_usual(real x, real y) {
    real k, rounded, low, s = log_parts(x, y, &k, &rounded), high = log_whole(s, atanh_rest(s), k, &low);
    return fused(x, high, x * low);
}

/* x log(x / y) - x + y; for k = 0, where the terms cancel, that is (x - y) (atanh(s) - s + s atanh(s)) / s, where nothing
 * does and x - y is exact. Where they cancel in part, every digit of the logarithm counts. */
static inline real kl_div_usual(real x, real y) {
    real k, rounded, low, s = log_parts(x, y, &k, &rounded), rest = atanh_rest(s), high = log_whole(s, rest, k, &low);
    real near = (x - y) * (s + (real)0.5 * rest * (1 + s));
    real difference = y - x, lost = rounded_off(y, -x, difference);
    return k == 0 ? near : fused(x, high, difference) + (x * (low + 2 * rounded) + lost);
}
#endif

static inline real entr_point(real x) {
    real found = entr_usual(x);
    found = x > 0 ? found : x == 0 ? 0 : -INFINITY;
    return x <= LARGEST ? found : -x; /* infinity, NaN */
}

static inline real xlogy_point(real x, real y) {
    real low, high = log_usual(y, &low);
    high = y > 0 ? high : y == 0 ? -INFINITY : NAN;
    high = y <= LARGEST ? high : y;
    real found = fused(x, high, x * low);
    found = found == found ? found : x * high; /* x is infinite, or NaN */
    return x == 0 && y == y ? 0 : found;
}

/* What remains of both: zeros, negative numbers, infinities, NaN. `zero` is the value at x = 0, `far` at y = infinity. */
static inline real unusual_rel_entr(real x, real y, real zero, real far) {
    if (x != x || y != y) {
        return x + y;
    }
    if (x == 0 && y >= 0) {
        return zero;
    }
    if (x > 0 && y > LARGEST) {
        return x > LARGEST ? (real)NAN : far;
    }
    return INFINITY;
}

static inline int both_usual(real x, real y) { return x > 0 && y > 0 && x <= LARGEST && y <= LARGEST; }

#define MAP_1(name)                                                       \
    static void name(const real *x, real *out, ptrdiff_t n) {             \
        _Pragma("omp simd") for (ptrdiff_t i = 0; i < n; i++) {           \
            out[i] = name##_point(x[i]);                                  \
        }                                                                 \
    }
MAP_1(expit)
MAP_1(log_expit)
MAP_1(logit)
MAP_1(entr)

static void xlogy(const real *x, const real *y, real *out, ptrdiff_t n) {
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        out[i] = xlogy_point(x[i], y[i]);
    }
}

#define MAP_2(name, zero, far)                                                                  \
    static void name(const real *x, const real *y, real *out, ptrdiff_t n) {                    \
        bits unusual = 0;                                                                       \
        real kept_x[64], kept_y[64]; /* out may be x or y */                                    \
        for (ptrdiff_t start = 0; start < n; start += 64) {                                     \
            ptrdiff_t m = n - start < 64 ? n - start : 64;                                      \
            memcpy(kept_x, x + start, m * sizeof(real));                                        \
            memcpy(kept_y, y + start, m * sizeof(real));                                        \
            unusual = 0;                                                                        \
            _Pragma("omp simd reduction(| : unusual)") for (ptrdiff_t i = 0; i < m; i++) {      \
                unusual |= both_usual(kept_x[i], kept_y[i]) ? 0 : 1;                            \
                out[start + i] = name##_usual(kept_x[i], kept_y[i]);                            \
            }                                                                                   \
            for (ptrdiff_t i = 0; unusual && i < m; i++) {                                      \
                if (!both_usual(kept_x[i], kept_y[i])) {                                        \
                    out[start + i] = unusual_rel_entr(kept_x[i], kept_y[i], zero, far);         \
                }                                                                               \
            }                                                                                   \
        }                                                                                       \
    }
MAP_2(rel_entr, 0, -INFINITY)
MAP_2(kl_div, kept_y[i], INFINITY)

/* --- sums of exponentials ---------------------------------------------------------------------------------------- */

static real largest_of(const real *x, ptrdiff_t n) {
    real largest = -INFINITY;
#pragma omp simd reduction(max : largest)
    for (ptrdiff_t i = 0; i < n; i++) {
        largest = x[i] > largest ? x[i] : largest;
    }
    return largest;
}

/* What is taken off before exp, never an infinity: NaN shows in the exponentials still. */
static inline real taken_off(real largest) { return largest > LARGEST ? LARGEST : largest < -LARGEST ? 0 : largest; }

static inline exp_sum together(exp_sum a, exp_sum b) {
    if (b.largest > a.largest) {
        exp_sum swapped = a;
        a = b;
        b = swapped;
    }
    if (b.largest == a.largest) {
        a.count += b.count;
        a.rest += b.rest;
    } else if (b.rest != b.rest) {
        a.rest = b.rest;
    } else if (b.largest > -INFINITY) {
        a.rest += (b.count + b.rest) * exp(b.largest - a.largest);
    }
    return a;
}

static exp_sum sum_exp(const real *x, ptrdiff_t n) {
    exp_sum total = {-INFINITY, 0.0, 0.0};
    for (ptrdiff_t start = 0; start < n; start += PIECE) {
        const real *piece = x + start;
        ptrdiff_t m = n - start < PIECE ? n - start : PIECE;
        real largest = largest_of(piece, m), shift = taken_off(largest);
        exp_sum found = {largest, 0.0, 0.0};
        for (ptrdiff_t from = 0; from < m; from += RUN) {
            ptrdiff_t stop = m - from < RUN ? m : from + RUN;
            real rest = 0, count = 0;
#pragma omp simd reduction(+ : rest, count)
            for (ptrdiff_t i = from; i < stop; i++) {
                real term = exp_raised(piece[i] - shift);
                rest += piece[i] == largest ? 0 : term;
                count += piece[i] == largest ? 1 : 0;
            }
            found.count += count;
            found.rest += rest / (double)RAISED;
        }
        total = together(total, found);
    }
    return total;
}

/* The same of terms b[i] exp(x[i]), those with b[i] = 0 left out: `count` is the sum of b over the largest ones. */
static exp_sum sum_exp_times(const real *x, const real *b, ptrdiff_t n) {
    real largest = -INFINITY;
#pragma omp simd reduction(max : largest)
    for (ptrdiff_t i = 0; i < n; i++) {
        real value = b[i] != 0 ? x[i] : -INFINITY;
        largest = value > largest ? value : largest;
    }
    exp_sum found = {largest, 0.0, 0.0};
    real shift = taken_off(largest);
    for (ptrdiff_t from = 0; from < n; from += RUN) {
        ptrdiff_t stop = n - from < RUN ? n : from + RUN;
        real rest = 0, count = 0;
#pragma omp simd reduction(+ : rest, count)
        for (ptrdiff_t i = from; i < stop; i++) {
            real term = b[i] * (exp_raised(x[i] - shift) * (1 / RAISED));
            int left_out = b[i] == 0, top = x[i] == largest;
            rest += left_out || top ? 0 : term;
            count += left_out || !top ? 0 : b[i];
        }
        found.count += count;
        found.rest += rest;
    }
    if (!is_finite(largest)) { /* as the terms themselves add up: infinities of one sign, or NaN */
        found.count = 0.0;
        for (ptrdiff_t i = 0; i < n; i++) {
            found.count += b[i] != 0 && x[i] == largest ? b[i] * exp((double)largest) : 0.0;
        }
    }
    return found;
}

static void shift(const real *x, ptrdiff_t n, real largest, real factor, int log, real *out) {
    if (log) {
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++) {
            out[i] = (x[i] - largest) - factor;
        }
    } else {
        real lowered = factor / RAISED;
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++) {
            out[i] = exp_raised(x[i] - largest) * lowered;
        }
    }
}

/* 1 / x as a sum of two: who multiplies by it rounds once. */
static inline real inverse(double x, real *low) {
    double quotient = 1.0 / x;
    real high = (real)quotient;
#ifdef REAL_IS_FLOAT
    *low = (real)(quotient - high);
#else
    *low = high * remainder_of(1, high, x);
#endif
    return high;
}

static void softmax(const real *x, ptrdiff_t n, int log, real *out) {
    if (log) {
        exp_sum found = sum_exp(x, n);
        int finite = is_finite((real)found.largest);
        real base = finite ? (real)found.largest : 0;
        double rest = finite ? log1p((found.count - 1.0) + found.rest) : found.largest + found.rest;
        shift(x, n, base, (real)rest, 1, out);
        return;
    }
    real largest = largest_of(x, n);
    if (n <= PIECE) {
        double total = 0.0;
        for (ptrdiff_t from = 0; from < n; from += RUN) {
            ptrdiff_t stop = n - from < RUN ? n : from + RUN;
            real part = 0;
#pragma omp simd reduction(+ : part)
            for (ptrdiff_t i = from; i < stop; i++) {
                real term = exp_raised(x[i] - largest);
                out[i] = term;
                part += term;
            }
            total += part;
        }
        real low, factor = inverse(is_finite(largest) ? total : NAN, &low);
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++) {
            out[i] = fused(out[i], factor, out[i] * low);
        }
        return;
    }
    exp_sum found = sum_exp(x, n);
    double total = is_finite(largest) ? found.count + found.rest : NAN;
    shift(x, n, largest, (real)(1.0 / total), 0, out);
}

/* Both softmax and its logarithm. */
static void softmax_pair(const real *x, ptrdiff_t n, real *log_out, real *out) {
    real largest = largest_of(x, n), base = is_finite(largest) ? largest : 0, shift = taken_off(largest);
    double rest = 0.0, count = 0.0;
    for (ptrdiff_t from = 0; from < n; from += RUN) {
        ptrdiff_t stop = n - from < RUN ? n : from + RUN;
        real some_rest = 0, some_count = 0;
#pragma omp simd reduction(+ : some_rest, some_count)
        for (ptrdiff_t i = from; i < stop; i++) {
            real term = exp_raised(x[i] - shift);
            out[i] = term;
            some_rest += x[i] == largest ? 0 : term;
            some_count += x[i] == largest ? 1 : 0;
        }
        rest += some_rest / (double)RAISED;
        count += some_count;
    }
    int finite = is_finite(largest);
    real factor = finite ? (real)(1.0 / (count + rest)) / RAISED : (real)NAN;
    real log_total = (real)(finite ? log1p((count - 1.0) + rest) : largest + rest);
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        log_out[i] = (x[i] - base) - log_total;
        out[i] *= factor;
    }
}

static void largest_of_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, real *restrict largest) {
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

/* The maximum, the count of it and the rest of each of at most COLUMNS columns. What additions round off is added up too:
 * it costs little next to an exponential, and rows of a few values have no lanes that share the rounding. */
static void sum_exp_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, real *restrict largest,
                            double *restrict count, double *restrict rest) {
    real some_count[COLUMNS], some_rest[COLUMNS], lost[COLUMNS];
    largest_of_columns(x, n, stride, n_columns, largest);
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        count[k] = rest[k] = 0.0;
    }
    for (ptrdiff_t from = 0; from < n; from += RUN) {
        ptrdiff_t stop = n - from < RUN ? n : from + RUN;
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            some_count[k] = some_rest[k] = lost[k] = 0;
        }
        for (ptrdiff_t i = from; i < stop; i++) {
            const real *row = x + i * stride;
#pragma omp simd
            for (ptrdiff_t k = 0; k < n_columns; k++) {
                real term = exp_raised(row[k] - taken_off(largest[k])), before = some_rest[k];
                term = row[k] == largest[k] ? 0 : term;
                some_rest[k] = before + term;
                lost[k] += rounded_off(before, term, some_rest[k]);
                some_count[k] += row[k] == largest[k] ? 1 : 0;
            }
        }
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            count[k] += some_count[k];
            rest[k] += ((double)some_rest[k] + lost[k]) / (double)RAISED;
        }
    }
}

/* log(count + rest) as a sum of two. */
static inline real log_total(double count, double rest, real *low) {
    double above = (count - 1.0) + rest;
    real x = (real)above, high = log1p_parts(x, low);
    *low += (real)((rest - (above - (count - 1.0))) + (above - x)) / (1 + x); /* what x lacks */
    return high;
}

static void log_sum_exp_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, real *out) {
    real largest[COLUMNS];
    double count[COLUMNS], rest[COLUMNS];
    sum_exp_columns(x, n, stride, n_columns, largest, count, rest);
#pragma omp simd
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        real low, high = log_total(count[k], rest[k], &low), sum = largest[k] + high;
        real found = sum + (rounded_off(largest[k], high, sum) + low);
        /* an infinite or missing maximum decides by itself, unless there was NaN */
        out[k] = is_finite(largest[k]) ? found : largest[k] + (real)rest[k];
    }
}

static void log_softmax_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, real *out,
                                ptrdiff_t out_stride) {
    real largest[COLUMNS], shift[COLUMNS], low[COLUMNS];
    double count[COLUMNS], rest[COLUMNS];
    sum_exp_columns(x, n, stride, n_columns, largest, count, rest);
#pragma omp simd
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        int finite = is_finite(largest[k]);
        real some_low, high = log_total(count[k], rest[k], &some_low);
        shift[k] = finite ? high : largest[k] + (real)rest[k];
        low[k] = finite ? some_low : 0;
        largest[k] = finite ? largest[k] : 0;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const real *row = x + i * stride;
        real *to = out + i * out_stride;
#pragma omp simd
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            to[k] = ((row[k] - largest[k]) - shift[k]) - low[k];
        }
    }
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
        total[k] = lost[k] = 0;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const real *row = x + i * stride;
        real *to = out + i * out_stride;
#pragma omp simd
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            real term = exp_raised(row[k] - largest[k]), before = total[k];
            to[k] = term;
            total[k] = before + term;
            lost[k] += rounded_off(before, term, total[k]);
        }
    }
#pragma omp simd
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        real some_low, high = inverse((double)total[k] + lost[k], &some_low);
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

/* --- sums over distributions: in pieces, so that a long row loses nothing to a single running sum ---------------------- */

/* A sum may be made of brief terms unless one is negative, or denormal numbers or those near infinity have a say in it. */
static inline int is_ordinary(real top) { return top == 0 || (top >= TINY && top <= VAST); }

/* Sum `brief`; or `exact` where a sign bit is set in `odd`, where the largest `size` is not ordinary, or where infinity or
 * NaN came out. */
#define SUM_OF(odd, size, brief, exact)                                                  \
    double total = 0.0;                                                                  \
    for (ptrdiff_t start = 0; start < n; start += RUN) {                                 \
        ptrdiff_t stop = n - start < RUN ? n : start + RUN;                              \
        real part = 0, top = 0;                                                          \
        bits some = 0;                                                                   \
        _Pragma("omp simd reduction(+ : part) reduction(| : some) reduction(max : top)") \
        for (ptrdiff_t i = start; i < stop; i++) {                                       \
            some |= odd;                                                                 \
            top = size > top ? size : top;                                               \
            part += brief;                                                               \
        }                                                                                \
        if ((some & SIGN) || !is_ordinary(top) || !is_finite(part)) {                    \
            part = 0;                                                                    \
            _Pragma("omp simd reduction(+ : part)")                                      \
            for (ptrdiff_t i = start; i < stop; i++) {                                   \
                part += exact;                                                           \
            }                                                                            \
        }                                                                                \
        total += part;                                                                   \
    }                                                                                    \
    return total;

/* Write `brief` to terms; return 0 where the same conditions do not hold. */
#define TERMS_OF(odd, size, brief)                                                       \
    real part = 0, top = 0;                                                              \
    bits some = 0;                                                                       \
    _Pragma("omp simd reduction(+ : part) reduction(| : some) reduction(max : top)")     \
    for (ptrdiff_t i = 0; i < n; i++) {                                                  \
        some |= odd;                                                                     \
        top = size > top ? size : top;                                                   \
        terms[i] = brief;                                                                \
        part += terms[i];                                                                \
    }                                                                                    \
    return !(some & SIGN) && is_ordinary(top) && is_finite(part);

static double sum(const real *p, ptrdiff_t n) {
    double total = 0.0;
    for (ptrdiff_t start = 0; start < n; start += RUN) {
        ptrdiff_t stop = n - start < RUN ? n : start + RUN;
        real part = 0;
#pragma omp simd reduction(+ : part)
        for (ptrdiff_t i = start; i < stop; i++) {
            part += p[i];
        }
        total += part;
    }
    return total;
}

static inline real above_0(real x) { return x > 4 * SMALLEST_NORMAL ? x : 4 * SMALLEST_NORMAL; }

static inline real entr_brief(real x) { return -x * log_brief(x); }

/* For y infinite or NaN these are NaN: so is 0 y. */
static inline real cross_brief(real x, real y) { return -x * log_brief(above_0(y)) + 0 * y; }

static inline real rel_entr_brief(real x, real y) {
    real k, s = ratio_parts(above_0(x), above_0(y), &k);
    return x * (k * (LN2_HIGH + LN2_LOW) + s * (2 + atanh_rest_brief(s))) + 0 * y;
}

static inline real kl_div_brief(real x, real y) {
    real k, s = ratio_parts(above_0(x), above_0(y), &k), rest = atanh_rest_brief(s);
    real far = (y - x) + x * (k * (LN2_HIGH + LN2_LOW) + s * (2 + rest));
    return k == 0 ? (x - y) * (s + (real)0.5 * rest * (1 + s)) : far;
}

static inline real size_of(real x) { return from_bits(to_bits(x) & ~SIGN); }

/* kl_div(x, m) + kl_div(y, m), m = (x + y) / 2: what is added cancels, exactly. The ratio of the larger one to m is at most
 * 2, so that its logarithm needs no power of 2. */
static inline real js_brief(real x, real y) {
    real middle = (real)0.5 * (x + y), smaller = x < y ? x : y, above = (real)0.5 * size_of(x - y);
    real sum = (x + y) + above, s = above / (sum == 0 ? 1 : sum); /* of the larger number and the middle */
    return above * (s + (real)0.5 * atanh_rest_wide(s) * (1 + s)) + kl_div_brief(smaller, middle);
}

/* Is a sign bit set, or y not normal where x is not 0? */
static inline bits odd_pair(real x, real y) {
    return to_bits(x) | to_bits(y) | ((y < 4 * SMALLEST_NORMAL) & (x > 0) ? SIGN : 0);
}

/* The exact terms, zeros and negative numbers chosen without a branch; infinities are not distributions. */
static inline real rel_entr_point(real x, real y) {
    real found = rel_entr_usual(x, y);
    found = x > 0 && y > 0 ? found : INFINITY;
    found = x == 0 && y >= 0 ? 0 : found;
    return x == x && y == y && x <= LARGEST && y <= LARGEST ? found : NAN;
}

static inline real kl_div_point(real x, real y) {
    real found = kl_div_usual(x, y);
    found = x > 0 && y > 0 ? found : INFINITY;
    found = x == 0 && y >= 0 ? y : found;
    return x == x && y == y && x <= LARGEST && y <= LARGEST ? found : NAN;
}

static inline real cross_point(real x, real y) { return -xlogy_point(x, y); }

static inline real js_point(real x, real y) {
    real middle = (real)0.5 * (x + y);
    middle = middle == 0 ? x + y : middle; /* of the smallest number and 0 it would be neither's */
    return kl_div_point(x, middle) + kl_div_point(y, middle);
}

#define MEASURE(name, odd, size)                                                                                      \
    static double sum_##name(const real *p, const real *q, ptrdiff_t n, double p_scale, double q_scale) {             \
        real a = (real)p_scale, b = (real)q_scale;                                                                    \
        SUM_OF(odd(a * p[i], b * q[i]), size(a * p[i], b * q[i]), name##_brief(a * p[i], b * q[i]),                   \
               name##_point(a * p[i], b * q[i]))                                                                      \
    }                                                                                                                 \
    static int terms_##name(const real *p, const real *q, ptrdiff_t n, real *terms) {                                 \
        TERMS_OF(odd(p[i], q[i]), size(p[i], q[i]), name##_brief(p[i], q[i]))                                         \
    }
#define FIRST(x, y) (x)
#define LARGER(x, y) ((x) > (y) ? (x) : (y))
#define SIGNS(x, y) (to_bits(x) | to_bits(y))
MEASURE(cross, odd_pair, FIRST)
MEASURE(rel_entr, odd_pair, FIRST)
MEASURE(kl_div, odd_pair, FIRST)
MEASURE(js, SIGNS, LARGER)

static double sum_entr(const real *p, ptrdiff_t n, double p_scale) {
    real a = (real)p_scale;
    SUM_OF(to_bits(p[i]), a * p[i], entr_brief(a * p[i]), entr_point(a * p[i]))
}

static int terms_entr(const real *p, ptrdiff_t n, real *terms) { TERMS_OF(to_bits(p[i]), p[i], entr_brief(p[i])) }

/* Eight rows at a time: an addition waits for the one before it. */
static void sum_rows(const real *terms, ptrdiff_t n_rows, ptrdiff_t n, double *out) {
    for (; n_rows >= 8; n_rows -= 8, terms += 8 * n, out += 8) {
        double a = 0.0, b = 0.0, c = 0.0, d = 0.0, e = 0.0, f = 0.0, g = 0.0, h = 0.0;
        for (const real *t = terms; t < terms + n; t++) {
            a += t[0], b += t[n], c += t[2 * n], d += t[3 * n];
            e += t[4 * n], f += t[5 * n], g += t[6 * n], h += t[7 * n];
        }
        out[0] = a, out[1] = b, out[2] = c, out[3] = d, out[4] = e, out[5] = f, out[6] = g, out[7] = h;
    }
    for (; n_rows > 0; n_rows--, terms += n, out++) {
        double total = 0.0;
        for (ptrdiff_t i = 0; i < n; i++) {
            total += terms[i];
        }
        *out = total;
    }
}

#ifdef REAL_IS_FLOAT
const special_float_ops TIER_NAME(special_float) = {
#else
const special_double_ops TIER_NAME(special_double) = {
#endif
    expit, log_expit, logit, entr, xlogy, rel_entr, kl_div, sum_exp, sum_exp_times, softmax, softmax_pair, shift,
    log_sum_exp_columns, softmax_columns, sum, sum_entr, sum_rel_entr, sum_kl_div, sum_cross, sum_js, terms_entr,
    terms_rel_entr, terms_kl_div, terms_cross, terms_js, sum_rows};
