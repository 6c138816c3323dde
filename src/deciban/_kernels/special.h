/* Fused loops of special functions and of what is made of them, for double and for float, compiled once for each
 * instruction-set tier (see tier.h). `log` chooses between a function and its logarithm. */
#ifndef DECIBAN_SPECIAL_H
#define DECIBAN_SPECIAL_H

#include <stddef.h>

#include "tier.h"

#define COLUMNS 512 /* that are taken together, at most */
#define STREAMED (1 << 20) /* bytes that a call writes; from here on past the caches: they are part of 32 MB, or more */

/* What is known of some terms exp(x[i]): log sum = largest + log(count + rest), where `count` terms equal the largest
 * one, and `rest` + `low` is the sum of all others, divided by it. */
typedef struct {
    double largest, count, rest, low;
} exp_sum;

#define ELEMENTWISE_OPS(type, real)                                                                                    \
    typedef struct {                                                                                                   \
        /* elementwise, n values */                                                                                    \
        void (*expit)(const real *x, real *out, ptrdiff_t n);                                                          \
        void (*log_expit)(const real *x, real *out, ptrdiff_t n);                                                      \
        void (*logit)(const real *x, real *out, ptrdiff_t n);                                                          \
        void (*entr)(const real *x, real *out, ptrdiff_t n);                                                           \
        void (*xlogy)(const real *x, const real *y, real *out, ptrdiff_t n);                                           \
        void (*rel_entr)(const real *x, const real *y, real *out, ptrdiff_t n);                                        \
        void (*kl_div)(const real *x, const real *y, real *out, ptrdiff_t n);                                          \
    } type;

#define REDUCTIONS_OPS(type, real)                                                                                     \
    typedef struct {                                                                                                   \
        /* The sum of exp over n neighbours. */                                                                        \
        exp_sum (*sum_exp)(const real *x, ptrdiff_t n);                                                                \
        /* The sum of b exp(x), the factors `step` apart, 0 or 1; `count` is then the sum of b over the largest terms. \
         * `sizes` is widened by the least and the largest size of a factor that is finite and not 0. */               \
        exp_sum (*sum_exp_times)(const real *x, const real *b, ptrdiff_t step, ptrdiff_t n, double *sizes);            \
        /* log sum exp over n neighbours. */                                                                           \
        real (*log_sum_exp)(const real *x, ptrdiff_t n);                                                               \
        /* The transpose of n_rows rows of n, `stride` apart. */                                                       \
        void (*turn)(const real *x, ptrdiff_t stride, ptrdiff_t n_rows, ptrdiff_t n, real *out, ptrdiff_t out_stride); \
        /* out = exp(x) / sum exp(x), or log of it, over n neighbours; if it is streamed, settle() at last. */         \
        void (*softmax)(const real *x, ptrdiff_t n, int log, int streamed, real *out);                                 \
        void (*stream)(const real *x, real *out, ptrdiff_t n);                                                         \
        void (*settle)(void);                                                                                          \
        /* Both, streamed or not; x is none of the outputs. Returns the place of the largest, or of the first NaN. */  \
        ptrdiff_t (*softmax_pair)(const real *x, ptrdiff_t n, int streamed, real *log_out, real *out);                 \
        /* out = exp(x - largest) * (high + low), or x - largest - (high + low). */                                    \
        void (*shift)(const real *x, ptrdiff_t n, real largest, real high, real low, int log, real *out);              \
    } type;

#define EXP_COLUMNS_OPS(type, real)                                                                                    \
    typedef struct {                                                                                                   \
        /* As those above without _columns, for at most COLUMNS columns side by side, of n values `stride` apart. */   \
        void (*log_sum_exp_columns)(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, real *out);     \
        void (*softmax_columns)(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, int log, real *out, \
                                ptrdiff_t out_stride);                                                                 \
        void (*softmax_pair_columns)(const real *x, ptrdiff_t n, ptrdiff_t n_columns, real *log_out, real *out,        \
                                     ptrdiff_t *places);                                                               \
        void (*sum_exp_columns)(const real *x, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, double *largest,    \
                                double *count, double *rest);                                                          \
        /* The factors are `b_stride` apart along a column, and `step` from column to column, 0 or 1. */               \
        void (*sum_exp_times_columns)(const real *x, ptrdiff_t n, ptrdiff_t stride, const real *b, ptrdiff_t b_stride, \
                                      ptrdiff_t step, ptrdiff_t n_columns, double *largest, double *count,             \
                                      double *rest, double *sizes);                                                    \
        /* Of n columns what is known of two parts becomes what is known of both: each part is four rows, `stride`     \
         * apart, for the fields of exp_sum. */                                                                        \
        void (*together_columns)(double *sums, ptrdiff_t stride, const double *more, ptrdiff_t more_stride,            \
                                 ptrdiff_t n);                                                                         \
        /* The logarithms of sums that are known so. */                                                                \
        void (*log_sums)(const double *sums, ptrdiff_t stride, ptrdiff_t n, real *out);                                \
        /* What shift_columns() makes softmax of, or its logarithm. */                                                 \
        void (*shifts)(const double *sums, ptrdiff_t stride, ptrdiff_t n, int log, real *base, real *high, real *low); \
        /* As shift(), of `size` neighbours in rows of n_columns, each column with its own numbers; settle() as above. */\
        void (*shift_columns)(const real *x, ptrdiff_t size, ptrdiff_t n_columns, const real *base, const real *high,  \
                              const real *low, int log, int streamed, real *out);                                      \
    } type;

enum { ENTROPY, CROSS, KL, KL_OF_WHOLE, JS, MEASURES }; /* kinds of measures */

#define DIVERGENCES_OPS(type, real)                                                                                    \
    typedef struct {                                                                                                   \
        /* By kind: over n neighbours, with p and q scaled, the sum of entr(p), -p log q, rel_entr(p, q), kl_div(p, q), \
         * and of kl_div(p, m) + kl_div(q, m), m = (p + q) / 2. */                                                     \
        double (*sums[MEASURES])(const real *p, const real *q, ptrdiff_t n, double p_scale, double q_scale);           \
        /* Of these each term exact, times its weight; a weight of 0 leaves its term out. */                           \
        double (*weighted[MEASURES])(const real *p, const real *q, const double *weights, ptrdiff_t n, double p_scale, \
                                     double q_scale);                                                                  \
        /* The terms of these sums, where none is negative, infinite or NaN; else 0 is returned, and they do not hold. */ \
        int (*terms[MEASURES])(const real *p, const real *q, ptrdiff_t n, real *terms);                                \
        /* The sum of each of n_rows runs of n terms. */                                                               \
        void (*sum_rows)(const real *terms, ptrdiff_t n_rows, ptrdiff_t n, double *out);                               \
        /* sums[i] += factor x[i], and to lost[i] what that rounds off. */                                             \
        void (*add)(const real *x, ptrdiff_t n, double factor, double *sums, double *lost);                            \
        /* The same of n_rows rows, step numbers apart, the factors of which are weights. */                           \
        void (*add_rows)(const real *x, ptrdiff_t step, ptrdiff_t n_rows, ptrdiff_t n, const double *weights,          \
                         double *sums, double *lost);                                                                  \
        /* For each of n_rows rows of n neighbours the sum of p[i] factors[i]. */                                      \
        void (*weighted_rows)(const real *p, ptrdiff_t n_rows, ptrdiff_t n, const double *factors, real *out);         \
        /* 1 / sum p; NaN where that is no normal number. */                                                           \
        double (*inverse)(const real *p, ptrdiff_t n);                                                                 \
        /* The same of each of n_rows runs of n, times the run. */                                                     \
        void (*share)(const real *p, ptrdiff_t n_rows, ptrdiff_t n, real *out);                                        \
    } type;

#define SHARES_OPS(type, real)                                                                                         \
    typedef struct {                                                                                                   \
        /* Terms are x + added, or x times their factors unless those are NULL. */                                     \
        /* out = terms / their sum, over n neighbours; if it is streamed, settle() at last. */                         \
        void (*share)(const real *x, const real *factors, real added, ptrdiff_t n, int streamed, real *out);           \
        void (*settle)(void);                                                                                          \
        /* The same of each of n_rows runs of n, at most 32; factors are those of one run. */                   \
        void (*share_short)(const real *x, const real *factors, real added, ptrdiff_t n_rows, ptrdiff_t n,             \
                            int streamed, real *out);                                                                  \
        /* The same for at most COLUMNS columns side by side, of n values `stride` apart, in x and in out. */          \
        void (*share_columns)(const real *x, real added, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, real *out); \
        /* Its parts. Add to the sum of each column, one of two; whether no term has a sign. */                         \
        int (*sum_columns)(const real *x, real added, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns,              \
                           double *totals, double *lost);                                                              \
        /* What divides by n sums; whether it does so of all. */                                                       \
        int (*divisors)(const double *totals, const double *lost, ptrdiff_t n, real *firsts, real *seconds);           \
        /* out = terms / sums, over `size` neighbours in rows of n_columns; settle() as above. */                      \
        void (*divide_columns)(const real *x, real added, ptrdiff_t size, ptrdiff_t n_columns, const real *firsts,     \
                               const real *seconds, int streamed, real *out);                                          \
    } type;

#define TABLES_OPS(type, real)                                                                                         \
    typedef struct {                                                                                                   \
        /* rows[i] = sum_j x[i][j], columns[j] += sum_i x[i][j]. */                                                    \
        void (*add_up)(const real *x, ptrdiff_t n_rows, ptrdiff_t n, double *rows, double *columns);                   \
        /* out[i][j] = unit log(x[i][j] total / (rows[i] columns[j])), given 1 / columns; settle() as above. */         \
        void (*associate)(const real *x, ptrdiff_t n_rows, ptrdiff_t n, const double *rows, double total,              \
                          const double *columns, const double *inverses, double unit, int streamed, real *out);        \
        void (*settle)(void);                                                                                          \
    } type;

ELEMENTWISE_OPS(elementwise_double_ops, double)
ELEMENTWISE_OPS(elementwise_float_ops, float)
REDUCTIONS_OPS(reductions_double_ops, double)
REDUCTIONS_OPS(reductions_float_ops, float)
EXP_COLUMNS_OPS(exp_columns_double_ops, double)
EXP_COLUMNS_OPS(exp_columns_float_ops, float)
DIVERGENCES_OPS(divergences_double_ops, double)
DIVERGENCES_OPS(divergences_float_ops, float)
SHARES_OPS(shares_double_ops, double)
SHARES_OPS(shares_float_ops, float)
TABLES_OPS(tables_double_ops, double)
TABLES_OPS(tables_float_ops, float)

TIER_DECLARE(elementwise_double_ops, elementwise_double)
TIER_DECLARE(elementwise_float_ops, elementwise_float)
TIER_DECLARE(reductions_double_ops, reductions_double)
TIER_DECLARE(reductions_float_ops, reductions_float)
TIER_DECLARE(exp_columns_double_ops, exp_columns_double)
TIER_DECLARE(exp_columns_float_ops, exp_columns_float)
TIER_DECLARE(divergences_double_ops, divergences_double)
TIER_DECLARE(divergences_float_ops, divergences_float)
TIER_DECLARE(shares_double_ops, shares_double)
TIER_DECLARE(shares_float_ops, shares_float)
TIER_DECLARE(tables_double_ops, tables_double)
TIER_DECLARE(tables_float_ops, tables_float)

#endif
