"""Functions of single numbers: ufuncs, on threads where arrays are large."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

from deciban._arrays import Array, apart
from deciban._kernels import elementwise
from deciban._parallel import cut, run_blocks
from deciban.special._blocks import BLOCK, BLOCKS

# SciPy's loops of these have float32 for float32 alone; those of the others take small integers and float16 too
_WIDENS = {"expit", "log_expit", "logit", "xlogy"}
_WEAK = (int, float)
_ROW = 128  # values; of arrays that are no run NumPy calls a loop for each row, which takes its time for short ones
_COPIED = 1 << 15  # values that are copied at a time, for the second cache


def _apply(ufunc: np.ufunc, name: str, args: tuple[Any, ...], out: Any, options: dict[str, Any]) -> Any:
    """Call a ufunc; on threads if there is nothing unusual about its arguments and they are large."""
    if not options and any(type(arg) is np.ndarray and arg.size > BLOCK for arg in args):
        found = _in_blocks(ufunc, name, args, out)
        if found is not None:
            return found
    dtypes = [np.asarray(arg).dtype for arg in args]
    if any(dtype.char in "gFDG" for dtype in dtypes) or not {"dtype", "signature"}.isdisjoint(options):
        return _scipys(getattr(scipy.special, name), args, out, options)
    # numbers of Python's own have no say
    narrow = [d.kind in "biu" or d == np.float16 for d, arg in zip(dtypes, args, strict=True) if type(arg) not in _WEAK]
    if name in _WIDENS and any(narrow):
        options["dtype"] = np.float64
    return ufunc(*args, out=out, **options)


def _in_blocks(ufunc: np.ufunc, name: str, args: tuple[Any, ...], out: Any) -> Array | None:
    """Call a ufunc of large arrays, which may broadcast, block by block; None if something about them is unusual."""
    strong = [arg for arg in args if type(arg) not in _WEAK]
    if not all(type(arg) is np.ndarray and arg.ndim and arg.dtype.kind in "fiub" for arg in strong):
        return None
    dtype = np.result_type(np.float32, *strong)
    if name in _WIDENS and any(arg.dtype.kind != "f" or arg.dtype.itemsize < 4 for arg in strong):
        dtype = np.dtype(np.float64)
    if dtype not in (np.float32, np.float64) or any(abs(x) > np.finfo(dtype).max for x in args if type(x) in _WEAK):
        return None
    shape = np.broadcast_shapes(*(arg.shape for arg in strong))
    if out is None:
        like = next((arg for arg in strong if arg.shape == shape), None)
        result = np.empty(shape, dtype) if like is None else np.empty_like(like, dtype)
    elif type(out) is np.ndarray and out.shape == shape and out.dtype == dtype and out.flags.writeable:
        result = out
    else:
        return None
    arrays = [np.broadcast_to(np.asarray(arg, None if type(arg) is np.ndarray else dtype), shape) for arg in args]
    if not all(array.size and apart(array, out) for array in arrays):
        return None
    arrays = _with_fewest_axes([*arrays, result])
    shape = arrays[0].shape
    cast = [array.dtype != dtype for array in arrays]
    copied = any(cast) or (len(shape) > 1 and shape[-1] < _ROW)
    most = _COPIED if copied else max(BLOCK, result.size // BLOCKS)
    # the first axis that is cut: all after it are whole in a block
    inner = np.cumprod((1, *shape[:0:-1]))[::-1]
    axis = int(np.argmax(inner <= most))
    in_rows = not copied and axis == 0 and len(shape) == 2 and all(array.flags.aligned for array in arrays)
    parts = [
        (*index, slice(*part)) for index in np.ndindex(shape[:axis]) for part in cut(shape[axis], most // inner[axis])
    ]
    rooms: dict[int, list[Array]] = {}

    def task(block: int, worker: int) -> None:
        *given, to = (array[parts[block]] for array in arrays)
        if in_rows:
            elementwise.in_rows(ufunc, [*given, to])
            return
        if not copied:
            ufunc(*given, out=to)
            return
        room = rooms.setdefault(worker, [])
        while len(room) < len(arrays):
            room.append(np.empty(most, dtype))
        runs = [
            array if array.dtype == dtype and array.flags.c_contiguous else space[: array.size].reshape(array.shape)
            for array, space in zip((*given, to), room, strict=True)
        ]
        for array, run in zip(given, runs[:-1], strict=True):
            if array is not run:
                np.copyto(run, array)
        ufunc(*runs[:-1], out=runs[-1])
        if to is not runs[-1]:
            np.copyto(to, runs[-1])

    run_blocks(task, len(parts))
    return result


def _with_fewest_axes(arrays: list[Array]) -> list[Array]:
    """Return views of arrays of one shape, the axes in the order of the last one's memory, and neighbours as one."""
    order = sorted(range(arrays[0].ndim), key=lambda axis: -abs(arrays[-1].strides[axis]))
    arrays = [array.transpose(order) for array in arrays]
    kept = [axis for axis in range(arrays[0].ndim) if arrays[0].shape[axis] > 1]
    shape: list[int] = []
    strides: list[list[int]] = [[] for _ in arrays]
    for axis in kept:
        size = arrays[0].shape[axis]
        steps = [array.strides[axis] for array in arrays]
        if shape and all(s[-1] == size * step for s, step in zip(strides, steps, strict=True)):
            shape[-1] *= size
            for s, step in zip(strides, steps, strict=True):
                s[-1] = step
        else:
            shape.append(size)
            for s, step in zip(strides, steps, strict=True):
                s.append(step)
    return [
        np.lib.stride_tricks.as_strided(array, shape, s, writeable=array is arrays[-1])
        for array, s in zip(arrays, strides, strict=True)
    ]


def _scipys(function: np.ufunc, args: tuple[Any, ...], out: Any, options: dict[str, Any]) -> Any:
    """Call SciPy's function, never with ``where``: its loops (in 1.17) then write past the ends of buffers."""
    where = options.pop("where", None)
    if where is None:
        return function(*args, out=out, **options)
    found = function(*args, **options)
    (out,) = out if isinstance(out, tuple) else (out,)
    if out is None:
        out = np.empty(np.broadcast_shapes(np.shape(found), np.shape(where)), found.dtype)
    np.copyto(out, found, casting=options.get("casting", "same_kind"), where=where)
    return out


def expit(x: Any, out: Any = None, **options: Any) -> Any:
    """Return the logistic sigmoid, ``1 / (1 + exp(-x))``.

    Parameters
    ----------
    x : array-like
        Log-odds, in nats.
    out : ndarray, default=None
        Where to write the result.
    **options
        What NumPy's ufuncs take: ``where``, ``dtype``, ``casting`` and so on.

    Returns
    -------
    p : ndarray or scalar
        Of x's shape, float32 for float32, else float64; complex and extended precision as of SciPy's function.

    Raises
    ------
    TypeError
        If an argument is not made of numbers.

    References
    ----------
    J.-M. Muller, Elementary Functions: Algorithms and Implementation, 3rd edition, Birkhauser, 2016.

    Examples
    --------
    >>> from deciban.special import expit
    >>> expit([-1000.0, 0.0, 1000.0])
    array([0. , 0.5, 1. ])
    """
    found = None if options else elementwise.at_once(elementwise.EXPIT, x, None, out)
    return _apply(elementwise.expit, "expit", (x,), out, options) if found is None else found


def log_expit(x: Any, out: Any = None, **options: Any) -> Any:
    """Return the logarithm of the logistic sigmoid, ``-log(1 + exp(-x))``.

    Parameters
    ----------
    x : array-like
        Log-odds, in nats.
    out, **options
        As for :func:`expit`.

    Returns
    -------
    log_p : ndarray or scalar
        Of x's shape and of the dtype of :func:`expit`, in nats.

    Raises
    ------
    TypeError
        If an argument is not made of numbers.

    References
    ----------
    M. Maechler, Accurately computing log(1 - exp(-|a|)), 2012 (vignette of the R package Rmpfr).

    Examples
    --------
    >>> from deciban.special import log_expit
    >>> float(log_expit(-1000.0))
    -1000.0
    """
    found = None if options else elementwise.at_once(elementwise.LOG_EXPIT, x, None, out)
    return _apply(elementwise.log_expit, "log_expit", (x,), out, options) if found is None else found


def logit(x: Any, out: Any = None, **options: Any) -> Any:
    """Return the log-odds ``log(x / (1 - x))``, the inverse of :func:`expit`.

    Parameters
    ----------
    x : array-like
        Probabilities; outside of [0, 1] the result is NaN.
    out, **options
        As for :func:`expit`.

    Returns
    -------
    log_odds : ndarray or scalar
        Of x's shape and of the dtype of :func:`expit`, in nats; accurate near 1/2 as well.

    Raises
    ------
    TypeError
        If an argument is not made of numbers.

    References
    ----------
    J. Berkson, Application of the logistic function to bio-assay, Journal of the American Statistical Association 39
    (1944), 357-365.

    Examples
    --------
    >>> from deciban.special import logit
    >>> logit([0.0, 0.5, 1.0])
    array([-inf,   0.,  inf])
    """
    found = None if options else elementwise.at_once(elementwise.LOGIT, x, None, out)
    return _apply(elementwise.logit, "logit", (x,), out, options) if found is None else found


def entr(x: Any, out: Any = None, **options: Any) -> Any:
    """Return the terms of entropy, ``-x log(x)``; 0 at 0, -inf below.

    Parameters
    ----------
    x : array-like
        Probabilities.
    out, **options
        As for :func:`expit`.

    Returns
    -------
    h : ndarray or scalar
        Of x's shape, in nats; float32 for float32 and for integers below 32 bits, as SciPy has it, else float64.

    Raises
    ------
    TypeError
        If an argument is not made of numbers.

    References
    ----------
    C. E. Shannon, A mathematical theory of communication, Bell System Technical Journal 27 (1948), 379-423.

    Examples
    --------
    >>> from deciban.special import entr
    >>> entr([0.0, 1.0])
    array([ 0., -0.])
    """
    found = None if options else elementwise.at_once(elementwise.ENTR, x, None, out)
    return _apply(elementwise.entr, "entr", (x,), out, options) if found is None else found


def xlogy(x: Any, y: Any, out: Any = None, **options: Any) -> Any:
    """Return ``x log(y)``, which is 0 where x is 0 (unless y is NaN).

    Parameters
    ----------
    x, y : array-like
        Factor and argument; they broadcast.
    out, **options
        As for :func:`expit`.

    Returns
    -------
    z : ndarray or scalar
        Of the dtype of :func:`expit`, in nats if x counts events.

    Raises
    ------
    TypeError
        If an argument is not made of numbers.

    References
    ----------
    T. M. Cover, J. A. Thomas, Elements of Information Theory, 2nd edition, Wiley, 2006, chapter 2.

    Examples
    --------
    >>> from deciban.special import xlogy
    >>> xlogy([0.0, 2.0], [0.0, 1.0])
    array([0., 0.])
    """
    found = None if options else elementwise.at_once(elementwise.XLOGY, x, y, out)
    return _apply(elementwise.xlogy, "xlogy", (x, y), out, options) if found is None else found


def rel_entr(x: Any, y: Any, out: Any = None, **options: Any) -> Any:
    """Return the terms of relative entropy, ``x log(x / y)``.

    Parameters
    ----------
    x, y : array-like
        Probabilities; they broadcast.
    out, **options
        As for :func:`expit`.

    Returns
    -------
    d : ndarray or scalar
        In nats, of the dtype of :func:`entr`; 0 where x is 0 and y is not negative, inf where either is negative or y
        alone is 0.

    Raises
    ------
    TypeError
        If an argument is not made of numbers.

    References
    ----------
    S. Kullback, R. A. Leibler, On information and sufficiency, Annals of Mathematical Statistics 22 (1951), 79-86.

    Examples
    --------
    >>> from deciban.special import rel_entr
    >>> rel_entr([0.0, 1.0, 1.0], [1.0, 1.0, 0.0])
    array([ 0.,  0., inf])
    """
    found = None if options else elementwise.at_once(elementwise.REL_ENTR, x, y, out)
    return _apply(elementwise.rel_entr, "rel_entr", (x, y), out, options) if found is None else found


def kl_div(x: Any, y: Any, out: Any = None, **options: Any) -> Any:
    """Return ``x log(x / y) - x + y``, the terms of a Kullback-Leibler divergence that are never negative.

    Parameters
    ----------
    x, y : array-like
        Masses, that need not sum to one; they broadcast.
    out, **options
        As for :func:`expit`.

    Returns
    -------
    d : ndarray or scalar
        In nats, of the dtype of :func:`entr`; y where x is 0 and y is not negative, inf where either is negative or y
        alone is 0.

    Raises
    ------
    TypeError
        If an argument is not made of numbers.

    Notes
    -----
    Where x is near y, SciPy's function loses the digits that cancel (all of them for a relative difference below 1e-8,
    with negative results); this one does not. Where x or y is infinite, or x / y overflows or
    vanishes, SciPy gives NaN or an infinity; the result here is the limit, or the number.

    References
    ----------
    S. Boyd, L. Vandenberghe, Convex Optimization, Cambridge University Press, 2004, chapter 3.

    Examples
    --------
    >>> from deciban.special import kl_div
    >>> round(float(kl_div(1.0, 1.0 + 2.0**-30)) * 2.0**61, 6)
    1.0
    """
    found = None if options else elementwise.at_once(elementwise.KL_DIV, x, y, out)
    return _apply(elementwise.kl_div, "kl_div", (x, y), out, options) if found is None else found
