"""The predictions of the naive Bayes classifiers that are linear in their counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from deciban._arrays import CSR_TYPES, DATA_DTYPES, Array, malformed
from deciban._fallback import fall_back, overrides
from deciban._kernels import posterior
from deciban._largest import FixedTable
from deciban._predictions import PLAIN_TYPES, Predictions, few_rows, stand_for
from deciban._rows import answer_sparse, finish
from deciban.naive_bayes._counts import Table, fixed_scores

_LARGE_TABLE = 1 << 17  # cells whose doubles are past L2, so that less memory is less time
_SMALL_TABLE = 1 << 24  # cells that may be held in double precision too: 128 MB
_FEW = 64  # rows, of which more will be asked for


def checked_prior(prior: Any, n_classes: int, name: str) -> Array:
    """Return an attribute with one number for each class as the kernels take it; it may come from anywhere."""
    if prior.__class__ is not np.ndarray or prior.dtype != np.float64 or not prior.flags.c_contiguous:
        prior = np.asarray(prior)
        if prior.dtype.kind not in "fiu":
            raise ValueError(f"{name} must be an array of real numbers, got dtype {prior.dtype}")
        prior = np.ascontiguousarray(prior, dtype=np.float64)
    if prior.shape != (n_classes,):
        raise ValueError(f"{name} must have shape ({n_classes},), got {prior.shape}")
    return prior


class JointPredictions(Predictions):
    """Mixin: all predictions, of the joint log likelihood."""

    def predict_joint_log_proba(self, X: Any) -> Array:
        """Return joint log probability estimates, ``log P(x, y)``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        C : ndarray of shape (n_samples, n_classes)
            One column for each class of ``classes_``.
        """
        C = self._few(X, posterior.JOINT)
        if C is None:
            C = self._answer(X, posterior.JOINT, "predict_joint_log_proba")
        return super().predict_joint_log_proba(X) if C is None else C  # type: ignore[misc]


def stand_for_joint(cls: type[JointPredictions]) -> None:
    """Note the methods of a finished class that its kernels stand for."""
    joint = ("_joint_log_likelihood", "_check_X")
    # scikit-learn makes probabilities of what predict_log_proba answers
    stand_for(cls, joint, joint, (*joint, "predict_log_proba"), joint)


class LinearPosterior(JointPredictions):
    """Mixin: joint log likelihood = X times a table of shape (n_features, n_classes), plus an offset for each class."""

    class_log_prior_: Array

    def _few(self, X: Any, answer: int) -> Array | None:
        """Return the answer for a few plain rows, by tables that are there; None sends it the long way."""
        state = self.__dict__
        holder = state.get("feature_log_prob_")
        if (
            type(X) not in PLAIN_TYPES
            or type(holder) is not Table
            or "classes_" not in state
            or "n_features_in_" not in state
            or "feature_names_in_" in state
            or overrides(self, self._made_of[answer])
        ):
            return None
        n_features, n_classes, scores = state["n_features_in_"], len(state["classes_"]), holder.scores
        if scores is None:
            few = X.ndim == 2 and 0 < X.shape[0] <= _FEW
            if holder.fixed is None or not few or n_features * n_classes > _SMALL_TABLE:
                return None
            scores = self._held_scores(holder)  # few rows, and not for the first time
        prior = checked_prior(state.get("class_log_prior_"), n_classes, "class_log_prior_")
        joined = self._with_prior(scores, prior)
        if joined is None:
            return None
        binary, threshold = self._threshold(X.dtype)
        if binary and not threshold >= 0:
            return None
        return few_rows(X, n_features, n_classes, *joined, False, binary, threshold, answer)

    def _any(self, X: Any, answer: int, method: str) -> Array | None:
        state = self.__dict__
        if (
            type(X) in CSR_TYPES
            and X.dtype in DATA_DTYPES
            and X.ndim == 2
            and state.get("n_features_in_") == X.shape[1]
            and X.shape[0] > 0
            and "feature_names_in_" not in state
            and "classes_" in state
        ):
            checked = True
        else:
            check_is_fitted(self)
            X, checked = self._check_features(X), False
        sparse = not isinstance(X, np.ndarray)
        binary, threshold = self._threshold(X.dtype)
        if sparse and ((binary and not threshold >= 0) or (X.dtype not in DATA_DTYPES and X.dtype.kind not in "iub")):
            fall_back(self, method, f"there is no kernel for sparse {X.dtype}, or to binarize it at {threshold}")
            return None
        rows, found = X, None
        if sparse and answer == posterior.LARGEST and (fixed := self._fixed_scores(X)) is not None:
            found, trouble = fixed[0].answer(X, fixed[1], binary, threshold)
            if trouble:
                self._raise_for(trouble, X, checked)
            doubtful = np.flatnonzero(found < 0)
            if not len(doubtful):
                return found
            rows = X[doubtful]
        scores = self._scores()
        if scores is None:
            fall_back(self, method, "the table of log probabilities is not finite")
            return None
        table, offset = scores
        self._check_table(table, offset, X)
        if not sparse:
            return self._dense(X, table, offset, answer, method)
        exact, trouble = answer_sparse(rows, table, offset, answer, binary, threshold)
        if trouble:
            self._raise_for(trouble, X, checked)
            if trouble & posterior.UNDEFINED:
                fall_back(self, method, "a sample has no finite joint log likelihood")
                return None
        if found is not None:
            found[doubtful] = exact
        return exact if found is None else found

    def _raise_for(self, trouble: int, X: Any, checked: bool) -> None:
        if trouble & posterior.MALFORMED:
            raise malformed(X)
        if trouble & posterior.NONFINITE and checked:
            self._check_features(X)  # raises, unless scikit-learn is told to assume finite input

    def _check_table(self, table: Array, offset: Array, X: Any) -> None:
        expected = (X.shape[1], len(self.classes_))
        if table.shape != expected or offset.shape != expected[1:]:
            raise ValueError(
                f"feature_log_prob_ must have shape {expected[::-1]} and class_log_prior_ {expected[1:]}, got "
                f"{table.shape[::-1]} and {offset.shape}"
            )

    def _dense(self, X: Array, table: Array, offset: Array, answer: int, method: str) -> Array | None:
        if X.dtype.kind not in "iub" and X.dtype not in (np.float64, np.float32, np.float16):
            fall_back(self, method, f"there is no kernel for dtype {X.dtype}")
            return None
        binary, threshold = self._threshold(X.dtype)
        if binary and not np.isfinite(threshold):
            fall_back(self, method, f"samples cannot be binarized at {threshold}")
            return None
        if binary:
            X = (threshold < X).astype(np.float64)
        with np.errstate(all="ignore"):
            joint = np.ascontiguousarray(X @ table)
            joint += offset
        if not np.isfinite(joint).all():
            fall_back(self, method, "a sample has no finite joint log likelihood")
            return None
        return finish(joint, answer)[0]

    def _scores(self) -> tuple[Array, Array] | None:
        """Return the table and the offset; None if there is a case in them that scikit-learn warns of at every call."""
        holder = self.__dict__.get("feature_log_prob_")
        if not isinstance(holder, Table):
            holder = Table(lambda: self.feature_log_prob_)  # type: ignore[attr-defined]
        prior = checked_prior(self.class_log_prior_, len(self.classes_), "class_log_prior_")
        return self._with_prior(self._held_scores(holder), prior)

    def _held_scores(self, holder: Table) -> Any:
        scores = holder.scores
        if scores is None:
            log_prob = holder.made()
            table = self._checked_table(log_prob)
            scores = self._make_scores(table)
            # a copy would not show what is written into the attribute later
            if scores is not table or np.shares_memory(table, log_prob) or not log_prob.flags.writeable:
                holder.scores = scores
        return scores

    def _fixed_scores(self, X: Any) -> tuple[FixedTable, Array] | None:
        """Return the table in fixed point and the offset; None if there is none, or no use."""
        holder = self.__dict__.get("feature_log_prob_")
        n_cells = X.shape[1] * len(self.classes_)
        if not isinstance(holder, Table) or n_cells < _LARGE_TABLE:
            return None
        fixed = None if holder.seen else holder.fixed
        if fixed is None:
            if holder.make_fixed is None and (4 * X.nnz < n_cells or not holder.hidden()):
                return None  # to be answered with the table in double precision, which is there
            make = holder.make_fixed
            fixed = self._make_fixed(self._held_scores(holder)) if make is None else make()
            holder.fixed = fixed
        prior = checked_prior(self.class_log_prior_, len(self.classes_), "class_log_prior_")
        joined = self._with_prior(fixed, prior)
        return joined if joined is not None and joined[0].usable else None

    def _checked_table(self, feature_log_prob: Any) -> Array:
        expected = (len(self.classes_), self.n_features_in_)  # type: ignore[attr-defined]
        if not isinstance(feature_log_prob, np.ndarray) or feature_log_prob.dtype.kind not in "fiu":
            kind = getattr(feature_log_prob, "dtype", type(feature_log_prob).__name__)
            raise ValueError(f"feature_log_prob_ must be an array of real numbers, got {kind}")
        if feature_log_prob.shape != expected:
            raise ValueError(f"feature_log_prob_ must have shape {expected}, got {feature_log_prob.shape}")
        return np.ascontiguousarray(feature_log_prob.T, dtype=np.float64)

    # What distinguishes the models.

    def _check_features(self, X: Any) -> Any:
        return self._check_X(X)  # type: ignore[attr-defined]

    def _threshold(self, dtype: np.dtype[Any]) -> tuple[bool, float]:  # noqa: ARG002
        """Return whether values count as 0 or 1, and above what they count as 1 (NaN: only scikit-learn can say)."""
        return False, 0.0

    def _make_scores(self, table: Array) -> Any:
        return table

    def _make_fixed(self, scores: Any) -> Any:
        return fixed_scores(scores)

    def _with_prior(self, scores: Any, prior: Array) -> tuple[Any, Array] | None:
        return scores, prior
