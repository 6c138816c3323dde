"""Epochs of training a network, and the loss and its gradient, outside the interpreter.

A batch of n rows, with weights w (or 1 each), W = sum w, takes two phases (team.h):

    1. by rows: gather samples and targets, forward, loss, deltas backward;
    2. by pieces of every coefficient table: gradient x^T delta of the whole batch, + alpha coef, / W, and the
       optimiser's step on the piece, while it is in cache. Another task does the intercepts.

    batch loss = (sum w loss) / W + alpha / 2 |coefs|^2 / W, before the step

batch.pxd has what the phases do.

Both are cut by sizes alone and every sum is made in the order of the cut, so the results are the same to the bit for
any number of threads. BLAS has to be held to one thread meanwhile (deciban._parallel.blas_on_one_thread).

Samples are dense, any strides, or CSR. With CSR the first layer is O(n_entries n_out): forward a row at a time; for
the gradient the batch is turned by counting, O(n_entries + n_features), and features are summed one at a time. With
alpha, or moments that are not zero, every parameter moves at every step, also where a feature has no entries. Such a
row of the table is put off until a batch needs it, or the epoch ends; then it takes all the steps it has missed, one
after the other, while it is in cache. That is the same arithmetic, to the bit, and reads and writes the parameters
and moments of a feature once for each batch that has it, not once a batch. Where nothing would move (no penalty, and
moments zero), nothing is done, and without penalty and momentum one step, which ends the velocity, stands for all.

Cost a batch: 2 n n_in n_out flops a layer, three times (two for the first layer), and one pass over the parameters and
their moments: 16 or 24 bytes a parameter for float SGD and Adam, twice that for double. Where a third or more of a
layer's inputs are zero, the products X W and X^T delta skip those (products.pyx). Memory: buffers for one batch, and a
piece of gradient a worker.

Edge cases: values that are not finite go through to the loss; W = 0 stops the epoch.
Source: D. P. Kingma, J. Ba, Adam (ICLR 2015); N. Srivastava et al., Dropout, Journal of Machine Learning Research 15
(2014), 1929-1958 (here in its inverted form: kept units are divided by the probability of keeping).
"""

from libc.math cimport pow, sqrt
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from deciban._kernels.batch cimport (
    ADAM, BLOCK, CATCH_UP, GRADIENT, MAX_BLOCKS, PIECE, PIECE_ROWS, ROWS, SETTLE, SGD, SPARSE_PIECE, STEPS, TURN,
    do_task, job, piece,
)
from deciban._kernels.layers cimport N_LOSSES, SOFTMAX_ENTROPY, SQUARED, Network, layer
from deciban._kernels.team cimport TEAM_TASKS, team, team_end, team_help, team_phase, team_start

import numpy as np

SOLVERS = {"adam": ADAM, "sgd": SGD, "gradient": GRADIENT}


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
    cdef Py_ssize_t most_steps
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
            for which in range(2):
                own.turned[which].starts = <long long*> self._make(n_in + 2, np.int64)
                own.turned[which].rows = <int*> self._make(n_entries, np.int32)
                own.turned[which].data = self._make(n_entries, dtype)
            own.done = <int*> self._make(n_in, np.int32)
            own.nothing = self._make(layers.net.layers[0].n_out, dtype)
            memset(own.nothing, 0, layers.net.layers[0].n_out * dtype.itemsize)
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
        self._cut()
        own.gradient_pieces = self._make(n_workers * own.piece_size, dtype)
        self.most_steps = (self.n_samples + n_rows - 1) // n_rows
        own.rates = <double*> self._make(self.most_steps, np.float64)
        own.scales = <double*> self._make(self.most_steps, np.float64)
        own.shares = <double*> self._make(self.most_steps, np.float64)
        own.penalties = <double*> self._make(own.n_pieces, np.float64)
        self.begin()

    def __dealloc__(self):
        free(self.own.pieces)

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
        own.n_pieces, own.piece_size = sum(cuts), longest
        if own.n_pieces + 1 >= TEAM_TASKS:
            raise ValueError("the network has too many layers")
        own.pieces = <piece*> calloc(own.n_pieces, sizeof(piece))
        if own.pieces == NULL:
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
        own.learning_rate, own.momentum, own.nesterov = learning_rate, momentum, nesterov
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
        self.own.learning_rate = learning_rate

    @property
    def multiplications(self):
        """About how many a batch takes; a parameter's step takes the time of ten."""
        cdef const layer* first = &self.own.net.layers[0]
        n_rows, n_first = self.network.capacity, first.n_in * first.n_out
        dense = 3 * n_rows * (self.network.n_parameters - n_first)
        if self.own.indptr == NULL:
            return dense + 3 * n_rows * n_first
        n_entries = self.own.indptr[self.n_samples] * n_rows // max(self.n_samples, 1)
        return dense + 2 * n_entries * first.n_out + 10 * n_first

    def begin(self):
        """Get ready for another epoch."""
        self.loss, self.without_weight = 0.0, False
        self.own.n_steps = 0
        memset(self.own.penalties, 0, self.own.n_pieces * sizeof(double))
        if self.own.indptr != NULL:
            memset(self.own.done, 0, self.own.net.layers[0].n_in * sizeof(int))

    def open(self):
        """Get ready for one leader and helpers."""
        team_start(&self.workers, do_task, &self.own)

    cdef Py_ssize_t _batch(
        self, Py_ssize_t number, Py_ssize_t last, Py_ssize_t n_rows, Py_ssize_t* first,
    ) noexcept nogil:
        # Where a batch before the last begins, and how many rows it has; none from the last on.
        first[0] = number * self.own.net.capacity
        return min(self.own.net.capacity, n_rows - first[0]) if number < last else 0

    cdef bint _run_batch(self, Py_ssize_t number, Py_ssize_t last, Py_ssize_t n_rows, double* total) noexcept nogil:
        # Returns whether the batch weighs anything.
        cdef job* own = &self.own
        cdef Py_ssize_t block
        cdef double weight = 0.0, batch_loss = 0.0
        own.n_rows = self._batch(number, last, n_rows, &own.first)
        own.n_next = self._batch(number + 1, last, n_rows, &own.next_first)
        own.n_blocks = 1
        while own.n_blocks < MAX_BLOCKS and own.n_rows >= 2 * BLOCK * own.n_blocks:
            own.n_blocks *= 2
        own.inputs = own.batch
        own.phase = ROWS
        team_phase(&self.workers, own.n_blocks + (own.indptr != NULL and own.n_next > 0))
        for block in range(own.n_blocks):
            weight += own.weight_sums[block]
            batch_loss += own.losses[block]
        if own.solver != GRADIENT and weight == 0:
            return False
        if own.loss == SQUARED:
            batch_loss /= own.net.layers[own.net.n_layers - 1].n_out
        own.t += 1
        if own.solver == GRADIENT:
            total[0] += batch_loss
        else:
            own.scales[own.n_steps] = 1.0 / weight
            own.shares[own.n_steps] = 0.5 * own.alpha / weight * own.n_rows
            own.rates[own.n_steps] = own.learning_rate
            if own.solver == ADAM:
                own.rates[own.n_steps] *= sqrt(1.0 - pow(own.beta_2, own.t)) / (1.0 - pow(own.beta_1, own.t))
            own.n_steps += 1
            total[0] += batch_loss / weight * own.n_rows
        own.phase = STEPS
        team_phase(&self.workers, own.n_pieces + 1)
        own.turned[0], own.turned[1] = own.turned[1], own.turned[0]
        return True

    def lead(self, order, Py_ssize_t first_batch, Py_ssize_t last_batch):
        """Do batches [first_batch, last_batch), of samples order[0], order[1], ..., or of all in their own order.

        Adds to `loss` the sum over batches of their loss times their rows (GRADIENT: the sum of weighted losses), but
        for what :meth:`settle` adds. Stops, and sets `without_weight`, at a batch whose weights sum to zero.
        """
        cdef job* own = &self.own
        cdef Py_ssize_t number, n_rows = self.n_samples, size = own.net.capacity
        cdef double total = self.loss
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
        if n_rows > self.n_samples or own.n_steps + last_batch - first_batch > self.most_steps:
            raise ValueError("an epoch has no more batches than the samples make")
        try:
            with nogil:
                if own.indptr != NULL and first_batch < last_batch:
                    own.n_next = self._batch(first_batch, last_batch, n_rows, &own.next_first)
                    own.phase = TURN
                    team_phase(&self.workers, 1)
                    own.phase = CATCH_UP
                    team_phase(&self.workers, own.n_pieces)
                for number in range(first_batch, last_batch):
                    if not self._run_batch(number, last_batch, n_rows, &total):
                        stopped = True
                        break
                if last_batch * size >= n_rows:
                    own.phase = SETTLE
                    team_phase(&self.workers, own.n_pieces)
        finally:
            team_end(&self.workers)
        self.loss, self.without_weight = total, stopped

    def settle(self):
        """Take the steps that rows of a sparse first layer's table have put off; add the epoch's penalties to `loss`.

        What is left is done on this thread: all of it where an epoch was broken off.
        """
        cdef Py_ssize_t number
        self.own.phase = SETTLE
        for number in range(self.own.n_pieces):
            with nogil:
                do_task(&self.own, number, 0)
            self.loss += self.own.penalties[number]
            self.own.penalties[number] = 0.0

    def help(self, Py_ssize_t worker):
        """Help the leader, as worker 1, 2, ..., until it has done its batches."""
        if not 1 <= worker < self.n_workers:
            raise ValueError(f"there is no worker {worker}")
        with nogil:
            team_help(&self.workers, worker)
