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

static inline real expit_point(real x) {
    real e = exp_point(x < 0 ? x : -x);
    return (x < 0 ? e : 1) / (1 + e);
}

static inline real log_expit_point(real x) {
    real e = exp_point(x < 0 ? x : -x);
    return -(log1p_point(e) - (x < 0 ? x : 0));
}

/* log(p / (1 - p)): near 1/2 it is 2 atanh(2 p - 1), whose argument is exact. */
static inline real logit_point(real p) {
    real k, rest = 1 - p, s = log_parts(p, rest, &k);
    int near_half = p > (real)0.42 && p < (real)0.58;
    real found = log_whole(near_half ? 2 * p - 1 : s, near_half ? 0 : k);
    found = p == 0 ? -INFINITY : p == 1 ? INFINITY : found;
    return p >= 0 && p <= 1 ? found : NAN;
}

static inline real entr_point(real x) {
    real found = -x * log_point(x);
    found = x == 0 ? 0 : found;
    return x < 0 ? -INFINITY : found;
}

static inline real xlogy_point(real x, real y) {
    real found = x * log_point(y);
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
    real k, s = log_parts(x, y, &k);
    return x * log_whole(s, k);
}

/* x log(x / y) - x + y; up to a ratio of 2 that is (x + y) (atanh(s) - s + s atanh(s)), s = (x - y) / (x + y), where
 * nothing cancels. */
static inline real kl_div_usual(real x, real y) {
    real k, s = log_parts(x, y, &k), half = x > 1 ? (real)0.5 : 1; /* so that x + y is finite */
    real t = (half * x - half * y) / (half * x + half * y);
    real rest = (real)0.5 * atanh_rest_wide(t);
    real part = t * (rest + t + t * rest);
    return t * t <= (real)(1.0 / 9.0) ? x * part + y * part : x * log_whole(s, k) - x + y;
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

/* What is taken off before exp; an infinite maximum leaves everything to the exponentials, where NaN shows too. */
static inline real finite_or_zero(real x) { return x >= -LARGEST && x <= LARGEST ? x : 0; }

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
        real largest = largest_of(piece, m), shift = finite_or_zero(largest);
        exp_sum found = {largest, 0.0, 0.0};
        for (ptrdiff_t from = 0; from < m; from += RUN) {
            ptrdiff_t stop = m - from < RUN ? m : from + RUN;
            real rest = 0, count = 0;
#pragma omp simd reduction(+ : rest, count)
            for (ptrdiff_t i = from; i < stop; i++) {
                real term = exp_point(piece[i] - shift);
                rest += piece[i] == largest ? 0 : term;
                count += piece[i] == largest ? 1 : 0;
            }
            found.count += count;
            found.rest += rest;
        }
        total = together(total, found);
    }
    return total;
}

static void shift(const real *x, ptrdiff_t n, real largest, real factor, int log, real *out) {
    if (log) {
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++) {
            out[i] = (x[i] - largest) - factor;
        }
    } else {
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++) {
            out[i] = exp_point(x[i] - largest) * factor;
        }
    }
}

static void softmax(const real *x, ptrdiff_t n, int log, real *out) {
    if (log) {
        exp_sum found = sum_exp(x, n);
        real base = finite_or_zero((real)found.largest);
        double rest = found.largest == base ? log1p((found.count - 1.0) + found.rest) : found.largest + found.rest;
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
                real term = exp_point(x[i] - largest);
                out[i] = term;
                part += term;
            }
            total += part;
        }
        real factor = (real)(1.0 / total);
        if (factor != factor || largest == INFINITY || largest == -INFINITY) {
            factor = NAN; /* 0 / 0, or infinity / infinity */
        }
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++) {
            out[i] *= factor;
        }
        return;
    }
    exp_sum found = sum_exp(x, n);
    double total = found.largest == finite_or_zero(largest) ? found.count + found.rest : NAN;
    shift(x, n, largest, (real)(1.0 / total), 0, out);
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
                real term = exp_point(row[k] - finite_or_zero(largest[k]));
                some_rest[k] += row[k] == largest[k] ? 0 : term;
                some_count[k] += row[k] == largest[k] ? 1 : 0;
            }
        }
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            count[k] += some_count[k];
            rest[k] += some_rest[k];
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
        out[k] = largest[k] + (finite_or_zero(largest[k]) == largest[k] ? terms : (real)rest[k]);
    }
}

static void softmax_columns(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, int log, real *out,
                            ptrdiff_t out_stride) {
    real largest[COLUMNS], factor[COLUMNS];
    double count[COLUMNS], rest[COLUMNS];
    sum_exp_columns(x, n, stride, n_columns, largest, count, rest);
#pragma omp simd
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        real base = finite_or_zero(largest[k]);
        int finite = largest[k] == base;
        if (log) {
            factor[k] = finite ? log1p_point((real)((count[k] - 1) + rest[k])) : largest[k] + (real)rest[k];
            largest[k] = base;
        } else {
            factor[k] = finite ? (real)(1 / (count[k] + rest[k])) : (real)NAN;
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
                to[k] = exp_point(row[k] - largest[k]) * factor[k];
            }
        }
    }
}

/* --- sums over distributions: in pieces, so that a long row loses nothing to a single running sum ---------------------- */

#define SUM_OF(term)                                                              \
    double total = 0.0;                                                           \
    for (ptrdiff_t start = 0; start < n; start += RUN) {                          \
        ptrdiff_t stop = n - start < RUN ? n : start + RUN;                       \
        real part = 0;                                                            \
        _Pragma("omp simd reduction(+ : part)")                                   \
        for (ptrdiff_t i = start; i < stop; i++) {                                \
            part += term;                                                         \
        }                                                                         \
        total += part;                                                            \
    }                                                                             \
    return total;

static double sum(const real *p, ptrdiff_t n) {
    SUM_OF(p[i])
}

static double sum_entr(const real *p, ptrdiff_t n, double p_scale) {
    real a = (real)p_scale;
    SUM_OF(entr_point(a * p[i]))
}

/* x log(x / y) with zeros and negative numbers chosen without a branch; infinities are not distributions. */
static inline real rel_entr_point(real x, real y) {
    real found = rel_entr_usual(x, y);
    found = x > 0 && y > 0 ? found : INFINITY;
    found = x == 0 && y >= 0 ? 0 : found;
    return x == x && y == y && x <= LARGEST && y <= LARGEST ? found : NAN;
}

static double sum_rel_entr(const real *p, const real *q, ptrdiff_t n, double p_scale, double q_scale) {
    real a = (real)p_scale, b = (real)q_scale;
    SUM_OF(rel_entr_point(a * p[i], b * q[i]))
}

static double sum_cross(const real *p, const real *q, ptrdiff_t n, double p_scale, double q_scale) {
    real a = (real)p_scale, b = (real)q_scale;
    SUM_OF(xlogy_point(a * p[i], b * q[i]))
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
    SUM_OF(kl_div_point(a * p[i], b * q[i]))
}

/* What is added to both divergences cancels, exactly. */
static inline real js_point(real x, real y) {
    real middle = (real)0.5 * (x + y);
    return kl_div_point(x, middle) + kl_div_point(y, middle);
}

static double sum_js(const real *p, const real *q, ptrdiff_t n, double p_scale, double q_scale) {
    real a = (real)p_scale, b = (real)q_scale;
    SUM_OF(js_point(a * p[i], b * q[i]))
}

#ifdef REAL_IS_FLOAT
const special_float_ops TIER_NAME(special_float) = {
#else
const special_double_ops TIER_NAME(special_double) = {
#endif
    expit, log_expit, logit, entr, xlogy, rel_entr, kl_div, sum_exp, softmax, shift, log_sum_exp_columns, softmax_columns,
    sum, sum_entr, sum_rel_entr, sum_kl_div, sum_cross, sum_js};
