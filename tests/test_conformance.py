"""scikit-learn's own tests and estimator checks, run on our classes; what they may not pass is named."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import sklearn
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from deciban import generative, linear_model, naive_bayes, neural_network
from deciban.feature_extraction import text

NAIVE_BAYES = [getattr(naive_bayes, name) for name in naive_bayes.__all__]
LINEAR = [getattr(linear_model, name) for name in linear_model.__all__]
NETWORKS = [getattr(neural_network, name) for name in neural_network.__all__]
TRANSFORMERS = [text.TfidfTransformer, text.CountVectorizer, text.HashingVectorizer, text.TfidfVectorizer]
# Tests executed and estimator checks made on scikit-learn 1.9; a later one has no fewer. Tests that pytest skips do not
# count.
EXECUTED = {
    "sklearn.linear_model.tests.test_logistic": 289,
    "sklearn.linear_model.tests.test_sgd": 267,  # of which some are of SGDRegressor and SGDOneClassSVM
    "sklearn.tests.test_naive_bayes": 86,
    "sklearn.feature_extraction.tests.test_text": 131,
    "sklearn.neural_network.tests.test_mlp": 59,
}
CHECKS = 40


def run_scikit_learns(module, folder, patched):
    report = folder / f"{module}-{patched}.xml"
    command = [sys.executable, "-W", "ignore"]
    options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(folder), f"--junitxml={report}"]
    if patched:
        command += ["-m", "deciban"]
        options += ["-p", "conformance_plugin"]
    process = subprocess.run(
        [*command, "-m", "pytest", *options, "--pyargs", module],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    cases = ET.parse(report).getroot().iter("testcase") if report.exists() else []
    outcomes = {(case.get("classname"), case.get("name")): sorted(child.tag for child in case) for case in cases}
    passed = {name for name, tags in outcomes.items() if not {"failure", "error", "skipped"} & set(tags)}
    return process, outcomes, passed


@pytest.mark.parametrize("module", EXECUTED)
def test_scikit_learns_own_tests_pass_on_our_classes(module, tmp_path):
    process, outcomes, passed = run_scikit_learns(module, tmp_path, patched=True)
    _, their_outcomes, their_passed = run_scikit_learns(module, tmp_path, patched=False)
    assert outcomes.keys() == their_outcomes.keys()
    assert passed >= their_passed, f"{sorted(their_passed - passed)}\n{process.stdout[-5000:]}"
    if sklearn.__version__ >= "1.9":
        assert len(passed) >= EXECUTED[module]


# as scikit-learn checks its own: samples are few, epochs take long
SETTINGS = {
    linear_model.LogisticRegressionCV: {"cv": 3},
    **{cls: {"max_iter": 100} for cls in NETWORKS},
}
# What no stochastic gradient descent can do, and scikit-learn excuses its own class from.
IN_ANOTHER_ORDER = dict.fromkeys(
    (
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    ),
    "a sample of weight 2 makes one step, not two",
)


@parametrize_with_checks(
    [cls(**SETTINGS.get(cls, {})) for cls in (*LINEAR, *NAIVE_BAYES, *NETWORKS, *TRANSFORMERS)],
    expected_failed_checks=lambda model: IN_ANOTHER_ORDER if isinstance(model, linear_model.SGDClassifier) else {},
)
@pytest.mark.filterwarnings(  # that scikit-learn's class gives too
    "ignore::RuntimeWarning", "ignore::FutureWarning", "ignore:The least populated class:UserWarning",
    "ignore::sklearn.exceptions.ConvergenceWarning",
)  # fmt: skip
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("cls", [*LINEAR, *NAIVE_BAYES, *NETWORKS, *TRANSFORMERS])
def test_as_many_checks_as_scikit_learns_class_gets(cls):
    def names(estimator):
        return [getattr(check, "func", check).__name__ for _, check in estimator_checks_generator(estimator)]

    checks = names(cls())
    theirs = names(cls._sklearn_class()())
    if cls in LINEAR:  # scikit-learn repeats a check with other parameters for classes that it lists
        checks, theirs = sorted(set(checks)), sorted(set(theirs))
    if cls in NETWORKS and sklearn.__version__ < "1.7":  # whose fit has no sample_weight yet, and fewer checks
        checks = [check for check in checks if check in theirs]
    if cls is neural_network.MLPClassifier and "check_class_weight_classifiers" in checks:  # which has a parameter more
        checks.remove("check_class_weight_classifiers")
    assert checks == theirs
    if cls in NAIVE_BAYES or cls is text.TfidfTransformer:
        assert len(checks) >= CHECKS


# Models that scikit-learn does not have, and on 1.9 the checks that apply to such.
GENERATIVE = {generative.VAE: 47, generative.GAN: 41}


@parametrize_with_checks([cls(max_iter=3) for cls in GENERATIVE])
def test_estimator_checks_of_our_own(estimator, check):
    check(estimator)


@pytest.mark.parametrize("cls", GENERATIVE)
def test_our_own_estimators_get_the_checks(cls):
    if sklearn.__version__ >= "1.9":
        assert sum(1 for _ in estimator_checks_generator(cls())) >= GENERATIVE[cls]
