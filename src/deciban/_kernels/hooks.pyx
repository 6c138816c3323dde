"""What a prediction asks before it takes the short way: is everything still what it was? Identities, compared in C.

In Python these questions take longer than a short document's answer: 12 methods of a class, looked up and compared, are
2.4 us there and 0.3 us here.
"""


cdef bint replaces(dict own, object cls, dict originals) except -1:
    # `own` and `cls` are an estimator's state and class
    for name, original in originals.items():
        if name in own or getattr(cls, name, None) is not original:
            return True
    return False


def overrides(estimator, dict originals):
    """Return whether an estimator, or its class since, replaces one of these methods of the class."""
    return replaces(estimator.__dict__, type(estimator), originals)


def are(dict state, tuple names, tuple values):
    """Return whether a state has the very objects ``values`` under ``names``."""
    cdef Py_ssize_t i
    if len(names) != len(values):
        return False
    for i in range(len(names)):
        if names[i] not in state or state[names[i]] is not values[i]:
            return False
    return True
