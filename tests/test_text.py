"""The vectorizers against scikit-learn's: the same vocabulary, matrix, dtypes, errors and warnings, to the bit."""

import copy
import io
import os
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.feature_extraction.text as theirs
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError

import deciban
import deciban.feature_extraction.text as ours
from deciban._kernels.terms import Terms
from deciban.feature_extraction._counting import sort_terms

# Characters whose case, class or width is special: sharp s, dotted capital I, sigmas, superscript two, one half,
# combining acute, zero-width joiner, NEL, no-break space, unit separator, NUL, Deseret, mathematical letters, a Latin
# ligature, trade mark, Hangul, Kelvin, y with diaeresis, a lone surrogate
SPECIAL = "aAbBzZ09_ \t\n.ßİıΣςσ²½\u0301\u200d\x85\xa0\x1f\x00𐐀𐐨𝔄ﬁ™각K\u0178ÿµÀé日本\ud800"
words = st.text(st.sampled_from(SPECIAL), max_size=24)
documents = st.lists(st.one_of(words, st.text(max_size=30), st.just(""), st.just("the cat the dog")), max_size=7)

ngram_ranges = st.tuples(st.integers(1, 3), st.integers(0, 2)).map(lambda t: (t[0], t[0] + t[1]))
analysis = st.fixed_dictionaries(
    {},
    optional={
        "analyzer": st.sampled_from(["word", "char", "char_wb"]),
        "ngram_range": ngram_ranges,
        "lowercase": st.booleans(),
        "strip_accents": st.sampled_from([None, "ascii", "unicode"]),
        "token_pattern": st.sampled_from(
            [r"(?u)\b\w\w+\b", r"(?u)\b\w+\b", r"\w+", r"\S+", r"(?u)\S\S+", r"\w{3,}", r"\b\w{2,}\b", r"[a-z]+"]
        ),
        "stop_words": st.sampled_from([None, "english", ["the", "a", "ab"]]),
        "binary": st.booleans(),
        "dtype": st.sampled_from([np.int64, np.int32, np.float64, np.float32, np.uint8, np.int16, np.bool_]),
    },
)
limits = st.fixed_dictionaries(
    {},
    optional={
        "min_df": st.sampled_from([1, 2, 0.3, 0.0]),
        "max_df": st.sampled_from([1.0, 0.7, 1, 2, 5]),
        "max_features": st.sampled_from([1, 3, 10]),
        "vocabulary": st.sampled_from([{"the": 0, "cat": 1}, ["a", "ab", "é"], {"b": 1, "a": 0}]),
    },
)
weights = st.fixed_dictionaries(
    {},
    optional={
        "norm": st.sampled_from(["l1", "l2", None]),
        "use_idf": st.booleans(),
        "smooth_idf": st.booleans(),
        "sublinear_tf": st.booleans(),
    },
)


def outcome(call):
    """What a call returns or raises, and what it warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call()
        except Exception as error:
            result = (type(error), str(error))
    return result, sorted((w.category.__name__, str(w.message)) for w in caught)


def assert_same(mine, reference):
    assert type(mine) is type(reference), (mine, reference)
    if sp.issparse(reference):
        assert mine.shape == reference.shape
        for part in ("indptr", "indices", "data"):
            actual, expected = getattr(mine, part), getattr(reference, part)
            assert actual.dtype == expected.dtype, part
            assert_array_equal(actual, expected, err_msg=part)
        assert mine.has_sorted_indices == reference.has_sorted_indices
        mine.check_format(full_check=True)
    else:
        assert mine == reference


def assert_same_story(name, options, training, test):
    def story(module):
        vectorizer = getattr(module, name)(**options)
        results = [outcome(lambda: vectorizer.fit_transform(training))]
        if isinstance(results[0][0], tuple):
            return results  # after a failed fit ours is as it was, scikit-learn's is in between
        results.append(outcome(lambda: vectorizer.transform(test)))
        if name != "HashingVectorizer":
            vocabulary = outcome(lambda: list(vectorizer.vocabulary_.items()))
            results += [vocabulary, outcome(lambda: vectorizer.get_feature_names_out().tolist())]
        return results

    for (mine, my_warnings), (reference, their_warnings) in zip(story(ours), story(theirs), strict=True):
        assert_same(mine, reference)
        assert my_warnings == their_warnings


@given(analysis, limits, documents, documents)
@example({}, {"max_features": 1, "min_df": 2}, ["the cat", "the"], ["", "cat"])
@example({"analyzer": "char_wb", "ngram_range": (3, 4)}, {}, ["a  b\tlong", "a long " + "x" * 80], ["long"])
@example({"stop_words": "english"}, {}, ["the of"], [])
@example({"lowercase": True}, {}, ["ΟΔΥΣΣΕΥΣ ΣΑΣ", "İstanbul Kelvin"], ["οδυσσευς"])
def test_count_vectorizer_is_scikit_learns(options, limits, training, test):
    assert_same_story("CountVectorizer", {**options, **limits}, training, test)


@given(analysis, limits, weights, documents, documents)
@example({"analyzer": "char", "dtype": np.bool_}, {"max_features": 1}, {}, ["0", "99"], [])
@example({}, {"vocabulary": {"the": 0, "cat": 1}}, {"norm": "l1", "smooth_idf": False}, [""], ["the cat the dog"])
def test_tfidf_vectorizer_is_scikit_learns(options, limits, weights, training, test):
    assert_same_story("TfidfVectorizer", {**options, **limits, **weights}, training, test)


@given(
    analysis.map(lambda o: {k: v for k, v in o.items() if k != "dtype"}),
    st.sampled_from([np.float64, np.float32, np.int64]),
    st.sampled_from([1, 7, 16, 2**20, 2**31 - 1]),
    st.booleans(),
    st.sampled_from(["l1", "l2", None]),
    documents,
)
def test_hashing_vectorizer_is_scikit_learns(options, dtype, n_features, alternate_sign, norm, docs):
    if np.issubdtype(dtype, np.integer):
        norm = None
    options = {**options, "dtype": dtype, "n_features": n_features, "alternate_sign": alternate_sign, "norm": norm}
    if docs:  # scikit-learn lets a StopIteration out for no documents
        assert_same_story("HashingVectorizer", options, docs, docs)


@given(st.lists(st.one_of(st.binary(max_size=20), words.map(lambda s: s.encode("utf-8", "ignore"))), max_size=5))
@example([b"caf\xc3\xa9 caf\xe9"])
def test_bytes_are_decoded_as_scikit_learn_does(docs):
    for options in (
        {},
        {"decode_error": "replace"},
        {"decode_error": "ignore"},
        {"encoding": "latin-1"},
        {"encoding": "utf-16", "decode_error": "replace"},
    ):
        assert_same_story("CountVectorizer", options, docs, docs)


@pytest.mark.parametrize("name", ["CountVectorizer", "TfidfVectorizer", "HashingVectorizer"])
@pytest.mark.parametrize(
    "docs",
    [
        [1], [None], [np.nan], [["a", "b"]], [b"\xff"], ["ok", 3.0], "a string", 3, None, [np.str_("a numpy string")],
        np.array(["aa bb", "bb cc"], dtype=object), np.array(["aa bb", "bb cc"]), ("aa", "bb bb"), [bytearray(b"aa")],
    ],
)  # fmt: skip
@pytest.mark.parametrize("lowercase", [True, False])
def test_odd_documents(name, docs, lowercase):
    assert_same_story(name, {"lowercase": lowercase}, docs, docs)


@pytest.mark.parametrize("name", ["CountVectorizer", "TfidfVectorizer", "HashingVectorizer"])
@pytest.mark.parametrize(
    "options",
    [
        {"ngram_range": (2, 1)}, {"ngram_range": (0, 1)}, {"analyzer": "sentence"}, {"stop_words": "klingon"},
        {"token_pattern": "(a)(b)"}, {"token_pattern": "(a)b"}, {"token_pattern": "["}, {"token_pattern": None},
        {"strip_accents": "yes"}, {"decode_error": "perhaps"}, {"dtype": "not a dtype"}, {"lowercase": "yes"},
        {"analyzer": str.split}, {"tokenizer": str.split, "token_pattern": None}, {"preprocessor": str.upper},
        {"strip_accents": str.swapcase}, {"input": "file"}, {"encoding": "klingon"}, {"ngram_range": (1.0, 2.0)},
    ],
)  # fmt: skip
def test_odd_options(name, options):
    assert_same_story(name, options, ["aa bb ab", b"bb cc"], ["Aa BB"])


@pytest.mark.parametrize("options", [{"n_features": 0}, {"n_features": 2**31}, {"norm": "max"}, {"dtype": np.uint8}])
def test_odd_hashing_options(options):
    assert_same_story("HashingVectorizer", options, ["aa bb ab"], ["Aa BB"])


@pytest.mark.parametrize(
    "vocabulary",
    [{"a": 0, "b": 0}, {"a": 1}, {}, [], ["a", "a"], {"A": 0, "b": 1}, {"bb", "aa"}, {1: 0, "bb": 1}, [1, "bb"]],
)
@pytest.mark.parametrize("name", ["CountVectorizer", "TfidfVectorizer"])
def test_given_vocabularies(name, vocabulary):
    assert_same_story(name, {"vocabulary": vocabulary}, ["aa bb A"], ["bb"])
    fresh, reference = (getattr(module, name)(vocabulary=vocabulary) for module in (ours, theirs))
    assert_same(outcome(lambda: fresh.transform(["bb aa"]))[0], outcome(lambda: reference.transform(["bb aa"]))[0])


def test_files(tmp_path):
    path = tmp_path / "document.txt"
    path.write_bytes("Caf\u00e9 au lait".encode())
    for options, make in (
        ({"input": "filename"}, lambda: [path, str(path)]),
        ({"input": "file"}, lambda: [io.BytesIO(b"one two"), io.StringIO("two three")]),
    ):
        mine, reference = (module.CountVectorizer(**options).fit_transform(make()) for module in (ours, theirs))
        assert_same(mine, reference)
    with pytest.raises(FileNotFoundError):
        ours.CountVectorizer(input="filename").fit_transform([tmp_path / "absent"])


def test_a_generator_is_taken_once_and_in_batches(monkeypatch):
    monkeypatch.setattr("deciban.feature_extraction._counting.BATCH_CHARACTERS", 100)
    taken = []

    def generate():
        for i in range(50):
            taken.append(i)
            yield f"word{i % 7} and word{i % 11} İ"

    mine = ours.CountVectorizer().fit_transform(generate())
    assert taken == list(range(50))
    assert_same(mine, theirs.CountVectorizer().fit_transform(generate()))


def test_every_lower_case_is_str_lower():
    text = " ".join(map(chr, range(0x110000)))
    for surrounded in (text, text.replace(" ", "x x")):
        mine, reference = (
            module.CountVectorizer(token_pattern=r"\S+").fit([surrounded]).vocabulary_ for module in (ours, theirs)
        )
        assert dict(mine) == reference


@pytest.mark.parametrize("kind", ["ascii", "unicode"])
def test_every_accent_is_stripped_alike(kind):
    text = "x".join(map(chr, range(0x110000)))
    strip = getattr(theirs, f"strip_accents_{kind}")
    stripped, lower = ours.CountVectorizer(strip_accents=kind, lowercase=False)._prepare(text)
    assert not lower
    assert stripped == strip(text)


@given(st.lists(st.text(st.sampled_from("ab\x00é日𐐀\ud800"), max_size=40)))
@example(["", "\x00", "\x00\x00", "a" * 16, "a" * 17, "a" * 16 + "\x00"])
@example([c * n for c in "ab" for n in range(70)])
def test_terms_are_numbered_and_sorted_as_strings(strings):
    terms = Terms.of(strings)
    distinct = list(dict.fromkeys(strings))
    assert terms.strings(np.arange(len(terms), dtype=np.uint32)) == distinct
    assert terms.strings(sort_terms(terms)) == sorted(distinct)
    doubled = Terms.of(reversed(distinct))
    numbers = np.empty(len(terms), np.uint32)
    doubled.add_from(terms, 0, len(terms), numbers)
    assert [distinct[::-1][i] for i in numbers] == distinct


def test_many_terms_with_long_equal_prefixes_are_sorted():
    rng = np.random.default_rng(0)
    strings = list(dict.fromkeys("prefix" * rng.integers(0, 9) + str(rng.integers(0, 5000)) for _ in range(20000)))
    terms = Terms.of(strings)
    assert terms.strings(sort_terms(terms)) == sorted(strings)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("CountVectorizer", {}),
        ("CountVectorizer", {"ngram_range": (1, 2), "min_df": 2}),
        ("CountVectorizer", {"analyzer": "char_wb", "ngram_range": (2, 3)}),
        ("TfidfVectorizer", {"sublinear_tf": True, "stop_words": "english"}),
        ("HashingVectorizer", {}),
    ],
)
def test_the_number_of_threads_does_not_matter(newsgroups, name, options, monkeypatch):
    monkeypatch.setattr("deciban.feature_extraction._counting.BLOCK_CHARACTERS", 10_000)
    docs = newsgroups[0].data[:800]
    results = []
    for n_threads in (1, 2, 5):
        with deciban.config_context(n_threads=n_threads):
            vectorizer = getattr(ours, name)(**options)
            results.append((vectorizer.fit_transform(docs), vectorizer.transform(docs[:300])))
    reference = getattr(theirs, name)(**options)
    results.append((reference.fit_transform(docs), reference.transform(docs[:300])))
    for fitted, transformed in results[1:]:
        assert_same(results[0][0], fitted)
        assert_same(results[0][1], transformed)


@pytest.mark.parametrize("name", ["CountVectorizer", "TfidfVectorizer", "HashingVectorizer"])
def test_all_of_20_newsgroups(newsgroups, name):
    train, test = newsgroups
    assert_same_story(name, {}, train.data, test.data)


def test_a_large_document():
    text = "The quick brown fox, " * 300_000
    mine, reference = (module.CountVectorizer().fit_transform([text, "fox"]) for module in (ours, theirs))
    assert_same(mine, reference)


def test_a_failed_fit_changes_nothing():
    for name in ("CountVectorizer", "TfidfVectorizer"):
        vectorizer = getattr(ours, name)().fit(["one two", "two three"])
        before = dict(vars(vectorizer))
        for bad in (["a"], [3], "str", iter([b"\xff"])):
            with pytest.raises((ValueError, AttributeError)):
                vectorizer.fit(bad)
            assert vars(vectorizer) == before
        assert vectorizer.transform(["three"]).indices.tolist() == [1]


def test_the_vocabulary_may_be_changed_or_assigned():
    mine, reference = (module.CountVectorizer().fit(["one two three"]) for module in (ours, theirs))
    for vectorizer in (mine, reference):
        vectorizer.vocabulary_["four"] = 3
        assert vectorizer.transform(["four one"]).toarray().tolist() == [[1, 0, 0, 1]]
        del vectorizer.vocabulary_["four"]
        assert vectorizer.transform(["four one"]).shape == (1, 3)
        vectorizer.vocabulary_ = {"b": 0, "aa": 1}
        assert vectorizer.get_feature_names_out().tolist() == ["b", "aa"]
        assert vectorizer.transform(["aa aa"]).toarray().tolist() == [[0, 2]]
        vectorizer.vocabulary_ |= {"cc": 2}
        assert vectorizer.transform(["cc"]).toarray().tolist() == [[0, 0, 1]]
        del vectorizer.vocabulary_
        with pytest.raises(NotFittedError):
            vectorizer.transform(["cc"])


def test_the_dict_is_made_when_it_is_looked_at():
    vectorizer = ours.CountVectorizer().fit(["one two"])
    entry = vars(vectorizer)["vocabulary_"]
    assert entry._make is not None
    vectorizer.transform(["one"])
    vectorizer.get_feature_names_out()
    assert entry._make is not None
    assert vectorizer.vocabulary_ == {"one": 0, "two": 1}
    assert entry._make is None


@pytest.mark.parametrize("name", ["CountVectorizer", "TfidfVectorizer"])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_copies_and_pickles(name, duplicate):
    docs = ["the cat sat", "the dog sat down \ud800"]
    vectorizer = getattr(ours, name)(max_features=3).fit(docs)
    twin = duplicate(vectorizer)
    assert_same(twin.transform(docs), vectorizer.transform(docs))
    assert twin.vocabulary_ == vectorizer.vocabulary_
    plain = vectorizer.to_sklearn()
    assert type(plain) is getattr(theirs, name)
    assert type(plain.vocabulary_) is dict
    assert_same(duplicate(plain).transform(docs), vectorizer.transform(docs))
    back = getattr(ours, name).from_sklearn(plain)
    assert_same(back.transform(docs), vectorizer.transform(docs))
    assert outcome(lambda: getattr(ours, name).from_sklearn(vectorizer))[0][0] is TypeError


def test_a_subclass_that_overrides_how_documents_are_cut_is_obeyed(caplog):
    class Letters(ours.CountVectorizer):
        def build_tokenizer(self):
            return list

    with caplog.at_level("INFO", logger="deciban"):
        assert Letters().fit(["ab"]).get_feature_names_out().tolist() == ["a", "b"]
    assert "overrides build_tokenizer" in caplog.text


@pytest.mark.parametrize("options", [{"analyzer": str.split}, {"token_pattern": "[a-z]+"}])
def test_what_happens_without_a_native_path_can_be_chosen(options):
    with deciban.config_context(fallback="error"), pytest.raises(deciban.FallbackError, match="fit_transform"):
        ours.CountVectorizer(**options).fit(["a b"])
    with deciban.config_context(fallback="warn"), pytest.warns(deciban.FallbackWarning, match="scikit-learn's code"):
        ours.CountVectorizer(**options).fit(["a b"])


@given(
    st.integers(0, 4),
    st.integers(0, 5),
    st.sampled_from([np.float64, np.float32, np.int64]),
    weights,
    st.integers(0, 9),
)
def test_tfidf_transformer_is_scikit_learns(n_rows, n_columns, dtype, options, seed):
    X = sp.random(
        n_rows,
        n_columns,
        0.6,
        "csr",
        np.float64,
        np.random.default_rng(seed),
        data_rvs=partial(np.full, fill_value=3.0),
    )
    X = X.astype(dtype)

    def story(module):
        transformer = module.TfidfTransformer(**options)
        with np.errstate(all="ignore"):
            return [
                outcome(lambda given=given: transformer.fit(X).transform(given))
                for given in (X, X.toarray(), X.tocsc())
            ]

    for mine, reference in zip(story(ours), story(theirs), strict=True):
        assert_same(mine[0], reference[0])
        assert mine[1] == reference[1]


def test_tfidf_transformer_refuses_a_malformed_matrix():
    transformer = ours.TfidfTransformer().fit(np.eye(3))
    X = sp.csr_matrix(np.eye(3))
    X.indices = np.array([0, 1, 7], dtype=np.int32)
    with pytest.raises(ValueError, match="column index 7"):
        transformer.transform(X)
    X = sp.csr_matrix(np.eye(3))
    X.indptr = np.array([0, 2, 1, 3], dtype=np.int32)
    with pytest.raises(ValueError, match="must not decrease"):
        transformer.transform(X)


TIERS = r"""
import hashlib, sys
from deciban.feature_extraction.text import CountVectorizer, HashingVectorizer
texts = [("Some WORDS, _more_ words\x1f\n" + "\u00c9t\u00e9 \u0416\u0416 " * (i % 3 == 0) + "x" * i) * 5
         for i in range(200)]
digest = hashlib.sha256()
for options in ({}, {"ngram_range": (1, 3)}, {"token_pattern": r"\S+", "lowercase": False}, {"analyzer": "char_wb"}):
    vectorizer = CountVectorizer(**options)
    X = vectorizer.fit_transform(texts)
    for part in (X.data, X.indices, X.indptr, HashingVectorizer(**options).transform(texts).indices):
        digest.update(part.tobytes())
    digest.update(repr(list(vectorizer.vocabulary_.items())).encode())
print(digest.hexdigest())
"""


def test_every_tier_gives_the_same():
    results = {
        subprocess.run(
            [sys.executable, "-c", TIERS],
            env={**os.environ, "DECIBAN_CPU": tier},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for tier in ("baseline", "v3", "v4")
    }
    assert len(results) == 1


def test_sparse_arrays_where_scikit_learn_is_asked_for_them():
    sklearn = pytest.importorskip("sklearn", minversion="1.9")
    with sklearn.config_context(sparse_interface="sparray"):
        assert isinstance(ours.TfidfVectorizer().fit_transform(["a bb"]), sp.csr_array)
        assert isinstance(ours.HashingVectorizer().transform(["a bb"]), sp.csr_array)


@pytest.mark.parametrize("idf", [[1.1], 2.0, np.ones((2, 2)), np.array(["a", "b", "c"]), np.ones(3) * 1j])
def test_an_idf_that_does_not_fit_is_refused(idf):
    X = sp.csr_matrix([[1, 2, 0], [3, 0, 7]])
    transformer = ours.TfidfTransformer(norm=None).fit(X)
    transformer.idf_ = idf
    with pytest.raises(ValueError, match="idf_ must be 3 real numbers"):
        transformer.transform(X)
    vectorizer = ours.TfidfVectorizer().fit(["aa bb cc"])
    vectorizer._tfidf.idf_ = idf
    with pytest.raises(ValueError, match="idf_ must be 3 real numbers"):
        pickle.loads(pickle.dumps(vectorizer)).transform(["aa"])


def test_idf_of_another_width_is_rounded_once():
    X = sp.csr_matrix(np.arange(1, 13).reshape(4, 3))
    for norm in (None, "l2"):
        mine, reference = (m.TfidfTransformer(norm=norm).fit(X).transform(X.astype(np.float32)) for m in (ours, theirs))
        assert_same(mine, reference)


def test_logarithms_of_what_are_no_counts():
    def story(module):
        class Weighted(module.TfidfVectorizer):
            def _count_vocab(self, raw_documents, fixed_vocab):
                vocabulary, X = super()._count_vocab(raw_documents, fixed_vocab)
                X = X.astype(np.float64)
                X.data = X.data / (X.data + 1.2)
                return vocabulary, X

        return Weighted(sublinear_tf=True, norm=None).fit_transform(["aa aa bb", "bb cc"])

    assert_same(story(ours), story(theirs))


def test_hooks_may_be_set_on_subclass_instance_or_later(monkeypatch):
    for module in (ours, theirs):

        class Stops(module.CountVectorizer):
            def get_stop_words(self):
                return frozenset(["the"])

        assert Stops().fit(["the cat"]).vocabulary_ == {"cat": 0}
        vectorizer = module.CountVectorizer()
        vectorizer.build_tokenizer = lambda: str.split
        assert vectorizer.fit(["a b-c"]).vocabulary_ == {"a": 0, "b-c": 1}
        monkeypatch.setattr(module.CountVectorizer, "build_tokenizer", lambda _: lambda text: text.split(";"))
        assert module.CountVectorizer().fit(["aa bb;cc"]).vocabulary_ == {"aa bb": 0, "cc": 1}


def test_a_change_of_the_vocabulary_is_seen_by_all_threads():
    vectorizer = ours.CountVectorizer().fit([" ".join(f"w{i}" for i in range(20_000))])
    for i in range(5):
        vectorizer.vocabulary_[f"new{i}"] = 20_000 + i
        with ThreadPoolExecutor(4) as pool:
            shapes = list(pool.map(lambda _, i=i: vectorizer.transform([f"new{i}"]).sum(), range(4)))
        assert shapes == [1] * 4


@pytest.mark.parametrize("dtype", [object, np.float16, "U3", ">i4", ">f8", None, np.longdouble, np.complex128])
@pytest.mark.parametrize("name", ["CountVectorizer", "TfidfVectorizer", "HashingVectorizer"])
def test_odd_dtypes(name, dtype):
    assert_same_story(name, {"dtype": dtype}, ["bb aa bb ab"], ["Aa BB"])


def test_two_terms_of_one_column():
    for module in (ours, theirs):
        vectorizer = module.CountVectorizer()
        vectorizer.vocabulary_ = {"a": 0, "b": 0}
        assert vectorizer.get_feature_names_out().tolist() == ["a", "b"]


class Shouting(str):
    def lower(self):
        return "shouted"


class Stranger:
    def lower(self):
        return "aa bb"


@pytest.mark.parametrize("document", [Shouting("Quiet"), Stranger(), np.str_("Aa bB")])
def test_documents_that_have_their_own_lower(document):
    assert_same_story("CountVectorizer", {}, [document], [document])
