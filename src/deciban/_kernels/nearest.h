/* The loops of nearest.pyx, in single precision, compiled once for each instruction-set tier (see tier.h). */
#ifndef DECIBAN_NEAREST_H
#define DECIBAN_NEAREST_H

#include <stddef.h>
#include <stdint.h>

#include "tier.h"

#define NEAREST_ROWS 64

typedef struct {
    /* Of NEAREST_ROWS rows of x, `stride` apart: out[f][row] = (x[row][f] - centre[f]) * scale[f], computed in double. */
    void (*standardize)(const double *x, ptrdiff_t stride, const double *centre, const double *scale,
                        ptrdiff_t n_features, float *out);
    void (*standardize_narrow)(const float *x, ptrdiff_t stride, const double *centre, const double *scale,
                               ptrdiff_t n_features, float *out);
    /* distance[k][row] += sum over f of (slope[k][f] * z[f][row] + intercept[k][f])^2, summed by itself; rows of slope and
     * intercept are `stride` apart. The memory of `n_ahead` bytes from `ahead` on is asked for on the way. */
    void (*add_distances)(const float *z, const float *slope, const float *intercept, ptrdiff_t stride,
                          ptrdiff_t n_features, ptrdiff_t n_classes, const char *ahead, ptrdiff_t n_ahead,
                          float *distance);
    /* A score lies between least_offset[k] - least_factor[k] * distance[k][row] and the same of `most`. For each row the
     * class k of the largest, or -1 unless the least it may be is larger than the most that any other may; returns how
     * many are -1. */
    ptrdiff_t (*settle)(const float *distance, const float *least_offset, const float *least_factor,
                        const float *most_offset, const float *most_factor, ptrdiff_t n_classes, int64_t *nearest_out);
} nearest_ops;

TIER_DECLARE(nearest_ops, nearest_ops)

#endif
