/* The loops of products.h. A multiplication and an addition may become one operation here; an element's sum is made in the
 * order of k, up to DEPTH terms in a register and then added to what there is, whichever rows and columns are asked for,
 * unless a table lies by columns: then that of a few rows is made otherwise than that of many.
 *
 * A few vectors of columns are taken at a time, and up to DEPTH rows of the table: they are copied to a panel, one after
 * the other, where they stay in cache while all rows of x pass. A tile of some rows of x by the panel's columns is summed
 * in registers, so a multiplication costs a fraction of a load: that of a vector of the panel goes to every row of the
 * tile, that of an element of x to every vector. So a panel of four vectors by six rows takes 10 loads for 24
 * multiplications (K. Goto, R. van de Geijn, Anatomy of high-performance matrix multiplication, ACM Transactions on
 * Mathematical Software 34 (2008)). A table that lies by columns is transposed on its way to the panel.
 *
 * A few rows leave a table where it is. Where that lies by columns, or has very few, vectors go along them and the rows of x,
 * and an element is the sum of lanes.
 */
#include "products.h"

#include <string.h>

#ifdef REAL_IS_FLOAT
typedef float real;
#else
typedef double real;
#endif

#include "squares.h"

#if defined(__AVX2__) && defined(HAVE_SHUFFLES)
#ifdef __AVX512F__ /* 32 registers */
#define BYTES 64
#define MOST 4 /* vectors of a panel's row */
#else /* 16 */
#define BYTES 32
#define MOST 2
#endif
#define LANES ((ptrdiff_t)(BYTES / sizeof(real)))
#define DEPTH 256
#define NARROW 64 /* rows at a time where they are shorter than a vector */
#define AT_ONCE _Pragma("GCC unroll 24")
#define COLUMN 1024 /* terms of a dot product */
#define CHAINS 4 /* sums of a single dot product, which do not wait for each other */
#define AHEAD 8192 /* bytes of x that are asked for before they are needed: 30 % faster than what the processor foresees */
#define DOTS (32 / sizeof(real) - 1) /* columns, at most, for which such products are made */
#define FEW 8 /* rows that are not worth a copy of the table */
/* A vector that may stand at any real's address, and one on its own boundary. */
typedef real lanes __attribute__((vector_size(BYTES), aligned(sizeof(real)), may_alias));
typedef real whole __attribute__((vector_size(BYTES), may_alias));
typedef long long bits __attribute__((vector_size(BYTES)));

static inline ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

/* `m` rows of x, of which n_rows are there (the last one stands for those that are not), by `n` vectors of each of
 * `depth` rows of a table. The last of them begins at `table_last`, and that of `out` at `last`: it may overlap the one
 * before, which has the same sums there. */
static inline __attribute__((always_inline)) void add_tile(int m, int n, const real *x, ptrdiff_t row_step,
                                                           ptrdiff_t step, ptrdiff_t n_rows, ptrdiff_t depth,
                                                           const real *table, ptrdiff_t table_row_step,
                                                           ptrdiff_t table_last, int is_added, real *out,
                                                           ptrdiff_t out_step, ptrdiff_t last) {
    lanes sums[m * n];
    const real *rows[m];
    AT_ONCE for (int r = 0; r < m; r++) {
        rows[r] = x + (r < n_rows ? r : n_rows - 1) * row_step;
        AT_ONCE for (int v = 0; v < n; v++) {
            sums[r * n + v] = (lanes){0};
        }
    }
    for (ptrdiff_t k = 0; k < depth; k++, table += table_row_step) {
        AT_ONCE for (int r = 0; r < m; r++) {
            real value = rows[r][k * step];
            AT_ONCE for (int v = 0; v < n; v++) {
                sums[r * n + v] += value * *(const lanes *)(table + (v < n - 1 ? v * LANES : table_last));
            }
        }
    }
    AT_ONCE for (int r = 0; r < m; r++) {
        real *to = out + r * out_step;
        if (r < n_rows) {
            AT_ONCE for (int v = 0; v < n && is_added; v++) {
                sums[r * n + v] += *(const lanes *)(to + (v < n - 1 ? v * LANES : last));
            }
            AT_ONCE for (int v = 0; v < n; v++) {
                *(lanes *)(to + (v < n - 1 ? v * LANES : last)) = sums[r * n + v];
            }
        }
    }
}

/* Tiles of m rows; which step is 1 is known to the compiler. */
#define ADD_TILES(m, n)                                                                                                \
    static void add_tiles_##m##_##n(const real *x, ptrdiff_t row_step, ptrdiff_t step, ptrdiff_t n_rows,               \
                                    ptrdiff_t depth, const real *table, ptrdiff_t table_row_step,                      \
                                    ptrdiff_t table_last, int is_added, real *out, ptrdiff_t out_step,                 \
                                    ptrdiff_t last) {                                                                  \
        for (ptrdiff_t row = 0; row < n_rows; row += m, x += m * row_step, out += m * out_step) {                      \
            if (step == 1) {                                                                                           \
                add_tile(m, n, x, row_step, 1, n_rows - row, depth, table, table_row_step, table_last, is_added, out,  \
                         out_step, last);                                                                              \
            } else {                                                                                                   \
                add_tile(m, n, x, 1, step, n_rows - row, depth, table, table_row_step, table_last, is_added, out,      \
                         out_step, last);                                                                              \
            }                                                                                                          \
        }                                                                                                              \
    }
typedef void (*add_tiles)(const real *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, const real *, ptrdiff_t, ptrdiff_t,
                          int, real *, ptrdiff_t, ptrdiff_t);
ADD_TILES(1, 1)
ADD_TILES(1, 2)
ADD_TILES(1, 3)
ADD_TILES(1, 4)
ADD_TILES(1, 8)
ADD_TILES(4, 1)
ADD_TILES(4, 2)
#if MOST == 4
ADD_TILES(1, 16)
ADD_TILES(1, 24)
ADD_TILES(4, 3)
ADD_TILES(4, 4)
ADD_TILES(14, 1)
ADD_TILES(12, 2)
ADD_TILES(8, 3)
ADD_TILES(6, 4)
static const add_tiles few_by_width[MOST] = {add_tiles_4_1, add_tiles_4_2, add_tiles_4_3, add_tiles_4_4};
static const add_tiles by_width[MOST] = {add_tiles_14_1, add_tiles_12_2, add_tiles_8_3, add_tiles_6_4};
#else
ADD_TILES(12, 1)
ADD_TILES(6, 2)
static const add_tiles few_by_width[MOST] = {add_tiles_4_1, add_tiles_4_2};
static const add_tiles by_width[MOST] = {add_tiles_12_1, add_tiles_6_2};
#endif

/* One row of x by a table of a vector or more, whose rows are read as far as there are registers for their sums. */
static void multiply_row(const real *x, ptrdiff_t step, ptrdiff_t n_inner, const real *table, ptrdiff_t table_row_step,
                         ptrdiff_t n_columns, int is_added, real *out) {
    static const struct {
        ptrdiff_t n; /* vectors */
        add_tiles add;
    } widths[] = {
#if MOST == 4
        {24, add_tiles_1_24}, {16, add_tiles_1_16},
#endif
        {8, add_tiles_1_8}, {4, add_tiles_1_4}, {3, add_tiles_1_3}, {2, add_tiles_1_2}, {1, add_tiles_1_1}};
    ptrdiff_t n_cuts = (n_inner + DEPTH - 1) / DEPTH;
    for (ptrdiff_t cut = 0; cut < n_cuts; cut++) {
        ptrdiff_t from = cut * n_inner / n_cuts, depth = (cut + 1) * n_inner / n_cuts - from;
        for (ptrdiff_t column = 0, i = 0; column < n_columns; column += widths[i].n * LANES) {
            ptrdiff_t left = (n_columns - column + LANES - 1) / LANES;
            while (widths[i].n > left || widths[i].n == left - 1) { /* a vector that overlaps is no tile of its own */
                i++;
            }
            ptrdiff_t last = least((widths[i].n - 1) * LANES, n_columns - LANES - column);
            widths[i].add(x + from * step, step, step, 1, depth, table + from * table_row_step + column, table_row_step,
                          last, cut > 0 || is_added, out + column, n_columns, last);
        }
    }
}

#define EACH_4(index, h) index(0, h), index(1, h), index(2, h), index(3, h)
#define EACH_8(index, h) EACH_4(index, h), index(4, h), index(5, h), index(6, h), index(7, h)
#define EACH_16(index, h)                                                                                              \
    EACH_8(index, h), index(8, h), index(9, h), index(10, h), index(11, h), index(12, h), index(13, h), index(14, h),  \
        index(15, h)
#if MOST == 4 && defined(REAL_IS_FLOAT)
#define EACH EACH_16
#elif MOST == 4 || defined(REAL_IS_FLOAT)
#define EACH EACH_8
#else
#define EACH EACH_4
#endif
/* Of two vectors: the lanes i without bit h of the first and those with it of the second, or their partners i ^ h. */
#define OWN(i, h) (i & h ? (int)LANES + i : i)
#define PARTNER(i, h) (i & h ? (int)LANES + (i ^ h) : i ^ h)
#define ADD_PAIRS(h)                                                                                                   \
    AT_ONCE for (int i = 0; i < h; i++) {                                                                              \
        sums[i] = __builtin_shufflevector(sums[i], sums[i + h], EACH(OWN, h)) +                                        \
                  __builtin_shufflevector(sums[i], sums[i + h], EACH(PARTNER, h));                                     \
    }

/* The sums of the lanes of LANES vectors, side by side. They are made in the same order for all. */
static inline __attribute__((always_inline)) lanes add_lanes(lanes *sums) {
#if MOST == 4 && defined(REAL_IS_FLOAT)
    ADD_PAIRS(8)
#endif
#if MOST == 4 || defined(REAL_IS_FLOAT)
    ADD_PAIRS(4)
#endif
    ADD_PAIRS(2)
    ADD_PAIRS(1)
    return sums[0];
}

/* Columns of `depth` terms, which lie COLUMN apart, and the vector of terms that begins at `end`, in which those that are
 * taken before are 0, as the mask has it, and such as are not there; what x has there may be NaN. */
typedef struct {
    real terms[DOTS * COLUMN];
    whole ends[DOTS], mask;
    ptrdiff_t depth, end;
} columns;

static void take_columns(const real *table, ptrdiff_t row_step, ptrdiff_t step, ptrdiff_t depth, int n, columns *out) {
    ptrdiff_t begun = depth / LANES * LANES;
    out->depth = depth;
    out->end = depth < LANES ? 0 : depth - LANES;
    for (int c = 0; c < n; c++) {
        for (ptrdiff_t k = 0; k < depth; k++) {
            out->terms[c * COLUMN + k] = table[k * row_step + c * step];
        }
    }
    for (ptrdiff_t i = 0; i < LANES; i++) {
        int is_there = out->end + i >= begun && out->end + i < depth;
        memset((real *)&out->mask + i, is_there ? 0xFF : 0, sizeof(real));
        for (int c = 0; c < n; c++) {
            ((real *)&out->ends[c])[i] = is_there ? out->terms[c * COLUMN + out->end + i] : 0;
        }
    }
}

/* The products of LANES rows of x with column c, as add_dots() makes them, where rows are short. */
static inline lanes short_dots(const real *x, ptrdiff_t row_step, const columns *by, int c) {
    lanes sums[LANES];
    AT_ONCE for (int r = 0; r < LANES; r++) {
        sums[r] = (lanes){0};
    }
    for (ptrdiff_t k = 0; k + LANES <= by->depth; k += LANES) {
        AT_ONCE for (int r = 0; r < LANES; r++) {
            __builtin_prefetch((const char *)(x + r * row_step + k) + AHEAD);
            sums[r] += *(const lanes *)(x + r * row_step + k) * *(const lanes *)(by->terms + c * COLUMN + k);
        }
    }
    if (by->depth % LANES) {
        AT_ONCE for (int r = 0; r < LANES; r++) {
            __builtin_prefetch((const char *)(x + r * row_step + by->end) + AHEAD);
            sums[r] += (lanes)((bits)*(const lanes *)(x + r * row_step + by->end) & (bits)by->mask) * by->ends[c];
        }
    }
    return add_lanes(sums);
}

/* The products of one row of x with `n` columns, each in lanes. */
static inline __attribute__((always_inline)) void row_dots(int n, int n_chains, const real *x, int is_read,
                                                           const columns *by, lanes *out, ptrdiff_t out_step) {
    lanes sums[DOTS * CHAINS];
    ptrdiff_t k = 0;
    AT_ONCE for (int i = 0; i < n * n_chains; i++) {
        sums[i] = (lanes){0};
    }
    for (; k + n_chains * LANES <= by->depth; k += n_chains * LANES) {
        AT_ONCE for (int i = 0; i < n_chains; i++) {
            lanes here = *(const lanes *)(x + k + i * LANES);
            __builtin_prefetch((const char *)(x + k + i * LANES) + AHEAD);
            AT_ONCE for (int c = 0; c < n; c++) {
                sums[c * n_chains + i] += here * *(const lanes *)(by->terms + c * COLUMN + k + i * LANES);
            }
        }
    }
    for (; k + LANES <= by->depth; k += LANES) { /* of the one column that has chains */
        sums[0] += *(const lanes *)(x + k) * *(const lanes *)(by->terms + k);
    }
    if (k < by->depth) {
        lanes last = {0};
        if (is_read) {
            last = *(const lanes *)(x + by->end);
        } else {
            memcpy(&last, x, by->depth * sizeof(real));
        }
        last = (lanes)((bits)last & (bits)by->mask);
        AT_ONCE for (int c = 0; c < n; c++) {
            sums[c * n_chains] += last * by->ends[c];
        }
    }
    AT_ONCE for (int c = 0; c < n; c++) {
        AT_ONCE for (int i = 1; i < n_chains; i++) {
            sums[c * n_chains] += sums[c * n_chains + i];
        }
        out[c * out_step] = sums[c * n_chains];
    }
}

/* The products of at most LANES rows of x, of which n_read have a vector's values from their end on, with `n` columns. */
static inline __attribute__((always_inline)) void add_dots(int n, const real *x, ptrdiff_t row_step, ptrdiff_t n_rows,
                                                           ptrdiff_t n_read, const columns *by, int is_added,
                                                           real *out) {
    lanes sums[DOTS * LANES];
    int is_short = by->depth < CHAINS * LANES && n_rows == LANES && n_read >= LANES;
    for (int r = 0; r < n_rows && !is_short; r++) {
        row_dots(n, n == 1 ? CHAINS : 1, x + r * row_step, r < n_read, by, sums + r, LANES);
    }
    for (int i = 0; i < n * LANES && n_rows < LANES; i++) {
        sums[i] = i % LANES < n_rows ? sums[i] : (lanes){0};
    }
    for (int c = 0; c < n; c++) {
        lanes found = is_short ? short_dots(x, row_step, by, c) : add_lanes(sums + c * LANES);
        if (n == 1 && n_rows == LANES) {
            *(lanes *)out = found + (is_added ? *(lanes *)out : (lanes){0});
        } else {
            for (int r = 0; r < n_rows; r++) {
                out[r * n + c] = found[r] + (is_added ? out[r * n + c] : 0);
            }
        }
    }
}

#define ADD_DOTS(n)                                                                                                    \
    static void add_dots_##n(const real *x, ptrdiff_t row_step, ptrdiff_t n_rows, ptrdiff_t n_read, const columns *by, \
                             int is_added, real *out) {                                                                \
        for (ptrdiff_t row = 0; row < n_rows; row += LANES, x += LANES * row_step, out += LANES * n) {                 \
            add_dots(n, x, row_step, least(LANES, n_rows - row), n_read - row, by, is_added, out);                     \
        }                                                                                                              \
    }
typedef void (*add_dots_of)(const real *, ptrdiff_t, ptrdiff_t, ptrdiff_t, const columns *, int, real *);
ADD_DOTS(1)
ADD_DOTS(2)
ADD_DOTS(3)
#ifdef REAL_IS_FLOAT
ADD_DOTS(4)
ADD_DOTS(5)
ADD_DOTS(6)
ADD_DOTS(7)
static const add_dots_of by_count[DOTS] = {add_dots_1, add_dots_2, add_dots_3, add_dots_4,
                                           add_dots_5, add_dots_6, add_dots_7};
#else
static const add_dots_of by_count[DOTS] = {add_dots_1, add_dots_2, add_dots_3};
#endif

/* Rows of x, whose step is 1, by a table of at most DOTS columns. */
static void multiply_dots(const real *x, ptrdiff_t row_step, ptrdiff_t n_rows, ptrdiff_t n_inner, const real *table,
                          ptrdiff_t table_row_step, ptrdiff_t table_step, ptrdiff_t n_columns, int is_added,
                          real *out) {
    columns by;
    for (ptrdiff_t from = 0; from < n_inner; from += COLUMN) {
        ptrdiff_t depth = least(COLUMN, n_inner - from);
        /* rows that are shorter than a vector have it as far as x goes, which ends with the last of them */
        ptrdiff_t n_read = n_rows - (LANES > depth ? (LANES - depth + row_step - 1) / row_step : 0);
        take_columns(table + from * table_row_step, table_row_step, table_step, depth, (int)n_columns, &by);
        by_count[n_columns - 1](x + from, row_step, n_rows, n_read, &by, from > 0 || is_added, out);
    }
}

/* The products of m rows of x, of which n_rows are there, with n columns of a table, of which n_columns are there: LANES
 * products at most, for which the last rows and columns stand more than once. Both are a vector long or longer; of the one
 * that they end with the mask has what is not in those before it. */
static inline __attribute__((always_inline)) void few_dots(int m, int n, const real *x, ptrdiff_t row_step, ptrdiff_t n_rows,
                                                           ptrdiff_t n_inner, const real *table, ptrdiff_t table_step,
                                                           ptrdiff_t n_columns, bits mask, int is_added, real *out,
                                                           ptrdiff_t out_step) {
    const real *rows[LANES], *below[LANES];
    lanes sums[LANES];
    AT_ONCE for (int r = 0; r < m; r++) {
        rows[r] = x + least(r, n_rows - 1) * row_step;
    }
    AT_ONCE for (int c = 0; c < n; c++) {
        below[c] = table + least(c, n_columns - 1) * table_step;
    }
    AT_ONCE for (int i = 0; i < LANES; i++) {
        sums[i] = (lanes){0};
    }
    ptrdiff_t k = 0;
    for (; k + LANES <= n_inner; k += LANES) {
        AT_ONCE for (int r = 0; r < m; r++) {
            AT_ONCE for (int c = 0; c < n; c++) {
                sums[r * n + c] += *(const lanes *)(rows[r] + k) * *(const lanes *)(below[c] + k);
            }
        }
    }
    if (k < n_inner) {
        k = n_inner - LANES;
        AT_ONCE for (int r = 0; r < m; r++) {
            AT_ONCE for (int c = 0; c < n; c++) {
                bits own = (bits)*(const lanes *)(rows[r] + k) & mask, other = (bits)*(const lanes *)(below[c] + k) & mask;
                sums[r * n + c] += (lanes)own * (lanes)other;
            }
        }
    }
    lanes found = add_lanes(sums);
    for (int r = 0; r < m && r < n_rows; r++) {
        for (int c = 0; c < n && c < n_columns; c++) {
            out[r * out_step + c] = found[r * n + c] + (is_added ? out[r * out_step + c] : 0);
        }
    }
}

/* Columns a power of 2 apart share their places in the cache: eight at a time, at most. */
#define MULTIPLY_FEW(m)                                                                                                \
    static void multiply_few_##m(const real *x, ptrdiff_t row_step, ptrdiff_t n_rows, ptrdiff_t n_inner,               \
                                 const real *table, ptrdiff_t table_step, ptrdiff_t n_columns, int is_added,           \
                                 real *out) {                                                                          \
        bits mask;                                                                                                     \
        memset(&mask, 0, sizeof mask);                                                                                 \
        memset((real *)&mask + LANES - n_inner % LANES, 0xFF, n_inner % LANES * sizeof(real));                         \
        const int n = LANES / m < 8 ? LANES / m : 8;                                                                   \
        for (ptrdiff_t column = 0; column < n_columns; column += n) {                                                  \
            for (ptrdiff_t row = 0; row < n_rows; row += m) {                                                          \
                few_dots(m, n, x + row * row_step, row_step, n_rows - row, n_inner, table + column * table_step,       \
                         table_step, n_columns - column, mask, is_added, out + row * n_columns + column, n_columns);   \
            }                                                                                                          \
        }                                                                                                              \
    }
MULTIPLY_FEW(1)
MULTIPLY_FEW(2)
MULTIPLY_FEW(4)

/* One vector of columns of `depth` rows of the table, of which the first `width` are there: what the others hold does not
 * matter. */
static void fill(const real *table, ptrdiff_t row_step, ptrdiff_t step, ptrdiff_t depth, ptrdiff_t width, real *to,
                 ptrdiff_t to_step) {
    ptrdiff_t k = 0;
    if (step == 1) {
        ptrdiff_t n_read = (LANES + row_step - 1) / row_step; /* rows */
        for (; k + n_read <= depth; k++) {
            *(whole *)(to + k * to_step) = *(const lanes *)(table + k * row_step);
        }
    } else if (width == LANES) {
        for (; k + SIDE <= depth; k += SIDE) {
            for (ptrdiff_t c = 0; c < LANES; c += SIDE) {
                turn_square(table + c * step + k, step, to + k * to_step + c, to_step);
            }
        }
    }
    for (; k < depth; k++) {
        for (ptrdiff_t c = 0; c < LANES; c++) {
            to[k * to_step + c] = c < width ? table[k * row_step + c * step] : 0;
        }
    }
}

static void multiply(const real *x, ptrdiff_t row_step, ptrdiff_t step, ptrdiff_t n_rows, ptrdiff_t n_inner,
                     const real *table, ptrdiff_t table_row_step, ptrdiff_t table_step, ptrdiff_t n_columns,
                     int is_added, real *out) {
    if (n_columns <= (ptrdiff_t)DOTS && step == 1) {
        multiply_dots(x, row_step, n_rows, n_inner, table, table_row_step, table_step, n_columns, is_added, out);
        return;
    }
    if (n_rows == 1 && n_columns >= LANES && table_step == 1) {
        multiply_row(x, step, n_inner, table, table_row_step, n_columns, is_added, out);
        return;
    }
    if (n_rows <= FEW && step == 1 && table_row_step == 1 && n_inner >= LANES) {
        (n_rows == 1 ? multiply_few_1 : n_rows == 2 ? multiply_few_2 : multiply_few_4)(
            x, row_step, n_rows, n_inner, table, table_step, n_columns, is_added, out);
        return;
    }
    whole panel[DEPTH * MOST];
    real narrow[NARROW * LANES];
    int is_narrow = n_columns < LANES, is_copied = n_rows > FEW || is_narrow || table_step != 1;
    ptrdiff_t n_vectors = (n_columns + LANES - 1) / LANES, n_parts = (n_vectors + MOST - 1) / MOST;
    ptrdiff_t n_cuts = (n_inner + DEPTH - 1) / DEPTH, width = least(LANES, n_columns);
    ptrdiff_t together = is_narrow ? NARROW : n_rows, out_step = is_narrow ? LANES : n_columns;
    const add_tiles *add = n_rows <= FEW ? few_by_width : by_width;
    for (ptrdiff_t row = 0; row < n_rows; row += together) {
        ptrdiff_t n_here = least(together, n_rows - row);
        for (ptrdiff_t i = 0; i < n_cuts * n_parts; i++) { /* of x what all parts read stays near */
            ptrdiff_t cut = i / n_parts, from = cut * n_inner / n_cuts, depth = (cut + 1) * n_inner / n_cuts - from;
            ptrdiff_t part = i % n_parts, first = part * n_vectors / n_parts;
            ptrdiff_t n = (part + 1) * n_vectors / n_parts - first, column = first * LANES;
            ptrdiff_t last = is_narrow ? 0 : least((n - 1) * LANES, n_columns - LANES - column);
            ptrdiff_t here_step = table_row_step, here_last = last;
            const real *here = table + from * table_row_step + column * table_step;
            if (is_copied) {
                for (ptrdiff_t v = 0; v < n; v++) {
                    fill(here + (v < n - 1 ? v * LANES : last) * table_step, table_row_step, table_step, depth, width,
                         (real *)(panel + v), n * LANES);
                }
                here = (const real *)panel, here_step = n * LANES, here_last = (n - 1) * LANES;
            }
            add[n - 1](x + row * row_step + from * step, row_step, step, n_here, depth, here, here_step, here_last,
                       cut > 0 || (is_added && !is_narrow), is_narrow ? narrow : out + column, out_step, last);
        }
        for (ptrdiff_t r = 0; is_narrow && r < n_here; r++) {
            real *to = out + (row + r) * n_columns;
            for (ptrdiff_t c = 0; c < n_columns; c++) {
                to[c] = narrow[r * LANES + c] + (is_added ? to[c] : 0);
            }
        }
    }
}
#else
#define multiply NULL
#endif

#ifdef REAL_IS_FLOAT
const products_float_ops TIER_NAME(products_float) = {multiply};
#else
const products_double_ops TIER_NAME(products_double) = {multiply};
#endif
