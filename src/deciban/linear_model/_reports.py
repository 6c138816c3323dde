"""What the callbacks of an estimator hear of its iterations (scikit-learn's, since 1.9)."""

from __future__ import annotations

from typing import Any

import numpy as np

from deciban._arrays import Array


class Reports:
    """One task for each iteration, with a model as it would be if ``fit`` stopped there, and one that is left empty.

    The empty one, and an iteration also where nothing was left to do, are in scikit-learn's account of L-BFGS, by
    which callbacks know how many tasks there are.

    Parameters
    ----------
    context : sklearn.callback.CallbackContext
        Of the fit.
    estimator : LogisticRegression
    X, y : array-like or sparse matrix
        What it is fitted to.
    sample_weight : ndarray of shape (n_samples,) or None
    table : ndarray of shape (n_features [+ 1 for the intercept], n_columns)
        Where the first iteration starts.
    dtype : dtype
        Of the coefficients.
    """

    def __init__(
        self, context: Any, estimator: Any, X: Any, y: Any, sample_weight: Any, table: Array, dtype: np.dtype[Any]
    ) -> None:
        self._context, self._estimator, self._dtype = context, estimator, dtype
        self._data = {"X": X, "y": y, "metadata": None if sample_weight is None else {"sample_weight": sample_weight}}
        self._n_iter = 0
        self._begin(table)

    def __call__(self, table: Array) -> None:
        """Tell of the end of an iteration, and its coefficients, and that another one may begin."""
        self._n_iter += 1
        self._task.call_on_fit_task_end(
            estimator=self._estimator, **self._data, reconstruction_attributes=self._fitted(table)
        )
        self._begin(table)

    def close(self, table: Array) -> None:
        """Tell of the end of the last task."""
        if self._n_iter == 0:
            self(table)
        self._task.call_on_fit_task_end(estimator=self._estimator, **self._data)

    def _begin(self, table: Array) -> None:
        self._task = self._context.subcontext(task_name="iter")
        self._task.call_on_fit_task_begin(
            estimator=self._estimator, **self._data, reconstruction_attributes=self._fitted(table)
        )

    def _fitted(self, table: Array) -> dict[str, Array]:
        coef = table.T.astype(self._dtype)
        if not self._estimator.fit_intercept:
            return {"coef_": coef, "intercept_": np.zeros(len(coef), self._dtype)}
        return {"coef_": coef[:, :-1], "intercept_": coef[:, -1]}
