# Spectral normalisation: the coefficients W of every layer are used as W / sigma, sigma their largest singular value.
#
# One step of power iteration goes with each step of the optimiser, with vectors u (n_out) and v (n_in) of length one
# that are kept, layer after layer:
#
#     u <- W^T v,   v <- W u,   sigma = v^T W u
#
# The gradient by W is (g - <g, W / sigma> v u^T) / sigma, g being that by W / sigma. A layer of zeros has sigma = 1.
#
# Cost: 4 flops a coefficient and two reads of it for the step, one read and one write for W / sigma.
#
# Source: T. Miyato et al., Spectral normalization for generative adversarial networks, ICLR 2018.
from libc.math cimport sqrt
from libc.string cimport memcpy
from scipy.linalg.cython_blas cimport dgemv, sgemv

from deciban._kernels.layers cimport network
from deciban._kernels.pieces cimport piece
from deciban._kernels.types cimport real_t


cdef inline Py_ssize_t direction_of(const network* net, Py_ssize_t index) noexcept nogil:
    # Where a layer's u begins; its v follows.
    cdef Py_ssize_t k, at = 0
    for k in range(index):
        at += net.layers[k].n_in + net.layers[k].n_out
    return at


cdef inline void turn_gradient(
    const network* net, const piece* part, double aligned, double sigma, const real_t* directions, real_t* gradients,
) noexcept nogil:
    # Turn a piece's gradient by W / sigma into that by W; `aligned` is <g, W / sigma> of the whole layer.
    cdef Py_ssize_t i, k, n_out = net.layers[part.layer].n_out
    cdef double inverse = 1.0 / sigma
    cdef const real_t* u = directions + direction_of(net, part.layer)
    cdef const real_t* v = u + n_out
    cdef real_t* own = gradients + net.layers[part.layer].coef
    cdef real_t scale
    for i in range(part.start, part.stop):
        scale = <real_t> (aligned * v[i])
        for k in range(n_out):
            own[i * n_out + k] = <real_t> ((own[i * n_out + k] - scale * u[k]) * inverse)


cdef inline double _unit(real_t* x, Py_ssize_t n) noexcept nogil:
    # Scale to length one; return the length there was.
    cdef Py_ssize_t k
    cdef double squares = 0.0, length
    for k in range(n):
        squares += <double> x[k] * x[k]
    length = sqrt(squares)
    if length > 0:
        for k in range(n):
            x[k] = <real_t> (x[k] / length)
    return length


cdef inline void _gemv(
    char as_, const real_t* W, Py_ssize_t n_in, Py_ssize_t n_out, const real_t* x, real_t* out,
) noexcept nogil:
    # W^T x ('N'; by columns, as BLAS has it, W is its transpose) or W x ('T').
    cdef int m = <int> n_out, n = <int> n_in, one_step = 1
    cdef real_t one = 1, zero = 0
    if real_t is double:
        dgemv(&as_, &m, &n, &one, <double*> W, &m, <double*> x, &one_step, &zero, out, &one_step)
    else:
        sgemv(&as_, &m, &n, &one, <float*> W, &m, <float*> x, &one_step, &zero, out, &one_step)


cdef inline void normalise_layers(
    const network* net, const real_t* parameters, real_t* directions, double* sigma, real_t* used,
) noexcept nogil:
    # A step of power iteration for each layer, and its coefficients over their largest singular value; intercepts stay.
    cdef Py_ssize_t index, k, n_in, n_out
    cdef const real_t* W
    cdef real_t* out
    cdef real_t* u = directions
    cdef real_t* v
    cdef real_t scale
    for index in range(net.n_layers):
        n_in, n_out = net.layers[index].n_in, net.layers[index].n_out
        W, out = parameters + net.layers[index].coef, used + net.layers[index].coef
        v = u + n_out
        _gemv(c'N', W, n_in, n_out, <const real_t*> v, u)
        _unit(u, n_out)
        _gemv(c'T', W, n_in, n_out, <const real_t*> u, v)
        sigma[index] = _unit(v, n_in)
        scale = <real_t> (1.0 / sigma[index]) if sigma[index] > 0 else 1
        if not sigma[index] > 0:
            sigma[index] = 1.0
        for k in range(n_in * n_out):
            out[k] = W[k] * scale
        memcpy(
            used + net.layers[index].intercept, parameters + net.layers[index].intercept, n_out * sizeof(real_t))
        u = v + n_in
