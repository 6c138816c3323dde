/* Sums over distributions: the loops of special.h, for one real type and one tier. A multiplication and an addition may
 * become one operation here (these are not sums that have to agree with somebody else's to the bit).
 *
 * Cost: a logarithm is about 16 (double) or 12 (float) multiplications and additions and a division. Sums are made in pieces,
 * so that a long row loses nothing to a single running sum.
 */
#include "special.h"

#include <float.h>

#include "elementary.h"
#include "entropies.h"

#define RUN 256 /* values that one running sum takes, before it is added to the sum of sums */

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
const divergences_float_ops TIER_NAME(divergences_float) = {
#else
const divergences_double_ops TIER_NAME(divergences_double) = {
#endif
    sum, sum_entr, sum_rel_entr, sum_kl_div, sum_cross, sum_js, terms_entr, terms_rel_entr, terms_kl_div, terms_cross,
    terms_js, sum_rows};
