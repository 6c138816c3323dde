/* Whole numbers of 16 bits are multiplied and added in pairs of entries: one instruction for the products of two entries
 * and as many classes as fit in half a register (pmaddwd, since SSE2). Sums of whole numbers are exact, so every tier
 * gives the same. Real numbers are summed in single precision, no more than LARGEST_CHUNK at a time; there a
 * multiplication and an addition may be one operation, for the bound of largest.pyx holds either way.
 *
 * Cost: for two entries and 32 classes two shuffles, two multiplications and two additions of 64 bytes.
 */
#include "largest.h"
#include "trouble.h"

#include <float.h>
#include <math.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define FAR 1024            /* entries ahead, of what is read in order */
#define MOST_WHOLE 65535    /* that a row's whole numbers may add up to: times 32767 it is still below 2^31 */
#define MOST_REAL 1e30      /* the same for real numbers, whose sums in single precision then are finite */
#define LANES 8
#define LIMIT 8388352       /* 32767 * 256 */

static int pack(const double *scores, ptrdiff_t n_features, ptrdiff_t n_classes, double middle, double unit,
                ptrdiff_t stride, char *cells) {
    int outside = 0;
    double per_unit = 1.0 / unit;
    for (ptrdiff_t f = 0; f < n_features; f++, scores += n_classes, cells += stride) {
        int16_t *high = (int16_t *)cells;
        int8_t *low = (int8_t *)(cells + 2 * n_classes);
        for (ptrdiff_t k = 0, n; k < n_classes; k += n) {
            int32_t cell[32];
            n = n_classes - k < 32 ? n_classes - k : 32;
            for (ptrdiff_t i = 0; i < n; i++) {
                double scaled = (scores[k + i] - middle) * per_unit;
                outside |= !(fabs(scaled) <= LIMIT); /* so is NaN */
                scaled = fabs(scaled) <= LIMIT ? scaled : 0.0;
                cell[i] = (int32_t)(scaled + copysign(0.5, scaled));
            }
            for (ptrdiff_t i = 0; i < n; i++) {
                high[k + i] = (int16_t)((cell[i] + 128) >> 8);
            }
            for (ptrdiff_t i = 0; i < n; i++) {
                low[k + i] = (int8_t)cell[i]; /* less 256 times the upper part, rounded: the last eight bits */
            }
        }
    }
    return !outside;
}

/* --- sums of whole numbers ------------------------------------------------------------------------------------------ */

/* The sums of one register of high parts, over an even number of entries, in the order in which pairs leave them: of each
 * eight classes in 16 bytes the first four, for the whole register, then the last four. */
#define DEFINE_ADD_PAIRS(bytes, vector, bits, prefix)                                                                   \
    static void add_pairs_##bytes(const int16_t *x, const int32_t *rows, const int32_t *next, ptrdiff_t n,             \
                                  const char *cells, ptrdiff_t stride, char *sums) {                                   \
        vector *to = (vector *)sums;                                                                                   \
        vector low = prefix##_loadu_si##bits((const void *)to), high = prefix##_loadu_si##bits((const void *)(to + 1)); \
        for (ptrdiff_t i = 0; i < n; i += 2) {                                                                         \
            vector a = prefix##_loadu_si##bits((const void *)(cells + rows[i] * stride));                              \
            vector b = prefix##_loadu_si##bits((const void *)(cells + rows[i + 1] * stride));                          \
            __builtin_prefetch(cells + next[i] * stride);                                                              \
            __builtin_prefetch(cells + next[i + 1] * stride);                                                          \
            int32_t pair;                                                                                              \
            memcpy(&pair, x + i, sizeof(pair));                                                                        \
            vector both = prefix##_set1_epi32(pair);                                                                   \
            low = prefix##_add_epi32(low, prefix##_madd_epi16(prefix##_unpacklo_epi16(a, b), both));                   \
            high = prefix##_add_epi32(high, prefix##_madd_epi16(prefix##_unpackhi_epi16(a, b), both));                 \
        }                                                                                                              \
        prefix##_storeu_si##bits((void *)to, low);                                                                     \
        prefix##_storeu_si##bits((void *)(to + 1), high);                                                              \
    }

#if defined(__SSE2__)
DEFINE_ADD_PAIRS(16, __m128i, 128, _mm)
#if defined(__AVX2__)
DEFINE_ADD_PAIRS(32, __m256i, 256, _mm256)
#endif
#if defined(__AVX512BW__)
DEFINE_ADD_PAIRS(64, __m512i, 512, _mm512)
#endif
#else
static void add_pairs_16(const int16_t *x, const int32_t *rows, const int32_t *next, ptrdiff_t n, const char *cells,
                         ptrdiff_t stride, char *sums) {
    uint32_t *to = (uint32_t *)sums;
    for (ptrdiff_t i = 0; i < n; i++) {
        const int16_t *high = (const int16_t *)(cells + rows[i] * stride);
        __builtin_prefetch(cells + next[i] * stride);
        for (int k = 0; k < 8; k++) {
            to[k] += (uint32_t)(x[i] * high[k]); /* which may lie behind the classes, and wrap around */
        }
    }
}
#endif

/* Bytes of the register for what is left of a row's high parts. */
static inline int register_bytes(ptrdiff_t rest) {
#if defined(__AVX512BW__)
    if (rest > 32) {
        return 64;
    }
#endif
#if defined(__AVX2__)
    if (rest > 16) {
        return 32;
    }
#endif
    (void)rest;
    return 16;
}

static void add_whole(const int16_t *x, const int32_t *rows, const int32_t *next, ptrdiff_t n, const largest_table *table,
                      char *sums) {
    for (ptrdiff_t done = 0, bytes; done < 2 * table->n_classes; done += bytes) {
        const char *cells = table->cells + done;
        bytes = register_bytes(2 * table->n_classes - done);
#if defined(__AVX512BW__)
        if (bytes == 64) {
            add_pairs_64(x, rows, next, n, cells, table->stride, sums + 2 * done);
            continue;
        }
#endif
#if defined(__AVX2__)
        if (bytes == 32) {
            add_pairs_32(x, rows, next, n, cells, table->stride, sums + 2 * done);
            continue;
        }
#endif
        add_pairs_16(x, rows, next, n, cells, table->stride, sums + 2 * done);
    }
}

static void order_whole(const char *sums, ptrdiff_t n_classes, double *scores) {
    for (ptrdiff_t done = 0, bytes; done < 2 * n_classes; done += bytes) {
        bytes = register_bytes(2 * n_classes - done);
        for (ptrdiff_t four = 0; 8 * four < bytes && 2 * four * 4 + done < 2 * n_classes; four++) {
            int32_t values[4];
            memcpy(values, sums + 2 * done + four % 2 * bytes + four / 2 * 16, sizeof(values));
            for (int i = 0; i < 4; i++) {
                scores[done / 2 + 4 * four + i] = values[i];
            }
        }
    }
}

/* --- sums of real numbers ------------------------------------------------------------------------------------------- */

/* As many high parts as there are in a register of single precision. */
#if defined(__AVX512F__)
typedef __m512 reals;
static inline reals load_high(const int16_t *high) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_loadu_si256((const void *)high)));
}
#elif defined(__AVX2__)
typedef __m256 reals;
static inline reals load_high(const int16_t *high) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_loadu_si128((const void *)high)));
}
#elif defined(__SSE2__)
typedef __m128 reals;
static inline reals load_high(const int16_t *high) {
    __m128i four = _mm_loadl_epi64((const void *)high);
    return _mm_cvtepi32_ps(_mm_srai_epi32(_mm_unpacklo_epi16(four, four), 16));
}
#else
typedef float reals;
static inline reals load_high(const int16_t *high) { return *high; }
#endif
#define N_REALS ((ptrdiff_t)(sizeof(reals) / sizeof(float)))

static void add_real(const float *x, const int32_t *rows, const int32_t *next, ptrdiff_t n, const largest_table *table,
                     double *scores) {
    for (ptrdiff_t k = 0; k < table->n_classes; k += 2 * N_REALS) {
        const char *cells = table->cells + k * sizeof(int16_t);
        reals low = {0.0f}, high = {0.0f};
        for (ptrdiff_t i = 0; i < n; i++) {
            const int16_t *row = (const int16_t *)(cells + rows[i] * table->stride);
            __builtin_prefetch(cells + next[i] * table->stride);
            low += x[i] * load_high(row);
            high += x[i] * load_high(row + N_REALS);
        }
        float sums[2 * N_REALS];
        memcpy(sums, &low, sizeof(low));
        memcpy(sums + N_REALS, &high, sizeof(high));
        for (ptrdiff_t c = 0; c < 2 * N_REALS; c++) {
            scores[k + c] += (double)sums[c];
        }
    }
}

/* --- rows ----------------------------------------------------------------------------------------------------------- */

static inline double number(const largest_rows_in *X, ptrdiff_t j) {
    if (X->is_real) {
        return X->data_bytes == 8 ? ((const double *)X->data)[j] : (double)((const float *)X->data)[j];
    }
    return X->data_bytes == 8 ? (double)((const int64_t *)X->data)[j] : (double)((const int32_t *)X->data)[j];
}

static inline int64_t place(const void *indices, int bytes, ptrdiff_t j) {
    return bytes == 8 ? ((const int64_t *)indices)[j] : ((const int32_t *)indices)[j];
}

#define LOAD_WHOLE(type)                                                \
    for (ptrdiff_t i = 0; i < n; i++) {                                 \
        int64_t value = ((const type *)X->data)[j + i];                 \
        x[i] = (int16_t)value;                                          \
        wide |= value ^ (int16_t)value;                                 \
        sum += (int32_t)(x[i] < 0 ? -x[i] : x[i]);                      \
    }

/* Returns the sum of the absolute values, or MOST_WHOLE + 1 if one does not fit. */
static int32_t load_whole(const largest_rows_in *X, ptrdiff_t j, ptrdiff_t n, int16_t *restrict x) {
    int64_t wide = 0;
    int32_t sum = 0;
    if (X->data_bytes == 8) {
        LOAD_WHOLE(int64_t)
    } else {
        LOAD_WHOLE(int32_t)
    }
    return wide ? MOST_WHOLE + 1 : sum;
}

/* Each `value` makes an x and a term of the sum. */
#define LOAD(type, its_x, term)                                \
    for (ptrdiff_t i = 0; i < n; i++) {                        \
        double value = (double)((const type *)X->data)[j + i]; \
        outside |= !(fabs(value) <= DBL_MAX);                  \
        x[i] = its_x;                                          \
        sum += term;                                           \
    }

static double load_real(const largest_rows_in *X, ptrdiff_t j, ptrdiff_t n, float *restrict x, int *nonfinite) {
    int outside = 0;
    double sum = 0.0;
    if (X->data_bytes == 8) {
        LOAD(double, (float)value, fabs(value))
    } else {
        LOAD(float, (float)value, fabs(value))
    }
    *nonfinite |= outside;
    return sum;
}

/* 1 where the number is above the threshold, else 0; returns how many ones. */
static int32_t load_ones(const largest_rows_in *X, ptrdiff_t j, ptrdiff_t n, double threshold, int16_t *restrict x,
                         int *nonfinite) {
    int32_t sum = 0;
    int outside = 0;
    if (X->is_real && X->data_bytes == 8) {
        LOAD(double, value > threshold, x[i])
    } else if (X->is_real) {
        LOAD(float, value > threshold, x[i])
    } else if (X->data_bytes == 8) {
        LOAD(int64_t, value > threshold, x[i])
    } else {
        LOAD(int32_t, value > threshold, x[i])
    }
    *nonfinite |= outside;
    return sum;
}

#define LOAD_INDICES(type)                              \
    for (ptrdiff_t i = 0; i < n; i++) {                 \
        int64_t index = ((const type *)indices)[j + i]; \
        rows[i] = (int32_t)index;                       \
        signs |= index | (last - index);                \
    }

/* Returns whether all lie between 0 and `last`. */
static int load_indices(const void *indices, int bytes, ptrdiff_t j, ptrdiff_t n, int64_t last, int32_t *restrict rows) {
    int64_t signs = 0;
    if (bytes == 8) {
        LOAD_INDICES(int64_t)
    } else {
        LOAD_INDICES(int32_t)
    }
    return signs >= 0;
}

/* Returns the class that is ahead of all others by more than `doubt`, or -1; makes scores of sums. Nothing depends on a
 * comparison but what is returned, for which class wins is what no processor foresees. */
static ptrdiff_t settle(double *scores, double unit, const double *offset, ptrdiff_t n_classes, double doubt) {
    double most[LANES], largest = -INFINITY;
    ptrdiff_t n_near = 0, best = 0;
    for (ptrdiff_t k = 0; k < n_classes; k++) {
        scores[k] = unit * scores[k] + offset[k];
    }
    for (ptrdiff_t k = n_classes; k % LANES; k++) {
        scores[k] = -INFINITY;
    }
    for (int lane = 0; lane < LANES; lane++) {
        most[lane] = -INFINITY;
    }
    for (ptrdiff_t k = 0; k < n_classes; k += LANES) {
        for (int lane = 0; lane < LANES; lane++) {
            most[lane] = scores[k + lane] > most[lane] ? scores[k + lane] : most[lane];
        }
    }
    for (int lane = 0; lane < LANES; lane++) {
        largest = most[lane] > largest ? most[lane] : largest;
    }
    double limit = largest - doubt;
    for (ptrdiff_t k = 0; k < n_classes; k++) {
        n_near += !(scores[k] < limit); /* NaN is near whatever */
        best += scores[k] == largest ? k : 0;
    }
    return n_near == 1 ? best : -1;
}

/* The scores of a row with both parts, in units of the low ones; returns the sum of its absolute values. */
static double add_all(const largest_rows_in *X, ptrdiff_t begin, ptrdiff_t end, const largest_table *table, int binary,
                    double threshold, double *restrict scores) {
    double size = 0.0;
    for (ptrdiff_t k = 0; k < table->n_classes; k++) {
        scores[k] = 0.0;
    }
    for (ptrdiff_t j = begin; j < end; j++) {
        double x = number(X, j);
        if (binary) {
            if (!(x > threshold)) {
                continue;
            }
            x = 1.0;
        }
        size += fabs(x);
        const char *cell = table->cells + place(X->indices, X->index_bytes, j) * table->stride;
        const int16_t *high = (const int16_t *)cell;
        const int8_t *low = (const int8_t *)(cell + 2 * table->n_classes);
        for (ptrdiff_t k = 0; k < table->n_classes; k++) {
            scores[k] += x * (256 * high[k] + low[k]);
        }
    }
    return size;
}

static int rows(const largest_rows_in *X, const largest_table *table, int binary, double threshold, ptrdiff_t start,
                ptrdiff_t stop, void *scratch, intptr_t *largest_out) {
    ptrdiff_t n_classes = table->n_classes, sums_bytes = (n_classes / 32 + 1) * 128;
    char *sums = scratch;
    double *scores = (double *)(sums + sums_bytes);
    int32_t places[LARGEST_CHUNK], next[LARGEST_CHUNK] = {0};
    int16_t whole[LARGEST_CHUNK];
    float real[LARGEST_CHUNK];
    int nonfinite = 0, real_sums = X->is_real && !binary;
    double high_unit = 256.0 * table->unit, offset_rounding = 0.0;
    for (ptrdiff_t k = 0; k < n_classes; k++) {
        offset_rounding += 0x1p-49 * fabs(table->offset[k]);
    }
    for (ptrdiff_t row = start; row < stop; row++) {
        ptrdiff_t begin = place(X->indptr, X->index_bytes, row), end = place(X->indptr, X->index_bytes, row + 1);
        if (begin < 0 || end < begin || end > X->n_entries) {
            return TROUBLE_MALFORMED;
        }
        double size = 0.0;
        if (real_sums) {
            memset(scores, 0, (size_t)(n_classes / 32 + 1) * 32 * sizeof(double));
        } else {
            memset(sums, 0, (size_t)sums_bytes);
        }
        for (ptrdiff_t j = begin, n; j < end; j += n) {
            n = end - j < LARGEST_CHUNK ? end - j : LARGEST_CHUNK;
            if (j + FAR + LARGEST_CHUNK <= X->n_entries) {
                for (ptrdiff_t i = 0; i < LARGEST_CHUNK; i += 8) {
                    __builtin_prefetch((const char *)X->data + (j + FAR + i) * X->data_bytes);
                    __builtin_prefetch((const char *)X->indices + (j + FAR + i) * X->index_bytes);
                }
            }
            if (!load_indices(X->indices, X->index_bytes, j, n, table->n_features - 1, places)) {
                return TROUBLE_MALFORMED;
            }
            /* the entries after these are only asked for, but not before they are known to lie in the table */
            ptrdiff_t n_next = X->n_entries - j - n < LARGEST_CHUNK ? X->n_entries - j - n : LARGEST_CHUNK;
            if (!load_indices(X->indices, X->index_bytes, j + n, n_next, table->n_features - 1, next)) {
                memset(next, 0, sizeof(next));
            }
            if (real_sums) {
                size += load_real(X, j, n, real, &nonfinite);
                add_real(real, places, next, n, table, scores);
                continue;
            }
            size += binary ? load_ones(X, j, n, threshold, whole, &nonfinite) : load_whole(X, j, n, whole);
            if (n % 2) { /* half a pair */
                places[n] = places[n - 1];
                whole[n] = 0;
            }
            add_whole(whole, places, next, n + n % 2, table, sums);
        }
        double count = (double)(end - begin), rounding = 0x1p-49 * (count + 1.0) * table->largest_value, doubt;
        ptrdiff_t best = -1;
        if (real_sums && size < MOST_REAL) {
            doubt = high_unit * (1.3 * size + count * 0x1p-110) + rounding * size + offset_rounding;
            best = settle(scores, high_unit, table->offset, n_classes, doubt);
        } else if (!real_sums && size <= MOST_WHOLE) {
            order_whole(sums, n_classes, scores);
            doubt = (1.01 * high_unit + rounding) * size + offset_rounding;
            best = settle(scores, high_unit, table->offset, n_classes, doubt);
        }
        if (best < 0) {
            size = add_all(X, begin, end, table, binary, threshold, scores);
            doubt = (table->unit * (1.01 + count * 0x1p-27) + rounding) * size + offset_rounding;
            best = size < 1e100 ? settle(scores, table->unit, table->offset, n_classes, doubt) : -1;
        }
        largest_out[row] = best;
    }
    return nonfinite ? TROUBLE_NONFINITE : 0;
}

const largest_ops TIER_NAME(largest_ops) = {pack, rows};
