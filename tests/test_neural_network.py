"""The perceptrons against scikit-learn's, weight for weight, and what only they have."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
import sklearn.neural_network
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score

import deciban
from deciban import neural_network
from deciban.neural_network import _training

SINCE_1_7 = pytest.mark.skipif(sklearn.__version__ < "1.7", reason="scikit-learn has it since 1.7")
DIGITS = load_digits()
X, Y = DIGITS.data[:700] / 16, DIGITS.target[:700]
MULTILABEL = np.stack([Y % 2, Y > 4, Y % 3 == 0], axis=1).astype(int)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def pair(name, **params):
    return getattr(sklearn.neural_network, name)(**params), getattr(neural_network, name)(**params)


def assert_same_fit(theirs, ours, rtol=1e-9, atol=1e-12):
    for attribute in ("coefs_", "intercepts_"):
        for expected, found in zip(getattr(theirs, attribute), getattr(ours, attribute), strict=True):
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)
    for attribute in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=max(rtol, 1e-12))
    for attribute in ("loss_curve_", "validation_scores_", "best_loss_", "best_validation_score_"):
        expected = getattr(theirs, attribute, None)
        if expected is None:
            assert getattr(ours, attribute, None) is None
        else:
            np.testing.assert_allclose(getattr(ours, attribute), expected, rtol=max(rtol, 1e-12))


SETTINGS = [
    *({"activation": name} for name in ("identity", "logistic", "tanh", "relu")),
    {"hidden_layer_sizes": (17, 9, 5), "batch_size": 64},
    {"hidden_layer_sizes": (), "batch_size": 700},
    {"shuffle": False, "batch_size": 33},
    {"alpha": 0.0},
    {"alpha": 10.0},
    {"early_stopping": True, "tol": 1e-2, "n_iter_no_change": 2, "max_iter": 40},
    {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-4},
    *(
        {"solver": "sgd", "learning_rate": rate, "nesterovs_momentum": nesterov, "learning_rate_init": 0.1}
        for rate in ("constant", "invscaling")
        for nesterov in (True, False)
    ),
    {"solver": "sgd", "momentum": 0, "learning_rate_init": 0.1},
    {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.2, "tol": 0.05, "n_iter_no_change": 1,
     "max_iter": 60},
    {"solver": "lbfgs"},
]  # fmt: skip


@pytest.mark.parametrize("params", SETTINGS, ids=str)
def test_a_fit_follows_scikit_learns(params):
    params = {"max_iter": 8, "hidden_layer_sizes": 20, "random_state": 3, **params}
    theirs, ours = pair("MLPClassifier", **params)
    assert_same_fit(theirs.fit(X, Y), ours.fit(X, Y))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-8, atol=1e-12)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("container", [sp.csr_matrix, sp.csr_array, sp.csc_matrix])
def test_sparse_samples(container, solver):
    theirs, ours = pair("MLPClassifier", solver=solver, max_iter=5, hidden_layer_sizes=(30, 7), random_state=0)
    sparse = container(X * (X > 0.5))
    assert_same_fit(theirs.fit(sparse, Y), ours.fit(sparse, Y))
    np.testing.assert_allclose(ours.predict_proba(sparse), theirs.predict_proba(sparse), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(ours.predict_proba(sparse[:1]), theirs.predict_proba(sparse[:1]), rtol=1e-9)


WIDE = sp.random_array((330, 900), density=0.01, random_state=0, format="csr")  # most features are in few batches
PUT_OFF = [
    {"solver": "adam"},
    {"solver": "adam", "alpha": 0.0},
    {"solver": "sgd", "alpha": 0.5, "learning_rate_init": 0.1},
    {"solver": "sgd", "alpha": 0.0, "nesterovs_momentum": False, "learning_rate_init": 0.1},
    {"solver": "sgd", "alpha": 0.0, "momentum": 0.0, "learning_rate_init": 0.1},
    {"solver": "sgd", "alpha": 0.5, "momentum": 0.0, "learning_rate": "invscaling", "learning_rate_init": 0.1},
]


@pytest.mark.parametrize("params", PUT_OFF, ids=str)
def test_steps_of_features_without_entries_are_put_off_not_left_out(params, monkeypatch):
    params = {"hidden_layer_sizes": (20,), "batch_size": 30, "max_iter": 4, "random_state": 0, **params}
    theirs, ours = pair("MLPRegressor", **params)
    labels = Y[:330] / 10
    assert_same_fit(theirs.fit(WIDE, labels), ours.fit(WIDE, labels))
    for model in (theirs, ours):
        model.partial_fit(WIDE[:100], labels[:100])
    assert_same_fit(theirs, ours)
    for theirs_has, ours_has in zip(
        getattr(theirs._optimizer, "ms", None) or theirs._optimizer.velocities,
        getattr(ours._optimizer, "ms", None) or ours._optimizer.velocities,
        strict=True,
    ):
        np.testing.assert_allclose(ours_has, theirs_has, rtol=1e-9, atol=1e-13)
    in_one_go = neural_network.MLPRegressor(**params).fit(WIDE, labels)
    monkeypatch.setattr(_training, "_CALL", 1)  # a call of the kernel for every batch
    bit_by_bit = neural_network.MLPRegressor(**params).fit(WIDE, labels)
    for one, other in zip(in_one_go.coefs_, bit_by_bit.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_epoch_that_is_broken_off_has_taken_the_steps_of_its_batches(monkeypatch):
    labels, calls = Y[:330] / 10, iter(range(100))
    run_blocks = _training.run_blocks

    def interrupted(*arguments):
        if next(calls) == 3:
            raise KeyboardInterrupt
        run_blocks(*arguments)

    def model():
        return neural_network.MLPRegressor(
            hidden_layer_sizes=20, batch_size=30, shuffle=False, max_iter=1, random_state=0
        )

    expected = model().fit(WIDE[:90], labels[:90])
    monkeypatch.setattr(_training, "_CALL", 1)
    monkeypatch.setattr(_training, "run_blocks", interrupted)
    with pytest.warns(UserWarning, match="interrupted by user"):
        found = model().fit(WIDE, labels)
    for one, other in zip(expected.coefs_, found.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("targets", [Y > 4, np.where(Y > 4, "b", "a"), MULTILABEL, Y[:, np.newaxis]], ids=range(4))
@pytest.mark.filterwarnings("ignore:A column-vector y")
def test_targets_of_all_kinds(targets):
    theirs, ours = pair("MLPClassifier", max_iter=6, random_state=0)
    assert_same_fit(theirs.fit(X, targets), ours.fit(X, targets))
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-10)
    np.testing.assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-9)
    assert ours.score(X, targets) == theirs.score(X, targets)


@pytest.mark.parametrize(
    "params",
    [{}, {"early_stopping": True}, {"solver": "lbfgs"}, {"solver": "sgd", "learning_rate_init": 1e-3}]
    + [pytest.param({"loss": "poisson", "solver": solver}, marks=SINCE_1_7) for solver in ("adam", "lbfgs")],
    ids=str,
)
@pytest.mark.parametrize(
    "targets", [Y.astype(float), Y, np.stack([Y, Y**2], axis=1) / 10.0], ids=["float", "int", "two"]
)
def test_regression(params, targets):
    theirs, ours = pair("MLPRegressor", max_iter=6, random_state=0, **params)
    assert_same_fit(theirs.fit(X, targets), ours.fit(X, targets))
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-8)


@SINCE_1_7
@pytest.mark.parametrize("params", [{}, {"early_stopping": True}, {"solver": "lbfgs"}, {"solver": "sgd"}], ids=str)
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_sample_weight(name, params):
    weights = np.random.default_rng(0).random(len(Y)) * 3
    theirs, ours = pair(name, max_iter=6, random_state=0, **params)
    assert_same_fit(theirs.fit(X, Y, sample_weight=weights), ours.fit(X, Y, sample_weight=weights))
    one_batch = np.arange(len(Y)) < 400
    for model in (theirs, ours):
        if not params:
            with pytest.raises(ZeroDivisionError, match="Weights sum to zero"):
                model.set_params(shuffle=False).fit(X, Y, sample_weight=one_batch.astype(float))


def test_float32_is_kept_and_close():
    theirs, ours = pair("MLPClassifier", max_iter=5, random_state=0)
    single = X.astype(np.float32)
    assert_same_fit(theirs.fit(single, Y), ours.fit(single, Y), rtol=1e-2, atol=1e-3)
    assert ours.predict_proba(single).dtype == np.float32
    np.testing.assert_allclose(ours.predict_proba(single), theirs.predict_proba(single), rtol=1e-2, atol=1e-4)
    assert ours.predict_proba(X).dtype == theirs.predict_proba(X).dtype == np.float64


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fit_and_warm_start(solver):
    theirs, ours = pair("MLPClassifier", solver=solver, random_state=0)
    for start in range(0, 600, 200):
        for model in (theirs, ours):
            model.partial_fit(X[start : start + 200], Y[start : start + 200], classes=range(10))
        assert_same_fit(theirs, ours)
    ours = pickle.loads(pickle.dumps(ours))
    for model in (theirs, ours):
        model.partial_fit(X, Y)
    assert_same_fit(theirs, ours)
    theirs, ours = pair("MLPClassifier", solver=solver, random_state=0, warm_start=True, max_iter=3)
    for _ in range(3):
        assert_same_fit(theirs.fit(X, Y), ours.fit(X, Y))


def test_conversion_both_ways_goes_on_training():
    theirs, ours = pair("MLPClassifier", random_state=0, max_iter=4)
    ours.fit(X, Y)
    converted = ours.to_sklearn()
    assert type(converted) is sklearn.neural_network.MLPClassifier
    assert converted.get_params() == theirs.get_params()
    np.testing.assert_allclose(converted.predict_proba(X), ours.predict_proba(X), rtol=1e-10)
    back = neural_network.MLPClassifier.from_sklearn(converted)
    assert back.get_params() == ours.get_params()
    for model in (converted, back, ours):
        model.partial_fit(X, Y)
    assert_same_fit(converted, back)
    assert_same_fit(converted, ours)
    with pytest.raises(ValueError, match="no activation"):
        neural_network.MLPClassifier(activation="gelu").to_sklearn()


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_threads_change_nothing(name, make, solver):
    def fitted(n_threads):
        with deciban.config_context(n_threads=n_threads):
            model = getattr(neural_network, name)(
                hidden_layer_sizes=(300, 70), solver=solver, batch_size=500, max_iter=3, random_state=0, dropout=0.0
            ).fit(make(samples), labels)
            return [*model.coefs_, *model.intercepts_, model.predict(make(samples))]

    rng = np.random.default_rng(0)
    samples, labels = rng.random((1100, 200)) * (rng.random((1100, 200)) < 0.3), rng.integers(0, 5, 1100)
    expected = fitted(1)
    for n_threads in (2, 3, 7):
        for one, other in zip(expected, fitted(n_threads), strict=True):
            np.testing.assert_array_equal(one, other)


def test_fits_at_once_in_several_threads():
    expected = neural_network.MLPClassifier(max_iter=3, random_state=0, batch_size=350).fit(X, Y)
    models = [neural_network.MLPClassifier(max_iter=3, random_state=0, batch_size=350) for _ in range(4)]
    threads = [threading.Thread(target=model.fit, args=(X, Y)) for model in models]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    for model in models:
        np.testing.assert_array_equal(model.coefs_[0], expected.coefs_[0])


# --- what scikit-learn does not have ----------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["leaky_relu", "softplus", "gelu"])
def test_more_activations_learn(activation):
    model = neural_network.MLPClassifier(activation=activation, random_state=0, max_iter=40).fit(X, Y)
    assert model.score(X, Y) > 0.9
    sparse = clone(model).fit(sp.csr_matrix(X), Y)
    np.testing.assert_allclose(sparse.coefs_[0], model.coefs_[0], rtol=1e-8, atol=1e-10)


def test_dropout_is_reproducible_on_any_number_of_threads_and_regularises():
    def fitted(n_threads, **params):
        with deciban.config_context(n_threads=n_threads):
            return neural_network.MLPClassifier(
                hidden_layer_sizes=(200, 100), max_iter=15, random_state=0, batch_size=350, **params
            ).fit(X, Y)

    plain, one, two = fitted(1), fitted(1, dropout=0.5), fitted(2, dropout=0.5)
    np.testing.assert_array_equal(one.coefs_[0], two.coefs_[0])
    assert one.loss_ > 1.5 * plain.loss_
    assert one.score(X, Y) > 0.7
    assert not np.array_equal(one.coefs_[0], plain.coefs_[0])
    with pytest.raises(ValueError, match="dropout is for"):
        neural_network.MLPRegressor(solver="lbfgs", dropout=0.1).fit(X, Y)
    with pytest.raises(ValueError, match="dropout"):
        neural_network.MLPRegressor(dropout=1.0).fit(X, Y)


def test_class_weight_is_a_sample_weight():
    few = np.concatenate([np.flatnonzero(Y == 0), np.flatnonzero(Y == 1)[:5], np.flatnonzero(Y == 2)[:9]])
    samples, labels = X[few], Y[few]
    counts = np.bincount(labels)
    for class_weight, of_class in [({0: 1, 1: 5, 2: 0.5}, [1, 5, 0.5]), ("balanced", len(few) / 3 / counts)]:
        by_class = neural_network.MLPClassifier(max_iter=5, random_state=0, class_weight=class_weight)
        by_sample = neural_network.MLPClassifier(max_iter=5, random_state=0)
        by_class.fit(samples, labels)
        by_sample.fit(samples, labels, sample_weight=np.array(of_class)[labels])
        for one, other in zip(by_class.coefs_, by_sample.coefs_, strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="multilabel"):
        by_class.fit(X, MULTILABEL)
    with pytest.raises(ValueError, match="balanced"):
        by_class.partial_fit(samples, labels, classes=[0, 1, 2])


def test_validation_data_says_when_to_stop():
    model = neural_network.MLPClassifier(early_stopping=True, max_iter=30, tol=1e-2, n_iter_no_change=2, random_state=0)
    model.fit(X[:500], Y[:500], validation_data=(X[500:], Y[500:]))
    assert model.best_validation_score_ == accuracy_score(Y[500:], model.predict(X[500:]))
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.t_ == 500 * model.n_iter_
    for bad in ((X[500:],), [X[500:], Y[500:]], (X[500:, :3], Y[500:]), (X[500:], Y[501:])):
        with pytest.raises(ValueError, match=r"validation_data|features|inconsistent"):
            model.fit(X[:500], Y[:500], validation_data=bad)
    with pytest.raises(ValueError, match="early_stopping=True"):
        neural_network.MLPRegressor().fit(X, Y, validation_data=(X, Y))


# --- hard cases -------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    seed=st.integers(0, 1 << 30),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 9)),
    hidden=st.lists(st.integers(1, 6), max_size=3),
    batch_size=st.integers(1, 50),
    sparse=st.booleans(),
)
def test_samples_of_any_shape(seed, shape, hidden, batch_size, sparse):
    rng = np.random.default_rng(seed)
    samples, targets = rng.normal(size=shape), rng.normal(size=shape[0])
    samples = sp.csr_matrix(samples * (rng.random(shape) < 0.5)) if sparse else samples
    theirs, ours = pair("MLPRegressor", hidden_layer_sizes=hidden, batch_size=batch_size, max_iter=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_same_fit(theirs.fit(samples, targets), ours.fit(samples, targets), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours.predict(samples), theirs.predict(samples), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("layout", ["fortran", "strided", "reversed", "read-only", "big-endian", "integers"])
def test_arrays_of_any_layout(layout):
    samples = (X * 16).astype(np.int64) if layout == "integers" else X.copy()
    if layout == "fortran":
        samples = np.asfortranarray(samples)
    elif layout == "strided":
        samples = np.repeat(samples, 2, axis=1)[:, ::2]
    elif layout == "reversed":
        samples = samples[::-1, ::-1]
    elif layout == "read-only":
        samples.flags.writeable = False
    elif layout == "big-endian":
        samples = samples.astype(">f8")
    theirs, ours = pair("MLPClassifier", max_iter=3, random_state=0)
    assert_same_fit(theirs.fit(samples, Y), ours.fit(samples, Y))
    np.testing.assert_allclose(ours.predict_proba(samples), theirs.predict_proba(samples), rtol=1e-9)


def state(model):
    return pickle.dumps({name: value for name, value in vars(model).items() if not name.startswith("_random")})


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_failed_fit_leaves_the_estimator_as_it_was(solver):
    model = neural_network.MLPClassifier(solver=solver, max_iter=3, random_state=0).fit(X, Y)
    before = state(model)
    bad = X.copy()
    bad[3, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        model.fit(bad, Y)
    assert state(model) == before
    if solver != "lbfgs":
        with pytest.raises(ValueError, match="non-finite parameter weights"):
            model.set_params(learning_rate_init=1e300).fit(X * 1e200, Y)
        assert state(model.set_params(learning_rate_init=0.001)) == before
        with pytest.raises(ValueError, match="non-finite parameter weights"):
            neural_network.MLPClassifier(solver="sgd", learning_rate_init=1e300).partial_fit(X, Y, classes=range(10))
        with pytest.raises(ValueError, match="classes not in"):
            model.partial_fit(X, Y + 1)
        assert state(model) == before
    fresh = neural_network.MLPClassifier(solver=solver)
    with pytest.raises(ValueError, match="NaN"):
        fresh.fit(bad, Y)
    assert not [name for name in vars(fresh) if name.endswith("_")]


def test_an_exploding_fit_says_so_as_scikit_learns():
    targets = Y * 1e6
    for model in pair("MLPRegressor", solver="sgd", learning_rate_init=1e6, max_iter=30, random_state=0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
                model.fit(X, targets)


@pytest.mark.parametrize("make", [np.asarray, sp.csr_matrix])
def test_predictions_refuse_what_is_not_finite_or_malformed(make):
    model = neural_network.MLPClassifier(max_iter=2, random_state=0).fit(make(X), Y)
    for value in (np.nan, np.inf):
        bad = X[:1].copy()
        bad[0, 2] = value
        for rows in (bad, np.repeat(bad, 600, axis=0)):
            for method in (model.predict, model.predict_proba, model.predict_log_proba):
                with pytest.raises(ValueError, match=r"NaN|infinity"):
                    method(make(rows))
    with pytest.raises(ValueError, match="features"):
        model.predict(make(X[:, :5]))
    rows = sp.csr_matrix(X[:2])
    rows.indices[0] = 64
    with pytest.raises(ValueError, match=r"indi|column"):
        model.predict(rows)


def test_parameters_may_come_from_anywhere():
    model = neural_network.MLPClassifier(max_iter=2, random_state=0).fit(X, Y)
    expected = model.predict_proba(X)
    model.coefs_ = [np.asfortranarray(coef) for coef in model.coefs_]
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-12)
    model.coefs_ = tuple(coef.tolist() for coef in model.coefs_)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-12)
    model.coefs_ = [model.coefs_[0], np.ones((3, 10))]
    with pytest.raises(ValueError, match="coefs_"):
        model.predict_proba(X)


def test_changed_parameters_are_seen():
    model = neural_network.MLPClassifier(max_iter=2, random_state=0).fit(X, Y)
    model.intercepts_[-1][4] = 1e3
    assert set(model.predict(X)) == {4}


def test_a_subclass_that_replaces_a_part_is_left_to_scikit_learn():
    class Zeros(neural_network.MLPClassifier):
        def _init_coef(self, fan_in, fan_out, dtype):
            return np.zeros((fan_in, fan_out), dtype), np.zeros(fan_out, dtype)

    with deciban.config_context(fallback="error"), pytest.raises(deciban.FallbackError, match="replaces"):
        Zeros(max_iter=2).fit(X, Y)
    model = Zeros(max_iter=2, random_state=0).fit(X, Y)
    assert not model.coefs_[0].any()  # nothing tells its units apart, or is handed back to them
    with pytest.raises(ValueError, match="no dropout"):
        Zeros(dropout=0.5).fit(X, Y)


def test_parameters_are_scikit_learns_and_ours():
    theirs, ours = pair("MLPClassifier", hidden_layer_sizes=(3,), alpha=0.5)
    assert ours.get_params() == {**theirs.get_params(), "dropout": 0.0, "class_weight": None}
    assert clone(ours.set_params(dropout=0.25)).dropout == 0.25
    assert "dropout=0.25" in repr(ours)


SCRIPT = """
import os, signal, sys, threading, warnings
import numpy as np
from deciban.neural_network import MLPClassifier
rng = np.random.default_rng(0)
X, y = rng.random((20000, 300)), rng.integers(0, 10, 20000)
model = MLPClassifier(hidden_layer_sizes=300, max_iter=100000, tol=0, n_iter_no_change=100000, random_state=0)
threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model.fit(X, y)
assert [str(w.message) for w in caught] == ["Training interrupted by user."], caught
assert np.isfinite(model.predict_proba(X[:3])).all()
assert model.n_iter_ == len(model.loss_curve_)
print("done")
"""


@pytest.mark.skipif(os.name == "nt", reason="sends itself a signal")
def test_ctrl_c_keeps_what_there_is():
    assert signal.SIGINT
    process = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120)
    assert process.stdout == "done\n", process.stderr


def test_memory_is_a_batch_and_the_parameters():
    script = """
import resource, sys, warnings
import numpy as np
import scipy.sparse as sp
from deciban.neural_network import MLPClassifier
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X, y = rng.random((60000, 300)), rng.integers(0, 3, 60000)
MLPClassifier(hidden_layer_sizes=10, max_iter=1).fit(X[:500], y[:500])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
MLPClassifier(hidden_layer_sizes=10, max_iter=1).fit(X, y)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    if sys.platform.startswith("linux"):  # in kilobytes; X itself has 144 MB
        assert int(process.stdout) < 40_000


def test_logarithms_of_probabilities_that_round_to_1():
    """Scikit-learn's are of the probabilities, so that both have their largest in one place."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(60, 4)), rng.integers(0, 2, (60, 5))
    model = neural_network.MLPClassifier(hidden_layer_sizes=30, max_iter=5, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, Y)
    model.coefs_[-1] *= 150
    p, log_p = model.predict_proba(X), model.predict_log_proba(X)
    assert ((p == 1).sum(axis=1) > 1).any()
    np.testing.assert_array_equal(p.argmax(axis=1), log_p.argmax(axis=1))
    np.testing.assert_allclose(np.exp(log_p), p, rtol=1e-12)
