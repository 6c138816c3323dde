/* Exponentials and logarithms a whole AVX-512 register at a time: a compiler does not find by itself that a table fits into
 * registers.
 *
 * Included after elementary.h, whose `real` it shares; where HAVE_LANES is not defined, exp_raised() and log_brief() there do
 * the work.
 *
 *   exp(x) = 2^n 2^(j/16) e^r, |r| <= ln(2)/32: a polynomial of half the degree that |r| <= ln(2)/2 asks for. The powers
 *     2^(j/16) are chosen by a permutation of one register (float) or two (double); what they round off is in another
 *     table and is added to e^r - 1, so that the result is rounded once: 0.51 units in the last place.
 *
 *   log(x) = k ln(2) - log(c) + log(1 + r), x = 2^k m, r = m c - 1, where c is nearly 1/m, one of 16, and |r| <= 1/32: no
 *     division. m lies in [45/64, 45/32), so that c is 1 on both sides of m = 1 and the logarithm keeps its digits there.
 *
 * Source: Tang, Table-driven implementation of the exponential function in IEEE floating-point arithmetic (ACM
 * Transactions on Mathematical Software, 1989); of the logarithm function (the same, 1990).
 */
#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include <immintrin.h>
#define HAVE_LANES

/* What differs between the types: names of operations (AS_ keeps the bits, TO_ the value), tables, and the factors of the
 * polynomials, the highest power's first. `powers` are the bits of 2^(j/16) 2^RAISE, less j where N = 16 n + j will be added;
 * LEAST_FRACTION those of 45/64. `inverse_logs_high` ends where LN2_HIGH does, `inverse_logs_low` is the rest. */
#ifdef REAL_IS_FLOAT
typedef __m512 lanes;
typedef __mmask16 some_lanes;
#define LANES 16
#define VECTOR(operation) _mm512_##operation##_ps
#define BITS(operation) _mm512_##operation##_epi32
#define AS_BITS _mm512_castps_si512
#define AS_REAL _mm512_castsi512_ps
#define TO_REAL _mm512_cvtepi32_ps
#define SIGN_BITS _mm512_movepi32_mask
#define ABOVE(a, b) _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ)
#define EQUAL(a, b) _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ)
#define LEAST_FRACTION 0x3f340000
#define LN2_16TH_HIGH 0x1.62e43p-5f
#define LN2_16TH_LOW (-0x1.05c61p-33f)
static const bits powers[16] = {
    0x5f800000, 0x5f7daac3, 0x5f7b95c2, 0x5f79c3d3, 0x5f7837f0, 0x5f76f532, 0x5f75fed7, 0x5f75583f, 0x5f7504f3,
    0x5f7508a4, 0x5f75672a, 0x5f76248c, 0x5f7744fd, 0x5f78ccdf, 0x5f7ac0c7, 0x5f7d257d};
static const real powers_low[16] = {
    0, 0x1.8d96d2p-25f, -0x1.9c0c22p-27f, 0x1.964902p-25f, 0x1.125002p-25f, 0x1.370be4p-25f, -0x1.0a3552p-25f,
    -0x1.00d8acp-27f, 0x1.26055cp-26f, -0x1.05cb44p-25f, 0x1.67a1cap-28f, 0x1.a3b5e4p-28f, -0x1.f9c306p-27f,
    -0x1.6961b4p-28f, -0x1.a5217cp-28f, 0x1.61428ep-28f};
static const real inverses[16] = {
    0x1.642c86p0f, 0x1.555556p0f, 0x1.47ae14p0f, 0x1.3b13b2p0f, 0x1.2f684cp0f, 0x1.24924ap0f, 0x1.1a7b96p0f,
    0x1.111112p0f, 0x1.08421p0f, 1, 0x1.e1e1e2p-1f, 0x1.c71c72p-1f, 0x1.af286cp-1f, 0x1.99999ap-1f, 0x1.861862p-1f,
    0x1.745d18p-1f};
static const real inverse_logs[16] = {
    -0x1.522ae2p-2f, -0x1.269624p-2f, -0x1.f991c4p-3f, -0x1.a93ed8p-3f, -0x1.5bf408p-3f, -0x1.1178eep-3f,
    -0x1.9335e4p-4f, -0x1.08599ap-4f, -0x1.0415c8p-5f, 0, 0x1.f0a30ap-5f, 0x1.e27074p-4f, 0x1.5ff306p-3f,
    0x1.c8ff7ap-3f, 0x1.1675cap-2f, 0x1.4618bap-2f};
static const real inverse_logs_high[16] = {
    -0x1.5228p-2f, -0x1.2698p-2f, -0x1.f99p-3f, -0x1.a94p-3f, -0x1.5bfp-3f, -0x1.118p-3f, -0x1.934p-4f,
    -0x1.086p-4f, -0x1.04p-5f, 0, 0x1.f0cp-5f, 0x1.e28p-4f, 0x1.5ffp-3f, 0x1.c9p-3f, 0x1.1678p-2f, 0x1.4618p-2f};
static const real inverse_logs_low[16] = {
    -0x1.70d9c6p-17f, 0x1.dcecb2p-18f, -0x1.c3cb3cp-19f, 0x1.273752p-19f, -0x1.01ed5p-17f, 0x1.c4776p-17f,
    0x1.43654ep-17f, 0x1.99a988p-18f, -0x1.5c89e8p-17f, 0, -0x1.cf5feep-17f, -0x1.f163aap-17f, 0x1.83053cp-18f,
    -0x1.0b0cacp-20f, -0x1.1b42a2p-17f, 0x1.74438cp-19f};
static const real exp_rest_factors[] = {0x1.55583cp-3f, 0x1.00022p-1f, -0x1.a25aaep-31f};
static const real log_rest_factors[] = {0x1.98ad2cp-3f, -0x1.002814p-2f, 0x1.555566p-2f, -0x1.fffffep-2f, 1};
static const real log_tail_factors[] = {-0x1.54506ep-3f, 0x1.99ef72p-3f, -0x1.00001cp-2f, 0x1.555552p-2f, -0x1p-1f};

/* The table's value at the last 4 bits of n. */
static inline lanes chosen(const real *table, __m512i n) { return _mm512_permutexvar_ps(n, _mm512_loadu_ps(table)); }

static inline __m512i chosen_bits(const bits *table, __m512i n) {
    return _mm512_permutexvar_epi32(n, _mm512_loadu_si512(table));
}
#else
typedef __m512d lanes;
typedef __mmask8 some_lanes;
#define LANES 8
#define VECTOR(operation) _mm512_##operation##_pd
#define BITS(operation) _mm512_##operation##_epi64
#define AS_BITS _mm512_castpd_si512
#define AS_REAL _mm512_castsi512_pd
#define TO_REAL _mm512_cvtepi64_pd
#define SIGN_BITS _mm512_movepi64_mask
#define ABOVE(a, b) _mm512_cmp_pd_mask(a, b, _CMP_GT_OQ)
#define EQUAL(a, b) _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ)
#define LEAST_FRACTION 0x3fe6800000000000
#define LN2_16TH_HIGH 0x1.62e42fefa39efp-5
#define LN2_16TH_LOW 0x1.abc9e3b39803fp-60
static const bits powers[16] = {
    0x47f0000000000000, 0x47efb5586cf9890f, 0x47ef72b83c7d517b, 0x47ef387a6e756238, 0x47ef06fe0a31b715,
    0x47eedea64c123422, 0x47eebfdad5362a27, 0x47eeab07dd485429, 0x47eea09e667f3bcd, 0x47eea11473eb0187,
    0x47eeace5422aa0db, 0x47eec49182a3f090, 0x47eee89f995ad3ad, 0x47ef199bdd85529c, 0x47ef5818dcfba487,
    0x47efa4afa2a490da};
static const real powers_low[16] = {
    0, 0x1.79aa65d837b6cp-54, -0x1.01b15eaa59348p-55, 0x1.68efde3a8a893p-54, 0x1.34d754db0abb6p-55,
    0x1.59f48a72a4c6cp-55, 0x1.690cebb7aafbp-56, 0x1.063e1e21c5409p-54, -0x1.3b3efbf5e2229p-54,
    -0x1.b32dcb94da51dp-56, 0x1.db72fc1f0eab4p-55, 0x1.1affc2b91ce27p-56, 0x1.c1a7792cb3386p-55,
    0x1.36eae30af0cb3p-56, 0x1.4a385a63d07a7p-56, -0x1.ff7128fd391f1p-55};
static const real inverses[16] = {
    0x1.642c8590b2164p0, 0x1.5555555555555p0, 0x1.47ae147ae147bp0, 0x1.3b13b13b13b14p0, 0x1.2f684bda12f68p0,
    0x1.2492492492492p0, 0x1.1a7b9611a7b96p0, 0x1.1111111111111p0, 0x1.0842108421084p0, 1, 0x1.e1e1e1e1e1e1ep-1,
    0x1.c71c71c71c71cp-1, 0x1.af286bca1af28p-1, 0x1.999999999999ap-1, 0x1.8618618618618p-1, 0x1.745d1745d1746p-1};
static const real inverse_logs[16] = {
    -0x1.522ae0738a3d7p-2, -0x1.269621134db91p-2, -0x1.f991c6cb3b37ap-3, -0x1.a93ed3c8ad9e5p-3,
    -0x1.5bf406b543dbp-3, -0x1.1178e8227e47ap-3, -0x1.9335e5d594988p-4, -0x1.08598b59e3a06p-4, -0x1.0415d89e7444p-5,
    0, 0x1.f0a30c01162a8p-5, 0x1.e27076e2af2eap-4, 0x1.5ff3070a793d6p-3, 0x1.c8ff7c79a9a2p-3, 0x1.1675cababa60fp-2,
    0x1.4618bc21c5ec2p-2};
static const real inverse_logs_high[16] = {
    -0x1.522ae0738ap-2, -0x1.269621134ep-2, -0x1.f991c6cb3cp-3, -0x1.a93ed3c8aep-3, -0x1.5bf406b544p-3,
    -0x1.1178e8227ep-3, -0x1.9335e5d594p-4, -0x1.08598b59e4p-4, -0x1.0415d89e78p-5, 0, 0x1.f0a30c0118p-5,
    0x1.e27076e2bp-4, 0x1.5ff3070a7ap-3, 0x1.c8ff7c79aap-3, 0x1.1675cababap-2, 0x1.4618bc21c6p-2};
static const real inverse_logs_low[16] = {
    -0x1.eba708164c759p-45, 0x1.1ba1f10522625p-44, 0x1.90b84cd7cc834p-44, 0x1.86a4350562169p-45,
    0x1.28023eb68981cp-46, -0x1.1e778ce2d07f2p-45, -0x1.30f5c3abd47dap-45, 0x1.7e9dd7009902cp-46,
    0x1.ddfc7f461c516p-44, 0, -0x1.d579e83368e91p-45, -0x1.a2c2c2af0003cp-45, -0x1.8546f183bebf2p-44,
    -0x1.7814f689f8434p-45, 0x1.83c0e731f55c4p-44, -0x1.3e02f484c84ccp-46};
static const real exp_rest_factors[] = {0x1.6c1878922a02cp-10, 0x1.11126edc06763p-7, 0x1.5555555433415p-5,
    0x1.5555555405539p-3, 0x1.0000000000007p-1, 0x1.429f150538a67p-49};
static const real log_rest_factors[] = {0x1.c4efbeeb0acb6p-4, -0x1.005f92ea0d05ep-3, 0x1.2492bd56dbb07p-3,
    -0x1.5555475c2518ep-3, 0x1.9999998d8bb07p-3, -0x1.0000000053f14p-2, 0x1.55555555557afp-2, -0x1.ffffffffffff6p-2, 1};
static const real log_tail_factors[] = {-0x1.974ce6a8ec766p-4, 0x1.c7dfcbae8f101p-4, -0x1.00008e7f03a06p-3,
    0x1.2492380456b3ep-3, -0x1.555555426069p-3, 0x1.9999999ab73e6p-3, -0x1.0000000000625p-2, 0x1.555555555552dp-2,
    -0x1p-1};

static inline lanes chosen(const real *table, __m512i n) {
    return _mm512_permutex2var_pd(_mm512_loadu_pd(table), n, _mm512_loadu_pd(table + 8));
}

static inline __m512i chosen_bits(const bits *table, __m512i n) {
    return _mm512_permutex2var_epi64(_mm512_loadu_si512(table), n, _mm512_loadu_si512(table + 8));
}
#endif

static inline some_lanes negative_lanes(lanes x) { return SIGN_BITS(AS_BITS(x)); }
static inline some_lanes above_lanes(lanes a, lanes b) { return ABOVE(a, b); }
static inline some_lanes equal_lanes(lanes a, lanes b) { return EQUAL(a, b); }

static inline lanes power(lanes shifted, lanes *low) {
    __m512i n = AS_BITS(shifted);
    *low = chosen(powers_low, n);
    return AS_REAL(BITS(add)(chosen_bits(powers, n), BITS(slli)(n, MANTISSA - 4)));
}

#define POLYNOMIAL(factors, r) polynomial(factors, sizeof factors / sizeof factors[0], r)
static inline lanes polynomial(const real *factors, int n, lanes r) {
    lanes p = VECTOR(set1)(factors[0]);
#pragma GCC unroll 16
    for (int i = 1; i < n; i++) {
        p = VECTOR(fmadd)(p, r, VECTOR(set1)(factors[i]));
    }
    return p;
}

/* (e^r - 1 - r) / r for |r| <= ln(2) / 32. */
static inline lanes exp_rest_lanes(lanes r) { return POLYNOMIAL(exp_rest_factors, r); }

/* log(1 + r) / r for r in [-0.0295, 1/32]. */
static inline lanes log_rest_lanes(lanes r) { return POLYNOMIAL(log_rest_factors, r); }

/* x = 2^k m as m and k 2^MANTISSA, and in the last 4 bits of n the place of m's inverse. */
static inline lanes fraction_lanes(lanes x, lanes *k, __m512i *n) {
    __m512i b = AS_BITS(x), apart = BITS(sub)(b, BITS(set1)(LEAST_FRACTION));
    __m512i whole = _mm512_and_si512(apart, BITS(set1)(-((signed_bits)1 << MANTISSA)));
    *n = BITS(srli)(apart, MANTISSA - 4);
    *k = TO_REAL(whole);
    return AS_REAL(BITS(sub)(b, whole));
}

/* The first n lanes, of at most LANES. */
static inline unsigned first_lanes(ptrdiff_t n) { return n < LANES ? (1u << n) - 1 : (1u << LANES) - 1; }

/* The first n values of x, then zeros. */
static inline lanes load_first(const real *x, ptrdiff_t n) {
    return n < LANES ? VECTOR(maskz_loadu)(first_lanes(n), x) : VECTOR(loadu)(x);
}

static inline void store_first(real *out, ptrdiff_t n, lanes x) {
    if (n < LANES) {
        VECTOR(mask_storeu)(out, first_lanes(n), x);
    } else {
        VECTOR(storeu)(out, x);
    }
}

/* exp(-|x|) 2^RAISE, and what it rounds off. */
static inline lanes exp_parts_lanes(lanes x, lanes *rounded) {
    const lanes rounding = VECTOR(set1)(ROUNDING);
    x = VECTOR(or)(x, VECTOR(set1)((real)-0.0));
    x = VECTOR(max)(VECTOR(set1)(EXP_VANISHES), x); /* of a pair with NaN the second */
    lanes shifted = VECTOR(fmadd)(x, VECTOR(set1)(16 * LOG2_E), rounding), n = VECTOR(sub)(shifted, rounding);
    lanes r = VECTOR(fnmadd)(n, VECTOR(set1)(LN2_16TH_HIGH), x), low, high = power(shifted, &low);
    r = VECTOR(fnmadd)(n, VECTOR(set1)(LN2_16TH_LOW), r);
    lanes rest = VECTOR(fmadd)(exp_rest_lanes(r), r, VECTOR(add)(r, low)), found = VECTOR(fmadd)(high, rest, high);
    *rounded = VECTOR(fmadd)(high, rest, VECTOR(sub)(high, found));
    return found;
}

static inline lanes exp_lanes(lanes x) {
    lanes rounded;
    return exp_parts_lanes(x, &rounded);
}

/* (log(1 + r) - r) / r^2 for the same r, with the digits that one who subtracts sees: even powers and odd ones, of which
 * neither waits for the other. */
static inline lanes log_tail_lanes(lanes r, lanes square) {
    lanes even = VECTOR(set1)(log_tail_factors[0]), odd = VECTOR(set1)(log_tail_factors[1]);
#pragma GCC unroll 16
    for (size_t i = 2; i < sizeof log_tail_factors / sizeof log_tail_factors[0]; i += 2) {
        even = VECTOR(fmadd)(even, square, VECTOR(set1)(log_tail_factors[i]));
        if (i + 2 < sizeof log_tail_factors / sizeof log_tail_factors[0]) {
            odd = VECTOR(fmadd)(odd, square, VECTOR(set1)(log_tail_factors[i + 1]));
        }
    }
    return VECTOR(fmadd)(odd, r, even);
}

/* log(x) of a normal number; of 0, infinity and NaN something finite. */
static inline lanes log_lanes(lanes x) {
    const lanes ln2 = VECTOR(set1)((LN2_HIGH + LN2_LOW) / TWO_TO_MANTISSA);
    __m512i n;
    lanes k, m = fraction_lanes(x, &k, &n), r = VECTOR(fmsub)(m, chosen(inverses, n), VECTOR(set1)(1));
    return VECTOR(fmadd)(r, log_rest_lanes(r), VECTOR(fmadd)(k, ln2, chosen(inverse_logs, n)));
}
#endif
