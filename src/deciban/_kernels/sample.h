/* One sample against one column of weights: the loops of stochastic gradient descent, for double and for float, compiled
 * once for each instruction-set tier (see tier.h). `indices` is NULL for a dense sample of the features 0, 1, ..., n - 1;
 * otherwise it may be unsorted and repeat itself. Sums are kept in double. */
#ifndef DECIBAN_SAMPLE_H
#define DECIBAN_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "tier.h"

typedef struct {
    double squares, magnitudes;
} norms;

#define SAMPLE_OPS(type, real)                                                                                     \
    typedef struct {                                                                                               \
        /* The sum of x[i] * w[indices[i]]. */                                                                     \
        double (*dot)(const real *x, const int32_t *indices, ptrdiff_t n, const real *w);                          \
        /* w[indices[i]] += step * x[i]. */                                                                        \
        void (*add)(const real *x, const int32_t *indices, ptrdiff_t n, double step, real *w);                     \
        /* The same; returns the sums of w[indices[i]]^2 and, if asked for, of |w[indices[i]]|, as they are then. */ \
        norms (*add_measured)(const real *x, const int32_t *indices, ptrdiff_t n, double step, int magnitudes,     \
                              real *w);                                                                            \
        /* The weights scale * w[indices[i]] pay what they owe of the l1 penalty, of `debt` in all, but not more than \
         * they have; paid[f] is what weight f has paid so far, with its sign. */                                  \
        void (*truncate)(const int32_t *indices, ptrdiff_t n, double debt, double scale, real *paid, real *w);     \
        /* The sum of x[i]^2. */                                                                                   \
        double (*squares)(const real *x, ptrdiff_t n);                                                             \
        /* Whether w holds neither NaN nor infinity. */                                                            \
        int (*finite)(const real *w, ptrdiff_t n);                                                                 \
    } type;

SAMPLE_OPS(sample_double_ops, double)
SAMPLE_OPS(sample_float_ops, float)

TIER_DECLARE(sample_double_ops, sample_double)
TIER_DECLARE(sample_float_ops, sample_float)

#endif
