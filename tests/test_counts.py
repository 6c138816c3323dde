"""The tables behind naive Bayes: counts of 16 bits while they do, scores in fixed point while they decide."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
import reference
import scipy.sparse as sp
import sklearn.naive_bayes as theirs
from hypothesis import given
from hypothesis import strategies as st

import deciban
import deciban.naive_bayes as ours
from deciban._class_sums import count_sparse
from deciban._kernels import counts
from deciban.naive_bayes import _counts as counting

COUNTING = ["MultinomialNB", "ComplementNB", "BernoulliNB"]
LARGEST_CELL = (1 << 16) - 1
NO_WEIGHTS = np.empty(0)


def cells(model):
    return vars(model)["feature_count_"].cells.table


def fixed(model):
    return vars(model)["feature_log_prob_"].fixed


def assert_same_counts(their, our):
    np.testing.assert_array_equal(their.feature_count_, our.feature_count_)
    np.testing.assert_array_equal(their.feature_log_prob_, our.feature_log_prob_)
    np.testing.assert_array_equal(their.class_count_, our.class_count_)


# --- counts -----------------------------------------------------------------------------------------------------------

values = st.one_of(st.integers(0, 5), st.integers(LARGEST_CELL - 3, LARGEST_CELL + 3), st.just(0.5), st.just(2**40))


@st.composite
def matrices(draw, n_columns=4, largest_values=values):
    rows = draw(
        st.lists(st.lists(st.tuples(st.integers(0, n_columns - 1), largest_values), max_size=6), min_size=1, max_size=9)
    )
    dtype = draw(st.sampled_from(["float64", "float32", "int64", "int32"]))
    index = draw(st.sampled_from([np.int32, np.int64]))
    X = sp.csr_matrix((len(rows), n_columns), dtype=dtype)
    X.indptr = np.cumsum([0] + [len(row) for row in rows]).astype(index)
    X.indices = np.array([column for row in rows for column, _ in row], dtype=index)
    X.data = np.array([min(value, 2**30) if dtype == "int32" else value for row in rows for _, value in row], dtype)
    return X


@given(X=matrices(), data=st.data())
@pytest.mark.parametrize("binary", [False, True])
def test_sums_of_rows(binary, X, data):
    n_classes = 3
    codes = np.array(data.draw(st.lists(st.integers(-1, 2), min_size=X.shape[0], max_size=X.shape[0])), np.int32)
    dense = np.zeros(X.shape)
    for row in range(X.shape[0]):  # toarray() would add what is repeated in the data's own type
        for j in range(X.indptr[row], X.indptr[row + 1]):
            dense[row, X.indices[j]] += float(X.data[j] > 0) if binary else float(X.data[j])
    expected, _ = reference.count(dense, codes, n_classes)
    for n_threads in (1, 2, 5):
        with deciban.config_context(n_threads=n_threads):
            table, trouble = count_sparse(
                (X.data, X.indices, X.indptr), codes, n_classes, X.shape[1], NO_WEIGHTS, binary, 0.0
            )
        assert trouble == 0
        np.testing.assert_array_equal(table, expected)
        fits = (
            binary
            or ((X.data == X.data.astype(int)) & (X.data <= LARGEST_CELL))[
                np.repeat(codes >= 0, np.diff(X.indptr))
            ].all()
        )
        assert (table.dtype == np.uint16) == (fits and expected.max(initial=0) <= LARGEST_CELL)


@given(batch=matrices(largest_values=st.integers(0, LARGEST_CELL)), data=st.data())
def test_a_batch_that_does_not_fit_changes_nothing(batch, data):
    codes = np.array(
        data.draw(st.lists(st.integers(-1, 2), min_size=batch.shape[0], max_size=batch.shape[0])), np.int32
    )
    table = np.random.default_rng(0).integers(0, 1 << 16, (2, 4)).astype(np.uint16) // data.draw(
        st.sampled_from([1, 9])
    )
    before, done = table.copy(), np.zeros(1, np.uint8)
    added = np.zeros((2, 4))
    for row in range(batch.shape[0]):
        for j in range(batch.indptr[row], batch.indptr[row + 1]):
            if 0 <= codes[row] < 2:
                added[codes[row], batch.indices[j]] += float(batch.data[j])
    fits = counts.grow_rows(batch.data, batch.indices, batch.indptr, codes, False, 0.0, table, done)
    assert fits == done[0] == bool((before + added <= LARGEST_CELL).all())
    np.testing.assert_array_equal(table, before + added if fits else before)


@pytest.mark.parametrize("name", COUNTING)
@pytest.mark.parametrize("size", [100, 30_000, LARGEST_CELL, LARGEST_CELL + 1, 10**6])
def test_counts_outgrow_their_cells(name, size):
    """Whole numbers start small, and widen where a sum asks for it, in fit and in small and large batches."""
    X = sp.csr_matrix(np.array([[size, 1, 0, 2], [1, 0, size, 0], [0, 3, 1, 1]] * 20 + [[0, 0, 0, 1]] * 40))
    y = np.arange(100) % 2
    their, our = getattr(theirs, name)(), getattr(ours, name)()
    for model in (their, our):
        model.fit(X[:3], y[:3])
    assert (cells(our).dtype == np.uint16) == (size <= LARGEST_CELL or name == "BernoulliNB")
    for start, stop in [(0, 1), (1, 3), (3, 100), (0, 2), (50, 100)]:
        wide = cells(our).dtype == np.float64
        for model in (their, our):
            model.partial_fit(X[start:stop], y[start:stop])
        assert not wide or cells(our).dtype == np.float64  # there is no way back
        seen = copy.deepcopy(our)  # looking at counts widens them, here those of the copy
        assert_same_counts(their, seen)
        np.testing.assert_array_equal(their.predict(X), our.predict(X))
    halves = X.astype(float) * 0.5
    for model in (their, our):
        model.partial_fit(halves[:1], y[:1])
    assert_same_counts(their, our)


def test_counts_that_somebody_looked_at_are_doubles_and_grow_in_place():
    X = sp.csr_matrix(np.eye(40, dtype=int))
    model = ours.MultinomialNB().fit(X, np.arange(40) % 2)
    assert cells(model).dtype == np.uint16
    view = model.feature_count_
    assert view.dtype == np.float64
    model.partial_fit(X[:2], np.array([0, 1]))
    assert view.sum() == 42
    assert model.feature_count_ is view


@pytest.mark.parametrize("name", COUNTING)
def test_tables_go_with_their_model_and_leave_their_memory(name):
    X, y = large()
    with deciban.config_context(n_threads=1):  # a pool's queue may hold a task for a moment
        model = getattr(ours, name)().fit(X, y)
        model.predict(X)
    gone = weakref.ref(cells(model))
    gc.disable()
    try:
        del model
        assert gone() is None
    finally:
        gc.enable()


def test_a_twin_does_not_write_into_the_original():
    X, y = sp.csr_matrix(np.eye(4)), np.array([0, 1, 0, 1])
    original = theirs.MultinomialNB().fit(X, y)
    before = original.feature_count_.copy()
    ours.MultinomialNB.from_sklearn(original).partial_fit(X, y)
    np.testing.assert_array_equal(original.feature_count_, before)


def test_kernels_refuse_what_does_not_agree():
    X = sp.csr_matrix(np.eye(3))
    parts, table, starts, order = (
        (X.data, X.indices, X.indptr),
        np.zeros((2, 3), np.uint16),
        np.array([0, 3, 3]),
        np.arange(3),
    )

    def sum_rows(starts=starts, order=order, weights=NO_WEIGHTS, stop=2, table=table):
        counts.sum_rows(*parts, starts, order, weights, 0, stop, False, 0.0, table)

    sum_rows()
    for wrong in ({"weights": np.ones(3)}, {"stop": 3}, {"table": np.zeros((2, 0), np.uint16)}, {"starts": starts[:2]}):
        with pytest.raises(ValueError, match="shape"):
            sum_rows(**wrong)
    for wrong in ({"starts": np.array([0, 4, 4])}, {"starts": np.array([-1, 2, 3])}, {"starts": np.array([2, 1, 3])}):
        with pytest.raises(ValueError, match="starts"):
            sum_rows(**wrong)
    for wrong in (np.array([0, 1, 3]), np.array([-1, 0, 1])):
        with pytest.raises(ValueError, match="order"):
            sum_rows(order=wrong)
    with pytest.raises(ValueError, match="shape"):
        counts.look_up_logs(table, np.zeros(10), np.zeros(2), 0, np.empty((3, 2)))
    with pytest.raises(ValueError, match="shape"):
        counts.grow_rows(*parts, np.zeros(4, np.int32), False, 0.0, table, np.zeros(1, np.uint8))


# --- scores in fixed point --------------------------------------------------------------------------------------------


def large(seed=0, n_features=30_000, n_classes=7, n_rows=400):
    rng = np.random.default_rng(seed)
    X = sp.random(n_rows, n_features, 0.006, format="csr", random_state=seed, data_rvs=lambda n: rng.integers(1, 4, n))
    return X.astype(np.int64), rng.integers(0, n_classes, n_rows)


@pytest.mark.parametrize("alpha", [1.0, 0.3])
@pytest.mark.parametrize("values", ["whole", "real"])
@pytest.mark.parametrize("name", COUNTING)
def test_predictions_with_a_large_table(name, values, alpha):
    X, y = large()
    if values == "real":
        X = X.astype(float) * 0.37
    # documents without a known word, and classes that no word tells apart
    X = sp.vstack([X, sp.csr_matrix((3, X.shape[1]), dtype=X.dtype), X[:5]]).tocsr()
    y = np.concatenate([y, [0, 1, 2], (y[:5] + 1) % 7])
    their, our = getattr(theirs, name)(alpha=alpha).fit(X, y), getattr(ours, name)(alpha=alpha).fit(X, y)
    answers = [our.predict(X) for _ in range(2)]
    if name != "BernoulliNB":
        assert fixed(our) is not None
    our.predict_proba(X)
    answers += [our.predict(X), our.predict(X)]
    assert fixed(our) is not None
    for n_threads in (1, 2, 5):
        with deciban.config_context(n_threads=n_threads):
            answers.append(our.predict(X))
    for answer in answers:
        np.testing.assert_array_equal(answer, their.predict(X))
    np.testing.assert_allclose(our.feature_log_prob_, their.feature_log_prob_, rtol=1e-15)  # NumPy 1's log: to an ulp
    assert fixed(our) is None  # what is written into the array now must count
    for model in (their, our):
        model.feature_log_prob_[2] += 3.0
        if name == "BernoulliNB":  # makes its own table, of the array when it is assigned
            model.feature_log_prob_ = np.minimum(model.feature_log_prob_, -1e-3)
    for _ in range(2):
        np.testing.assert_array_equal(our.predict(X), their.predict(X))


@pytest.mark.parametrize("name", ["MultinomialNB", "ComplementNB"])
def test_classes_that_are_equal_are_told_by_their_order(name):
    """Twins of a class tie in every document, so that fixed point decides nothing."""
    X, y = large(n_classes=4)
    X, y = sp.vstack([X, X]).tocsr(), np.concatenate([y, y + 4])
    their, our = getattr(theirs, name)(fit_prior=False).fit(X, y), getattr(ours, name)(fit_prior=False).fit(X, y)
    np.testing.assert_array_equal(our.predict(X), their.predict(X))
    assert our.predict(X).max() < 4


def test_bad_samples_are_refused_with_a_large_table():
    X, y = large()
    model = ours.MultinomialNB().fit(X, y)
    model.predict(X)
    bad = X.copy()
    bad.indices[5] = X.shape[1]
    with pytest.raises(ValueError, match="ind"):
        model.predict(bad)
    bad = X.astype(float)
    bad.data[7] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        model.predict(bad)
    for bad in (np.zeros(X.shape[1]), np.array(1.0), np.zeros((1, 3))):
        with pytest.raises(ValueError, match=r"array|features"):
            model.predict(bad)
    model.class_log_prior_ = np.zeros(3)
    with pytest.raises(ValueError, match="class_log_prior_ must have shape"):
        model.predict(X)


def test_pickles_of_large_models_predict_the_same():
    X, y = large()
    model = ours.MultinomialNB().fit(X, y)
    expected = model.predict(X)
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin.predict(X), expected)
    model.partial_fit(X[:50], y[:50])
    their = theirs.MultinomialNB().fit(X, y).partial_fit(X[:50], y[:50])
    np.testing.assert_array_equal(model.predict(X), their.predict(X))


@pytest.mark.parametrize("name", COUNTING)
@pytest.mark.parametrize("how", ["pickle", "deepcopy", "glance", "dump"])
def test_tables_that_nobody_holds_are_fixed_again(name, how):
    X, y = large()
    model = getattr(ours, name)().fit(X, y)
    expected = model.predict(X)
    if how == "pickle":
        model = pickle.loads(pickle.dumps(model))
    elif how == "deepcopy":
        model = copy.deepcopy(model)
    elif how == "glance":
        assert model.feature_log_prob_[0, 0] < 1e3
    else:
        pickle.dumps(model)
    assert fixed(model) is None
    for _ in range(2):
        np.testing.assert_array_equal(model.predict(X), expected)
        assert fixed(model) is not None
    np.testing.assert_array_equal(model.predict(X[:3]), expected[:3])


HOLD = {
    "the array": lambda table: table,
    "a view": lambda table: table[:, 1:],
    "the transpose": lambda table: table.T,
    "its base": lambda table: table.base,
    "a row's view": lambda table: table[0][::2],
    "memory": memoryview,
    "a copy of the model": None,
}


@pytest.mark.parametrize("name", ["MultinomialNB", "ComplementNB"])
@pytest.mark.parametrize("hold", HOLD)
@pytest.mark.parametrize("loaded", [False, True])
def test_tables_that_somebody_holds_are_read(name, hold, loaded):
    X, y = large()
    model = getattr(ours, name)().fit(X, y)
    if loaded:
        model = pickle.loads(pickle.dumps(model))
    held = copy.copy(model) if HOLD[hold] is None else HOLD[hold](model.feature_log_prob_)
    for _ in range(2):
        model.predict(X)
        assert fixed(model) is None
    table = held.feature_log_prob_ if HOLD[hold] is None else held
    if table is None:  # an array that has no base
        return
    np.asarray(table)[...] = 0.0
    joint = X @ model.feature_log_prob_.T
    joint += model.class_log_prior_ if name == "MultinomialNB" else 0.0
    np.testing.assert_array_equal(model.predict(X), model.classes_[np.argmax(joint, axis=1)])


# --- labels -----------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(("int64", "int32", "int16", "uint8", "uint64", ">i4")),
    st.lists(st.integers(0, 120), min_size=1, max_size=60),
    st.integers(0, 3),
    st.sampled_from((1, 2, -1)),
)
def test_labels_are_ranked(dtype, labels, far, step):
    y = np.array(labels, dtype=dtype)
    y += np.array(0 if far == 0 else np.iinfo(dtype).max - 120 if far == 1 else 3, dtype=dtype)
    y = y[::step]
    classes, codes = counting.encode(y)
    expected, inverse = np.unique(y, return_inverse=True)
    np.testing.assert_array_equal(classes, expected)
    np.testing.assert_array_equal(codes, inverse)
    assert classes.dtype.isnative
    assert codes.dtype == np.int32


@pytest.mark.parametrize("n_threads", [1, 2])
def test_many_labels_are_ranked(n_threads):
    y = np.random.default_rng(0).integers(-(1 << 17), 1 << 17, 300_000)
    y[0], y.flags.writeable = np.iinfo(np.int32).max, False
    with deciban.config_context(n_threads=n_threads):
        for labels in (y[1:], y, np.full(300_000, np.iinfo(np.int64).min)):
            classes, codes = counting.encode(labels)
            np.testing.assert_array_equal(classes[codes], labels)
            np.testing.assert_array_equal(classes, np.unique(labels))


def test_labels_without_a_place():
    y = np.array([3, 9, 4])
    with pytest.raises(ValueError, match="no place"):
        counts.find_labels(y, 3, np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match="no place"):
        counts.find_labels(y, 4, np.zeros(9, np.uint8))
    codes = np.full(3, 7, np.int32)
    counts.rank_labels(y, 3, np.arange(5, dtype=np.int32), 0, 3, codes)
    assert codes.tolist() == [0, -1, 1]
    for start, stop in ((-1, 3), (0, 4), (2, 1)):
        with pytest.raises(ValueError, match="no such rows"):
            counts.rank_labels(y, 3, np.arange(5, dtype=np.int32), start, stop, codes)
