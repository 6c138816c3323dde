"""Generative adversarial networks: training on mini-batches, and the discriminator's judgement.

A generator maps noise z ~ N(0, I) to samples G(z); a discriminator gives each sample a score D(x). In turns, one step
of Adam each, the discriminator lessens its loss and the generator its own:

    NON_SATURATING   softplus(-D(x)) + softplus(D(G(z))),   softplus(-D(G(z)))
    WASSERSTEIN      D(G(z)) - D(x),                        -D(G(z))

NON_SATURATING: D(x) is the log-odds that x is real. WASSERSTEIN: D has to be 1-Lipschitz.

Spectral normalisation (spectral.pxd), after each of D's steps, makes D 1-Lipschitz.

Samples are to be drawn of the running average of G's parameters w: a <- w + min(averaging, (1 + t) / (10 + t)) (a - w)
after G's step t, which at first soon forgets.

Labels, if any, are one-hot columns past z and past x.

How a step runs: blocks of ROWS rows go through the networks and back, each by itself; then pieces of the parameters get
their gradients and their step, each by itself. A block has its rows of the real batch, and then as many generated ones,
one after the other in D's tables. The generator's step is made of the noise that the discriminator's step before was
made of. Four meetings of the threads a batch (five with spectral normalisation), and the same bits for any number of
them.

Shapes: X (n_samples, n_features); parameters are the generator's and the discriminator's, apart. Buffers are for one
batch: `Plan.work` numbers.
Cost: 8 flops a parameter of D and 6 of G and row for each discriminator's step, as many for each generator's.

Edge cases: the last batch may be shorter; the loss of a score of any size is made without overflow; what is not finite
goes through, to the losses.

Sources: I. Goodfellow et al., Generative adversarial nets, NIPS 2014; M. Arjovsky, S. Chintala, L. Bottou, Wasserstein
generative adversarial networks, ICML 2017; T. Miyato et al., Spectral normalization for generative adversarial
networks, ICLR 2018; Y. Yazici et al., The unusual effectiveness of averaging in GAN training, ICLR 2019; M. Mirza, S.
Osindero, Conditional generative adversarial nets (2014).
"""

from libc.math cimport exp, fabs, log1p
from libc.string cimport memcpy
from numpy.random cimport bitgen_t

import numpy as np

from deciban._kernels.generative cimport check_samples, draw_normal, label, take
from deciban._kernels.layers cimport Network, backward, forward, network, slope, table
from deciban._kernels.pieces cimport INTERCEPTS, correct, gradient_of, offset_of, optimiser, piece, step_of
from deciban._kernels.random cimport stream_of
from deciban._kernels.spectral cimport direction_of, normalise_layers, turn_gradient
from deciban._kernels.team cimport Team, team, team_phase, team_start
from deciban._kernels.types cimport real_t

NON_SATURATING, WASSERSTEIN = range(2)
cdef enum Loss:
    _NON_SATURATING, _WASSERSTEIN

cdef enum:
    ROWS = 64
    MAX_BLOCKS = 2048

cdef enum Phase:
    DISCRIMINATE        # rows: real and generated samples through D and back
    DISCRIMINATOR       # pieces of D: gradient, and step unless normalised
    NORMALISED          # pieces of D: step, after the whole gradient is there
    GENERATE            # rows: generated samples through D and back to G
    GENERATOR           # pieces of G: gradient and step

cdef struct side:
    const network* net
    const piece* pieces
    Py_ssize_t n_pieces
    optimiser by
    void* parameters
    void* used         # parameters that samples meet: with spectral normalisation, others than those that are learned
    void* gradients
    void* first_moment
    void* second_moment
    void* average      # of G's parameters
    double keeping     # what share of itself that average keeps at a step
    void* before
    void* outputs
    void* deltas

cdef struct model:
    side generator
    side discriminator
    int loss
    bint normalised
    int phase
    Py_ssize_t n_features
    Py_ssize_t n_labels
    Py_ssize_t n_noise
    const void* X
    const int* codes
    const Py_ssize_t* order
    Py_ssize_t n_rows
    double* losses      # of each block of rows
    double* alignment   # of each piece of D: its part of <g, W / sigma>
    void* inputs        # of G
    void* judged        # inputs of D
    void* judged_deltas
    void* directions    # u and v of every layer of D
    double* sigma       # of every layer of D


cdef class Plan:
    """The networks of a model, and the sizes of its buffers.

    Parameters
    ----------
    generator : Network
        From n_noise + n_labels to n_features, for a batch.
    discriminator : Network
        From n_features + n_labels to 1, with identity as its last activation, for two batches.
    loss : {NON_SATURATING, WASSERSTEIN}
    normalised : bool
        Whether the discriminator's coefficients are used over their largest singular value.
    n_labels : int
        Classes that the model is conditional on; 0 for none.
    """

    cdef model net
    cdef readonly Network generator, discriminator
    cdef readonly Py_ssize_t capacity

    def __cinit__(self, Network generator, Network discriminator, int loss, bint normalised, Py_ssize_t n_labels):
        cdef const network* G = &generator.net
        cdef const network* D = &discriminator.net
        cdef Py_ssize_t n_features = G.layers[G.n_layers - 1].n_out
        if (
            D.layers[D.n_layers - 1].n_out != 1 or n_labels < 0 or D.layers[0].n_in != n_features + n_labels
            or G.layers[0].n_in <= n_labels or D.capacity != 2 * G.capacity
            or not 0 <= loss <= _WASSERSTEIN
        ):
            raise ValueError("generator and discriminator do not agree in shape, or there is no such loss")
        self.generator, self.discriminator, self.capacity = generator, discriminator, G.capacity
        self.net.generator.net, self.net.discriminator.net = G, D
        self.net.loss, self.net.normalised = loss, normalised
        self.net.n_features, self.net.n_labels = n_features, n_labels
        self.net.n_noise = G.layers[0].n_in - n_labels

    @property
    def work(self):
        """Length of the buffer for a batch."""
        cdef Py_ssize_t width = self.net.generator.net.layers[0].n_in
        cdef Py_ssize_t n_tables = 3 if self.generator.keeps_before else 2
        width += 4 * self.net.discriminator.net.layers[0].n_in + n_tables * self.net.generator.net.n_units
        n_tables = 3 if self.discriminator.keeps_before else 2
        width += 2 * n_tables * self.net.discriminator.net.n_units
        return self.capacity * width

    @property
    def n_directions(self):
        """Length of the vector of singular vectors of D's coefficients: u (n_out), then v (n_in), layer after layer."""
        return direction_of(self.net.discriminator.net, self.net.discriminator.net.n_layers)


cdef double _judge(model* m, double score, bint real, bint fooled, double* slope_out) noexcept nogil:
    """The loss of a score, and its derivative: of D for a real or generated sample, or of G (`fooled`)."""
    cdef double sign = -1.0 if real or fooled else 1.0, x, e
    if m.loss == _WASSERSTEIN:
        slope_out[0] = sign
        return sign * score
    x = sign * score
    e = exp(-fabs(x))
    slope_out[0] = sign * ((1.0 if x > 0 else e) / (1.0 + e))
    return log1p(e) + (x if x > 0 else 0.0)


cdef void _discriminate(model* m, Py_ssize_t block, real_t* kind) noexcept nogil:
    """A block of the batch, real and generated, through D and back."""
    cdef Py_ssize_t start = block * ROWS, stop = min(block * ROWS + ROWS, m.n_rows), i, row, n = stop - start
    cdef Py_ssize_t d = m.n_features, width = m.n_features + m.n_labels, last
    cdef side* G = &m.generator
    cdef side* D = &m.discriminator
    cdef real_t* inputs = <real_t*> m.inputs
    cdef real_t* judged = <real_t*> m.judged
    cdef real_t* scores
    cdef real_t* deltas
    cdef const real_t* made
    cdef double derivative, total = 0.0
    for i in range(start, stop):
        label(inputs + i * (m.n_noise + m.n_labels) + m.n_noise, m.codes, m.order[i], m.n_labels)
    forward(
        G.net, <const real_t*> G.used, <const real_t*> inputs, start, stop, <real_t*> G.before, <real_t*> G.outputs)
    made = <const real_t*> G.outputs + table(G.net, G.net.n_layers - 1)
    for i in range(start, stop):
        row = start + i  # twice as many rows before the block
        memcpy(judged + row * width, <const real_t*> m.X + m.order[i] * d, d * sizeof(real_t))
        memcpy(judged + (row + n) * width, made + i * d, d * sizeof(real_t))
        label(judged + row * width + d, m.codes, m.order[i], m.n_labels)
        label(judged + (row + n) * width + d, m.codes, m.order[i], m.n_labels)
    forward(
        D.net, <const real_t*> D.used, <const real_t*> judged, 2 * start, 2 * stop, <real_t*> D.before,
        <real_t*> D.outputs)
    last = table(D.net, D.net.n_layers - 1)
    scores, deltas = <real_t*> D.outputs + last, <real_t*> D.deltas + last
    for row in range(2 * start, 2 * stop):
        total += _judge(m, scores[row], row < 2 * start + n, False, &derivative)
        deltas[row] = <real_t> derivative
    m.losses[block] = total
    backward(
        D.net, <const real_t*> D.used, 2 * start, 2 * stop, <const real_t*> D.before, <const real_t*> D.outputs,
        <real_t*> D.deltas, <real_t*> NULL)


cdef void _generate(model* m, Py_ssize_t block, real_t* kind) noexcept nogil:
    """The generated samples of a block through D, whose step has been taken, and back to G."""
    cdef Py_ssize_t start = block * ROWS, stop = min(block * ROWS + ROWS, m.n_rows), i, row, n = stop - start
    cdef Py_ssize_t d = m.n_features, width = m.n_features + m.n_labels, last, first = start + stop
    cdef side* G = &m.generator
    cdef side* D = &m.discriminator
    cdef real_t* scores
    cdef real_t* deltas
    cdef const real_t* arriving = <const real_t*> m.judged_deltas
    cdef double derivative, total = 0.0
    forward(
        D.net, <const real_t*> D.used, <const real_t*> m.judged, first, first + n, <real_t*> D.before,
        <real_t*> D.outputs)
    last = table(D.net, D.net.n_layers - 1)
    scores, deltas = <real_t*> D.outputs + last, <real_t*> D.deltas + last
    for row in range(first, first + n):
        total += _judge(m, scores[row], False, True, &derivative)
        deltas[row] = <real_t> derivative
    m.losses[block] = total
    backward(
        D.net, <const real_t*> D.used, first, first + n, <const real_t*> D.before, <const real_t*> D.outputs,
        <real_t*> D.deltas, <real_t*> m.judged_deltas)
    last = table(G.net, G.net.n_layers - 1)
    deltas = <real_t*> G.deltas + last
    for i in range(n):
        memcpy(deltas + (start + i) * d, arriving + (first + i) * width, d * sizeof(real_t))
    slope(
        G.net.layers[G.net.n_layers - 1].activation, <const real_t*> NULL, <const real_t*> G.outputs + last + start * d,
        n * d, deltas + start * d)
    backward(
        G.net, <const real_t*> G.used, start, stop, <const real_t*> G.before, <const real_t*> G.outputs,
        <real_t*> G.deltas, <real_t*> NULL)


cdef void _learn(
    model* m, side* own, const void* inputs, Py_ssize_t index, Py_ssize_t n_rows, real_t* kind,
) noexcept nogil:
    """A piece of a side's parameters: its gradient over the batch, and its step, or its part in the normalised one."""
    cdef Py_ssize_t size, at, k
    cdef const piece* part = own.pieces + index
    cdef real_t* gradients = <real_t*> own.gradients
    cdef const real_t* used = <const real_t*> own.used
    cdef double total = 0.0
    if m.phase != NORMALISED:
        gradient_of(
            own.net, part, <const real_t*> inputs, <const real_t*> own.outputs, <const real_t*> own.deltas, n_rows,
            gradients)
        if m.phase == DISCRIMINATOR and m.normalised:
            at = offset_of(own.net, part, &size)
            if part.kind != INTERCEPTS:
                for k in range(size):
                    total += <double> gradients[at + k] * used[at + k]
            m.alignment[index] = total
            return
    elif part.kind != INTERCEPTS:
        _through_norm(m, part, kind)
    step_of(
        own.net, part, &own.by, 1.0 / m.n_rows, <const real_t*> gradients, <real_t*> own.parameters,
        <real_t*> own.first_moment, <real_t*> own.second_moment)
    if own.average != NULL:
        at = offset_of(own.net, part, &size)
        _average(<const real_t*> own.parameters + at, size, <real_t> own.keeping, <real_t*> own.average + at)


cdef inline void _average(const real_t* x, Py_ssize_t n, real_t keeping, real_t* out) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(n):
        out[k] = x[k] + keeping * (out[k] - x[k])


cdef void _through_norm(model* m, const piece* part, real_t* kind) noexcept nogil:
    """Turn a piece's gradient by the coefficients in use into that by those that are learned."""
    cdef side* D = &m.discriminator
    cdef Py_ssize_t index
    cdef double aligned = 0.0
    for index in range(D.n_pieces):
        if D.pieces[index].layer == part.layer:
            aligned += m.alignment[index]
    turn_gradient(
        D.net, part, aligned, m.sigma[part.layer], <const real_t*> m.directions, <real_t*> D.gradients)


cdef inline void _task(model* m, Py_ssize_t index, real_t* kind) noexcept nogil:
    if m.phase == DISCRIMINATE:
        _discriminate(m, index, kind)
    elif m.phase == GENERATE:
        _generate(m, index, kind)
    elif m.phase == GENERATOR:
        _learn(m, &m.generator, m.inputs, index, m.n_rows, kind)
    else:
        _learn(m, &m.discriminator, m.judged, index, 2 * m.n_rows, kind)


cdef void _task_double(void* context, Py_ssize_t index, Py_ssize_t worker) noexcept nogil:
    _task(<model*> context, index, <double*> NULL)


cdef void _task_float(void* context, Py_ssize_t index, Py_ssize_t worker) noexcept nogil:
    _task(<model*> context, index, <float*> NULL)


cdef void _fill_noise(model* m, bitgen_t* stream, real_t* kind) noexcept nogil:
    # Noise into the inputs of G, which may have labels past it.
    cdef Py_ssize_t i
    cdef real_t* inputs = <real_t*> m.inputs
    for i in range(m.n_rows):
        draw_normal(stream, m.n_noise, inputs + i * (m.n_noise + m.n_labels))


cdef double _phase(model* m, team* threads, int phase, Py_ssize_t n_tasks) noexcept nogil:
    """Run a phase; return the sum of the blocks' losses, for one by rows."""
    cdef Py_ssize_t block
    cdef double total = 0.0
    m.phase = phase
    team_phase(threads, n_tasks)
    if phase == DISCRIMINATE or phase == GENERATE:
        for block in range(n_tasks):
            total += m.losses[block]
    return total


cdef int _side(
    side* own, const Py_ssize_t[:, ::1] pieces, double beta_1, double beta_2, real_t[::1] parameters, real_t[::1] used,
    real_t[::1] gradients, real_t[::1] first_moment, real_t[::1] second_moment,
) except -1:
    cdef Py_ssize_t n = own.net.n_parameters
    if (
        parameters.shape[0] != n or used.shape[0] != n or gradients.shape[0] != n or first_moment.shape[0] != n
        or second_moment.shape[0] != n or pieces.shape[1] != 4
    ):
        raise ValueError(f"expected {n} parameters, as many gradients and moments, and pieces of 4 numbers")
    own.pieces, own.n_pieces = <const piece*> &pieces[0, 0], pieces.shape[0]
    own.by.beta_1, own.by.beta_2 = beta_1, beta_2
    own.parameters, own.used, own.gradients = &parameters[0], &used[0], &gradients[0]
    own.first_moment, own.second_moment = &first_moment[0], &second_moment[0]
    return 0


def train(
    Team threads, bit_generator, Plan plan, const real_t[:, ::1] X, const int[::1] codes, const Py_ssize_t[::1] order,
    Py_ssize_t discriminator_steps, const Py_ssize_t[:, ::1] generator_pieces,
    const Py_ssize_t[:, ::1] discriminator_pieces, double generator_rate, double discriminator_rate, double beta_1,
    double beta_2, double epsilon, double averaging, Py_ssize_t step, real_t[::1] generator, real_t[::1] average,
    real_t[::1] generator_gradients, real_t[::1] generator_first, real_t[::1] generator_second,
    real_t[::1] discriminator, real_t[::1] used, real_t[::1] discriminator_gradients,
    real_t[::1] discriminator_first, real_t[::1] discriminator_second, real_t[::1] directions, double[::1] sigma,
    real_t[::1] work, double[:, ::1] losses_out,
):
    """Take a step of the discriminator for every batch, and one of the generator after every `discriminator_steps`.

    Row b of `losses_out` gets the sums over batch b of the discriminator's loss and the generator's, and how many rows
    the latter is of: 0 where it took no step.

    Parameters
    ----------
    X, codes
        The samples, and their classes or nothing.
    order
        Samples in the order to visit: batches of ``plan.capacity``, the last one shorter.
    generator_pieces, discriminator_pieces
        (layer, start, stop, kind) of the parameters; see pieces.pxd.
    averaging
        Of the running average of the generator's parameters, which is `average`.
    step
        Steps of the discriminator taken before.
    used
        The discriminator's parameters as samples meet them: the same vector, or with spectral normalisation another.
    directions, sigma
        Of :func:`normalise`; without spectral normalisation they may be empty.
    """
    cdef bitgen_t* stream = stream_of(bit_generator)
    cdef model m = plan.net
    cdef double[MAX_BLOCKS] losses
    cdef Py_ssize_t batch, n_batches = losses_out.shape[0], n_blocks, capacity = plan.capacity
    cdef Py_ssize_t n_generator = capacity * m.generator.net.n_units
    cdef Py_ssize_t n_discriminator = 2 * capacity * m.discriminator.net.n_units
    cdef real_t* room
    cdef double[::1] alignment
    if X.shape[1] != m.n_features:
        raise ValueError(f"expected samples of {m.n_features} features, got {X.shape[1]}")
    check_samples(codes, m.n_labels, order, X.shape[0])
    if (
        losses_out.shape[1] != 3 or n_batches != (order.shape[0] + capacity - 1) // capacity
        or work.shape[0] < plan.work or capacity > MAX_BLOCKS * ROWS or discriminator_steps < 1
        or (m.normalised and (sigma.shape[0] != m.discriminator.net.n_layers
                              or directions.shape[0] != plan.n_directions))
    ):
        raise ValueError("batches, losses and buffers do not agree in shape")
    if n_batches == 0:
        return
    _side(
        &m.generator, generator_pieces, beta_1, beta_2, generator, generator, generator_gradients, generator_first,
        generator_second)
    _side(
        &m.discriminator, discriminator_pieces, beta_1, beta_2, discriminator, used, discriminator_gradients,
        discriminator_first, discriminator_second)
    if average.shape[0] != generator.shape[0]:
        raise ValueError(f"expected an average of {generator.shape[0]} parameters")
    m.generator.average, m.discriminator.average = &average[0], NULL
    m.X = &X[0, 0]
    m.codes = &codes[0] if codes.shape[0] else NULL
    m.directions = &directions[0] if m.normalised else NULL
    m.sigma = &sigma[0] if m.normalised else NULL
    alignment = np.zeros(discriminator_pieces.shape[0])
    m.alignment, m.losses = &alignment[0], losses
    room = &work[0]
    m.inputs = take(&room, capacity * m.generator.net.layers[0].n_in)
    m.judged = take(&room, 2 * capacity * m.discriminator.net.layers[0].n_in)
    m.judged_deltas = take(&room, 2 * capacity * m.discriminator.net.layers[0].n_in)
    m.generator.outputs = take(&room, n_generator)
    m.generator.deltas = take(&room, n_generator)
    m.generator.before = take(&room, n_generator) if plan.generator.keeps_before else NULL
    m.discriminator.outputs = take(&room, n_discriminator)
    m.discriminator.deltas = take(&room, n_discriminator)
    m.discriminator.before = take(&room, n_discriminator) if plan.discriminator.keeps_before else NULL
    team_start(&threads.threads, _task_double if real_t is double else _task_float, &m)
    with nogil:
        for batch in range(n_batches):
            m.order = &order[batch * capacity]
            m.n_rows = min(capacity, order.shape[0] - batch * capacity)
            n_blocks = (m.n_rows + ROWS - 1) // ROWS
            _fill_noise(&m, stream, <real_t*> NULL)
            losses_out[batch, 0] = _phase(&m, &threads.threads, DISCRIMINATE, n_blocks)
            step += 1
            correct(&m.discriminator.by, discriminator_rate, epsilon, step)
            _phase(&m, &threads.threads, DISCRIMINATOR, m.discriminator.n_pieces)
            if m.normalised:
                _phase(&m, &threads.threads, NORMALISED, m.discriminator.n_pieces)
                normalise_layers(
                    m.discriminator.net, <const real_t*> &discriminator[0], &directions[0], &sigma[0], &used[0])
            losses_out[batch, 1] = losses_out[batch, 2] = 0.0
            if step % discriminator_steps:
                continue
            losses_out[batch, 1] = _phase(&m, &threads.threads, GENERATE, n_blocks)
            losses_out[batch, 2] = <double> m.n_rows
            correct(&m.generator.by, generator_rate, epsilon, step // discriminator_steps)
            m.generator.keeping = min(
                averaging, (1.0 + step // discriminator_steps) / (10.0 + step // discriminator_steps))
            _phase(&m, &threads.threads, GENERATOR, m.generator.n_pieces)


def normalise(Plan plan, const real_t[::1] parameters, real_t[::1] directions, double[::1] sigma, real_t[::1] used):
    """Take a step of power iteration for every layer of the discriminator and fill `used` with W / sigma.

    `directions` are the singular vectors so far, of which v has to be there; see ``Plan.n_directions``.
    """
    cdef const network* net = plan.net.discriminator.net
    if (
        parameters.shape[0] != net.n_parameters or used.shape[0] != net.n_parameters
        or directions.shape[0] != plan.n_directions or sigma.shape[0] != net.n_layers
    ):
        raise ValueError("parameters, directions and sigma do not agree in shape")
    with nogil:
        normalise_layers(net, &parameters[0], &directions[0], &sigma[0], &used[0])
