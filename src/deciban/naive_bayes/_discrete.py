"""Naive Bayes on counts and on presence: multinomial, complement and Bernoulli."""

from __future__ import annotations

from numbers import Real
from typing import Any, Self

import numpy as np
import sklearn.naive_bayes as parent
from sklearn.utils.validation import check_is_fitted

from deciban._arrays import CSR_TYPES, DATA_DTYPES, Array, entries, malformed
from deciban._class_sums import count_dense, count_sparse, group_rows
from deciban._fallback import REPLACED, fall_back, methods, overrides
from deciban._kernels import counts
from deciban._lazy import Lazy, LazyAttribute, unchanged_on_error
from deciban._sklearn import Twin, check_partial_fit_first_call, check_sample_weight, fit_context
from deciban.naive_bayes import _counts as counting
from deciban.naive_bayes._counts import Cells, Counts, Table, TableAttribute
from deciban.naive_bayes._generate import Generates, sample_documents, sample_presences
from deciban.naive_bayes._posterior import LinearPosterior, stand_for_joint

_NO_WEIGHTS = np.empty(0)
_SWALLOWED = 2.0**-46  # with room for 128 batches


class _CountingNB(LinearPosterior, Generates, Twin):
    """fit and partial_fit of the models whose statistics are sums of the rows of each class."""

    feature_count_: Any = LazyAttribute()
    feature_log_prob_: Any = TableAttribute()
    n_features_in_: int
    class_prior: Any
    _check_alpha: Any
    _update_feature_log_prob: Any
    _update_class_log_prior: Any
    _check_X_y: Any  # noqa: N815

    _non_negative = True
    _fit_methods: dict[str, Any]

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the classifier to X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
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
            if overrides(self, self._fit_methods):
                return self._parent_fit(REPLACED, X, y, sample_weight)
            rows, labels = self._rows(X, y, reset=True)
            if not self._countable(rows):
                return self._parent_fit(f"there is no kernel for dtype {rows.dtype}", X, y, sample_weight)
            self.classes_, codes = counting.encode(labels)
            weights = self._weights(sample_weight, rows)
            table, trouble = self._count_rows(rows, codes, weights)
            if trouble & counts.NONFINITE or (trouble and self._non_negative):
                return self._parent_fit("there are negative or infinite samples", X, y, sample_weight)
            self.class_count_ = counting.class_counts(codes, len(self.classes_), weights)
            alpha = self._check_alpha()
            if trouble or self._can_warn(alpha, weights, rows, None):
                self._set_now(table, alpha)
            else:
                self._set_lazily(table, alpha)
            return self

    def _parent_fit(self, reason: str, X: Any, y: Any, sample_weight: Any) -> Self:
        fall_back(self, "fit", reason)
        return super().fit(X, y, sample_weight=sample_weight)  # type: ignore[misc]

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Add a batch of samples to what the classifier has counted.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
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

        Notes
        -----
        Costs time in proportion to the batch, not to the table: logarithms are made at the next prediction.
        """
        done = np.zeros(1, np.uint8)
        with unchanged_on_error(self, done):
            if overrides(self, self._fit_methods):
                return self._parent_partial_fit(REPLACED, X, y, classes, sample_weight)
            state = self.__dict__
            first_call = "classes_" not in state
            rows, labels = self._rows(X, y, reset=first_call)
            if check_partial_fit_first_call(self, classes):
                first_call = True
                if len(classes) != len(self.classes_):
                    del self.classes_
                    return self._parent_partial_fit("classes holds a label twice", X, y, classes, sample_weight)
                state["class_count_"] = np.zeros(len(self.classes_))
            elif classes is not None and len(classes) != len(self.classes_):
                raise ValueError(
                    f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
                )
            codes = counting.encode_known(labels, self.classes_)
            weights = self._weights(sample_weight, rows)
            table: Any = None if first_call else self._table()
            trouble = wide = 0
            increments: Any = None
            if codes is not None and self._countable(rows):
                if table is None or isinstance(rows, np.ndarray) or 8 * len(rows.data) > table.size:
                    increments, trouble = self._count_rows(rows, codes, weights)
                else:
                    parts = entries(rows)
                    trouble = counting.check_rows[parts[0].dtype, parts[1].dtype](*parts, *rows.shape)
                    trouble, wide = trouble & ~counts.WIDE, trouble & counts.WIDE
                    if trouble & counts.MALFORMED:
                        raise malformed(rows)
            refused = trouble & counts.NONFINITE or (trouble and self._non_negative)
            if codes is None or not self._countable(rows) or refused:
                if first_call:
                    del self.classes_
                reason = "labels, samples or their dtype are unusual"
                return self._parent_partial_fit(reason, X, y, classes, sample_weight)

            past = counting.checked_class_count(self)
            self.class_count_ = past + counting.class_counts(codes, len(self.classes_), weights)
            alpha = self._check_alpha()
            # counts that somebody else made may be negative; ours are not, or their logarithms were made at once
            unknown = table is not None and not isinstance(state["feature_count_"], Counts)
            unsafe = self._can_warn(alpha, weights, rows, table if unknown else None)
            if trouble or unsafe or (unknown and table.min() < 0):
                if increments is None:
                    increments, _ = self._count_rows(rows, codes, weights)
                self._set_now(increments if table is None else table + increments, alpha)
                return self
            cells = self._set_lazily(increments if table is None else table, alpha)
            # nothing after this changes the counts before it is certain to succeed
            if increments is None:
                binary, threshold = self._threshold(rows.dtype)
                dtypes = parts[0].dtype, parts[1].dtype
                whole = table.dtype == np.uint16 and not len(weights) and (binary or not wide)
                if whole and counting.grow_rows[dtypes](*parts, codes, binary, threshold, table, done):
                    return self
                order, _ = group_rows(codes, len(self.classes_))
                table = cells.wide()
                scratch = np.zeros(table.shape[1])
                counting.merge_rows[dtypes](*parts, codes, order, weights, binary, threshold, scratch, table, done)
            elif table is not None:
                if (
                    not table.dtype == increments.dtype == np.uint16
                    or int(table.max()) + int(increments.max()) >= 1 << 16
                ):
                    table, increments = cells.wide(), increments.astype(np.float64, copy=False)
                counts.add(increments, table, done)
            return self

    def _parent_partial_fit(self, reason: str, X: Any, y: Any, classes: Any, sample_weight: Any) -> Self:
        fall_back(self, "partial_fit", reason)
        # scikit-learn adds to these in place, and may raise after that
        for name in {"class_count_", "feature_count_"} & self.__dict__.keys():
            setattr(self, name, np.array(getattr(self, name)))
        return super().partial_fit(X, y, classes, sample_weight=sample_weight)  # type: ignore[misc]

    def _rows(self, X: Any, y: Any, reset: bool) -> tuple[Any, Array]:
        """Check X and y as scikit-learn does; what is certain to pass skips most of that."""
        state = self.__dict__
        if (
            type(X) in CSR_TYPES
            and X.ndim == 2
            and X.dtype in DATA_DTYPES
            and min(X.shape) > 0
            and type(y) is np.ndarray
            and y.dtype.kind in "iu"
            and y.shape == X.shape[:1]
        ):
            if reset:
                self.n_features_in_ = X.shape[1]
                state.pop("feature_names_in_", None)
                return X, y
            if state.get("n_features_in_") == X.shape[1] and "feature_names_in_" not in state:
                return X, y
        return self._check_both(X, y, reset)

    def _check_both(self, X: Any, y: Any, reset: bool) -> tuple[Any, Array]:
        return self._check_X_y(X, y, reset=reset)

    def _countable(self, rows: Any) -> bool:
        """Return whether every value of the samples' dtype is one of float64's, so that the kernels can add them up."""
        return rows.dtype.kind in "iub" or rows.dtype in (np.float64, np.float32, np.float16)

    def _weights(self, sample_weight: Any, rows: Any) -> Array:
        if sample_weight is None:
            return _NO_WEIGHTS
        return np.ascontiguousarray(check_sample_weight(sample_weight, rows), dtype=np.float64)

    def _count_rows(self, rows: Any, codes: Array, weights: Array) -> tuple[Array, int]:
        """Return the table of this batch alone, and the trouble met."""
        binary, threshold = self._threshold(rows.dtype)
        n_classes, strays = len(self.classes_), codes.min(initial=0) < 0  # rows that count for no class
        if isinstance(rows, np.ndarray):
            table, trouble = count_dense(rows, codes, n_classes, weights, binary, threshold)
            return table, trouble | (counts.NEGATIVE if strays and (rows < 0).any() else 0)
        parts = entries(rows)
        if strays:
            trouble = counting.check_rows[parts[0].dtype, parts[1].dtype](*parts, *rows.shape) & ~counts.WIDE
            if trouble & counts.MALFORMED:
                raise malformed(rows)
            if trouble & counts.NONFINITE or (trouble and self._non_negative):
                return np.empty((0, 0)), trouble
        table, trouble = count_sparse(parts, codes, len(self.classes_), rows.shape[1], weights, binary, threshold)
        if trouble & counts.MALFORMED:
            raise malformed(rows)
        return table, trouble

    def _table(self) -> Array:
        """Return the counts so far, to be added to in place."""
        entry = self.__dict__.get("feature_count_")
        expected = (len(self.classes_), self.n_features_in_)
        if isinstance(entry, Counts) and entry.cells.table.shape == expected:
            return entry.cells.table
        count = self.feature_count_
        if not isinstance(count, np.ndarray) or count.dtype.kind not in "fiu" or count.shape != expected:
            raise ValueError(
                f"feature_count_ must be an array of real numbers of shape {expected}, "
                f"got {getattr(count, 'dtype', type(count).__name__)} of shape {np.shape(count)}"
            )
        return np.array(count, dtype=np.float64, order="C")  # somebody else may hold the array

    def _can_warn(self, alpha: Any, weights: Array, rows: Any, past: Array | None) -> bool:  # noqa: ARG002
        """Return whether a logarithm may be of zero or less, which scikit-learn warns of when it fits.

        ``past`` is the table of counts before these rows, if it is not known to be small and not negative.
        """
        return bool(np.min(alpha) <= 0 or (len(weights) and weights.min() < 0))

    def _set_now(self, table: Array, alpha: Any) -> None:
        """Set the attributes that depend on the counts with scikit-learn's own code, which warns where it should."""
        self.feature_count_ = table.astype(np.float64, copy=False)
        self._update_feature_log_prob(alpha)
        self._update_class_log_prior(class_prior=self.class_prior)

    def _set_lazily(self, table: Array, alpha: Any) -> Cells:
        """Set the attributes that depend on the counts, to be made of them when somebody asks."""
        cells = Cells(table)
        log_prob = self._lazy_log_prob(cells, np.array(alpha, dtype=np.float64))
        self.feature_count_ = Counts(cells, cells.wide, log_prob)
        self.feature_log_prob_ = log_prob
        self._update_class_log_prior(class_prior=self.class_prior)
        return cells

    def _lazy_log_prob(self, cells: Cells, alpha: Array) -> Table:
        raise NotImplementedError

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "feature_log_prob_" in state:
            self.feature_log_prob_ = state["feature_log_prob_"]


class _DocumentNB(_CountingNB):
    """``sample`` of the models of word counts."""

    def sample(
        self, n_samples: int | None = None, *, random_state: Any = None, y: Any = None, length: Any = None
    ) -> tuple[Any, Array]:
        """Draw documents from the fitted model, in time proportional to their words (and once to the vocabulary).

        Parameters
        ----------
        n_samples : int, default=None
            How many; None for as many as there are labels in ``y``, or one.
        random_state : int, RandomState instance or None, default=None
            The same seed draws the same samples, whatever the number of threads.
        y : label or array-like of shape (n_samples,), default=None
            Labels to draw documents of: one for all or one for each. None draws them from the class priors.
        length : int or array-like of int of shape (n_samples,), default=None
            Words in each document. None draws lengths from the Poisson distribution whose mean is that of the class's
            training documents; every word's count is then Poisson by itself, independent of the others.

        Returns
        -------
        X : sparse matrix of shape (n_samples, n_features)
            Counts: int64, CSR, indices sorted.
        y : ndarray of shape (n_samples,)
            Their labels.

        Raises
        ------
        ValueError
            If a label is not one of ``classes_``, or the fitted attributes are no distribution.

        Examples
        --------
        >>> import numpy as np
        >>> from deciban.naive_bayes import MultinomialNB
        >>> model = MultinomialNB().fit(np.array([[2, 1, 0], [0, 1, 3]]), ["ham", "spam"])
        >>> X, y = model.sample(random_state=0, y=["ham", "ham", "spam"], length=[5, 0, 7])
        >>> X.sum(axis=1).tolist()
        [[5], [0], [7]]
        """
        codes, seed = self._classes_to_sample(n_samples, random_state, y)
        return sample_documents(self._multinomial(), codes, seed, length), self.classes_[codes]

    def _multinomial(self) -> Any:
        """Return the multinomial model whose documents these are."""
        raise NotImplementedError


class MultinomialNB(_DocumentNB, parent.MultinomialNB):
    """Naive Bayes classifier for counts, such as words in documents.

    ``log P(y, x) = log P(y) + sum_f x_f log P(f | y)`` with ``P(f | y)`` the share of feature f in all that was counted
    for class y, smoothed by ``alpha``.

    Parameters
    ----------
    alpha, force_alpha, fit_prior, class_prior
        As in :class:`sklearn.naive_bayes.MultinomialNB`; so are the attributes.

    Notes
    -----
    Native: sparse and dense input, weights, partial_fit in time proportional to the batch, all predictions. Left to
    scikit-learn: samples that have no finite joint log likelihood, labels of mixed types, long double samples, and
    subclasses that replace its private methods.

    ``score_samples`` is the likelihood of a document's words in one given order, given their number: of a bag of words
    it leaves out the number of orders, ``log(L! / prod_f x_f!)``, so that ``exp(-score_samples(X).sum() / X.sum())`` is
    the perplexity.

    References
    ----------
    C. D. Manning, P. Raghavan, H. Schuetze, Introduction to Information Retrieval, Cambridge University Press, 2008,
    chapter 13.

    Examples
    --------
    >>> import numpy as np
    >>> from deciban.naive_bayes import MultinomialNB
    >>> X = np.array([[2, 1, 0], [0, 1, 3]])
    >>> MultinomialNB().fit(X, ["ham", "spam"]).predict([[0, 0, 1]])
    array(['spam'], dtype='<U4')
    """

    def _lazy_log_prob(self, cells: Cells, alpha: Array) -> Table:
        return Table(
            lambda: counting.multinomial_log_prob(cells.table, alpha).T,
            lambda: counting.fixed_multinomial(cells.table, alpha),
        )

    def _multinomial(self) -> Any:
        return self


class ComplementNB(_DocumentNB, parent.ComplementNB):
    """Naive Bayes classifier that weighs a feature by how rare it is in all the other classes.

    The joint score is ``sum_f x_f w_fy`` with ``w_fy`` minus the logarithm of the share of feature f in what was
    counted for all classes but y, smoothed by ``alpha``; it suits classes of very different sizes.

    Parameters
    ----------
    alpha, force_alpha, fit_prior, class_prior, norm
        As in :class:`sklearn.naive_bayes.ComplementNB`; so are the attributes.

    Notes
    -----
    Native and left to scikit-learn: as for :class:`MultinomialNB`.

    Its weights are scores: minus the logarithms of the other classes' shares, they are positive and belong to no
    distribution of documents. The model behind them is the multinomial one, of which they are an estimate with less
    bias where classes differ in size. So ``sample`` draws the words of class y by the shares of its own
    ``feature_count_``, smoothed by ``alpha``, and ``score_samples`` is the likelihood under these same distributions
    and ``class_log_prior_``: both answer as :class:`MultinomialNB` does with these counts.

    References
    ----------
    J. D. M. Rennie, L. Shih, J. Teevan, D. R. Karger, Tackling the poor assumptions of naive Bayes text classifiers,
    ICML 2003.

    Examples
    --------
    >>> import numpy as np
    >>> from deciban.naive_bayes import ComplementNB
    >>> X = np.array([[2, 1, 0], [0, 1, 3]])
    >>> ComplementNB().fit(X, ["ham", "spam"]).predict([[0, 0, 1]])
    array(['spam'], dtype='<U4')
    """

    feature_all_: Any = LazyAttribute()
    norm: bool

    def _can_warn(self, alpha: Any, weights: Array, rows: Any, past: Array | None) -> bool:
        if self.norm and self.n_features_in_ == 1:  # which has a share of 1, and a logarithm of 0 to divide by
            return True
        # a feature may have nothing in other classes but an alpha, which its counts swallow from 2^53 times that on
        values = rows if isinstance(rows, np.ndarray) else rows.data
        total = float(values.max(initial=0)) * len(values) * float(weights.max(initial=1))
        if past is not None:
            total += float(past.max(initial=0)) * len(past)
        return np.min(alpha) < max(1e-6, total * _SWALLOWED) or super()._can_warn(alpha, weights, rows, past)

    def _set_now(self, table: Array, alpha: Any) -> None:
        self.feature_all_ = table.sum(axis=0, dtype=np.float64)
        super()._set_now(table, alpha)

    def _lazy_log_prob(self, cells: Cells, alpha: Array) -> Table:
        norm = self.norm
        self.feature_all_ = Lazy(lambda: counting.feature_totals(cells.table))
        return Table(
            lambda: counting.complement_weights(cells.table, alpha, norm).T,
            lambda: counting.fixed_complement(cells.table, alpha, norm),
        )

    def _with_prior(self, scores: Any, prior: Array) -> tuple[Any, Array]:
        return scores, prior if len(prior) == 1 else np.zeros(len(prior))

    def score_samples(self, X: Any) -> Array:
        check_is_fitted(self)
        return self._multinomial().score_samples(X)

    score_samples.__doc__ = Generates.score_samples.__doc__

    def _multinomial(self) -> MultinomialNB:
        model = MultinomialNB(alpha=self.alpha, force_alpha=self.force_alpha, fit_prior=self.fit_prior)
        names = ("classes_", "class_count_", "class_log_prior_", "n_features_in_", "feature_names_in_")
        for name in names:
            if name in self.__dict__:
                setattr(model, name, self.__dict__[name])
        table, alpha = self._table(), np.array(self._check_alpha(), dtype=np.float64)
        with np.errstate(all="ignore"):
            model.feature_log_prob_ = counting.multinomial_log_prob(table, alpha).T
        model.feature_count_ = table.astype(np.float64)
        return model


class BernoulliNB(_CountingNB, parent.BernoulliNB):
    """Naive Bayes classifier for features that are there or not.

    ``log P(y, x) = log P(y) + sum_f log P(f | y)`` over the features that are there ``+ sum_f log(1 - P(f | y))`` over
    those that are not; ``P(f | y)`` is the share of the samples of class y that have feature f, smoothed by ``alpha``.

    Parameters
    ----------
    alpha, force_alpha, binarize, fit_prior, class_prior
        As in :class:`sklearn.naive_bayes.BernoulliNB`; so are the attributes.

    Notes
    -----
    Native and left to scikit-learn: as for :class:`MultinomialNB`. What predictions need of ``feature_log_prob_`` is
    made of it once: assign to the attribute, rather than write into the array, to predict with another table.

    References
    ----------
    C. D. Manning, P. Raghavan, H. Schuetze, Introduction to Information Retrieval, Cambridge University Press, 2008,
    section 13.3.

    Examples
    --------
    >>> import numpy as np
    >>> from deciban.naive_bayes import BernoulliNB
    >>> X = np.array([[1, 1, 0], [0, 1, 1]])
    >>> BernoulliNB().fit(X, ["ham", "spam"]).predict([[0, 0, 1]])
    array(['spam'], dtype='<U4')
    """

    _non_negative = False
    binarize: Any
    class_count_: Array

    def _check_both(self, X: Any, y: Any, reset: bool) -> tuple[Any, Array]:
        return super(parent.BernoulliNB, self)._check_X_y(X, y, reset=reset)

    def _check_features(self, X: Any) -> Any:
        return super(parent.BernoulliNB, self)._check_X(X)

    def _countable(self, rows: Any) -> bool:
        # a parameter set after construction, or with validation off, may be anything
        return super()._countable(rows) and (self.binarize is None or self._threshold(rows.dtype)[1] >= 0)

    def _threshold(self, dtype: np.dtype[Any]) -> tuple[bool, float]:
        if self.binarize is None:
            return False, 0.0
        if not isinstance(self.binarize, Real) or not np.isfinite(float(self.binarize)):
            return True, np.nan
        # NumPy compares float32 samples with a Python number in float32
        narrow = dtype.kind == "f" and not isinstance(self.binarize, np.generic)
        return True, float(dtype.type(self.binarize)) if narrow else float(self.binarize)

    def _can_warn(self, alpha: Any, weights: Array, rows: Any, past: Array | None) -> bool:
        # without binarize a feature can count for more than its sample; an array of alpha fits no class count
        return self.binarize is None or np.ndim(alpha) > 0 or super()._can_warn(alpha, weights, rows, past)

    def _lazy_log_prob(self, cells: Cells, alpha: Array) -> Table:
        class_count = self.class_count_
        return Table(lambda: counting.bernoulli_log_prob(cells.table, class_count, alpha).T)

    def _sample(self, codes: Array, seed: np.random.SeedSequence) -> Any:
        return sample_presences(self, codes, seed)

    def _make_scores(self, table: Array) -> Any:
        return counting.bernoulli_scores(table)

    def _make_fixed(self, scores: tuple[Array | None, Array]) -> Any:
        table, absent = scores
        return (None if table is None else counting.fixed_scores(table)), absent

    def _with_prior(self, scores: Any, prior: Array) -> tuple[Any, Array] | None:
        table, absent = scores
        return None if table is None else (table, prior + absent)


for _model in (MultinomialNB, ComplementNB, BernoulliNB):
    _model._fit_methods = methods(_model, *counting.FIT_METHODS)
    stand_for_joint(_model)
