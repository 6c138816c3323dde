"""The problems as cases of pytest-benchmark."""

from functools import lru_cache
from typing import Any

import pytest
from peers import MissingPeerError
from problems import PROBLEMS
from work import Contender, Problem, answer, check, limited, pause


def cases(group: str) -> list[Any]:
    """Return parameters: every contender of every problem of a group."""
    return [
        pytest.param(problem, contender, id=f"{problem.name}-{contender.name}")
        for problem in PROBLEMS
        if problem.group == group
        for contender in problem.contenders
    ]


@lru_cache(maxsize=1)
def _expected(problem: Problem, quick: bool) -> Any:
    reference = problem.contenders[0]
    return answer(reference, reference.make(problem.data(quick)))


def run(benchmark: Any, request: pytest.FixtureRequest, problem: Problem, contender: Contender) -> None:
    """Check that a contender agrees, then time it; the time itself is never tested."""
    quick = request.config.getoption("--quick")
    try:
        work = contender.make(problem.data(quick))
    except MissingPeerError as error:
        pytest.skip(str(error))
    check(problem, contender, work, _expected(problem, quick))
    benchmark.group = problem.name
    benchmark.extra_info["n_threads"] = contender.n_threads
    benchmark.extra_info["calls"] = problem.n_calls

    def setup() -> tuple[tuple[Any], dict[str, Any]]:
        state = work.fresh()
        if problem.cold:
            pause()
        return (state,), {}

    with limited(contender):
        warm = not (quick or problem.cold)
        benchmark.pedantic(work.call, setup=setup, rounds=1 if quick else 5, warmup_rounds=int(warm))
