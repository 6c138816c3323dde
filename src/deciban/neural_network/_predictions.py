"""Predictions of the perceptrons: rows through the layers by the kernel, in blocks on threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import sklearn
from sklearn.utils.validation import check_is_fitted

from deciban._arrays import CSR_TYPES, INDEX_DTYPES, Array, check_sparse, entries, malformed, specialise
from deciban._fallback import REPLACED, fall_back, overrides
from deciban._kernels import inference, layers
from deciban._parallel import blas_on_one_thread, cut, run_blocks
from deciban._sklearn import validate_data

_DTYPES = (np.dtype(np.float64), np.dtype(np.float32))
_apply_rows = specialise(inference.apply_rows, _DTYPES)
_apply_sparse_rows = specialise(inference.apply_sparse_rows, _DTYPES, INDEX_DTYPES)
_BLOCK = 256  # rows: enough for BLAS, and few enough for their layers to stay in cache


class Outputs:
    """Mixin: what the network makes of samples, for :meth:`_forward_pass_fast` and all that is made of it."""

    _forward_methods: dict[str, Any]  # what scikit-learn's answer is made of, as the kernels stand for it

    def _forward_pass_fast(self, X: Any, check_input: bool = True) -> Array:
        """Return the last layer's outputs, of shape (n_samples, n_outputs)."""
        found = self._outputs(X, None, "_forward_pass_fast", check_input)
        return super()._forward_pass_fast(X, check_input=check_input) if found is None else found  # type: ignore[misc]

    def _outputs(self, X: Any, output: str | None, method: str, check_input: bool = True) -> Array | None:
        """Return the last layer's outputs, under another activation if one is given; None leaves it to scikit-learn."""
        if overrides(self, self._forward_methods):
            fall_back(self, method, REPLACED)
            return None
        state = self.__dict__
        kind = type(X)
        if kind is np.ndarray and "coefs_" in state and "feature_names_in_" not in state:
            hidden, last = layers.ACTIVATIONS[state["activation"]], layers.ACTIVATIONS[output or self.out_activation_]  # type: ignore[attr-defined]
            found = inference.few_rows(
                state["coefs_"], state.get("intercepts_"), hidden, last, X, state.get("n_features_in_", -1)
            )
            if found is not None:
                return found
        checked = False
        if check_input:
            checked = (
                (kind is np.ndarray or kind in CSR_TYPES)
                and X.ndim == 2
                and X.dtype in _DTYPES
                and X.shape[0] > 0
                and state.get("n_features_in_") == X.shape[1]
                and "coefs_" in state
                and "feature_names_in_" not in state
                and not sklearn.get_config()["array_api_dispatch"]
            )
            if not checked:
                check_is_fitted(self)
                check_sparse(X)
                X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        coefs, intercepts = self._layers()
        dtype = coefs[0].dtype
        if X.dtype != dtype:
            dtype = np.dtype(np.float32 if X.dtype == dtype == np.float32 else np.float64)
            if X.dtype.kind not in "fiub" or X.dtype.itemsize > 8:
                fall_back(self, method, f"there is no kernel for {X.dtype} samples")
                return None
        if coefs[0].dtype != dtype:
            coefs = [coef.astype(dtype) for coef in coefs]
            intercepts = [intercept.astype(dtype) for intercept in intercepts]
        hidden = layers.ACTIVATIONS[self.activation]  # type: ignore[attr-defined]
        last = layers.ACTIVATIONS[output or self.out_activation_]  # type: ignore[attr-defined]
        out = np.empty((X.shape[0], intercepts[-1].shape[0]), dtype)
        if isinstance(X, np.ndarray):
            trouble = _dense(coefs, intercepts, hidden, last, X, out)
        elif sp.issparse(X):
            trouble = _sparse(coefs, intercepts, hidden, last, X, out)
        else:
            fall_back(self, method, f"there is no kernel for {type(X).__name__}")
            return None
        if trouble == inference.NONFINITE:
            if checked:
                validate_data(
                    self, X, accept_sparse=["csr", "csc"], reset=False
                )  # raises, unless told to assume finite
            fall_back(self, method, "a sample is not finite")
            return None
        return out

    def _layers(self) -> tuple[list[Array], list[Array]]:
        """Return coefficients and intercepts as the kernel takes them; they may come from anywhere."""
        coefs, intercepts = self.coefs_, self.intercepts_  # type: ignore[attr-defined]
        if type(coefs) is list and type(intercepts) is list and coefs:
            dtype = getattr(coefs[0], "dtype", None)
            if dtype in _DTYPES and all(
                type(array) is np.ndarray and array.dtype == dtype and array.flags.c_contiguous
                for array in coefs + intercepts
            ):
                return coefs, intercepts
        arrays = [np.asarray(array) for array in [*coefs, *intercepts]]
        if not arrays or any(array.dtype.kind not in "fiu" for array in arrays):
            raise ValueError("coefs_ and intercepts_ must be arrays of real numbers")
        single = all(array.dtype == np.float32 for array in arrays)
        arrays = [np.ascontiguousarray(array, dtype=np.float32 if single else np.float64) for array in arrays]
        return arrays[: len(coefs)], arrays[len(coefs) :]


def _dense(coefs: list[Array], intercepts: list[Array], hidden: int, last: int, X: Array, out: Array) -> int:
    kernel = _apply_rows[(out.dtype,)]
    n_rows = len(X)
    if n_rows <= _BLOCK:
        return kernel(coefs, intercepts, hidden, last, np.ascontiguousarray(X, dtype=out.dtype), out)
    blocks = cut(n_rows, _BLOCK)
    troubles = [0] * len(blocks)

    def task(block: int, _: int) -> None:
        start, stop = blocks[block]
        rows = np.ascontiguousarray(X[start:stop], dtype=out.dtype)
        troubles[block] = kernel(coefs, intercepts, hidden, last, rows, out[start:stop])

    with blas_on_one_thread():
        run_blocks(task, len(blocks))
    return max(troubles)


def _sparse(coefs: list[Array], intercepts: list[Array], hidden: int, last: int, X: Any, out: Array) -> int:
    data, indices, indptr = entries(X if X.format == "csr" else X.tocsr())
    data = data.astype(out.dtype, copy=False)
    kernel = _apply_sparse_rows[data.dtype, indices.dtype]
    n_rows, n_features = X.shape
    blocks = cut(n_rows, _BLOCK)
    troubles = [0] * len(blocks)

    def task(block: int, _: int) -> None:
        troubles[block] = kernel(
            coefs, intercepts, hidden, last, data, indices, indptr, n_features, *blocks[block], out
        )

    if len(blocks) <= 1:
        run_blocks(task, len(blocks), 1)
    else:
        with blas_on_one_thread():
            run_blocks(task, len(blocks))
    trouble = max(troubles, default=0)
    if trouble == inference.MALFORMED:
        raise malformed(X)
    return trouble
