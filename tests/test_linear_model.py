"""LogisticRegression and LogisticRegressionCV: the same minimum as scikit-learn's, whatever the data look like."""

import logging
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.linear_model as theirs
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from reference import log_posterior
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import deciban
from deciban._kernels import logistic
from deciban.linear_model import LogisticRegression, LogisticRegressionCV, _blocks, _logistic, _newton
from deciban.linear_model._newton import _NO_TABLE, Problem, minimise
from deciban.linear_model._samples import DenseSamples, SparseSamples

SOLVERS = ["lbfgs", "newton-cg", "newton-cholesky", "sag", "saga"]


def make(seed, n_rows, n_features, n_classes, dtype=np.float64):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, n_features)).astype(dtype) * (rng.random((n_rows, n_features)) < 0.6)
    y = np.argmax(X @ rng.standard_normal((n_features, n_classes)) + rng.gumbel(size=(n_rows, n_classes)), axis=1)
    y[:n_classes] = np.arange(n_classes)
    return X.astype(dtype), y


def objective(model, X, y, weights=None):
    """C times the weighted loss, plus half the squared norm: of the coefficients, straight from the equation."""
    scores = np.asarray(X @ model.coef_.T + model.intercept_, dtype=float)
    if scores.shape[1] == 1:
        scores = np.column_stack([np.zeros(len(scores)), scores])
    codes = np.searchsorted(model.classes_, y)
    loss = -log_posterior(scores)[np.arange(len(scores)), codes]
    weights = np.ones(len(loss)) if weights is None else weights
    penalty = 0.5 * float((model.coef_.astype(float) ** 2).sum())
    return (weights @ loss) + penalty / model.C


def problem(sparse, n_columns, intercept, dtype=np.float64, seed=0):
    X, y = make(seed, 40, 6, max(2, n_columns), dtype)
    samples = SparseSamples(sp.csr_matrix(X), intercept) if sparse else DenseSamples(X, intercept)
    rng = np.random.default_rng(seed)
    weights = rng.random(40) * (rng.random(40) < 0.9)
    penalty = np.full((6 + intercept, 1), 0.3)
    table = rng.standard_normal((6 + intercept, n_columns))
    return Problem(samples, y.astype(np.int32), weights, penalty, n_columns), table


def value(made, table):
    """The function, and its derivatives on the way."""
    loss = made.loss(made.samples.scores(table), _NO_TABLE, 0.0, derivatives=True)
    return loss + 0.5 * made.inner(table, table)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("n_columns", [1, 3, 11])
@pytest.mark.parametrize("sparse", [False, True])
class TestDerivatives:
    def test_against_finite_differences(self, sparse, n_columns, intercept, dtype):
        made, table = problem(sparse, n_columns, intercept, dtype)
        rng = np.random.default_rng(1)
        direction, step = rng.standard_normal(table.shape), 1e-5
        sides = []
        for sign in (1, -1):
            moved = table + sign * step * direction
            sides.append((value(made, moved), made.gradient(moved)))
        value(made, table)
        gradient, product = made.gradient(table), np.empty_like(table)
        made.curved(direction, product)
        product += made.penalty * direction
        assert_allclose((gradient * direction).sum(), (sides[0][0] - sides[1][0]) / (2 * step), rtol=1e-6)
        assert_allclose(product, (sides[0][1] - sides[1][1]) / (2 * step), rtol=1e-5, atol=1e-7)

    def test_whole_hessian_and_diagonal(self, sparse, n_columns, intercept, dtype):
        made, table = problem(sparse, n_columns, intercept, dtype)
        value(made, table)
        whole = made.hessian()
        columns = []
        for i in range(table.size):
            direction, product = np.zeros(table.size), np.empty_like(table)
            direction[i] = 1.0
            direction = np.ascontiguousarray(direction.reshape(table.shape[::-1]).T)
            made.curved(direction, product)
            columns.append((product + made.penalty * direction).T.ravel())
        assert_allclose(whole, np.array(columns), rtol=1e-9, atol=1e-12)
        assert_allclose(made.diagonal().T.ravel(), whole.diagonal(), rtol=1e-9)


class TestBlocks:
    """The preconditioner of conjugate gradients."""

    @pytest.mark.parametrize("intercept", [False, True])
    @pytest.mark.parametrize("n_columns", [1, 3])
    @pytest.mark.parametrize("sparse", [False, True])
    def test_inverse_of_the_blocks(self, sparse, n_columns, intercept, monkeypatch):
        monkeypatch.setattr(_blocks, "_ROWS_EACH", 100)
        made, table = problem(sparse, n_columns, intercept)
        value(made, table)
        n = len(table)
        whole = made.hessian()
        solved = _blocks.Blocks(made).solve(table)
        expected = np.column_stack(
            [np.linalg.solve(whole[k * n : (k + 1) * n, k * n : (k + 1) * n], table[:, k]) for k in range(n_columns)]
        )
        if n_columns > 1:
            expected -= expected.mean(axis=1, keepdims=True)
        assert_allclose(solved, expected, rtol=1e-8)

    @given(seed=st.integers(0, 2**16), n=st.integers(1, 400), wanted=st.integers(1, 400), spread=st.floats(0, 5))
    def test_samples_stand_for_all(self, seed, n, wanted, spread):
        rng = np.random.default_rng(seed)
        weights = np.exp(spread * rng.standard_normal(n)) * (rng.random(n) < 0.9)
        index, found = _blocks.sampled(weights, wanted)
        assert (np.diff(index) > 0).all()
        assert (weights[index] > 0).all()
        assert (found >= weights[index]).all()
        if wanted >= n:
            assert_array_equal(index, np.flatnonzero(weights))
            assert_array_equal(found, weights[index])
        else:
            assert len(index) <= wanted + 1
            # what is not certain to be there weighs the same, each
            rest = found[found > weights[index]]
            assert_allclose(rest, rest[:1].repeat(len(rest)), rtol=1e-9)
            assert abs(found.sum() - weights.sum()) <= 1.001 * rest.max(initial=weights.max(initial=0.0))

    @pytest.mark.parametrize("spoilt", ["penalty", "curvature"])
    def test_no_direction_without_factors(self, spoilt):
        made, table = problem(False, 3, True)
        value(made, table)
        gradient = made.gradient(table)
        blocks = _newton._preconditioner(made)
        direction, moved, n_products = _newton._solve_with_blocks(made, gradient, 0.1, 5, blocks)
        assert 1 <= n_products <= 5
        assert_allclose(moved, made.samples.scores(direction), rtol=1e-12)
        if spoilt == "penalty":
            made.penalty = np.full_like(made.penalty, -10.0)
            assert _newton._preconditioner(made) is None
        else:
            made.curvature.state[:] = np.nan
            assert _newton._solve_with_blocks(made, gradient, 0.1, 5, blocks)[0] is None


NOTHING = np.empty(0)


class TestKernel:
    def test_a_step_moves_the_scores(self):
        made, table = problem(False, 3, True)
        scores, moved = made.samples.scores(table), made.samples.scores(table + 1)
        expected = made.loss(scores + 0.25 * moved, _NO_TABLE, 0.0, derivatives=False)
        assert_allclose(made.loss(scores, moved, 0.25, derivatives=False), expected, rtol=1e-14)

    @pytest.mark.parametrize("z", [-800.0, -40.0, 0.0, 40.0, 800.0])
    def test_two_classes_far_out(self, z):
        curvature, residual = np.empty((2, 2, 1))
        scores, codes = np.full((2, 1), z), np.array([0, 1], np.int32)
        loss = logistic.evaluate(scores, _NO_TABLE, 0.0, codes, np.ones(2), 0, 2, np.empty(1), curvature, residual)
        assert_allclose(loss, np.logaddexp(0, z) + np.logaddexp(0, -z), rtol=1e-14)
        assert_allclose(
            residual[:, 0], [1 / (1 + np.exp(-z)) if z > -700 else 0, -1 / (1 + np.exp(min(z, 700)))], atol=1e-300
        )

    def test_residuals_say_all_of_several_columns(self):
        rng = np.random.default_rng(5)
        z, t = rng.standard_normal((2, 40, 7)) * 4
        codes, weights = rng.integers(0, 7, 40).astype(np.int32), rng.random(40) * (rng.random(40) < 0.7)
        p = np.exp(z - np.logaddexp.reduce(z, axis=1, keepdims=True))
        residual, product, diagonal, found = np.empty((4, 40, 7))
        product[:] = t
        logistic.evaluate(z, _NO_TABLE, 0.0, codes, weights, 0, 40, np.empty(7), _NO_TABLE, residual)
        state = residual, codes, weights, 0, 40
        logistic.apply_curvature(*state, product)
        logistic.diagonal(*state, diagonal)
        logistic.probabilities(*state, found)
        v = weights[:, np.newaxis]
        assert_allclose(residual, v * (p - np.eye(7)[codes]), rtol=1e-12, atol=1e-15)
        assert_allclose(product, v * p * (t - (p * t).sum(axis=1, keepdims=True)), rtol=1e-11, atol=1e-14)
        assert_allclose(diagonal, v * p * (1 - p), rtol=1e-11, atol=1e-14)
        assert_allclose(found, p * (v > 0), rtol=1e-12, atol=1e-15)
        for kernel in (logistic.apply_curvature, logistic.diagonal, logistic.probabilities):
            with pytest.raises(ValueError, match="no class"):
                kernel(residual, codes + 7, weights, 0, 40, found)
            with pytest.raises(ValueError, match="shape"):
                kernel(residual, codes, weights, 0, 41, found)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("intercept", [False, True])
    @pytest.mark.parametrize("n_features", [1, 7, 100, 1000])
    def test_products_with_a_vector(self, n_features, intercept, dtype):
        rng = np.random.default_rng(n_features)
        X = rng.standard_normal((75, n_features)).astype(dtype)
        full = np.column_stack([X, np.ones(75)])[:, : n_features + intercept].astype(float)
        table, values = rng.standard_normal(n_features + intercept), rng.standard_normal(75)
        start, stop, scores, added = 3, 74, np.zeros(75), np.ones_like(table)
        rows = slice(start, stop)
        logistic.dense_vector(X, table, NOTHING, NOTHING, start, stop, scores, NOTHING)
        assert_allclose(scores[rows], full[rows] @ table, rtol=1e-12, atol=1e-12)
        assert not scores[:start].any()
        assert not scores[stop:].any()
        logistic.dense_vector(X, NOTHING, NOTHING, values, start, stop, NOTHING, added)
        assert_allclose(added, 1 + full[rows].T @ values[rows], rtol=1e-12, atol=1e-12)
        again, sums = np.zeros(75), np.zeros_like(table)
        logistic.dense_vector(X, table, values, NOTHING, start, stop, again, sums)
        assert_array_equal(again, scores)
        assert_allclose(sums, full[rows].T @ (values * scores)[rows], rtol=1e-11, atol=1e-11)

    def test_scores_that_are_not_finite_lose(self):
        for n_columns in (1, 3):
            scores = np.full((2, n_columns), np.nan)
            codes = np.zeros(2, np.int32)
            args = np.ones(2), 0, 2, np.empty(n_columns), _NO_TABLE, _NO_TABLE
            assert logistic.evaluate(scores, _NO_TABLE, 0.0, codes, *args) == np.inf

    def test_codes_and_shapes_are_checked(self):
        scores, tail = np.zeros((2, 3)), (np.ones(2), 0, 2, np.empty(3), _NO_TABLE, _NO_TABLE)
        with pytest.raises(ValueError, match="no class"):
            logistic.evaluate(scores, _NO_TABLE, 0.0, np.array([0, 3], np.int32), *tail)
        with pytest.raises(ValueError, match="shape"):
            logistic.evaluate(scores, _NO_TABLE, 0.0, np.array([0], np.int32), *tail)
        X, rows = np.ones((5, 3)), np.ones(5)
        for wrong in [
            (X, np.ones(2), NOTHING, NOTHING, 0, 5, rows, NOTHING),
            (X, np.ones(3), NOTHING, NOTHING, 0, 6, rows, NOTHING),
            (X, np.ones(3), NOTHING, NOTHING, 0, 5, np.ones(4), NOTHING),
            (X, np.ones(3), rows, NOTHING, 0, 5, rows, np.ones(4)),
            (X, NOTHING, rows, NOTHING, 0, 5, NOTHING, np.ones(3)),
            (X[:, :0], np.ones(1), NOTHING, NOTHING, 0, 5, rows, NOTHING),
        ]:
            with pytest.raises(ValueError, match="shape"):
                logistic.dense_vector(*wrong)
        index = np.array([9], np.int32)
        assert not logistic.sparse_vector(
            np.ones(1), index, np.array([0, 1], np.int32), np.ones(3), 0.0, False, 0, 1, np.empty(1)
        )


class TestFit:
    @given(
        seed=st.integers(0, 2**16), n_features=st.integers(1, 12), n_classes=st.integers(2, 5), sparse=st.booleans(),
        intercept=st.booleans(), weighted=st.booleans(), C=st.sampled_from([0.01, 1.0, 100.0]),
        solver=st.sampled_from(SOLVERS),
    )  # fmt: skip
    def test_the_same_minimum_as_scikit_learn(
        self, seed, n_features, n_classes, sparse, intercept, weighted, C, solver
    ):
        X, y = make(seed, 60, n_features, n_classes)
        weights = np.random.default_rng(seed).integers(0, 3, 60).astype(float) if weighted else None
        if weights is not None:
            weights[:n_classes] = 1.0
        X = sp.csr_matrix(X) if sparse else X
        options = {"C": C, "fit_intercept": intercept}
        ours = LogisticRegression(solver=solver, tol=1e-9, **options).fit(X, y, weights)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = theirs.LogisticRegression(tol=1e-10, max_iter=10000, **options).fit(X, y, weights)
        assert objective(ours, X, y, weights) <= objective(expected, X, y, weights) * (1 + 1e-9)
        assert_allclose(ours.coef_, expected.coef_, rtol=2e-3, atol=2e-4)
        assert ours.coef_.shape == expected.coef_.shape
        assert ours.intercept_.shape == expected.intercept_.shape
        assert_allclose(ours.predict_proba(X), expected.predict_proba(X), atol=2e-4)

    @pytest.mark.parametrize("n_classes", [2, 4])
    @pytest.mark.parametrize("solver", [*SOLVERS, "liblinear"])
    def test_never_worse_at_the_same_tol(self, n_classes, solver):
        if solver == "liblinear" and n_classes > 2:
            pytest.skip("liblinear does two classes")
        X, y = make(3, 300, 40, n_classes)
        for C in (0.1, 10.0):
            ours = LogisticRegression(solver=solver, C=C).fit(X, y)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = theirs.LogisticRegression(solver=solver, C=C).fit(X, y)
            extra = [0.5 * m.intercept_[0] ** 2 / C if solver == "liblinear" else 0.0 for m in (ours, expected)]
            assert objective(ours, X, y) + extra[0] <= (objective(expected, X, y) + extra[1]) * (1 + 1e-6)

    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.parametrize("sparse", [False, True])
    @pytest.mark.parametrize(
        "case", ["separable", "scaled", "constant", "duplicates", "zero rows", "zero weights", "wide"]
    )
    @pytest.mark.parametrize("whole", [True, False])
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_hard_cases(self, case, sparse, n_classes, whole, monkeypatch):
        if not whole:
            monkeypatch.setattr(_newton, "_WHOLE", 0)
        X, y = make(5, 80, 400 if case == "wide" else 6, n_classes)
        weights, C = None, 1.0
        if case == "separable":
            X, C = np.column_stack([X, 5 * np.eye(n_classes)[y]]), np.inf
        elif case == "scaled":
            X = X * np.array([1e12, 1e-12, 1, 1e6, 1e-6, 1])
        elif case == "constant":
            X = np.column_stack([X, np.ones((80, 2)), np.zeros(80)])
        elif case == "duplicates":
            X, C = np.column_stack([X, X]), np.inf
        elif case == "zero rows":
            X[10:70] = 0
        elif case == "zero weights":
            weights = np.r_[np.ones(40), np.zeros(40)]
        elif case == "wide":
            C = 1e10
        X = sp.csr_matrix(X) if sparse else X
        model = LogisticRegression(C=C, max_iter=300).fit(X, y, weights)
        assert np.isfinite(model.coef_).all()
        assert np.isfinite(model.intercept_).all()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = theirs.LogisticRegression(C=C, max_iter=300).fit(X, y, weights)
        if case != "scaled":  # on which scikit-learn's is far from any minimum
            assert objective(model, X, y, weights) <= objective(expected, X, y, weights) + 1e-3
        assert np.isfinite(model.predict_log_proba(X)).all()

    @pytest.mark.parametrize("n_classes", [2, 9])
    @pytest.mark.parametrize("sparse", [False, True])
    def test_the_same_bits_for_any_number_of_threads(self, sparse, n_classes):
        X, y = make(0, 3000, 120, n_classes)
        X = sp.csr_matrix(X) if sparse else X
        found = []
        for n_threads in (1, 2, 5):
            with deciban.config_context(n_threads=n_threads):
                model = LogisticRegression(solver="sag").fit(X, y)
                found.append(model.coef_.tobytes() + model.intercept_.tobytes() + model.predict_proba(X).tobytes())
        assert found[0] == found[1] == found[2]

    @pytest.mark.parametrize("n_columns", [1, 3])
    @pytest.mark.parametrize("sparse", [False, True])
    def test_cholesky_and_conjugate_gradients_agree(self, sparse, n_columns, monkeypatch):
        made, table = problem(sparse, n_columns, True)
        whole = minimise(made, table, 1e-10, 100)
        monkeypatch.setattr(_newton, "_WHOLE", 0)
        in_blocks = minimise(made, table, 1e-10, 100)
        monkeypatch.setattr(_blocks, "_FEATURES", 0)
        by_diagonal = minimise(made, table, 1e-10, 100)
        for result in (whole, in_blocks, by_diagonal):
            assert result.converged
            assert_allclose(result.table, whole.table, atol=1e-7)
        assert (in_blocks.table != by_diagonal.table).any()

    @pytest.mark.parametrize("case", ["plain", "collinear", "badly scaled", "few weigh all", "rare", "separable"])
    @pytest.mark.parametrize("worth", [_newton._WORTH, 1])
    def test_a_block_of_some_rows_stands_for_the_hessian(self, case, worth, monkeypatch):
        X, y = make(0, 4000, 6, 2)
        weights, C = np.ones(len(y)), 1.0
        if case == "collinear":
            X = np.column_stack([X, X[:, :2].sum(axis=1) + 1e-6 * X[:, 2]])
            C = 1e4
        elif case == "badly scaled":
            X = X * np.logspace(-4, 4, 6) + 100.0
        elif case == "few weigh all":
            weights[::500] = 1e6
        elif case == "rare":
            y = (X @ np.ones(6) > 5.0).astype(int)
        elif case == "separable":
            y, C = (X[:, 0] > 0.1).astype(int), 1e4
        monkeypatch.setattr(_newton, "_WORTH", worth)
        samples = DenseSamples(X, True)
        l2 = np.append(np.full(X.shape[1], 1.0 / (C * weights.sum())), 0.0)[:, np.newaxis]
        made = Problem(samples, y.astype(np.int32), weights / weights.sum(), l2, 1)
        assert _blocks.stand_for_all(made)
        found = minimise(made, np.zeros(made.shape), 1e-4, 100)
        monkeypatch.setattr(_newton, "stand_for_all", lambda _: False)
        best = minimise(made, np.zeros(made.shape), 1e-9, 100)
        assert found.converged
        assert best.converged
        assert made.value(found.table) <= made.value(best.table) * (1 + 2e-6) + 1e-9

    @pytest.mark.parametrize("sparse", [False, True])
    def test_weak_penalties_with_many_coefficients(self, sparse):
        rng = np.random.default_rng(0)
        X = rng.random((3000, 40)) @ rng.random((40, 40)) * (rng.random((3000, 40)) < 0.7)
        y = np.argmax(X @ rng.standard_normal((40, 6)) + rng.gumbel(size=(3000, 6)), axis=1)
        X = sp.csr_matrix(X) if sparse else X
        model = LogisticRegression(C=1e4, tol=1e-8).fit(X, y)
        assert model.n_iter_[0] < 30
        p = model.predict_proba(X)
        p[np.arange(len(y)), y] -= 1.0
        assert np.abs(X.T @ p / len(y) + model.coef_.T / 1e4 / len(y)).max() <= 1e-8

    def test_stopping_early_is_said(self):
        X, y = make(0, 200, 10, 3)
        with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after 1 iter"):
            model = LogisticRegression(max_iter=1).fit(X, y)
        assert_array_equal(model.n_iter_, [1])

    def test_warm_start(self):
        X, y = make(0, 200, 10, 3)
        model = LogisticRegression(warm_start=True, tol=1e-8).fit(X, y)
        coef = model.coef_.copy()
        model.fit(X, y)
        assert model.n_iter_[0] <= 1
        assert_allclose(model.coef_, coef, atol=1e-6)

    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_dtypes_indices_and_labels(self, n_classes):
        X, y = make(0, 200, 10, n_classes)
        names = np.array(["ant", "bee", "cow"])[y]
        # with "lbfgs", scikit-learn's checks make float64 of it before 1.8
        narrow = LogisticRegression(solver="newton-cg").fit(X.astype(np.float32), names)
        found = narrow.coef_, narrow.intercept_, narrow.predict_proba(X.astype(np.float32))
        assert {array.dtype for array in found} == {np.dtype(np.float32)}
        S = sp.csr_matrix(X)
        expected = LogisticRegression().fit(S, names)
        S.indices, S.indptr = S.indices.astype(np.int64), S.indptr.astype(np.int64)
        wide = LogisticRegression().fit(S, names)
        assert_array_equal(wide.coef_, expected.coef_)
        assert_allclose(narrow.coef_, wide.coef_, atol=1e-4)
        assert set(wide.predict(S)) <= set(names)
        assert wide.coef_.T.flags.c_contiguous

    def test_class_weight_is_sample_weight(self):
        X, y = make(0, 200, 5, 2)
        of_class = {0: 1.0, 1: 3.0}
        a = LogisticRegression(class_weight=of_class, tol=1e-9).fit(X, y)
        b = LogisticRegression(tol=1e-9).fit(X, y, np.where(y == 1, 3.0, 1.0))
        assert_allclose(a.coef_, b.coef_, rtol=1e-9)

    def test_a_failed_fit_changes_nothing(self):
        X, y = make(0, 50, 4, 2)
        model = LogisticRegression().fit(X, y)
        before = dict(vars(model))
        with pytest.raises(ValueError, match="at least 2 classes"):
            model.fit(X[:, :2], np.zeros(50))
        assert vars(model).keys() == before.keys()
        assert all(vars(model)[name] is value for name, value in before.items())

    def test_malformed_csr(self):
        X, y = make(0, 50, 4, 2)
        S = sp.csr_matrix(X)
        model = LogisticRegression().fit(S, y)
        S.indices[3] = 99
        with pytest.raises(ValueError, match="out of range"):
            LogisticRegression().fit(S, y)
        with pytest.raises(ValueError, match="out of range"):
            model.predict(S)

    @pytest.mark.parametrize("reason", ["dual", "negative weights"])
    def test_falls_back_and_says_so(self, reason, caplog):
        X, y = make(0, 50, 4, 2)
        weights = -np.ones(50) if reason == "negative weights" else None
        options = {"solver": "liblinear", "dual": True} if reason == "dual" else {}
        with caplog.at_level(logging.INFO, "deciban"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            LogisticRegression(**options).fit(X, y, weights)
        assert "runs scikit-learn's code" in caplog.text
        caplog.clear()
        with caplog.at_level(logging.INFO, "deciban"):
            LogisticRegression().fit(X, y).predict_proba(X)
        assert not caplog.text

    def test_liblinear_falls_back_for_several_classes_and_says_so(self, caplog):
        X, y = make(0, 60, 4, 3)
        options = 1.0, True, 1.0, None, "l2", False, 0, 100, 1e-4  # as its fit calls it until scikit-learn 1.8
        with caplog.at_level(logging.INFO, "deciban"):
            coef, intercept, _ = _logistic._liblinear(
                X, y, *options, np.random.RandomState(0)
            )  # until scikit-learn 1.8
        assert coef.shape == (3, 4)
        assert np.shape(intercept) == (3,)
        assert "runs scikit-learn's code" in caplog.text
        with deciban.config_context(fallback="error"), pytest.raises(deciban.FallbackError, match="more than two"):
            _logistic._liblinear(X, y, *options)


class Recorder:
    """A callback of scikit-learn's that keeps the models it is shown."""

    def __init__(self):
        self.begun, self.ended, self.metadata = [], [], []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, _estimator, context, *, metadata, fitted_estimator):
        self.metadata.append(metadata)
        if context.parent is not None:
            self.begun.append(fitted_estimator)

    def on_fit_task_end(self, _estimator, context, *, fitted_estimator):
        if context.parent is not None:
            self.ended.append(fitted_estimator)


@pytest.mark.skipif(not hasattr(LogisticRegression, "set_callbacks"), reason="callbacks came with scikit-learn 1.9")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
class TestCallbacks:
    @pytest.mark.parametrize("fit_intercept", [False, True])
    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.parametrize("kind", ["whole", "ascent", "float32"])
    def test_hear_of_every_iteration(self, kind, n_classes, fit_intercept):
        X, y = make(0, 300, 400 if kind == "ascent" else 6, n_classes)
        X = sp.csr_matrix(X) if kind == "ascent" else X.astype(np.float32 if kind == "float32" else np.float64)
        options, weights, recorder = {"fit_intercept": fit_intercept, "C": 0.5}, np.linspace(1.0, 2.0, 300), Recorder()
        with deciban.config_context(fallback="error"):
            model = LogisticRegression(**options).set_callbacks(recorder).fit(X, y, weights)
        n_iter = model.n_iter_[0]
        assert n_iter > 1
        assert len(recorder.begun) == len(recorder.ended) == n_iter + 1
        assert all(seen["sample_weight"] is not None for seen in recorder.metadata)
        # from the ninth epoch on, the ascent goes another way if it will not be done within max_iter
        for i, found in enumerate(recorder.ended[: 8 if kind == "ascent" else -1], 1):
            short = LogisticRegression(**options, max_iter=i).fit(X, y, weights)
            for shown in (found, recorder.begun[i]):
                assert shown.coef_.dtype == short.coef_.dtype
                assert_allclose(shown.coef_, short.coef_, rtol=1e-12)
                assert_allclose(shown.intercept_, short.intercept_, rtol=1e-12)
            assert_array_equal(found.predict(X), short.predict(X))
        assert_array_equal(recorder.begun[0].coef_, np.zeros_like(model.coef_))
        assert_array_equal(recorder.ended[-2].coef_, model.coef_)
        assert recorder.ended[-1] is None

    def test_hear_of_one_iteration_where_there_is_none(self):
        X, y = make(0, 50, 4, 2)
        recorder = Recorder()
        model = LogisticRegression(max_iter=0).set_callbacks(recorder).fit(X, y)
        assert len(recorder.begun) == len(recorder.ended) == 2
        assert_array_equal(recorder.ended[0].coef_, model.coef_)

    def test_of_other_solvers_hear_of_the_fit_alone(self):
        X, y = make(0, 50, 4, 2)
        recorder = Recorder()
        with pytest.warns(UserWarning, match="Callbacks are only supported"):
            model = LogisticRegression(solver="newton-cg").set_callbacks(recorder)
        model.fit(X, y)
        assert len(recorder.metadata) == 1
        assert not recorder.begun


class TestSingularHessian:
    """scikit-learn warns where Cholesky's factors fail it, and goes on as "lbfgs" with an iteration less."""

    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.parametrize("case", ["wide", "collinear", "constant", "zero", "sparse", "plain", "penalised", "large"])
    def test_is_said_where_scikit_learn_says_it(self, case, n_classes):
        X, y = make(1, 60, 6, n_classes)
        options = {"C": 1e30}
        if case == "wide":
            X = np.hstack([X] + [make(seed, 60, 20, 2)[0] for seed in range(4)])
        elif case in ("collinear", "penalised"):
            X = np.column_stack([X, X[:, 0] - X[:, 1]])
        elif case == "constant":
            X = np.column_stack([X, np.ones(60)])
        elif case == "zero":
            X = np.column_stack([X, np.zeros(60)])
        elif case == "sparse":
            X = sp.csr_matrix(np.column_stack([X, X[:, 2]]))
        elif case == "large":
            X = 1e8 * X
        if case == "penalised":
            options = {"C": 1.0}
        warned = []
        for cls in (theirs.LogisticRegression, LogisticRegression):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                cls(solver="newton-cholesky", tol=1e-2, **options).fit(X, y)
            warned.append(any(issubclass(warning.category, LinAlgWarning) for warning in caught))
        assert warned[1] == warned[0] == (n_classes > 2 if case == "plain" else case != "penalised")

    def test_costs_an_iteration(self):
        X, y = make(1, 10, 20, 2)
        n_iter = LogisticRegression(C=1e30).fit(X, y).n_iter_[0]
        with pytest.warns(LinAlgWarning, match="singular"):
            assert LogisticRegression(C=1e30, solver="newton-cholesky").fit(X, y).n_iter_[0] == n_iter
        few = LogisticRegression(C=1e30, solver="newton-cholesky", max_iter=n_iter)
        with pytest.warns(LinAlgWarning, match="singular"), pytest.warns(ConvergenceWarning, match="lbfgs failed"):
            assert few.fit(X, y).n_iter_[0] == n_iter - 1


@pytest.mark.skipif(not _logistic._HAS_MULTI_CLASS, reason="a parameter until scikit-learn 1.8")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("n_classes", [2, 3])
def test_multi_class(n_classes, caplog):
    X, y = make(0, 120, 5, n_classes)
    for multi_class in ("auto", "ovr", "multinomial"):
        options = {"multi_class": multi_class, "tol": 1e-8}
        caplog.clear()
        with caplog.at_level(logging.INFO, "deciban"):
            ours = LogisticRegression(**options).fit(X, y)
        assert bool(caplog.text) == (multi_class == "multinomial" and n_classes == 2)
        expected = theirs.LogisticRegression(**options).fit(X, y)
        assert_allclose(ours.coef_, expected.coef_, rtol=1e-4, atol=1e-5)
        for rows in (X, X[:1]):
            assert_allclose(ours.predict_proba(rows), expected.predict_proba(rows), rtol=1e-4, atol=1e-5)
            assert_array_equal(ours.predict(rows), expected.predict(rows))


class TestPredictions:
    @pytest.mark.parametrize("n_classes", [2, 4])
    @pytest.mark.parametrize("sparse", [False, True])
    def test_as_scikit_learns(self, sparse, n_classes):
        X, y = make(0, 200, 10, n_classes)
        X = sp.csr_matrix(X) if sparse else X
        ours = LogisticRegression().fit(X, y)
        expected = ours.to_sklearn()
        assert type(expected) is theirs.LogisticRegression
        for method in ("decision_function", "predict", "predict_proba", "predict_log_proba"):
            for rows in (X, X[:1]):
                got, wanted = getattr(ours, method)(rows), getattr(expected, method)(rows)
                assert got.shape == wanted.shape
                assert_allclose(got, wanted, rtol=1e-10, atol=1e-12)
        back = LogisticRegression.from_sklearn(expected)
        assert_array_equal(back.predict(X), ours.predict(X))

    def test_a_subclass_rules(self):
        class Turned(LogisticRegression):
            def decision_function(self, X):
                return -super().decision_function(X)

        X, y = make(0, 200, 10, 2)
        turned, plain = Turned().fit(X, y), LogisticRegression().fit(X, y)
        assert_array_equal(turned.predict(X), 1 - plain.predict(X))
        assert_allclose(turned.predict_proba(X)[:, 0], plain.predict_proba(X)[:, 1])

    def test_attributes_of_a_wrong_shape(self):
        X, y = make(0, 50, 4, 3)
        model = LogisticRegression().fit(X, y)
        model.coef_ = model.coef_[:2]
        with pytest.raises(ValueError, match="coef_ must have shape"):
            model.predict(sp.csr_matrix(X))


class TestInPrograms:
    def test_pickle_clone_pipeline_and_grid(self):
        X, y = make(0, 120, 6, 3)
        model = LogisticRegression(C=3.0).fit(X, y)
        assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), model.predict_proba(X))
        assert clone(model).get_params() == model.get_params()
        search = GridSearchCV(
            make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1.0]}, cv=3
        ).fit(X, y)
        assert search.score(X, y) > 0.5

    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.parametrize("n_jobs", [None, 2])
    @pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
    def test_cross_validation(self, n_classes, n_jobs):
        X, y = make(0, 150, 6, n_classes)
        ours = LogisticRegressionCV(Cs=4, cv=3, tol=1e-8, n_jobs=n_jobs).fit(X, y)
        expected = theirs.LogisticRegressionCV(Cs=4, cv=3, tol=1e-8, max_iter=1000).fit(X, y)
        assert_allclose(ours.C_, expected.C_)
        assert_allclose(ours.coef_, expected.coef_, atol=1e-4)
        for label, path in expected.coefs_paths_.items():
            assert_allclose(ours.coefs_paths_[label], path, atol=2e-3)
        assert_allclose(ours.predict_proba(X), expected.predict_proba(X), atol=1e-4)
