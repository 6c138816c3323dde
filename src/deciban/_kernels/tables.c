/* Tables divided by sums of their rows or columns, and what the pairs of two variables have in common: the loops of special.h,
 * for one real type and one tier. A multiplication and an addition may become one operation here.
 *
 *   share:     p_j = t_j / sum_k t_k. With y = 1 / sum, q = t y, the quotient is q + (t - q sum) y, rounded as a division
 *              would (Markstein, Computation of elementary functions on the IBM RISC System/6000 processor, 1990), for three
 *              operations where a division takes as long as eight or ten. Not for negative terms and sums near the borders
 *              of the numbers, which are divided by; of float the inverse is a sum of two.
 *              Of products the exponents are kept apart where one is no normal number.
 *   associate: log((x total / row) / column).
 *
 * Cost: x is read once while a row (or a block of columns) stays in cache, and the result written once.
 * Edge cases: the sum of finite numbers may be beyond the range of numbers: then all are scaled by a power of 2. A sum of 0
 * gives NaN.
 */
#include "special.h"

#include <float.h>

#include "elementary.h"
#include "entropies.h"
#include "runs.h"
#include "sums.h"

#define PART 128   /* terms that are added up by themselves */
#define FAR 0x1p-64 /* brings a sum of so many numbers into range */

static inline real term_of(const real *x, const real *factors, real added, ptrdiff_t i) {
    return factors ? x[i] * factors[i] : x[i] + added;
}

/* A sign bit where a term has, or where a product has lost digits that its share may have. */
static inline bits unusual(const real *x, const real *factors, ptrdiff_t i, real term) {
    int lost = factors && (term < SMALLEST_NORMAL) & (x[i] != 0) & (factors[i] != 0);
    return to_bits(term) | (lost ? SIGN : 0);
}

/* The sum of all terms, in four parts that do not wait for each other; *some has a sign bit where one is unusual. */
#ifdef HAVE_LANES
#ifdef REAL_IS_FLOAT
static inline __m512d eight_terms(const real *x, const real *factors, real added, ptrdiff_t i, unsigned first) {
    __m256 here = _mm256_maskz_loadu_ps(first, x + i);
    here = factors ? _mm256_mul_ps(here, _mm256_maskz_loadu_ps(first, factors + i))
                   : _mm256_maskz_add_ps(first, here, _mm256_set1_ps(added));
    return _mm512_cvtps_pd(here);
}
#else
static inline __m512d eight_terms(const real *x, const real *factors, real added, ptrdiff_t i, unsigned first) {
    __m512d here = _mm512_maskz_loadu_pd(first, x + i), zero = _mm512_setzero_pd();
    if (!factors) {
        return _mm512_maskz_add_pd(first, here, _mm512_set1_pd(added));
    }
    __m512d by = _mm512_maskz_loadu_pd(first, factors + i), product = _mm512_mul_pd(here, by);
    unsigned lost = _mm512_cmp_pd_mask(product, _mm512_set1_pd(SMALLEST_NORMAL), _CMP_LT_OQ);
    lost = _mm512_mask_cmp_pd_mask(_mm512_mask_cmp_pd_mask(lost, here, zero, _CMP_NEQ_UQ), by, zero, _CMP_NEQ_UQ);
    return lost ? _mm512_or_pd(product, _mm512_set1_pd(-0.0)) : product;
}
#endif

static inline double sum_of_terms(const real *x, const real *factors, real added, ptrdiff_t n, bits *some) {
    __m512d a = _mm512_setzero_pd(), b = a, c = a, d = a, signs = a;
    ptrdiff_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m512d p = eight_terms(x, factors, added, i, 0xff), q = eight_terms(x, factors, added, i + 8, 0xff);
        __m512d r = eight_terms(x, factors, added, i + 16, 0xff), s = eight_terms(x, factors, added, i + 24, 0xff);
        a = _mm512_add_pd(a, p), b = _mm512_add_pd(b, q), c = _mm512_add_pd(c, r), d = _mm512_add_pd(d, s);
        signs = _mm512_or_pd(signs, _mm512_or_pd(_mm512_or_pd(p, q), _mm512_or_pd(r, s)));
    }
    for (; i < n; i += 8) {
        __m512d p = eight_terms(x, factors, added, i, n - i < 8 ? (1u << (n - i)) - 1 : 0xff);
        a = _mm512_add_pd(a, p), signs = _mm512_or_pd(signs, p);
    }
    *some = _mm512_movepi64_mask(_mm512_castpd_si512(signs)) ? SIGN : 0;
    return _mm512_reduce_add_pd(_mm512_add_pd(_mm512_add_pd(a, b), _mm512_add_pd(c, d)));
}
#else
static inline double sum_of_terms(const real *x, const real *factors, real added, ptrdiff_t n, bits *some) {
    double total = 0.0;
    *some = 0;
    for (ptrdiff_t start = 0; start < n; start += PART) {
        ptrdiff_t m = (n - start < PART ? n - start : PART) / 4, stop = n - start < PART ? n : start + PART;
        double a = 0.0, b = 0.0, c = 0.0, d = 0.0;
        bits signs = 0;
#pragma omp simd reduction(+ : a, b, c, d) reduction(| : signs)
        for (ptrdiff_t i = start; i < start + m; i++) {
            real p = term_of(x, factors, added, i), q = term_of(x, factors, added, i + m);
            real r = term_of(x, factors, added, i + 2 * m), s = term_of(x, factors, added, i + 3 * m);
            a += p, b += q, c += r, d += s;
            signs |= unusual(x, factors, i, p) | unusual(x, factors, i + m, q);
            signs |= unusual(x, factors, i + 2 * m, r) | unusual(x, factors, i + 3 * m, s);
        }
        for (ptrdiff_t i = start + 4 * m; i < stop; i++) {
            real p = term_of(x, factors, added, i);
            a += p, signs |= unusual(x, factors, i, p);
        }
        total += (a + b) + (c + d);
        *some |= signs;
    }
    return total;
}
#endif

/* Is a term times the inverse of the sum, corrected once, its share? */
static inline int is_plain(double total, bits some) { return !(some & SIGN) && total >= TINY && total <= VAST; }

/* What a term is multiplied by: of double the sum and its inverse, of float the inverse as a sum of two. */
typedef struct {
    real first, second;
} divisor;

static inline divisor divisor_of(double total) {
    double inverse = 1.0 / total;
#ifdef REAL_IS_FLOAT
    return (divisor){(real)inverse, (real)(inverse - (real)inverse)};
#else
    return (divisor){total, inverse};
#endif
}

static inline real quotient(real term, real first, real second) {
#ifdef REAL_IS_FLOAT
    return fused(term, first, term * second);
#elif defined(FP_FAST_FMA)
    real q = term * second;
    return fma(fma(-q, first, term), second, q);
#else
    (void)second;
    return term / first;
#endif
}

static inline void divide(const real *x, const real *factors, real added, double total, ptrdiff_t n, real *out) {
    divisor by = divisor_of(total);
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        out[i] = quotient(term_of(x, factors, added, i), by.first, by.second);
    }
}

/* The same where something is unusual. */
static void divide_carefully(const real *x, real added, double total, ptrdiff_t n, real *out) {
    double scale = 1.0;
    if (total - total != 0) {
        scale = FAR;
        total = 0.0;
        for (ptrdiff_t i = 0; i < n; i++) {
            total += FAR * (real)(x[i] + added);
        }
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        out[i] = (real)(scale * (real)(x[i] + added) / total);
    }
}

/* Shares of products, with their exponents apart: some out of the range of numbers may be in proportion to some within. */
static void multiply_carefully(const real *x, const real *factors, ptrdiff_t n, real *out) {
    int i_exponent, j_exponent, largest = -4096;
    for (ptrdiff_t i = 0; i < n; i++) {
        if (frexp(x[i], &i_exponent) * frexp(factors[i], &j_exponent) != 0) {
            largest = i_exponent + j_exponent > largest ? i_exponent + j_exponent : largest;
        }
    }
    double total = 0.0;
    for (ptrdiff_t i = 0; i < n; i++) {
        double product = frexp(x[i], &i_exponent) * frexp(factors[i], &j_exponent);
        total += ldexp(product, i_exponent + j_exponent - largest);
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        double product = frexp(x[i], &i_exponent) * frexp(factors[i], &j_exponent);
        out[i] = (real)(ldexp(product, i_exponent + j_exponent - largest) / total);
    }
}

static inline void share_terms(const real *x, const real *factors, real added, ptrdiff_t n, int streamed, real *out) {
    bits some;
    double total = sum_of_terms(x, factors, added, n, &some);
    if (!is_plain(total, some)) {
        if (factors) {
            multiply_carefully(x, factors, n, out);
        } else {
            divide_carefully(x, added, total, n, out);
        }
    } else if (streamed) {
        _Alignas(LINE) real piece[STREAM];
        ptrdiff_t m = first_piece(out, STREAM) < n ? first_piece(out, STREAM) : n;
        for (ptrdiff_t at = 0; at < n; at += m, m = n - at < STREAM ? n - at : STREAM) {
            fetch(x + n + at, m);
            divide(x + at, factors ? factors + at : NULL, added, total, m, piece);
            stream(piece, out + at, m);
        }
    } else {
        divide(x, factors, added, total, n, out);
    }
}

static void share(const real *x, const real *factors, real added, ptrdiff_t n, int streamed, real *out) {
    if (factors) {
        share_terms(x, factors, 0, n, streamed, out);
    } else {
        share_terms(x, NULL, added, n, streamed, out);
    }
}

#define ROOM 1024 /* values that are taken together */

/* Lay n values side by side as often as they fit in so many rows; eight are written where there is one. */
static inline void spread(real value, ptrdiff_t n, real *out) {
    for (ptrdiff_t i = 0; i < n; i += 8) {
        for (int k = 0; k < 8; k++) {
            out[i + k] = value;
        }
    }
}

static void share_short(const real *x, const real *factors, real added, ptrdiff_t n_rows, ptrdiff_t n, real *out) {
    real terms[ROOM], repeated[ROOM];
    double totals[ROOM / 8];
    real firsts[ROOM + 8], seconds[ROOM + 8];
    ptrdiff_t most = ROOM / n < ROOM / 8 ? ROOM / n : ROOM / 8;
    for (ptrdiff_t row = 0; factors && row < most && row < n_rows; row++) {
        memcpy(repeated + row * n, factors, n * sizeof(real));
    }
    for (ptrdiff_t m; n_rows > 0; n_rows -= m, x += m * n, out += m * n) {
        m = n_rows < most ? n_rows : most;
        ptrdiff_t size = m * n;
        const real *taken_terms = x;
        fetch(x + size, size);
        if (factors || added != 0) {
            for (ptrdiff_t i = 0; i < size; i++) {
                terms[i] = factors ? x[i] * repeated[i] : x[i] + added;
            }
            taken_terms = terms;
        }
        sum_rows(taken_terms, m, n, totals);
        bits some = 0;
        for (ptrdiff_t i = 0; i < size; i++) {
            some |= unusual(x, factors ? repeated : NULL, i, taken_terms[i]);
        }
        int plain = 1;
        for (ptrdiff_t row = 0; row < m; row++) {
            plain &= is_plain(totals[row], some);
        }
        if (!plain) {
            for (ptrdiff_t row = 0; row < m; row++) {
                share(x + row * n, factors, added, n, 0, out + row * n);
            }
            continue;
        }
        for (ptrdiff_t row = 0; row < m; row++) {
            divisor by = divisor_of(totals[row]);
            spread(by.first, n, firsts + row * n);
            spread(by.second, n, seconds + row * n);
        }
#pragma omp simd
        for (ptrdiff_t i = 0; i < size; i++) {
            out[i] = quotient(taken_terms[i], firsts[i], seconds[i]);
        }
    }
}

static void share_columns(const real *x, real added, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, real *out) {
    double totals[COLUMNS], lost[COLUMNS];
    real firsts[COLUMNS], seconds[COLUMNS];
    bits some = 0;
    memset(totals, 0, sizeof totals);
    memset(lost, 0, sizeof lost);
    for (ptrdiff_t i = 0; i < n; i++) {
        const real *row = x + i * stride;
#pragma omp simd reduction(| : some)
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            real term = row[k] + added;
            double all = totals[k] + term;
            lost[k] += term - (all - totals[k]);
            totals[k] = all;
            some |= to_bits(term);
        }
    }
    int plain = 1;
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        double whole = totals[k] + lost[k];
        totals[k] = whole == whole ? whole : totals[k];
        divisor by = divisor_of(totals[k]);
        firsts[k] = by.first, seconds[k] = by.second;
        plain &= is_plain(totals[k], some);
    }
    if (plain) {
        for (ptrdiff_t i = 0; i < n; i++) {
            const real *row = x + i * stride;
            real *to = out + i * stride;
#pragma omp simd
            for (ptrdiff_t k = 0; k < n_columns; k++) {
                to[k] = quotient(row[k] + added, firsts[k], seconds[k]);
            }
        }
        return;
    }
    double scales[COLUMNS];
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        scales[k] = totals[k] - totals[k] == 0 ? 1.0 : FAR;
        totals[k] = scales[k] == 1.0 ? totals[k] : 0.0;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            totals[k] += scales[k] == 1.0 ? 0.0 : FAR * (real)(x[i * stride + k] + added);
        }
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            out[i * stride + k] = (real)(scales[k] * (real)(x[i * stride + k] + added) / totals[k]);
        }
    }
}

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

/* unit log(ratio) of at most RUN ratios; 0 where one is found whose logarithm is not that simple, unless x is 0. */
static inline int logarithms(const real *x, const real *ratios, ptrdiff_t n, real unit, real *out) {
#ifdef HAVE_LANES
    const lanes zero = VECTOR(setzero)(), least = VECTOR(set1)(SMALLEST_NORMAL), most = VECTOR(set1)(INFINITY);
    unsigned odd = 0;
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        lanes ratio = load_first(ratios + j, n - j);
        unsigned none = equal_lanes(ratio, zero) & equal_lanes(load_first(x + j, n - j), zero);
        odd |= ~(none | (above_lanes(ratio, least) & above_lanes(most, ratio))) & first_lanes(n - j);
        lanes found = VECTOR(mul)(log_lanes(ratio), VECTOR(set1)(unit));
        store_first(out + j, n - j, VECTOR(mask_mov)(found, none, VECTOR(set1)(-INFINITY)));
    }
#else
    bits odd = 0;
#pragma omp simd reduction(| : odd)
    for (ptrdiff_t j = 0; j < n; j++) {
        real ratio = ratios[j];
        int none = (ratio == 0) & (x[j] == 0);
        odd |= none | ((ratio > SMALLEST_NORMAL) & (ratio <= LARGEST)) ? 0 : 1;
        out[j] = none ? -INFINITY : unit * log_brief(ratio);
    }
#endif
    return !odd;
}

/* Rows of at most RUN values together. A ratio is rounded twice at most; NaN is for one that would lose digits. */
static inline void associate_run(const real *x, ptrdiff_t n_rows, ptrdiff_t n, const double *rows, double total,
                                 const double *columns, const double *inverses, double unit, real *out) {
    real ratios[RUN];
    for (ptrdiff_t row = 0; row < n_rows; row++) {
        const real *here = x + row * n;
        real *to = ratios + row * n;
        double ahead = total / rows[row];
#ifdef REAL_IS_FLOAT
        (void)columns;
#pragma omp simd
        for (ptrdiff_t j = 0; j < n; j++) {
            to[j] = (real)(here[j] * ahead * inverses[j]);
        }
#else
        double low = remainder_of(total, ahead, rows[row]) / rows[row];
#pragma omp simd
        for (ptrdiff_t j = 0; j < n; j++) {
            double term = fused(here[j], ahead, here[j] * low), ratio = quotient(term, columns[j], inverses[j]);
            to[j] = (here[j] != 0) & !(term >= SMALLEST_NORMAL) ? NAN : ratio;
        }
#endif
    }
    if (logarithms(x, ratios, n_rows * n, (real)unit, out)) {
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
    share, settle, share_short, share_columns, add_up, associate};
