/* Sums over distributions: the loops of special.h, for one real type and one tier. A multiplication and an addition may
 * become one operation here (these are not sums that have to agree with somebody else's to the bit).
 *
 * Cost: a logarithm is about 16 (double) or 12 (float) multiplications and additions and a division, with AVX-512 13 or 9 and
 * none (lanes.h). A running sum takes the terms of a RUN, and what it rounds off is added up too.
 */
#include "special.h"

#include <float.h>

#include "elementary.h"
#include "entropies.h"
#include "runs.h"
#include "sums.h"

/* A sum may be made of brief terms unless one is negative, or denormal numbers or those near infinity have a say in it. */
static inline int is_ordinary(real top) { return top == 0 || (top >= TINY && top <= VAST); }

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
 * 2, so that its logarithm needs no power of 2. Both are as far from m, which is rounded itself. */
static inline real js_brief(real x, real y) {
    real middle = (real)0.5 * (x + y), smaller = x < y ? x : y, apart = (real)0.5 * size_of(x - y);
    real sum = (x + y) + apart, s = apart / (sum == 0 ? 1 : sum); /* of the larger number and the middle */
    real larger_term = apart * (s + (real)0.5 * atanh_rest_wide(s) * (1 + s));
    real k, least = above_0(smaller), near = brought_near(least, above_0(middle), &k);
    real difference = k == 0 ? -apart : least - near;
    s = difference / (least + near);
    real rest = atanh_rest_brief(s), far = apart + smaller * (k * (LN2_HIGH + LN2_LOW) + s * (2 + rest));
    return larger_term + (k == 0 ? difference * (s + (real)0.5 * rest * (1 + s)) : far);
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

/* The sum of at most RUN terms; there is room for zeros after them. What the sum rounds off is looked for once in two steps. */
static inline real sum_with_lost(real *terms, ptrdiff_t n) {
    for (; n % (2 * WIDTH); n++) {
        terms[n] = 0;
    }
    wide sums = {0}, lost = {0};
    for (ptrdiff_t i = 0; i < n; i += 2 * WIDTH) {
        wide here = *(const wide *)(terms + i) + *(const wide *)(terms + i + WIDTH), all = sums + here;
        lost += here - (all - sums);
        sums = all;
    }
    real parts[WIDTH];
    sums += lost;
    memcpy(parts, &sums, sizeof sums);
    for (int half = WIDTH / 2; half > 0; half /= 2) {
        for (int k = 0; k < half; k++) {
            parts[k] += parts[k + half];
        }
    }
    return parts[0];
}

/* The brief terms of x = a p and y = b q, summed, and written unless `terms` is NULL: then n is at most RUN. They hold if 1 is
 * returned: no sign bit is set in `odd`, the largest `size` is ordinary, and neither infinity nor NaN came out. */
#define BRIEF(name, odd, size)                                                                                         \
    static inline int brief_##name(const real *p, const real *q, ptrdiff_t n, real a, real b, real *terms, real *sum) { \
        real part = 0, top = 0, run[RUN], *to = terms ? terms : run;                                                   \
        bits some = 0;                                                                                                 \
        _Pragma("omp simd reduction(+ : part) reduction(| : some) reduction(max : top)")                               \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            real x = a * p[i], y = b * q[i], term = name##_brief(x, y);                                                \
            some |= odd(x, y);                                                                                         \
            top = size(x, y) > top ? size(x, y) : top;                                                                 \
            part += term;                                                                                              \
            to[i] = term;                                                                                              \
        }                                                                                                              \
        *sum = terms ? part : sum_with_lost(run, n);                                                                   \
        return !(some & SIGN) && is_ordinary(top) && is_finite(part);                                                  \
    }
#define FIRST(x, y) (x)
#define LARGER(x, y) ((x) > (y) ? (x) : (y))
#define SIGNS(x, y) (to_bits(x) | to_bits(y))
BRIEF(rel_entr, odd_pair, FIRST)
BRIEF(kl_div, odd_pair, FIRST)
BRIEF(js, SIGNS, LARGER)

#ifdef HAVE_LANES
/* What was seen of the numbers that went into a sum. */
typedef struct {
    lanes top, signs;
    unsigned odd;
} seen;

/* -x log(y) of the first n values of x = a p and y = b q; for y infinite or NaN it is NaN: so is 0 y. */
static inline lanes cross_lanes(const real *p, const real *q, ptrdiff_t n, lanes a, lanes b, seen *all) {
    const lanes zero = VECTOR(setzero)();
    lanes x = VECTOR(mul)(load_first(p, n), a), y = x, lost = zero;
    if (p != q) {
        y = VECTOR(mul)(load_first(q, n), b);
        lost = VECTOR(mul)(y, zero);
        all->odd |= above_lanes(VECTOR(set1)(4 * SMALLEST_NORMAL), y) & above_lanes(x, zero);
    }
    all->top = VECTOR(max)(x, all->top);
    all->signs = VECTOR(or)(all->signs, VECTOR(or)(x, y));
    return VECTOR(fnmadd)(x, log_lanes(y), lost);
}

/* Add x to a sum, and to `low`, unless it is NULL, what the sum rounds off. */
static inline void add_lanes(lanes x, lanes *sum, lanes *low) {
    lanes before = *sum;
    *sum = VECTOR(add)(before, x);
    if (low) {
        *low = VECTOR(add)(*low, VECTOR(sub)(x, VECTOR(sub)(*sum, before)));
    }
}

/* How far ahead memory is asked for values: two pages, which no processor looks over by itself. */
#define AHEAD ((ptrdiff_t)(8192 / sizeof(real)))

static inline int brief_cross(const real *p, const real *q, ptrdiff_t n, real a, real b, real *terms, real *sum) {
    const lanes zero = VECTOR(setzero)(), as = VECTOR(set1)(a), bs = VECTOR(set1)(b);
    lanes part = zero, low = zero;
    seen all = {zero, zero, 0};
    ptrdiff_t i = 0;
    for (; !terms && i + 4 * LANES <= n; i += 4 * LANES) { /* what is rounded off is looked for once in four */
        lanes four[4];
        fetch(p + i + AHEAD, 4 * LANES);
        if (p != q) {
            fetch(q + i + AHEAD, 4 * LANES);
        }
        _Pragma("GCC unroll 4")
        for (int k = 0; k < 4; k++) {
            four[k] = cross_lanes(p + i + k * LANES, q + i + k * LANES, LANES, as, bs, &all);
        }
        add_lanes(VECTOR(add)(VECTOR(add)(four[0], four[1]), VECTOR(add)(four[2], four[3])), &part, &low);
    }
    for (; i < n; i += LANES) {
        lanes term = cross_lanes(p + i, q + i, n - i, as, bs, &all);
        if (terms) {
            store_first(terms + i, n - i, term);
        }
        add_lanes(term, &part, terms ? NULL : &low);
    }
    *sum = VECTOR(reduce_add)(VECTOR(add)(part, low));
    return !all.odd && !negative_lanes(all.signs) && is_ordinary(VECTOR(reduce_max)(all.top)) && is_finite(*sum);
}
#else
static inline real cross_brief(real x, real y) { return -x * log_brief(above_0(y)) + 0 * y; }

BRIEF(cross, odd_pair, FIRST)
#endif

static inline int brief_entr(const real *p, const real *q, ptrdiff_t n, real a, real b, real *terms, real *sum) {
    (void)q, (void)b;
    return brief_cross(p, p, n, a, a, terms, sum);
}

static inline real entr_of_first(real x, real y) {
    (void)y;
    return entr_point(x);
}

#define MEASURE(name, point)                                                                                          \
    static double sum_##name(const real *p, const real *q, ptrdiff_t n, double p_scale, double q_scale) {             \
        real a = (real)p_scale, b = (real)q_scale;                                                                    \
        double total = 0.0;                                                                                           \
        for (ptrdiff_t m; n > 0; n -= m, p += m, q += m) {                                                            \
            real part;                                                                                                \
            m = n < RUN ? n : RUN;                                                                                    \
            if (!brief_##name(p, q, m, a, b, NULL, &part)) {                                                          \
                part = 0;                                                                                             \
                _Pragma("omp simd reduction(+ : part)")                                                               \
                for (ptrdiff_t i = 0; i < m; i++) {                                                                   \
                    part += point(a * p[i], b * q[i]);                                                                \
                }                                                                                                     \
            }                                                                                                         \
            total += part;                                                                                            \
        }                                                                                                             \
        return total;                                                                                                 \
    }                                                                                                                 \
    static double weighted_##name(const real *p, const real *q, const double *weights, ptrdiff_t n, double p_scale,   \
                                  double q_scale) {                                                                   \
        real a = (real)p_scale, b = (real)q_scale;                                                                    \
        double total = 0.0;                                                                                           \
        _Pragma("omp simd reduction(+ : total)")                                                                      \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                           \
            total += weights[i] == 0.0 ? 0.0 : weights[i] * point(a * p[i], b * q[i]);                                \
        }                                                                                                             \
        return total;                                                                                                 \
    }                                                                                                                 \
    static int terms_##name(const real *p, const real *q, ptrdiff_t n, real *terms) {                                 \
        real part;                                                                                                    \
        return brief_##name(p, q, n, 1, 1, terms, &part);                                                             \
    }
MEASURE(entr, entr_of_first)
MEASURE(cross, cross_point)
MEASURE(rel_entr, rel_entr_point)
MEASURE(kl_div, kl_div_point)
MEASURE(js, js_point)

static inline double lost_of(double a, double b, double sum) {
    double added = sum - a;
    return (a - (sum - added)) + (b - added);
}

static void add(const real *x, ptrdiff_t n, double factor, double *sums, double *lost) {
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        double here = factor * x[i], sum = sums[i] + here;
        lost[i] += lost_of(sums[i], here, sum);
        sums[i] = sum;
    }
}

/* Sums of rows of at most 4 EIGHT columns stay in registers. A row's last ones are read with the beginning of the next row,
 * whose sums nobody looks at. What is rounded off is looked for once in a few rows. */
enum { EIGHT = 8, TOGETHER = 16 };
typedef real eight_reals __attribute__((vector_size(EIGHT * sizeof(real)), aligned(sizeof(real)), may_alias));
typedef double eight_sums __attribute__((vector_size(EIGHT * sizeof(double)), aligned(sizeof(double)), may_alias));

#define EIGHT_OF(x) __builtin_convertvector(*(const eight_reals *)(x), eight_sums)

static inline __attribute__((always_inline)) void add_narrow(const real *x, ptrdiff_t n_rows, ptrdiff_t n, int width,
                                                             const double *weights, double *sums, double *lost) {
    double found[4 * EIGHT] = {0};
    for (; n_rows > 0; n_rows -= TOGETHER, weights += TOGETHER) {
        eight_sums even[4] = {{0}}, odd[4] = {{0}};
        for (int row = 0; row < TOGETHER; row += 2, x += 2 * n) {
            fetch(x + 8192 / sizeof(real), 2 * n);
            _Pragma("GCC unroll 4")
            for (int k = 0; k < width; k++) {
                even[k] += weights[row] * EIGHT_OF(x + k * EIGHT);
                odd[k] += weights[row + 1] * EIGHT_OF(x + n + k * EIGHT);
            }
        }
        _Pragma("GCC unroll 4")
        for (int k = 0; k < width; k++) {
            even[k] += odd[k];
            memcpy(found + k * EIGHT, even + k, sizeof even[k]);
        }
        for (ptrdiff_t i = 0; i < n; i++) {
            double sum = sums[i] + found[i];
            lost[i] += lost_of(sums[i], found[i], sum);
            sums[i] = sum;
        }
    }
}

/* Add some terms to sums, and what that rounds off; the sums of float numbers need no more digits than double has. */
static inline void add_eight(eight_sums some, eight_sums *all, eight_sums *lost) {
    eight_sums before = *all;
    *all = before + some;
#ifndef REAL_IS_FLOAT
    eight_sums added = *all - before;
    *lost += (before - (*all - added)) + (some - added);
#else
    (void)lost;
#endif
}

static inline void add_four(const real *x, ptrdiff_t step, ptrdiff_t n, const double *weights, double *sums, double *lost) {
    const real *y = x + step, *z = y + step, *last = z + step;
    ptrdiff_t i = 0;
    for (; i + EIGHT <= n; i += EIGHT) {
        if (i % (LINE / sizeof(real)) == 0) {
            for (int row = 4; row < 8; row++) {
                __builtin_prefetch(x + row * step + i);
            }
        }
        eight_sums here = weights[0] * EIGHT_OF(x + i) + weights[1] * EIGHT_OF(y + i);
        here += weights[2] * EIGHT_OF(z + i) + weights[3] * EIGHT_OF(last + i);
        add_eight(here, (eight_sums *)(sums + i), (eight_sums *)(lost + i));
    }
    for (; i < n; i++) {
        double here = (weights[0] * x[i] + weights[1] * y[i]) + (weights[2] * z[i] + weights[3] * last[i]);
        double sum = sums[i] + here;
        lost[i] += lost_of(sums[i], here, sum);
        sums[i] = sum;
    }
}

static void add_rows(const real *x, ptrdiff_t step, ptrdiff_t n_rows, ptrdiff_t n, const double *weights, double *sums,
                     double *lost) {
    ptrdiff_t row = 0;
    if (n == step && n <= 4 * EIGHT && n_rows > EIGHT) {
        ptrdiff_t whole = (n_rows - EIGHT) / TOGETHER * TOGETHER; /* reading ahead of these stays within the table */
        switch ((n - 1) / EIGHT) {
            case 0: add_narrow(x, whole, n, 1, weights, sums, lost); break;
            case 1: add_narrow(x, whole, n, 2, weights, sums, lost); break;
            case 2: add_narrow(x, whole, n, 3, weights, sums, lost); break;
            default: add_narrow(x, whole, n, 4, weights, sums, lost);
        }
        row = whole;
    }
    for (; row + 4 <= n_rows; row += 4) {
        add_four(x + row * step, step, n, weights + row, sums, lost);
    }
    for (; row < n_rows; row++) {
        add(x + row * step, n, weights[row], sums, lost);
    }
}

/* What four products in a lane round off stays below what the result does. */
static double dot(const real *p, const double *factors, ptrdiff_t n) {
    eight_sums all = {0}, all_lost = {0};
    ptrdiff_t i = 0;
    for (; i + 4 * EIGHT <= n; i += 4 * EIGHT) {
        const eight_sums *by = (const eight_sums *)(factors + i);
        const real *here = p + i;
        fetch(here + 8192 / sizeof(real), 4 * EIGHT);
        eight_sums some = by[0] * EIGHT_OF(here) + by[1] * EIGHT_OF(here + EIGHT);
        some += by[2] * EIGHT_OF(here + 2 * EIGHT) + by[3] * EIGHT_OF(here + 3 * EIGHT);
        add_eight(some, &all, &all_lost);
    }
    for (; i + EIGHT <= n; i += EIGHT) {
        add_eight(*(const eight_sums *)(factors + i) * EIGHT_OF(p + i), &all, &all_lost);
    }
    double sums[EIGHT], lost[EIGHT];
    memcpy(sums, &all, sizeof all);
    memcpy(lost, &all_lost, sizeof all_lost);
    for (int k = 0; i < n; i++, k++) {
        double here = factors[i] * p[i], sum = sums[k] + here;
        lost[k] += lost_of(sums[k], here, sum);
        sums[k] = sum;
    }
    for (int half = EIGHT / 2; half > 0; half /= 2) {
        for (int k = 0; k < half; k++) {
            double sum = sums[k] + sums[k + half];
            lost[k] += lost[k + half] + lost_of(sums[k], sums[k + half], sum);
            sums[k] = sum;
        }
    }
    return fabs(sums[0]) <= DBL_MAX ? sums[0] + lost[0] : sums[0]; /* of infinity nothing is lost */
}

static void weighted_rows(const real *p, ptrdiff_t n_rows, ptrdiff_t n, const double *factors, real *out) {
    if (n >= 4 * EIGHT) {
        for (ptrdiff_t row = 0; row < n_rows; row++) {
            out[row] = (real)dot(p + row * n, factors, n);
        }
        return;
    }
    for (ptrdiff_t row = 0; row < n_rows; row += RUN) {
        double sums[RUN];
        ptrdiff_t size = n_rows - row < RUN ? n_rows - row : RUN;
        sum_rows_by(p + row * n, factors, size, n, sums);
        for (ptrdiff_t i = 0; i < size; i++) {
            out[row + i] = (real)sums[i];
        }
    }
}

/* The inverse of a row's sum, or NaN where digits would be lost. */
static double inverse_of(double total) {
    double inverse = 1.0 / total;
    return fabs(inverse) >= SMALLEST_NORMAL && fabs(inverse) <= LARGEST ? inverse : NAN;
}

static double inverse_of_sum(const real *p, ptrdiff_t n) { return inverse_of(sum(p, n)); }

static inline void scale(const real *p, real factor, ptrdiff_t n, real *out) {
#ifdef HAVE_LANES
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        store_first(out + i, n - i, VECTOR(mul)(load_first(p + i, n - i), VECTOR(set1)(factor)));
    }
#else
    for (ptrdiff_t i = 0; i < n; i++) {
        out[i] = factor * p[i];
    }
#endif
}

/* A run of short rows, each divided by its sum. */
static void share(const real *p, ptrdiff_t n_rows, ptrdiff_t n, real *out) {
    double totals[32];
    for (ptrdiff_t m; n_rows > 0; n_rows -= m) {
        m = n_rows < 32 ? n_rows : 32;
        fetch(p + m * n, m * n);
        sum_rows(p, m, n, totals);
        for (ptrdiff_t k = 0; k < m; k++) {
            scale(p + k * n, (real)inverse_of(totals[k]), n, out + k * n);
        }
        p += m * n, out += m * n;
    }
}

#ifdef REAL_IS_FLOAT
const divergences_float_ops TIER_NAME(divergences_float) = {
#else
const divergences_double_ops TIER_NAME(divergences_double) = {
#endif
    {sum_entr, sum_cross, sum_rel_entr, sum_kl_div, sum_js},
    {weighted_entr, weighted_cross, weighted_rel_entr, weighted_kl_div, weighted_js},
    {terms_entr, terms_cross, terms_rel_entr, terms_kl_div, terms_js},
    sum_rows,
    add,
    add_rows,
    weighted_rows,
    inverse_of_sum,
    share};
