"""Options: how many threads to use, and what to do where there is no native path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral
from typing import Any

_FALLBACK = ("log", "warn", "error")
_defaults: dict[str, Any] = {"n_threads": None, "fallback": "log"}
_overrides: ContextVar[dict[str, Any] | None] = ContextVar("deciban_config", default=None)


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    n_threads = options.get("n_threads")
    if n_threads is not None and (isinstance(n_threads, bool) or not isinstance(n_threads, Integral) or n_threads < 1):
        raise ValueError(f"n_threads must be None or an integer of at least 1, got {n_threads!r}")
    if "fallback" in options and options["fallback"] not in _FALLBACK:
        raise ValueError(f"fallback must be one of {', '.join(_FALLBACK)}, got {options['fallback']!r}")
    return options


def get_config() -> dict[str, Any]:
    """Return the options in force.

    Returns
    -------
    config : dict
        ``n_threads`` (int or None) and ``fallback`` ("log", "warn" or "error").

    Examples
    --------
    >>> import deciban
    >>> deciban.get_config()["fallback"]
    'log'
    """
    return {**_defaults, **(_overrides.get() or {})}


def get_option(name: str) -> Any:
    """Return one option, without building the dict of all."""
    overrides = _overrides.get()
    return overrides[name] if overrides is not None and name in overrides else _defaults[name]


def set_config(**options: Any) -> None:
    """Set options for the whole process.

    Parameters
    ----------
    n_threads : int or None
        Threads to use; None asks joblib, the cgroup and ``OMP_NUM_THREADS``.
    fallback : {"log", "warn", "error"}
        What happens where an estimator has no native path and scikit-learn's code runs instead: a record on the
        logger "deciban", a :class:`deciban.FallbackWarning`, or a :class:`deciban.FallbackError`.

    Raises
    ------
    ValueError
        If a value is not one of those.
    TypeError
        If an option does not exist.

    Examples
    --------
    >>> import deciban
    >>> deciban.set_config(fallback="log")
    """
    unknown = options.keys() - _defaults.keys()
    if unknown:
        raise TypeError(f"unknown option(s) {sorted(unknown)}, expected some of {sorted(_defaults)}")
    _defaults.update(_checked(options))


@contextmanager
def config_context(**options: Any) -> Iterator[None]:
    """Set options within a ``with`` block, for the current thread (or task) only.

    Parameters
    ----------
    **options
        As for :func:`set_config`.

    Examples
    --------
    >>> import deciban
    >>> with deciban.config_context(n_threads=1):
    ...     deciban.get_config()["n_threads"]
    1
    """
    unknown = options.keys() - _defaults.keys()
    if unknown:
        raise TypeError(f"unknown option(s) {sorted(unknown)}, expected some of {sorted(_defaults)}")
    token = _overrides.set({**(_overrides.get() or {}), **_checked(options)})
    try:
        yield
    finally:
        _overrides.reset(token)
