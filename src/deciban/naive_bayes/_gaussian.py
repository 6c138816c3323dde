"""GaussianNB: features with a normal distribution in each class."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import sklearn
import sklearn.naive_bayes as parent
from sklearn.utils.validation import check_is_fitted, validate_data

from deciban._arrays import DATA_DTYPES, Array, specialise
from deciban._fallback import REPLACED, fall_back, methods, overrides
from deciban._kernels import moments, nearest, posterior
from deciban._lazy import unchanged_on_error
from deciban._parallel import cut, run_blocks
from deciban._rows import Rows, answer_rows
from deciban._sklearn import Twin, check_partial_fit_first_call, check_sample_weight, fit_context
from deciban.naive_bayes import _counts as counting
from deciban.naive_bayes._generate import Generates, sample_normals
from deciban.naive_bayes._posterior import JointPredictions, checked_prior, stand_for_joint

_class_moments = specialise(moments.class_moments, DATA_DTYPES)
_gaussian_rows = specialise(posterior.gaussian_rows, DATA_DTYPES)
_nearest_rows = specialise(nearest.nearest_rows, DATA_DTYPES)
_FEW = 4 * nearest.ROWS  # rows that are not worth a table in single precision
_ROWS = 1 << 15  # rows that one task sums up, at least
_CELLS = 1 << 22  # means that the tasks keep together, at most
_NO_WEIGHTS = np.empty(0)
# Since scikit-learn computes with array-API namespaces, float32 samples give float32 attributes.
_KEEPS_FLOAT32 = parent.GaussianNB().__sklearn_tags__().array_api_support


class GaussianNB(JointPredictions, Generates, Twin, parent.GaussianNB):
    """Naive Bayes classifier for real features, each with a normal distribution in each class.

    ``log P(y, x) = log P(y) - sum_f (log(2 pi var_yf) + (x_f - theta_yf)^2 / var_yf) / 2``

    Parameters
    ----------
    priors, var_smoothing
        As in :class:`sklearn.naive_bayes.GaussianNB`; so are the attributes.

    Notes
    -----
    Native: dense float32, float64 and integer samples, weights, partial_fit, all predictions. Means and variances are
    made of blocks of rows, merged in a fixed order; ``predict`` looks for the class in single precision, and in double
    where that leaves a doubt. Left to scikit-learn: array-API input, float16
    and long double, samples or variances that give no finite answer, and subclasses that replace its private methods.

    References
    ----------
    T. F. Chan, G. H. Golub, R. J. LeVeque, Algorithms for computing the sample variance: analysis and recommendations,
    The American Statistician 37 (1983), 242-247.

    Examples
    --------
    >>> import numpy as np
    >>> from deciban.naive_bayes import GaussianNB
    >>> X = np.array([[-1.0, -1.0], [-2.0, -1.0], [1.0, 1.0], [2.0, 1.0]])
    >>> GaussianNB().fit(X, [0, 0, 1, 1]).predict([[-0.8, -1.0]])
    array([0])
    """

    classes_: Any
    theta_: Any
    var_: Any
    class_count_: Any
    class_prior_: Any
    n_features_in_: int
    _fit_methods: dict[str, Any]

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the classifier to X and y.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training samples.
        y : array-like of shape (n_samples,)
            Their labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample; None for ones.

        Returns
        -------
        self : object
            The fitted classifier.
        """
        with unchanged_on_error(self):
            reason = self._no_kernel()
            if reason is None:
                labels = y if _is_plain_labels(y, X) else validate_data(self, y=y)
                whole = labels.dtype.kind in "iu" and len(labels) > 0
                classes, codes = counting.encode(labels) if whole else (np.unique(labels), None)
                self.classes_ = None
                check_partial_fit_first_call(self, classes)
                reason = self._learn(X, labels, codes, sample_weight, first_call=True)
            if reason is not None:
                fall_back(self, "fit", reason)
                return super().fit(X, y, sample_weight=sample_weight)
            return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Add a batch of samples to what the classifier has seen.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The batch.
        y : array-like of shape (n_samples,)
            Its labels.
        classes : array-like of shape (n_classes,), default=None
            All classes there will ever be; needed at the first call only.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample; None for ones.

        Returns
        -------
        self : object
            The fitted classifier.
        """
        with unchanged_on_error(self):
            before = dict(self.__dict__)
            reason = self._no_kernel()
            if reason is None:
                first_call = check_partial_fit_first_call(self, classes)
                reason = self._learn(X, y, None, sample_weight, first_call)
            if reason is not None:
                fall_back(self, "partial_fit", reason)
                self.__dict__.clear()
                self.__dict__.update(before)
                # scikit-learn adds to these in place, and may raise after that
                for name in {"theta_", "var_", "class_count_"} & before.keys():
                    if isinstance(before[name], np.ndarray):
                        self.__dict__[name] = before[name].copy()
                return super().partial_fit(X, y, classes, sample_weight=sample_weight)
            return self

    def _no_kernel(self) -> str | None:
        if overrides(self, self._fit_methods):
            return REPLACED
        return "array-API dispatch is on" if sklearn.get_config()["array_api_dispatch"] else None

    def _learn(self, X: Any, y: Any, codes: Array | None, sample_weight: Any, first_call: bool) -> str | None:
        """Update the attributes, or return why scikit-learn has to do it."""
        checked = not (_is_plain(X) and _is_plain_labels(y, X))
        if not checked and not first_call:
            checked = "feature_names_in_" in self.__dict__ or self.n_features_in_ != X.shape[1]
        if checked:
            X, y = validate_data(self, X, y, reset=first_call)
        elif first_call:
            self.n_features_in_ = X.shape[1]
            self.__dict__.pop("feature_names_in_", None)
        if X.dtype.kind not in "iub" and X.dtype not in DATA_DTYPES:
            return f"there is no kernel for dtype {X.dtype}"
        if codes is None or checked:
            codes = counting.positions(y, self.classes_)
        if codes is None or codes.min() < 0:
            return "labels do not compare with the classes"
        X = np.ascontiguousarray(X, dtype=X.dtype if X.dtype in DATA_DTYPES else np.float64)
        weights = _NO_WEIGHTS
        if sample_weight is not None:
            weights = np.ascontiguousarray(check_sample_weight(sample_weight, X), dtype=np.float64)

        n_classes, n_features = len(self.classes_), X.shape[1]
        count, mean, squares = moments_by_class(X, codes, n_classes, weights)
        overall = merged(count, mean, squares)
        if len(weights):
            overall = merged(*moments_by_class(X, np.zeros_like(codes), 1, _NO_WEIGHTS))
        if not (np.isfinite(mean).all() and np.isfinite(overall).all()):
            return "there are samples that are not finite, or too large to square"
        narrow = X.dtype == np.float32
        dtype = np.float32 if narrow and _KEEPS_FLOAT32 else np.float64
        if not first_call and self.theta_.dtype in (np.float32, np.float64):
            dtype = self.theta_.dtype.type  # as the first batch had it
        variance = (np.float32 if narrow else np.float64)(overall.max())
        epsilon = self.var_smoothing * variance

        if first_call:
            theta, var = np.zeros((n_classes, n_features)), np.zeros((n_classes, n_features))
            past = np.zeros(n_classes)
            prior: Any = None
            if self.priors is not None:
                given: Any = np.asarray(self.priors, dtype=dtype)
                prior = given
                if given.shape != (n_classes,) or not np.isclose(given.sum(), 1.0) or bool((given < 0).any()):
                    return "priors are not probabilities of the classes"
        else:
            theta, var, past = self._fitted(n_classes, n_features)
            var = var - float(epsilon)  # scikit-learn takes off the new epsilon, not the one it put on
            prior = self.class_prior_ if self.priors is not None else None
        theta, var = merged_with_past(past, theta, var, count, mean, squares)
        self.theta_ = theta.astype(dtype)
        self.var_ = np.add(var.astype(dtype), dtype(epsilon))
        self.epsilon_ = epsilon
        self.class_count_ = (past + count).astype(dtype)
        self.class_prior_ = self.class_count_ / self.class_count_.sum() if prior is None else prior
        return None

    def _fitted(self, n_classes: int, n_features: int) -> tuple[Array, Array, Array]:
        """Return theta_, var_ and class_count_ in double precision; they may come from anywhere, so look at them."""
        found = []
        for name, shape in (
            ("theta_", (n_classes, n_features)),
            ("var_", (n_classes, n_features)),
            ("class_count_", (n_classes,)),
        ):
            value = getattr(self, name)
            if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu" or value.shape != shape:
                raise ValueError(
                    f"{name} must be an array of real numbers of shape {shape}, "
                    f"got {getattr(value, 'dtype', type(value).__name__)} of shape {np.shape(value)}"
                )
            found.append(np.ascontiguousarray(value, dtype=np.float64))
        return found[0], found[1], found[2]

    def _sample(self, codes: Array, seed: np.random.SeedSequence) -> Array:
        mean, var, _ = self._fitted(len(self.classes_), self.n_features_in_)
        return sample_normals(codes, mean, var, seed)

    def _class_prior(self) -> Array:
        return self.class_prior_

    def _any(self, X: Any, answer: int, method: str) -> Array | None:
        if sklearn.get_config()["array_api_dispatch"]:
            fall_back(self, method, "array-API dispatch is on")
            return None
        check_is_fitted(self)
        if not _is_plain(X) or "feature_names_in_" in self.__dict__ or X.shape[1] != self.n_features_in_:
            X = self._check_X(X)
        if X.dtype.kind not in "iub" and X.dtype not in DATA_DTYPES:
            fall_back(self, method, f"there is no kernel for dtype {X.dtype}")
            return None
        rows = np.ascontiguousarray(X, dtype=X.dtype if X.dtype in DATA_DTYPES else np.float64)
        n_classes, n_features = len(self.classes_), self.n_features_in_
        mean, var, _ = self._fitted(n_classes, n_features)
        with np.errstate(all="ignore"):
            precision = 1.0 / var
        if not (var.min() > 0 and np.isfinite(precision).all()):
            fall_back(self, method, "there are variances of zero")
            return None
        prior = checked_prior(self.class_prior_, n_classes, "class_prior_")
        offset = np.log(prior) - 0.5 * np.log(2.0 * np.pi * var).sum(axis=1)
        if answer == posterior.LARGEST and len(rows) > _FEW and (single := in_single(mean, precision, offset)):
            found, trouble = largest_by_single(rows, single, mean, precision, offset)
        else:
            found, trouble = answer_rows(
                exactly(rows, mean, precision, offset, answer),
                answer,
                len(rows),
                n_classes,
                n_features,
                posterior.TILE_ROWS,
            )
        if trouble:
            fall_back(self, method, "a sample has no finite joint log likelihood")
            return None
        if answer == posterior.LARGEST:
            return found
        state = self.theta_.dtype, self.var_.dtype, np.asarray(self.class_prior_).dtype
        return found.astype(np.result_type(X.dtype, *state), copy=False)


GaussianNB._fit_methods = methods(GaussianNB, "_partial_fit", "_update_mean_variance")
stand_for_joint(GaussianNB)


def _is_plain(X: Any) -> bool:
    """Return whether X is an array that a kernel takes as it is; the kernel's answer shows whether it is finite."""
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.dtype in DATA_DTYPES
        and X.dtype.isnative
        and X.flags.c_contiguous
        and min(X.shape) > 0
    )


def _is_plain_labels(y: Any, X: Any) -> bool:
    return (
        type(y) is np.ndarray
        and y.dtype.kind in "iu"
        and y.ndim == 1
        and type(X) is np.ndarray
        and len(y) == len(X) > 0
    )


def exactly(X: Array, mean: Array, precision: Array, offset: Array, answer: int) -> Rows:
    """Return what answers blocks of rows in double precision."""
    kernel, (n_classes, n_features) = _gaussian_rows[X.dtype,], mean.shape
    room = posterior.TILE_ROWS * (2 * min(n_features, posterior.TILE_FEATURES) + n_classes)

    def rows(start: int, stop: int, out: Array, largest: Array) -> int:
        return kernel(X, mean, precision, offset, answer, start, stop, out, largest, np.empty(room))

    return rows


def largest_by_single(
    X: Array, single: tuple[Array, ...], mean: Array, precision: Array, offset: Array
) -> tuple[Array, int]:
    """Return the largest class of every row, in double precision where single leaves it in doubt, and the trouble."""
    kernel, (n_classes, n_features) = _nearest_rows[X.dtype,], mean.shape
    room = nearest.ROWS * (min(n_features, nearest.FEATURES) + n_classes)

    def rows(start: int, stop: int, out: Array, largest: Array) -> int:
        if not kernel(X, *single, start, stop, np.empty(room, np.float32), largest):
            return 0
        doubtful = start + np.flatnonzero(largest[start:stop] < 0)
        found = np.empty(len(doubtful), np.intp)
        trouble = exactly(X[doubtful], mean, precision, offset, posterior.LARGEST)(0, len(doubtful), out, found)
        largest[doubtful] = found
        return trouble

    # a quarter of the time for each multiplication of those that blocks are measured by
    return answer_rows(rows, posterior.LARGEST, len(X), n_classes, -(-n_features // 4), nearest.ROWS)


def in_single(mean: Array, precision: Array, offset: Array) -> tuple[Array, ...] | None:
    """Return what :func:`nearest.nearest_rows` takes for normal distributions; None if single precision cannot hold it.

    Parameters
    ----------
    mean, precision : ndarray of shape (n_classes, n_features)
    offset : ndarray of shape (n_classes,)

    Returns
    -------
    centre, scale : ndarray of shape (n_features,)
    slope, intercept : ndarray of float32 of shape (n_classes, n_features)
    bounds : ndarray of float32 of shape (4, n_classes)
        With the errors that are derived there, an eighth larger.
    """
    n_features = mean.shape[1]
    with np.errstate(all="ignore"):
        largest = precision.max(axis=0)
        share, root, scale = precision / largest, np.sqrt(precision), np.sqrt(largest)
        centre = (share * mean).sum(axis=0) / share.sum(axis=0)
        slope, intercept = root / scale, root * (centre - mean)
        rho = np.sqrt(np.square(intercept).sum(axis=1))
        shifted = offset - offset.max()
        if not (slope.min() >= 2.0**-40 and np.isfinite(scale).all() and (rho + np.abs(shifted)).max() <= 2.0**40):
            return None
    unit = 2.0**-24 * 1.125
    depth = min(n_features, nearest.FEATURES) + -(-n_features // nearest.FEATURES) + 1
    # halves of the errors of d, and the rounding of the bounds themselves
    factor = unit * (6 + depth / 2 + 2 * rho / np.sqrt(n_features))
    constant = unit * (2 * rho * np.sqrt(n_features) + 4 * np.abs(shifted)) + 2.0**-43 * np.square(rho)
    # what underflows, and what double precision rounds, is less than this
    constant += 2.0**-48 * np.abs(offset).max() + 2.0**-40
    bounds = np.array([shifted - constant, 0.5 + factor, shifted + constant, 0.5 - factor])
    return centre, scale, *(array.astype(np.float32) for array in (slope, intercept, bounds))


def moments_by_class(
    X: Array, codes: Array, n_classes: int, weights: Array
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return weight, mean and sum of squared differences of the rows of each class."""
    n_features = X.shape[1]
    kernel = _class_moments[X.dtype,]
    # as many parts as rows and memory make sense for: the cut does not depend on the number of threads
    parts = cut(len(X), max(_ROWS, -(-len(X) * n_classes * n_features // _CELLS)))
    found = [np.zeros((len(parts), n_classes, width)) for width in (1, n_features, n_features)]

    def task(part: int, _: int) -> None:
        scratch = np.empty((3 * n_classes + 1, n_features))
        kernel(X, codes, weights, *parts[part], scratch, *(out[part] for out in found))

    run_blocks(task, len(parts))
    moments.merge_parts(*found)
    return found[0][0, :, 0], found[1][0], found[2][0]


def merged(weight: Array, mean: Array, squares: Array) -> npt.NDArray[np.float64]:
    """Return the variance of each feature over the rows of all classes."""
    total = np.zeros(1), np.zeros(mean.shape[1]), np.zeros(mean.shape[1])
    for code in range(len(weight)):
        moments.merge(weight[code], mean[code], squares[code], *total)
    return total[2] / total[0][0]


def merged_with_past(
    past: Array, theta: Array, var: Array, count: Array, mean: Array, squares: Array
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and variance of past and new rows together; classes without new weight keep theirs."""
    theta, var = theta.copy(), var.copy()
    for code in np.flatnonzero(~np.isclose(count, 0.0)):
        if past[code] == 0:
            theta[code], var[code] = mean[code], squares[code] / count[code]
            continue
        weight, together = past[code : code + 1].copy(), var[code] * past[code]
        moments.merge(count[code], mean[code], squares[code], weight, theta[code], together)
        var[code] = together / weight[0]
    return theta, var
