"""Stochastic gradient descent on linear models of one class against all others, an epoch at a time.

For row x of label y = +1 (the class) or -1 (another one), with weights w, intercept b and step number t:

    p = w . x + b
    w <- (1 - (1 - r) eta alpha) w - eta v loss'(y, p) x        b <- b - eta v loss'(y, p)
    w <- w moved towards 0 by what it owes of the l1 penalty, sum over steps of r eta alpha, and not past 0

where r is the share of the l1 penalty, v the weight of the row and eta the learning rate: 1 / (alpha (t0 + t)), eta0,
eta0 / t^power, or, for passive-aggressive steps, as large as the hinge loss of the row asks for.

Shapes: the weights of a class are one row of a C-contiguous (n_classes, n_local) table, of the features that occur in
the rows, in the order of their first occurrence (`localise`): frequent features come first and share cache lines. What
else a class has to remember is a row of `state`.

Cost: O(entries) a row, whatever the number of features: w is kept as scale * raw and its average as
(raw average + mix * raw) / share, so that shrinking and averaging all features change one number; a feature pays its
debt of the l1 penalty when it occurs next. 4 flops and 24 bytes an entry, about 1 ns on a Zen 5 core.

Edge cases: a scale below 1e-9 (float: 1e-6) is multiplied into the weights, and KEPT, KEPT_MIX and KEPT_SHARE say what
that means for features that do not occur; weights that are not finite are reported. Repeated indices add up.

Sources: L. Bottou, Stochastic gradient descent tricks, in Neural Networks: Tricks of the Trade (2012); Y. Tsuruoka,
J. Tsujii, S. Ananiadou, Stochastic gradient descent training for L1-regularized log-linear models with cumulative
penalty, ACL 2009; K. Crammer et al., Online passive-aggressive algorithms, JMLR 7 (2006); G. Marsaglia, Xorshift RNGs,
Journal of Statistical Software 8 (2003); M. Matsumoto, T. Nishimura, Mersenne Twister, ACM TOMACS 8 (1998).
"""

from libc.math cimport exp, fabs, isfinite, log, pow, sqrt
from libc.stdint cimport int32_t, int64_t, uint32_t

from deciban._kernels.prefetch cimport PREFETCH, PREFETCH_L2
from deciban._kernels.sample cimport (
    norms, sample_double_ops, sample_double_select, sample_float_ops, sample_float_select,
)
from deciban._kernels.types cimport index_t, real_t

cdef const sample_double_ops* double_ops = sample_double_select()
cdef const sample_float_ops* float_ops = sample_float_select()

cdef enum:
    _T
    _ETA
    _INTERCEPT
    _AVERAGE_INTERCEPT
    _SCALE  # w = scale * raw
    _MIX  # average = (raw average + mix * raw) / share
    _SHARE
    _SQUARES  # norms of w, as the objective takes them
    _MAGNITUDES
    _DEBT  # of the l1 penalty, of a feature that occurs in every row
    _OBJECTIVE
    _KEPT  # raw <- kept * raw, raw average <- kept_share * raw average + kept_mix * raw, for features of no row
    _KEPT_MIX
    _KEPT_SHARE
    _N_STATE

T, ETA, INTERCEPT, AVERAGE_INTERCEPT, SCALE, MIX, SHARE, SQUARES = range(8)
MAGNITUDES, DEBT, OBJECTIVE, KEPT, KEPT_MIX, KEPT_SHARE, N_STATE = range(8, 15)

cdef enum:
    HINGE
    PERCEPTRON
    SQUARED_HINGE
    LOG_LOSS
    MODIFIED_HUBER
    SQUARED_ERROR
    HUBER
    EPSILON_INSENSITIVE
    SQUARED_EPSILON_INSENSITIVE

cdef enum:
    CONSTANT
    OPTIMAL
    INVSCALING
    ADAPTIVE
    PA1
    PA2

cdef enum:
    AHEAD = 3  # rows asked for before their turn
    FAR_AHEAD = 9  # and what says where they are
    CELLS_AHEAD = 8  # features asked for before theirs

_LOSSES = {
    "hinge": HINGE, "perceptron": PERCEPTRON, "squared_hinge": SQUARED_HINGE, "log_loss": LOG_LOSS,
    "modified_huber": MODIFIED_HUBER, "squared_error": SQUARED_ERROR, "huber": HUBER,
    "epsilon_insensitive": EPSILON_INSENSITIVE, "squared_epsilon_insensitive": SQUARED_EPSILON_INSENSITIVE,
}
_RATES = {
    "constant": CONSTANT, "optimal": OPTIMAL, "invscaling": INVSCALING, "adaptive": ADAPTIVE, "pa1": PA1, "pa2": PA2,
}


cdef class Descent:
    """How to step: the loss, the penalty and the learning rate.

    `objective` is 0 for no objective, 1 for the sum of losses, 2 for the sum of losses and penalties.
    """
    cdef int loss, rate, objective
    cdef bint decays, truncates, fit_intercept
    cdef double alpha, l1_ratio, eta0, power_t, epsilon, intercept_decay, first, average

    def __init__(
        self, str loss, str rate, double alpha, double l1_ratio, bint decays, bint truncates, double eta0,
        double power_t, double epsilon, bint fit_intercept, double intercept_decay, double average, int objective,
    ):
        self.loss, self.rate, self.objective = _LOSSES[loss], _RATES[rate], objective
        self.alpha, self.l1_ratio, self.decays, self.truncates = alpha, l1_ratio, decays, truncates
        self.eta0, self.power_t, self.epsilon = eta0, power_t, epsilon
        self.fit_intercept, self.intercept_decay, self.average = fit_intercept, intercept_decay, average
        # the learning rate 1 / (alpha (first + t - 1)) starts at the size that weights typically have
        self.first = 1.0 / (sqrt(1.0 / sqrt(alpha)) * alpha) if self.rate == OPTIMAL else 0.0


cdef inline double _loss(int loss, double y, double p, double epsilon, double* value, double* slope) noexcept nogil:
    # the loss and its derivative by p; the loss is value + log(what is returned), as one logarithm does for many rows
    cdef double z, small
    if loss == LOG_LOSS:
        z = y * p
        small = exp(-fabs(z))
        value[0] = 0.0 if z > 0 else -z
        slope[0] = -y * (small if z > 0 else 1.0) / (1.0 + small)
        return 1.0 + small
    if loss == HINGE or loss == PERCEPTRON:
        z = (1.0 if loss == HINGE else 0.0) - y * p
        value[0] = z if z >= 0 else 0.0
        slope[0] = -y if z >= 0 else 0.0
    elif loss == SQUARED_HINGE:
        z = 1.0 - y * p
        value[0] = z * z if z > 0 else 0.0
        slope[0] = -2.0 * y * z if z > 0 else 0.0
    elif loss == MODIFIED_HUBER:
        z = y * p
        if z >= 1.0:
            value[0] = slope[0] = 0.0
        elif z >= -1.0:
            value[0] = (1.0 - z) * (1.0 - z)
            slope[0] = -2.0 * (1.0 - z) * y
        else:
            value[0] = -4.0 * z
            slope[0] = -4.0 * y
    elif loss == SQUARED_ERROR:
        value[0] = 0.5 * (p - y) * (p - y)
        slope[0] = p - y
    elif loss == HUBER:
        z = fabs(p - y)
        value[0] = 0.5 * z * z if z <= epsilon else epsilon * (z - 0.5 * epsilon)
        slope[0] = p - y if z <= epsilon else (epsilon if p > y else -epsilon)
    else:
        z = fabs(p - y) - epsilon
        if not z > 0:
            value[0] = slope[0] = 0.0
        elif loss == EPSILON_INSENSITIVE:
            value[0] = z
            slope[0] = 1.0 if p > y else -1.0
        else:
            value[0] = z * z
            slope[0] = 2.0 * z if p > y else -2.0 * z
    return 1.0


cdef inline void _settle(real_t* w, real_t* average, Py_ssize_t n, double* state) noexcept nogil:
    # multiply the scale into the weights
    cdef Py_ssize_t f
    cdef double scale = state[_SCALE], mix = state[_MIX], share = 1.0 / state[_SHARE]
    if average is not NULL:
        for f in range(n):
            average[f] = <real_t> ((average[f] + mix * w[f]) * share)
        state[_KEPT_MIX] = (state[_KEPT_MIX] + mix * state[_KEPT]) * share
        state[_KEPT_SHARE] *= share
        state[_MIX], state[_SHARE] = 0.0, 1.0
    for f in range(n):
        w[f] = <real_t> (w[f] * scale)
    state[_KEPT] *= scale
    state[_SCALE] = 1.0


cdef bint _epoch(
    Descent rule, const real_t* data, const int32_t* indices, const Py_ssize_t* indptr, Py_ssize_t n_rows,
    Py_ssize_t n_features, const int32_t* order, const int32_t* codes, int label, const unsigned char* held_out,
    const real_t* sample_weight, double weight_pos, double weight_neg, real_t* w, real_t* average, real_t* paid,
    double* state,
) noexcept nogil:
    cdef int loss = rule.loss, rate = rule.rate, objective = rule.objective
    cdef double alpha = rule.alpha, l1_ratio = rule.l1_ratio, decay = (1.0 - l1_ratio) * alpha
    cdef double eta = state[_ETA], t = state[_T], intercept = state[_INTERCEPT]
    cdef double y, p, value, slope, update, n_averaged, total = 0.0, factors = 1.0
    cdef Py_ssize_t i, row, ahead, begin, n, next_begin, next_end, line, line_size = 64 // sizeof(real_t)
    cdef const int32_t* columns = NULL
    cdef const real_t* x
    cdef real_t change, factor, v, class_pos = <real_t> weight_pos, class_neg = <real_t> weight_neg
    cdef double too_small = 1e-9 if real_t is double else 1e-6
    cdef norms measured

    for i in range(n_rows):
        row = order[i]
        if held_out is not NULL and held_out[row]:
            continue
        if i + FAR_AHEAD < n_rows:
            ahead = order[i + FAR_AHEAD]
            PREFETCH(codes + ahead)
            PREFETCH(sample_weight + ahead)
            if indices is not NULL:
                PREFETCH(indptr + ahead)
        next_begin = next_end = 0
        if i + AHEAD < n_rows:
            ahead = order[i + AHEAD]
            next_begin = ahead * n_features if indices is NULL else indptr[ahead]
            next_end = next_begin + n_features if indices is NULL else indptr[ahead + 1]
            # not in a function of its own: GCC takes one that only prefetches for one without effect
            for line in range((next_end - next_begin + line_size - 1) // line_size):
                PREFETCH_L2(data + next_begin + line * line_size)
            PREFETCH_L2(data + next_end - 1)
        begin = row * n_features if indices is NULL else indptr[row]
        n = n_features if indices is NULL else indptr[row + 1] - begin
        x = data + begin
        if indices is not NULL:
            columns = indices + begin

        if real_t is double:
            p = double_ops.dot(x, columns, n, w) * state[_SCALE]
        else:
            p = <float> (float_ops.dot(x, columns, n, w) * state[_SCALE])
        p += intercept
        y = 1.0 if codes[row] == label else -1.0
        if rate == OPTIMAL:
            eta = 1.0 / (alpha * (rule.first + t - 1.0))
        elif rate == INVSCALING:
            eta = rule.eta0 / (sqrt(t) if rule.power_t == 0.5 else pow(t, rule.power_t))
        factors *= _loss(loss, y, p, rule.epsilon, &value, &slope)

        if objective:
            total += value
            if not factors < 1e100:
                total += log(factors)
                factors = 1.0
            if objective == 2:
                total += alpha * ((1.0 - l1_ratio) * 0.5 * state[_SQUARES] + l1_ratio * state[_MAGNITUDES])

        if rate == PA1 or rate == PA2:
            if real_t is double:
                update = double_ops.squares(x, n)
            else:
                update = float_ops.squares(x, n)
            if rate == PA2:
                update = value / (update + 0.5 / rule.eta0)
            elif update == 0:
                continue
            else:
                update = min(rule.eta0, value / update)
            update *= y
        else:
            update = -eta * max(-1e12, min(slope, 1e12)) if slope == slope else slope
        v = (class_pos if y > 0 else class_neg) * sample_weight[row]
        update *= v

        if indices is not NULL and next_end > next_begin:
            # only now: a core has room for two dozen requests at a time
            for line in range((next_end - next_begin + 15) // 16):
                PREFETCH_L2(indices + next_begin + line * 16)
            PREFETCH_L2(indices + next_end - 1)

        if rule.decays:
            factor = <real_t> max(0.0, 1.0 - decay * eta)
            state[_SCALE] *= factor
            state[_SQUARES] *= factor * factor
            state[_MAGNITUDES] *= factor
            if state[_SCALE] < too_small:
                _settle(w, average, n_features, state)
        if update != 0.0:
            change = <real_t> update / <real_t> state[_SCALE]
            if objective == 2:
                if real_t is double:
                    measured = double_ops.add_measured(x, columns, n, change, l1_ratio != 0.0, w)
                else:
                    measured = float_ops.add_measured(x, columns, n, change, l1_ratio != 0.0, w)
                state[_SQUARES] = measured.squares * (state[_SCALE] * state[_SCALE])
                state[_MAGNITUDES] = measured.magnitudes * state[_SCALE]
            elif real_t is double:
                double_ops.add(x, columns, n, change, w)
            else:
                float_ops.add(x, columns, n, change, w)
            if rule.fit_intercept:
                intercept += update * rule.intercept_decay
        if 0.0 < rule.average <= t:
            n_averaged = t - rule.average + 1.0
            if update != 0.0:
                value = state[_MIX] * -(<real_t> update / state[_SCALE])
                if real_t is double:
                    double_ops.add(x, columns, n, value, average)
                else:
                    float_ops.add(x, columns, n, value, average)
            if n_averaged > 1.0:
                state[_SHARE] /= 1.0 - 1.0 / n_averaged
            state[_MIX] += state[_SHARE] * state[_SCALE] / n_averaged
            state[_AVERAGE_INTERCEPT] += (intercept - state[_AVERAGE_INTERCEPT]) / n_averaged
        if rule.truncates:
            state[_DEBT] += l1_ratio * eta * alpha
            if real_t is double:
                double_ops.truncate(columns, n, state[_DEBT], state[_SCALE], paid, w)
            else:
                float_ops.truncate(columns, n, state[_DEBT], state[_SCALE], paid, w)
        t += 1.0

    state[_T], state[_ETA], state[_INTERCEPT], state[_OBJECTIVE] = t, eta, intercept, total + log(factors)
    if real_t is double:
        return isfinite(intercept) and double_ops.finite(w, n_features)
    else:
        return isfinite(intercept) and float_ops.finite(w, n_features)


def epoch(
    Descent rule, const real_t[::1] data, const int32_t[::1] indices, const Py_ssize_t[::1] indptr,
    const int32_t[::1] codes, const int32_t[:, ::1] orders, const unsigned char[::1] held_out,
    const real_t[::1] sample_weight, const double[::1] class_weight, double other_weight, int first_label,
    Py_ssize_t start, Py_ssize_t stop, real_t[:, ::1] weights, real_t[:, ::1] averages, real_t[:, ::1] paid,
    double[:, ::1] state,
):
    """Take one step for each row and each class in [start, stop); return whether all weights stay finite.

    Class k learns to tell the rows of code first_label + k, which count class_weight[k] times, from the others, which
    count other_weight times, in the order orders[k - start]. `indices` are columns of `weights`, checked by the caller,
    and empty if the rows are dense. `held_out` may be empty, and so may `averages` and `paid` (the l1 penalty paid by
    each weight) where `rule` has no use for them.
    """
    cdef Py_ssize_t k, n_rows = indptr.shape[0] - 1, n_classes = weights.shape[0], n_features = weights.shape[1]
    cdef bint averaged = rule.average > 0, sparse = indices.shape[0] > 0 or data.shape[0] == 0, finite = True
    if (
        n_rows < 0 or codes.shape[0] != n_rows or orders.shape[0] != stop - start or orders.shape[1] != n_rows
        or held_out.shape[0] not in (0, n_rows) or sample_weight.shape[0] != n_rows
        or not 0 <= start <= stop <= n_classes or class_weight.shape[0] != n_classes or state.shape[0] != n_classes
        or state.shape[1] != _N_STATE or indptr[n_rows] > data.shape[0]
        or (sparse and indices.shape[0] != data.shape[0]) or (not sparse and data.shape[0] != n_rows * n_features)
        or (averaged and (averages.shape[0] != n_classes or averages.shape[1] != n_features))
        or (rule.truncates and (paid.shape[0] != n_classes or paid.shape[1] != n_features))
    ):
        raise ValueError("samples, weights and state do not agree in shape")
    if n_rows == 0:
        return True
    with nogil:
        for k in range(start, stop):
            finite &= _epoch(
                rule, &data[0], &indices[0] if sparse else NULL, &indptr[0], n_rows, n_features, &orders[k - start, 0],
                &codes[0], <int> (first_label + k), &held_out[0] if held_out.shape[0] else NULL, &sample_weight[0],
                class_weight[k], other_weight, &weights[k, 0], &averages[k, 0] if averaged else NULL,
                &paid[k, 0] if rule.truncates else NULL, &state[k, 0],
            )
    return finite


def settle(real_t[:, ::1] weights, real_t[:, ::1] averages, Py_ssize_t start, Py_ssize_t stop, double[:, ::1] state):
    """Multiply scale, mix and share into the weights and averages (which may be empty) of classes [start, stop)."""
    cdef Py_ssize_t k
    cdef bint averaged = averages.shape[0] > 0
    if (
        not 0 <= start <= stop <= weights.shape[0] or state.shape[0] != weights.shape[0] or state.shape[1] != _N_STATE
        or (averaged and (averages.shape[0] != weights.shape[0] or averages.shape[1] != weights.shape[1]))
    ):
        raise ValueError("weights and state do not agree in shape")
    with nogil:
        for k in range(start, stop):
            _settle(&weights[k, 0], &averages[k, 0] if averaged else NULL, weights.shape[1], &state[k, 0])


def localise(
    const index_t[::1] indices, Py_ssize_t n_features, int32_t[::1] place, int32_t[::1] local_out,
    int32_t[::1] features_out,
):
    """Number the features in the order of their first occurrence; return how many there are, -1 if one is out of range.

    `place` has an entry of -1 for each feature, and has again afterwards. `features_out` becomes the list of features,
    `local_out` each entry's place in that list.
    """
    cdef Py_ssize_t i, n_local = 0
    cdef index_t feature
    cdef bint good = True
    if (
        local_out.shape[0] != indices.shape[0] or place.shape[0] != n_features
        or features_out.shape[0] < min(n_features, indices.shape[0])
    ):
        raise ValueError("indices, place and lists do not agree in shape")
    with nogil:
        for i in range(indices.shape[0]):
            feature = indices[i]
            if not 0 <= feature < n_features:
                good = False
                break
            if place[feature] < 0:
                place[feature] = <int32_t> n_local
                features_out[n_local] = <int32_t> feature
                n_local += 1
            local_out[i] = place[feature]
        for i in range(n_local):
            place[features_out[i]] = -1
    return n_local if good else -1


def gather(
    const real_t[:, ::1] table, const int32_t[::1] features, Py_ssize_t start, Py_ssize_t stop, real_t[:, ::1] out,
):
    """Fill out[k, i] with table[features[i], k] for i in [start, stop)."""
    cdef Py_ssize_t i, k
    if not 0 <= start <= stop <= features.shape[0] <= out.shape[1] or out.shape[0] != table.shape[1]:
        raise ValueError("table, features and out do not agree in shape")
    with nogil:
        for i in range(start, stop):
            if i + CELLS_AHEAD < stop:
                for k in range(0, table.shape[1], 8):
                    PREFETCH(&table[features[i + CELLS_AHEAD], k])
            for k in range(table.shape[1]):
                out[k, i] = table[features[i], k]


def scatter(
    const real_t[:, ::1] local, const int32_t[::1] features, Py_ssize_t start, Py_ssize_t stop,
    real_t[:, ::1] table_out,
):
    """Fill table_out[features[i], k] with local[k, i] for i in [start, stop)."""
    cdef Py_ssize_t i, k
    if not 0 <= start <= stop <= features.shape[0] <= local.shape[1] or local.shape[0] != table_out.shape[1]:
        raise ValueError("local, features and table do not agree in shape")
    with nogil:
        for i in range(start, stop):
            if i + CELLS_AHEAD < stop:
                for k in range(0, table_out.shape[1], 8):
                    PREFETCH(&table_out[features[i + CELLS_AHEAD], k])
            for k in range(table_out.shape[1]):
                table_out[features[i], k] = local[k, i]


def permutation(uint32_t seed, int32_t[::1] out):
    """Fill `out` with the permutation that scikit-learn makes of a seed: Fisher and Yates's, of 32-bit xorshift."""
    cdef Py_ssize_t n = out.shape[0], i, j
    cdef uint32_t x = seed if seed else 1
    with nogil:
        for i in range(n):
            out[i] = <int32_t> i
        for i in range(n - 1):
            x ^= x << 13
            x ^= x >> 17
            x ^= x << 5
            j = i + (x & 0x7fffffff) % <uint32_t> (n - i)
            out[i], out[j] = out[j], out[i]


cdef uint32_t _bounded(uint32_t[624] key, int* n_made, int* n_drawn, uint32_t bound) noexcept nogil:
    # the next output of the Mersenne Twister that is at most `bound` after its highest bit is taken off
    cdef uint32_t y
    cdef int j
    while True:
        j = n_drawn[0]
        while n_made[0] <= j + 397:
            key[n_made[0]] = 1812433253u * (key[n_made[0] - 1] ^ (key[n_made[0] - 1] >> 30)) + <uint32_t> n_made[0]
            n_made[0] += 1
        y = (key[j] & 0x80000000u) | (key[j + 1] & 0x7fffffffu)
        y = key[j + 397] ^ (y >> 1) ^ (0x9908b0dfu if y & 1 else 0)
        n_drawn[0] += 1
        y ^= y >> 11
        y ^= (y << 7) & 0x9d2c5680u
        y ^= (y << 15) & 0xefc60000u
        y ^= y >> 18
        y &= 0x7fffffffu
        if y <= bound or n_drawn[0] == 226:  # the 227th would need a key of the next round
            return y


def shuffle_seeds(const int64_t[::1] seeds, uint32_t[::1] out):
    """Fill out[k] with the second of the draws randint(1, 2**31 - 1), randint(2**31 - 1) of RandomState(seeds[k]).

    Making NumPy's generator takes longer than an epoch over a hundred rows.
    """
    cdef Py_ssize_t k
    cdef uint32_t[624] key
    cdef int n_made, n_drawn
    if out.shape[0] != seeds.shape[0]:
        raise ValueError("seeds and out differ in length")
    for k in range(seeds.shape[0]):
        key[0] = <uint32_t> seeds[k]
        n_made, n_drawn = 1, 0
        _bounded(key, &n_made, &n_drawn, 2147483645u)
        out[k] = _bounded(key, &n_made, &n_drawn, 2147483646u)
