"""What the naive Bayes models generate: alias tables, documents, presence, categories, normal values, likelihoods."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.stats
import sklearn.naive_bayes as theirs
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from sklearn.exceptions import NotFittedError

import deciban
import deciban.naive_bayes as ours
from deciban._kernels import sampling

NAMES = ours.__all__
DOCUMENTS = ["MultinomialNB", "ComplementNB"]


def fitted(name, n_features=12, n_classes=3, **parameters):
    rng = np.random.default_rng(4)
    rate = rng.gamma(0.7, size=(n_classes, n_features)) + 0.02
    y = rng.integers(0, n_classes, 300)
    X = rng.poisson(rate[y])
    return getattr(ours, name)(**parameters).fit(X * 1.5 if name == "GaussianNB" else X, y), X, y


def dense(X):
    return X.toarray() if sp.issparse(X) else X


def tables(shares):
    keep, alias = np.empty(len(shares)), np.empty(len(shares), np.int32)
    sampling.alias_table(shares, keep, alias)
    return keep, alias


@given(shares=st.lists(st.floats(0, 1e6), min_size=1, max_size=40).filter(lambda p: sum(p) > 1e-3))
def test_an_alias_table_holds_its_distribution(shares):
    shares = np.array(shares)
    keep, alias = tables(shares)
    assert keep.min() >= 0
    assert keep.max() <= 1 + 1e-12
    held = keep.copy()
    np.add.at(held, alias, 1 - keep)
    np.testing.assert_allclose(held / len(shares), shares / shares.sum(), rtol=1e-9, atol=1e-12)
    # what cannot be drawn has no part of any column
    assert not keep[shares == 0].any()
    assert (shares[alias[keep < 1]] > 0).all()


def words(n_features, lengths, shares=None, seed=0):
    lengths = np.array(lengths, np.int64)
    keep, alias = tables(np.ones(n_features) if shares is None else shares)
    n_words = int(lengths.sum())
    indices, counts, sizes = np.empty(n_words, np.int32), np.empty(n_words, np.int64), np.empty(len(lengths), np.int64)
    scratch = np.empty(lengths.max(initial=0), np.int32)
    n = sampling.documents(np.random.PCG64(seed), keep, alias, lengths, scratch, indices, counts, sizes)
    assert n == sizes.sum()
    return indices[:n], counts[:n], sizes


@given(
    n_features=st.sampled_from([1, 2, 255, 256, 257, 70_000, 17_000_000]),
    lengths=st.lists(st.integers(0, 120), max_size=6),
    seed=st.integers(0, 2**32),
)
def test_documents_are_their_draws_sorted_and_counted(n_features, lengths, seed):
    if n_features > 100_000 and seed % 20:  # an alias table of that size takes a while
        n_features = 70_000
    indices, counts, sizes = words(n_features, lengths, seed=seed)
    # the same draws in NumPy
    uniform = np.random.Generator(np.random.PCG64(seed)).random(sum(lengths))
    drawn = np.split(np.minimum((uniform * n_features).astype(int), n_features - 1), np.cumsum(lengths)[:-1])
    expected = [np.unique(part, return_counts=True) for part in drawn] if lengths else []
    assert sizes.tolist() == [len(part[0]) for part in expected]
    if expected:
        np.testing.assert_array_equal(indices, np.concatenate([part[0] for part in expected]))
        np.testing.assert_array_equal(counts, np.concatenate([part[1] for part in expected]))


def test_kernels_check_shapes():
    keep, alias = tables(np.ones(3))
    stream, two = np.random.PCG64(0), np.empty(2, np.int32)
    lengths, sizes = np.array([2, 1]), np.empty(2, np.int64)

    def documents(keep=keep, alias=alias, lengths=lengths, scratch=two, room=3, sizes=sizes):
        sampling.documents(
            stream, keep, alias, lengths, scratch, np.empty(room, np.int32), np.empty(room, np.int64), sizes
        )

    documents()
    for bad in (
        {"room": 2},
        {"lengths": np.array([2, -1])},
        {"lengths": np.array([2**62, 2**62])},
        {"scratch": two[:1]},
        {"sizes": sizes[:1]},
        {"alias": alias[:2]},
        {"keep": keep[:0], "alias": alias[:0]},
    ):
        with pytest.raises(ValueError, match="lengths"):
            documents(**bad)
    with pytest.raises(ValueError, match="shape"):
        sampling.alias_table(np.ones(3), np.empty(2), alias)
    with pytest.raises(ValueError, match="room"):
        sampling.presences(stream, np.ones(3), np.empty(5, np.int32), sizes)
    rows, out = np.arange(2), np.zeros((2, 2))
    for mean, scale, bad_rows in (
        (np.ones(1), np.ones(2), rows),
        (np.ones(2), np.ones(3), rows),
        (*np.ones((2, 2)), rows + 1),
    ):
        with pytest.raises(ValueError, match=r"shape|rows"):
            sampling.normals(stream, mean, scale, bad_rows, out)
    for starts, bad_rows in (([0, 3], rows), ([0, 2, 4], rows), ([0, 0, 3], rows), ([0, 1, 3], rows + 1)):
        with pytest.raises(ValueError, match=r"shape|rows|categories"):
            sampling.categories(stream, keep, alias, np.array(starts), bad_rows, out.astype(np.int64))
    with pytest.raises(AttributeError):
        sampling.poisson(object(), 1.0, sizes)


@pytest.mark.parametrize("n_threads", [2, 5])
@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_the_same_samples_on_every_run_and_thread_count(name, n_threads):
    model, _, _ = fitted(name)
    with deciban.config_context(n_threads=1):
        expected, labels = model.sample(20_000, random_state=7)
    with deciban.config_context(n_threads=n_threads):
        again, again_labels = model.sample(20_000, random_state=7)
    np.testing.assert_array_equal(dense(again), dense(expected))
    np.testing.assert_array_equal(again_labels, labels)
    other, _ = model.sample(20_000, random_state=8)
    assert (dense(other) != dense(expected)).any()
    shared = np.random.RandomState(3)
    assert (dense(model.sample(99, random_state=shared)[0]) != dense(model.sample(99, random_state=shared)[0])).any()


def assert_shares(counts, shares):
    """The counts are plausible for the shares: a test that a right sampler fails once in a million seeds."""
    expected = shares * counts.sum()
    assert scipy.stats.chisquare(counts[expected > 0], expected[expected > 0]).pvalue > 1e-6
    assert not counts[expected == 0].any()


@pytest.mark.parametrize("name", NAMES)
def test_samples_have_the_distribution_of_the_model(name):
    model, _, _ = fitted(name)
    X, y = model.sample(30_000, random_state=0)
    assert X.shape == (30_000, 12)
    prior = model.class_prior_ if name == "GaussianNB" else np.exp(model.class_log_prior_)
    assert_shares(np.bincount(y), prior)
    for k in range(3):
        Z = dense(X[np.flatnonzero(y == k)])
        if name in DOCUMENTS:
            counts = model.feature_count_[k] + 1
            assert_shares(Z.sum(axis=0), counts / counts.sum())
            length = model.feature_count_[k].sum() / model.class_count_[k]
            assert abs(Z.sum(axis=1).mean() - length) < 5 * np.sqrt(length / len(Z))
            # Poisson: as many words more or less as the square root of their number
            assert abs(Z.sum(axis=1).var() / length - 1) < 0.1
        elif name == "BernoulliNB":
            for f in range(12):
                share = np.exp(model.feature_log_prob_[k, f])
                assert_shares(np.bincount(Z[:, f], minlength=2), np.array([1 - share, share]))
        elif name == "CategoricalNB":
            for f in range(12):
                shares = np.exp(model.feature_log_prob_[f][k])
                assert_shares(np.bincount(Z[:, f], minlength=len(shares)), shares)
        else:
            scale = np.sqrt(model.var_[k])
            assert all(
                scipy.stats.kstest((Z - model.theta_[k])[:, f] / scale[f], "norm").pvalue > 1e-6 for f in range(12)
            )


@pytest.mark.parametrize("name", NAMES)
def test_a_model_of_its_own_samples_is_the_model_again(name):
    model, _, _ = fitted(name)
    again = type(model)().fit(*model.sample(30_000, random_state=1))
    X, _ = model.sample(500, random_state=2)
    assert abs(model.score_samples(X).mean() - again.score_samples(X).mean()) < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_labels_to_sample_for(name):
    model, X, y = fitted(name)
    named = type(model)().fit(X, np.array(["ham", "news", "spam"])[y])
    for labels, n, expected in (
        ("spam", 5, ["spam"] * 5),
        (["spam", "ham", "ham"], None, ["spam", "ham", "ham"]),
        (np.array(["news"]), 1, ["news"]),
        (None, 0, []),
        ([], 0, []),
    ):
        Z, got = named.sample(n, y=labels, random_state=0) if len(expected) else named.sample(n, random_state=0)
        assert got.tolist() == expected
        assert Z.shape == (len(expected), 12)
    assert named.sample(random_state=0)[0].shape == (1, 12)
    wanted = np.random.default_rng(0).integers(0, 3, 4000)
    Z, got = model.sample(y=wanted, random_state=0)
    np.testing.assert_array_equal(got, wanted)
    assert (model.predict(Z) == wanted).mean() > 0.6  # 0.33 if rows and labels were mixed up
    for bad, error, match in (
        ({"n_samples": -1}, ValueError, "negative"),
        ({"n_samples": 1.5}, TypeError, "integer"),
        ({"n_samples": 2, "y": ["ham"]}, ValueError, "labels, got 1"),
        ({"y": "eggs"}, ValueError, "did not see.*eggs"),
        ({"y": 1}, ValueError, "did not see"),
        ({"y": [["ham"]]}, ValueError, "one-dimensional"),
        ({"random_state": "x"}, ValueError, "seed"),
    ):
        with pytest.raises(error, match=match):
            named.sample(**bad)
    with pytest.raises(NotFittedError):
        type(model)().sample(3)
    with pytest.raises(NotFittedError):
        type(model)().score_samples(X)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_lengths_of_documents(name):
    model, _, _ = fitted(name)
    lengths = np.random.default_rng(0).integers(0, 200, 3000)
    X, _ = model.sample(3000, length=lengths, random_state=0)
    np.testing.assert_array_equal(np.asarray(X.sum(axis=1)).ravel(), lengths)
    assert X.has_canonical_format
    assert X.dtype == np.int64
    assert X.indices.dtype == np.int32
    assert model.sample(4, length=9, random_state=0)[0].sum() == 36
    assert model.sample(4, length=0)[0].nnz == 0
    for length, error in ((-1, ValueError), ([1, 2], ValueError), (1.5, TypeError), ([[1]], TypeError)):
        with pytest.raises(error, match="length"):
            model.sample(4, length=length)


@pytest.mark.parametrize("name", NAMES)
def test_likelihood_of_samples(name):
    model, X, y = fitted(name)
    their = getattr(theirs, "MultinomialNB" if name in DOCUMENTS else name)().fit(
        X * 1.5 if name == "GaussianNB" else X, y
    )
    found = model.score_samples(X)
    np.testing.assert_allclose(found, logsumexp(their.predict_joint_log_proba(X), axis=1), rtol=1e-12)
    assert found.shape == (300,)
    if name not in ("GaussianNB", "CategoricalNB"):
        np.testing.assert_allclose(model.score_samples(sp.csr_matrix(X)), found, rtol=1e-12)


@pytest.mark.parametrize("name", ["BernoulliNB", "CategoricalNB"])
def test_probabilities_of_all_samples_sum_to_one(name):
    rng = np.random.default_rng(0)
    model = getattr(ours, name)().fit(rng.integers(0, 2, (30, 6)), rng.integers(0, 3, 30))
    every = (np.arange(64)[:, np.newaxis] >> np.arange(6)) & 1
    assert np.exp(model.score_samples(every)).sum() == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_probabilities_of_all_documents_of_a_length_sum_to_one(name):
    model, _, _ = fitted(name, n_features=3, alpha=[0.1, 1.0, 2.0])
    words = np.array(np.meshgrid(*[range(3)] * 4)).reshape(4, -1)
    counts = np.stack([(words == f).sum(axis=0) for f in range(3)], axis=1)
    assert np.exp(model.score_samples(counts)).sum() == pytest.approx(1, rel=1e-12)


def test_complement_generates_what_the_multinomial_model_of_its_counts_does():
    complement, X, y = fitted("ComplementNB", norm=True)
    multinomial = ours.MultinomialNB().fit(X, y)
    for model in (complement, pickle.loads(pickle.dumps(complement))):
        a, b = model.sample(50, random_state=0), multinomial.sample(50, random_state=0)
        assert (a[0] != b[0]).nnz == 0
        np.testing.assert_array_equal(a[1], b[1])
        np.testing.assert_array_equal(model.score_samples(X), multinomial.score_samples(X))


def test_what_has_no_probability_is_not_drawn():
    X, y = np.array([[3, 0, 1], [0, 2, 0], [0, 0, 0]]), np.array([0, 1, 1])
    with np.errstate(divide="ignore"):
        model = ours.MultinomialNB(alpha=0.0, class_prior=[0.0, 1.0]).fit(X, y)
    Z, labels = model.sample(5000, random_state=0)
    assert set(labels) == {1}
    assert not Z[:, [0, 2]].sum()
    Z, _ = model.sample(500, y=0, random_state=0)
    assert not Z[:, 1].sum()


def test_classes_without_documents_have_no_length():
    model = ours.MultinomialNB().partial_fit([[1, 2]], [0], classes=[0, 1])
    with pytest.raises(ValueError, match="give length"):
        model.sample(y=1)
    assert model.sample(y=1, length=3)[0].sum() == 3


@pytest.mark.parametrize("name", NAMES)
def test_attributes_that_are_no_distribution_are_refused(name):
    model, _, _ = fitted(name)
    prior = "class_prior_" if name == "GaussianNB" else "class_log_prior_"
    changes = [(prior, np.full(3, np.nan)), (prior, np.zeros(5))]
    if name == "GaussianNB":
        changes += [("theta_", model.theta_ * np.nan), ("var_", -model.var_), ("var_", model.var_[:, :2])]
    elif name == "CategoricalNB":
        changes += [("feature_log_prob_", [table * np.nan for table in model.feature_log_prob_])]
        changes += [("feature_log_prob_", model.feature_log_prob_[:3])]
    else:
        source = "feature_count_" if name == "ComplementNB" else "feature_log_prob_"
        table = getattr(model, source)
        changes += [(source, table * np.nan), (source, table[:, :5]), (source, np.hstack([table, table]))]
        if name in DOCUMENTS:
            changes += [("class_count_", np.zeros(7)), ("feature_count_", np.full((3, 12), -1.0))]
    for attribute, value in changes:
        broken = pickle.loads(pickle.dumps(model))
        setattr(broken, attribute, value)
        with pytest.raises(ValueError, match=r"attributes|probabilities|must|means|length"):
            broken.sample(200, random_state=0)


def test_samples_of_20_newsgroups_look_like_it(newsgroups):
    train, _ = newsgroups
    from deciban.feature_extraction.text import CountVectorizer

    X = CountVectorizer().fit_transform(train.data)
    model = ours.MultinomialNB(alpha=0.01).fit(X, train.target)
    Z, y = model.sample(2000, random_state=0)
    assert Z.shape == (2000, X.shape[1])
    assert (model.predict(Z) == y).mean() > 0.95
    mean = X.sum() / X.shape[0]
    assert abs(Z.sum() / 2000 - mean) < 0.1 * mean
    # real documents repeat their words, which a bag of independent words does not: it has more different ones
    assert Z.nnz / Z.sum() > X.nnz / X.sum()
