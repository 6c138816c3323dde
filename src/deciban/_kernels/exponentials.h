/* What is known of sums of exponentials (exp_sum in special.h), and what is made of it. Included after elementary.h, whose
 * `real` it shares.
 */
/* What is taken off before exp, never an infinity: NaN shows in the exponentials still. */
static inline real taken_off(real largest) { return largest > LARGEST ? LARGEST : largest < -LARGEST ? 0 : largest; }

/* exp(x) of a number that is not positive. */
static inline double exp_below(double x) {
#ifdef REAL_IS_FLOAT
    return exp(x);
#else
    return exp_raised(x) / RAISED;
#endif
}

/* The sum over two parts from that of each. */
static inline exp_sum together(exp_sum a, exp_sum b) {
    int swapped = b.largest > a.largest, same = b.largest == a.largest;
    exp_sum all = swapped ? b : a, other = swapped ? a : b;
    double scale = same ? 1.0 : other.largest > -INFINITY ? exp_below(other.largest - all.largest) : 0.0;
    /* NaN, if there was one, whatever the scale */
    double more = same ? other.rest : (other.count + other.rest) * scale, sum = all.rest + more, added = sum - all.rest;
    all.count += same ? other.count : 0.0;
    all.low += ((all.rest - (sum - added)) + (more - added)) + other.low * scale;
    all.rest = sum;
    return all;
}

/* The first place of a value that is there, or of NaN, among values `stride` apart. */
static inline ptrdiff_t first_place(const real *x, ptrdiff_t stride, real value) {
    ptrdiff_t i = 0;
    while (!(x[i * stride] == value || (value != value && x[i * stride] != x[i * stride]))) {
        i++;
    }
    return i;
}

/* Take the size of a factor into the range of those that are finite and not 0. */
static inline void widen(real factor, real *least, real *most) {
    real size = factor < 0 ? -factor : factor;
    *least = size > 0 && size < *least ? size : *least;
    *most = size <= LARGEST && size > *most ? size : *most;
}

/* What b exp(x) of an infinite largest x adds up to: an infinity, NaN, or 0. */
static double sum_of_infinite(const real *x, ptrdiff_t stride, const real *b, ptrdiff_t step, ptrdiff_t n, real largest) {
    double sum = 0.0;
    for (ptrdiff_t i = 0; i < n; i++) {
        double factor = b[i * step];
        sum += factor != 0 && x[i * stride] == largest ? factor * exp((double)largest) : 0.0;
    }
    return sum;
}

/* apart - (shift + low), rounded once; an infinity loses nothing. */
static inline real shifted(real apart, real shift, real low) {
    real found = apart - shift, lost = rounded_off(apart, -shift, found);
    return found + ((lost == lost ? lost : 0) - low);
}

/* log(count + rest) as a sum of two. */
static inline real log_total(double count, double rest, real *low) {
    double above = (count - 1.0) + rest;
    real x = (real)above, high = log1p_parts(x, low);
    *low += (real)((rest - (above - (count - 1.0))) + (above - x)) / (1 + x); /* what x lacks */
    return high;
}

/* largest + log(count + rest) */
static inline real log_sum_of(real largest, double count, double rest) {
    real low, high = log_total(count, rest, &low), sum = largest + high;
    real found = sum + (rounded_off(largest, high, sum) + low);
    /* an infinite or missing maximum decides by itself, unless there was NaN */
    return is_finite(largest) ? found : largest + (real)rest;
}

/* 1 / (x + x_low) as a sum of two: who multiplies by it rounds once. */
static inline real inverse(double x, double x_low, real *low) {
    double quotient = 1.0 / x;
    real high = (real)quotient;
#ifdef REAL_IS_FLOAT
    *low = (real)((quotient - high) - quotient * quotient * x_low);
#else
    *low = high * (remainder_of(1, high, x) - high * x_low);
#endif
    return high;
}

