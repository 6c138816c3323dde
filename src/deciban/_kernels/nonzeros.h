/* Products of a matrix with many zeros by a table, without multiplying by zero: pixels, counts, indicators, and what comes
 * out of rectifiers and dropout.
 *
 * A matrix is marked first, its rows or its columns: bit k % 64 of word k / 64 of a row's marks says whether element k is
 * other than 0 (NaN is). For double and for float, compiled once for each instruction-set tier (see tier.h).
 */
#ifndef DECIBAN_NONZEROS_H
#define DECIBAN_NONZEROS_H

#include <stddef.h>
#include <stdint.h>

#include "tier.h"

#define NONZEROS_OPS(type, real)                                                                                       \
    typedef struct {                                                                                                   \
        /* Fill marks (n_rows, ceil(n_columns / 64)); returns how many are set. */                                     \
        ptrdiff_t (*mark)(const real *x, ptrdiff_t n_rows, ptrdiff_t n_columns, uint64_t *marks);                      \
        /* The same for columns of a matrix whose rows are row_step apart: marks (n_columns, ceil(n_rows / 64)). */    \
        ptrdiff_t (*mark_columns)(const real *x, ptrdiff_t row_step, ptrdiff_t n_rows, ptrdiff_t n_columns,            \
                                  uint64_t *marks);                                                                    \
        /* out (n_rows, n_columns) = the sums, over the marked k of each row r, of x[r row_step + k step] table[k],    \
         * with the table (n_inner, n_columns) and marks (n_rows, ceil(n_inner / 64)). */                              \
        void (*multiply)(const real *x, ptrdiff_t row_step, ptrdiff_t step, const uint64_t *marks, ptrdiff_t n_rows,   \
                         ptrdiff_t n_inner, const real *table, ptrdiff_t n_columns, real *out);                        \
    } type;

NONZEROS_OPS(nonzeros_double_ops, double)
NONZEROS_OPS(nonzeros_float_ops, float)

TIER_DECLARE(nonzeros_double_ops, nonzeros_double)
TIER_DECLARE(nonzeros_float_ops, nonzeros_float)

#endif
