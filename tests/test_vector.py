"""Accuracy of the exponential and of log-sum-exp against 60 digits, on every instruction-set tier."""

import json
import os
import subprocess
import sys

import mpmath
import numpy as np
import pytest

from deciban._kernels import posterior

TIERS = ("baseline", "v3", "v4")


def ulps(found, x, exact):
    """Error of ``found`` in units of the last place, against ``exact(x)`` computed with 60 digits."""
    with mpmath.workdps(60):
        errors = []
        for f, v in zip(found.tolist(), x.tolist(), strict=True):
            truth = exact(mpmath.mpf(v))
            spacing = np.spacing(abs(float(truth))) if truth else np.nextafter(0, 1)
            errors.append(float(abs(mpmath.mpf(f) - truth) / mpmath.mpf(float(spacing))))
    return np.array(errors)


def exp(x):
    out = np.array(x, dtype=float)
    posterior.exp_shifted(out, 0.0)
    return out


def test_exp_is_accurate_to_two_ulp():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-708, 709.7, 3000), rng.uniform(-1, 1, 2000), 10.0 ** rng.uniform(-300, 0, 200)])
    assert ulps(exp(x), x, mpmath.exp).max() < 2.0


def test_exp_in_the_denormal_range():
    x = np.linspace(-745.1, -708.4, 500)
    assert ulps(exp(x), x, mpmath.exp).max() < 2.0


def test_exp_of_special_values():
    x = [0.0, -0.0, np.inf, -np.inf, np.nan, 710.0, 1e308, -746.0, -1e308, 5e-324]
    np.testing.assert_array_equal(exp(x), [1, 1, np.inf, 0, np.nan, np.inf, np.inf, 0, 0, 1])


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 20, 100])
def test_log_sum_exp_is_accurate(n):
    rng = np.random.default_rng(n)
    joint = rng.normal(0, 30, (50, n))
    found = joint.copy()
    assert posterior.finish_rows(found, posterior.LOG_POSTERIOR, 0, 50) == 0
    with mpmath.workdps(60):
        for row, answer in zip(joint.tolist(), found.tolist(), strict=True):
            total = mpmath.log(mpmath.fsum(mpmath.exp(v) for v in row))
            # one rounding of the sum, one of the difference
            bound = 2 * np.spacing(max(abs(float(total)), max(abs(a) for a in answer)))
            assert all(abs(mpmath.mpf(v) - total - mpmath.mpf(a)) <= bound for v, a in zip(row, answer, strict=True))


def test_rows_without_a_finite_maximum_are_reported():
    for row in ([np.nan, 0.0], [0.0, np.nan], [-np.inf, -np.inf], [np.inf, 0.0]):
        assert posterior.finish_rows(np.array([row]), posterior.POSTERIOR, 0, 1) == posterior.UNDEFINED
    one = np.array([[-np.inf, 3.0, -np.inf]])
    assert posterior.finish_rows(one, posterior.POSTERIOR, 0, 1) == 0
    np.testing.assert_array_equal(one, [[0.0, 1.0, 0.0]])


SCRIPT = """
import hashlib, json, warnings
import numpy as np, scipy.sparse as sp
import deciban.naive_bayes as nb
from deciban._kernels import largest, posterior
rng = np.random.default_rng(0)
found = {}
def keep(name, a): found[name] = hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()
for index in (np.int32, np.int64):
    X = sp.random(200, 900, 0.2, format="csr", random_state=1)
    parts = X.data, X.indices.astype(index), X.indptr.astype(index)
    for K in (1, 3, 4, 8, 13, 20, 33, 70):
        cells, classes = np.zeros(largest.table_bytes(900, K), np.uint8), np.empty(200, np.intp)
        largest.pack(rng.normal(size=(900, K)), 0.0, 1e-6, 0, cells)
        keep(f"cells {index} {K}", cells)
        for data in (X.data, np.ceil(9 * X.data).astype(int)):
            largest.largest_rows(data, *parts[1:], cells, 900, 1e-6, 9.0, np.zeros(K), False, 0.0, 0, 200, classes)
            keep(f"largest {index} {K} {data.dtype}", classes)
x = rng.uniform(-750, 720, 10001); posterior.exp_shifted(x, 1.5); keep("exp", x)
for K in (1, 2, 3, 5, 9, 20, 37, 70):
    X = sp.random(60, 300, 0.1, format="csr", random_state=0); y = np.arange(60) % K
    for cls in (nb.MultinomialNB, nb.ComplementNB, nb.BernoulliNB):
        m = cls().fit(X, y)
        keep(f"{cls.__name__} {K}", m.predict_proba(X)); keep(f"{cls.__name__} class {K}", m.predict(X))
    Z = rng.normal(size=(101, 19)); y = np.arange(101) % K
    m = nb.GaussianNB().fit(Z, y)
    for a in ("theta_", "var_"): keep(f"{a} {K}", getattr(m, a))
    keep(f"gauss {K}", m.predict_log_proba(Z)); keep(f"gauss class {K}", m.predict(Z))
print(json.dumps(found))
"""


def test_every_tier_gives_the_same_bits():
    answers = []
    for tier in TIERS:
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "DECIBAN_CPU": tier},
            capture_output=True,
            text=True,
            check=True,
        )
        answers.append(json.loads(run.stdout))
    assert answers[0] == answers[1] == answers[2]
    assert len(answers[0]) == 1 + 8 * 10 + 2 * 8 * 3
