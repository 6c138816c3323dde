"""L1 and elastic-net logistic regression: the conditions of a minimum, from the equation, and scikit-learn's minima."""

import logging
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
import sklearn.linear_model as theirs
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from reference import log_posterior
from sklearn.exceptions import ConvergenceWarning
from test_linear_model import make

import deciban
from deciban._kernels import coordinate
from deciban.linear_model import LogisticRegression, LogisticRegressionCV, _newton
from deciban.linear_model._newton import Problem
from deciban.linear_model._proximal import minimise_sparse
from deciban.linear_model._samples import DenseSamples, SparseSamples

NEW = sklearn.__version__ >= "1.8"  # where l1_ratio alone names the penalty


def options(ratio, **others):
    """The parameters of a model with that share of l1, for any scikit-learn."""
    penalty = {} if NEW else {"penalty": "l1" if ratio == 1 else "elasticnet"}
    return {"solver": "saga", "l1_ratio": ratio if NEW or ratio < 1 else None, **penalty, **others}


def residuals(model, X, y, weights):
    """The gradient in the scores, and the loss, straight from the equation."""
    scores = np.asarray(X @ model.coef_.T + model.intercept_, dtype=float)
    if scores.shape[1] == 1:
        scores = np.column_stack([np.zeros(len(scores)), scores])
    codes = np.searchsorted(model.classes_, y)
    log_p = log_posterior(scores)
    found = np.exp(log_p)
    found[np.arange(len(codes)), codes] -= 1
    loss = weights @ -log_p[np.arange(len(codes)), codes]
    return found[:, -len(model.coef_) :] * weights[:, None], loss


def objective(model, X, y, ratio, weights=None, scaling=np.inf):
    weights = np.ones(len(y)) if weights is None else weights
    coef = model.coef_.astype(float)
    penalty = ratio * np.abs(coef).sum() + 0.5 * (1 - ratio) * (coef**2).sum()
    penalty += np.abs(model.intercept_).sum() / scaling
    return residuals(model, X, y, weights)[1] + penalty / model.C


def violation(model, X, y, ratio, weights=None, scaling=np.inf):
    """The largest component of the least subgradient of the mean loss plus penalty; 0 at the minimum."""
    weights = np.ones(len(y)) if weights is None else weights
    residual, _ = residuals(model, X, y, weights)
    coef, intercept = model.coef_.astype(float), np.broadcast_to(model.intercept_, len(model.coef_)).astype(float)

    def least(value, gradient, l1):
        return np.where(value != 0, np.abs(gradient + l1 * np.sign(value)), np.maximum(np.abs(gradient) - l1, 0))

    found = least(coef, (X.T @ residual).T + (1 - ratio) / model.C * coef, ratio / model.C).max()
    if model.fit_intercept:
        found = max(found, least(intercept, residual.sum(axis=0), 1 / scaling / model.C).max())
    return found / weights.sum()


@pytest.fixture(params=["whole", "columns"])
def way(request, monkeypatch):
    """Both models of the loss: by its whole Hessian, and by columns."""
    if request.param == "columns":
        monkeypatch.setattr(_newton, "_WHOLE", 0)
    return request.param


def soft(value, threshold):
    return np.sign(value) * max(abs(value) - threshold, 0.0)


def reference_descent(X, curvature, l1, l2, only_active, coef, slope):
    """One round of coordinate descent, in plain NumPy; returns the decrease of the model."""
    start, slope = coef.copy(), slope.copy()
    first = slope.copy()
    for j in range(X.shape[1]):
        if only_active and coef[j] == 0:
            continue
        h = curvature @ X[:, j] ** 2 + l2[j]
        if h <= 0:
            continue
        new = soft(coef[j] * h - (X[:, j] @ slope + l2[j] * coef[j]), l1[j]) / h
        slope += curvature * X[:, j] * (new - coef[j])
        coef[j] = new
    moved = X @ (coef - start)
    penalty = l1 @ (np.abs(coef) - np.abs(start)) + 0.5 * l2 @ (coef**2 - start**2)
    return -(first @ moved + 0.5 * curvature @ moved**2 + penalty), slope, moved


def columns_of(X, sparse):
    if not sparse:
        return np.ascontiguousarray(X.T).reshape(-1), np.empty(0, np.int32), np.arange(X.shape[1] + 1) * len(X)
    C = sp.csc_matrix(X)
    return C.data, C.indices.astype(np.int32), C.indptr.astype(np.int64)


class TestKernel:
    @pytest.mark.parametrize("only_active", [False, True])
    @pytest.mark.parametrize("sparse", [False, True])
    def test_descend(self, sparse, only_active):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((23, 9)) * (rng.random((23, 9)) < 0.6)
        X[:, 4] = 0
        curvature, slope = rng.random(23), rng.standard_normal(23)
        l1, l2 = rng.random(9), rng.random(9) * (rng.random(9) < 0.5)
        coef = rng.standard_normal(9) * (rng.random(9) < 0.7)
        columns, chosen = columns_of(X, sparse), np.arange(9, dtype=np.int32)
        squares = np.empty(9)
        coordinate.curvatures(*columns, chosen, curvature, squares)
        assert_allclose(squares, curvature @ X**2, rtol=1e-13)
        expected = coef.copy()
        decrease, expected_slope, expected_moved = reference_descent(X, curvature, l1, l2, only_active, expected, slope)
        moved = np.zeros(23)
        found = coordinate.descend(*columns, chosen, squares, l1, l2, curvature, only_active, coef, slope, moved)
        assert_allclose(coef, expected, rtol=1e-12, atol=1e-14)
        assert_allclose(slope, expected_slope, rtol=1e-11, atol=1e-13)
        assert_allclose(moved, expected_moved, rtol=1e-11, atol=1e-13)
        assert_allclose(found, decrease, rtol=1e-10)

    @pytest.mark.parametrize("sparse", [False, True])
    def test_gather_and_scatter(self, sparse):
        rng = np.random.default_rng(1)
        X = rng.standard_normal((23, 9)) * (rng.random((23, 9)) < 0.6)
        columns, chosen = columns_of(X, sparse), np.array([7, 2, 3], np.int32)
        values, coef, out = rng.standard_normal(23), np.array([1.5, 0.0, -2.0]), np.empty(3)
        coordinate.gather(*columns, chosen, values, out)
        assert_allclose(out, X[:, chosen].T @ values, rtol=1e-12, atol=1e-14)
        moved = values.copy()
        coordinate.scatter(*columns, chosen, coef, moved)
        assert_allclose(moved, values + X[:, chosen] @ coef, rtol=1e-12, atol=1e-14)

    def test_descend_whole(self):
        rng = np.random.default_rng(2)
        root = rng.standard_normal((30, 7))
        hessian, l1, gradient = root.T @ root, rng.random(7), rng.standard_normal(7)
        coef, other = np.zeros(7), np.zeros(7)
        total = 0.0
        for _ in range(200):
            total += coordinate.descend_whole(hessian, l1, False, coef, gradient)
        start = np.random.default_rng(2)
        start.standard_normal((30, 7)), start.random(7)
        first = start.standard_normal(7)
        for _ in range(200):
            for j in range(7):
                slope = first[j] + hessian[j] @ other
                other[j] = soft(other[j] * hessian[j, j] - slope, l1[j]) / hessian[j, j]
        assert_allclose(coef, other, rtol=1e-10, atol=1e-12)
        assert_allclose(gradient, first + hessian @ coef, rtol=1e-10, atol=1e-10)
        assert_allclose(total, -(first @ coef + 0.5 * coef @ hessian @ coef + l1 @ np.abs(coef)), rtol=1e-10)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("index", [np.int32, np.int64])
    def test_take(self, dtype, index):
        X = sp.random(30, 12, 0.3, random_state=0, format="csc").astype(dtype)
        features = np.array([1, 4, 11])
        bounds = np.concatenate([[0], np.cumsum(np.diff(X.indptr)[features])]).astype(np.int64)
        data, rows = np.empty(bounds[-1]), np.empty(bounds[-1], np.int32)
        parts = X.data, X.indices.astype(index), X.indptr.astype(index)
        assert coordinate.take(*parts, features, 30, bounds, data, rows)
        made = sp.csc_matrix((data, rows, bounds), shape=(30, 3))
        assert_array_equal(made.toarray(), X[:, features].toarray().astype(float))
        assert not coordinate.take(*parts, np.array([1, 4, 12]), 30, bounds, data, rows)
        assert not coordinate.take(*parts, features, 3, bounds, data, rows)  # rows beyond the last
        assert not coordinate.take(*parts, features, 30, bounds - 1, data, rows)

    @given(seed=st.integers(0, 2**16), n_columns=st.integers(1, 6), scale=st.floats(1e-3, 30))
    def test_a_damped_model_is_not_below_the_loss(self, seed, n_columns, scale):
        rng = np.random.default_rng(seed)
        moved = rng.standard_normal((8, n_columns)) * scale
        scores = rng.standard_normal((8, n_columns)) * 3
        if n_columns == 1:
            shares = 1 / (1 + np.exp(-scores))
            whole, moves = np.column_stack([1 - shares, shares]), np.column_stack([0 * moved, moved])
        else:
            shares = np.exp(log_posterior(scores))
            whole, moves = shares, moved
        damping = np.empty(8)
        coordinate.misfit(shares, moved, damping)
        mean = (whole * moves).sum(axis=1)
        loss = np.log((whole * np.exp(moves - mean[:, None])).sum(axis=1))
        model = 0.5 * ((whole * moves**2).sum(axis=1) - mean**2) + 0.5 * damping * (moved**2).sum(axis=1)
        assert (damping >= 0).all()
        assert (damping <= 0.5).all()
        assert (model >= loss - 1e-9 * (1 + np.abs(loss))).all()
        needed = damping > 0
        assert_allclose(model[needed & (damping < 0.5)], loss[needed & (damping < 0.5)], rtol=1e-6, atol=1e-9)

    def test_shapes_are_checked(self):
        columns, chosen = columns_of(np.ones((4, 2)), True), np.array([0, 1], np.int32)
        with pytest.raises(ValueError, match="do not agree"):
            coordinate.gather(*columns, np.array([0, 2], np.int32), np.ones(4), np.empty(2))
        with pytest.raises(ValueError, match="do not agree"):
            coordinate.scatter(*columns, chosen, np.ones(1), np.empty(4))
        with pytest.raises(ValueError, match="do not agree"):
            coordinate.curvatures(*columns, chosen, np.ones(4), np.empty(3))
        two, four = np.ones(2), np.ones(4)
        with pytest.raises(ValueError, match="do not agree"):
            coordinate.descend(*columns, chosen, two, two[:1], two, four, False, two, four, four)
        with pytest.raises(ValueError, match="do not agree"):
            coordinate.gather(*columns_of(np.ones((4, 2)), False), chosen, np.ones(3), np.empty(2))
        with pytest.raises(ValueError, match="do not agree"):
            coordinate.slope(np.ones(3), np.ones(3), np.ones(3), np.ones(3), np.ones(2), np.empty(3))
        with pytest.raises(ValueError, match="do not agree"):
            coordinate.misfit(np.ones((2, 2)), np.ones((2, 1)), np.empty(2))
        with pytest.raises(ValueError, match="do not agree"):
            coordinate.descend_whole(np.ones((2, 2)), np.ones(2), False, np.ones(2), np.ones(1))


class TestMinimum:
    @pytest.mark.usefixtures("way")
    @pytest.mark.parametrize("n_classes", [2, 3, 11])
    @pytest.mark.parametrize("sparse", [False, True])
    @pytest.mark.parametrize("ratio", [1.0, 0.4])
    @pytest.mark.parametrize("intercept", [False, True])
    def test_conditions(self, n_classes, sparse, ratio, intercept):
        X, y = make(1, 150, 25, n_classes)
        X = sp.csr_matrix(X) if sparse else X
        for C in (0.05, 1.0, 50.0):
            model = LogisticRegression(C=C, tol=1e-8, fit_intercept=intercept, **options(ratio)).fit(X, y)
            assert violation(model, X, y, ratio) <= 2e-8
            if C == 0.05 and ratio == 1:
                assert (model.coef_ == 0).mean() > 0.4

    @given(
        seed=st.integers(0, 2**16), n_features=st.integers(1, 30), n_classes=st.integers(2, 5), sparse=st.booleans(),
        intercept=st.booleans(), weighted=st.booleans(), C=st.sampled_from([0.03, 1.0, 30.0]),
        ratio=st.sampled_from([1.0, 0.5, 0.1]), whole=st.booleans(), liblinear=st.booleans(),
    )  # fmt: skip
    @settings(max_examples=60)
    def test_the_same_minimum_as_scikit_learn(
        self, seed, n_features, n_classes, sparse, intercept, weighted, C, ratio, whole, liblinear
    ):
        X, y = make(seed, 60, n_features, n_classes)
        weights = np.random.default_rng(seed).integers(0, 3, 60).astype(float) if weighted else None
        if weights is not None:
            weights[:n_classes] = 1.0
        X = sp.csr_matrix(X) if sparse else X
        liblinear = liblinear and n_classes == 2 and ratio == 1
        scaling = 2.0 if liblinear else np.inf
        chosen = options(ratio, C=C, fit_intercept=intercept)
        if liblinear:
            chosen |= {"solver": "liblinear", "intercept_scaling": scaling}
        with pytest.MonkeyPatch.context() as patch:
            if not whole:
                patch.setattr(_newton, "_WHOLE", 0)
            ours = LogisticRegression(tol=1e-9, max_iter=500, **chosen).fit(X, y, weights)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = theirs.LogisticRegression(tol=1e-8, max_iter=3000, **chosen).fit(X, y, weights)
        found, theirs_found = (objective(model, X, y, ratio, weights, scaling) for model in (ours, expected))
        assert found <= theirs_found * (1 + 1e-10)
        assert violation(ours, X, y, ratio, weights, scaling) <= 1e-7
        assert ours.coef_.shape == expected.coef_.shape
        assert np.shape(ours.intercept_) == np.shape(expected.intercept_)
        if violation(expected, X, y, ratio, weights, scaling) <= 1e-7:  # as far as it converged
            assert_allclose(found, theirs_found, rtol=1e-6)
            assert_allclose(ours.predict_proba(X), expected.predict_proba(X), atol=2e-3)

    @pytest.mark.usefixtures("way")
    @pytest.mark.parametrize("n_classes", [2, 4])
    @pytest.mark.parametrize("solver", ["saga", "liblinear"])
    @pytest.mark.parametrize("tol", [1e-2, 1e-4])
    def test_never_worse_at_the_same_tol(self, n_classes, solver, tol):
        if solver == "liblinear" and n_classes > 2:
            pytest.skip("liblinear does two classes")
        X, y = make(3, 300, 40, n_classes)
        for C in (0.1, 10.0):
            chosen = options(1.0, C=C, tol=tol) | {"solver": solver}
            ours = LogisticRegression(**chosen).fit(X, y)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = theirs.LogisticRegression(**chosen).fit(X, y)
            scaling = 1.0 if solver == "liblinear" else np.inf
            found, theirs_found = (objective(m, X, y, 1.0, None, scaling) for m in (ours, expected))
            assert found <= theirs_found * (1 + 0.1 * tol)

    @pytest.mark.usefixtures("way")
    @pytest.mark.parametrize("n_classes", [2, 12])
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_sparse_is_dense(self, n_classes, dtype):
        X, y = make(2, 200, 30, n_classes, dtype)
        S = sp.csr_matrix(X)
        chosen = options(0.7, C=2.0, tol=1e-9)
        dense, sparse = (LogisticRegression(**chosen).fit(samples, y) for samples in (X, S))
        assert_allclose(dense.coef_, sparse.coef_, atol=1e-6)
        assert dense.coef_.dtype == sparse.coef_.dtype == dtype
        S.indices, S.indptr = S.indices.astype(np.int64), S.indptr.astype(np.int64)
        samples = SparseSamples(S, True)
        problem = Problem(samples, (y > 0).astype(np.int32), np.full(200, 1 / 200), np.zeros((31, 1)), 1)
        wide = minimise_sparse(problem, np.zeros((31, 1)), np.r_[np.full(30, 2e-3), 0], 1e-9, 100)
        problem = Problem(DenseSamples(X, True), problem.codes, problem.weights, problem.penalty, 1)
        narrow = minimise_sparse(problem, np.zeros((31, 1)), np.r_[np.full(30, 2e-3), 0], 1e-9, 100)
        assert_allclose(wide.table, narrow.table, atol=1e-6)

    @pytest.mark.usefixtures("way")
    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.parametrize("sparse", [False, True])
    @pytest.mark.parametrize(
        "case",
        ["separable", "one error", "scaled", "constant", "duplicates", "zero rows", "zero weights", "wide", "huge C"],
    )
    def test_hard_cases(self, case, sparse, n_classes):
        X, y = make(5, 80, 400 if case == "wide" else 6, n_classes)
        weights, C = None, 1.0
        if case in ("separable", "one error"):
            X, C = np.column_stack([X, 5 * np.eye(n_classes)[y]]), 1e4
        if case == "one error":
            y[7] = (y[7] + 1) % n_classes
        elif case == "scaled":
            X = X * np.array([1e12, 1e-12, 1, 1e6, 1e-6, 1])
        elif case == "constant":
            X = np.column_stack([X, np.ones((80, 2)), np.zeros(80)])
        elif case == "duplicates":
            X, C = np.column_stack([X, X]), 100.0
        elif case == "zero rows":
            X[10:70] = 0
        elif case == "zero weights":
            weights = np.r_[np.ones(40), np.zeros(40)]
        elif case == "wide":
            C = 1e3
        elif case == "huge C":
            C = 1e10
        X = sp.csr_matrix(X) if sparse else X
        for ratio in (1.0, 0.3):
            model = LogisticRegression(C=C, tol=1e-6, **options(ratio)).fit(X, y, weights)  # without a warning
            assert np.isfinite(model.coef_).all()
            assert np.isfinite(model.intercept_).all()
            if case == "scaled":
                scale = np.array([1e12, 1, 1, 1e6, 1, 1])
                model.coef_, X_scaled = model.coef_ * scale, X.multiply(1 / scale).tocsr() if sparse else X / scale
                residual, _ = residuals(model, X_scaled, y, np.ones(80))
                small = np.abs(X_scaled.T @ residual)[scale > 1]
                assert small.max() <= 1e-3  # where the penalty on such a column is next to nothing
                continue
            assert violation(model, X, y, ratio, weights) <= 1e-6
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = theirs.LogisticRegression(C=C, max_iter=300, **options(ratio)).fit(X, y, weights)
            found, theirs_found = (objective(m, X, y, ratio, weights) for m in (model, expected))
            assert found <= theirs_found * (1 + 1e-6)

    @pytest.mark.usefixtures("way")
    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.parametrize("sparse", [False, True])
    def test_so_much_penalty_that_all_is_zero(self, sparse, n_classes):
        X, y = make(0, 120, 10, n_classes)
        X = sp.csr_matrix(X) if sparse else X
        model = LogisticRegression(C=1e-7, tol=1e-10, **options(1.0)).fit(X, y)
        assert not model.coef_.any()
        assert_allclose(model.predict_proba(X[:1])[0], np.bincount(y) / len(y), rtol=1e-6)
        without = LogisticRegression(C=1e-7, fit_intercept=False, **options(1.0)).fit(X, y)
        assert not without.coef_.any()


class TestFit:
    @pytest.mark.parametrize("n_classes", [2, 9])
    @pytest.mark.parametrize("sparse", [False, True])
    def test_the_same_bits_for_any_number_of_threads(self, sparse, n_classes, monkeypatch):
        monkeypatch.setattr("deciban.linear_model._proximal._ENTRIES", 0)
        X, y = make(0, 2000, 120, n_classes)
        X = sp.csr_matrix(X) if sparse else X
        found = []
        for n_threads in (1, 2, 5):
            with deciban.config_context(n_threads=n_threads):
                model = LogisticRegression(**options(1.0)).fit(X, y)
                found.append(model.coef_.tobytes() + model.intercept_.tobytes())
        assert found[0] == found[1] == found[2]

    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
    def test_every_spelling(self, n_classes, caplog):
        X, y = make(0, 120, 8, n_classes)
        spellings = [
            {"penalty": "l1"}, {"penalty": "elasticnet", "l1_ratio": 1.0}, {"penalty": "elasticnet", "l1_ratio": 1},
            *([{"l1_ratio": 1}] if NEW else []),
        ]  # fmt: skip
        with caplog.at_level(logging.INFO, "deciban"):
            models = [LogisticRegression(solver="saga", **spelling).fit(X, y) for spelling in spellings]
            if n_classes == 2:
                LogisticRegression(penalty="l1", solver="liblinear").fit(X, y)
        assert not caplog.text  # nothing is left to scikit-learn
        for model in models[1:]:
            assert_array_equal(model.coef_, models[0].coef_)
        ridge = LogisticRegression(penalty="elasticnet", l1_ratio=0.0, solver="saga", tol=1e-9).fit(X, y)
        assert_allclose(ridge.coef_, LogisticRegression(tol=1e-9).fit(X, y).coef_, atol=1e-6)

    def test_what_scikit_learn_refuses(self):
        X, y = make(0, 60, 4, 2)
        with pytest.raises(ValueError, match="supports only"):
            LogisticRegression(**options(1.0) | {"solver": "lbfgs"}).fit(X, y)

    @pytest.mark.usefixtures("way")
    def test_stopping_early_is_said(self):
        X, y = make(0, 200, 30, 3)
        with pytest.warns(ConvergenceWarning, match="max_iter was reached"):
            model = LogisticRegression(max_iter=1, **options(1.0)).fit(X, y)
        assert_array_equal(model.n_iter_, [1])

    @pytest.mark.usefixtures("way")
    def test_warm_start(self):
        X, y = make(0, 200, 30, 3)
        model = LogisticRegression(warm_start=True, tol=1e-8, **options(0.8)).fit(X, y)
        coef, n_iter = model.coef_.copy(), model.n_iter_[0]
        model.fit(X, y)
        assert model.n_iter_[0] <= min(2, n_iter - 1)
        assert_allclose(model.coef_, coef, atol=1e-6)
        fresh = LogisticRegression(tol=1e-8, C=5.0, **options(0.8)).fit(X, y)
        assert_allclose(model.set_params(C=5.0).fit(X, y).coef_, fresh.coef_, atol=1e-5)

    @pytest.mark.usefixtures("way")
    def test_weights_are_repetitions(self):
        X, y = make(0, 90, 8, 3)
        times = np.random.default_rng(0).integers(0, 4, 90)
        chosen = options(1.0, tol=1e-9)
        a = LogisticRegression(**chosen).fit(X, y, times.astype(float))
        b = LogisticRegression(**chosen).fit(np.repeat(X, times, axis=0), np.repeat(y, times))
        assert_allclose(a.coef_, b.coef_, atol=1e-6)
        of_class = {0: 1.0, 1: 3.0, 2: 0.5}
        c = LogisticRegression(class_weight=of_class, **chosen).fit(X, y)
        d = LogisticRegression(**chosen).fit(X, y, np.array([1.0, 3.0, 0.5])[y])
        assert_allclose(c.coef_, d.coef_, atol=1e-7)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_a_failed_fit_changes_nothing(self, bad):
        X, y = make(0, 60, 4, 2)
        model = LogisticRegression(**options(1.0)).fit(X, y)
        before = dict(vars(model))
        wrong = X.copy()
        wrong[3, 2] = bad
        for samples in (wrong, sp.csr_matrix(wrong)):
            with pytest.raises(ValueError, match="contains"):
                model.fit(samples, y)
        S = sp.csr_matrix(X)
        S.indices[3] = 99
        with pytest.raises(ValueError, match="out of range"):
            model.fit(S, y)
        assert vars(model).keys() == before.keys()
        assert all(vars(model)[name] is value for name, value in before.items())


class TestCrossValidation:
    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.parametrize("solver", ["saga", "liblinear"])
    @pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
    def test_as_scikit_learns(self, solver, n_classes, caplog):
        if solver == "liblinear" and n_classes > 2:
            pytest.skip("liblinear does two classes")
        X, y = make(0, 150, 6, n_classes)
        ratios = {"penalty": "l1"} if solver == "liblinear" else {"penalty": "elasticnet", "l1_ratios": [0.2, 1.0]}
        chosen = {"Cs": [0.1, 1.0, 3.0], "cv": 3, "solver": solver, **ratios}
        with caplog.at_level(logging.INFO, "deciban"):
            ours = LogisticRegressionCV(tol=1e-9, **chosen).fit(X, y)
        assert not caplog.text
        expected = theirs.LogisticRegressionCV(tol=1e-9, max_iter=2000, random_state=0, **chosen).fit(X, y)
        assert_allclose(ours.C_, expected.C_)
        for label, path in expected.coefs_paths_.items():
            assert_allclose(ours.coefs_paths_[label], path, atol=2e-3)
            assert_allclose(ours.scores_[label], expected.scores_[label], atol=0.03)
        assert_allclose(ours.coef_, expected.coef_, atol=2e-3)
        assert_array_equal(ours.l1_ratio_, expected.l1_ratio_)
