"""The problems, each defined once: pytest-benchmark (``test_*.py``) and ``run.py`` take them from here."""

from collections.abc import Callable
from functools import partial
from typing import Any

import data
import layouts
import mathematics
import networks
import numpy as np
import peers
import rows
import scipy.sparse as sp
import sklearn.feature_extraction.text
import sklearn.naive_bayes
import stochastic
from sklearn.pipeline import make_pipeline
from work import Contender, Problem, Work, after_a_pause

import deciban.feature_extraction.text
import deciban.naive_bayes

N_ONE = 50  # documents that are taken one by one
N_BATCHES = 20  # of a stream

# --- agreement ------------------------------------------------------------------------------------------------------


def same_matrix(expected: Any, got: Any) -> bool:
    """Whether two CSR matrices hold the same entries, in whatever order."""
    if expected.shape != got.shape or expected.nnz != got.nnz:
        return False
    expected, got = expected.sorted_indices(), got.sorted_indices()
    return (
        np.array_equal(expected.indptr, got.indptr)
        and np.array_equal(expected.indices, got.indices)
        and np.allclose(expected.data, got.data, rtol=1e-12, atol=0)
    )


def same_counts_and_words(expected: Any, got: Any) -> bool:
    return same_matrix(expected[0], got[0]) and expected[1] == got[1]


def same_scores(expected: Any, got: Any) -> bool:
    """Whether joint log-likelihoods are equal; or, of a peer that gives no more, labels."""
    if got.ndim < expected.ndim:
        return same_labels(expected.argmax(axis=1), got)
    return np.allclose(expected, got, rtol=1e-9)


def same_labels(expected: Any, got: Any) -> bool:
    """Whether labels are equal, but for one in ten thousand that rounding may turn."""
    return bool(np.mean(np.asarray(expected) == got) >= 0.9999)


def same_but_for_the_prior(expected: Any, got: Any) -> bool:
    """Whether labels are those of a model whose classes are equally likely beforehand (they nearly are)."""
    labels = expected if expected.ndim == 1 else expected.argmax(axis=1)
    return bool(np.mean(labels == got) >= 0.95)


def above_chance(expected: Any, got: Any) -> bool:
    """Whether the labels of another model are the same twice as often as by chance, or more."""
    return bool(np.mean(np.asarray(expected) == got) >= 0.1)


# --- contenders -----------------------------------------------------------------------------------------------------


def libraries(module: str, make: Callable[..., Work]) -> tuple[Contender, ...]:
    """scikit-learn, and deciban on one and on two threads; ``make(module, data)`` is the same for each."""
    theirs, ours = getattr(sklearn, module), getattr(deciban, module)
    if module == "feature_extraction":
        theirs, ours = theirs.text, ours.text
    return (
        Contender("scikit-learn", 1, partial(make, theirs)),
        Contender("deciban", 1, partial(make, ours)),
        Contender("deciban 2T", 2, partial(make, ours)),
    )


text = partial(libraries, "feature_extraction")
bayes = partial(libraries, "naive_bayes")


def fit_transform(name: str, n_documents: int | None = None, **options: Any) -> Callable[..., Work]:
    def make(module: Any, texts: Any) -> Work:
        documents = texts.train[:n_documents]
        return Work(lambda _: getattr(module, name)(**options).fit_transform(documents))

    return make


def transform(name: str, **options: Any) -> Callable[..., Work]:
    def make(module: Any, texts: Any) -> Work:
        vectorizer = getattr(module, name)(**options).fit(texts.train)
        return Work(lambda _: vectorizer.transform(texts.test))

    return make


def count_and_look(module: Any, texts: Any) -> Work:
    def call(_state: Any) -> Any:
        vectorizer = module.CountVectorizer()
        return vectorizer.fit_transform(texts.train), vectorizer.vocabulary_

    return Work(call)


def one_document(module: Any, texts: Any) -> Work:
    vectorizer = module.CountVectorizer().fit(texts.train)
    documents = texts.test[:N_ONE]

    def call(_state: Any) -> Any:
        for document in documents:
            counts = vectorizer.transform([document])
        return counts

    return Work(call)


def fit(name: str, module: Any, samples: Any) -> Work:
    X, y, X_test, _ = samples
    return Work(
        lambda _: getattr(module, name)().fit(X, y), answer=lambda model: model.predict_joint_log_proba(X_test[:500])
    )


def predict(name: str, module: Any, samples: Any) -> Work:
    model = getattr(module, name)().fit(samples.X, samples.y)
    model.predict(samples.X_test[:1])
    return Work(lambda _: model.predict(samples.X_test))


def first_predict(name: str, module: Any, samples: Any) -> Work:
    return Work(
        lambda model: model.predict(samples.X_test), fresh=lambda: getattr(module, name)().fit(samples.X, samples.y)
    )


def one_row(name: str, module: Any, samples: Any) -> Work:
    model = getattr(module, name)().fit(samples.X, samples.y)
    rows = [samples.X_test[i] for i in range(N_ONE)]
    return Work(lambda _: np.concatenate([model.predict(row) for row in rows]))


def partial_fit(name: str, module: Any, samples: Any, then_predict: bool = False) -> Work:
    """A stream of batches of 100 documents; the fitted model goes on growing, in each library alike."""
    model = getattr(module, name)().fit(samples.X, samples.y)
    starts = [100 * i % samples.X.shape[0] for i in range(N_BATCHES)]
    batches = [(samples.X[start : start + 100], samples.y[start : start + 100]) for start in starts]
    X_test = samples.X_test[:500]
    if then_predict:
        return Work(lambda _: [model.partial_fit(*batch).predict(X_test[:100]) for batch in batches][-1])

    def call(_state: Any) -> Any:
        for batch in batches:
            model.partial_fit(*batch)
        return model

    return Work(call, answer=lambda model: model.predict_joint_log_proba(X_test))


def whole_story(module: Any, texts: Any) -> Work:
    naive_bayes = deciban.naive_bayes if module is deciban.feature_extraction.text else sklearn.naive_bayes

    def call(_state: Any) -> Any:
        vectorizer, classifier = module.CountVectorizer(), naive_bayes.MultinomialNB()
        classifier.fit(vectorizer.fit_transform(texts.train), texts.train_labels)
        return classifier.predict(vectorizer.transform(texts.test))

    return Work(call)


def one_through_pipeline(module: Any, texts: Any, method: str) -> Work:
    naive_bayes = deciban.naive_bayes if module is deciban.feature_extraction.text else sklearn.naive_bayes
    pipeline = make_pipeline(module.CountVectorizer(), naive_bayes.MultinomialNB())
    answer = getattr(pipeline.fit(texts.train, texts.train_labels), method)
    return Work(lambda _: np.concatenate([answer([document]) for document in texts.test[:N_ONE]]))


# --- plain NumPy and SciPy, as a careful user would write it ---------------------------------------------------------


def _tables(samples: Any) -> tuple[Any, Any]:
    """Return the log-probabilities of multinomial naive Bayes, shape (n_features, n_classes), and the log-priors."""
    X, y, _, n_classes = samples
    indicator = sp.csr_matrix((np.ones(len(y)), (y, np.arange(len(y)))), shape=(n_classes, len(y)))
    table = (indicator @ X).toarray().T + 1.0
    return np.log(table) - np.log(table.sum(axis=0)), np.log(np.bincount(y) / len(y))


def scipy_fit(samples: Any) -> Work:
    return Work(lambda _: _tables(samples), answer=lambda tables: samples.X_test[:500] @ tables[0] + tables[1])


def scipy_predict(samples: Any) -> Work:
    table, prior = _tables(samples)
    table = np.ascontiguousarray(table)
    return Work(lambda _: (samples.X_test @ table + prior).argmax(axis=1))


def _moments(samples: Any) -> tuple[Any, ...]:
    X, y, _, n_classes = samples
    parts = [X[y == k] for k in range(n_classes)]
    mean, var = (np.array([getattr(part, name)(axis=0) for part in parts]) for name in ("mean", "var"))
    return mean, var + 1e-9 * X.var(axis=0).max(), np.log(np.bincount(y) / len(y))


def _gaussian_scores(X: Any, mean: Any, var: Any, log_prior: Any) -> Any:
    """Expand the square: two products of matrices."""
    constant = log_prior - 0.5 * (np.log(2 * np.pi * var) + mean**2 / var).sum(axis=1)
    return X**2 @ (-0.5 / var).T + X @ (mean / var).T + constant


def numpy_gaussian_fit(samples: Any) -> Work:
    return Work(lambda _: _moments(samples), answer=lambda moments: _gaussian_scores(samples.X_test[:500], *moments))


def numpy_gaussian_predict(samples: Any) -> Work:
    moments = _moments(samples)
    return Work(lambda _: _gaussian_scores(samples.X_test, *moments).argmax(axis=1))


# --- the list -------------------------------------------------------------------------------------------------------


def _vectorizer_problems() -> list[Problem]:
    problem = partial(Problem, "vectorizers", data=data.texts, agree=same_matrix)
    fast = partial(Contender, "fastcountvectorizer", 1)
    polars = Contender("polars 2T", 2, peers.polars_counts)
    count = partial(fit_transform, "CountVectorizer")
    chars = {"analyzer": "char", "ngram_range": (3, 5)}
    pairs = {"ngram_range": (1, 2)}
    return [
        problem("CountVectorizer.fit_transform", contenders=(*text(count()), polars, fast(peers.fastcountvectorizer))),
        problem("... and a look at vocabulary_", contenders=text(count_and_look), agree=same_counts_and_words),
        problem("CountVectorizer.transform", contenders=text(transform("CountVectorizer"))),
        problem("TfidfVectorizer.fit_transform", contenders=text(fit_transform("TfidfVectorizer"))),
        problem("TfidfVectorizer.transform", contenders=text(transform("TfidfVectorizer"))),
        problem("HashingVectorizer.transform", contenders=text(transform("HashingVectorizer"))),
        problem(
            "Count (1, 2)-grams",
            contenders=(*text(count(**pairs)), fast(partial(peers.fastcountvectorizer, **pairs))),
        ),
        problem(
            "Count char_wb (3, 5), 2,000 documents",
            contenders=text(count(2000, analyzer="char_wb", ngram_range=(3, 5))),
        ),
        problem(
            "Count char (3, 5), 1,000 documents",
            contenders=(
                *text(count(1000, **chars)),
                fast(partial(peers.fastcountvectorizer, n_documents=1000, **chars)),
            ),
        ),
        *(
            problem(
                f"Count 4,000 documents in {script}", data=partial(data.spelt, script=script), contenders=text(count())
            )
            for script in data.SCRIPTS
        ),
        problem("Count one document", contenders=text(one_document), n_calls=N_ONE),
    ]


def _naive_bayes_problems() -> list[Problem]:
    problem = partial(Problem, "naive_bayes", data=data.counts, agree=same_scores)
    problems = []
    for name in ("MultinomialNB", "ComplementNB", "BernoulliNB"):
        multinomial = name == "MultinomialNB"
        fit_peers = (
            Contender("SciPy", 1, scipy_fit),
            Contender("daal4py 2T", 2, peers.daal4py_fit, same_but_for_the_prior),
        )
        predict_peers = (
            Contender("SciPy", 1, scipy_predict),
            Contender("daal4py 2T", 2, peers.daal4py_predict, same_but_for_the_prior),
        )
        problems += [
            problem(f"{name}.fit", contenders=bayes(partial(fit, name)) + fit_peers * multinomial),
            problem(
                f"{name}.predict, the first",
                contenders=bayes(partial(first_predict, name)),
                agree=same_labels,
                cold=True,
            ),
            problem(
                f"{name}.predict",
                contenders=bayes(partial(predict, name)) + predict_peers * multinomial,
                agree=same_labels,
            ),
        ]
    problems += [after_a_pause(p) for p in problems if p.name in ("MultinomialNB.fit", "MultinomialNB.predict")]
    name = "MultinomialNB"
    learn_and_predict = partial(partial_fit, name, then_predict=True)
    problems += [
        problem(f"{name}.predict, one row", contenders=bayes(partial(one_row, name)), agree=same_labels, n_calls=N_ONE),
        problem(f"{name}.partial_fit, 100 documents", contenders=bayes(partial(partial_fit, name)), n_calls=N_BATCHES),
        problem("... and predict 100", contenders=bayes(learn_and_predict), agree=same_labels, n_calls=N_BATCHES),
    ]
    for n_classes in (200, 2000):
        many = partial(problem, data=partial(data.many_classes, n_classes=n_classes))
        problems += [
            many(
                f"{name}.fit, {n_classes} classes",
                contenders=(*bayes(partial(fit, name)), Contender("SciPy", 1, scipy_fit)),
            ),
            many(
                f"{name}.predict, {n_classes} classes",
                contenders=(*bayes(partial(predict, name)), Contender("SciPy", 1, scipy_predict)),
                agree=same_labels,
            ),
        ]
    gaussian = partial(problem, data=data.gaussians)
    problems += [
        gaussian(
            "GaussianNB.fit",
            contenders=(
                *bayes(partial(fit, "GaussianNB")),
                Contender("NumPy", 1, numpy_gaussian_fit),
                Contender("mlpack 2T", 2, peers.mlpack_fit),
            ),
        ),
        gaussian(
            "GaussianNB.predict",
            contenders=(
                *bayes(partial(predict, "GaussianNB")),
                Contender("NumPy 2T", 2, numpy_gaussian_predict),
                Contender("mlpack 2T", 2, peers.mlpack_predict),
            ),
            agree=same_labels,
        ),
    ]
    problems.append(after_a_pause(problems[-1]))
    categories = partial(problem, data=data.categories)
    problems += [
        categories("CategoricalNB.fit", contenders=bayes(partial(fit, "CategoricalNB"))),
        categories("CategoricalNB.predict", contenders=bayes(partial(predict, "CategoricalNB")), agree=same_labels),
    ]
    return problems


def _end_to_end_problems() -> list[Problem]:
    problem = partial(Problem, "end_to_end", data=data.texts)
    fasttext = Contender("fastText (another model)", 1, partial(peers.fasttext_one, n_documents=N_ONE), above_chance)
    return [
        problem("count, fit, count, predict", contenders=text(whole_story), agree=same_labels),
        problem(
            "one document, Pipeline.predict_proba",
            contenders=text(partial(one_through_pipeline, method="predict_proba")),
            agree=same_scores,
            n_calls=N_ONE,
        ),
        problem(
            "one document, Pipeline.predict",
            contenders=(*text(partial(one_through_pipeline, method="predict")), fasttext),
            agree=same_labels,
            n_calls=N_ONE,
        ),
    ]


PROBLEMS = [
    *_vectorizer_problems(),
    *_naive_bayes_problems(),
    *_end_to_end_problems(),
    *mathematics.PROBLEMS,
    *layouts.PROBLEMS,
    *networks.PROBLEMS,
    *stochastic.PROBLEMS,
    *rows.PROBLEMS,
]
