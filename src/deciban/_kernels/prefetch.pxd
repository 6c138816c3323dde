# A hint to fetch a cache line that a loop will soon need; it may be ignored, and never faults.
cdef extern from *:
    """
    #define PREFETCH(address) __builtin_prefetch(address)
    #define PREFETCH_L2(address) __builtin_prefetch(address, 0, 2)
    """
    void PREFETCH(const void* address) noexcept nogil
    void PREFETCH_L2(const void* address) noexcept nogil  # no nearer than the second level: more may be on the way
