"""Products that skip zeros against NumPy's, for every dtype, tier and shape."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deciban._kernels.nonzeros import multiply_nonzeros

DTYPES = (np.float64, np.float32)


def product(X, table, transposed):
    out = np.full((X.shape[1] if transposed else X.shape[0], table.shape[1]), np.nan, X.dtype)
    n_marked = multiply_nonzeros(X, table, transposed, out)
    return out, n_marked


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@example(0, 1, 64, 16, 1.0)
@example(0, 64, 65, 7, 0.5)
@example(0, 65, 128, 113, 0.5)  # one vector more than one lot of registers takes
@given(
    seed=st.integers(0, 1 << 30),
    n_rows=st.integers(0, 140),
    n_inner=st.integers(0, 140),
    n_columns=st.integers(0, 260),
    share=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
)
def test_products(dtype, transposed, seed, n_rows, n_inner, n_columns, share):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n_rows, n_inner)) * (rng.random((n_rows, n_inner)) < share)).astype(dtype)
    table = rng.normal(size=(n_rows if transposed else n_inner, n_columns)).astype(dtype)
    found, n_marked = product(X, table, transposed)
    wide = (X.T if transposed else X).astype(float)
    tolerance = 150 * np.finfo(dtype).eps * (np.abs(wide) @ np.abs(table.astype(float)) + 1e-30)
    assert (np.abs(found - wide @ table.astype(float)) <= tolerance).all()
    if n_columns and X.size:
        assert n_marked == np.count_nonzero(X)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_not_finite_counts_but_zero_times_infinity_does_not(dtype):
    X = np.array([[np.nan, 0.0, 1.0], [-0.0, 0.0, np.inf], [0.0, 1.0, 0.0]], dtype)
    table = np.ones((3, 70), dtype)
    table[0] = np.inf
    found, n_marked = product(X, table, False)
    assert n_marked == 4
    np.testing.assert_array_equal(found, np.array([[np.nan], [np.inf], [1.0]]) * np.ones(70))


def test_shapes_that_do_not_agree():
    for rows, transposed, out in ((4, False, (5, 2)), (3, True, (3, 2)), (3, False, (4, 2)), (3, False, (5, 3))):
        with pytest.raises(ValueError, match="do not agree in shape"):
            multiply_nonzeros(np.ones((5, 3)), np.ones((rows, 2)), transposed, np.empty(out))


SCRIPT = """
import json
import numpy as np
from deciban._kernels.nonzeros import multiply_nonzeros
found = []
for dtype in (np.float64, np.float32):
    for n_rows, n_inner, n_columns in ((70, 100, 120), (3, 200, 33), (130, 5, 4)):
        rng = np.random.default_rng(0)
        X = (rng.normal(size=(n_rows, n_inner)) * (rng.random((n_rows, n_inner)) < 0.5)).astype(dtype)
        for transposed in (0, 1):
            table = rng.normal(size=(n_rows if transposed else n_inner, n_columns))
            out = np.empty((n_inner if transposed else n_rows, n_columns), dtype)
            multiply_nonzeros(X, table.astype(dtype), bool(transposed), out)
            wide = (X.T if transposed else X).astype(float) @ table.astype(dtype).astype(float)
            found.append(float(np.abs(out - wide).max() / np.finfo(dtype).eps))
print(json.dumps(found))
"""


@pytest.mark.parametrize("tier", ["baseline", "v3", "v4"])
def test_every_tier(tier):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={**os.environ, "DECIBAN_CPU": tier}, capture_output=True, check=True
    )
    assert max(json.loads(run.stdout)) < 200
