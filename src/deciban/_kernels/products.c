/* The loops of products.h. A multiplication and an addition may become one operation here; an element's sum is made in the
 * order of k, up to DEPTH terms in a register and then added to what there is, whichever rows and columns are asked for.
 *
 * A few vectors of columns are taken at a time, and up to DEPTH rows of the table: they are copied to a panel, one after
 * the other, where they stay in cache while all rows of x pass. A tile of some rows of x by the panel's columns is summed
 * in registers, so a multiplication costs a fraction of a load: that of a vector of the panel goes to every row of the
 * tile, that of an element of x to every vector. So a panel of four vectors by six rows takes 10 loads for 24
 * multiplications (K. Goto, R. van de Geijn, Anatomy of high-performance matrix multiplication, ACM Transactions on
 * Mathematical Software 34 (2008)). A table that lies by columns is transposed on its way to the panel.
 */
#include "products.h"

#ifdef REAL_IS_FLOAT
typedef float real;
#else
typedef double real;
#endif

#ifdef __has_builtin
#if defined(__AVX2__) && __has_builtin(__builtin_shufflevector)
#define HAVE_TILES
#endif
#endif

#ifdef HAVE_TILES
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
#define AT_ONCE _Pragma("GCC unroll 16")
/* A vector that may stand at any real's address, one on its own boundary, and 16 bytes at any real's address. */
typedef real lanes __attribute__((vector_size(BYTES), aligned(sizeof(real)), may_alias));
typedef real whole __attribute__((vector_size(BYTES), may_alias));
typedef real quarter __attribute__((vector_size(16), aligned(sizeof(real)), may_alias));

static inline ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

/* `m` rows of x, of which n_rows are there (the last one stands for those that are not), by a panel of `n` vectors. The
 * last vector of `out` begins at `last` and may overlap the one before, which has the same sums there. */
static inline __attribute__((always_inline)) void add_tile(int m, int n, const real *x, ptrdiff_t row_step,
                                                           ptrdiff_t step, ptrdiff_t n_rows, ptrdiff_t depth,
                                                           const whole *panel, int is_added, real *out,
                                                           ptrdiff_t out_step, ptrdiff_t last) {
    lanes sums[m * n];
    const real *rows[m];
    AT_ONCE for (int r = 0; r < m; r++) {
        rows[r] = x + (r < n_rows ? r : n_rows - 1) * row_step;
        AT_ONCE for (int v = 0; v < n; v++) {
            sums[r * n + v] = (lanes){0};
        }
    }
    for (ptrdiff_t k = 0; k < depth; k++) {
        AT_ONCE for (int r = 0; r < m; r++) {
            real value = rows[r][k * step];
            AT_ONCE for (int v = 0; v < n; v++) {
                sums[r * n + v] += value * panel[k * n + v];
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
    static void add_tiles_##n(const real *x, ptrdiff_t row_step, ptrdiff_t step, ptrdiff_t n_rows, ptrdiff_t depth,    \
                              const whole *panel, int is_added, real *out, ptrdiff_t out_step, ptrdiff_t last) {       \
        for (ptrdiff_t row = 0; row < n_rows; row += m, x += m * row_step, out += m * out_step) {                      \
            if (step == 1) {                                                                                           \
                add_tile(m, n, x, row_step, 1, n_rows - row, depth, panel, is_added, out, out_step, last);             \
            } else {                                                                                                   \
                add_tile(m, n, x, 1, step, n_rows - row, depth, panel, is_added, out, out_step, last);                 \
            }                                                                                                          \
        }                                                                                                              \
    }
typedef void (*add_tiles)(const real *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, const whole *, int, real *,
                          ptrdiff_t, ptrdiff_t);
#if MOST == 4
ADD_TILES(14, 1)
ADD_TILES(12, 2)
ADD_TILES(8, 3)
ADD_TILES(6, 4)
static const add_tiles by_width[MOST] = {add_tiles_1, add_tiles_2, add_tiles_3, add_tiles_4};
#else
ADD_TILES(12, 1)
ADD_TILES(6, 2)
static const add_tiles by_width[MOST] = {add_tiles_1, add_tiles_2};
#endif

/* Transpose as many rows as 16 bytes have reals; returns how many. */
static inline ptrdiff_t transpose(const real *from, ptrdiff_t step, real *to, ptrdiff_t to_step) {
#ifdef REAL_IS_FLOAT
    quarter a = *(const quarter *)from, b = *(const quarter *)(from + step);
    quarter c = *(const quarter *)(from + 2 * step), d = *(const quarter *)(from + 3 * step);
    quarter e = __builtin_shufflevector(a, b, 0, 4, 1, 5), f = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    quarter g = __builtin_shufflevector(a, b, 2, 6, 3, 7), h = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(quarter *)to = __builtin_shufflevector(e, f, 0, 1, 4, 5);
    *(quarter *)(to + to_step) = __builtin_shufflevector(e, f, 2, 3, 6, 7);
    *(quarter *)(to + 2 * to_step) = __builtin_shufflevector(g, h, 0, 1, 4, 5);
    *(quarter *)(to + 3 * to_step) = __builtin_shufflevector(g, h, 2, 3, 6, 7);
    return 4;
#else
    quarter a = *(const quarter *)from, b = *(const quarter *)(from + step);
    *(quarter *)to = __builtin_shufflevector(a, b, 0, 2);
    *(quarter *)(to + to_step) = __builtin_shufflevector(a, b, 1, 3);
    return 2;
#endif
}

/* One vector of columns of `depth` rows of the table, of which the first `width` are there and others count as 0. */
static void fill(const real *table, ptrdiff_t row_step, ptrdiff_t step, ptrdiff_t depth, ptrdiff_t width, real *to,
                 ptrdiff_t to_step) {
    ptrdiff_t k = 0, side = 16 / sizeof(real);
    if (step == 1 && width == LANES) {
        for (; k < depth; k++) {
            *(whole *)(to + k * to_step) = *(const lanes *)(table + k * row_step);
        }
    } else if (width == LANES) {
        for (; k + side <= depth; k += side) {
            for (ptrdiff_t c = 0; c < LANES;) {
                c += transpose(table + c * step + k, step, to + k * to_step + c, to_step);
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
    whole panel[DEPTH * MOST];
    real narrow[NARROW * LANES];
    int is_narrow = n_columns < LANES;
    ptrdiff_t n_vectors = (n_columns + LANES - 1) / LANES, n_parts = (n_vectors + MOST - 1) / MOST;
    ptrdiff_t n_cuts = (n_inner + DEPTH - 1) / DEPTH, width = least(LANES, n_columns);
    ptrdiff_t together = is_narrow ? NARROW : n_rows, out_step = is_narrow ? LANES : n_columns;
    for (ptrdiff_t row = 0; row < n_rows; row += together) {
        ptrdiff_t n_here = least(together, n_rows - row);
        for (ptrdiff_t part = 0; part < n_parts; part++) {
            ptrdiff_t first = part * n_vectors / n_parts, n = (part + 1) * n_vectors / n_parts - first;
            ptrdiff_t column = first * LANES;
            ptrdiff_t last = is_narrow ? 0 : least((n - 1) * LANES, n_columns - LANES - column);
            for (ptrdiff_t cut = 0; cut < n_cuts; cut++) {
                ptrdiff_t from = cut * n_inner / n_cuts, depth = (cut + 1) * n_inner / n_cuts - from;
                for (ptrdiff_t v = 0; v < n; v++) {
                    fill(table + from * table_row_step + (column + (v < n - 1 ? v * LANES : last)) * table_step,
                         table_row_step, table_step, depth, width, (real *)(panel + v), n * LANES);
                }
                by_width[n - 1](x + row * row_step + from * step, row_step, step, n_here, depth, panel,
                                cut > 0 || (is_added && !is_narrow), is_narrow ? narrow : out + column, out_step, last);
            }
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
