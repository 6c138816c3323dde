"""Multi-layer perceptrons with native training and prediction.

Import from here what you would import from ``sklearn.neural_network``: parameters, attributes and answers are the same,
and a fit follows scikit-learn's, batch for batch.
"""

from deciban.neural_network._perceptron import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]

MLPClassifier.__module__ = __name__  # the name that pickles and messages show
MLPRegressor.__module__ = __name__
