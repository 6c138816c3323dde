"""What comes from outside is malformed, tampered with or extreme: an exception that says so, or the right answer."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning

from deciban.generative import GAN, VAE
from deciban.linear_model import LogisticRegression, SGDClassifier
from deciban.neural_network import MLPClassifier, MLPRegressor

N_ROWS, N_FEATURES = 40, 6
L1 = {"l1_ratio": 1.0} if sklearn.__version__ >= "1.8" else {"penalty": "l1"}

MODELS = {
    "logistic": lambda: LogisticRegression(),
    "logistic-l1": lambda: LogisticRegression(solver="saga", max_iter=20, **L1),
    "logistic-dual": lambda: LogisticRegression(solver="saga", max_iter=20),
    "sgd": lambda: SGDClassifier(random_state=0, max_iter=5),
    "sgd-averaged": lambda: SGDClassifier(loss="log_loss", penalty="l1", average=True, random_state=0, max_iter=5),
    "perceptron": lambda: MLPClassifier(4, max_iter=3, random_state=0),
    "perceptron-lbfgs": lambda: MLPClassifier(4, solver="lbfgs", max_iter=3, random_state=0),
    "regressor": lambda: MLPRegressor(hidden_layer_sizes=4, max_iter=3, random_state=0),
    "vae": lambda: VAE(2, hidden_layer_sizes=(4,), max_iter=2, random_state=0),
    "vae-documents": lambda: VAE(2, likelihood="multinomial", hidden_layer_sizes=(4,), max_iter=2, random_state=0),
    "gan": lambda: GAN(2, generator_layer_sizes=(4,), discriminator_layer_sizes=(4,), max_iter=2, random_state=0),
}
SPARSE = [name for name in MODELS if name != "gan"]


def samples():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, (N_ROWS, N_FEATURES)).astype(np.float64)
    y = np.arange(N_ROWS) % 3
    return X, y


def quietly(call, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return call(*args, **options)


def fitted(name):
    X, y = samples()
    return quietly(MODELS[name]().fit, sp.csr_matrix(X) if name in SPARSE else X, y)


ANSWERS = ("decision_function", "predict", "predict_proba", "predict_log_proba", "transform", "score_samples")


def answers(model, X):
    """Return all that the model says of samples."""
    return {name: getattr(model, name)(X) for name in ANSWERS if hasattr(model, name)}


def calls(model, X, y):
    """Return all calls that take samples, by name."""
    found = {
        name: (lambda name=name: getattr(model, name)(X, y)) for name in ("fit", "partial_fit") if hasattr(model, name)
    }
    return found | {name: (lambda name=name: getattr(model, name)(X)) for name in ANSWERS if hasattr(model, name)}


def state(model):
    return pickle.dumps(model)


def malformed(kind):
    X = sp.csr_matrix(samples()[0])
    indices, indptr, data = X.indices.copy(), X.indptr.copy(), X.data.copy()
    if kind == "index too large":
        indices[3] = N_FEATURES
    elif kind == "index negative":
        indices[-1] = -1
    elif kind == "index huge":
        indices[5] = 2**31 - 1
    elif kind == "indptr decreases":
        indptr[3] = indptr[4] + 1
    elif kind == "indptr negative":
        indptr[1] = -5
    elif kind == "indptr starts late":
        indptr[0] = 1
    elif kind == "indptr ends late":
        indptr[-1] += 7
    elif kind == "indptr ends far away":
        indptr[-1] = 2**31 - 1
    elif kind == "indptr too short":
        indptr = indptr[:-1]
    elif kind == "indptr too long":
        indptr = np.append(indptr, indptr[-1])
    elif kind == "data too short":
        data = data[:-3]
    elif kind == "indices too short":
        indices = indices[:-3]
    elif kind == "indices of numbers with a point":
        indices = indices.astype(np.float64)
    elif kind == "indptr of numbers with a point":
        indptr = indptr.astype(np.float64)
    elif kind == "two-dimensional data":
        data = data[:, np.newaxis]
    elif kind == "nan":
        data[4] = np.nan
    elif kind == "inf":
        data[4] = -np.inf
    X.indices, X.indptr, X.data = indices, indptr, data
    return X


MALFORMED = [
    "index too large", "index negative", "index huge", "indptr decreases", "indptr negative", "indptr starts late",
    "indptr ends late", "indptr ends far away", "indptr too short", "indptr too long", "data too short",
    "indices too short", "indices of numbers with a point", "indptr of numbers with a point",
    "two-dimensional data", "nan", "inf",
]  # fmt: skip


def same_answers(found, expected, rtol=1e-9):
    for name, answer in expected.items():
        assert_allclose(found[name], answer, rtol=rtol, atol=rtol, err_msg=name)


class TestSparseMatrices:
    @pytest.mark.parametrize("kind", MALFORMED)
    @pytest.mark.parametrize("name", SPARSE)
    def test_malformed_ones(self, name, kind):
        model, (_, y) = fitted(name), samples()
        before = state(model)
        for method, call in calls(model, malformed(kind), y).items():
            if kind == "indptr starts late" and method in ANSWERS:  # nothing is read that is not there
                continue
            with pytest.raises(ValueError, match=r"\w+ \w+"):
                quietly(call)
            assert state(model) == before, method

    @pytest.mark.parametrize("kind", ["wide indices", "unsorted", "repeated", "memory map", "CSC", "array"])
    @pytest.mark.parametrize("name", SPARSE)
    def test_unusual_ones(self, name, kind, tmp_path):
        X, y = samples()
        plain = sp.csr_matrix(X)
        data, indices, indptr = plain.data, plain.indices, plain.indptr
        if kind == "wide indices":
            indices, indptr = indices.astype(np.int64), indptr.astype(np.int64)
        elif kind == "unsorted":
            order = np.lexsort((-indices, np.repeat(np.arange(N_ROWS), np.diff(indptr))))
            data, indices = data[order], indices[order]
        elif kind == "repeated":
            data, indices, indptr = np.repeat(data / 2, 2), np.repeat(indices, 2), 2 * indptr
        other = sp.csr_matrix((data, indices, indptr), shape=X.shape)
        if kind == "wide indices":
            other.indices, other.indptr = indices, indptr  # which SciPy narrows
        elif kind == "memory map":
            for part in ("data", "indices", "indptr"):
                np.save(tmp_path / f"{part}.npy", getattr(plain, part))
                setattr(other, part, np.load(tmp_path / f"{part}.npy", mmap_mode="r"))
        elif kind == "CSC":
            other = plain.tocsc()
        elif kind == "array":
            other = sp.csr_array(plain)
        model = fitted(name)
        same_answers(answers(model, other), answers(model, plain), rtol=1e-6)
        again = MODELS[name]()
        if kind == "wide indices" and name in ("logistic-l1", "logistic-dual"):
            with pytest.raises(ValueError, match="32-bit"):  # as scikit-learn's saga
                again.fit(other, y)
        elif not (kind == "repeated" and name == "sgd-averaged"):  # where it is two steps of the l1 penalty
            same_answers(answers(quietly(again.fit, other, y), plain), answers(model, plain), rtol=1e-7)

    @pytest.mark.parametrize("shape", [(0, N_FEATURES), (N_ROWS, 0), (0, 0)])
    @pytest.mark.parametrize("sparse", [False, True])
    @pytest.mark.parametrize("name", MODELS)
    def test_nothing(self, name, sparse, shape):
        model = fitted(name)
        before = state(model)
        X = sp.csr_matrix(shape) if sparse else np.empty(shape)
        for method, call in calls(model, X, np.arange(shape[0]) % 3).items():
            with pytest.raises((ValueError, TypeError), match=r"sample|feature|sparse|Sparse"):
                quietly(call)
            assert state(model) == before, method


class TestTargets:
    @pytest.mark.parametrize("name", MODELS)
    def test_a_failed_fit_leaves_the_model_as_it_was(self, name):
        model, (X, y) = fitted(name), samples()
        before = state(model)
        X = sp.csr_matrix(X) if name in SPARSE else X
        wrong = [y[:-1], np.append(y, 0), np.stack([y, y, y], axis=1)[:, :, np.newaxis]]
        if name != "regressor":
            wrong.append(np.linspace(0, 1, N_ROWS))
        for labels in wrong:
            for method in ("fit", "partial_fit"):
                if hasattr(model, method):
                    with pytest.raises(ValueError, match=r"\w+ \w+"):
                        quietly(getattr(model, method), X, labels)
                    assert state(model) == before, method

    @pytest.mark.parametrize("weight", [np.ones(N_ROWS - 1), np.ones((N_ROWS, 2)), np.full(N_ROWS, np.nan), "heavy"])
    @pytest.mark.parametrize("name", [name for name in SPARSE if not name.startswith("vae")])
    def test_wrong_weights(self, name, weight):
        model, (X, y) = fitted(name), samples()
        before = state(model)
        for method in ("fit", "partial_fit"):
            if hasattr(model, method):
                with pytest.raises((ValueError, TypeError), match=r"\w+"):
                    quietly(getattr(model, method), X, y, sample_weight=weight)
                assert state(model) == before, method

    @pytest.mark.parametrize("name", ["sgd", "sgd-averaged", "perceptron", "vae", "gan"])
    def test_labels_that_come_and_go(self, name):
        X, y = samples()
        model = MODELS[name]()
        quietly(model.partial_fit, X, y, classes=[0, 1, 2])
        quietly(model.partial_fit, X[y < 2], y[y < 2])  # a class disappears
        before = state(model)
        for wrong in (np.full(N_ROWS, 7), np.full(N_ROWS, -1), np.array(["a"] * N_ROWS)):
            with pytest.raises(ValueError, match=r"class|label|y "):
                model.partial_fit(X, wrong)
            assert state(model) == before
        quietly(model.partial_fit, X, y)


class TestNumbers:
    @pytest.mark.parametrize("size", [1e150, 1e300, 1e-300])
    @pytest.mark.parametrize("sparse", [False, True])
    @pytest.mark.parametrize("name", MODELS)
    def test_huge_and_tiny_samples(self, name, sparse, size):
        if sparse and name not in SPARSE:
            pytest.skip("takes no sparse samples")
        model, (X, y) = fitted(name), samples()
        X = sp.csr_matrix(X * size) if sparse else X * size
        with np.errstate(all="ignore"):
            for found in answers(model, X).values():
                assert len(found) == N_ROWS
            for method in ("fit", "partial_fit"):
                before, message = state(model), ""
                if hasattr(model, method):
                    try:
                        quietly(getattr(model, method), X, y)
                    except (ValueError, FloatingPointError) as error:
                        message = str(error)
                    assert not message or (len(message) > 20 and state(model) == before), method


LINEAR = ["logistic", "sgd", "sgd-averaged"]
NETWORKS = ["perceptron", "regressor"]
OF_ARRAYS = {
    "a row less": lambda a: a[:-1],
    "a row more": lambda a: np.concatenate([a, a[:1]]),
    "transposed": lambda a: np.ascontiguousarray(a.T) if a.ndim > 1 else a[:, np.newaxis],
    "flat": lambda a: a.ravel() if a.ndim > 1 else a[0],
    "nothing": lambda a: a[:0],
    "words": lambda a: a.astype(str),
    "objects": lambda a: np.full(a.shape, None),
    "complex": lambda a: a.astype(complex),
    "integers": lambda a: a.astype(np.int64),
    "halves": lambda a: a.astype(np.float16),
    "nan": lambda a: np.full(a.shape, np.nan),
    "inf": lambda a: np.full(a.shape, np.inf),
    "None": lambda _: None,
}  # fmt: skip


def survives(model, X, y):
    """Call everything: each call answers for each sample, or says what is wrong."""
    everything = calls(model, X, y)
    if hasattr(model, "sample"):
        everything["sample"] = lambda: model.sample(N_ROWS, random_state=0)[0]
    for name, call in everything.items():
        message = found = None
        with np.errstate(all="ignore"):
            try:
                found = quietly(call)
            except (ValueError, TypeError, AttributeError, FloatingPointError) as error:
                message = str(error)
        assert message or found is model or found.shape[0] == N_ROWS, name


def tampered(name, place, change):
    """Return a loaded model one of whose arrays was changed in the pickle."""
    model = copy.deepcopy(fitted(name))
    holder, key = place(model)
    if isinstance(holder, list):
        holder[key] = change(holder[key])
    else:
        setattr(holder, key, change(getattr(holder, key)))
    return pickle.loads(pickle.dumps(model))


PLACES = {
    "coef": (LINEAR, lambda model: (model, "coef_")),
    "intercept": (LINEAR, lambda model: (model, "intercept_")),
    "average": (["sgd-averaged"], lambda model: (model, "_average_coef")),
    "standard": (["sgd-averaged"], lambda model: (model, "_standard_coef")),
    "classes": ([*LINEAR, "perceptron"], lambda model: (model, "classes_")),
    "first layer": (NETWORKS, lambda model: (model.coefs_, 0)),
    "last layer": (NETWORKS, lambda model: (model.coefs_, -1)),
    "intercepts": (NETWORKS, lambda model: (model.intercepts_, 0)),
    "moments": (NETWORKS, lambda model: (model._optimizer.ms, 0)),
    "squares": (NETWORKS, lambda model: (model._optimizer.vs, -1)),
    "parameters": (["vae", "vae-documents", "gan"], lambda model: (model._state.parameters, 0)),
    "discriminator": (["gan"], lambda model: (model._state.parameters, 1)),
    "first moments": (["vae", "gan"], lambda model: (model._state.first_moments, 0)),
    "second moments": (["vae", "gan"], lambda model: (model._state.second_moments, -1)),
    "running average": (["gan"], lambda model: (model._state, "average")),
    "as samples meet them": (["gan"], lambda model: (model._state, "used")),
    "directions": (["gan"], lambda model: (model._state, "directions")),
    "norms": (["gan"], lambda model: (model._state, "sigma")),
    "counts": (["vae", "gan"], lambda model: (model, "class_count_")),
}


class TestTamperedPickles:
    @pytest.mark.parametrize("change", OF_ARRAYS)
    @pytest.mark.parametrize(("name", "place"), [(name, place) for place in PLACES for name in PLACES[place][0]])
    def test_arrays(self, name, place, change):
        X, y = samples()
        model = tampered(name, PLACES[place][1], OF_ARRAYS[change])
        survives(copy.deepcopy(model), X, y)
        survives(model, sp.csr_matrix(X), y)

    @pytest.mark.parametrize(
        "place",
        [lambda m: m.coefs_, lambda m: m.intercepts_, lambda m: m._optimizer.ms, lambda m: m._optimizer.vs],
    )
    @pytest.mark.parametrize("more", [False, True])
    @pytest.mark.parametrize("name", NETWORKS)
    def test_numbers_of_layers(self, name, place, more):
        X, y = samples()
        model = fitted(name)
        layers = place(model)
        layers.append(layers[-1]) if more else layers.pop()
        before = state(model)
        with pytest.raises(ValueError, match=r"\w+ \w+"):
            model.partial_fit(X, y)
        assert state(model) == before
        survives(model, X, y)

    @pytest.mark.parametrize("name", [*LINEAR, *NETWORKS])
    def test_order_is_no_matter(self, name):
        X, y = samples()
        model = fitted(name)
        other = copy.deepcopy(model)
        if name in NETWORKS:
            other.coefs_ = [np.asfortranarray(coef) for coef in other.coefs_]
        else:
            other.coef_ = np.repeat(other.coef_, 2, axis=1)[:, ::2]
        for given in (X, sp.csr_matrix(X)):
            same_answers(answers(other, given), answers(model, given))
        if hasattr(model, "partial_fit"):
            for own in (model, other):
                quietly(own.partial_fit, X, y)
            same_answers(answers(other, X), answers(model, X))
