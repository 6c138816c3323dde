/* The loops of logistic.pyx over dense rows and a single column of coefficients.
 *
 * Rows are taken four at a time, so that a line of the vector is read (and written) once for four of X. A sum's order is
 * the compiler's for the tier, the same for every call.
 *
 * Cost: 2 flops and one read a number of X for X w, as many for X^T v; the vector stays in cache.
 */
#include "logistic.h"

#include <float.h>

#include "elementary.h"

#define TOGETHER 4
#define BLOCK 64 /* rows whose scores stay in L1 */

#define DEFINE_PRODUCTS(multiply, add, type)                                                                          \
    static void multiply(const type *x, ptrdiff_t n_rows, ptrdiff_t n, const double *w, double offset, double *out) { \
        ptrdiff_t r = 0;                                                                                              \
        for (; r + TOGETHER <= n_rows; r += TOGETHER, x += TOGETHER * n) {                                            \
            double first = 0.0, second = 0.0, third = 0.0, fourth = 0.0;                                              \
            _Pragma("omp simd reduction(+ : first, second, third, fourth)") for (ptrdiff_t i = 0; i < n; i++) {       \
                first += x[i] * w[i];                                                                                 \
                second += x[i + n] * w[i];                                                                            \
                third += x[i + 2 * n] * w[i];                                                                         \
                fourth += x[i + 3 * n] * w[i];                                                                        \
            }                                                                                                         \
            out[r] = first + offset, out[r + 1] = second + offset;                                                    \
            out[r + 2] = third + offset, out[r + 3] = fourth + offset;                                                \
        }                                                                                                             \
        for (; r < n_rows; r++, x += n) {                                                                             \
            double sum = 0.0;                                                                                         \
            _Pragma("omp simd reduction(+ : sum)") for (ptrdiff_t i = 0; i < n; i++) { sum += x[i] * w[i]; }          \
            out[r] = sum + offset;                                                                                    \
        }                                                                                                             \
    }                                                                                                                 \
                                                                                                                      \
    static void add(const type *x, ptrdiff_t n_rows, ptrdiff_t n, const double *v, double *out) {                     \
        ptrdiff_t r = 0;                                                                                              \
        for (; r + TOGETHER <= n_rows; r += TOGETHER, x += TOGETHER * n) {                                            \
            double first = v[r], second = v[r + 1], third = v[r + 2], fourth = v[r + 3];                              \
            _Pragma("omp simd") for (ptrdiff_t i = 0; i < n; i++) {                                                   \
                out[i] += (first * x[i] + second * x[i + n]) + (third * x[i + 2 * n] + fourth * x[i + 3 * n]);        \
            }                                                                                                         \
        }                                                                                                             \
        for (; r < n_rows; r++, x += n) {                                                                             \
            double value = v[r];                                                                                      \
            _Pragma("omp simd") for (ptrdiff_t i = 0; i < n; i++) { out[i] += value * x[i]; }                         \
        }                                                                                                             \
    }

DEFINE_PRODUCTS(multiply, add, double)
DEFINE_PRODUCTS(multiply_narrow, add_narrow, float)

static double evaluate(const double *z, const double *direction, double step, const int *codes, const double *weights,
                       ptrdiff_t n, double *curvature, double *residual) {
    double scores[BLOCK], ignored[2 * BLOCK], loss = 0.0;
    int is_wanted = curvature != NULL;
    for (ptrdiff_t start = 0; start < n; start += BLOCK) {
        ptrdiff_t length = n - start < BLOCK ? n - start : BLOCK;
        double *curvature_out = is_wanted ? curvature + start : ignored;
        double *residual_out = is_wanted ? residual + start : ignored + BLOCK;
        const int *code = codes + start;
        const double *weight = weights + start;
        for (ptrdiff_t i = 0; i < length; i++) {
            scores[i] = z[start + i] + (direction == NULL ? 0.0 : step * direction[start + i]);
        }
        double sum = 0.0;
        _Pragma("omp simd reduction(+ : sum)") for (ptrdiff_t i = 0; i < length; i++) {
            double score = scores[i], small = exp_point(minus_size(score)), larger = 1.0 / (1.0 + small);
            double smaller = small * larger, p = score >= 0.0 ? larger : smaller, other = score >= 0.0 ? smaller : larger;
            curvature_out[i] = weight[i] * p * other;
            residual_out[i] = weight[i] * (code[i] ? -other : p);
            /* log(1 + e^z) - c z, of which one part is zero: the other is max(z, 0) or max(-z, 0) */
            double against = code[i] ? -score : score;
            sum += weight[i] * (log1p_point(small) + (against > 0.0 ? against : 0.0));
        }
        loss += sum;
    }
    return loss;
}

const logistic_ops TIER_NAME(logistic_ops) = {multiply, multiply_narrow, add, add_narrow, evaluate};
