"""What a benchmark is made of: a problem, its contenders, and the work that each of them does.

A turn is a pause, a call that is not timed, and then calls that are, as a program makes them in a loop: threads are
awake, and what fits in cache is there. Of a problem that is ``cold`` a turn is the call right after the pause.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import deciban

_PAUSE = 0.05  # seconds after which the idle threads of a BLAS, of OpenMP or TBB no longer spin
_LONG = 1.0  # seconds that a call may take for one before it to make no difference
_MANY = 50  # calls a turn at most


def _as_it_is(result: Any) -> Any:
    return result


@dataclass(frozen=True)
class Work:
    """``call(fresh())`` is the work, of which only ``call`` is timed; ``answer`` makes its result comparable."""

    call: Callable[[Any], Any]
    fresh: Callable[[], Any] = lambda: None
    answer: Callable[[Any], Any] = _as_it_is


@dataclass(frozen=True)
class Contender:
    """Somebody who can do the work: ``make(data)`` imports, fits beforehand what is not timed, and returns a Work."""

    name: str
    n_threads: int
    make: Callable[[Any], Work]
    agree: Callable[[Any, Any], bool] | None = None  # where the problem's own test does not suit


@dataclass(frozen=True)
class Problem:
    """What is to be done. The first contender is scikit-learn or SciPy, whose answer is the right one."""

    group: str
    name: str
    data: Callable[[bool], Any]
    contenders: tuple[Contender, ...]
    agree: Callable[[Any, Any], bool]
    n_calls: int = 1  # how many equal pieces of work a call holds
    n_bytes: int = 0  # what a call has to read and write, where that may be what it takes its time for
    cold: bool = False  # whether the first call after a pause is timed


def after_a_pause(problem: Problem) -> Problem:
    """Return the same problem for a program that calls once in a while."""
    return replace(problem, name=f"{problem.name}, after a pause", cold=True)


@contextmanager
def limited(contender: Contender) -> Iterator[None]:
    """Give deciban as many threads as the contender is meant to have; others take what the machine has."""
    deciban.set_config(n_threads=contender.n_threads)
    try:
        yield
    finally:
        deciban.set_config(n_threads=None)


def answer(contender: Contender, work: Work) -> Any:
    """Do the work once; return what it answers."""
    with limited(contender):
        return work.answer(work.call(work.fresh()))


def check(problem: Problem, contender: Contender, work: Work, expected: Any) -> None:
    """Raise unless a contender answers as scikit-learn does."""
    agree = contender.agree or problem.agree
    if not agree(expected, answer(contender, work)):
        raise AssertionError(f"{problem.name}: {contender.name} answers differently")


def _time_call(work: Work) -> tuple[float, Any]:
    state = work.fresh()
    start = time.perf_counter()
    result = work.call(state)
    return time.perf_counter() - start, result


def pause() -> None:
    gc.collect()
    time.sleep(_PAUSE)


def time_turn(contender: Contender, work: Work, cold: bool = False, least: float = 0.02) -> float:
    """Return the seconds of a call: the mean of as many as take ``least`` seconds together, after one that wakes all.

    Of a ``cold`` problem, and of a call of a second or more, it is the first call.
    """
    with limited(contender):
        if cold:
            state = work.fresh()
            pause()
            seconds, _ = _time_call(replace(work, fresh=lambda: state))
            return seconds
        pause()
        seconds, result = _time_call(work)
        if seconds >= _LONG:
            return seconds
        total, n_calls = 0.0, 0
        while not n_calls or (total < least and n_calls < _MANY):
            del result  # as a program lets go of it, while nothing is timed
            seconds, result = _time_call(work)
            total, n_calls = total + seconds, n_calls + 1
    return total / n_calls
