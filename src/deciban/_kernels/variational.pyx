"""Variational autoencoders: training on mini-batches, and the bounds that they are judged by.

An encoder maps x to the mean m and the logarithm s of the variances of q(z | x) = N(m, e^s), a decoder maps
z = m + e^(s/2) eps, eps ~ N(0, I), to the parameters of p(x | z). What is minimised, with the prior p(z) = N(0, I):

    -log p(x | z) + beta KL(q(z | x) || p(z)),     KL = sum (m^2 + e^s - s - 1) / 2

Likelihoods, by the decoder's output a: BERNOULLI p = 1 / (1 + e^-a) (grey values in [0, 1] count as shares of on and
off), GAUSSIAN N(a, e^v) with a log-variance v of each feature that is learned too, MULTINOMIAL
sum_f x_f log softmax(a)_f (the words of a document in one given order). Labels, if any, are one-hot columns past x and
past z.

How a step runs: blocks of ROWS rows of the batch go through both networks and back, each by itself; then pieces of the
parameters get their gradients and their step of Adam, each by itself. Two meetings of the threads a batch, and the same
bits for any number of them.

Shapes: X (n_samples, n_features), dense or CSR; parameters are the encoder's, the decoder's, and v. Buffers are for
one batch, whatever n_samples is: `Plan.work` numbers. A CSR batch meets the encoder's first W in O(entries n_hidden),
forward and backward; its optimiser still moves all of W, as Adam's moments move where the gradient is zero.
Cost: 6 flops a parameter and row.

Edge cases: the last batch may be shorter; a row of zeros goes into the encoder as zeros (MULTINOMIAL); v never falls
below LEAST_LOG_VARIANCE; what is not finite goes through, to the losses.

Sources: D. P. Kingma, M. Welling, Auto-encoding variational Bayes, ICLR 2014; Y. Burda, R. Grosse, R. Salakhutdinov,
Importance weighted autoencoders, ICLR 2016; I. Higgins et al., beta-VAE, ICLR 2017; D. Liang et al., Variational
autoencoders for collaborative filtering, WWW 2018 (the multinomial likelihood, rows of unit length into the encoder).
"""

from libc.math cimport INFINITY, exp, sqrt
from libc.string cimport memcpy, memset
from numpy.random cimport bitgen_t

from deciban._kernels.generative cimport check_samples, draw_normal, label, take
from deciban._kernels.layers cimport (
    GELU, LOGISTIC_ENTROPY, SOFTMAX_ENTROPY, Network, adam, backward, finish_layer, forward, forward_layer, loss,
    multiply_sparse, network, table,
)
from deciban._kernels.pieces cimport GIVEN, correct, gradient_of, offset_of, optimiser, piece, step_of
from deciban._kernels.random cimport stream_of
from deciban._kernels.team cimport Team, team_phase, team_start
from deciban._kernels.types cimport real_t

BERNOULLI, GAUSSIAN, MULTINOMIAL = range(3)
cdef enum Likelihood:
    _BERNOULLI, _GAUSSIAN, _MULTINOMIAL

cdef enum:
    ROWS = 64

cdef double LOG_2_PI = 1.8378770664093453
cdef double LEAST_LOG_VARIANCE = -12.0  # of a feature: below it a constant one would outweigh all others

cdef struct model:
    const network* encoder
    const network* decoder
    int likelihood
    bint sparse
    bint by_rows
    bint apart       # whether a dense input of the encoder's is not the decoder's target
    Py_ssize_t n_features
    Py_ssize_t n_labels
    Py_ssize_t n_latent
    # the samples: dense, or CSR with the encoder's values apart from the likelihood's
    const void* X
    const void* data
    const void* scaled
    const int* indices
    const long long* indptr
    const int* codes
    # the batch
    const Py_ssize_t* order
    Py_ssize_t n_rows
    double beta
    optimiser by
    const piece* pieces
    Py_ssize_t n_encoder_pieces
    Py_ssize_t n_pieces
    double* losses   # of each block of rows: -log p(x | z), KL
    void* parameters
    void* gradients
    void* first_moment
    void* second_moment
    void* precision  # of the features, GAUSSIAN
    void* inputs
    void* targets
    void* encoder_before
    void* encoder_outputs
    void* encoder_deltas
    void* decoder_before
    void* decoder_outputs
    void* decoder_deltas
    void* noise
    void* latent
    void* latent_deltas


cdef class Plan:
    """The networks of a model, and the sizes of its buffers.

    Parameters
    ----------
    encoder, decoder : Network
        From n_features + n_labels to twice the latent units, and from those (once) + n_labels to n_features, both with
        identity as their last activation.
    likelihood : {BERNOULLI, GAUSSIAN, MULTINOMIAL}
    n_labels : int
        Classes that the model is conditional on; 0 for none.
    sparse : bool
        Whether samples are CSR.
    """

    cdef model net
    cdef readonly Network encoder, decoder
    cdef readonly Py_ssize_t capacity

    def __cinit__(self, Network encoder, Network decoder, int likelihood, Py_ssize_t n_labels, bint sparse):
        cdef Py_ssize_t n_outputs = encoder.net.layers[encoder.net.n_layers - 1].n_out
        cdef Py_ssize_t n_features = decoder.net.layers[decoder.net.n_layers - 1].n_out
        if (
            n_outputs % 2 or decoder.net.layers[0].n_in != n_outputs // 2 + n_labels or n_labels < 0
            or encoder.net.layers[0].n_in != n_features + n_labels or encoder.net.capacity != decoder.net.capacity
            or not 0 <= likelihood <= _MULTINOMIAL
        ):
            raise ValueError("encoder and decoder do not agree in shape, or there is no such likelihood")
        self.encoder, self.decoder, self.capacity = encoder, decoder, encoder.net.capacity
        self.net.encoder, self.net.decoder = &encoder.net, &decoder.net
        self.net.likelihood, self.net.sparse = likelihood, sparse
        self.net.n_features, self.net.n_labels, self.net.n_latent = n_features, n_labels, n_outputs // 2
        self.net.apart = not sparse and (n_labels > 0 or likelihood == _MULTINOMIAL)

    @property
    def n_parameters(self):
        """Length of the vector of parameters: encoder, decoder, log-variances of the features."""
        cdef Py_ssize_t n_variances = self.net.n_features if self.net.likelihood == _GAUSSIAN else 0
        return self.encoder.n_parameters + self.decoder.n_parameters + n_variances

    @property
    def work(self):
        """Length of the buffer for a batch."""
        cdef Py_ssize_t width = self.net.n_features + 3 * self.net.n_latent + 2 * self.net.n_labels
        if self.net.apart:
            width += self.net.n_features + self.net.n_labels
        width += (3 if self.encoder.keeps_before else 2) * self.net.encoder.n_units
        width += (3 if self.decoder.keeps_before else 2) * self.net.decoder.n_units
        return self.capacity * width + self.net.n_features


cdef model _open(
    Plan plan, const real_t[:, ::1] X, const real_t[::1] data, const real_t[::1] scaled, const int[::1] indices,
    const long long[::1] indptr, const int[::1] codes, const Py_ssize_t[::1] order, const real_t[::1] parameters,
    real_t[::1] work,
) except *:
    """The model with these samples and with its buffers laid out in `work`, all checked but indptr and indices.

    The caller has seen to it that those make a matrix of n_features columns.
    """
    cdef model m = plan.net
    cdef Py_ssize_t n_samples = indptr.shape[0] - 1 if m.sparse else X.shape[0], capacity = plan.capacity
    cdef real_t* room
    if not m.sparse and X.shape[1] != m.n_features:
        raise ValueError(f"expected samples of {m.n_features} features, got {X.shape[1]}")
    if m.sparse and (n_samples < 0 or data.shape[0] != indices.shape[0] or scaled.shape[0] != indices.shape[0]):
        raise ValueError("the arrays of the CSR matrix do not agree in length")
    check_samples(codes, m.n_labels, order, n_samples)
    if parameters.shape[0] != plan.n_parameters or work.shape[0] < plan.work:
        raise ValueError("parameters or buffers have not the length that the plan says")
    m.X = &X[0, 0] if X.shape[0] else NULL
    m.data = &data[0] if data.shape[0] else NULL
    m.scaled = &scaled[0] if scaled.shape[0] else NULL
    m.indices = &indices[0] if indices.shape[0] else NULL
    m.indptr = &indptr[0] if indptr.shape[0] else NULL
    m.codes = &codes[0] if codes.shape[0] else NULL
    m.order = &order[0] if order.shape[0] else NULL
    m.n_rows = order.shape[0]
    m.parameters = <void*> &parameters[0]  # written to by `train` alone, whose are not const
    room = &work[0]
    m.precision = take(&room, m.n_features)
    m.targets = m.inputs = take(&room, capacity * m.n_features)
    if m.apart:
        m.inputs = take(&room, capacity * (m.n_features + m.n_labels))
    m.encoder_outputs = take(&room, capacity * m.encoder.n_units)
    m.encoder_deltas = take(&room, capacity * m.encoder.n_units)
    m.encoder_before = take(&room, capacity * m.encoder.n_units) if plan.encoder.keeps_before else NULL
    m.decoder_outputs = take(&room, capacity * m.decoder.n_units)
    m.decoder_deltas = take(&room, capacity * m.decoder.n_units)
    m.decoder_before = take(&room, capacity * m.decoder.n_units) if plan.decoder.keeps_before else NULL
    m.noise = take(&room, capacity * m.n_latent)
    m.latent = take(&room, capacity * (m.n_latent + m.n_labels))
    m.latent_deltas = take(&room, capacity * (m.n_latent + m.n_labels))
    return m


cdef void _weigh(model* m, real_t* kind) noexcept nogil:
    """Fill the precision of the features, e^-v."""
    cdef Py_ssize_t f
    cdef const real_t* log_variance = <const real_t*> m.parameters + m.encoder.n_parameters + m.decoder.n_parameters
    if m.likelihood == _GAUSSIAN:
        for f in range(m.n_features):
            (<real_t*> m.precision)[f] = <real_t> exp(-log_variance[f])


cdef void _gather(model* m, Py_ssize_t start, Py_ssize_t stop, real_t* kind) noexcept nogil:
    """Rows of the batch: the decoder's targets, and the encoder's inputs where those are others."""
    cdef Py_ssize_t i, j, sample, d = m.n_features, width = m.n_features + m.n_labels
    cdef real_t* target
    cdef real_t* source
    cdef double squares
    cdef real_t scale
    for i in range(start, stop):
        sample = m.order[i]
        target = <real_t*> m.targets + i * d
        if m.sparse:
            memset(target, 0, d * sizeof(real_t))
            for j in range(m.indptr[sample], m.indptr[sample + 1]):
                target[m.indices[j]] += (<const real_t*> m.data)[j]
            continue
        memcpy(target, <const real_t*> m.X + sample * d, d * sizeof(real_t))
        if m.apart:
            source = <real_t*> m.inputs + i * width
            memcpy(source, target, d * sizeof(real_t))
            if m.likelihood == _MULTINOMIAL:
                squares = 0.0
                for j in range(d):
                    squares += <double> target[j] * target[j]
                scale = <real_t> (1.0 / sqrt(squares)) if squares > 0 else 0
                for j in range(d):
                    source[j] *= scale
            label(source + d, m.codes, sample, m.n_labels)


cdef void _encode(model* m, Py_ssize_t start, Py_ssize_t stop, real_t* kind) noexcept nogil:
    """Rows of the batch through the encoder."""
    cdef const network* net = m.encoder
    cdef const real_t* parameters = <const real_t*> m.parameters
    cdef real_t* before = <real_t*> m.encoder_before
    cdef real_t* outputs = <real_t*> m.encoder_outputs
    cdef Py_ssize_t index, i, k, n_out = net.layers[0].n_out
    cdef real_t* first
    cdef const real_t* own
    if not m.sparse:
        forward(net, parameters, <const real_t*> m.inputs, start, stop, before, outputs)
        return
    first = (before if net.layers[0].activation == GELU else outputs) + start * n_out
    multiply_sparse(
        <const real_t*> m.scaled, m.indices, m.indptr, m.order + start, stop - start, parameters + net.layers[0].coef,
        n_out, first)
    if m.n_labels:
        for i in range(start, stop):
            own = parameters + net.layers[0].coef + (m.n_features + m.codes[m.order[i]]) * n_out
            for k in range(n_out):
                first[(i - start) * n_out + k] += own[k]
    finish_layer(net, 0, parameters, start, stop, before, outputs)
    for index in range(1, net.n_layers):
        forward_layer(
            net, index, parameters, <const real_t*> outputs + table(net, index - 1), start, stop, before, outputs)


cdef inline real_t* _posterior(model* m, Py_ssize_t row, real_t* kind) noexcept nogil:
    # Mean and log-variance of q(z | x), 2 n_latent values.
    return <real_t*> m.encoder_outputs + table(m.encoder, m.encoder.n_layers - 1) + row * 2 * m.n_latent


cdef double _decode(
    model* m, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t noise_step, real_t* kind,
) noexcept nogil:
    """Draw z for rows of the batch and take it through the decoder; row i uses noise from i * noise_step on.

    Returns KL(q(z | x) || p(z)), summed over the rows.
    """
    cdef Py_ssize_t i, k, n = m.n_latent, width = m.n_latent + m.n_labels
    cdef const real_t* posterior
    cdef const real_t* noise
    cdef real_t* z
    cdef double divergence = 0.0, mean, log_variance
    for i in range(start, stop):
        posterior = _posterior(m, i, kind)
        noise = <const real_t*> m.noise + i * noise_step
        z = <real_t*> m.latent + i * width
        for k in range(n):
            mean, log_variance = posterior[k], posterior[n + k]
            z[k] = <real_t> (mean + exp(0.5 * log_variance) * noise[k])
            divergence += 0.5 * (mean * mean + exp(log_variance) - log_variance - 1.0)
        label(z + n, m.codes, m.order[i], m.n_labels)
    forward(
        m.decoder, <const real_t*> m.parameters + m.encoder.n_parameters, <const real_t*> m.latent, start, stop,
        <real_t*> m.decoder_before, <real_t*> m.decoder_outputs)
    return divergence


cdef double _reconstruct(model* m, Py_ssize_t start, Py_ssize_t stop, real_t* kind) noexcept nogil:
    """Return -log p(x | z), summed over rows of the batch, and fill the decoder's last deltas with its gradient."""
    cdef Py_ssize_t i, f, d = m.n_features, at = table(m.decoder, m.decoder.n_layers - 1) + start * d
    cdef const real_t* outputs = <const real_t*> m.decoder_outputs + at
    cdef const real_t* targets = <const real_t*> m.targets + start * d
    cdef const real_t* log_variance
    cdef real_t* deltas = <real_t*> m.decoder_deltas + at
    cdef double total = 0.0
    cdef const real_t* precision = <const real_t*> m.precision
    cdef real_t difference, part
    if m.likelihood != _GAUSSIAN:
        return loss(
            LOGISTIC_ENTROPY if m.likelihood == _BERNOULLI else SOFTMAX_ENTROPY, outputs, targets, <const real_t*> NULL,
            INFINITY, stop - start, d, deltas)
    log_variance = <const real_t*> m.parameters + m.encoder.n_parameters + m.decoder.n_parameters
    for i in range(stop - start):
        for f in range(d):
            difference = outputs[i * d + f] - targets[i * d + f]
            part = difference * precision[f]
            deltas[i * d + f] = part
            total += 0.5 * (<double> part * difference + log_variance[f] + LOG_2_PI)
    return total


cdef void _rows(model* m, Py_ssize_t block, real_t* kind) noexcept nogil:
    """A block of the batch's rows through both networks and back."""
    cdef Py_ssize_t i, k, start = block * ROWS, stop = min(block * ROWS + ROWS, m.n_rows), n = m.n_latent
    cdef const real_t* parameters = <const real_t*> m.parameters
    cdef const real_t* posterior
    cdef const real_t* noise
    cdef const real_t* arriving
    cdef real_t* leaving
    cdef double log_variance
    _gather(m, start, stop, kind)
    _encode(m, start, stop, kind)
    m.losses[2 * block + 1] = _decode(m, start, stop, n, kind)
    m.losses[2 * block] = _reconstruct(m, start, stop, kind)
    backward(
        m.decoder, parameters + m.encoder.n_parameters, start, stop, <const real_t*> m.decoder_before,
        <const real_t*> m.decoder_outputs, <real_t*> m.decoder_deltas, <real_t*> m.latent_deltas)
    for i in range(start, stop):
        posterior = _posterior(m, i, kind)
        noise = <const real_t*> m.noise + i * n
        arriving = <const real_t*> m.latent_deltas + i * (n + m.n_labels)
        leaving = <real_t*> m.encoder_deltas + table(m.encoder, m.encoder.n_layers - 1) + i * 2 * n
        for k in range(n):
            log_variance = posterior[n + k]
            leaving[k] = <real_t> (arriving[k] + m.beta * posterior[k])
            leaving[n + k] = <real_t> (0.5 * (
                arriving[k] * noise[k] * exp(0.5 * log_variance) + m.beta * (exp(log_variance) - 1.0)))
    backward(
        m.encoder, parameters, start, stop, <const real_t*> m.encoder_before, <const real_t*> m.encoder_outputs,
        <real_t*> m.encoder_deltas, <real_t*> NULL)


cdef void _sparse_gradient(model* m, real_t* kind) noexcept nogil:
    """Add to the zeros where the encoder's first coefficients have their gradient."""
    cdef Py_ssize_t i, j, k, sample, n_out = m.encoder.layers[0].n_out
    cdef const real_t* delta
    cdef real_t* out
    cdef real_t x
    for i in range(m.n_rows):
        sample = m.order[i]
        delta = <const real_t*> m.encoder_deltas + i * n_out
        for j in range(m.indptr[sample], m.indptr[sample + 1]):
            x = (<const real_t*> m.scaled)[j]
            out = <real_t*> m.gradients + m.encoder.layers[0].coef + m.indices[j] * n_out
            for k in range(n_out):
                out[k] += x * delta[k]
        if m.n_labels:
            out = <real_t*> m.gradients + m.encoder.layers[0].coef + (m.n_features + m.codes[sample]) * n_out
            for k in range(n_out):
                out[k] += delta[k]


cdef void _variances(model* m, real_t* kind) noexcept nogil:
    """A step for the log-variances of the features: d/dv of v / 2 + (x - a)^2 e^-v / 2, where delta = (a - x) e^-v."""
    cdef Py_ssize_t i, f, d = m.n_features, at = m.encoder.n_parameters + m.decoder.n_parameters
    cdef const real_t* deltas = <const real_t*> m.decoder_deltas + table(m.decoder, m.decoder.n_layers - 1)
    cdef real_t* log_variance = <real_t*> m.parameters + at
    cdef real_t* out = <real_t*> m.gradients + at
    cdef real_t variance
    memset(out, 0, d * sizeof(real_t))
    for i in range(m.n_rows):
        for f in range(d):
            out[f] += deltas[i * d + f] * deltas[i * d + f]
    for f in range(d):
        variance = <real_t> exp(log_variance[f])
        out[f] = <real_t> 0.5 * (m.n_rows - out[f] * variance)
    adam(
        <const real_t*> out, d, 0.0, 1.0 / m.n_rows, m.by.rate, m.by.beta_1, m.by.beta_2, m.by.epsilon, log_variance,
        <real_t*> m.first_moment + at, <real_t*> m.second_moment + at)
    for f in range(d):
        if log_variance[f] < LEAST_LOG_VARIANCE:
            log_variance[f] = <real_t> LEAST_LOG_VARIANCE


cdef void _piece(model* m, Py_ssize_t block, real_t* kind) noexcept nogil:
    """A piece of the parameters: its gradient over the batch, and its step."""
    cdef bint encoding = block < m.n_encoder_pieces
    cdef Py_ssize_t at = 0 if encoding else m.encoder.n_parameters, size, begin
    cdef const network* net = m.encoder if encoding else m.decoder
    cdef const piece* own = m.pieces + block
    cdef real_t* gradients = <real_t*> m.gradients + at
    if block == m.n_pieces:
        _variances(m, kind)
        return
    gradient_of(
        net, own, <const real_t*> (m.inputs if encoding else m.latent),
        <const real_t*> (m.encoder_outputs if encoding else m.decoder_outputs),
        <const real_t*> (m.encoder_deltas if encoding else m.decoder_deltas), m.n_rows, gradients)
    step_of(
        net, own, &m.by, 1.0 / m.n_rows, <const real_t*> gradients, <real_t*> m.parameters + at,
        <real_t*> m.first_moment + at, <real_t*> m.second_moment + at)
    if own.kind == GIVEN:
        begin = offset_of(net, own, &size)
        memset(gradients + begin, 0, size * sizeof(real_t))


cdef void _task_double(void* context, Py_ssize_t index, Py_ssize_t worker) noexcept nogil:
    _task(<model*> context, index, <double*> NULL)


cdef void _task_float(void* context, Py_ssize_t index, Py_ssize_t worker) noexcept nogil:
    _task(<model*> context, index, <float*> NULL)


cdef inline void _task(model* m, Py_ssize_t index, real_t* kind) noexcept nogil:
    if m.by_rows:
        _rows(m, index, kind)
    else:
        _piece(m, index, kind)


def train(
    Team team, bit_generator, Plan plan, const real_t[:, ::1] X, const real_t[::1] data, const real_t[::1] scaled,
    const int[::1] indices, const long long[::1] indptr, const int[::1] codes, const Py_ssize_t[::1] order,
    const double[::1] betas, const Py_ssize_t[:, ::1] pieces, Py_ssize_t n_encoder_pieces, double rate, double beta_1,
    double beta_2, double epsilon, Py_ssize_t step, real_t[::1] parameters, real_t[::1] gradients,
    real_t[::1] first_moment, real_t[::1] second_moment, real_t[::1] work, double[:, ::1] losses_out,
):
    """Take one step of Adam for every batch of samples; row b of `losses_out` gets both terms' sums over batch b.

    Parameters
    ----------
    X, or data, scaled, indices and indptr
        The samples, dense or CSR; the others are empty. `scaled` is what the encoder sees of `data`.
    codes
        Classes of the samples, or empty.
    order
        Samples in the order to visit: batches of ``plan.capacity``, the last one shorter.
    betas
        Weight of the divergence in each batch.
    pieces
        (layer, start, stop, kind) of the parameters, the encoder's first; see pieces.pxd.
    step
        Steps taken before.
    gradients
        As long as the parameters, and zero where a piece is GIVEN.
    """
    cdef bitgen_t* stream = stream_of(bit_generator)
    cdef model m = _open(plan, X, data, scaled, indices, indptr, codes, order, parameters, work)
    cdef double[4096] block_losses
    cdef Py_ssize_t batch, n_batches = betas.shape[0], block, n_blocks
    if (
        gradients.shape[0] != parameters.shape[0] or first_moment.shape[0] != parameters.shape[0]
        or second_moment.shape[0] != parameters.shape[0] or pieces.shape[1] != 4 or losses_out.shape[0] != n_batches
        or losses_out.shape[1] != 2 or n_batches != (order.shape[0] + plan.capacity - 1) // plan.capacity
        or plan.capacity > 2048 * ROWS
    ):
        raise ValueError("parameters, moments, batches and losses do not agree in shape")
    if n_batches == 0:
        return
    m.pieces = <const piece*> &pieces[0, 0]
    m.n_pieces, m.n_encoder_pieces = pieces.shape[0], n_encoder_pieces
    m.gradients, m.first_moment, m.second_moment = &gradients[0], &first_moment[0], &second_moment[0]
    m.losses = block_losses
    m.by.beta_1, m.by.beta_2 = beta_1, beta_2
    team_start(&team.threads, _task_double if real_t is double else _task_float, &m)
    with nogil:
        for batch in range(n_batches):
            m.order = &order[batch * plan.capacity]
            m.n_rows = min(plan.capacity, order.shape[0] - batch * plan.capacity)
            m.beta = betas[batch]
            step += 1
            correct(&m.by, rate, epsilon, step)
            draw_normal(stream, m.n_rows * m.n_latent, <real_t*> m.noise)
            _weigh(&m, <real_t*> NULL)
            n_blocks = (m.n_rows + ROWS - 1) // ROWS
            m.by_rows = True
            team_phase(&team.threads, n_blocks)
            losses_out[batch, 0] = losses_out[batch, 1] = 0.0
            for block in range(n_blocks):
                losses_out[batch, 0] += block_losses[2 * block]
                losses_out[batch, 1] += block_losses[2 * block + 1]
            if m.sparse:
                _sparse_gradient(&m, <real_t*> NULL)
            m.by_rows = False
            team_phase(&team.threads, m.n_pieces + (m.likelihood == _GAUSSIAN))


def bounds(
    Plan plan, const real_t[:, ::1] X, const real_t[::1] data, const real_t[::1] scaled, const int[::1] indices,
    const long long[::1] indptr, const int[::1] codes, const Py_ssize_t[::1] order, const real_t[:, ::1] noise,
    const real_t[::1] parameters, real_t[::1] work, double[:, ::1] log_likelihood_out, double[:, ::1] log_ratio_out,
    double[::1] divergence_out,
):
    """Draw z for samples order[0], order[1], ..., at most ``plan.capacity``, with each row of `noise`.

    Row i gets log p(x | z) and log p(z) - log q(z | x), a column for each draw, and KL(q(z | x) || p(z)).
    """
    cdef model m = _open(plan, X, data, scaled, indices, indptr, codes, order, parameters, work)
    cdef Py_ssize_t i, k, draw, n = order.shape[0]
    cdef const real_t* posterior
    cdef const real_t* z
    cdef double ratio
    if (
        n > plan.capacity or noise.shape[1] != m.n_latent or log_likelihood_out.shape[0] != n
        or log_ratio_out.shape[0] != n or divergence_out.shape[0] != n or log_likelihood_out.shape[1] != noise.shape[0]
        or log_ratio_out.shape[1] != noise.shape[0]
    ):
        raise ValueError("samples, noise and outputs do not agree in shape")
    if n == 0:
        return
    with nogil:
        _gather(&m, 0, n, <real_t*> NULL)
        _encode(&m, 0, n, <real_t*> NULL)
        _weigh(&m, <real_t*> NULL)
        for draw in range(noise.shape[0]):
            m.noise = <void*> &noise[draw, 0]
            _decode(&m, 0, n, 0, <real_t*> NULL)
            for i in range(n):
                posterior = _posterior(&m, i, <real_t*> NULL)
                z = <const real_t*> m.latent + i * (m.n_latent + m.n_labels)
                ratio = divergence_out[i] = 0.0
                for k in range(m.n_latent):
                    # log N(z; 0, 1) - log N(z; mean, variance), where z - mean is the noise times the deviation
                    ratio += 0.5 * (
                        noise[draw, k] * noise[draw, k] + posterior[m.n_latent + k] - <double> z[k] * z[k])
                    divergence_out[i] += 0.5 * (
                        <double> posterior[k] * posterior[k] + exp(posterior[m.n_latent + k])
                        - posterior[m.n_latent + k] - 1.0)
                log_ratio_out[i, draw] = ratio
                log_likelihood_out[i, draw] = -_reconstruct(&m, i, i + 1, <real_t*> NULL)


def encode(
    Plan plan, const real_t[:, ::1] X, const real_t[::1] data, const real_t[::1] scaled, const int[::1] indices,
    const long long[::1] indptr, const int[::1] codes, const Py_ssize_t[::1] order, const real_t[::1] parameters,
    real_t[::1] work, real_t[:, ::1] out,
):
    """Fill `out` with mean and log-variance of q(z | x) for samples order[0], ..., at most ``plan.capacity``."""
    cdef model m = _open(plan, X, data, scaled, indices, indptr, codes, order, parameters, work)
    cdef Py_ssize_t n = order.shape[0]
    if n > plan.capacity or out.shape[0] != n or out.shape[1] != 2 * m.n_latent:
        raise ValueError("samples and output do not agree in shape")
    if n == 0:
        return
    with nogil:
        _gather(&m, 0, n, <real_t*> NULL)
        _encode(&m, 0, n, <real_t*> NULL)
        memcpy(&out[0, 0], _posterior(&m, 0, <real_t*> NULL), n * 2 * m.n_latent * sizeof(real_t))
