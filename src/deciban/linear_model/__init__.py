"""Logistic regression and stochastic gradient descent: scikit-learn's linear classifiers, with native learning.

The estimators have the parameters, attributes, errors and warnings of the classes of the same name in
:mod:`sklearn.linear_model`, which they inherit from. Coefficients lie in memory with the features first and are
shown as their transpose, so that a prediction copies nothing.
"""

from deciban.linear_model._logistic import LogisticRegression, LogisticRegressionCV
from deciban.linear_model._stochastic import SGDClassifier

__all__ = ["LogisticRegression", "LogisticRegressionCV", "SGDClassifier"]

# Pickles name the public module, so that the private one may move.
for _cls in (LogisticRegression, LogisticRegressionCV, SGDClassifier):
    _cls.__module__ = __name__
