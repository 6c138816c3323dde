"""What touches scikit-learn below its public interface, in one place.

Tried on scikit-learn 1.6 to 1.9. Everything else in the package uses scikit-learn's public names only.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import warnings
from collections.abc import Callable
from typing import Any, Self, TypeVar

import scipy.sparse as sp
import sklearn
from sklearn.base import _fit_context
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.utils import ClassifierTags as _ClassifierTags
from sklearn.utils import fixes
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if as _available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call as check_partial_fit_first_call
from sklearn.utils.optimize import _check_optimize_result as check_optimize_result
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import validate_data

from deciban._lazy import plain_state

__all__ = [
    "Interval",
    "StrOptions",
    "Twin",
    "available_if",
    "check_optimize_result",
    "check_partial_fit_first_call",
    "check_sample_weight",
    "csr_container",
    "csr_container_for",
    "fit_context",
    "lbfgs_print_options",
    "make_optimizer",
    "rebound",
    "validate_data",
]


_Method = TypeVar("_Method", bound=Callable[..., Any])

available_if: Callable[..., Callable[[_Method], _Method]] = _available_if
fit_context: Callable[..., Callable[[_Method], _Method]] = _fit_context


def csr_container() -> type[Any]:
    """Return the CSR class that scikit-learn's configuration asks transformers for (an option since 1.9)."""
    return sp.csr_array if sklearn.get_config().get("sparse_interface") == "sparray" else sp.csr_matrix


def csr_container_for(X: Any) -> type[Any]:
    """Return the CSR class of a transformer's result for X: before 1.9 a sparse array stayed one."""
    keeps = isinstance(X, sp.csr_array) and "sparse_interface" not in sklearn.get_config()
    return sp.csr_array if keeps else csr_container()


def lbfgs_print_options(verbose: Any) -> dict[str, Any]:
    """Return the options of SciPy's L-BFGS-B that say how much it prints, if it still has any (until SciPy 1.15)."""
    iprint = 1 if verbose is True or verbose >= 1 else -1
    options = getattr(fixes, "_get_additional_lbfgs_options_dict", lambda name, value: {name: value})
    return dict(options("iprint", iprint))


def make_optimizer(estimator: Any) -> Any:
    """Return scikit-learn's stochastic optimiser of a perceptron, before its first step and without its moments."""
    # not at the top: while patched, this import would ask for the module that is importing this one
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

    rate = estimator.learning_rate_init
    if estimator.solver == "adam":
        return AdamOptimizer([], rate, estimator.beta_1, estimator.beta_2, estimator.epsilon)
    return SGDOptimizer(
        [], rate, estimator.learning_rate, estimator.momentum, estimator.nesterovs_momentum, estimator.power_t
    )


def rebound(function: Any, **names: Any) -> Any:
    """Return a copy of one of scikit-learn's functions that finds other things under some of its module's names.

    So a solver can be put into ``fit``, which keeps scikit-learn's checks, warnings and attributes, whatever its
    version, while scikit-learn's own module stays as it is.

    Parameters
    ----------
    function : callable
        Of Python, maybe decorated.
    **names : object
        What the copy finds instead.
    """
    plain = inspect.unwrap(function)
    missing = names.keys() - plain.__globals__.keys()
    if missing:
        raise TypeError(f"{plain.__module__} has no {sorted(missing)}")
    own = {**plain.__globals__, **names}
    twin = types.FunctionType(plain.__code__, own, plain.__name__, plain.__defaults__, plain.__closure__)
    twin.__kwdefaults__ = plain.__kwdefaults__
    return twin


class ClassifierTags(_ClassifierTags):
    """scikit-learn's, but quick to copy: its Pipeline does that at every prediction, which takes ``deepcopy`` 6 us."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict[int, Any]) -> ClassifierTags:
        return ClassifierTags(*[getattr(self, name) for name in _TAGS])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _ClassifierTags):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _TAGS)


_TAGS = tuple(field.name for field in dataclasses.fields(_ClassifierTags))


class Twin:
    """Mixin of an estimator that replaces the scikit-learn class it inherits from."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)  # to scikit-learn's, which takes auto_wrap_output_keys

    @classmethod
    def _sklearn_class(cls) -> type:
        """Return scikit-learn's class that this one replaces."""
        return next(base for base in cls.__mro__ if base.__module__.startswith("sklearn."))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        if type(tags.classifier_tags) is _ClassifierTags:
            tags.classifier_tags.__class__ = ClassifierTags  # nobody else holds them; a new object takes longer
        return tags

    def to_sklearn(self) -> Any:
        """Convert to scikit-learn's own estimator, fitted as this one is.

        Returns
        -------
        estimator : object
            Of scikit-learn's class of the same name, with the same parameters and fitted attributes: pickle it and it
            loads where deciban is not installed.
        """
        estimator: Any = object.__new__(self._sklearn_class())
        for name, value in self.__getstate__().items():
            estimator.__dict__[name] = value.to_sklearn() if isinstance(value, Twin) else value
        return estimator

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
            With the same parameters and fitted attributes; arrays are shared where their layout allows it.

        Raises
        ------
        TypeError
            If the estimator is of another class.
        """
        expected = cls._sklearn_class()
        if type(estimator) is not expected:
            raise TypeError(f"expected a {expected.__module__}.{expected.__name__}, got {type(estimator)!r}")
        twin = cls.__new__(cls)
        twin.__setstate__(vars(estimator))
        return twin

    def __getstate__(self) -> dict[str, Any]:
        return plain_state(super().__getstate__())  # type: ignore[arg-type]

    def __setstate__(self, state: dict[str, Any]) -> None:
        # scikit-learn stamps its own pickles with its version, and warns where another version reads them
        version = state.get("_sklearn_version", sklearn.__version__)
        if version != sklearn.__version__:
            warnings.warn(
                InconsistentVersionWarning(
                    estimator_name=type(self).__name__,
                    current_sklearn_version=sklearn.__version__,
                    original_sklearn_version=version,
                ),
                stacklevel=2,
            )
        self.__dict__.update((name, value) for name, value in state.items() if name != "_sklearn_version")
