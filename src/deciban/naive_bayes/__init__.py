"""Naive Bayes classifiers: scikit-learn's, with counting and posteriors in native code.

The estimators have the parameters, attributes, errors and warnings of the classes of the same name in
:mod:`sklearn.naive_bayes`, which they inherit from. Tables over (class, feature) lie in memory with the features
first and are shown as their transpose; logarithms are made when somebody asks for them.
"""

from deciban.naive_bayes._categorical import CategoricalNB
from deciban.naive_bayes._discrete import BernoulliNB, ComplementNB, MultinomialNB
from deciban.naive_bayes._gaussian import GaussianNB

__all__ = ["BernoulliNB", "CategoricalNB", "ComplementNB", "GaussianNB", "MultinomialNB"]

# Pickles name the public module, so that the private ones may move.
for _cls in (BernoulliNB, CategoricalNB, ComplementNB, GaussianNB, MultinomialNB):
    _cls.__module__ = __name__
