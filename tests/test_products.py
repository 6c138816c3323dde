"""Products of dense tables against NumPy's, for every dtype, tier and shape."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deciban._kernels.products import HAS_TILES, multiply_tables

DTYPES = (np.float64, np.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@example(0, 15, 257, 31, False, True, True)  # one row more than a tile, one term more than at once, a vector in part
@example(0, 7, 512, 65, True, False, False)
@example(0, 65, 3, 10, True, True, True)
@example(0, 9, 1030, 1, False, False, True)  # dot products: one column, three, the most of float32
@example(0, 6, 37, 3, False, True, False)
@example(0, 5, 16, 7, False, False, False)
@example(0, 2, 600, 70, False, False, True)  # a row or two, by a table that is not copied
@example(0, 1, 30, 17, True, False, False)
@example(0, 1, 37, 17, False, True, False)  # a few rows, by a table by columns: dot products of both where they are
@example(0, 2, 16, 9, False, True, True)
@example(0, 7, 300, 23, False, True, True)
@given(
    seed=st.integers(0, 1 << 30),
    n_rows=st.integers(0, 70),
    n_inner=st.integers(0, 300),
    n_columns=st.integers(0, 150),
    rows_turned=st.booleans(),
    table_turned=st.booleans(),
    is_added=st.booleans(),
)
def test_products(dtype, seed, n_rows, n_inner, n_columns, rows_turned, table_turned, is_added):
    rng = np.random.default_rng(seed)
    X, table = rng.normal(size=(n_rows, n_inner)).astype(dtype), rng.normal(size=(n_inner, n_columns)).astype(dtype)
    before = rng.normal(size=(n_rows, n_columns)).astype(dtype) if is_added else np.full((n_rows, n_columns), np.nan)
    out = before.astype(dtype)
    multiply_tables(
        np.ascontiguousarray(X.T) if rows_turned else X,
        rows_turned,
        np.ascontiguousarray(table.T) if table_turned else table,
        table_turned,
        is_added,
        out,
    )
    wide, wide_table = X.astype(float), table.astype(float)
    expected = wide @ wide_table + (before.astype(float) if is_added else 0.0)
    tolerance = (n_inner + 2) * np.finfo(dtype).eps * (np.abs(wide) @ np.abs(wide_table) + np.abs(expected) + 1e-30)
    assert (np.abs(out - expected) <= tolerance).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows_turned", [False, True])
def test_what_is_not_finite_counts(dtype, rows_turned):
    X = np.zeros((20, 20), dtype)
    X[3, 5], X[7, 7] = np.nan, np.inf
    table = np.ones((20, 40), dtype)
    table[9, 33] = np.inf
    out = np.empty((20, 40), dtype)
    multiply_tables(np.ascontiguousarray(X.T) if rows_turned else X, rows_turned, table, False, False, out)
    expected = np.zeros((20, 40), dtype)
    expected[3], expected[7], expected[:, 33] = np.nan, np.inf, np.nan  # zero times infinity
    np.testing.assert_array_equal(out, expected)


def test_shapes_that_do_not_agree():
    X = np.ones((5, 3))
    for rows_turned, table, table_turned, out in (
        (False, (4, 2), False, (5, 2)),
        (False, (3, 2), True, (5, 2)),
        (True, (3, 2), False, (3, 2)),
        (False, (3, 2), False, (4, 2)),
        (False, (3, 2), False, (5, 3)),
    ):
        with pytest.raises(ValueError, match="do not agree in shape"):
            multiply_tables(X, rows_turned, np.ones(table), table_turned, False, np.empty(out))


@pytest.mark.skipif(not HAS_TILES, reason="BLAS makes the products, and promises no bits")
@pytest.mark.parametrize("dtype", DTYPES)
@given(
    seed=st.integers(0, 1 << 30),
    n_rows=st.integers(1, 70),
    n_inner=st.integers(0, 300) | st.sampled_from([511, 513, 1030, 2100]),
    n_columns=st.integers(1, 150),
    rows_turned=st.booleans(),
    table_turned=st.booleans(),
    is_added=st.booleans(),
    data=st.data(),
)
def test_a_row_has_the_same_bits_alone(
    dtype, seed, n_rows, n_inner, n_columns, rows_turned, table_turned, is_added, data
):
    """Unless the table lies by columns: a few rows are then dot products."""
    rng = np.random.default_rng(seed)
    X, table = rng.normal(size=(n_rows, n_inner)).astype(dtype), rng.normal(size=(n_inner, n_columns)).astype(dtype)
    whole = rng.normal(size=(n_rows, n_columns)).astype(dtype)
    start = data.draw(st.integers(0, n_rows - 1))
    stop = data.draw(st.just(start + 1) | st.integers(start + 1, n_rows))
    found = whole[start:stop].copy()
    table = np.ascontiguousarray(table.T) if table_turned else table
    for rows, out in ((X, whole), (X[start:stop], found)):
        rows = np.ascontiguousarray(rows.T) if rows_turned else rows
        multiply_tables(rows, rows_turned, table, table_turned, is_added, out)
    rounding = table_turned * (n_inner + 2) * np.finfo(dtype).eps
    np.testing.assert_allclose(found, whole[start:stop], rtol=0, atol=rounding * 10 * np.sqrt(n_inner))


@pytest.mark.parametrize("tier", ["baseline", "v3", "v4"])
def test_every_tier(tier):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not every_tier", __file__]
    environment = {**os.environ, "DECIBAN_CPU": tier, "DECIBAN_EXAMPLES": "20"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
