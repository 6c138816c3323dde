import os

import pytest
from hypothesis import settings

settings.register_profile("suite", deadline=None, max_examples=int(os.environ.get("DECIBAN_EXAMPLES", "150")))
settings.load_profile("suite")


@pytest.fixture(scope="session")
def newsgroups():
    """20 newsgroups, training and test part, where scikit-learn's data folder has it."""
    from sklearn.datasets import fetch_20newsgroups

    try:
        return tuple(fetch_20newsgroups(subset=part, download_if_missing=False) for part in ("train", "test"))
    except OSError:
        pytest.skip("20 newsgroups is not in scikit-learn's data folder (set SCIKIT_LEARN_DATA)")
