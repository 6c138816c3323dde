/* The steps of dual coordinate ascent (dual.pyx), compiled once for each instruction-set tier (see tier.h). */
#ifndef DECIBAN_DUAL_H
#define DECIBAN_DUAL_H

#include <stddef.h>

#include "tier.h"

#define DUAL_LANES 8
#define DUAL_NEVER (-1e300)

/* What one sample adds to the sums of an epoch: its loss before the step and its entropy after it, how far the step was
 * from none (about the gap between both), and the product of the step with the scores and with itself. */
typedef struct {
    double loss, entropy, gap, along, square;
} dual_terms;

typedef struct {
    /* out[k] += sum over i of x[i] * rows[i][k], for k in [0, n_columns), a multiple of DUAL_LANES; asks for the memory of
     * ahead[i], any addresses, on the way. */
    void (*gather)(const double *x, const double *const *rows, const double *const *ahead, ptrdiff_t n,
                   ptrdiff_t n_columns, double *out);
    /* rows[i][k] += x[i] * step[k], in the order of i, for any n_columns. */
    void (*scatter)(const double *x, double *const *rows, ptrdiff_t n, ptrdiff_t n_columns, const double *step);
    /* The same for all n rows of a contiguous table: out += x @ table, table += outer(x, step); n_columns is a multiple of
     * DUAL_LANES. */
    void (*multiply)(const double *x, const double *table, ptrdiff_t n, ptrdiff_t n_columns, double *out);
    void (*update)(const double *x, ptrdiff_t n, ptrdiff_t n_columns, const double *step, double *table);
    /* The best probabilities of one sample's columns: see dual.c. `scratch` holds 4 * n_columns numbers. */
    dual_terms (*ascend)(const double *scores, const double *offset, ptrdiff_t n_columns, ptrdiff_t code, double curvature,
                         double *alpha, double *step, double *scratch);
    /* The same for the only column of two classes, alpha being the probability of the second one. */
    dual_terms (*ascend_one)(double score, double offset, int code, double curvature, double *alpha, double *step);
} dual_ops;

TIER_DECLARE(dual_ops, dual_ops)

#endif
