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

static inline int is_finite(real x) { return x >= -LARGEST && x <= LARGEST; }

static inline real exp_of_minus_size(real x) { return exp_raised(x < 0 ? x : -x) * (1 / RAISED); }

static inline real expit_point(real x) {
    real e = exp_of_minus_size(x);
    return (x < 0 ? e : 1) / (1 + e);
}

/* min(x, 0) - log(1 + e), e = exp(-|x|); log(1 + e) = e - s (e - rest), s = e / (2 + e) up to 1/3. */
static inline real log_expit_point(real x) {
    real e = exp_of_minus_size(x);
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

static inline real entr_point(real x) {
    real low, high = log_usual(x, &low);
    real found = -fused(x, high, x * low);
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

static inline real rel_entr_usual(real x, real y) {
    real k, rounded, low, s = log_parts(x, y, &k, &rounded), high = log_whole(s, atanh_rest(s), k, &low);
    return fused(x, high, x * low);
}

/* x log(x / y) - x + y; for k = 0, where the terms cancel, that is (x - y) (atanh(s) - s + s atanh(s)) / s, where nothing
 * does and x - y is exact. Where they cancel in part, every digit of the logarithm counts. */
static inline real kl_div_usual(real x, real y) {
    real k, rounded, low, s = log_parts(x, y, &k, &rounded), rest = atanh_rest(s), high = log_whole(s, rest, k, &low);
    real near = (x - y) * (s + (real)0.5 * rest * (1 + s));
    /* y - x, and what it rounds off (Knuth's two-sum) */
    real difference = y - x, part = difference - y;
    real lost = (y - (difference - part)) - (x + part);
    return k == 0 ? near : fused(x, high, difference) + (x * (low + 2 * rounded) + lost);
}

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
        real factor = (real)(1.0 / total);
        factor = is_finite(largest) ? factor : (real)NAN;
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++) {
            out[i] *= factor;
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

/* The maximum, the count and the rest of each of at most COLUMNS columns. */
static void sum_exp_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, real *restrict largest,
                            double *restrict count, double *restrict rest) {
    real some_count[COLUMNS], some_rest[COLUMNS];
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        largest[k] = -INFINITY;
        count[k] = rest[k] = 0.0;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const real *row = x + i * stride;
#pragma omp simd
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            largest[k] = row[k] > largest[k] ? row[k] : largest[k];
        }
    }
    for (ptrdiff_t from = 0; from < n; from += RUN) {
        ptrdiff_t stop = n - from < RUN ? n : from + RUN;
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            some_count[k] = some_rest[k] = 0;
        }
        for (ptrdiff_t i = from; i < stop; i++) {
            const real *row = x + i * stride;
#pragma omp simd
            for (ptrdiff_t k = 0; k < n_columns; k++) {
                real term = exp_raised(row[k] - taken_off(largest[k]));
                some_rest[k] += row[k] == largest[k] ? 0 : term;
                some_count[k] += row[k] == largest[k] ? 1 : 0;
            }
        }
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            count[k] += some_count[k];
            rest[k] += some_rest[k] / (double)RAISED;
        }
    }
}

static void log_sum_exp_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, real *out) {
    real largest[COLUMNS];
    double count[COLUMNS], rest[COLUMNS];
    sum_exp_columns(x, n, stride, n_columns, largest, count, rest);
#pragma omp simd
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        real terms = log1p_point((real)((count[k] - 1) + rest[k]));
        /* an infinite or missing maximum decides by itself, unless there was NaN */
        out[k] = largest[k] + (is_finite(largest[k]) ? terms : (real)rest[k]);
    }
}

static void softmax_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, int log, real *out,
                            ptrdiff_t out_stride) {
    real largest[COLUMNS], factor[COLUMNS];
    double count[COLUMNS], rest[COLUMNS];
    sum_exp_columns(x, n, stride, n_columns, largest, count, rest);
#pragma omp simd
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        int finite = is_finite(largest[k]);
        if (log) {
            factor[k] = finite ? log1p_point((real)((count[k] - 1) + rest[k])) : largest[k] + (real)rest[k];
            largest[k] = finite ? largest[k] : 0;
        } else {
            factor[k] = finite ? (real)(1 / (count[k] + rest[k])) / RAISED : (real)NAN;
        }
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const real *row = x + i * stride;
        real *to = out + i * out_stride;
        if (log) {
#pragma omp simd
            for (ptrdiff_t k = 0; k < n_columns; k++) {
                to[k] = (row[k] - largest[k]) - factor[k];
            }
        } else {
#pragma omp simd
            for (ptrdiff_t k = 0; k < n_columns; k++) {
                to[k] = exp_raised(row[k] - largest[k]) * factor[k];
            }
        }
    }
}

/* --- sums over distributions: in pieces, so that a long row loses nothing to a single running sum ---------------------- */

/* Sum `usual`, which holds for numbers that are not negative; and `exact` where a sign bit is set in `signs`, or infinity or
 * NaN came out. */
#define SUM_OF(signs, usual, exact)                                               \
    double total = 0.0;                                                           \
    for (ptrdiff_t start = 0; start < n; start += RUN) {                          \
        ptrdiff_t stop = n - start < RUN ? n : start + RUN;                       \
        real part = 0;                                                            \
        bits some = 0;                                                            \
        _Pragma("omp simd reduction(+ : part) reduction(| : some)")               \
        for (ptrdiff_t i = start; i < stop; i++) {                                \
            some |= signs;                                                        \
            part += usual;                                                        \
        }                                                                         \
        if (some >> (sizeof(bits) * 8 - 1) || !is_finite(part)) {                 \
            part = 0;                                                             \
            _Pragma("omp simd reduction(+ : part)")                               \
            for (ptrdiff_t i = start; i < stop; i++) {                            \
                part += exact;                                                    \
            }                                                                     \
        }                                                                         \
        total += part;                                                            \
    }                                                                             \
    return total;

static double sum(const real *p, ptrdiff_t n) {
    SUM_OF(0, p[i], p[i])
}

/* k ln(2) + 2 atanh(s), rounded a few times: of a sum, no term's last place is seen. */
static inline real log_brief(real s, real k) { return k * (LN2_HIGH + LN2_LOW) + s * (2 + atanh_rest(s)); }

/* -x log(x); for 0 it is 0 times something finite. */
static inline real entr_usual(real x) {
    real k, m = fraction(x, &k);
    return -x * log_brief((m - 1) / (m + 1), k);
}

static double sum_entr(const real *p, ptrdiff_t n, double p_scale) {
    real a = (real)p_scale;
    SUM_OF(to_bits(p[i]), entr_usual(a * p[i]), entr_point(a * p[i]))
}

/* x log(x / y) with zeros and negative numbers chosen without a branch; infinities are not distributions. */
static inline real rel_entr_point(real x, real y) {
    real found = rel_entr_usual(x, y);
    found = x > 0 && y > 0 ? found : INFINITY;
    found = x == 0 && y >= 0 ? 0 : found;
    return x == x && y == y && x <= LARGEST && y <= LARGEST ? found : NAN;
}

/* The terms of numbers that are not negative, of which y may be 0 or infinite. */
static inline real without_y(real x, real y, real found) {
    found = x > 0 && y == 0 ? INFINITY : found;
    return y <= LARGEST ? found : NAN;
}

static inline real rel_entr_brief(real x, real y) {
    real k, rounded, s = log_parts(x, y, &k, &rounded);
    return x * log_brief(s, k);
}

static double sum_rel_entr(const real *p, const real *q, ptrdiff_t n, double p_scale, double q_scale) {
    real a = (real)p_scale, b = (real)q_scale;
    SUM_OF(to_bits(p[i]) | to_bits(q[i]), without_y(a * p[i], b * q[i], rel_entr_brief(a * p[i], b * q[i])),
           rel_entr_point(a * p[i], b * q[i]))
}

static inline real cross_brief(real x, real y) {
    real k, m = fraction(y, &k);
    return without_y(x, y, -x * log_brief((m - 1) / (m + 1), k));
}

static double sum_cross(const real *p, const real *q, ptrdiff_t n, double p_scale, double q_scale) {
    real a = (real)p_scale, b = (real)q_scale;
    SUM_OF(to_bits(p[i]) | to_bits(q[i]), cross_brief(a * p[i], b * q[i]), -xlogy_point(a * p[i], b * q[i]))
}

/* The same terms less x, plus y: none is negative. */
static inline real kl_div_point(real x, real y) {
    real found = kl_div_usual(x, y);
    found = x > 0 && y > 0 ? found : INFINITY;
    found = x == 0 && y >= 0 ? y : found;
    return x == x && y == y && x <= LARGEST && y <= LARGEST ? found : NAN;
}

static double sum_kl_div(const real *p, const real *q, ptrdiff_t n, double p_scale, double q_scale) {
    real a = (real)p_scale, b = (real)q_scale;
    SUM_OF(to_bits(p[i]) | to_bits(q[i]), without_y(a * p[i], b * q[i], kl_div_usual(a * p[i], b * q[i])),
           kl_div_point(a * p[i], b * q[i]))
}

/* kl_div(x, m) + kl_div(y, m), m = (x + y) / 2: what is added cancels, exactly. The ratio of the larger one to m is at most
 * 2, so that its logarithm needs no power of 2. */
static inline real js_usual(real x, real y) {
    real middle = (real)0.5 * (x + y), larger = x > y ? x : y, smaller = x > y ? y : x;
    real above = (real)0.5 * (larger - smaller), s = above / (larger + middle);
    s = middle > 0 ? s : 0;
    return above * (s + (real)0.5 * atanh_rest_wide(s) * (1 + s)) + kl_div_usual(smaller, middle);
}

static inline real js_point(real x, real y) {
    real middle = (real)0.5 * (x + y);
    return kl_div_point(x, middle) + kl_div_point(y, middle);
}

static double sum_js(const real *p, const real *q, ptrdiff_t n, double p_scale, double q_scale) {
    real a = (real)p_scale, b = (real)q_scale;
    SUM_OF(to_bits(p[i]) | to_bits(q[i]), js_usual(a * p[i], b * q[i]), js_point(a * p[i], b * q[i]))
}

#ifdef REAL_IS_FLOAT
const special_float_ops TIER_NAME(special_float) = {
#else
const special_double_ops TIER_NAME(special_double) = {
#endif
    expit, log_expit, logit, entr, xlogy, rel_entr, kl_div, sum_exp, sum_exp_times, softmax, softmax_pair, shift,
    log_sum_exp_columns, softmax_columns, sum, sum_entr, sum_rel_entr, sum_kl_div, sum_cross, sum_js};
