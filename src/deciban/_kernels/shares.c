/* Numbers divided by sums of their rows or columns: the loops of special.h, for one real type and one tier. A multiplication
 * and an addition may become one operation here.
 *
 *   p_j = t_j / sum_k t_k, as quotients.h divides; by a division where a term is negative, or the sum near the borders of
 *   the numbers. Of products the exponents are kept apart where one is no normal number.
 *
 * Cost: x is read once while a row (or a block of columns) stays in cache, and the result written once.
 * Edge cases: the sum of finite numbers may be beyond the range of numbers: then all are scaled by a power of 2. A sum of 0
 * gives NaN.
 */
#include "special.h"

#include <float.h>

#include "elementary.h"
#include "quotients.h"
#include "runs.h"
#include "sums.h"

#define PART 128   /* terms that are added up by themselves */
#define FAR 0x1p-64 /* brings a sum of so many numbers into range */

/* Doubles are divided, and columns of large tables added up, with vectors of half the size that AVX-512 has: memory is read and
 * written a sixth faster for it (10,000 x 1,000 by columns in 7.1 ms instead of 8.7, AMD EPYC, Zen 5). */
#if defined(__AVX512F__) && !defined(REAL_IS_FLOAT) && !defined(__clang__)
#define HALF_VECTORS __attribute__((noinline, target("prefer-vector-width=256")))
#else
#define HALF_VECTORS
#endif

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

static HALF_VECTORS void divide(const real *x, const real *factors, real added, double total, ptrdiff_t n, real *out) {
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

static void share_short(const real *x, const real *factors, real added, ptrdiff_t n_rows, ptrdiff_t n, int streamed,
                        real *out) {
    real terms[ROOM], repeated[ROOM];
    _Alignas(LINE) real piece[ROOM];
    double totals[ROOM / 8];
    real firsts[ROOM + 8], seconds[ROOM + 8];
    ptrdiff_t most = ROOM / n < ROOM / 8 ? ROOM / n / 16 * 16 : ROOM / 8; /* whole lines of memory */
    for (ptrdiff_t row = 0; factors && row < most && row < n_rows; row++) {
        memcpy(repeated + row * n, factors, n * sizeof(real));
    }
    for (ptrdiff_t m; n_rows > 0; n_rows -= m, x += m * n, out += m * n) {
        m = n_rows < most ? n_rows : most;
        ptrdiff_t size = m * n;
        const real *taken_terms = x;
        real *to = streamed ? piece : out;
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
            to[i] = quotient(taken_terms[i], firsts[i], seconds[i]);
        }
        if (streamed) {
            stream(piece, out, size);
        }
    }
}

/* Add a term to a sum of two: of doubles what the addition rounds off is kept; of floats it does not matter. */
static inline void add_term(real term, double *total, double *lost) {
#ifdef REAL_IS_FLOAT
    (void)lost;
    *total += term;
#else
    double all = *total + term;
    *lost += term - (all - *total);
    *total = all;
#endif
}

static inline __attribute__((always_inline)) int add_columns(const real *x, real added, ptrdiff_t n, ptrdiff_t stride,
                                                             ptrdiff_t n_columns, double *totals, double *lost) {
    enum { BESIDE = 16 / sizeof(real) }; /* rows: 4 of float, of which less is known ahead */
    bits some = 0;
    for (; n >= BESIDE; n -= BESIDE, x += BESIDE * stride) {
        for (ptrdiff_t start = 0; start < n_columns; start += PART) {
            ptrdiff_t stop = n_columns - start < PART ? n_columns : start + PART;
            for (int row = 0; row < BESIDE; row++) {
                fetch(x + (BESIDE + row) * stride + start, stop - start);
            }
#pragma omp simd reduction(| : some)
            for (ptrdiff_t k = start; k < stop; k++) {
                double total = totals[k], rest = sizeof(real) == sizeof(double) ? lost[k] : 0;
                for (int row = 0; row < BESIDE; row++) {
                    real term = x[row * stride + k] + added;
                    add_term(term, &total, &rest);
                    some |= to_bits(term);
                }
                totals[k] = total;
                if (sizeof(real) == sizeof(double)) {
                    lost[k] = rest;
                }
            }
        }
    }
    for (; n > 0; n--, x += stride) {
#pragma omp simd reduction(| : some)
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            real term = x[k] + added;
            add_term(term, &totals[k], &lost[k]);
            some |= to_bits(term);
        }
    }
    return !(some & SIGN);
}

static HALF_VECTORS int sum_columns(const real *x, real added, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns,
                                    double *totals, double *lost) {
    return add_columns(x, added, n, stride, n_columns, totals, lost);
}

static int divisors(const double *totals, const double *lost, ptrdiff_t n, real *firsts, real *seconds) {
    int plain = 1;
    for (ptrdiff_t k = 0; k < n; k++) {
        double total = totals[k] + lost[k];
        divisor by = divisor_of(total);
        firsts[k] = by.first, seconds[k] = by.second;
        plain &= is_plain(total, 0);
    }
    return plain;
}

static HALF_VECTORS void divide_rows(const real *x, real added, ptrdiff_t n_rows, ptrdiff_t stride, ptrdiff_t n,
                                     const real *firsts, const real *seconds, real *out) {
    for (; n_rows > 0; n_rows--, x += stride, out += stride) {
#pragma omp simd
        for (ptrdiff_t k = 0; k < n; k++) {
            out[k] = quotient(x[k] + added, firsts[k], seconds[k]);
        }
    }
}

static void divide_columns(const real *x, real added, ptrdiff_t size, ptrdiff_t n_columns, const real *firsts,
                           const real *seconds, int streamed, real *out) {
    _Alignas(LINE) real piece[STREAM];
    ptrdiff_t m = streamed ? first_piece(out, STREAM) : n_columns, column = 0;
    for (ptrdiff_t at = 0; at < size; at += m, m = streamed ? STREAM : n_columns) {
        m = size - at < m ? size - at : m;
        if (!streamed) {
            divide_rows(x + at, added, 1, 0, m, firsts, seconds, out + at);
            continue;
        }
        if (sizeof(real) < sizeof(double)) { /* of double it costs more than it brings */
            fetch(x + at + STREAM, STREAM);
        }
        for (ptrdiff_t i = 0, run; i < m; i += run) {
            run = m - i < n_columns - column ? m - i : n_columns - column;
            divide_rows(x + at + i, added, 1, 0, run, firsts + column, seconds + column, piece + i);
            column = column + run == n_columns ? 0 : column + run;
        }
        stream(piece, out + at, m);
    }
}

static void share_columns(const real *x, real added, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t n_columns, real *out) {
    double totals[COLUMNS], lost[COLUMNS];
    real firsts[COLUMNS], seconds[COLUMNS];
    memset(totals, 0, sizeof totals);
    memset(lost, 0, sizeof lost);
    int usual = add_columns(x, added, n, stride, n_columns, totals, lost);
    if (divisors(totals, lost, n_columns, firsts, seconds) && usual) {
        divide_rows(x, added, n, stride, n_columns, firsts, seconds, out);
        return;
    }
    double scales[COLUMNS];
    for (ptrdiff_t k = 0; k < n_columns; k++) {
        double whole = totals[k] + lost[k];
        totals[k] = whole == whole ? whole : totals[k];
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

#ifdef REAL_IS_FLOAT
const shares_float_ops TIER_NAME(shares_float) = {
#else
const shares_double_ops TIER_NAME(shares_double) = {
#endif
    share, settle, share_short, share_columns, sum_columns, divisors, divide_columns};
