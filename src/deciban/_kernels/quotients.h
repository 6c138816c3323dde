/* Terms divided by a positive sum, which costs three operations where a division takes as long as eight or ten: with
 * y = 1 / sum and q = t y, the quotient is q + (t - q sum) y, rounded as a division would (Markstein, Computation of
 * elementary functions on the IBM RISC System/6000 processor, 1990). Of float the inverse is a sum of two.
 * Included after elementary.h, whose `real` it shares.
 */
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
