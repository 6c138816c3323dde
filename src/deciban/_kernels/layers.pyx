"""Building blocks of neural networks: affine maps and activations, forward and backward, losses and optimisers.

A network is a stack of layers, layer l from n_in to n_out units:

    z = x W + b,   a = f(z);   delta_l = (delta_{l+1} W_{l+1}^T) * f'(z_l),   dW = x^T delta,   db = sum of delta's rows

How it is laid out
    * Parameters are one vector: every W, row by row (n_in, n_out), layer after layer, then every b. So an optimiser is
      one pass over a vector, L-BFGS gets it as it is, and `coefs_` are views.
    * What a batch makes is in tables (capacity, n_out), one after the other, in one buffer for each of: outputs a,
      deltas, and values before activation z, which only GELU needs (else no such buffer: NULL). :func:`table` finds a
      layer's. Buffers are made once; nothing is allocated in a batch.
    * Every function on a network takes rows [start, stop), which do not know of each other: any cut of a batch over
      threads that does not depend on the number of threads gives the same bits. A gradient is cut by the rows of W
      instead, each made of the whole batch, so it needs no reduction, and whoever makes a piece of it can take the
      optimiser's step on that piece while it is in cache.
    * The last layer's activation is fused with its loss: in training, give it IDENTITY, and let `loss` turn its values
      into deltas; where a loss is not wanted, activate with SOFTMAX, LOGISTIC or EXP.

Kernels cimport the functions that layers.pxd lists; `def` functions check shapes and are for tests and small work.

Cost: 2 n_in n_out flops a row for each of forward, dW and delta (none for the first layer), by products.pyx; the CSR
product is O(n_entries n_out). BLAS may use threads of its own: call from several threads only where it is held to one.
Edge cases: no rows are fine; what is not finite goes through, to the loss. An entropy's -log(p) counts up to a limit.
Source: I. Goodfellow, Y. Bengio, A. Courville, Deep Learning (2016), chapters 6.5 and 8; D. P. Kingma, J. Ba, Adam: a
method for stochastic optimization, ICLR 2015; I. Sutskever et al., On the importance of initialization and momentum in
deep learning, ICML 2013; D. Hendrycks, K. Gimpel, Gaussian error linear units (2016).
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free

from deciban._kernels.products cimport multiply, multiply_into_gradient, multiply_transposed

cdef extern from "layers.h":
    ctypedef struct layers_double_ops:
        void (*activate)(int, double*, const double*, Py_ssize_t, Py_ssize_t, double*) noexcept nogil
        void (*slope)(int, const double*, const double*, Py_ssize_t, double*) noexcept nogil
        double (*loss)(
            int, const double*, const double*, const double*, double, Py_ssize_t, Py_ssize_t, double*) noexcept nogil
        double (*softmax_loss)(
            const double*, const int*, const double*, double, Py_ssize_t, Py_ssize_t, double*) noexcept nogil
        double (*adam)(
            const double*, Py_ssize_t, double, double, double, double, double, double, double*, double*,
            double*) noexcept nogil
        double (*sgd)(
            const double*, Py_ssize_t, double, double, double, double, int, double*, double*) noexcept nogil
        void (*sparse_row)(
            const double*, const int*, Py_ssize_t, const double*, Py_ssize_t, double*) noexcept nogil
        void (*sum_rows)(const double*, Py_ssize_t, Py_ssize_t, double*) noexcept nogil
        int (*all_finite)(const double*, Py_ssize_t) noexcept nogil
        void (*drop)(const double*, Py_ssize_t, uint64_t, uint64_t, double, double*) noexcept nogil

    ctypedef struct layers_float_ops:
        void (*activate)(int, float*, const float*, Py_ssize_t, Py_ssize_t, float*) noexcept nogil
        void (*slope)(int, const float*, const float*, Py_ssize_t, float*) noexcept nogil
        double (*loss)(
            int, const float*, const float*, const float*, double, Py_ssize_t, Py_ssize_t, float*) noexcept nogil
        double (*softmax_loss)(
            const float*, const int*, const float*, double, Py_ssize_t, Py_ssize_t, float*) noexcept nogil
        double (*adam)(
            const float*, Py_ssize_t, double, double, double, double, double, double, float*, float*,
            float*) noexcept nogil
        double (*sgd)(
            const float*, Py_ssize_t, double, double, double, double, int, float*, float*) noexcept nogil
        void (*sparse_row)(const float*, const int*, Py_ssize_t, const float*, Py_ssize_t, float*) noexcept nogil
        void (*sum_rows)(const float*, Py_ssize_t, Py_ssize_t, float*) noexcept nogil
        int (*all_finite)(const float*, Py_ssize_t) noexcept nogil
        void (*drop)(const float*, Py_ssize_t, uint64_t, uint64_t, double, float*) noexcept nogil

    const layers_double_ops* layers_double_select() noexcept nogil
    const layers_float_ops* layers_float_select() noexcept nogil

cdef const layers_double_ops* d = layers_double_select()
cdef const layers_float_ops* f = layers_float_select()

cdef enum:
    LARGEST_INT = 2147483647  # a dimension for BLAS

# What Python calls them.
ACTIVATIONS = {
    "identity": IDENTITY, "logistic": LOGISTIC, "tanh": TANH, "relu": RELU, "leaky_relu": LEAKY_RELU,
    "softplus": SOFTPLUS, "gelu": GELU, "exp": EXP, "softmax": SOFTMAX, "log_softmax": LOG_SOFTMAX,
}
LOSSES = {
    "squared_error": SQUARED, "logistic_entropy": LOGISTIC_ENTROPY, "softmax_entropy": SOFTMAX_ENTROPY,
    "poisson": POISSON,
}


# --- the vector loops, by type ----------------------------------------------------------------------------------------

cdef void activate(
    int activation, real_t* z, const real_t* bias, Py_ssize_t n_rows, Py_ssize_t n_columns, real_t* out,
) noexcept nogil:
    if real_t is double:
        d.activate(activation, z, bias, n_rows, n_columns, out)
    else:
        f.activate(activation, z, bias, n_rows, n_columns, out)


cdef void slope(int activation, const real_t* z, const real_t* out, Py_ssize_t n, real_t* delta) noexcept nogil:
    if real_t is double:
        d.slope(activation, z, out, n, delta)
    else:
        f.slope(activation, z, out, n, delta)


cdef double loss(
    int kind, const real_t* z, const real_t* targets, const real_t* weights, double limit, Py_ssize_t n_rows,
    Py_ssize_t n_columns, real_t* delta,
) noexcept nogil:
    if real_t is double:
        return d.loss(kind, z, targets, weights, limit, n_rows, n_columns, delta)
    else:
        return f.loss(kind, z, targets, weights, limit, n_rows, n_columns, delta)


cdef double softmax_loss(
    const real_t* z, const int* codes, const real_t* weights, double limit, Py_ssize_t n_rows, Py_ssize_t n_columns,
    real_t* delta,
) noexcept nogil:
    if real_t is double:
        return d.softmax_loss(z, codes, weights, limit, n_rows, n_columns, delta)
    else:
        return f.softmax_loss(z, codes, weights, limit, n_rows, n_columns, delta)


cdef double adam(
    const real_t* gradient, Py_ssize_t n, double decay, double scale, double rate, double beta_1, double beta_2,
    double epsilon, real_t* parameters, real_t* first_moment, real_t* second_moment,
) noexcept nogil:
    if real_t is double:
        return d.adam(
            gradient, n, decay, scale, rate, beta_1, beta_2, epsilon, parameters, first_moment, second_moment)
    else:
        return f.adam(
            gradient, n, decay, scale, rate, beta_1, beta_2, epsilon, parameters, first_moment, second_moment)


cdef double sgd(
    const real_t* gradient, Py_ssize_t n, double decay, double scale, double rate, double momentum, bint nesterov,
    real_t* parameters, real_t* velocity,
) noexcept nogil:
    if real_t is double:
        return d.sgd(gradient, n, decay, scale, rate, momentum, nesterov, parameters, velocity)
    else:
        return f.sgd(gradient, n, decay, scale, rate, momentum, nesterov, parameters, velocity)


cdef void sparse_row(
    const real_t* x, const int* indices, Py_ssize_t n, const real_t* table, Py_ssize_t n_columns, real_t* out,
) noexcept nogil:
    if real_t is double:
        d.sparse_row(x, indices, n, table, n_columns, out)
    else:
        f.sparse_row(x, indices, n, table, n_columns, out)


cdef void sum_rows(const real_t* x, Py_ssize_t n_rows, Py_ssize_t n_columns, real_t* out) noexcept nogil:
    if real_t is double:
        d.sum_rows(x, n_rows, n_columns, out)
    else:
        f.sum_rows(x, n_rows, n_columns, out)


cdef bint all_finite(const real_t* x, Py_ssize_t n) noexcept nogil:
    if real_t is double:
        return d.all_finite(x, n)
    else:
        return f.all_finite(x, n)


cdef void drop(const real_t* x, Py_ssize_t n, uint64_t key, uint64_t first, double rate, real_t* out) noexcept nogil:
    if real_t is double:
        d.drop(x, n, key, first, rate, out)
    else:
        f.drop(x, n, key, first, rate, out)


# --- sparse rows ------------------------------------------------------------------------------------------------------

cdef void multiply_sparse(
    const real_t* data, const int* indices, const long long* indptr, const Py_ssize_t* rows, Py_ssize_t n_rows,
    const real_t* coef, Py_ssize_t n_out, real_t* out,
) noexcept nogil:
    """The same for rows[0], rows[1], ... of a CSR matrix."""
    cdef Py_ssize_t i, begin
    for i in range(n_rows):
        begin = indptr[rows[i]]
        sparse_row(data + begin, indices + begin, indptr[rows[i] + 1] - begin, coef, n_out, out + i * n_out)


# --- networks ---------------------------------------------------------------------------------------------------------

cdef void finish_layer(
    const network* net, Py_ssize_t index, const real_t* parameters, Py_ssize_t start, Py_ssize_t stop, real_t* before,
    real_t* outputs,
) noexcept nogil:
    """Add intercepts to rows of X W, which stand where :func:`forward_layer` puts them, and activate."""
    cdef const layer* own = &net.layers[index]
    cdef Py_ssize_t at = table(net, index) + start * own.n_out
    cdef real_t* z = before + at if own.activation == GELU else outputs + at
    activate(own.activation, z, parameters + own.intercept, stop - start, own.n_out, outputs + at)


cdef void forward_layer(
    const network* net, Py_ssize_t index, const real_t* parameters, const real_t* inputs, Py_ssize_t start,
    Py_ssize_t stop, real_t* before, real_t* outputs,
) noexcept nogil:
    """Rows of a layer's outputs from its table of inputs."""
    cdef const layer* own = &net.layers[index]
    cdef real_t* z = (before if own.activation == GELU else outputs) + table(net, index) + start * own.n_out
    multiply(inputs + start * own.n_in, stop - start, own.n_in, parameters + own.coef, own.n_out, z)
    finish_layer(net, index, parameters, start, stop, before, outputs)


cdef void forward(
    const network* net, const real_t* parameters, const real_t* X, Py_ssize_t start, Py_ssize_t stop, real_t* before,
    real_t* outputs,
) noexcept nogil:
    """Rows of all layers' outputs from X."""
    cdef Py_ssize_t index
    for index in range(net.n_layers):
        forward_layer(
            net, index, parameters, X if index == 0 else <const real_t*> outputs + table(net, index - 1), start, stop,
            before, outputs)


cdef void backward_layer(
    const network* net, Py_ssize_t index, const real_t* parameters, Py_ssize_t start, Py_ssize_t stop,
    const real_t* before, const real_t* outputs, real_t* deltas,
) noexcept nogil:
    """Rows of the deltas of layer index - 1, from those of layer `index`."""
    cdef const layer* own = &net.layers[index]
    cdef Py_ssize_t at = table(net, index - 1) + start * own.n_in, n = (stop - start) * own.n_in
    cdef const real_t* z = before + at if before != NULL else NULL
    multiply_transposed(
        <const real_t*> deltas + table(net, index) + start * own.n_out, stop - start, own.n_out,
        parameters + own.coef, own.n_in, deltas + at)
    slope(net.layers[index - 1].activation, z, outputs + at, n, deltas + at)


cdef void backward(
    const network* net, const real_t* parameters, Py_ssize_t start, Py_ssize_t stop, const real_t* before,
    const real_t* outputs, real_t* deltas, real_t* input_deltas,
) noexcept nogil:
    """Rows of all layers' deltas from the last layer's, and of the input's unless that is NULL.

    The last layer's deltas are gradients by its values before activation.
    """
    cdef Py_ssize_t index
    cdef const layer* first = &net.layers[0]
    for index in range(net.n_layers - 1, 0, -1):
        backward_layer(net, index, parameters, start, stop, before, outputs, deltas)
    if input_deltas != NULL:
        multiply_transposed(
            <const real_t*> deltas + start * first.n_out, stop - start, first.n_out, parameters + first.coef,
            first.n_in, input_deltas + start * first.n_in)


cdef void gradients(
    const network* net, const real_t* X, const real_t* outputs, const real_t* deltas, Py_ssize_t n_rows, bint is_added,
    real_t* out,
) noexcept nogil:
    """Gradients by all parameters, laid out as they are, or those added to `out`.

    `out` is of length Network.scratch: what is past the parameters is for sums.
    """
    cdef Py_ssize_t index, k
    cdef const layer* own
    cdef real_t* sums = out + net.n_parameters
    for index in range(net.n_layers):
        own = &net.layers[index]
        multiply_into_gradient(
            X if index == 0 else outputs + table(net, index - 1), deltas + table(net, index), n_rows, own.n_in,
            own.n_out, 0, own.n_in, is_added, out + own.coef)
        sum_rows(deltas + table(net, index), n_rows, own.n_out, sums)
        for k in range(own.n_out):
            out[own.intercept + k] = sums[k] + (out[own.intercept + k] if is_added else 0)


cdef class Network:
    """Sizes, activations and offsets of a stack of layers; kernels use its `net`.

    Parameters
    ----------
    sizes : sequence of int
        Units of the input and of every layer.
    activations : sequence of int
        One of ``ACTIVATIONS`` for each layer.
    capacity : int
        Rows of a batch, at most.
    """

    def __cinit__(self, sizes, activations, Py_ssize_t capacity):
        cdef Py_ssize_t index, n_coefs = 0, n_units = 0, n_in, n_out
        cdef int activation
        n_layers = len(activations)
        if n_layers < 1 or len(sizes) != n_layers + 1:
            raise ValueError(f"expected sizes of the input and of {n_layers} layers, got {len(sizes)}")
        if not 1 <= capacity <= LARGEST_INT or any(not 1 <= size <= LARGEST_INT for size in sizes):
            raise ValueError(f"sizes and capacity must be between 1 and {LARGEST_INT}, got {sizes} and {capacity}")
        self.net.layers = <layer*> calloc(n_layers, sizeof(layer))
        if self.net.layers == NULL:
            raise MemoryError
        for index in range(n_layers):
            n_in, n_out, activation = sizes[index], sizes[index + 1], activations[index]
            if not 0 <= activation < N_ACTIVATIONS or (activation >= SOFTMAX and index < n_layers - 1):
                raise ValueError(f"layer {index} cannot have activation {activation}")
            self.net.layers[index] = layer(n_in, n_out, n_coefs, 0, n_units, activation)
            n_coefs += n_in * n_out
            n_units += n_out
        for index in range(n_layers):
            self.net.layers[index].intercept = n_coefs + self.net.layers[index].unit
        self.net.n_layers = n_layers
        self.net.n_units = n_units
        self.net.n_parameters = n_coefs + n_units
        self.net.capacity = capacity

    def __dealloc__(self):
        free(self.net.layers)

    @property
    def n_layers(self):
        """Number of layers, the input not among them."""
        return self.net.n_layers

    @property
    def capacity(self):
        """Rows of a batch, at most."""
        return self.net.capacity

    @property
    def n_parameters(self):
        """Length of the vector of parameters."""
        return self.net.n_parameters

    @property
    def scratch(self):
        """Length of a buffer of gradients, which has room for sums past the parameters."""
        return self.net.n_parameters + self.net.n_units

    @property
    def n_values(self):
        """Length of a buffer of outputs, of deltas, or of values before activation."""
        return self.net.capacity * self.net.n_units

    @property
    def keeps_before(self):
        """Whether the values before activation are needed, as only GELU does."""
        return any(self.net.layers[index].activation == GELU for index in range(self.net.n_layers))

    cdef Py_ssize_t _index(self, Py_ssize_t index) except -1:
        found = index + self.net.n_layers if index < 0 else index
        if not 0 <= found < self.net.n_layers:
            raise IndexError(f"there is no layer {index}")
        return found

    def values(self, Py_ssize_t index, buffer, Py_ssize_t n_rows):
        """Return the first rows of a layer's table in a buffer, as a view."""
        index = self._index(index)
        n_out = self.net.layers[index].n_out
        at = table(&self.net, index)
        return buffer[at:at + n_rows * n_out].reshape(n_rows, n_out)

    def coef(self, Py_ssize_t index, parameters):
        """Return a layer's coefficients as a view, (n_in, n_out)."""
        own = self.net.layers[self._index(index)]
        return parameters[own.coef:own.coef + own.n_in * own.n_out].reshape(own.n_in, own.n_out)

    def intercept(self, Py_ssize_t index, parameters):
        """Return a layer's intercepts as a view."""
        own = self.net.layers[self._index(index)]
        return parameters[own.intercept:own.intercept + own.n_out]

    cdef _check(self, Py_ssize_t n_parameters, Py_ssize_t n_rows, Py_ssize_t n_features, buffers):
        if n_parameters != self.net.n_parameters:
            raise ValueError(f"expected {self.net.n_parameters} parameters, got {n_parameters}")
        if not 0 <= n_rows <= self.net.capacity or n_features != self.net.layers[0].n_in:
            raise ValueError(
                f"expected at most {self.net.capacity} rows of {self.net.layers[0].n_in} columns, got {n_rows} rows of "
                f"{n_features}")
        for length in buffers:
            if length < self.net.capacity * self.net.n_units:
                raise ValueError(f"a buffer must hold {self.net.capacity * self.net.n_units} values, got {length}")


# --- for Python -------------------------------------------------------------------------------------------------------

def apply_network(
    Network network, const real_t[::1] parameters, const real_t[:, ::1] X, real_t[::1] before, real_t[::1] outputs,
):
    """Fill `outputs` with what the layers make of X, and `before`, which may be empty unless there is GELU."""
    cdef bint kept = network.keeps_before
    network._check(
        parameters.shape[0], X.shape[0], X.shape[1], [outputs.shape[0]] + ([before.shape[0]] if kept else []))
    if X.shape[0]:
        with nogil:
            forward(
                &network.net, &parameters[0], &X[0, 0], 0, X.shape[0], &before[0] if kept else NULL, &outputs[0])


def propagate(
    Network network, const real_t[::1] parameters, const real_t[:, ::1] X, const real_t[::1] before,
    const real_t[::1] outputs, real_t[::1] deltas, real_t[:, ::1] input_deltas, bint is_added,
    real_t[::1] gradients_out,
):
    """From the last layer's deltas, fill all, those of the input (unless that has no rows), and the gradients.

    `gradients_out` is of length ``network.scratch``; the gradients are added to it, or replace what is there.
    """
    cdef bint kept = network.keeps_before, wanted = input_deltas.shape[0] > 0
    cdef Py_ssize_t n_rows = X.shape[0]
    network._check(
        parameters.shape[0], n_rows, X.shape[1],
        [outputs.shape[0], deltas.shape[0]] + ([before.shape[0]] if kept else []))
    if gradients_out.shape[0] < network.scratch:
        raise ValueError(f"the gradients must have room for {network.scratch} values, got {gradients_out.shape[0]}")
    if wanted and (input_deltas.shape[0] != n_rows or input_deltas.shape[1] != X.shape[1]):
        raise ValueError("the input's deltas must have the shape of X")
    if n_rows:
        with nogil:
            backward(
                &network.net, &parameters[0], 0, n_rows, &before[0] if kept else NULL, &outputs[0], &deltas[0],
                &input_deltas[0, 0] if wanted else NULL)
            gradients(
                &network.net, &X[0, 0], &outputs[0], <const real_t*> &deltas[0], n_rows, is_added, &gradients_out[0])


def apply_activation(int activation, real_t[:, ::1] z, const real_t[::1] bias, real_t[:, ::1] out):
    """z += bias (which may be empty), out = f(z)."""
    if not 0 <= activation < N_ACTIVATIONS:
        raise ValueError(f"there is no activation {activation}")
    if out.shape[0] != z.shape[0] or out.shape[1] != z.shape[1] or bias.shape[0] not in (0, z.shape[1]):
        raise ValueError("z, bias and output do not agree in shape")
    if z.shape[0] and z.shape[1]:
        with nogil:
            activate(activation, &z[0, 0], &bias[0] if bias.shape[0] else NULL, z.shape[0], z.shape[1], &out[0, 0])


def apply_slope(int activation, const real_t[::1] z, const real_t[::1] out, real_t[::1] delta):
    """delta *= f'(z) for out = f(z); z may be empty unless f is GELU."""
    if not 0 <= activation < N_ACTIVATIONS:
        raise ValueError(f"there is no activation {activation}")
    if out.shape[0] != delta.shape[0] or (z.shape[0] or activation == GELU) and z.shape[0] != delta.shape[0]:
        raise ValueError("z, output and delta do not agree in shape")
    if delta.shape[0]:
        with nogil:
            slope(activation, &z[0] if z.shape[0] else NULL, &out[0], delta.shape[0], &delta[0])


def evaluate_loss(
    int kind, const real_t[:, ::1] z, const real_t[:, ::1] targets, const real_t[::1] weights, double limit,
    real_t[:, ::1] delta,
):
    """Return the weighted sum of losses and fill `delta`, which may be z, with its gradient; weights may be empty."""
    if not 0 <= kind < N_LOSSES:
        raise ValueError(f"there is no loss {kind}")
    if (
        targets.shape[0] != z.shape[0] or targets.shape[1] != z.shape[1] or delta.shape[0] != z.shape[0]
        or delta.shape[1] != z.shape[1] or weights.shape[0] not in (0, z.shape[0])
    ):
        raise ValueError("z, targets, weights and delta do not agree in shape")
    if z.shape[0] == 0 or z.shape[1] == 0:
        return 0.0
    with nogil:
        total = loss(
            kind, &z[0, 0], &targets[0, 0], &weights[0] if weights.shape[0] else NULL, limit, z.shape[0], z.shape[1],
            &delta[0, 0])
    return total


def evaluate_softmax_loss(
    const real_t[:, ::1] z, const int[::1] codes, const real_t[::1] weights, double limit, real_t[:, ::1] delta,
):
    """The same for the cross-entropy with class codes[i]."""
    cdef Py_ssize_t row
    if (
        codes.shape[0] != z.shape[0] or delta.shape[0] != z.shape[0] or delta.shape[1] != z.shape[1]
        or weights.shape[0] not in (0, z.shape[0])
    ):
        raise ValueError("z, codes, weights and delta do not agree in shape")
    for row in range(codes.shape[0]):
        if not 0 <= codes[row] < z.shape[1]:
            raise ValueError("a code is of no class")
    if z.shape[0] == 0:
        return 0.0
    with nogil:
        total = softmax_loss(
            &z[0, 0], &codes[0], &weights[0] if weights.shape[0] else NULL, limit, z.shape[0], z.shape[1], &delta[0, 0])
    return total


def step_adam(
    const real_t[::1] gradient, double decay, double scale, double rate, double beta_1, double beta_2, double epsilon,
    real_t[::1] parameters, real_t[::1] first_moment, real_t[::1] second_moment,
):
    """Take a step with scale * (gradient + decay * parameters); return the sum of squares of the parameters before it.

    `rate` has the corrections of both moments in it: rate_0 sqrt(1 - beta_2^t) / (1 - beta_1^t).
    """
    cdef Py_ssize_t n = parameters.shape[0]
    if gradient.shape[0] != n or first_moment.shape[0] != n or second_moment.shape[0] != n:
        raise ValueError("gradient, parameters and moments do not agree in length")
    if n == 0:
        return 0.0
    with nogil:
        total = adam(
            &gradient[0], n, decay, scale, rate, beta_1, beta_2, epsilon, &parameters[0], &first_moment[0],
            &second_moment[0])
    return total


def step_sgd(
    const real_t[::1] gradient, double decay, double scale, double rate, double momentum, bint nesterov,
    real_t[::1] parameters, real_t[::1] velocity,
):
    """The same with velocity = momentum velocity - rate g, which is added to the parameters, or, with `nesterov`, what
    it would be after one more step."""
    cdef Py_ssize_t n = parameters.shape[0]
    if gradient.shape[0] != n or velocity.shape[0] != n:
        raise ValueError("gradient, parameters and velocity do not agree in length")
    if n == 0:
        return 0.0
    with nogil:
        total = sgd(&gradient[0], n, decay, scale, rate, momentum, nesterov, &parameters[0], &velocity[0])
    return total


def dropout(const real_t[::1] x, uint64_t key, uint64_t first, double rate, real_t[::1] out):
    """Fill `out` with x / (1 - rate), or 0 with probability `rate`; element i is number first + i of stream `key`."""
    if out.shape[0] != x.shape[0] or not 0 <= rate < 1:
        raise ValueError("x and output must agree in shape, and the rate lie in [0, 1)")
    if x.shape[0]:
        with nogil:
            drop(&x[0], x.shape[0], key, first, rate, &out[0])
