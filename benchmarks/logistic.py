"""Logistic regression: seconds of a fit against how far above the minimum it stops.

``python benchmarks/logistic.py`` fits deciban, scikit-learn's solvers and other libraries at several tolerances and
prints, for each, the time and the relative suboptimality ``(f - f*) / f*``, where f* is the least that any of them, or
a tight fit, found; then the time each needs to 1e-2, 1e-4 and 1e-6. ``--quick`` takes small data; ``--only TEXT`` the
problems whose name holds TEXT; ``--out FOLDER`` keeps the numbers, a file for each problem, beside those
of solvers that were left out this time, and draws the curves of all that are there. Fashion-MNIST is read from the
folder that FASHION_MNIST names, or from ``fashion_mnist`` beside scikit-learn's data folder, as gzip idx files.
"""

import argparse
import importlib.util
import json
import re
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import data
import numpy as np
import sklearn.linear_model
from scipy.special import logsumexp
from sklearn.feature_extraction.text import TfidfTransformer

import deciban.linear_model
from deciban.demo.digits import fashion_mnist

GAPS = (1e-2, 1e-4, 1e-6)
TOLERANCES = {
    "lbfgs": (1e-3, 1e-4, 1e-6),
    "newton-cg": (1e-2, 1e-3, 1e-4, 1e-6),
    "newton-cholesky": (1e-2, 1e-4, 1e-6),
    "sag": (1e-2, 1e-3, 1e-4),
    "saga": (3e-2, 1e-2, 1e-3),
    "liblinear": (1e-1, 1e-2, 1e-4),
}
OURS = (3e-1, 1e-2, 1e-3, 1e-4)

Fit = Callable[[Any, Any, float], Any]  # samples, codes, C -> coefficients of shape (1 or n_classes, n_features)
Run = tuple[str, str, Fit]  # name, setting, fit


def objective(model: Any, X: Any, y: Any) -> float:
    """Return what a fit minimises, from the equation."""
    return value(np.asarray(model.coef_), X, y, model.C, model.intercept_)


def value(coef: Any, X: Any, y: Any, C: float, intercept: Any = 0.0) -> float:
    """Return C times the losses plus half the square of the coefficients."""
    scores = np.asarray(X @ coef.T + intercept)
    if scores.shape[1] == 1:
        scores = np.column_stack([np.zeros(len(scores)), scores])
    loss = (logsumexp(scores, axis=1) - scores[np.arange(len(scores)), y]).sum()
    return float(C * loss + 0.5 * (coef**2).sum())


def _estimators(cls: Any, name: str, solver: str, tolerances: tuple[float, ...]) -> list[Run]:
    def fit(X: Any, y: Any, C: float, tol: float) -> Any:
        # LIBLINEAR's intercept is penalised, which is another problem: nobody has an intercept here
        return cls(C=C, tol=tol, solver=solver, fit_intercept=False, max_iter=500).fit(X, y).coef_

    return [(name, f"tol={tol:g}", lambda X, y, C, tol=tol: fit(X, y, C, tol)) for tol in tolerances]


def _liblinear(dual: bool) -> list[Run]:
    from liblinear.liblinearutil import parameter, problem, train

    def fit(X: Any, y: Any, C: float, tol: float) -> Any:
        labels = np.where(y == y[0], 1, -1)
        model = train(problem(labels, X), parameter(f"-s {7 if dual else 0} -c {C} -e {tol} -q"))
        w = np.array(model.w[: X.shape[1]])
        return (w if y[0] == 1 else -w)[np.newaxis]

    name = f"LIBLINEAR {'dual' if dual else 'primal'}"
    tolerances = (1.0, 1e-1, 1e-2, 1e-3) if dual else (1e-1, 1e-2, 1e-4)
    return [(name, f"-e {tol:g}", lambda X, y, C, tol=tol: fit(X, y, C, tol)) for tol in tolerances]


def _cyanure() -> list[Run]:
    from cyanure.estimators import Classifier

    def fit(X: Any, y: Any, C: float, tol: float) -> Any:
        several = y.max() > 1
        model = Classifier(
            loss="multiclass-logistic" if several else "logistic", penalty="l2", lambda_1=1.0 / (C * len(y)), tol=tol,
            fit_intercept=False, max_iter=500, verbose=False,
        )  # fmt: skip
        if several and not isinstance(X, np.ndarray):
            X = X.astype(np.float64)
        model.fit(X, y if several else 2 * y - 1)
        w = np.asarray(model.get_weights())
        return w.T if several and w.shape[0] == X.shape[1] else w.reshape(-1, X.shape[1])

    return [("cyanure", f"tol={tol:g}", lambda X, y, C, tol=tol: fit(X, y, C, tol)) for tol in (1e-2, 1e-4, 1e-6)]


def _torch() -> list[Run]:
    import torch

    def fit(X: Any, y: Any, C: float, n_iter: int) -> Any:
        several = int(y.max()) > 1
        if isinstance(X, np.ndarray):
            samples = torch.from_numpy(X)
        else:
            parts = torch.from_numpy(X.indptr), torch.from_numpy(X.indices), torch.from_numpy(X.data)
            samples = torch.sparse_csr_tensor(*parts, size=X.shape)
        labels = torch.from_numpy(y.astype(np.int64 if several else np.float64))
        W = torch.zeros((X.shape[1], int(y.max()) + 1 if several else 1), dtype=torch.float64, requires_grad=True)
        loss = torch.nn.CrossEntropyLoss() if several else torch.nn.BCEWithLogitsLoss()
        strength = 0.5 / (C * len(y))
        optimiser = torch.optim.LBFGS(
            [W], max_iter=n_iter, tolerance_grad=1e-9, tolerance_change=0.0, line_search_fn="strong_wolfe"
        )

        def closure() -> Any:
            optimiser.zero_grad()
            scores = samples @ W
            f = loss(scores if several else scores[:, 0], labels) + strength * (W * W).sum()
            f.backward()
            return f

        optimiser.step(closure)
        return W.detach().numpy().T

    return [("PyTorch L-BFGS", f"{n} iterations", lambda X, y, C, n=n: fit(X, y, C, n)) for n in (10, 25, 60, 150)]


def _intelex() -> list[Run]:
    from sklearnex.linear_model import LogisticRegression

    return _estimators(LogisticRegression, "scikit-learn-intelex", "lbfgs", (1e-3, 1e-4, 1e-6))


def runs(several: bool, dense: bool, solvers: tuple[str, ...]) -> tuple[list[Run], list[str]]:
    """Return what is to be timed, and which libraries are not there."""
    found = _estimators(deciban.linear_model.LogisticRegression, "deciban", "lbfgs", OURS)
    for solver in solvers:
        found += _estimators(sklearn.linear_model.LogisticRegression, f"sklearn {solver}", solver, TOLERANCES[solver])
    peers: list[tuple[str, Callable[[], list[Run]]]] = [("cyanure", _cyanure), ("torch", _torch)]
    if dense:
        peers.append(("sklearnex", _intelex))
    if not several and not dense:
        peers += [("liblinear", lambda: _liblinear(True)), ("liblinear", lambda: _liblinear(False))]
    missing = [] if importlib.util.find_spec("snapml") else ["snapml"]
    for name, make in peers:
        try:
            found += make()
        except ImportError as error:
            missing.append(f"{name} ({error})")
    return found, missing


def problems(quick: bool) -> Iterator[tuple[str, Any, Any, float, tuple[str, ...]]]:
    """Yield name, samples, codes, C, and the solvers of scikit-learn's that finish in reasonable time."""
    samples = data.counts(quick)
    X, y = TfidfTransformer().fit_transform(samples.X), samples.y
    for C in (1.0, 10.0):
        every = ("liblinear", "newton-cg", "lbfgs", "saga", "sag") if C == 1 else ("liblinear", "newton-cg", "saga")
        yield f"TF-IDF, one class against the rest, C={C:g}", X, (y == 3).astype(int), C, every
        yield f"TF-IDF, {y.max() + 1} classes, C={C:g}", X, y, C, ("saga", "newton-cg", "lbfgs")
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((2_000 if quick else 100_000, 100))
    codes = (dense @ rng.standard_normal(100) + rng.logistic(size=len(dense)) > 0).astype(int)
    yield "dense, 100 features, two classes, C=1", dense, codes, 1.0, ("newton-cholesky", "newton-cg", "lbfgs")
    try:
        images, labels = fashion_mnist("train")
    except OSError as error:
        print(f"Fashion-MNIST is not there: {error}")
    else:
        step = 30 if quick else 1
        samples = images[::step].astype(np.float64), labels[::step]
        yield "Fashion-MNIST, 10 classes, C=0.01", *samples, 0.01, ("newton-cg", "lbfgs", "saga")


def needed(found: list[dict[str, Any]], gap: float) -> dict[str, float]:
    """Return the least seconds in which each solver came to the gap or below; none for one that did not."""
    least: dict[str, float] = {}
    for run in found:
        if run["gap"] <= gap:
            least[run["name"]] = min(run["seconds"], least.get(run["name"], np.inf))
    return least


def draw(folder: Path) -> None:
    """Draw a panel for each problem that was kept in the folder."""
    import matplotlib.pyplot as plt

    kept = [json.loads(path.read_text()) for path in sorted(folder.glob("logistic-*.json"))]
    figure, axes = plt.subplots((len(kept) + 1) // 2, 2, figsize=(12, 3.6 * ((len(kept) + 1) // 2)), squeeze=False)
    for axis, problem in zip(axes.flat, kept, strict=False):
        for name in dict.fromkeys(run["name"] for run in problem["runs"]):
            points = sorted((run["seconds"], max(run["gap"], 1e-10)) for run in problem["runs"] if run["name"] == name)
            ours = name == "deciban"
            axis.loglog(*zip(*points, strict=True), "o-", label=name, lw=3 if ours else 1.2, zorder=3 if ours else 2)
        axis.set(title=problem["problem"], xlabel="seconds", ylabel="(f - f*) / f*")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(folder / "logistic.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--peers", default="", metavar="REGEX", help="deciban, and whose name matches")
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name, X, y, C, solvers in problems(options.quick):
        if options.only not in name:
            continue
        wanted, missing = runs(y.max() > 1, isinstance(X, np.ndarray), solvers)
        print(f"\n{name}: {X.shape[0]} x {X.shape[1]}; absent: {'; '.join(missing) or 'none'}")
        found: list[dict[str, Any]] = []
        for solver, setting, fit in wanted:
            if solver != "deciban" and not re.search(options.peers, solver):
                continue
            times = []
            while not times or (sum(times) < 0.5 and len(times) < 3):
                start = time.perf_counter()
                coef = fit(X, y, C)
                times.append(time.perf_counter() - start)
            found.append({"name": solver, "setting": setting, "seconds": min(times), "value": value(coef, X, y, C)})
            print(f"  {solver:22} {setting:16} {min(times):8.3f} s", flush=True)
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        file = options.out / f"logistic-{slug}.json" if options.out else None
        if file is not None and file.exists():  # others of an earlier run
            again = {run["name"] for run in found}
            found += [run for run in json.loads(file.read_text())["runs"] if run["name"] not in again]
        tight = deciban.linear_model.LogisticRegression(C=C, tol=1e-7, max_iter=500, fit_intercept=False).fit(X, y)
        least = min(objective(tight, X, y), *(run["value"] for run in found))
        for run in found:
            run["gap"] = run["value"] / least - 1
            print(f"  {run['name']:22} {run['setting']:16} suboptimality {run['gap']:.1e}")
        for gap in GAPS:
            ranked = sorted(needed(found, gap).items(), key=lambda item: item[1])
            print(f"  to {gap:g}: " + ", ".join(f"{solver} {seconds:.3g}" for solver, seconds in ranked))
        if file is not None:
            options.out.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"problem": name, "missing": missing, "runs": found}, indent=1))
    if options.out:
        draw(options.out)


if __name__ == "__main__":
    main()
