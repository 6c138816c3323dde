"""What networks learn of real data, with generous margins: classifiers, and the models of deciban.generative."""

import warnings

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NearestNeighbors

from deciban.demo.digits import fashion_mnist
from deciban.feature_extraction.text import CountVectorizer
from deciban.generative import GAN, VAE
from deciban.naive_bayes import MultinomialNB
from deciban.neural_network import MLPClassifier


@pytest.fixture(scope="module")
def fashion():
    try:
        (X, y), (X_test, y_test) = fashion_mnist("train"), fashion_mnist("t10k")
    except OSError:
        pytest.skip("Fashion-MNIST is not beside scikit-learn's data folder (set FASHION_MNIST to its folder)")
    return X[:20_000], y[:20_000], X_test[:2000], y_test[:2000]


def trained(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a few epochs are enough here
        return model.fit(X, y)


def test_mlp_of_fashion_mnist_is_scikit_learns(fashion):
    X, y, X_test, y_test = fashion
    X, y, X_test = X[:10_000].astype(np.float64), y[:10_000], X_test.astype(np.float64)
    options = {"hidden_layer_sizes": (50,), "max_iter": 4, "random_state": 0}
    ours = trained(MLPClassifier(**options), X, y)
    theirs = trained(sklearn.neural_network.MLPClassifier(**options), X, y)
    for own, their in zip([*ours.coefs_, *ours.intercepts_], [*theirs.coefs_, *theirs.intercepts_], strict=True):
        np.testing.assert_allclose(own, their, rtol=1e-6, atol=1e-7)
    assert ours.score(X_test, y_test) == theirs.score(X_test, y_test) > 0.8
    single = trained(MLPClassifier(**options), X.astype(np.float32), y)
    assert single.score(X_test, y_test) == pytest.approx(theirs.score(X_test, y_test), abs=0.01)


def test_vae_of_fashion_mnist(fashion):
    X, _, X_test, _ = fashion
    model = VAE(20, likelihood="bernoulli", hidden_layer_sizes=(400,), max_iter=6, random_state=0).fit(X)
    bound = model.evidence_lower_bound(X_test).mean()
    assert bound > -262  # independent pixels reach -384
    assert bound < model.score(X_test) < bound + 10
    again = model.inverse_transform(model.transform(X_test))
    assert np.mean((again - X_test) ** 2) < 0.25 * X_test.var(axis=0).mean()


def told_apart(real, made):
    """How many a nearest neighbour tells apart, each by all others: a half if they are of one distribution.

    D. Lopez-Paz, M. Oquab, Revisiting classifier two-sample tests, ICLR 2017.
    """
    both, is_real = np.vstack([real, made]), np.arange(len(real) + len(made)) < len(real)
    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(both).kneighbors(return_distance=False)[:, 0]
    return np.mean(is_real[nearest] == is_real)


def test_gan_of_fashion_mnist(fashion):
    X, y, X_test, _ = fashion
    judge = trained(MLPClassifier(max_iter=4, random_state=0), X, y)
    model = GAN(
        generator_layer_sizes=(256, 512),
        discriminator_layer_sizes=(512, 256),
        output_activation="tanh",
        batch_size=64,
        max_iter=12,
        random_state=0,
    ).fit(2 * X[:10_000] - 1)
    made = (model.sample(1000, random_state=0)[0] + 1) / 2
    found = judge.predict_proba(made)
    share = np.bincount(found.argmax(axis=1), minlength=10) / len(made)
    assert np.count_nonzero(share > 0.01) >= 9
    assert share.max() < 0.35
    assert -np.sum(share * np.log(share, where=share > 0, out=np.zeros(10))) > 0.85 * np.log(10)
    assert found.max(axis=1).mean() > 0.6  # of test images: 0.85; of noise about the mean image, one class only
    assert told_apart(X_test[:1000], X_test[1000:]) == pytest.approx(0.5, abs=0.05)
    assert told_apart(X_test[:1000], made) < 0.92
    blurred = X[:1000].mean(axis=0) + 0.1 * np.random.default_rng(0).standard_normal((1000, 784))
    assert told_apart(X_test[:1000], blurred) > 0.97


def test_multinomial_vae_of_20_newsgroups_beats_the_unigram_model(newsgroups):
    train, test = newsgroups
    vectorizer = CountVectorizer(max_features=2000, stop_words="english", dtype=np.float32)
    X, X_test = vectorizer.fit_transform(train.data), vectorizer.transform(test.data)
    unigram = MultinomialNB().fit(X, np.zeros(X.shape[0]))
    model = VAE(20, likelihood="multinomial", hidden_layer_sizes=(100,), max_iter=8, warm_up=2, random_state=0).fit(X)

    def perplexity(log_likelihood):
        return np.exp(-log_likelihood.sum() / X_test.sum())

    assert perplexity(model.evidence_lower_bound(X_test)) < 0.9 * perplexity(unigram.score_samples(X_test))
