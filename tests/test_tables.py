"""Tables divided by their sums, and what pairs have in common, against exact fractions, plain NumPy and mpmath."""

import os
import subprocess
import sys
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import reference
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import deciban
from deciban._kernels import shares, tables
from deciban.information import (
    bayes_posterior,
    conditional_probability,
    information_gain,
    mutual_information,
    pointwise_mutual_information,
)

DTYPES = [np.float64, np.float32]
LENGTHS = [1, 2, 7, 8, 9, 16, 31, 32, 33, 64, 127, 128, 129, 255, 256, 257, 1000, 4097]
LIMITS = {dtype: np.finfo(dtype) for dtype in DTYPES}


def layouts(x):
    """The same numbers, however they lie in memory."""
    yield x
    yield np.asfortranarray(x)
    yield np.repeat(x, 2, axis=-1)[..., ::2]
    yield x[::-1].copy()[::-1]
    yield x.astype(x.dtype.newbyteorder())
    frozen = x.copy()
    frozen.flags.writeable = False
    yield frozen
    memory = np.empty(x.nbytes + 1, np.uint8)
    unaligned = memory[1:].view(x.dtype).reshape(x.shape)
    unaligned[...] = x
    yield unaligned


@st.composite
def counts_and_axes(draw):
    dtype = np.dtype(draw(st.sampled_from(["f8", "f4", "f2", "i8", "i4", "u1", "?"])))
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=5))
    elements = st.floats(0, 100, width=16) if dtype.kind == "f" else None
    if dtype.kind in "iu":
        elements = st.integers(0, 99)
    x = draw(hnp.arrays(dtype, shape, elements=elements))
    return x, draw(st.integers(-len(shape), len(shape) - 1))


@given(counts_and_axes(), st.sampled_from([0.0, 0.5, 1.0]))
def test_shares(given_, alpha):
    x, axis = given_
    narrow = x.dtype in (np.float32, np.float16)
    want = reference.shares(x, axis, alpha)
    for form in layouts(x):
        before = form.copy()
        got = conditional_probability(form, axis, alpha=alpha)
        assert got.dtype == (np.float32 if narrow else np.float64)
        assert got.shape == x.shape
        np.testing.assert_allclose(got, want, rtol=2e-6 if narrow and alpha else 2e-7 if narrow else 1e-15)
        np.testing.assert_array_equal(form, before)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_shares_are_rounded_as_divisions(dtype, n):
    """The sums of whole numbers are exact, and quotients rounded once, in every place of a register, row and block."""
    rng = np.random.default_rng(n)
    x = rng.integers(0, 1 << 20, (37, n)).astype(dtype)
    x[:, 0] += 1
    wide = x.astype(np.float64)
    want = (wide / wide.sum(axis=1, keepdims=True)).astype(dtype)
    np.testing.assert_array_equal(conditional_probability(x), want)
    np.testing.assert_array_equal(conditional_probability(np.tile(x, (600, 1))), np.tile(want, (600, 1)))
    np.testing.assert_array_equal(conditional_probability(np.ascontiguousarray(x.T), 0), want.T)
    stacked = np.ascontiguousarray(np.stack([x, 2 * x[::-1]]).swapaxes(1, 2))
    np.testing.assert_array_equal(conditional_probability(stacked, 1), np.stack([want, want[::-1]]).swapaxes(1, 2))
    if dtype is np.float64:
        np.testing.assert_array_equal(conditional_probability(x.astype(np.int64)), want)
        np.testing.assert_array_equal(bayes_posterior(np.full(n, 0.25), x), want)


@pytest.mark.parametrize(
    "shape", [(20_000, 7), (2100, 63), (30_011, 5), (21_001, 101), (2, 2100, 1003), (131_072, 1, 3)]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_shares_of_large_tables(shape, dtype):
    """Columns in two passes over rows, and results that go past the caches, are the same quotients."""
    rng = np.random.default_rng(len(shape))
    x = rng.integers(1, 1 << 10, shape).astype(dtype)
    wide = x.astype(np.float64)
    for axis in (0, 1, -1):
        want = ((wide + 0.5) / (wide + 0.5).sum(axis=axis, keepdims=True)).astype(dtype)
        np.testing.assert_array_equal(conditional_probability(x, axis, alpha=0.5), want)
        itself = x.copy()
        conditional_probability(itself, axis, alpha=0.5, out=itself)
        np.testing.assert_array_equal(itself, want)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, 1e308, 0.0])
def test_columns_of_tall_tables_with_unusual_numbers(value):
    x = np.random.default_rng(1).random((2, 30_000, 5))
    x[1, :, 2] = value
    itself = x.copy()
    conditional_probability(itself, 1, alpha=0.25, out=itself)
    for table, found in zip(x, itself, strict=True):
        turned = conditional_probability(np.ascontiguousarray(table.T), alpha=0.25).T
        np.testing.assert_allclose(found, turned, rtol=1e-13)


def exactly(value):
    return Fraction(float(value))


@pytest.mark.parametrize("n", [2, 5, 33, 300])
@pytest.mark.parametrize("dtype", DTYPES)
def test_shares_to_the_last_digits(dtype, n):
    """Within 4 units in the last place of the exact quotient, of numbers of one size and of very different ones."""
    rng = np.random.default_rng(n)
    for x in (rng.random((4, n)), 10.0 ** rng.uniform(-25, 5, (4, n))):
        x = x.astype(dtype)
        p = np.ones(n, dtype) if dtype is np.float32 else rng.random(n)
        cases = [(x, conditional_probability(x)), (x, conditional_probability(np.ascontiguousarray(x.T), 0).T)]
        cases += [(x, conditional_probability(sp.csr_array(x)).toarray())]
        for values, found in cases:
            for row, found_row in zip(values, found, strict=True):
                total = sum(map(exactly, row))
                for value, share in zip(row, found_row, strict=True):
                    want = exactly(value) / total
                    assert abs(exactly(share) - want) <= 4 * exactly(np.spacing(dtype(float(want))))
        if dtype is np.float64:
            for row, found_row in zip(x, bayes_posterior(p, x), strict=True):
                products = [exactly(a) * exactly(b) for a, b in zip(row, p, strict=True)]
                for product, share in zip(products, found_row, strict=True):
                    want = product / sum(products)
                    assert abs(exactly(share) - want) <= 4 * exactly(np.spacing(float(want)))


UNUSUAL = [0.0, -0.0, 1.0, -1.0, 5e-324, 1e-310, 3e-308, 1e-200, 1e200, 1.7e308, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("n", [3, 20, 40])
@pytest.mark.parametrize("dtype", DTYPES)
def test_shares_of_unusual_numbers(dtype, n):
    """As NumPy's, where its sum is within the range of numbers."""
    rng = np.random.default_rng(n)
    with np.errstate(all="ignore"):
        unusual = np.append(np.array(UNUSUAL), [1e-45, 1e-39, 3e38]).astype(dtype)
        pairs = np.array([(a, b) for a in unusual for b in unusual])
        for rest in (0.0, 1.0):
            x = rest * rng.random((len(pairs), n)).astype(dtype)
            x[:, [0, n - 1]] = pairs
            total = x.sum(axis=1, keepdims=True, dtype=np.float64)
            far = np.isinf(total) & np.isfinite(x).all(axis=1, keepdims=True)
            scale = np.where(far, 2.0**-64, 1.0)
            want = ((x * scale) / (x * scale).sum(axis=1, keepdims=True, dtype=np.float64)).astype(dtype)
            with np.errstate(all="raise"):  # silent, whatever the caller has set
                found = conditional_probability(x)
                turned = conditional_probability(np.ascontiguousarray(x.T), 0).T
            for got in (found, turned):
                np.testing.assert_allclose(got, want, rtol=8 * LIMITS[dtype].eps, atol=LIMITS[dtype].smallest_subnormal)


@given(st.integers(1, 45), st.integers(0, 2**32 - 1))
def test_posteriors_whose_products_leave_the_range_of_numbers(n, seed):
    """Whatever exponents prior and likelihood have, shares are those of the exact products."""
    rng = np.random.default_rng(seed)
    spread = rng.choice([1, 100, 300])
    prior, likelihood = 10.0 ** rng.uniform(-spread, min(spread, 150), (2, n))
    likelihood[rng.random(n) < 0.1] = 0.0
    if not likelihood.any():
        likelihood[0] = 1.0
    products = [exactly(a) * exactly(b) for a, b in zip(prior, likelihood, strict=True)]
    want = [float(product / sum(products)) for product in products]
    np.testing.assert_allclose(bayes_posterior(prior, likelihood), want, rtol=1e-14, atol=1e-323)
    np.testing.assert_allclose(
        bayes_posterior(prior, np.tile(likelihood, (1000, 1)))[777], want, rtol=1e-14, atol=1e-323
    )


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_pointwise_mutual_information(dtype, n):
    rng = np.random.default_rng(n)
    x = rng.poisson(3, (70, n)).astype(dtype)
    x[0, 0] += 1
    x[3] = 0
    want = reference.pointwise_mutual_information(x)
    close = {"rtol": 4 * LIMITS[dtype].eps, "atol": 4 * LIMITS[dtype].eps}
    for form in (x, np.asfortranarray(x), x.astype(np.int64) if dtype is np.float64 else x):
        got = pointwise_mutual_information(form, normalize=True)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, **close)
    np.testing.assert_allclose(pointwise_mutual_information(x, normalize=True, base=2), want / np.log(2), **close)
    few = x[:, :30]
    p = (few / few.sum(dtype=np.float64)).astype(dtype)
    np.testing.assert_allclose(pointwise_mutual_information(p), reference.pointwise_mutual_information(few), atol=3e-5)
    X = sp.csr_array(x)
    sparse = pointwise_mutual_information(X, normalize=True)
    assert sparse.dtype == dtype
    np.testing.assert_allclose(sparse.data, want[x > 0], **close)
    np.testing.assert_array_equal(sparse.indices, X.indices)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pointwise_mutual_information_has_its_digits_where_it_is_near_0(dtype, form):
    rng = np.random.default_rng(0)
    some = [rng.integers(1, 60, (6, 7)) for _ in range(5)]
    some += [np.outer(rng.integers(900, 1100, 5), rng.integers(900, 1100, 40)) + rng.integers(0, 3, (5, 40))]
    for counts in some:
        x = counts.astype(dtype)
        total, rows, columns = int(counts.sum()), counts.sum(axis=1), counts.sum(axis=0)
        got = pointwise_mutual_information(form(x), normalize=True)
        got = got.toarray() if sp.issparse(got) else got
        with mpmath.workdps(60):
            for (i, j), count in np.ndenumerate(counts):
                want = mpmath.log(mpmath.mpf(int(count)) * int(total) / (int(rows[i]) * int(columns[j])))
                assert abs(float(got[i, j]) - want) <= 4 * float(np.spacing(np.abs(dtype(want))))


def test_information_of_numbers_with_any_exponent():
    """What pairs have in common may be a number where products and quotients of their shares are none."""
    for exponent in (-1070, -1000, -500, 0, 500, 1000, 1020):
        for diagonal in ([1.0, 1.0], [1.0, 2.0**-300], [2.0**-30, 1.0]):
            joint = np.ldexp(np.diag(diagonal), exponent)
            if not (joint.diagonal() > 0).all():
                continue
            p = np.array(diagonal) / np.sum(diagonal)
            for X in (joint, sp.csr_array(joint)):
                pmi = pointwise_mutual_information(X, normalize=True)
                pmi = pmi.toarray() if sp.issparse(pmi) else pmi
                np.testing.assert_allclose(pmi.diagonal(), -np.log(p), rtol=1e-14, atol=1e-15)
                np.testing.assert_allclose(
                    mutual_information(X, normalize=True), -np.sum(p * np.log(p)), rtol=1e-14, atol=1e-15
                )
    far = np.array([[1e20, 0.0], [0.0, 1e-310]])
    assert mutual_information(far, normalize=True) == 0.0
    np.testing.assert_allclose(pointwise_mutual_information(far, normalize=True)[1, 1], np.log(1e20) - np.log(1e-310))
    np.testing.assert_allclose(
        pointwise_mutual_information([[1e-300, 1e-300], [1e-5, 1e-5]], normalize=True), 0, atol=1e-15
    )
    np.testing.assert_allclose(pointwise_mutual_information([[1e-310]]), -np.log(1e-310), rtol=1e-15)


@pytest.mark.parametrize("size", [(3, 4), (40, 50), (300, 200)])
def test_mutual_information_has_its_digits_where_variables_are_nearly_independent(size):
    rng = np.random.default_rng(0)
    joint = np.multiply.outer(rng.integers(100, 200, size[0]), rng.integers(100, 200, size[1])).astype(float)
    joint += rng.integers(0, 2, size)
    with mpmath.workdps(40):
        x = [[mpmath.mpf(v) for v in row] for row in joint.tolist()]
        a, b = [mpmath.fsum(row) for row in x], [mpmath.fsum(column) for column in zip(*x, strict=True)]
        total = mpmath.fsum(a)
        truth = mpmath.fsum(
            v / total * mpmath.log(v * total / (s * t))
            for row, s in zip(x, a, strict=True)
            for v, t in zip(row, b, strict=True)
        )
    assert 0 < truth < 1e-9
    assert mutual_information(joint, normalize=True) == pytest.approx(float(truth), rel=1e-4)
    assert mutual_information(joint.astype(np.int64), normalize=True) == mutual_information(joint, normalize=True)


@pytest.mark.parametrize("n", [1, 2, 10, 32, 33])
@pytest.mark.parametrize("dtype", [*DTYPES, np.int64])
def test_mutual_information_of_many_rows(dtype, n):
    """Of rows of all lengths, some of them empty; and of numbers that are no shares, which makes it another sum."""
    rng = np.random.default_rng(n)
    x = rng.poisson(1.0, (70_000 // n, n)).astype(dtype)
    x[5] = 0
    p = x.astype(np.float64) / np.sum(x, dtype=np.float64)
    outer = p.sum(axis=1, keepdims=True) * p.sum(axis=0)
    terms = np.zeros_like(p)
    terms[p > 0] = p[p > 0] * np.log(p[p > 0] / outer[p > 0])
    want = float(terms.sum())
    assert mutual_information(x, normalize=True) == pytest.approx(want, rel=1e-9, abs=1e-15)
    twice = float((2 * terms - 2 * p * np.log(2)).sum())
    assert mutual_information(2 * p) == pytest.approx(twice, rel=1e-9, abs=1e-15)
    if dtype is not np.int64:
        for value, found in ((-1, np.inf), (np.nan, np.nan)):
            x[-1, 0] = value
            np.testing.assert_equal(mutual_information(x, normalize=True), found)


def test_few_numbers_and_many_have_the_same_bits():
    rng = np.random.default_rng(3)
    x = rng.random((50, 40)) + 0.1
    many = np.tile(x, (20, 1))
    assert x.size <= tables.FEW_VALUES < many.size
    np.testing.assert_array_equal(conditional_probability(many)[-50:], conditional_probability(x))
    np.testing.assert_array_equal(bayes_posterior(x[0], many)[-50:], bayes_posterior(x[0], x))
    rows, columns = np.empty(50), np.zeros(40)
    tables.add_up(x, rows, columns)
    out = np.empty_like(x)
    tables.associate(x, rows, sum(rows.tolist()), columns, 1 / columns, 1.0, out)
    np.testing.assert_array_equal(pointwise_mutual_information(x, normalize=True), out)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 4), (700, 40), (3000, 9), (40, 5, 300)])
def test_results_are_written_where_they_are_told(shape, dtype):
    x = np.random.default_rng(5).random(shape).astype(dtype) + dtype(0.1)
    prior = x.reshape(-1, shape[-1])[0].copy()
    matrix = x.reshape(-1, shape[-1])
    calls = [
        (x, lambda x, out, axis=axis: conditional_probability(x, axis, alpha=0.5, out=out)) for axis in range(x.ndim)
    ]
    calls += [(matrix, lambda x, out, log=log: bayes_posterior(prior, x, log=log, out=out)) for log in (False, True)]
    calls += [(matrix, lambda x, out: pointwise_mutual_information(x, normalize=True, out=out))]
    for given_, call in calls:
        want = call(given_, None)
        assert want.dtype == dtype
        out = np.full_like(given_, np.nan)
        assert call(given_, out) is out
        np.testing.assert_array_equal(out, want)
        np.testing.assert_array_equal(call(np.asfortranarray(given_), out), want)
        itself = given_.copy()
        assert call(itself, itself) is itself
        np.testing.assert_array_equal(itself, want)
        memory = np.append(given_.ravel(), dtype(1))
        refused = [
            (given_, out[:-1]),
            (given_, out.astype(np.float32 if dtype == np.float64 else np.float64)),
            (given_, np.asfortranarray(out)),
            (given_, out.tolist()),
            (memory[:-1].reshape(given_.shape), memory[1:].reshape(given_.shape)),
        ]
        out.flags.writeable = False
        for x_, bad in [*refused, (given_, out)]:
            with pytest.raises(ValueError, match=r"^out must be"):
                call(x_, bad)
    for of_pairs in (conditional_probability, pointwise_mutual_information):
        with pytest.raises(ValueError, match="takes no out"):
            of_pairs(sp.csr_array(np.eye(2)), out=np.empty((2, 2)))


def test_a_posterior_is_float32_if_all_that_is_given_is():
    prior, likelihood = np.array([0.25, 0.75], np.float32), np.array([[0.5, 0.5]], np.float32)
    for log in (False, True):
        assert bayes_posterior(prior, likelihood, log=log).dtype == np.float32
        assert bayes_posterior(prior.astype(np.float64), likelihood, log=log).dtype == np.float64
        assert bayes_posterior(prior, likelihood.astype(np.float64), log=log).dtype == np.float64


def test_results_do_not_depend_on_threads():
    rng = np.random.default_rng(7)
    wide, long, table = rng.random((1500, 700)), rng.random((120_000, 9)), rng.poisson(1.0, (1400, 500))
    # many entries on few columns: sums of columns are cut
    X = sp.csr_array(table * (rng.random(table.shape) < 0.7))
    logs = np.log(long)
    calls = [
        lambda: conditional_probability(wide),
        lambda: conditional_probability(wide, 0),
        lambda: conditional_probability(long, 0),
        lambda: conditional_probability(np.tile(wide, (3, 1)), 0),
        lambda: conditional_probability(wide.astype(np.float32), alpha=0.5),
        lambda: conditional_probability(long),
        lambda: conditional_probability(table),
        lambda: conditional_probability(X).data,
        lambda: bayes_posterior(np.arange(9.0), long),
        lambda: bayes_posterior(logs[0], logs, log=True),
        lambda: pointwise_mutual_information(table, normalize=True),
        lambda: pointwise_mutual_information(wide.astype(np.float32)),
        lambda: pointwise_mutual_information(X, normalize=True).data,
        lambda: mutual_information(table, normalize=True),
        lambda: mutual_information(wide.astype(np.float32), normalize=True),
        lambda: mutual_information(X, normalize=True),
        lambda: information_gain(X, np.arange(1400) % 150),
    ]
    for call in calls:
        found = []
        for n_threads in (1, 2, 5):
            with deciban.config_context(n_threads=n_threads):
                found.append(np.asarray(call()).tobytes())
        assert found[0] == found[1] == found[2]


def test_matrices_of_somebody_are_neither_kept_nor_changed():
    X = sp.csr_array(np.array([[1.0, 3.0], [0.0, 2.0]]))
    for call in (conditional_probability, lambda X: pointwise_mutual_information(X, normalize=True)):
        found = call(X)
        for part, theirs in ((found.data, X.data), (found.indices, X.indices), (found.indptr, X.indptr)):
            assert not np.shares_memory(part, theirs)
    twice = sp.csr_array((np.ones(4), np.array([1, 1, 0, 1]), np.array([0, 2, 4])), (2, 2))
    np.testing.assert_allclose(conditional_probability(twice).toarray(), [[0, 1], [0.5, 0.5]])
    assert twice.nnz == 4


def test_what_kernels_refuse():
    x, rows = np.ones((3, 4)), np.ones(3)
    columns = np.ones(4)
    calls = [
        (shares.share, (x, None, 0.0, 5, 1, 0, 1, x.copy())),
        (shares.share, (x, None, 0.0, 4, 1, 0, 4, x.copy())),
        (shares.share, (x, None, 0.0, 4, 1, 0, 3, x.astype(np.float32))),
        (shares.share, (x, None, 0.0, 4, 1, 0, 3, x[:2].copy())),
        (shares.share, (x.astype(np.int64), None, 0.0, 4, 1, 0, 3, x.astype(np.int64))),
        (shares.share, (x, np.ones(3), 0.0, 4, 1, 0, 3, x.copy())),
        (shares.share, (x[:, ::2], None, 0.0, 2, 1, 0, 3, np.ones((3, 2)))),
        (shares.sum_columns, (x, 0.0, 0, 4, np.ones((2, 4)))),
        (shares.sum_columns, (x, 0.0, 2, 1, np.ones((2, 4)))),
        (shares.sum_columns, (x, 0.0, 0, 3, np.ones((2, 3)))),
        (shares.sum_columns, (x, 0.0, 0, 3, np.ones((2, 4), np.float32))),
        (shares.sum_columns, (x.astype(np.int64), 0.0, 0, 3, np.ones((2, 4)))),
        (shares.sum_columns, (x[:, :0], 0.0, 0, 3, np.ones((2, 0)))),
        (shares.divisors, (np.ones((2, 4)), np.ones((2, 3)))),
        (shares.divisors, (np.ones((3, 4)), np.ones((2, 6)))),
        (shares.divide_columns, (x, 0.0, np.ones((2, 4)), 0, 4, x.copy())),
        (shares.divide_columns, (x, 0.0, np.ones((2, 3)), 0, 3, x.copy())),
        (shares.divide_columns, (x, 0.0, np.ones((2, 4), np.float32), 0, 3, x.copy())),
        (shares.divide_columns, (x, 0.0, np.ones((2, 4)), 0, 3, x[:2].copy())),
        (tables.add_up, (x, rows[:2], columns)),
        (tables.add_up, (x, rows, columns[:3])),
        (tables.add_up, (x.astype(np.int32), rows, columns)),
        (tables.add_up, (columns, rows, columns)),
        (tables.associate, (x, rows, 1.0, columns, columns[:3], 1.0, x.copy())),
        (tables.divergences, (x, rows, columns, 1.0, True, rows[:2].copy())),
        (tables.divergences, (x.astype(np.float32), rows, columns, 1.0, True, rows.copy())),
    ]
    for kernel, arguments in calls:
        with pytest.raises(ValueError, match=r"do(es)? not agree|must be"):
            kernel(*arguments)
    for axis in (2, -3):
        with pytest.raises(np.exceptions.AxisError, match="out of bounds"):
            conditional_probability(x, axis)
    with pytest.raises(np.exceptions.AxisError, match="out of bounds"):
        conditional_probability(1.0)
    for axis in (None, (0,), 0.0):
        with pytest.raises(TypeError, match="integer"):
            conditional_probability(x, axis)
    assert conditional_probability(np.empty((0, 3))).shape == (0, 3)
    assert conditional_probability(np.empty((3, 0)), 0).shape == (3, 0)


@pytest.mark.parametrize("tier", ["baseline", "v3"])
def test_every_tier(tier):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not every_tier", __file__]
    environment = {**os.environ, "DECIBAN_CPU": tier, "DECIBAN_EXAMPLES": "20"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
