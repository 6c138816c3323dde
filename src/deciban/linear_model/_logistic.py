"""LogisticRegression and LogisticRegressionCV: scikit-learn's fit around a native solver, and native predictions."""

from __future__ import annotations

import inspect
import math
import warnings
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import sklearn
import sklearn.linear_model as parent
import sklearn.linear_model._logistic as theirs
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_consistent_length, compute_class_weight

from deciban._arrays import Array, check_sparse
from deciban._fallback import fall_back
from deciban._kernels import posterior
from deciban._lazy import unchanged_on_error
from deciban._parallel import blas_on_one_thread
from deciban._predictions import stand_for
from deciban._sklearn import Twin, check_sample_weight, fit_context, rebound
from deciban.linear_model._dual import ascend, suits
from deciban.linear_model._newton import Problem, is_singular, minimise
from deciban.linear_model._predictions import CoefficientsAttribute, LinearPredictions
from deciban.linear_model._proximal import minimise_sparse
from deciban.linear_model._reports import Reports
from deciban.linear_model._samples import DenseSamples, SparseSamples

# What scikit-learn says where its solvers stop early, solver by solver.
_STOPPED = {
    "lbfgs": "lbfgs failed to converge after {n} iteration(s) (status=1):\n",
    "newton-cg": "newton-cg failed to converge after {n} iteration(s). ",
    "newton-cholesky": "Newton solver did not converge after {n} iterations. ",
    "liblinear": "Liblinear failed to converge, increase the number of iterations. ",
    "sag": "The max_iter was reached which means the coef_ did not converge. ",
    "saga": "The max_iter was reached which means the coef_ did not converge. ",
}
_ADVICE = (
    "Increase the number of iterations to improve the convergence (max_iter={max_iter}).\n"
    "You might also want to scale the data as shown in:\n"
    "    https://scikit-learn.org/stable/modules/preprocessing.html\n"
    "Please also refer to the documentation for alternative solver options:\n"
    "    https://scikit-learn.org/stable/modules/linear_model.html#logistic-regression"
)

_SINGULAR = (
    "The Hessian matrix is singular or very ill-conditioned, so that solver='newton-cholesky' cannot divide by it. A "
    "method that does not takes over; other coefficients may fit as well as those that it finds.\n"
    "Possible remedies are removing collinear features of X or increasing the penalization strength."
)


def _warn_unless_converged(converged: bool, solver: str, n_iter: int, max_iter: int) -> None:
    if not converged:
        message = _STOPPED[solver].format(n=n_iter) + _ADVICE.format(max_iter=max_iter)
        warnings.warn(message, ConvergenceWarning, stacklevel=2)


def _path(
    X: Any,
    y: Any,
    *,
    classes: Any = None,
    pos_class: Any = None,
    Cs: Any = 10,
    fit_intercept: bool = True,
    max_iter: int = 100,
    tol: float = 1e-4,
    solver: str = "lbfgs",
    coef: Any = None,
    class_weight: Any = None,
    check_input: bool = True,
    sample_weight: Any = None,
    intercept_scaling: float = 1.0,
    penalty: str | None = "l2",
    l1_ratio: float | None = None,
    callback_ctx: Any = None,
    estimator: Any = None,
    **_ignored: Any,  # of other solvers, and how much to print
) -> tuple[Array, Array, Array]:
    """Return coefficients, Cs and iterations for a list of C, as scikit-learn's function of the (nearly) same name.

    The coefficients have shape (n_cs, n_features [+ 1]) for two classes, else (n_cs, n_classes, n_features [+ 1]).
    """
    if check_input:
        X = check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32])
        y = check_array(y, ensure_2d=False, dtype=None)
        check_consistent_length(X, y)
    classes = np.unique(y) if classes is None else np.asarray(classes)
    weights = np.ones(X.shape[0])
    if sample_weight is not None or class_weight is not None:
        weights = check_sample_weight(sample_weight, X, dtype=np.float64, copy=True)
        if class_weight is not None:
            known = {"sample_weight": sample_weight} if sample_weight is not None and _WEIGHS_CLASSES else {}
            of_class = compute_class_weight(class_weight, classes=classes, y=y, **known)
            weights *= of_class[np.searchsorted(classes, y)]
    if pos_class is not None or len(classes) == 2:
        codes, n_columns = (y == (classes[1] if pos_class is None else pos_class)).astype(np.int32), 1
    else:
        codes, n_columns = np.searchsorted(classes, y).astype(np.int32), len(classes)

    liblinear = solver == "liblinear"
    if liblinear and n_columns > 1:
        raise ValueError(
            "The 'liblinear' solver does not support multiclass classification (n_classes >= 3). Either use another "
            "solver or wrap the estimator in a OneVsRestClassifier to keep applying a one-versus-rest scheme."
        )

    share = {"l1": 1.0, "elasticnet": float(l1_ratio or 0.0)}.get(penalty or "l2", 0.0)
    samples = _samples(X, fit_intercept)
    shape = samples.n_features + fit_intercept, n_columns
    table = np.zeros(shape)
    if coef is not None and not liblinear:  # which starts from zero
        coef = np.asarray(coef, dtype=np.float64)
        if coef.shape != shape[::-1] and not (n_columns == 1 and coef.shape == shape[:1]):
            raise ValueError(f"Initialization coef is of shape {coef.shape}, expected shape {shape[::-1]}")
        table = np.ascontiguousarray(coef.reshape(shape[::-1]).T)
    Cs = np.logspace(-4, 4, Cs) if isinstance(Cs, (int, np.integer)) else np.asarray(Cs)
    tables, dtype = [], np.dtype(np.float64) if liblinear else X.dtype
    n_iter = np.zeros(len(Cs), dtype=np.int32)
    for i, C in enumerate(Cs):
        if liblinear and share == 0:
            table = np.zeros(shape)
        scaling = float(intercept_scaling) if liblinear else math.inf
        problem, l1 = _problem(samples, codes, weights, n_columns, float(C), share, scaling)
        name, left = solver, max_iter
        if solver == "newton-cholesky" and is_singular(problem, table):
            warnings.warn(_SINGULAR, LinAlgWarning, stacklevel=2)
            name, left = "lbfgs", max(0, max_iter - 1)  # as scikit-learn, which has tried once
        reports = None
        if callback_ctx is not None and solver == "lbfgs" and getattr(estimator, "_skl_callbacks", None):
            reports = Reports(callback_ctx, estimator, X, y, sample_weight, table, dtype)
        table, n_iter[i], converged = _solve(problem, table, l1, tol, left, reports)
        if reports is not None:
            reports.close(table)
        tables.append(table.astype(dtype, copy=False))
        _warn_unless_converged(converged, name, n_iter[i], max_iter)
    coefs = (tables[0][np.newaxis] if len(tables) == 1 else np.stack(tables)).transpose(0, 2, 1)
    return coefs[:, 0] if n_columns == 1 else coefs, Cs, n_iter


def _path_of_kind(X: Any, y: Any, **options: Any) -> tuple[Array, Array, Array]:
    """Return what :func:`_path` does, where ``multi_class`` may ask for two columns of two classes."""
    if options.get("multi_class") == "multinomial" and options.get("pos_class") is None and len(np.unique(y)) == 2:
        fall_back(LogisticRegression(), "fit", 'multi_class="multinomial" has two classes')
        return theirs._logistic_regression_path(X, y, **options)
    return _path(X, y, **options)


def _samples(X: Any, intercept: bool) -> DenseSamples | SparseSamples:
    if sp.issparse(X):
        return SparseSamples(X, bool(intercept))
    return DenseSamples(np.ascontiguousarray(X, dtype=X.dtype.newbyteorder("=")), bool(intercept))


def _problem(
    samples: DenseSamples | SparseSamples,
    codes: Array,
    weights: Array,
    n_columns: int,
    C: float,
    share: float,
    intercept_scaling: float,
) -> tuple[Problem, Array]:
    """Return the mean loss plus the penalty over C and the total weight, and the part of the penalty that is l1.

    The penalty is ``share * |coef|_1 + (1 - share) * |coef|^2 / 2``, and that of the intercept over its scaling.
    """
    total = float(weights.sum())
    strength = 1.0 / (C * total) if not math.isinf(C) and total > 0 else 0.0
    scale = np.ones(samples.n_features + samples.intercept)
    if samples.intercept:
        scale[-1] = 1.0 / intercept_scaling
    l1, l2 = share * strength * scale, (1.0 - share) * strength * scale**2
    return Problem(samples, codes, weights / (total or 1.0), l2[:, np.newaxis], n_columns), l1


def _solve(
    problem: Problem, table: Array, l1: Array, tol: float, max_iter: int, reports: Reports | None
) -> tuple[Array, int, bool]:
    """Minimise from ``table`` on; return coefficients, iterations and success."""
    # softmax does not see what all classes share; no share at all is what scikit-learn finds from zero
    free = (l1 == 0) & (problem.penalty[:, 0] == 0) if table.shape[1] > 1 else np.zeros(len(table), bool)

    def report(table: Array) -> None:
        assert reports is not None
        reports(_centred(table.copy(), free))

    told = None if reports is None else report
    with blas_on_one_thread():  # each of ours has a block of rows
        if l1.any():
            result = minimise_sparse(problem, table, l1, tol, max_iter)
        elif suits(problem):
            result = ascend(problem, table, tol, max_iter, told)
        else:
            result = minimise(problem, table, tol, max_iter, report=told)
    return _centred(result.table, free), result.n_iter, result.converged


def _centred(table: Array, free: Array) -> Array:
    """Take from the rows that are free what their columns share, in place."""
    if free.any():
        table[free] -= table[free].mean(axis=1, keepdims=True)
    return table


def _liblinear(
    X: Any,
    y: Any,
    C: float,
    fit_intercept: bool,
    intercept_scaling: float,
    class_weight: Any,
    penalty: str,
    dual: bool,
    verbose: Any,
    max_iter: int,
    tol: float,
    random_state: Any = None,
    sample_weight: Any = None,
) -> tuple[Array, Any, Array]:
    """Return coefficients, intercept and iterations of the problem with a penalised intercept, as scikit-learn's."""
    classes = np.unique(y)
    if len(classes) != 2:
        fall_back(LogisticRegression(), "fit", '"liblinear" has more than two classes')
        return theirs._fit_liblinear(
            X, y, C, fit_intercept, intercept_scaling, class_weight, penalty, dual, verbose, max_iter, tol,
            random_state, sample_weight=sample_weight,
        )  # fmt: skip
    coefs, _, n_iter = _path(
        X, y, classes=classes, Cs=[C], fit_intercept=fit_intercept, max_iter=max_iter, tol=tol, solver="liblinear",
        class_weight=class_weight, check_input=False, sample_weight=sample_weight, intercept_scaling=intercept_scaling,
        penalty=penalty,
    )  # fmt: skip
    n_features = X.shape[1]
    return coefs[:, :n_features], coefs[0, n_features:] if fit_intercept else 0.0, n_iter


def _threads(**options: Any) -> Any:
    """Return joblib's Parallel, on threads unless its user says otherwise: the solver releases the interpreter lock."""
    return theirs.Parallel(**{**options, "prefer": "threads"})


def _no_kernel(estimator: Any, sample_weight: Any) -> str | None:
    """Return why scikit-learn has to fit, if it has."""
    if sklearn.get_config()["array_api_dispatch"]:
        return "array-API dispatch is on"
    if estimator.dual:
        return "dual=True"
    weights = np.asarray(sample_weight)
    if weights.dtype.kind in "fi" and weights.min(initial=0) < 0:
        return "there are negative weights"
    return None


# Until scikit-learn 1.8 a parameter says what probabilities are.
_HAS_MULTI_CLASS = "multi_class" in inspect.signature(parent.LogisticRegression).parameters


class LogisticRegression(LinearPredictions, Twin, parent.LogisticRegression):
    """Linear classifier with the probabilities of a logistic (two classes) or softmax (more) model.

    ``min C sum_i v_i log(1 / P(y_i | x_i)) + r |coef|_1 + (1 - r) |coef|^2 / 2``, with ``P(y | x)`` the softmax of
    ``X @ coef_.T + intercept_`` and r the share of the l1 penalty, ``l1_ratio``

    Parameters
    ----------
    penalty, C, l1_ratio, dual, tol, fit_intercept, intercept_scaling, class_weight, random_state, solver, max_iter, \
    verbose, warm_start, n_jobs
        As in :class:`sklearn.linear_model.LogisticRegression`; so are the attributes. Whatever the solver is called,
        the method that suits the problem does the work (dual coordinate ascent, Newton's, with l1 a proximal one),
        ``n_iter_`` counts its passes and iterations, and ``tol`` bounds the gradient of the mean loss; "liblinear"
        means, as ever, a penalised intercept.

    Notes
    -----
    Native: dense and sparse samples, float64 and float32, with l1, l2 and elastic-net penalties or none, and all
    predictions. Left to scikit-learn: ``dual=True``, array-API input, negative weights, "liblinear" for more than two
    classes and ``multi_class="multinomial"`` for two (before scikit-learn 1.8), and subclasses that replace what a
    prediction is made of. Callbacks hear of the iterations of the method that does the work.

    References
    ----------
    C.-J. Lin, R. C. Weng, S. S. Keerthi, Trust region Newton method for large-scale logistic regression, Journal of
    Machine Learning Research 9 (2008), 627-650; G.-X. Yuan, C.-H. Ho, C.-J. Lin, An improved GLMNET for l1-regularized
    logistic regression, the same 13 (2012), 1999-2030.

    Examples
    --------
    >>> import numpy as np
    >>> from deciban.linear_model import LogisticRegression
    >>> X = np.array([[-1.0, 0.0], [-2.0, 1.0], [1.0, 0.0], [2.0, 1.0]])
    >>> LogisticRegression().fit(X, ["no", "no", "yes", "yes"]).predict([[0.5, 0.5]])
    array(['yes'], dtype='<U3')
    """

    coef_: Any = CoefficientsAttribute()
    intercept_: Any

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model to X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training samples.
        y : array-like of shape (n_samples,)
            Their labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample; None for ones.

        Returns
        -------
        self : object
            The fitted classifier.
        """
        with unchanged_on_error(self):
            check_sparse(X)
            reason = _no_kernel(self, sample_weight)
            if reason is not None:
                fall_back(self, "fit", reason)
                return super().fit(X, y, sample_weight=sample_weight)
            return _fit(self, X, y, sample_weight)

    if _HAS_MULTI_CLASS:

        def _few(self, X: Any, answer: int) -> Array | None:
            n_classes = len(self.__dict__.get("classes_", ()))
            if answer not in (posterior.JOINT, posterior.LARGEST) and self._other_probabilities(n_classes):
                return None
            return super()._few(X, answer)

    def _other_probabilities(self, n_classes: int) -> str | None:
        multi_class = self.__dict__.get("multi_class")  # until scikit-learn 1.8
        if n_classes <= 2:
            other = multi_class == "multinomial"
        else:
            other = multi_class is not None and (multi_class == "ovr" or self.solver == "liblinear")
        return f"multi_class={multi_class!r} makes other probabilities" if other else None

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "coef_" in state:
            self.coef_ = state["coef_"]


class LogisticRegressionCV(LogisticRegression, parent.LogisticRegressionCV):
    """Logistic regression that chooses its strength of penalty by cross-validation.

    Along the list of ``Cs`` each fit starts from the one before.

    Parameters
    ----------
    Cs, l1_ratios, fit_intercept, cv, dual, penalty, scoring, solver, tol, max_iter, class_weight, n_jobs, verbose, \
    refit, intercept_scaling, random_state, use_legacy_attributes
        As in :class:`sklearn.linear_model.LogisticRegressionCV`; so are the attributes.

    Notes
    -----
    Native and left to scikit-learn: as for :class:`LogisticRegression`. With ``n_jobs``, folds share
    the process's memory as threads.

    References
    ----------
    As for :class:`LogisticRegression`.

    Examples
    --------
    >>> import numpy as np
    >>> from deciban.linear_model import LogisticRegressionCV
    >>> import warnings
    >>> X = np.arange(20.0)[:, np.newaxis]
    >>> with warnings.catch_warnings():  # of defaults that scikit-learn is about to change
    ...     warnings.simplefilter("ignore", FutureWarning)
    ...     model = LogisticRegressionCV(cv=2).fit(X, X[:, 0] > 9)
    >>> model.predict([[3.0]])
    array([False])
    """

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> Self:
        """Fit the model to X and y for every fold and C, and then for the best C.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training samples.
        y : array-like of shape (n_samples,)
            Their labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample; None for ones.
        **params : dict
            Handed on to the splitter and the scorer.

        Returns
        -------
        self : object
            The fitted classifier.
        """
        with unchanged_on_error(self):
            check_sparse(X)
            reason = _no_kernel(self, sample_weight)
            if reason is not None:
                fall_back(self, "fit", reason)
                # past LogisticRegression.fit, which is no part of scikit-learn's fit of this class
                return super(LogisticRegression, self).fit(X, y, sample_weight=sample_weight, **params)
            return _fit_cv(self, X, y, sample_weight, **params)


# Since scikit-learn 1.7 "balanced" counts samples by their weights.
_WEIGHS_CLASSES = "sample_weight" in inspect.signature(compute_class_weight).parameters
_solver_path = _path_of_kind if _HAS_MULTI_CLASS else _path
_fit = rebound(parent.LogisticRegression.fit, _logistic_regression_path=_solver_path, _fit_liblinear=_liblinear)
_log_reg_scoring_path = rebound(
    theirs._log_reg_scoring_path, _logistic_regression_path=_solver_path, LogisticRegression=LogisticRegression
)
_log_reg_scoring_path.__module__ = __name__  # where a worker process finds it
_fit_cv = rebound(
    parent.LogisticRegressionCV.fit,
    _logistic_regression_path=_solver_path,
    _log_reg_scoring_path=_log_reg_scoring_path,
    Parallel=_threads,
)

for _model in (LogisticRegression, LogisticRegressionCV):
    _parts = "decision_function", "_predict_proba_lr"
    stand_for(_model, (), (*_parts, "predict_proba"), _parts, ("decision_function",))
