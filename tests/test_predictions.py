"""Few rows take a short way: it answers as the long one, or not at all."""

import copy

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.base
import sklearn.linear_model
import sklearn.naive_bayes
from numpy.testing import assert_allclose, assert_array_equal
from reference import log_posterior
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from deciban._arrays import DATA_DTYPES, INDEX_DTYPES
from deciban._kernels import handful, hooks, inference, layers, posterior
from deciban.feature_extraction.text import CountVectorizer, TfidfVectorizer
from deciban.linear_model import LogisticRegression, SGDClassifier
from deciban.naive_bayes import BernoulliNB, ComplementNB, MultinomialNB
from deciban.neural_network import MLPClassifier

ANSWERS = (posterior.JOINT, posterior.LOG_POSTERIOR, posterior.POSTERIOR, posterior.LARGEST)
METHODS = ("predict", "predict_proba", "predict_log_proba")
N_FEATURES = 30


class Own(np.ndarray):
    """An array of a class of its own."""


def sparse(seed, n_rows, data_dtype=np.float64, index_dtype=np.int32):
    """A CSR matrix whose rows are neither sorted nor free of duplicates."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 12, n_rows)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(index_dtype)
    X = sp.csr_matrix((n_rows, N_FEATURES))
    X.data = rng.integers(1, 9, indptr[-1]).astype(data_dtype)
    X.indices, X.indptr = rng.integers(0, N_FEATURES, indptr[-1]).astype(index_dtype), indptr
    return X


def few(X, table, offset, answer, linear=False, binary=False, threshold=0.0):
    n_features, n_columns = table.shape
    return handful.few_rows(X, n_features, n_columns, table, offset, linear, binary, threshold, answer)


def expected(scores, answer):
    found = {posterior.JOINT: scores, posterior.LARGEST: scores.argmax(axis=1)}
    log_p = log_posterior(scores)
    return {**found, posterior.LOG_POSTERIOR: log_p, posterior.POSTERIOR: np.exp(log_p)}[answer]


class TestKernel:
    @pytest.mark.parametrize("answer", ANSWERS)
    @pytest.mark.parametrize("table_dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("index_dtype", INDEX_DTYPES)
    @pytest.mark.parametrize("data_dtype", DATA_DTYPES)
    def test_sparse_rows(self, data_dtype, index_dtype, table_dtype, answer):
        rng = np.random.default_rng(1)
        for n_rows, n_columns in ((1, 5), (3, 1), (64, 20), (2, 33), (3, 3), (2, 6), (2, 7), (2, 10), (2, 23)):
            X = sparse(n_rows, n_rows, data_dtype, index_dtype)
            table = rng.standard_normal((N_FEATURES, n_columns)).astype(table_dtype)
            offset = rng.standard_normal(n_columns)
            got = few(X, table, offset, answer)
            scores = X.toarray().astype(np.float64) @ table.astype(np.float64) + offset
            assert_allclose(got, expected(scores, answer), rtol=1e-12, atol=1e-12)
            if answer == posterior.JOINT and table_dtype == np.float64:
                out = np.empty((n_rows, n_columns))
                nothing = np.empty(0, np.intp)
                parts = X.data.astype(float), X.indices.astype(np.int64), X.indptr.astype(np.int64)
                assert not posterior.sparse_rows(*parts, table, offset, False, 0.0, answer, 0, n_rows, out, nothing)
                assert_array_equal(got, out)
                assert_array_equal(got, X @ table + offset)  # SciPy's bits

    @pytest.mark.parametrize("answer", ANSWERS)
    @pytest.mark.parametrize("dtype", DATA_DTYPES)
    def test_dense_rows(self, dtype, answer):
        rng = np.random.default_rng(2)
        X = rng.integers(-5, 5, (4, N_FEATURES)).astype(dtype)
        table, offset = rng.standard_normal((N_FEATURES, 7)), rng.standard_normal(7)
        scores = X @ table + offset
        assert_allclose(few(X, table, offset, answer), expected(scores, answer), rtol=1e-12, atol=1e-12)
        ones = (X > 1) @ table + offset
        got = few(X, table, offset, answer, binary=True, threshold=1.0)
        assert_allclose(got, expected(ones, answer), rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("answer", [*ANSWERS, posterior.SHARES])
    @pytest.mark.parametrize("table_dtype", [np.float64, np.float32])
    def test_dense_rows_of_a_linear_model(self, table_dtype, answer):
        rng = np.random.default_rng(7)
        for n_features in (1, 3, 8, 31, 32, 45, 100):
            for n_columns in (2, 3, 7, 8, 9, 10, 16, 20, 33):
                X = rng.standard_normal((2, n_features))
                table = rng.standard_normal((n_features, n_columns)).astype(table_dtype)
                offset = rng.standard_normal(n_columns)
                scores = X @ table + offset
                p = 1 / (1 + np.exp(-scores))
                right = p / p.sum(axis=1, keepdims=True) if answer == posterior.SHARES else expected(scores, answer)
                assert_allclose(few(X, table, offset, answer, linear=True), right, rtol=1e-12, atol=1e-12)
                X[1, -1] = rng.choice([np.nan, np.inf, -np.inf])
                assert few(X, table, offset, answer, linear=True) is None
            column = rng.standard_normal((n_features, 1)).astype(table_dtype)
            got = few(X[:1], column, np.ones(1), posterior.JOINT, linear=True)
            assert_allclose(got, X[:1] @ column + 1, rtol=1e-12, atol=1e-12)

    def test_shares_of_sparse_rows(self):
        rng = np.random.default_rng(8)
        X, table, offset = sparse(9, 5), rng.standard_normal((N_FEATURES, 4)), np.zeros(4)
        p = 1 / (1 + np.exp(-(X @ table)))
        assert_allclose(few(X, table, offset, posterior.SHARES, linear=True), p / p.sum(axis=1, keepdims=True), 1e-12)
        narrow = X.astype(np.float32), table.astype(np.float32), offset.astype(np.float32)
        assert few(*narrow, posterior.SHARES, linear=True) is None
        table[:] = np.nan
        assert few(X[X.getnnz(axis=1) > 0], table, offset, posterior.SHARES, linear=True) is None

    @pytest.mark.parametrize("n_rows", [1, 64])
    def test_one_logistic_column(self, n_rows):
        rng = np.random.default_rng(3)
        X, table, offset = sparse(4, n_rows), rng.standard_normal((N_FEATURES, 1)), rng.standard_normal(1)
        scores = X.toarray() @ table + offset
        p = 1 / (1 + np.exp(-np.hstack([-scores, scores])))
        assert_allclose(few(X, table, offset, posterior.JOINT, linear=True), scores, rtol=1e-12, atol=1e-13)
        assert_allclose(few(X, table, offset, posterior.POSTERIOR, linear=True), p, rtol=1e-12)
        assert_allclose(few(X, table, offset, posterior.LOG_POSTERIOR, linear=True), np.log(p), rtol=1e-9, atol=1e-13)
        assert_array_equal(few(X, table, offset, posterior.LARGEST, linear=True), (scores[:, 0] > 0).astype(int))

    def test_what_wants_a_closer_look(self):
        X, table, offset = sparse(5, 3), np.ones((N_FEATURES, 4)), np.zeros(4)
        assert few(X, table, offset, posterior.JOINT) is not None
        bad = []
        for name, change in (
            ("indices", lambda a: np.full_like(a, N_FEATURES)),
            ("indices", lambda a: np.full_like(a, -1)),
            ("indices", lambda a: a[:-1]),
            ("indices", lambda a: a.astype(np.int16)),
            ("indices", lambda a: a.astype(np.int64)),  # unlike indptr
            ("indices", lambda a: np.repeat(a, 2)[::2]),
            ("indices", list),
            ("indptr", lambda a: a[::-1].copy()),
            ("indptr", lambda a: a[:-1]),
            ("indptr", lambda a: a - 1),
            ("indptr", lambda a: a + 1),
            ("indptr", lambda a: a.astype(a.dtype.newbyteorder())),
            ("data", lambda a: np.full_like(a, np.nan)),
            ("data", lambda a: np.full_like(a, np.inf)),
            ("data", lambda a: a.astype(np.float16)),
            ("data", lambda a: a.astype(complex)),
            ("data", lambda a: a.reshape(1, -1)),
            ("data", lambda a: a.astype(a.dtype.newbyteorder())),
            ("_shape", lambda s: (s[0] + 1, s[1])),
            ("_shape", lambda s: (0, s[1])),
            ("_shape", lambda s: (s[0], s[1] + 1)),
            ("_shape", lambda s: s[1:]),
        ):
            broken = X.copy()
            broken.__dict__[name] = change(broken.__dict__[name])
            bad.append(broken)
        rows = np.ones((2, N_FEATURES))
        bad += [sparse(6, 65), rows[:, :-1], rows[:0], np.ones((5, N_FEATURES)), np.asfortranarray(rows), rows[0]]
        bad += [rows * np.nan, rows > 0, rows.view(Own), rows.astype(object)]
        for samples in bad:
            for answer in ANSWERS:
                assert few(samples, table, offset, answer) is None
        for other, some in (
            (table[:-1], offset), (table[:, :-1], offset), (table.T, offset), (np.asfortranarray(table), offset),
            (table.astype(int), offset), (table, offset[:-1]), (table, offset.astype(int)), (table, 0.0),
            (table, np.zeros(8)[::2]), (table, None), (None, offset), (table[:, 0], offset), (table[:, :0], offset[:0]),
        ):  # fmt: skip
            assert handful.few_rows(X, N_FEATURES, 4, other, some, False, False, 0.0, posterior.JOINT) is None
        table[:] = np.inf
        assert few(X, table, offset, posterior.JOINT, linear=True) is None
        with pytest.raises(ValueError, match="no answer"):
            few(X, table, offset, 5)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_a_linear_model_in_another_state(self, dtype):
        rng = np.random.default_rng(5)
        X = sparse(5, 3, dtype)
        y = np.arange(40) % 4
        model = LogisticRegression(tol=1.0).fit(rng.standard_normal((40, N_FEATURES)).astype(dtype), y)
        got = handful.linear_rows(model, X, posterior.JOINT)
        assert got.dtype == np.result_type(X, model.coef_, model.intercept_)
        assert_allclose(got, X @ model.coef_.T + model.intercept_, rtol=1e-5 if dtype == np.float32 else 1e-12)
        assert handful.linear_rows(model, X.tocsc(), posterior.JOINT) is None
        coef = np.ascontiguousarray(model.coef_)
        for name, value in (
            ("coef_", coef), ("coef_", coef.astype(int)), ("coef_", coef[0]), ("coef_", None), ("coef_", coef[:3]),
            ("intercept_", 0.0), ("intercept_", model.intercept_[:3]), ("classes_", [0, 1, 2, 3]),
            ("classes_", np.arange(3)), ("n_features_in_", N_FEATURES - 1), ("n_features_in_", None),
            ("feature_names_in_", np.array(["a"] * N_FEATURES)), ("decision_function", len),
        ):  # fmt: skip
            other = copy.copy(model)
            other.__dict__[name] = value
            assert handful.linear_rows(other, X, posterior.POSTERIOR) is None
        for answer in (-1, 5):
            with pytest.raises(ValueError, match="no answer"):
                handful.linear_rows(model, X, answer)

    def test_shares(self):
        scores = np.array([[0.0, 1.0, -2.0], [-800.0, -900.0, -1000.0]])
        p = 1 / (1 + np.exp(-scores[0]))
        posterior.share_rows(scores, 0, 2)
        assert_allclose(scores, [p / p.sum(), [1 / 3] * 3])
        with pytest.raises(ValueError, match="no such rows"):
            posterior.share_rows(scores, 0, 3)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_network(self, dtype):
        rng = np.random.default_rng(7)
        coefs = [rng.standard_normal(shape).astype(dtype) for shape in ((6, 5), (5, 3))]
        intercepts = [rng.standard_normal(n).astype(dtype) for n in (5, 3)]
        kinds = layers.ACTIVATIONS["relu"], layers.ACTIVATIONS["identity"]
        X = rng.standard_normal((2, 6)).astype(dtype)
        got = inference.few_rows(coefs, intercepts, *kinds, X, 6)
        assert got.dtype == dtype
        wanted = np.maximum(X @ coefs[0] + intercepts[0], 0) @ coefs[1] + intercepts[1]
        assert_allclose(got, wanted, rtol=1e-4 if dtype == np.float32 else 1e-12)
        for samples in (
            X * np.nan, X[:, :5], X[:0], np.repeat(X, 2, axis=0), X.T.copy().T, X.astype(np.float16), X.astype(int),
            X.tolist(), sp.csr_matrix(X), X.view(Own), X[0], X.astype(np.float32 if dtype == np.float64 else float),
        ):  # fmt: skip
            assert inference.few_rows(coefs, intercepts, *kinds, samples, 6) is None
        for own, bias in (
            (tuple(coefs), intercepts), ([], []), (coefs, intercepts[:1]), ([coefs[0][:, ::-1], coefs[1]], intercepts),
            ([None, None], intercepts), (coefs, [intercepts[0], intercepts[1].astype(int)]), (coefs, None),
        ):  # fmt: skip
            assert inference.few_rows(own, bias, *kinds, X, 6) is None
        with pytest.raises(ValueError, match="do not fit"):
            inference.few_rows(coefs[::-1], intercepts, *kinds, X, 6)
        with pytest.raises(ValueError, match="no such activation"):
            inference.few_rows(coefs, intercepts, 99, 0, X, 6)


def models():
    rng = np.random.default_rng(8)
    X = rng.integers(0, 4, (120, N_FEATURES)).astype(float)
    for n_classes in (2, 4):
        y = np.arange(120) % n_classes
        for model in (
            MultinomialNB(), ComplementNB(), BernoulliNB(), BernoulliNB(binarize=1.5),
            LogisticRegression(max_iter=5, tol=1), SGDClassifier(loss="log_loss", alpha=1.0, random_state=0),
            SGDClassifier(loss="log_loss", alpha=1.0, average=True, random_state=0),
            MLPClassifier((5,), max_iter=1, random_state=0),
        ):  # fmt: skip
            yield pytest.param(model, X, y, id=f"{type(model).__name__}-{n_classes}")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("model", "X", "y"), models())
def test_one_row_is_answered_as_many_and_as_scikit_learn_does(model, X, y):
    model = sklearn.base.clone(model).fit(X, y)
    for _ in range(2):  # before and after somebody has looked at the attributes
        for kind in (np.asarray, sp.csr_matrix, sp.csr_array):
            for method in (*METHODS, "decision_function", "predict_joint_log_proba"):
                if hasattr(model, method):
                    answer = getattr(model, method)
                    whole, one = answer(kind(X)), [answer(kind(X)[i : i + 1]) for i in range(5)]
                    assert_allclose(np.concatenate(one), whole[:5], rtol=1e-10, atol=1e-12)
        theirs = model.to_sklearn()
    for method in METHODS:
        assert_allclose(getattr(model, method)(X[:1]), getattr(theirs, method)(X[:1]), rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("model", "X", "y"), models())
def test_one_row_is_refused_as_scikit_learn_does(model, X, y):
    pd = pytest.importorskip("pandas")
    model = sklearn.base.clone(model)
    for rows in (X[:1], sp.csr_matrix(X[:1])):
        for method in METHODS:
            with pytest.raises(NotFittedError):
                getattr(model, method)(rows)
    model.fit(X, y)
    broken = sp.csr_matrix(X[:1])
    broken.indices = broken.indices + N_FEATURES
    for method in METHODS:
        for rows in (X[:1, 1:], sp.csr_matrix(X[:1, 1:])):
            with pytest.raises(ValueError, match="features"):
                getattr(model, method)(rows)
        with pytest.raises(ValueError, match="NaN"):
            getattr(model, method)(X[:1] * np.nan)
        with pytest.raises(ValueError, match="ind"):
            getattr(model, method)(broken)
    model.fit(pd.DataFrame(X, columns=[f"f{i}" for i in range(N_FEATURES)]), y)
    with pytest.warns(UserWarning, match="feature names"):
        model.predict(X[:1])


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_is_written_into_coef_is_seen(n_classes, order):
    rng = np.random.default_rng(9)
    X, y = rng.standard_normal((60, 8)), np.arange(60) % n_classes
    theirs = sklearn.linear_model.LogisticRegression().fit(X, y)
    theirs.coef_ = np.array(theirs.coef_, order=order)
    ours = LogisticRegression.from_sklearn(theirs)
    for change in range(3):
        for rows in (X[:1], sp.csr_matrix(X[:1])):
            assert_allclose(ours.predict_proba(rows), theirs.predict_proba(rows), rtol=1e-10)
        if change == 0:
            theirs.coef_[0, 3] += 1.0
            ours.coef_[...] = theirs.coef_
        else:
            theirs.coef_ = rng.standard_normal(theirs.coef_.shape)
            ours.coef_ = theirs.coef_.copy(order=order)
    ours.coef_ = ours.coef_[:, :-1]
    with pytest.raises(ValueError, match="coef_ must have shape"):
        ours.predict(X[:1])


class TestDocuments:
    def test_parameters_may_change(self):
        texts = ["one two Three", "two three four"]
        for cls in (CountVectorizer, TfidfVectorizer):
            ours = cls(vocabulary=["one", "two", "three", "e", "one two"]).fit(texts)
            theirs = ours.to_sklearn()
            for change in (
                {}, {"lowercase": False}, {"ngram_range": (1, 2)}, {"ngram_range": (1, 1)}, {"analyzer": "char"},
                {"analyzer": "word"}, {"token_pattern": r"(?u)\b\w+\b"}, {"stop_words": ["one"]}, {"stop_words": None},
                {"binary": True}, {"dtype": np.float32}, {"preprocessor": str.upper}, {"preprocessor": None},
            ):  # fmt: skip
                ours.set_params(**change)
                theirs.set_params(**change)
                for _ in range(2):
                    got, wanted = ours.transform(texts[:1]), theirs.transform(texts[:1])
                    assert got.dtype == wanted.dtype
                    assert_array_equal(got.toarray(), wanted.toarray())
            stop_words = ["two"]
            ours.set_params(stop_words=stop_words)
            assert ours.transform(["one two"]).sum() > 0
            stop_words.append("one")
            assert ours.transform(["one two"]).sum() == 0

    def test_hooks_may_be_replaced(self, monkeypatch):
        ours = CountVectorizer().fit(["one two"])
        assert_array_equal(ours.transform(["one two"]).toarray(), [[1, 1]])
        ours.build_analyzer = lambda: str.split
        assert_array_equal(ours.transform(["one ONE"]).toarray(), [[1, 0]])
        del ours.build_analyzer
        assert_array_equal(ours.transform(["one ONE"]).toarray(), [[2, 0]])
        monkeypatch.setattr(CountVectorizer, "build_analyzer", lambda _: str.split)
        assert_array_equal(ours.transform(["one ONE"]).toarray(), [[1, 0]])

    def test_pipeline(self):
        texts, y = ["one two", "two three", "three four"] * 3, [0, 1, 2] * 3
        ours = make_pipeline(CountVectorizer(), MultinomialNB()).fit(texts, y)
        theirs = make_pipeline(ours[0].to_sklearn(), ours[1].to_sklearn())
        for method in ("predict", "predict_proba"):
            for text in texts:
                assert_allclose(getattr(ours, method)([text]), getattr(theirs, method)([text]), rtol=1e-12)


class TestHooks:
    def test_overrides(self):
        class Model:
            def method(self):
                pass

        originals = {"method": Model.method}
        model = Model()
        assert not hooks.overrides(model, originals)
        assert hooks.overrides(type("Other", (Model,), {"method": str})(), originals)
        model.method = str
        assert hooks.overrides(model, originals)

    def test_are(self):
        a, b = object(), object()
        assert hooks.are({"a": a, "b": b}, ("a", "b"), (a, b))
        assert not hooks.are({"a": a, "b": a}, ("a", "b"), (a, b))
        assert not hooks.are({"a": a}, ("a", "b"), (a, b))
        assert not hooks.are({"a": a}, ("a",), (a, b))


@pytest.mark.parametrize("ours", [MultinomialNB(), LogisticRegression(), MLPClassifier()])
def test_tags_are_scikit_learns(ours):
    tags, expected = get_tags(ours), get_tags(ours.to_sklearn())
    assert tags == expected
    assert expected == tags
    copied = copy.deepcopy(tags.classifier_tags)
    assert copied == tags.classifier_tags
    copied.multi_label = not copied.multi_label
    assert copied != tags.classifier_tags
    assert tags.classifier_tags != "tags"
    tags.classifier_tags.poor_score = not tags.classifier_tags.poor_score
    assert get_tags(ours) == expected
