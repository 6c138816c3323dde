/* The loops of largest.pyx, compiled once for each instruction-set tier (see tier.h). */
#ifndef DECIBAN_LARGEST_H
#define DECIBAN_LARGEST_H

#include <stddef.h>
#include <stdint.h>

#include "tier.h"

enum { LARGEST_CHUNK = 64, LARGEST_SLACK = 64 };

/* Numbers of a CSR matrix: floating-point or not, of 4 or 8 bytes. */
typedef struct {
    const void *data, *indices, *indptr;
    ptrdiff_t n_entries;
    int is_real, data_bytes, index_bytes;
} largest_rows_in;

/* For each feature `stride` bytes: high parts of n_classes scores (int16_t), then low parts (int8_t). A score is
 * unit * (256 * high + low), but for a number that all classes share. LARGEST_SLACK more bytes end it. */
typedef struct {
    const char *cells;
    ptrdiff_t n_features, n_classes, stride;
    double unit, largest_value;
    const double *offset;
} largest_table;

typedef struct {
    /* Write the cells of n_features rows of scores; returns 0 if one is too far from the middle. */
    int (*pack)(const double *scores, ptrdiff_t n_features, ptrdiff_t n_classes, double middle, double unit,
                ptrdiff_t stride, char *cells);
    /* largest_out[start:stop] = the class whose score, summed, is the largest, or -1 for a row in doubt. With `binary`,
     * numbers above the threshold count as 1, others as nothing. `scratch` holds largest_scratch_bytes. */
    int (*rows)(const largest_rows_in *X, const largest_table *table, int binary, double threshold, ptrdiff_t start,
                ptrdiff_t stop, void *scratch, ptrdiff_t *largest_out);
} largest_ops;

/* Registers of up to 64 bytes, 32 high parts, whose sums are twice as wide; and the scores in double. */
static inline size_t largest_scratch_bytes(ptrdiff_t n_classes) {
    return ((size_t)n_classes / 32 + 1) * (128 + 32 * sizeof(double));
}

TIER_DECLARE(largest_ops, largest_ops)

#endif
