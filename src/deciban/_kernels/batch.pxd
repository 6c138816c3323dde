# A batch of training: what its phases read and write (job), and the tasks they are made of; training.pyx leads them.
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

from deciban._kernels.layers cimport (
    GELU, adam, backward_layer, drop, finish_layer, forward_layer, layer, multiply_sparse, network, sgd, slope,
    softmax_loss, sparse_row, sum_rows, table,
)
from deciban._kernels.layers cimport loss as evaluate_loss
from deciban._kernels.prefetch cimport PREFETCH
from deciban._kernels.products cimport multiply_into_gradient, multiply_transposed
from deciban._kernels.types cimport real_t

cdef enum:
    BLOCK = 64        # rows of a block, at least
    MAX_BLOCKS = 16
    PIECE = 32768     # gradients of a piece of a dense layer: they stay in L2
    PIECE_ROWS = 128  # at least, where there are more pieces: the deltas are prepared anew for every piece
    SPARSE_PIECE = 8192
    ADAM = 0
    SGD = 1
    GRADIENT = 2      # no step: gradients are added up

# Rows [start, stop) of a layer's coefficients.
cdef struct piece:
    Py_ssize_t index
    Py_ssize_t start
    Py_ssize_t stop

# A batch of CSR samples by features: rows and values of feature f from starts[f] on, in the order of rows.
cdef struct turned_batch:
    long long* starts
    int* rows
    char* data

cdef enum Phase:
    TURN      # make the first batch's turned_batch
    CATCH_UP  # take the steps that rows of the first table have missed which the first batch needs
    ROWS
    STEPS
    SETTLE    # take the steps that any rows have missed

cdef struct job:
    network* net
    bint is_double
    # samples: dense with strides in bytes, or CSR; order, targets or codes, and weights for all of them
    const char* X
    Py_ssize_t row_stride
    Py_ssize_t column_stride
    const char* data
    const int* indices
    const long long* indptr
    const Py_ssize_t* order
    const int* codes
    const char* targets
    const char* weights
    # the model
    int loss
    double limit
    double alpha
    double dropout
    uint64_t key
    char* parameters
    char* first_moment
    char* second_moment
    char* gradients
    # the solver
    int solver
    long long t
    double learning_rate
    double beta_1
    double beta_2
    double epsilon
    double momentum
    bint nesterov
    # the batch: its rows, in memory if they have to be gathered, what layers make of them, and its transpose
    Py_ssize_t first
    Py_ssize_t n_rows
    Py_ssize_t n_blocks
    Py_ssize_t n_pieces
    Py_ssize_t intercepts_at
    Phase phase
    char* batch
    const char* inputs
    Py_ssize_t* rows
    int* batch_codes
    char* batch_targets
    char* batch_weights
    char* before
    char* outputs
    char* dropped
    char* deltas
    turned_batch turned[2]  # this batch, by features, and the next one: they change places
    Py_ssize_t next_first
    Py_ssize_t n_next
    char* gradient_pieces
    Py_ssize_t piece_size
    piece* pieces
    double[MAX_BLOCKS] losses
    double[MAX_BLOCKS] weight_sums
    # the epoch: its steps so far, their rates, what gradients are multiplied by, and what the penalty's squares count
    int n_steps
    double* rates
    double* scales
    double* shares
    double* penalties  # of each piece
    int* done          # steps that each row of a sparse first layer's table has taken
    char* nothing      # a row of zeros


cdef inline void _gather(real_t* _type, job* own, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    # Rows [start, stop) of the batch: samples, targets, weights.
    cdef Py_ssize_t row, k, n_in = own.net.layers[0].n_in, n_out = own.net.layers[own.net.n_layers - 1].n_out, at
    cdef real_t* to
    cdef const char* source
    cdef const char* soon
    for row in range(start, stop):
        at = own.order[own.first + row] if own.order != NULL else own.first + row
        own.rows[row] = at
        if own.batch != NULL:
            if row + 1 < stop and own.order != NULL and own.column_stride == sizeof(real_t):
                soon = own.X + own.order[own.first + row + 1] * own.row_stride
                for k in range(0, n_in * sizeof(real_t), 64):
                    PREFETCH(soon + k)
            to = <real_t*> own.batch + row * n_in
            source = own.X + at * own.row_stride
            if own.column_stride == sizeof(real_t):
                memcpy(to, source, n_in * sizeof(real_t))
            else:
                for k in range(n_in):
                    to[k] = (<const real_t*> (source + k * own.column_stride))[0]
        if own.codes != NULL:
            own.batch_codes[row] = own.codes[at]
        else:
            memcpy(
                own.batch_targets + row * n_out * sizeof(real_t), own.targets + at * n_out * sizeof(real_t),
                n_out * sizeof(real_t))
        if own.weights != NULL:
            (<real_t*> own.batch_weights)[row] = (<const real_t*> own.weights)[at]


cdef inline const real_t* _inputs(real_t* _type, const job* own, Py_ssize_t index) noexcept nogil:
    # The table that a layer reads.
    if index == 0:
        return <const real_t*> own.inputs
    return <const real_t*> (own.dropped if own.dropped != NULL else own.outputs) + table(own.net, index - 1)


cdef inline void _drop_rows(
    real_t* _type, job* own, Py_ssize_t index, Py_ssize_t start, Py_ssize_t stop, const real_t* x, real_t* out,
) noexcept nogil:
    cdef Py_ssize_t n_out = own.net.layers[index].n_out, at = table(own.net, index) + start * n_out
    cdef uint64_t first = <uint64_t> own.t * own.net.capacity * own.net.n_units + at
    drop(x + at, (stop - start) * n_out, own.key, first, own.dropout, out + at)


cdef inline void _do_rows(real_t* _type, job* own, Py_ssize_t block) noexcept nogil:
    cdef network* net = own.net
    cdef Py_ssize_t start = block * own.n_rows // own.n_blocks, stop = (block + 1) * own.n_rows // own.n_blocks
    cdef Py_ssize_t index, row, at, last = net.n_layers - 1, n_out = net.layers[last].n_out, n = stop - start
    cdef const real_t* parameters = <const real_t*> own.parameters
    cdef const layer* first = &net.layers[0]
    cdef real_t* outputs = <real_t*> own.outputs
    cdef real_t* deltas = <real_t*> own.deltas
    cdef real_t* before = <real_t*> own.before
    cdef real_t* weights = <real_t*> own.batch_weights + start if own.weights != NULL else NULL
    cdef double total = 0.0
    _gather(_type, own, start, stop)
    for index in range(net.n_layers):
        if index == 0 and own.indptr != NULL:
            multiply_sparse(
                <const real_t*> own.data, own.indices, own.indptr, own.rows + start, n, parameters + first.coef,
                first.n_out, (before if first.activation == GELU else outputs) + start * first.n_out)
            finish_layer(net, 0, parameters, start, stop, before, outputs)
        else:
            forward_layer(net, index, parameters, _inputs(_type, own, index), start, stop, before, outputs)
        if own.dropped != NULL and index < last:
            _drop_rows(_type, own, index, start, stop, outputs, <real_t*> own.dropped)
    at = table(net, last) + start * n_out
    if own.codes != NULL:
        own.losses[block] = softmax_loss(
            <const real_t*> outputs + at, own.batch_codes + start, weights, own.limit, n, n_out, deltas + at)
    else:
        own.losses[block] = evaluate_loss(
            own.loss, <const real_t*> outputs + at, <const real_t*> own.batch_targets + start * n_out, weights,
            own.limit, n, n_out, deltas + at)
    if weights != NULL:
        for row in range(n):
            total += weights[row]
    own.weight_sums[block] = total if weights != NULL else n
    for index in range(last, 0, -1):
        if own.dropped == NULL:
            backward_layer(net, index, parameters, start, stop, before, outputs, deltas)
            continue
        at = table(net, index - 1) + start * net.layers[index].n_in
        multiply_transposed(
            <const real_t*> deltas + table(net, index) + start * net.layers[index].n_out, n, net.layers[index].n_out,
            parameters + net.layers[index].coef, net.layers[index].n_in, deltas + at)
        _drop_rows(_type, own, index - 1, start, stop, <const real_t*> deltas, deltas)
        slope(
            net.layers[index - 1].activation, before + at if before != NULL else NULL, <const real_t*> outputs + at,
            n * net.layers[index].n_in, deltas + at)


cdef inline void _turn(real_t* _type, job* own, turned_batch* to, Py_ssize_t first, Py_ssize_t n_rows) noexcept nogil:
    # A batch by features, in the order of rows: counted, then put in place.
    cdef Py_ssize_t row, at, n_features = own.net.layers[0].n_in, feature
    cdef long long j, k
    cdef real_t* data = <real_t*> to.data
    memset(to.starts, 0, (n_features + 2) * sizeof(long long))
    for row in range(n_rows):
        at = own.order[first + row] if own.order != NULL else first + row
        for j in range(own.indptr[at], own.indptr[at + 1]):
            to.starts[own.indices[j] + 2] += 1
    for feature in range(1, n_features + 1):
        to.starts[feature + 1] += to.starts[feature]
    for row in range(n_rows):
        at = own.order[first + row] if own.order != NULL else first + row
        for j in range(own.indptr[at], own.indptr[at + 1]):
            k = to.starts[own.indices[j] + 1]
            to.starts[own.indices[j] + 1] += 1
            to.rows[k] = <int> row
            data[k] = (<const real_t*> own.data)[j]


cdef inline double _step(
    real_t* _type, job* own, const real_t* gradient, Py_ssize_t at, Py_ssize_t n, double alpha, int number,
) noexcept nogil:
    # Step `number` of the epoch; returns the sum of squares of the parameters before it.
    cdef real_t* parameters = <real_t*> own.parameters + at
    cdef real_t* first_moment = <real_t*> own.first_moment + at
    if own.solver == ADAM:
        return adam(
            gradient, n, alpha, own.scales[number], own.rates[number], own.beta_1, own.beta_2, own.epsilon, parameters,
            first_moment, <real_t*> own.second_moment + at)
    return sgd(
        gradient, n, alpha, own.scales[number], own.rates[number], own.momentum, own.nesterov, parameters,
        first_moment)


cdef inline bint _rests(real_t* _type, const job* own, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    # Whether steps without gradient change nothing: no penalty, and no moments.
    cdef Py_ssize_t k
    if own.alpha != 0:
        return False
    for k in range(at, at + n):
        if (<const real_t*> own.first_moment)[k] != 0:
            return False
        if own.solver == ADAM and (<const real_t*> own.second_moment)[k] != 0:
            return False
    return True


cdef inline double _catch_up(real_t* _type, job* own, Py_ssize_t feature) noexcept nogil:
    # Take the steps that a row of the first table has missed; returns its share of the penalty in them.
    cdef Py_ssize_t n_out = own.net.layers[0].n_out, at = own.net.layers[0].coef + feature * n_out
    cdef int number, begin = own.done[feature]
    cdef double penalty = 0.0
    if begin == own.n_steps:
        return 0.0
    own.done[feature] = own.n_steps
    if _rests(_type, own, at, n_out):
        return 0.0
    if own.solver == SGD and own.alpha == 0 and own.momentum == 0:
        begin = own.n_steps - 1  # the first one ends the velocity
    for number in range(begin, own.n_steps):
        penalty += own.shares[number] * _step(
            _type, own, <const real_t*> own.nothing, at, n_out, own.alpha, number)
    return penalty


cdef inline void _catch_up_piece(real_t* _type, job* own, Py_ssize_t number) noexcept nogil:
    # The rows that the first batch needs, or all.
    cdef piece* part = &own.pieces[number]
    cdef const long long* starts = own.turned[0].starts
    cdef Py_ssize_t feature
    cdef double penalty = 0.0
    if part.index == 0 and own.indptr != NULL:
        for feature in range(part.start, part.stop):
            if own.phase == SETTLE or starts[feature] < starts[feature + 1]:
                penalty += _catch_up(_type, own, feature)
        own.penalties[number] += penalty


cdef inline double _do_sparse_piece(real_t* _type, job* own, const piece* part, real_t* found) noexcept nogil:
    # Features one at a time: those of this batch take its step, then those of the next one take all they have missed.
    cdef const layer* on = &own.net.layers[0]
    cdef const turned_batch* this = &own.turned[0]
    cdef const long long* later = own.turned[1].starts
    cdef const real_t* deltas = <const real_t*> own.deltas
    cdef Py_ssize_t n_out = on.n_out, feature, k, at
    cdef long long begin, n
    cdef double penalty = 0.0
    for feature in range(part.start, part.stop):
        begin, n, at = this.starts[feature], this.starts[feature + 1] - this.starts[feature], on.coef + feature * n_out
        if n:
            sparse_row(<const real_t*> this.data + begin, this.rows + begin, n, deltas, n_out, found)
            if own.solver == GRADIENT:
                for k in range(n_out):
                    (<real_t*> own.gradients)[at + k] += found[k]
            else:
                penalty += own.shares[own.n_steps - 1] * _step(
                    _type, own, <const real_t*> found, at, n_out, own.alpha, own.n_steps - 1)
                own.done[feature] = own.n_steps
        if own.solver != GRADIENT and own.n_next and later[feature] < later[feature + 1]:
            penalty += _catch_up(_type, own, feature)
    return penalty


cdef inline void _do_piece(real_t* _type, job* own, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    cdef piece* part = &own.pieces[number]
    cdef const layer* on = &own.net.layers[part.index]
    cdef Py_ssize_t n = (part.stop - part.start) * on.n_out, at = on.coef + part.start * on.n_out
    cdef const real_t* deltas = <const real_t*> own.deltas + table(own.net, part.index)
    cdef real_t* found = <real_t*> own.gradient_pieces + worker * own.piece_size
    cdef bint added = own.solver == GRADIENT
    if part.index == 0 and own.indptr != NULL:
        own.penalties[number] += _do_sparse_piece(_type, own, part, found)
        return
    multiply_into_gradient(
        _inputs(_type, own, part.index), deltas, own.n_rows, on.n_in, on.n_out, part.start, part.stop, added,
        <real_t*> own.gradients + at if added else found)
    if not added:
        own.penalties[number] += own.shares[own.n_steps - 1] * _step(
            _type, own, <const real_t*> found, at, n, own.alpha, own.n_steps - 1)


cdef inline void _do_intercepts(real_t* _type, job* own, Py_ssize_t worker) noexcept nogil:
    cdef Py_ssize_t index, k
    cdef real_t* found = <real_t*> own.gradient_pieces + worker * own.piece_size
    cdef const layer* on
    for index in range(own.net.n_layers):
        on = &own.net.layers[index]
        sum_rows(<const real_t*> own.deltas + table(own.net, index), own.n_rows, on.n_out, found)
        if own.solver == GRADIENT:
            for k in range(on.n_out):
                (<real_t*> own.gradients)[on.intercept + k] += found[k]
        else:
            _step(_type, own, <const real_t*> found, on.intercept, on.n_out, 0.0, own.n_steps - 1)


cdef inline void _do(real_t* _type, job* own, Py_ssize_t index, Py_ssize_t worker) noexcept nogil:
    if own.phase == TURN:
        _turn(_type, own, &own.turned[0], own.next_first, own.n_next)
    elif own.phase == CATCH_UP or own.phase == SETTLE:
        _catch_up_piece(_type, own, index)
    elif own.phase == ROWS:
        if index == own.n_blocks:
            _turn(_type, own, &own.turned[1], own.next_first, own.n_next)
        else:
            _do_rows(_type, own, index)
    elif index == own.intercepts_at:
        _do_intercepts(_type, own, worker)
    else:
        _do_piece(_type, own, index - (index > own.intercepts_at), worker)


cdef inline void do_task(void* context, Py_ssize_t index, Py_ssize_t worker) noexcept nogil:
    cdef job* own = <job*> context
    if own.is_double:
        _do[double](NULL, own, index, worker)
    else:
        _do[float](NULL, own, index, worker)
