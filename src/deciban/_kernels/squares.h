/* Transposition of squares of SIDE by SIDE values, in registers. Included where `real` is double or float. */
#ifndef DECIBAN_SQUARES_H
#define DECIBAN_SQUARES_H

#include <stddef.h>

#define SIDE 4

#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector)
#define HAVE_SHUFFLES
#endif
#endif

/* A side, at any real's address. */
typedef real side __attribute__((vector_size(SIDE * sizeof(real)), aligned(sizeof(real)), may_alias));

static inline void turn_square(const real *from, ptrdiff_t step, real *to, ptrdiff_t to_step) {
#ifdef HAVE_SHUFFLES
    side a = *(const side *)from, b = *(const side *)(from + step);
    side c = *(const side *)(from + 2 * step), d = *(const side *)(from + 3 * step);
#ifdef REAL_IS_FLOAT /* what one instruction does is within 16 bytes */
    side ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    side ab_2 = __builtin_shufflevector(a, b, 2, 6, 3, 7), cd_2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(side *)to = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(side *)(to + to_step) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    *(side *)(to + 2 * to_step) = __builtin_shufflevector(ab_2, cd_2, 0, 1, 4, 5);
    *(side *)(to + 3 * to_step) = __builtin_shufflevector(ab_2, cd_2, 2, 3, 6, 7);
#else
    side ab = __builtin_shufflevector(a, b, 0, 4, 2, 6), cd = __builtin_shufflevector(c, d, 0, 4, 2, 6);
    side ab_1 = __builtin_shufflevector(a, b, 1, 5, 3, 7), cd_1 = __builtin_shufflevector(c, d, 1, 5, 3, 7);
    *(side *)to = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(side *)(to + to_step) = __builtin_shufflevector(ab_1, cd_1, 0, 1, 4, 5);
    *(side *)(to + 2 * to_step) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    *(side *)(to + 3 * to_step) = __builtin_shufflevector(ab_1, cd_1, 2, 3, 6, 7);
#endif
#else
    for (ptrdiff_t row = 0; row < SIDE; row++) {
        for (ptrdiff_t i = 0; i < SIDE; i++) {
            to[i * to_step + row] = from[row * step + i];
        }
    }
#endif
}

/* The transpose of n_rows rows of n, `stride` apart: whole squares first, then, of rows and columns left over, such that
 * overlap them. */
static inline void turn(const real *x, ptrdiff_t stride, ptrdiff_t n_rows, ptrdiff_t n, real *out,
                        ptrdiff_t out_stride) {
    if (n_rows < SIDE || n < SIDE) {
        for (ptrdiff_t row = 0; row < n_rows; row++) {
            for (ptrdiff_t i = 0; i < n; i++) {
                out[i * out_stride + row] = x[row * stride + i];
            }
        }
        return;
    }
    for (ptrdiff_t row = 0; row < n_rows; row += SIDE) {
        ptrdiff_t first = row + SIDE <= n_rows ? row : n_rows - SIDE, i = 0;
        const real *from = x + first * stride;
        real *to = out + first;
        for (; i + SIDE <= n; i += SIDE, from += SIDE, to += SIDE * out_stride) {
            turn_square(from, stride, to, out_stride);
        }
        if (i < n) {
            turn_square(from - (i + SIDE - n), stride, to - (i + SIDE - n) * out_stride, out_stride);
        }
    }
}

#endif
