import pytest
from cases import cases, run


@pytest.mark.parametrize(("problem", "contender"), cases("stochastic"))
def test_stochastic(benchmark, request, problem, contender):
    run(benchmark, request, problem, contender)
