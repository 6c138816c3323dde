"""What people build around the estimators: pipelines, searches, calibration, pandas, pickles."""

import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn.feature_extraction.text as their_text
import sklearn.naive_bayes as their_bayes
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline

import deciban.feature_extraction.text as our_text
import deciban.naive_bayes as our_bayes

RNG = np.random.default_rng(0)
WORDS = np.array([f"word{i}" for i in range(60)])
LABELS = np.array(["arts", "science", "sport"])[RNG.integers(0, 3, 150)]
TEXTS = [
    " ".join(WORDS[(RNG.geometric(0.05, 25) + 7 * len(label)) % 60]) + (" Été" if label == "arts" else "")
    for label in LABELS
]
NAMES = our_bayes.__all__


def both(build):
    """What ``build(text, bayes)`` makes of either library."""
    return build(our_text, our_bayes), build(their_text, their_bayes)


def assert_close(mine, reference):
    if isinstance(reference, np.ndarray) and reference.dtype.kind == "f":
        np.testing.assert_allclose(mine, reference, rtol=1e-10, atol=1e-12)
    else:
        np.testing.assert_array_equal(mine, reference)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search(n_jobs):
    def build(text, bayes):
        pipeline = Pipeline([("words", text.TfidfVectorizer()), ("bayes", bayes.MultinomialNB())])
        grid = {
            "words__ngram_range": [(1, 1), (1, 2)],
            "words__use_idf": [True, False],
            "bayes__alpha": [0.01, 1.0],
        }
        search = GridSearchCV(pipeline, grid, cv=3, n_jobs=n_jobs).fit(TEXTS, LABELS)
        return search.cv_results_["mean_test_score"], search.best_params_, search.predict(TEXTS)

    mine, reference = both(build)
    assert_close(mine[0], reference[0])
    assert mine[1] == reference[1]
    assert_close(mine[2], reference[2])


@pytest.mark.parametrize("name", NAMES)
def test_around_a_classifier(name):
    X = np.abs(RNG.normal(size=(150, 6))).round(0 if name == "CategoricalNB" else 2)

    def build(_, bayes):
        classifier = getattr(bayes, name)(**({"min_categories": 20} if name == "CategoricalNB" else {}))
        calibrated = CalibratedClassifierCV(classifier, cv=3).fit(X, LABELS)
        one_vs_rest = OneVsRestClassifier(classifier).fit(X, LABELS)
        fitted = clone(classifier).fit(X, LABELS, sample_weight=np.arange(1.0, 151.0))
        return (
            cross_val_score(classifier, X, LABELS, cv=4),
            calibrated.predict_proba(X),
            one_vs_rest.predict(X),
            one_vs_rest.predict_proba(X),
            fitted.predict_proba(X),
            np.array([fitted.score(X, LABELS)]),
        )

    for mine, reference in zip(*both(build), strict=True):
        assert_close(mine, reference)


def test_pandas():
    frame = pd.DataFrame({"title": TEXTS, "body": TEXTS[::-1], "n": np.arange(150.0)})

    def build(text, bayes):
        columns = ColumnTransformer(
            [("title", text.CountVectorizer(), "title"), ("body", text.HashingVectorizer(n_features=8), "body")]
        )
        union = FeatureUnion([("a", text.CountVectorizer()), ("b", text.TfidfVectorizer(analyzer="char"))])
        numbers = frame[["n"]]
        classifier = bayes.GaussianNB().fit(numbers, frame["title"].str.len() > 100)
        return (
            sp.csr_array(columns.fit_transform(frame)).toarray(),
            union.fit_transform(frame["body"]).toarray(),
            union.get_feature_names_out(),
            text.CountVectorizer().fit_transform(frame["title"].astype("string")).toarray(),
            classifier.feature_names_in_,
            classifier.predict(numbers),
        )

    for mine, reference in zip(*both(build), strict=True):
        assert_close(mine, reference)


@pytest.mark.parametrize("name", ["MultinomialNB", "GaussianNB"])
def test_feature_names_are_compared(name):
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.0, 1.0, 0.0]})
    for bayes in (our_bayes, their_bayes):
        classifier = getattr(bayes, name)().fit(frame, [0, 1, 0])
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            classifier.predict(frame.to_numpy())
        with pytest.raises(ValueError, match="feature names should match"):
            classifier.predict(frame.rename(columns={"a": "c"}))


def test_set_output():
    counts = np.array([[1, 0], [2, 3]])
    for text in (our_text, their_text):
        assert not hasattr(text.TfidfTransformer(), "set_output")
        with pytest.raises(ValueError, match="Unable to configure output"):
            make_pipeline(text.CountVectorizer(), text.TfidfTransformer()).set_output(transform="pandas").fit(TEXTS)
        assert text.TfidfTransformer().fit_transform(counts).shape == (2, 2)


def fitted_pipeline():
    return make_pipeline(our_text.TfidfVectorizer(min_df=2), our_bayes.MultinomialNB()).fit(TEXTS, LABELS)


@pytest.mark.parametrize("how", ["pickle", "joblib", "mapped"])
def test_round_trips(how, tmp_path):
    pipeline = fitted_pipeline()
    path = tmp_path / "model"
    if how == "pickle":
        path.write_bytes(pickle.dumps(pipeline))
        back = pickle.loads(path.read_bytes())
    else:
        joblib.dump(pipeline, path)
        back = joblib.load(path, mmap_mode="r" if how == "mapped" else None)
    assert_close(back.predict_proba(TEXTS), pipeline.predict_proba(TEXTS))
    assert back.steps[0][1].vocabulary_ == pipeline.steps[0][1].vocabulary_


def test_a_converted_model_needs_only_scikit_learn(tmp_path):
    pipeline = fitted_pipeline()
    plain = Pipeline([(name, step.to_sklearn()) for name, step in pipeline.steps])
    (tmp_path / "model").write_bytes(pickle.dumps(plain))
    (tmp_path / "texts").write_bytes(pickle.dumps((TEXTS, pipeline.predict_proba(TEXTS))))
    code = f"""
        import pickle, sys
        import numpy as np
        sys.modules["deciban"] = None  # an import fails
        texts, expected = pickle.loads(open({str(tmp_path / "texts")!r}, "rb").read())
        model = pickle.loads(open({str(tmp_path / "model")!r}, "rb").read())
        np.testing.assert_allclose(model.predict_proba(texts), expected, rtol=1e-10)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_a_pickle_holds_scikit_learns_attributes_and_no_others_of_weight():
    for step, twin in zip(
        fitted_pipeline().steps, [their_text.TfidfVectorizer, their_bayes.MultinomialNB], strict=True
    ):
        reference = twin().fit(TEXTS) if twin is their_text.TfidfVectorizer else twin().fit(np.eye(3), [0, 1, 2])
        assert vars(step[1].to_sklearn()).keys() == vars(reference).keys() - {"_stop_words_id"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")  # of the Pipeline
@pytest.mark.parametrize("path", sorted((Path(__file__).parent / "pickles").glob("*.pickle")), ids=lambda p: p.stem)
def test_pickles_of_earlier_versions_load(path):
    model, texts, labels = pickle.loads(path.read_bytes())
    assert model.predict(texts).tolist() == labels
