/* A set of terms numbered in the order they were first seen: an open-addressing hash table over their UTF-8 bytes.
 *
 * UTF-8 keeps the order of code points, so sorting bytes sorts strings as Python does; lone surrogates are encoded as
 * three bytes like any other character ("surrogatepass"). A slot holds the first 16 bytes of its term, so that all but
 * a few words are compared without leaving the slot; longer terms hold their hash and where their bytes begin.
 *
 * Cost: a lookup reads one slot (24 bytes, one cache line in two of three cases); 130,000 terms take 6 MB of slots, more
 * than an L2 cache, so callers look up in batches and prefetch. The load factor stays at or below 5/8.
 *
 * Source: Knuth, The Art of Computer Programming 3, section 6.4 (linear probing); the hash multiplies two 64-bit halves
 * into 128 bits and folds them (seeded per process, so that nobody can choose terms that collide).
 */
#ifndef DECIBAN_TERMS_H
#define DECIBAN_TERMS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#define NO_TERM UINT32_MAX
#define TERMS_MAX INT32_MAX   /* term numbers are shown to users as int32 columns */
#define HUGE_FROM (16 << 20) /* bytes */
#define TERM_PADDING 16       /* bytes that must be readable past the end of any term */

typedef struct {
    uint64_t lo, hi;          /* the bytes, zero-padded; of a term over 16 bytes its hash and its place in `bytes` */
    uint32_t id, length;      /* NO_TERM marks an empty slot */
} slot_t;

typedef struct {
    slot_t *slots;
    uint64_t mask;            /* number of slots - 1, a power of two less one */
    uint64_t seed;
    uint8_t *bytes;           /* all terms, one after the other in order of id */
    uint64_t *ends;           /* end of each term in bytes */
    uint64_t bytes_capacity;
    uint32_t n_terms, terms_capacity;
} terms_t;

typedef struct {
    uint64_t lo, hi, hash;
} term_key_t;

static const uint64_t TERM_MASK[9] = {
    0,           0xFF,           0xFFFF,           0xFFFFFF,          0xFFFFFFFF,
    0xFFFFFFFFFF, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF};

static inline uint64_t term_mix(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t term_load(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The key of the n bytes at p; 16 bytes at p must be readable. */
static inline term_key_t term_key(const uint8_t *p, uint32_t n, uint64_t seed) {
    term_key_t key;
    if (n <= 16) {
        key.lo = term_load(p) & TERM_MASK[n < 8 ? n : 8];
        key.hi = term_load(p + 8) & TERM_MASK[n < 8 ? 0 : n - 8];
        key.hash = term_mix(key.lo ^ seed, key.hi ^ (0x9E3779B97F4A7C15u * (n + 1)));
    } else {
        uint64_t hash = seed ^ n;
        for (uint32_t i = 0; i + 16 < n; i += 16)
            hash = term_mix(term_load(p + i) ^ hash, term_load(p + i + 8) ^ 0x9E3779B97F4A7C15u);
        hash = term_mix(term_load(p + n - 16) ^ hash, term_load(p + n - 8) ^ 0xD6E8FEB86659FD93u);
        key.lo = key.hash = hash;
        key.hi = 0;
    }
    return key;
}

/* Find the slot of a term, or the empty slot where it would go. */
static inline slot_t *terms_slot(const terms_t *terms, term_key_t key, const uint8_t *p, uint32_t n) {
    uint64_t i = key.hash & terms->mask;
    if (n <= 16) {
        for (;; i = (i + 1) & terms->mask) {
            slot_t *slot = &terms->slots[i];
            if ((slot->lo == key.lo && slot->hi == key.hi && slot->length == n) || slot->id == NO_TERM) return slot;
        }
    }
    for (;; i = (i + 1) & terms->mask) {
        slot_t *slot = &terms->slots[i];
        if (slot->id == NO_TERM) return slot;
        if (slot->length == n && slot->lo == key.lo && memcmp(terms->bytes + slot->hi, p, n) == 0) return slot;
    }
}

/* Ask for huge pages under a large buffer: a table of 100 MB that is read at random misses the TLB at every step else,
 * and the first touch of small pages costs as much as the work. */
static inline void advise_huge_pages(void *buffer, uint64_t size) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const uint64_t page = 1 << 21;
    uintptr_t start = ((uintptr_t)buffer + page - 1) & ~(uintptr_t)(page - 1);
    uintptr_t stop = ((uintptr_t)buffer + size) & ~(uintptr_t)(page - 1);
    if (size >= HUGE_FROM && stop > start) madvise((void *)start, stop - start, MADV_HUGEPAGE);
#else
    (void)buffer;
    (void)size;
#endif
}

static inline slot_t *terms_new_slots(uint64_t n_slots) {
    slot_t *slots = (slot_t *)malloc(n_slots * sizeof(slot_t));
    if (slots != NULL) {
        advise_huge_pages(slots, n_slots * sizeof(slot_t));
        memset(slots, 0xFF, n_slots * sizeof(slot_t));
    }
    return slots;
}

static inline void terms_free(terms_t *terms) {
    free(terms->slots);
    free(terms->bytes);
    free(terms->ends);
    memset(terms, 0, sizeof *terms);
}

/* Keep the terms but not the means to find them. */
static inline void terms_give_up_slots(terms_t *terms) {
    free(terms->slots);
    terms->slots = NULL;
}

/* Make room for n_more terms of n_bytes together. Returns 0, or -1 where memory (or numbers) ran out. */
static inline int terms_reserve(terms_t *terms, uint64_t n_more, uint64_t n_bytes) {
    uint64_t n_terms = terms->n_terms + n_more;
    if (n_terms > TERMS_MAX) return -1;
    if (terms->slots == NULL || 8 * n_terms > 5 * (terms->mask + 1)) {
        /* small tables grow by 4, to be rehashed seldom; large ones by 2, for memory */
        uint64_t n_slots = terms->slots == NULL ? 1024 : (terms->mask < 1 << 16 ? 4 : 2) * (terms->mask + 1);
        while (5 * n_slots < 8 * n_terms) n_slots *= 2;
        slot_t *slots = terms_new_slots(n_slots);
        if (slots == NULL) return -1;
        for (uint64_t i = 0; terms->slots != NULL && i <= terms->mask; i++) {
            slot_t slot = terms->slots[i];
            if (slot.id == NO_TERM) continue;
            uint64_t hash = slot.length <= 16 ? term_mix(slot.lo ^ terms->seed,
                                                         slot.hi ^ (0x9E3779B97F4A7C15u * (slot.length + 1)))
                                              : slot.lo;
            uint64_t j = hash & (n_slots - 1);
            while (slots[j].id != NO_TERM) j = (j + 1) & (n_slots - 1);
            slots[j] = slot;
        }
        free(terms->slots);
        terms->slots = slots;
        terms->mask = n_slots - 1;
    }
    if (n_terms > terms->terms_capacity) {
        uint64_t capacity = 2 * n_terms + 512;
        uint64_t *ends = (uint64_t *)realloc(terms->ends, capacity * sizeof(uint64_t));
        if (ends == NULL) return -1;
        terms->ends = ends;
        terms->terms_capacity = (uint32_t)(capacity < UINT32_MAX ? capacity : UINT32_MAX);
    }
    uint64_t used = terms->n_terms ? terms->ends[terms->n_terms - 1] : 0;
    if (used + n_bytes + TERM_PADDING > terms->bytes_capacity) {
        uint64_t capacity = 2 * (used + n_bytes + TERM_PADDING) + 4096;
        uint8_t *bytes = (uint8_t *)realloc(terms->bytes, capacity);
        if (bytes == NULL) return -1;
        /* what lies past the last term may be read (never used) by term_key, so it is not left undefined */
        memset(bytes + used, 0, capacity - used);
        terms->bytes = bytes;
        terms->bytes_capacity = capacity;
    }
    return 0;
}

static inline uint32_t terms_find(const terms_t *terms, term_key_t key, const uint8_t *p, uint32_t n) {
    return terms_slot(terms, key, p, n)->id;
}

/* Find or add a term; terms_reserve has made room. */
static inline uint32_t terms_add(terms_t *terms, term_key_t key, const uint8_t *p, uint32_t n) {
    slot_t *slot = terms_slot(terms, key, p, n);
    if (slot->id == NO_TERM) {
        uint32_t id = terms->n_terms++;
        uint64_t start = id ? terms->ends[id - 1] : 0;
        memcpy(terms->bytes + start, p, n);
        terms->ends[id] = start + n;
        slot->lo = key.lo;
        slot->hi = n <= 16 ? key.hi : start;
        slot->id = id;
        slot->length = n;
    }
    return slot->id;
}

/* ---- sorting ------------------------------------------------------------------------------------------------------
 * Terms are sorted eight bytes at a time, most significant first: a radix sort of the 64-bit words, then each run of
 * equal words by its next eight bytes.
 */
typedef struct {
    uint64_t word;
    uint32_t id;
} sort_item_t;

static inline uint32_t terms_length(const terms_t *terms, uint32_t id) {
    return (uint32_t)(terms->ends[id] - (id ? terms->ends[id - 1] : 0));
}

static inline void terms_sort_words(sort_item_t *items, sort_item_t *spare, uint32_t n) {
    if (n <= 40) {
        for (uint32_t i = 1; i < n; i++) {
            sort_item_t item = items[i];
            uint32_t j = i;
            for (; j > 0 && items[j - 1].word > item.word; j--) items[j] = items[j - 1];
            items[j] = item;
        }
        return;
    }
    uint32_t counts[8][256];
    memset(counts, 0, sizeof counts);
    for (uint32_t i = 0; i < n; i++)
        for (int digit = 0; digit < 8; digit++) counts[digit][(items[i].word >> (8 * digit)) & 0xFF]++;
    sort_item_t *from = items, *to = spare;
    for (int digit = 0; digit < 8; digit++) {
        uint32_t *count = counts[digit];
        if (count[(from[0].word >> (8 * digit)) & 0xFF] == n) continue; /* this byte is the same in all */
        uint32_t total = 0;
        for (int value = 0; value < 256; value++) {
            uint32_t here = count[value];
            count[value] = total;
            total += here;
        }
        for (uint32_t i = 0; i < n; i++) to[count[(from[i].word >> (8 * digit)) & 0xFF]++] = from[i];
        sort_item_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != items) memcpy(items, from, n * sizeof(sort_item_t));
}

/* Sort items[0:n], whose first `depth` bytes are equal. */
static inline void terms_sort_from(const terms_t *terms, sort_item_t *items, sort_item_t *spare, uint32_t n,
                                   uint32_t depth) {
    for (;;) {
        int longer = 0;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t id = items[i].id, length = terms_length(terms, id);
            uint64_t word = 0;
            if (length > depth) {
                const uint8_t *p = terms->bytes + terms->ends[id] - length + depth;
                word = term_load(p) & TERM_MASK[length - depth < 8 ? length - depth : 8];
                longer |= length > depth + 8;
            }
            items[i].word = __builtin_bswap64(word);
        }
        terms_sort_words(items, spare, n);
        /* the longest run is done by the loop, the others by recursion: the stack stays logarithmic in n */
        uint32_t longest = 0, longest_start = 0;
        for (uint32_t start = 0, stop; start < n; start = stop) {
            for (stop = start + 1; stop < n && items[stop].word == items[start].word;) stop++;
            if (stop - start > longest) longest = stop - start, longest_start = start;
        }
        if (longest < 2) return;
        if (!longer) {
            /* equal but for trailing NULs: the shorter first */
            for (uint32_t start = 0, stop; start < n; start = stop) {
                for (stop = start + 1; stop < n && items[stop].word == items[start].word;) stop++;
                for (uint32_t i = start; i < stop; i++) items[i].word = terms_length(terms, items[i].id);
                terms_sort_words(items + start, spare, stop - start);
            }
            return;
        }
        for (uint32_t start = 0, stop; start < n; start = stop) {
            for (stop = start + 1; stop < n && items[stop].word == items[start].word;) stop++;
            if (stop - start > 1 && start != longest_start)
                terms_sort_from(terms, items + start, spare, stop - start, depth + 8);
        }
        items += longest_start;
        n = longest;
        depth += 8;
    }
}

/* Sorting in two steps, so that threads can share the second: put the terms in buckets by their first two bytes
 * (bucket_ends has 65536), then sort items[start:stop], a range of whole buckets. */
static inline void terms_bucket(const terms_t *terms, sort_item_t *items, uint32_t *bucket_ends) {
    uint32_t n = terms->n_terms, total = 0;
    memset(bucket_ends, 0, 65536 * sizeof *bucket_ends);
    for (int fill = 0; fill < 2; fill++) {
        uint64_t start = 0;
        for (uint32_t id = 0; id < n; id++) {
            uint64_t length = terms->ends[id] - start;
            const uint8_t *p = terms->bytes + start;
            uint32_t bucket = (length > 0 ? p[0] << 8 : 0) | (length > 1 ? p[1] : 0);
            if (fill)
                items[bucket_ends[bucket]++].id = id;
            else
                bucket_ends[bucket]++;
            start = terms->ends[id];
        }
        for (uint32_t bucket = 0; !fill && bucket < 65536; bucket++) {
            uint32_t here = bucket_ends[bucket];
            bucket_ends[bucket] = total; /* where it begins; filling moves it to where it ends */
            total += here;
        }
    }
}

/* Short terms (of less than two bytes) share a bucket with longer ones only where these go on with NUL, so every bucket
 * is sorted from its first byte on. */
static inline int terms_sort_buckets(const terms_t *terms, sort_item_t *items, const uint32_t *bucket_ends,
                                     uint32_t first, uint32_t last, uint32_t *order) {
    uint32_t start = first ? bucket_ends[first - 1] : 0, longest = 0;
    for (uint32_t bucket = first, at = start; bucket < last; at = bucket_ends[bucket++])
        longest = bucket_ends[bucket] - at > longest ? bucket_ends[bucket] - at : longest;
    sort_item_t *spare = (sort_item_t *)malloc((longest + 1) * sizeof *spare);
    if (spare == NULL) return -1;
    for (uint32_t bucket = first; bucket < last; start = bucket_ends[bucket++]) {
        uint32_t n = bucket_ends[bucket] - start;
        if (n > 1) terms_sort_from(terms, items + start, spare, n, 0);
        for (uint32_t i = start; i < start + n; i++) order[i] = items[i].id;
    }
    free(spare);
    return 0;
}

#endif
