"""What a benchmark is made of: a problem, its contenders, and the work that each of them does."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import deciban

_PAUSE = 0.05  # seconds after which the idle threads of a BLAS, of OpenMP or TBB no longer spin


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


def time_once(contender: Contender, work: Work) -> float:
    """Do the work once; return seconds."""
    with limited(contender):
        state = work.fresh()
        gc.collect()
        time.sleep(_PAUSE)
        start = time.perf_counter()
        result = work.call(state)
        seconds = time.perf_counter() - start
        del result
    return seconds
