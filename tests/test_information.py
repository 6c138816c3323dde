"""Measures of information against SciPy, scikit-learn, mpmath and plain NumPy, on dense rows, CSR rows and models."""

import itertools
import tracemalloc

import mpmath
import numpy as np
import pytest
import scipy.sparse as sp
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import jensenshannon
from scipy.special import entr, rel_entr, xlogy
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest, mutual_info_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, mutual_info_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KernelDensity
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import deciban
from deciban import information, special
from deciban._kernels import csr
from deciban.generative import GAN
from deciban.information import (
    bayes_posterior,
    conditional_probability,
    cross_entropy,
    entropy,
    information_gain,
    js_divergence,
    kl_divergence,
    log_likelihood,
    mutual_information,
    pairwise_js,
    pairwise_kl,
    perplexity,
    pointwise_mutual_information,
)

DTYPES = [np.float32, np.float64, np.int32, np.int64, np.uint8]
UNITS = {"e": 1.0, 2: np.log(2), 10: np.log(10), "deciban": np.log(10) / 10, 3.5: np.log(3.5)}


def terms_of(name, p, q):
    """The terms of a measure, in float64, outcomes last."""
    if name == "entropy":
        return entr(p)
    if name == "cross_entropy":
        return -xlogy(p, q)
    if name == "kl_divergence":
        return rel_entr(p, q)
    middle = (p + q) / 2
    return (rel_entr(p, middle) + rel_entr(q, middle)) / 2


def measure(name, p, q, **options):
    """deciban's own answer: entropy has no q."""
    function = getattr(information, name)
    return function(p, **options) if name == "entropy" else function(p, q, **options)


def expected(name, p, q, normalize=False, axis=-1, weights=1.0):
    """Return the measure in nats, and what its rounding errors are proportional to."""
    p, q = (np.moveaxis(np.asarray(x, dtype=np.float64), axis, -1) for x in (p, q))
    with np.errstate(all="ignore"):
        if normalize:
            p, q = p / p.sum(axis=-1, keepdims=True), q / q.sum(axis=-1, keepdims=True)
        terms = terms_of(name, p, q) * weights
        # the terms of the Jensen-Shannon divergence cancel: what they are made of does not
        scale = (np.abs(terms) + p + q).sum(axis=-1)
        return terms.sum(axis=-1), scale


def assert_near(got, want, scale=1.0, dtype=np.float64):
    """Compare with an error of rounding; what is not finite must be the same."""
    got, want, scale = np.broadcast_arrays(np.asarray(got, dtype=np.float64), want, scale)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite])
    error = np.abs(got[finite] - want[finite])
    allowed = (4e-6 if dtype == np.float32 else 1e-13) * (np.abs(want) + scale)[finite] + 1e-300
    assert (error <= allowed).all(), (got, want)


def sparse_forms(D):
    """Every way to store a matrix: containers, sorted or not, with duplicates, wide indices, read-only."""
    D = np.asarray(D, dtype=np.float64)
    X = sp.csr_matrix(D)
    yield X
    yield sp.csr_array(D)
    yield sp.csc_matrix(D)
    yield sp.coo_array(D)
    reversed_rows = sp.csr_matrix(D.shape)
    order = np.concatenate([np.arange(b - 1, a - 1, -1) for a, b in zip(X.indptr, X.indptr[1:], strict=False)] or [[]])
    order = order.astype(np.intp)
    reversed_rows.data, reversed_rows.indices, reversed_rows.indptr = X.data[order], X.indices[order], X.indptr
    yield reversed_rows
    twice = sp.csr_array(D.shape)  # every entry as a quarter and three quarters of itself
    twice.data = np.stack([X.data / 4, X.data * 0.75], axis=1).ravel()
    twice.indices, twice.indptr = np.repeat(X.indices, 2), 2 * X.indptr
    yield twice
    wide = sp.csr_matrix(D.shape)
    wide.data, wide.indices, wide.indptr = X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)
    yield wide
    frozen = X.copy()
    for part in (frozen.data, frozen.indices, frozen.indptr):
        part.flags.writeable = False
    yield frozen


def malformed(indices, indptr, shape=(2, 3)):
    X = sp.csr_matrix(shape)
    X.data, X.indices, X.indptr = np.ones(len(indices)), np.array(indices), np.array(indptr)
    return X


NAMES = ["entropy", "cross_entropy", "kl_divergence", "js_divergence"]
names = st.sampled_from(NAMES)
counts_or_zero = st.one_of(
    st.just(0.0), st.integers(1, 200).map(float), st.floats(2**-20, 1e3, width=32), st.just(np.nan)
)


@st.composite
def dense_pairs(draw):
    """p, q that broadcasts against it, and the axis of the outcomes, of which there is at least one."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    elements = counts_or_zero.map(dtype.type) if dtype.kind == "f" else st.integers(0, 9)
    n_dims = draw(st.integers(1, 3))
    axis = draw(st.sampled_from([-1, 0] if n_dims == 1 else [-1, 0, 1, -2]))
    shape = [draw(st.integers(0, 4)) for _ in range(n_dims)]
    shape[axis] = draw(st.integers(1, 40))
    q_shape = shape
    if n_dims > 1 and draw(st.booleans()):  # one q for all
        q_shape = [1] * n_dims
        q_shape[axis] = shape[axis]
    if axis in (-1, 0) and draw(st.booleans()):
        q_shape = [shape[axis]]
    p = draw(hnp.arrays(dtype, tuple(shape), elements=elements))
    q = draw(hnp.arrays(dtype, tuple(q_shape), elements=elements))
    return p, q, axis


@given(names, dense_pairs(), st.booleans(), st.sampled_from(list(UNITS)))
def test_dense_rows(name, pair, normalize, base):
    p, q, axis = pair
    kept = p.copy(), q.copy()
    got = measure(name, p, q, normalize=normalize, axis=axis, base=base)
    want, scale = expected(name, p, p if name == "entropy" else q, normalize, axis)
    assert np.shape(got) == want.shape
    assert got.dtype == (np.float32 if p.dtype == np.float32 else np.float64)
    assert_near(got, want / UNITS[base], scale / UNITS[base], p.dtype)
    np.testing.assert_array_equal(p, kept[0])
    np.testing.assert_array_equal(q, kept[1])


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 15, 16, 17, 63, 64, 65, 4095, 4096, 4097, 10_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lengths_around_those_of_registers_and_pieces(n, dtype):
    rng = np.random.default_rng(n)
    p, q = rng.gamma(0.3, size=(2, 3, n)).astype(dtype) + dtype(1e-20)
    for name in NAMES:
        # float32 adds thousands of terms in float32: a few times the error of a short row
        want, scale = expected(name, p, p if name == "entropy" else q, normalize=True)
        assert_near(measure(name, p, q, normalize=True), want, scale * (4 if n > 1000 else 1), dtype)


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 8)), elements=st.floats(1e-3, 1e3)),
    st.sampled_from([2, 10, 7.5]),
)
def test_as_scipys(p, base):
    q = p[::-1, ::-1]
    np.testing.assert_allclose(
        entropy(p, normalize=True, base=base), scipy.stats.entropy(p, base=base, axis=1), atol=1e-13
    )
    np.testing.assert_allclose(
        kl_divergence(p, q, normalize=True, base=base), scipy.stats.entropy(p, q, base=base, axis=1), atol=1e-13
    )
    with np.errstate(invalid="ignore"):  # SciPy takes the root of what rounding may have made negative
        distance = jensenshannon(p, q, base=base, axis=1)
    np.testing.assert_allclose(js_divergence(p, q, normalize=True, base=base), np.nan_to_num(distance) ** 2, atol=1e-13)
    np.testing.assert_allclose(perplexity(p, normalize=True), np.exp(scipy.stats.entropy(p, axis=1)), rtol=1e-12)


def exact(name, p, q):
    with mpmath.workdps(60):
        p, q = [mpmath.mpf(float(x)) for x in p], [mpmath.mpf(float(x)) for x in q]
        pairs = list(zip(p, q, strict=True))

        def relative(x, y):
            return x * mpmath.log(x / y) if x else mpmath.mpf(0)

        if name == "entropy":
            return float(-mpmath.fsum(relative(x, mpmath.mpf(1)) for x in p))
        if name == "cross_entropy":
            return float(-mpmath.fsum(x * mpmath.log(y) for x, y in pairs if x))
        if name == "kl_divergence":
            return float(mpmath.fsum(relative(x, y) for x, y in pairs))
        return float(mpmath.fsum(relative(x, (x + y) / 2) + relative(y, (x + y) / 2) for x, y in pairs) / 2)


TINY = np.array([1e-300, 1e-200, 1e-100, 1e-30, 1.0])
EXACT = (
    [(name, [1 - 2.0**-k, 2.0**-k], [0.5, 0.5]) for k in (1, 10, 30, 52) for name in NAMES]
    + [(name, TINY, TINY[::-1]) for name in NAMES]
    + [("entropy", [0.0, 1e-308, 1e-12], [1.0, 1.0, 1.0])]
)


@pytest.mark.parametrize(("name", "p", "q"), EXACT)
def test_hard_cases_exactly(name, p, q):
    want = exact(name, p, q)
    scale = 0.0 if name == "entropy" else 1.0
    assert_near(measure(name, np.array(p), np.array(q)), want, scale)


@pytest.mark.parametrize("step", [2.0**-20, 2.0**-30, 2.0**-40])
def test_divergence_of_neighbours_has_its_digits(step):
    """What is left of terms that cancel: p and q are exact in binary, and their sums are the same."""
    rng = np.random.default_rng(0)
    p = rng.integers(2**18, 2**20, 64) / 2.0**26
    q = p + np.where(np.arange(64) < 32, 1, -1) * p.min() * step
    want = exact("kl_divergence", p, q)
    assert want > 0
    # each term is about p * step, within 2 units of its last place without fused multiply-add
    assert abs(kl_divergence(p, q) - want) < 64 * 2.0**-52 * np.abs(rel_entr(p, q)).max()


@pytest.mark.parametrize("weights", [[1, 1, 1], [0.5, 2, 0], [3, 0, 1]])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("normalize", [False, True])
def test_weights_of_outcomes(name, weights, normalize):
    p = np.array([[1, 2, 3], [4, 0, 1.0]])
    q = np.array([2, 3, 5.0])
    want, _ = expected(name, p, p if name == "entropy" else q, normalize, weights=np.array(weights))
    np.testing.assert_allclose(measure(name, p, q, normalize=normalize, weights=weights), want, rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [5, 40, 5000])  # shorter than vectors, longer, more than is taken at a time
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_weights_of_rows_dense_and_sparse(name, normalize, n, dtype):
    rng = np.random.default_rng(n)
    p, q = (rng.integers(0, 4, (6, n)).astype(dtype) + dtype(0.25) * (rng.random((6, n)) < 0.5) for _ in range(2))
    q += dtype(0.5) * (p > 0)  # an infinite term would be NaN in the reference, where its weight is 0
    w = rng.integers(0, 3, n).astype(float)
    want, scale = expected(name, p, p if name == "entropy" else q, normalize, weights=w)
    close = 1e-5 if dtype is np.float32 else 1e-13
    for P, Q in ((p, q), (sp.csr_array(p), sp.csr_matrix(q)), (sp.csc_array(p), q), (p, sp.coo_array(q))):
        got = measure(name, P, Q, normalize=normalize, weights=w)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, rtol=close, atol=close * np.where(np.isfinite(scale), scale, 0).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_weights_of_short_rows_many_and_few(name, normalize, dtype):
    rng = np.random.default_rng(0)
    p, q = (rng.random((5000, 7)).astype(dtype) + dtype(0.01) for _ in range(2))
    p[3, 2] = 0.0
    w = np.array([1.0, 0.5, -2.0, 1e-3, 0.0, 0.0, 3.0])
    want, _ = expected(name, p, p if name == "entropy" else q, normalize, weights=w)
    tolerance = 1e-5 if dtype is np.float32 else 1e-13
    for axis in (-1, 1):
        many, few = (measure(name, p[:n], q[:n], normalize=normalize, weights=w, axis=axis) for n in (5000, 10))
        assert many.dtype == few.dtype == dtype
        np.testing.assert_allclose(many, want, rtol=tolerance, atol=4 * tolerance)
        np.testing.assert_allclose(few, want[:10], rtol=tolerance, atol=4 * tolerance)


def test_an_outcome_of_weight_zero_is_left_out():
    p, q = np.array([0.5, 0.5, np.nan]), np.array([0.5, 0.0, 0.5])
    for P, Q in ((p, q), (sp.csr_array(p[np.newaxis]), sp.csr_array(q[np.newaxis]))):
        for make in (list, np.array):
            assert kl_divergence(P, Q, weights=make([1.0, 0.0, 0.0])) == 0.0
            assert kl_divergence(P, Q, weights=make([1.0, 1.0, 0.0])) == np.inf
            assert np.isnan(kl_divergence(P, Q, weights=make([1.0, 0.0, 1.0])))


def test_weights_are_refused():
    with pytest.raises(ValueError, match=r"weights must have shape \(2,\), got \(3,\)"):
        entropy([0.5, 0.5], weights=[1, 1, 1])
    with pytest.raises(ValueError, match=r"weights must have shape \(2,\), got \(1, 2\)"):
        entropy(sp.eye_array(2, format="csr"), weights=[[1, 1]])


@pytest.mark.parametrize("n", [3, 40])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_sums_out_of_range_are_normalized(name, dtype, n):
    """Rows times powers of 2, whose sums overflow or are denormal, have the measures of the rows."""
    limits = np.finfo(dtype)
    rng = np.random.default_rng(n)
    p, q = (rng.integers(1, 8, (4, n)).astype(dtype) / 8 for _ in range(2))
    want = measure(name, p, q, normalize=True)
    for exponent in (limits.maxexp, limits.maxexp - 2, limits.minexp, limits.minexp - limits.nmant + 3):
        far = np.ldexp(p, exponent)
        assert np.isfinite(far).all()
        for P, Q in ((far, q), (far, np.ldexp(q, exponent)), (p, np.ldexp(q, exponent))):
            np.testing.assert_allclose(measure(name, P, Q, normalize=True), want, rtol=4 * limits.eps)
            np.testing.assert_allclose(
                measure(name, sp.csr_array(P), sp.csr_array(Q), normalize=True), want, rtol=4 * limits.eps
            )
            w = np.ones(n)
            np.testing.assert_allclose(
                measure(name, P, Q, normalize=True, weights=w), want, rtol=1e-4 if dtype is np.float32 else 1e-11
            )
        np.testing.assert_array_equal(conditional_probability(far), conditional_probability(p))
        np.testing.assert_array_equal(
            conditional_probability(sp.csr_array(far)).toarray(), conditional_probability(sp.csr_array(p)).toarray()
        )
        for joint in (far, sp.csr_array(far)):
            assert mutual_information(joint, normalize=True) == pytest.approx(
                mutual_information(p, normalize=True), rel=1e-4 if dtype is np.float32 else 1e-12
            )
        np.testing.assert_allclose(
            pairwise_js(far, q, normalize=True), pairwise_js(p, q, normalize=True), rtol=8 * limits.eps
        )


@pytest.mark.parametrize("base", [1, 1.0, 0.5, 0, -2, np.nan, "2", "nats", True])
def test_bad_bases(base):
    calls = [
        lambda: entropy([0.5, 0.5], base=base),
        lambda: mutual_information([[0.5, 0.5]], base=base),
        lambda: pointwise_mutual_information([[0.5, 0.5]], base=base),
        lambda: information_gain([[1], [0]], [0, 1], base=base),
        lambda: pairwise_kl([[1.0]], [[1.0]], base=base),
        lambda: pairwise_js([[1.0]], [[1.0]], base=base),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="base must be"):
            call()


def test_values_known_by_heart():
    assert entropy([0.5, 0.5], base=2) == 1
    assert entropy([1.0, 0.0]) == 0
    assert kl_divergence([1, 0], [0, 1]) == np.inf
    assert kl_divergence([0, 1], [0.5, 0.5], base=2) == pytest.approx(1)
    assert cross_entropy([0.5, 0.5], [1, 0]) == np.inf
    assert js_divergence([1, 0], [0, 1], base=2) == 1
    assert entropy([0.1, 0.9], base="deciban") == pytest.approx(10 * entropy([0.1, 0.9], base=10))
    assert entropy(np.empty((0, 3))).shape == (0,)
    np.testing.assert_array_equal(entropy([[0, 0], [1, 1], [np.nan, 1]], normalize=True, base=2), [np.nan, 1, np.nan])


@pytest.mark.parametrize(
    "p", [[1j, 0], np.array(["a"]), np.array([None, 1]), 0.5, sp.csr_array(np.array([[1j, 0]])), object()]
)
def test_what_is_no_distribution(p):
    with pytest.raises(ValueError, match="real numbers"):
        entropy(p)


def test_shapes_that_do_not_agree():
    for p, q in (([1, 2], [1.0]), (np.ones((3, 2)), np.ones((3, 3))), (sp.csr_array(np.ones((2, 2))), np.ones(3))):
        with pytest.raises(ValueError, match="same number of outcomes"):
            kl_divergence(p, q)
    with pytest.raises(ValueError, match="broadcast"):
        kl_divergence(np.ones((3, 2)), np.ones((2, 2)))
    with pytest.raises(ValueError, match="as many rows, or one of them one, got 3 and 2"):
        kl_divergence(sp.csr_array(np.ones((3, 2))), np.ones((2, 2)))
    with pytest.raises(ValueError, match="axis"):
        entropy([0.5, 0.5], axis=3)
    with pytest.raises(ValueError, match="axis"):
        entropy(sp.csr_array(np.ones((3, 2))), axis=2)


# --- sparse rows ------------------------------------------------------------------------------------------------------


@given(
    names,
    hnp.arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(1, 7)), elements=counts_or_zero),
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.sampled_from([-1, 1, 0, -2]),
    st.booleans(),
)
def test_sparse_rows_are_as_dense_ones(name, p, seed, normalize, axis, one):
    rng = np.random.default_rng(seed)
    q = rng.permutation(p.ravel()).reshape(p.shape)
    if axis in (0, -2):
        p, q = p.T, q.T
    if one:
        q = np.take(q, [0], axis=0 if axis in (-1, 1) else 1) if p.size else q
    want = np.asarray(measure(name, p, q, normalize=normalize, axis=axis))
    # the order of a sparse row's terms is not a dense row's: what rounds differently is as large as the terms
    scale = expected(name, p, p if name == "entropy" else q, normalize, axis)[1]
    compared = np.ones(len(want), dtype=bool)
    if normalize:  # a row without entries has no distribution
        compared = np.broadcast_to(p.sum(axis=axis) != 0, want.shape)
        compared = compared & ((q.sum(axis=axis) != 0) | (name == "entropy"))
    for P, Q in zip(sparse_forms(p), sparse_forms(q), strict=True):
        before = P.copy()
        for partner in (Q, q):
            got = measure(name, P, partner, normalize=normalize, axis=axis)
            assert got.dtype == np.float64
            assert got.shape == want.shape
            assert_near(got[compared], want[compared], scale[compared])
        np.testing.assert_array_equal(P.toarray(), before.toarray())


odd_or_usual = st.sampled_from([0.0, 0.0, 0.0, 0.25, 0.5, 1.0, 3.0, 1e-310, 1e300, -0.5, np.nan, np.inf])


@given(
    names.filter(lambda name: name != "entropy"),
    hnp.arrays(np.float64, st.tuples(st.integers(2, 4), st.integers(1, 6)), elements=odd_or_usual),
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_many_sparse_rows_and_one_are_as_dense_ones(name, rows, seed, one_is_p, normalize, weighted):
    rng = np.random.default_rng(seed)
    one = rng.permutation(rows.ravel())[: rows.shape[1]]
    options = {"normalize": normalize, "weights": rng.choice([0, 1, 2.5, -1], rows.shape[1]) if weighted else None}
    p, q = (one, rows) if one_is_p else (rows, one)
    with np.errstate(all="ignore"):
        want = np.asarray(measure(name, p, q, **options))
        empty = normalize & (rows == 0).all(axis=1)  # no distribution
        terms = terms_of(name, *(np.broadcast_to(v, rows.shape) for v in (p, q)))
        scale = np.abs(np.where(np.isfinite(terms), terms, 0)).sum(axis=1)
        if normalize:
            scale = 1 + scale / np.maximum(scale, 1)
        for form in sparse_forms(rows):
            for single in (one, sp.csr_array(one[np.newaxis])):
                got = measure(name, *((single, form) if one_is_p else (form, single)), **options)
                assert np.isnan(got[empty]).all()
                assert_near(got[~empty], want[~empty], 10 * scale[~empty])


@pytest.mark.parametrize("name", ["kl_divergence", "js_divergence"])
def test_what_sparse_rows_do_not_have_keeps_its_digits(name):
    # all but a share of 1e-9 is where the row is, in the same proportions
    rest = 1e-9
    q = np.concatenate([np.arange(1.0, 301.0) / 45150, np.full(50, rest / 50)])
    p = np.where(np.arange(350) < 300, q, 0)
    P, Q = sp.csr_array(np.vstack([p, p])), q / q.sum()
    with mpmath.workdps(60):
        x, y = ([mpmath.mpf(v) for v in row] for row in (p, Q))
        x, y = ([v / mpmath.fsum(row) for v in row] for row in (x, y))
        truth = mpmath.mpf(0)
        for a, b in zip(x, y, strict=True):
            m = b if name == "kl_divergence" else (a + b) / 2
            truth += a * mpmath.log(a / m) if a else 0
            truth += b * mpmath.log(b / m) if name == "js_divergence" else 0
        truth = float(truth if name == "kl_divergence" else truth / 2)
    np.testing.assert_allclose(measure(name, P, Q, normalize=True), truth, rtol=1e-13)


def test_what_sparse_rows_do_not_have_may_be_next_to_nothing():
    p, q = np.array([[1e300, 1e300, 0, 0], [2e300, 0, 1, 0]]), np.array([1e300, 1e300, 0.25, 1e-3])
    np.testing.assert_allclose(js_divergence(sp.csr_array(p), q)[0], 0.251 * np.log(2) / 2, rtol=1e-14)
    np.testing.assert_allclose(js_divergence(sp.csr_array(p), q), js_divergence(p, q), rtol=1e-14)
    np.testing.assert_allclose(js_divergence(q, sp.csr_array(p)), js_divergence(q, p), rtol=1e-14)


def test_sparse_rows_of_many_empty_columns():
    n = 2**31 - 1
    rows, columns = np.array([0, 0, 1, 1]), np.array([5, n - 1, 5, 7])
    P = sp.csr_array(([1.0, 3.0, 2.0, 2.0], (rows, columns)), shape=(2, n))
    Q = sp.csr_array(([2.0, 2.0], ([0, 0], [5, n - 1])), shape=(1, n))
    np.testing.assert_allclose(entropy(P, normalize=True), entropy([[1, 3], [2, 2]], normalize=True), rtol=1e-15)
    dense = np.array([[1.0, 0, 3], [2, 2, 0]]), np.array([[2.0, 0, 2]])
    for name in NAMES[1:]:
        np.testing.assert_allclose(
            measure(name, P, Q, normalize=True), measure(name, *dense, normalize=True), rtol=1e-14
        )
        np.testing.assert_allclose(
            measure(name, P, P, normalize=True), measure(name, dense[0], dense[0], normalize=True)
        )


@pytest.mark.parametrize("n_columns", [7, 3_000_000])
def test_entries_named_twice_are_added_up_and_the_matrix_is_left_alone(n_columns):
    parts = np.array([1.0, 2, 1, 4]), np.array([3, 1, 3, 0]), np.array([0, 3, 3, 4])
    X = sp.csr_array(tuple(part.copy() for part in parts), shape=(3, n_columns))
    np.testing.assert_allclose(entropy(X, base=2, normalize=True), [1.0, np.nan, 0.0])
    for part, now in zip(parts, (X.data, X.indices, X.indptr), strict=True):
        np.testing.assert_array_equal(part, now)


def test_kernels_of_duplicates_refuse_rows_that_are_not_there():
    indices, indptr = np.array([0, 1, 1]), np.array([0, 2, 3])
    assert not csr.has_duplicates(indices, indptr, 2, 0, 2)
    assert csr.has_duplicates(np.array([0, 1, 0]), np.array([0, 3]), 2, 0, 1)
    for start, stop in ((-1, 1), (0, 3)):
        with pytest.raises(ValueError, match="rows"):
            csr.has_duplicates(indices, indptr, 2, start, stop)


def test_sparse_against_dense_either_way():
    D = np.array([[0.5, 0.5, 0], [0, 0.25, 0.75]])
    q = np.array([0.25, 0.5, 0.25])
    for name in NAMES[1:]:
        want = measure(name, D, q)
        for X in sparse_forms(D):
            np.testing.assert_allclose(measure(name, X, q), want, rtol=1e-14)
            np.testing.assert_allclose(measure(name, q, X), measure(name, q, D), rtol=1e-14)
    np.testing.assert_array_equal(kl_divergence(sp.csr_array(D), D[::-1]), [np.inf, np.inf])


@pytest.mark.parametrize(
    ("indices", "indptr"),
    [
        ([0, 3], [0, 1, 2]),
        ([0, -1], [0, 1, 2]),
        ([0, 10**8], [0, 1, 2]),
        ([0, 1], [0, 2, 1]),
        ([0, 1], [1, 1, 2]),
        ([0, 1], [0, 1, 30]),
        ([0, 1], [0, 2]),
        ([0, 1], []),
    ],
)
def test_malformed_matrices_are_refused(indices, indptr):
    X = malformed(indices, indptr)
    good = np.ones((2, 3))
    calls = [
        lambda: entropy(X),
        lambda: perplexity(X),
        lambda: conditional_probability(X),
        lambda: mutual_information(X),
        lambda: pointwise_mutual_information(X),
        lambda: information_gain(X, [0, 1]),
        lambda: log_likelihood(good, X),
        *(
            lambda f=f, args=args: f(*args)
            for f in (cross_entropy, kl_divergence, js_divergence, pairwise_kl, pairwise_js)
            for args in ((X, good), (good, X))
        ),
        *(lambda q=q: cross_entropy(X, q, normalize=True) for q in (good[0], [1.0, 0.0, 0.0])),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="CSR matrix"):
            call()


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint16, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("normalize", [False, True])
def test_cross_entropies_of_counts_of_every_type(dtype, index, normalize):
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.7, (9, 300)) * (rng.random((9, 1)) < 0.8)
    X = sp.csr_array(counts.astype(np.float64))
    X.data, X.indices, X.indptr = X.data.astype(dtype), X.indices.astype(index), X.indptr.astype(index)
    narrow = np.dtype(dtype).kind == "f" and np.dtype(dtype).itemsize <= 4
    for q in (np.arange(1.0, 301.0), np.arange(300) % 50 - 1.0, np.maximum(np.arange(300) - 200.0, 0)):
        got = cross_entropy(X, q.astype(np.float32 if narrow else np.float64), normalize=normalize)
        want = cross_entropy(counts.astype(np.float64), q, normalize=normalize)
        assert got.dtype == (np.float32 if narrow else np.float64)
        np.testing.assert_allclose(got, want, rtol=1e-6 if narrow else 1e-13)


@pytest.mark.parametrize("name", ["entropy", "cross_entropy"])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("odd", [None, np.nan, np.inf, -1.0, 1e308, 1e-320])
def test_columns_of_sparse_matrices_are_as_dense_ones(name, normalize, odd):
    rng = np.random.default_rng(0)
    P = rng.poisson(0.4, (4000, 150)).astype(np.float64)  # of several parts
    P[:, 7] = 0
    q = rng.random((4000, 1)) + 0.01
    if odd is not None:
        P[3:5, 2], P[1500, 9], q[17] = odd, odd, abs(odd) if np.isfinite(odd) else 0
    with np.errstate(all="ignore"):
        want = np.asarray(measure(name, P, q, normalize=normalize, axis=0))
    for X in sparse_forms(P):
        for axis in (0, -2):
            got = measure(name, X, q, normalize=normalize, axis=axis)
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-300)
    for dtype in (np.float32, np.int32):
        if odd is None:
            got = measure(name, sp.csr_array(P.astype(dtype)), q.astype(np.float32), normalize=normalize, axis=0)
            assert got.dtype == (np.float32 if dtype == np.float32 else np.float64)
            np.testing.assert_allclose(got, want, rtol=1e-6)
    assert np.isnan(want[7]) == normalize


@pytest.mark.parametrize("odd", [None, np.nan, np.inf, -3.0, 1.7e308, 1e-320])
def test_shares_of_columns_of_sparse_matrices(odd):
    P = np.random.default_rng(0).poisson(0.4, (2000, 150)).astype(np.float64)
    P[:, 7] = 0
    if odd is not None:
        P[3:5, 2] = odd
    with np.errstate(all="ignore"):
        want = conditional_probability(P, 0)
    want[np.isnan(want) & (P == 0)] = 0  # no entries
    for X in sparse_forms(P):
        before = X.copy()
        found = conditional_probability(X, 0)
        np.testing.assert_allclose(found.toarray(), want, rtol=1e-14, atol=1e-300)
        np.testing.assert_array_equal(X.toarray(), before.toarray())
    if odd is None:
        found = conditional_probability(sp.csr_array(P.astype(np.float32)), 0)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.toarray(), want, rtol=1e-6)


def test_room_after_the_last_entry_is_not_read():
    X = sp.csr_matrix(np.eye(2))
    X.data, X.indices = np.append(X.data, [9.0, 9.0]), np.append(X.indices, [0, 0]).astype(X.indices.dtype)
    np.testing.assert_array_equal(entropy(X), [0, 0])
    np.testing.assert_array_equal(kl_divergence(X, X[::-1]), [np.inf, np.inf])
    np.testing.assert_array_equal(js_divergence(X, X), [0, 0])


# --- digits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 10, 15, 16, 17, 23, 24, 31, 32, 33, 255, 257, 1000])
def test_entropies_to_the_last_digits(dtype, n):
    """Within 4 units, of rows beside each other and alone, nearly certain ones and those all alike."""
    rng = np.random.default_rng(n)
    doubt = 10.0 ** rng.uniform(-6, -1, 5)
    certain = np.full((5, n), doubt[:, np.newaxis] / max(n - 1, 1))
    certain[:, 0] = 1 - doubt
    p = np.vstack([rng.dirichlet(np.ones(n), 5), certain, np.full((1, n), 1 / n)]).astype(dtype)
    q = rng.dirichlet(np.ones(n), len(p)).astype(dtype)
    found = [entropy(p), cross_entropy(p, q)], [[entropy(a), cross_entropy(a, b)] for a, b in zip(p, q, strict=True)]
    with mpmath.workdps(40):
        for i, (a, b) in enumerate(zip(p.tolist(), q.tolist(), strict=True)):
            for k, others in enumerate((a, b)):
                terms = [-x * mpmath.log(y) if x else mpmath.mpf(0) for x, y in zip(a, others, strict=True)]
                if any(not mpmath.isfinite(term) for term in terms):
                    continue
                truth = mpmath.fsum(terms)
                for value in (found[0][k][i], found[1][i][k]):
                    error = abs(mpmath.mpf(float(value)) - truth)
                    assert error <= 4 * float(np.spacing(dtype(float(truth)))), (i, k, value, truth)


# --- threads ----------------------------------------------------------------------------------------------------------


def test_results_do_not_depend_on_threads():
    rng = np.random.default_rng(5)
    p, q = rng.dirichlet(np.full(300, 0.2), (2, 700))
    # many entries on few columns: the sparse rows are cut into several tasks
    P, Q = (sp.csr_matrix(np.where(x > 1e-4, x, 0)) for x in (p, q))
    calls = [
        *(lambda n=n, x=x, y=y: measure(n, x, y) for n in NAMES for x, y in ((p, q), (P, Q), (P, q[0]))),
        lambda: pairwise_js(p[:60], q[:50]),
        lambda: pairwise_js(P[:5], Q[:50]),
        lambda: mutual_information(p),
        lambda: information_gain(P, np.arange(700) % 3),
    ]
    for call in calls:
        found = []
        for n_threads in (1, 2, 5):
            with deciban.config_context(n_threads=n_threads):
                found.append(np.asarray(call()).tobytes())
        assert found[0] == found[1] == found[2]


# --- pairs of rows ----------------------------------------------------------------------------------------------------


@given(
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 5),
    st.integers(0, 4),
    st.integers(1, 20),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_pairs_are_as_the_rows_one_by_one(dtype, n_p, n_q, n, seed, normalize):
    rng = np.random.default_rng(seed)
    P, Q = (rng.integers(0, 4, (rows, n)).astype(dtype) for rows in (n_p, n_q))
    P[:, 0] += 1  # no empty rows
    Q[:, -1] += 1
    for pairwise, rowwise in ((pairwise_kl, kl_divergence), (pairwise_js, js_divergence)):
        want = np.array([[rowwise(p, q, normalize=normalize, base=2) for q in Q] for p in P], dtype=np.float64)
        got = pairwise(P, Q, normalize=normalize, base=2)
        assert got.shape == (n_p, n_q)
        assert got.dtype == dtype
        scale = (1 if normalize else 10) * n
        assert_near(got, want.reshape(n_p, n_q), scale, dtype)
        for sparse in (
            pairwise(sp.csr_matrix(P), sp.csr_array(Q), normalize=normalize, base=2),
            pairwise(sp.csc_array(P), Q, normalize=normalize, base=2),
            pairwise(P, sp.coo_array(Q), normalize=normalize, base=2),
        ):
            assert_near(sparse, want.reshape(n_p, n_q), scale, dtype)


@pytest.mark.parametrize("odd", [None, 0.0, -1.0, np.nan, np.inf, "denormal"])
@pytest.mark.parametrize("whose", ["P", "Q"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(30, 30, 40), (3, 40, 61), (1, 500, 12), (40, 1, 130), (130, 130, 20)])
def test_pairs_whatever_the_numbers(shape, dtype, whose, odd):
    n_p, n_q, n = shape
    rng = np.random.default_rng(0)
    P, Q = (rng.dirichlet(np.ones(n), rows).astype(dtype) + np.finfo(dtype).eps for rows in (n_p, n_q))
    if odd is not None:
        (P if whose == "P" else Q)[0, 1] = np.finfo(dtype).smallest_subnormal if odd == "denormal" else odd
    with np.errstate(all="ignore"):
        want = np.transpose([kl_divergence(P, q, base=2) for q in Q])
    got = pairwise_kl(P, Q, base=2)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, want, rtol=16 * np.finfo(dtype).eps, atol=n * np.finfo(dtype).eps)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pairs_of_rows_that_are_in_few_columns(dtype, normalize):
    rng = np.random.default_rng(0)
    P, Q = np.zeros((3, 40), dtype), rng.random((7, 40)).astype(dtype)
    P[:, [30, 3, 17, 5]] = rng.random((3, 4))
    P[1, 3] = 0
    Q[1, 3] = Q[2, 8] = 0
    Q[3, 8], Q[4, 5], Q[5, 9] = -1, np.nan, np.inf
    Q[6] = 0
    with np.errstate(all="ignore"):
        want = np.array([[kl_divergence(p, q, normalize=normalize) for q in Q] for p in P])
    for first in (sp.csr_array(P), sp.csr_array(P)[:, ::-1][:, ::-1]):
        for second in (Q, sp.csr_array(Q)):
            compared = slice(0, 6) if normalize else slice(None)
            got = pairwise_kl(first, second, normalize=normalize)
            assert got.dtype == dtype
            np.testing.assert_allclose(got[:, compared], want[:, compared], rtol=1e-4 if dtype == np.float32 else 1e-11)
            assert not normalize or np.isnan(got[:, 6]).all()


def test_pairs_of_wrong_shapes():
    for pairwise in (pairwise_kl, pairwise_js):
        for P, Q in ((np.ones(3), np.ones((1, 3))), (np.ones((1, 3)), np.ones((1, 2)))):
            with pytest.raises(ValueError, match="rows of as many outcomes"):
                pairwise(P, Q)


def test_normalized_pairs_are_never_negative():
    P = np.random.default_rng(0).random((40, 30))
    assert (pairwise_kl(P, P, normalize=True) >= 0).all()
    np.testing.assert_allclose(pairwise_kl(P, P, normalize=True).diagonal(), 0, atol=1e-14)


# --- joint distributions ----------------------------------------------------------------------------------------------


@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(0, 9)))
def test_mutual_information(joint):
    joint[0, 0] += 1
    want = mutual_info_score(None, None, contingency=joint)
    total, a, b = joint.sum(), joint.sum(axis=1), joint.sum(axis=0)
    with np.errstate(all="ignore"):
        pmi = np.log2(joint * float(total) / np.outer(a, b))
    assert mutual_information(joint, normalize=True) == pytest.approx(want, abs=1e-13)
    assert mutual_information(joint / total, base=2) == pytest.approx(want / np.log(2), abs=1e-13)
    got = pointwise_mutual_information(joint, normalize=True, base=2)
    np.testing.assert_allclose(got, pmi, atol=1e-12)
    for X in sparse_forms(joint):
        assert mutual_information(X, normalize=True) == pytest.approx(want, abs=1e-13)
        sparse = pointwise_mutual_information(X, normalize=True, base=2)
        assert sparse.format == "csr"
        there = joint > 0
        np.testing.assert_allclose(sparse.toarray()[there], pmi[there], atol=1e-12)
        assert sparse.nnz == there.sum()


def test_joint_must_be_a_matrix():
    for function in (mutual_information, pointwise_mutual_information):
        with pytest.raises(ValueError, match="two dimensions, got 1"):
            function([0.5, 0.5])


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_conditional_probability(axis):
    joint = np.array([[1, 0, 3], [0, 0, 0], [2, 5, 0]])
    with np.errstate(invalid="ignore"):
        want = joint / joint.sum(axis=axis, keepdims=True)
    np.testing.assert_array_equal(conditional_probability(joint, axis), want)
    smoothed = (joint + 0.5) / (joint + 0.5).sum(axis=axis, keepdims=True)
    np.testing.assert_allclose(conditional_probability(joint, axis, alpha=0.5), smoothed, rtol=1e-15)
    for X in sparse_forms(joint):
        before = X.toarray()
        got = conditional_probability(X, axis)
        assert got.format == "csr"
        np.testing.assert_allclose(got.toarray(), np.nan_to_num(want), rtol=1e-15)
        np.testing.assert_array_equal(X.toarray(), before)
    assert conditional_probability(joint.astype(np.float32), axis).dtype == np.float32


def test_bad_alpha():
    for alpha in (-1, np.nan):
        with pytest.raises(ValueError, match="must not be negative"):
            conditional_probability([[1, 2]], alpha=alpha)
    with pytest.raises(ValueError, match="sparse"):
        conditional_probability(sp.csr_array(np.eye(2)), alpha=1)


def test_bayes_posterior():
    rng = np.random.default_rng(1)
    prior, likelihood = rng.dirichlet(np.ones(4)), rng.random((6, 4))
    want = prior * likelihood / (prior * likelihood).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(bayes_posterior(prior, likelihood), want, rtol=1e-14)
    np.testing.assert_allclose(bayes_posterior(prior, likelihood[2]), want[2], rtol=1e-14)
    shifted = np.log(likelihood) - 5000  # would underflow
    got = bayes_posterior(np.log(prior), shifted, log=True)
    np.testing.assert_allclose(got, np.log(want), rtol=1e-10)
    assert bayes_posterior(np.log(prior), shifted[0], log=True).shape == (4,)
    np.testing.assert_array_equal(bayes_posterior([1, 0], [[0, 1], [1, 1]]), [[np.nan, np.nan], [1, 0]])
    np.testing.assert_array_equal(
        bayes_posterior([0, 0], [[-np.inf, -np.inf], [0, -np.inf]], log=True), [[np.nan, np.nan], [0, -np.inf]]
    )
    with pytest.raises(ValueError, match=r"hypotheses, got \(2,\) and \(3,\)"):
        bayes_posterior([0.5, 0.5], [1, 1, 1])


# --- features ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 30), st.integers(1, 6), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_information_gain(n_samples, n_features, n_classes, seed):
    rng = np.random.default_rng(seed)
    X = rng.integers(-1, 3, (n_samples, n_features)).astype(float)
    y = rng.integers(0, n_classes, n_samples)
    want = [mutual_info_score(y, column > 0) for column in X.T]
    np.testing.assert_allclose(information_gain(X, y), want, atol=1e-14)
    np.testing.assert_allclose(information_gain(X, y.astype(str), base=2), np.divide(want, np.log(2)), atol=1e-14)
    for form in sparse_forms(X):
        np.testing.assert_allclose(information_gain(form, y), want, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int32, np.uint8, bool])
@pytest.mark.parametrize("n_classes", [2, 40, 300])
def test_information_gain_of_many_samples_of_any_type(dtype, n_classes):
    rng = np.random.default_rng(0)
    X = rng.integers(0 if np.dtype(dtype).kind in "bu" else -2, 3, (20_000, 7)).astype(dtype)
    if dtype is np.int64:
        X[0] = np.iinfo(np.int64).min
    y = (rng.integers(0, n_classes, len(X)) - 100).astype(np.int16)
    want = [entropy(np.unique(y, return_counts=True)[1], normalize=True)] * 7
    for f, there in enumerate((X > 0).T):
        for some in (there, ~there):
            if some.any():
                want[f] -= some.mean() * entropy(np.unique(y[some], return_counts=True)[1], normalize=True)
    for n_threads in (1, 2):
        with deciban.config_context(n_threads=n_threads):
            np.testing.assert_allclose(information_gain(X, y), want, rtol=1e-9, atol=1e-14)


def test_information_gain_selects_features():
    rng = np.random.default_rng(2)
    X, y = rng.poisson(0.7, (200, 12)), rng.integers(0, 3, 200)
    X[:, 4] = y == 1
    X[:, 9] += y == 2
    y = np.array(["red", "green", "blue"])[y]
    scores = mutual_info_classif((X > 0).astype(int), y, discrete_features=True)
    np.testing.assert_allclose(information_gain(X, y), scores, atol=1e-14)
    for samples in (X, sp.csr_matrix(X)):
        chosen = SelectKBest(information_gain, k=2).fit(samples, y).get_support(indices=True)
        np.testing.assert_array_equal(chosen, [4, 9])
    with pytest.raises(ValueError, match="as many rows"):
        information_gain(X, y[:-1])
    with pytest.raises(ValueError, match="two dimensions"):
        information_gain(X[0], y)


# --- models -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(3)
    y = np.repeat(["ham", "spam", "eggs"], 30)
    return rng.poisson(np.repeat([[1, 2, 3], [3, 1, 1], [2, 5, 1]], 30, axis=0)), y


@pytest.mark.parametrize("estimator", [MultinomialNB(), GaussianNB(), LogisticRegression(max_iter=1000)])
@pytest.mark.parametrize("numbers", [False, True])
def test_classifiers(estimator, numbers, samples):
    X, y = samples
    if numbers:
        y = np.unique(y, return_inverse=True)[1] * 10 - 7
    model = estimator.fit(X, y)
    loss = log_loss(y, model.predict_proba(X), labels=model.classes_)
    assert cross_entropy(model, X, y) == pytest.approx(loss, rel=1e-12)
    assert cross_entropy(model, X, y.tolist(), base=2) == pytest.approx(loss / np.log(2), rel=1e-12)
    assert log_likelihood(model, X, y) == pytest.approx(-loss * len(y), rel=1e-12)
    weights = np.arange(len(y)) % 4
    weighted = log_loss(y, model.predict_proba(X), labels=model.classes_, sample_weight=weights)
    assert cross_entropy(model, X, y, weights=weights) == pytest.approx(weighted, rel=1e-12)
    assert log_likelihood(model, X, y, weights=weights) == pytest.approx(-weighted * weights.sum(), rel=1e-12)


def test_likelihood_of_counts_under_a_classifier(samples):
    X, y = samples
    model = MultinomialNB().fit(X, y)
    joint = model.predict_joint_log_proba(X)
    want = np.log(np.exp(joint).sum(axis=1))
    assert log_likelihood(model, X) == pytest.approx(want.sum(), rel=1e-12)
    assert log_likelihood(model, sp.csr_matrix(X), base="deciban") == pytest.approx(
        want.sum() * 10 / np.log(10), rel=1e-12
    )
    weights = np.arange(len(y)) % 3
    assert log_likelihood(model, X, weights=weights) == pytest.approx(want @ weights, rel=1e-12)
    assert perplexity(model, X) == pytest.approx(np.exp(-want.sum() / X.sum()), rel=1e-12)
    assert perplexity(model, sp.csr_array(X), n_events=len(y)) == pytest.approx(np.exp(-want.mean()), rel=1e-12)


@pytest.mark.parametrize("density", [KernelDensity(), GaussianMixture(2, random_state=0)])
def test_densities(density, samples):
    X, _ = samples
    X = X + np.random.default_rng(0).normal(size=X.shape)
    scores = density.fit(X).score_samples(X)
    assert log_likelihood(density, X) == pytest.approx(scores.sum(), rel=1e-12)
    assert log_likelihood(density, X, base=10) == pytest.approx(scores.sum() / np.log(10), rel=1e-12)
    assert perplexity(density, X, n_events=len(X)) == pytest.approx(np.exp(-scores.mean()), rel=1e-12)


def test_what_models_cannot_say(samples):
    X, y = samples
    model = MultinomialNB().fit(X, y)
    for wrong in ("zebra", "aardvark", "hamster"):  # after, before and between the classes
        for function in (cross_entropy, log_likelihood):
            with pytest.raises(ValueError, match=f"does not know.*{wrong}"):
                function(model, X[:2], ["ham", wrong])
    with pytest.raises(ValueError, match="as many rows, got 90 and 2"):
        cross_entropy(model, X, y[:2])
    with pytest.raises(ValueError, match="needs y"):
        cross_entropy(model, X)
    with pytest.raises(ValueError, match="needs samples"):
        perplexity(model)
    with pytest.raises(TypeError, match="LogisticRegression does not model samples"):
        log_likelihood(LogisticRegression().fit(X, y == "ham"), X)
    with pytest.raises(TypeError, match="KernelDensity has no probabilities"):
        cross_entropy(KernelDensity().fit(X), X, y)
    for function in (cross_entropy, log_likelihood):
        with pytest.raises(ValueError, match="with a model"):
            function([0.5, 0.5], [0.5, 0.5], [0, 1])
    with pytest.raises(ValueError, match="with a model"):
        perplexity([0.5, 0.5], X)


def test_likelihood_of_counts_under_probabilities():
    p, X = np.array([0.5, 0.25, 0.25, 0]), np.array([[1, 2, 0, 0], [0, 0, 0, 0], [0, 1, 1, 1]])
    want = [5 * np.log(0.5), 0, -np.inf]
    np.testing.assert_allclose(log_likelihood(p, X), want, rtol=1e-15)
    np.testing.assert_allclose(log_likelihood(p * 12, X, normalize=True, base=2), np.divide(want, np.log(2)))
    np.testing.assert_allclose(log_likelihood(p, X.T, axis=0), want, rtol=1e-15)
    for form in sparse_forms(X):
        np.testing.assert_allclose(log_likelihood(p, form), want, rtol=1e-15)


# --- real documents ---------------------------------------------------------------------------------------------------


def test_newsgroups(newsgroups):
    from sklearn.feature_extraction.text import CountVectorizer

    train, test = newsgroups
    vectorizer = CountVectorizer(min_df=3)
    X, Y = vectorizer.fit_transform(train.data[:4000]), vectorizer.transform(test.data[:1000])
    y = train.target[:4000]
    counts = np.stack([np.asarray(X[y == k].sum(axis=0)).ravel() for k in range(20)])

    np.testing.assert_allclose(entropy(counts, normalize=True, base=2), scipy.stats.entropy(counts, base=2, axis=1))
    np.testing.assert_allclose(entropy(sp.csr_array(counts), normalize=True), scipy.stats.entropy(counts, axis=1))
    shared = mutual_info_score(None, None, contingency=counts)
    assert mutual_information(counts, normalize=True) == pytest.approx(shared, rel=1e-10)
    assert mutual_information(sp.csr_array(counts), normalize=True) == pytest.approx(shared, rel=1e-10)
    # what the classes say of the words is the mean divergence of the classes from all
    share = counts.sum(axis=1) / counts.sum()
    apart = kl_divergence(sp.csr_array(counts), counts.sum(axis=0), normalize=True)
    assert share @ apart == pytest.approx(shared, rel=1e-10)

    gain = information_gain(X, y)
    best = set(vectorizer.get_feature_names_out()[np.argsort(gain)[-30:]])
    assert {"car", "windows", "god"} & best
    assert (gain <= entropy(np.bincount(y), normalize=True)).all()

    # 20 bags of words tell held-out documents better than one
    one = (counts.sum(axis=0) + 0.1) / (counts + 0.1).sum()
    unigram = np.exp(-log_likelihood(one, Y, normalize=True).sum() / Y.sum())
    classes = perplexity(MultinomialNB(alpha=0.1).fit(X, y), Y)
    assert 100 < classes < unigram < Y.shape[1]


# --- where a careless path would show ---------------------------------------------------------------------------------


def test_malformed_rows_are_refused_along_every_axis():
    X = sp.csr_matrix((3, 4))
    X.data, X.indices, X.indptr = np.ones(3), np.array([0, 10**8, 2], np.int32), np.array([0, 1, 2, 3], np.int32)
    for call in (lambda: entropy(X, axis=0), lambda: entropy(X.T), lambda: conditional_probability(X, 0)):
        with pytest.raises(ValueError, match="out of range"):
            call()
    coordinates = sp.coo_matrix((3, 4))
    coordinates.data, coordinates.row, coordinates.col = np.ones(1), np.array([2]), np.array([9])
    with pytest.raises(ValueError, match="out of range"):
        entropy(coordinates)


def test_storage_past_the_last_row_is_left_alone():
    X = sp.csr_matrix(np.eye(2))
    X.data, X.indices = np.append(X.data, [9.0, 9.0]), np.append(X.indices, [0, 0]).astype(np.int32)
    np.testing.assert_allclose(mutual_information(X, normalize=True), np.log(2))
    np.testing.assert_allclose(pointwise_mutual_information(X, normalize=True).toarray(), np.eye(2) * np.log(2))
    np.testing.assert_array_equal(conditional_probability(X).toarray(), np.eye(2))


@pytest.mark.parametrize("function", [kl_divergence, js_divergence, cross_entropy, pairwise_kl, pairwise_js])
def test_rows_that_sum_to_zero_are_no_distributions(function):
    dense = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 1.0]])
    expected = np.asarray(function(dense, dense, normalize=True))
    found = np.asarray(function(sp.csr_matrix(dense), sp.csr_matrix(dense), normalize=True))
    np.testing.assert_allclose(found, expected, atol=1e-15)
    assert np.isnan(found[0]).all()


def test_divergences_of_near_rows_are_not_negative():
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(50), 300)
    Q = P * (1 + 1e-9 * rng.normal(size=P.shape))
    for rows in ((P, Q), (P.astype(np.float32), Q.astype(np.float32)), (sp.csr_matrix(P), sp.csr_matrix(Q))):
        assert js_divergence(*rows).min() >= 0
        assert kl_divergence(*rows, normalize=True).min() >= 0
    assert js_divergence(P[:, :20], Q[:, :20]).max() < 1e-16


def test_information_of_what_hardly_occurs():
    np.testing.assert_allclose(mutual_information([[1, 0], [0, 1e-200]]), 1e-200 * 200 * np.log(10))
    np.testing.assert_allclose(pointwise_mutual_information([[1, 0], [0, 1e-200]])[1, 1], 200 * np.log(10))
    assert np.isnan(mutual_information(np.zeros((2, 2)), normalize=True))


def test_no_outcomes():
    np.testing.assert_array_equal(entropy(np.empty((3, 0))), np.zeros(3))
    assert entropy(np.empty(0)) == 0
    assert kl_divergence(np.empty((2, 3, 0)), np.empty(0)).shape == (2, 3)
    assert np.isnan(entropy(np.empty((3, 0)), normalize=True)).all()


def test_models_in_pipelines_and_odd_labels():
    documents = ["ham ham eggs", "spam spam", "eggs ham", "spam eggs spam"]
    labels = np.array(["good", "bad", "good", "bad"])
    pipeline = make_pipeline(CountVectorizer(), MultinomialNB()).fit(documents, labels)
    counts = pipeline[0].transform(documents)
    assert perplexity(pipeline, documents) == perplexity(pipeline[1], counts)
    assert log_likelihood(pipeline, documents) == log_likelihood(pipeline[1], counts)
    np.testing.assert_allclose(perplexity(pipeline[1], counts.toarray().tolist()), perplexity(pipeline[1], counts))
    with pytest.raises(ValueError, match="must be positive"):
        perplexity(pipeline[1], counts[:0])
    expected = cross_entropy(pipeline, documents, labels)
    assert cross_entropy(pipeline, documents, labels[:, np.newaxis]) == expected
    with pytest.raises(TypeError, match="SVC has no probabilities"):
        cross_entropy(SVC().fit(counts, labels), counts, labels)
    gan = GAN(max_iter=1, random_state=0).fit(counts.toarray())
    for model in (IsolationForest(n_estimators=2).fit(counts), ComplementNB().fit(counts, labels), gan):
        with pytest.raises(TypeError, match=f"scores of {type(model).__name__} are no likelihoods"):
            log_likelihood(model, counts.toarray())
        with pytest.raises(TypeError, match="are no likelihoods"):
            perplexity(model, counts.toarray())


UNUSUAL = [0.0, -0.0, 1.0, 0.5, 5e-324, 1e-310, 3e-308, 1e-290, 1e-250, 1e250, 1e300, 1.7e308, -1.0, np.inf, np.nan]


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize("n", [3, 10, 40, 300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_numbers_that_fast_logarithms_do_not_take(name, dtype, n):
    """Denormal, huge, negative and infinite numbers, alone in a row or among ordinary ones, short rows and long."""
    unusual = np.array(UNUSUAL)
    if dtype == np.float32:
        with np.errstate(over="ignore", under="ignore"):
            unusual = np.append(unusual.astype(dtype), [1e-45, 1e-39, 1e-37, 1e-31, 1e31, 3e38]).astype(dtype)
    pairs = [(x, y) for x in unusual for y in unusual]
    rng = np.random.default_rng(0)
    for others in (0.0, 1.0):
        p, q = (others * rng.uniform(0.1, 1, (len(pairs), n)).astype(dtype) for _ in range(2))
        if others == 0:
            q[:] = 1
        p[:, n // 2], q[:, n // 2] = np.array(pairs).T
        got = measure(name, p, q)
        with np.errstate(all="ignore"):
            wide_p, wide_q = p.astype(np.longdouble), q.astype(np.longdouble)
            terms = terms_in_longdouble(name, wide_p, wide_q)
            want = terms.sum(axis=1)
            scale = np.where(np.isfinite(terms), np.abs(terms), 0).sum(axis=1)
        limits = np.finfo(dtype)
        used = p if name == "entropy" else p + q
        assert np.isnan(got[np.isnan(used).any(axis=1) & ~np.isinf(used).any(axis=1)]).all()
        ruled_out = np.isinf(want) & np.isfinite(p).all(axis=1) & np.isfinite(q).all(axis=1)
        np.testing.assert_array_equal(got[ruled_out], want[ruled_out])
        finite = (
            np.isfinite(want) & (scale < limits.max / 1e4) & np.isfinite(p).all(axis=1) & np.isfinite(q).all(axis=1)
        )
        tolerance = 4 * limits.eps * n * (scale + (p + q).sum(axis=1)) + 4e3 * limits.smallest_subnormal
        wrong = np.abs(got[finite] - want[finite]) > tolerance[finite]
        assert not wrong.any(), (np.array(pairs)[finite][wrong], got[finite][wrong], want[finite][wrong])


def terms_in_longdouble(name, p, q):
    """Terms with SciPy's conventions for zeros and negative numbers."""

    def product(x, y):  # x log y, 0 for x = 0
        return np.where(x == 0, np.where(np.isnan(y), y, 0), x * np.log(np.where(y < 0, np.nan, y)))

    def relative(x, y):
        found = np.where(x == 0, 0, x * (np.log(np.where(x > 0, x, 1)) - np.log(np.where(y > 0, y, 1))))
        found = np.where((x < 0) | (y < 0) | ((x > 0) & (y == 0)), np.inf, found)
        return np.where(np.isfinite(x) & np.isfinite(y), found, np.nan)

    if name == "entropy":
        return np.where(p < 0, -np.inf, -product(p, np.where(p < 0, 1, p)))
    if name == "cross_entropy":
        return -product(p, q)
    if name == "kl_divergence":
        return relative(p, q)
    middle = (p + q) / 2
    return (relative(p, middle) + relative(q, middle)) / 2


# --- where an answer would be made up ---------------------------------------------------------------------------------


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_joint_distributions_that_are_none(container):
    """NaN in all rows, or a row that sums to less than 0, must not be passed over."""
    assert np.isnan(mutual_information(container([[np.nan, 1.0]])))
    assert np.isnan(mutual_information(container([[np.nan, 1.0], [np.nan, 0.5]])))
    assert np.isnan(mutual_information(container([[np.inf, 1.0], [0.5, 0.5]])))
    assert mutual_information(container([[-1.0, 0.5], [0.5, 0.5]])) == np.inf
    assert mutual_information(container([[-1.0, -2.0]])) == np.inf


def test_marginals_of_float32_are_summed_in_float64():
    joint = np.random.default_rng(0).random((1 << 16, 3)).astype(np.float32)
    joint[:, 2] *= 0.9
    exact = mutual_information(joint.astype(float), normalize=True)
    assert mutual_information(joint, normalize=True) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csc_array])
def test_features_with_nan_have_no_gain(container):
    X, y = np.array([[np.nan, 1, 0], [0, 0, 2], [3, 0, np.nan]]), ["a", "b", "b"]
    found = information_gain(container(X), y)
    np.testing.assert_array_equal(np.isnan(found), [True, False, True])
    assert found[1] == pytest.approx(entropy([1 / 3, 2 / 3]))


def test_labels_in_a_column():
    X = np.eye(3)
    np.testing.assert_array_equal(information_gain(X, np.array([[1], [2], [2]])), information_gain(X, [1, 2, 2]))
    with pytest.raises(ValueError, match="1d array"):
        information_gain(X, X)


def test_posteriors_whose_products_are_out_of_range():
    np.testing.assert_allclose(bayes_posterior([1e-200, 1e-200], [1e-200, 3e-200]), [0.25, 0.75])
    np.testing.assert_allclose(bayes_posterior([1e200, 1e200], [[1e200, 3e200], [1, 1]]), [[0.25, 0.75], [0.5, 0.5]])
    np.testing.assert_array_equal(bayes_posterior([1, 1e-200, 0], [0, 1e-200, 1]), [0, 1, 0])
    np.testing.assert_array_equal(bayes_posterior([0.5, 0.5], [np.inf, 1]), [np.nan, 0])
    np.testing.assert_array_equal(bayes_posterior([0, 1], [np.inf, 1]), [np.nan, np.nan])
    np.testing.assert_array_equal(bayes_posterior([0.0, -np.inf], [-np.inf, np.inf], log=True), [np.nan, np.nan])
    for log in (False, True):
        assert bayes_posterior([], [], log=log).shape == (0,)


@pytest.mark.parametrize(
    "call",
    [
        entropy,
        perplexity,
        conditional_probability,
        lambda p: kl_divergence([[0.5, 0.5]], p),
        lambda p: log_likelihood(p, [[1, 2]]),
        lambda p: log_likelihood([[0.5, 0.5]], p),
        lambda p: bayes_posterior([0.5, 0.5], p),
        mutual_information,
        lambda p: pairwise_kl(p, [[0.5, 0.5]]),
        lambda p: information_gain(p, [0]),
    ],
)
def test_masked_and_complex_numbers_are_refused(call):
    """NumPy would drop the mask without a word, and imaginary parts with a warning."""
    with pytest.raises(ValueError, match="masked entries"):
        call(np.ma.array([[0.5, 0.5]], mask=[[False, True]]))
    with pytest.raises(ValueError, match="real numbers, got dtype complex128"):
        call(np.array([[0.5, 0.5j]]))
    with pytest.raises(ValueError, match="real numbers, got dtype object"):
        call(np.array([[0.5, None]]))


def test_bases_and_axes_that_make_no_sense():
    with pytest.raises(ValueError, match="base must be"):
        entropy([0.5, 0.5], base=np.inf)
    for p in ([0.5, 0.5], sp.csr_array([[0.5, 0.5]])):
        for axis in (None, (0,), 0.0):
            with pytest.raises(TypeError, match="integer"):
                entropy(p, axis=axis)


def test_perplexities_beyond_all_numbers():
    assert perplexity(np.full(3000, 0.5)) == np.inf


def test_likelihood_under_sparse_and_float32_probabilities():
    p, X = np.array([[1, 3, 0], [0, 0, 0], [2, 2, 4]]), np.array([[1, 2, 0], [1, 0, 0], [0, 0, 5]])
    want = log_likelihood(p, X, normalize=True)
    assert np.isnan(want[1])
    for form in (sp.csr_array(p), sp.coo_matrix(p)):
        for samples in (X, sp.csr_array(X)):
            np.testing.assert_allclose(log_likelihood(form, samples, normalize=True), want)
            np.testing.assert_allclose(log_likelihood(form.T, samples.T, normalize=True, axis=0), want)
    assert log_likelihood(p.astype("f4"), X.astype("f4"), normalize=True).dtype == np.float32
    with pytest.raises(ValueError, match="X and p must have the same number of outcomes, got 2 and 3"):
        log_likelihood(p, X[:, :2])


def test_one_row_against_many_sparse_ones_is_not_repeated():
    n, n_rows = 50_000, 200
    p, Q = np.full(n, 1 / n), sp.csr_array((np.ones(n_rows), np.arange(n_rows), np.arange(n_rows + 1)), (n_rows, n))
    want = js_divergence(p, Q[[0]].toarray())[0]
    tracemalloc.start()
    try:
        found = js_divergence(p, Q)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(found, want, rtol=1e-12)
    assert peak < 8 * n * n_rows / 4
    for P in (p[:40], sp.csr_array(p[np.newaxis, :40])):
        for function in (kl_divergence, cross_entropy, js_divergence):
            near = sp.csr_array(np.random.default_rng(0).integers(0, 9, (5, 40)).astype(float))
            np.testing.assert_allclose(
                function(P, near, normalize=True), function(p[:40], near.toarray(), normalize=True)
            )


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pairs_of_unusual_numbers_are_as_the_rows_one_by_one(container, dtype):
    unusual = [-1.0, np.inf, np.nan, 0.0, 0.5]
    P = np.array([[x, y, 1] for x in unusual for y in unusual], dtype)
    for pairwise, rowwise in ((pairwise_kl, kl_divergence), (pairwise_js, js_divergence)):
        want = np.array([[rowwise(p, q) for q in P] for p in P])
        found = pairwise(container(P), container(P))
        assert found.dtype == dtype
        np.testing.assert_allclose(found, want, atol=1e-6)
    assert np.isnan(pairwise_js(np.empty((2, 0)), np.empty((1, 0)), normalize=True)).all()
    assert np.isnan(pairwise_kl(np.empty((2, 0)), np.empty((1, 0)), normalize=True)).all()


def test_models_within_pipelines_and_searches(samples):
    X, y = samples
    model = MultinomialNB().fit(X, y)
    for nested in (
        make_pipeline(make_pipeline("passthrough", MultinomialNB())),
        GridSearchCV(MultinomialNB(), {"alpha": [1.0]}),
        make_pipeline(MultinomialNB()),
    ):
        assert log_likelihood(nested.fit(X, y), X) == log_likelihood(model, X)
        assert perplexity(nested, sp.csr_array(X)) == pytest.approx(perplexity(model, X))
    for nested in (
        make_pipeline(make_pipeline(IsolationForest(n_estimators=2))),
        GridSearchCV(IsolationForest(n_estimators=2), {}, scoring=lambda *_: 0.0),
        BernoulliRBM(n_iter=1),  # its score_samples is a pseudo-likelihood
    ):
        nested.fit(X / X.max())
        with pytest.raises(TypeError, match="are no likelihoods of samples"):
            log_likelihood(nested, X / X.max())


def test_samples_of_weight_zero_are_left_out():
    X, y = np.arange(4.0)[:, np.newaxis], np.array(["a", "a", "b", "b"])
    tree = DecisionTreeClassifier().fit(X, y)
    wrong, weights = ["a", "a", "b", "a"], [1, 2, 1, 0]
    assert cross_entropy(tree, X, wrong) == np.inf  # without a warning of log(0)
    assert cross_entropy(tree, X, wrong, weights=weights) == 0
    assert log_likelihood(tree, X, wrong, weights=weights) == 0
    for weights in ([0, 0, 0, 0], [1, 1, -3, 0], [np.nan] * 4):
        with pytest.raises(ValueError, match="positive sum"):
            cross_entropy(tree, X, y, weights=weights)
    for weights in ([1, 1], 1.0):
        with pytest.raises(ValueError, match=r"weights must have shape \(4,\)"):
            cross_entropy(tree, X, y, weights=weights)


class Coin:
    """A classifier that is none of scikit-learn's, whose classes are not sorted."""

    classes_ = np.array(["tails", "heads"])

    def predict_proba(self, X):
        return np.tile([0.25, 0.75], (len(X), 1))


def test_classifiers_of_others_and_several_labels():
    X = np.arange(6.0)[:, np.newaxis]
    assert cross_entropy(Coin(), X, ["heads"] * 6, base=2) == pytest.approx(-np.log2(0.75))
    assert cross_entropy(Coin(), X, ["tails"] * 6, base=2) == pytest.approx(2)
    with pytest.raises(ValueError, match=r"does not know: .*edge"):
        cross_entropy(Coin(), X, ["edge"] * 6)
    Y = np.array([[0, 1], [1, 1], [0, 0], [1, 0], [0, 1], [1, 1]])
    with pytest.raises(TypeError, match="several labels a sample"):
        cross_entropy(DecisionTreeClassifier().fit(X, Y), X, Y[:, 0])
    with pytest.raises(TypeError, match="do not sum to one"):
        cross_entropy(OneVsRestClassifier(LogisticRegression()).fit(X, Y), X, Y[:, 0])


def test_tables_with_a_column_that_a_model_has():
    class Table:
        predict = "a column"

        def __array__(self, dtype=None, copy=None):
            return np.array([[0.5, 0.5]])

    np.testing.assert_allclose(cross_entropy(Table(), Table(), base=2), [1])


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("name", NAMES)
def test_rows_of_zeros_have_no_distribution_whatever_the_weights(name, container):
    P, Q = np.array([[0.0, 0, 0], [1, 2, 3]]), np.array([[0.0, 3, 0], [3, 2, 1]])
    for weights in ([1, 0, 1], [0, 0, 0]):
        found = measure(name, container(P), container(Q), normalize=True, weights=weights)
        np.testing.assert_array_equal(np.isnan(found), [True, False])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_measures_beyond_all_numbers(dtype):
    p, q = np.full(40, np.finfo(dtype).max / 50, dtype), np.full(40, np.finfo(dtype).tiny, dtype)
    assert kl_divergence(p, q, base="deciban") == np.inf
    assert cross_entropy(np.stack([p, p]), q, base="deciban").tolist() == [np.inf, np.inf]


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("weights", [None, np.arange(600) % 3])
@pytest.mark.parametrize("name", NAMES[1:])
def test_short_rows_against_a_long_one(name, weights, normalize):
    rng = np.random.default_rng(0)
    P = np.where(rng.random((30, 600)) < np.linspace(0, 0.5, 30)[:, np.newaxis], rng.integers(1, 9, (30, 600)), 0.0)
    P[1, 7] = 0.5
    q = rng.gamma(1, size=600)
    for unusual in (None, 0.0, -1.0, np.inf, np.nan):
        if unusual is not None:
            q[5] = unusual
        for p_row, q_row in ((P, q), (q, P)):
            want = measure(name, p_row, q_row, weights=weights, normalize=normalize)
            if normalize:
                want[P.sum(axis=1) == 0] = np.nan
            sparse = [sp.csr_array(np.atleast_2d(x)) for x in (p_row, q_row)]
            np.testing.assert_allclose(
                measure(name, *sparse, weights=weights, normalize=normalize), want, rtol=1e-11, atol=1e-12
            )


def test_many_rows_against_a_long_one_cost_their_entries():
    """All entries of the long row for each of the others would be 10^11."""
    n, n_rows = 10**6, 10**5
    X = sp.csr_array((np.ones(n_rows), np.arange(n_rows), np.arange(n_rows + 1)), (n_rows, n))
    q = np.full(n, 1e-6)
    np.testing.assert_allclose(log_likelihood(q, X), np.log(1e-6))
    np.testing.assert_allclose(kl_divergence(X, q, normalize=True), np.log(1e6))
    np.testing.assert_allclose(js_divergence(q, X), js_divergence(X[[0]], q[np.newaxis])[0])


def test_zeros_that_are_stored_are_zeros():
    joint = sp.csr_array(([0.0, 1, 2, 3], [0, 0, 1, 1], [0, 1, 3, 4]), shape=(3, 2))
    dense = mutual_information(joint.toarray(), normalize=True)
    assert mutual_information(joint, normalize=True) == pytest.approx(dense, rel=1e-14)
    found = pointwise_mutual_information(joint, normalize=True)
    assert found.nnz == 3
    np.testing.assert_array_equal(joint.data, [0, 1, 2, 3])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 1.0, np.inf, -1.0, np.nan, "huge", "tiny"])
def test_sparse_arguments_stay_as_they_are(value, dtype):
    """Unsorted rows, with numbers on which another way is taken; SciPy's operations may sort them in place."""
    limits = np.finfo(dtype)
    value = {"huge": limits.max, "tiny": limits.smallest_subnormal}.get(value, value)
    data, indices = np.array([limits.max / 2, value, 2, 1, 1], dtype), np.array([4, 2, 0, 3, 1], np.int32)
    one = np.ones(5, dtype)
    calls = [
        *(lambda X, f=f: f(X, normalize=True) for f in (entropy, perplexity, mutual_information)),
        lambda X: pointwise_mutual_information(X, normalize=True),
        lambda X: entropy(X, normalize=True, axis=0),
        conditional_probability,
        lambda X: conditional_probability(X, 0),
        lambda X: information_gain(X, [0, 1]),
        lambda X: log_likelihood(X, X, normalize=True),
        *(
            lambda X, f=f: (f(X, X, normalize=True), f(one, X, normalize=True), f(X, one, normalize=True))
            for f in (kl_divergence, js_divergence, cross_entropy)
        ),
        *(lambda X, f=f: f(X, X, normalize=True) for f in (pairwise_kl, pairwise_js)),
    ]
    for call in calls:
        X = sp.csr_matrix((2, 5), dtype=dtype)
        X.data, X.indices, X.indptr = data.copy(), indices.copy(), np.array([0, 3, 5], np.int32)
        call(X)
        np.testing.assert_array_equal(X.data, data)
        np.testing.assert_array_equal(X.indices, indices)


@pytest.mark.parametrize("name", NAMES[1:])
def test_no_rows_against_one(name):
    one, none = np.ones((1, 3)), np.empty((0, 3))
    for a, b in ((one, none), (none, one), (none, none)):
        for first in (np.asarray, sp.csr_array):
            for second in (np.asarray, sp.csr_array):
                assert measure(name, first(a), second(b)).shape == (0,)


def test_float32_of_another_byte_order_stays_float32():
    p = np.array([[0.25, 0.75]], np.dtype(np.float32).newbyteorder())
    for x in (p, sp.csr_array(p.astype(np.float32))):
        assert entropy(x).dtype == kl_divergence(x, p).dtype == pairwise_js(x, p).dtype == np.float32
    assert special.affine_sigmoid(p, p.T).dtype == special.affine_softmax(p.astype(np.float32), p.T).dtype == np.float32


# --- large tables whose outcomes lie apart ----------------------------------------------------------------------------


def _unusual(shape, dtype):
    """Return a table of ordinary columns, and some with zeros, NaN, negative or infinite numbers."""
    rng = np.random.default_rng(0)
    p, q = (rng.random(shape).astype(dtype) for _ in range(2))
    for table, column, values in ((p, 0, (0.0, 0.0)), (q, 0, (0.0, 1.0)), (p, 1, (np.nan, 0.5)), (q, -1, (0.0, -1.0))):
        table[[0, -1], column] = values
    return p, q


@pytest.mark.parametrize(
    ("shape", "weighted", "normalize"),
    [
        *(((700, 150), weighted, normalize) for weighted in (False, True) for normalize in (False, True)),
        *((shape, weighted, False) for shape in ((40_000, 3), (2, 40_000), (90_001, 2)) for weighted in (False, True)),
        ((40_000, 3), False, True),
        ((2, 40_000), True, True),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["entropy", "cross_entropy", "kl_divergence", "js_divergence"])
def test_columns_are_measured_as_rows_are(name, dtype, shape, weighted, normalize):
    function = getattr(information, name)
    p, q = _unusual(shape, dtype)
    for other in [()] if name == "entropy" else [(q,), (q[:, -1:].copy(),), (q[:, :1].copy(),), (np.abs(q[:, 1:2]),)]:
        options = {"base": 2, "normalize": normalize}
        if weighted:
            options["weights"] = np.linspace(-1, 1, shape[0]).round(1)
        rows = [np.ascontiguousarray(x.T) if x.shape == p.shape else x.ravel() for x in (p, *other)]
        expected = function(*rows, **options)
        results = []
        for n_threads in (1, 2):
            with deciban.config_context(n_threads=n_threads):
                results += [function(p, *other, axis=0, **options), function(*(x.T for x in (p, *other)), **options)]
        for found in results:
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, results[0])
        scale = np.nansum(np.abs(p.astype(float)), axis=0) if weighted or name == "kl_divergence" else 0.0
        # a share near 1 may have a logarithm as small as what the quotient rounds off
        scale = 1.0 if normalize else scale
        tolerance = 3e-6 if dtype is np.float32 else 1e-13
        same = (found == expected) | (np.isnan(found) & np.isnan(expected))
        with np.errstate(invalid="ignore"):
            assert (same | (np.abs(found - expected) <= tolerance * (np.abs(expected) + scale))).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_columns_of_nothing_and_those_whose_sums_are_out_of_range(dtype):
    rng = np.random.default_rng(0)
    p = rng.random((700, 150)).astype(dtype)
    expected = entropy(p, axis=0, normalize=True)
    shares = p.astype(np.longdouble) / p.sum(axis=0, dtype=np.longdouble)
    exact = -(shares * np.log(shares)).sum(axis=0)
    np.testing.assert_allclose(expected, exact.astype(float), rtol=4 * np.finfo(dtype).eps)
    p[:, 3] = 0.0
    q = rng.random(p.shape).astype(dtype)
    for found in (entropy(p, axis=0, normalize=True), kl_divergence(q, p, axis=0, normalize=True)):
        np.testing.assert_array_equal(np.isnan(found), np.arange(150) == 3)
    p[:, 7] *= np.finfo(dtype).max
    p[:, 8] *= np.finfo(dtype).smallest_subnormal * 8
    kept = np.arange(150) != 3
    found = entropy(p, axis=0, normalize=True)[kept]
    np.testing.assert_array_equal(found, entropy(p.T.copy(), normalize=True)[kept])
    np.testing.assert_allclose(found[[0, 6]], expected[kept][[0, 6]], rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_cross_entropies_from_one_distribution_lose_nothing(dtype):
    rng = np.random.default_rng(0)
    p, q = rng.random((300, 1000)).astype(dtype), rng.dirichlet(np.ones(1000)).astype(dtype) + dtype(1e-6)
    exact = -(p.astype(np.longdouble) @ np.log(q.astype(np.longdouble)))
    for found in (information.cross_entropy(p, q), information.cross_entropy(p.T.copy(), q[:, np.newaxis], axis=0)):
        assert found.dtype == dtype
        assert (np.abs(found - exact) <= 1.01 * np.finfo(dtype).eps * exact).all()
    p[0, 3] = q[3] = 0.0
    np.testing.assert_array_equal(np.isposinf(information.cross_entropy(p, q)), np.arange(300) > 0)


@pytest.mark.parametrize("width", [2, 7, 8, 9, 16, 23, 24, 31, 32, 33, 300])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_cross_entropies_of_columns_from_one_are_those_of_rows(dtype, width):
    p, q = _unusual(((1 << 16) // width + 5, width), dtype)
    q = np.abs(q[:, :1]) + dtype(1e-3)
    found = information.cross_entropy(p, q, axis=0)
    exact = -(p.astype(np.longdouble).T @ np.log(q.astype(np.longdouble))).ravel()
    np.testing.assert_allclose(found, exact.astype(dtype), rtol=2.01 * np.finfo(dtype).eps)


def test_columns_and_weights_must_agree():
    p = np.ones((700, 150))
    with pytest.raises(ValueError, match="weights must have shape"):
        information.entropy(p, axis=0, weights=np.ones(150))
    with pytest.raises(ValueError, match="same number of outcomes"):
        information.kl_divergence(p, np.ones((699, 150)), axis=0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(3, 4), (300, 401), (9001, 10), (10, 9001), (700, 31), (700, 33)])
def test_cross_entropies_from_one_distribution_wherever_numbers_are(shape, dtype):
    rng = np.random.default_rng(0)
    P, q = rng.random(shape).astype(dtype), (rng.random(shape[1]) + 0.1).astype(dtype)
    want = (P.astype(np.longdouble) @ -np.log(q.astype(np.longdouble))).astype(dtype)
    close = {"rtol": 4 * np.finfo(dtype).eps}

    def unaligned(x):
        memory = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
        memory[...] = x
        return memory

    def frozen(x):
        x = x.copy()
        x.flags.writeable = False
        return x

    for of_p, of_q in itertools.product([np.copy, np.asfortranarray, unaligned, frozen], [np.copy, unaligned, frozen]):
        X, one = of_p(P), of_q(q)
        for got in (cross_entropy(X, one), cross_entropy(X, one, axis=1), cross_entropy(X.T, one[:, None], axis=0)):
            assert got.dtype == dtype
            np.testing.assert_allclose(got, want, **close)
        np.testing.assert_allclose(cross_entropy(X, one, base=2), want / np.log(2), **close)
        np.testing.assert_allclose(log_likelihood(one, X), -want, **close)
    with pytest.raises(ValueError, match="same number of outcomes"):
        cross_entropy(P, q[:, None])
