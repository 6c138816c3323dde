"""Fits of one problem of logistic regression by deciban, scikit-learn and other libraries, from loose to tight.

Nobody has an intercept: LIBLINEAR's and snapml's are penalised, which is another problem.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sklearn.linear_model
from peers import MissingPeerError, load
from sklearn.multiclass import OneVsRestClassifier

import deciban.linear_model

MAX_ITER = 500
ENOUGH = 2.5  # seconds of repetitions
TOLERANCES = {
    "lbfgs": (1e-3, 1e-4, 1e-6),
    "newton-cg": (1e-2, 1e-3, 1e-4, 1e-6),
    "newton-cholesky": (1e-2, 1e-4, 1e-6),
    "sag": (1e-2, 1e-3, 1e-4),
    "saga": (3e-2, 1e-2, 1e-3, 1e-4),
    "liblinear": (1e-1, 1e-2, 1e-4),
}
OURS = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)


class Problem(NamedTuple):
    """``C`` times the losses plus the l1 norm, or half the square of the l2 norm, of the coefficients.

    With several classes the loss is softmax's, or if ``one_vs_rest`` the sum of those of each class against the rest.
    """

    name: str
    X: Any
    y: Any
    C: float
    solvers: tuple[str, ...]  # scikit-learn's that finish in reasonable time
    penalty: str = "l2"
    one_vs_rest: bool = False

    @property
    def n_classes(self) -> int:
        return int(self.y.max()) + 1

    @property
    def dense(self) -> bool:
        return isinstance(self.X, np.ndarray)

    @property
    def softmax(self) -> bool:
        return self.n_classes > 2 and not self.one_vs_rest

    def value(self, coef: Any) -> float:
        """Return what a fit minimises, from the equation; coef is (1 or n_classes, n_features)."""
        scores = np.asarray(self.X @ coef.T)
        if self.softmax:
            most = scores.max(axis=1, keepdims=True)
            losses = (most + np.log(np.exp(scores - most).sum(axis=1, keepdims=True))).sum()
            losses -= scores[np.arange(len(scores)), self.y].sum()
        else:
            own = self.y[:, np.newaxis] == (np.arange(self.n_classes) if self.one_vs_rest else 1)
            losses = np.logaddexp(0.0, np.where(own, -scores, scores)).sum()
        norm = np.abs(coef).sum() if self.penalty == "l1" else 0.5 * (coef**2).sum()
        return float(self.C * losses + norm)


Fit = Callable[[Problem], Any]  # the coefficients, of shape (1 or n_classes, n_features)


class Run(NamedTuple):
    name: str
    setting: str
    measure: Callable[[Problem], tuple[list[float], Any]]  # seconds of each fit, and the coefficients

    def within(self, limit: float, problem: Problem) -> tuple[list[float], Any] | str:
        """Measure for ``limit`` seconds at most, or until native code next returns; return the reason if it failed."""

        def stop(*_: object) -> None:
            raise TimeoutError(f"more than {limit:g} s")

        before = signal.signal(signal.SIGALRM, stop)
        try:
            signal.setitimer(signal.ITIMER_REAL, limit)
            return self.measure(problem)
        except (TimeoutError, ValueError, RuntimeError, subprocess.CalledProcessError) as error:
            return str(error)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)


def repeated(fit: Fit, at_least: int = 1) -> Callable[[Problem], tuple[list[float], Any]]:
    """Return a function that times a fit up to five times while that takes a few seconds at most, a slow one once."""

    def measure(problem: Problem) -> tuple[list[float], Any]:
        times: list[float] = []
        while len(times) < at_least or (len(times) < 5 and sum(times) + times[-1] * (len(times) > 1) < ENOUGH):
            start = time.perf_counter()
            coef = fit(problem)
            times.append(time.perf_counter() - start)
        return times, np.asarray(coef)

    return measure


def _estimator(cls: Any, solver: str, tol: float) -> Fit:
    def fit(problem: Problem) -> Any:
        options = {"l1_ratio": 1.0, "solver": solver} if problem.penalty == "l1" else {"solver": solver}
        model = cls(C=problem.C, tol=tol, fit_intercept=False, max_iter=MAX_ITER, **options)
        if problem.one_vs_rest:
            model = OneVsRestClassifier(model).fit(problem.X, problem.y)
            return np.vstack([each.coef_ for each in model.estimators_])
        return model.fit(problem.X, problem.y).coef_

    return fit


def deciban_fit(tol: float) -> Fit:
    cls = deciban.linear_model.LogisticRegression
    return lambda problem: _estimator(cls, "saga" if problem.penalty == "l1" else "lbfgs", tol)(problem)


def _deciban(_: Problem) -> list[Run]:
    return [Run("deciban", f"tol={tol:g}", repeated(deciban_fit(tol), 3)) for tol in OURS]


def _scikit_learn(problem: Problem) -> list[Run]:
    cls = sklearn.linear_model.LogisticRegression
    return [
        Run(f"scikit-learn {solver}", f"tol={tol:g}", repeated(_estimator(cls, solver, tol)))
        for solver in problem.solvers
        for tol in TOLERANCES[solver]
    ]


def _liblinear(problem: Problem) -> list[Run]:
    lib = load("liblinear.liblinearutil")

    def made(kind: int, tol: float) -> Fit:
        def fit(problem: Problem) -> Any:
            labels = problem.y if problem.one_vs_rest else np.where(problem.y == 1, 1, -1)
            options = lib.parameter(f"-s {kind} -c {problem.C} -e {tol} -q")
            model = lib.train(lib.problem(labels, problem.X), options)
            found = np.array(model.w[: problem.X.shape[1] * (problem.n_classes if problem.one_vs_rest else 1)])
            table = found.reshape(problem.X.shape[1], -1).T
            names = np.array(model.get_labels())
            return table[np.argsort(names)] if problem.one_vs_rest else table * names[0]

        return fit

    if problem.penalty == "l1":
        methods = [("LIBLINEAR l1", 6, (1e-1, 1e-2, 1e-3, 1e-4))]
    else:
        methods = [("LIBLINEAR dual", 7, (1.0, 1e-1, 1e-2, 1e-3)), ("LIBLINEAR primal", 0, (1e-1, 1e-2, 1e-4))]
    return [Run(name, f"-e {tol:g}", repeated(made(kind, tol))) for name, kind, tols in methods for tol in tols]


def _cyanure(_: Problem) -> list[Run]:
    cls = load("cyanure.estimators").Classifier

    def made(tol: float) -> Fit:
        def fit(problem: Problem) -> Any:
            model = cls(
                loss="multiclass-logistic" if problem.softmax else "logistic", penalty=problem.penalty,
                lambda_1=1.0 / (problem.C * len(problem.y)), tol=tol, fit_intercept=False, max_iter=MAX_ITER,
                verbose=False,
            )  # fmt: skip
            model.fit(problem.X, problem.y if problem.softmax else 2 * problem.y - 1)
            w = np.asarray(model.get_weights())
            return w.T if problem.softmax and w.shape[0] == problem.X.shape[1] else w.reshape(-1, problem.X.shape[1])

        return fit

    return [Run("cyanure", f"tol={tol:g}", repeated(made(tol))) for tol in (1e-2, 1e-4, 1e-6)]


def _snapml(problem: Problem) -> list[Run]:
    cls = load("snapml").LogisticRegression

    def made(tol: float, n_jobs: int) -> Fit:
        def fit(problem: Problem) -> Any:
            model = cls(
                regularizer=1.0 / problem.C, tol=tol, penalty=problem.penalty, dual=problem.penalty == "l2",
                n_jobs=n_jobs, max_iter=MAX_ITER, fit_intercept=False,
            )  # fmt: skip
            model.fit(problem.X, problem.y)
            return np.asarray(model.coef_).reshape(-1, problem.X.shape[1])

        return fit

    return [
        Run(f"snapml, {n} thread{'s' * (n > 1)}", f"tol={tol:g}", repeated(made(tol, n)))
        for n in ((1,) if problem.dense else (1, 2))
        for tol in (1e-2, 1e-3, 1e-4, 1e-5)
    ]


def _celer(_: Problem) -> list[Run]:
    cls = load("celer").LogisticRegression

    def made(tol: float) -> Fit:
        return lambda problem: cls(C=problem.C, tol=tol, max_iter=MAX_ITER).fit(problem.X, problem.y).coef_

    return [Run("celer", f"tol={tol:g}", repeated(made(tol))) for tol in (1e-2, 1e-4, 1e-6)]


def _skglm(problem: Problem) -> list[Run]:
    cls = load("skglm").SparseLogisticRegression
    first = cls(alpha=0.5 / len(problem.y), fit_intercept=False, max_iter=2)
    first.fit(problem.X.tocsc(), problem.y)  # Numba compiles it, all that many features take too

    def made(tol: float) -> Fit:
        def fit(problem: Problem) -> Any:
            X = problem.X.tocsc()
            model = cls(alpha=1.0 / (problem.C * len(problem.y)), tol=tol, fit_intercept=False, max_iter=MAX_ITER)
            return model.fit(X, problem.y).coef_

        return fit

    return [Run("skglm", f"tol={tol:g}", repeated(made(tol))) for tol in (1e-3, 1e-5, 1e-7)]


def _torch(_: Problem) -> list[Run]:
    torch = load("torch")

    def made(n_iter: int) -> Fit:
        def fit(problem: Problem) -> Any:
            X = problem.X
            if problem.dense:
                samples = torch.from_numpy(X)
            else:
                parts = torch.from_numpy(X.indptr), torch.from_numpy(X.indices), torch.from_numpy(X.data)
                samples = torch.sparse_csr_tensor(*parts, size=X.shape)
            several = problem.softmax
            labels = torch.from_numpy(problem.y.astype(np.int64 if several else np.float64))
            n_columns = problem.n_classes if several else 1
            W = torch.zeros((X.shape[1], n_columns), dtype=torch.float64, requires_grad=True)
            loss = torch.nn.CrossEntropyLoss() if several else torch.nn.BCEWithLogitsLoss()
            strength = 0.5 / (problem.C * len(problem.y))
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

        return fit

    return [Run("PyTorch L-BFGS", f"{n} iterations", repeated(made(n))) for n in (10, 25, 60, 150)]


_ELSEWHERE = """
import json, sys, time
import numpy as np
folder, C, tol, enough, max_iter = sys.argv[1], *map(float, sys.argv[2:])
from sklearnex.linear_model import LogisticRegression
X, y = np.load(folder + "/X.npy"), np.load(folder + "/y.npy")
LogisticRegression(max_iter=2).fit(X[::100], y[::100])
times = []
while not times or (len(times) < 5 and sum(times) + times[-1] < enough):
    start = time.perf_counter()
    model = LogisticRegression(C=C, tol=tol, fit_intercept=False, max_iter=int(max_iter)).fit(X, y)
    times.append(time.perf_counter() - start)
np.save(folder + "/coef.npy", model.coef_)
print(json.dumps(times))
"""


def _intelex(python: str) -> Callable[[Problem], list[Run]]:
    """Run scikit-learn-intelex in another process: it brings libraries that others cannot share."""

    def make(_: Problem) -> list[Run]:
        there = subprocess.run(
            [python, "-c", "import sklearnex.linear_model"], capture_output=True, text=True, check=False
        )
        if there.returncode:
            raise MissingPeerError(f"sklearnex does not import: {there.stderr.strip().splitlines()[-1]}")

        def made(tol: float) -> Callable[[Problem], tuple[list[float], Any]]:
            def measure(problem: Problem) -> tuple[list[float], Any]:
                with tempfile.TemporaryDirectory() as folder:
                    np.save(Path(folder, "X.npy"), problem.X)
                    np.save(Path(folder, "y.npy"), problem.y)
                    options = [str(value) for value in (problem.C, tol, ENOUGH, MAX_ITER)]
                    command = [python, "-W", "ignore", "-c", _ELSEWHERE, folder, *options]
                    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                    return json.loads(said.splitlines()[-1]), np.load(Path(folder, "coef.npy"))

            return measure

        return [Run("scikit-learn-intelex lbfgs", f"tol={tol:g}", made(tol)) for tol in (1e-1, 3e-2, 1e-2, 1e-3)]

    return make


def runs(problem: Problem, intelex: str = sys.executable) -> tuple[list[Run], list[str]]:
    """Return what is to be timed, and which libraries are not there."""
    makers: list[Callable[[Problem], list[Run]]] = [_deciban, _scikit_learn]
    if problem.dense:
        makers.append(_intelex(intelex))
    l1, binary = problem.penalty == "l1", problem.n_classes == 2
    if not problem.one_vs_rest:
        makers.append(_cyanure)
    if not l1 and not problem.one_vs_rest:
        makers.append(_torch)
    if not problem.softmax and not problem.dense:
        makers.append(_liblinear)
    if not problem.softmax:
        makers.append(_snapml)
    if l1 and binary:
        makers += [_celer, _skglm]
    found, missing = [], []
    for make in makers:
        try:
            found += make(problem)
        except MissingPeerError as error:
            missing.append(str(error))
    return found, missing
