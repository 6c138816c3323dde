"""SGDClassifier: scikit-learn's steps in scikit-learn's order, to rounding, whatever the options and the samples."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
import sklearn.linear_model as theirs
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier

import deciban
from deciban._kernels import stochastic
from deciban.linear_model import SGDClassifier
from deciban.linear_model._descent import dense_rows, sparse_rows

LOSSES = ["hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron", "huber", "epsilon_insensitive"]
UNBOUNDED = ["squared_error", "squared_epsilon_insensitive"]  # steps grow with the error, and soon without limit
PENALTIES = ["l2", "l1", "elasticnet", None]
RATES = ["optimal", "constant", "invscaling", "adaptive"]
PASSIVE_AGGRESSIVE = ["pa1", "pa2"] if sklearn.__version__ >= "1.8" else []


def make(seed, n_rows=60, n_features=8, n_classes=3, sparse=False, dtype=np.float64):
    rng = np.random.default_rng(seed)
    X = 0.3 * rng.standard_normal((n_rows, n_features))  # longer steps would magnify rounding
    X = (X * (rng.random((n_rows, n_features)) < 0.5)).astype(dtype)
    y = np.argmax(5 * X @ rng.standard_normal((n_features, n_classes)) + rng.gumbel(size=(n_rows, n_classes)), axis=1)
    y[:n_classes] = np.arange(n_classes)
    return sp.csr_matrix(X) if sparse else X, y


def quietly(call, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return call(*args, **options)


def same(ours, other, dtype=np.float64):
    """Assert that two fitted classifiers agree, to rounding that grew on the way."""
    rtol = 1e-7 if dtype == np.float64 else 5e-3
    assert ours.n_iter_ == other.n_iter_
    assert ours.t_ == other.t_
    for name in ("coef_", "intercept_"):
        got, expected = getattr(ours, name), getattr(other, name)
        assert got.shape == expected.shape
        assert got.dtype == expected.dtype
        assert_allclose(got, expected, rtol=rtol, atol=rtol * max(1e-3, np.abs(expected).max()), err_msg=name)


OPTIONS = {
    "loss": st.sampled_from(LOSSES),
    "penalty": st.sampled_from(PENALTIES),
    "learning_rate": st.sampled_from(RATES + PASSIVE_AGGRESSIVE),
    "alpha": st.sampled_from([0.01, 0.1]),
    "l1_ratio": st.sampled_from([0.0, 0.15, 0.9, 1.0]),
    "eta0": st.sampled_from([0.001, 0.03]),
    "power_t": st.sampled_from([0.0, 0.25, 0.5]),
    "fit_intercept": st.booleans(),
    "shuffle": st.booleans(),
    "average": st.sampled_from([False, True, 7, 100]),
    "max_iter": st.sampled_from([1, 6]),
    "tol": st.sampled_from([None, 1e-3]),
    "n_iter_no_change": st.integers(1, 5),
    "class_weight": st.sampled_from([None, "balanced", {0: 2.0, 1: 0.5}]),
    "random_state": st.integers(0, 2**31),
}
DATA = {
    "seed": st.integers(0, 2**16),
    "n_classes": st.sampled_from([2, 3, 5]),
    "sparse": st.booleans(),
    "dtype": st.sampled_from([np.float64, np.float32]),
}


def corrected(options):
    if options["learning_rate"].startswith("pa"):
        options["loss"] = "hinge"
    return options


class TestTrajectory:
    @given(
        options=st.fixed_dictionaries(OPTIONS).map(corrected), data=st.fixed_dictionaries(DATA), weighted=st.booleans()
    )
    def test_fit(self, options, data, weighted):
        X, y = make(**data)
        weights = np.random.default_rng(1).random(len(y)) if weighted else None
        ours, other = (
            quietly(cls(**options).fit, X, y, sample_weight=weights) for cls in (SGDClassifier, theirs.SGDClassifier)
        )
        same(ours, other, data["dtype"])
        assert_allclose(ours.decision_function(X), other.decision_function(X), rtol=1e-2, atol=1e-2)

    @given(
        options=st.fixed_dictionaries(OPTIONS).map(corrected), data=st.fixed_dictionaries(DATA), fitted=st.booleans(),
        sizes=st.lists(st.integers(1, 20), min_size=1, max_size=6),
    )  # fmt: skip
    def test_partial_fit(self, options, data, fitted, sizes):
        X, y = make(**data)
        options["class_weight"] = None
        ours, other = SGDClassifier(**options), theirs.SGDClassifier(**options)
        for model in (ours, other):
            if fitted:
                quietly(model.fit, X, y)
            start = 0
            for size in sizes:
                rows = slice(start, start + size)
                if start < len(y):
                    model.partial_fit(X[rows], y[rows], classes=np.unique(y))
                start += size
        same(ours, other, data["dtype"])
        assert_allclose(ours.decision_function(X), other.decision_function(X), rtol=1e-2, atol=1e-2)

    @given(options=st.fixed_dictionaries(OPTIONS).map(corrected), data=st.fixed_dictionaries(DATA))
    def test_warm_start_and_initial_values(self, options, data):
        X, y = make(**data)
        n_columns = data["n_classes"] if data["n_classes"] > 2 else 1
        rng = np.random.default_rng(3)
        coef, intercept = rng.standard_normal((n_columns, X.shape[1])), rng.standard_normal(n_columns)
        ours, other = SGDClassifier(**options, warm_start=True), theirs.SGDClassifier(**options, warm_start=True)
        for model in (ours, other):
            # scikit-learn writes into what it is given
            quietly(model.fit, X, y, coef_init=coef.copy(), intercept_init=intercept.copy())
            quietly(model.fit, X, y)
        same(ours, other, data["dtype"])

    @pytest.mark.parametrize("loss", UNBOUNDED)
    @pytest.mark.parametrize("n_classes", [2, 4])
    def test_losses_whose_steps_have_no_limit(self, loss, n_classes):
        X, y = make(0, n_classes=n_classes)
        options = {"loss": loss, "learning_rate": "constant", "eta0": 1e-3, "random_state": 0}
        same(*(quietly(cls(**options).fit, X, y) for cls in (SGDClassifier, theirs.SGDClassifier)))

    @pytest.mark.parametrize("loss", ["log_loss", "hinge"])
    @pytest.mark.parametrize("n_classes", [2, 4])
    @pytest.mark.parametrize("average", [False, True])
    @pytest.mark.parametrize("sparse", [False, True])
    @pytest.mark.parametrize("source", ["int", "RandomState", "global"])
    def test_early_stopping(self, loss, n_classes, average, sparse, source):
        X, y = make(1, 200, n_classes=n_classes, sparse=sparse)
        found = []
        for cls in (SGDClassifier, theirs.SGDClassifier):
            np.random.seed(3)  # noqa: NPY002 (the generator that random_state=None stands for)
            random_state = {"int": 5, "RandomState": np.random.RandomState(5), "global": None}[source]
            model = cls(
                loss=loss, average=average, early_stopping=True, n_iter_no_change=2, class_weight="balanced",
                random_state=random_state, learning_rate="adaptive", eta0=0.05, max_iter=60,
            )  # fmt: skip
            found.append(quietly(model.fit, X, y, sample_weight=np.linspace(0.5, 1, 200)))
        same(*found)

    def test_random_states_are_drawn_from_as_scikit_learn_does(self):
        X, y = make(2)
        for n_rows, classes in ((1, None), (30, None), (1, [0, 1]), (30, [0, 1])):
            after = []
            for cls in (SGDClassifier, theirs.SGDClassifier):
                random_state = np.random.RandomState(7)
                model = cls(random_state=random_state)
                for _ in range(3):
                    labels = y % 2 if classes else y
                    model.partial_fit(X[:n_rows], labels[:n_rows], classes=classes or [0, 1, 2])
                after.append(random_state.randint(2**31))
            assert after[0] == after[1]

    def test_texts(self):
        rng = np.random.default_rng(0)
        columns = (5000 * rng.random(300 * 40) ** 3).astype(np.int32)  # repeated in a row, and in no order
        X = sp.csr_matrix((rng.random(len(columns)), columns, np.arange(0, len(columns) + 1, 40)), shape=(300, 5000))
        y = np.array(["alt", "comp", "rec", "sci", "talk"])[rng.integers(0, 5, 300)]
        for options in ({"loss": "log_loss"}, {"penalty": "elasticnet"}, {"average": 10}, {"alpha": 10.0}):
            ours, other = (
                quietly(cls(random_state=0, max_iter=20, **options).fit, X, y)
                for cls in (SGDClassifier, theirs.SGDClassifier)
            )
            same(ours, other)
            assert_array_equal(ours.predict(X), other.predict(X))

    def test_features_that_never_occur_are_shrunk_too(self):
        X = sp.csr_matrix(([1.0, 1.0], [0, 0], [0, 1, 2]), shape=(2, 4))
        for average in (False, True):
            ours, other = (
                quietly(
                    cls(alpha=0.5, average=average, max_iter=40, tol=None, random_state=0).fit,
                    X, [0, 1], coef_init=np.full((1, 4), 1e12),
                )
                for cls in (SGDClassifier, theirs.SGDClassifier)
            )  # fmt: skip
            same(ours, other)
            for model in (ours, other):
                for _ in range(30):  # the scale falls below its least within a call
                    model.set_params(alpha=3.0, learning_rate="constant", eta0=0.3)
                    model.partial_fit(X, [0, 1])
            same(ours, other)


class TestReference:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("sparse", [False, True])
    @pytest.mark.parametrize("loss", ["log_loss", "hinge", "modified_huber", "squared_hinge"])
    def test_an_epoch_straight_from_the_equations(self, loss, sparse, dtype):
        alpha, ratio, eta = 0.01, 0.3, 0.05
        X, y = make(4, 30, 5, 2, sparse, dtype)
        model = SGDClassifier(
            loss=loss, penalty="elasticnet", alpha=alpha, l1_ratio=ratio, learning_rate="constant", eta0=eta,
            shuffle=False, max_iter=1, tol=None, average=True,
        ).fit(X, y)  # fmt: skip
        slope = {
            "log_loss": lambda z: -1 / (1 + np.exp(z)),
            "hinge": lambda z: -1.0 if z <= 1 else 0.0,
            "modified_huber": lambda z: 0.0 if z >= 1 else (-2 * (1 - z) if z >= -1 else -4.0),
            "squared_hinge": lambda z: -2 * max(1 - z, 0),
        }[loss]
        w, b, owed, paid = np.zeros(5), 0.0, 0.0, np.zeros(5)
        total_b = 0.0
        for x, label in zip(X.toarray() if sparse else X, 2 * y - 1, strict=True):
            step = -eta * slope(label * (w @ x + b)) * label
            w = (1 - (1 - ratio) * eta * alpha) * w + step * x
            b += step * (0.01 if sparse else 1.0)
            total_b += b
            owed += ratio * eta * alpha
            seen = x != 0 if sparse else np.ones(5, bool)
            before = w.copy()
            for j in np.flatnonzero(seen):
                w[j] = max(0.0, w[j] - (owed + paid[j])) if w[j] > 0 else min(0.0, w[j] + (owed - paid[j]))
            paid += w - before
        rtol = 1e-10 if dtype == np.float64 else 1e-4
        assert_allclose(model._standard_coef[0], w, rtol=rtol, atol=rtol)
        assert_allclose(model.intercept_[0], total_b / 30, rtol=rtol)

    @pytest.mark.parametrize("n", [1, 2, 3, 1000])
    def test_permutation(self, n):
        order = np.empty(n, np.int32)
        for seed in (0, 1, 2**31 - 2):
            stochastic.permutation(seed, order)
            expected, x = list(range(n)), seed or 1
            for i in range(n - 1):
                x ^= x << 13 & 0xFFFFFFFF
                x ^= x >> 17
                x ^= x << 5 & 0xFFFFFFFF
                j = i + x % 2**31 % (n - i)
                expected[i], expected[j] = expected[j], expected[i]
            assert_array_equal(order, expected)

    def test_shuffle_seeds_are_those_of_numpy(self):
        seeds = np.concatenate([[0, 1, 2**31 - 2], np.random.default_rng(0).integers(0, 2**31 - 1, 300)])
        found = np.empty(len(seeds), np.uint32)
        stochastic.shuffle_seeds(seeds.astype(np.int64), found)
        for seed, draw in zip(seeds, found, strict=True):
            generator = np.random.RandomState(seed)
            generator.randint(1, 2**31 - 1)
            assert draw == generator.randint(2**31 - 1)

    @pytest.mark.parametrize("index", [np.int32, np.int64])
    def test_localise(self, index):
        places = []
        X = sp.csr_matrix(np.eye(4, 10)[[2, 0, 2]])
        X.indices = np.array([7, 3, 7], index)
        X.indptr = X.indptr.astype(index)
        rows = sparse_rows(X, places)
        assert_array_equal(rows.features, [7, 3])
        assert_array_equal(rows.indices, [0, 1, 0])
        assert_array_equal(places, [[-1] * 10])
        assert_array_equal(rows.matrix().toarray(), [[1, 0], [0, 1], [1, 0]])

    def test_the_kernel_checks_shapes(self):
        rows = dense_rows(np.ones((2, 3)))
        rule = stochastic.Descent("hinge", "constant", 0.1, 0.0, True, False, 0.1, 0.5, 0.1, True, 1.0, 0.0, 1)
        codes, orders = np.zeros(2, np.int32), np.zeros((1, 2), np.int32)
        weights, none, state = np.zeros((1, 3)), np.empty((0, 0)), np.zeros((1, stochastic.N_STATE))
        tail = np.empty(0, np.uint8), np.ones(2), np.ones(1), 1.0, 0, 0
        samples = rows.data, rows.indices, rows.indptr
        with pytest.raises(ValueError, match="shape"):
            stochastic.epoch(rule, *samples, codes[:1], orders, *tail, 1, weights, none, none, state)
        with pytest.raises(ValueError, match="shape"):
            stochastic.epoch(rule, *samples, codes, orders, *tail, 2, weights, none, none, state)
        with pytest.raises(ValueError, match="shape"):
            stochastic.settle(weights, none, 0, 2, state)
        features = np.zeros(1, np.int32)
        with pytest.raises(ValueError, match="shape"):
            stochastic.gather(weights, features, 0, 2, np.empty((3, 1)))
        with pytest.raises(ValueError, match="shape"):
            stochastic.scatter(weights, features, 0, 2, np.empty((1, 1)))
        with pytest.raises(ValueError, match="length"):
            stochastic.shuffle_seeds(np.zeros(2, np.int64), np.zeros(1, np.uint32))


class TestStreaming:
    def stream(self, **options):
        X, y = make(5, 300, 40, 4, sparse=True)
        model = SGDClassifier(random_state=0, **options)
        for start in range(0, 300, 10):
            yield model.partial_fit(X[start : start + 10], y[start : start + 10], classes=np.arange(4)), X, y

    @pytest.mark.parametrize("options", [{}, {"average": True}, {"penalty": "l1"}, {"penalty": "l1", "average": True}])
    def test_predictions_before_weights_are_multiplied_out(self, options):
        for model, X, _ in self.stream(**options):
            weights = model.__dict__["coef_"].weights
            lazy = not weights.is_settled()
            scores = model.decision_function(X)
            labels = model.predict(X)
            assert lazy == (model.penalty == "l2") == (not weights.is_settled())
            assert_allclose(scores, X @ model.coef_.T + model.intercept_, rtol=1e-12, atol=1e-12)
            assert_array_equal(labels, np.argmax(scores, axis=1))

    def test_a_look_at_the_weights_changes_nothing(self):
        *_, (ours, _, _) = self.stream()
        for other, *_ in self.stream():
            assert other.coef_.shape == (4, 40)
        assert_allclose(ours.coef_, other.coef_, rtol=1e-12)

    def test_weights_that_were_shown_stay_as_they_are(self):
        seen = []
        for model, *_ in self.stream(average=5):
            seen.append((model.coef_, model.coef_.copy()))
        for shown, then in seen:
            assert_array_equal(shown, then)

    def test_what_is_written_into_the_weights_counts(self):
        X, y = make(6, sparse=True)
        model = SGDClassifier(random_state=0).partial_fit(X, y, classes=[0, 1, 2])
        model.coef_[:] = 0.0
        model.coef_[1] = 5.0
        assert_array_equal(model.predict(X[:1]), [1] if X[:1].sum() > 0 else model.predict(X[:1]))
        other = copy.deepcopy(model)
        assert_array_equal(model.partial_fit(X, y).coef_, other.partial_fit(X, y).coef_)

    def test_one_row_at_a_time_as_scikit_learn(self):
        X, y = make(7, n_classes=2, sparse=True)
        ours, other = (cls(loss="log_loss", random_state=0) for cls in (SGDClassifier, theirs.SGDClassifier))
        for model in (ours, other):
            for i in range(60):
                model.partial_fit(X[i], y[i : i + 1].tolist(), classes=[0, 1])
        same(ours, other)

    def test_parameters_that_change_are_looked_at(self):
        X, y = make(8)
        ours, other = (cls(random_state=0, alpha=0.01) for cls in (SGDClassifier, theirs.SGDClassifier))
        for model in (ours, other):
            for options in ({}, {}, {"alpha": 0.1}, {"loss": "log_loss"}, {"random_state": 1}, {"penalty": "l1"}):
                model.set_params(**options).partial_fit(X, y, classes=[0, 1, 2])
        same(ours, other)
        with pytest.raises(AttributeError, match="_standard_coef"):  # as scikit-learn: no average to go on with
            ours.set_params(average=3).partial_fit(X, y)

    @pytest.mark.parametrize(
        ("labels", "classes"),
        [(["a", "b", "a"], ["a", "b", "c"]), (np.array([0, 2, 2]), [0, 1, 2]), ([True, False, True], [False, True])],
    )
    def test_labels(self, labels, classes):
        X = np.eye(3)
        ours, other = (cls(random_state=0) for cls in (SGDClassifier, theirs.SGDClassifier))
        for model in (ours, other):
            for _ in range(3):
                model.partial_fit(X, labels, classes=classes)
        same(ours, other)

    @pytest.mark.parametrize("labels", [np.array([0, 1, 9]), ["a", "b", "c"]])
    def test_labels_of_no_class(self, labels):
        model = SGDClassifier(random_state=0)
        for _ in range(2):
            with pytest.raises(ValueError, match="classes should include all valid labels"):
                model.partial_fit(np.eye(3), labels, classes=[0, 1, 2])
            model.partial_fit(np.eye(3), [0, 1, 2], classes=[0, 1, 2])

    def test_float32_weights_meet_float64_rows(self):
        X, y = make(9, dtype=np.float32)
        model = SGDClassifier(random_state=0).partial_fit(X, y, classes=[0, 1, 2])
        expected = copy.deepcopy(model).partial_fit(X, y)
        assert model.partial_fit(X.astype(np.float64), y).coef_.dtype == np.float32
        assert_array_equal(model.coef_, expected.coef_)


class TestTrouble:
    @pytest.mark.parametrize("sparse", [False, True])
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_numbers_that_are_none(self, value, sparse):
        X, y = make(0)
        bad = X.copy()
        bad[3, 2] = value
        bad = sp.csr_matrix(bad) if sparse else bad
        model = SGDClassifier(random_state=0).partial_fit(sp.csr_matrix(X) if sparse else X, y, classes=[0, 1, 2])
        before = pickle.dumps(model)
        for method in (model.fit, model.partial_fit, model.predict):
            with pytest.raises(ValueError, match=r"NaN|infinity"):
                method(bad, y) if method != model.predict else method(bad)
        assert pickle.dumps(model) == before

    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_weights_that_overflow(self, n_classes):
        X, y = make(0, n_classes=n_classes)
        options = {
            "loss": "squared_error",
            "learning_rate": "constant",
            "eta0": 1e6,
            "random_state": 0,
            "penalty": None,
        }
        messages = []
        for cls in (SGDClassifier, theirs.SGDClassifier):
            with pytest.raises(ValueError, match="Floating-point under-/overflow occurred at epoch") as error:
                cls(**options, max_iter=1000).fit(X * 1e150, y)
            messages.append(str(error.value))
        assert messages[0] == messages[1]
        model = SGDClassifier(**options).partial_fit(X * 1e-6, y, classes=np.arange(n_classes))
        before = pickle.dumps(model)
        for _ in range(2):
            with pytest.raises(ValueError, match="occurred at epoch #1"):
                model.partial_fit(X * 1e300, y)
            assert pickle.dumps(model) == before

    @pytest.mark.parametrize(
        ("part", "value", "match"),
        [("indices", [0, 9], "out of range"), ("indices", [0, -1], "out of range"), ("indptr", [0, 3], "indptr|stored"),
         ("indptr", [1, 2], "start with 0")],
    )  # fmt: skip
    def test_malformed_matrices(self, part, value, match):
        model = SGDClassifier(random_state=0).partial_fit(sp.csr_matrix(np.eye(4)), [0, 1, 2, 2], classes=[0, 1, 2])
        model.partial_fit(sp.csr_matrix(np.eye(4)), np.array([0, 1, 2, 2]))
        before = pickle.dumps(model)
        X = sp.csr_matrix(([1.0, 1.0], [0, 1], [0, 2]), shape=(1, 4))
        setattr(X, part, np.array(value, np.int32))
        with pytest.raises(ValueError, match=match):
            model.partial_fit(X, np.array([0]))
        assert pickle.dumps(model) == before

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"alpha": 0.0}, "alpha must be > 0"),
            ({"learning_rate": "nonsense"}, "'learning_rate' parameter"),
            ({"penalty": "elasticnet", "l1_ratio": None}, "l1_ratio"),
            ({"n_jobs": 1.5}, "'n_jobs' parameter"),
            ({"class_weight": {0: 1.0, 1: 1.0, 2: "x"}}, "could not convert|float"),
        ],
    )
    def test_parameters(self, options, match):
        X, y = make(0)
        model = quietly(SGDClassifier(random_state=0).fit, X, y)
        before = dict(vars(model))
        with pytest.raises(ValueError, match=match):
            model.set_params(**options).fit(X, y)
        assert {**vars(model), **{name: before[name] for name in options}} == before

    @pytest.mark.parametrize("loss", ["log_loss", "hinge"])
    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_nothing_to_hold_out(self, n_classes, loss):
        X, y = make(0, n_rows=10, n_classes=n_classes)
        y[:] = 0
        y[:n_classes] = np.arange(n_classes)
        options = {"loss": loss, "early_stopping": True, "random_state": 0}
        with pytest.raises(ValueError, match="least populated class") as expected:
            theirs.SGDClassifier(**options).fit(X, y)
        with pytest.raises(ValueError, match="least populated class") as got:
            SGDClassifier(**options).fit(X, y)
        assert str(got.value) == str(expected.value)

    def test_one_class_and_wrong_shapes(self):
        X, y = make(0)
        with pytest.raises(ValueError, match="greater than one; got 1 class"):
            SGDClassifier().fit(X, np.zeros(60))
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            SGDClassifier().fit(X, y[:-1])
        with pytest.raises(ValueError, match="coef_"):
            SGDClassifier().fit(X, y, coef_init=np.zeros((2, 2)))
        model = quietly(SGDClassifier().fit, X, y)
        for wrong in (X[:, :-1], sp.csr_matrix(X[:, :-1])):
            with pytest.raises(ValueError, match="features"):
                model.partial_fit(wrong, y)
        with pytest.raises(ValueError, match="not the same as on last call"):
            model.partial_fit(X, y, classes=[0, 1])
        with pytest.raises(NotFittedError):
            SGDClassifier().predict(X)
        with pytest.raises(ValueError, match="classes must be passed"):
            SGDClassifier().partial_fit(X, y)

    def test_arguments_are_not_written_to(self):
        X, y = make(0)
        coef, intercept = np.ones((3, 8)), np.ones(3)
        quietly(SGDClassifier(random_state=0).fit, X, y, coef_init=coef, intercept_init=intercept)
        assert_array_equal(coef, 1.0)
        assert_array_equal(intercept, 1.0)

    def test_it_says_that_it_has_not_converged(self):
        X, y = make(0)
        with pytest.warns(ConvergenceWarning, match="Maximum number of iteration reached"):
            SGDClassifier(max_iter=2, random_state=0).fit(X, y)

    def test_rows_without_entries(self):
        X, y = sp.csr_matrix((6, 4)), [0, 1, 2, 0, 1, 2]
        same(*(quietly(cls(random_state=0).fit, X, y) for cls in (SGDClassifier, theirs.SGDClassifier)))
        ours = SGDClassifier(random_state=0).partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
        assert_array_equal(ours.coef_, 0.0)

    def test_sparse_coefficients(self):
        X, y = make(0)
        model = quietly(SGDClassifier(random_state=0, penalty="l1").fit, X, y)
        scores = model.decision_function(X)
        model.sparsify()
        assert_allclose(model.decision_function(X), scores, rtol=1e-12)
        with pytest.raises(ValueError, match="densify"):
            model.partial_fit(X, y)
        assert_array_equal(model.densify().decision_function(X), scores)


class TestThreads:
    @pytest.mark.parametrize("penalty", PENALTIES)
    @pytest.mark.parametrize("sparse", [False, True])
    def test_the_same_bits(self, sparse, penalty):
        X, y = make(0, 2000, 60, 7, sparse)
        found = []
        for n_jobs in (1, 2, 5):
            model = SGDClassifier(penalty=penalty, average=True, random_state=0, n_jobs=n_jobs, max_iter=3, tol=None)
            model.fit(X, y)
            fitted = model.coef_, model.intercept_
            model.partial_fit(X, y)
            found.append((*fitted, model.coef_, model.intercept_))
        for other in found[1:]:
            for expected, got in zip(found[0], other, strict=True):
                assert_array_equal(expected, got)

    def test_the_option(self):
        X, y = make(0, 500)
        with deciban.config_context(n_threads=1):
            one = quietly(SGDClassifier(random_state=0).fit, X, y)
        with deciban.config_context(n_threads=3):
            three = quietly(SGDClassifier(random_state=0).fit, X, y)
        assert_array_equal(one.coef_, three.coef_)


class TestPredictions:
    @given(
        data=st.fixed_dictionaries(DATA), loss=st.sampled_from(["log_loss", "modified_huber"]),
        size=st.sampled_from([1e-3, 1.0, 30.0]),
    )  # fmt: skip
    def test_as_scikit_learn(self, data, loss, size):
        X, y = make(**data)
        ours = quietly(SGDClassifier(loss=loss, random_state=0, max_iter=3).fit, X, y)
        other = ours.to_sklearn()
        X = X * data["dtype"](size)
        rtol = 1e-9 if data["dtype"] == np.float64 else 1e-3
        assert_array_equal(ours.predict(X), other.predict(X))
        for method in ("decision_function", "predict_proba"):
            got, expected = getattr(ours, method)(X), getattr(other, method)(X)
            assert got.dtype == expected.dtype
            assert_allclose(got, expected, rtol=rtol, atol=rtol * np.abs(expected).max())

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_rows_that_no_class_claims(self, dtype):
        model = quietly(SGDClassifier(loss="log_loss", random_state=0).fit, *make(0, n_classes=4))
        model.coef_, model.intercept_ = np.zeros_like(model.coef_, dtype), np.array([-120, -200, -150, -170], dtype)
        X = np.zeros((2, model.n_features_in_), dtype)
        shares = np.exp(model.intercept_.astype(np.float64))  # all 0 in single precision
        expected = np.full(4, 0.25) if dtype == np.float32 else shares / shares.sum()
        assert_allclose(model.predict_proba(X), [expected, expected], rtol=1e-6, atol=1e-30)

    @pytest.mark.parametrize("loss", ["log_loss", "modified_huber"])
    @pytest.mark.parametrize("n_classes", [2, 4])
    def test_single_precision_throughout(self, n_classes, loss):
        X, y = make(0, n_rows=100, n_classes=n_classes, dtype=np.float32)
        model = quietly(SGDClassifier(loss=loss, average=True, random_state=0).fit, X, y)
        model.intercept_ = model.intercept_.astype(np.float32)
        other = model.to_sklearn()
        for samples in (X, X[:1], sp.csr_matrix(X), sp.csr_matrix(X[:1])):
            assert model.decision_function(samples).dtype == np.float32
            for method in ("predict_proba", "predict_log_proba"):
                with np.errstate(divide="ignore"):
                    got, expected = getattr(model, method)(samples), getattr(other, method)(samples)
                assert got.dtype == expected.dtype
                assert_allclose(got, expected, rtol=1e-3, atol=1e-6)

    def test_log_probabilities(self):
        for n_classes in (2, 4):
            X, y = make(0, n_classes=n_classes)
            model = quietly(SGDClassifier(loss="log_loss", random_state=0).fit, X, y)
            assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X), rtol=1e-12)
            far = 1e5 * X
            assert np.isfinite(model.predict_log_proba(far)).all()
            assert_allclose(model.predict_proba(far).sum(axis=1), 1.0)
            model.set_params(loss="modified_huber")
            with np.errstate(divide="ignore"):
                assert_array_equal(model.predict_log_proba(X), np.log(model.predict_proba(X)))

    def test_subclasses_rule(self):
        class Halved(SGDClassifier):
            def predict_proba(self, X):
                return super().predict_proba(X) / 2

        class Reversed(SGDClassifier):
            def decision_function(self, X):
                return -super().decision_function(X)

        X, y = make(0)
        model = quietly(SGDClassifier(loss="log_loss", random_state=0).fit, X, y)
        halved, reversed_ = (quietly(cls(loss="log_loss", random_state=0).fit, X, y) for cls in (Halved, Reversed))
        assert_allclose(halved.predict_log_proba(X), model.predict_log_proba(X) - np.log(2))
        assert_array_equal(reversed_.predict(X), np.argmin(model.decision_function(X), axis=1))

    def test_only_for_losses_that_have_probabilities(self):
        X, y = make(0)
        model = quietly(SGDClassifier(random_state=0).fit, X, y)
        assert not hasattr(model, "predict_proba")
        assert not hasattr(model, "predict_log_proba")
        with pytest.raises(AttributeError, match="predict_proba"):
            model.predict_proba(X)


class TestDownstream:
    @pytest.mark.parametrize("average", [False, True])
    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_there_and_back(self, n_classes, average):
        X, y = make(0, n_classes=n_classes, sparse=True)
        model = SGDClassifier(loss="log_loss", random_state=0, average=average)
        for _ in range(2):
            model.partial_fit(X, y, classes=np.arange(n_classes))
        other = model.to_sklearn()
        assert type(other) is theirs.SGDClassifier
        other = pickle.loads(pickle.dumps(other))
        back = SGDClassifier.from_sklearn(copy.deepcopy(other))
        loaded = pickle.loads(pickle.dumps(model))
        for grown in (model, other, back, loaded):
            grown.partial_fit(X, y)
        for grown in (model, back, loaded):
            same(grown, other)
            assert_allclose(grown.predict_proba(X), other.predict_proba(X), rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("average", [False, True])
    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_unpickled_lie_as_predictions_read_them_and_go_on(self, n_classes, average, capsys):
        X, y = make(0, n_classes=n_classes)
        options = {"random_state": 0, "average": average}
        models = [
            cls(**options).partial_fit(X, y, classes=np.arange(n_classes))
            for cls in (SGDClassifier, theirs.SGDClassifier)
        ]
        loaded, other = (pickle.loads(pickle.dumps(model)) for model in models)
        assert loaded.coef_.T.flags.c_contiguous
        for verbose in (1, 0):  # by scikit-learn's loop, which wants another layout, and by ours again
            for grown in (loaded, other):
                grown.set_params(verbose=verbose).partial_fit(X, y)
            same(loaded, other)
        capsys.readouterr()

    def test_clones_forget(self):
        X, y = make(0)
        model = quietly(SGDClassifier(random_state=0).fit, X, y)
        assert not hasattr(clone(model), "coef_")

    @pytest.mark.parametrize("cls", [SGDClassifier, theirs.SGDClassifier])
    def test_searches_and_wrappers(self, cls):
        X, y = make(0, 120, sparse=True)
        base = cls(random_state=0, max_iter=20, tol=None)
        search = GridSearchCV(base, {"alpha": [1e-4, 1e-2], "loss": ["hinge", "log_loss"]}, cv=3, n_jobs=2).fit(X, y)
        assert search.best_estimator_.coef_.shape == (3, 8)
        rest = OneVsRestClassifier(base, n_jobs=2).fit(X, y)
        assert rest.predict(X).shape == (120,)
        assert cross_val_score(base, X, y, cv=3).mean() > 0.4

    def test_a_search_finds_what_scikit_learns_finds(self):
        X, y = make(0, 120, sparse=True)
        scores = []
        for cls in (SGDClassifier, theirs.SGDClassifier):
            base = cls(random_state=0, max_iter=20, tol=None)
            scores.append(GridSearchCV(base, {"alpha": [1e-4, 1e-2]}, cv=3).fit(X, y).cv_results_["mean_test_score"])
        assert_array_equal(scores[0], scores[1])

    def test_fallbacks_are_recorded(self, capsys):
        X, y = make(0)
        verbose = SGDClassifier(random_state=0, verbose=1, max_iter=2, tol=None)
        with deciban.config_context(fallback="warn"), pytest.warns(deciban.FallbackWarning, match="verbose"):
            verbose.fit(X, y)
        assert "-- Epoch 2" in capsys.readouterr().out
        same(SGDClassifier(random_state=0, max_iter=2, tol=None).fit(X, y), verbose)
        with deciban.config_context(fallback="error"):
            quiet = SGDClassifier(random_state=0).partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
            with pytest.raises(deciban.FallbackError):
                quiet.set_params(verbose=1).partial_fit(X, y)
        quiet.partial_fit(X, y)  # scikit-learn goes on where we were
        capsys.readouterr()
        other = theirs.SGDClassifier(random_state=0)
        for _ in range(3):
            other.partial_fit(X, y, classes=[0, 1, 2])
        same(quiet, other)

    def test_wide_indices(self):
        X, y = make(0, sparse=True)
        wide = X.copy()
        wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
        ours, expected = (quietly(SGDClassifier(random_state=0).fit, matrix, y) for matrix in (wide, X))
        assert_array_equal(ours.coef_, expected.coef_)
        assert_array_equal(ours.partial_fit(wide, y).coef_, expected.partial_fit(X, y).coef_)
