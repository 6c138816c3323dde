import pytest
from cases import cases, run


@pytest.mark.parametrize(("problem", "contender"), cases("special") + cases("information"))
def test_mathematics(benchmark, request, problem, contender):
    run(benchmark, request, problem, contender)
