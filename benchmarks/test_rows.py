import pytest
from cases import cases, run


@pytest.mark.parametrize(("problem", "contender"), cases("rows"))
def test_rows(benchmark, request, problem, contender):
    run(benchmark, request, problem, contender)
