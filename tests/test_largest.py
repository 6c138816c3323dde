"""Classes found in fixed point are those of the scores in double precision, or in doubt."""

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.naive_bayes as theirs
from hypothesis import given
from hypothesis import strategies as st

import deciban.naive_bayes as ours
from deciban._kernels import largest, posterior
from deciban._largest import FixedTable

DTYPES = ["float64", "float32", "int64", "int32"]


def fixed_table(table):
    fixed = FixedTable(*table.shape, table.min(), table.max())
    fixed.write(0, table)
    return fixed


def joint(X, table, offset):
    """Return the scores as SciPy adds them up."""
    scores = sp.csr_matrix((X.data.astype(float), X.indices, X.indptr), X.shape) @ table
    return scores + offset


def samples(seed, n_rows, n_features, values, dtype="int64", index=np.int32):
    rng = np.random.default_rng(seed)
    X = sp.random(n_rows, n_features, 0.3, format="csr", random_state=seed, data_rvs=lambda n: rng.choice(values, n))
    X = X.astype(dtype)
    X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    return X


def check(X, table, offset, binary=False, threshold=0.0):
    """Check every row that is not in doubt; return the share of those that are."""
    found, trouble = fixed_table(table).answer(X, offset, binary, threshold)
    assert trouble == 0
    counted = (threshold < X).astype(float) if binary else X
    settled = found >= 0
    np.testing.assert_array_equal(found[settled], np.argmax(joint(counted, table, offset), axis=1)[settled])
    return 1 - settled.mean()


@given(
    n_classes=st.integers(1, 70),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([1e-300, 1e-20, 1.0, 30.0, 1e20]),
    closeness=st.sampled_from([0.0, 1e-14, 1e-9, 1e-7, 1e-5, 1.0]),
    dtype=st.sampled_from(DTYPES),
    index=st.sampled_from([np.int32, np.int64]),
    values=st.sampled_from([[1], [0, 1, 2, 3], [-3, 0.37, 2.5], [1e-3, 1e3], [1e-42, 1e-41], [30000, 40000]]),
    binary=st.booleans(),
)
def test_the_largest_class_is_right_or_left_in_doubt(n_classes, seed, scale, closeness, dtype, index, values, binary):
    rng = np.random.default_rng(seed)
    X = samples(seed, 20, 50, values, dtype, index)
    # classes that differ by about as little as fixed point tells apart, and of the whole range
    table = rng.normal(size=(50, 1)) + closeness * rng.normal(size=(50, n_classes))
    table[7] = rng.uniform(-20, 20, n_classes)
    offset = scale * closeness * rng.normal(size=n_classes)
    check(X, scale * table, offset, binary, rng.choice([0.0, 1.0]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_classes", [1, 2, 5, 8, 9, 16, 17, 20, 21, 22, 32, 33, 40, 100])
def test_few_rows_are_in_doubt(n_classes, dtype):
    rng = np.random.default_rng(n_classes)
    X = samples(0, 300, 2000, [1, 2, 5] if dtype.startswith("i") else [0.1, 0.2, 1.7], dtype)
    table, offset = np.log(rng.dirichlet(np.full(2000, 0.1), n_classes).T + 1e-6), rng.normal(size=n_classes)
    for binary in (False, True):
        assert check(X, np.ascontiguousarray(table), offset, binary) < 0.02
        assert check(X, np.ascontiguousarray(table), np.zeros(n_classes), binary) < 0.02


@pytest.mark.parametrize("dtype", DTYPES)
def test_both_parts_decide(dtype):
    """Scores that differ in the lower bits alone are told apart, down to where those end."""
    X = sp.csr_matrix(np.ones((1, 3)), dtype=dtype)
    for difference, settled in ((1e-2, True), (1e-5, True), (1e-9, False)):
        table = np.array([[-8.0, 8.0, -8.0], [8.0, -8.0, 8.0], [0.0, -1.0, difference]])
        found, _ = fixed_table(table).answer(X, np.zeros(3), False, 0.0)
        assert found[0] == (2 if settled else -1)


def test_whole_numbers_that_are_too_large_take_the_long_way():
    table = np.array([[0.0, 1.0], [1.0, 0.0]])
    X = sp.csr_matrix(np.array([[40_000, 39_999], [-70_000, 0], [32_000, 33_800], [0, 0], [2**40, 5]]))
    found, trouble = fixed_table(table).answer(X, np.array([0.5, 0.25]), False, 0.0)
    assert trouble == 0
    np.testing.assert_array_equal(found, [1, 0, 0, 0, 1])


def test_equal_classes_are_in_doubt():
    X = samples(1, 50, 30, [1, 2])
    table = np.random.default_rng(0).normal(size=(30, 1)) @ np.ones((1, 3))
    found, _ = fixed_table(table).answer(X, np.zeros(3), False, 0.0)
    assert (found == -1).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("binary", [False, True])
def test_samples_that_are_not_finite_are_reported(value, dtype, binary):
    X = samples(2, 40, 30, [1, 2], dtype)
    X.data[50] = value
    _, trouble = fixed_table(np.random.default_rng(0).normal(size=(30, 3))).answer(X, np.zeros(3), binary, 0.0)
    assert trouble == largest.NONFINITE


@pytest.mark.parametrize("offset", [[np.nan, 0.0], [0.0, np.nan], [np.inf, 0.0]])
def test_offsets_that_are_not_finite_are_in_doubt(offset):
    X = samples(3, 20, 30, [1, 2])
    found, _ = fixed_table(np.random.default_rng(0).normal(size=(30, 2))).answer(X, np.array(offset), False, 0.0)
    assert (found == -1).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e35])
def test_scores_that_do_not_fit_are_of_no_use(value):
    table = np.random.default_rng(0).normal(size=(30, 5))
    table[17, 2] = value
    assert not fixed_table(table).usable
    fixed = FixedTable(30, 5, -10.0, 10.0)  # which takes the caller's word for how large they are
    fixed.write(0, table)
    assert not fixed.usable
    fixed = FixedTable(30, 5, -10.0, 10.0)
    fixed.write(0, np.clip(np.nan_to_num(table), -9, 9))
    assert fixed.usable


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("place", [0, 63, 64, 149])
@pytest.mark.parametrize("value", [-1, 30, 2**31 - 1])
def test_indices_out_of_range_are_reported_before_they_are_used(value, place, index):
    cells = np.zeros(largest.table_bytes(30, 4), np.uint8)
    data, indices, indptr = np.ones(150), np.zeros(150, index), np.array([0, 130, 150], index)
    arguments = cells, 30, 1.0, 1.0, np.zeros(4), False, 0.0, 0, 2, np.empty(2, np.intp)
    assert largest.largest_rows(data, indices, indptr, *arguments) == 0
    indices[place] = value
    assert largest.largest_rows(data, indices, indptr, *arguments) == largest.MALFORMED
    for bad in ([0, 151, 151], [-1, 3, 5], [0, 20, 10]):
        bad = np.array(bad, index)
        assert largest.largest_rows(data, np.zeros(150, index), bad, *arguments) == largest.MALFORMED


def test_shapes_that_do_not_agree_are_refused():
    data, indices, indptr = np.ones(3), np.zeros(3, np.int32), np.array([0, 1, 3], np.int32)
    cells, out = np.zeros(largest.table_bytes(30, 4), np.uint8), np.empty(2, np.intp)
    with pytest.raises(ValueError, match="shape"):
        largest.largest_rows(data, indices, indptr, cells, 31, 1.0, 1.0, np.zeros(4), False, 0.0, 0, 2, out)
    with pytest.raises(ValueError, match="shape"):
        largest.largest_rows(data, indices, indptr, cells, 30, 1.0, 1.0, np.zeros(6), False, 0.0, 0, 2, out)
    with pytest.raises(ValueError, match="shape"):
        largest.largest_rows(data, indices, indptr, cells, 30, 1.0, 1.0, np.zeros(4), False, 0.0, 0, 2, out[:1])
    with pytest.raises(ValueError, match="shape"):
        largest.pack(np.zeros((20, 4)), 0.0, 1.0, 11, cells)
    with pytest.raises(ValueError, match="shape"):
        largest.pack(np.zeros((20, 0)), 0.0, 1.0, 0, cells)


@given(seed=st.integers(0, 1000), n_classes=st.integers(1, 12), n_categories=st.integers(1, 9), fortran=st.booleans())
def test_categories_are_classified_as_scikit_learn_does(seed, n_classes, n_categories, fortran):
    rng = np.random.default_rng(seed)
    X, y = rng.integers(0, n_categories, (300, 5)), rng.permutation(np.arange(300) % n_classes)
    X[150:], y[150:] = X[:150], y[:150]
    X = np.asfortranarray(X) if fortran else X
    their, our = (module.CategoricalNB(fit_prior=bool(seed % 2)).fit(X, y) for module in (theirs, ours))
    np.testing.assert_array_equal(our.predict(X), their.predict(X))
    np.testing.assert_array_equal(our.predict(X[:1]), their.predict(X[:1]))


def test_categories_that_training_did_not_see_are_refused():
    X = np.random.default_rng(0).integers(0, 4, (300, 5))
    model = ours.CategoricalNB().fit(X, X[:, 0])
    X[299, 4] = 4
    with pytest.raises(IndexError):
        model.predict(X)
    starts, places = np.arange(0, 21, 4), np.empty((300, 5), np.int32)
    assert posterior.category_places(X, starts, 0, 299, places) == 0
    np.testing.assert_array_equal(places[:299], X[:299] + starts[:-1])
    assert posterior.category_places(X, starts, 299, 300, places) == posterior.MALFORMED
    X[0, 0] = -1
    assert posterior.category_places(X, starts, 0, 1, places) == posterior.MALFORMED
    for bad in ((X, starts[1:], 0, 300, places), (X, starts, 0, 301, places), (X, starts, 0, 300, places[1:])):
        with pytest.raises(ValueError, match="shape"):
            posterior.category_places(*bad)
