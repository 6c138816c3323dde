/* Distances in single precision: NEAREST_ROWS rows side by side, four AVX-512 registers of them, eight of AVX2. A
 * multiplication and an addition may be one operation: the bound in nearest.pyx holds either way, and what it leaves in
 * doubt is answered in double precision, so that every tier gives the same classes.
 *
 * Cost: two multiplications and additions for each (row, feature, class); what lays the rows side by side is three
 * operations and three shuffles of eight for each eight of x.
 */
#include "nearest.h"

#include <math.h>

#define LIMIT 0x1p100f /* of a score; beyond, squares may have overflowed */

#if defined(__AVX512F__)
#define REGISTER 64
#elif defined(__AVX__)
#define REGISTER 32
#else
#define REGISTER 16
#endif
typedef float floats __attribute__((vector_size(REGISTER), aligned(sizeof(float)), may_alias));
#define LANES ((int)(REGISTER / sizeof(float)))
#define N_REGISTERS (NEAREST_ROWS / LANES)

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define HAVE_SHUFFLE 1
#define SIDE 8
typedef double doubles __attribute__((vector_size(SIDE * sizeof(double)), aligned(sizeof(double)), may_alias));
typedef float side __attribute__((vector_size(SIDE * sizeof(float)), aligned(sizeof(float)), may_alias));

/* Interleave the pair (a, b) by 1, 2, then 4 lanes; three rounds transpose eight by eight. */
#define LOW_1(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define HIGH_1(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define LOW_2(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define HIGH_2(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define LOW_4(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define HIGH_4(a, b) __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15)

static inline void transpose(const side *a, float *out) {
    side b[SIDE], c[SIDE];
    for (int i = 0; i < SIDE; i += 2) {
        b[i] = LOW_1(a[i], a[i + 1]);
        b[i + 1] = HIGH_1(a[i], a[i + 1]);
    }
    for (int i = 0; i < SIDE; i += 4) {
        c[i] = LOW_2(b[i], b[i + 2]);
        c[i + 1] = HIGH_2(b[i], b[i + 2]);
        c[i + 2] = LOW_2(b[i + 1], b[i + 3]);
        c[i + 3] = HIGH_2(b[i + 1], b[i + 3]);
    }
    for (int i = 0; i < SIDE / 2; i++) {
        *(side *)(out + i * NEAREST_ROWS) = LOW_4(c[i], c[i + 4]);
        *(side *)(out + (i + 4) * NEAREST_ROWS) = HIGH_4(c[i], c[i + 4]);
    }
}

#define LOAD_double(x) (*(const doubles *)(x))
#define LOAD_float(x) __builtin_convertvector(*(const side *)(x), doubles)

/* All features, the last eight perhaps once more; returns how many are done. */
#define DEFINE_STANDARDIZE_SIDES(name, type)                                                                           \
    static ptrdiff_t name(const type *x, ptrdiff_t stride, const double *centre, const double *scale,                  \
                          ptrdiff_t n_features, float *out) {                                                          \
        if (n_features < SIDE) {                                                                                       \
            return 0;                                                                                                  \
        }                                                                                                              \
        for (int row = 0; row < NEAREST_ROWS; row += SIDE) {                                                           \
            for (ptrdiff_t next = 0; next < n_features; next += SIDE) {                                                \
                ptrdiff_t f = next + SIDE <= n_features ? next : n_features - SIDE;                                    \
                doubles shift = *(const doubles *)(centre + f), factor = *(const doubles *)(scale + f);                \
                side rows[SIDE];                                                                                       \
                for (int i = 0; i < SIDE; i++) {                                                                       \
                    doubles value = LOAD_##type(x + (row + i) * stride + f);                                           \
                    value = (value - shift) * factor;                                                                  \
                    rows[i] = __builtin_convertvector(value, side);                                                    \
                }                                                                                                      \
                transpose(rows, out + f * NEAREST_ROWS + row);                                                         \
            }                                                                                                          \
        }                                                                                                              \
        return n_features;                                                                                             \
    }
#endif
#endif
#ifndef HAVE_SHUFFLE
#define DEFINE_STANDARDIZE_SIDES(name, type)                                                                           \
    static ptrdiff_t name(const type *x, ptrdiff_t stride, const double *centre, const double *scale,                  \
                          ptrdiff_t n_features, float *out) {                                                          \
        (void)x, (void)stride, (void)centre, (void)scale, (void)n_features, (void)out;                                 \
        return 0;                                                                                                      \
    }
#endif

#define DEFINE_STANDARDIZE(name, type)                                                                                 \
    DEFINE_STANDARDIZE_SIDES(name##_sides, type)                                                                       \
    static void name(const type *x, ptrdiff_t stride, const double *centre, const double *scale, ptrdiff_t n_features, \
                     float *out) {                                                                                     \
        ptrdiff_t f = name##_sides(x, stride, centre, scale, n_features, out);                                         \
        for (; f < n_features; f++) {                                                                                  \
            for (int row = 0; row < NEAREST_ROWS; row++) {                                                             \
                out[f * NEAREST_ROWS + row] = (float)(((double)x[row * stride + f] - centre[f]) * scale[f]);           \
            }                                                                                                          \
        }                                                                                                              \
    }

DEFINE_STANDARDIZE(standardize, double)
DEFINE_STANDARDIZE(standardize_narrow, float)

static void add_distances(const float *z, const float *slope, const float *intercept, ptrdiff_t stride,
                          ptrdiff_t n_features, ptrdiff_t n_classes, const char *ahead, ptrdiff_t n_ahead,
                          float *distance) {
    ptrdiff_t step = n_ahead / (n_classes * n_features);
    for (ptrdiff_t k = 0; k < n_classes; k++, slope += stride, intercept += stride, distance += NEAREST_ROWS) {
        floats sums[N_REGISTERS];
        for (int i = 0; i < N_REGISTERS; i++) {
            sums[i] = (floats){0.0f};
        }
        for (ptrdiff_t f = 0; f < n_features; f++, ahead += step) {
            __builtin_prefetch(ahead, 0, 2);
            for (int i = 0; i < N_REGISTERS; i++) {
                floats e = *(const floats *)(z + f * NEAREST_ROWS + i * LANES) * slope[f] + intercept[f];
                sums[i] += e * e;
            }
        }
        for (int i = 0; i < N_REGISTERS; i++) {
            *(floats *)(distance + i * LANES) += sums[i];
        }
    }
    (void)ahead, (void)step;
}

static ptrdiff_t settle(const float *restrict distance, const float *restrict least_offset,
                        const float *restrict least_factor, const float *restrict most_offset,
                        const float *restrict most_factor, ptrdiff_t n_classes, int64_t *restrict nearest_out) {
    float least[NEAREST_ROWS], most[NEAREST_ROWS], second[NEAREST_ROWS];
    int32_t winner[NEAREST_ROWS];
    for (int row = 0; row < NEAREST_ROWS; row++) {
        least[row] = most[row] = second[row] = -INFINITY;
        winner[row] = 0;
    }
    for (int32_t k = 0; k < (int32_t)n_classes; k++) {
        for (int row = 0; row < NEAREST_ROWS; row++) {
            float d = distance[k * NEAREST_ROWS + row];
            float low = least_offset[k] - least_factor[k] * d, high = most_offset[k] - most_factor[k] * d;
            float loser = high < most[row] ? high : most[row];
            second[row] = loser > second[row] ? loser : second[row];
            most[row] = high > most[row] ? high : most[row];
            int32_t better = -(low > least[row]); /* as bits: no store that depends on a test */
            winner[row] = (k & better) | (winner[row] & ~better);
            least[row] = low > least[row] ? low : least[row];
        }
    }
    ptrdiff_t n_doubtful = 0;
    for (int row = 0; row < NEAREST_ROWS; row++) {
        int settled = least[row] > second[row] && least[row] > -LIMIT;
        nearest_out[row] = settled ? winner[row] : -1;
        n_doubtful += !settled;
    }
    return n_doubtful;
}

const nearest_ops TIER_NAME(nearest_ops) = {standardize, standardize_narrow, add_distances, settle};
