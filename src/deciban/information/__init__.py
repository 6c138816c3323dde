"""Measures of information: entropy, cross-entropy, divergences, likelihood, of arrays, sparse rows and models.

A distribution is a row of probabilities, or of counts with ``normalize=True``; nothing is ever normalized silently.
``base`` is "e" (nats), 2 (bits), 10 (bans), "deciban" (ten to a ban, Turing's unit of evidence) or another number above
1. ``0 log 0`` is 0; a NaN in a row makes the row's result NaN; a row that sums to 0 has no distribution, and gives NaN
with ``normalize=True``. Of a row with a negative entry the entropy is -inf and a divergence inf. Masked entries are
refused. CSR rows are never made dense.
"""

from deciban.information._distributions import (
    cross_entropy,
    entropy,
    js_divergence,
    kl_divergence,
    log_likelihood,
    perplexity,
)
from deciban.information._pairs import pairwise_js, pairwise_kl
from deciban.information._shares import bayes_posterior, conditional_probability
from deciban.information._tables import information_gain, mutual_information, pointwise_mutual_information

__all__ = [
    "bayes_posterior",
    "conditional_probability",
    "cross_entropy",
    "entropy",
    "information_gain",
    "js_divergence",
    "kl_divergence",
    "log_likelihood",
    "mutual_information",
    "pairwise_js",
    "pairwise_kl",
    "perplexity",
    "pointwise_mutual_information",
]

# Pickles name the public module, so that the private ones may move.
for _name in __all__:
    globals()[_name].__module__ = __name__
