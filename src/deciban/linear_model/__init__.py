"""Logistic regression: scikit-learn's estimators, with a native Newton method and native predictions.

The estimators have the parameters, attributes, errors and warnings of the classes of the same name in
:mod:`sklearn.linear_model`, which they inherit from. Coefficients lie in memory with the features first and are
shown as their transpose, so that a prediction copies nothing.
"""

from deciban.linear_model._logistic import LogisticRegression, LogisticRegressionCV

__all__ = ["LogisticRegression", "LogisticRegressionCV"]

# Pickles name the public module, so that the private one may move.
for _cls in (LogisticRegression, LogisticRegressionCV):
    _cls.__module__ = __name__
