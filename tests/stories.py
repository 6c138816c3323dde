"""What worker processes are asked to do; they import it by name."""

import deciban
from deciban.feature_extraction.text import CountVectorizer
from deciban.naive_bayes import MultinomialNB

DOCUMENTS = [f"word{i % 13} word{i % 7} and some more text {i % 3}" * 40 for i in range(600)]
LABELS = [i % 4 for i in range(600)]


def story(_=None):
    """Fit and predict on enough text for several threads; the bytes of all that comes out."""
    with deciban.config_context(n_threads=2):
        X = CountVectorizer().fit_transform(DOCUMENTS)
        model = MultinomialNB().fit(X, LABELS)
        return X.data.tobytes() + X.indices.tobytes() + model.predict_log_proba(X).tobytes()
