"""``pytest benchmarks`` times with pytest-benchmark what ``run.py`` times in turns; ``--quick`` takes small data."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the benchmarks are scripts, not a package


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="small data, to see that all works")
