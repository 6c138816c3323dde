"""CategoricalNB: features that are categories 0, 1, 2, ..."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Self

import numpy as np
import sklearn.naive_bayes as parent
from sklearn.utils.validation import check_is_fitted

from deciban._arrays import Array
from deciban._fallback import REPLACED, fall_back, methods, overrides
from deciban._kernels import counts, posterior
from deciban._largest import FixedTable
from deciban._lazy import LazyAttribute, unchanged_on_error
from deciban._parallel import cut, effective_n_threads, run_blocks
from deciban._rows import answer_rows
from deciban._sklearn import Twin, check_partial_fit_first_call, check_sample_weight, fit_context
from deciban.naive_bayes import _counts as counting
from deciban.naive_bayes._counts import Counts, Table, TableAttribute
from deciban.naive_bayes._generate import Generates, sample_categories
from deciban.naive_bayes._posterior import JointPredictions, checked_prior, stand_for_joint

_NO_WEIGHTS = np.empty(0)
_PLACES = 1 << 15  # of categories at once: 128 KB


class CategoricalNB(JointPredictions, Generates, Twin, parent.CategoricalNB):
    """Naive Bayes classifier for features that are categories, numbered from 0.

    ``log P(y, x) = log P(y) + sum_f log P(x_f | y)`` with ``P(x_f | y)`` the share of category x_f among the samples of
    class y, smoothed by ``alpha``.

    Parameters
    ----------
    alpha, force_alpha, fit_prior, class_prior, min_categories
        As in :class:`sklearn.naive_bayes.CategoricalNB`; so are the attributes.

    Notes
    -----
    Native: counting, weights, partial_fit, all predictions. Left to scikit-learn: ``alpha`` of 0, negative weights,
    categories that training did not see (an IndexError), labels of mixed types, and subclasses that replace its private
    methods. What predictions need of ``feature_log_prob_`` is made of it once: assign to the attribute, rather than
    write into its arrays, to predict with other tables.

    References
    ----------
    C. M. Bishop, Pattern Recognition and Machine Learning, Springer, 2006, section 4.2.3.

    Examples
    --------
    >>> import numpy as np
    >>> from deciban.naive_bayes import CategoricalNB
    >>> X = np.array([[0, 1], [0, 2], [1, 0]])
    >>> CategoricalNB().fit(X, ["a", "a", "b"]).predict([[1, 0]])
    array(['b'], dtype='<U1')
    """

    category_count_: Any = LazyAttribute()
    feature_log_prob_: Any = TableAttribute()
    classes_: Any
    class_count_: Any
    n_features_in_: int
    _fit_methods: dict[str, Any]

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the classifier to X and y.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Categories of the training samples.
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
            if overrides(self, self._fit_methods):
                fall_back(self, "fit", REPLACED)
                return super().fit(X, y, sample_weight=sample_weight)
            rows, labels = self._check_X_y(X, y)
            self.classes_, codes = counting.encode(labels)
            weights = _checked_weights(sample_weight, rows)
            table, starts = self._count_categories(rows, codes, weights)
            self.class_count_ = counting.class_counts(codes, len(self.classes_), weights)
            self._set(table, starts, weights)
            return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Add a batch of samples to what the classifier has counted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Categories of the batch.
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
            reason = self._no_kernel(classes)
            if reason is None:
                rows, labels = self._check_X_y(X, y, reset="classes_" not in before)
                first_call = check_partial_fit_first_call(self, classes)
                codes = counting.encode_known(labels, self.classes_)
                if codes is not None:
                    weights = _checked_weights(sample_weight, rows)
                    table, starts = self._count_categories(rows, codes, weights)
                    past: Any = 0.0 if first_call else counting.checked_class_count(self)
                    self.class_count_ = past + counting.class_counts(codes, len(self.classes_), weights)
                    if not first_call:
                        table, starts = self._with_past(table, starts)
                    self._set(table, starts, weights)
                    return self
                reason = "only scikit-learn knows which labels are meant"
            fall_back(self, "partial_fit", reason)
            self.__dict__.clear()
            self.__dict__.update(before)
            # scikit-learn adds to these in place, and may raise after that
            if "class_count_" in before:
                self.class_count_ = np.array(self.class_count_)
                self.category_count_ = [np.array(count) for count in self.category_count_]
            return super().partial_fit(X, y, classes, sample_weight=sample_weight)

    def _no_kernel(self, classes: Any) -> str | None:
        if overrides(self, self._fit_methods):
            return REPLACED
        if classes is not None and len(classes) != len(np.unique(classes)):
            if "classes_" in self.__dict__:
                raise ValueError(
                    f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
                )
            return "classes holds a label twice"
        return None

    def _count_categories(self, rows: Array, codes: Array, weights: Array) -> tuple[Array, Array]:
        """Return the counts, a row for each category of every feature, and the row where each feature starts."""
        self.n_categories_ = self._validate_n_categories(rows, self.min_categories)
        rows = rows.astype(np.int64, copy=False)
        if rows.min(initial=0) < 0 or (rows.max(axis=0, initial=0) >= self.n_categories_).any():
            raise ValueError(f"categories must be numbered from 0 and be counted, got one of {rows.max()}")
        n_classes = len(self.classes_)
        n_counts = sum(self.n_categories_.tolist()) * n_classes  # Python's numbers do not wrap
        if n_counts > np.iinfo(np.intp).max // 8:
            raise ValueError(f"{n_counts} counts are too many, with a category of {rows.max()}")
        starts = np.concatenate([[0], np.cumsum(self.n_categories_)]).astype(np.intp)
        table = np.zeros((starts[-1], n_classes))
        n_features = rows.shape[1]
        parts = cut(n_features, -(-n_features // effective_n_threads()) if rows.size > 1 << 15 else n_features)

        def task(block: int, _: int) -> None:
            counts.sum_categories(rows, codes, weights, *parts[block], starts, table)

        run_blocks(task, len(parts))
        return table, starts

    def _with_past(self, table: Array, starts: Array) -> tuple[Array, Array]:
        """Add the counts so far, which may know of more categories than this batch, or of fewer."""
        entry = self.__dict__["category_count_"]
        if isinstance(entry, Counts):
            past = [entry.cells.table[start:stop] for start, stop in _ranges(entry.starts)]
        else:
            past = [np.asarray(count, dtype=np.float64).T for count in self.category_count_]
        now = [table[start:stop] for start, stop in _ranges(starts)]
        n_classes = table.shape[1]
        if len(past) != len(now) or any(count.ndim != 2 or count.shape[1] != n_classes for count in past):
            raise ValueError(
                f"category_count_ must hold {len(now)} arrays of {n_classes} rows, one for each feature, got "
                f"{[count.T.shape for count in past]}"
            )
        sizes = [max(len(a), len(b)) for a, b in zip(past, now, strict=True)]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
        table = np.zeros((starts[-1], n_classes))
        for start, a, b in zip(starts, past, now, strict=False):
            table[start : start + len(a)] = a
            table[start : start + len(b)] += b
        return table, starts

    def _set(self, table: Array, starts: Array, weights: Array) -> None:
        """Set the attributes that depend on the counts."""
        alpha = self._check_alpha()

        def view() -> list[Array]:
            return [table[start:stop].T for start, stop in _ranges(starts)]

        def log_prob() -> list[Array]:
            return [_log_share(count, alpha) for count in view()]

        if np.min(alpha) <= 0 or (len(weights) and weights.min() < 0) or (table.size and table.min() < 0):
            # a logarithm may be of zero or less: scikit-learn's own code warns of it now
            self.category_count_ = view()
            self._update_feature_log_prob(alpha)
        else:
            self.feature_log_prob_ = lazy = Table(log_prob)
            self.category_count_ = counted = Counts(counting.Cells(table), view, lazy)
            counted.starts = starts
        self._update_class_log_prior(class_prior=self.class_prior)

    def _any(self, X: Any, answer: int, method: str) -> Array | None:
        check_is_fitted(self)
        rows = np.ascontiguousarray(self._check_X(X), dtype=np.int64)
        holder = self._scores()
        table, starts = holder.scores
        n_classes = len(self.classes_)
        offset = checked_prior(self.class_log_prior_, n_classes, "class_log_prior_")
        if table.shape[1] != n_classes or len(starts) != rows.shape[1] + 1:
            raise ValueError(
                f"feature_log_prob_ must hold {rows.shape[1]} arrays of {n_classes} rows, got {len(starts) - 1} of "
                f"{table.shape[1]}"
            )

        def exactly(rows: Array) -> tuple[Array, int]:
            def task(start: int, stop: int, out: Array, largest: Array) -> int:
                return posterior.category_rows(rows, starts, table, offset, answer, start, stop, out, largest)

            return answer_rows(task, answer, len(rows), n_classes, self.n_features_in_)

        fixed = None
        if answer == posterior.LARGEST and rows.size > table.size:  # else it would cost more than it saves
            fixed = holder.fixed
            if fixed is None:
                holder.fixed = fixed = counting.fixed_scores(table)
        if fixed is not None and fixed.usable:
            found, trouble = _largest(rows, starts, fixed, offset)
            doubtful = np.flatnonzero(found < 0)
            if not trouble and len(doubtful):
                found[doubtful], trouble = exactly(rows[doubtful])
        else:
            found, trouble = exactly(rows)
        if trouble:
            # a category that training did not see, which is an IndexError, or no class with a finite likelihood
            fall_back(self, method, "a sample has no finite joint log likelihood")
            return None
        return found

    def _sample(self, codes: Array, seed: np.random.SeedSequence) -> Array:
        table, starts = self._scores().scores
        return sample_categories(codes, len(self.classes_), table, starts, seed)

    def _scores(self) -> Table:
        """Return what holds, as ``scores``, the logarithms and the row where each feature starts.

        The logarithms have a row for each category of every feature.
        """
        holder = self.__dict__.get("feature_log_prob_")
        if not isinstance(holder, Table):
            holder = Table(lambda: self.feature_log_prob_)
        if holder.scores is None:
            tables = [np.asarray(log_prob, dtype=np.float64) for log_prob in holder.made()]
            n_classes = len(self.classes_)
            if len(tables) != self.n_features_in_ or any(t.ndim != 2 or len(t) != n_classes for t in tables):
                raise ValueError(
                    f"feature_log_prob_ must hold {self.n_features_in_} arrays of {n_classes} rows, one for each "
                    f"feature, got {[t.shape for t in tables]}"
                )
            starts = np.concatenate([[0], np.cumsum([t.shape[1] for t in tables])]).astype(np.intp)
            table = np.ascontiguousarray(np.concatenate(tables, axis=1).T)
            holder.scores = table, starts
        return holder

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "feature_log_prob_" in state:
            self.feature_log_prob_ = state["feature_log_prob_"]


CategoricalNB._fit_methods = methods(CategoricalNB, *counting.FIT_METHODS)
stand_for_joint(CategoricalNB)


def _largest(rows: Array, starts: Array, fixed: FixedTable, offset: Array) -> tuple[Array, int]:
    """Return the largest class of rows of categories, -1 for a row in doubt, and the trouble met."""
    n_rows, n_features = rows.shape
    size = max(1, _PLACES // n_features)
    ones, indptr = np.ones(size * n_features, np.int32), np.arange(size + 1, dtype=np.int32) * np.int32(n_features)

    def task(start: int, stop: int, _: Array, largest: Array) -> int:
        trouble = 0
        places = np.empty((size, n_features), np.int32)
        for first in range(start, stop, size):
            n = min(size, stop - first)
            trouble |= posterior.category_places(rows, starts, first, first + n, places)
            if not trouble:
                parts = ones[: n * n_features], places[:n].reshape(-1), indptr[: n + 1]
                trouble |= fixed.rows(parts, offset, False, 0.0, 0, n, largest[first : first + n])
        return trouble

    return answer_rows(task, posterior.LARGEST, n_rows, len(offset), n_features)


def _checked_weights(sample_weight: Any, rows: Array) -> Array:
    if sample_weight is None:
        return _NO_WEIGHTS
    return np.ascontiguousarray(check_sample_weight(sample_weight, rows), dtype=np.float64)


def _ranges(starts: Array) -> list[tuple[int, int]]:
    bounds = starts.tolist()
    return list(pairwise(bounds))


def _log_share(count: Array, alpha: float) -> Array:
    """Return log(count + alpha) - log(the class's total of those)."""
    smoothed = np.ascontiguousarray(count) + alpha
    return np.log(smoothed) - np.log(smoothed.sum(axis=1, keepdims=True))
