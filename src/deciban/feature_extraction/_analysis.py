"""How documents are cut into terms, as the vectorizers' parameters have it: what the kernels can do, and what not."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from numbers import Integral
from typing import Any

import numpy as np

from deciban._fallback import fall_back, overrides
from deciban._kernels.terms import Terms
from deciban._kernels.tokens import Analyzer, Documents
from deciban._sklearn import Twin

# A token pattern with a native path: a run of one class of characters, at least so many long.
_RUN = re.compile(r"(?:\(\?u\))?(\\b)?((?:\\w)+|(?:\\S)+)(?:\+|\{(\d+),\})(\\b)?")
_NON_ASCII = re.compile(r"[^\x00-\x7f]+")

# scikit-learn's methods that say how a document is cut; a subclass that overrides one is asked, not second-guessed.
HOOKS = (
    "decode",
    "get_stop_words",
    "build_analyzer",
    "build_preprocessor",
    "build_tokenizer",
    "_word_ngrams",
    "_char_ngrams",
    "_char_wb_ngrams",
    "_count_vocab",
    "_sort_features",
    "_limit_features",
    "_get_hasher",
)


# What says how a document is cut.
PARAMETERS = (
    "analyzer",
    "dtype",
    "max_features",
    "ngram_range",
    "preprocessor",
    "stop_words",
    "strip_accents",
    "token_pattern",
    "tokenizer",
)


class _Accents(dict[int, str]):
    """What a character is without its accents: a table for ``str.translate``, filled as characters come.

    Compatibility decomposition (NFKD) works character by character, but for the order of combining marks, and those
    are dropped.
    """

    def __init__(self, to_ascii: bool) -> None:
        self.to_ascii = to_ascii

    def __missing__(self, code: int) -> str:
        decomposed = unicodedata.normalize("NFKD", chr(code))
        kept = "".join(c for c in decomposed if (c < "\x80" if self.to_ascii else not unicodedata.combining(c)))
        self[code] = kept
        return kept


_ACCENTS = {"ascii": _Accents(True), "unicode": _Accents(False)}


@lru_cache(maxsize=64)
def _token_run(pattern: str) -> tuple[bool, int] | None:
    """Return (whether tokens are words, their least length) of a pattern with a native path, else None."""
    match = _RUN.fullmatch(pattern)
    if match is None:
        return None
    before, run, at_least, after = match.groups()
    is_word = run[1] == "w"
    if (before or after) and not is_word:
        return None
    n = len(run) // 2
    min_length = n if at_least is None else n - 1 + int(at_least)
    return (is_word, min_length) if 1 <= min_length < 2**31 else None


@lru_cache(maxsize=64)
def _make_analyzer(
    analyze: str, token_run: tuple[bool, int], min_n: int, max_n: int, stop_words: frozenset[str] | None
) -> Analyzer:
    stop_terms = None if stop_words is None else Terms.of(word for word in stop_words if isinstance(word, str))
    return Analyzer(analyze, *token_run, min_n, max_n, stop_terms)


def _is_plain_dtype(dtype: Any) -> bool:
    """Whether a dtype has a CSR matrix of SciPy's, in this machine's byte order, that kernels or NumPy fill."""
    try:
        plain = np.dtype(dtype)
    except TypeError:
        return False
    return dtype is not None and plain.isnative and plain.kind in "biuf" and plain.char not in "eg"


class Vectorizer(Twin):
    """Mixin: which analyzer to use, and how documents are made ready."""

    _hooks: dict[str, Any]  # those of HOOKS that the class has, as they were

    # what they inherit from scikit-learn, which has no types
    analyzer: Any
    build_analyzer: Any
    decode: Any
    dtype: Any
    get_stop_words: Any
    input: Any
    lowercase: Any
    ngram_range: Any
    preprocessor: Any
    stop_words: Any
    strip_accents: Any
    token_pattern: Any
    tokenizer: Any

    def _analyzer(self, method: str) -> Analyzer | None:
        """Return the native analyzer for the parameters as they are, or None after saying why there is none."""
        reason = None
        token_run: tuple[bool, int] | None = (True, 1)
        stop_words = None
        if overrides(self, self._hooks):
            replaced = [name for name, hook in self._hooks.items() if overrides(self, {name: hook})]
            reason = f"{type(self).__name__} overrides {replaced[0]}"
        elif self.analyzer not in ("word", "char", "char_wb"):
            reason = f"analyzer={self.analyzer!r}"
        elif not _is_plain_dtype(self.dtype):
            reason = f"dtype={self.dtype!r}"
        elif getattr(self, "max_features", None) is not None and np.dtype(self.dtype).itemsize < 4:
            reason = f"max_features with dtype={self.dtype!r}, in which counts may wrap around"
        elif self.preprocessor is not None:
            reason = "preprocessor is not None"
        elif self.strip_accents and self.strip_accents not in ("ascii", "unicode"):
            reason = f"strip_accents={self.strip_accents!r}"
        elif not _is_ngram_range(self.ngram_range):
            reason = f"ngram_range={self.ngram_range!r}"
        elif self.analyzer == "word":
            if self.tokenizer is not None:
                reason = "tokenizer is not None"
            else:
                token_run = _token_run(self.token_pattern) if isinstance(self.token_pattern, str) else None
                if token_run is None:
                    reason = f"token_pattern={self.token_pattern!r} is not a run of \\w or \\S"
        if reason is not None or token_run is None:
            fall_back(self, method, reason or "")
            return None
        if self.analyzer == "word" and self.stop_words is not None:
            self.build_analyzer()  # checks the stop words, and warns
            stop_words = frozenset(self.get_stop_words())
        return _make_analyzer(self.analyzer, token_run, *map(int, self.ngram_range), stop_words)

    def _documents(self) -> Documents:
        """Return the holder that makes documents ready as ``build_preprocessor`` would."""
        return Documents(
            bool(self.lowercase),
            self._prepare,
            prepare_all=self.input != "content",
            prepare_non_ascii=bool(self.strip_accents),
        )

    def _prepare(self, item: Any) -> tuple[str, bool]:
        """Decode, and strip accents; return the str and whether its case is still to be folded."""
        text = self.decode(item)
        lower = bool(self.lowercase)
        if type(text) is not str:
            if lower and hasattr(text, "lower"):  # a str of its own kind, or a stranger that behaves like one
                text, lower = text.lower(), False
            if not isinstance(text, str):
                self.build_analyzer()(item)  # raises what scikit-learn raises
                raise TypeError(f"a document must be str or bytes, got {type(text).__name__}")
        if self.strip_accents and not text.isascii():
            accents = _ACCENTS[self.strip_accents]
            text = _NON_ASCII.sub(lambda run: run.group().translate(accents), text.lower() if lower else text)
            lower = False
        return text, lower


def _is_ngram_range(value: Any) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(type(n) is int or isinstance(n, Integral) for n in value)
        and 1 <= value[0] <= value[1] < 2**31
    )
