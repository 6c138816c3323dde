"""The public predictions of the classifiers: one set of methods, all by ``_answer``, and a short way for few rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from deciban._arrays import CSR_TYPES, Array
from deciban._fallback import REPLACED, fall_back, methods, overrides
from deciban._kernels import handful, posterior
from deciban._rows import labelled

PLAIN_TYPES = frozenset((np.ndarray, *CSR_TYPES))
few_rows = handful.few_rows


class Predictions:
    """Mixin: ``predict``, ``predict_proba`` and ``predict_log_proba``, all by ``_answer``."""

    classes_: Array
    # by answer: the methods that scikit-learn's answer is made of, as the kernels stand for them
    _made_of: tuple[dict[str, Any], ...]

    def predict(self, X: Any) -> Array:
        """Return the most probable class of every sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels out of ``classes_``.
        """
        largest = self._few(X, posterior.LARGEST)
        if largest is None:
            largest = self._answer(X, posterior.LARGEST, "predict")
        return super().predict(X) if largest is None else labelled(self.classes_, largest)  # type: ignore[misc]

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of every class, ``P(y | x)``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes)
            One column for each class of ``classes_``.
        """
        p = self._few(X, posterior.POSTERIOR)
        if p is None:
            p = self._answer(X, posterior.POSTERIOR, "predict_proba")
        return super().predict_proba(X) if p is None else p  # type: ignore[misc]

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithm of the probability of every class, ``log P(y | x)``.

        Finite where a probability itself is too small for a floating-point number.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        log_p : ndarray of shape (n_samples, n_classes)
            One column for each class of ``classes_``.
        """
        log_p = self._few(X, posterior.LOG_POSTERIOR)
        if log_p is None:
            log_p = self._answer(X, posterior.LOG_POSTERIOR, "predict_log_proba")
        return super().predict_log_proba(X) if log_p is None else log_p  # type: ignore[misc]

    def __sklearn_is_fitted__(self) -> bool:
        # as scikit-learn finds out for itself, but for the first question, which is all that a fitted classifier needs
        return "classes_" in self.__dict__ or any(
            name.endswith("_") and not name.startswith("__") for name in self.__dict__
        )

    def _answer(self, X: Any, answer: int, method: str) -> Array | None:
        """Return what the method asks for where :meth:`_few` has not; None leaves it to scikit-learn."""
        return None if self._replaced(answer, method) else self._any(X, answer, method)

    def _few(self, X: Any, answer: int) -> Array | None:  # noqa: ARG002
        """Return the answer for a few plain rows if nothing replaces what it is made of; None sends it the long way.

        The public methods ask this first, and themselves: a call in between would be a tenth of it.
        """
        return None

    def _any(self, X: Any, answer: int, method: str) -> Array | None:
        """Return the answer for any samples, for ``predict`` the index of the class; None leaves it to scikit-learn."""
        raise NotImplementedError

    def _replaced(self, answer: int, method: str) -> bool:
        """Return whether something replaces what scikit-learn's method is made of, and say so."""
        if overrides(self, self._made_of[answer]):
            fall_back(self, method, REPLACED)
            return True
        return False


def stand_for(
    cls: type[Predictions],
    joint: tuple[str, ...],
    log_posterior: tuple[str, ...],
    posterior: tuple[str, ...],
    largest: tuple[str, ...],
) -> None:
    """Note the methods of a finished class that its kernels stand for, answer by answer."""
    made_of = joint, log_posterior, posterior, largest, posterior  # the last, of shares
    cls._made_of = tuple(methods(cls, *names) for names in made_of)
