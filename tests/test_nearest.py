"""Classes found in single precision are those of the exact scores, or in doubt."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import sklearn.naive_bayes
from hypothesis import given
from hypothesis import strategies as st

import deciban
from deciban._kernels import nearest
from deciban.naive_bayes import GaussianNB
from deciban.naive_bayes._gaussian import in_single

TIERS = ("baseline", "v3", "v4")
DTYPES = ("float64", "float32", "int64", "int32")


def exact_scores(X, mean, precision, offset):
    """Return joint log likelihoods with 64 bits of precision, where the machine has them."""
    X, mean, precision, offset = (np.asarray(array, dtype=np.longdouble) for array in (X, mean, precision, offset))
    return offset - 0.5 * np.stack(
        [(np.square(X - m) * p).sum(axis=1) for m, p in zip(mean, precision, strict=True)], axis=1
    )


def settle(X, mean, precision, offset, start=0, stop=None):
    """Return the classes, and how many the kernel says are in doubt; None if single precision cannot hold the model."""
    parameters = in_single(mean, precision, offset)
    if parameters is None:
        return None
    stop = len(X) if stop is None else stop
    found = np.full(len(X), -7, np.intp)
    width = nearest.ROWS * (min(X.shape[1], nearest.FEATURES) + len(mean))
    return found, nearest.nearest_rows(X, *parameters, start, stop, np.empty(width, np.float32), found)


def assert_settled_rightly(X, mean, precision, offset):
    """Check every row that is not in doubt; return the share of those that are."""
    answer = settle(X, mean, precision, offset)
    assert answer is not None
    found, n_doubtful = answer
    assert found.min() >= -1
    assert found.max() < len(mean)
    assert (found < 0).sum() == n_doubtful
    scores = exact_scores(X, mean, precision, offset)
    rows = np.flatnonzero(found >= 0)
    others = scores[rows].copy()
    best = others[np.arange(len(rows)), found[rows]]
    others[np.arange(len(rows)), found[rows]] = -np.inf
    assert (best > others.max(axis=1)).all()
    return n_doubtful / len(X)


def clouds(rng, n_classes, n_features, spread=0.5):
    return spread * rng.standard_normal((n_classes, n_features)), 2.0 ** rng.uniform(-1, 1, (n_classes, n_features))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_features", [1, 3, 7, 8, 9, 50, 128, 129, 300])
@pytest.mark.parametrize("n_classes", [1, 2, 7])
def test_most_rows_are_settled_and_rightly(n_classes, n_features, dtype):
    rng = np.random.default_rng(n_features)
    mean, precision = clouds(rng, n_classes, n_features)
    offset = rng.normal(size=n_classes)
    X = (3 * rng.standard_normal((201, n_features))).astype(dtype)
    assert assert_settled_rightly(X, mean, precision, offset) < 0.02


def test_other_rows_are_left_alone():
    rng = np.random.default_rng(0)
    mean, precision = clouds(rng, 3, 10)
    X = rng.standard_normal((300, 10))
    whole, _ = settle(X, mean, precision, np.zeros(3))
    for start, stop in ((0, 1), (5, 69), (63, 300), (299, 300), (7, 7)):
        found, _ = settle(X, mean, precision, np.zeros(3), start, stop)
        np.testing.assert_array_equal(found[start:stop], whole[start:stop])
        assert (np.delete(found, np.s_[start:stop]) == -7).all()


@st.composite
def models(draw):
    """Return models of features and classes of any scale, and rows where classes are as good as equal."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n_classes, n_features = draw(st.integers(2, 5)), draw(st.integers(1, 20))
    features, classes = draw(st.sampled_from((0, 1, 12, 40))), draw(st.sampled_from((0, 1, 6)))
    far, near = draw(st.sampled_from((0.0, 1.0, 1e6, 1e12))), draw(st.sampled_from((0.0, 1e-9, 1e-6, 1e-3, 1.0)))
    scale = 10.0 ** rng.uniform(-features, features, n_features)
    mean = (far * rng.standard_normal(n_features) + near * rng.standard_normal((n_classes, n_features))) * scale
    width = scale * 10.0 ** rng.uniform(-classes, classes, (n_classes, n_features))
    between = rng.random((60, 1))
    X = mean[rng.integers(0, n_classes, 60)] * between + mean[rng.integers(0, n_classes, 60)] * (1 - between)
    X += (
        width[rng.integers(0, n_classes, 60)]
        * rng.standard_normal((60, n_features))
        * 10.0 ** rng.uniform(-9, 1, (60, 1))
    )
    offset = draw(st.sampled_from((0.0, 1.0, 1e3, 1e8))) * rng.standard_normal(n_classes)
    precision = 1.0 / np.square(width)
    # where two classes cross, to a few units of the last place
    for row in range(0, 60, 2):
        scores = exact_scores(X[row : row + 1], mean, precision, offset)[0]
        best, second = np.argsort(scores)[[-1, -2]]
        offset[second] += float(scores[best] - scores[second]) * (1 + rng.choice([-1e-5, -1e-7, 0.0, 1e-7, 1e-5]))
    return X, mean, precision, offset


@given(models())
def test_no_row_is_settled_wrongly(model):
    if settle(*model) is not None:
        assert_settled_rightly(*model)


@given(models())
def test_predictions_are_those_of_double_precision(model):
    X, mean, precision, _ = model
    m = GaussianNB().fit(np.eye(len(mean), X.shape[1]), np.arange(len(mean)))
    m.theta_, m.var_ = mean, 1.0 / precision
    rows = np.tile(X, (6, 1))
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(m.predict(rows), m.predict_joint_log_proba(rows).argmax(axis=1))


def test_equal_classes_are_in_doubt_and_go_to_the_first():
    rng = np.random.default_rng(0)
    mean, precision = clouds(rng, 1, 12)
    mean, precision = np.repeat(mean, 3, axis=0), np.repeat(precision, 3, axis=0)
    X = rng.standard_normal((500, 12))
    found, n_doubtful = settle(X, mean, precision, np.zeros(3))
    assert n_doubtful == 500
    assert (found == -1).all()
    m = GaussianNB().fit(np.tile(X, (2, 1)), np.repeat([3, 8], 500))
    their = sklearn.naive_bayes.GaussianNB().fit(np.tile(X, (2, 1)), np.repeat([3, 8], 500))
    assert (m.predict(X) == 3).all()
    assert (their.predict(X) == 3).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e200, 1e308])
def test_rows_too_large_or_not_finite_are_in_doubt(value):
    rng = np.random.default_rng(0)
    mean, precision = clouds(rng, 4, 20)
    X = rng.standard_normal((130, 20))
    whole, _ = settle(X, mean, precision, np.zeros(4))
    X[77, 5] = value
    found, _ = settle(X, mean, precision, np.zeros(4))
    assert found[77] == -1
    np.testing.assert_array_equal(np.delete(found, 77), np.delete(whole, 77))


def test_pixels_that_are_constant_in_some_classes():
    # the precision of such a feature is a billion times that of the same feature in another class
    rng = np.random.default_rng(0)
    y = np.arange(3000) % 5
    X = rng.integers(0, 255, (3000, 64)).astype(float) * (rng.random((5, 64)) < 0.7)[y]
    their, our = sklearn.naive_bayes.GaussianNB().fit(X, y), GaussianNB().fit(X, y)
    np.testing.assert_array_equal(our.predict(X), their.predict(X))
    with np.errstate(divide="ignore"):
        offset = np.log(our.class_prior_) - 0.5 * np.log(2 * np.pi * our.var_).sum(axis=1)
    _, n_doubtful = settle(X, our.theta_, 1 / our.var_, offset)
    assert n_doubtful < 30


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e12])
@pytest.mark.parametrize(("dtype", "shift"), [("float64", 0.0), ("float64", 1e6), ("float32", 0.0), ("float32", 30.0)])
def test_scales_agree_with_scikit_learn(scale, shift, dtype):
    rng = np.random.default_rng(0)
    y = np.arange(2000) % 4
    X = ((rng.standard_normal((2000, 9)) + 0.4 * rng.standard_normal((4, 9))[y] + shift) * scale).astype(dtype)
    their, our = (cls(var_smoothing=1e-14).fit(X, y) for cls in (sklearn.naive_bayes.GaussianNB, GaussianNB))
    assert np.mean(our.predict(X) == their.predict(X)) > 0.999
    np.testing.assert_array_equal(our.predict(X), our.predict_joint_log_proba(X).argmax(axis=1))


@pytest.mark.parametrize(
    ("precision", "offset"),
    [
        ([[1.0, 1.0], [1e-30, 1.0]], [0.0, 0.0]),
        ([[1.0, 1.0], [1.0, 1.0]], [0.0, -np.inf]),
        ([[1.0, 1.0], [1.0, 1.0]], [0.0, -1e13]),
        ([[1e30, 1.0], [1e30, 1.0]], [0.0, 0.0]),
    ],
)
def test_models_that_single_precision_cannot_hold(precision, offset):
    assert in_single(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array(precision), np.array(offset)) is None


def test_a_class_without_a_prior_is_never_predicted():
    rng = np.random.default_rng(0)
    y = np.arange(900) % 3
    X = rng.standard_normal((900, 5)) + y[:, None]
    their, our = (cls(priors=[0.5, 0.0, 0.5]).fit(X, y) for cls in (sklearn.naive_bayes.GaussianNB, GaussianNB))
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(our.predict(X), their.predict(X))


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_labels_of_many_rows(n_threads):
    rng = np.random.default_rng(0)
    y = np.arange(40_000) % 6
    X = rng.standard_normal((40_000, 4)) + y[:, None] / 4
    for labels in (
        np.arange(6),
        np.array([-5, 3, 4, 1 << 40, 1 << 41, 1 << 62]),
        np.arange(6.0),
        np.array([*"abcdef"]),
        np.arange(6, dtype=np.uint8),
        np.array([*"abcdef"], dtype=object),
    ):
        m = GaussianNB().fit(X, labels[y])
        with deciban.config_context(n_threads=n_threads):
            found = m.predict(X)
        expected = m.classes_[m.predict_joint_log_proba(X).argmax(axis=1)]
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype


def test_the_kernel_checks_shapes():
    rng = np.random.default_rng(0)
    mean, precision = clouds(rng, 3, 10)
    X, found, scratch = rng.standard_normal((70, 10)), np.empty(70, np.intp), np.empty(nearest.ROWS * 13, np.float32)
    good = (X, *in_single(mean, precision, np.zeros(3)), 0, 70, scratch, found)
    assert nearest.nearest_rows(*good) >= 0
    for position, bad in [
        (0, X[:, :9].copy()), (0, X[:69]), (1, np.zeros(9)), (2, np.zeros(11)), (3, np.zeros((3, 9), np.float32)),
        (3, np.zeros((2, 10), np.float32)), (4, np.zeros((2, 10), np.float32)), (5, np.zeros((4, 2), np.float32)),
        (5, np.zeros((3, 3), np.float32)), (6, -1), (6, 71), (7, 71), (8, scratch[1:]), (9, found[1:]),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match="do not agree in shape"):
            nearest.nearest_rows(*good[:position], bad, *good[position + 1 :])


SCRIPT = """
import hashlib, json
import numpy as np
from deciban.naive_bayes import GaussianNB
rng = np.random.default_rng(0)
found = {}
for dtype in ("float64", "float32", "int64", "int32"):
    for n_features in (1, 5, 8, 50, 130):
        y = np.arange(1000) % 7
        X = ((rng.standard_normal((1000, n_features)) + y[:, None] / 9) * 5).astype(dtype)
        found[f"{dtype} {n_features}"] = hashlib.sha256(GaussianNB().fit(X, y).predict(X).tobytes()).hexdigest()
print(json.dumps(found))
"""


def test_every_tier_gives_the_same_classes():
    answers = []
    for tier in TIERS:
        command = [sys.executable, "-c", SCRIPT]
        run = subprocess.run(
            command, env={**os.environ, "DECIBAN_CPU": tier}, capture_output=True, text=True, check=True
        )
        answers.append(json.loads(run.stdout))
    assert answers[0] == answers[1] == answers[2]
    assert len(answers[0]) == 4 * 5
