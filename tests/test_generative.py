"""deciban.generative: gradients against finite differences, bounds, samples, and what the world may hand it."""

import copy
import pickle
from itertools import pairwise, product

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, logsumexp
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline

import deciban
from deciban.generative import GAN, VAE, _training

LIKELIHOODS = ["bernoulli", "gaussian", "multinomial"]
OTHERS = ["leaky_relu", "logistic", "softplus", "identity"]
RATES = {"beta_1": 0.7, "beta_2": 0.9, "epsilon": 1e-3, "learning_rate_init": 0.01}


def samples(likelihood, n=7, d=5, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    if likelihood == "bernoulli":
        return rng.random((n, d)).astype(dtype)
    if likelihood == "gaussian":
        return rng.normal(size=(n, d)).astype(dtype)
    return (rng.poisson(1.5, (n, d)) * (rng.random((n, d)) < 0.6)).astype(dtype)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X.astype(np.float32) / 16, y


def activate(name, z):
    return {
        "identity": lambda: z,
        "logistic": lambda: expit(z),
        "tanh": lambda: np.tanh(z),
        "relu": lambda: np.maximum(z, 0),
        "leaky_relu": lambda: np.where(z > 0, z, 0.01 * z),
        "softplus": lambda: np.logaddexp(0, z),
        "gelu": lambda: z * scipy.stats.norm.cdf(z),
    }[name]()


def split(parameters, sizes):
    """Coefficients and intercepts of a network out of one vector; and what is left of it."""
    coefs, intercepts, at = [], [], 0
    for n_in, n_out in pairwise(sizes):
        coefs.append(parameters[at : at + n_in * n_out].reshape(n_in, n_out))
        at += n_in * n_out
    for n_out in sizes[1:]:
        intercepts.append(parameters[at : at + n_out])
        at += n_out
    return coefs, intercepts, parameters[at:]


def network(x, coefs, intercepts, hidden, last="identity"):
    for number, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
        x = activate(hidden if number < len(coefs) - 1 else last, x @ W + b)
    return x


def labelled(x, codes, n_labels):
    return x if codes is None else np.hstack([x, np.eye(n_labels)[codes]])


def slopes(function, x, step=1e-6):
    """Central differences."""
    found = np.empty_like(x)
    for i in range(len(x)):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        found[i] = (function(up) - function(down)) / (2 * step)
    return found


class ReferenceAdam:
    def __init__(self, n, rate=RATES["learning_rate_init"]):
        self.rate = rate
        self.m, self.v, self.t = np.zeros(n), np.zeros(n), 0

    def step(self, parameters, gradient):
        self.t += 1
        self.m = RATES["beta_1"] * self.m + (1 - RATES["beta_1"]) * gradient
        self.v = RATES["beta_2"] * self.v + (1 - RATES["beta_2"]) * gradient**2
        m, v = self.m / (1 - RATES["beta_1"] ** self.t), self.v / (1 - RATES["beta_2"] ** self.t)
        return parameters - self.rate * m / (np.sqrt(v) + RATES["epsilon"])


def reference_terms(model, parameters, X, codes, noise):
    """-log p(x | z) and KL of every sample, the latter by its definition as an integral's closed form."""
    encoder, decoder = model._sizes()
    coefs, intercepts, rest = split(parameters, encoder)
    seen = X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-300) if model.likelihood == "multinomial" else X
    q = network(labelled(seen, codes, model._n_labels), coefs, intercepts, model.activation)
    mean, log_variance = np.split(q, 2, axis=1)
    z = mean + np.exp(log_variance / 2) * noise
    coefs, intercepts, rest = split(rest, decoder)
    a = network(labelled(z, codes, model._n_labels), coefs, intercepts, model.activation)
    if model.likelihood == "bernoulli":
        log_p = X * -np.logaddexp(0, -a) + (1 - X) * -np.logaddexp(0, a)
    elif model.likelihood == "multinomial":
        log_p = X * log_softmax(a, axis=1)
    else:
        log_p = scipy.stats.norm.logpdf(X, a, np.exp(rest / 2))
    divergence = (mean**2 + np.exp(log_variance) - log_variance - 1) / 2
    return -log_p.sum(axis=1), divergence.sum(axis=1), mean, log_variance, z


@pytest.mark.parametrize(
    ("activation", "sparse", "conditional"),
    [*product(["relu", "tanh", "gelu"], [False, True], [False, True]), *((name, False, False) for name in OTHERS)],
)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_vae_follows_finite_differences(likelihood, sparse, conditional, activation):
    X = samples(likelihood)
    codes = np.array([0, 1, 1, 0, 2, 2, 1]) if conditional else None
    model = VAE(
        2,
        likelihood=likelihood,
        hidden_layer_sizes=(3,),
        activation=activation,
        beta=0.8,
        warm_up=2,
        batch_size=3,
        max_iter=2,
        random_state=0,
        **RATES,
    )
    # the state that fit begins with
    start = clone(model).set_params(max_iter=1)
    given = start._check(sp.csr_matrix(X) if sparse else X, codes, reset=True, classes=None)
    state = start._initial_state(given, _training.seed_of(0))
    parameters, noise, shuffle = state.parameters[0], state.noise, np.random.Generator(state.shuffle)
    normal, optimiser, curve = np.random.Generator(noise), ReferenceAdam(len(parameters)), []
    for epoch in range(2):
        order, terms = shuffle.permutation(len(X)), []
        for batch in range(3):
            rows = order[3 * batch : 3 * batch + 3]
            eps = normal.standard_normal((len(rows), 2))
            own = None if codes is None else codes[rows]
            beta = 0.8 * min(1, (3 * epoch + batch + 1) / 6)

            def loss(p, rows=rows, eps=eps, own=own, beta=beta):
                reconstruction, divergence, *_ = reference_terms(start, p, X[rows], own, eps)
                return (reconstruction + beta * divergence).mean()

            reconstruction, divergence, *_ = reference_terms(start, parameters, X[rows], own, eps)
            terms.append([reconstruction.sum(), divergence.sum(), beta * divergence.sum()])
            parameters = optimiser.step(parameters, slopes(loss, parameters))
        curve.append(np.sum(terms, axis=0) / len(X))
    model.fit(sp.csr_matrix(X) if sparse else X, codes)
    np.testing.assert_allclose(model._parameters(), parameters, rtol=1e-5, atol=1e-6)
    for found, (reconstruction, divergence, weighted) in zip(model.loss_curve_, curve, strict=True):
        assert found["reconstruction"] == pytest.approx(reconstruction, rel=1e-5)
        assert found["divergence"] == pytest.approx(divergence, rel=1e-5)
        assert found["loss"] == pytest.approx(reconstruction + weighted, rel=1e-5)


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_bounds_are_what_their_definition_says(likelihood, sparse, conditional):
    X = samples(likelihood, n=40)
    codes = np.arange(40) % 3 if conditional else None
    model = VAE(2, likelihood=likelihood, hidden_layer_sizes=(4,), n_draws=6, max_iter=3, random_state=0, **RATES)
    model.fit(X, codes)
    given = sp.csr_matrix(X) if sparse else X
    draws = np.random.Generator(np.random.PCG64(model._judging)).standard_normal((6, 2))
    log_weights, bounds = [], []
    for noise in draws:
        reconstruction, divergence, mean, log_variance, z = reference_terms(model, model._parameters(), X, codes, noise)
        log_prior = scipy.stats.norm.logpdf(z).sum(axis=1)
        log_q = scipy.stats.norm.logpdf(z, mean, np.exp(log_variance / 2)).sum(axis=1)
        log_weights.append(-reconstruction + log_prior - log_q)
        bounds.append(-reconstruction - divergence)
    importance = logsumexp(log_weights, axis=0) - np.log(6)
    np.testing.assert_allclose(model.score_samples(given, codes), importance, rtol=1e-9)
    np.testing.assert_allclose(model.evidence_lower_bound(given, codes), np.mean(bounds, axis=0), rtol=1e-9)
    np.testing.assert_allclose(model.transform(given, codes), mean, rtol=1e-9)
    assert model.score(given, codes) == pytest.approx(importance.mean())
    if conditional:
        every = np.stack([model.score_samples(given, np.full(40, label)) for label in range(3)])
        prior = np.bincount(codes) / 40
        np.testing.assert_allclose(
            model.score_samples(given), logsumexp(every + np.log(prior)[:, np.newaxis], axis=0), rtol=1e-9
        )
        best = np.argmax(every + np.log(prior)[:, np.newaxis], axis=0)
        np.testing.assert_allclose(model.transform(given), model.transform(given, best), rtol=1e-9)


def test_importance_weights_come_closer_than_the_evidence_lower_bound(digits):
    X, _ = digits
    model = VAE(6, likelihood="bernoulli", max_iter=5, learning_rate_init=3e-3, random_state=0).fit(X)
    elbo = model.set_params(n_draws=100).evidence_lower_bound(X).mean()
    assert elbo < model.score(X) < elbo + 1


def test_a_linear_gaussian_vae_bounds_the_exact_likelihood():
    # z -> x linear: then x is normal with covariance W^T W + diag(v), and log p(x) is known
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2)) @ rng.normal(size=(2, 5)) + 0.3 * rng.normal(size=(500, 5)) + rng.normal(size=5)
    model = VAE(2, hidden_layer_sizes=(), max_iter=150, learning_rate_init=0.01, n_draws=256, random_state=0).fit(X)
    W, b = model.decoder_coefs_[0], model.decoder_intercepts_[0]
    exact = scipy.stats.multivariate_normal(b, W.T @ W + np.diag(model.noise_variance_)).logpdf(X)
    bound = model.evidence_lower_bound(X)
    assert bound.mean() < exact.mean()
    assert exact.mean() - bound.mean() < 0.25  # the posterior is normal, but not of independent components
    assert abs(model.score(X) - exact.mean()) < 0.02
    # and it learned the distribution
    best = scipy.stats.multivariate_normal(X.mean(axis=0), np.cov(X.T)).logpdf(X).mean()
    assert exact.mean() > best - 0.3
    Z, _ = model.sample(50_000, random_state=0)
    np.testing.assert_allclose(np.cov(Z.T), W.T @ W + np.diag(model.noise_variance_), atol=0.15)
    np.testing.assert_allclose(Z.mean(axis=0), b, atol=0.05)


@pytest.mark.parametrize("output", ["identity", "tanh", "logistic"])
@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("activation", ["leaky_relu", "tanh", "gelu"])
@pytest.mark.parametrize(
    ("loss", "normalised"), [("non_saturating", False), ("non_saturating", True), ("wasserstein", True)]
)
def test_gan_follows_finite_differences(loss, normalised, activation, conditional, output):
    X = samples("bernoulli")
    codes = np.array([0, 1, 1, 0, 2, 2, 1]) if conditional else None
    model = GAN(
        2,
        loss=loss,
        spectral_normalization=normalised,
        averaging=0.4,
        discriminator_learning_rate_init=0.02,
        generator_layer_sizes=(3,),
        discriminator_layer_sizes=(4,),
        activation=activation,
        output_activation=output,
        discriminator_steps=2,
        batch_size=3,
        max_iter=2,
        random_state=0,
        **RATES,
    )
    start = clone(model)
    state = start._initial_state(start._check(X, codes, reset=True, classes=None), _training.seed_of(0))
    G, D = state.parameters
    sizes_G, sizes_D = start._sizes()
    normal, shuffle = np.random.Generator(state.noise), np.random.Generator(state.shuffle)
    adam_G, adam_D, step, average = ReferenceAdam(len(G)), ReferenceAdam(len(D), rate=0.02), 0, G
    directions = state.directions

    def vectors():
        at = 0
        for n_in, n_out in pairwise(sizes_D):
            yield directions[at : at + n_out], directions[at + n_out : at + n_out + n_in]
            at += n_in + n_out

    def score(p, x, own):
        coefs, intercepts, _ = split(p, sizes_D)
        if normalised:
            coefs = [W / (v @ W @ u) for W, (u, v) in zip(coefs, vectors(), strict=True)]
        return network(labelled(x, own, start._n_labels), coefs, intercepts, activation)[:, 0]

    def make(p, eps, own):
        return network(labelled(eps, own, start._n_labels), *split(p, sizes_G)[:2], activation, output)

    def cost(sign, scores):
        return (sign * scores if loss == "wasserstein" else np.logaddexp(0, sign * scores)).mean()

    for _ in range(2):
        order = shuffle.permutation(len(X))
        losses = {"discriminator": [], "generator": []}
        for batch in range(3):
            rows = order[3 * batch : 3 * batch + 3]
            eps, own = normal.standard_normal((len(rows), 2)), None if codes is None else codes[rows]
            made = make(G, eps, own)

            def of_discriminator(p, rows=rows, made=made, own=own):
                return cost(-1, score(p, X[rows], own)) + cost(1, score(p, made, own))

            losses["discriminator"].append([of_discriminator(D) * len(rows), len(rows)])
            D = adam_D.step(D, slopes(of_discriminator, D))
            if normalised:  # a step of power iteration
                fresh = []
                for W, (_, v) in zip(split(D, sizes_D)[0], vectors(), strict=True):
                    u = W.T @ v / np.linalg.norm(W.T @ v)
                    fresh += [u, W @ u / np.linalg.norm(W @ u)]
                directions = np.concatenate(fresh)
            step += 1
            if step % 2:
                continue

            def of_generator(p, D=D, eps=eps, own=own):
                return cost(-1, score(D, make(p, eps, own), own))

            losses["generator"].append([of_generator(G) * len(rows), len(rows)])
            G = adam_G.step(G, slopes(of_generator, G))
            average = average + max(0.6, 9 / (10 + step // 2)) * (G - average)
    model.fit(X, codes)
    np.testing.assert_allclose(model._state.parameters[0], G, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model._state.parameters[1], D, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model._state.average, average, rtol=1e-5, atol=1e-6)
    for name, parts in losses.items():
        total, count = np.sum(parts, axis=0)
        assert model.loss_curve_[-1][name] == pytest.approx(total / count, rel=1e-5)
    every = [score(D, X, codes)] if codes is not None else [score(D, X, None)]
    np.testing.assert_allclose(model.score_samples(X, codes), every[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", ["non_saturating", "wasserstein"])
def test_the_discriminator_is_1_lipschitz(loss, digits):
    X, _ = digits
    model = GAN(8, loss=loss, output_activation="logistic", max_iter=4, learning_rate_init=2e-4, random_state=0).fit(X)
    coefs, _, _ = split(model._state.used, model._sizes()[1])
    for W in coefs:
        assert np.linalg.norm(W, 2) == pytest.approx(1, abs=0.15)
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 300, 64)).astype(np.float32)
    assert (abs(model.score_samples(a) - model.score_samples(b)) <= 1.3 * np.linalg.norm(a - b, axis=1)).all()


def models(**options):
    return [
        VAE(3, max_iter=2, random_state=0, **options),
        VAE(3, likelihood="bernoulli", max_iter=2, random_state=0, **options),
        VAE(3, likelihood="multinomial", max_iter=2, random_state=0, **options),
        GAN(3, max_iter=2, random_state=0, **options),
        GAN(3, spectral_normalization=False, averaging=0, max_iter=2, random_state=0, **options),
        GAN(3, loss="wasserstein", output_activation="logistic", max_iter=2, random_state=0, **options),
    ]


def name_of(model):
    return type(model).__name__ + "-" + getattr(model, "likelihood", getattr(model, "loss", ""))


every_model = pytest.mark.parametrize("model", models(), ids=name_of)


def state_of(model):
    state = model._state
    return [*state.parameters, *state.first_moments, *state.second_moments, state.average, state.used]


def dense(X):
    return X.toarray() if sp.issparse(X) else X


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("conditional", [False, True])
@every_model
def test_the_same_bits_for_any_number_of_threads(model, conditional, dtype, monkeypatch):
    monkeypatch.setattr(_training, "_SMALL", 0)
    rng = np.random.default_rng(0)
    X, y = rng.random((700, 30)).astype(dtype), rng.integers(0, 3, 700) if conditional else None
    found = []
    for n_threads in (1, 2, 5):
        with deciban.config_context(n_threads=n_threads):
            own = clone(model).set_params(batch_size=200).fit(X, y)
            Z, labels = own.sample(700, random_state=1)
            found.append((own, state_of(own), dense(Z), labels, own.score_samples(X, y)))
    assert found[0][1][0].dtype == dtype
    for own, state, Z, labels, scores in found[1:]:
        assert own.loss_curve_ == found[0][0].loss_curve_
        for a, b in zip(state, found[0][1], strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(Z, found[0][2])
        np.testing.assert_array_equal(labels, found[0][3])
        np.testing.assert_array_equal(scores, found[0][4])


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_shape(data):
    n, d = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 6))
    model = clone(data.draw(st.sampled_from(models())))
    model.set_params(batch_size=data.draw(st.integers(1, 12)), n_components=data.draw(st.integers(1, 4)))
    hidden = data.draw(st.lists(st.integers(1, 5), max_size=2))
    for name in ("hidden_layer_sizes", "generator_layer_sizes", "discriminator_layer_sizes"):
        if hasattr(model, name):
            model.set_params(**{name: hidden})
    n_classes = data.draw(st.integers(0, 3))
    y = np.arange(n) % n_classes if n_classes else None
    X = samples("bernoulli", n, d).round(int(data.draw(st.booleans())))
    if isinstance(model, VAE) and data.draw(st.booleans()):
        X = sp.csr_matrix(X)
    model.fit(X, y)
    assert len(model.loss_curve_) == 2
    assert model.score_samples(X, y).shape == (n,)
    assert np.isfinite(model.score_samples(X)).all()
    Z, labels = model.sample(n, random_state=0)
    assert Z.shape == (n, d)
    assert (labels is None) == (y is None)
    model.partial_fit(X, y)
    assert len(model.loss_curve_) == 3
    if isinstance(model, VAE):
        assert model.transform(X).shape == (n, model.n_components)


@every_model
def test_partial_fit_goes_on_where_fit_stopped(model):
    X, y = samples("bernoulli", 50, 6), np.arange(50) % 3
    for own in (None, y):
        whole = clone(model).set_params(max_iter=3).fit(X, own)
        steps = clone(model).set_params(max_iter=2).fit(X, own)
        before = copy.deepcopy(steps)
        steps.partial_fit(X, own)
        for a, b in zip(state_of(steps), state_of(whole), strict=True):
            np.testing.assert_array_equal(a, b)
        assert steps.loss_curve_ == whole.loss_curve_
        assert len(before.loss_curve_) == 2
        loaded = pickle.loads(pickle.dumps(before)).partial_fit(X, own)
        for a, b in zip(state_of(loaded), state_of(whole), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(
            dense(loaded.sample(9, random_state=0)[0]), dense(whole.sample(9, random_state=0)[0])
        )
    with pytest.raises(ValueError, match="give it again"):
        steps.partial_fit(X)
    with pytest.raises(ValueError, match="did not see"):
        steps.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match="was not given"):
        clone(model).fit(X).partial_fit(X, y)
    begun = clone(model).partial_fit(X[:5], y[:5] * 0, classes=[0, 1, 2])
    assert begun.classes_.tolist() == [0, 1, 2]
    assert begun.class_count_.tolist() == [5, 0, 0]


@every_model
def test_labels(model):
    X, y = samples("bernoulli", 60, 6), np.array(["ham", "news", "spam"])[np.arange(60) % 3]
    own = clone(model).fit(X, y)
    _, labels = own.sample(5, y="spam", random_state=0)
    assert labels.tolist() == ["spam"] * 5
    assert own.sample(y=["ham", "spam"], random_state=0)[1].tolist() == ["ham", "spam"]
    assert set(own.sample(100, random_state=0)[1]) == {"ham", "news", "spam"}
    assert own.sample(0)[0].shape == (0, 6)
    for bad in ({"y": "eggs"}, {"n_samples": 3, "y": ["ham"]}, {"n_samples": -1}):
        with pytest.raises(ValueError, match=r"did not see|labels|negative"):
            own.sample(**bad)
    for bad in (["eggs"] * 60, ["ham"]):
        with pytest.raises(ValueError, match=r"did not see|one for each"):
            own.score_samples(X, bad)
    without = clone(model).fit(X)
    for call in (lambda: without.sample(y="ham"), lambda: without.score_samples(X, y)):
        with pytest.raises(ValueError, match="not conditional"):
            call()
    assert without.score(X, y) == without.score(X)
    with pytest.raises(ValueError, match="label for each"):
        clone(model).fit(X, y[:5])


@every_model
def test_what_is_no_sample_is_refused(model):
    X = samples("bernoulli", 20, 4)
    own = clone(model).fit(X)
    before = pickle.dumps(own)
    for value in (np.nan, np.inf):
        bad = X.copy()
        bad[3, 2] = value
        for call in (own.fit, own.partial_fit, own.score_samples):
            with pytest.raises(ValueError, match=r"NaN|infinity"):
                call(bad)
    for bad in (X[:, :2], X[:0]):
        with pytest.raises(ValueError, match=r"features|minimum"):
            own.partial_fit(bad)
    if not isinstance(own, GAN):
        with pytest.raises(ValueError, match=r"Z must have 3 components"):
            own.inverse_transform(X)
    with pytest.raises(NotFittedError):
        clone(model).sample()
    assert pickle.dumps(own) == before


@pytest.mark.parametrize(
    ("model", "X", "match"),
    [
        (VAE(likelihood="bernoulli"), [[1.5]], r"\[0, 1\]"),
        (VAE(likelihood="bernoulli"), [[-0.5]], "Negative"),
        (VAE(likelihood="multinomial"), [[-1.0]], "Negative"),
        (GAN(output_activation="tanh"), [[1.5]], "range of output_activation"),
        (VAE(hidden_layer_sizes=(0,)), [[1.0]], "positive integers"),
        (VAE(hidden_layer_sizes=(2.5,)), [[1.0]], "positive integers"),
        (GAN(generator_layer_sizes=((1,),)), [[1.0]], "positive integers"),
        (VAE(likelihood="cauchy"), [[1.0]], "likelihood"),
        (VAE(n_components=0), [[1.0]], "n_components"),
        (GAN(learning_rate_init=0.0), [[1.0]], "learning_rate_init"),
        (GAN(batch_size=0), [[1.0]], "batch_size"),
        (GAN(averaging=1.0), [[1.0]], "averaging"),
        (GAN(discriminator_learning_rate_init=0.0), [[1.0]], "discriminator_learning_rate_init"),
        (GAN(loss="wasserstein", spectral_normalization=False), [[1.0]], "needs spectral_normalization"),
    ],
)
def test_parameters_that_do_not_fit(model, X, match):
    with pytest.raises(ValueError, match=match):
        model.fit(X)
    assert not hasattr(model, "loss_curve_")


@pytest.mark.parametrize(
    "model",
    [
        VAE(2, learning_rate_init=1e6, max_iter=50),
        GAN(2, spectral_normalization=False, learning_rate_init=1e30, max_iter=50, activation="relu"),
    ],
    ids=name_of,
)
def test_a_loss_that_explodes_is_an_error_that_names_the_epoch(model):
    X = samples("gaussian", 50, 6, np.float32)
    with pytest.raises(FloatingPointError, match=r"diverged in epoch \d+"):
        model.fit(X)
    assert not hasattr(model, "loss_curve_")
    model.set_params(learning_rate_init=1e-4, max_iter=1).fit(X)
    model.set_params(learning_rate_init=1e30)
    while True:
        before = pickle.dumps(model)
        try:
            model.partial_fit(X)
        except FloatingPointError:
            break
    assert pickle.dumps(model) == before


@every_model
def test_ctrl_c_keeps_what_was_learned(model, monkeypatch):
    X = samples("bernoulli", 40, 5)
    expected = clone(model).set_params(max_iter=3).fit(X)
    run_team, epochs = _training.run_team, iter(range(100))

    def interrupted(*arguments):
        if next(epochs) == 3:
            raise KeyboardInterrupt
        run_team(*arguments)

    monkeypatch.setattr(_training, "run_team", interrupted)
    own = clone(model).set_params(max_iter=9)
    with pytest.warns(ConvergenceWarning, match="interrupted by user"):
        own.fit(X)
    assert own.n_iter_ == len(own.loss_curve_) == 3
    for a, b in zip(state_of(own), state_of(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def test_progress_is_shown(monkeypatch, capsys, digits):
    X, _ = digits
    GAN(2, max_iter=2, verbose=True).fit(X[:50])
    shown = capsys.readouterr().err
    assert "GAN" in shown
    assert "discriminator=" in shown
    monkeypatch.setattr(_training.importlib.util, "find_spec", lambda _name: None)
    VAE(2, max_iter=2, verbose=True).fit(X[:50])
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("]")[0] for line in lines] == ["VAE [1/2", "VAE [2/2"]
    assert "divergence=" in lines[1]


def test_samples_of_the_likelihood(digits):
    X, y = digits
    model = VAE(4, likelihood="bernoulli", max_iter=3, random_state=0).fit(X, y)
    on, labels = model.sample(2000, random_state=0)
    mean, same = model.sample(2000, random_state=0, mean=True)
    assert set(np.unique(on)) == {0, 1}
    np.testing.assert_array_equal(labels, same)
    assert abs(on.mean() - mean.mean()) < 0.01
    assert 0 < mean.min() < mean.max() < 1
    np.testing.assert_allclose(model.inverse_transform(model.transform(X[:20], y[:20]), y[:20]).shape, (20, 64))
    with pytest.raises(ValueError, match="have a length"):
        model.sample(3, length=4)
    counts = VAE(4, likelihood="multinomial", max_iter=3, random_state=0).fit(sp.csr_matrix(X * 16))
    Z, _ = counts.sample(300, random_state=0)
    assert sp.issparse(Z)
    assert Z.dtype == np.int64
    assert abs(Z.sum() / 300 - X.sum() * 16 / len(X)) < 5
    assert np.asarray(counts.sample(4, length=[1, 2, 0, 9], random_state=0)[0].sum(axis=1)).ravel().tolist() == [
        1,
        2,
        0,
        9,
    ]
    shares = counts.inverse_transform(np.zeros((1, 4), np.float32))
    assert shares.sum() == pytest.approx(1, abs=1e-5)


def test_a_pipeline_and_its_names(digits):
    X, _ = digits
    pipeline = make_pipeline(VAE(3, max_iter=2, random_state=0)).fit(X)
    pipeline.set_output(transform="pandas")
    assert list(pipeline.transform(X[:2]).columns) == ["vae0", "vae1", "vae2"]


def test_views_of_the_parameters(digits):
    X, y = digits
    model = VAE(3, hidden_layer_sizes=(7, 5), max_iter=1, likelihood="bernoulli").fit(X, y)
    assert [W.shape for W in model.encoder_coefs_] == [(74, 7), (7, 5), (5, 6)]
    assert [W.shape for W in model.decoder_coefs_] == [(13, 5), (5, 7), (7, 64)]
    assert [len(b) for b in model.encoder_intercepts_ + model.decoder_intercepts_] == [7, 5, 6, 5, 7, 64]
    with pytest.raises(AttributeError, match="Gaussian"):
        _ = model.noise_variance_
    model = GAN(3, generator_layer_sizes=(7,), discriminator_layer_sizes=(), max_iter=1).fit(X)
    assert [W.shape for W in model.generator_coefs_] == [(3, 7), (7, 64)]
    assert [W.shape for W in model.discriminator_coefs_] == [(64, 1)]
    assert [len(b) for b in model.generator_intercepts_ + model.discriminator_intercepts_] == [7, 64, 1]


def test_samples_are_made_by_the_average(digits):
    X, _ = digits
    last, mean = (GAN(3, averaging=share, max_iter=2, random_state=0).fit(X) for share in (0.0, 0.9))
    np.testing.assert_array_equal(last._state.average, last._state.parameters[0])
    np.testing.assert_array_equal(mean._state.parameters[0], last._state.parameters[0])
    for model in (last, mean):
        (first, second), (b, c) = model.generator_coefs_, model.generator_intercepts_
        eps = np.random.Generator(np.random.PCG64(_training.seed_of(0).spawn(1)[0])).standard_normal((9, 3))
        hidden = activate("leaky_relu", eps @ first + b)
        np.testing.assert_allclose(model.sample(9, random_state=0)[0], hidden @ second + c, rtol=1e-4, atol=1e-5)
    assert not np.array_equal(last.sample(9, random_state=0)[0], mean.sample(9, random_state=0)[0])


def test_labels_make_their_own_digits(digits):
    X, y = digits
    model = VAE(6, likelihood="bernoulli", hidden_layer_sizes=(128,), max_iter=40, random_state=0)
    model.set_params(learning_rate_init=3e-3, batch_size=64).fit(X, y)
    from sklearn.neighbors import KNeighborsClassifier

    Z, labels = model.sample(500, random_state=0, mean=True)
    assert (KNeighborsClassifier(3).fit(X, y).predict(Z) == labels).mean() > 0.9
