/* Products of dense tables by tiles that are held in registers, for double and for float, compiled once for each
 * instruction-set tier (see tier.h). A tier without wide vectors has none: BLAS is faster there.
 */
#ifndef DECIBAN_PRODUCTS_H
#define DECIBAN_PRODUCTS_H

#include <stddef.h>

#include "tier.h"

#define PRODUCTS_OPS(type, real)                                                                                       \
    typedef struct {                                                                                                   \
        /* out (n_rows, n_columns) = the sums over k < n_inner of x[r row_step + k step] table[k table_row_step +      \
         * c table_step], or, if `is_added`, out + those. One of the steps of x is 1, and one of the table's.          \
         * NULL in a tier that has none. */                                                                            \
        void (*multiply)(const real *x, ptrdiff_t row_step, ptrdiff_t step, ptrdiff_t n_rows, ptrdiff_t n_inner,       \
                         const real *table, ptrdiff_t table_row_step, ptrdiff_t table_step, ptrdiff_t n_columns,       \
                         int is_added, real *out);                                                                     \
    } type;

PRODUCTS_OPS(products_double_ops, double)
PRODUCTS_OPS(products_float_ops, float)

TIER_DECLARE(products_double_ops, products_double)
TIER_DECLARE(products_float_ops, products_float)

#endif
