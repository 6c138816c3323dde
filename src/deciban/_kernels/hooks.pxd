# Whether something replaces a method; see hooks.pyx.
cpdef bint overrides(object estimator, dict originals) except -1
