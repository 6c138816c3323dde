"""Sums of exponentials along axes, and what is made of them: logsumexp, softmax, posteriors."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from deciban._arrays import aligned, apart, plain
from deciban._kernels import reductions
from deciban._parallel import cut, run_blocks
from deciban.special._blocks import BLOCK, BLOCKS, Array

_LONG = 1 << 17  # values of a row that several threads share


class _Turned:
    """An array of at least one dimension as (outer, n, inner), the axes to reduce in the middle.

    A view where the memory allows it: of a Fortran-ordered array its transpose.
    """

    def __init__(self, x: Array, axis: Any) -> None:
        axes = _axes(axis, x.ndim)
        if any(not -x.ndim <= operator.index(a) < x.ndim for a in axes):
            raise np.exceptions.AxisError(f"axis {axis} is out of bounds for array of dimension {x.ndim}")
        chosen = {a % x.ndim for a in axes}
        if len(chosen) != len(axes):
            raise ValueError("duplicate value in 'axis'")
        order = list(range(x.ndim))
        if not x.flags.c_contiguous and x.flags.f_contiguous:
            order.reverse()
        places = [place for place, a in enumerate(order) if a in chosen]
        if places and places[-1] - places[0] >= len(places):  # not neighbours: the others first
            order = [a for a in order if a not in chosen] + [a for a in order if a in chosen]
            places = list(range(x.ndim - len(chosen), x.ndim))
        first, last = (places[0], places[-1] + 1) if places else (x.ndim, x.ndim)
        turned = plain(x.transpose(order))
        self._order = order
        self._back = np.argsort(order)
        self._shape, self._whole = x.shape, turned.shape
        self._kept = tuple(1 if first <= place < last else size for place, size in enumerate(turned.shape))
        self.chosen = tuple(chosen)
        cuts = ((0, first), (first, last), (last, x.ndim))
        self.x = turned.reshape([math.prod(turned.shape[a:b]) for a, b in cuts])

    def beside(self, y: Array) -> Array:
        """Turn an array that broadcasts against x in the same way: a view where the memory allows it."""
        return np.broadcast_to(y, self._shape).transpose(self._order).reshape(self.x.shape)

    def whole(self, y: Array) -> Array:
        """Turn an array of the shape of x back."""
        return y.reshape(self._whole).transpose(self._back)

    def reduced(self, y: Array) -> Array:
        """Turn an array of shape (outer, inner) back, the reduced axes of length 1."""
        return y.reshape(self._kept).transpose(self._back)


def _real(x: Any) -> tuple[Array, np.dtype[Any]] | None:
    """Return x in float32 or float64, and the dtype of the result; None if only SciPy can compute with it."""
    x = np.asarray(x)
    if x.dtype.kind == "f" and x.dtype.itemsize <= 8:
        values = x.astype(np.float32 if x.dtype.itemsize <= 4 else np.float64, copy=False)
        return aligned(values), x.dtype.newbyteorder("=")
    if x.dtype.kind in "iub":
        return x.astype(np.float64), np.dtype(np.float64)
    return None


def _in_pieces(n_items: int, cost: int, task: Callable[[int, int], None]) -> None:
    """Call ``task(start, stop)`` for blocks of all items, each of ``cost`` values."""
    # whole tiles of short rows
    size = max(1, -(-BLOCK // max(cost, 1)), n_items // BLOCKS)
    blocks = cut(n_items, size if size < 64 else -(-size // 64) * 64)
    run_blocks(lambda block, _: task(*blocks[block]), len(blocks))


def _state_of_row(row: Array) -> tuple[float, Any]:
    """Return the largest value of a long row, and the sum of exp(x - largest) less 1, with more digits if there are."""
    pieces = cut(len(row), _LONG // 2)
    states: list[tuple[float, float, float, float]] = [(0.0, 0.0, 0.0, 0.0)] * len(pieces)

    def task(block: int, _: int) -> None:
        states[block] = reductions.sum_exp(row[slice(*pieces[block])])

    run_blocks(task, len(pieces))
    # an error of the sum is one of all results
    largest, count, rest, low = np.array(states, np.longdouble).T
    rest += low
    top = largest.max()  # NaN is in `rest`: comparisons pass over it
    if not np.isfinite(top):
        return float(top), float(rest.sum())
    with np.errstate(invalid="ignore"):
        scale = np.exp(largest - top)
    above = largest == top
    return float(top), (count[above].sum() - 1.0) + rest[above].sum() + ((count + rest) * scale)[~above].sum()


def _blocks_of_rows(x: Array, beside: int) -> list[tuple[int, int]]:
    """Return blocks of the rows of a table, of which some are taken as one."""
    n, inner = x.shape
    size = max(BLOCK // inner, n // BLOCKS, 1)
    return cut(n, -(-size // beside) * beside)


def _sums_of_columns(x: Array, beside: int) -> Array:
    """Return what the sums of exp(x) along the columns of a tall table are made of, for each block of rows."""
    blocks = _blocks_of_rows(x, beside)
    sums = np.empty((len(blocks), 4, beside * x.shape[1]))
    run_blocks(lambda block, _: reductions.sum_exp_columns(x, *blocks[block], sums[block]), len(blocks))
    return sums


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """Return ``log(sum(exp(a)))``, or ``log(sum(b * exp(a)))``.

    Parameters
    ----------
    a : array-like
        Logarithms, in nats.
    axis : None, int or tuple of int, default=None
        Over which to sum; None for all.
    b : array-like, default=None
        Factors of the terms, of any sign; they broadcast against a. A term whose factor is 0 is left out, even if a is
        infinite or NaN there.
    keepdims : bool, default=False
        Whether the axes that are summed over stay, with length 1.
    return_sign : bool, default=False
        Whether to return the sign of the sum as well, and the logarithm of its size.

    Returns
    -------
    result : ndarray or scalar
        float32 for float32; -inf for a sum over nothing; NaN for a negative sum, unless its sign is asked for.
    sign : ndarray or scalar
        1, 0, -1 or NaN. Only with ``return_sign``.

    Raises
    ------
    ValueError
        If an axis does not exist or is named twice, or b does not broadcast.
    TypeError
        If an argument is not made of numbers.

    Notes
    -----
    Complex numbers are left to SciPy's function. A sum over nothing, and one whose largest terms cancel each other, has
    the sign 0, or that of what remains; SciPy's function gives -1, and NaN where exp overflows. A term counts whose
    exponential is far below the largest one if its factor is as far above; SciPy's function loses it. Neither looks at
    the mask of a masked array.

    References
    ----------
    P. Blanchard, D. J. Higham, N. J. Higham, Accurately computing the log-sum-exp and softmax functions, IMA Journal of
    Numerical Analysis 41 (2021), 2311-2330.

    Examples
    --------
    >>> from deciban.special import logsumexp
    >>> float(logsumexp([1000.0, 1000.0]))
    1000.6931471805599
    """
    real = _real(a) if b is None else _real_pair(a, b)
    if real is None:
        return scipy.special.logsumexp(a, axis=axis, b=b, keepdims=keepdims, return_sign=return_sign)
    x, dtype = real
    if b is not None:
        result, sign, axes = _logsumexp_times(x, np.asarray(b), axis, dtype)
        if not return_sign:
            result = np.where(sign < 0, np.asarray(np.nan, dtype), result)
        return _shown(result, sign, axes, keepdims, return_sign)
    if x.ndim == 0:
        x = x.reshape(1)  # as SciPy sees it
    turned = _Turned(x, axis)
    x3 = turned.x
    outer, n, inner = x3.shape
    out = np.full((outer, inner), -np.inf, x.dtype)
    if n and inner == 1 and n > _LONG and outer < 64:
        for row in range(outer):
            largest, rest = _state_of_row(x3[row, :, 0])
            out[row, 0] = largest + (np.log1p(rest) if np.isfinite(largest) else rest)
    elif n and (beside := reductions.n_beside(outer, n, inner)):
        for row in range(outer):
            reductions.log_sums(_sums_of_columns(x3[row], beside), out[row])
    elif n and out.size:
        kernel = reductions.logsumexp
        _in_pieces(*_items(x3), lambda start, stop: kernel(x3, out, start, stop))
    result = turned.reduced(out).astype(dtype, copy=False)
    # the sum is not negative: 0, NaN, or more
    sign = np.where(np.isnan(result), result, result > -np.inf).astype(dtype)
    return _shown(result, sign, turned.chosen, keepdims, return_sign)


def _shown(result: Array, sign: Array, axes: tuple[int, ...], keepdims: bool, return_sign: bool) -> Any:
    """Return a sum, and its sign if it is asked for, in the shape that it is asked for."""
    shown = []
    for array in (result, sign):
        array = array if keepdims else np.squeeze(array, axis=axes)
        shown.append(array if array.ndim else array[()])
    return tuple(shown) if return_sign else shown[0]


def _real_pair(a: Any, b: Any) -> tuple[Array, np.dtype[Any]] | None:
    """As :func:`_real` of ``a``, where factors ``b`` have a say in the dtype."""
    # a number of Python's own has none
    dtype = np.result_type(np.asarray(a), b if isinstance(b, int | float) else np.asarray(b))
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        return None
    dtype = dtype.newbyteorder("=") if dtype.kind == "f" else np.dtype(np.float64)
    return np.asarray(a).astype(np.float32 if dtype.itemsize <= 4 else np.float64, copy=False), dtype


def _logsumexp_times(x: Array, b: Array, axis: Any, dtype: np.dtype[Any]) -> tuple[Array, Array, tuple[int, ...]]:
    """Return ``log(abs(sum(b * exp(x))))``, the sign of the sum, and the axes summed over, of length 1 still."""
    x = np.broadcast_to(x, np.broadcast_shapes(x.shape, b.shape) or (1,))
    # a number of Python's own may have no place in float32
    if np.can_cast(b.dtype, x.dtype) or not _are_extreme(*_sizes(b), x.dtype):
        turned = _Turned(x, axis)
        out, sign, sizes = _logsumexp_of(turned.x, turned.beside(np.require(b, x.dtype, "A")))
        if not _are_extreme(*sizes, x.dtype):
            return *_turned_back(turned, dtype, out, sign), turned.chosen
    # a factor may outweigh an exponential that underflows, or their sum overflow: to the exponents with them
    with np.errstate(all="ignore"):
        exponents = (x + np.log(np.abs(b, dtype=np.float64))).astype(x.dtype, copy=False)
    turned = _Turned(exponents, axis)
    out, sign, _ = _logsumexp_of(turned.x, turned.beside(np.sign(b).astype(x.dtype)))
    return *_turned_back(turned, dtype, out, sign), turned.chosen


def _turned_back(turned: _Turned, dtype: np.dtype[Any], out: Array, sign: Array) -> tuple[Array, Array]:
    return turned.reduced(out).astype(dtype, copy=False), turned.reduced(sign).astype(dtype, copy=False)


def _sizes(b: Array) -> tuple[float, float]:
    """Return the least and the largest size of factors that are finite and not 0; infinity and 0 if there are none."""
    sizes = np.abs(b[(b != 0) & np.isfinite(b)], dtype=np.float64)
    return float(sizes.min(initial=np.inf)), float(sizes.max(initial=0.0))


def _are_extreme(least: float, most: float, dtype: np.dtype[Any]) -> bool:
    limits = np.finfo(dtype)
    tiny = float(limits.tiny)
    return most > float(limits.max * limits.eps) or least < max(most * tiny**0.5, tiny)


def _logsumexp_of(x3: Array, b3: Array) -> tuple[Array, Array, tuple[float, float]]:
    """Return the logarithm of sums of b exp(x) over the middle axis, the signs, and the range of factors' sizes."""
    outer, n, inner = x3.shape
    out, sign = np.full((outer, inner), -np.inf, x3.dtype), np.zeros((outer, inner), x3.dtype)
    if not (n and out.size):
        return out, sign, (np.inf, 0.0)
    if b3.strides[2 if inner > 1 else 1] not in (0, b3.itemsize):
        b3 = np.ascontiguousarray(b3)
    sizes: list[tuple[float, float]] = []

    def of_rows(start: int, stop: int) -> None:
        sums = np.empty((1, 4, (stop - start) * inner))
        sizes.append(reductions.sum_exp_times(x3, b3, start, stop, sums[0]))
        reductions.log_of_sums(sums, out[start:stop].reshape(-1), sign[start:stop].reshape(-1))

    def of_parts(row: int) -> None:
        parts = cut(n, max(BLOCK // inner, n // BLOCKS, 1))
        sums = np.empty((len(parts), 4, inner))

        def task(part: int, _: int) -> None:
            here = slice(row, row + 1), slice(*parts[part])
            sizes.append(reductions.sum_exp_times(x3[here], b3[here], 0, 1, sums[part]))

        run_blocks(task, len(parts))
        reductions.log_of_sums(sums, out[row], sign[row])

    if n * inner > _LONG and outer < 64:
        for row in range(outer):
            of_parts(row)
    else:
        _in_pieces(outer, n * inner, of_rows)
    return out, sign, (min(least for least, _ in sizes), max(most for _, most in sizes))


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    return tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)


def _items(x3: Array) -> tuple[int, int]:
    """Return the number of a kernel's pieces and the values in each."""
    n_items = reductions.n_items(*x3.shape)
    return n_items, -(-x3.size // max(n_items, 1))


def _softmax(x: Any, axis: Any, out: Any, log: bool) -> Any:
    name = "log_softmax" if log else "softmax"
    real = _real(x)
    if real is None:
        found = getattr(scipy.special, name)(x, axis=axis)
        return found if out is None else _copied(found, out)
    values, dtype = real
    if values.ndim == 0:
        values = values.reshape(1)
    turned = _Turned(values, axis)
    x3 = turned.x
    outer, n, inner = x3.shape
    direct = (
        isinstance(out, np.ndarray)
        and out.shape == values.shape
        and out.dtype == values.dtype == dtype
        and out.flags.carray
        and (values.flags.c_contiguous or not values.flags.f_contiguous)
        and turned.whole(x3).strides == out.strides
        and apart(x3, out.reshape(x3.shape))
    )
    target = out.reshape(x3.shape) if direct else np.empty(x3.shape, values.dtype)
    if inner == 1 and n > _LONG and outer < 64:
        for row in range(outer):
            _softmax_row(x3[row, :, 0], log, target[row, :, 0])
    elif beside := reductions.n_beside(outer, n, inner):
        for row in range(outer):
            _softmax_columns(x3[row], beside, log, target[row])
    elif target.size:
        kernel = reductions.softmax
        _in_pieces(*_items(x3), lambda start, stop: kernel(x3, log, target, start, stop))
    if direct:
        return out
    found = turned.whole(target).reshape(np.shape(x)).astype(dtype, copy=False)
    return (found if found.ndim else found[()]) if out is None else _copied(found, out)


def _copied(found: Any, out: Any) -> Any:
    np.copyto(out, found, casting="same_kind")
    return out


def _softmax_row(row: Array, log: bool, out: Array) -> None:
    """Write the softmax of a long row: its sum first, then every value."""
    largest, rest = _state_of_row(row)
    if np.isfinite(largest):
        exact = np.log1p(rest) if log else 1 / (1 + rest)
        high = row.dtype.type(exact)
        low = exact - high
    elif log:
        high, low, largest = largest + rest, 0.0, 0.0
    else:
        high = low = np.nan
    pieces = cut(len(row), BLOCK)

    def task(block: int, _: int) -> None:
        part = slice(*pieces[block])
        reductions.shift(row[part], largest, high, low, log, out[part])

    run_blocks(task, len(pieces))


def _softmax_columns(x: Array, beside: int, log: bool, out: Array) -> None:
    """Write the softmax along the columns of a tall table: their sums first, then every value."""
    inner = x.shape[1]
    by = np.empty((3, beside * inner), x.dtype)
    reductions.shifts(_sums_of_columns(x, beside), inner, log, by)
    blocks = _blocks_of_rows(x, beside)
    # what was read last is in cache still
    run_blocks(lambda block, _: reductions.shift_columns(x, by, log, *blocks[-1 - block], out), len(blocks))


def softmax(x: Any, axis: Any = None, *, out: Any = None) -> Any:
    """Return ``exp(x) / sum(exp(x))``.

    Parameters
    ----------
    x : array-like
        Logarithms of masses, in nats.
    axis : None, int or tuple of int, default=None
        Over which the result sums to one; None for all.
    out : ndarray, default=None
        Where to write the result (SciPy's function has no such parameter); it may be x.

    Returns
    -------
    p : ndarray
        Of x's shape, float32 for float32, float64 for integers of any size (SciPy's function gives float16 and float32
        for small ones). NaN where the maximum is infinite.

    Raises
    ------
    ValueError
        If an axis does not exist or is named twice, or the result does not fit into out.
    TypeError
        If an argument is not made of numbers, or out not of such as hold the result.

    Notes
    -----
    Of an empty array the result is empty, where SciPy's function raises ValueError.

    References
    ----------
    P. Blanchard, D. J. Higham, N. J. Higham, Accurately computing the log-sum-exp and softmax functions, IMA Journal of
    Numerical Analysis 41 (2021), 2311-2330.

    Examples
    --------
    >>> from deciban.special import softmax
    >>> softmax([[0.0, 0.0], [1000.0, 0.0]], axis=1)
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    return _softmax(x, axis, out, log=False)


def log_softmax(x: Any, axis: Any = None, *, out: Any = None) -> Any:
    """Return ``x - log(sum(exp(x)))``.

    Parameters
    ----------
    x : array-like
        Logarithms of masses, in nats.
    axis : None, int or tuple of int, default=None
        Over which the exponentials of the result sum to one; None for all.
    out : ndarray, default=None
        As for :func:`softmax`.

    Returns
    -------
    log_p : ndarray
        Of x's shape and of the dtype of :func:`softmax`.

    Raises
    ------
    ValueError
        If an axis does not exist or is named twice, or the result does not fit into out.
    TypeError
        If an argument is not made of numbers, or out not of such as hold the result.

    Notes
    -----
    The largest value keeps its digits where it is far above the others, which SciPy's function rounds to 0. Unsigned
    integers are numbers like others; SciPy's function lets their differences wrap.

    References
    ----------
    P. Blanchard, D. J. Higham, N. J. Higham, Accurately computing the log-sum-exp and softmax functions, IMA Journal of
    Numerical Analysis 41 (2021), 2311-2330.

    Examples
    --------
    >>> from deciban.special import log_softmax
    >>> log_softmax([0.0, -50.0])
    array([-1.92874985e-22, -5.00000000e+01])
    """
    return _softmax(x, axis, out, log=True)


def normalize_log_joint(jll: Any, *, out: tuple[Array, Array] | None = None) -> tuple[Array, Array, Array]:
    """Return log-posteriors, posteriors and the most probable class of rows of joint log-likelihoods.

    ``log P(y | x) = log P(x, y) - log sum_y P(x, y)``, in one pass over the rows.

    Parameters
    ----------
    jll : array-like of shape (n_samples, n_classes)
        Joint log-likelihoods ``log P(x, y)``, in nats.
    out : (ndarray, ndarray), default=None
        Where to write the first two results: C-contiguous, of their shape and dtype, none of them in the memory of the
        other or of jll. New memory can take as long as the work does.

    Returns
    -------
    log_posterior : ndarray of shape (n_samples, n_classes)
        float32 for float32 input, else float64.
    posterior : ndarray of shape (n_samples, n_classes)
        Its exponentials.
    largest : ndarray of shape (n_samples,)
        Index of the largest of each row, the first of equals; of a row with NaN that of the first.

    Raises
    ------
    ValueError
        If jll is not a two-dimensional array of real numbers with a column, or ``out`` cannot be written to.

    References
    ----------
    C. M. Bishop, Pattern Recognition and Machine Learning, Springer, 2006, section 4.2.

    Examples
    --------
    >>> from deciban.special import normalize_log_joint
    >>> normalize_log_joint([[-1000.0, -1000.0, -2000.0]])[1]
    array([[0.5, 0.5, 0. ]])
    """
    real = _real(jll)
    if real is None:
        raise ValueError(f"jll must be real numbers, got dtype {np.asarray(jll).dtype}")
    if real[0].ndim != 2 or real[0].shape[1] == 0:
        raise ValueError(f"jll must be of shape (n_samples, n_classes), got shape {np.shape(jll)}")
    x = np.ascontiguousarray(real[0])
    log_posterior, posterior = (np.empty_like(x), np.empty_like(x)) if out is None else out
    for array, other in ((log_posterior, posterior), (posterior, x), (log_posterior, x)):
        if not (
            isinstance(array, np.ndarray)
            and array.shape == x.shape
            and array.dtype == x.dtype
            and array.flags.carray
            and not np.may_share_memory(array, other)
        ):
            raise ValueError(
                f"out must be two C-contiguous arrays of {x.dtype} of shape {x.shape}, which share no memory with each "
                "other or jll"
            )
    largest = np.empty(len(x), np.intp)

    if len(x):
        kernel = reductions.softmax_pair
        outputs = log_posterior, posterior, largest
        _in_pieces(len(x), x.shape[1], lambda start, stop: kernel(x, *outputs, start, stop))
    return log_posterior, posterior, largest
