"""What the models of deciban.generative learn of real data, with generous margins."""

import numpy as np
import pytest

from deciban.demo.digits import fashion_mnist
from deciban.feature_extraction.text import CountVectorizer
from deciban.generative import VAE
from deciban.naive_bayes import MultinomialNB


@pytest.fixture(scope="module")
def fashion():
    try:
        X, X_test = fashion_mnist("train")[0], fashion_mnist("t10k")[0]
    except OSError:
        pytest.skip("Fashion-MNIST is not beside scikit-learn's data folder (set FASHION_MNIST to its folder)")
    return X[:20_000], X_test[:2000]


def test_vae_of_fashion_mnist(fashion):
    X, X_test = fashion
    model = VAE(20, likelihood="bernoulli", hidden_layer_sizes=(400,), max_iter=6, random_state=0).fit(X)
    bound = model.evidence_lower_bound(X_test).mean()
    assert bound > -262  # independent pixels reach -384
    assert bound < model.score(X_test) < bound + 10
    again = model.inverse_transform(model.transform(X_test))
    assert np.mean((again - X_test) ** 2) < 0.25 * X_test.var(axis=0).mean()


def test_multinomial_vae_of_20_newsgroups_beats_the_unigram_model(newsgroups):
    train, test = newsgroups
    vectorizer = CountVectorizer(max_features=2000, stop_words="english", dtype=np.float32)
    X, X_test = vectorizer.fit_transform(train.data), vectorizer.transform(test.data)
    unigram = MultinomialNB().fit(X, np.zeros(X.shape[0]))
    model = VAE(20, likelihood="multinomial", hidden_layer_sizes=(100,), max_iter=8, warm_up=2, random_state=0).fit(X)

    def perplexity(log_likelihood):
        return np.exp(-log_likelihood.sum() / X_test.sum())

    assert perplexity(model.evidence_lower_bound(X_test)) < 0.9 * perplexity(unigram.score_samples(X_test))
