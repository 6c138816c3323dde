"""Logistic regression: seconds of a fit against how far above the minimum it stops.

``python benchmarks/logistic.py`` fits deciban, scikit-learn's solvers and other libraries at several tolerances, from
loose to tight, and prints for each the time (median, least and most of up to five fits; of slow ones fewer) and the
relative suboptimality ``(f - f*) / f*``, where f* is the least that any of them, or a tight fit, found; then the time
each needs to 1e-2, 1e-4 and 1e-6. No tighter tolerance is tried after a gap of 1e-6 or a fit of more than ``--slow``
seconds, and a peer that takes more than ``--limit`` is stopped. Last come searches for C by cross-validation.

``--quick`` takes small data; ``--only TEXT`` the problems whose name holds TEXT; ``--peers REGEX`` deciban and those
whose name matches; ``--intelex PYTHON`` an interpreter that has scikit-learn-intelex; ``--out FOLDER`` keeps the
numbers, a file for each problem, beside those of solvers that were left out this time, draws the curves of all that are
there and writes the table. Fashion-MNIST is read from the folder that FASHION_MNIST names, or from ``fashion_mnist``
beside scikit-learn's data folder, as gzip idx files.
"""

import argparse
import json
import re
import statistics
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import data
import numpy as np
import sklearn.linear_model
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.model_selection import GridSearchCV
from solvers import Problem, deciban_fit, runs

import deciban.linear_model
from deciban.demo.digits import fashion_mnist

GAPS = (1e-2, 1e-4, 1e-6)


def tfidf(quick: bool) -> tuple[Any, Any]:
    samples = data.counts(quick)
    return TfidfTransformer().fit_transform(samples.X).astype(np.float64), samples.y


def dense(quick: bool) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2_000 if quick else 100_000, 100))
    return X, (X @ rng.standard_normal(100) + rng.logistic(size=len(X)) > 0).astype(int)


def problems(quick: bool) -> Iterator[Problem]:
    X, y = tfidf(quick)
    one = (y == 3).astype(int)
    for C in (1.0, 10.0):
        softmax = "saga", "sag", "newton-cg", "lbfgs"  # newton-cholesky's Hessian would be too large
        yield Problem(f"TF-IDF, one class against the rest, C={C:g}", X, one, C, ("liblinear", *softmax))
        yield Problem(f"TF-IDF, 20 classes, C={C:g}", X, y, C, softmax)
    yield Problem("TF-IDF, each of 20 classes against the rest, C=1", X, y, 1.0, ("liblinear",), one_vs_rest=True)
    yield Problem("TF-IDF, one class against the rest, l1, C=1", X, one, 1.0, ("liblinear", "saga"), "l1")
    yield Problem("TF-IDF, one class against the rest, l1, C=10", X, one, 10.0, ("liblinear", "saga"), "l1")
    yield Problem("TF-IDF, 20 classes, l1, C=1", X, y, 1.0, ("saga",), "l1")
    solvers = "newton-cholesky", "newton-cg", "lbfgs", "liblinear", "saga", "sag"
    yield Problem("dense, 100 features, two classes, C=1", *dense(quick), 1.0, solvers)
    try:
        images, labels = fashion_mnist("train")
    except OSError as error:
        print(f"Fashion-MNIST is not there: {error}")
    else:
        step = 30 if quick else 1
        samples = np.ascontiguousarray(images[::step], np.float64), labels[::step].astype(int)
        for C in (0.01, 1.0):
            yield Problem(f"Fashion-MNIST, 10 classes, C={C:g}", *samples, C, ("lbfgs", "newton-cg", "saga"))


def solved(problem: Problem, peers: str, intelex: str, slow: float, limit: float) -> tuple[list[dict[str, Any]], float]:
    """Time deciban and the peers whose name matches; return what each found, and about the minimum.

    What was stopped, or failed, found nothing: its time and its value are infinite.
    """
    wanted, missing = runs(problem, intelex)
    print(f"\n{problem.name}: {problem.X.shape[0]} x {problem.X.shape[1]}")
    for reason in missing:
        print(f"  left out: {reason}")
    least = problem.value(deciban_fit(1e-8)(problem))
    found: list[dict[str, Any]] = []
    done: set[str] = set()
    for run in wanted:
        if run.name in done or (run.name != "deciban" and not re.search(peers, run.name)):
            continue
        measured = run.within(limit, problem)
        if isinstance(measured, str):
            times, value, said = [np.inf], np.inf, measured
        else:
            times, value = measured[0], problem.value(measured[1])
            said = f"{spread(times):>24} s   gap {value / least - 1:.1e}"
        found.append({"name": run.name, "setting": run.setting, "seconds": times, "value": value})
        print(f"  {run.name:26} {run.setting:16} {said}", flush=True)
        if value <= least * (1 + GAPS[-1]) or max(times) > slow:
            done.add(run.name)
    return found, min([least, *(run["value"] for run in found)])


def spread(seconds: list[float]) -> str:
    """Write a median, and between which times it lies."""
    median = statistics.median(seconds)
    return f"{median:.3g}" if len(seconds) == 1 else f"{median:.3g} ({min(seconds):.3g}-{max(seconds):.3g})"


def needed(found: list[dict[str, Any]], gap: float) -> dict[str, list[float]]:
    """Return the times of the fastest setting with which each solver came to the gap or below."""
    least: dict[str, list[float]] = {}
    for run in found:
        name, seconds = run["name"], run["seconds"]
        if run["gap"] <= gap and (name not in least or statistics.median(seconds) < statistics.median(least[name])):
            least[name] = seconds
    return least


def table(found: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each solver, the fastest first; a dash where it did not come to the gap."""
    times = [needed(found, gap) for gap in GAPS]

    def rank(name: str) -> list[float]:
        return [statistics.median(each[name]) if name in each else np.inf for each in reversed(times)]

    for name in sorted({run["name"] for run in found}, key=lambda name: (name != "deciban", rank(name))):
        yield " | ".join([f"| {name}", *(spread(each[name]) if name in each else "-" for each in times)]) + " |"


def kept(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("logistic-*.json"))]


def draw(folder: Path) -> None:
    """Draw a panel for each problem that was kept in the folder."""
    import matplotlib.pyplot as plt

    panels = kept(folder)
    figure, axes = plt.subplots((len(panels) + 1) // 2, 2, figsize=(12, 3.6 * ((len(panels) + 1) // 2)), squeeze=False)
    for axis, problem in zip(axes.flat, panels, strict=False):
        ended = [run for run in problem["runs"] if run["gap"] < np.inf]
        for name in dict.fromkeys(run["name"] for run in ended):
            points = sorted(
                (statistics.median(run["seconds"]), max(run["gap"], 1e-10)) for run in ended if run["name"] == name
            )
            ours = name == "deciban"
            axis.loglog(*zip(*points, strict=True), "o-", label=name, lw=3 if ours else 1.2, zorder=3 if ours else 2)
        axis.set(title=problem["problem"], xlabel="seconds", ylabel="(f - f*) / f*")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    figure.tight_layout()
    figure.savefig(folder / "logistic.png", dpi=80)


def searches(quick: bool) -> Iterator[tuple[str, Any, Any, Any]]:
    """Yield name, samples, codes and a function of (class, its solver) that makes the search for C."""
    Cs = [0.1, 1.0, 10.0]

    def path(cls: Any, options: dict[str, Any]) -> Any:
        return cls.LogisticRegressionCV(
            Cs=Cs, cv=3, scoring="accuracy", l1_ratios=(0.0,), use_legacy_attributes=False, **options
        )

    def grid(cls: Any, options: dict[str, Any]) -> Any:
        return GridSearchCV(cls.LogisticRegression(**options), {"C": Cs}, cv=3, scoring="accuracy")

    X, y = tfidf(quick)
    one = (y == 3).astype(int)
    for name, make in (("LogisticRegressionCV", path), ("GridSearchCV", grid)):
        yield f"{name}, TF-IDF, one class against the rest", X, one, (make, "lbfgs")
        if name == "LogisticRegressionCV":
            yield f"{name}, TF-IDF, 20 classes", X, y, (make, "saga")
        yield f"{name}, dense, 100 features", *dense(quick), (make, "newton-cholesky")


def search(X: Any, y: Any, make: Any, solver: str) -> None:
    """Time a search for C with deciban and with scikit-learn, and compare what they found."""
    best = {}
    for library, at_least in ((deciban, 3), (sklearn, 1)):
        options = {"solver": solver, "tol": 1e-2 if solver == "saga" else 1e-4, "max_iter": 1000}
        times: list[float] = []
        while len(times) < at_least:
            start = time.perf_counter()
            model = make(library.linear_model, options).fit(X, y)
            times.append(time.perf_counter() - start)
        best[library] = model.C_ if hasattr(model, "C_") else model.best_params_["C"]
        print(f"  {library.__name__:26} {solver:16} {spread(times):>24} s   best C {best[library]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--peers", default="", metavar="REGEX")
    parser.add_argument("--intelex", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--slow", type=float, default=6.0, metavar="SECONDS")
    parser.add_argument("--limit", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for problem in problems(options.quick):
        if options.only not in problem.name:
            continue
        found, least = solved(problem, options.peers, options.intelex, options.slow, options.limit)
        slug = re.sub(r"[^a-z0-9]+", "-", problem.name.lower()).strip("-")
        file = options.out / f"logistic-{slug}.json" if options.out else None
        if file is not None and file.exists():  # others of an earlier run
            again = {run["name"] for run in found}
            found += [run for run in json.loads(file.read_text())["runs"] if run["name"] not in again]
        for run in found:
            run["gap"] = run["value"] / least - 1
        print("\n".join(table(found)))
        if file is not None:
            options.out.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"problem": problem.name, "runs": found}, indent=1))
    for name, X, y, how in searches(options.quick):
        if options.only in name:
            print(f"\n{name}")
            search(X, y, *how)
    if options.out:
        draw(options.out)
        lines = [f"\n**{problem['problem']}**\n\n" + "\n".join(table(problem["runs"])) for problem in kept(options.out)]
        (options.out / "logistic.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
