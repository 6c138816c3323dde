"""Largest error of the special functions, and of SciPy's, in units of the last place against 60 digits.

``python tests/accuracy.py`` prints the table of docs/accuracy.md.
"""

import warnings

import mpmath
import numpy as np
import scipy.special

import deciban.special

DTYPES = (np.float32, np.float64)
ELEMENTWISE = {
    "expit": lambda x: 1 / (1 + mpmath.exp(-x)),
    "log_expit": lambda x: -mpmath.log1p(mpmath.exp(-x)),
    "logit": lambda x: mpmath.log(x) - mpmath.log1p(-x),
    "entr": lambda x: -x * mpmath.log(x),
    "xlogy": lambda x, y: x * mpmath.log(y),
    "rel_entr": lambda x, y: x * mpmath.log(x / y),
    "kl_div": lambda x, y: x * mpmath.log(x / y) - x + y,
}
REDUCTIONS = ("logsumexp", "softmax", "log_softmax")
LENGTHS = (10, 100, 1000)
SPREADS = (1, 30, 1000)
KINDS = ("random", "hard")
WELL_CONDITIONED = 2.0


def rows():
    """Every row of the table: function, dtype, kind of input."""
    for dtype in DTYPES:
        for name in ELEMENTWISE:
            yield from ((name, dtype, kind) for kind in KINDS)
        for name in REDUCTIONS:
            yield from ((name, dtype, (n, spread)) for n in LENGTHS for spread in SPREADS)


def label(row):
    name, dtype, kind = row
    text = kind if isinstance(kind, str) else f"rows of {kind[0]}, spread {kind[1]}"
    return f"| {name} | {dtype.__name__} | {text} |"


def arguments(name, dtype, kind, n):
    """Arguments of an elementwise function: all over its range, or where digits are easily lost."""
    rng = np.random.default_rng(0)
    two = name in ("xlogy", "rel_entr", "kl_div")
    limits = np.finfo(dtype)
    if name in ("expit", "log_expit"):
        edge = -float(np.log(limits.smallest_subnormal))
        if kind == "random":
            x = rng.uniform(-20, 20, n)
        else:
            x = np.concatenate([rng.uniform(-edge, -edge + 20, n), rng.uniform(-1e-3, 1e-3, n), [0, 1e4, -1e4]])
    elif kind == "random":
        x = rng.uniform(0, 1, n)
    else:
        tiny = float(limits.smallest_subnormal)
        near = (1 - limits.eps * rng.integers(1, 1000, n), 0.5 + rng.uniform(-0.1, 0.1, n))
        x = np.concatenate([*near, tiny * rng.integers(1, 1000, n), 10.0 ** rng.uniform(-30, -1, n)])
    x = x.astype(dtype)
    if name == "logit":
        x = x[(x > 0) & (x < 1)]
    if not two:
        return (x,)
    y = rng.uniform(0, 1, len(x)).astype(dtype)
    if kind == "hard":  # neighbours, and what is further and further from them
        apart = 10.0 ** rng.uniform(np.log10(limits.eps), -1, len(x))
        y = (x * (1 + rng.choice([-1, 1], len(x)) * apart)).astype(dtype) if name != "xlogy" else x[::-1].copy()
    return x, y


def ulps(found, truth, dtype):
    """Largest distance of ``found`` from the true values, in units of the last place of dtype."""
    largest = 0.0
    for value, exact in zip(found.tolist(), truth, strict=True):
        spacing = np.spacing(dtype(abs(float(exact))))
        error = abs(mpmath.mpf(value) - exact) / mpmath.mpf(float(spacing))
        largest = max(largest, float(error) if mpmath.isfinite(error) else np.inf)
    return largest


def reduction_truth(name, row):
    """True results of one row, and which of them are well conditioned.

    A result y is when what rounding the differences from the maximum does to it is no more than WELL_CONDITIONED times
    as large: sum |dy/dd_j d_j| / |y|, and for logsumexp the two parts of the sum together against the result.
    """
    values = [mpmath.mpf(v) for v in row.tolist()]
    top = max(values)
    d = [v - top for v in values]
    e = [mpmath.exp(v) for v in d]
    first = d.index(0)
    rest = mpmath.fsum(e[:first] + e[first + 1 :])  # may be far below the last of 60 digits of the sum
    total, log_total = 1 + rest, mpmath.log1p(rest)
    p = [v / total for v in e]
    mean = mpmath.fsum(a * abs(b) for a, b in zip(p, d, strict=True))
    if name == "logsumexp":
        truth = [top + log_total]
        condition = [(abs(top) + log_total + mean) / abs(truth[0])]
    else:
        condition = [abs(b) * (1 - 2 * a) + mean for a, b in zip(p, d, strict=True)]
        truth = p
        if name == "log_softmax":
            truth = [v - log_total for v in d]
            condition = [c / abs(t) if t else mpmath.inf for c, t in zip(condition, truth, strict=True)]
    return truth, np.array([c <= WELL_CONDITIONED for c in condition])


def measure(row, n_points=2000, n_rows=20):
    """Largest errors of deciban's function and of SciPy's over one row of the table."""
    name, dtype, kind = row
    functions = getattr(deciban.special, name), getattr(scipy.special, name)
    with mpmath.workdps(60), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy's, of overflow on the way
        if name in ELEMENTWISE:
            args = arguments(name, dtype, kind, n_points)
            truth = [ELEMENTWISE[name](*map(mpmath.mpf, v)) for v in zip(*(a.tolist() for a in args), strict=True)]
            return tuple(ulps(function(*args), truth, dtype) for function in functions)
        n, spread = kind
        x = np.random.default_rng(n + spread).uniform(-spread, spread, (n_rows, n)).astype(dtype)
        found = [function(x, axis=1).reshape(n_rows, -1) for function in functions]
        errors = [0.0, 0.0]
        for i, values in enumerate(x):
            truth, well = reduction_truth(name, values)
            kept = [t for t, w in zip(truth, well, strict=True) if w]
            errors = [max(e, ulps(f[i][well], kept, dtype)) for e, f in zip(errors, found, strict=True)]
        return tuple(errors)


def main():
    print("| function | dtype | input | deciban | SciPy |\n|---|---|---|---|---|")
    for row in rows():
        ours, theirs = measure(row)
        print(f"{label(row)} {ours:.3g} | {theirs:.3g} |")


if __name__ == "__main__":
    main()
