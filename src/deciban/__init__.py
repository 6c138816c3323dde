"""deciban: scikit-learn's probabilistic text estimators, the same answers many times faster.

Change ``sklearn.`` to ``deciban.`` in an import, call :func:`patch_sklearn`, or run ``python -m deciban script.py``.
"""

import os as _os

from deciban._config import config_context, get_config, set_config
from deciban._fallback import FallbackError, FallbackWarning
from deciban.patch import patch_sklearn, sklearn_patched, unpatch_sklearn

__all__ = [
    "FallbackError",
    "FallbackWarning",
    "config_context",
    "get_config",
    "patch_sklearn",
    "set_config",
    "sklearn_patched",
    "unpatch_sklearn",
]
__version__ = "0.1.0"

if _os.environ.get("DECIBAN_PATCH") == "1":  # set by a parent process (python -m deciban) or by the user
    patch_sklearn()
