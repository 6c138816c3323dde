"""The building blocks of networks against NumPy, 50 digits and finite differences, for every dtype and tier."""

import itertools
import json
import os
import subprocess
import sys

import mpmath
import numpy as np
import pytest
import scipy.sparse
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from deciban._kernels import inference, layers
from deciban._kernels.layers import ACTIVATIONS, LOSSES, Network

DTYPES = (np.float64, np.float32)
HIDDEN = [name for name in ACTIVATIONS if "softmax" not in name]
TIERS = ("baseline", "v3", "v4")
NOTHING = {dtype: np.empty(0, dtype) for dtype in DTYPES}

REFERENCE = {
    "identity": lambda z: z,
    "logistic": scipy.special.expit,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "softplus": lambda z: np.logaddexp(0, z),
    "gelu": lambda z: z * scipy.special.ndtr(z),
    "exp": np.exp,
    "softmax": lambda z: scipy.special.softmax(z, axis=1),
    "log_softmax": lambda z: scipy.special.log_softmax(z, axis=1),
}


def activated(name, z, bias=None):
    out = np.empty_like(z)
    layers.apply_activation(ACTIVATIONS[name], z.copy(), NOTHING[z.dtype.type] if bias is None else bias, out)
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
@given(seed=st.integers(0, 1 << 30), n_rows=st.integers(1, 40), n_columns=st.integers(1, 70), with_bias=st.booleans())
def test_activations(name, dtype, seed, n_rows, n_columns, with_bias):
    rng = np.random.default_rng(seed)
    z = (rng.normal(size=(n_rows, n_columns)) * rng.choice([0.1, 3, 20])).clip(-80, 80).astype(dtype)
    bias = rng.normal(size=n_columns).astype(dtype) if with_bias else None
    expected = REFERENCE[name]((z + bias if with_bias else z).astype(np.float64))
    eps = np.finfo(dtype).eps
    # an exponential of x moves by x eps where x is rounded, and the bell curve by x^2 eps
    tolerance = eps * (3000 if name == "gelu" else 200)
    least = 8 * eps if name == "log_softmax" else 4 * np.finfo(dtype).tiny  # the reference is no better near zero
    np.testing.assert_allclose(activated(name, z, bias), expected, rtol=tolerance, atol=least)


def test_log_softmax_keeps_what_small_terms_add():
    z = np.array([[0.0, -40.0, -41.0]])
    exact = -np.log1p(np.exp(-40.0) + np.exp(-41.0))
    np.testing.assert_allclose(activated("log_softmax", z)[0], [exact, -40.0, -41.0], rtol=1e-14)


@pytest.mark.parametrize("name", HIDDEN)
def test_activations_at_the_ends_and_of_nan(name):
    z = np.array([[-np.inf, -1e300, -800.0, -0.0, 0.0, 800.0, 1e300, np.inf, np.nan]])
    with np.errstate(all="ignore"):
        expected = REFERENCE[name](z)
    expected[0, :2] = {"gelu": 0.0}.get(name, expected[0, :2])  # -inf times 0
    np.testing.assert_allclose(activated(name, z), expected, rtol=1e-15)


@pytest.mark.parametrize("name", ["tanh", "softplus", "gelu"])
def test_activations_against_50_digits(name):
    rng = np.random.default_rng(0)
    z = np.concatenate(
        [rng.uniform(-6, 6, 1500), 10.0 ** rng.uniform(-30, 0, 500), -(10.0 ** rng.uniform(-30, 0, 500))]
    )
    found = activated(name, z[:, np.newaxis])[:, 0]
    exact = {
        "tanh": mpmath.tanh,
        "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
        "gelu": lambda x: x * mpmath.ncdf(x),
    }[name]
    with mpmath.workdps(50):
        errors = [
            float(abs(f - exact(mpmath.mpf(x))) / abs(exact(mpmath.mpf(x)))) for f, x in zip(found, z, strict=True)
        ]
    assert max(errors) < 30 * np.finfo(float).eps  # gelu's tail: x^2 / 2 ulp


@pytest.mark.parametrize("name", HIDDEN)
def test_slopes_against_finite_differences(name):
    z = np.linspace(-5, 5, 200)[:, np.newaxis]  # 0 is not among them
    delta = np.full(len(z), 3.0)
    layers.apply_slope(ACTIVATIONS[name], z[:, 0].copy(), activated(name, z)[:, 0].copy(), delta)
    h = 1e-6
    expected = 3 * (REFERENCE[name](z + h) - REFERENCE[name](z - h))[:, 0] / (2 * h)
    np.testing.assert_allclose(delta, expected, rtol=1e-8, atol=1e-8)


def reference_loss(name, z, y):
    if name == "squared_error":
        return 0.5 * ((z - y) ** 2).sum(axis=1)
    if name == "logistic_entropy":
        return (y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z)).sum(axis=1)
    if name == "softmax_entropy":
        return -(y * scipy.special.log_softmax(z, axis=1)).sum(axis=1)
    return (scipy.special.xlogy(y, y) - y * z - y + np.exp(z)).sum(axis=1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
@given(seed=st.integers(0, 1 << 30), n_rows=st.integers(1, 30), n_columns=st.integers(1, 300), weighted=st.booleans())
def test_losses(name, dtype, seed, n_rows, n_columns, weighted):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n_rows, n_columns)).astype(dtype) * 2
    y = rng.random((n_rows, n_columns)).astype(dtype) * (rng.random((n_rows, n_columns)) < 0.8)
    y = y.astype(dtype)
    weights = rng.random(n_rows).astype(dtype) if weighted else NOTHING[dtype]
    delta = np.empty_like(z)
    found = layers.evaluate_loss(LOSSES[name], z, y, weights, np.inf, delta)
    z, y = z.astype(float), y.astype(float)
    w = weights.astype(float) if weighted else np.ones(n_rows)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(found, w @ reference_loss(name, z, y), rtol=100 * eps, atol=30 * n_columns * eps)
    p = {
        "squared_error": lambda: z,
        "logistic_entropy": lambda: scipy.special.expit(z),
        "softmax_entropy": lambda: scipy.special.softmax(z, axis=1) * y.sum(axis=1, keepdims=True),
        "poisson": lambda: np.exp(z),
    }[name]()
    np.testing.assert_allclose(delta, w[:, np.newaxis] * (p - y), rtol=100 * eps, atol=100 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=st.integers(0, 1 << 30), n_rows=st.integers(1, 30), n_columns=st.integers(1, 300), weighted=st.booleans())
def test_softmax_loss_of_classes_is_that_of_their_indicators(dtype, seed, n_rows, n_columns, weighted):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n_rows, n_columns)).astype(dtype) * 3
    codes = rng.integers(0, n_columns, n_rows).astype(np.int32)
    weights = rng.random(n_rows).astype(dtype) if weighted else NOTHING[dtype]
    delta, other = np.empty_like(z), np.empty_like(z)
    limit = float(rng.choice([np.inf, 2.0]))
    found = layers.evaluate_softmax_loss(z, codes, weights, limit, delta)
    expected = layers.evaluate_loss(
        LOSSES["softmax_entropy"], z, np.eye(n_columns, dtype=dtype)[codes], weights, limit, other
    )
    tolerance = 30 * float(np.finfo(dtype).eps)
    assert found == pytest.approx(expected, rel=tolerance, abs=30 * tolerance)
    np.testing.assert_allclose(delta, other, atol=tolerance)


def test_entropies_count_up_to_their_limit():
    z = np.array([[40.0], [-40.0]])
    found = layers.evaluate_loss(
        LOSSES["logistic_entropy"], z, np.array([[0.0], [1.0]]), NOTHING[np.float64], 36.0, np.empty_like(z)
    )
    assert found == 72.0


def test_a_loss_may_put_its_gradient_over_its_values():
    rng = np.random.default_rng(0)
    for kind in LOSSES.values():
        z, y = rng.normal(size=(5, 7)), rng.random((5, 7))
        apart = np.empty_like(z)
        first = layers.evaluate_loss(kind, z, y, NOTHING[np.float64], np.inf, apart)
        assert layers.evaluate_loss(kind, z, y, NOTHING[np.float64], np.inf, z) == first
        np.testing.assert_array_equal(z, apart)


# --- networks ---------------------------------------------------------------------------------------------------------


def value_and_gradients(network, parameters, X, kind, y, dtype=np.float64):
    n_rows = len(X)
    before, outputs, deltas = (np.full(network.n_values, np.nan, dtype) for _ in range(3))
    layers.apply_network(network, parameters, X, before, outputs)
    value = layers.evaluate_loss(
        kind, network.values(-1, outputs, n_rows).copy(), y, NOTHING[dtype], np.inf, network.values(-1, deltas, n_rows)
    )
    gradients, input_deltas = np.full(network.scratch, np.nan, dtype), np.empty_like(X)
    layers.propagate(network, parameters, X, before, outputs, deltas, input_deltas, False, gradients)
    return value, gradients[: network.n_parameters], input_deltas


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("hidden", [name for name in HIDDEN if name != "exp"])
def test_gradients_of_networks_against_finite_differences(hidden, loss):
    rng = np.random.default_rng(1)
    network = Network([4, 5, 3, 2], [ACTIVATIONS[hidden]] * 2 + [ACTIVATIONS["identity"]], 7)
    parameters = 0.5 * rng.normal(size=network.n_parameters)
    X, y = rng.normal(size=(6, 4)), rng.random((6, 2))

    def value(parameters, X):
        return value_and_gradients(network, parameters, X, LOSSES[loss], y)[0]

    _, gradients, input_deltas = value_and_gradients(network, parameters, X, LOSSES[loss], y)
    h = 1e-6
    for at in range(network.n_parameters):
        step = h * np.eye(network.n_parameters)[at]
        expected = (value(parameters + step, X) - value(parameters - step, X)) / (2 * h)
        assert gradients[at] == pytest.approx(expected, rel=1e-6, abs=1e-7)
    for row, column in np.ndindex(X.shape):
        step = np.zeros_like(X)
        step[row, column] = h
        expected = (value(parameters, X + step) - value(parameters, X - step)) / (2 * h)
        assert input_deltas[row, column] == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=st.integers(0, 1 << 30), sizes=st.lists(st.integers(1, 40), min_size=2, max_size=5), data=st.data())
def test_networks_of_any_shape(dtype, seed, sizes, data):
    rng = np.random.default_rng(seed)
    hidden = data.draw(st.sampled_from(["identity", "tanh", "relu", "gelu"]))
    capacity = data.draw(st.integers(1, 20))
    n_rows = data.draw(st.integers(0, capacity))
    network = Network(sizes, [ACTIVATIONS[hidden]] * (len(sizes) - 2) + [ACTIVATIONS["identity"]], capacity)
    parameters = (rng.normal(size=network.n_parameters) / 4).astype(dtype)
    X, y = rng.normal(size=(n_rows, sizes[0])).astype(dtype), rng.random((n_rows, sizes[-1])).astype(dtype)
    before, outputs = (np.full(network.n_values, np.nan, dtype) for _ in range(2))
    layers.apply_network(network, parameters, X, before, outputs)
    a = [X.astype(float)]
    for index in range(network.n_layers):
        z = a[-1] @ network.coef(index, parameters) + network.intercept(index, parameters)
        a.append(REFERENCE[hidden](z) if index < network.n_layers - 1 else z)
        tolerance = 1e3 * np.finfo(dtype).eps
        np.testing.assert_allclose(network.values(index, outputs, n_rows), a[-1], rtol=tolerance, atol=tolerance)
    if n_rows:
        _, gradients, _ = value_and_gradients(network, parameters, X, LOSSES["squared_error"], y, dtype)
        delta = a[-1] - y
        tolerance = 2e3 * np.finfo(dtype).eps
        np.testing.assert_allclose(network.coef(-1, gradients), a[-2].T @ delta, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(network.intercept(-1, gradients), delta.sum(axis=0), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])  # of inputs that are not zero
@pytest.mark.parametrize(("n_rows", "n_in"), [(70, 5000), (2, 16500), (5000, 30), (70, 64)])
def test_zeros_among_inputs(n_rows, n_in, share, dtype):
    rng = np.random.default_rng(0)
    network = Network([n_in, 70], [ACTIVATIONS["identity"]], n_rows)
    X = (rng.normal(size=(n_rows, n_in)) * (rng.random((n_rows, n_in)) < share)).astype(dtype)
    X[: n_rows // 2] += dtype(1)  # half of the samples have none
    parameters, deltas = (rng.normal(size=n).astype(dtype) for n in (network.n_parameters, network.n_values))
    outputs, gradients = np.empty(network.n_values, dtype), np.empty(network.scratch, dtype)
    layers.apply_network(network, parameters, X, NOTHING[dtype], outputs)
    layers.propagate(
        network, parameters, X, NOTHING[dtype], outputs, deltas, np.empty((0, n_in), dtype), False, gradients
    )
    W, delta = network.coef(0, parameters), network.values(0, deltas, n_rows)
    found, gradient = network.values(0, outputs, n_rows), network.coef(0, gradients)
    eps = np.finfo(dtype).eps * (n_rows + n_in)
    assert np.abs(found - (X.astype(float) @ W + network.intercept(0, parameters))).max() < eps * np.abs(X).max() * 10
    assert np.abs(gradient - X.T.astype(float) @ delta).max() < eps * np.abs(X).max() * 10


def test_gradients_may_be_added_up():
    rng = np.random.default_rng(0)
    network = Network([3, 4, 2], [ACTIVATIONS["tanh"], ACTIVATIONS["identity"]], 5)
    parameters, X, deltas = rng.normal(size=network.n_parameters), rng.normal(size=(5, 3)), rng.normal(size=30)
    outputs = np.empty(network.n_values)
    nothing, no_rows = NOTHING[np.float64], np.empty((0, 3))
    layers.apply_network(network, parameters, X, nothing, outputs)
    once, twice = np.zeros(network.scratch), np.zeros(network.scratch)
    layers.propagate(network, parameters, X, nothing, outputs, deltas, no_rows, False, once)
    for _ in range(2):
        layers.propagate(network, parameters, X, nothing, outputs, deltas, no_rows, True, twice)
    np.testing.assert_allclose(twice[: network.n_parameters], 2 * once[: network.n_parameters], rtol=1e-14)


def test_networks_refuse_what_does_not_fit():
    identity = ACTIVATIONS["identity"]
    for sizes, activations, capacity in [
        ([3], [], 1),
        ([3, 2], [identity] * 2, 1),
        ([3, 0], [identity], 1),
        ([3, 2], [identity], 0),
        ([3, 2], [99], 1),
        ([3, 2, 2], [ACTIVATIONS["softmax"], identity], 1),
        ([3, 1 << 31], [identity], 1),
    ]:
        with pytest.raises(ValueError, match=r"expected|must be|cannot have"):
            Network(sizes, activations, capacity)
    network = Network([3, 2], [identity], 4)
    parameters, X, buffer, nothing = np.zeros(8), np.zeros((4, 3)), np.zeros(8), NOTHING[np.float64]
    layers.apply_network(network, parameters, X, nothing, buffer)
    for arguments in [
        (parameters[:7], X, buffer),
        (parameters, np.zeros((5, 3)), buffer),
        (parameters, np.zeros((4, 2)), buffer),
        (parameters, X, buffer[:7]),
    ]:
        with pytest.raises(ValueError, match=r"expected|must hold"):
            layers.apply_network(network, *arguments[:2], nothing, arguments[2])
    with pytest.raises(IndexError):
        network.values(1, buffer, 4)


# --- optimisers, dropout ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=st.integers(0, 1 << 30), n=st.integers(0, 700), t=st.integers(1, 100))
def test_adam(dtype, seed, n, t):
    rng = np.random.default_rng(seed)
    gradient, p, m = (rng.normal(size=n).astype(dtype) for _ in range(3))
    v = rng.random(n).astype(dtype)
    g = (gradient + 0.5 * p) / 8
    m_next = 0.9 * m + 0.1 * g
    v_next = 0.99 * v + 0.01 * g * g
    rate = 0.01 * np.sqrt(1 - 0.99**t) / (1 - 0.9**t)
    p_next = p - rate * m_next / (np.sqrt(v_next) + 1e-8)
    squares = layers.step_adam(gradient, 0.5, 1 / 8, rate, 0.9, 0.99, 1e-8, before := p.copy(), m, v)
    tolerance = 20 * np.finfo(dtype).eps
    for found, expected in ((before, p_next), (m, m_next), (v, v_next)):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    assert squares == pytest.approx(float(p.astype(float) @ p.astype(float)), rel=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=st.integers(0, 1 << 30), n=st.integers(0, 700), nesterov=st.booleans(), momentum=st.sampled_from([0, 0.9]))
def test_sgd(dtype, seed, n, nesterov, momentum):
    rng = np.random.default_rng(seed)
    gradient, p, u = (rng.normal(size=n).astype(dtype) for _ in range(3))
    g = (gradient + 0.5 * p) / 8
    u_next = momentum * u - 0.1 * g
    p_next = p + (momentum * u_next - 0.1 * g if nesterov else u_next)
    layers.step_sgd(gradient, 0.5, 1 / 8, 0.1, momentum, nesterov, p, u)
    tolerance = 20 * np.finfo(dtype).eps
    np.testing.assert_allclose(p, p_next, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(u, u_next, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout_leaves_out_its_share_wherever_a_range_begins(dtype):
    x = np.ones(200_000, dtype)
    out, part = np.empty_like(x), np.empty(1000, dtype)
    layers.dropout(x, 7, 0, 0.3, out)
    assert set(np.unique(out)) == {dtype(0), dtype(1 / 0.7)}
    assert abs((out == 0).mean() - 0.3) < 0.005
    layers.dropout(x[:1000], 7, 12_345, 0.3, part)
    np.testing.assert_array_equal(part, out[12_345:13_345])
    layers.dropout(x, 8, 0, 0.3, other := np.empty_like(x))
    assert abs(((out == 0) & (other == 0)).mean() - 0.09) < 0.005


# --- inference --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@given(
    seed=st.integers(0, 1 << 30), n_rows=st.integers(1, 20), sizes=st.lists(st.integers(1, 90), min_size=2, max_size=4)
)
def test_inference_of_dense_and_sparse_rows(dtype, seed, n_rows, sizes):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n_rows, sizes[0])) * (rng.random((n_rows, sizes[0])) < 0.4)).astype(dtype)
    coefs = [(rng.normal(size=shape) / 4).astype(dtype) for shape in itertools.pairwise(sizes)]
    intercepts = [rng.normal(size=size).astype(dtype) for size in sizes[1:]]
    a = X.astype(float)
    for coef, intercept in zip(coefs[:-1], intercepts[:-1], strict=True):
        a = np.tanh(a @ coef + intercept)
    expected = scipy.special.softmax(a @ coefs[-1] + intercepts[-1], axis=1)
    out = np.full((n_rows, sizes[-1]), np.nan, dtype)
    kinds = ACTIVATIONS["tanh"], ACTIVATIONS["softmax"]
    assert inference.apply_rows(coefs, intercepts, *kinds, X, out) == 0
    tolerance = 300 * np.finfo(dtype).eps
    np.testing.assert_allclose(out, expected, rtol=tolerance, atol=tolerance)
    for index_type in (np.int32, np.int64):
        out = np.full((n_rows, sizes[-1]), np.nan, dtype)
        csr = scipy.sparse.csr_matrix(X)
        parts = csr.data, csr.indices.astype(index_type), csr.indptr.astype(index_type)
        assert inference.apply_sparse_rows(coefs, intercepts, *kinds, *parts, sizes[0], 0, n_rows, out) == 0
        np.testing.assert_allclose(out, expected, rtol=tolerance, atol=tolerance)


def test_inference_trusts_nobody():
    coefs, intercepts = [np.ones((3, 2)), np.ones((2, 1))], [np.zeros(2), np.zeros(1)]
    kinds = ACTIVATIONS["relu"], ACTIVATIONS["identity"]
    X, out = np.ones((4, 3)), np.empty((4, 1))
    apply = inference.apply_rows
    assert apply(coefs, intercepts, *kinds, X, out) == 0
    assert apply(coefs, intercepts, *kinds, np.full((4, 3), np.nan), out) == inference.NONFINITE
    for bad_coefs, bad_intercepts, error in [
        ([np.ones((3, 2)), np.ones((3, 1))], intercepts, ValueError),
        ([np.ones((4, 2)), np.ones((2, 1))], intercepts, ValueError),
        ([np.ones((3, 2)), np.ones((2, 2))], intercepts, ValueError),
        (coefs, [np.zeros(3), np.zeros(1)], ValueError),
        (coefs, intercepts[:1], ValueError),
        ([], [], ValueError),
        ([np.ones((3, 2), np.float32), np.ones((2, 1))], intercepts, TypeError),
        ([np.ones((2, 3)).T, np.ones((2, 1))], intercepts, TypeError),
        ([[[1.0]], np.ones((2, 1))], intercepts, TypeError),
    ]:
        with pytest.raises(error):
            apply(bad_coefs, bad_intercepts, *kinds, X, out)
    data, indices, indptr = np.ones(3), np.array([0, 1, 2], np.int32), np.array([0, 1, 2, 3, 3], np.int32)

    def apply_sparse(data, indices, indptr):
        return inference.apply_sparse_rows(coefs, intercepts, *kinds, data, indices, indptr, 3, 0, 4, out)

    assert apply_sparse(data, indices, indptr) == 0
    assert apply_sparse(np.array([1, np.inf, 1]), indices, indptr) == inference.NONFINITE
    for bad in ([0, 1, 3], [-1, 1, 2], [0, 1, 2**31 - 1]):
        assert apply_sparse(data, np.array(bad, np.int32), indptr) == inference.MALFORMED
    for bad in ([0, 1, 2, 3, 4], [0, 2, 1, 3, 3], [-1, 0, 0, 0, 0]):
        assert apply_sparse(data, indices, np.array(bad, np.int32)) == inference.MALFORMED


# --- tiers ------------------------------------------------------------------------------------------------------------

SCRIPT = """
import json, sys
import numpy as np
sys.path.insert(0, {folder!r})
import test_layers as t
found = []
for dtype in t.DTYPES:
    rng = np.random.default_rng(0)
    z = (3 * rng.normal(size=(19, 37))).astype(dtype)
    for name in t.ACTIVATIONS:
        found.append(t.activated(name, z).astype(float).ravel())
        if name in t.HIDDEN:
            delta = np.ones(z.size, dtype)
            t.layers.apply_slope(t.ACTIVATIONS[name], z.ravel(), t.activated(name, z).ravel(), delta)
            found.append(delta.astype(float))
    for kind in t.LOSSES.values():
        delta, y = np.empty_like(z), rng.random(z.shape).astype(dtype)
        t.layers.evaluate_loss(kind, z / 3, y, rng.random(19).astype(dtype), np.inf, delta)
        found.append(delta.astype(float).ravel())
    p, m, v, g = (rng.random(501).astype(dtype) for _ in range(4))
    t.layers.step_adam(g, 0.1, 0.5, 0.01, 0.9, 0.99, 1e-8, p, m, v)
    t.layers.step_sgd(g, 0.1, 0.5, 0.01, 0.9, True, v, m)
    out = np.empty(501, dtype)
    t.layers.dropout(g, 3, 5, 0.5, out)
    found += [p.astype(float), m.astype(float), v.astype(float), out.astype(float)]
    sparse = np.where(rng.random((3, 37)) < 0.5, z[:3], 0).astype(dtype)
    for n_out in (1, 10, 100):
        coef, answer = rng.random((37, n_out)).astype(dtype), np.empty((3, n_out), dtype)
        t.inference.apply_rows([coef], [np.zeros(n_out, dtype)], 0, 0, sparse, answer)
        found.append(answer.astype(float).ravel())
print(json.dumps([a.tolist() for a in found]))
"""


def test_every_tier_gives_the_same_to_rounding():
    found = {}
    for tier in TIERS:
        process = subprocess.run(
            [sys.executable, "-c", SCRIPT.format(folder=os.path.dirname(__file__))],
            env={**os.environ, "DECIBAN_CPU": tier},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        found[tier] = [np.array(values) for values in json.loads(process.stdout)]
    half = len(found["v4"]) // 2
    for tier in TIERS[:2]:
        for at, (mine, best) in enumerate(zip(found[tier], found["v4"], strict=True)):
            tolerance = 1e-12 if at < half else 1e-4
            np.testing.assert_allclose(mine, best, rtol=tolerance, atol=tolerance / 10)
