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

static norms add_measured(const real *restrict x, const int32_t *restrict indices, ptrdiff_t n, double step,
                          real *restrict w) {
    double squares[LANES] = {0.0}, magnitudes[LANES] = {0.0};
    ptrdiff_t i = 0;
    if (indices == NULL) {
        for (; i + LANES <= n; i += LANES) {
            for (int lane = 0; lane < LANES; lane++) {
                real value = (real)(w[i + lane] + x[i + lane] * step);
                w[i + lane] = value;
                squares[lane] += (double)(value * value);
                magnitudes[lane] += fabs((double)value);
            }
        }
        double square = 0.0, magnitude = 0.0;
        for (; i < n; i++) {
            real value = (real)(w[i] + x[i] * step);
            w[i] = value;
            square += (double)(value * value);
            magnitude += fabs((double)value);
        }
        return (norms){total(squares) + square, total(magnitudes) + magnitude};
    }
    double s = 0.0, t = 0.0, u = 0.0, v = 0.0;
    for (; i + 2 <= n; i += 2) {
        real first = (real)(w[indices[i]] + x[i] * step);
        w[indices[i]] = first;
        real second = (real)(w[indices[i + 1]] + x[i + 1] * step);
        w[indices[i + 1]] = second;
        s += (double)(first * first);
        t += (double)(second * second);
        u += fabs((double)first);
        v += fabs((double)second);
    }
    for (; i < n; i++) {
        real value = (real)(w[indices[i]] + x[i] * step);
        w[indices[i]] = value;
        s += (double)(value * value);
        u += fabs((double)value);
    }
    return (norms){s + t, u + v};
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
const sample_float_ops TIER_NAME(sample_float) = {dot, add, add_measured, squares, finite};
#else
const sample_double_ops TIER_NAME(sample_double) = {dot, add, add_measured, squares, finite};
#endif
