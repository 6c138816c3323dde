/* The loops of nonzeros.h. A multiplication and an addition may become one operation here; sums are made in the order of k.
 *
 * A row of `out` is kept in registers, a few vectors of it at a time, while 64 rows of the table, which stay in the first
 * cache, are added for the bits of one word. So an element that is not zero costs a load and a multiplication for each
 * vector, and a zero nothing: with half of the elements zero, 100 x 784 by 784 x 100 floats take 0.7 of the time that
 * products.c takes for all of them, and with none zero 1.2 (Zen 5, AVX-512).
 */
#include "nonzeros.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#ifdef REAL_IS_FLOAT
typedef float real;
#else
typedef double real;
#endif

#define WORD 64
#define WORDS(n) (((n) + WORD - 1) / WORD)

/* Which of up to 64 values are other than 0. */
static inline uint64_t mark_word(const real *x, ptrdiff_t n) {
    uint64_t word = 0;
    ptrdiff_t k = 0;
#if defined(__AVX512F__) && defined(REAL_IS_FLOAT)
    for (; k + 16 <= n; k += 16) {
        word |= (uint64_t)_mm512_cmp_ps_mask(_mm512_loadu_ps(x + k), _mm512_setzero_ps(), _CMP_NEQ_UQ) << k;
    }
#elif defined(__AVX512F__)
    for (; k + 8 <= n; k += 8) {
        word |= (uint64_t)_mm512_cmp_pd_mask(_mm512_loadu_pd(x + k), _mm512_setzero_pd(), _CMP_NEQ_UQ) << k;
    }
#elif defined(__AVX2__) && defined(REAL_IS_FLOAT)
    for (; k + 8 <= n; k += 8) {
        __m256 other = _mm256_cmp_ps(_mm256_loadu_ps(x + k), _mm256_setzero_ps(), _CMP_NEQ_UQ);
        word |= (uint64_t)(unsigned)_mm256_movemask_ps(other) << k;
    }
#elif defined(__AVX2__)
    for (; k + 4 <= n; k += 4) {
        __m256d other = _mm256_cmp_pd(_mm256_loadu_pd(x + k), _mm256_setzero_pd(), _CMP_NEQ_UQ);
        word |= (uint64_t)(unsigned)_mm256_movemask_pd(other) << k;
    }
#endif
    for (; k < n; k++) {
        word |= (uint64_t)(x[k] != 0) << k;
    }
    return word;
}

static ptrdiff_t mark(const real *x, ptrdiff_t n_rows, ptrdiff_t n_columns, uint64_t *marks) {
    ptrdiff_t total = 0;
    for (ptrdiff_t row = 0; row < n_rows; row++) {
        for (ptrdiff_t from = 0; from < n_columns; from += WORD) {
            *marks = mark_word(x + row * n_columns + from, n_columns - from < WORD ? n_columns - from : WORD);
            total += __builtin_popcountll(*marks++);
        }
    }
    return total;
}

/* Transpose 64 x 64 bits: swap quarters, then quarters of quarters (H. S. Warren, Hacker's Delight, chapter 7). */
static void transpose(uint64_t *words) {
    uint64_t low = 0xffffffff;
    for (int size = WORD / 2; size; size >>= 1, low ^= low << size) {
        for (int i = 0; i < WORD; i = ((i | size) + 1) & ~size) {
            uint64_t change = (words[i] >> size ^ words[i | size]) & low;
            words[i] ^= change << size;
            words[i | size] ^= change;
        }
    }
}

static ptrdiff_t mark_columns(const real *x, ptrdiff_t row_step, ptrdiff_t n_rows, ptrdiff_t n_columns,
                              uint64_t *marks) {
    ptrdiff_t total = 0, n_words = WORDS(n_rows);
    for (ptrdiff_t from = 0; from < n_columns; from += WORD) {
        ptrdiff_t n = n_columns - from < WORD ? n_columns - from : WORD;
        for (ptrdiff_t at = 0; at < n_words; at++) {
            uint64_t square[WORD];
            for (ptrdiff_t i = 0; i < WORD; i++) {
                ptrdiff_t row = at * WORD + i;
                square[i] = row < n_rows ? mark_word(x + row * row_step + from, n) : 0;
                total += __builtin_popcountll(square[i]);
            }
            transpose(square);
            for (ptrdiff_t i = 0; i < n; i++) {
                marks[(from + i) * n_words + at] = square[i];
            }
        }
    }
    return total;
}

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#define LANES ((ptrdiff_t)(BYTES / sizeof(real)))
#define MOST 7 /* vectors of a row that are kept in registers at a time */
/* A vector that may stand at any real's address. */
typedef real lanes __attribute__((vector_size(BYTES), aligned(sizeof(real)), may_alias));

/* The bits of one word for all rows, `n` vectors of `out`: the last one begins at `last` and may overlap the one before.
 * The panel has the table's rows of this word, vector after vector. */
static inline __attribute__((always_inline)) void add_word(int n, const real *x, ptrdiff_t row_step, ptrdiff_t step,
                                                           const uint64_t *marks, ptrdiff_t n_words, ptrdiff_t n_rows,
                                                           const lanes *panel, int is_first, real *out,
                                                           ptrdiff_t n_columns, ptrdiff_t last) {
    for (ptrdiff_t row = 0; row < n_rows; row++) {
        const real *values = x + row * row_step;
        real *to = out + row * n_columns;
        lanes sums[MOST];
#pragma GCC unroll 8
        for (int v = 0; v < n; v++) {
            sums[v] = is_first ? (lanes){0} : *(const lanes *)(to + (v < n - 1 ? v * LANES : last));
        }
        for (uint64_t word = marks[row * n_words]; word; word &= word - 1) {
            ptrdiff_t k = __builtin_ctzll(word);
            real value = values[k * step];
#pragma GCC unroll 8
            for (int v = 0; v < n; v++) {
                sums[v] += value * panel[k * n + v];
            }
        }
#pragma GCC unroll 8
        for (int v = 0; v < n; v++) {
            *(lanes *)(to + (v < n - 1 ? v * LANES : last)) = sums[v];
        }
    }
}

#define ADD_WORD(n)                                                                                                    \
    static void add_word_##n(const real *x, ptrdiff_t row_step, ptrdiff_t step, const uint64_t *marks,                 \
                             ptrdiff_t n_words, ptrdiff_t n_rows, const lanes *panel, int is_first, real *out,         \
                             ptrdiff_t n_columns, ptrdiff_t last) {                                                    \
        add_word(n, x, row_step, step, marks, n_words, n_rows, panel, is_first, out, n_columns, last);                 \
    }
ADD_WORD(1)
ADD_WORD(2)
ADD_WORD(3)
ADD_WORD(4)
ADD_WORD(5)
ADD_WORD(6)
ADD_WORD(7)

static void (*const add_words[MOST])(const real *, ptrdiff_t, ptrdiff_t, const uint64_t *, ptrdiff_t, ptrdiff_t,
                                     const lanes *, int, real *, ptrdiff_t, ptrdiff_t) = {
    add_word_1, add_word_2, add_word_3, add_word_4, add_word_5, add_word_6, add_word_7};

/* All columns, if there are as many as a vector has; returns whether there are. */
static int multiply_vectors(const real *x, ptrdiff_t row_step, ptrdiff_t step, const uint64_t *marks, ptrdiff_t n_rows,
                            ptrdiff_t n_inner, const real *table, ptrdiff_t n_columns, real *out) {
    if (n_columns < LANES) {
        return 0;
    }
    lanes panel[WORD * MOST] __attribute__((aligned(64)));
    ptrdiff_t n_words = WORDS(n_inner), n_vectors = (n_columns + LANES - 1) / LANES;
    ptrdiff_t n_parts = (n_vectors + MOST - 1) / MOST;
    for (ptrdiff_t part = 0; part < n_parts; part++) {
        ptrdiff_t first = part * n_vectors / n_parts, n = (part + 1) * n_vectors / n_parts - first;
        ptrdiff_t column = first * LANES, last = (n - 1) * LANES;
        if (column + last + LANES > n_columns) {
            last = n_columns - LANES - column;
        }
        for (ptrdiff_t word = 0; word < n_words; word++) {
            const real *rows = table + word * WORD * n_columns + column;
            for (ptrdiff_t k = 0; k < WORD && word * WORD + k < n_inner; k++) {
                for (ptrdiff_t v = 0; v < n; v++) {
                    panel[k * n + v] = *(const lanes *)(rows + k * n_columns + (v < n - 1 ? v * LANES : last));
                }
            }
            add_words[n - 1](x + word * WORD * step, row_step, step, marks + word, n_words, n_rows, panel, word == 0,
                             out + column, n_columns, last);
        }
    }
    return 1;
}

static void multiply(const real *x, ptrdiff_t row_step, ptrdiff_t step, const uint64_t *marks, ptrdiff_t n_rows,
                     ptrdiff_t n_inner, const real *table, ptrdiff_t n_columns, real *out) {
    if (multiply_vectors(x, row_step, step, marks, n_rows, n_inner, table, n_columns, out)) {
        return;
    }
    for (ptrdiff_t row = 0; row < n_rows; row++) {
        real *to = out + row * n_columns;
        memset(to, 0, (size_t)n_columns * sizeof(real));
        for (ptrdiff_t k = 0; k < n_inner; k++) {
            if (marks[row * WORDS(n_inner) + k / WORD] >> k % WORD & 1) {
                real value = x[row * row_step + k * step];
#pragma omp simd
                for (ptrdiff_t column = 0; column < n_columns; column++) {
                    to[column] += value * table[k * n_columns + column];
                }
            }
        }
    }
}

#ifdef REAL_IS_FLOAT
const nonzeros_float_ops TIER_NAME(nonzeros_float) = {mark, mark_columns, multiply};
#else
const nonzeros_double_ops TIER_NAME(nonzeros_double) = {mark, mark_columns, multiply};
#endif
