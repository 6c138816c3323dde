"""Fitted attributes that are made when somebody looks at them.

A dict of 130,000 words or a table of 20 MB of logarithms costs more to make than the fit that it belongs to, and most
programs never look. ``fit`` leaves a :class:`Lazy` where the attribute would be; :class:`LazyAttribute` on the class
makes the value on first access. The instance's ``__dict__`` keeps the standard names throughout, so that ``vars``,
``check_is_fitted`` and pickles (see :func:`plain_state`) find what they find in scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Lazy:
    """A value made by ``make()`` on first use, then kept.

    Two threads that ask at once may both make it; they make the same value, and one is kept.
    """

    __slots__ = ("_make", "_value")

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make: Callable[[], Any] | None = make
        self._value: Any = None

    def get(self) -> Any:
        make = self._make
        if make is not None:
            self._value = make()
            self._make = None  # frees what the recipe holds on to
        return self._value


class LazyAttribute:
    """Descriptor of a fitted attribute whose entry in ``__dict__`` may be a :class:`Lazy`."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        try:
            value = instance.__dict__[self.name]
        except KeyError:
            raise AttributeError(f"{type(instance).__name__!r} object has no attribute {self.name!r}") from None
        return value.get() if isinstance(value, Lazy) else value

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.name] = value

    def __delete__(self, instance: Any) -> None:
        try:
            del instance.__dict__[self.name]
        except KeyError:
            raise AttributeError(self.name) from None


def plain_state(state: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of an instance's state with every lazy value made."""
    return {name: value.get() if isinstance(value, Lazy) else value for name, value in state.items()}


class _Flags(Protocol):
    """A sequence or an array of flags."""

    def __getitem__(self, index: int, /) -> Any: ...


@contextmanager
def unchanged_on_error(instance: Any, done: _Flags = (0,)) -> Iterator[None]:
    """Put an instance's attributes back as they were if the block raises.

    Values changed in place are not restored: a kernel that changes one last of all sets ``done[0]``, and what is raised
    after that (by Ctrl-C) finds the work complete.
    """
    before = dict(vars(instance))
    try:
        yield
    except BaseException:
        if not done[0]:
            vars(instance).clear()
            vars(instance).update(before)
        raise
