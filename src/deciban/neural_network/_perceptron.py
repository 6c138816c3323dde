"""MLPClassifier and MLPRegressor: scikit-learn's parameters, checks and attributes around native training."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from numbers import Real
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import sklearn
import sklearn.neural_network as parent
from sklearn.utils import check_consistent_length, check_random_state, compute_class_weight

from deciban._arrays import Array, check_sparse
from deciban._fallback import REPLACED, fall_back, methods, overrides
from deciban._kernels import posterior
from deciban._kernels.elementwise import log_expit
from deciban._lazy import unchanged_on_error
from deciban._predictions import Predictions
from deciban._sklearn import (
    Interval,
    StrOptions,
    Twin,
    available_if,
    check_sample_weight,
    fit_context,
    validate_data,
)
from deciban.neural_network._descent import Validation, batch_size, descend
from deciban.neural_network._predictions import Outputs
from deciban.neural_network._training import Model, minimise

_MORE_ACTIVATIONS = ("gelu", "leaky_relu", "softplus")  # than scikit-learn has
_LBFGS_ROWS = 1024  # samples whose part of the gradient is made at a time
# What scikit-learn's fit is made of, as ours stands for it.
_FIT_METHODS = (
    "_backprop", "_compute_loss_grad", "_fit_lbfgs", "_fit_stochastic", "_forward_pass", "_init_coef",
    "_loss_grad_lbfgs", "_score", "_update_no_improvement_count",
)  # fmt: skip


def _with_parameters(cls: Any, **defaults: Any) -> Callable[..., None]:
    """Return an ``__init__`` with the parameters of scikit-learn's class, of any version, and keywords of ours."""

    def initialise(self: Any, *args: Any, **kwargs: Any) -> None:
        own = {name: kwargs.pop(name, default) for name, default in defaults.items()}
        cls.__init__(self, *args, **kwargs)
        for name, value in own.items():
            setattr(self, name, value)

    signature = inspect.signature(cls.__init__)
    ours = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value) for name, value in defaults.items()]
    initialise.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *ours])  # type: ignore[attr-defined]
    return initialise


def _restoring(cls: Any) -> Any:
    """Return scikit-learn's ``partial_fit``, after which a failure leaves the estimator as it was before."""
    theirs = cls.partial_fit

    @functools.wraps(theirs)
    def partial_fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        with unchanged_on_error(self):
            return theirs(self, *args, **kwargs)

    return available_if(lambda estimator: estimator._check_solver())(partial_fit)


class _Perceptron(Outputs):
    """Mixin: fits by the kernels."""

    _fit_methods: dict[str, Any]
    _extras: tuple[str, ...]  # parameters that scikit-learn's class has not

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> Self:
        """Fit the model to samples and targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples; float32 is kept.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.
        validation_data : (X, y), default=None
            With ``early_stopping=True``, samples and targets to score after every epoch; ``fit`` then trains on all of
            X, and ``validation_fraction`` does not matter.

        Returns
        -------
        self : object
            Fitted; if the fit fails, as before.

        Raises
        ------
        ValueError
            For bad parameters or samples, and if the parameters become infinite or NaN.
        """
        with unchanged_on_error(self):
            return self._fit(X, y, sample_weight=sample_weight, validation_data=validation_data)

    def _fit(
        self, X: Any, y: Any, sample_weight: Any = None, incremental: bool = False, validation_data: Any = None
    ) -> Self:
        check_sparse(X)
        reason = self._reason_to_leave_it()
        if reason is not None:
            if self.__dict__.get("dropout") or self.__dict__.get("class_weight") or validation_data is not None:
                raise ValueError(f"scikit-learn has no dropout, class_weight and validation_data, but {reason}")
            fall_back(self, "partial_fit" if incremental else "fit", reason)
            weighted = {} if sample_weight is None else {"sample_weight": sample_weight}
            return super()._fit(X, y, incremental=incremental, **weighted)  # type: ignore[misc]
        sizes = self.hidden_layer_sizes  # type: ignore[attr-defined]
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        if np.any(np.array(sizes) <= 0):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        first_pass = "coefs_" not in self.__dict__ or (not self.warm_start and not incremental)  # type: ignore[attr-defined]
        X, y = self._validate_input(X, y, incremental, reset=first_pass)  # type: ignore[attr-defined]
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, X)
        if y.ndim == 1:
            y = y.reshape(-1, 1)
        stochastic = self.solver != "lbfgs"  # type: ignore[attr-defined]
        if not stochastic and self.dropout:  # type: ignore[attr-defined]
            raise ValueError("dropout is for the solvers 'sgd' and 'adam'")
        validation_data = self._checked_validation(validation_data, incremental, stochastic)
        self.n_outputs_ = y.shape[1]
        self._random_state = check_random_state(self.random_state)  # type: ignore[attr-defined]
        if first_pass:
            self._initialize(y, [X.shape[1], *sizes, self.n_outputs_], X.dtype)  # type: ignore[attr-defined]
        weights = self._weights(y, sample_weight, incremental)
        targets = y
        if self.out_activation_ == "softmax":  # type: ignore[attr-defined]
            targets = y.argmax(axis=1).astype(np.int32)

        if sp.issparse(X) and X.format != "csr":
            X = X.tocsr()
        if stochastic:
            early = self.early_stopping  # type: ignore[attr-defined]
            validation = Validation(self, X, y, weights, validation_data) if early else None
            n_train = len(y) if validation is None or validation.train is None else len(validation.train)
            model = Model(self, X.dtype, batch_size(self, n_train))
            descend(self, model, X, targets, weights, validation, incremental)
        else:
            model = Model(self, np.dtype(np.float64), min(_LBFGS_ROWS, len(y)))
            minimise(self, model, X, targets, weights)
            self._note_layout()
        if not all(np.isfinite(array).all() for array in [*self.coefs_, *self.intercepts_]):  # type: ignore[attr-defined]
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
                "preprocessed."
            )
        return self

    def _reason_to_leave_it(self) -> str | None:
        """Return why scikit-learn has to fit, if it has."""
        if overrides(self, self._fit_methods):
            return REPLACED
        if sklearn.get_config()["array_api_dispatch"]:
            return "array-API dispatch is on"
        return None

    def _checked_validation(self, given: Any, incremental: bool, stochastic: bool) -> Any:
        early = self.early_stopping and stochastic  # type: ignore[attr-defined]
        if early and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        if given is None:
            return None
        if not early:
            raise ValueError("validation_data is for early_stopping=True, with the solvers 'sgd' and 'adam'")
        if not isinstance(given, tuple) or len(given) != 2:
            raise ValueError(f"validation_data must be a tuple of samples and targets, got {type(given).__name__}")
        X = validate_data(self, given[0], accept_sparse="csr", reset=False)
        check_consistent_length(X, given[1])
        return X, np.asarray(given[1])

    def _weights(self, y: Array, sample_weight: Any, incremental: bool) -> Array | None:  # noqa: ARG002
        return sample_weight

    def _note_layout(self) -> None:
        """Note where scikit-learn's L-BFGS finds its parameters in a vector, for its own methods."""
        shapes = [coef.shape for coef in self.coefs_]  # type: ignore[attr-defined]
        ends = np.cumsum([0, *(n_in * n_out for n_in, n_out in shapes), *(n_out for _, n_out in shapes)]).tolist()
        n = len(shapes)
        self._coef_indptr = [(ends[i], ends[i + 1], shapes[i]) for i in range(n)]
        self._intercept_indptr = [(ends[n + i], ends[n + i + 1]) for i in range(n)]

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Self:
        """Convert scikit-learn's estimator of the same name, fitted or not.

        Parameters
        ----------
        estimator : object
            Of exactly the class that this one replaces.

        Returns
        -------
        twin : object
            With the same parameters and copies of the fitted attributes, which scikit-learn changes in place.

        Raises
        ------
        TypeError
            If the estimator is of another class.
        """
        return super().from_sklearn(copy.deepcopy(estimator))  # type: ignore[misc]

    def to_sklearn(self) -> Any:
        """Convert to scikit-learn's own estimator, fitted as this one is.

        Returns
        -------
        estimator : object
            Of scikit-learn's class of the same name, with those parameters that it has and copies of fitted attributes.

        Raises
        ------
        ValueError
            If scikit-learn has no such activation.
        """
        if self.activation in _MORE_ACTIVATIONS:  # type: ignore[attr-defined]
            raise ValueError(f"scikit-learn has no activation {self.activation!r}")  # type: ignore[attr-defined]
        estimator = copy.deepcopy(super().to_sklearn())  # type: ignore[misc]
        for name in self._extras:
            del estimator.__dict__[name]
        return estimator

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[misc]
        signature = inspect.signature(type(self).__init__)
        for name in self._extras:
            self.__dict__.setdefault(name, signature.parameters[name].default)


def _constraints(cls: Any, **more: Any) -> dict[str, Any]:
    known = cls._parameter_constraints
    activations = StrOptions({"identity", "logistic", "tanh", "relu", *_MORE_ACTIVATIONS})
    return {**known, "activation": [activations], "dropout": [Interval(Real, 0, 1, closed="left")], **more}


class MLPClassifier(_Perceptron, Predictions, Twin, parent.MLPClassifier):
    """Multi-layer perceptron that classifies: minimises the cross-entropy by Adam, gradient descent or L-BFGS.

    ``min mean_i v_i log(1 / P(y_i | x_i)) + alpha |coefs|^2 / (2 n)``, n the samples of a batch, with P the softmax
    (two classes, and multilabel: the logistic function) of the last of the layers ``a_{l+1} = f(a_l W_l + b_l)``.

    Parameters
    ----------
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, \
    shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, \
    validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun
        As in :class:`sklearn.neural_network.MLPClassifier`; so are the attributes. ``activation`` may also be
        "leaky_relu" (0.01 below zero), "softplus" or "gelu".
    dropout : float in [0, 1), default=0.0
        Probability of leaving a hidden unit out of a batch, with the solvers "adam" and "sgd".
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, by which those of their samples are multiplied; not for multilabel targets.

    Notes
    -----
    From the same ``random_state`` a fit follows scikit-learn's: the same initial coefficients, batches and steps, so
    that float64 parameters agree to rounding after many epochs. (float32 too, but Adam divides small gradients by
    themselves, and so enlarges what rounding does to them.) Float32 samples give float32 parameters, except with
    "lbfgs", which works in double precision as scikit-learn's does.

    Results are equal to the bit for any number of threads (``deciban.set_config(n_threads=...)``); they may differ in
    the last bits from one BLAS or processor to another. BLAS is held to one thread of its own during a fit and during
    predictions of more than 256 rows.

    With sparse samples, the first layer costs O(entries x units), forward and backward. The optimiser moves every
    parameter at every step, for the penalty ``alpha`` and for its moments; but the coefficients of a feature that a
    batch does not have are left until a batch has it, or the epoch ends, and then take all the steps they missed at
    once. The arithmetic is the same, to the bit; memory is read and written once for each batch that has the feature.
    With the solver "sgd", ``alpha=0`` and ``momentum=0`` only features with entries move, and the step costs no more
    than that. CSC is converted to CSR. Memory: a batch, the parameters, their moments, and a copy of the best so far
    for ``early_stopping``.

    With dense samples, zeros are skipped where a third or more are zero; so are those in hidden layers that "relu" or
    dropout make.

    Left to scikit-learn: array-API input, and subclasses that replace what a fit or a prediction is made of.

    References
    ----------
    D. P. Kingma, J. Ba, Adam: a method for stochastic optimization, ICLR 2015.
    N. Srivastava et al., Dropout, Journal of Machine Learning Research 15 (2014), 1929-1958.

    Examples
    --------
    >>> import numpy as np
    >>> from deciban.neural_network import MLPClassifier
    >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] * 50)
    >>> model = MLPClassifier(learning_rate_init=0.1, random_state=0).fit(X, X[:, 0] != X[:, 1])
    >>> model.predict([[0.0, 1.0], [1.0, 1.0]])
    array([ True, False])

    A rare class, given as much weight as the other; a fifth of the hidden units left out of every batch; and samples of
    one's own to say when to stop:

    >>> rng = np.random.default_rng(0)
    >>> y = rng.random(1200) < 0.1
    >>> X = rng.normal(size=(1200, 4)) + y[:, np.newaxis]
    >>> held = X[800:], y[800:]
    >>> model = MLPClassifier(early_stopping=True, dropout=0.2, learning_rate_init=0.01, random_state=0)
    >>> found = model.fit(X[:800], y[:800], validation_data=held).predict(X[800:])
    >>> model = model.set_params(class_weight="balanced").fit(X[:800], y[:800], validation_data=held)
    >>> bool(model.predict(X[800:]).sum() > 2 * found.sum()), len(model.validation_scores_) == model.n_iter_
    (True, True)
    """

    _extras = ("dropout", "class_weight")
    _parameter_constraints = _constraints(parent.MLPClassifier, class_weight=[StrOptions({"balanced"}), dict, None])
    partial_fit = _restoring(parent.MLPClassifier)
    __init__ = _with_parameters(parent.MLPClassifier, dropout=0.0, class_weight=None)

    def _weights(self, y: Array, sample_weight: Any, incremental: bool) -> Array | None:
        if self.class_weight is None:
            return sample_weight
        if self.out_activation_ != "softmax" and self.n_outputs_ > 1:
            raise ValueError("class_weight is not for multilabel targets")
        if incremental and isinstance(self.class_weight, str):
            raise ValueError("class_weight='balanced' needs all samples: give partial_fit's classes their weights")
        codes = y.argmax(axis=1) if y.shape[1] > 1 else y[:, 0].astype(np.intp)
        labels = self.classes_[codes]
        if isinstance(self.class_weight, str):
            present = np.unique(labels)
            of_class = np.zeros(len(self.classes_))
            of_class[np.searchsorted(self.classes_, present)] = compute_class_weight(
                self.class_weight, classes=present, y=labels
            )
        else:
            of_class = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_)
        weights = of_class[codes]
        return weights if sample_weight is None else weights * sample_weight

    def predict(self, X: Any) -> Array:
        """Return the most probable class, or classes, of every sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_classes)
            Labels out of ``classes_``, or for multilabel targets 0 or 1 for each.
        """
        found = self._outputs(X, None, "predict")
        if found is None:
            return super(Predictions, self).predict(X)  # that mixin's does not know of several labels a sample
        if self.out_activation_ == "softmax":
            return self.classes_[found.argmax(axis=1)]
        if self.n_outputs_ == 1:
            found = found.ravel()
            if len(self.classes_) == 2:
                return self.classes_[(found > 0.5).view(np.int8)]
        return self._label_binarizer.inverse_transform(found)

    def _answer(self, X: Any, answer: int, method: str) -> Array | None:
        """Return probabilities or their logarithms; None leaves it to scikit-learn."""
        if answer == posterior.LOG_POSTERIOR:
            return self._log_proba(X, method)
        found = self._outputs(X, None, method)
        if found is None or self.n_outputs_ != 1:
            return found
        p = np.empty((len(found), 2), found.dtype)
        np.subtract(1, found[:, 0], out=p[:, 0])
        p[:, 1] = found[:, 0]
        return p

    def _log_proba(self, X: Any, method: str) -> Array | None:
        softmax = self.__dict__.get("out_activation_") == "softmax"
        found = self._outputs(X, "log_softmax" if softmax else "identity", method)
        if found is None or softmax:
            return found
        if self.n_outputs_ != 1:
            p = self._outputs(X, None, method)
            # of a probability that rounds to 1 the logarithm is 0, so that both have their largest in one place
            return None if p is None else np.log(p, out=log_expit(found), where=found > 0)
        log_p = np.empty((len(found), 2), found.dtype)
        log_expit(-found[:, 0], out=log_p[:, 0])
        log_expit(found[:, 0], out=log_p[:, 1])
        return log_p


class MLPRegressor(_Perceptron, Twin, parent.MLPRegressor):
    """Multi-layer perceptron that predicts numbers: minimises the squared error or the Poisson deviance.

    ``min mean_i v_i (y_i - f(x_i))^2 / 2 + alpha |coefs|^2 / (2 n)``, n the samples of a batch.

    Parameters
    ----------
    loss, hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, \
    max_iter, shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, \
    validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun
        As in :class:`sklearn.neural_network.MLPRegressor` (where ``loss`` is since 1.7); so are the attributes.
        ``activation`` may also be "leaky_relu" (0.01 below zero), "softplus" or "gelu".
    dropout : float in [0, 1), default=0.0
        Probability of leaving a hidden unit out of a batch, with the solvers "adam" and "sgd".

    Notes
    -----
    As for :class:`MLPClassifier`.

    References
    ----------
    As for :class:`MLPClassifier`.

    Examples
    --------
    >>> import numpy as np
    >>> from deciban.neural_network import MLPRegressor
    >>> X = np.linspace(-1, 1, 200).reshape(-1, 1)
    >>> model = MLPRegressor(solver="lbfgs", random_state=0).fit(X, X[:, 0] ** 2)
    >>> bool(abs(model.predict([[0.5]])[0] - 0.25) < 0.02)
    True
    """

    _extras = ("dropout",)
    _parameter_constraints = _constraints(parent.MLPRegressor)
    partial_fit = _restoring(parent.MLPRegressor)
    __init__ = _with_parameters(parent.MLPRegressor, dropout=0.0)

    def predict(self, X: Any) -> Array:
        """Return the prediction of every sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predicted values.
        """
        found = self._outputs(X, None, "predict")
        if found is None:
            return super().predict(X)
        return found.ravel() if found.shape[1] == 1 else found


for _cls in (MLPClassifier, MLPRegressor):
    _cls._fit_methods = methods(_cls, *(name for name in _FIT_METHODS if hasattr(_cls, name)))
    _cls._forward_methods = methods(_cls, "_forward_pass", "_forward_pass_fast", "_predict")
