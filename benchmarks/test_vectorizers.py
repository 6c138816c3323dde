import pytest
from cases import cases, run


@pytest.mark.parametrize(("problem", "contender"), cases("vectorizers"))
def test_vectorizers(benchmark, request, problem, contender):
    run(benchmark, request, problem, contender)
