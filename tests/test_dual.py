"""Dual coordinate ascent: the best step for a sample, the same minimum as Newton's method, and a gap that is true."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.linear_model
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import brentq
from scipy.special import expit, logsumexp, softmax, wrightomega

import deciban
from deciban._kernels import dual
from deciban.linear_model import LogisticRegression
from deciban.linear_model._dual import Ascent, ascend, suits
from deciban.linear_model._newton import Problem, minimise
from deciban.linear_model._samples import DenseSamples, SparseSamples

N_CLASSES = [2, 3, 8, 20, 33]


def make(seed, n_rows, n_features, n_classes, density=0.1, dtype=np.float64):
    rng = np.random.default_rng(seed)
    X = sp.random(n_rows, n_features, density, "csr", dtype, rng, data_rvs=rng.standard_normal)
    y = rng.integers(0, n_classes, n_rows)
    y[:n_classes] = np.arange(n_classes)
    return X, y.astype(np.int32)


def problem(X, y, n_classes, C=1.0, intercept=False, intercept_penalty=0.0, weights=None):
    weights = np.ones(len(y)) if weights is None else weights
    samples = SparseSamples(X, intercept) if sp.issparse(X) else DenseSamples(X, intercept)
    strength = 1.0 / (C * weights.sum())
    penalty = np.full((X.shape[1] + intercept, 1), strength)
    if intercept:
        penalty[-1] = intercept_penalty * strength
    return Problem(samples, y, weights / weights.sum(), penalty, n_classes if n_classes > 2 else 1)


def one_step(X, code, cost, W, offset, alpha):
    """The kernel's step for the only row of X; W, offset and alpha as the kernel leaves them."""
    n_classes = len(offset)
    squares = np.array([float(X.multiply(X).sum())])
    parts = X.data, X.indices, X.indptr
    arguments = squares, np.array([code], np.int32), np.array([cost]), np.zeros(1, np.int32), 0.0
    sums = np.zeros(4)
    width = 1 if n_classes == 1 else -(-n_classes // dual.LANES) * dual.LANES
    table, shift, p = np.zeros((len(W), width)), np.full(width, dual.NEVER), np.zeros((1, width))
    table[:, :n_classes], shift[:n_classes], p[0, :n_classes] = W, offset, alpha
    assert dual.epoch(*parts, *arguments, table, shift, p, sums)
    assert not table[:, n_classes:].any()
    assert not p[:, n_classes:].any()
    return table[:, :n_classes], p[0, :n_classes], sums


class TestStep:
    @given(
        n_classes=st.sampled_from([1, 2, 3, 7, 20]),
        seed=st.integers(0, 10**6),
        log_cost=st.floats(-6, 8),
        spread=st.sampled_from([0.1, 1.0, 30.0]),
        corner=st.booleans(),
    )
    def test_is_the_best_for_the_sample(self, n_classes, seed, log_cost, spread, corner):
        rng = np.random.default_rng(seed)
        X = sp.csr_matrix(rng.standard_normal((1, 40)) * (rng.random(40) < 0.9))
        W, offset = spread * rng.standard_normal((40, n_classes)) / 6, rng.standard_normal(n_classes)
        cost, code = 10.0**log_cost, int(rng.integers(0, max(2, n_classes)))
        if n_classes == 1:
            alpha = np.array([float(code) if corner else rng.random()])
        else:
            alpha = np.eye(n_classes)[code] if corner else softmax(spread * rng.standard_normal(n_classes))
        z = (X @ W)[0] + offset
        c = cost * float(X.multiply(X).sum())
        after, p, sums = one_step(X, code, cost, W, offset, alpha)
        # log p + c p = z + c alpha + nu, so that c p is the Wright omega function of the right side plus log c
        if n_classes == 1:
            wanted = float(z[0] + c * alpha[0])
            u = brentq(lambda u: u + c * expit(u) - wanted, wanted - c - 1, wanted + 1)
            assert_allclose(p, expit(u), atol=1e-3)
            loss = np.logaddexp(0, z[0]) - code * z[0]
        else:
            wanted = z + c * alpha + np.log(c)
            nu = brentq(lambda nu: wrightomega(wanted + nu).sum() / c - 1, -wanted.max() - 50, c + 50 - wanted.min())
            # one step of Newton's method that moves less than a tenth ends the kernel's search
            assert_allclose(p, wrightomega(wanted + nu) / c, atol=0.05)
            assert_allclose(p.sum(), 1, rtol=1e-12)
            loss = logsumexp(z) - z[code]
        assert_allclose(after, W + cost * X.T @ (alpha - p)[np.newaxis], rtol=1e-9, atol=1e-9 * cost)
        assert_allclose(sums[0], cost * loss, rtol=1e-9, atol=1e-12 * cost)
        assert_allclose(sums[3], (after**2).sum() - (W**2).sum(), rtol=1e-6, atol=1e-9 * (1 + (after**2).sum()))

    @pytest.mark.parametrize("n_classes", [1, 5])
    def test_steps_on_one_sample_end_at_its_probability(self, n_classes):
        X = sp.csr_matrix(np.array([[0.5, 0.0, -2.0]]))
        W, offset = np.zeros((3, n_classes)), np.zeros(n_classes)
        alpha = np.eye(max(2, n_classes))[1][-n_classes:] if n_classes > 1 else np.ones(1)
        for _ in range(30):
            W, alpha, _ = one_step(X, 1, 3.0, W, offset, alpha)
        z = (X @ W)[0]
        assert_allclose(alpha, expit(z) if n_classes == 1 else softmax(z), rtol=1e-9)

    def test_shapes_and_rows_are_checked(self):
        X, y = make(0, 6, 5, 3)
        parts = X.data, X.indices, X.indptr
        good = [np.ones(6), y, np.ones(6), np.arange(6, dtype=np.int32), 0.0]
        state = [np.zeros((5, 8)), np.zeros(8), np.zeros((6, 8)), np.zeros(4)]
        for i, bad in [(0, np.ones(5)), (1, y[:5]), (1, y + 8), (2, np.ones(7)), (3, np.array([6], np.int32))]:
            with pytest.raises(ValueError, match=r"agree in shape|no class|not there"):
                dual.epoch(*parts, *good[:i], bad, *good[i + 1 :], *state)
        for i, bad in [(0, np.zeros((5, 7))), (1, np.zeros(7)), (2, np.zeros((7, 8))), (3, np.zeros(3))]:
            with pytest.raises(ValueError, match="agree in shape"):
                dual.epoch(*parts, *good, *state[:i], bad, *state[i + 1 :])

    @pytest.mark.parametrize(("kernel", "n_columns"), [("epoch", 1), ("epoch", 8), ("add_rows", 3)])
    @pytest.mark.parametrize("where", ["indices", "indptr"])
    def test_nothing_is_read_or_written_out_of_range(self, kernel, n_columns, where):
        X, y = make(0, 6, 5, 2, density=0.9)
        parts = {"data": X.data, "indices": X.indices.copy(), "indptr": X.indptr.copy()}
        parts[where][3] = 10**6 if where == "indices" else -1
        rows = np.ones(6), y, np.ones(6), np.arange(6, dtype=np.int32), 0.0
        table = np.zeros((5, n_columns))
        if kernel == "epoch":
            state = table, np.zeros(n_columns), np.zeros((6, n_columns)), np.zeros(4)
            found = dual.epoch(*parts.values(), *rows, *state)
        else:
            found = dual.add_rows(*parts.values(), np.ones((6, n_columns)), n_columns, table)
        assert found is False

    @pytest.mark.parametrize("n_columns", [1, 3, 8, 16, 20, 24, 33])
    def test_add_rows(self, n_columns):
        X, _ = make(1, 30, 70, 2)
        values = np.random.default_rng(0).standard_normal((30, n_columns))
        out = np.ones((70, n_columns))
        assert dual.add_rows(X.data, X.indices, X.indptr, values, n_columns, out)
        assert_allclose(out, 1 + X.T @ values, rtol=1e-12, atol=1e-12)


class TestAscent:
    @pytest.mark.parametrize("n_classes", N_CLASSES)
    @pytest.mark.parametrize("intercept", ["none", "free", "penalised"])
    @pytest.mark.parametrize("dense", [False, True])
    def test_the_minimum_of_newtons_method(self, n_classes, intercept, dense):
        if dense and n_classes == 2:
            pytest.skip("two classes of dense samples are left to Newton's method")
        X, y = make(3, 150, 400, n_classes)
        rng = np.random.default_rng(1)
        weights = rng.random(150) * (rng.random(150) < 0.9)
        X = X.toarray() if dense else X
        made = problem(X, y, n_classes, 2.0, intercept != "none", float(intercept == "penalised"), weights)
        assert suits(made)
        start = np.zeros(made.shape)
        expected = minimise(made, start, 1e-10, 500).table
        for table in (start, expected + 0.01):
            found = ascend(made, table, 1e-6, 500)
            assert found.converged
            least = made.value(expected)
            assert -1e-12 <= made.value(found.table) - least <= 1e-8 * least + 1e-13

    @pytest.mark.parametrize("n_classes", [2, 5])
    @pytest.mark.parametrize("intercept", ["none", "penalised"])
    def test_the_bound_is_below_the_minimum_and_meets_it(self, n_classes, intercept):
        X, y = make(4, 120, 500, n_classes)
        made = problem(X, y, n_classes, 3.0, intercept != "none", 0.5)
        least = made.value(minimise(made, np.zeros(made.shape), 1e-10, 500).table)
        ascent = Ascent(made, np.zeros(made.shape))
        rng = np.random.default_rng(0)
        gaps = []
        for _ in range(100):
            ascent.run(rng.permutation(120).astype(np.int32))
            value, bound = ascent.measure(), ascent.bound()
            assert_allclose(value, made.value(ascent.table()), rtol=1e-10)
            made.loss(made.samples.scores(ascent.table()), np.empty((0, 1)), 0.0, derivatives=True)
            steepest = np.abs(made.gradient(ascent.table())).max()
            if steepest > 1e-9:
                for tol, gap in ((0.99 * steepest, value - bound), (1.01 * steepest, np.inf)):
                    ascent.measure()
                    assert ascent.flat(gap, tol) == (tol > steepest)
            assert bound <= least * (1 + 1e-12)
            assert value >= least * (1 - 1e-12)
            gaps.append(value - bound)
        assert gaps[-1] < 1e-6 * least < gaps[0]

    @pytest.mark.parametrize("n_classes", [2, 3, 20])
    def test_the_same_bits_for_any_number_of_threads(self, n_classes):
        X, y = make(5, 300, 800, n_classes)
        found = []
        for n_threads in (1, 2, 5):
            with deciban.config_context(n_threads=n_threads):
                found.append(LogisticRegression().fit(X, y))
        for other in found[1:]:
            assert_array_equal(other.coef_, found[0].coef_)
            assert_array_equal(other.intercept_, found[0].intercept_)

    def test_the_same_bits_on_every_tier(self):
        code = (
            "import numpy as np, scipy.sparse as sp; from deciban.linear_model import LogisticRegression\n"
            "X = sp.random(200, 500, 0.1, 'csr', random_state=0); y = np.arange(200) % 13\n"
            "for t in (y, y % 2, y % 3):\n"
            "    for A in (X, X.toarray()):\n"
            "        print(LogisticRegression(fit_intercept=False).fit(A[:, :499], t).coef_.tobytes().hex()[:20000]"
            " if A is X else LogisticRegression().fit(A, t).n_iter_)\n"
        )
        answers = {
            subprocess.run(
                [sys.executable, "-c", code], env={**os.environ, "DECIBAN_CPU": tier}, capture_output=True, check=True
            ).stdout
            for tier in ("baseline", "v3", "v4")
        }
        assert len(answers) == 1

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("index", [np.int32, np.int64])
    def test_dtypes(self, dtype, index):
        X, y = make(6, 200, 600, 4, dtype=dtype)
        expected = LogisticRegression(tol=1e-8).fit(X.astype(np.float64), y)
        X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
        found = LogisticRegression(tol=1e-8).fit(X, y)
        # some versions of scikit-learn make the samples of its default solver double
        assert found.coef_.dtype == sklearn.linear_model.LogisticRegression(tol=1.0).fit(X, y).coef_.dtype
        assert_allclose(found.coef_, expected.coef_, atol=1e-4)
        found = LogisticRegression(tol=1e-8).fit(X.toarray(), y)
        assert_allclose(found.coef_, expected.coef_, atol=1e-4)

    @pytest.mark.parametrize("n_classes", [2, 4])
    @pytest.mark.parametrize(
        "case", ["separable", "constant column", "duplicates", "scales", "empty rows", "no weight", "huge C", "tiny C"]
    )
    def test_hard_cases(self, case, n_classes):
        rng = np.random.default_rng(7)
        X, y = make(7, 120, 400, n_classes)
        X, C, weights = X.tolil(), 1.0, None
        if case == "separable":
            for k in range(n_classes):
                X[y == k, k] = 50.0
        elif case == "constant column":
            X[:, 3] = 1.0
        elif case == "duplicates":
            X[:, 200:] = X[:, :200]
        elif case == "scales":
            X[:, 0], X[:, 1] = X[:, 0] * 1e12, X[:, 1] * 1e-12
        elif case == "empty rows":
            X[::3] = 0.0
        elif case == "no weight":
            weights = (rng.random(120) < 0.5).astype(float)
        else:
            C = {"huge C": 1e8, "tiny C": 1e-8}[case]
        X = X.tocsr()
        model = LogisticRegression(C=C, max_iter=2000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that huge C or scales take longer
            model.fit(X, y, sample_weight=weights)
        assert np.isfinite(model.coef_).all()
        assert np.isfinite(model.intercept_).all()
        made = problem(X, y, n_classes, C, True, weights=weights)
        table = np.vstack([model.coef_.T, model.intercept_])
        reached = made.value(table)
        newton = minimise(made, np.zeros(made.shape), 1e-6, 2000).table
        assert reached <= made.value(newton) * (1 + 1e-5) + 1e-7
