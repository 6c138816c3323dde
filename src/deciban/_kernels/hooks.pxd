# Whether something replaces a method; see hooks.pyx.
cdef bint replaces(dict own, object cls, dict originals) except -1
