"""The most probable of normal distributions with diagonal covariance, in single precision, with doubt.

    joint_log_likelihood[i, k] = offset[k] - d[i, k] / 2
    d[i, k] = sum_f e[i, k, f]^2
    e[i, k, f] = slope[k, f] z[i, f] + intercept[k, f],  z[i, f] = (X[i, f] - centre[f]) scale[f]
    slope = sqrt(precision) / scale,  intercept = sqrt(precision) (centre - mean)

Half the bits are half the time, and enough for most rows, for e comes with a bound. With u = 2^-24, every operation is
off by u of its result at most: z by u |z| (it is made in double precision, whose errors are as nothing), slope and
intercept by u of theirs, their product and sum by u of each. As |slope z| <= |e| + |intercept|, so e is off by no more
than 4u (|e| + |intercept|), and by the inequality of Cauchy and Schwarz, with rho[k]^2 = sum_f intercept[k, f]^2, the
sum of the squares by

    8u (d + rho sqrt(d)) + 32 u^2 (d + rho^2) + n u d

where the last is for the sum, n operations deep: FEATURES for a part, one for each part, one for the square. A class
whose precision is a million times that of another so has an error by its own measure, not by the largest. `centre` may
be anything; the mean weighted by precision makes rho least. The root goes by 2 sqrt(d n_features) <= d + n_features, an
equality for a typical row. A row is settled where the least that its best class may have is more than the most of any
other; else it is left in doubt, to be answered in double precision.

Cost: 2 multiplications and additions for each (row, feature, class). ROWS rows are laid side by side, features first,
so that all lanes are busy whatever the number of features or classes; X is read once, and the next rows are asked for
on the way.

Edge cases: rows with NaN or infinity, or too large to square in single precision, are in doubt; so are equal classes.
Source: N. J. Higham, Accuracy and stability of numerical algorithms (2002), chapter 3.
"""

from libc.stdint cimport int64_t
from libc.string cimport memset

from deciban._kernels.types cimport data_t


cdef extern from "nearest.h":
    ctypedef struct nearest_ops:
        void (*standardize)(
            const double* x, Py_ssize_t stride, const double* centre, const double* scale, Py_ssize_t n_features,
            float* out) noexcept nogil
        void (*standardize_narrow)(
            const float* x, Py_ssize_t stride, const double* centre, const double* scale, Py_ssize_t n_features,
            float* out) noexcept nogil
        void (*add_distances)(
            const float* z, const float* slope, const float* intercept, Py_ssize_t stride, Py_ssize_t n_features,
            Py_ssize_t n_classes, const char* ahead, Py_ssize_t n_ahead, float* distance) noexcept nogil
        Py_ssize_t (*settle)(
            const float* distance, const float* least_offset, const float* least_factor, const float* most_offset,
            const float* most_factor, Py_ssize_t n_classes, int64_t* nearest_out) noexcept nogil
    enum:
        NEAREST_ROWS
    const nearest_ops* nearest_ops_select() noexcept nogil

cdef const nearest_ops* ops = nearest_ops_select()

cdef enum:
    _FEATURES = 128  # of a part: 32 KB with NEAREST_ROWS rows

ROWS, FEATURES = NEAREST_ROWS, _FEATURES


def nearest_rows(
    const data_t[:, ::1] X, const double[::1] centre, const double[::1] scale, const float[:, ::1] slope,
    const float[:, ::1] intercept, const float[:, ::1] bounds, Py_ssize_t start, Py_ssize_t stop, float[::1] scratch,
    Py_ssize_t[::1] largest_out,
):
    """Set largest_out[start:stop] to the most probable class of rows of X, or to -1; return how many are in doubt.

    The joint log likelihood of class k, but for a number that all classes share, is between bounds[0, k] minus
    bounds[1, k] d and bounds[2, k] minus bounds[3, k] d, where d is computed here. `scratch` holds
    ROWS * (min(n_features, FEATURES) + n_classes) floats.
    """
    cdef Py_ssize_t first, n, n_ahead, i, f, from_f, n_chunk
    cdef Py_ssize_t n_doubtful = 0, n_features = X.shape[1], n_classes = slope.shape[0]
    cdef Py_ssize_t width = min(n_features, _FEATURES)
    cdef float* distance
    cdef float* tile
    cdef int64_t[NEAREST_ROWS] winners
    if (
        not 0 <= start <= stop <= min(X.shape[0], largest_out.shape[0])
        or slope.shape[1] != n_features or intercept.shape[0] != n_classes or intercept.shape[1] != n_features
        or centre.shape[0] != n_features or scale.shape[0] != n_features or bounds.shape[0] != 4
        or bounds.shape[1] != n_classes or n_classes == 0 or n_features == 0 or n_classes > 0x7FFFFFFF
        or scratch.shape[0] < NEAREST_ROWS * (width + n_classes)
    ):
        raise ValueError("samples, parameters, scratch and output do not agree in shape")
    distance = &scratch[0]
    tile = distance + NEAREST_ROWS * n_classes
    with nogil:
        first = start
        while first < stop:
            n = min(NEAREST_ROWS, stop - first)
            memset(distance, 0, NEAREST_ROWS * n_classes * sizeof(float))
            # with all features in one part, the rows to come are one stretch of memory
            n_ahead = min(NEAREST_ROWS, stop - first - n) if n_features == width else 0
            from_f = 0
            while from_f < n_features:
                n_chunk = min(width, n_features - from_f)
                if data_t is double and n == NEAREST_ROWS:
                    ops.standardize(&X[first, from_f], n_features, &centre[from_f], &scale[from_f], n_chunk, tile)
                elif data_t is float and n == NEAREST_ROWS:
                    ops.standardize_narrow(
                        &X[first, from_f], n_features, &centre[from_f], &scale[from_f], n_chunk, tile)
                else:
                    for i in range(NEAREST_ROWS):
                        for f in range(n_chunk):
                            tile[f * NEAREST_ROWS + i] = <float> (
                                (<double> X[first + i, from_f + f] - centre[from_f + f]) * scale[from_f + f]
                            ) if i < n else 0.0
                ops.add_distances(
                    tile, &slope[0, from_f], &intercept[0, from_f], n_features, n_chunk, n_classes,
                    <const char*> (&X[first + n, 0] if n_ahead else &X[first, 0]),
                    n_ahead * n_features * <Py_ssize_t> sizeof(data_t), distance)
                from_f += n_chunk
            n_doubtful += ops.settle(
                distance, &bounds[0, 0], &bounds[1, 0], &bounds[2, 0], &bounds[3, 0], n_classes, winners)
            for i in range(NEAREST_ROWS):
                if i < n:
                    largest_out[first + i] = winners[i]
                else:
                    n_doubtful -= winners[i] < 0
            first += n
    return n_doubtful
