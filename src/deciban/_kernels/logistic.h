/* The vector loops of logistic.pyx, compiled once for each instruction-set tier (see tier.h). */
#ifndef DECIBAN_LOGISTIC_H
#define DECIBAN_LOGISTIC_H

#include <stddef.h>

#include "tier.h"

typedef struct {
    /* out[r] = x[r] . w + offset for n_rows rows of n numbers, one after the other in x. */
    void (*multiply)(const double *x, ptrdiff_t n_rows, ptrdiff_t n, const double *w, double offset, double *out);
    void (*multiply_narrow)(const float *x, ptrdiff_t n_rows, ptrdiff_t n, const double *w, double offset, double *out);
    /* out += sum of v[r] x[r] */
    void (*add)(const double *x, ptrdiff_t n_rows, ptrdiff_t n, const double *v, double *out);
    void (*add_narrow)(const float *x, ptrdiff_t n_rows, ptrdiff_t n, const double *v, double *out);
    /* The loss of n rows of one column, whose scores are z + step * direction (NULL for none). Unless `curvature` is NULL,
     * it and `residual` are filled as well. */
    double (*evaluate)(const double *z, const double *direction, double step, const int *codes, const double *weights,
                       ptrdiff_t n, double *curvature, double *residual);
} logistic_ops;

TIER_DECLARE(logistic_ops, logistic_ops)

#endif
