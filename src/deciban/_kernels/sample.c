/* The loops of sample.h: plain C over eight lanes, each with a sum of its own, so that one addition does not wait for the
 * one before. Multiplications and additions may be fused: a tier's sums differ from another's by rounding.
 *
 * Cost: 2 flops an entry and 8 (dense) or 20 (sparse) bytes; dot and add of 100 dense features take 10 ns each in L1.
 */
#include "sample.h"

#include <math.h>
#include <string.h>

#ifdef REAL_IS_FLOAT
typedef float real;
#else
typedef double real;
#endif

/* A dense sample is taken in pieces of four and of one, cut alike by all loops: a piece of w that one step writes is read
 * whole by the next, out of the processor's queue of stores. A load of what two stores wrote would have to wait until both
 * are in the cache. */
typedef real piece __attribute__((vector_size(4 * sizeof(real)), aligned(sizeof(real)), may_alias));
typedef double sums __attribute__((vector_size(4 * sizeof(double))));
typedef int64_t bits __attribute__((vector_size(4 * sizeof(int64_t))));

#define PIECE(p) (*(const piece *)(p))
#define DOUBLES(values) __builtin_convertvector(values, sums)
#define MAGNITUDES(values) ((sums)((bits)DOUBLES(values) & INT64_MAX))
#define TOTAL(s) (((s)[0] + (s)[2]) + ((s)[1] + (s)[3]))

/* Two indices in one load: loads are what a sparse sample takes most of. */
static inline uint64_t two(const int32_t *indices) {
    uint64_t pair;
    memcpy(&pair, indices, sizeof pair);
    return pair;
}
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define FIRST(pair) ((pair) >> 32)
#define SECOND(pair) ((uint32_t)(pair))
#else
#define FIRST(pair) ((uint32_t)(pair))
#define SECOND(pair) ((pair) >> 32)
#endif

/* The products of four entries. */
#define SPARSE_PRODUCTS(i, out)                                                  \
    do {                                                                         \
        uint64_t p = two(indices + (i)), q = two(indices + (i) + 2);             \
        piece weights = {w[FIRST(p)], w[SECOND(p)], w[FIRST(q)], w[SECOND(q)]};  \
        out += DOUBLES(PIECE(x + (i)) * weights);                                \
    } while (0)

#define DENSE_PRODUCTS(i, out) out += DOUBLES(PIECE(x + (i)) * PIECE(w + (i)))

static double dot(const real *restrict x, const int32_t *restrict indices, ptrdiff_t n, const real *restrict w) {
    sums a = {0.0}, b = {0.0}, c = {0.0}, d = {0.0};
    double rest = 0.0;
    ptrdiff_t i = 0;
    if (indices != NULL) {
        for (; i + 8 <= n; i += 8) {
            SPARSE_PRODUCTS(i, a);
            SPARSE_PRODUCTS(i + 4, b);
        }
        for (; i < n; i++) rest += (double)(x[i] * w[indices[i]]);
    } else {
        for (; i + 16 <= n; i += 16) {
            DENSE_PRODUCTS(i, a);
            DENSE_PRODUCTS(i + 4, b);
            DENSE_PRODUCTS(i + 8, c);
            DENSE_PRODUCTS(i + 12, d);
        }
        for (; i + 4 <= n; i += 4) DENSE_PRODUCTS(i, a);
        for (int left = 3; left && i < n; left--, i++) rest += (double)(x[i] * w[i]);
    }
    a = (a + b) + (c + d);
    return TOTAL(a) + rest;
}

/* The new value of a piece of w. */
#define MOVED(i) (*(piece *)(w + (i)) = __builtin_convertvector(DOUBLES(PIECE(w + (i))) + DOUBLES(PIECE(x + (i))) * step, piece))

/* Adds to w, one entry after the other as indices may repeat; what is asked of every new value is done by SEE. The compiler
 * makes a copy of this for each use. */
#define ADD_SPARSE(SEE)                                                          \
    do {                                                                         \
        for (; i + 4 <= n; i += 4) {                                             \
            uint64_t p = two(indices + i), q = two(indices + i + 2);             \
            sums change = DOUBLES(PIECE(x + i)) * step;                          \
            real value = w[FIRST(p)] = (real)(w[FIRST(p)] + change[0]);          \
            SEE(0);                                                              \
            value = w[SECOND(p)] = (real)(w[SECOND(p)] + change[1]);             \
            SEE(1);                                                              \
            value = w[FIRST(q)] = (real)(w[FIRST(q)] + change[2]);               \
            SEE(2);                                                              \
            value = w[SECOND(q)] = (real)(w[SECOND(q)] + change[3]);             \
            SEE(3);                                                              \
        }                                                                        \
        for (; i < n; i++) {                                                     \
            real value = w[indices[i]] = (real)(w[indices[i]] + x[i] * step);    \
            SEE(0);                                                              \
        }                                                                        \
    } while (0)

static void add(const real *restrict x, const int32_t *restrict indices, ptrdiff_t n, double step, real *restrict w) {
    ptrdiff_t i = 0;
    if (indices != NULL) {
#define NOTHING(lane) (void)value
        ADD_SPARSE(NOTHING);
        return;
    }
    for (; i + 4 <= n; i += 4) MOVED(i);
    for (int left = 3; left && i < n; left--, i++) w[i] = (real)(w[i] + x[i] * step);
}

/* The compiler makes one copy for each value of `magnitudes`, which is known where this is called. */
static inline __attribute__((always_inline)) norms add_and_measure(const real *restrict x, const int32_t *restrict indices,
                                                                   ptrdiff_t n, double step, real *restrict w,
                                                                   int magnitudes) {
    ptrdiff_t i = 0;
    if (indices != NULL) {
        double s[4] = {0.0}, m[4] = {0.0};
#define MEASURE(lane)                                       \
    do {                                                    \
        s[lane] += (double)(value * value);                 \
        if (magnitudes) m[lane] += fabs((double)value);     \
    } while (0)
        ADD_SPARSE(MEASURE);
        return (norms){TOTAL(s), TOTAL(m)};
    }
    sums s = {0.0}, m = {0.0};
    double rest = 0.0, rest_m = 0.0;
    for (; i + 4 <= n; i += 4) {
        piece value = MOVED(i);
        s += DOUBLES(value * value);
        if (magnitudes) m += MAGNITUDES(value);
    }
    for (int left = 3; left && i < n; left--, i++) {
        real value = w[i] = (real)(w[i] + x[i] * step);
        rest += (double)(value * value);
        if (magnitudes) rest_m += fabs((double)value);
    }
    return (norms){TOTAL(s) + rest, TOTAL(m) + rest_m};
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
    sums a = {0.0}, b = {0.0};
    double rest = 0.0;
    ptrdiff_t i = 0;
    for (; i + 8 <= n; i += 8) {
        a += DOUBLES(PIECE(x + i)) * DOUBLES(PIECE(x + i));
        b += DOUBLES(PIECE(x + i + 4)) * DOUBLES(PIECE(x + i + 4));
    }
    for (; i < n; i++) rest += (double)x[i] * (double)x[i];
    a += b;
    return TOTAL(a) + rest;
}

/* x - x is 0 for finite x and NaN otherwise. */
static int finite(const real *w, ptrdiff_t n) {
    piece a = {0}, b = {0};
    real rest = 0;
    ptrdiff_t i = 0;
    for (; i + 8 <= n; i += 8) {
        a += PIECE(w + i) - PIECE(w + i);
        b += PIECE(w + i + 4) - PIECE(w + i + 4);
    }
    for (; i < n; i++) rest += w[i] - w[i];
    a += b;
    return TOTAL(a) + rest == 0;
}

#ifdef REAL_IS_FLOAT
const sample_float_ops TIER_NAME(sample_float) = {dot, add, add_measured, truncate_row, squares, finite};
#else
const sample_double_ops TIER_NAME(sample_double) = {dot, add, add_measured, truncate_row, squares, finite};
#endif
