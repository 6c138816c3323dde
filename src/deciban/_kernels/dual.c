/* The steps of dual coordinate ascent for logistic regression, one sample at a time.
 *
 * With scores z at the sample's old probabilities a, and c = cost * (|x|^2 + ...), the best new ones minimise
 *
 *     sum_k p_k log p_k - p . z + c / 2 |p - a|^2    over the simplex,
 *
 * where log p_k + c p_k = z_k + c a_k + nu, with the nu that makes the sum of p one. Newton's method on u = log p and nu
 * at once, from softmax(z), is exact for p = a and nearly always done after one step. Where it is not after three, nu is
 * sought from above, and every u_k for it from above: both functions are convex and increasing, so that Newton's method
 * cannot fail.
 *
 * There is no fused multiply-add and no reassociation, so every tier gives the same bits. Columns come in whole groups of
 * DUAL_LANES; those that only fill a group have an offset of DUAL_NEVER and a probability of zero.
 *
 * Sources: H.-F. Yu, F.-L. Huang, C.-J. Lin, Dual coordinate descent methods for logistic regression and maximum entropy
 * models, Machine Learning 85 (2011), 41-75; S. Shalev-Shwartz, T. Zhang, Stochastic dual coordinate ascent methods for
 * regularized loss minimization, Journal of Machine Learning Research 14 (2013), 567-599.
 */
#include "dual.h"

#include <float.h>

#include "elementary.h"

#define LANES DUAL_LANES
#define JOINT_STEPS 3
#define NEARLY 0.1 /* a step that moves no probability by more than this leaves an error of the second order */

/* As many doubles as one register holds: GCC makes poor code of wider ones. */
#if defined(__AVX512F__)
#define WIDE 8
#elif defined(__AVX__)
#define WIDE 4
#else
#define WIDE 2
#endif
typedef double wide __attribute__((vector_size(WIDE * sizeof(double)), aligned(sizeof(double)), may_alias));

static void gather(const double *x, const double *const *rows, const double *const *ahead, ptrdiff_t n,
                   ptrdiff_t n_columns, double *out) {
    ptrdiff_t k = 0;
    for (; k + 3 * WIDE <= n_columns; k += 3 * WIDE) {
        wide *to = (wide *)(out + k);
        wide a = to[0], b = to[1], c = to[2];
        for (ptrdiff_t i = 0; i < n; i++) {
            const wide *row = (const wide *)(rows[i] + k);
            __builtin_prefetch(ahead[i] + k);
            __builtin_prefetch(ahead[i] + k + WIDE);
            __builtin_prefetch(ahead[i] + k + 2 * WIDE);
            a += x[i] * row[0], b += x[i] * row[1], c += x[i] * row[2];
        }
        to[0] = a, to[1] = b, to[2] = c;
    }
    for (; k < n_columns; k += WIDE) {
        wide a = *(wide *)(out + k);
        for (ptrdiff_t i = 0; i < n; i++) {
            __builtin_prefetch(ahead[i] + k);
            a += x[i] * *(const wide *)(rows[i] + k);
        }
        *(wide *)(out + k) = a;
    }
}

static void scatter(const double *x, double *const *rows, ptrdiff_t n, ptrdiff_t n_columns, const double *step) {
    ptrdiff_t k = 0;
    for (; k + 3 * WIDE <= n_columns; k += 3 * WIDE) {
        const wide *from = (const wide *)(step + k);
        wide a = from[0], b = from[1], c = from[2];
        for (ptrdiff_t i = 0; i < n; i++) {
            wide *row = (wide *)(rows[i] + k);
            row[0] += x[i] * a, row[1] += x[i] * b, row[2] += x[i] * c;
        }
    }
    if (k + 2 * WIDE <= n_columns) {
        const wide *from = (const wide *)(step + k);
        wide a = from[0], b = from[1];
        for (ptrdiff_t i = 0; i < n; i++) {
            wide *row = (wide *)(rows[i] + k);
            row[0] += x[i] * a, row[1] += x[i] * b;
        }
        k += 2 * WIDE;
    }
    if (k + WIDE <= n_columns) {
        wide a = *(const wide *)(step + k);
        for (ptrdiff_t i = 0; i < n; i++) {
            *(wide *)(rows[i] + k) += x[i] * a;
        }
        k += WIDE;
    }
    for (ptrdiff_t i = 0; k < n_columns && i < n; i++) {
        for (ptrdiff_t column = k; column < n_columns; column++) {
            rows[i][column] += x[i] * step[column];
        }
    }
}

/* Two sums a column, of even and of odd rows, so that additions wait less for each other. */
static void multiply(const double *x, const double *table, ptrdiff_t n, ptrdiff_t n_columns, double *out) {
    ptrdiff_t k = 0;
    for (; k + 2 * WIDE <= n_columns; k += 2 * WIDE) {
        wide *to = (wide *)(out + k);
        const double *row = table + k;
        wide a = to[0], b = to[1], c = a - a, d = c;
        ptrdiff_t i = 0;
        for (; i + 2 <= n; i += 2, row += 2 * n_columns) {
            const wide *even = (const wide *)row, *odd = (const wide *)(row + n_columns);
            a += x[i] * even[0], b += x[i] * even[1];
            c += x[i + 1] * odd[0], d += x[i + 1] * odd[1];
        }
        if (i < n) {
            const wide *even = (const wide *)row;
            a += x[i] * even[0], b += x[i] * even[1];
        }
        to[0] = a + c, to[1] = b + d;
    }
    for (; k < n_columns; k += WIDE) {
        const double *row = table + k;
        wide a = *(wide *)(out + k), c = a - a;
        ptrdiff_t i = 0;
        for (; i + 2 <= n; i += 2, row += 2 * n_columns) {
            a += x[i] * *(const wide *)row;
            c += x[i + 1] * *(const wide *)(row + n_columns);
        }
        if (i < n) {
            a += x[i] * *(const wide *)row;
        }
        *(wide *)(out + k) = a + c;
    }
}

static void update(const double *x, ptrdiff_t n, ptrdiff_t n_columns, const double *step, double *table) {
    if (n_columns == 2 * WIDE) {
        wide a = *(const wide *)step, b = *(const wide *)(step + WIDE);
        for (ptrdiff_t i = 0; i < n; i++) {
            wide *row = (wide *)(table + i * n_columns);
            row[0] += x[i] * a, row[1] += x[i] * b;
        }
        return;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        for (ptrdiff_t k = 0; k < n_columns; k += WIDE) {
            *(wide *)(table + i * n_columns + k) += x[i] * *(const wide *)(step + k);
        }
    }
}

static inline double total(const double *sums) {
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

static inline double largest(const double *values, ptrdiff_t n) {
    double most[LANES];
    memcpy(most, values, sizeof most);
    for (ptrdiff_t k = LANES; k < n; k += LANES) {
        for (int lane = 0; lane < LANES; lane++) {
            most[lane] = values[k + lane] > most[lane] ? values[k + lane] : most[lane];
        }
    }
    for (int lane = 1; lane < LANES; lane++) {
        most[0] = most[lane] > most[0] ? most[lane] : most[0];
    }
    return most[0];
}

/* p = exp(u), and its sum. */
static inline double exponentials(const double *u, ptrdiff_t n, double *p) {
    double sums[LANES] = {0.0};
    for (ptrdiff_t k = 0; k < n; k += LANES) {
        for (int lane = 0; lane < LANES; lane++) {
            p[k + lane] = exp_point(u[k + lane]);
            sums[lane] += p[k + lane];
        }
    }
    return total(sums);
}

/* Make the exponentials p of u sum to one. */
static inline void normalize(ptrdiff_t n, double sum, double *u, double *p) {
    double log_sum = log(sum), inverse = 1.0 / sum;
    for (ptrdiff_t k = 0; k < n; k++) {
        u[k] -= log_sum;
        p[k] *= inverse;
    }
}

/* One step of Newton's method on all u and nu, at p = exp(u); returns a bound of how far it moved. */
static double step_jointly(const double *z, const double *alpha, ptrdiff_t n, double c, double *u, double *p,
                           double *misfit) {
    double weights[LANES] = {0.0}, means[LANES] = {0.0}, far[LANES] = {0.0};
    for (ptrdiff_t k = 0; k < n; k += LANES) {
        for (int lane = 0; lane < LANES; lane++) {
            double g = (u[k + lane] - z[k + lane]) + c * (p[k + lane] - alpha[k + lane]);
            double weight = p[k + lane] / (1.0 + c * p[k + lane]);
            misfit[k + lane] = g;
            weights[lane] += weight;
            means[lane] += weight * g;
        }
    }
    double nu = total(means) / total(weights), sums[LANES] = {0.0};
    for (ptrdiff_t k = 0; k < n; k += LANES) {
        for (int lane = 0; lane < LANES; lane++) {
            double old = p[k + lane], move = (nu - misfit[k + lane]) / (1.0 + c * old);
            double moved = u[k + lane] + move;
            moved = moved > 5.0 ? 5.0 : moved; /* far above a probability: a step too far, of which more follow */
            double new = exp_point(moved), size = move > 0.0 ? move : -move;
            size *= new > old ? new : old;
            size = 0.3 * move > size ? 0.3 * move : size;
            far[lane] = size > far[lane] ? size : far[lane];
            u[k + lane] = moved;
            p[k + lane] = new;
            sums[lane] += new;
        }
    }
    normalize(n, total(sums), u, p);
    return largest(far, LANES);
}

/* The same minimum, from above and without fail. */
static void solve_safely(const double *z, const double *alpha, ptrdiff_t n, double c, double *u, double *p) {
    double most = -INFINITY, sum = 1.0;
    for (ptrdiff_t k = 0; k < n; k++) {
        double shifted = z[k] + c * alpha[k];
        most = shifted > most ? shifted : most;
    }
    double nu = c - most; /* where the largest p is one */
    for (int outer = 0; outer < 100; outer++) {
        double slope = 0.0;
        sum = 0.0;
        for (ptrdiff_t k = 0; k < n; k++) {
            double wanted = z[k] + c * alpha[k] + nu, v = wanted < 0.0 ? wanted : 0.0;
            for (int inner = 0; inner < 100; inner++) {
                double e = exp_point(v), move = (v + c * e - wanted) / (1.0 + c * e);
                v -= move;
                if (!(move > 1e-12 * (1.0 + fabs(v)))) {
                    break;
                }
            }
            u[k] = v;
            p[k] = exp_point(v);
            sum += p[k];
            slope += p[k] / (1.0 + c * p[k]);
        }
        double move = (sum - 1.0) / slope;
        nu -= move;
        if (!(sum - 1.0 > 1e-13)) {
            break;
        }
    }
    normalize(n, sum, u, p);
}

static dual_terms ascend(const double *scores, const double *offset, ptrdiff_t n, ptrdiff_t code, double curvature,
                         double *alpha, double *step, double *scratch) {
    double *z = scratch, *u = z + n, *p = u + n, *misfit = p + n;
    double gaps[LANES] = {0.0}, entropies[LANES] = {0.0}, alongs[LANES] = {0.0}, squares[LANES] = {0.0};
    dual_terms terms;
    for (ptrdiff_t k = 0; k < n; k++) {
        z[k] = scores[k] + offset[k];
    }
    double most = largest(z, n);
    for (ptrdiff_t k = 0; k < n; k++) {
        z[k] -= most;
        u[k] = z[k];
    }
    double sum = exponentials(u, n, p);
    normalize(n, sum, u, p);
    terms.loss = -u[code];
    for (ptrdiff_t k = 0; k < n; k += LANES) {
        for (int lane = 0; lane < LANES; lane++) {
            double a = alpha[k + lane], q = p[k + lane], larger = a > q ? a : q;
            gaps[lane] += (q - a) * (q - a) / (larger + DBL_MIN);
        }
    }
    terms.gap = 0.5 * total(gaps);
    int steps = 0;
    while (step_jointly(z, alpha, n, curvature, u, p, misfit) > NEARLY && ++steps < JOINT_STEPS) {
    }
    if (steps == JOINT_STEPS) {
        solve_safely(z, alpha, n, curvature, u, p);
    }
    for (ptrdiff_t k = 0; k < n; k += LANES) {
        for (int lane = 0; lane < LANES; lane++) {
            double moved = alpha[k + lane] - p[k + lane];
            step[k + lane] = moved;
            alpha[k + lane] = p[k + lane];
            entropies[lane] += p[k + lane] * u[k + lane];
            alongs[lane] += moved * scores[k + lane];
            squares[lane] += moved * moved;
        }
    }
    terms.entropy = -total(entropies);
    terms.along = total(alongs);
    terms.square = total(squares);
    return terms;
}

static inline double logistic(double u) { return u >= 0 ? 1.0 / (1.0 + exp(-u)) : 1.0 - 1.0 / (1.0 + exp(u)); }

/* u + c / (1 + e^-u) = z + c alpha, whose left side grows: Newton's method, and halving where it leaves the bounds or
 * its steps do not shrink. */
static dual_terms ascend_one(double score, double offset, int code, double c, double *alpha, double *step) {
    dual_terms terms;
    double z = score + offset, a = *alpha, wanted = z + c * a;
    double low = wanted - c, high = wanted, u = z, p = logistic(u), difference = p - a;
    double variance = p * (1.0 - p), old = a * (1.0 - a), larger = variance > old ? variance : old;
    larger = larger > 0.05 * fabs(difference) ? larger : 0.05 * fabs(difference);
    double last = INFINITY;
    terms.loss = log1p(exp(-fabs(z))) + (code ? (z < 0.0 ? -z : 0.0) : (z > 0.0 ? z : 0.0));
    terms.gap = 0.5 * difference * difference / (larger + DBL_MIN);
    for (int i = 0; i < 100; i++) {
        double g = u + c * p - wanted;
        if (i > 0 && !(fabs(g) > 1e-3 * c * fabs(p - a) + 4 * DBL_EPSILON * fabs(wanted))) {
            break; /* p is off by less than g / c */
        }
        if (g > 0.0) {
            high = u;
        } else {
            low = u;
        }
        double next = u - g / (1.0 + c * p * (1.0 - p));
        if (next == u) {
            break;
        }
        int shrinks = next > low && next < high && fabs(next - u) < 0.5 * last;
        next = shrinks ? next : 0.5 * (low + high);
        last = fabs(next - u);
        u = next;
        p = logistic(u);
    }
    step[0] = a - p;
    *alpha = p;
    terms.entropy = log1p(exp(-fabs(u))) + (u > 0.0 ? (1.0 - p) * u : -p * u);
    terms.along = step[0] * score;
    terms.square = step[0] * step[0];
    return terms;
}

const dual_ops TIER_NAME(dual_ops) = {gather, scatter, multiply, update, ascend, ascend_one};
