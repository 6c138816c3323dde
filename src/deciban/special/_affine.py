"""Products of matrices with an activation, of a block of rows while it is in cache."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from deciban._arrays import check_out, entries, malformed, plain, to_csr
from deciban._kernels import affine
from deciban._parallel import blas_on_one_thread, cut, run_blocks
from deciban.special._blocks import BLOCK, Array

_CELLS = 1 << 17  # values of a product that are still in cache when the activation comes


def _affine(X: Any, W: Any, b: Any, out: Array | None, is_softmax: bool) -> Array:
    """Return softmax, or the logistic function, of ``X @ W + b``."""
    found: Array | None = affine.at_once(X, W, b, is_softmax, out)
    if found is not None:
        return found
    sparse = sp.issparse(X)
    X, W = X if sparse else np.asarray(X), np.asarray(W)
    for name, value in (("X", X), ("W", W), ("b", np.asarray(0.0 if b is None else b))):
        if value.dtype.kind not in "fiub":
            raise ValueError(f"{name} must be real numbers, got dtype {value.dtype}")
    dtype = np.float32 if X.dtype.char == W.dtype.char == "f" else float
    W = W if W.dtype == dtype and W.flags.farray and W.flags.aligned and not sparse else plain(W, dtype=dtype)
    X = X if sparse else plain(X, dtype=dtype)
    if W.ndim != 2 or X.ndim != 2 or X.shape[1] != W.shape[0]:
        raise ValueError(f"X and W must be matrices whose product exists, got shapes {X.shape} and {W.shape}")
    b = np.zeros(W.shape[1], dtype) if b is None else plain(b, dtype=dtype)
    if b.shape != (W.shape[1],):
        raise ValueError(f"b must have shape ({W.shape[1]},), got {b.shape}")
    shape = X.shape[0], W.shape[1]
    if out is None:
        out = np.empty(shape, dtype)
    else:
        check_out(out, shape, dtype, *(vars(X).values() if sparse else [X]), W, b)
    if out.size == 0:
        return out
    if sparse:
        _sparse(X, W, b, is_softmax, out)
    else:
        _dense(X, W, b, is_softmax, out)
    return out


def _dense(X: Array, W: Array, b: Array, is_softmax: bool, out: Array) -> None:
    table, is_turned = (W, False) if W.flags.c_contiguous else (W.T, True)
    size = affine.rows_of_block(*W.shape)
    if len(X) <= size:
        affine.rows(X, table, is_turned, b, is_softmax, 0, len(X), out)
        return
    blocks = cut(len(X), size)
    with blas_on_one_thread():  # which makes the products where the processor has no wide registers
        run_blocks(lambda block, _: affine.rows(X, table, is_turned, b, is_softmax, *blocks[block], out), len(blocks))


def _sparse(X: Any, W: Array, b: Array, is_softmax: bool, out: Array) -> None:
    X = to_csr(X)
    data, indices, indptr = entries(X)
    data = data.astype(out.dtype, copy=False)
    n_rows = max(64, _CELLS // W.shape[1])
    blocks = cut(len(out), max(1, min(n_rows, BLOCK * X.shape[0] // max(len(data) * W.shape[1], 1))))

    def task(block: int, _: int) -> None:
        if not affine.sparse_rows(data, indices, indptr, W, b, is_softmax, *blocks[block], out):
            raise malformed(X)

    run_blocks(task, len(blocks))


def affine_sigmoid(X: Any, W: Any, b: Any = None, *, out: Array | None = None) -> Array:
    """Return ``expit(X @ W + b)``, every block of rows while it is in cache.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Samples; a sparse matrix is not made dense.
    W : array-like of shape (n_features, n_outputs)
        Weights.
    b : array-like of shape (n_outputs,), default=None
        Offsets; None for zeros.
    out : ndarray of shape (n_samples, n_outputs), default=None
        Where to write the result: C-contiguous, of its dtype, in no memory of the others. New memory can take as long
        as the work does.

    Returns
    -------
    p : ndarray of shape (n_samples, n_outputs)
        float32 if X and W are, else float64.

    Raises
    ------
    ValueError
        If the shapes do not agree, or the parts of a sparse matrix do not, or numbers are not real, or ``out`` cannot
        be written to.

    References
    ----------
    C. M. Bishop, Pattern Recognition and Machine Learning, Springer, 2006, section 4.3.

    Examples
    --------
    >>> import numpy as np
    >>> from deciban.special import affine_sigmoid
    >>> affine_sigmoid(np.eye(2), [[0.0], [1000.0]])
    array([[0.5],
           [1. ]])
    """
    return _affine(X, W, b, out, False)


def affine_softmax(X: Any, W: Any, b: Any = None, *, out: Array | None = None) -> Array:
    """Return ``softmax(X @ W + b, axis=1)``, every block of rows while it is in cache.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Samples; a sparse matrix is not made dense.
    W : array-like of shape (n_features, n_outputs)
        Weights.
    b : array-like of shape (n_outputs,), default=None
        Offsets; None for zeros.
    out : ndarray of shape (n_samples, n_outputs), default=None
        Where to write the result: C-contiguous, of its dtype, in no memory of the others. New memory can take as long
        as the work does.

    Returns
    -------
    p : ndarray of shape (n_samples, n_outputs)
        float32 if X and W are, else float64; rows sum to one.

    Raises
    ------
    ValueError
        If the shapes do not agree, or the parts of a sparse matrix do not, or numbers are not real, or ``out`` cannot
        be written to.

    References
    ----------
    As for :func:`affine_sigmoid`.

    Examples
    --------
    >>> import numpy as np
    >>> from deciban.special import affine_softmax
    >>> affine_softmax(np.eye(2), [[0.0, 0.0], [0.0, 1000.0]])
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    return _affine(X, W, b, out, True)
