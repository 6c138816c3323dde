/* Loops over doubles that are compiled once for each instruction-set tier (see tier.h). */
#ifndef DECIBAN_VECTOR_H
#define DECIBAN_VECTOR_H

#include <stddef.h>
#include <stdint.h>

#include "tier.h"

#define VECTOR_ROWS 32

typedef struct {
    /* out[k] += sum over i of x[i] * table[rows[i]][k], added in the order of i, for every k in [0, n_columns); asks for
     * the memory of row rows[i + ahead] on the way, which may be any number. */
    void (*accumulate)(const double *x, const int32_t *rows, ptrdiff_t n, ptrdiff_t ahead, const double *table,
                       ptrdiff_t n_columns, double *out);
    void (*accumulate_long)(const double *x, const int64_t *rows, ptrdiff_t n, ptrdiff_t ahead, const double *table,
                            ptrdiff_t n_columns, double *out);
    /* The same, of rows of single precision, which are made double before anything is done with them. */
    void (*accumulate_narrow)(const double *x, const int32_t *rows, ptrdiff_t n, ptrdiff_t ahead, const float *table,
                              ptrdiff_t n_columns, double *out);
    void (*accumulate_narrow_long)(const double *x, const int64_t *rows, ptrdiff_t n, ptrdiff_t ahead,
                                   const float *table, ptrdiff_t n_columns, double *out);
    /* Whether all of x is finite. */
    int (*finite)(const double *x, ptrdiff_t n);
    /* out[k] = sum over i of x[i] * table[i][k] for every k in [0, n_columns); returns whether all of x is finite. */
    int (*product)(const double *x, ptrdiff_t n, const double *table, ptrdiff_t n_columns, double *out);
    int (*product_narrow)(const double *x, ptrdiff_t n, const float *table, ptrdiff_t n_columns, double *out);
    /* values[k] = exp(values[k] - shift); returns nothing special for inf or NaN: they follow IEEE. */
    void (*exp_shifted)(double *values, ptrdiff_t n, double shift);
    /* Joint log likelihoods in place -> log posteriors (or, as_probability, posteriors); 0 unless the maximum is finite. */
    int (*normalize)(double *values, ptrdiff_t n, int as_probability);
    /* Lay VECTOR_ROWS rows of x, `stride` apart, side by side: out[f][row] = x[row][f]. */
    void (*interleave)(const double *x, ptrdiff_t stride, ptrdiff_t n_features, double *out);
    /* For VECTOR_ROWS rows side by side, x[f][row]: out[row] += sum over f of (x[f][row] - mean[f])^2 * precision[f]. */
    void (*squared_distance)(const double *x, const double *mean, const double *precision, ptrdiff_t n_features,
                             double *out);
    /* For each of VECTOR_ROWS rows the first class k with the largest offset[k] - distance[k][row] / 2, whether or not
     * every distance is finite; returns whether it is. */
    int (*nearest)(const double *distance, const double *offset, ptrdiff_t n_classes, int64_t *nearest_out);
    /* sums[f] += weight * (x[f] - shift[f]), squares[f] += weight * (x[f] - shift[f])^2. */
    void (*add_shifted)(const double *x, const double *shift, double weight, ptrdiff_t n, double *sums,
                        double *squares);
} vector_ops;

TIER_DECLARE(vector_ops, vector_ops)

#endif
