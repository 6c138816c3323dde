# The building blocks of networks; layers.pyx says what they are.
from libc.stdint cimport uint64_t

from deciban._kernels.types cimport real_t

cdef extern from "layers.h":
    enum:
        IDENTITY
        LOGISTIC
        TANH
        RELU
        LEAKY_RELU
        SOFTPLUS
        GELU
        EXP
        SOFTMAX
        LOG_SOFTMAX
        N_ACTIVATIONS
        SQUARED
        LOGISTIC_ENTROPY
        SOFTMAX_ENTROPY
        POISSON
        N_LOSSES

# Offsets of a layer's coefficients (n_in, n_out) and intercepts (n_out) in the parameters; `unit` counts the outputs of
# the layers before it.
cdef struct layer:
    Py_ssize_t n_in
    Py_ssize_t n_out
    Py_ssize_t coef
    Py_ssize_t intercept
    Py_ssize_t unit
    int activation

cdef struct network:
    Py_ssize_t n_layers
    Py_ssize_t n_parameters
    Py_ssize_t n_units
    Py_ssize_t capacity
    layer* layers

cdef class Network:
    cdef network net
    cdef Py_ssize_t _index(self, Py_ssize_t index) except -1
    cdef _check(self, Py_ssize_t n_parameters, Py_ssize_t n_rows, Py_ssize_t n_features, buffers)

cdef inline Py_ssize_t table(const network* net, Py_ssize_t index) noexcept nogil:
    # Where the outputs (or deltas, or values before activation) of a layer begin in their buffer.
    return net.capacity * net.layers[index].unit

# --- sparse rows
cdef void multiply_sparse(
    const real_t* data, const int* indices, const long long* indptr, const Py_ssize_t* rows, Py_ssize_t n_rows,
    const real_t* coef, Py_ssize_t n_out, real_t* out,
) noexcept nogil
cdef void sum_rows(const real_t* x, Py_ssize_t n_rows, Py_ssize_t n_columns, real_t* out) noexcept nogil

# --- networks, rows [start, stop) of a batch
cdef void finish_layer(
    const network* net, Py_ssize_t index, const real_t* parameters, Py_ssize_t start, Py_ssize_t stop, real_t* before,
    real_t* outputs,
) noexcept nogil
cdef void forward(
    const network* net, const real_t* parameters, const real_t* X, Py_ssize_t start, Py_ssize_t stop, real_t* before,
    real_t* outputs,
) noexcept nogil
cdef void forward_layer(
    const network* net, Py_ssize_t index, const real_t* parameters, const real_t* inputs, Py_ssize_t start,
    Py_ssize_t stop, real_t* before, real_t* outputs,
) noexcept nogil
cdef void backward(
    const network* net, const real_t* parameters, Py_ssize_t start, Py_ssize_t stop, const real_t* before,
    const real_t* outputs, real_t* deltas, real_t* input_deltas,
) noexcept nogil
cdef void backward_layer(
    const network* net, Py_ssize_t index, const real_t* parameters, Py_ssize_t start, Py_ssize_t stop,
    const real_t* before, const real_t* outputs, real_t* deltas,
) noexcept nogil
cdef void gradients(
    const network* net, const real_t* X, const real_t* outputs, const real_t* deltas, Py_ssize_t n_rows, bint is_added,
    real_t* out,
) noexcept nogil

# --- vector loops (layers.h)
cdef void activate(
    int activation, real_t* z, const real_t* bias, Py_ssize_t n_rows, Py_ssize_t n_columns, real_t* out,
) noexcept nogil
cdef void slope(int activation, const real_t* z, const real_t* out, Py_ssize_t n, real_t* delta) noexcept nogil
cdef double loss(
    int kind, const real_t* z, const real_t* targets, const real_t* weights, double limit, Py_ssize_t n_rows,
    Py_ssize_t n_columns, real_t* delta,
) noexcept nogil
cdef double softmax_loss(
    const real_t* z, const int* codes, const real_t* weights, double limit, Py_ssize_t n_rows, Py_ssize_t n_columns,
    real_t* delta,
) noexcept nogil
cdef double adam(
    const real_t* gradient, Py_ssize_t n, double decay, double scale, double rate, double beta_1, double beta_2,
    double epsilon, real_t* parameters, real_t* first_moment, real_t* second_moment,
) noexcept nogil
cdef double sgd(
    const real_t* gradient, Py_ssize_t n, double decay, double scale, double rate, double momentum, bint nesterov,
    real_t* parameters, real_t* velocity,
) noexcept nogil
cdef void sparse_row(
    const real_t* x, const int* indices, Py_ssize_t n, const real_t* table, Py_ssize_t n_columns, real_t* out,
) noexcept nogil
cdef bint all_finite(const real_t* x, Py_ssize_t n) noexcept nogil
cdef void drop(
    const real_t* x, Py_ssize_t n, uint64_t key, uint64_t first, double rate, real_t* out,
) noexcept nogil
