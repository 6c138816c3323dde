/* The vector loops of neural networks, for double and for float, compiled once for each instruction-set tier (see
 * tier.h). Tables of values are C-contiguous, (n_rows, n_columns). */
#ifndef DECIBAN_LAYERS_H
#define DECIBAN_LAYERS_H

#include <stddef.h>
#include <stdint.h>

#include "tier.h"

/* Of a layer's output; SOFTMAX and what follows are of whole rows and belong to the last layer. */
enum { IDENTITY, LOGISTIC, TANH, RELU, LEAKY_RELU, SOFTPLUS, GELU, EXP, SOFTMAX, LOG_SOFTMAX, N_ACTIVATIONS };
/* Of the last layer's values z before its activation. */
enum { SQUARED, LOGISTIC_ENTROPY, SOFTMAX_ENTROPY, POISSON, N_LOSSES };

#define LAYERS_OPS(type, real)                                                                                         \
    typedef struct {                                                                                                   \
        /* z += bias (none: NULL), out = f(z); out may be z. */                                                        \
        void (*activate)(int activation, real *z, const real *bias, ptrdiff_t n_rows, ptrdiff_t n_columns, real *out); \
        /* delta *= f'(z), where out = f(z); only GELU looks at z. */                                                  \
        void (*slope)(int activation, const real *z, const real *out, ptrdiff_t n, real *delta);                       \
        /* Return the sum of weights[i] * loss(z[i], targets[i]) and fill delta, which may be z, with its gradient.    \
         * No weights (NULL) are ones. An entropy's -log(p) counts up to `limit`. */                                   \
        double (*loss)(int loss, const real *z, const real *targets, const real *weights, double limit,                \
                       ptrdiff_t n_rows, ptrdiff_t n_columns, real *delta);                                            \
        /* SOFTMAX_ENTROPY where row i's target is 1 in column codes[i] and 0 elsewhere. */                            \
        double (*softmax_loss)(const real *z, const int *codes, const real *weights, double limit, ptrdiff_t n_rows,   \
                               ptrdiff_t n_columns, real *delta);                                                      \
        /* A step with the gradient scale * (gradient + decay * parameters); returns the sum of squares of the         \
         * parameters before it. */                                                                                    \
        double (*adam)(const real *gradient, ptrdiff_t n, double decay, double scale, double rate, double beta_1,      \
                       double beta_2, double epsilon, real *parameters, real *first_moment, real *second_moment);      \
        double (*sgd)(const real *gradient, ptrdiff_t n, double decay, double scale, double rate, double momentum,     \
                      int nesterov, real *parameters, real *velocity);                                                 \
        /* out = sum over i of x[i] * table[indices[i]], a row of n_columns. */                                        \
        void (*sparse_row)(const real *x, const int *indices, ptrdiff_t n, const real *table, ptrdiff_t n_columns,     \
                           real *out);                                                                                 \
        void (*sum_rows)(const real *x, ptrdiff_t n_rows, ptrdiff_t n_columns, real *out);                             \
        int (*all_finite)(const real *x, ptrdiff_t n);                                                                 \
        /* out[i] = x[i] / (1 - rate), or 0 with probability `rate`, as number first + i of stream `key` has it. */    \
        void (*drop)(const real *x, ptrdiff_t n, uint64_t key, uint64_t first, double rate, real *out);                \
    } type;

LAYERS_OPS(layers_double_ops, double)
LAYERS_OPS(layers_float_ops, float)

TIER_DECLARE(layers_double_ops, layers_double)
TIER_DECLARE(layers_float_ops, layers_float)

#endif
