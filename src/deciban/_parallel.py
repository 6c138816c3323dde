"""Blocks of work on a few threads.

Kernels release the interpreter lock and take a range of rows; :func:`run_blocks` hands the ranges out. How the work is
cut never depends on how many threads there are, so neither does the result. There is no OpenMP: nothing to hang after a
fork, no second runtime in the process. Between two blocks the main thread is back in the interpreter, so Ctrl-C works.

Helpers keep off the caller's CPU. Linux takes an idle CPU of a virtual machine for one that the host has given away,
and would rather wake a helper on the caller's own, where the two then wait for each other: after a pause of 50 ms, work
of 2.7 ms on two threads took 5 ms.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from queue import SimpleQueue
from typing import Any

import joblib
from threadpoolctl import ThreadpoolController

from deciban._config import get_option
from deciban._kernels.team import Team, Turn

_N_MOST = max(32, 2 * (os.cpu_count() or 1))  # helpers
_idle: list[_Helper] = []
_n_helpers = 0
_current_cpu = getattr(ctypes.CDLL(None), "sched_getcpu", None) if hasattr(os, "sched_setaffinity") else None


class _Helper(threading.Thread):
    """A thread that does what it is given, and waits again. It ends with the process."""

    def __init__(self) -> None:
        super().__init__(name="deciban", daemon=True)
        self._given: list[Callable[[], None]] = []
        self._calls: SimpleQueue[None] = SimpleQueue()
        self._cpus: frozenset[int] = frozenset()
        self.start()

    def run(self) -> None:
        while True:
            self._calls.get()
            try:
                work = self._given.pop()
            except IndexError:  # recalled
                continue
            work()
            del work  # which would hold the caller's arrays until the next

    def give(self, work: Callable[[], None], cpus: frozenset[int]) -> None:
        if cpus != self._cpus:
            with contextlib.suppress(OSError):  # a sandbox may forbid it
                os.sched_setaffinity(self.native_id or 0, cpus)
            self._cpus = cpus
        self._given.append(work)
        self._calls.put(None)

    def recall(self) -> None:
        """Take back what it has not begun.

        Work is not sent through the queue, which from Python 3.13 on hands it to the thread that waits at once, long
        before that runs.
        """
        with contextlib.suppress(IndexError):
            self._given.pop()
            _idle.append(self)


def _helper() -> _Helper | None:
    """Return a helper that is free, or a new one; None if there shall be no more."""
    global _n_helpers
    try:
        return _idle.pop()
    except IndexError:
        pass
    if _n_helpers >= _N_MOST:
        return None
    try:
        helper = _Helper()
    except RuntimeError:  # the interpreter is shutting down
        return None
    _n_helpers += 1
    return helper


def _forget_helpers() -> None:
    """A forked child has none of its parent's threads."""
    global _n_helpers
    _idle.clear()
    _n_helpers = 0


def _cpus_for_helpers() -> frozenset[int]:
    """Return the CPUs that the caller may use, without its own; none where the system does not place threads."""
    if _current_cpu is None:
        return frozenset()
    granted = frozenset(os.sched_getaffinity(0))
    return granted - {_current_cpu()} or granted


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_helpers)


@lru_cache(maxsize=8)
def _granted(omp_num_threads: str | None, _loky_max_cpu_count: str | None) -> int:
    """CPUs that affinity, the cgroup and the environment grant (keyed by the environment, which may change)."""
    granted = int(joblib.cpu_count())
    # "4,2" asks for 4 at the outermost of nested levels.
    asked = (omp_num_threads or "").split(",")[0].strip()
    return min(granted, int(asked)) if asked.isdigit() and int(asked) > 0 else granted


def effective_n_threads() -> int:
    """Threads to use: the option ``n_threads``, else what joblib, the cgroup and ``OMP_NUM_THREADS`` grant."""
    n_threads = get_option("n_threads")
    if n_threads is not None:
        return int(n_threads)
    return _granted(os.environ.get("OMP_NUM_THREADS"), os.environ.get("LOKY_MAX_CPU_COUNT"))


def run_blocks(task: Callable[[int, int], None], n_blocks: int, n_threads: int | None = None) -> None:
    """Call ``task(block, worker)`` for every block in ``range(n_blocks)``.

    Parameters
    ----------
    task : callable
        Does one block; ``worker`` in ``range(n_threads)`` is never shared by two tasks that run at once.
    n_blocks : int
        Number of blocks, handed out in order.
    n_threads : int, default=None
        At most this many threads, the caller's among them; None for :func:`effective_n_threads`.

    Raises
    ------
    BaseException
        The first exception a task raised; blocks not yet begun are then left out.
    """
    if n_blocks > 1 and n_threads is None:
        n_threads = effective_n_threads()
    n_threads = min(n_blocks, n_threads or 1)
    if n_threads <= 1:
        for block in range(n_blocks):
            task(block, 0)
        return

    blocks = itertools.count()
    stop = False
    errors: list[BaseException] = []

    def work(worker: int) -> None:
        nonlocal stop
        try:
            while not stop and (block := next(blocks)) < n_blocks:
                task(block, worker)
        except BaseException as error:
            stop = True
            errors.append(error)

    def help_out(helper: _Helper, worker: int, turn: Turn) -> None:
        with turn:
            work(worker)
            _idle.append(helper)  # before the caller goes on, who may call again

    helpers: list[tuple[_Helper, Turn]] = []
    try:
        cpus = _cpus_for_helpers()
        for worker in range(1, n_threads):
            helper = _helper()
            if helper is None:
                break  # those that there are, or the caller's thread alone, do all the work
            turn = Turn()
            helpers.append((helper, turn))
            helper.give(partial(help_out, helper, worker, turn), cpus)
        work(0)
        for _, turn in helpers:
            turn.wait()
    except BaseException as error:  # Ctrl-C while waiting: nobody may write into buffers that the caller gives up
        stop = True
        errors.insert(0, error)
        for _, turn in helpers:
            turn.wait()
    for helper, _ in helpers:
        helper.recall()  # who has not begun finds no block any more, and need not come
    if errors:
        try:
            raise errors[0]
        finally:
            errors.clear()  # an error holds this frame


def run_team(lead: Callable[[Team], None], n_threads: int | None = None) -> None:
    """Call ``lead(team)`` on this thread, while others help with the phases of the kernels it hands the team to.

    Parameters
    ----------
    lead : callable
        Calls kernels that take a :class:`~deciban._kernels.team.Team`.
    n_threads : int, default=None
        At most this many threads, the caller's among them; None for :func:`effective_n_threads`.

    Raises
    ------
    BaseException
        What ``lead`` raises.
    """
    team = Team()
    began = False

    def task(_: int, worker: int) -> None:
        nonlocal began
        if worker:
            team.help(worker)
        elif not began:  # the turn of a helper that did not come
            began = True
            try:
                lead(team)
            finally:
                team.end()

    run_blocks(task, effective_n_threads() if n_threads is None else n_threads)


def cut(n_items: int, size: int) -> list[tuple[int, int]]:
    """Cut ``range(n_items)`` into ranges ``(start, stop)`` of ``size`` items, the last one shorter."""
    return [(start, min(start + size, n_items)) for start in range(0, n_items, size)]


_blas_lock = threading.Lock()
_blas_users = 0
_blas_before: list[int] = []


@contextlib.contextmanager
def blas_on_one_thread() -> Iterator[None]:
    """Hold BLAS to one thread of its own within a ``with`` block: our threads call it, each for a block.

    The limit is the process's. Blocks may be nested and run in several threads at once: the last one to end lifts it.
    """
    global _blas_users, _blas_before
    with _blas_lock:
        if not _blas_users:
            _blas_before = [read() for read, _ in _blas_switches()]
        _blas_users += 1
        for _, write in _blas_switches():
            write(1)
    try:
        yield
    finally:
        with _blas_lock:
            _blas_users -= 1
            if not _blas_users:
                for (_, write), n_threads in zip(_blas_switches(), _blas_before, strict=True):
                    write(n_threads)


@lru_cache(maxsize=1)
def _blas_switches() -> list[tuple[Callable[[], int], Callable[[int], None]]]:
    """Return functions that read and write how many threads each BLAS in the process uses.

    threadpoolctl finds the libraries; but it lets only one of Python's threads change OpenBLAS's number, while ours are
    counted by themselves.
    """
    switches = []
    for library in ThreadpoolController().lib_controllers:
        if library.user_api != "blas":
            continue
        read: Any = library.get_num_threads
        write: Any = library.set_num_threads
        if library.internal_api == "openblas":
            for prefix, suffix in itertools.product(("", "scipy_"), ("", "64_", "_64")):
                read = getattr(library.dynlib, f"{prefix}openblas_get_num_threads{suffix}", read)
                write = getattr(library.dynlib, f"{prefix}openblas_set_num_threads{suffix}", write)
        switches.append((read, write))
    return switches
