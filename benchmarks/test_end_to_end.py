import pytest
from cases import cases, run


@pytest.mark.parametrize(("problem", "contender"), cases("end_to_end"))
def test_end_to_end(benchmark, request, problem, contender):
    run(benchmark, request, problem, contender)
