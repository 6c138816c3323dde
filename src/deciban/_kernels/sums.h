/* The sums of many short rows, of terms as they are or times a factor for each place. Included after runs.h.
 *
 * Cost: every term is read once; rows are added up beside each other, so that no addition waits for the one before it.
 */
#ifdef HAVE_LANES
/* Eight terms, or the first of them, in double. */
static inline __m512d eight(const real *terms, unsigned some) {
#ifdef REAL_IS_FLOAT
    return _mm512_cvtps_pd(_mm256_maskz_loadu_ps(some, terms));
#else
    return _mm512_maskz_loadu_pd(some, terms);
#endif
}

/* Neighbours of a, then of b, added up, within each 128 bits. */
static inline __m512d pairs_of(__m512d a, __m512d b) {
    return _mm512_add_pd(_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
}

/* Neighbours of 128 bits of a, then of b, added up. */
static inline __m512d halves_of(__m512d a, __m512d b) {
    return _mm512_add_pd(_mm512_shuffle_f64x2(a, b, 0x88), _mm512_shuffle_f64x2(a, b, 0xdd));
}

static inline __attribute__((always_inline)) void sum_rows_of(const real *terms, const double *factors, ptrdiff_t n_rows,
                                                              ptrdiff_t n, ptrdiff_t eights, double *out) {
    unsigned last = (1u << (n - 8 * eights)) - 1;
    for (; n_rows > 0; n_rows -= 8, terms += 8 * n, out += 8) {
        __m512d rows[8];
        for (ptrdiff_t k = 0; k < 8; k++) {
            const real *row = terms + (k < n_rows ? k * n : 0);
            rows[k] = eight(row + 8 * eights, last);
            if (factors != NULL) {
                rows[k] = _mm512_mul_pd(rows[k], _mm512_maskz_loadu_pd(last, factors + 8 * eights));
            }
            for (ptrdiff_t i = 0; i < eights; i++) {
                __m512d some = eight(row + 8 * i, 0xff);
                rows[k] = factors == NULL ? _mm512_add_pd(rows[k], some)
                                          : _mm512_fmadd_pd(some, _mm512_loadu_pd(factors + 8 * i), rows[k]);
            }
        }
        __m512d first = halves_of(pairs_of(rows[0], rows[1]), pairs_of(rows[2], rows[3]));
        __m512d second = halves_of(pairs_of(rows[4], rows[5]), pairs_of(rows[6], rows[7]));
        _mm512_mask_storeu_pd(out, n_rows < 8 ? (1u << n_rows) - 1 : 0xff, halves_of(first, second));
    }
}

static inline __attribute__((always_inline)) void sum_rows_by(const real *terms, const double *factors, ptrdiff_t n_rows,
                                                              ptrdiff_t n, double *out) {
    switch (n / 8) { /* loops of a known length are none */
        case 0: sum_rows_of(terms, factors, n_rows, n, 0, out); break;
        case 1: sum_rows_of(terms, factors, n_rows, n, 1, out); break;
        default: sum_rows_of(terms, factors, n_rows, n, n / 8, out);
    }
}
#else
/* Added in parts of eight terms, so that no sum rounds as often as a long row has terms. */
static inline __attribute__((always_inline)) void sum_rows_by(const real *terms, const double *factors, ptrdiff_t n_rows,
                                                              ptrdiff_t n, double *out) {
    for (; n_rows >= 8; n_rows -= 8, terms += 8 * n, out += 8) {
        memset(out, 0, 8 * sizeof *out);
        for (ptrdiff_t start = 0; start < n; start += 8) {
            double a = 0.0, b = 0.0, c = 0.0, d = 0.0, e = 0.0, f = 0.0, g = 0.0, h = 0.0;
            for (ptrdiff_t i = start; i < (n - start < 8 ? n : start + 8); i++) {
                const real *t = terms + i;
                double factor = factors == NULL ? 1.0 : factors[i];
                a += factor * t[0], b += factor * t[n], c += factor * t[2 * n], d += factor * t[3 * n];
                e += factor * t[4 * n], f += factor * t[5 * n], g += factor * t[6 * n], h += factor * t[7 * n];
            }
            out[0] += a, out[1] += b, out[2] += c, out[3] += d, out[4] += e, out[5] += f, out[6] += g, out[7] += h;
        }
    }
    for (; n_rows > 0; n_rows--, terms += n, out++) {
        *out = 0.0;
        for (ptrdiff_t start = 0; start < n; start += 8) {
            double part = 0.0;
            for (ptrdiff_t i = start; i < (n - start < 8 ? n : start + 8); i++) {
                part += (factors == NULL ? 1.0 : factors[i]) * terms[i];
            }
            *out += part;
        }
    }
}
#endif

static void sum_rows(const real *terms, ptrdiff_t n_rows, ptrdiff_t n, double *out) {
    sum_rows_by(terms, NULL, n_rows, n, out);
}
