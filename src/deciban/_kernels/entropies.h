/* Terms of entropies and divergences, one at a time: x log(x), x log(y), x log(x / y), x log(x / y) - x + y, of double
 * nearly to the last place, of float computed in double. "usual" forms are for positive finite numbers, "point" forms for
 * all. Included after elementary.h, whose `real` it shares.
 */
#ifdef REAL_IS_FLOAT
/* x log(x / y) and the like of float numbers: computed in double, as SciPy does, and rounded once. Both are positive and
 * finite, so that as double they are normal, and nothing overflows. As ratio_parts() and atanh_rest_brief(), with a
 * polynomial that suffices for 1e-12: where terms cancel, a few digits more than float has are seen. */
static inline double wide_parts(double x, double y, double *k, double *rest) {
    const uint64_t one = (uint64_t)1 << 52;
    uint64_t x_bits, y_bits, k_bits;
    memcpy(&x_bits, &x, sizeof x);
    memcpy(&y_bits, &y, sizeof y);
    uint64_t apart = x_bits - y_bits + (2048 * one + one / 2);
    k_bits = apart >> 52 | (uint64_t)(1023 + 52) << 52;
    memcpy(k, &k_bits, sizeof *k);
    *k -= 0x1p52 + 2048;
    y_bits += (apart & ~(one - 1)) - 2048 * one;
    memcpy(&y, &y_bits, sizeof y);
    double s = (x - y) / (x + y), z = s * s;
    double p = 0x1.95e93d866c12fp-3;
    p = p * z + 0x1.c5e8d495cdf2cp-3;
    p = p * z + 0x1.2494830e81b62p-2;
    p = p * z + 0x1.999996b9c4631p-2;
    p = p * z + 0x1.55555555a11ccp-1;
    *rest = p * z;
    return s;
}

static inline real rel_entr_usual(real x, real y) {
    double k, rest, s = wide_parts(x, y, &k, &rest);
    return (real)(x * (k * 0x1.62e42fefa39efp-1 + s * (2 + rest)));
}

/* Where k is 0 the terms cancel, and what is left is (x - y) (atanh(s) - s + s atanh(s)) / s. */
static inline real kl_div_usual(real x, real y) {
    double k, rest, s = wide_parts(x, y, &k, &rest), difference = (double)y - x;
    double far = difference + x * (k * 0x1.62e42fefa39efp-1 + s * (2 + rest));
    return (real)(k == 0 ? -difference * (s + 0.5 * rest * (1 + s)) : far);
}

static inline real entr_usual(real x) { return -rel_entr_usual(x, 1); }
#else
/* What fused() lacks of a b, for b of moderate size; near the borders of the numbers, nothing. */
static inline real product_rounded_off(real a, real b) {
#ifdef FP_FAST_FMA
    (void)a, (void)b;
    return 0;
#else
    return a > TINY && a < VAST ? -remainder_of(a * b, a, b) : 0;
#endif
}

static inline real entr_usual(real x) {
    real low, high = log_usual(x, &low);
    return -fused(x, high, x * low + product_rounded_off(x, high));
}

static inline real rel_entr_usual(real x, real y) {
    real k, rounded, low, s = log_parts(x, y, &k, &rounded), high = log_whole(s, atanh_rest(s), k, &low);
    return fused(x, high, x * (low + 2 * rounded) + product_rounded_off(x, high));
}

/* x log(x / y) - x + y; for k = 0, where the terms cancel, that is (x - y) (atanh(s) - s + s atanh(s)) / s, where nothing
 * does and x - y is exact. Where they cancel in part, every digit of the logarithm counts. */
static inline real kl_div_usual(real x, real y) {
    real k, rounded, low, s = log_parts(x, y, &k, &rounded), rest = atanh_rest(s), high = log_whole(s, rest, k, &low);
    real near = (x - y) * (s + (real)0.5 * rest * (1 + s));
    real difference = y - x, lost = rounded_off(y, -x, difference) + product_rounded_off(x, high);
    real beyond = x * (low + 2 * rounded) + lost;
#ifdef FP_FAST_FMA
    real far = fused(x, high, difference) + beyond;
#else
    real part = x > VAST ? (real)0.5 : 1; /* the product may be beyond all numbers where the sum is not */
    real far = (part * x * high + part * difference + part * beyond) / part;
#endif
    return k == 0 ? near : far;
}
#endif

static inline real entr_point(real x) {
    real found = entr_usual(x);
    found = x > 0 ? found : x == 0 ? 0 : -INFINITY;
    return x <= LARGEST ? found : -x; /* infinity, NaN */
}

static inline real xlogy_point(real x, real y) {
    real low, high = log_usual(y, &low);
    high = y > 0 ? high : y == 0 ? -INFINITY : NAN;
    high = y <= LARGEST ? high : y;
    real found = fused(x, high, x * low);
    found = found == found ? found : x * high; /* x is infinite, or NaN */
    return x == 0 && y == y ? 0 : found;
}
