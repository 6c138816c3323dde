"""Special functions against SciPy's, and against 60 digits (see accuracy.py)."""

import inspect
import itertools
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import accuracy
import numpy as np
import pytest
import scipy.sparse as sp
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import deciban
from deciban import information, special
from deciban._kernels import elementwise, products, reductions

ONE = ("expit", "log_expit", "logit", "entr")
TWO = ("xlogy", "rel_entr", "kl_div")
ALONG = ("logsumexp", "softmax", "log_softmax")
DTYPES = (np.float32, np.float64)
TOLERANCE = {np.float16: 2e-3, np.float32: 2e-6, np.float64: 1e-13, np.longdouble: 1e-13}
LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "reversed": lambda x: x[..., ::-1].copy()[..., ::-1],
}
# SciPy's functions warn of infinities on the way; ours of NaN.
quiet = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")


# integers of which SciPy's functions make float64, as ours do; of small ones those of older SciPy make float32
SMALL = (np.uint8, np.bool_) if scipy.special.expit(np.uint8(1)).dtype == np.float64 else ()


def both(name, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return getattr(special, name)(*args, **options), getattr(scipy.special, name)(*args, **options)


def same(found, expected, cancels=0.0):
    """Shape, dtype, infinities and NaN as SciPy's, values near; ``cancels`` is what SciPy's may lose, absolutely."""
    assert type(found) is type(expected)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    rtol = TOLERANCE[expected.dtype.type]
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol + cancels)


def values(dtype):
    return st.floats(-1e4, 1e4, width=np.finfo(dtype).bits) | st.sampled_from([0.0, 745.0, -745.0, np.inf, -np.inf])


def arrays(dtype, min_side=0):
    shape = hnp.array_shapes(min_dims=1, max_dims=3, min_side=min_side, max_side=9)
    return hnp.arrays(dtype, shape, elements=values(dtype) | st.just(np.nan))


# --- elementwise -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ONE)
@given(data=st.data())
def test_one_argument(name, dtype, data):
    x = data.draw(arrays(dtype))
    before = x.copy()
    same(*both(name, x))
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TWO)
@given(data=st.data())
def test_two_arguments(name, dtype, data):
    x = data.draw(arrays(dtype))
    y = data.draw(hnp.arrays(dtype, x.shape[-1:], elements=values(dtype)))
    found, expected = both(name, x, y)
    if name != "xlogy":
        with np.errstate(all="ignore"):
            ratio = x / y  # which SciPy's takes the logarithm of, whether or not it is a normal number
        extreme = (x > 0) & (y > 0) & ~((ratio >= np.finfo(dtype).tiny) & (ratio <= np.finfo(dtype).max))
        # kl_div has limits where SciPy's is NaN
        infinite = (np.isinf(x) | np.isinf(y)) & np.isnan(expected)
        found = np.where(infinite | extreme, expected, found).astype(dtype)
    same(found, expected, TOLERANCE[dtype] * 1e5)


def test_kl_div_of_infinities_is_the_limit():
    found, expected = both("kl_div", [np.inf, 1.0, np.inf], [1.0, np.inf, np.inf])
    np.testing.assert_array_equal(found, [np.inf, np.inf, np.nan])
    assert np.isnan(expected).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [*DTYPES, np.float16, np.longdouble, np.int32, np.int64])
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_layouts_and_dtypes(name, dtype, layout):
    x = LAYOUTS[layout](np.arange(12).reshape(3, 4).astype(dtype) / dtype(1)).astype(dtype)
    x.flags.writeable = False
    args = [x] * (1 + (name in TWO))
    if dtype is np.longdouble and name not in ("expit", "log_expit", "logit"):  # SciPy has no such loop either
        with pytest.raises(TypeError):
            getattr(special, name)(*args)
    elif dtype is np.float16:
        np.testing.assert_allclose(*both(name, *args), rtol=1e-6, atol=1e-6)
    else:
        same(*both(name, *args))


@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_lists_scalars_out_and_where(name):
    n = 1 + (name in TWO)
    for x in ([0.25, 0.5], 0.5, np.array(0.5), []):
        same(*both(name, *[x] * n))
    x, out = np.linspace(0.1, 0.9, 70001), np.empty(70001)
    assert getattr(special, name)(*[x] * n, out=out) is out
    np.testing.assert_array_equal(out, getattr(special, name)(*[x] * n))
    kept = getattr(special, name)(*[x] * n, out=np.full(x.shape, 7.0), where=x > 0.5)
    np.testing.assert_array_equal(kept, np.where(x > 0.5, out, 7.0))


WIDE = {
    "C": lambda x: x,
    "F": np.asfortranarray,
    "every other value": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "columns": lambda x: np.pad(x, [(0, 0)] * (x.ndim - 1) + [(2, 1)])[..., 2:-1],
    "rows": lambda x: np.repeat(x, 2, axis=0)[1::2],
    "reversed": lambda x: x[::-1].copy()[::-1],
}


@pytest.mark.parametrize("shape", [(70_001,), (30_000, 7), (2, 3, 20_001)])
@pytest.mark.parametrize("layout", WIDE)
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_large_arrays_of_any_layout(name, layout, shape):
    rng = np.random.default_rng(0)
    n = 1 + (name in TWO)
    for dtype in (np.float64, np.float32, np.int32, *SMALL):
        top = 5 if np.dtype(dtype).kind in "iu" else 1
        args = [WIDE[layout]((rng.random(shape) * top).astype(dtype)) for _ in range(n)]
        found, expected = both(name, *args)
        same(found, expected)
        out = WIDE[layout](np.zeros(shape, expected.dtype))
        assert getattr(special, name)(*args, out=out) is out
        np.testing.assert_array_equal(out, found)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_a_few_values_wherever_they_are(name, dtype):
    x = np.random.default_rng(0).random((2, 1500)).astype(dtype)
    for n in (0, 1, 10, 300, 500):
        apart, shifted = x[:, : 3 * n : 3], np.frombuffer(b"_" + x[0, :n].tobytes(), dtype, offset=1)
        swapped = x[:, :n].astype(x.dtype.newbyteorder())
        for first, second in (
            (apart[0], apart[1]),
            (x[0, :n], apart[1, ::-1]),
            (np.broadcast_to(x[0, :1], n), x[1, :n]),
            (x[0, :n], shifted),
            (shifted, x[0, :n]),
            (swapped[0], swapped[1]),
        ):
            args = (first, second) if name in TWO else (first,)
            found = getattr(special, name)(*args)
            np.testing.assert_array_equal(found, getattr(special, name)(*(np.array(arg, dtype) for arg in args)))
            assert found.dtype == dtype
            assert found.flags.c_contiguous
            for out in (np.zeros(2 * n, dtype)[::2], np.zeros(n, dtype)[::-1]):
                assert getattr(special, name)(*args, out=out) is out
                np.testing.assert_array_equal(out, found)
            room = x.copy()  # where the result is written over arguments, before or after them
            for start in range(1, 4):
                for first, second in ((0, start), (start, 0)):
                    values, out = room[0, first : first + 2 * n : 2], room[0, second : second + 2 * n : 2]
                    expected = getattr(special, name)(*[values.copy()] * len(args))
                    getattr(special, name)(*[values] * len(args), out=out)
                    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("name", TWO)
def test_large_arrays_broadcast(name):
    x = np.random.default_rng(0).random((9000, 11))
    arrays = (x[0], x[:, :1], x[:1, :1], np.array(0.5), x[0].astype(np.float32))
    for y in (*arrays, 0.5, 2, np.float64(0.5), np.float32(0.5)):
        for args in ((x, y), (y, x), (x.T, y.T if np.ndim(y) == 2 else 0.5), (x.astype(np.float32), y)):
            with deciban.config_context(n_threads=2):
                same(getattr(special, name)(*args), getattr(elementwise, name)(*args))
            np.testing.assert_allclose(*both(name, *args), rtol=2e-6, atol=1e-7)
    with pytest.raises(ValueError, match="broadcast"):
        getattr(special, name)(x, x[:5])


@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_small_results_are_of_scipys_kind(name):
    n = 1 + (name in TWO)
    x = np.linspace(0.1, 0.9, 12).reshape(3, 4)
    numbers = (0.5, 1, np.float64(0.5), np.float32(0.5), np.array(0.5))
    for first in (*numbers, x, x.T, x[:, 1], x[::-1], [0.5, 0.25], [[1.0]], [1, 0], *(x > 2 for _ in SMALL[:1])):
        # SciPy's xlogy makes float64 of float32 and a number of Python's own
        others = (np.float64(0.5), first) if type(first) is np.float32 else (np.float64(0.5), first, 0.5)
        for args in [(first,)] if n == 1 else [*((first, y) for y in others), *((y, first) for y in others)]:
            same(*both(name, *args))
    for y in (x, x[0], 0.5)[: 1 if n == 1 else 3]:
        out = np.empty((3, 4))
        assert getattr(special, name)(*(x, y)[:n], out=out) is out
        np.testing.assert_array_equal(out, getattr(special, name)(*(x, y)[:n]))
    out.flags.writeable = False
    for wrong, message in ((out, "read-only"), (np.empty((4, 3)), "broadcast")):
        with pytest.raises(ValueError, match=message):
            getattr(special, name)(*[x] * n, out=wrong)


@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_a_few_values_may_overlap(name):
    n = 1 + (name in TWO)
    for read, write in (
        (slice(None, -1), slice(1, None)),
        (slice(1, None), slice(None, -1)),
        (slice(None), slice(None)),
    ):
        x = np.linspace(0.01, 0.99, 100)
        expected = getattr(special, name)(*[x[read].copy()] * n)
        getattr(special, name)(*[x[read]] * n, out=x[write])
        np.testing.assert_array_equal(x[write], expected)


@pytest.mark.parametrize("name", ["expit", "xlogy"])
def test_out_may_be_the_input(name):
    x = np.linspace(0.1, 0.9, 200001)
    args = [x] * (1 + (name in TWO))
    expected = getattr(special, name)(*args)
    getattr(special, name)(*args, out=x)
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("n", [128, 257, 1000, 70_000])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ONE + TWO)
def test_rows_anywhere_have_the_bits_of_a_run(name, dtype, n):
    """Large arrays of long rows that are no run: parts of wider tables, every second row, backwards, not aligned."""
    n_rows = max(3, 2**17 // n)
    rng = np.random.default_rng(n)
    unaligned = (
        np.empty(n_rows * (n + 1) * np.dtype(dtype).itemsize + 1, np.uint8)[1:].view(dtype).reshape(n_rows, n + 1)
    )
    places = {
        "part": np.empty((n_rows, n + 3), dtype)[:, 1:-2],
        "far apart": np.empty((2 * n_rows, n), dtype)[::2],
        "upside down": np.empty((2 * n_rows, n), dtype)[::-2],
        "backwards": np.empty((n_rows, n + 1), dtype)[:, :0:-1],
        "every second": np.empty((n_rows, 2 * n), dtype)[:, ::2],
        "not aligned": unaligned[:, 1:],
    }
    values = rng.uniform(-0.01, 1.01, (2, n_rows, n)).astype(dtype)
    args = values[: 1 + (name in TWO)]
    expected = getattr(special, name)(*args.copy())
    with deciban.config_context(n_threads=2):
        for place in places.values():
            given = [place.copy(order="K") if k else place for k in range(len(args))]
            for to, value in zip(given, args, strict=True):
                to[...] = value
            np.testing.assert_array_equal(getattr(special, name)(*given), expected)
            for out in places.values():
                if out is not place:
                    getattr(special, name)(*given, out=out)
                    np.testing.assert_array_equal(out, expected)
        if name in TWO:  # a column and a row that broadcast
            row, column = args[1][:1], args[1][:, :1]
            for other in (row, column):
                np.testing.assert_array_equal(
                    getattr(special, name)(args[0], other, out=places["part"]),
                    getattr(special, name)(args[0], np.ascontiguousarray(np.broadcast_to(other, (n_rows, n)))),
                )


def test_complex_numbers_go_to_scipy():
    z = np.array([1 + 2j, 0.5j])
    np.testing.assert_array_equal(*both("xlogy", z, z))
    np.testing.assert_array_equal(*both("logsumexp", z))


# --- along an axis ---------------------------------------------------------------------------------------------------


@quiet
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALONG)
@given(data=st.data())
def test_along_an_axis(name, dtype, data):
    x = data.draw(arrays(dtype, min_side=1))
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1) | hnp.valid_tuple_axes(x.ndim, min_size=1))
    x = LAYOUTS[data.draw(st.sampled_from(sorted(LAYOUTS)))](x)
    before = x.copy()
    options = {"keepdims": data.draw(st.booleans())} if name == "logsumexp" else {}
    same(*both(name, x, axis=axis, **options))
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("inner", [1, 2, 15, 16, 17, 513])
@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 127, 128, 129, 300])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALONG)
def test_borders_of_columns(name, dtype, n, inner):
    x = np.random.default_rng(n).normal(0, 5, (3, n, inner)).astype(dtype)
    found, expected = both(name, x.astype(float), axis=1)
    np.testing.assert_allclose(getattr(special, name)(x, axis=1), expected, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


# shapes whose columns are taken by blocks of rows: few stay in cache, or there are few
TALL = ((9_001, 17), (13_200, 10), (70_001, 2), (2_049, 1_100), (1_100, 15), (2, 9_001, 40), (2, 66_000, 2))


@quiet
@pytest.mark.parametrize("shape", TALL)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALONG)
def test_tall_columns(name, dtype, shape):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 5, shape).astype(dtype)
    fills = itertools.product((0.0, 1e4, -1e4, -np.inf), (0.0, np.inf, -np.inf, np.nan))
    for k, (fill, other) in zip(range(shape[-1] - 1), fills, strict=False):
        x[..., k] = fill
        x[..., rng.integers(shape[-2]), k] = other
    found, expected = both(name, x.astype(float), axis=-2)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(getattr(special, name)(x, axis=-2), expected, rtol=2e-5, atol=1e-6)
    results = set()
    for n_threads in (1, 2, 5):
        with deciban.config_context(n_threads=n_threads):
            results.add(getattr(special, name)(x, axis=-2).tobytes())
            if name != "logsumexp":
                own = x.copy()
                results.add(getattr(special, name)(own, axis=-2, out=own).tobytes())
    assert len(results) == 1


@quiet
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALONG)
@given(data=st.data())
def test_tall_columns_of_any_numbers(name, dtype, data):
    few = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5), elements=values(dtype)))
    x = np.resize(few, (2**14 // few.shape[1] + data.draw(st.integers(1, 99)), few.shape[1]))
    x[data.draw(st.integers(0, len(x) - 1)), 0] = data.draw(values(dtype) | st.just(np.nan))
    _, expected = both(name, x.astype(float), axis=0)
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(getattr(special, name)(x, axis=0), expected, rtol=10 * tolerance, atol=tolerance)


@quiet
@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 127, 128, 129, 4096, 4097, 2**17 - 1, 2**17, 2**17 + 1])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALONG)
def test_borders_of_rows_and_unusual_rows(name, dtype, n):
    x = np.random.default_rng(n).normal(0, 5, n).astype(dtype)
    _, expected = both(name, x.astype(float))
    np.testing.assert_allclose(getattr(special, name)(x), expected, rtol=2e-5 if dtype is np.float32 else 1e-12)
    for fill in (0.0, 1e4, -1e4, -np.inf):
        for last in (fill, np.inf, -np.inf, np.nan):
            row = np.full(n, fill, dtype)
            row[-1] = last
            found, expected = both(name, row)
            np.testing.assert_allclose(found, expected, rtol=1e-4 if dtype is np.float32 else 1e-12)


@pytest.mark.parametrize("dtype", [*DTYPES, np.float16, np.longdouble, np.int32, np.int64])
@pytest.mark.parametrize("name", ALONG)
def test_dtypes_along_an_axis(name, dtype):
    same(*both(name, np.arange(12).reshape(3, 4).astype(dtype), axis=1))


@quiet
@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_factors_and_signs(dtype, data):
    x = data.draw(arrays(dtype, min_side=1))
    factors = st.floats(-8, 8, width=np.finfo(dtype).bits) | st.sampled_from([0.0, 1.0, -1.0])
    b = data.draw(hnp.arrays(dtype, x.shape[-1:], elements=factors))
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1))
    keepdims = data.draw(st.booleans())
    result, sign = special.logsumexp(x, axis=axis, b=b, keepdims=keepdims, return_sign=True)
    alone = special.logsumexp(x, axis=axis, b=b, keepdims=keepdims)
    np.testing.assert_array_equal(alone, np.where(sign < 0, np.nan, result))
    assert result.dtype == sign.dtype == alone.dtype == dtype
    # with long doubles, where nothing that is drawn overflows; what cancels has no digits to compare
    b = np.broadcast_to(b, x.shape)
    with np.errstate(all="ignore"):
        wide = np.where(b == 0, -np.inf, x).astype(np.longdouble)
        terms = np.where(b == 0, 0, b * np.exp(wide))
        total, size = (t.sum(axis=axis, keepdims=keepdims) for t in (terms, abs(terms)))
        expected = np.log(abs(total))
    assert result.shape == total.shape
    clear = ~(abs(total) < 1e-3 * size)
    vanished = size == 0  # b exp(x) of long doubles underflows below -11000
    clear &= ~vanished
    np.testing.assert_array_equal(sign[clear], np.sign(total)[clear])
    np.testing.assert_allclose(result[clear], expected[clear], rtol=TOLERANCE[dtype] * 1e3, atol=TOLERANCE[dtype] * 1e4)


@quiet
def test_factors_as_scipys():
    rng = np.random.default_rng(0)
    x = rng.normal(0, 50, (40, 3, 500))
    for b in (rng.normal(size=500), rng.normal(size=(40, 3, 1)), rng.uniform(size=x.shape), 2.5, [[[3]]]):
        for axis in (0, 1, 2, None, (0, 2)):
            for found, expected in zip(*both("logsumexp", x, axis=axis, b=b, return_sign=True), strict=True):
                same(found, expected, 1e-11)
            same(*both("logsumexp", x, axis=axis, b=np.abs(b), keepdims=True))
    same(*both("logsumexp", 1.0, b=[1, 2]))
    for found, expected in zip(*both("logsumexp", x[0], axis=1, return_sign=True), strict=True):
        same(found, expected)
    assert special.logsumexp(x.astype("f4"), b=np.ones(500, "f4")).dtype == np.float32
    assert special.logsumexp(x.astype("f4"), b=np.ones(500)).dtype == np.float64


@pytest.mark.parametrize(
    ("a", "b", "result", "sign"),
    [
        ([1000, 1000], [1, -1], -np.inf, 0),  # SciPy: NaN, as exp overflows
        ([1000, 1000, 999], [1, -1, -2], 999 + np.log(2), -1),
        ([0, np.nan, np.inf], [2, 0, 0], np.log(2), 1),
        ([0, np.nan], [2, 1], np.nan, np.nan),
        ([np.inf, 1], [-1, 1], np.inf, -1),
        ([np.inf, np.inf], [-1, 1], np.nan, np.nan),
        ([-np.inf, -np.inf], [-1, 1], -np.inf, 0),
        ([-1000, -1001], [3, -1], -1000 + np.log(3 - np.exp(-1)), 1),
        ([5, 7], [0, 0], -np.inf, 0),
        ([], [], -np.inf, 0),
        ([], None, -np.inf, 0),
        ([-np.inf], None, -np.inf, 0),
        ([np.nan], None, np.nan, np.nan),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_signs_at_the_edges(a, b, result, sign, dtype):
    b = b if b is None else np.array(b, dtype)
    found = special.logsumexp(np.array(a, dtype), b=b, return_sign=True)
    np.testing.assert_allclose(found, (result, sign), rtol=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "result", "sign"),
    [
        ([0, -800], [1e-300, 1e300], -800 + np.log(1e300), 1),
        ([0, -800, np.nan], [1e-300, -1e300, 0], -800 + np.log(1e300), -1),
        ([0, 0], [1.5e308, 1.5e308], np.log(1.5) + 308 * np.log(10) + np.log(2), 1),
        ([0, 1], [1e-310, 1e-310], np.log(1e-310) + np.log1p(np.e), 1),
        ([0, 0], [np.inf, 1e-300], np.inf, 1),
    ],
)
def test_factors_of_any_size(a, b, result, sign):
    np.testing.assert_allclose(special.logsumexp(a, b=b, return_sign=True), (result, sign), rtol=1e-14)
    found = special.logsumexp(np.array([[0, -90], [5, 5]], "f4"), axis=1, b=np.array([1e-30, 3e38], "f4"))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [-90 + np.log(3e38), 5 + np.log(3e38)], rtol=1e-6)


@pytest.mark.parametrize("layouts", [(a, b) for a in sorted(LAYOUTS) for b in sorted(LAYOUTS)])
def test_factors_of_another_layout(layouts):
    rng = np.random.default_rng(0)
    x, b = rng.normal(size=(4, 5, 3)), rng.uniform(size=(4, 5, 3))
    for axis in (None, 0, 1, 2, (0, 2), (0, 1)):
        expected = scipy.special.logsumexp(x, axis=axis, b=b)
        for factors, wanted in ((b, expected), (np.rint(b).astype(int), None), (b[0], None)):
            wanted = scipy.special.logsumexp(x, axis=axis, b=factors) if wanted is None else wanted
            found = special.logsumexp(LAYOUTS[layouts[0]](x), axis=axis, b=LAYOUTS[layouts[1]](factors))
            np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize(
    "shape", [(3, 17, 5), (3, 40, 600), (70, 9, 1), (70, 130, 1), (1, 30_000, 5), (2, 150, 1000), (2, 150_000, 1)]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_factors_along_some_axes(dtype, shape):
    """Each way that the loops take, with factors repeated along any axes; some are 0, where x is not finite."""
    rng = np.random.default_rng(0)
    for kept in itertools.product((False, True), repeat=3):
        x = rng.normal(0, 5, shape).astype(dtype)
        b = rng.normal(1, 2, [size if keep else 1 for size, keep in zip(shape, kept, strict=True)]).astype(dtype)
        b[rng.random(b.shape) < 0.2] = 0
        x[np.broadcast_to(b == 0, shape) & (rng.random(shape) < 0.5)] = rng.choice([np.nan, np.inf, -np.inf])
        terms = np.where(b == 0, 0, b * np.exp(np.where(b == 0, 0, x.astype(np.longdouble))))
        total, size = terms.sum(axis=1), abs(terms).sum(axis=1)
        found, sign = special.logsumexp(x, axis=1, b=b, return_sign=True)
        np.testing.assert_array_equal(sign, np.sign(total))
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = np.log(abs(total))
            lost = np.where(size > 0, size / abs(total), 1)
            limit = 4 * np.finfo(dtype).eps * (lost + abs(np.where(size > 0, expected, 0)))
            assert ((found == expected) | (abs(found - expected) <= limit)).all()


def test_factor_that_float32_does_not_hold():
    x = np.array([1, 2], np.float32)
    for b in (1e-300, 1e300):
        found = special.logsumexp(x, b=b)
        assert found.dtype == np.float32 or np.__version__ < "2"  # where a number decides by its size
        np.testing.assert_allclose(found, np.log(b) + np.log(np.exp(1) + np.exp(2)), rtol=1e-6)


@pytest.mark.parametrize("name", ALONG)
def test_axes_that_do_not_exist(name):
    x, function = np.zeros((2, 3)), getattr(special, name)
    for axis in (2, -3, (0, 2)):
        with pytest.raises(np.exceptions.AxisError):
            function(x, axis=axis)
    with pytest.raises(ValueError, match="duplicate"):
        function(x, axis=(1, -1))


@pytest.mark.parametrize("offset", [0, 1, 5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_long_results_are_those_of_short_ones(dtype, offset):
    """From 1 MB on they pass the caches by, a line at a time."""
    n = (1 << 18) + 11
    x, y = (np.random.default_rng(seed).uniform(0.01, 1, n + offset).astype(dtype)[offset:] for seed in range(2))
    tolerance = 8 * np.finfo(dtype).eps
    for name in (*ONE, *TWO):
        ufunc = getattr(elementwise, name)
        args = (x, y) if name in TWO else (x,)
        short = np.concatenate([ufunc(*parts) for parts in zip(*(np.array_split(a, 100) for a in args), strict=True)])
        out = np.full(n + offset + 1, 7.0, dtype)
        ufunc(*args, out=out[offset:-1])
        np.testing.assert_allclose(out[offset:-1], short, rtol=tolerance, err_msg=name)
        assert (out[:offset] == 7.0).all()
        assert out[-1] == 7.0
        own = x.copy()
        ufunc(own, *args[1:], out=own)
        np.testing.assert_array_equal(own, ufunc(*args))


@pytest.mark.parametrize("n", [3, 10, 63, 64, 127, 128, 250, 1000, 5000])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("log", [False, True])
def test_many_rows_are_those_of_few(log, dtype, n):
    x = np.random.default_rng(n).normal(0, 3, ((1 << 18) // n + 3, n, 1)).astype(dtype)
    few, many = np.empty_like(x), np.empty_like(x)
    reductions.softmax(x, log, many, 0, len(x))
    for row in range(len(x)):
        reductions.softmax(x, log, few, row, row + 1)
    np.testing.assert_array_equal(few, many)
    reductions.softmax(x, log, x, 0, len(x))
    np.testing.assert_array_equal(few, x)


def test_ten_million_values():
    x = np.zeros(10**7, np.float32)
    assert special.logsumexp(x) == np.float32(np.log(1e7))
    assert special.softmax(x)[-1] == np.float32(1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*ONE, *TWO, *ALONG])
def test_threads_do_not_change_a_bit(name, dtype):
    x = np.random.default_rng(0).uniform(0.01, 0.99, 2**17 + 77).astype(dtype)
    table = x[: 2**17].reshape(2**9, -1)
    found = []
    for n_threads in (1, 2, 5):
        with deciban.config_context(n_threads=n_threads):
            function = getattr(special, name)
            one = function(x, x[::-1].copy()) if name in TWO else function(x)
            along = [function(table, axis=a) for a in (0, 1)] if name in ALONG else []
            found.append(b"".join(np.asarray(v).tobytes() for v in [one, *along]))
    assert found[0] == found[1] == found[2]


# --- joint log-likelihoods, products ---------------------------------------------------------------------------------


def test_normalize_log_joint_writes_where_it_is_told():
    x = np.random.default_rng(0).normal(0, 3, (300, 7))
    expected = special.normalize_log_joint(x)
    out = np.empty_like(x), np.empty_like(x)
    found = special.normalize_log_joint(x, out=out)
    assert found[0] is out[0]
    assert found[1] is out[1]
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, want)
    fixed = np.empty_like(x)
    fixed.flags.writeable = False
    for bad in (
        (out[0], out[0]),
        (out[0], x),
        (x, out[1]),
        (out[0], out[1][:5]),
        (out[0].astype(np.float32), out[1]),
        (out[0], np.asfortranarray(out[1])),
        (fixed, out[1]),
        (out[0], out[1].tolist()),
    ):
        with pytest.raises(ValueError, match="out must be two C-contiguous arrays of float64 of shape"):
            special.normalize_log_joint(x, out=bad)
    np.testing.assert_array_equal(out[0], expected[0])


@quiet
@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_normalize_log_joint(dtype, data):
    shape = data.draw(st.integers(0, 70)), data.draw(st.sampled_from([1, 2, 3, 10, 127, 128, 300]))
    x = data.draw(hnp.arrays(dtype, shape, elements=values(dtype) | st.just(np.nan)))
    before = x.copy()
    log_p, p, largest = special.normalize_log_joint(x)
    np.testing.assert_array_equal(x, before)
    same(log_p, scipy.special.log_softmax(x, axis=1))
    same(p, scipy.special.softmax(x, axis=1))
    # which keep digits that SciPy's functions do not
    limits = {"rtol": 8 * np.finfo(dtype).eps, "atol": 2 * np.finfo(dtype).smallest_subnormal}
    np.testing.assert_allclose(log_p, special.log_softmax(x, axis=1), **limits)
    np.testing.assert_allclose(p, special.softmax(x, axis=1), **limits)
    assert largest.dtype == np.intp
    np.testing.assert_array_equal(largest, x.argmax(axis=1))


@pytest.mark.parametrize("n", [2, 5, 127, 128, 1000, 5000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_place_of_the_largest(dtype, n):
    """The first of equals, or of NaN, as np.argmax finds it."""
    x = np.full((4 * n, n), -np.inf, dtype)
    for place in range(n):
        x[place, place:] = 3.0
        x[n + place, place], x[n + place, -1] = np.inf, np.inf
        x[2 * n + place] = 5.0
        x[2 * n + place, place] = x[2 * n + place, -1] = np.nan
        x[3 * n + place, place] = -7.0
    log_p, p, largest = special.normalize_log_joint(x)
    np.testing.assert_array_equal(largest, x.argmax(axis=1))
    alone = np.arange(3 * n, 4 * n)
    np.testing.assert_array_equal(p[alone, largest[alone]], 1.0)
    np.testing.assert_allclose(log_p[alone, largest[alone]], 0.0, atol=np.finfo(dtype).smallest_normal)
    assert np.isnan(p[n : 3 * n]).all()


def test_joint_log_likelihoods_must_be_a_table_of_real_numbers():
    for bad in (np.zeros(3), np.zeros((3, 0)), np.zeros((2, 2), complex), np.zeros((2, 2), np.longdouble)):
        with pytest.raises(ValueError, match="jll must be"):
            special.normalize_log_joint(bad)


@pytest.mark.parametrize("shape", [(30_011, 10), (999, 333)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_do_not_change_a_posterior(dtype, shape):
    x = np.random.default_rng(0).normal(0, 30, shape).astype(dtype)
    found = []
    for n_threads in (1, 2, 5):
        with deciban.config_context(n_threads=n_threads):
            found.append(b"".join(answer.tobytes() for answer in special.normalize_log_joint(x)))
    assert found[0] == found[1] == found[2]


def untidy(container, dtype):
    """A CSR matrix whose rows are unsorted and hold duplicates."""
    parts = np.array([1, 2, 3, 4, 5], dtype), np.array([2, 0, 2, 1, 0]), np.array([0, 3, 3, 5])
    return container(parts, shape=(3, 4))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("container", [np.asarray, sp.csr_matrix, sp.csr_array])
@pytest.mark.parametrize("name", ["affine_sigmoid", "affine_softmax"])
def test_affine(name, container, dtype):
    rng = np.random.default_rng(0)
    W, b = rng.normal(size=(4, 3)).astype(dtype), rng.normal(size=3).astype(dtype)
    X = untidy(sp.csr_array, dtype).toarray() if container is np.asarray else untidy(container, dtype)
    dense = untidy(sp.csr_array, dtype).toarray()
    function = getattr(special, name)
    activate = scipy.special.expit if name == "affine_sigmoid" else lambda z: scipy.special.softmax(z, axis=1)
    same(function(X, W, b), activate(dense @ W + b))
    same(function(X, W), activate(dense @ W))
    assert function(X[:0], W).shape == (0, 3)
    for arguments in ((X, W[:2]), (X, W, b[:2]), (X, W[0])):
        with pytest.raises(ValueError, match="shape"):
            function(*arguments)
    if container is not np.asarray:
        X.indices[0] = 9
        with pytest.raises(ValueError, match="out of range"):
            function(X, W)


@pytest.mark.parametrize("function", [special.affine_sigmoid, special.affine_softmax])
def test_affine_checks_every_sparse_format(function):
    """SciPy's conversions would write wherever an index points to."""
    W = np.ones((3, 2))
    for container, part in ((sp.csr_array, "indices"), (sp.csc_matrix, "indices"), (sp.coo_array, "col")):
        X = container(np.eye(3))
        np.testing.assert_array_equal(function(X, W), function(np.eye(3), W))
        getattr(X, part)[1] = 10**8
        with pytest.raises(ValueError, match="out of range"):
            function(X, W)
    X = sp.dia_array(np.eye(3))
    np.testing.assert_array_equal(function(X, W), function(np.eye(3), W))
    X.data = X.data[:, :0].reshape(0, 3)
    with pytest.raises(ValueError, match="number of"):
        function(X, W)


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("n_rows", [2, 5000])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", [special.affine_sigmoid, special.affine_softmax])
def test_affine_of_malformed_rows(function, dtype, n_rows, n_outputs):
    """A few rows, and more than a block of them, of one output or several; indices of either type."""
    W = np.random.default_rng(0).normal(size=(3000, n_outputs)).astype(dtype)
    dense = sp.random(n_rows, 3000, 0.01, random_state=0, format="csr", dtype=dtype)
    for index in (np.int32, np.int64):

        def fresh(index=index):
            X = sp.csr_array((dense.data.copy(), dense.indices.astype(index), dense.indptr.astype(index)), dense.shape)
            assert X.indices.dtype == index
            return X

        z = dense.astype(float) @ W.astype(float)
        same(
            function(fresh(), W),
            (scipy.special.expit(z) if function is special.affine_sigmoid else scipy.special.softmax(z, axis=1)).astype(
                dtype
            ),
        )
        for part, at, wrong in (
            ("indices", -1, 3000),
            ("indices", 0, -1),
            ("indptr", 0, 1),
            ("indptr", 0, -1),
            ("indptr", 1, 10**8),
            ("indptr", -1, dense.nnz + 1),
            ("indptr", -1, 0),
        ):
            X = fresh()
            getattr(X, part)[at] = wrong
            with pytest.raises(ValueError, match=r"CSR|out of range|indptr"):
                function(X, W)


def test_affine_refuses_what_is_not_real():
    X, W, b = np.ones((2, 2)), np.ones((2, 1)), np.ones(1)
    for arguments, name in (((1j * X, W, b), "X"), ((X, 1j * W, b), "W"), ((X, W, 1j * b), "b")):
        for container in (np.asarray, sp.csr_array):
            with pytest.raises(ValueError, match=f"{name} must be real numbers, got dtype complex128"):
                special.affine_sigmoid(container(arguments[0]), *arguments[1:])


@quiet
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["affine_sigmoid", "affine_softmax"])
@given(data=st.data())
def test_affine_of_any_shape(name, dtype, data):
    """Where columns are too few for a vector, do not fill one, or fill several; a row or two, or more than a tile."""
    n_rows = data.draw(st.sampled_from([1, 2, 3, 5, 14, 130]))
    n_features = data.draw(st.integers(0, 40) | st.sampled_from([255, 256, 257, 1025]))
    n_outputs = data.draw(st.integers(1, 40) | st.sampled_from([63, 64, 65, 130]))
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))
    X = rng.normal(size=(n_rows, n_features)).astype(dtype)
    W, b = rng.normal(size=(n_features, n_outputs)).astype(dtype), rng.normal(size=n_outputs).astype(dtype)
    unusual = st.sampled_from([0.0, np.inf, -np.inf, np.nan])
    for table in (X, W, b[None]):
        if table.size and data.draw(st.booleans()):
            table[:, data.draw(st.integers(0, table.shape[1] - 1))] = data.draw(unusual)
    z = X.astype(float) @ W.astype(float) + b
    expected = scipy.special.expit(z) if name == "affine_sigmoid" else scipy.special.softmax(z, axis=1)
    found = getattr(special, name)(X, W, b)
    assert found.dtype == dtype
    tolerance = 1e-4 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("function", [special.affine_sigmoid, special.affine_softmax])
def test_affine_writes_where_it_is_told(function, container):
    rng = np.random.default_rng(0)
    for dtype, n_rows in itertools.product(DTYPES, (1, 5, 9000)):
        dense, W, b = (rng.normal(size=shape).astype(dtype) for shape in ((n_rows, 50), (50, 10), 10))
        X = container(dense)
        expected = function(X, W, b)
        out = np.full_like(expected, np.nan)
        assert function(X, W, b, out=out) is out
        np.testing.assert_array_equal(out, expected)
        np.testing.assert_array_equal(function(X, W, out=out), function(X, W, np.zeros(10, dtype)))
        read_only = np.empty_like(out)
        read_only.flags.writeable = False
        other = np.float32 if dtype == np.float64 else np.float64
        wrong = (out[:, :9], out[:, ::-1], out.astype(other), np.ones((n_rows + 1, 10), dtype), read_only, [[0.0]])
        for bad in wrong:
            with pytest.raises(ValueError, match=f"out must be a C-contiguous array of {np.dtype(dtype)}"):
                function(X, W, b, out=bad)


@pytest.mark.parametrize("function", [special.affine_sigmoid, special.affine_softmax])
def test_affine_does_not_write_over_what_it_reads(function):
    x = np.random.default_rng(0).normal(size=120)
    X, W, b = x[:40].reshape(4, 10), x[40:90].reshape(10, 5), x[90:95]
    S = sp.csr_array(np.ones((4, 5)))
    for start in (0, 20, 30, 60, 75, 94):
        with pytest.raises(ValueError, match="no argument is in"):
            function(X, W, b, out=x[start : start + 20].reshape(4, 5))
    with pytest.raises(ValueError, match="no argument is in"):
        function(S, np.eye(5), out=S.data.reshape(4, 5))
    out = x[95:115].reshape(4, 5)
    assert function(X, W, b, out=out) is out
    np.testing.assert_array_equal(out, function(X, W, b))


@quiet
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", [special.affine_sigmoid, special.affine_softmax])
@given(data=st.data())
def test_affine_of_a_row_is_the_same_alone(function, dtype, data):
    """Other rows, and how many there are, change no bit of it, where the product is not BLAS's."""
    n_rows = data.draw(st.integers(1, 20) | st.sampled_from([64, 65, 127, 130, 300]))
    n_features = data.draw(st.integers(0, 40) | st.sampled_from([255, 257, 513, 1030]))
    n_outputs = data.draw(st.integers(1, 40) | st.sampled_from([63, 64, 65, 130]))
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))
    X, W, b = (
        rng.normal(size=shape).astype(dtype) for shape in ((n_rows, n_features), (n_features, n_outputs), n_outputs)
    )
    X = data.draw(st.sampled_from([np.asarray, sp.csr_array]))(X)
    by_columns = data.draw(st.booleans())  # a few dense rows are then dot products, many are not
    W = np.asfortranarray(W) if by_columns else W
    whole = function(X, W, b)
    start = data.draw(st.integers(0, n_rows - 1))
    stop = data.draw(st.integers(start + 1, n_rows) | st.just(start + 1))
    found = function(X[start:stop], W, b)
    tolerance = (
        0.0 if sp.issparse(X) or (products.HAS_TILES and not by_columns) else 1e-4 if dtype == np.float32 else 1e-12
    )
    np.testing.assert_allclose(found, whole[start:stop], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("n_outputs", [1, 10, 40])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_affine_of_many_blocks(container, n_outputs):
    X = sp.random(50_000, 50, 0.1, random_state=0, format="csr").toarray()
    W = np.random.default_rng(0).normal(size=(50, n_outputs))
    expected = scipy.special.softmax(X @ W, axis=1)
    found = []
    for n_threads in (1, 2, 5):
        with deciban.config_context(n_threads=n_threads):
            found.append(special.affine_softmax(container(X), W))
    same(found[0], expected)
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()


# --- where a careless path would show ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n_threads", [1, 2])
def test_output_may_overlap_the_input(n_threads):
    for read, write in (
        (slice(None, -1), slice(1, None)),
        (slice(1, None), slice(None, -1)),
        (slice(None), slice(None)),
    ):
        x = np.linspace(-5, 5, 200_001)
        expected = scipy.special.expit(x[read].copy())
        with deciban.config_context(n_threads=n_threads):
            special.expit(x[read], out=x[write])
        np.testing.assert_allclose(x[write], expected, rtol=1e-14)
        rows = np.linspace(-5, 5, 90_000).reshape(300, 300)
        whole = scipy.special.softmax(rows, axis=1)
        with deciban.config_context(n_threads=n_threads):
            np.testing.assert_allclose(special.softmax(rows, axis=1, out=rows), whole, rtol=1e-13)


def test_softmax_into_any_output():
    x = np.random.default_rng(0).normal(size=(40, 50))
    expected = scipy.special.softmax(x, axis=0)
    for out in (
        np.empty((40, 50)),
        np.empty((40, 50), order="F"),
        np.empty((40, 100))[:, ::2],
        np.empty((40, 50), "f4"),
    ):
        assert special.softmax(x, axis=0, out=out) is out
        np.testing.assert_allclose(out, expected, rtol=1e-6 if out.dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax"])
def test_scalars_and_nothing(name):
    ours, theirs = getattr(special, name), getattr(scipy.special, name)
    assert ours(3.0) == theirs(3.0)
    for shape, axis in (((0, 3), 1), ((0, 3, 2), -1)):
        assert ours(np.zeros(shape), axis=axis).shape == theirs(np.zeros(shape), axis=axis).shape
    assert special.logsumexp(3.0, keepdims=True).shape == (1,)
    assert special.logsumexp(np.zeros((3, 0)), axis=0).shape == (0,)


def test_long_columns_of_float32_lose_nothing():
    n = (1 << 24) + 1000  # a float32 counts no further than 2^24
    found = special.logsumexp(np.zeros((n, 2), np.float32), axis=0)
    np.testing.assert_allclose(found, np.log(n), rtol=1e-6)


def test_special_functions_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("expit", "log_expit", "logit", "entr"):
            getattr(special, name)([np.nan, np.inf, -np.inf, 0.0, 1.0, 1e308, 5e-324])
        for name in TWO:
            getattr(special, name)([np.nan, np.inf, 0.0, 1.0, 1e308], [1.0, 1.0, 0.0, 0.0, 5e-324])


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint8, np.int16, np.float16])
def test_small_numbers_widen_as_in_scipy_1_17(dtype):
    x = np.ones(3, dtype)
    for name in (*ONE, *TWO):
        found = getattr(special, name)(*[x] * (1 + (name in TWO)))
        assert found.dtype == (np.float64 if name in ("expit", "log_expit", "logit", "xlogy") else np.float32), name
        assert getattr(special, name)(*[x.astype(np.int64)] * (1 + (name in TWO))).dtype == np.float64


@pytest.mark.parametrize("name", ONE)
def test_small_integers_keep_their_kind_of_array(name):
    x = np.ma.array([[0, 1], [1, 0]], mask=[[True, False], [False, False]])
    found = getattr(special, name)(x)
    assert isinstance(found, np.ma.MaskedArray)
    np.testing.assert_array_equal(found.mask, x.mask)


def test_arguments_are_not_cast_to_numbers():
    with pytest.raises(TypeError):
        special.xlogy(np.ones(2, "m8[s]"), 1)
    with pytest.raises(TypeError):
        special.expit(np.ones(2, int), casting="no")
    assert special.xlogy(np.ones(2, np.float32), 2).dtype == np.float32


@pytest.mark.parametrize("name", ["expit", "log_expit", "logit"])
def test_scipys_loops_with_where(name):
    x = np.linspace(0.01, 0.99, 90_001).astype(np.longdouble)
    chosen = np.arange(len(x)) % 3 > 0
    expected = np.where(chosen, getattr(scipy.special, name)(x), 7)
    out = np.full(len(x), 7.0)
    for target in (out, (out,)):
        assert getattr(special, name)(x, out=target, where=chosen) is out
        np.testing.assert_array_equal(out, expected.astype(float))
    np.testing.assert_array_equal(getattr(special, name)(x, where=chosen)[chosen], expected[chosen])


@pytest.mark.parametrize("function", [getattr(m, name) for m in (special, information) for name in m.__all__])
def test_docstrings_are_complete(function):
    sections = re.findall(r"(?m)^    (\w+)\n    -{4,}$", function.__doc__)
    assert [s for s in sections if s != "Notes"] == ["Parameters", "Returns", "Raises", "References", "Examples"]
    parameters = function.__doc__.split("Returns")[0]
    assert [name for name in inspect.signature(function).parameters if not re.search(rf"\b{name}\b", parameters)] == []


# --- accuracy --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", accuracy.rows(), ids=accuracy.label)
def test_accuracy(row):
    ours, theirs = accuracy.measure(row, 200, 2)
    assert not accuracy.is_behind(row, ours, theirs), (ours, theirs)


TIER_SCRIPT = """
import json, numpy as np, scipy.special, scipy.stats, accuracy
from deciban import information
errors = {accuracy.label(row): (row, *accuracy.measure(row, 200, 2)) for row in accuracy.rows()}
behind = {label: measured[1:] for label, measured in errors.items() if accuracy.is_behind(*measured)}
rng = np.random.default_rng(0)
for dtype in (np.float32, np.float64):
    for n in (3, 31, 33, 1000):
        p, q = (rng.gamma(1, size=(7, n)).astype(dtype) + dtype(1e-3) for _ in range(2))
        p[0, 1:] = 0
        pairs = [
            (information.entropy(p, normalize=True), scipy.stats.entropy(p, axis=1)),
            (information.kl_divergence(p, q, normalize=True), scipy.stats.entropy(p, q, axis=1)),
            (information.kl_divergence(p, q), scipy.special.rel_entr(p, q).sum(axis=1)),
            (information.cross_entropy(p, q), -scipy.special.xlogy(p, q).sum(axis=1)),
            (information.js_divergence(p, q), (scipy.special.kl_div(p, (p + q) / 2)
                                               + scipy.special.kl_div(q, (p + q) / 2)).sum(axis=1) / 2),
        ]
        for found, expected in pairs:
            np.testing.assert_allclose(found, expected, rtol=1e-3 if dtype is np.float32 else 1e-10, atol=1e-5)
print(json.dumps([len(errors), behind]))
"""


@pytest.mark.parametrize("tier", ["baseline", "v3"])
def test_lower_instruction_sets(tier):
    environment = {**os.environ, "DECIBAN_CPU": tier, "PYTHONPATH": str(Path(__file__).parent)}
    run = subprocess.run(
        [sys.executable, "-c", TIER_SCRIPT], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(run.stdout) == [len(list(accuracy.rows())), {}]


def test_the_table_has_every_row_and_none_behind_scipy():
    table = (Path(__file__).parents[1] / "docs" / "accuracy.md").read_text()
    found = re.findall(r"(?m)^(\|[^|]+\|[^|]+\|[^|]+\|) (\S+) \| (\S+) \|$", table)[1:]
    assert [label for label, *_ in found] == [accuracy.label(row) for row in accuracy.rows()]
    assert [line for line in found if float(line[1]) > min(accuracy.LIMIT, float(line[2]))] == []
