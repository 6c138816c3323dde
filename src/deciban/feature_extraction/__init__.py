"""Drop-in for :mod:`sklearn.feature_extraction`: the text vectorizers."""

from deciban.feature_extraction import text

__all__ = ["text"]
