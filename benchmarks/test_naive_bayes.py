import pytest
from cases import cases, run


@pytest.mark.parametrize(("problem", "contender"), cases("naive_bayes"))
def test_naive_bayes(benchmark, request, problem, contender):
    run(benchmark, request, problem, contender)
