"""A set of terms, numbered in the order they were first seen.

The table itself, its cost and its source are described in terms.h; this is its Python face: made of strings, merged
from the tables of several threads, sorted by code point, shown as strings.
"""

from cpython.dict cimport PyDict_SetItem
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from deciban._kernels.prefetch cimport PREFETCH

import os

import numpy as np

# One seed a process: nobody can choose terms that collide. No result depends on it.
cdef uint64_t SEED = int.from_bytes(os.urandom(8), "little") | 1


cdef class Terms:
    """Distinct terms, numbered from 0 in the order they were added."""

    def __cinit__(self):
        self.c.seed = SEED
        if terms_reserve(&self.c, 0, 0):
            raise MemoryError("no memory for a table of terms")

    def __dealloc__(self):
        terms_free(&self.c)

    def __len__(self):
        return self.c.n_terms

    @staticmethod
    def of(strings):
        """Make a table of an iterable of str; one that comes twice keeps its first number."""
        cdef Terms terms = Terms()
        for string in strings:
            terms.add(string)
        return terms

    def add(self, string):
        """Add one term and return its number; ``surrogatepass`` encodes lone surrogates."""
        cdef bytes encoded = string.encode("utf-8", "surrogatepass")
        cdef const uint8_t* p = encoded
        cdef uint32_t n = <uint32_t> len(encoded)
        if len(encoded) > 0x7FFFFFFF:
            raise ValueError("a term must be shorter than 2**31 bytes")
        if terms_reserve(&self.c, 1, n):
            raise MemoryError("no memory for more terms")
        if n > 16:
            return terms_add(&self.c, term_key(p, n, self.c.seed), p, n)
        # a key is read 16 bytes at a time, past the end of a short string
        cdef uint8_t[16] padded
        memcpy(padded, p, n)
        return terms_add(&self.c, term_key(padded, n, self.c.seed), padded, n)

    def add_from(self, Terms other, uint32_t start, uint32_t stop, uint32_t[::1] number_out):
        """Add other's terms start..stop; number_out[i] receives the number here of other's term i."""
        cdef uint32_t i, j, end, n
        cdef uint64_t first, n_bytes
        cdef bint failed = False
        cdef term_key_t[64] keys
        if not start <= stop <= other.c.n_terms or number_out.shape[0] < stop:
            raise ValueError(f"terms {start} to {stop} are not among {other.c.n_terms}")
        with nogil:
            i = start
            while i < stop and not failed:
                end = min(i + 64, stop)
                first = other.c.ends[i - 1] if i else 0
                n_bytes = other.c.ends[end - 1] - first
                failed = terms_reserve(&self.c, end - i, n_bytes) != 0
                if failed:
                    break
                for j in range(i, end):
                    n = terms_length(&other.c, j)
                    keys[j - i] = term_key(other.c.bytes + other.c.ends[j] - n, n, self.c.seed)
                    PREFETCH(&self.c.slots[keys[j - i].hash & self.c.mask])
                for j in range(i, end):
                    n = terms_length(&other.c, j)
                    number_out[j] = terms_add(&self.c, keys[j - i], other.c.bytes + other.c.ends[j] - n, n)
                i = end
        if failed:
            raise MemoryError("no memory for more terms")

    def reserve(self, uint32_t n_terms):
        """Make room for so many terms in all."""
        if n_terms > self.c.n_terms and terms_reserve(&self.c, n_terms - self.c.n_terms, 0):
            raise MemoryError("no memory for more terms")

    cdef str string(self, uint32_t i):
        cdef uint32_t n = terms_length(&self.c, i)
        return PyUnicode_DecodeUTF8(<const char*> self.c.bytes + self.c.ends[i] - n, n, "surrogatepass")

    def fill_dict(self, const int[::1] values, dict_out):
        """Set dict_out[term] = values[number] in order of number, for terms whose value is not negative."""
        cdef uint32_t i
        if values.shape[0] != self.c.n_terms:
            raise ValueError(f"expected {self.c.n_terms} values, got {values.shape[0]}")
        for i in range(self.c.n_terms):
            if values[i] >= 0:
                PyDict_SetItem(dict_out, self.string(i), values[i])

    def strings(self, const uint32_t[::1] numbers):
        """Return the terms of these numbers as a list of str."""
        cdef Py_ssize_t i
        cdef list result = [None] * numbers.shape[0]
        for i in range(numbers.shape[0]):
            if numbers[i] >= self.c.n_terms:
                raise IndexError(f"there is no term {numbers[i]} among {self.c.n_terms}")
            result[i] = self.string(numbers[i])
        return result


cdef class TermSort:
    """Sorts terms by code point, a range of buckets at a time (the buckets are their first two bytes)."""

    def __cinit__(self, Terms terms):
        self.terms = terms
        self.bucket_ends = np.empty(65536, np.uint32)
        self.items = <sort_item_t*> malloc((terms.c.n_terms + 1) * sizeof(sort_item_t))
        if self.items == NULL:
            raise MemoryError("no memory to sort terms")
        with nogil:
            terms_bucket(&terms.c, self.items, &self.bucket_ends[0])

    def __dealloc__(self):
        free(self.items)

    def cut(self, uint32_t n_terms):
        """Cut the buckets into ranges (first, last) of about n_terms terms each."""
        cdef uint32_t bucket, first = 0, start = 0
        cdef list ranges = []
        for bucket in range(65536):
            if self.bucket_ends[bucket] - start >= n_terms or bucket == 65535:
                ranges.append((first, bucket + 1))
                first = bucket + 1
                start = self.bucket_ends[bucket]
        return ranges

    def sort(self, uint32_t first, uint32_t last, uint32_t[::1] order_out):
        """order_out[r] receives the number of the r-th smallest term, for all r that fall into the buckets."""
        cdef int status
        if not first < last <= 65536 or order_out.shape[0] != self.terms.c.n_terms:
            raise ValueError(f"expected room for {self.terms.c.n_terms} numbers, got {order_out.shape[0]}")
        if self.terms.c.n_terms == 0:
            return
        with nogil:
            status = terms_sort_buckets(&self.terms.c, self.items, &self.bucket_ends[0], first, last, &order_out[0])
        if status:
            raise MemoryError("no memory to sort terms")
