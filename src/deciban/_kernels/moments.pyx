"""Means and sums of squared differences of the rows of each class.

    mean[c, f] = sum_i w[i] X[i, f] / W[c],  squares[c, f] = sum_i w[i] (X[i, f] - mean[c, f])^2,  W[c] = sum_i w[i]

over the rows i of class c. Rows are taken in order, BLOCK at a time; within a block every class sums the differences d
from its first row there and their squares, from which its moments in the block follow,

    mean = shift + sum(w d) / W,  squares = sum(w d^2) - sum(w d)^2 / W,

and these are merged with what came before:

    delta = mean_2 - mean_1;  mean = mean_1 + delta W_2 / W;  squares = squares_1 + squares_2 + delta^2 W_1 W_2 / W

A shift by a value of the data keeps the subtraction harmless: what is lost is of the order of the squared distance of
the shift from the mean, relative to the variance.

Cost: X is read once, in order; 5 flops an element; bound by memory. Sums and shifts of all classes, 24 K bytes a
feature, stay in L2 for tens of classes.

Edge cases: weights may be zero or negative; a class whose weights in a block sum to zero is left out there. NaN and
infinity go through.
Source: Chan, Golub, LeVeque, Algorithms for computing the sample variance (The American Statistician, 1983).
"""

import numpy as np

from deciban._kernels.prefetch cimport PREFETCH_L2
from deciban._kernels.types cimport data_t
from deciban._kernels.vector cimport vector_ops, vector_ops_select

cdef const vector_ops* ops = vector_ops_select()

cdef enum:
    BLOCK = 1024  # rows
    AHEAD = 4096  # elements that are asked for before their turn


cdef void _merge(double weight, const double* mean, const double* squares, Py_ssize_t n,
                 double* weight_out, double* mean_out, double* squares_out) noexcept nogil:
    cdef double before = weight_out[0], total = before + weight, share, between, delta
    cdef Py_ssize_t f
    if weight == 0.0 or total == 0.0:
        return
    share = weight / total
    between = before * share
    for f in range(n):
        delta = mean[f] - mean_out[f]
        mean_out[f] += delta * share
        squares_out[f] += squares[f] + delta * delta * between
    weight_out[0] = total


def merge(double weight, const double[::1] mean, const double[::1] squares,
          double[::1] weight_out, double[::1] mean_out, double[::1] squares_out):
    """Merge the moments of one set of rows into those of another."""
    if mean.shape[0]:
        _merge(weight, &mean[0], &squares[0], mean.shape[0], &weight_out[0], &mean_out[0], &squares_out[0])


def merge_parts(double[:, :, ::1] weight, double[:, :, ::1] mean, double[:, :, ::1] squares):
    """Merge the moments of all parts, (n_parts, n_classes, n_features), into those of the first, in their order."""
    cdef Py_ssize_t part, c, n = mean.shape[2]
    if (
        weight.shape[0] != mean.shape[0] or mean.shape[0] != squares.shape[0] or weight.shape[1] != mean.shape[1]
        or mean.shape[1] != squares.shape[1] or weight.shape[2] != 1 or n != squares.shape[2] or n == 0
    ):
        raise ValueError("weights, means and squares do not agree in shape")
    for part in range(1, mean.shape[0]):
        for c in range(mean.shape[1]):
            _merge(
                weight[part, c, 0], &mean[part, c, 0], &squares[part, c, 0], n,
                &weight[0, c, 0], &mean[0, c, 0], &squares[0, c, 0])


cdef void _close(double weight, const double* shift, double* sums, double* squares, Py_ssize_t n, double* weight_out,
                 double* mean_out, double* squares_out) noexcept nogil:
    """Turn sums of differences into moments, in place, and merge those."""
    cdef Py_ssize_t f
    cdef double mean
    if weight != 0.0:
        for f in range(n):
            mean = sums[f] / weight
            squares[f] -= mean * sums[f]
            if squares[f] < 0.0 and weight > 0.0:
                squares[f] = 0.0  # rounding of a constant column
            sums[f] = shift[f] + mean
        _merge(weight, sums, squares, n, weight_out, mean_out, squares_out)


def class_moments(
    const data_t[:, ::1] X, const int[::1] codes, const double[::1] weights, Py_ssize_t start, Py_ssize_t stop,
    double[:, ::1] scratch, double[:, ::1] weight_out, double[:, ::1] mean_out, double[:, ::1] squares_out,
):
    """Merge rows [start, stop) of X into the moments of their classes, codes[row] in [0, n_classes).

    `weights` may be empty, for ones; `scratch` is (3 * n_classes + 1, n_features), `weight_out` (n_classes, 1), the
    others (n_classes, n_features).
    """
    cdef Py_ssize_t row, first, last, f, c, i, n = X.shape[1], n_classes = mean_out.shape[0], n_here
    cdef bint weighted = weights.shape[0] > 0
    cdef double weight = 1.0
    cdef double[::1] total = np.zeros(n_classes)
    cdef Py_ssize_t[::1] here = np.empty(n_classes, np.intp)
    cdef unsigned char[::1] seen = np.zeros(n_classes, np.uint8)
    cdef const double* x
    if scratch.shape[0] < 3 * n_classes + 1 or scratch.shape[1] != n or n == 0 or start >= stop:
        raise ValueError("scratch of the wrong shape, or nothing to do")
    if (
        start < 0 or stop > X.shape[0] or codes.shape[0] < stop or 0 < weights.shape[0] < stop
        or weight_out.shape[0] != n_classes or weight_out.shape[1] != 1 or mean_out.shape[1] != n
        or squares_out.shape[0] != n_classes or squares_out.shape[1] != n
    ):
        raise ValueError("samples, codes, weights and moments do not agree in shape")
    for row in range(start, stop):
        if not 0 <= codes[row] < n_classes:
            raise ValueError("a code is of no class")
    with nogil:
        first = start
        while first < stop:
            last = min(first + BLOCK, stop)
            n_here = 0
            for row in range(first, last):
                c = codes[row]
                for i in range(0, min(n, (stop - row) * n - AHEAD), 8):
                    PREFETCH_L2(&X[row, i] + AHEAD)
                if data_t is double:
                    x = &X[row, 0]
                else:
                    for f in range(n):
                        scratch[3 * n_classes, f] = <double> X[row, f]
                    x = &scratch[3 * n_classes, 0]
                if weighted:
                    weight = weights[row]
                if not seen[c]:
                    seen[c] = True
                    here[n_here] = c
                    n_here += 1
                    total[c] = 0.0
                    for f in range(n):
                        scratch[3 * c, f] = x[f]
                        scratch[3 * c + 1, f] = 0.0
                        scratch[3 * c + 2, f] = 0.0
                total[c] += weight
                ops.add_shifted(x, &scratch[3 * c, 0], weight, n, &scratch[3 * c + 1, 0], &scratch[3 * c + 2, 0])
            for i in range(n_here):
                c = here[i]
                seen[c] = False
                _close(
                    total[c], &scratch[3 * c, 0], &scratch[3 * c + 1, 0], &scratch[3 * c + 2, 0], n,
                    &weight_out[c, 0], &mean_out[c, 0], &squares_out[c, 0],
                )
            first = last
