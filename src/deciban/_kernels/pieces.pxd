# A step of Adam on pieces of a network's parameters: each piece's gradient is made of the whole batch and used at once,
# while it is in cache. Pieces do not depend on each other, nor on how many threads there are.
from libc.math cimport sqrt

from deciban._kernels.layers cimport adam, network, sum_rows, table
from deciban._kernels.products cimport multiply_into_gradient
from deciban._kernels.types cimport real_t

cdef enum Kind:
    COEFFICIENTS  # rows [start, stop) of a layer's W
    INTERCEPTS    # of a layer
    GIVEN         # coefficients whose gradient stands in the buffer already

cdef struct piece:
    Py_ssize_t layer
    Py_ssize_t start
    Py_ssize_t stop
    Py_ssize_t kind

cdef struct optimiser:
    double rate     # with the corrections of both moments in it
    double beta_1
    double beta_2
    double epsilon


cdef inline void correct(optimiser* by, double rate, double epsilon, Py_ssize_t step) noexcept nogil:
    # The corrections of both moments at a step, taken into the rate and epsilon.
    by.rate = rate * sqrt(1.0 - by.beta_2 ** step) / (1.0 - by.beta_1 ** step)
    by.epsilon = epsilon * sqrt(1.0 - by.beta_2 ** step)


cdef inline Py_ssize_t offset_of(const network* net, const piece* own, Py_ssize_t* size) noexcept nogil:
    # Where a piece's parameters begin, and how many they are.
    cdef Py_ssize_t n_out = net.layers[own.layer].n_out
    size[0] = n_out if own.kind == INTERCEPTS else (own.stop - own.start) * n_out
    if own.kind == INTERCEPTS:
        return net.layers[own.layer].intercept
    return net.layers[own.layer].coef + own.start * n_out


cdef inline void gradient_of(
    const network* net, const piece* own, const real_t* X, const real_t* outputs, const real_t* deltas,
    Py_ssize_t n_rows, real_t* gradient_out,
) noexcept nogil:
    # Sums over the rows of the batch, where the piece's parameters are in `gradient_out`.
    cdef Py_ssize_t size, at = offset_of(net, own, &size)
    cdef const real_t* own_deltas = deltas + table(net, own.layer)
    if own.kind == INTERCEPTS:
        sum_rows(own_deltas, n_rows, net.layers[own.layer].n_out, gradient_out + at)
    elif own.kind == COEFFICIENTS:
        multiply_into_gradient(
            X if own.layer == 0 else outputs + table(net, own.layer - 1), own_deltas, n_rows,
            net.layers[own.layer].n_in, net.layers[own.layer].n_out, own.start, own.stop, False, gradient_out + at)


cdef inline void step_of(
    const network* net, const piece* own, const optimiser* by, double scale, const real_t* gradients,
    real_t* parameters, real_t* first_moment, real_t* second_moment,
) noexcept nogil:
    cdef Py_ssize_t size, at = offset_of(net, own, &size)
    adam(
        gradients + at, size, 0.0, scale, by.rate, by.beta_1, by.beta_2, by.epsilon, parameters + at,
        first_moment + at, second_moment + at)
