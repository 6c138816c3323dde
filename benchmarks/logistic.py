"""Logistic regression: seconds of a fit against how far above the minimum it stops.

``python benchmarks/logistic.py`` fits scikit-learn's solvers and deciban's at several ``tol`` and prints, for each, the
time and the relative suboptimality ``(f - f*) / f*``, where f* is the least that any of them, or a tight fit, found.
``--quick`` takes small data; ``--only TEXT`` the problems whose name holds TEXT.
"""

import argparse
import time
import warnings
from collections.abc import Iterator
from typing import Any

import data
import numpy as np
import sklearn.linear_model
from scipy.special import logsumexp
from sklearn.feature_extraction.text import TfidfTransformer

import deciban.linear_model

TOLERANCES = {
    "lbfgs": (1e-4,),
    "newton-cg": (1e-3, 1e-4),
    "newton-cholesky": (1e-4, 1e-6),
    "liblinear": (1e-2, 1e-4),
    "saga": (3e-2, 1e-2, 1e-3),
}
OURS = (1e-2, 1e-3, 1e-4)


def objective(model: Any, X: Any, y: Any) -> float:
    """Return what a fit minimises, from the equation."""
    scores = np.asarray(X @ model.coef_.T + model.intercept_)
    if scores.shape[1] == 1:
        scores = np.column_stack([np.zeros(len(scores)), scores])
    loss = (logsumexp(scores, axis=1) - scores[np.arange(len(scores)), y]).sum()
    return float(model.C * loss + 0.5 * (model.coef_**2).sum())


def problems(quick: bool) -> Iterator[tuple[str, Any, Any, float, tuple[str, ...]]]:
    """Yield name, samples, codes, C, and the solvers of scikit-learn's that finish in reasonable time."""
    samples = data.counts(quick)
    X, y = TfidfTransformer().fit_transform(samples.X), samples.y
    for C in (1.0, 10.0):
        yield f"TF-IDF, one class against the rest, C={C:g}", X, (y == 3).astype(int), C, ("liblinear", "newton-cg")
        yield f"TF-IDF, {y.max() + 1} classes, C={C:g}", X, y, C, ("saga", "newton-cg")
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((2_000 if quick else 100_000, 100))
    codes = (dense @ rng.standard_normal(100) + rng.logistic(size=len(dense)) > 0).astype(int)
    yield "dense, 100 features, two classes, C=1", dense, codes, 1.0, ("newton-cholesky", "newton-cg", "lbfgs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", metavar="TEXT")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name, X, y, C, solvers in problems(options.quick):
        if options.only not in name:
            continue
        # liblinear's intercept is penalised, which is another problem: no solver has an intercept here
        runs = [("deciban", tol) for tol in OURS] + [(solver, tol) for solver in solvers for tol in TOLERANCES[solver]]
        found = []
        for solver, tol in runs:
            ours = solver == "deciban"
            cls = (deciban if ours else sklearn).linear_model.LogisticRegression
            model = cls(C=C, tol=tol, fit_intercept=False, solver="lbfgs" if ours else solver)
            start = time.perf_counter()
            model.fit(X, y)
            found.append((solver, tol, time.perf_counter() - start, objective(model, X, y)))
        tight = deciban.linear_model.LogisticRegression(C=C, tol=1e-8, max_iter=500, fit_intercept=False).fit(X, y)
        least = min(objective(tight, X, y), *(value for *_, value in found))
        print(f"\n{name}: {X.shape[0]} x {X.shape[1]}")
        for solver, tol, seconds, value in found:
            print(f"  {solver:16} tol={tol:<7g} {seconds:8.3f} s   suboptimality {value / least - 1:.1e}", flush=True)


if __name__ == "__main__":
    main()
