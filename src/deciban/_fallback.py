"""Where scikit-learn's own code runs because there is no native path, or because a subclass means something else."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from deciban._config import get_option
from deciban._kernels.hooks import overrides

__all__ = ["REPLACED", "FallbackError", "FallbackWarning", "fall_back", "logger", "methods", "overrides"]

logger = logging.getLogger("deciban")

REPLACED = "the class replaces a method of scikit-learn's that it is made of"


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


def methods(cls: type, *names: str) -> dict[str, Any]:
    """Return methods of a class as they are now, for :func:`overrides` to compare with later."""
    return {name: getattr(cls, name) for name in names}
