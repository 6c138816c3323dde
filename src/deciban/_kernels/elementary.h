/* Exponential and logarithm that a compiler can turn into vector code: no branch, no table, no call.
 *
 * Included by files that are compiled once for each real type: `real` is double, or float with REAL_IS_FLOAT. exp_point()
 * and log_point() are right at 0, at infinities, NaN and denormal numbers, and within 2 units in the last place elsewhere;
 * what the others are for is said with them.
 *
 *   exp(x) = 2^n exp(r), |r| <= ln(2)/2, the minimax polynomial 1 + r + r^2 q(r); ln(2) in two parts (Cody and Waite,
 *     Software Manual for the Elementary Functions, 1980). Where the result may be denormal, 2^n goes on in two steps, so
 *     that it is rounded once.
 *   log(x / y) = k ln(2) + 2 atanh(s), s = (a - b) / (a + b), where a and b are x and y with their exponents taken off
 *     until a / b lies within [1/sqrt(2), sqrt(2)], so that the quotient neither overflows nor cancels: for x near y,
 *     k is 0 and a - b is exact. 2 atanh(s) is 2 s + s^3 P(s^2), P interpolated at Chebyshev nodes.
 *
 * A logarithm comes as a sum high + low, low below the last digits of high or a tenth of it: who multiplies it or
 * subtracts from it rounds once.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef REAL_IS_FLOAT
typedef float real;
typedef uint32_t bits;
typedef int32_t signed_bits;
#define MANTISSA 23
#define BIAS 127
#define LARGEST FLT_MAX
#define SMALLEST_NORMAL FLT_MIN
#define SCALE_UP 0x1p25f
#define SCALE_UP_EXPONENT 25
#define ROUNDING 0x1.8p23f /* adding it leaves the nearest integer in the low bits */
#define TWO_TO_MANTISSA 0x1p23f
#define EXP_OVERFLOWS 90.0f
#define EXP_VANISHES (-105.0f)
#define RAISE 64 /* lifts every exponential that is not 0 over the denormal numbers */
#define RAISED 0x1p64f
#define LOG2_E 0x1.715476p0f
#define LN2_HIGH 0x1.62e4p-1f
#define LN2_LOW 0x1.7f7d1cp-20f
#define ROOT_HALF 0x1.6a09e6p-1f
#define ROOT_TWO 0x1.6a09e6p0f
#define TINY 0x1p-100f
#define VAST 0x1p100f
#else
typedef double real;
typedef uint64_t bits;
typedef int64_t signed_bits;
#define MANTISSA 52
#define BIAS 1023
#define LARGEST DBL_MAX
#define SMALLEST_NORMAL DBL_MIN
#define SCALE_UP 0x1p54
#define SCALE_UP_EXPONENT 54
#define ROUNDING 0x1.8p52
#define TWO_TO_MANTISSA 0x1p52
#define EXP_OVERFLOWS 710.0
#define EXP_VANISHES (-746.0)
#define RAISE 128
#define RAISED 0x1p128
#define LOG2_E 0x1.71547652b82fep0
#define LN2_HIGH 0x1.62e42fefa38p-1
#define LN2_LOW 0x1.ef35793c7673p-45
#define ROOT_HALF 0x1.6a09e667f3bcdp-1
#define ROOT_TWO 0x1.6a09e667f3bcdp0
#define TINY 0x1p-900
#define VAST 0x1p900
#endif
#define SIGN ((bits)1 << (sizeof(bits) * 8 - 1))

static inline bits to_bits(real x) {
    bits b;
    memcpy(&b, &x, sizeof b);
    return b;
}

static inline real from_bits(bits b) {
    real x;
    memcpy(&x, &b, sizeof x);
    return x;
}

/* (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2. */
static inline real exp_tail(real r) {
#ifdef REAL_IS_FLOAT
    real p = 0.0013950540451332927f;
    p = p * r + 0.008368917740881443f;
    p = p * r + 0.04166620597243309f;
    p = p * r + 0.166665181517601f;
    p = p * r + 0.5f;
#else
    real p = 0x1.af85c3213f731p-26;
    p = p * r + 0x1.28b072cf3b1a3p-22;
    p = p * r + 0x1.71dddfa6978b4p-19;
    p = p * r + 0x1.a0199667c873ep-16;
    p = p * r + 0x1.a01a01baf2d3ap-13;
    p = p * r + 0x1.6c16c185b717cp-10;
    p = p * r + 0x1.111111110d609p-7;
    p = p * r + 0x1.555555554ffeap-5;
    p = p * r + 0x1.5555555555561p-3;
    p = p * r + 0x1.000000000000cp-1;
#endif
    return p;
}

/* e^r - 1. */
static inline real exp_rest(real r) { return r + r * (r * exp_tail(r)); }

/* exp(x) / 2^n, and in the low bits of *exponent n + those of `rounding`, which is ROUNDING plus a small integer. */
static inline real exp_fraction(real x, real rounding, bits *exponent) {
    real shifted = x * LOG2_E + rounding;
    real n = shifted - rounding;
    *exponent = to_bits(shifted);
    return 1 + exp_rest((x - n * LN2_HIGH) - n * LN2_LOW);
}

static inline real exp_point(real x) {
    x = x > EXP_OVERFLOWS ? EXP_OVERFLOWS : x;
    x = x < EXP_VANISHES ? EXP_VANISHES : x;
    bits exponent;
    real p = exp_fraction(x, ROUNDING + 2 * BIAS, &exponent); /* n and twice the bias: positive */
    exponent -= to_bits(ROUNDING);
    bits half = exponent >> 1;
    return p * from_bits(half << MANTISSA) * from_bits((exponent - half) << MANTISSA);
}

/* -|x| */
static inline real minus_size(real x) { return from_bits(to_bits(x) | SIGN); }

/* exp(x) 2^RAISE for x that is not positive: a normal number, or NaN. It rounds once, and hardly more: to 1 + r is added
 * what it lacks, and what r does. What the result rounds off is *rounded. */
static inline real exp_raised_parts(real x, real *rounded) {
    x = x < EXP_VANISHES ? EXP_VANISHES : x;
    real shifted = x * LOG2_E + (ROUNDING + BIAS + RAISE);
    real n = shifted - (ROUNDING + BIAS + RAISE);
    real high = x - n * LN2_HIGH, r = high - n * LN2_LOW, scale = from_bits(to_bits(shifted) << MANTISSA);
    real sum = 1 + r, lost = (r - (sum - 1)) + ((high - r) - n * LN2_LOW);
    real rest = r * (r * exp_tail(r)) + lost, found = sum + rest;
    *rounded = (rest - (found - sum)) * scale;
    return found * scale;
}

static inline real exp_raised(real x) {
    real rounded;
    return exp_raised_parts(x, &rounded);
}

/* e^x - 1, which keeps its relative accuracy near 0; beyond |x| = 60 as at 60, where 1 is lost or all that is left. */
static inline real expm1_point(real x) {
    x = x > 60 ? 60 : x;
    x = x < -60 ? -60 : x;
    real shifted = x * LOG2_E + ROUNDING;
    real n = shifted - ROUNDING;
    real scale = from_bits((to_bits(shifted) - to_bits(ROUNDING) + BIAS) << MANTISSA);
    return scale * exp_rest((x - n * LN2_HIGH) - n * LN2_LOW) + (scale - 1);
}

/* 2 atanh(s) / s - 2, for s^2 up to 0.0295. */
static inline real atanh_rest(real s) {
    real z = s * s;
#ifdef REAL_IS_FLOAT
    real p = 0.29580045f;
    p = p * z + 0.39988777f;
    p = p * z + 0.66666687f;
#else
    real p = 0x1.2b58f4c8d5f63p-3;
    p = p * z + 0x1.39fe52a20dc69p-3;
    p = p * z + 0x1.7462b5152e8a6p-3;
    p = p * z + 0x1.c71c62e40b94ep-3;
    p = p * z + 0x1.2492492df26cep-2;
    p = p * z + 0x1.99999999952d8p-2;
    p = p * z + 0x1.5555555555558p-1;
#endif
    return p * z;
}

/* The same for s^2 up to 1/9. */
static inline real atanh_rest_wide(real s) {
    real z = s * s;
#ifdef REAL_IS_FLOAT
    real p = 0.23229663f;
    p = p * z + 0.21705543f;
    p = p * z + 0.2859242f;
    p = p * z + 0.39999706f;
    p = p * z + 0.6666667f;
#else
    real p = 0x1.404a68b00ea1ep-3;
    p = p * z + 0x1.32b131bfbf911p-4;
    p = p * z + 0x1.bc4294420cb12p-4;
    p = p * z + 0x1.e0a185a252c5ap-4;
    p = p * z + 0x1.111aca4003459p-3;
    p = p * z + 0x1.3b1350cd6e1c2p-3;
    p = p * z + 0x1.745d199787303p-3;
    p = p * z + 0x1.c71c71bece41fp-3;
    p = p * z + 0x1.2492492499e52p-2;
    p = p * z + 0x1.9999999999943p-2;
    p = p * z + 0x1.5555555555555p-1;
#endif
    return p * z;
}

/* a - b c exactly, where b is nearly a / c and neither near the borders of the numbers: of the quotient what it rounds off,
 * times c. Without an operation for it, both factors are cut in halves whose products are exact (Dekker, 1971). */
static inline real remainder_of(real a, real b, real c) {
#if defined(REAL_IS_FLOAT) && defined(FP_FAST_FMAF)
    return fmaf(-b, c, a);
#elif defined(REAL_IS_FLOAT)
    return (real)(a - (double)b * c);
#elif defined(FP_FAST_FMA)
    return fma(-b, c, a);
#else
    const real halver = 0x1p27 + 1;
    real b_high = halver * b - (halver * b - b), c_high = halver * c - (halver * c - c);
    real b_low = b - b_high, c_low = c - c_high;
    return (((a - b_high * c_high) - b_high * c_low) - b_low * c_high) - b_low * c_low;
#endif
}

/* a b + c, rounded once where the processor can. */
static inline real fused(real a, real b, real c) {
#if defined(REAL_IS_FLOAT) && defined(FP_FAST_FMAF)
    return fmaf(a, b, c);
#elif defined(REAL_IS_FLOAT)
    return (real)((double)a * b + c);
#elif defined(FP_FAST_FMA)
    return fma(a, b, c);
#else
    return a * b + c;
#endif
}

/* What the sum of a and b lacks, exactly (Knuth's two-sum). */
static inline real rounded_off(real a, real b, real sum) {
    real added = sum - a;
    return (a - (sum - added)) + (b - added);
}

static inline int is_finite(real x) { return x >= -LARGEST && x <= LARGEST; }

/* A positive finite number as 2^exponent times the fraction, which lies in [1/sqrt(2), sqrt(2)); of 0 something finite. */
static inline real fraction(real x, real *exponent) {
    int small = x < SMALLEST_NORMAL;
    bits b = to_bits(x * (small ? SCALE_UP : 1)) + (((bits)BIAS << MANTISSA) - to_bits(ROOT_HALF));
    /* an integer below 2^MANTISSA becomes a real number by way of the low bits of 2^MANTISSA */
    *exponent = from_bits((b >> MANTISSA) | to_bits(TWO_TO_MANTISSA)) -
                (small ? TWO_TO_MANTISSA + BIAS + SCALE_UP_EXPONENT : TWO_TO_MANTISSA + BIAS);
    return from_bits((b & (((bits)1 << MANTISSA) - 1)) + to_bits(ROOT_HALF));
}

/* log(x / y) = k ln(2) + 2 atanh(s + rounded), for x and y positive and finite: returns s. */
static inline real log_parts(real x, real y, real *k, real *rounded) {
    real x_exponent, y_exponent;
    real a = fraction(x, &x_exponent), b = fraction(y, &y_exponent);
    int above = a > b * ROOT_TWO, below = b > a * ROOT_TWO;
    a = above ? a * (real)0.5 : a;
    a = below ? a * 2 : a;
    real exponent = x_exponent - y_exponent;
    exponent = above ? exponent + 1 : exponent;
    *k = below ? exponent - 1 : exponent;
    real above_part = a - b, below_part = a + b, s = above_part / below_part;
    /* what the quotient and the sum below it round off; 1 - d / 4 is near 1 / d, for d in [1.4, 2.9] */
    real lost = b - (below_part - a);
    *rounded = (remainder_of(above_part, s, below_part) - s * lost) * (1 - (real)0.25 * below_part);
    return s;
}

/* k ln(2) + first + rest, where first is below 0.42 and k an integer: high is the sum of the first two, rounded. */
static inline real log_sum(real k, real first, real rest, real *low) {
    real whole = k * LN2_HIGH, high = whole + first;
    *low = (first - (high - whole)) + (k * LN2_LOW + rest);
    return high;
}

/* k ln(2) + 2 atanh(s), where `rest` is atanh_rest(s). */
static inline real log_whole(real s, real rest, real k, real *low) { return log_sum(k, 2 * s, s * rest, low); }

/* k ln(2) + log(1 + f), for f in [1/sqrt(2) - 1, sqrt(2) - 1]: f itself is not rounded, as 2 s would be. */
static inline real log_near(real f, real k, real *low) {
    real s = f / (2 + f), half = (real)0.5 * f * f;
    return log_sum(k, f, s * (half + atanh_rest(s)) - half, low);
}

/* log(x) of a positive finite number. */
static inline real log_usual(real x, real *low) {
    real k, m = fraction(x, &k);
    return log_near(m - 1, k, low);
}

static inline real log_point(real x) {
    real low, high = log_usual(x, &low);
    real found = x > 0 ? high + low : x == 0 ? -INFINITY : NAN;
    return x <= LARGEST ? found : x; /* infinity, NaN */
}

/* log(1 + x) of a number that is not negative nor infinite; what 1 + x rounds off, c, is added to the fraction of the sum. */
static inline real log1p_parts(real x, real *low) {
    real u = 1 + x, c = x >= 1 ? 1 - (u - x) : x - (u - 1), k;
    real m = fraction(u, &k);
    return log_near((m - 1) + c * (m / u), k, low);
}

static inline real log1p_point(real x) {
    real u = 1 + x, low, found = log1p_parts(x, &low);
    found = found + low;
    found = u > 0 ? found : u == 0 ? -INFINITY : NAN;
    found = u == 1 ? x : found; /* the quotient would halve denormal numbers */
    return x <= LARGEST ? found : x;
}

/* --- brief forms, which lose a last place that nobody sees in a sum --- */

/* log(x) of a normal number; of 0 something finite. */
static inline real log_brief(real x) {
    bits b = to_bits(x) + (((bits)BIAS << MANTISSA) - to_bits(ROOT_HALF));
    real k = from_bits((b >> MANTISSA) | to_bits(TWO_TO_MANTISSA)) - (TWO_TO_MANTISSA + BIAS);
    real m = from_bits((b & (((bits)1 << MANTISSA) - 1)) + to_bits(ROOT_HALF)), s = (m - 1) / (m + 1);
    return k * (LN2_HIGH + LN2_LOW) + s * (2 + atanh_rest(s));
}

/* y times the power of 2, k, that brings x / y into [0.666, 1.502], for normal numbers. The bits of a number are nearly its
 * logarithm (Mitchell, Computer multiplication and division using binary logarithms, 1962): k is the difference of theirs,
 * rounded. For x near y it is 0. */
static inline real brought_near(real x, real y, real *k) {
    bits apart = to_bits(x) - to_bits(y) + (SIGN + ((bits)1 << (MANTISSA - 1)));
    *k = from_bits((apart >> MANTISSA) | to_bits(TWO_TO_MANTISSA)) - (TWO_TO_MANTISSA + (2 * BIAS + 2));
    return from_bits(to_bits(y) + ((apart & ~(((bits)1 << MANTISSA) - 1)) - SIGN));
}

/* log(x / y) = k ln(2) + 2 atanh(s), |s| < 0.2005, for normal numbers; returns s. */
static inline real ratio_parts(real x, real y, real *k) {
    y = brought_near(x, y, k);
    return (x - y) / (x + y);
}

/* 2 atanh(s) / s - 2, for s^2 up to 0.0402. */
static inline real atanh_rest_brief(real s) {
    real z = s * s;
#ifdef REAL_IS_FLOAT
    real p = 0.2996279f;
    p = p * z + 0.39978802f;
    p = p * z + 0.66666716f;
#else
    real p = 0x1.35b99f3a4cd26p-3;
    p = p * z + 0x1.38ffd7ff2ea9cp-3;
    p = p * z + 0x1.746bd7ec3f49dp-3;
    p = p * z + 0x1.c71c3c49cff06p-3;
    p = p * z + 0x1.249249529dd5cp-2;
    p = p * z + 0x1.999999997bed9p-2;
    p = p * z + 0x1.555555555556ep-1;
#endif
    return p * z;
}
