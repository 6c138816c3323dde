# Sums of two doubles: what an addition rounds off is kept (Knuth, The Art of Computer Programming, volume 2, 4.2.2).

cdef inline void add_to(double* high, double* low, double x) noexcept nogil:
    cdef double total = high[0] + x, added = total - high[0]
    low[0] += (high[0] - (total - added)) + (x - added)
    high[0] = total
