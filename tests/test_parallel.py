"""Blocks on threads: every block once, errors out, nothing hangs after a fork or in a worker."""

import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
import time

import joblib
import pytest
from stories import DOCUMENTS, story

import deciban
from deciban._parallel import cut, effective_n_threads, run_blocks
from deciban.feature_extraction.text import CountVectorizer


@pytest.mark.parametrize("n_threads", [1, 2, 5, None])
@pytest.mark.parametrize("n_blocks", [0, 1, 3, 100])
def test_every_block_is_done_once(n_blocks, n_threads):
    done = []
    run_blocks(lambda block, worker: done.append((block, worker)), n_blocks, n_threads)
    assert sorted(block for block, _ in done) == list(range(n_blocks))
    assert all(0 <= worker < (n_threads or effective_n_threads()) for _, worker in done)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_the_first_error_comes_out(n_threads):
    done = []

    def task(block, _worker):
        if block == 5:
            raise KeyError("five")
        done.append(block)

    with pytest.raises(KeyError, match="five"):
        run_blocks(task, 10_000, n_threads)
    assert len(done) < 10_000


def test_an_error_of_a_helper_comes_out_and_helpers_come_back():
    for _ in range(20):
        with pytest.raises(KeyError, match="helper"):
            run_blocks(fail_in_a_helper, 1000, 3)
    n_threads = threading.active_count()
    for _ in range(200):
        run_blocks(lambda _block, _worker: None, 4, 3)
    assert threading.active_count() <= n_threads + 2


def fail_in_a_helper(_block, worker):
    if worker:
        raise KeyError("helper")
    time.sleep(0.001)


def test_nested_blocks_and_more_callers_than_helpers():
    done = []

    def outer(block, _):
        run_blocks(lambda inner, _: done.append((block, inner)), 5, 4)

    threads = [threading.Thread(target=run_blocks, args=(outer, 6, 20)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {pair: done.count(pair) for pair in done} == {(i, j): 8 for i in range(6) for j in range(5)}


def test_an_interrupted_wait_ends_when_the_helpers_are_done(monkeypatch):
    """Ctrl-C while the caller waits: it comes out, but not before a helper has left its block."""
    began, left = threading.Event(), []

    def task(_block, worker):
        if worker:
            began.set()
            time.sleep(0.2)
            left.append(worker)
        else:
            assert began.wait(10)

    real = deciban._parallel.Turn

    class Interrupted:
        def __init__(self):
            self.turn, self.waited = real(), False

        def __enter__(self):
            return self.turn.__enter__()

        def __exit__(self, *error):
            return self.turn.__exit__(*error)

        def wait(self):
            if not self.waited:
                self.waited = True
                raise KeyboardInterrupt
            self.turn.wait()

    monkeypatch.setattr(deciban._parallel, "Turn", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_blocks(task, 2, 2)
    assert left == [1]


def test_ranges_cover_everything():
    assert cut(10, 4) == [(0, 4), (4, 8), (8, 10)]
    assert cut(0, 4) == []


def test_how_many_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert effective_n_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "all")
    assert effective_n_threads() == joblib.cpu_count()
    with deciban.config_context(n_threads=7):
        assert effective_n_threads() == 7
    with pytest.raises(ValueError, match="n_threads"), deciban.config_context(n_threads=0):
        pass
    with pytest.raises(ValueError, match="fallback"):
        deciban.set_config(fallback="sometimes")
    with pytest.raises(TypeError, match="n_thread"):
        deciban.set_config(n_thread=1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system does not place threads")
@pytest.mark.skipif(len(getattr(os, "sched_getaffinity", lambda _: [])(0)) < 2, reason="there is one CPU")
def test_helpers_keep_off_the_callers_cpu():
    granted = os.sched_getaffinity(0)
    here = []

    def task(_block, worker):
        time.sleep(0.01)  # so that the others take blocks too
        if worker:
            here.append(os.sched_getaffinity(0))

    try:
        for cpu in granted:
            os.sched_setaffinity(0, {cpu})  # now the caller's CPU is known, but for a helper there is no other
            run_blocks(task, 6, 3)
            assert here.pop() == {cpu}
            os.sched_setaffinity(0, granted)
            here.clear()
            run_blocks(task, 6, 3)
            assert here
            assert all(cpus < granted and len(cpus) == len(granted) - 1 for cpus in here)
            here.clear()
    finally:
        os.sched_setaffinity(0, granted)


def in_child(queue):
    queue.put(story())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork():
    expected = story()  # the parent's pool has threads, which the child has not
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=in_child, args=(queue,))
    child.start()
    try:
        assert queue.get(timeout=60) == expected
    finally:
        child.join(timeout=60)
    assert child.exitcode == 0


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_in_joblib_workers(backend):
    expected = story()
    assert joblib.Parallel(n_jobs=2, backend=backend)(joblib.delayed(story)(i) for i in range(3)) == [expected] * 3


def test_from_several_threads_at_once():
    expected, results = story(), []
    threads = [threading.Thread(target=lambda: results.append(story())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 6


def test_one_fitted_vectorizer_serves_several_threads():
    vectorizer = CountVectorizer().fit(DOCUMENTS)
    expected, results = vectorizer.transform(DOCUMENTS).data.tobytes(), []

    def serve():
        for _ in range(20):
            results.append(vectorizer.transform(DOCUMENTS).data.tobytes())
            assert "and" in vectorizer.vocabulary_

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 80


@pytest.mark.skipif(sys.platform == "win32", reason="signals work otherwise on Windows")
@pytest.mark.parametrize("n_threads", [1, 2])
def test_ctrl_c(n_threads):
    program = f"""
        import itertools, signal, threading, os, time, deciban
        from deciban.feature_extraction.text import CountVectorizer
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job comes with it ignored
        deciban.set_config(n_threads={n_threads})
        vectorizer = CountVectorizer().fit(["before it"])
        threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            vectorizer.fit_transform(["some words to count"] * 50_000_000)
        except KeyboardInterrupt:
            assert sorted(vectorizer.vocabulary_) == ["before", "it"]
            print("interrupted")
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60
    )
    assert process.stdout == "interrupted\n", process.stderr


def test_exit_while_threads_wait():
    code = "import numpy, deciban._parallel as p; p.run_blocks(lambda b, w: None, 50, 4)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    code = f"import atexit, deciban._parallel as p; atexit.register(p.run_blocks, lambda b, w: None, 50, 4); {code}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
