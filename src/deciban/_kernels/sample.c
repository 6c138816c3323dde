/* The loops of sample.h: plain C over eight lanes, each with a sum of its own, so that one addition does not wait for the
 * one before. Multiplications and additions may be fused: a tier's sums differ from another's by rounding.
 *
 * Cost: 2 flops an entry and 8 (dense) or 20 (sparse) bytes; dot and add of 100 dense features take 10 ns each in L1.
 */
#include "sample.h"

#include <math.h>

#ifdef REAL_IS_FLOAT
typedef float real;
#else
typedef double real;
#endif

#define LANES 8

/* Lanes are added in pairs, always the same. */
static inline double total(const double *lanes) {
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

static double dot(const real *restrict x, const int32_t *restrict indices, ptrdiff_t n, const real *restrict w) {
    double a[LANES] = {0.0}, b[LANES] = {0.0};
    ptrdiff_t i = 0;
    if (indices == NULL) {
        for (; i + 2 * LANES <= n; i += 2 * LANES) {
            for (int lane = 0; lane < LANES; lane++) a[lane] += (double)(x[i + lane] * w[i + lane]);
            for (int lane = 0; lane < LANES; lane++) b[lane] += (double)(x[i + LANES + lane] * w[i + LANES + lane]);
        }
        for (int lane = 0; lane < LANES; lane++) a[lane] += b[lane];
        for (; i + LANES <= n; i += LANES) {
            for (int lane = 0; lane < LANES; lane++) a[lane] += (double)(x[i + lane] * w[i + lane]);
        }
        double rest = 0.0;
        for (; i < n; i++) rest += (double)(x[i] * w[i]);
        return total(a) + rest;
    }
    double s = 0.0, t = 0.0, u = 0.0, v = 0.0;
    for (; i + 4 <= n; i += 4) {
        s += (double)(x[i] * w[indices[i]]);
        t += (double)(x[i + 1] * w[indices[i + 1]]);
        u += (double)(x[i + 2] * w[indices[i + 2]]);
        v += (double)(x[i + 3] * w[indices[i + 3]]);
    }
    for (; i < n; i++) s += (double)(x[i] * w[indices[i]]);
    return (s + t) + (u + v);
}

static void add(const real *restrict x, const int32_t *restrict indices, ptrdiff_t n, double step, real *restrict w) {
    if (indices == NULL) {
        for (ptrdiff_t i = 0; i < n; i++) w[i] = (real)(w[i] + x[i] * step);
    } else {
        for (ptrdiff_t i = 0; i < n; i++) w[indices[i]] = (real)(w[indices[i]] + x[i] * step);
    }
}

/* The compiler makes one copy for each value of `magnitudes`, which is known where this is called. */
static inline __attribute__((always_inline)) norms add_and_measure(const real *restrict x, const int32_t *restrict indices,
                                                                   ptrdiff_t n, double step, real *restrict w,
                                                                   int magnitudes) {
    double s[LANES] = {0.0}, m[LANES] = {0.0}, rest = 0.0, rest_m = 0.0;
    ptrdiff_t i = 0;
#define MOVE(at, f, square, magnitude)                  \
    do {                                                \
        real value = (real)(w[f] + x[at] * step);       \
        w[f] = value;                                   \
        square += (double)(value * value);              \
        if (magnitudes) magnitude += fabs((double)value); \
    } while (0)
    if (indices == NULL) {
        for (; i + LANES <= n; i += LANES) {
            for (int lane = 0; lane < LANES; lane++) MOVE(i + lane, i + lane, s[lane], m[lane]);
        }
        for (; i < n; i++) MOVE(i, i, rest, rest_m);
        return (norms){total(s) + rest, total(m) + rest_m};
    }
    double t = 0.0, u = 0.0, v = 0.0, t_m = 0.0, u_m = 0.0, v_m = 0.0;
    for (; i + 4 <= n; i += 4) {
        MOVE(i, indices[i], rest, rest_m);
        MOVE(i + 1, indices[i + 1], t, t_m);
        MOVE(i + 2, indices[i + 2], u, u_m);
        MOVE(i + 3, indices[i + 3], v, v_m);
    }
    for (; i < n; i++) MOVE(i, indices[i], rest, rest_m);
#undef MOVE
    return (norms){(rest + t) + (u + v), (rest_m + t_m) + (u_m + v_m)};
}

static norms add_measured(const real *x, const int32_t *indices, ptrdiff_t n, double step, int magnitudes, real *w) {
    if (magnitudes) return add_and_measure(x, indices, n, step, w, 1);
    return add_and_measure(x, indices, n, step, w, 0);
}

/* Without branches on the sign, which no processor can guess. NaN stays NaN. */
static inline __attribute__((always_inline)) void pay(double debt, double scale, double inverse, real *paid, real *w) {
    double before = *w, sign = copysign(1.0, before), left = fabs(before) - (debt + sign * *paid) * inverse;
    real after = before == 0.0 ? (real)0 : (real)copysign(left < 0.0 ? 0.0 : left, before);
    *w = after;
    *paid = (real)(*paid + scale * ((double)after - before));
}

static void truncate_row(const int32_t *restrict indices, ptrdiff_t n, double debt, double scale, real *restrict paid,
                         real *restrict w) {
    double inverse = 1.0 / scale;
    if (indices == NULL) {
        for (ptrdiff_t i = 0; i < n; i++) pay(debt, scale, inverse, paid + i, w + i);
    } else {
        for (ptrdiff_t i = 0; i < n; i++) pay(debt, scale, inverse, paid + indices[i], w + indices[i]);
    }
}

static double squares(const real *x, ptrdiff_t n) {
    double sums[LANES] = {0.0};
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int lane = 0; lane < LANES; lane++) sums[lane] += (double)x[i + lane] * (double)x[i + lane];
    }
    double rest = 0.0;
    for (; i < n; i++) rest += (double)x[i] * (double)x[i];
    return total(sums) + rest;
}

/* x - x is 0 for finite x and NaN otherwise. */
static int finite(const real *w, ptrdiff_t n) {
    real sums[2 * LANES] = {0};
    ptrdiff_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        for (int lane = 0; lane < 2 * LANES; lane++) sums[lane] += w[i + lane] - w[i + lane];
    }
    for (; i < n; i++) sums[0] += w[i] - w[i];
    real sum = 0;
    for (int lane = 0; lane < 2 * LANES; lane++) sum += sums[lane];
    return sum == 0;
}

#ifdef REAL_IS_FLOAT
const sample_float_ops TIER_NAME(sample_float) = {dot, add, add_measured, truncate_row, squares, finite};
#else
const sample_double_ops TIER_NAME(sample_double) = {dot, add, add_measured, truncate_row, squares, finite};
#endif
