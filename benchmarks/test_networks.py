import pytest
from cases import cases, run


@pytest.mark.parametrize(("problem", "contender"), cases("networks"))
def test_networks(benchmark, request, problem, contender):
    run(benchmark, request, problem, contender)
