/* Loops over doubles that are compiled once for each instruction-set tier (see tier.h). */
#ifndef DECIBAN_VECTOR_H
#define DECIBAN_VECTOR_H

#include <stddef.h>

#include "tier.h"

#define VECTOR_ROWS 32

typedef struct {
    /* out[k] += sum over i of x[i] * rows[i][k], added in the order of i, for every k in [0, n_columns). */
    void (*accumulate)(const double *x, const double *const *rows, ptrdiff_t n, ptrdiff_t n_columns, double *out);
    /* values[k] = exp(values[k] - shift); returns nothing special for inf or NaN: they follow IEEE. */
    void (*exp_shifted)(double *values, ptrdiff_t n, double shift);
    /* Joint log likelihoods in place -> log posteriors (or, as_probability, posteriors); 0 unless the maximum is finite. */
    int (*normalize)(double *values, ptrdiff_t n, int as_probability);
    /* For VECTOR_ROWS rows side by side, x[f][row]: out[row] += sum over f of (x[f][row] - mean[f])^2 * precision[f]. */
    void (*squared_distance)(const double *x, const double *mean, const double *precision, ptrdiff_t n_features,
                             double *out);
    /* Weighted mean of each column of x (n_rows, n_features) and sum of squared differences from it; total = sum(weights). */
    void (*moments)(const double *x, const double *weights, double total, ptrdiff_t n_rows, ptrdiff_t n_features,
                    double *mean, double *squares);
} vector_ops;

TIER_DECLARE(vector_ops, vector_ops)

#endif
