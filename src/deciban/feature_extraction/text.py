r"""Drop-in for :mod:`sklearn.feature_extraction.text`: CountVectorizer, Tfidf and HashingVectorizer.

Words, their n-grams and n-grams of characters are counted by native loops on every core; the vocabulary, the matrices
and the errors are scikit-learn's. What has no native path (a callable analyzer, tokenizer or preprocessor, a token
pattern that is not a run of ``\w`` or ``\S``, a subclass that overrides how documents are cut) runs scikit-learn's
code.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import (
    ENGLISH_STOP_WORDS,
    strip_accents_ascii,
    strip_accents_unicode,
    strip_tags,
)
from sklearn.feature_extraction.text import (
    CountVectorizer as _CountVectorizer,
)
from sklearn.feature_extraction.text import (
    HashingVectorizer as _HashingVectorizer,
)
from sklearn.feature_extraction.text import (
    TfidfTransformer as _TfidfTransformer,
)
from sklearn.feature_extraction.text import (
    TfidfVectorizer as _TfidfVectorizer,
)
from sklearn.utils.validation import check_array, check_is_fitted

from deciban._arrays import csr_parts, make_csr
from deciban._fallback import fall_back, methods, overrides
from deciban._kernels import weighting
from deciban._kernels.hooks import are
from deciban._kernels.terms import Terms
from deciban._kernels.tokens import Analyzer, Counter, Documents, count_few
from deciban._lazy import unchanged_on_error
from deciban._parallel import cut, run_blocks
from deciban._sklearn import Twin, csr_container, csr_container_for, fit_context, validate_data
from deciban.feature_extraction._analysis import HOOKS, PARAMETERS, Vectorizer
from deciban.feature_extraction._counting import DROPPED, FEW_CHARACTERS, count_rows, fill, sort_terms
from deciban.feature_extraction._vocabulary import Vocabulary, VocabularyAttribute

__all__ = [
    "ENGLISH_STOP_WORDS",
    "CountVectorizer",
    "HashingVectorizer",
    "TfidfTransformer",
    "TfidfVectorizer",
    "strip_accents_ascii",
    "strip_accents_unicode",
    "strip_tags",
]

_SURROGATE = re.compile("[\ud800-\udfff]")


def _refuse_string(raw_documents: Any) -> None:
    if isinstance(raw_documents, str):
        raise ValueError("Iterable over raw text documents expected, string object received.")


class CountVectorizer(Vectorizer, _CountVectorizer):
    r"""Convert a collection of text documents to a matrix of token counts.

    Takes the parameters, has the attributes and gives the results of
    :class:`sklearn.feature_extraction.text.CountVectorizer`; the matrix is equal in every entry, dtype and order.

    Native: ``analyzer`` "word" (``token_pattern`` a run of ``\w`` or ``\S``), "char" and "char_wb", with every other
    parameter, on str of any width and bytes of any encoding. A callable ``analyzer``, ``tokenizer``, ``preprocessor``
    or ``strip_accents``, another pattern, or a subclass that overrides how documents are cut runs scikit-learn's code.

    Attributes
    ----------
    vocabulary_ : dict
        Terms and their columns; made when it is first looked at.
    fixed_vocabulary_ : bool
        Whether the vocabulary was given as a parameter.

    Notes
    -----
    Counting takes O(characters) and one look-up in a hash table a term. The work is shared by the threads that
    :func:`deciban.set_config` allows; the result does not depend on how many.

    References
    ----------
    Manning, Raghavan, Schuetze, Introduction to Information Retrieval, Cambridge University Press (2008), chapter 2.

    Examples
    --------
    >>> from deciban.feature_extraction.text import CountVectorizer
    >>> vectorizer = CountVectorizer()
    >>> X = vectorizer.fit_transform(["the cat sat", "the cat saw the dog"])
    >>> vectorizer.get_feature_names_out().tolist()
    ['cat', 'dog', 'sat', 'saw', 'the']
    >>> X.toarray().tolist()
    [[1, 0, 1, 0, 1], [1, 1, 0, 1, 2]]
    """

    vocabulary_ = VocabularyAttribute()

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if isinstance(state.get("vocabulary_"), dict):
            state["vocabulary_"] = dict(state["vocabulary_"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "vocabulary_" in state:
            self.vocabulary_ = state["vocabulary_"]

    def fit(self, raw_documents: Iterable[Any], y: Any = None) -> CountVectorizer:
        """Learn the vocabulary of the documents.

        Parameters
        ----------
        raw_documents : iterable of str, bytes, file names or file objects (as ``input`` says)
            Taken once, in batches.
        y : None
            Ignored.

        Returns
        -------
        self : CountVectorizer

        Raises
        ------
        ValueError
            If a str is given for the iterable, a parameter is wrong, or no term remains.
        """
        self.fit_transform(raw_documents)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, raw_documents: Iterable[Any], y: Any = None) -> Any:
        """Learn the vocabulary of the documents and count its terms.

        Parameters
        ----------
        raw_documents : iterable of str, bytes, file names or file objects (as ``input`` says)
            Taken once, in batches.
        y : None
            Ignored.

        Returns
        -------
        X : CSR matrix of shape (n_documents, n_terms), of ``dtype``
            Counts; the columns are the terms in order of code points.

        Raises
        ------
        ValueError
            If a str is given for the iterable, a parameter is wrong, or no term remains.
        """
        _refuse_string(raw_documents)
        with unchanged_on_error(self):
            self._validate_ngram_range()
            analyzer = self._analyzer("fit_transform")
            if analyzer is None:
                return _CountVectorizer.fit_transform(self, raw_documents, y)
            self._warn_for_unused_params()
            self._validate_vocabulary()
            if self.fixed_vocabulary_:
                if self.lowercase and any(any(map(str.isupper, term)) for term in self.vocabulary):
                    warnings.warn(
                        "Upper case characters found in vocabulary while 'lowercase' is True. These entries will not"
                        " be matched with any documents",
                        stacklevel=2,
                    )
                vocabulary = self._native_vocabulary("fit_transform")
                if vocabulary is None:
                    return _CountVectorizer.fit_transform(self, raw_documents, y)
                return self._count_known(raw_documents, analyzer, *vocabulary)
            return self._count_new(raw_documents, analyzer)

    def transform(self, raw_documents: Iterable[Any]) -> Any:
        """Count the terms of the vocabulary.

        Parameters
        ----------
        raw_documents : iterable of str, bytes, file names or file objects (as ``input`` says)
            Taken once, in batches.

        Returns
        -------
        X : CSR matrix of shape (n_documents, n_terms), of ``dtype``
            Counts, with sorted indices; terms that are not of the vocabulary are passed over.

        Raises
        ------
        NotFittedError
            If there is no vocabulary, learnt or given.
        ValueError
            If a str is given for the iterable.
        """
        _refuse_string(raw_documents)
        if "vocabulary_" not in self.__dict__:
            self._validate_vocabulary()
            if not self.fixed_vocabulary_:
                raise NotFittedError("Vocabulary not fitted or provided")
        analyzer = self._same_analyzer()
        vocabulary = None if analyzer is None else self._native_vocabulary("transform")
        if analyzer is None or vocabulary is None:
            return _CountVectorizer.transform(self, raw_documents)
        return self._count_known(raw_documents, analyzer, *vocabulary)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return the terms in order of their columns.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of shape (n_terms,), dtype object
        """
        self._check_vocabulary()
        entry = self.__dict__["vocabulary_"]
        names = entry.names() if isinstance(entry, Vocabulary) else None
        return super().get_feature_names_out(input_features) if names is None else np.array(names, dtype=object)

    def _check_vocabulary(self) -> None:
        """Is there a vocabulary? As scikit-learn asks, but without making the dict."""
        entry = self.__dict__.get("vocabulary_")
        if not (isinstance(entry, Vocabulary) and entry.native() is not None):
            super()._check_vocabulary()

    def _same_analyzer(self) -> Analyzer | None:
        """Return the analyzer for ``transform``, without the questions if the parameters are the same as last time."""
        state = self.__dict__
        entry = state["vocabulary_"]
        if not isinstance(entry, Vocabulary):
            return self._analyzer("transform")
        ready = entry.ready
        if ready is not None and are(state, PARAMETERS, ready[0]) and not overrides(self, self._hooks):
            return ready[1]
        analyzer = self._analyzer("transform")
        # a list could have other items next time
        if analyzer is not None and type(self.ngram_range) is tuple and type(self.stop_words) in (type(None), str):
            entry.ready = tuple(state[name] for name in PARAMETERS), analyzer
        return analyzer

    def _native_vocabulary(self, method: str) -> tuple[Terms, npt.NDArray[np.int32], int] | None:
        entry = self.__dict__["vocabulary_"]
        native = entry.native() if isinstance(entry, Vocabulary) else None
        if native is None:
            fall_back(self, method, "vocabulary_ is not a dict of str and 0 ... n - 1")
        return native

    def _count_new(self, raw_documents: Iterable[Any], analyzer: Analyzer) -> Any:
        """Count, number the terms, limit and sort them: as scikit-learn's fit_transform, step by step."""
        rows = count_rows(
            self._documents(), iter(raw_documents), analyzer, lambda _n_characters: Counter(Terms(), add=True)
        )
        terms, numbers = rows.number_terms()
        if len(terms) == 0:
            raise ValueError("empty vocabulary; perhaps the documents only contain stop words")
        n_documents = len(rows.lengths)
        max_count: Any = self.max_df if isinstance(self.max_df, Integral) else self.max_df * n_documents
        min_count: Any = self.min_df if isinstance(self.min_df, Integral) else self.min_df * n_documents
        if max_count < min_count:
            raise ValueError("max_df corresponds to < documents than min_df")

        order = sort_terms(terms)
        if min_count > 1 or max_count < n_documents or self.max_features is not None:
            kept = self._kept(rows.frequencies(len(terms), numbers), order, max_count, min_count)
            if not kept.any():
                raise ValueError("After pruning, no terms remain. Try a lower min_df or a higher max_df.")
            if not kept.all():
                every = np.arange(len(terms), dtype=np.uint32)
                every[~kept] = DROPPED
                numbers = [every if number is None else every[number] for number in numbers]
                order = order[kept[order]]
        columns = np.full(len(terms), -1, np.int32)
        columns[order] = np.arange(len(order), dtype=np.int32)

        rows.finish(numbers, len(terms))
        parts = rows.write(columns, self.binary, self.dtype)
        self.vocabulary_ = Vocabulary(terms, columns, len(order))
        return make_csr(csr_container(), *parts, (n_documents, len(order)))

    def _kept(
        self,
        frequencies: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
        order: npt.NDArray[np.uint32],
        max_count: float,
        min_count: float,
    ) -> npt.NDArray[np.bool_]:
        """Return which terms min_df, max_df and max_features leave."""
        document_frequency, term_frequency = frequencies
        kept = (document_frequency <= max_count) & (document_frequency >= min_count)
        if self.max_features is not None and kept.sum() > self.max_features:
            # ties are broken as in scikit-learn: the same sort of the same numbers of the same dtype
            candidates = order[kept[order]]
            frequency = (document_frequency if self.binary else term_frequency)[candidates]
            dtype = np.dtype(self.dtype)
            if dtype.kind not in "bi":
                frequency = frequency.astype(np.uint64 if dtype.kind == "u" else dtype)
            top = candidates[(-frequency).argsort()[: self.max_features]]
            kept = np.zeros(len(kept), bool)
            kept[top] = True
        return kept

    def _count_known(
        self,
        raw_documents: Iterable[Any],
        analyzer: Analyzer,
        terms: Terms,
        columns: npt.NDArray[np.int32],
        n_columns: int,
    ) -> Any:
        """Count the terms of a vocabulary."""
        order = columns.view(np.uint32)  # -1, a term that was pruned, becomes DROPPED
        documents, iterator = self._documents(), iter(raw_documents)
        more = fill(documents, iterator)
        if not more and len(documents) > 0 and documents.n_characters < FEW_CHARACTERS:
            data, indices, indptr = count_few(analyzer, documents, terms, order, n_columns, bool(self.binary))
            if self.dtype is not np.int64:
                data = data.astype(self.dtype, copy=False)
            return make_csr(csr_container(), data, indices, indptr, (len(indptr) - 1, n_columns))

        def make_counter(n_characters: int) -> Counter:
            counter = Counter(terms)
            if n_characters > 16 * len(terms):
                counter.mark_rows()
            return counter

        rows = count_rows(documents, iterator, analyzer, make_counter, more)
        rows.finish([order] * len(rows.counters), n_columns)
        data, indices, indptr = rows.write(None, self.binary, self.dtype)
        return make_csr(csr_container(), data, indices, indptr, (len(rows.lengths), n_columns))


class TfidfTransformer(Twin, _TfidfTransformer, auto_wrap_output_keys=None):
    """Weight a matrix of counts by tf-idf.

    Takes the parameters, has the attributes and gives the results of
    :class:`sklearn.feature_extraction.text.TfidfTransformer`, to the bit.

    Notes
    -----
    With n documents of which df(t) hold the term t, and s = 1 where ``smooth_idf`` else 0,
    idf(t) = 1 + ln((n + s) / (df(t) + s)); a row is tf(t) idf(t), divided by its norm, where tf is the count or, with
    ``sublinear_tf``, 1 + ln(count). Weights and norm take one pass over the matrix.

    References
    ----------
    Manning, Raghavan, Schuetze, Introduction to Information Retrieval, Cambridge University Press (2008), section 6.2.

    Examples
    --------
    >>> from deciban.feature_extraction.text import TfidfTransformer
    >>> TfidfTransformer(norm=None).fit_transform([[1, 0], [1, 2]]).toarray().round(2).tolist()
    [[1.0, 0.0], [1.0, 2.81]]
    """

    def transform(self, X: Any, copy: bool = True) -> Any:
        """Weight a matrix of counts.

        Parameters
        ----------
        X : CSR matrix or array-like of shape (n_documents, n_terms)
            Counts.
        copy : bool, default=True
            Whether to copy X, or weight it in place where it is a CSR matrix of floats.

        Returns
        -------
        X : CSR matrix of shape (n_documents, n_terms)

        Raises
        ------
        ValueError
            If X is malformed, not finite, or of another width than at fit.
        """
        if self.norm not in (None, "l1", "l2"):
            fall_back(self, "transform", f"norm={self.norm!r}")
            return super().transform(X, copy=copy)
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], copy=copy, reset=False)
        container = csr_container_for(X)
        if getattr(X, "format", None) != "csr":
            X = container(X)
        data, indices, indptr = csr_parts(X)
        if self.sublinear_tf:
            np.log(data, data)
            data += 1.0
        self._weight(data, indices, indptr, X.shape[1], None)
        if isinstance(X, container) and np.may_share_memory(data, X.data):
            return X
        return make_csr(container, data, indices, indptr, X.shape)

    def _weight(self, data: Any, indices: Any, indptr: Any, n_columns: int, tf: Any) -> None:
        """Weight the rows of a CSR matrix, known to be right, in place; ``tf`` is the weight of each small count."""
        idf = getattr(self, "idf_", None)
        if idf is not None:
            idf = np.ascontiguousarray(idf)
            if idf.shape != (n_columns,) or idf.dtype.kind not in "fiu":
                raise ValueError(
                    f"idf_ must be {n_columns} real numbers, one for each column, got {idf.dtype} of shape {idf.shape}"
                )
            if idf.dtype != data.dtype:  # the product is rounded once, from the wider of the two
                if tf is not None:
                    data[:] = tf[data.astype(np.intp)]
                data *= idf[indices]
                idf = tf = None
        if idf is not None or tf is not None or self.norm is not None:
            _weight_rows(data, indices, indptr, tf, idf, self.norm)


def _weight_rows(data: Any, indices: Any, indptr: Any, tf: Any, idf: Any, norm: str | None) -> None:
    """Weight the rows of a CSR matrix in place, on several threads; refuse to normalise what is not finite."""
    blocks = cut(len(indptr) - 1, 1024)
    seen = [0] * len(blocks)

    def task(i: int, _worker: int) -> None:
        seen[i] = weighting.weight_rows(indptr, indices, data, tf, idf, norm, *blocks[i])

    run_blocks(task, len(blocks))
    if norm is not None and any(seen):
        worst = np.nan if any(flags & 2 for flags in seen) else np.inf
        check_array(np.full((1, 1), worst, data.dtype), estimator="the normalize function")


class TfidfVectorizer(CountVectorizer, _TfidfVectorizer):
    r"""Convert a collection of text documents to a matrix of tf-idf features.

    :class:`CountVectorizer` followed by :class:`TfidfTransformer`. Takes the parameters, has the attributes and gives
    the results of :class:`sklearn.feature_extraction.text.TfidfVectorizer`, to the bit; see :class:`CountVectorizer`
    for what has a native path.

    Attributes
    ----------
    vocabulary_ : dict
        Terms and their columns; made when it is first looked at.
    fixed_vocabulary_ : bool
        Whether the vocabulary was given as a parameter.
    idf_ : ndarray of shape (n_terms,)
        Inverse document frequencies, where ``use_idf``.

    References
    ----------
    Manning, Raghavan, Schuetze, Introduction to Information Retrieval, Cambridge University Press (2008), section 6.2.

    Examples
    --------
    >>> from deciban.feature_extraction.text import TfidfVectorizer
    >>> X = TfidfVectorizer().fit_transform(["the cat sat", "the cat saw the dog"])
    >>> X.shape
    (2, 5)
    """

    _tfidf: Any

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, raw_documents: Iterable[Any], y: Any = None) -> TfidfVectorizer:
        """Learn the vocabulary and the idf of the documents.

        Parameters
        ----------
        raw_documents : iterable of str, bytes, file names or file objects (as ``input`` says)
            Taken once, in batches.
        y : None
            Ignored.

        Returns
        -------
        self : TfidfVectorizer
        """
        with unchanged_on_error(self):
            self._check_params()
            self._warn_for_unused_params()
            self._fit_counts(raw_documents)
        return self

    def fit_transform(self, raw_documents: Iterable[Any], y: Any = None) -> Any:
        """Learn the vocabulary and the idf of the documents, and weight their counts.

        Parameters
        ----------
        raw_documents : iterable of str, bytes, file names or file objects (as ``input`` says)
            Taken once, in batches.
        y : None
            Ignored.

        Returns
        -------
        X : CSR matrix of shape (n_documents, n_terms)
        """
        with unchanged_on_error(self):
            self._check_params()
            X = self._fit_counts(raw_documents)
            return self._weighted(X)

    def transform(self, raw_documents: Iterable[Any]) -> Any:
        """Weight the counts of the documents by the idf learnt.

        Parameters
        ----------
        raw_documents : iterable of str, bytes, file names or file objects (as ``input`` says)
            Taken once, in batches.

        Returns
        -------
        X : CSR matrix of shape (n_documents, n_terms)

        Raises
        ------
        NotFittedError
            If the vectorizer is not fitted.
        """
        check_is_fitted(self, msg="The TF-IDF vectorizer is not fitted")
        return self._weighted(CountVectorizer.transform(self, raw_documents))

    def _fit_counts(self, raw_documents: Iterable[Any]) -> Any:
        self._tfidf = TfidfTransformer(
            norm=self.norm, use_idf=self.use_idf, smooth_idf=self.smooth_idf, sublinear_tf=self.sublinear_tf
        )
        X = CountVectorizer.fit_transform(self, raw_documents)
        self._tfidf.fit(X)
        return X

    def _weighted(self, X: Any) -> Any:
        """Weight counts in place; logarithms are taken once for each count that there is."""
        tfidf = self._tfidf
        if not isinstance(tfidf, TfidfTransformer):  # made by scikit-learn: from_sklearn, or the setter of idf_
            tfidf = TfidfTransformer.from_sklearn(tfidf)
        if (
            X.dtype not in (np.float64, np.float32)
            or tfidf.norm not in (None, "l1", "l2")
            or X.shape[0] == 0
            or X.shape[1] != getattr(tfidf, "n_features_in_", X.shape[1])
        ):
            return tfidf.transform(X, copy=False)  # converts, or refuses
        tf = None
        if tfidf.sublinear_tf and X.nnz:
            largest = X.data.max()
            if not (X.data.min() >= 1 and largest < 1 << 20 and (X.data == np.trunc(X.data)).all()):
                return tfidf.transform(X, copy=False)  # of a subclass, that counts in its own way
            tf = np.zeros(int(largest) + 1, X.dtype)
            tf[1:] = np.log(np.arange(1, len(tf), dtype=X.dtype)) + X.dtype.type(1)
        tfidf._weight(X.data, X.indices, X.indptr, X.shape[1], tf)
        return X


class HashingVectorizer(Vectorizer, _HashingVectorizer, auto_wrap_output_keys=None):
    r"""Convert a collection of text documents to a matrix of token counts by the hashing trick.

    Takes the parameters and gives the results of :class:`sklearn.feature_extraction.text.HashingVectorizer`, to the bit
    (MurmurHash3 of 32 bits, seed 0, alternate signs); see :class:`CountVectorizer` for what has a native path.

    References
    ----------
    Weinberger, Dasgupta, Langford, Smola, Attenberg, Feature Hashing for Large Scale Multitask Learning, ICML (2009).

    Examples
    --------
    >>> from deciban.feature_extraction.text import HashingVectorizer
    >>> HashingVectorizer(n_features=16).transform(["the cat sat", "the cat saw the dog"]).shape
    (2, 16)
    """

    def transform(self, X: Iterable[Any]) -> Any:
        """Count the hashed terms of documents.

        Parameters
        ----------
        X : iterable of str, bytes, file names or file objects (as ``input`` says)
            Taken once, in batches.

        Returns
        -------
        X : CSR matrix of shape (n_documents, n_features), of ``dtype``
            With sorted indices; entries whose terms cancelled out are stored zeros.

        Raises
        ------
        ValueError
            If a str is given for the iterable, or no document.
        UnicodeEncodeError
            If a term holds a lone surrogate.
        """
        _refuse_string(X)
        self._validate_ngram_range()
        analyzer = self._analyzer("transform")
        if analyzer is not None and np.dtype(self.dtype) not in (np.float64, np.float32, np.int64, np.int32):
            fall_back(self, "transform", f"dtype={self.dtype!r}")
            analyzer = None
        if analyzer is None or self.norm not in (None, "l1", "l2"):
            return super().transform(X)

        n_features, alternate_sign = self.n_features, bool(self.alternate_sign)

        def make_counter(n_characters: int) -> Counter:
            counter = Counter(None, n_features=n_features, alternate_sign=alternate_sign)
            if n_characters > 16 * n_features:
                counter.mark_rows()
            return counter

        rows = count_rows(self._documents(), iter(X), analyzer, make_counter)
        if len(rows.lengths) == 0:
            return super().transform([])  # raises
        rows.finish([None] * len(rows.counters), n_features)
        data, indices, indptr = rows.write(None, self.binary, self.dtype)
        if self.norm is not None:
            data = data.astype(data.dtype if data.dtype.kind == "f" else np.float64, copy=False)
            _weight_rows(data, indices, indptr, None, None, self.norm)
        return make_csr(csr_container(), data, indices, indptr, (len(rows.lengths), n_features))

    def _documents(self) -> Documents:
        return Documents(
            bool(self.lowercase),
            self._prepare,
            prepare_all=self.input != "content",
            prepare_non_ascii=True,  # a term with a lone surrogate cannot be encoded
        )

    def _prepare(self, item: Any) -> tuple[str, bool]:
        text, lower = super()._prepare(item)
        if not text.isascii() and _SURROGATE.search(text):
            for token in self.build_analyzer()(item):
                token.encode("utf-8")
        return text, lower


for _cls in (CountVectorizer, TfidfVectorizer, HashingVectorizer):
    _cls._hooks = methods(_cls, *(name for name in HOOKS if hasattr(_cls, name)))
