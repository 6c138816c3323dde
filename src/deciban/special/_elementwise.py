"""Functions of single numbers: ufuncs, on threads where arrays are large."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

from deciban._arrays import apart
from deciban._kernels import elementwise
from deciban._parallel import cut, run_blocks
from deciban.special._blocks import BLOCK, BLOCKS

_DTYPES = (np.dtype(np.float64), np.dtype(np.float32))
# SciPy's loops of these have float32 for float32 alone; those of the others take small integers and float16 too
_WIDENS = {"expit", "log_expit", "logit", "xlogy"}
_WEAK = (int, float)


def _apply(ufunc: np.ufunc, name: str, args: tuple[Any, ...], out: Any, options: dict[str, Any]) -> Any:
    """Call a ufunc; on threads if there is nothing unusual about its arguments and they are large."""
    first = args[0]
    if (
        not options
        and type(first) is np.ndarray
        and first.dtype in _DTYPES
        and first.size > BLOCK
        and all(
            type(array) is np.ndarray and array.dtype == first.dtype and array.shape == first.shape
            for array in (*args[1:], *(() if out is None else (out,)))
        )
        and all(apart(array, out) for array in args)
    ):
        order = "C" if first.flags.c_contiguous else "F" if first.flags.f_contiguous else None
        arrays = (*args, *(() if out is None else (out,)))
        if order is not None and all(getattr(array.flags, f"{order.lower()}_contiguous") for array in arrays):
            result = np.empty_like(first) if out is None else out
            flat = [array.reshape(-1, order=order) for array in (*args, result)]
            blocks = cut(first.size, max(BLOCK, first.size // BLOCKS))

            def task(block: int, _: int) -> None:
                part = slice(*blocks[block])
                ufunc(*(array[part] for array in flat[:-1]), out=flat[-1][part])

            run_blocks(task, len(blocks))
            return result
    dtypes = [np.asarray(arg).dtype for arg in args]
    if any(dtype.char in "gFDG" for dtype in dtypes) or not {"dtype", "signature"}.isdisjoint(options):
        return _scipys(getattr(scipy.special, name), args, out, options)
    # numbers of Python's own have no say
    narrow = [d.kind in "biu" or d == np.float16 for d, arg in zip(dtypes, args, strict=True) if type(arg) not in _WEAK]
    if name in _WIDENS and any(narrow):
        options["dtype"] = np.float64
    return ufunc(*args, out=out, **options)


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
    return _apply(elementwise.expit, "expit", (x,), out, options)


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
    return _apply(elementwise.log_expit, "log_expit", (x,), out, options)


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
    return _apply(elementwise.logit, "logit", (x,), out, options)


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
    return _apply(elementwise.entr, "entr", (x,), out, options)


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
    return _apply(elementwise.xlogy, "xlogy", (x, y), out, options)


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
    return _apply(elementwise.rel_entr, "rel_entr", (x, y), out, options)


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
    return _apply(elementwise.kl_div, "kl_div", (x, y), out, options)
