"""Special functions of probability: those of SciPy's names, fused, on threads, exact at the edges.

Drop-in for the functions of the same name in :mod:`scipy.special`, for float32 (kept) and float64, any memory layout,
and what NumPy converts to them; complex and extended-precision input is left to SciPy. Next to them, a matrix product
fused with its activation. Values are in nats.
"""

from deciban.special._affine import affine_sigmoid, affine_softmax
from deciban.special._axes import log_softmax, logsumexp, normalize_log_joint, softmax
from deciban.special._elementwise import entr, expit, kl_div, log_expit, logit, rel_entr, xlogy

__all__ = [
    "affine_sigmoid",
    "affine_softmax",
    "entr",
    "expit",
    "kl_div",
    "log_expit",
    "log_softmax",
    "logit",
    "logsumexp",
    "normalize_log_joint",
    "rel_entr",
    "softmax",
    "xlogy",
]

# Pickles name the public module, so that the private ones may move.
for _name in __all__:
    globals()[_name].__module__ = __name__
