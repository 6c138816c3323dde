/* The elementwise loops of special.h, for one real type and one tier. A multiplication and an addition may become one
 * operation here (these are not sums that have to agree with somebody else's to the bit).
 *
 * Cost: an exponential (runs.h), or about as many operations and a division for a logarithm. Eight doubles or sixteen floats
 * at a time that is 0.3-1 ns an element, near what memory delivers.
 */
#include "special.h"

#include <float.h>

#include "elementary.h"
#include "entropies.h"
#include "runs.h"

#define AHEAD (8192 / (ptrdiff_t)sizeof(real)) /* values between those that memory is asked for and those computed */

/* b (1 - q), where e = exp(-|x|), b is the smaller one of e^x and 1, q = e / (1 + e): a quarter of q's roundings is seen.
 * Of double numbers without lanes, whose exponentials are a little closer, what e rounds off below 0 is followed: it moves
 * the result by (1 - q)^2 times as much, for which 1 - 1.55 q does. */
#ifdef HAVE_LANES
static inline lanes expit_lanes(lanes x) {
    const lanes one = VECTOR(set1)(RAISED);
    lanes e = exp_lanes(x), q = VECTOR(div)(e, VECTOR(add)(one, e));
    lanes base = VECTOR(mask_mul)(VECTOR(set1)(1), negative_lanes(x), e, VECTOR(set1)(1 / RAISED));
    return VECTOR(fnmadd)(base, q, base);
}
#endif

/* Memory is asked for values `ahead` of those that are computed. */
static void expit_loop(ptrdiff_t ahead, const real *x, real *out, ptrdiff_t n) {
#ifdef HAVE_LANES
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        __builtin_prefetch(x + i + ahead);
        VECTOR(storeu)(out + i, expit_lanes(VECTOR(loadu)(x + i)));
    }
    if (i < n) {
        VECTOR(mask_storeu)(out + i, first_lanes(n - i), expit_lanes(VECTOR(maskz_loadu)(first_lanes(n - i), x + i)));
    }
#else
    (void)ahead;
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        real low, raised = exp_raised_parts(minus_size(x[i]), &low), q = raised / (RAISED + raised);
        real e = raised * (1 / RAISED), above = 1 - q;
#ifdef REAL_IS_FLOAT
        real below = e - e * q;
#else
        real below = e - fused(e, q, -low * (1 / RAISED) * (1 - 1.55 * q)); /* not either product as the compiler likes */
#endif
        out[i] = x[i] < 0 ? below : above;
    }
#endif
}

/* min(x, 0) - log(1 + e), e = exp(-|x|); log(1 + e) = e - s (e - rest), s = e / (2 + e) up to 1/3. What e rounds off moves
 * the result by 1 / (1 + e), which 1 - e + e^2 / 2 is within a twelfth of itself. */
static void log_expit_loop(const real *x, real *out, ptrdiff_t n) {
    real terms[RUN], rounded[RUN];
    for (ptrdiff_t from = 0; from < n; from += RUN) {
        ptrdiff_t m = n - from < RUN ? n - from : RUN;
        exp_parts_run(x + from, m, terms, rounded);
#pragma omp simd
        for (ptrdiff_t i = 0; i < m; i++) {
            real e = terms[i] * (1 / RAISED), below = 2 + e, s = e / below, here = x[from + i];
            real low = rounded[i] * (1 / RAISED);
            /* what the quotient and the sum below it round off is lost, near e = 1, where that matters, times e / 4 */
            real lost = (remainder_of(e, s, below) - s * (e - (below - 2))) * ((real)0.25 * e);
            real least = here < 0 ? here : 0, first = least - e;
            lost += rounded_off(least, -e, first) - low * (1 - e * (1 - (real)0.5 * e));
            real factor = e - atanh_rest_wide(s), sum = first + s * factor;
            lost += (first - sum) + s * factor;
            out[from + i] = sum + (lost == lost ? lost : 0); /* -infinity loses nothing */
        }
    }
}

/* log(p / q), q = 1 - p: the logarithm (lanes.h) of the quotient, plus what that and q round off. Near 1/2, where it cancels,
 * it is log(1 + (2 p - 1) / q), whose numerator is exact. */
#ifdef HAVE_LANES
static inline lanes logit_lanes(lanes p) {
    const lanes one = VECTOR(set1)(1), none = VECTOR(setzero)();
    some_lanes usual = ~above_lanes(VECTOR(set1)(SMALLEST_NORMAL), p) & above_lanes(one, p);
    lanes x = p, scaled = none;
    if (usual != (some_lanes)-1) { /* of denormal numbers the quotient, with q = 1, is 2^SCALE_UP_EXPONENT times as large */
        some_lanes denormal = above_lanes(p, none) & above_lanes(VECTOR(set1)(SMALLEST_NORMAL), p);
        x = VECTOR(mask_mul)(p, denormal, p, VECTOR(set1)(SCALE_UP));
        scaled = VECTOR(maskz_mov)(denormal, VECTOR(set1)(SCALE_UP_EXPONENT * TWO_TO_MANTISSA));
        usual |= denormal;
    }
    lanes q = VECTOR(sub)(one, p), q_lost = VECTOR(sub)(VECTOR(sub)(one, q), p);
    some_lanes near = above_lanes(p, VECTOR(set1)((real)0.493)) & ~above_lanes(p, VECTOR(set1)((real)0.5077));
    lanes above = VECTOR(mask_sub)(x, near, VECTOR(add)(p, p), one), quotient = VECTOR(div)(above, q);
    lanes lost = VECTOR(mul)(VECTOR(fnmadd)(quotient, q, above), VECTOR(rcp14)(x));
    lost = VECTOR(fnmadd)(VECTOR(mask_mul)(q_lost, near, q_lost, quotient), VECTOR(rcp14)(q), lost);
    __m512i place;
    lanes k, m = fraction_lanes(VECTOR(mask_mov)(quotient, near, one), &k, &place), inverse = chosen(inverses, place);
    k = VECTOR(sub)(k, scaled);
    /* with a rounding mode, so that a compiler does not fuse it with the subtraction */
    lanes product = VECTOR(mul_round)(m, inverse, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    lanes r = VECTOR(mask_mov)(VECTOR(sub)(product, one), near, quotient);
    lanes product_lost = VECTOR(fmsub)(m, inverse, product);
    lost = VECTOR(add)(lost, VECTOR(fnmadd)(product_lost, r, product_lost));
    lost = VECTOR(add)(lost, VECTOR(fmadd)(k, VECTOR(set1)(LN2_LOW / TWO_TO_MANTISSA), chosen(inverse_logs_low, place)));
    /* nothing is rounded off here: factor and table end where LN2_HIGH does */
    lanes whole = VECTOR(fmadd)(k, VECTOR(set1)(LN2_HIGH / TWO_TO_MANTISSA), chosen(inverse_logs_high, place));
    lanes high = VECTOR(add)(whole, r);
    lost = VECTOR(add)(lost, VECTOR(sub)(r, VECTOR(sub)(high, whole)));
    lanes square = VECTOR(mul)(r, r);
    lanes found = VECTOR(add)(high, VECTOR(fmadd)(square, log_tail_lanes(r, square), lost));
    if (usual != (some_lanes)-1) {
        found = VECTOR(mask_mov)(VECTOR(set1)((real)NAN), usual, found);
        found = VECTOR(mask_mov)(found, equal_lanes(p, none), VECTOR(set1)(-INFINITY));
        found = VECTOR(mask_mov)(found, equal_lanes(p, one), VECTOR(set1)(INFINITY));
    }
    return found;
}
#else
static inline real logit_point(real p) {
    real k, low, rest = 1 - p, rounded, s = log_parts(p, rest, &k, &rounded);
    int near_half = p > (real)0.4143 && p < (real)0.5857;
    s = near_half ? 2 * p - 1 : s;
    real high = log_whole(s, atanh_rest(s), near_half ? 0 : k, &low);
    /* log(rest) lacks what 1 - p rounds off */
    real found = high + (near_half ? low : low + (2 * rounded - ((1 - rest) - p) / rest));
    found = p == 0 ? -INFINITY : p == 1 ? INFINITY : found;
    return p >= 0 && p <= 1 ? found : NAN;
}
#endif

static void logit_loop(ptrdiff_t ahead, const real *x, real *out, ptrdiff_t n) {
#ifdef HAVE_LANES
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        __builtin_prefetch(x + i + ahead);
        store_first(out + i, n - i, logit_lanes(load_first(x + i, n - i)));
    }
#else
    (void)ahead;
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        out[i] = logit_point(x[i]);
    }
#endif
}

/* What remains of both: zeros, negative numbers, infinities, NaN. `zero` is the value at x = 0, `far` at y = infinity. */
static inline real unusual_rel_entr(real x, real y, real zero, real far) {
    if (x != x || y != y) {
        return x + y;
    }
    if (x == 0 && y >= 0) {
        return zero;
    }
    if (x > 0 && y > LARGEST) {
        return x > LARGEST ? (real)NAN : far;
    }
    return INFINITY;
}

static inline int both_usual(real x, real y) { return x > 0 && y > 0 && x <= LARGEST && y <= LARGEST; }

#define LOOP_1(name)                                                      \
    static void name##_loop(const real *x, real *out, ptrdiff_t n) {      \
        _Pragma("omp simd") for (ptrdiff_t i = 0; i < n; i++) {           \
            out[i] = name##_point(x[i]);                                  \
        }                                                                 \
    }
LOOP_1(entr)

static void xlogy_loop(const real *x, const real *y, real *out, ptrdiff_t n) {
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        out[i] = xlogy_point(x[i], y[i]);
    }
}

#define LOOP_2(name, zero, far)                                                                 \
    static void name##_loop(const real *x, const real *y, real *out, ptrdiff_t n) {             \
        bits unusual = 0;                                                                       \
        real kept_x[64], kept_y[64]; /* out may be x or y */                                    \
        for (ptrdiff_t start = 0; start < n; start += 64) {                                     \
            ptrdiff_t m = n - start < 64 ? n - start : 64;                                      \
            memcpy(kept_x, x + start, m * sizeof(real));                                        \
            memcpy(kept_y, y + start, m * sizeof(real));                                        \
            unusual = 0;                                                                        \
            _Pragma("omp simd reduction(| : unusual)") for (ptrdiff_t i = 0; i < m; i++) {      \
                unusual |= both_usual(kept_x[i], kept_y[i]) ? 0 : 1;                            \
                out[start + i] = name##_usual(kept_x[i], kept_y[i]);                            \
            }                                                                                   \
            for (ptrdiff_t i = 0; unusual && i < m; i++) {                                      \
                if (!both_usual(kept_x[i], kept_y[i])) {                                        \
                    out[start + i] = unusual_rel_entr(kept_x[i], kept_y[i], zero, far);         \
                }                                                                               \
            }                                                                                   \
        }                                                                                       \
    }
LOOP_2(rel_entr, 0, -INFINITY)
LOOP_2(kl_div, kept_y[i], INFINITY)

/* Call `loop` for all values; of a long result piece by piece, streamed. */
#define MAP(name, parameters, all, some)                                                  \
    static void name(parameters, real *out, ptrdiff_t n) {                                \
        _Alignas(LINE) real piece[STREAM];                                                \
        if (n * sizeof(real) < STREAMED) {                                                \
            name##_loop(all, out, n);                                                     \
            return;                                                                       \
        }                                                                                 \
        ptrdiff_t m = first_piece(out, STREAM);                                           \
        for (ptrdiff_t at = 0; at < n; at += m, m = n - at < STREAM ? n - at : STREAM) {  \
            name##_loop(some, piece, m);                                                  \
            stream(piece, out + at, m);                                                   \
        }                                                                                 \
        settle();                                                                         \
    }
#define PAIR(a, b) a, b
MAP(expit, const real *x, PAIR(0, x), PAIR(AHEAD, x + at))
MAP(log_expit, const real *x, x, x + at)
MAP(logit, const real *x, PAIR(0, x), PAIR(AHEAD, x + at))
MAP(entr, const real *x, x, x + at)
MAP(xlogy, PAIR(const real *x, const real *y), PAIR(x, y), PAIR(x + at, y + at))
MAP(rel_entr, PAIR(const real *x, const real *y), PAIR(x, y), PAIR(x + at, y + at))
MAP(kl_div, PAIR(const real *x, const real *y), PAIR(x, y), PAIR(x + at, y + at))

#ifdef REAL_IS_FLOAT
const elementwise_float_ops TIER_NAME(elementwise_float) = {
#else
const elementwise_double_ops TIER_NAME(elementwise_double) = {
#endif
    expit, log_expit, logit, entr, xlogy, rel_entr, kl_div};
