"""deciban: scikit-learn's probabilistic text estimators, the same answers many times faster.

Change ``sklearn.`` to ``deciban.`` in an import, call :func:`patch_sklearn`, or run ``python -m deciban script.py``.
"""

from deciban._config import config_context, get_config, set_config
from deciban._fallback import FallbackError, FallbackWarning

__all__ = [
    "FallbackError",
    "FallbackWarning",
    "config_context",
    "get_config",
    "set_config",
]
__version__ = "0.1.0"
