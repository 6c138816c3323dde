"""Epochs of training a network, and the loss and its gradient, outside the interpreter.

A batch of n rows, with weights w (or 1 each), W = sum w, takes two phases (team.h):

    1. by rows: gather samples and targets, forward, loss, deltas backward;
    2. by pieces of every coefficient table: gradient x^T delta of the whole batch, + alpha coef, / W, and the
       optimiser's step on the piece, while it is in cache. Another task does the intercepts.

    batch loss = (sum w loss) / W + alpha / 2 |coefs|^2 / W, before the step

Both are cut by sizes alone and every sum is made in the order of the cut, so the results are the same to the bit for
any number of threads. BLAS has to be held to one thread meanwhile (deciban._parallel.blas_on_one_thread).

Samples are dense, any strides, or CSR. With CSR the first layer is O(n_entries n_out): forward a row at a time; for
the gradient the batch is transposed by counting, O(n_entries + n_features), and features are summed one at a time. The
step stays dense: with alpha, or moments that are not zero, every parameter moves at every step, as in scikit-learn.

Cost a batch: 2 n n_in n_out flops a layer, three times (two for the first layer), and one pass over the parameters and
their moments: 16 or 24 bytes a parameter for float SGD and Adam, twice that for double. Where a quarter or more of a
layer's inputs are zero, as pixels are and what comes out of rectifiers and dropout, the products X W and X^T delta skip
those (nonzeros.pyx); blocks and pieces are looked at one by one. Memory: buffers for one batch, and a piece of gradient
a worker.

Edge cases: values that are not finite go through to the loss; W = 0 stops the epoch.
Source: D. P. Kingma, J. Ba, Adam (ICLR 2015); N. Srivastava et al., Dropout, Journal of Machine Learning Research 15
(2014), 1929-1958 (here in its inverted form: kept units are divided by the probability of keeping).
"""

from libc.math cimport pow, sqrt
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from deciban._kernels.layers cimport (
    GELU, N_LOSSES, RELU, SOFTMAX_ENTROPY, SQUARED, Network, adam, backward_layer, drop, finish_layer, forward_layer,
    layer, multiply_sparse, multiply_transposed, network, real_t, sgd, slope, softmax_loss, sparse_row, sum_rows, table,
)
from deciban._kernels.layers cimport gradient as multiply_into_gradient
from deciban._kernels.layers cimport loss as evaluate_loss
from deciban._kernels.nonzeros cimport WORD, are_few, is_worthwhile, mark, multiply_marked, n_words, turn
from deciban._kernels.prefetch cimport PREFETCH

import numpy as np

cdef extern from "team.h":
    enum:
        TEAM_TASKS
    ctypedef void (*team_task)(void* context, Py_ssize_t index, Py_ssize_t worker) noexcept nogil
    ctypedef struct team:
        pass
    void team_start(team* own, team_task task, void* context) noexcept nogil
    void team_phase(team* own, Py_ssize_t n_tasks) noexcept nogil
    void team_end(team* own) noexcept nogil
    void team_help(team* own, Py_ssize_t worker) noexcept nogil

cdef enum:
    BLOCK = 64        # rows of a block, at least
    MAX_BLOCKS = 16
    PIECE = 32768     # gradients of a piece of a dense layer: they stay in L2
    PIECE_ROWS = 128  # at least, where there are more pieces: the deltas are prepared anew for every piece
    SPARSE_PIECE = 8192
    ADAM = 0
    SGD = 1
    GRADIENT = 2      # no step: gradients are added up

SOLVERS = {"adam": ADAM, "sgd": SGD, "gradient": GRADIENT}

# Rows [start, stop) of a layer's coefficients.
cdef struct piece:
    Py_ssize_t index
    Py_ssize_t start
    Py_ssize_t stop

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
    double rate
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
    double scale
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
    uint64_t** marks    # of what is not zero in the inputs of each layer, or NULL
    uint64_t* turned    # for each worker, those of a piece's columns
    Py_ssize_t turned_size
    long long* columns
    int* column_rows
    char* column_data
    char* gradient_pieces
    Py_ssize_t piece_size
    piece* pieces
    double* squares
    double[MAX_BLOCKS] losses
    double[MAX_BLOCKS] weight_sums
    bint by_rows


cdef void _gather(real_t* _type, job* own, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
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


cdef const real_t* _inputs(real_t* _type, const job* own, Py_ssize_t index) noexcept nogil:
    # The table that a layer reads.
    if index == 0:
        return <const real_t*> own.inputs
    return <const real_t*> (own.dropped if own.dropped != NULL else own.outputs) + table(own.net, index - 1)


cdef void _drop_rows(
    real_t* _type, job* own, Py_ssize_t index, Py_ssize_t start, Py_ssize_t stop, const real_t* x, real_t* out,
) noexcept nogil:
    cdef Py_ssize_t n_out = own.net.layers[index].n_out, at = table(own.net, index) + start * n_out
    cdef uint64_t first = <uint64_t> own.t * own.net.capacity * own.net.n_units + at
    drop(x + at, (stop - start) * n_out, own.key, first, own.dropout, out + at)


cdef void _do_layer(real_t* _type, job* own, Py_ssize_t index, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    # Rows of a layer's outputs, without multiplying by zeros if there are many.
    cdef const layer* on = &own.net.layers[index]
    cdef const real_t* parameters = <const real_t*> own.parameters
    cdef const real_t* inputs = _inputs(_type, own, index)
    cdef real_t* before = <real_t*> own.before
    cdef real_t* outputs = <real_t*> own.outputs
    cdef uint64_t* marks
    if own.marks[index] != NULL:
        marks = own.marks[index] + start * n_words(on.n_in)
        if are_few(mark(inputs + start * on.n_in, stop - start, on.n_in, marks), (stop - start) * on.n_in):
            multiply_marked(
                inputs + start * on.n_in, on.n_in, 1, marks, stop - start, on.n_in, parameters + on.coef, on.n_out,
                (before if on.activation == GELU else outputs) + table(own.net, index) + start * on.n_out)
            finish_layer(own.net, index, parameters, start, stop, before, outputs)
            return
    forward_layer(own.net, index, parameters, inputs, start, stop, before, outputs)


cdef void _do_rows(real_t* _type, job* own, Py_ssize_t block) noexcept nogil:
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
            _do_layer(_type, own, index, start, stop)
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


cdef void _transpose(real_t* _type, job* own) noexcept nogil:
    # The batch by features: columns[f] is where the entries of feature f begin, in the order of rows.
    cdef Py_ssize_t row, at, n_features = own.net.layers[0].n_in, feature
    cdef long long j, k
    cdef real_t* data = <real_t*> own.column_data
    memset(own.columns, 0, (n_features + 2) * sizeof(long long))
    for row in range(own.n_rows):
        at = own.order[own.first + row] if own.order != NULL else own.first + row
        for j in range(own.indptr[at], own.indptr[at + 1]):
            own.columns[own.indices[j] + 2] += 1
    for feature in range(1, n_features + 1):
        own.columns[feature + 1] += own.columns[feature]
    for row in range(own.n_rows):
        at = own.order[own.first + row] if own.order != NULL else own.first + row
        for j in range(own.indptr[at], own.indptr[at + 1]):
            k = own.columns[own.indices[j] + 1]
            own.columns[own.indices[j] + 1] += 1
            own.column_rows[k] = <int> row
            data[k] = (<const real_t*> own.data)[j]


cdef double _step(
    real_t* _type, job* own, const real_t* gradient, Py_ssize_t at, Py_ssize_t n, double alpha,
) noexcept nogil:
    cdef real_t* parameters = <real_t*> own.parameters + at
    cdef real_t* first_moment = <real_t*> own.first_moment + at
    if own.solver == ADAM:
        return adam(
            gradient, n, alpha, own.scale, own.rate, own.beta_1, own.beta_2, own.epsilon, parameters, first_moment,
            <real_t*> own.second_moment + at)
    return sgd(gradient, n, alpha, own.scale, own.rate, own.momentum, own.nesterov, parameters, first_moment)


cdef bint _skip_zeros(real_t* _type, job* own, const piece* part, Py_ssize_t worker, real_t* out) noexcept nogil:
    # The gradient of a piece without multiplying by zeros, if there are many; returns whether there are.
    cdef const layer* on = &own.net.layers[part.index]
    cdef uint64_t* turned = own.turned + worker * own.turned_size
    cdef Py_ssize_t first = part.start // WORD, last = n_words(part.stop), n_marked
    if own.marks[part.index] == NULL:
        return False
    n_marked = turn(own.marks[part.index], own.n_rows, n_words(on.n_in), first, last, turned)
    if not are_few(n_marked, own.n_rows * (min(last * WORD, on.n_in) - first * WORD)):
        return False
    multiply_marked(
        _inputs(_type, own, part.index) + part.start, 1, on.n_in,
        turned + (part.start - first * WORD) * n_words(own.n_rows), part.stop - part.start, own.n_rows,
        <const real_t*> own.deltas + table(own.net, part.index), on.n_out, out)
    return True


cdef void _do_piece(real_t* _type, job* own, Py_ssize_t number, Py_ssize_t worker) noexcept nogil:
    cdef piece* part = &own.pieces[number]
    cdef const layer* on = &own.net.layers[part.index]
    cdef Py_ssize_t n_out = on.n_out, feature, k, n, at = on.coef + part.start * n_out
    cdef const real_t* deltas = <const real_t*> own.deltas + table(own.net, part.index)
    cdef real_t* found = <real_t*> own.gradient_pieces + worker * own.piece_size
    cdef bint added = own.solver == GRADIENT, sparse = part.index == 0 and own.indptr != NULL
    cdef long long begin
    cdef real_t* row
    if sparse:
        for feature in range(part.start, part.stop):
            begin = own.columns[feature]
            n = own.columns[feature + 1] - begin
            row = found if added else found + (feature - part.start) * n_out
            if n or not added:
                sparse_row(
                    <const real_t*> own.column_data + begin, own.column_rows + begin, n, deltas, n_out, row)
            if n and added:
                for k in range(n_out):
                    (<real_t*> own.gradients)[on.coef + feature * n_out + k] += row[k]
    elif _skip_zeros(_type, own, part, worker, found):
        if added:
            for k in range((part.stop - part.start) * n_out):
                (<real_t*> own.gradients)[at + k] += found[k]
    elif added:
        multiply_into_gradient(
            _inputs(_type, own, part.index), deltas, own.n_rows, on.n_in, n_out, part.start, part.stop, 1.0,
            <real_t*> own.gradients + at)
    else:
        multiply_into_gradient(
            _inputs(_type, own, part.index), deltas, own.n_rows, on.n_in, n_out, part.start, part.stop, 0.0, found)
    if not added:
        own.squares[number] = _step(
            _type, own, <const real_t*> found, at, (part.stop - part.start) * n_out, own.alpha)


cdef void _do_intercepts(real_t* _type, job* own, Py_ssize_t worker) noexcept nogil:
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
            _step(_type, own, <const real_t*> found, on.intercept, on.n_out, 0.0)


cdef void _do(real_t* _type, job* own, Py_ssize_t index, Py_ssize_t worker) noexcept nogil:
    if own.by_rows:
        if index == own.n_blocks:
            _transpose(_type, own)
        else:
            _do_rows(_type, own, index)
    elif index == own.intercepts_at:
        _do_intercepts(_type, own, worker)
    else:
        _do_piece(_type, own, index - (index > own.intercepts_at), worker)


cdef void _do_task(void* context, Py_ssize_t index, Py_ssize_t worker) noexcept nogil:
    cdef job* own = <job*> context
    if own.is_double:
        _do[double](NULL, own, index, worker)
    else:
        _do[float](NULL, own, index, worker)


cdef class Trainer:
    """A network, its samples and its solver, with the buffers of a batch.

    Parameters
    ----------
    layers : Network
        Its last layer has no activation; its capacity is the size of a batch.
    X : ndarray of shape (n_samples, n_features), or (data, indices, indptr) of a checked CSR matrix
        Of the parameters' dtype; indices int32, indptr int64.
    targets : ndarray of int32 of shape (n_samples,), or of shape (n_samples, n_outputs)
        Classes, or of the parameters' dtype.
    weights : ndarray of shape (n_samples,) or None
        Of the parameters' dtype.
    loss, limit : int, float
        One of ``LOSSES``, and what a -log(p) counts at most.
    alpha, dropout, key : float, float, int
        Strength of the L2 penalty, the probability of leaving out a hidden unit, and the stream that decides which.
    parameters : ndarray of shape (n_parameters,)
        Changed in place, as are those of the solver.
    n_workers : int
        Threads that may take part.
    """

    cdef job own
    cdef team workers
    cdef list kept
    cdef Network network
    cdef readonly Py_ssize_t n_samples
    cdef readonly Py_ssize_t n_workers
    cdef readonly double loss
    cdef readonly bint without_weight

    def __cinit__(
        self, Network layers, X, targets, weights, int loss, double limit, double alpha, double dropout, uint64_t key,
        parameters, Py_ssize_t n_workers,
    ):
        cdef job* own = &self.own
        dtype = parameters.dtype
        self.network, self.kept, self.n_workers = layers, [layers], n_workers
        own.net, own.is_double = &layers.net, dtype == np.float64
        if dtype not in (np.dtype(np.float64), np.dtype(np.float32)):
            raise ValueError(f"parameters must be float64 or float32, got {dtype}")
        if not 0 <= loss < N_LOSSES or not 0 <= dropout < 1 or n_workers < 1:
            raise ValueError("no such loss, or a dropout outside of [0, 1), or no worker")
        n_in, n_out = layers.net.layers[0].n_in, layers.net.layers[layers.net.n_layers - 1].n_out
        own.parameters = self._keep(parameters, dtype, layers.n_parameters)
        if isinstance(X, tuple):
            data, indices, indptr = X
            self.n_samples = len(indptr) - 1
            own.data = self._keep(data, dtype, len(data))
            own.indices = <const int*> self._keep(indices, np.dtype(np.int32), len(data))
            own.indptr = <const long long*> self._keep(indptr, np.dtype(np.int64), self.n_samples + 1)
        else:
            if X.dtype != dtype or X.ndim != 2 or X.shape[1] != n_in:
                raise ValueError(f"X must be of {dtype} with {n_in} columns, got {X.dtype} of shape {X.shape}")
            self.n_samples = len(X)
            own.row_stride, own.column_stride = X.strides
            own.X = <const char*> <size_t> X.ctypes.data
            self.kept.append(X)
        if loss == SOFTMAX_ENTROPY and targets.dtype == np.int32:
            own.codes = <const int*> self._keep(targets, np.dtype(np.int32), self.n_samples)
            if len(targets) and not 0 <= targets.min() <= targets.max() < n_out:
                raise ValueError("a code is of no class")
        else:
            own.targets = self._keep(targets, dtype, self.n_samples * n_out)
        if weights is not None:
            own.weights = self._keep(weights, dtype, self.n_samples)
        own.loss, own.limit, own.alpha, own.dropout, own.key = loss, limit, alpha, dropout, key
        own.solver = -1

        n_rows = layers.net.capacity
        if own.X != NULL:
            own.batch = self._make(n_rows * n_in, dtype)
        else:
            n_entries = self._most_entries(X[2], n_rows)
            own.columns = <long long*> self._make(n_in + 2, np.int64)
            own.column_rows = <int*> self._make(n_entries, np.int32)
            own.column_data = self._make(n_entries, dtype)
        own.rows = <Py_ssize_t*> self._make(n_rows, np.intp)
        if own.codes != NULL:
            own.batch_codes = <int*> self._make(n_rows, np.int32)
        else:
            own.batch_targets = self._make(n_rows * n_out, dtype)
        if own.weights != NULL:
            own.batch_weights = self._make(n_rows, dtype)
        own.outputs, own.deltas = self._make(layers.n_values, dtype), self._make(layers.n_values, dtype)
        if layers.keeps_before:
            own.before = self._make(layers.n_values, dtype)
        if dropout > 0:
            own.dropped = self._make(layers.n_values, dtype)
        self._mark_layers()
        self._cut()
        own.gradient_pieces = self._make(n_workers * own.piece_size, dtype)
        own.turned = <uint64_t*> self._make(n_workers * own.turned_size, np.uint64)

    def __dealloc__(self):
        free(self.own.pieces)
        free(self.own.squares)
        free(self.own.marks)

    cdef char* _keep(self, array, dtype, n) except NULL:
        # The address of an array that lives as long as this.
        if not isinstance(array, np.ndarray) or array.dtype != dtype or array.size != n or not array.flags.c_contiguous:
            raise ValueError(f"expected a contiguous array of {n} values of {dtype}")
        self.kept.append(array)
        return <char*> <size_t> array.ctypes.data

    cdef char* _make(self, n, dtype) except NULL:
        array = np.empty(max(n, 1) + 64 // np.dtype(dtype).itemsize, dtype)
        self.kept.append(array)
        cdef size_t address = array.ctypes.data
        return <char*> ((address + 63) // 64 * 64)  # on a cache line

    def _most_entries(self, indptr, n_rows):
        # of any batch of n_rows rows, in whatever order
        lengths = np.diff(indptr)
        if len(lengths) > n_rows:
            lengths = np.partition(lengths, len(lengths) - n_rows)[-n_rows:]
        return int(lengths.sum())

    cdef _mark_layers(self):
        # Zeros may be many among samples, and after rectifiers and dropout.
        cdef job* own = &self.own
        cdef Py_ssize_t index
        cdef const layer* on
        own.marks = <uint64_t**> calloc(own.net.n_layers, sizeof(uint64_t*))
        if own.marks == NULL:
            raise MemoryError
        for index in range(own.net.n_layers):
            on = &own.net.layers[index]
            if index == 0:
                zeros = own.indptr == NULL
            else:
                zeros = own.net.layers[index - 1].activation == RELU or own.dropped != NULL
            long_enough = is_worthwhile[double](NULL, on.n_out) if own.is_double else is_worthwhile[float](
                NULL, on.n_out)
            if zeros and long_enough:
                own.marks[index] = <uint64_t*> self._make(own.net.capacity * n_words(on.n_in), np.uint64)

    cdef _cut(self):
        cdef job* own = &self.own
        cdef const layer* on
        cdef Py_ssize_t index, part, n, size, longest = 1, at = 0
        cuts = []
        for index in range(own.net.n_layers):
            on = &own.net.layers[index]
            if index == 0 and own.indptr != NULL:
                size = max(1, SPARSE_PIECE // on.n_out, on.n_in // (TEAM_TASKS // 2))
            else:
                size = max(PIECE_ROWS, PIECE // on.n_out)
            n = (on.n_in + size - 1) // size
            if n > 1:
                n = (n + 3) // 4 * 4  # two or four threads share them evenly
            cuts.append(n)
            size = (on.n_in + n - 1) // n
            longest = max(longest, size * on.n_out, on.n_out)
            if own.marks[index] != NULL:
                own.turned_size = max(own.turned_size, (n_words(size) + 1) * WORD * n_words(own.net.capacity))
        own.n_pieces, own.piece_size = sum(cuts), longest
        if own.n_pieces + 1 >= TEAM_TASKS:
            raise ValueError("the network has too many layers")
        own.pieces = <piece*> calloc(own.n_pieces, sizeof(piece))
        own.squares = <double*> calloc(own.n_pieces, sizeof(double))
        if own.pieces == NULL or own.squares == NULL:
            raise MemoryError
        # Workers begin at both ends, with the largest layers: the smallest are what is left for who is first.
        head, tail = [], []
        for index in sorted(range(own.net.n_layers), key=lambda i: -own.net.layers[i].n_in * own.net.layers[i].n_out):
            n, n_in = cuts[index], own.net.layers[index].n_in
            parts = [(index, part * n_in // n, (part + 1) * n_in // n) for part in range(n)]
            head += parts[:(n + 1) // 2]
            tail = parts[(n + 1) // 2:] + tail
        for at, (index, start, stop) in enumerate(head + tail):
            own.pieces[at] = piece(index, start, stop)
        own.intercepts_at = len(head)

    def use_adam(
        self, first_moment, second_moment, long long t, double learning_rate, double beta_1, double beta_2,
        double epsilon,
    ):
        """Take Adam's steps, from step t + 1 on."""
        cdef job* own = &self.own
        dtype = self.kept[1].dtype
        own.first_moment = self._keep(first_moment, dtype, self.network.n_parameters)
        own.second_moment = self._keep(second_moment, dtype, self.network.n_parameters)
        own.t, own.learning_rate, own.beta_1, own.beta_2, own.epsilon = t, learning_rate, beta_1, beta_2, epsilon
        own.solver = ADAM

    def use_sgd(self, velocity, double learning_rate, double momentum, bint nesterov):
        """Take steps of gradient descent."""
        cdef job* own = &self.own
        own.first_moment = self._keep(velocity, self.kept[1].dtype, self.network.n_parameters)
        own.rate, own.momentum, own.nesterov = learning_rate, momentum, nesterov
        own.solver = SGD

    def use_none(self, gradients):
        """Add gradients up, without penalty and not yet divided by the weights, and take no steps."""
        self.own.gradients = self._keep(gradients, self.kept[1].dtype, self.network.n_parameters)
        self.own.solver = GRADIENT

    @property
    def t(self):
        """Steps of Adam so far."""
        return self.own.t

    def set_learning_rate(self, double learning_rate):
        """Change the learning rate of gradient descent."""
        self.own.rate = learning_rate

    def begin(self):
        """Get ready for another epoch."""
        self.loss, self.without_weight = 0.0, False

    def open(self):
        """Get ready for one leader and helpers."""
        team_start(&self.workers, _do_task, &self.own)

    def lead(self, order, Py_ssize_t first_batch, Py_ssize_t last_batch):
        """Do batches [first_batch, last_batch), of samples order[0], order[1], ..., or of all in their own order.

        Adds to `loss` the sum over batches of their loss times their rows (GRADIENT: the sum of weighted losses).
        Stops, and sets `without_weight`, at a batch whose weights sum to zero.
        """
        cdef job* own = &self.own
        cdef Py_ssize_t number, block, size = own.net.capacity
        cdef double total = self.loss, weight, batch_loss, squares
        cdef Py_ssize_t n_outputs = own.net.layers[own.net.n_layers - 1].n_out
        cdef Py_ssize_t n_rows = self.n_samples
        cdef bint stopped = False
        cdef const Py_ssize_t[::1] rows
        if own.solver < 0:
            raise ValueError("there is no solver")
        own.order = NULL
        if order is not None:
            rows = order
            n_rows = rows.shape[0]
            for number in range(n_rows):
                if not 0 <= rows[number] < self.n_samples:
                    raise ValueError("the order has a sample that there is not")
            if n_rows:
                own.order = &rows[0]
        if not 0 <= first_batch <= last_batch <= (n_rows + size - 1) // size:
            raise ValueError("there are no such batches")
        try:
            with nogil:
                for number in range(first_batch, last_batch):
                    own.first = number * size
                    own.n_rows = min(size, n_rows - own.first)
                    own.n_blocks = 1
                    while own.n_blocks < MAX_BLOCKS and own.n_rows >= 2 * BLOCK * own.n_blocks:
                        own.n_blocks *= 2
                    own.inputs = own.batch
                    own.by_rows = True
                    team_phase(&self.workers, own.n_blocks + (own.indptr != NULL))
                    weight, batch_loss = 0.0, 0.0
                    for block in range(own.n_blocks):
                        weight += own.weight_sums[block]
                        batch_loss += own.losses[block]
                    if own.solver != GRADIENT and weight == 0:
                        stopped = True
                        break
                    own.scale = 1.0 / weight
                    if own.loss == SQUARED:
                        batch_loss /= n_outputs
                    own.t += 1
                    if own.solver == ADAM:
                        own.rate = own.learning_rate * sqrt(1.0 - pow(own.beta_2, own.t)) / (
                            1.0 - pow(own.beta_1, own.t))
                    own.by_rows = False
                    team_phase(&self.workers, own.n_pieces + 1)
                    if own.solver == GRADIENT:
                        total += batch_loss
                        continue
                    squares = 0.0
                    for block in range(own.n_pieces):
                        squares += own.squares[block]
                    total += (batch_loss + 0.5 * own.alpha * squares) * own.scale * own.n_rows
        finally:
            team_end(&self.workers)
        self.loss, self.without_weight = total, stopped

    def help(self, Py_ssize_t worker):
        """Help the leader, as worker 1, 2, ..., until it has done its batches."""
        if not 1 <= worker < self.n_workers:
            raise ValueError(f"there is no worker {worker}")
        with nogil:
            team_help(&self.workers, worker)
