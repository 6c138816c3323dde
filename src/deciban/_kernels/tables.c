/* What the pairs of two variables have in common: the loops of special.h, for one real type and one tier. A multiplication and
 * an addition may become one operation here.
 *
 *   add_up:    the sums of rows and of columns.
 *   associate: log((x total / row) / column).
 *
 * Cost: add_up reads x once; associate reads it and writes the result once, for a logarithm a number.
 * Edge cases: a ratio out of the range of numbers has a logarithm within; that is taken with the exponents apart.
 */
#include "special.h"

#include <float.h>

#include "elementary.h"
#include "entropies.h"
#include "quotients.h"
#include "runs.h"

#define PART 128 /* terms that are added up by themselves */

static void add_up(const real *x, ptrdiff_t n_rows, ptrdiff_t n, double *rows, double *columns) {
    for (; n_rows >= 4; n_rows -= 4, x += 4 * n, rows += 4) {
        rows[0] = rows[1] = rows[2] = rows[3] = 0.0;
        for (ptrdiff_t start = 0; start < n; start += PART) {
            ptrdiff_t stop = n - start < PART ? n : start + PART;
            double a = 0.0, b = 0.0, c = 0.0, d = 0.0;
#pragma omp simd reduction(+ : a, b, c, d)
            for (ptrdiff_t j = start; j < stop; j++) {
                double p = x[j], q = x[n + j], r = x[2 * n + j], s = x[3 * n + j];
                a += p, b += q, c += r, d += s;
                columns[j] += (p + q) + (r + s);
            }
            rows[0] += a, rows[1] += b, rows[2] += c, rows[3] += d;
        }
    }
    for (; n_rows > 0; n_rows--, x += n, rows++) {
        rows[0] = 0.0;
        for (ptrdiff_t start = 0; start < n; start += PART) {
            ptrdiff_t stop = n - start < PART ? n : start + PART;
            double a = 0.0;
#pragma omp simd reduction(+ : a)
            for (ptrdiff_t j = start; j < stop; j++) {
                a += x[j];
                columns[j] += x[j];
            }
            rows[0] += a;
        }
    }
}

/* log(x total / (row column)) of any numbers: where all are positive and finite, with their exponents apart. */
static double association(double x, double row, double total, double column) {
    if (!(x > 0 && row > 0 && total > 0 && column > 0 && x <= DBL_MAX && row <= DBL_MAX && total <= DBL_MAX &&
          column <= DBL_MAX)) {
        return log(x / row * (total / column));
    }
    int exponents[5];
    double a = frexp(x, &exponents[0]), b = frexp(row, &exponents[1]), c = frexp(total, &exponents[2]);
    double d = frexp(column, &exponents[3]), ratio = frexp(a / b * (c / d), &exponents[4]);
    int k = exponents[0] - exponents[1] + exponents[2] - exponents[3] + exponents[4];
    if (ratio < 0x1.6a09e667f3bcdp-1) {
        ratio *= 2, k--;
    }
    return log(ratio) + k * 0x1.62e42fefa39efp-1;
}

/* unit (log(ratio) + lost / ratio) of at most RUN ratios; 0 where one is found whose logarithm is not that simple, unless x
 * is 0. */
static inline int logarithms(const real *x, const real *ratios, const real *lost, ptrdiff_t n, real unit, real *out) {
#ifdef HAVE_LANES
    const lanes zero = VECTOR(setzero)(), least = VECTOR(set1)(SMALLEST_NORMAL), most = VECTOR(set1)(INFINITY);
    unsigned odd = 0;
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        lanes ratio = load_first(ratios + j, n - j);
        unsigned none = equal_lanes(ratio, zero) & equal_lanes(load_first(x + j, n - j), zero);
        odd |= ~(none | (above_lanes(ratio, least) & above_lanes(most, ratio))) & first_lanes(n - j);
        lanes brief = VECTOR(rcp14)(ratio), inverse = VECTOR(mul)(brief, VECTOR(fnmadd)(ratio, brief, VECTOR(set1)(2)));
        lanes found = VECTOR(fmadd)(load_first(lost + j, n - j), inverse, log_lanes(ratio));
        found = VECTOR(mul)(found, VECTOR(set1)(unit));
        store_first(out + j, n - j, VECTOR(mask_mov)(found, none, VECTOR(set1)(-INFINITY)));
    }
#else
    bits odd = 0;
#pragma omp simd reduction(| : odd)
    for (ptrdiff_t j = 0; j < n; j++) {
        real ratio = ratios[j];
        int none = (ratio == 0) & (x[j] == 0);
        odd |= none | ((ratio > SMALLEST_NORMAL) & (ratio <= LARGEST)) ? 0 : 1;
        /* far from 1 the logarithm does not show it */
        real rest = (ratio > ROOT_HALF) & (ratio < 2 * ROOT_HALF) & (lost[j] == lost[j]) ? lost[j] * (2 - ratio) : 0;
        out[j] = none ? -INFINITY : unit * (log_brief(ratio) + rest);
    }
#endif
    return !odd;
}

/* Rows of at most RUN values together. A ratio is rounded twice at most; what that takes from it is kept, since near 1 its
 * logarithm has hardly another error. NaN is for one that would lose digits. */
static inline void associate_run(const real *x, ptrdiff_t n_rows, ptrdiff_t n, const double *rows, double total,
                                 const double *columns, const double *inverses, double unit, real *out) {
    real ratios[RUN], lost[RUN];
    for (ptrdiff_t row = 0; row < n_rows; row++) {
        const real *here = x + row * n;
        real *to = ratios + row * n, *rest = lost + row * n;
        double ahead = total / rows[row];
#ifdef REAL_IS_FLOAT
        (void)columns;
#pragma omp simd
        for (ptrdiff_t j = 0; j < n; j++) {
            double ratio = here[j] * ahead * inverses[j];
            to[j] = (real)ratio;
            rest[j] = (real)(ratio - to[j]);
        }
#else
        double low = remainder_of(total, ahead, rows[row]) / rows[row];
#pragma omp simd
        for (ptrdiff_t j = 0; j < n; j++) {
            double below = here[j] * low, term = fused(here[j], ahead, below);
            double ratio = quotient(term, columns[j], inverses[j]);
            rest[j] = (below - remainder_of(term, here[j], ahead) + remainder_of(term, ratio, columns[j])) * inverses[j];
            to[j] = (here[j] != 0) & !(term >= SMALLEST_NORMAL) ? NAN : ratio;
        }
#endif
    }
    if (logarithms(x, ratios, lost, n_rows * n, (real)unit, out)) {
        return;
    }
    for (ptrdiff_t row = 0; row < n_rows; row++) {
        for (ptrdiff_t j = 0; j < n; j++) {
            out[row * n + j] = (real)(unit * association(x[row * n + j], rows[row], total, columns[j]));
        }
    }
}

static void associate(const real *x, ptrdiff_t n_rows, ptrdiff_t n, const double *rows, double total,
                      const double *columns, const double *inverses, double unit, int streamed, real *out) {
    _Alignas(LINE) real piece[RUN]; /* out may be x */
    if (n <= RUN / 2) {
        for (ptrdiff_t m; n > 0 && n_rows > 0; n_rows -= m, x += m * n, rows += m, out += m * n) {
            m = n_rows < RUN / n ? n_rows : RUN / n;
            associate_run(x, m, n, rows, total, columns, inverses, unit, piece);
            memcpy(out, piece, m * n * sizeof(real));
        }
        return;
    }
    for (; n_rows > 0; n_rows--, x += n, rows++, out += n) {
        ptrdiff_t m = streamed ? first_piece(out, RUN) : RUN;
        for (ptrdiff_t at = 0; at < n; at += m, m = RUN) {
            m = n - at < m ? n - at : m;
            associate_run(x + at, 1, m, rows, total, columns + at, inverses + at, unit, piece);
            if (streamed) {
                stream(piece, out + at, m);
            } else {
                memcpy(out + at, piece, m * sizeof(real));
            }
        }
    }
}

#ifdef REAL_IS_FLOAT
const tables_float_ops TIER_NAME(tables_float) = {
#else
const tables_double_ops TIER_NAME(tables_double) = {
#endif
    add_up, associate, settle};
