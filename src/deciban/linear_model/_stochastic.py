"""SGDClassifier: scikit-learn's fit and partial_fit around native epochs, and native predictions."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Self

import joblib
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import sklearn
import sklearn.linear_model as parent
from sklearn.utils import check_random_state

from deciban._arrays import CSR_TYPES, Array, check_sparse, feature_major
from deciban._fallback import fall_back, overrides
from deciban._kernels import csr, posterior, stochastic
from deciban._lazy import LazyAttribute, unchanged_on_error
from deciban._predictions import few_rows, stand_for
from deciban._rows import answer_sparse, finish, share_rows, sigmoids
from deciban._sklearn import Twin, available_if
from deciban.linear_model._descent import (
    Rows,
    Stopping,
    Targets,
    dense_rows,
    descend,
    new_state,
    sparse_rows,
)
from deciban.linear_model._predictions import LinearPredictions
from deciban.linear_model._weights import Coefficients, Weights
from deciban.special import expit, log_expit, log_softmax

_MAX_SEED = np.iinfo(np.int32).max
_NOBODY = np.empty(0, np.uint8)
_NARROW = np.iinfo(np.int32).max
_SPARSE_INTERCEPT_DECAY = 0.01  # as scikit-learn: intercepts of sparse rows learn slowly, lest they swing
_PARAMETERS = tuple(inspect.signature(parent.SGDClassifier).parameters)
_COMPARABLE = ({"i"}, {"u"}, {"b"}, {"i", "u"}, {"U"})
_HAS_PASSIVE_AGGRESSIVE = "pa1" in str(parent.SGDClassifier._parameter_constraints["learning_rate"][0])
# Since scikit-learn 1.8 the penalty counts among what has to improve, and passive-aggressive steps are public.
_OBJECTIVE = 2 if _HAS_PASSIVE_AGGRESSIVE else 1


class SGDClassifier(LinearPredictions, Twin, parent.SGDClassifier):
    """Linear classifiers (logistic regression, SVM, ...) learned one sample at a time.

    Takes the same steps in the same order as scikit-learn's class with the same ``random_state``: coefficients agree
    to rounding.

    Parameters
    ----------
    loss, penalty, alpha, l1_ratio, fit_intercept, max_iter, tol, shuffle, verbose, epsilon, n_jobs, random_state, \
    learning_rate, eta0, power_t, early_stopping, validation_fraction, n_iter_no_change, class_weight, warm_start, \
    average
        As in :class:`sklearn.linear_model.SGDClassifier`; so are the attributes. ``n_jobs`` is a number of threads;
        None asks :func:`deciban.set_config`.

    Notes
    -----
    Native: every loss, penalty and learning rate, dense and sparse samples, float64 and float32, and all predictions.
    :meth:`partial_fit` costs O(entries) whatever the number of features: ``coef_`` is multiplied out when somebody
    looks. Left to scikit-learn: ``verbose``, and, before scikit-learn 1.8, passive-aggressive learning rates.

    With ``average``, several calls of :meth:`partial_fit` treat the intercept as scikit-learn does: each starts from
    that of an earlier call.

    References
    ----------
    L. Bottou, Stochastic gradient descent tricks, in Neural Networks: Tricks of the Trade (2012), 421-436.

    Examples
    --------
    >>> import numpy as np
    >>> from deciban.linear_model import SGDClassifier
    >>> X = np.array([[-1.0, 0.0], [-2.0, 1.0], [1.0, 0.0], [2.0, 1.0]])
    >>> SGDClassifier(loss="log_loss", random_state=0).fit(X, ["no", "no", "yes", "yes"]).predict([[0.5, 0.5]])
    array(['yes'], dtype='<U3')
    """

    coef_: Any = LazyAttribute()
    _standard_coef: Any = LazyAttribute()
    _average_coef: Any = LazyAttribute()
    intercept_: Any

    def fit(self, X: Any, y: Any, coef_init: Any = None, intercept_init: Any = None, sample_weight: Any = None) -> Self:
        """Fit the model to X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training samples.
        y : array-like of shape (n_samples,)
            Their labels.
        coef_init : ndarray of shape (n_classes, n_features), default=None
            Coefficients to start from.
        intercept_init : ndarray of shape (n_classes,), default=None
            Intercepts to start from.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample; None for ones.

        Returns
        -------
        self : object
            The fitted classifier.
        """
        with unchanged_on_error(self):
            check_sparse(X)
            super().fit(_narrow(X), y, coef_init=coef_init, intercept_init=intercept_init, sample_weight=sample_weight)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Take one step for each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training samples.
        y : array-like of shape (n_samples,)
            Their labels.
        classes : array-like of shape (n_classes,), default=None
            All labels there will ever be; needed at the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample; None for ones.

        Returns
        -------
        self : object
            The classifier.
        """
        with unchanged_on_error(self):
            if sample_weight is not None or not self._learn_more(X, y, classes):
                check_sparse(X)
                super().partial_fit(_narrow(X), y, classes=classes, sample_weight=sample_weight)
                holder = self.__dict__["coef_"]
                if isinstance(holder, Coefficients):
                    holder.weights.parameters = self._parameters()
        return self

    # The parts of scikit-learn's fit and partial_fit that allocate and learn.

    def _allocate_parameter_mem(self, n_classes: int, n_features: int, input_dtype: Any, **options: Any) -> None:
        super()._allocate_parameter_mem(n_classes, n_features, input_dtype, **options)
        if self._no_kernel() is None:
            averaged = self.average > 0
            if options.get("coef_init") is None:
                weights = Weights.zeros(n_features, n_classes if n_classes > 2 else 1, input_dtype, averaged)
            else:
                weights = Weights.of(self.coef_, self._average_coef if averaged else None)
            self._show(weights, shows_average=False)
            self.intercept_ = self.intercept_.copy()
            if averaged:
                self._standard_intercept = self.intercept_

    def _fit_multiclass(self, X: Any, y: Any, *, sample_weight: Array, max_iter: int, **options: Any) -> None:
        reason = self._no_kernel()
        if reason is not None:
            self._hand_over(reason)
            super()._fit_multiclass(X, y, sample_weight=sample_weight, max_iter=max_iter, **options)
            return
        held_out = self._make_validation_split(y, sample_mask=sample_weight > 0)
        seeds = _draw_seeds(check_random_state(self.random_state), len(self.classes_))
        self._learn(X, y, sample_weight, max_iter, held_out, seeds)

    def _fit_binary(self, X: Any, y: Any, *, sample_weight: Array, max_iter: int, **options: Any) -> None:
        reason = self._no_kernel()
        if reason is not None:
            self._hand_over(reason)
            super()._fit_binary(X, y, sample_weight=sample_weight, max_iter=max_iter, **options)
            return
        random_state = check_random_state(self.random_state)
        random_state.randint(1, _MAX_SEED)  # which scikit-learn draws and has no use for
        signs = np.where(y == self.classes_[1], 1.0, self._other_label())  # what an error says the classes are
        held_out = self._make_validation_split(signs, sample_mask=sample_weight > 0)
        self._learn(X, y, sample_weight, max_iter, held_out, np.array([random_state.randint(_MAX_SEED)], np.uint32))

    def _no_kernel(self) -> str | None:
        """Return why scikit-learn has to fit, if it has."""
        if self.verbose:
            return "verbose output is of its loop"
        if self.learning_rate in ("pa1", "pa2") and not _HAS_PASSIVE_AGGRESSIVE:
            return f"learning_rate={self.learning_rate!r}"
        return None

    def _hand_over(self, reason: str) -> None:
        fall_back(self, "fit", reason)
        for name in ("coef_", "_standard_coef", "_average_coef"):
            coef = self.__dict__.get(name)
            if isinstance(coef, Coefficients) or (isinstance(coef, np.ndarray) and not coef.flags.c_contiguous):
                setattr(self, name, np.array(getattr(self, name), order="C"))

    def _show(self, weights: Weights, shows_average: bool) -> None:
        """Let the attributes show the weights."""
        self.coef_ = Coefficients(weights, shows_average)
        if self.average > 0:
            self._standard_coef = Coefficients(weights, averaged=False)
            self._average_coef = Coefficients(weights, averaged=True)

    def _weights(self) -> Weights:
        """Return the weights to go on with."""
        averaged = self.average > 0
        holder = self.__dict__.get("_standard_coef" if averaged else "coef_")
        if (
            isinstance(holder, Coefficients)
            and not holder.averaged
            and (holder.weights.parts.averages is not None) == averaged
        ):
            return holder.weights
        if sp.issparse(self.coef_):
            raise ValueError("coef_ is sparse; densify() it before more is learned")
        if averaged:
            return Weights.of(self._standard_coef, self._average_coef)
        return Weights.of(self.coef_, None)

    def _rule(self, sparse: bool, objective: int) -> stochastic.Descent:
        penalty, ratio = self.penalty, self.l1_ratio
        return stochastic.Descent(
            self.loss,
            self.learning_rate,
            float(self.alpha),
            {"l2": 0.0, "l1": 1.0}.get(penalty, 0.0 if ratio is None else float(ratio)),
            penalty in ("l2", "elasticnet"),
            penalty in ("l1", "elasticnet"),
            float(self.eta0),
            float(self.power_t),
            float(self.epsilon),
            bool(self.fit_intercept),
            _SPARSE_INTERCEPT_DECAY if sparse else 1.0,
            float(self.average),
            objective,
        )

    def _learn(
        self, X: Any, y: Array, sample_weight: Array, max_iter: int, held_out: Array, seeds: npt.NDArray[np.uint32]
    ) -> None:
        weights, classes = self._weights(), self.classes_
        dtype = weights.parts.table.dtype
        if X.dtype != dtype:
            X = X.astype(dtype)
        rows = sparse_rows(X, weights.places) if sp.issparse(X) else dense_rows(np.ascontiguousarray(X))
        binary = len(classes) == 2
        class_weight = self._expanded_class_weight
        targets = Targets(
            _codes(y, classes),
            1 if binary else 0,
            np.ascontiguousarray(class_weight[1:] if binary else class_weight, dtype=np.float64),
            float(class_weight[0]) if binary else 1.0,
            np.ascontiguousarray(sample_weight, dtype=dtype),
            held_out.view(np.uint8) if held_out.any() else _NOBODY,
            len(y) - int(held_out.sum()),
        )
        stopping = Stopping(
            max_iter,
            -math.inf if self.tol is None else float(self.tol),
            int(self.n_iter_no_change),
            self.learning_rate == "adaptive",
            self._scorer(rows, targets, held_out) if self.early_stopping and max_iter > 1 else None,
        )
        self._advance(X, rows, weights, targets, stopping, seeds if self.shuffle else None)

    def _advance(self, X: Any, rows: Rows, weights: Weights, targets: Targets, stopping: Stopping, seeds: Any) -> None:
        """Learn from rows, and set what is fitted."""
        measured = stopping.max_iter > 1 and stopping.score is None
        penalised = self.penalty is not None and self.learning_rate not in ("pa1", "pa2")
        rule = self._rule(sp.issparse(X), (_OBJECTIVE if penalised else 1) if measured else 0)
        state = new_state(weights.parts, self.t_, self.eta0)
        averaged = self.average > 0
        state[:, stochastic.INTERCEPT] = self._standard_intercept if averaged else self.intercept_
        if averaged:
            state[:, stochastic.AVERAGE_INTERCEPT] = self._average_intercept
        if measured and not weights.fresh:
            table = weights.parts.table  # of a warm start
            state[:, stochastic.SQUARES] = np.einsum("fk,fk->k", table, table)
            state[:, stochastic.MAGNITUDES] = np.abs(table).sum(axis=0)
        truncates = self.penalty in ("l1", "elasticnet")
        n_threads = None if self.n_jobs is None else int(joblib.effective_n_jobs(self.n_jobs))
        n_iter = max(descend(rows, weights, state, rule, targets, seeds, stopping, truncates, n_threads))
        if truncates and averaged:
            weights.settled()  # as scikit-learn: what truncation takes away is not taken from averages of earlier calls
        self._finish(weights, state, n_iter, len(targets.codes))

    def _finish(self, weights: Weights, state: Array, n_iter: int, n_rows: int) -> None:
        intercept, averaged, binary = state[:, stochastic.INTERCEPT].copy(), self.average > 0, len(state) == 1
        if averaged:
            self._average_intercept[:] = state[:, stochastic.AVERAGE_INTERCEPT]
        if not binary:
            self.intercept_[:] = intercept
        self.t_ += n_iter * n_rows
        self.n_iter_ = n_iter
        shows_average = averaged and self.average <= self.t_ - 1
        if shows_average:
            self.intercept_ = self._average_intercept
        elif averaged:
            self._standard_intercept = intercept if binary else self.intercept_
            self.intercept_ = self._standard_intercept
        elif binary:
            self.intercept_ = intercept
        self._show(weights, shows_average)

    def _other_label(self) -> float:
        """Return what scikit-learn calls the label of rows of another class."""
        return 0.0 if self.loss == "log_loss" else -1.0

    def _scorer(self, rows: Rows, targets: Targets, held_out: Array) -> Any:
        """Return a function of a column that returns one of its weights and intercept: accuracy on the rows held out.

        As scikit-learn measures it: with weights without their scale, and predictions -1 and 1 even where it calls
        the labels 0 and 1, which it does for the log loss.
        """
        X, other = rows.matrix(), self._other_label()
        assert targets.sample_weight is not None
        weight_of, signs = targets.sample_weight, np.array([-1.0, 1.0], X.dtype)

        def of_column(column: int) -> Callable[[Array, float], float]:
            y = np.where(targets.codes == targets.first_label + column, 1.0, other).astype(X.dtype)
            held = self._make_validation_score_cb(held_out, X, y, weight_of, classes=signs)

            def score(weights: Array, intercept: float) -> float:
                predicted = signs[(held.X_val @ weights + intercept > 0).astype(np.intp)]
                return float(np.average(predicted == held.y_val, weights=held.sample_weight_val))

            return score

        return of_column

    # partial_fit again, with the same parameters and samples of the same kind: nothing to check but the samples.

    def _parameters(self) -> tuple[Any, ...]:
        state = self.__dict__
        return tuple([state[name] for name in _PARAMETERS])

    def _learn_more(self, X: Any, y: Any, classes: Any) -> bool:
        """Learn from plain samples; return False, with nothing done, where scikit-learn has to look at them first."""
        state = self.__dict__
        holder = state.get("_standard_coef" if state["average"] else "coef_")
        if not isinstance(holder, Coefficients) or holder.weights.parameters != self._parameters():
            return False
        weights, known, table = holder.weights, state["classes_"], holder.weights.parts.table
        sparse = type(X) in CSR_TYPES
        if type(y) is list:
            y = np.asarray(y)
        if not (
            type(y) is np.ndarray
            and (sparse or (type(X) is np.ndarray and X.flags.c_contiguous and X.dtype.isnative))
            and X.dtype == table.dtype
            and X.ndim == 2
            and X.shape[0] > 0
            and X.shape[1] == len(table) == state["n_features_in_"]
            and y.shape == X.shape[:1]
            and {y.dtype.kind, known.dtype.kind} in _COMPARABLE
            and (classes is None or np.array_equal(classes, known))
            and "feature_names_in_" not in state
            and state["class_weight"] is None
            and self._no_kernel() is None
            and not sklearn.get_config()["array_api_dispatch"]
        ):
            return False
        codes = _codes(y, known)
        if codes.min() < 0:
            return False
        rows = sparse_rows(X, weights.places) if sparse else dense_rows(X)
        if not csr.all_finite(rows.data, 0, len(rows.data)):
            return False
        binary = len(known) == 2
        n_columns, n_rows = table.shape[1], X.shape[0]
        targets = Targets(codes, 1 if binary else 0, np.ones(n_columns), 1.0, None, _NOBODY, n_rows)
        random_state, seeds = self.random_state, None
        if not isinstance(random_state, int):
            seeds = _draw_seeds(check_random_state(random_state), n_columns)
        elif n_rows > 1:
            seeds = _same_seeds(random_state, n_columns)
        stopping = Stopping(1, -math.inf, 1, False, None)
        self._advance(X, rows, weights, targets, stopping, seeds if self.shuffle else None)
        return True

    # Predictions.

    @available_if(parent.SGDClassifier._check_proba)
    def predict_proba(self, X: Any) -> Array:
        """Return probability estimates; of three classes or more, those of each against the rest, normalised.

        Only for ``loss="log_loss"`` and ``"modified_huber"``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        T : ndarray of shape (n_samples, n_classes)
            One column for each class of ``classes_``.
        """
        if self.loss == "log_loss":
            p = self._few(X, posterior.SHARES)
            if p is not None:
                return p
        scores = self._scores(X, posterior.POSTERIOR, "predict_proba")
        if scores is None:
            return super().predict_proba(X)
        if self.loss == "modified_huber":
            return _clipped(scores)
        if scores.shape[1] == 1:
            return sigmoids(np.asarray(scores[:, 0], np.float64), log=False).astype(scores.dtype, copy=False)
        p = share_rows(np.asarray(scores, np.float64)).astype(scores.dtype, copy=False)
        if scores.dtype == np.float32:  # where all are 0 in that precision, none is more than the others
            p[(expit(scores) == 0).all(axis=1)] = 1 / scores.shape[1]
        return p

    @available_if(parent.SGDClassifier._check_proba)
    def predict_log_proba(self, X: Any) -> Array:
        """Return log-probability estimates, as :meth:`predict_proba`; finite for the log loss.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        T : ndarray of shape (n_samples, n_classes)
            One column for each class of ``classes_``.
        """
        # available_if makes a new function at every look, so overrides() cannot tell
        owner = next(cls for cls in type(self).__mro__ if "predict_proba" in vars(cls))
        if self.loss == "modified_huber" or owner is not SGDClassifier:
            return np.log(self.predict_proba(X))
        scores = self._scores(X, posterior.LOG_POSTERIOR, "predict_log_proba")
        if scores is None:
            return super().predict_log_proba(X)
        if scores.shape[1] == 1:
            return sigmoids(np.asarray(scores[:, 0], np.float64), log=True).astype(scores.dtype, copy=False)
        log_p = log_softmax(log_expit(scores), axis=1)
        log_p[(expit(scores) == 0).all(axis=1)] = -math.log(scores.shape[1])
        return log_p

    def _scores(self, X: Any, answer: int, method: str) -> Array | None:
        """Return the scores that an answer is made of; None leaves the answer to scikit-learn."""
        if self._replaced(answer, method):
            return None
        scores = self._few(X, posterior.JOINT)
        return self._answer(X, posterior.JOINT, method) if scores is None else scores

    def _few(self, X: Any, answer: int) -> Array | None:
        state = self.__dict__
        holder = state.get("coef_")
        if not isinstance(holder, Coefficients):
            return super()._few(X, answer)
        if "feature_names_in_" in state or overrides(self, self._made_of[answer]):
            return None
        weights, averaged, intercept, n_features = holder.weights, holder.averaged, self.intercept_, self.n_features_in_
        n_classes = len(self.classes_)
        n_columns = n_classes if n_classes > 2 else 1
        table, averages, scale, mix, share = parts = weights.parts
        if weights.is_settled() and weights.parts is parts:  # no other thread has replaced them
            shown = averages if averaged else table
            return few_rows(X, n_features, n_columns, shown, intercept, True, False, 0.0, answer)
        if table.dtype != np.float64:
            return None
        # not multiplied out before somebody looks
        zero = np.zeros(n_columns)
        scores = few_rows(X, n_features, n_columns, table, zero, True, False, 0.0, posterior.JOINT)
        if scores is None:
            return None
        if averaged:
            more = few_rows(X, n_features, n_columns, averages, zero, True, False, 0.0, posterior.JOINT)
            if more is None:
                return None
            scores = (more + mix * scores) / share
        else:
            scores *= scale
        scores += intercept
        if answer == posterior.LARGEST:
            return scores.argmax(axis=1) if n_columns > 1 else (scores[:, 0] > 0).astype(np.intp)
        return scores if answer == posterior.JOINT else None

    def _any(self, X: Any, answer: int, method: str) -> Array | None:
        found = self._answer_unsettled(X, answer)
        return super()._any(X, answer, method) if found is None else found

    def _answer_unsettled(self, X: Any, answer: int) -> Array | None:
        """Return scores or classes under weights not multiplied out; None, for another try, if anything is unusual."""
        holder = self.__dict__.get("coef_")
        if not isinstance(holder, Coefficients) or holder.weights.is_settled():
            return None
        table, averages, scale, mix, share = holder.weights.parts
        if not (self._is_plain(X) and X.shape[1] == len(table) and table.dtype == np.float64):
            return None
        zero = np.zeros(len(scale))
        scores, trouble = answer_sparse(X, table, zero, posterior.JOINT)
        if holder.averaged:
            assert averages is not None
            averaged, more_trouble = answer_sparse(X, averages, zero, posterior.JOINT)
            scores, trouble = (averaged + mix * scores) / share, trouble | more_trouble
        else:
            scores *= scale
        scores += self.intercept_
        if trouble or not np.isfinite(scores).all():
            return None
        if answer == posterior.LARGEST and len(scale) == 1:
            return (scores[:, 0] > 0).astype(np.intp)
        return finish(scores, answer)[0]

    def _coefficients(self) -> Any:
        holder = self.__dict__["coef_"]
        return holder.weights.peek(holder.averaged) if isinstance(holder, Coefficients) else holder

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "coef_" in state:
            self.coef_ = feature_major(state["coef_"])  # as predictions read it

    def __getstate__(self) -> dict[str, Any]:
        # scikit-learn's loops want the weights of a class side by side
        state = super().__getstate__()
        for name in ("coef_", "_standard_coef", "_average_coef"):
            if isinstance(state.get(name), np.ndarray):
                state[name] = np.ascontiguousarray(state[name])
        return state


_parts = "decision_function", "_predict_proba_lr"
stand_for(SGDClassifier, (), _parts, _parts, ("decision_function",))


def _clipped(scores: Array) -> Array:
    """Return the probabilities of the modified Huber loss: scores clipped to [-1, 1], moved to [0, 1], normalised."""
    p = (np.clip(scores, -1.0, 1.0) + 1.0) / 2.0
    if p.shape[1] > 1:
        return _shares(p)
    p = p.astype(np.float64)  # of two classes scikit-learn's are double whatever the scores are
    return np.hstack([1.0 - p, p])


def _shares(p: Array) -> Array:
    """Divide rows by their sums, in place; where no class has any share, all have the same."""
    total = p.sum(axis=1, keepdims=True)
    nobody = total[:, 0] == 0
    if nobody.any():
        p[nobody], total[nobody] = 1.0, p.shape[1]
    p /= total
    return p


def _draw_seeds(random_state: np.random.RandomState, n_columns: int) -> npt.NDArray[np.uint32]:
    """Draw what scikit-learn shuffles the rows with: for one column, out of the generator itself."""
    if n_columns == 1:
        random_state.randint(1, _MAX_SEED)  # which scikit-learn has no use for
        return np.array([random_state.randint(_MAX_SEED)], np.uint32)
    seeds = np.empty(n_columns, np.uint32)
    stochastic.shuffle_seeds(random_state.randint(_MAX_SEED, size=n_columns).astype(np.int64), seeds)
    return seeds


@lru_cache(maxsize=16)
def _same_seeds(random_state: int, n_columns: int) -> npt.NDArray[np.uint32]:
    """Return the seeds that an integer stands for at every call: making NumPy's generator of it takes 50 us."""
    return _draw_seeds(np.random.RandomState(random_state), n_columns)


def _narrow(X: Any) -> Any:
    """Return a sparse matrix with indices of 32 bits where they are wider than they need to be."""
    if type(X) in CSR_TYPES and X.indices.dtype.itemsize > 4 and max(*X.shape, len(X.data)) <= _NARROW:
        return type(X)((X.data, X.indices.astype(np.int32), X.indptr.astype(np.int32)), shape=X.shape)
    return X


def _codes(y: Array, classes: Array) -> npt.NDArray[np.int32]:
    """Return each label's index among sorted classes, -1 where it is none of them."""
    codes = np.searchsorted(classes, y)
    codes[codes == len(classes)] = 0
    codes[classes[codes] != y] = -1
    return codes.astype(np.int32)
