"""See for yourself: ``python -m deciban.demo`` runs scikit-learn and deciban on the same texts, side by side.

In one process, in turns, both count words (``CountVectorizer``), learn (``MultinomialNB``) and predict. What comes out
is compared entry by entry before anything is timed; the exit code is 1 if it differs. The texts are the 20 newsgroups
where scikit-learn has them or can fetch them, else the docstrings of the installed numpy, scipy and scikit-learn.

``python -m deciban.demo digits`` classifies and generates handwritten digits, and draws them.
"""

from deciban.demo.texts import Corpus, docstring_corpus

__all__ = ["Corpus", "docstring_corpus"]
