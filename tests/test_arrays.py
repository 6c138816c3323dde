"""The border: a malformed CSR matrix is named as such, a right one is taken as it is."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

from deciban import _arrays
from deciban._arrays import aligned_empty, csr_parts, feature_major, make_csr
from deciban._kernels import csr


def matrix(data, indices, indptr, shape):
    """A CSR matrix that SciPy has not checked."""
    X = sp.csr_matrix(shape)
    X.data, X.indices, X.indptr = (np.asarray(part) for part in (data, indices, indptr))
    return X


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize(
    ("data", "indices", "indptr", "message"),
    [
        ([1.0], [0, 1], [0, 1, 2], "same length, got 1 and 2"),
        ([1.0, 2.0], [0, 3], [0, 1, 2], "column index 3 .* out of range for 3 columns"),
        ([1.0, 2.0], [0, -1], [0, 1, 2], "column index -1"),
        ([1.0, 2.0], [0, 1], [0, 2, 1], "must not decrease, got 2 then 1 at row 1"),
        ([1.0, 2.0], [0, 1], [0, -1, 2], "must not decrease, got 0 then -1 at row 0"),
        ([1.0, 2.0], [0, 1], [1, 1, 2], "must start with 0, got 1"),
        ([1.0, 2.0], [0, 1], [0, 1, 3], "ends at 3, past its 2 stored entries"),
        ([1.0, 2.0], [0, 1], [0, 2], "with 2 rows must have 3 entries, got 2"),
        ([1.0, 2.0], [0, 1], [], "must have 3 entries, got 0"),
    ],
)
def test_what_is_wrong_is_named(data, indices, indptr, message, dtype):
    with pytest.raises(ValueError, match=message):
        csr_parts(matrix(data, np.array(indices, dtype), np.array(indptr, dtype), (2, 3)))


def test_wrong_kinds_of_parts():
    with pytest.raises(ValueError, match=r"indices .* must be integers, got dtype float64"):
        csr_parts(matrix([1.0], [0.0], np.array([0, 1]), (1, 1)))
    with pytest.raises(ValueError, match=r"data .* one-dimensional"):
        csr_parts(matrix([[1.0]], [0], [0, 1], (1, 1)))


@given(
    hnp.arrays(st.sampled_from([np.int32, np.int64]), st.integers(0, 6), elements=st.integers(-2, 7)),
    hnp.arrays(st.sampled_from([np.int32, np.int64, np.uint8]), st.integers(0, 6), elements=st.integers(0, 7)),
    st.integers(0, 5),
    st.integers(0, 4),
)
def test_arbitrary_parts_are_right_or_refused(indptr, indices, n_rows, n_cols):
    n = len(indices)
    right = (
        len(indptr) == n_rows + 1
        and indptr[0] == 0
        and (np.diff(indptr) >= 0).all()
        and indptr[-1] <= n
        and (indices[: indptr[-1]] < n_cols).all()
    )
    X = matrix(np.ones(n), indices, indptr, (n_rows, n_cols))
    if right:
        _, checked_indices, checked_indptr = csr_parts(X)
        assert checked_indices.dtype == checked_indptr.dtype
        np.testing.assert_array_equal(checked_indices, indices)
        np.testing.assert_array_equal(checked_indptr, indptr)
    else:
        with pytest.raises(ValueError, match="CSR matrix"):
            csr_parts(X)


def test_right_parts_are_not_copied(tmp_path):
    X = sp.random(20, 30, 0.2, "csr")
    for part, given_part in zip(csr_parts(X), (X.data, X.indices, X.indptr), strict=True):
        assert np.shares_memory(part, given_part)
    for name in ("data", "indices", "indptr"):
        np.save(tmp_path / f"{name}.npy", getattr(X, name))
    mapped = matrix(*(np.load(tmp_path / f"{n}.npy", mmap_mode="r") for n in ("data", "indices", "indptr")), X.shape)
    for part, given_part in zip(csr_parts(mapped), (X.data, X.indices, X.indptr), strict=True):
        np.testing.assert_array_equal(part, given_part)


def test_strided_and_foreign_parts_are_made_plain():
    X = sp.random(20, 30, 0.2, "csr")
    strided = matrix(np.repeat(X.data, 2)[::2], np.repeat(X.indices, 2)[::2], X.indptr.astype(">i4"), X.shape)
    for part, given_part in zip(csr_parts(strided), (X.data, X.indices, X.indptr), strict=True):
        assert part.flags.c_contiguous
        assert part.dtype.isnative
        np.testing.assert_array_equal(part, given_part)


@pytest.mark.parametrize("container", [sp.csr_matrix, sp.csr_array])
def test_a_matrix_of_parts_is_as_scipys_own(container):
    X = container(sp.random(20, 30, 0.2, "csr"))
    Y = make_csr(container, X.data, X.indices, X.indptr, X.shape)
    assert type(Y) is container
    assert vars(Y).keys() == vars(container((0, 0))).keys()
    assert Y.shape == X.shape
    assert (Y != X).nnz == 0
    np.testing.assert_array_equal((Y.T @ Y).toarray(), (X.T @ X).toarray())
    assert make_csr(container, X.data, X.indices, X.indptr, X.shape)[2:5].shape == (3, 30)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 100])
def test_all_finite(dtype, n):
    x = np.full(n, np.finfo(dtype).max, dtype)
    assert csr.all_finite(x, 0, n)
    for bad in (np.nan, np.inf, -np.inf):
        for i in range(n):
            y = x.copy()
            y[i] = bad
            assert not csr.all_finite(y, 0, n)
            assert csr.all_finite(y, i + 1, n)


@pytest.mark.parametrize("shape", [(1, 1), (7, 20), (130_107, 20)])
def test_aligned_arrays_start_on_a_cache_line(shape):
    table = aligned_empty(shape)
    assert table.ctypes.data % 64 == 0
    assert table.shape == shape
    assert table.flags.c_contiguous
    assert table.flags.writeable


def test_large_arrays_leave_their_memory_to_the_next_but_only_when_no_view_is_left():
    n = (1 << 20) // 8 + 3
    first = aligned_empty((n, 2))
    assert first.ctypes.data % 64 == 0
    first[:] = 7.0
    view, where = first.T[1][5:], first.ctypes.data
    del first
    second = aligned_empty((n, 2))
    assert second.ctypes.data != where
    second[:] = 0.0
    assert (view == 7.0).all()
    del view
    third = aligned_empty((2 * n - 5,))
    assert third.ctypes.data == where
    assert aligned_empty((10,)).ctypes.data % 64 == 0
    fourth = aligned_empty((n // 2, 2), np.float32)  # far smaller than what is there
    assert (fourth.shape, fourth.dtype) == ((n // 2, 2), np.float32)


def test_little_memory_is_kept():
    for _ in range(3):
        arrays = [aligned_empty((1 << 22,)) for _ in range(4)]  # 32 MB each
        del arrays
        assert sum(map(len, _arrays._reserve)) <= 1 << 26


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_coefficients_are_laid_out_feature_by_feature(dtype):
    coef = np.arange(21, dtype=dtype).reshape(3, 7)
    got = feature_major(coef)
    assert got.T.flags.c_contiguous
    assert got.T.ctypes.data % 64 == 0
    assert got.dtype == dtype
    assert_array_equal(got, coef)
    assert feature_major(got).base is got.base  # which is not copied again
    for other in (coef[0], coef.astype(int), coef.tolist(), None):
        assert feature_major(other) is other
