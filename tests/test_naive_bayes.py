"""deciban.naive_bayes against scikit-learn, a NumPy reference, and what the world may hand it."""

import copy
import pickle
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import reference
import scipy.sparse as sp
import sklearn
import sklearn.naive_bayes as theirs
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import deciban
import deciban.naive_bayes as ours
from deciban._kernels import counts, moments, posterior
from deciban.naive_bayes._gaussian import moments_by_class

COUNTING = ["MultinomialNB", "ComplementNB", "BernoulliNB"]
NAMES = [*COUNTING, "CategoricalNB", "GaussianNB"]
METHODS = ["predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba"]
DTYPES = ["float64", "float32", "int64", "int32", "uint8", "bool"]


def samples(name, n=60, d=41, n_classes=3, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    X = rng.poisson(0.4, (n, d))
    if name == "GaussianNB":
        X = rng.normal(size=(n, d)) * 3 if dtype.startswith("float") else X
    elif name != "CategoricalNB" and dtype.startswith("float"):
        X = X * rng.random((n, d))
    return X.astype(dtype), rng.integers(0, n_classes, n)


def fitted_attributes(model):
    return {name for name in vars(model) if name.endswith("_") and not name.startswith("_")}


def assert_same(a, b, exact=False, rtol=1e-10, atol=1e-12):
    if isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y, exact, rtol, atol)
        return
    assert getattr(a, "dtype", None) == getattr(b, "dtype", None)
    assert np.shape(a) == np.shape(b)
    if exact or np.asarray(a).dtype.kind in "iUOb":
        np.testing.assert_array_equal(a, b)
    else:
        np.testing.assert_allclose(b, a, rtol=rtol, atol=atol)


def assert_same_fit(their, our, exact=False, **tolerance):
    assert fitted_attributes(their) == fitted_attributes(our)
    for name in fitted_attributes(their):
        assert_same(getattr(their, name), getattr(our, name), exact, **tolerance)


def assert_same_answers(their, our, X, exact=False, **tolerance):
    for method in METHODS:
        same = exact and method in ("predict", "predict_joint_log_proba")
        assert_same(getattr(their, method)(X), getattr(our, method)(X), same, **tolerance)


@contextmanager
def native():
    """Fail where scikit-learn's code would run."""
    with deciban.config_context(fallback="error"):
        yield


def pair(name, **parameters):
    return getattr(theirs, name)(**parameters), getattr(ours, name)(**parameters)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_classes", [1, 2, 3, 20])
@pytest.mark.parametrize("name", COUNTING)
def test_sparse_has_the_bits_of_scikit_learn(name, n_classes, dtype, weighted):
    X, y = samples(name, n_classes=n_classes, dtype=dtype)
    X, weights = sp.csr_matrix(X), np.random.default_rng(1).random(60) if weighted else None
    their, our = pair(name, alpha=0.3)
    with native():
        assert_same_fit(their.fit(X, y, weights), our.fit(X, y, weights), exact=True)
        assert_same_answers(their, our, X, exact=True)
        their.partial_fit(X[:7], y[:7]), our.partial_fit(X[:7], y[:7])  # the small path
        their.partial_fit(X, y, sample_weight=weights), our.partial_fit(X, y, sample_weight=weights)
        assert_same_fit(their, our, exact=True)
        assert_same_answers(their, our, X, exact=True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32", "uint8"])
@pytest.mark.parametrize("n_classes", [1, 2, 3, 20])
@pytest.mark.parametrize("name", NAMES)
def test_dense_agrees_with_scikit_learn(name, n_classes, dtype, weighted):
    X, y = samples(name, n_classes=n_classes, dtype=dtype)
    weights = np.random.default_rng(1).random(60) if weighted else None
    their, our = pair(name)
    narrow = name == "GaussianNB" and dtype == "float32"
    tolerance = {"rtol": 2e-4, "atol": 2e-4} if narrow else {}
    with native():
        assert_same_fit(their.fit(X, y, weights), our.fit(X, y, weights), **tolerance)
        assert_same_answers(their, our, X, **tolerance)
        their.partial_fit(X[:9], y[:9]), our.partial_fit(X[:9], y[:9])
        assert_same_fit(their, our, **tolerance)
        assert_same_answers(their, our, X, **tolerance)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_sparse_matrix_has_the_bits_of_scikit_learn(data):
    n, d = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    n_classes = data.draw(st.integers(1, 10))
    dtype = data.draw(st.sampled_from(DTYPES[:4]))
    values = st.integers(0, 9) if dtype.startswith("int") else st.floats(0, 1e6, width=32)
    rows = data.draw(st.lists(st.lists(st.tuples(st.integers(0, d - 1), values), max_size=8), min_size=n, max_size=n))
    indptr = np.cumsum([0] + [len(row) for row in rows])
    index = data.draw(st.sampled_from([np.int32, np.int64]))
    X = sp.csr_matrix((n, d), dtype=dtype)
    # unsorted and repeated indices stay as they are
    X.indptr, X.indices = indptr.astype(index), np.array([f for row in rows for f, _ in row], dtype=index)
    X.data = np.array([v for row in rows for _, v in row], dtype=dtype)
    y = np.array(data.draw(st.lists(st.integers(0, n_classes - 1), min_size=n, max_size=n)))
    weights = data.draw(st.none() | st.lists(st.floats(0.01, 10), min_size=n, max_size=n))
    name = data.draw(st.sampled_from(COUNTING))
    their, our = pair(name, alpha=data.draw(st.sampled_from([0.01, 1.0, 3.5])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # Bernoulli: a repeated feature counts for more than its sample
        assert_same_fit(their.fit(X, y, weights), our.fit(X, y, weights), exact=True)
        # without a finite likelihood scikit-learn's own code answers, from a table that lies the other way
        finite = bool(np.isfinite(their.predict_joint_log_proba(X)).all())
        assert_same_answers(their, our, X, exact=finite, rtol=1e-9, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_dense_matrix_agrees_with_scikit_learn(data):
    n, d = data.draw(st.integers(2, 20)), data.draw(st.integers(1, 40))
    name = data.draw(st.sampled_from(NAMES))
    seed = data.draw(st.integers(0, 10**6))
    X, y = samples(name, n, d, data.draw(st.integers(1, 5)), data.draw(st.sampled_from(DTYPES[:4:2])), seed)
    their, our = pair(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # classes of one sample and features without variance
        assert_same_fit(their.fit(X, y), our.fit(X, y))
        assert_same_answers(their, our, X, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", NAMES)
def test_layout_does_not_matter(name, order):
    X, y = samples(name)
    our = getattr(ours, name)().fit(np.asarray(X, order=order)[::-1], y[::-1])
    their = getattr(theirs, name)().fit(X[::-1], y[::-1])
    assert_same_answers(their, our, np.asarray(X, order=order)[:, :])


@pytest.mark.parametrize("container", [sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.coo_matrix])
@pytest.mark.parametrize("name", COUNTING)
def test_sparse_formats(name, container):
    X, y = samples(name)
    their, our = pair(name)
    assert_same_fit(their.fit(container(X), y), our.fit(container(X), y), exact=True)
    assert_same_answers(their, our, container(X), exact=True)


def test_reference_multinomial_complement_bernoulli():
    X, y = samples("MultinomialNB", dtype="int64")
    count, per_class = reference.count(X, y, 3)
    m = ours.MultinomialNB(alpha=0.7).fit(sp.csr_matrix(X), y)
    log_prob, log_prior = reference.multinomial(count, per_class, 0.7)
    np.testing.assert_allclose(m.feature_log_prob_, log_prob, rtol=1e-13)
    joint = X @ log_prob.T + log_prior
    np.testing.assert_allclose(m.predict_log_proba(sp.csr_matrix(X)), reference.log_posterior(joint), atol=1e-11)
    for norm in (False, True):
        c = ours.ComplementNB(alpha=0.7, norm=norm).fit(sp.csr_matrix(X), y)
        np.testing.assert_allclose(
            c.feature_log_prob_ * (-1 if norm else 1),
            reference.complement(count, 0.7, norm) * (-1 if norm else 1),
            rtol=1e-12,
        )
    count, _ = reference.count(X > 0, y, 3)
    b = ours.BernoulliNB(alpha=0.7).fit(sp.csr_matrix(X), y)
    np.testing.assert_allclose(
        b.predict_joint_log_proba(X), reference.bernoulli_joint(X, count, per_class, 0.7), rtol=1e-11
    )


def test_reference_gaussian():
    X, y = samples("GaussianNB", n=500, d=11)
    m = ours.GaussianNB(var_smoothing=0).fit(X, y)
    theta = np.stack([X[y == k].mean(axis=0) for k in range(3)])
    var = np.stack([X[y == k].var(axis=0) for k in range(3)])
    np.testing.assert_allclose(m.theta_, theta, atol=1e-14)
    np.testing.assert_allclose(m.var_, var, rtol=1e-13)
    joint = reference.gaussian_joint(X, theta, var, np.bincount(y) / 500)
    np.testing.assert_allclose(m.predict_joint_log_proba(X), joint, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32"])
def test_gaussian_moments_of_many_parts(dtype):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, 100_000)
    codes[codes == 1] = 2  # a class that no part has
    X = (10 * rng.standard_normal((100_000, 3)) + codes[:, None]).astype(dtype)
    for weights in (np.empty(0), rng.random(100_000)):
        weight, mean, squares = moments_by_class(X, codes.astype(np.int32), 3, weights)
        for k in (0, 2):
            rows = codes == k
            w = weights[rows] if len(weights) else np.ones(rows.sum())
            np.testing.assert_allclose(weight[k], w.sum(), rtol=1e-12)
            np.testing.assert_allclose(mean[k], np.average(X[rows], axis=0, weights=w), rtol=1e-10, atol=1e-10)
            expected = (w[:, None] * (X[rows].astype(float) - mean[k]) ** 2).sum(axis=0)
            np.testing.assert_allclose(squares[k], expected, rtol=1e-10)
        assert not weight[1] and not mean[1].any() and not squares[1].any()  # noqa: PT018
    with pytest.raises(ValueError, match="do not agree in shape"):
        moments.merge_parts(np.zeros((2, 3, 1)), np.zeros((2, 3, 4)), np.zeros((2, 3, 5)))


def test_gaussian_variance_survives_a_large_mean():
    rng = np.random.default_rng(0)
    X, y = rng.normal(1e8, 1.0, (5000, 3)), rng.integers(0, 2, 5000)
    m = ours.GaussianNB(var_smoothing=0).fit(X, y)
    np.testing.assert_allclose(m.var_, [(X - 1e8)[y == k].var(axis=0) for k in (0, 1)], rtol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_bits_for_any_number_of_threads(name):
    X, y = samples(name, n=3000, d=67, n_classes=7, dtype="int64" if name == "CategoricalNB" else "float64")
    X = sp.csr_matrix(X) if name in COUNTING else X
    answers = []
    for n_threads in (1, 2, 5):
        with deciban.config_context(n_threads=n_threads):
            m = getattr(ours, name)().fit(X, y)
            m.partial_fit(X[:1500], y[:1500])
            found = [getattr(m, attribute) for attribute in sorted(fitted_attributes(m))]
            answers.append(
                pickle.dumps(
                    [
                        [
                            np.ascontiguousarray(f).tolist() if not isinstance(f, list) else [g.tolist() for g in f]
                            for f in found
                        ],
                        [getattr(m, method)(X).tolist() for method in METHODS],
                    ]
                )
            )
    assert answers[0] == answers[1] == answers[2]


# Labels

LABELS = {
    "negative": lambda y: y - 5,
    "int8": lambda y: y.astype(np.int8),
    "uint16": lambda y: y.astype(np.uint16),
    "bool": lambda y: y > 0,
    "float": lambda y: y.astype(float),
    "str": lambda y: np.array(["x", "aa", "m"])[y],
    "object": lambda y: np.array(["x", "aa", "m"], dtype=object)[y],
    "list": lambda y: y.tolist(),
    "far apart": lambda y: np.array([-(2**62), 5, 2**62])[y],
    "huge unsigned": lambda y: np.array([1, 2**63 + 1, 2**64 - 1], dtype=np.uint64)[y],
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("name", NAMES)
def test_labels(name, kind):
    X, y = samples(name)
    y = LABELS[kind](y)
    their, our = pair(name)
    assert_same_fit(their.fit(X, y), our.fit(X, y))
    assert_same_answers(their, our, X)
    their.partial_fit(X, y), our.partial_fit(X, y)
    assert_same_fit(their, our)


@pytest.mark.parametrize("seen", [[0, 1, 9], [0, 9], [9, 9], [0, 1, 2]])
@pytest.mark.parametrize("classes", [[0], [0, 1], [0, 1, 2]])
@pytest.mark.parametrize("name", NAMES)
def test_partial_fit_with_labels_that_are_no_class(name, classes, seen):
    X, _ = samples(name, n=12)
    y = np.resize(seen, 12)
    their, our = pair(name)
    assert_alike(lambda m: m.partial_fit(X, y, classes=classes), their, our)


def outcome(call, model):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call(model)
            error = None
        except Exception as e:  # whatever scikit-learn raises, we raise
            error = e
    return error, {(w.category, str(w.message)) for w in caught}


def assert_alike(call, their, our):
    """The same error, or the same attributes; the same warnings; after an error nothing has changed."""
    before = {name: copy.deepcopy(getattr(our, name)) for name in vars(our)}
    (their_error, their_warnings), (our_error, our_warnings) = outcome(call, their), outcome(call, our)
    assert type(our_error) is type(their_error), (our_error, their_error)
    assert str(our_error) == str(their_error)
    assert our_warnings == their_warnings
    if our_error is None:
        assert_same_fit(their, our)
    else:
        assert before.keys() == vars(our).keys()
        for name, value in before.items():
            if name.endswith("_"):
                assert_same(value, getattr(our, name), exact=True)


X0, Y0 = samples("MultinomialNB", n=8, d=3, dtype="int64")
Y0[:3] = [0, 1, 2]
BAD = {
    "nan": lambda m: m.fit(np.where(X0 == 0, np.nan, X0), Y0),
    "inf": lambda m: m.fit(np.where(X0 == 0, np.inf, X0), Y0),
    "sparse nan": lambda m: m.fit(sp.csr_matrix(np.where(X0 == 1, np.nan, X0)), Y0),
    "negative": lambda m: m.fit(-X0, Y0),
    "sparse negative": lambda m: m.fit(sp.csr_matrix(-X0), Y0),
    "continuous y": lambda m: m.fit(X0, Y0 + 0.5),
    "multilabel": lambda m: m.fit(X0, np.eye(8, 3, dtype=int)),
    "nan y": lambda m: m.fit(X0, np.full(8, np.nan)),
    "y of another length": lambda m: m.fit(X0, Y0[:5]),
    "no y": lambda m: m.fit(X0, None),
    "1d": lambda m: m.fit(X0[0], Y0),
    "no rows": lambda m: m.fit(X0[:0], Y0[:0]),
    "no columns": lambda m: m.fit(X0[:, :0], Y0),
    "sparse no rows": lambda m: m.fit(sp.csr_matrix((0, 3)), Y0[:0]),
    "text": lambda m: m.fit([["a", "b"]] * 8, Y0),
    "complex": lambda m: m.fit(X0 + 1j, Y0),
    "column y": lambda m: m.fit(X0, Y0[:, None]),
    "short weights": lambda m: m.fit(X0, Y0, sample_weight=[1.0, 2.0]),
    "nan weights": lambda m: m.fit(X0, Y0, sample_weight=np.full(8, np.nan)),
    "scalar weight": lambda m: m.fit(X0, Y0, sample_weight=2.0),
    "negative weights": lambda m: m.fit(X0, Y0, sample_weight=-np.arange(8.0)),
    "zero weights": lambda m: m.fit(X0, Y0, sample_weight=np.zeros(8)),
    "integer weights": lambda m: m.fit(X0, Y0, sample_weight=np.arange(8)),
    "no classes": lambda m: m.partial_fit(X0, Y0) if not hasattr(m, "classes_") else m.fit(X0, None),
    "other classes": lambda m: m.partial_fit(X0, Y0, classes=[0, 1, 7, 8]),
    "continuous classes": lambda m: m.partial_fit(X0, Y0, classes=[0.5, 1.5]),
    "other width": lambda m: m.partial_fit(X0[:, :2], Y0) if hasattr(m, "classes_") else m.fit(X0, None),
    "parameters": lambda m: m.set_params(**{next(iter(m.get_params())): "nonsense"}).fit(X0, Y0),
    "list": lambda m: m.fit(X0.tolist(), Y0.tolist()),
    "one row": lambda m: m.fit(X0[:1], Y0[:1]),
}


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("name", NAMES)
def test_errors_and_warnings_of_fit(name, case, fitted):
    their, our = pair(name)
    if fitted:
        their.fit(X0, Y0), our.fit(X0, Y0)
    assert_alike(BAD[case], their, our)


SETTINGS = [
    {"alpha": 0.0},
    {"alpha": 1e-12},
    {"alpha": 0.0, "force_alpha": False},
    {"alpha": np.array([0.5, 1.0, 2.0])},
    {"alpha": np.array([0.5, 0.0, 2.0])},
    {"alpha": np.array([0.5, 1.0])},
    {"alpha": np.array([0.5, -1.0, 1.0])},
    {"fit_prior": False},
    {"class_prior": [0.2, 0.3, 0.5]},
    {"class_prior": [0.0, 0.5, 0.5]},
    {"class_prior": [0.5, 0.5]},
]


@pytest.mark.parametrize("parameters", SETTINGS, ids=str)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", [*COUNTING, "CategoricalNB"])
def test_smoothing_and_priors(name, sparse, parameters):
    X = sp.csr_matrix(X0) if sparse and name != "CategoricalNB" else X0
    their, our = pair(name, **parameters)
    assert_alike(lambda m: m.fit(X, Y0), their, our)
    if hasattr(our, "class_log_prior_"):
        for method in METHODS:
            assert_alike_answer(their, our, method, X)
    assert_alike(lambda m: m.partial_fit(X, Y0, classes=[0, 1, 2]), *pair(name, **parameters))


def assert_alike_answer(their, our, method, X):
    found = []
    for model in (their, our):
        answers = []
        found.append((*outcome(lambda m: answers.append(getattr(m, method)(X)), model), answers))  # noqa: B023
    assert type(found[0][0]) is type(found[1][0])
    assert str(found[0][0]) == str(found[1][0])
    assert found[0][1] == found[1][1]
    for a, b in zip(found[0][2], found[1][2], strict=True):
        assert_same(a, b)


@pytest.mark.parametrize(
    "priors", [None, [0.2, 0.3, 0.5], [0.0, 0.5, 0.5], [0.5, 0.5], [0.5, 0.6, 0.7], [-0.5, 1, 0.5]]
)
@pytest.mark.parametrize("var_smoothing", [1e-9, 0.0, 1.0])
def test_gaussian_parameters(priors, var_smoothing):
    X, y = samples("GaussianNB")
    their, our = pair("GaussianNB", priors=priors, var_smoothing=var_smoothing)
    assert_alike(lambda m: m.fit(X, y), their, our)
    if hasattr(our, "var_"):
        for method in METHODS:
            assert_alike_answer(their, our, method, X)
        assert_alike(lambda m: m.partial_fit(X[:20], y[:20]), their, our)


def test_gaussian_features_without_variance():
    X, y = np.ones((6, 2)), np.array([0, 0, 0, 1, 1, 1])
    for smoothing in (0.0, 1e-9):
        their, our = pair("GaussianNB", var_smoothing=smoothing)
        assert_alike(lambda m: m.fit(X, y), their, our)
        for method in METHODS:
            assert_alike_answer(their, our, method, X * 2)


@pytest.mark.parametrize("binarize", [None, 0.0, 0.1, 1.5])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
@pytest.mark.parametrize("sparse", [False, True])
def test_bernoulli_binarize(binarize, dtype, sparse):
    X, y = samples("BernoulliNB", dtype=dtype)
    X[0, 0], X[1, 1] = 1, np.asarray(0.1).astype(dtype)
    if binarize is None:
        X = (X > 0).astype(dtype)
    X = sp.csr_matrix(X) if sparse else X
    their, our = pair("BernoulliNB", binarize=binarize)
    assert_same_fit(their.fit(X, y), our.fit(X, y))
    assert_same_answers(their, our, X)


@pytest.mark.parametrize("min_categories", [None, 5, list(range(3, 44)), [2.5] * 41, [3, 4]])
def test_categorical_min_categories(min_categories):
    X, y = samples("CategoricalNB", dtype="int64")
    their, our = pair("CategoricalNB", min_categories=min_categories)
    assert_alike(lambda m: m.fit(X, y), their, our)
    if hasattr(our, "category_count_"):
        more = X.copy()
        more[0, 0] = 11
        assert_alike_answer(their, our, "predict_proba", more)  # IndexError
        assert_alike(lambda m: m.partial_fit(more, y), their, our)
        assert_alike(lambda m: m.partial_fit(X[:3], y[:3]), their, our)
        assert_alike_answer(their, our, "predict_proba", more)
        assert_alike_answer(their, our, "predict_proba", -X)


# What predictions are given


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMES)
def test_errors_of_predictions(name, method):
    their, our = pair(name)
    assert_alike_answer(their, our, method, X0)  # not fitted
    with pytest.raises(NotFittedError):
        getattr(our, method)(X0)
    their.fit(X0, Y0), our.fit(X0, Y0)
    cases = [
        X0[:, :2],
        X0[0],
        X0[:0],
        np.where(X0 == 0, np.nan, X0),
        np.where(X0 == 0, np.inf, X0),
        X0 + 1j,
        [["a"] * 3],
    ]
    cases += [sp.csr_matrix(case) for case in (X0[:, :2], X0[:0], np.where(X0 == 1, np.nan, X0))]
    for X in cases:
        assert_alike_answer(their, our, method, X)
    assert set(vars(their)) == set(vars(our))


@pytest.mark.parametrize("name", COUNTING)
def test_infinite_samples_where_scikit_learn_is_told_not_to_look(name):
    X, y = samples(name)
    their, our = pair(name)
    their.fit(X, y), our.fit(X, y)
    X[0, 0], X[1, 1] = np.nan, np.inf
    with sklearn.config_context(assume_finite=True):
        for method in METHODS:
            assert_alike_answer(their, our, method, sp.csr_matrix(X))


@pytest.mark.parametrize("name", NAMES)
def test_feature_names(name):
    pd = pytest.importorskip("pandas")
    X, y = samples(name, d=4)
    frame = pd.DataFrame(X, columns=list("abcd"))
    their, our = pair(name)
    assert_alike(lambda m: m.fit(frame, y), their, our)
    for other in (frame, X, frame[list("bacd")]):
        for method in METHODS:
            assert_alike_answer(their, our, method, other)
    assert_alike(lambda m: m.fit(X, y), their, our)
    assert not hasattr(our, "feature_names_in_")


def broken(kind):
    X = sp.csr_matrix(np.array([[1.0, 0, 2], [0, 3, 0], [4, 0, 5], [0, 0, 6]]))
    if kind == "index too large":
        X.indices[1] = 3
    elif kind == "index negative":
        X.indices[1] = -1
    elif kind == "indptr too far":
        X.indptr[-1] = 99
    elif kind == "indptr decreases":
        X.indptr[1] = 5
    elif kind == "indptr negative":
        X.indptr[1] = -1
    elif kind == "indptr short":
        X.indptr = X.indptr[:-1]
    elif kind == "data short":
        X.data = X.data[:-2]
    elif kind == "indices of floats":
        X.indices = X.indices.astype(float)
    elif kind == "data of two dimensions":
        X.data = X.data[:, None]
    return X


BROKEN = [
    "index too large",
    "index negative",
    "indptr too far",
    "indptr decreases",
    "indptr negative",
    "indptr short",
    "data short",
    "indices of floats",
    "data of two dimensions",
]


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("name", COUNTING)
def test_malformed_matrices(name, kind):
    y = np.array([0, 1, 0, 1])
    m = getattr(ours, name)()
    with pytest.raises(ValueError, match="CSR matrix"):
        m.fit(broken(kind), y)
    assert not fitted_attributes(m)
    m.fit(np.arange(12.0).reshape(4, 3), y)
    count = m.feature_count_.copy()
    for method in METHODS:
        with pytest.raises(ValueError, match="CSR matrix"):
            getattr(m, method)(broken(kind))
    with pytest.raises(ValueError, match="CSR matrix"):
        m.partial_fit(broken(kind), y)
    np.testing.assert_array_equal(m.feature_count_, count)


@pytest.mark.parametrize("name", COUNTING)
def test_read_only_memory_maps_and_64_bit_indices(name, tmp_path):
    X, y = samples(name)
    X = sp.csr_matrix(X)
    expected = getattr(ours, name)().fit(X, y).predict_proba(X)
    for part in ("data", "indices", "indptr"):
        array = getattr(X, part) if part == "data" else getattr(X, part).astype(np.int64)
        np.save(tmp_path / f"{part}.npy", array)
        setattr(X, part, np.load(tmp_path / f"{part}.npy", mmap_mode="r"))
    m = getattr(ours, name)().fit(X, y)
    m.partial_fit(X[:5], y[:5])
    np.testing.assert_array_equal(getattr(ours, name)().fit(X, y).predict_proba(X), expected)


# Attributes


@pytest.mark.parametrize("name", NAMES)
def test_a_failed_fit_in_the_middle_changes_nothing(name, monkeypatch):
    X, y = samples(name)
    m = getattr(ours, name)().fit(X, y)
    before = {attribute: copy.deepcopy(getattr(m, attribute)) for attribute in fitted_attributes(m)}

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    hook = "deciban.naive_bayes._gaussian.merged_with_past" if name == "GaussianNB" else None
    with monkeypatch.context() as patch:
        if hook:
            patch.setattr(hook, interrupt)
        else:
            patch.setattr(getattr(theirs, name), "_update_class_log_prior", interrupt)
        for call in (m.fit, m.partial_fit):
            with pytest.raises(KeyboardInterrupt):
                call(X[:5], y[:5] * 0)
    assert fitted_attributes(m) == before.keys()
    for attribute, value in before.items():
        assert_same(value, getattr(m, attribute), exact=True)


@pytest.mark.parametrize("name", COUNTING)
def test_predictions_leave_no_trace(name):
    X, y = samples(name)
    m = getattr(ours, name)().fit(sp.csr_matrix(X), y)
    before = dict(vars(m))
    for method in METHODS:
        getattr(m, method)(sp.csr_matrix(X))
        getattr(m, method)(X)
    assert vars(m) == before


@pytest.mark.parametrize("name", COUNTING)
def test_logarithms_belong_to_the_counts_of_fit(name):
    X, y = samples(name)
    their, our = pair(name)
    their.fit(X, y), our.fit(X, y)
    our.feature_count_[:] = 7
    assert_same(their.feature_log_prob_, our.feature_log_prob_)
    assert (our.feature_count_ == 7).all()


@pytest.mark.parametrize("name", COUNTING)
def test_counts_grow_in_place(name):
    X, y = samples(name)
    m = getattr(ours, name)().fit(X, y)
    view = m.feature_count_
    m.partial_fit(sp.csr_matrix(X[:2]), y[:2])
    assert np.shares_memory(view, m.feature_count_)


@pytest.mark.parametrize("name", NAMES)
def test_pickles_copies_and_conversions(name):
    X, y = samples(name)
    their, our = pair(name)
    their.fit(X, y), our.fit(X, y)
    for twin in (pickle.loads(pickle.dumps(our)), copy.deepcopy(our), copy.copy(our), type(our).from_sklearn(their)):
        assert type(twin) is type(our)
        assert_same_fit(their, twin)
        assert_same_answers(their, twin, X)
        twin = copy.deepcopy(twin)
        twin.partial_fit(X, y)
        assert_same_fit(copy.deepcopy(their).partial_fit(X, y), twin)
    back = our.to_sklearn()
    assert type(back) is type(their)
    assert_same_answers(their, back, X)
    assert pickle.loads(pickle.dumps(back)).__class__ is type(their)
    assert not fitted_attributes(clone(our))


@pytest.mark.parametrize("name", COUNTING)
def test_the_users_own_table_rules(name):
    X, y = samples(name)
    their, our = pair(name)
    their.fit(X, y), our.fit(X, y)
    our.predict(X)
    table = their.feature_log_prob_[::-1].copy() - 0.5
    their.feature_log_prob_ = our.feature_log_prob_ = table
    their.class_log_prior_ = our.class_log_prior_ = np.log([0.2, 0.3, 0.5])
    assert_same_answers(their, our, sp.csr_matrix(X), exact=True)


@pytest.mark.parametrize("attribute", ["feature_log_prob_", "class_log_prior_"])
@pytest.mark.parametrize("value", [np.zeros((2, 2)), np.zeros((3, 41), dtype=complex), "text", np.zeros(7)])
@pytest.mark.parametrize("name", COUNTING)
def test_attributes_from_a_pickle_are_not_trusted(name, attribute, value):
    if attribute == "class_log_prior_" and not isinstance(value, np.ndarray):
        value = np.zeros((3, 1))
    X, y = samples(name)
    m = getattr(ours, name)().fit(X, y)
    state = pickle.loads(pickle.dumps(m)).__getstate__()
    m.__setstate__({**state, attribute: value})
    X = sp.csr_matrix(X)
    with pytest.raises((ValueError, TypeError)):
        m.predict(X)


@pytest.mark.parametrize("name", ["MultinomialNB", "BernoulliNB"])
def test_subclasses_that_replace_private_methods_are_honoured(name):
    X, y = samples(name, dtype="int64")

    class Doubled(getattr(ours, name)):
        def _count(self, X, Y):
            super()._count(X, 2 * Y)

        def _joint_log_likelihood(self, X):
            return -super()._joint_log_likelihood(X)

    m = Doubled().fit(X, y)
    plain = getattr(theirs, name)().fit(X, y)
    np.testing.assert_array_equal(m.feature_count_, 2 * plain.feature_count_)
    np.testing.assert_allclose(
        m.predict_joint_log_proba(X),
        -theirs.__dict__[name]._joint_log_likelihood(m, (X > 0) * 1.0 if name[0] == "B" else X),
    )
    with deciban.config_context(fallback="error"), pytest.raises(deciban.FallbackError):
        m.predict(X)


def test_thousands_of_classes_and_a_million_columns():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3000, 9000)
    X = sp.random(9000, 500, 0.02, format="csr", random_state=0)
    their, our = pair("MultinomialNB")
    assert_same_fit(their.fit(X, y), our.fit(X, y), exact=True)
    assert_same_answers(their, our, X[:50], exact=True)
    wide = sp.random(40, 1_000_000, 1e-4, format="csr", random_state=0)
    their, our = pair("MultinomialNB")
    y = rng.integers(0, 3, 40)
    assert_same_fit(their.fit(wide, y), our.fit(wide, y), exact=True)
    assert_same_answers(their, our, wide, exact=True)


def test_set_output_routing_and_parameters_stay():
    for name in NAMES:
        their, our = pair(name)
        assert their.get_params() == our.get_params()
        assert type(our).__name__ == name
        with sklearn.config_context(enable_metadata_routing=True):
            our.set_fit_request(sample_weight=True).set_partial_fit_request(classes=True)


def test_categories_that_cannot_be_counted_are_refused():
    huge = np.iinfo(np.int64).max
    X = np.full((20, 4), huge)
    X[::2] = 0
    with pytest.raises(ValueError, match="categories must be numbered"):
        ours.CategoricalNB(min_categories=3).fit(X, np.arange(20) % 2)
    for largest in (2**61 - 1, 2**62 - 1):  # the sizes of four features add up to 2^63 and 2^64
        with pytest.raises(ValueError, match="too many"):
            ours.CategoricalNB().fit(np.minimum(X, largest), np.arange(20) % 2)


@pytest.mark.parametrize("name", COUNTING)
def test_tampered_sizes_are_refused(name):
    X = sp.csr_matrix(np.eye(40))
    model = getattr(ours, name)().fit(X, np.arange(40))
    model.predict(X)
    model.classes_, model.class_log_prior_ = model.classes_[:1], model.class_log_prior_[:1]
    with pytest.raises(ValueError, match="feature_log_prob_ must have shape"):
        model.predict_proba(X)
    with pytest.raises(ValueError, match="feature_count_ must be"):
        model.partial_fit(X, np.zeros(40, int))
    model = getattr(ours, name)().fit(np.ones((4, 30)), [0, 1, 0, 1])
    model.n_features_in_ = 50_000
    wide = sp.csr_matrix((np.ones(2), ([0, 0], [0, 49_999])), shape=(1, 50_000))
    with pytest.raises(ValueError, match="feature_count_ must be"):
        model.partial_fit(wide, np.array([0]))


def test_tampered_categories_are_refused():
    model = ours.CategoricalNB().fit(np.array([[0, 1], [1, 0]]), [0, 1])
    model.predict([[0, 1]])
    model.n_features_in_ = 3
    with pytest.raises(ValueError, match="feature_log_prob_ must hold 3 arrays"):
        model.predict([[0, 1, 0]])


@pytest.mark.parametrize("name", [*COUNTING, "CategoricalNB"])
def test_tampered_class_counts_are_refused(name):
    X, y = samples(name)
    for count in (np.ones(1), np.ones(4), np.array(["a"] * 3)):
        model = getattr(ours, name)().fit(X, y)
        model.class_count_ = count
        with pytest.raises(ValueError, match="class_count_ must be"):
            model.partial_fit(X, y)


def test_kernels_check_shapes():
    X, codes, offset, none = sp.csr_matrix(np.eye(3)), np.zeros(3, np.int32), np.zeros(2), np.empty(0, np.intp)
    parts, weights, table = (X.data, X.indices, X.indptr), np.empty(0), np.zeros((3, 2))
    starts, rows = np.array([0, 3]), np.zeros((3, 1), np.int64)

    def sparse(table=table, offset=offset, stop=3, out=(3, 2)):
        posterior.sparse_rows(*parts, table, offset, False, 0.0, posterior.JOINT, 0, stop, np.empty(out), none)

    def category(starts=starts, offset=offset, stop=3, out=(3, 2)):
        posterior.category_rows(rows, starts, table, offset, posterior.JOINT, 0, stop, np.empty(out), none)

    for kernel in (sparse, category):
        kernel()
        for wrong in ({"offset": np.zeros(1)}, {"out": (3, 1)}, {"out": (2, 2)}):
            with pytest.raises(ValueError, match="shape"):
                kernel(**wrong)
    for bad in (np.array([0]), np.array([0, 4]), np.array([-1, 2])):
        with pytest.raises(ValueError, match="starts"):
            category(starts=bad)
    with pytest.raises(ValueError, match="shape"):
        counts.sum_rows(*parts, np.array([0, 3]), np.arange(3), weights, 0, 2, False, 0.0, table)
    with pytest.raises(ValueError, match="shape"):
        counts.sum_categories(rows, codes, weights, 0, 3, starts, table)
    order, scratch, lines = np.arange(3), np.zeros(3), np.zeros((2, 3))
    counts.merge_rows(*parts, codes + 2, order, weights, False, 0.0, scratch, lines, np.zeros(1, np.uint8))
    assert not lines.any()  # a code of no class is passed over
    counts.sum_categories(rows + 3, codes, weights, 0, 1, starts, table)
    assert not table.any()


@pytest.mark.parametrize("name", ["MultinomialNB", "ComplementNB", "BernoulliNB"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("container", [np.array, sp.csr_matrix])
def test_rows_of_no_class_are_checked_too(name, value, container):
    X = container([[1.0, 2.0], [3.0, value], [1.0, 1.0]])
    their, our = pair(name)
    assert_alike(lambda m: m.partial_fit(X, np.array([0, 9, 1]), classes=[0, 1, 2]), their, our)
    for model in (their, our):
        model.partial_fit(np.ones((3, 2)), np.arange(3), classes=[0, 1, 2])
    assert_alike(lambda m: m.partial_fit(X, np.array([0, 9, 1])), their, our)


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("name", COUNTING)
def test_indices_in_rows_of_no_class_are_checked_too(name, fitted):
    model = getattr(ours, name)()
    if fitted:
        model.partial_fit(np.ones((3, 90)), np.arange(3), classes=[0, 1, 2])
    X = sp.csr_matrix(np.eye(3, 90))
    X.indices[1] = 90
    with pytest.raises(ValueError, match="ind"):
        model.partial_fit(X, np.array([0, 9, 1]), classes=None if fitted else [0, 1, 2])


@pytest.mark.parametrize("dtypes", [("float64", "float32"), ("float32", "float64"), ("float32", "int8")])
def test_gaussian_state_keeps_its_dtype(dtypes):
    X, y = samples("GaussianNB")
    their, our = pair("GaussianNB")
    for model in (their, our):
        model.fit(X.astype(dtypes[0]), y).partial_fit(X.astype(dtypes[1]), y)
    for name in ("theta_", "var_", "class_count_", "class_prior_"):
        assert getattr(our, name).dtype == getattr(their, name).dtype
    for dtype in ("int8", "int16", "uint8", "bool", "int32", "int64", "float32", "float64"):
        for method in METHODS:
            answers = [getattr(model, method)(X.astype(dtype)) for model in (their, our)]
            assert answers[0].dtype == answers[1].dtype
    their.class_prior_ = our.class_prior_ = np.full(3, 1 / 3)
    for dtype in ("int8", "float32"):
        assert our.predict_proba(X.astype(dtype)).dtype == their.predict_proba(X.astype(dtype)).dtype


@pytest.mark.parametrize("name", NAMES)
def test_hooks_on_the_instance_rule(name):
    X, y = samples(name)
    model = getattr(ours, name)().fit(X, y)
    model._joint_log_likelihood = lambda X: np.tile([0.0, 2.0, 1.0], (len(X), 1))
    assert set(model.predict(X)) == {1}


@pytest.mark.parametrize("name", NAMES)
def test_hooks_patched_onto_a_class_rule(name, monkeypatch):
    X, y = samples(name)
    model = getattr(ours, name)().fit(X, y)
    model.predict(X)
    for cls in (getattr(ours, name), getattr(theirs, name)):
        with monkeypatch.context() as patch:
            patch.setattr(cls, "_joint_log_likelihood", lambda _, X: np.tile([0.0, 2.0, 1.0], (len(X), 1)))
            assert set(model.predict(X)) == {1}
    with monkeypatch.context() as patch:
        patch.setattr(getattr(ours, name), "predict_log_proba", lambda _, X: np.zeros((len(X), 3)))
        assert (model.predict_proba(X) == 1).all()
    assert len(set(model.predict(X))) > 1
    with monkeypatch.context() as patch:
        hook = "_partial_fit" if name == "GaussianNB" else "_count"
        patch.setattr(getattr(ours, name), hook, lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model.fit(X, y)


@pytest.mark.parametrize("source", ["from_sklearn", "assigned", "float32", "assigned by a user who keeps F order"])
@pytest.mark.parametrize("name", ["MultinomialNB", "ComplementNB"])
def test_what_is_written_into_the_table_counts(name, source):
    X, y = samples(name)
    their, our = pair(name)
    their.fit(X, y), our.fit(X, y)
    if source == "from_sklearn":
        their.feature_log_prob_ = np.array(their.feature_log_prob_, order="C")
        our = type(our).from_sklearn(copy.deepcopy(their))
    else:
        dtype, order = ("float32", "C") if source == "float32" else ("float64", "F" if "F" in source else "C")
        for model in (their, our):
            model.feature_log_prob_ = np.array(their.feature_log_prob_, dtype=dtype, order=order)
    table = our.feature_log_prob_
    assert table.dtype == their.feature_log_prob_.dtype
    our.predict(X)
    assert our.feature_log_prob_ is table
    table[0] -= 3
    their.feature_log_prob_[0] -= 3
    assert_same_answers(their, our, sp.csr_matrix(X))


def test_complement_warns_when_it_fits():
    for parameters, size in (({"alpha": 1e-10}, 1e7), ({"alpha": 1e-5}, 1e12), ({"alpha": 1.0}, 1e17)):
        for container in (np.array, sp.csr_matrix):
            X = container([[size, 0], [0, size]])
            their, our = pair("ComplementNB", **parameters)
            assert_alike(lambda m, X=X: m.fit(X, [0, 1]), their, our)
            assert_alike(lambda m, X=X / size: m.partial_fit(X, [0, 1]), their, our)
    assert_alike(lambda m: m.fit([[1], [2]], [0, 1]), *pair("ComplementNB", norm=True))


def test_bernoulli_threshold_below_zero_is_refused_for_sparse():
    X = sp.csr_matrix(np.eye(3))
    model = ours.BernoulliNB().fit(X, [0, 1, 0]).set_params(binarize=-1.0)
    with pytest.raises(ValueError, match="threshold"):
        model.predict(X)


@pytest.mark.parametrize("binarize", ["0.5", np.nan, np.inf, [1], 1 + 0j, -1.0, True, np.float32(0.5)])
@pytest.mark.parametrize("container", [np.array, sp.csr_matrix])
def test_bernoulli_thresholds_that_are_no_numbers(binarize, container):
    X = container(np.eye(3))
    their, our = pair("BernoulliNB")
    for model in (their, our):
        model.fit(X, [0, 1, 0]).set_params(binarize=binarize)
    for method in METHODS:
        assert_alike_answer(their, our, method, X)
    with sklearn.config_context(skip_parameter_validation=True):
        their, our = pair("BernoulliNB", binarize=binarize)
        assert_alike(lambda m: m.fit(X, [0, 1, 0]), their, our)


@pytest.mark.parametrize("name", COUNTING)
def test_sparse_long_double(name):
    X, y = samples(name)
    their, our = pair(name)
    their.fit(X, y), our.fit(X, y)
    assert_same_answers(their, our, sp.csr_matrix(X.astype(np.longdouble)))


@pytest.mark.parametrize("labels", [[3, 1, 3], [3, 1, 30_000]])
@pytest.mark.parametrize("name", NAMES)
def test_labels_of_foreign_byte_order(name, labels):
    y = np.array(labels, dtype=">i8")
    their, our = pair(name)
    assert our.fit(np.eye(3), y).classes_.dtype == their.fit(np.eye(3), y).classes_.dtype
