/* The loops of layers.h, for one real type and one tier. A multiplication and an addition may become one operation here.
 *
 * Cost: an activation or a loss is at most two exponentials and a logarithm an element, 1-3 ns; an optimiser reads its
 * arrays once and writes them once (Adam: 28 bytes a float, 56 a double, and a square root and a division each).
 */
#include "layers.h"

#include <float.h>

#include "elementary.h"
#include "runs.h"

#define PIECE 2048 /* values between one loop and the next over the same: they stay in the first cache */
#define LEAK (real)0.01
#ifdef REAL_IS_FLOAT
#define ROOT sqrtf
#else
#define ROOT sqrt
#endif

static inline real identity_point(real x) { return x; }

static inline real logistic_point(real x) {
    real e = exp_point(x < 0 ? x : -x);
    return (x < 0 ? e : 1) / (1 + e);
}

static inline real tanh_point(real x) {
    real e = expm1_point(x < 0 ? -2 * x : 2 * x), found = e / (e + 2);
    return x < 0 ? -found : found;
}

static inline real relu_point(real x) { return x < 0 ? 0 : x; } /* NaN stays */

static inline real leaky_relu_point(real x) { return x < 0 ? LEAK * x : x; }

static inline real softplus_point(real x) { return log1p_point(exp_point(x < 0 ? x : -x)) + (x < 0 ? 0 : x); }

/* erfc(x) exp(x^2) for x >= 0: (1 + 2 x) times it is a smooth function of (x - k) / (x + k), here interpolated at
 * Chebyshev nodes (M. M. Shepherd and J. G. Laframboise, Mathematics of Computation 36 (1981), 249-253). */
static inline real erfcx_point(real x) {
#ifdef REAL_IS_FLOAT
    static const real factors[] = {-9.351063e-05f, -0.00051315944f, 0.0018774946f, 0.0022849522f,
                                   -0.023765692f,  0.06841076f,     -0.11927452f,  0.12962717f,
                                   -0.047562253f,  -0.1356202f,     1.253008f};
    const real k = 3;
#else
    static const real factors[] = {
        -0x1.772004cd8d1abp-29, -0x1.0c63b219c1bd8p-29, 0x1.17bb2c134e042p-25,  0x1.429cb8b3e4f47p-26,
        -0x1.0c65f5e7a1e6cp-22, -0x1.b48392232d543p-25, 0x1.d41cfdd12ab86p-20,  -0x1.06e0d05323891p-20,
        -0x1.7fd98bfdd146cp-17, 0x1.7799fa84f9929p-16,  0x1.b13fe29c4adcbp-15,  -0x1.303ffce61d791p-12,
        0x1.33fb466bf4b0fp-12,  0x1.cc3a13ec5fe8bp-10,  -0x1.3f603c5c10bdbp-7,  0x1.d0b0037001e32p-6,
        -0x1.e0d0fa6d2ae2fp-5,  0x1.7a14188ae2e10p-4,   -0x1.bda9309a2ca2ap-4,  0x1.510169d093b1ep-4,
        0x1.d5f294815b4eep-9,   -0x1.1f367683f8966p-3,  0x1.3ccda0b5d5dc2p+0};
    const real k = 3.75;
#endif
    real t = (x - k) / (x + k), p = factors[0];
#pragma GCC unroll 32
    for (size_t i = 1; i < sizeof factors / sizeof factors[0]; i++) {
        p = p * t + factors[i];
    }
    return p / (1 + 2 * x);
}

/* The normal distribution function; `bell` becomes exp(-x^2 / 2). */
static inline real normal_point(real x, real *bell) {
    real size = x < 0 ? -x : x;
    size = size > 64 ? 64 : size; /* whose square is finite, and whose tail is none */
    *bell = exp_point((real)-0.5 * size * size);
    real tail = (real)0.5 * *bell * erfcx_point(size * (real)0.7071067811865476);
    return x < 0 ? tail : 1 - tail;
}

static inline real gelu_point(real x) {
    real bell, found = x * normal_point(x, &bell);
    return x < -LARGEST ? 0 : found; /* infinity times zero */
}

#define MAP(name)                                                     \
    static void name##_all(const real *x, real *out, ptrdiff_t n) {   \
        _Pragma("omp simd") for (ptrdiff_t i = 0; i < n; i++) {       \
            out[i] = name##_point(x[i]);                              \
        }                                                             \
    }
MAP(identity)
MAP(logistic)
MAP(tanh)
MAP(relu)
MAP(leaky_relu)
MAP(softplus)
MAP(gelu)
MAP(exp)

/* out = exp(x - largest) 2^RAISE; returns the sum. */
static double sum_exp(const real *x, ptrdiff_t n, real largest, real *out) {
    double total = 0.0;
    for (ptrdiff_t start = 0; start < n; start += RUN) {
        total += exp_run(x + start, largest, n - start < RUN ? n - start : RUN, out + start);
    }
    return total;
}

static void softmax_all(const real *x, real *out, ptrdiff_t n) {
    real factor = (real)(1.0 / sum_exp(x, n, largest_of(x, n), out));
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        out[i] *= factor;
    }
}

/* The largest terms are counted apart: where one outweighs all others, log1p keeps what those add. */
static void log_softmax_all(const real *x, real *out, ptrdiff_t n) {
    real largest = largest_of(x, n);
    double total = -1.0;
    for (ptrdiff_t start = 0; start < n; start += RUN) {
        ptrdiff_t size = n - start < RUN ? n - start : RUN;
        real rest = 0, count = 0, terms[RUN];
        exp_run(x + start, largest, size, terms);
#pragma omp simd reduction(+ : rest, count)
        for (ptrdiff_t i = 0; i < size; i++) {
            rest += x[start + i] == largest ? 0 : terms[i];
            count += x[start + i] == largest ? 1 : 0;
        }
        total += count;
        total += rest / RAISED;
    }
    real log_total = (real)log1p(total);
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        out[i] = (x[i] - largest) - log_total;
    }
}

static void (*const maps[N_ACTIVATIONS])(const real *, real *, ptrdiff_t) = {
    identity_all, logistic_all, tanh_all, relu_all, leaky_relu_all, softplus_all, gelu_all, exp_all,
    softmax_all, log_softmax_all};

static void activate(int activation, real *z, const real *bias, ptrdiff_t n_rows, ptrdiff_t n_columns, real *out) {
    ptrdiff_t together = activation >= SOFTMAX || n_columns > PIECE ? 1 : PIECE / (n_columns + !n_columns);
    for (ptrdiff_t row = 0; row < n_rows; row += together) {
        ptrdiff_t n = n_rows - row < together ? n_rows - row : together;
        real *values = z + row * n_columns;
        for (ptrdiff_t i = 0; bias != NULL && i < n; i++) {
            real *to = values + i * n_columns;
#pragma omp simd
            for (ptrdiff_t k = 0; k < n_columns; k++) {
                to[k] += bias[k];
            }
        }
        if (activation != IDENTITY || out != z) {
            maps[activation](values, out + row * n_columns, n * n_columns);
        }
    }
}

static void slope(int activation, const real *z, const real *out, ptrdiff_t n, real *delta) {
    switch (activation) {
        case LOGISTIC:
#pragma omp simd
            for (ptrdiff_t i = 0; i < n; i++) {
                delta[i] = delta[i] * out[i] * (1 - out[i]);
            }
            break;
        case TANH:
#pragma omp simd
            for (ptrdiff_t i = 0; i < n; i++) {
                delta[i] *= 1 - out[i] * out[i];
            }
            break;
        case RELU:
#pragma omp simd
            for (ptrdiff_t i = 0; i < n; i++) {
                delta[i] = out[i] == 0 ? 0 : delta[i];
            }
            break;
        case LEAKY_RELU:
#pragma omp simd
            for (ptrdiff_t i = 0; i < n; i++) {
                delta[i] = out[i] > 0 ? delta[i] : LEAK * delta[i];
            }
            break;
        case SOFTPLUS:
#pragma omp simd
            for (ptrdiff_t i = 0; i < n; i++) {
                delta[i] *= -expm1_point(-out[i]);
            }
            break;
        case GELU:
#pragma omp simd
            for (ptrdiff_t i = 0; i < n; i++) {
                real bell, normal = normal_point(z[i], &bell), size = z[i] < -64 ? -64 : z[i] > 64 ? 64 : z[i];
                delta[i] *= normal + size * bell * (real)0.3989422804014327;
            }
            break;
        case EXP:
#pragma omp simd
            for (ptrdiff_t i = 0; i < n; i++) {
                delta[i] *= out[i];
            }
            break;
        default:
            break;
    }
}

/* --- losses: of one row, weighted; the sum of each in runs ------------------------------------------------------------ */

#define SUM_OF(n, ...)                                                                        \
    double total = 0.0;                                                                       \
    for (ptrdiff_t start = 0; start < (n); start += RUN) {                                    \
        ptrdiff_t stop = (n)-start < RUN ? (n) : start + RUN;                                 \
        real part = 0;                                                                        \
        _Pragma("omp simd reduction(+ : part)") for (ptrdiff_t i = start; i < stop; i++) {    \
            __VA_ARGS__                                                                       \
        }                                                                                     \
        total += part;                                                                        \
    }

static double squared(const real *z, const real *y, ptrdiff_t n, real weight, real limit, real *delta) {
    (void)limit;
    SUM_OF(n, real d = z[i] - y[i]; delta[i] = weight * d; part += (real)0.5 * d * d;)
    return total;
}

/* -log p = log(1 + e^-z), -log(1 - p) = log(1 + e^z). */
static double logistic_entropy(const real *z, const real *y, ptrdiff_t n, real weight, real limit, real *delta) {
    SUM_OF(n, real x = z[i]; real e = exp_point(x < 0 ? x : -x); real p = (x < 0 ? e : 1) / (1 + e);
           real s = log1p_point(e); real on = s + (x < 0 ? -x : 0); real off = s + (x < 0 ? 0 : x);
           on = on > limit ? limit : on; off = off > limit ? limit : off; part += y[i] * on + (1 - y[i]) * off;
           delta[i] = weight * (p - y[i]);)
    return total;
}

static double softmax_entropy(const real *z, const real *y, ptrdiff_t n, real weight, real limit, real *delta) {
    real largest = largest_of(z, n), mass = 0, terms[RUN];
    double of_row = 0.0, total = 0.0;
    for (ptrdiff_t start = 0; start < n; start += RUN) { /* log sum exp first: delta may be z */
        of_row += exp_run(z + start, largest, n - start < RUN ? n - start : RUN, terms);
    }
    real log_sum = (real)log(of_row / RAISED), factor = (real)(1.0 / of_row);
#pragma omp simd reduction(+ : mass)
    for (ptrdiff_t i = 0; i < n; i++) {
        mass += y[i];
    }
    for (ptrdiff_t start = 0; start < n; start += RUN) {
        ptrdiff_t size = n - start < RUN ? n - start : RUN;
        real part = 0;
        if (n > RUN) { /* else they are there */
            exp_run(z + start, largest, size, terms);
        }
#pragma omp simd reduction(+ : part)
        for (ptrdiff_t i = 0; i < size; i++) {
            real cost = log_sum - (z[start + i] - largest);
            part += y[start + i] * (cost > limit ? limit : cost);
            delta[start + i] = weight * (mass * terms[i] * factor - y[start + i]);
        }
        total += part;
    }
    return total;
}

/* Half the Poisson deviance, y log(y / p) - y + p with p = e^z. */
static double poisson(const real *z, const real *y, ptrdiff_t n, real weight, real limit, real *delta) {
    (void)limit;
    SUM_OF(n, real p = exp_point(z[i]); real usual = y[i] * (log_point(y[i]) - z[i]);
           part += (y[i] == 0 ? 0 : usual) - y[i] + p; delta[i] = weight * (p - y[i]);)
    return total;
}

static double (*const losses[N_LOSSES])(const real *, const real *, ptrdiff_t, real, real, real *) = {
    squared, logistic_entropy, softmax_entropy, poisson};

static double loss(int kind, const real *z, const real *targets, const real *weights, double limit, ptrdiff_t n_rows,
                   ptrdiff_t n_columns, real *delta) {
    double total = 0.0;
    if (weights == NULL && kind != SOFTMAX_ENTROPY) {
        return losses[kind](z, targets, n_rows * n_columns, 1, (real)limit, delta);
    }
    for (ptrdiff_t row = 0; row < n_rows; row++) {
        real weight = weights == NULL ? 1 : weights[row];
        ptrdiff_t at = row * n_columns;
        total += weight * losses[kind](z + at, targets + at, n_columns, weight, (real)limit, delta + at);
    }
    return total;
}

static double softmax_loss(const real *z, const int *codes, const real *weights, double limit, ptrdiff_t n_rows,
                           ptrdiff_t n_columns, real *delta) {
    double total = 0.0;
    for (ptrdiff_t row = 0; row < n_rows; row++) {
        const real *x = z + row * n_columns;
        real *to = delta + row * n_columns, largest = largest_of(x, n_columns), own = x[codes[row]];
        real weight = weights == NULL ? 1 : weights[row];
        double of_row = sum_exp(x, n_columns, largest, to);
        double cost = log(of_row / RAISED) - ((double)own - largest);
        total += weight * (cost > limit ? limit : cost);
        real factor = (real)(weight / of_row);
#pragma omp simd
        for (ptrdiff_t k = 0; k < n_columns; k++) {
            to[k] *= factor;
        }
        to[codes[row]] -= weight;
    }
    return total;
}

/* --- optimisers ------------------------------------------------------------------------------------------------------- */

static double adam(const real *gradient, ptrdiff_t n, double decay, double scale, double rate, double beta_1,
                   double beta_2, double epsilon, real *restrict parameters, real *restrict first_moment,
                   real *restrict second_moment) {
    real a = (real)decay, c = (real)scale, step = (real)rate, little = (real)epsilon;
    real keep_1 = (real)beta_1, take_1 = (real)(1.0 - beta_1), keep_2 = (real)beta_2, take_2 = (real)(1.0 - beta_2);
    SUM_OF(n, real p = parameters[i]; real g = (gradient[i] + a * p) * c;
           real m = keep_1 * first_moment[i] + take_1 * g; real v = keep_2 * second_moment[i] + take_2 * (g * g);
           first_moment[i] = m; second_moment[i] = v; parameters[i] = p - step * m / (ROOT(v) + little); part += p * p;)
    return total;
}

static double sgd(const real *gradient, ptrdiff_t n, double decay, double scale, double rate, double momentum,
                  int nesterov, real *restrict parameters, real *restrict velocity) {
    real a = (real)decay, c = (real)scale, step = (real)rate, keep = (real)momentum;
    real ahead = nesterov ? keep : 1, again = nesterov ? step : 0;
    SUM_OF(n, real p = parameters[i]; real g = (gradient[i] + a * p) * c; real u = keep * velocity[i] - step * g;
           velocity[i] = u; parameters[i] = p + (ahead * u - again * g); part += p * p;)
    return total;
}

/* --- rows ------------------------------------------------------------------------------------------------------------- */

/* Values that the compiler keeps in registers; they may stand at any real's address. */
typedef real line __attribute__((vector_size(LINE), aligned(sizeof(real)), may_alias));

/* The first columns, four lines at a time and then one; returns how many are done. */
static ptrdiff_t sparse_row_lines(const real *x, const int *indices, ptrdiff_t n, const real *table,
                                  ptrdiff_t n_columns, real *out) {
    ptrdiff_t k = 0, size = LINE / sizeof(real);
    for (; k + 4 * size <= n_columns; k += 4 * size) {
        line a = {0}, b = {0}, c = {0}, d = {0};
        for (ptrdiff_t i = 0; i < n; i++) {
            const real *row = table + indices[i] * n_columns + k;
            const real *next = table + indices[i + 4 < n ? i + 4 : i] * n_columns + k;
            for (int part = 0; part < 4; part++) {
                __builtin_prefetch(next + part * size);
            }
            a += x[i] * *(const line *)row, b += x[i] * *(const line *)(row + size);
            c += x[i] * *(const line *)(row + 2 * size), d += x[i] * *(const line *)(row + 3 * size);
        }
        *(line *)(out + k) = a, *(line *)(out + k + size) = b;
        *(line *)(out + k + 2 * size) = c, *(line *)(out + k + 3 * size) = d;
    }
    for (; k + size <= n_columns; k += size) {
        line a = {0};
        for (ptrdiff_t i = 0; i < n; i++) {
            a += x[i] * *(const line *)(table + indices[i] * n_columns + k);
        }
        *(line *)(out + k) = a;
    }
    return k;
}

static void sparse_row(const real *x, const int *indices, ptrdiff_t n, const real *table, ptrdiff_t n_columns,
                       real *out) {
    for (ptrdiff_t k = sparse_row_lines(x, indices, n, table, n_columns, out); k < n_columns; k++) {
        real sum = 0;
        for (ptrdiff_t i = 0; i < n; i++) {
            sum += x[i] * table[indices[i] * n_columns + k];
        }
        out[k] = sum;
    }
}

static void sum_rows(const real *x, ptrdiff_t n_rows, ptrdiff_t n_columns, real *out) {
    double totals[64];
    for (ptrdiff_t from = 0; from < n_columns; from += 64) {
        ptrdiff_t n = n_columns - from < 64 ? n_columns - from : 64;
        memset(totals, 0, sizeof totals);
        for (ptrdiff_t row = 0; row < n_rows; row++) {
            const real *values = x + row * n_columns + from;
#pragma omp simd
            for (ptrdiff_t k = 0; k < n; k++) {
                totals[k] += values[k];
            }
        }
        for (ptrdiff_t k = 0; k < n; k++) {
            out[from + k] = (real)totals[k];
        }
    }
}

static int all_finite(const real *x, ptrdiff_t n) {
    for (ptrdiff_t start = 0; start < n; start += PIECE) {
        ptrdiff_t stop = n - start < PIECE ? n : start + PIECE;
        bits bad = 0;
#pragma omp simd reduction(| : bad)
        for (ptrdiff_t i = start; i < stop; i++) {
            bad |= x[i] >= -LARGEST && x[i] <= LARGEST ? 0 : 1;
        }
        if (bad) {
            return 0;
        }
    }
    return 1;
}

/* Numbers by position, so that they do not depend on who asks first: the mixing of G. L. Steele, D. Lea and C. H. Flood,
 * Fast splittable pseudorandom number generators, OOPSLA 2014. */
static void drop(const real *x, ptrdiff_t n, uint64_t key, uint64_t first, double rate, real *out) {
    uint64_t below = (uint64_t)(rate * 0x1p32);
    real scale = (real)(1.0 / (1.0 - rate));
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        uint64_t v = key + (first + (uint64_t)i + 1) * 0x9e3779b97f4a7c15u;
        v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9u;
        v = (v ^ (v >> 27)) * 0x94d049bb133111ebu;
        out[i] = (v ^ (v >> 31)) >> 32 < below ? 0 : x[i] * scale;
    }
}

#ifdef REAL_IS_FLOAT
const layers_float_ops TIER_NAME(layers_float) = {
#else
const layers_double_ops TIER_NAME(layers_double) = {
#endif
    activate, slope, loss, softmax_loss, adam, sgd, sparse_row, sum_rows, all_finite, drop};
