# What a loop meets in a matrix that it does not trust; trouble.h says what each is.
cdef extern from "trouble.h":
    enum:
        _MALFORMED "TROUBLE_MALFORMED"
        _NONFINITE "TROUBLE_NONFINITE"
        _UNDEFINED "TROUBLE_UNDEFINED"
        _NEGATIVE "TROUBLE_NEGATIVE"
        _WIDE "TROUBLE_WIDE"
