"""Predictions of linear classifiers: decisions, probabilities and classes by the kernels, one row or many."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import sklearn
from sklearn.utils.validation import check_is_fitted, validate_data

from deciban._arrays import CSR_TYPES, DATA_DTYPES, Array, feature_major, malformed
from deciban._fallback import fall_back
from deciban._kernels import handful, posterior
from deciban._lazy import LazyAttribute
from deciban._predictions import Predictions
from deciban._rows import answer_sparse, finish, sigmoids


class CoefficientsAttribute(LazyAttribute):
    """``coef_``, laid out feature by feature, as predictions read it, so that they see what is written into it."""

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.name] = feature_major(value)


class LinearPredictions(Predictions):
    """Mixin: predictions of scores ``X @ coef_.T + intercept_``.

    Probabilities are the softmax of the scores, or the logistic function of the only one.
    """

    def decision_function(self, X: Any) -> Array:
        """Return confidence scores, ``X @ coef_.T + intercept_``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes, of the second one.
        """
        scores = self._few(X, posterior.JOINT)
        if scores is None:
            scores = self._answer(X, posterior.JOINT, "decision_function")
        if scores is None:
            return super().decision_function(X)  # type: ignore[misc]
        return scores[:, 0] if scores.shape[1] == 1 else scores

    _few = handful.linear_rows  # a method as those of Python are

    def _any(self, X: Any, answer: int, method: str) -> Array | None:
        if sklearn.get_config()["array_api_dispatch"]:
            fall_back(self, method, "array-API dispatch is on")
            return None
        checked = not self._is_plain(X)
        if checked:
            check_is_fitted(self)
            X = validate_data(self, X, accept_sparse="csr", reset=False)
        coef, intercept = self._coefficients(), np.asarray(self.__dict__["intercept_"])
        n_classes, n_features = len(self.classes_), X.shape[1]
        if sp.issparse(coef):
            fall_back(self, method, "coef_ is sparse")
            return None
        if answer in (posterior.POSTERIOR, posterior.LOG_POSTERIOR):
            reason = self._other_probabilities(n_classes)
            if reason is not None:
                fall_back(self, method, reason)
                return None
        n_columns = n_classes if n_classes > 2 else 1
        coef = np.atleast_2d(coef)  # scikit-learn's cross-validation scores binary models that have a vector
        if coef.shape != (n_columns, n_features) or intercept.shape not in ((), (1,), (n_columns,)):
            raise ValueError(
                f"coef_ must have shape {(n_columns, n_features)} and intercept_ {(n_columns,)}, got {coef.shape} and "
                f"{intercept.shape}"
            )
        plain = X.dtype in DATA_DTYPES or X.dtype.kind in "iub"
        if not (plain and coef.dtype.kind == "f" and coef.dtype.itemsize <= 8 and intercept.dtype.kind in "fiu"):
            fall_back(self, method, f"there is no kernel for {X.dtype} samples and {coef.dtype} coefficients")
            return None
        narrow = X.dtype == coef.dtype == np.float32 and (intercept.dtype == np.float32 or intercept.ndim == 0)
        dtype = np.dtype(np.float32 if narrow else np.float64)
        table = np.ascontiguousarray(coef.T, dtype=np.float64)
        offset = np.empty(n_columns)
        offset[:] = intercept
        wanted = posterior.JOINT if n_columns == 1 else answer
        if isinstance(X, np.ndarray):
            with np.errstate(all="ignore"):
                scores = np.ascontiguousarray(X @ table)
                scores += offset
            found, trouble = finish(scores, wanted)
        else:
            found, trouble = answer_sparse(X, table, offset, wanted)
            if trouble & posterior.MALFORMED:
                raise malformed(X)
            if trouble & posterior.NONFINITE and not checked:
                validate_data(self, X, accept_sparse="csr", reset=False)  # raises, unless told to assume finite input
        if trouble:
            fall_back(self, method, "a sample has no finite scores")
            return None
        if n_columns == 1 and answer == posterior.LARGEST:
            return (found[:, 0] > 0).astype(np.intp)
        if n_columns == 1 and answer != posterior.JOINT:
            found = sigmoids(found[:, 0], answer == posterior.LOG_POSTERIOR)
        return found if answer == posterior.LARGEST else found.astype(dtype, copy=False)

    def _is_plain(self, X: Any) -> bool:
        """Return whether X is a CSR matrix of which nothing but the numbers in it has to be checked."""
        state = self.__dict__
        return (
            type(X) in CSR_TYPES
            and X.dtype in DATA_DTYPES
            and X.ndim == 2
            and state.get("n_features_in_") == X.shape[1]
            and X.shape[0] > 0
            and "feature_names_in_" not in state
            and "coef_" in state
        )

    def _coefficients(self) -> Any:
        return self.__dict__["coef_"]

    def _other_probabilities(self, n_classes: int) -> str | None:  # noqa: ARG002
        """Return why the model's probabilities are others than softmax or one sigmoid, if they are."""
        return None
