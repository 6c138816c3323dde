"""Largest error of the special functions, and of SciPy's, in units of the last place against 60 digits.

``python tests/accuracy.py`` prints the table of docs/accuracy.md.
"""

import warnings

import mpmath
import numpy as np
import scipy.sparse as sp
import scipy.special

from deciban import special

DTYPES = (np.float32, np.float64)
ELEMENTWISE = {
    name: (formula, getattr(special, name), getattr(scipy.special, name))
    for name, formula in {
        "expit": lambda x: 1 / (1 + mpmath.exp(-x)),
        "log_expit": lambda x: -mpmath.log1p(mpmath.exp(-x)),
        "logit": lambda x: mpmath.log(x) - mpmath.log1p(-x),
        "entr": lambda x: -x * mpmath.log(x),
        "xlogy": lambda x, y: x * mpmath.log(y),
        "rel_entr": lambda x, y: x * mpmath.log(x / y),
        "kl_div": lambda x, y: x * mpmath.log(x / y) - x + y,
    }.items()
}
ELEMENTWISE["affine_sigmoid"] = (
    ELEMENTWISE["expit"][0],
    lambda x: special.affine_sigmoid(x[:, np.newaxis], np.ones((1, 1), x.dtype)).ravel(),
    scipy.special.expit,
)
# What is true, and who says so of rows of x.
REDUCTIONS = {
    "logsumexp": ("logsumexp", lambda x: special.logsumexp(x, axis=1), lambda x: scipy.special.logsumexp(x, axis=1)),
    "softmax": ("softmax", lambda x: special.softmax(x, axis=1), lambda x: scipy.special.softmax(x, axis=1)),
    "log_softmax": (
        "log_softmax",
        lambda x: special.log_softmax(x, axis=1),
        lambda x: scipy.special.log_softmax(x, axis=1),
    ),
    "normalize_log_joint, posterior": (
        "softmax",
        lambda x: special.normalize_log_joint(x)[1],
        lambda x: scipy.special.softmax(x, axis=1),
    ),
    "normalize_log_joint, its log": (
        "log_softmax",
        lambda x: special.normalize_log_joint(x)[0],
        lambda x: scipy.special.log_softmax(x, axis=1),
    ),
    # products that round nothing off
    "affine_softmax": (
        "softmax",
        lambda x: special.affine_softmax(np.eye(len(x), dtype=x.dtype), x),
        lambda x: scipy.special.softmax(np.eye(len(x), dtype=x.dtype) @ x, axis=1),
    ),
    "affine_softmax, CSR": (
        "softmax",
        lambda x: special.affine_softmax(sp.eye_array(len(x), dtype=x.dtype, format="csr"), x),
        lambda x: scipy.special.softmax(sp.eye_array(len(x), dtype=x.dtype, format="csr") @ x, axis=1),
    ),
}
ALONE = ("logsumexp", "softmax", "log_softmax")
LENGTHS = (10, 100, 1000)
SPREADS = (1, 30, 1000)
KINDS = ("random", "hard", "edges")
LONG = 10**7
DIFFERENT = 1000  # of so many values
WELL_CONDITIONED = 2.0
LIMIT = 4.0  # of what is well conditioned
# Below this ours may be larger: SciPy's exponentials are NumPy's or the C library's, and lucky with a few numbers on
# some machine. One rounding and what is lost before it, or an exponential's and a product's.
ROUNDED, ROUNDED_TWICE = 1.0, 1.5
OF_TWO_ROUNDINGS = (
    "expit",
    "affine_sigmoid",
    "softmax",
    "normalize_log_joint, posterior",
    "affine_softmax",
    "affine_softmax, CSR",
)


def rows():
    """Every row of the table: function, dtype, kind of input."""
    for dtype in DTYPES:
        for name in ELEMENTWISE:
            yield from ((name, dtype, kind) for kind in KINDS)
        for name in REDUCTIONS:
            yield from (
                (name, dtype, (n, spread)) for n in LENGTHS for spread in SPREADS if name in ALONE or spread == 30
            )
            yield name, dtype, "edges"
            if name in ALONE:
                yield name, dtype, "10^7 values"


def label(row):
    name, dtype, kind = row
    text = kind if isinstance(kind, str) else f"rows of {kind[0]}, spread {kind[1]}"
    return f"| {name} | {dtype.__name__} | {text} |"


def edges(dtype):
    """Numbers at the borders of all, and where exponentials over- and underflow."""
    limits = np.finfo(dtype)
    small, large = limits.smallest_subnormal, limits.max
    positive = [
        small,
        1000 * small,
        limits.tiny,
        limits.eps,
        0.5,
        1,
        2,
        88.75,
        103.5,
        709.75,
        745,
        1e4,
        large / 4,
        large,
    ]
    return np.array([0, *positive, *(-x for x in positive), -0.0, np.inf, -np.inf, np.nan], dtype)


def edge_rows(dtype):
    """Rows of equal huge values, of denormal ones, of infinities and NaN, of one value and none."""
    limits = np.finfo(dtype)
    small, large = float(limits.smallest_subnormal), float(limits.max)
    inf, nan = np.inf, np.nan
    yield from (
        np.full(n, x, dtype) for x in (1e4, -1e4, 745, -745, large, -large / 2, small, 0, -inf) for n in (1, 7, 40)
    )
    for row in (
        [745, -745, 0],
        [1e4, -1e4],
        [small, -small, 5 * small],
        [-745, -746, -744.5],
        [large, -large, 0],
        [-inf, 0, 1],
        [-inf, -large],
        [0, 1, inf],
        [inf, inf],
        [inf, -inf],
        [0, nan, 1],
        [nan, inf, -inf],
        [5],
        [],
    ):
        yield np.array(row, dtype)
        if row:
            yield np.array(row + 40 * row[-1:], dtype)


def at_an_edge(name, x, y=1.0):
    """Return the value of an elementwise function where its formula has none, else None."""
    if np.isnan(x) or np.isnan(y) or (name == "logit" and not 0 <= x <= 1) or (name == "xlogy" and x != 0 and y < 0):
        return mpmath.nan
    if name == "logit" and x == 1:
        return mpmath.inf
    if name == "entr" and (x <= 0 or np.isinf(x)):
        return mpmath.mpf(0) if x == 0 else -mpmath.inf
    if name == "xlogy" and x == 0:
        return mpmath.mpf(0)
    if name in ("rel_entr", "kl_div"):
        if x == 0 and y >= 0:
            return mpmath.mpf(0 if name == "rel_entr" else y)
        if x <= 0 or y <= 0 or np.isinf(x) or np.isinf(y):
            far = x > 0 and y == np.inf
            return mpmath.nan if far and x == np.inf else -mpmath.inf if far and name == "rel_entr" else mpmath.inf
    return None


def arguments(name, dtype, kind, n, seed):
    """Arguments of an elementwise function: all over its range, or where digits are easily lost."""
    rng = np.random.default_rng(seed)
    two = name in ("xlogy", "rel_entr", "kl_div")
    limits = np.finfo(dtype)
    if kind == "edges":
        x = edges(dtype)
        return tuple(a.ravel() for a in np.meshgrid(x, x)) if two else (x,)
    if name in ("expit", "log_expit", "affine_sigmoid"):
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
        with np.errstate(over="ignore"):
            rounded = dtype(float(exact))
        if np.isfinite(rounded) and np.isfinite(value):
            step = np.spacing(np.minimum(abs(rounded), np.nextafter(np.finfo(dtype).max, dtype(0))))
            error = float(abs(mpmath.mpf(value) - exact) / mpmath.mpf(float(step)))
        else:  # infinities and NaN are right or wrong
            error = 0.0 if np.array_equal(value, float(rounded), equal_nan=True) else np.inf
        largest = max(largest, error)
    return largest


def reduction_truth(name, row, times=1):
    """True results of one row, or of `times` of it in one, and which of them are well conditioned.

    A result y is when what rounding the differences from the maximum does to it is no more than WELL_CONDITIONED times
    as large: sum |dy/dd_j d_j| / |y|, and for logsumexp the two parts of the sum together against the result.
    """
    if not len(row) or not np.isfinite(row.max()):  # NaN is the largest
        return {
            "logsumexp": [mpmath.mpf(float(row.max(initial=-np.inf)))],
            "softmax": [mpmath.nan] * len(row),
            "log_softmax": [-mpmath.inf if row.max() == np.inf > v else mpmath.nan for v in row.tolist()],
        }[name], np.ones(1 if name == "logsumexp" else len(row), bool)
    values = [mpmath.mpf(v) for v in row.tolist()]
    top = max(values)
    d = [v - top for v in values]
    e = [mpmath.exp(v) for v in d]
    first = d.index(0)
    rest = (times - 1) * mpmath.fsum(e) + mpmath.fsum(
        e[:first] + e[first + 1 :]
    )  # may be far below the last of 60 digits of the sum
    total, log_total = 1 + rest, mpmath.log1p(rest)
    p = [v / total for v in e]
    mean = times * mpmath.fsum(a * abs(b) for a, b in zip(p, d, strict=True) if a)
    if name == "logsumexp":
        truth = [top + log_total]
        condition = [(abs(top) + log_total + mean) / abs(truth[0]) if truth[0] else mpmath.mpf(0)]
    else:
        condition = [abs(b) * (1 - 2 * a) + mean if a else mpmath.mpf(0) for a, b in zip(p, d, strict=True)]
        truth = p
        if name == "log_softmax":
            truth = [v - log_total for v in d]
            condition = [c / abs(t) if t else mpmath.inf for c, t in zip(condition, truth, strict=True)]
    return truth, np.array([c <= WELL_CONDITIONED for c in condition])


def measure(row, n_points=2000, n_rows=20, seed=0):
    """Largest errors of deciban's function and of SciPy's over one row of the table, of n_points or more numbers."""
    name, dtype, kind = row
    with mpmath.workdps(60), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy's, of overflow on the way
        if name in ELEMENTWISE:
            formula, ours, theirs = ELEMENTWISE[name]
            args = arguments(name, dtype, kind, n_points, seed)
            truth = []
            for values in zip(*(a.tolist() for a in args), strict=True):
                known = at_an_edge(name, *values)
                truth.append(formula(*map(mpmath.mpf, values)) if known is None else known)
            return tuple(ulps(function(*args), truth, dtype) for function in (ours, theirs))
        kind_of_truth, *functions = REDUCTIONS[name]
        errors = [0.0, 0.0]
        if kind == "edges":
            tables = [x[np.newaxis] for x in edge_rows(dtype) if len(x) or name in ALONE]
        elif isinstance(kind, str):
            few = np.random.default_rng(seed).uniform(-3, 3, DIFFERENT).astype(dtype)
            truth, well = reduction_truth(kind_of_truth, few, LONG // DIFFERENT)
            for k, function in enumerate(functions):
                found = function(np.tile(few, LONG // DIFFERENT)[np.newaxis]).reshape(-1, len(truth))
                for side in (found.min(axis=0), found.max(axis=0)):
                    errors[k] = max(
                        errors[k], ulps(side[well], [t for t, w in zip(truth, well, strict=True) if w], dtype)
                    )
            return tuple(errors)
        else:
            n, spread = kind
            rng = np.random.default_rng(seed + n + spread)
            tables = [rng.uniform(-spread, spread, (max(n_rows, n_points // n), n)).astype(dtype)]
        for x in tables:
            found = []
            for function in functions:
                try:
                    found.append(function(x).reshape(len(x), -1))
                except ValueError:  # of nothing
                    found.append(None)
            for i, values in enumerate(x):
                truth, well = reduction_truth(kind_of_truth, values)
                kept = [t for t, w in zip(truth, well, strict=True) if w]
                errors = [
                    max(e, np.inf if f is None else ulps(f[i][well], kept, dtype))
                    for e, f in zip(errors, found, strict=True)
                ]
        return tuple(errors)


def is_behind(row, ours, theirs):
    """Whether ours, an error, is larger than it may be, or than SciPy's."""
    return ours > min(LIMIT, max(theirs, ROUNDED_TWICE if row[0] in OF_TWO_ROUNDINGS else ROUNDED))


def main():
    print("| function | dtype | input | deciban | SciPy |\n|---|---|---|---|---|")
    for row in rows():
        ours, theirs = measure(row)
        print(f"{label(row)} {ours:.3g} | {theirs:.3g} |")


if __name__ == "__main__":
    main()
