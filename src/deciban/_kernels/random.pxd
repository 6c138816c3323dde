# NumPy's bit generators in C: the stream behind a numpy.random.BitGenerator, for loops without the interpreter lock.
#
# The lock of the generator is not taken: every block of work has a generator of its own (deciban._generation).
from cpython.pycapsule cimport PyCapsule_GetPointer
from numpy.random cimport bitgen_t


cdef inline bitgen_t* stream_of(object bit_generator) except NULL:
    return <bitgen_t*> PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")
