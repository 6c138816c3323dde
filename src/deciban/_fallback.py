"""The record of where scikit-learn's own code runs because there is no native path."""

from __future__ import annotations

import logging
import warnings

from deciban._config import get_option

logger = logging.getLogger("deciban")


class FallbackWarning(UserWarning):
    """scikit-learn's own code runs: right, but not faster (``fallback="warn"``)."""


class FallbackError(RuntimeError):
    """There is no native path and ``fallback="error"`` asked to be told."""


def fall_back(estimator: object, method: str, reason: str) -> None:
    """Say that ``estimator.method`` runs scikit-learn's code, and why; the caller then calls ``super()``.

    Raises
    ------
    FallbackError
        If the option ``fallback`` is "error".
    """
    message = f"{type(estimator).__name__}.{method} runs scikit-learn's code: {reason}"
    action = get_option("fallback")
    if action == "error":
        raise FallbackError(message)
    if action == "warn":
        warnings.warn(message, FallbackWarning, stacklevel=3)
    logger.info(message)
