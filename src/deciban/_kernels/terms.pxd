from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "terms.h" nogil:
    const uint32_t NO_TERM
    int TERM_PADDING

    ctypedef struct slot_t:
        uint32_t id
        uint32_t length

    ctypedef struct terms_t:
        slot_t* slots
        uint64_t mask
        uint64_t seed
        uint8_t* bytes
        uint64_t* ends
        uint32_t n_terms

    ctypedef struct term_key_t:
        uint64_t hash

    term_key_t term_key(const uint8_t* p, uint32_t n, uint64_t seed)
    int terms_reserve(terms_t* terms, uint64_t n_more, uint64_t n_bytes)
    uint32_t terms_find(const terms_t* terms, term_key_t key, const uint8_t* p, uint32_t n)
    uint32_t terms_add(terms_t* terms, term_key_t key, const uint8_t* p, uint32_t n)
    uint32_t terms_length(const terms_t* terms, uint32_t id)
    ctypedef struct sort_item_t:
        uint32_t id
    void terms_bucket(const terms_t* terms, sort_item_t* items, uint32_t* bucket_ends)
    int terms_sort_buckets(const terms_t* terms, sort_item_t* items, const uint32_t* bucket_ends, uint32_t first,
                           uint32_t last, uint32_t* order)
    void terms_give_up_slots(terms_t* terms)
    void terms_free(terms_t* terms)


cdef class TermSort:
    cdef readonly Terms terms
    cdef sort_item_t* items
    cdef uint32_t[::1] bucket_ends


cdef class Terms:
    cdef terms_t c
    cdef str string(self, uint32_t i)
