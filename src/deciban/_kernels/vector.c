/* The vector loops: plain C over eight lanes at a time, which the compiler maps to what the tier has (four SSE2, two AVX2
 * or one AVX-512 register). There is no fused multiply-add and no reassociation, so every tier gives the same bits.
 *
 * Cost: accumulate moves 8 bytes and does 2 flops for each (entry, column) and keeps its sums in registers; exp is 17
 * multiplications and additions an element.
 */
#include "vector.h"

#include <float.h>
#include <string.h>

#include "elementary.h"

#define LANES 8
#define TERMS 256 /* exponentials at a time */

/* Eight doubles that the compiler keeps in registers; it may stand at any double's address. */
typedef double lanes __attribute__((vector_size(LANES * sizeof(double)), aligned(sizeof(double)), may_alias));
typedef double half_lanes __attribute__((vector_size(LANES / 2 * sizeof(double)), aligned(sizeof(double)), may_alias));

/* Some columns of a row as doubles. GCC 12 makes of this loop the one instruction that it does not find for
 * __builtin_convertvector. */
#define LOAD(type, value, row, n_lanes)                 \
    type value;                                         \
    for (int lane = 0; lane < (n_lanes); lane++) {      \
        value[lane] = (row)[lane];                      \
    }

/* Some more columns: with several sums at once, one's addition does not wait for another's. A line of the row further on
 * is asked for with each use of a line, not many at once, of which a core can wait for 10 to 16. */
#define COLUMNS(type, ...)                                                     \
    do {                                                                       \
        for (ptrdiff_t i = 0; i < n; i++) {                                    \
            const type *row = table + (size_t)rows[i] * n_columns + k;         \
            const type *next = table + (size_t)rows[i + ahead] * n_columns + k; \
            __VA_ARGS__                                                        \
        }                                                                      \
    } while (0)
#define ADD(sum, at)                         \
    __builtin_prefetch(next + (at));         \
    {                                        \
        LOAD(lanes, value, row + (at), LANES) \
        sum += x[i] * value;                 \
    }
#define ADD_HALF(sum, at)                               \
    __builtin_prefetch(next + (at));                    \
    {                                                   \
        LOAD(half_lanes, value, row + (at), LANES / 2)  \
        sum += x[i] * value;                            \
    }

#define DEFINE_ACCUMULATE_LANES(name, type, index)                                                              \
    static ptrdiff_t name(const double *x, const index *rows, ptrdiff_t n, ptrdiff_t ahead, const type *table,                          \
                          ptrdiff_t n_columns, double *out) {                                                             \
        ptrdiff_t k = 0;                                                                                                  \
        for (; k + 4 * LANES <= n_columns; k += 4 * LANES) {                                                              \
            lanes *to = (lanes *)(out + k);                                                                               \
            lanes a = to[0], b = to[1], c = to[2], d = to[3];                                                             \
            COLUMNS(type, ADD(a, 0) ADD(b, LANES) ADD(c, 2 * LANES) ADD(d, 3 * LANES));           \
            to[0] = a, to[1] = b, to[2] = c, to[3] = d;                                                                   \
        }                                                                                                                 \
        if (k + 2 * LANES + LANES / 2 <= n_columns) {                                                                     \
            lanes *to = (lanes *)(out + k);                                                                               \
            half_lanes *rest = (half_lanes *)(to + 2);                                                                    \
            lanes a = to[0], b = to[1];                                                                                   \
            half_lanes c = *rest;                                                                                         \
            COLUMNS(type, ADD(a, 0) ADD(b, LANES) ADD_HALF(c, 2 * LANES));                              \
            to[0] = a, to[1] = b, *rest = c;                                                                              \
            k += 2 * LANES + LANES / 2;                                                                                   \
        }                                                                                                                 \
        for (; k + LANES <= n_columns; k += LANES) {                                                                      \
            lanes a = *(lanes *)(out + k);                                                                                \
            COLUMNS(type, ADD(a, 0));                                                                               \
            *(lanes *)(out + k) = a;                                                                                      \
        }                                                                                                                 \
        if (k + LANES / 2 <= n_columns) {                                                                                 \
            half_lanes a = *(half_lanes *)(out + k);                                                                      \
            COLUMNS(type, ADD_HALF(a, 0));                                                                          \
            *(half_lanes *)(out + k) = a;                                                                                 \
            k += LANES / 2;                                                                                               \
        }                                                                                                                 \
        if (k < n_columns && n_columns >= LANES / 2) {                                                                    \
            /* the last ones together with some before them, whose sums are not wanted again */                           \
            ptrdiff_t n_done = LANES / 2 - (n_columns - k);                                                               \
            k = n_columns - LANES / 2;                                                                                    \
            half_lanes a = *(half_lanes *)(out + k);                                                                      \
            COLUMNS(type, ADD_HALF(a, 0));                                                                                \
            for (ptrdiff_t lane = n_done; lane < LANES / 2; lane++) out[k + lane] = a[lane];                              \
            k = n_columns;                                                                                                \
        }                                                                                                                 \
        return k;                                                                                                         \
    }

#define DEFINE_ACCUMULATE(name, type, index)                                                                    \
    DEFINE_ACCUMULATE_LANES(name##_lanes, type, index)                                                          \
    static void name(const double *x, const index *rows, ptrdiff_t n, ptrdiff_t ahead, const type *table,                               \
                     ptrdiff_t n_columns, double *out) {                                                                  \
        for (ptrdiff_t k = name##_lanes(x, rows, n, ahead, table, n_columns, out); k < n_columns; k++) {                         \
            double sum = out[k];                                                                                          \
            for (ptrdiff_t i = 0; i < n; i++) {                                                                           \
                sum += x[i] * (double)table[(size_t)rows[i] * n_columns + k];                                                                         \
            }                                                                                                             \
            out[k] = sum;                                                                                                 \
        }                                                                                                                 \
    }

DEFINE_ACCUMULATE(accumulate, double, int32_t)
DEFINE_ACCUMULATE(accumulate_long, double, int64_t)
DEFINE_ACCUMULATE(accumulate_narrow, float, int32_t)
DEFINE_ACCUMULATE(accumulate_narrow_long, float, int64_t)

/* x - x is 0 for finite x and NaN otherwise. */
static int are_finite(const double *x, ptrdiff_t n) {
    lanes a = {0.0}, b = {0.0};
    double rest = 0.0;
    ptrdiff_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        lanes first = *(const lanes *)(x + i), second = *(const lanes *)(x + i + LANES);
        a += first - first;
        b += second - second;
    }
    for (; i < n; i++) rest += x[i] - x[i];
    a += b;
    for (int lane = 0; lane < LANES; lane++) rest += a[lane];
    return rest == 0.0;
}

/* The sums of a dense row: those of every fourth feature (of one column: of every 32nd) apart, so that additions do not
 * wait for one another. A last piece of columns that is not whole begins earlier, and makes some sums twice. */
#define MULTIPLY(sum, x, row)       \
    {                               \
        LOAD(lanes, value, row, LANES) \
        sum += (x) * value;         \
    }
#define DEFINE_PRODUCT(name, type)                                                                                       \
    static int name(const double *x, ptrdiff_t n, const type *table, ptrdiff_t n_columns, double *out) {                 \
        ptrdiff_t i = 0;                                                                                                 \
        if (n_columns == 1) { /* a piece is one of features */                                                           \
            lanes a = {0.0}, b = {0.0}, c = {0.0}, d = {0.0};                                                            \
            double rest = 0.0;                                                                                           \
            for (; i + 4 * LANES <= n; i += 4 * LANES) {                                                                 \
                MULTIPLY(a, *(const lanes *)(x + i), table + i)                                                          \
                MULTIPLY(b, *(const lanes *)(x + i + LANES), table + i + LANES)                                          \
                MULTIPLY(c, *(const lanes *)(x + i + 2 * LANES), table + i + 2 * LANES)                                  \
                MULTIPLY(d, *(const lanes *)(x + i + 3 * LANES), table + i + 3 * LANES)                                  \
            }                                                                                                            \
            for (; i + LANES <= n; i += LANES) MULTIPLY(a, *(const lanes *)(x + i), table + i)                           \
            for (; i < n; i++) rest += x[i] * table[i];                                                                  \
            a = (a + b) + (c + d);                                                                                       \
            out[0] = (((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7]))) + rest;                         \
        } else if (n_columns < LANES) {                                                                                  \
            double sums[4][LANES] = {{0.0}};                                                                             \
            for (; i < n; i++)                                                                                           \
                for (ptrdiff_t k = 0; k < n_columns; k++) sums[i % 4][k] += x[i] * table[i * n_columns + k];             \
            for (ptrdiff_t k = 0; k < n_columns; k++)                                                                    \
                out[k] = (sums[0][k] + sums[1][k]) + (sums[2][k] + sums[3][k]);                                          \
        } else {                                                                                                         \
            for (ptrdiff_t k = 0; k < n_columns; k += LANES) {                                                           \
                k = k + LANES <= n_columns ? k : n_columns - LANES;                                                      \
                lanes a = {0.0}, b = {0.0}, c = {0.0}, d = {0.0};                                                        \
                const type *row = table + k;                                                                             \
                for (i = 0; i + 4 <= n; i += 4, row += 4 * n_columns) {                                                  \
                    MULTIPLY(a, x[i], row)                                                                               \
                    MULTIPLY(b, x[i + 1], row + n_columns)                                                               \
                    MULTIPLY(c, x[i + 2], row + 2 * n_columns)                                                           \
                    MULTIPLY(d, x[i + 3], row + 3 * n_columns)                                                           \
                }                                                                                                        \
                for (; i < n; i++, row += n_columns) MULTIPLY(a, x[i], row)                                              \
                *(lanes *)(out + k) = (a + b) + (c + d);                                                                 \
            }                                                                                                            \
        }                                                                                                                \
        return are_finite(x, n);                                                                                         \
    }

DEFINE_PRODUCT(product, double)
DEFINE_PRODUCT(product_narrow, float)

static void exp_shifted(double *values, ptrdiff_t n, double shift) {
    for (ptrdiff_t i = 0; i < n; i++) {
        values[i] = exp_point(values[i] - shift);
    }
}

/* log sum_k exp(v_k) = v_max + log1p(sum over the others of exp(v_k - v_max)); the terms are added in fixed lanes. A
 * probability is its term over their sum: exp(v_k - log sum) would take a second exponential, and lose in it as many
 * digits as v_k is long. */
static int normalize(double *values, ptrdiff_t n, int as_probability) {
    double largest = values[0];
    int has_nan = 0;
    for (ptrdiff_t k = 0; k < n; k++) { /* without a branch, which could not be guessed */
        has_nan |= values[k] != values[k];
        largest = values[k] > largest ? values[k] : largest;
    }
    if (has_nan || !(fabs(largest) <= DBL_MAX)) {
        return 0;
    }
    ptrdiff_t winner = 0;
    while (values[winner] != largest) winner++;
    double sums[LANES] = {0.0}, terms[TERMS];
    for (ptrdiff_t start = 0; start < n; start += TERMS) {
        double *some = values + start;
        ptrdiff_t n_terms = n - start < TERMS ? n - start : TERMS, i = 0;
        for (ptrdiff_t k = 0; k < n_terms; k++) terms[k] = exp_point(some[k] - largest);
        if (as_probability) memcpy(some, terms, (size_t)n_terms * sizeof(double));
        if (start <= winner && winner < start + n_terms) terms[winner - start] = 0.0;
        for (; i + LANES <= n_terms; i += LANES) {
            for (int lane = 0; lane < LANES; lane++) sums[lane] += terms[i + lane];
        }
        for (; i < n_terms; i++) sums[0] += terms[i];
    }
    double sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    if (as_probability) {
        for (ptrdiff_t k = 0; k < n; k++) {
            values[k] /= 1.0 + sum;
        }
    } else {
        double log_sum = log1p(sum) + largest;
        for (ptrdiff_t k = 0; k < n; k++) {
            values[k] -= log_sum;
        }
    }
    return 1;
}

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define HAVE_SHUFFLE 1
/* Swap the off-diagonal blocks of the pair (a, b): of 1, 2, then 4 lanes; three rounds transpose eight by eight. */
#define SWAP_1(a, b, x, y)                                              \
    x = __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14);       \
    y = __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#define SWAP_2(a, b, x, y)                                              \
    x = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);        \
    y = __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define SWAP_4(a, b, x, y)                                              \
    x = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);        \
    y = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15)

static inline void transpose(const double *x, ptrdiff_t stride, double *out) {
    lanes a[LANES], b[LANES];
    for (int row = 0; row < LANES; row++) {
        a[row] = *(const lanes *)(x + row * stride);
    }
    SWAP_1(a[0], a[1], b[0], b[1]);
    SWAP_1(a[2], a[3], b[2], b[3]);
    SWAP_1(a[4], a[5], b[4], b[5]);
    SWAP_1(a[6], a[7], b[6], b[7]);
    SWAP_2(b[0], b[2], a[0], a[2]);
    SWAP_2(b[1], b[3], a[1], a[3]);
    SWAP_2(b[4], b[6], a[4], a[6]);
    SWAP_2(b[5], b[7], a[5], a[7]);
    SWAP_4(a[0], a[4], b[0], b[4]);
    SWAP_4(a[1], a[5], b[1], b[5]);
    SWAP_4(a[2], a[6], b[2], b[6]);
    SWAP_4(a[3], a[7], b[3], b[7]);
    for (int f = 0; f < LANES; f++) {
        *(lanes *)(out + f * VECTOR_ROWS) = b[f];
    }
}
#endif
#endif

static void interleave(const double *x, ptrdiff_t stride, ptrdiff_t n_features, double *out) {
    ptrdiff_t f = 0;
#ifdef HAVE_SHUFFLE
    for (; f + LANES <= n_features; f += LANES) {
        for (int row = 0; row < VECTOR_ROWS; row += LANES) {
            transpose(x + row * stride + f, stride, out + f * VECTOR_ROWS + row);
        }
    }
#endif
    for (; f < n_features; f++) {
        for (int row = 0; row < VECTOR_ROWS; row++) {
            out[f * VECTOR_ROWS + row] = x[row * stride + f];
        }
    }
}

static void squared_distance(const double *x, const double *mean, const double *precision, ptrdiff_t n_features,
                             double *out) {
    lanes *to = (lanes *)out;
    lanes a = to[0], b = to[1], c = to[2], d = to[3];
    for (ptrdiff_t f = 0; f < n_features; f++) {
        const lanes *column = (const lanes *)(x + f * VECTOR_ROWS);
        lanes e = column[0] - mean[f], g = column[1] - mean[f], h = column[2] - mean[f], i = column[3] - mean[f];
        a += e * e * precision[f];
        b += g * g * precision[f];
        c += h * h * precision[f];
        d += i * i * precision[f];
    }
    to[0] = a, to[1] = b, to[2] = c, to[3] = d;
}

static int nearest(const double *distance, const double *offset, ptrdiff_t n_classes, int64_t *nearest_out) {
    double best[VECTOR_ROWS];
    int64_t winner[VECTOR_ROWS], infinite[VECTOR_ROWS] = {0};
    for (int row = 0; row < VECTOR_ROWS; row++) {
        best[row] = -INFINITY;
        winner[row] = 0;
    }
    for (ptrdiff_t k = 0; k < n_classes; k++) {
        for (int row = 0; row < VECTOR_ROWS; row++) {
            double d = distance[k * VECTOR_ROWS + row];
            double value = offset[k] - 0.5 * d;
            winner[row] = value > best[row] ? k : winner[row];
            best[row] = value > best[row] ? value : best[row];
            infinite[row] |= d <= DBL_MAX ? 0 : 1; /* NaN too */
        }
    }
    int64_t any = 0;
    for (int row = 0; row < VECTOR_ROWS; row++) {
        any |= infinite[row];
    }
    memcpy(nearest_out, winner, sizeof winner);
    return !any;
}

static void add_shifted(const double *restrict x, const double *restrict shift, double weight, ptrdiff_t n,
                        double *restrict sums, double *restrict squares) {
    for (ptrdiff_t f = 0; f < n; f++) {
        double difference = x[f] - shift[f], weighted = weight * difference;
        sums[f] += weighted;
        squares[f] += weighted * difference;
    }
}

const vector_ops TIER_NAME(vector_ops) = {
    accumulate, accumulate_long, accumulate_narrow, accumulate_narrow_long, are_finite, product, product_narrow,
    exp_shifted, normalize, interleave, squared_distance, nearest, add_shifted};
