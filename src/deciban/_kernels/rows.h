/* Rows of a sparse matrix while they are being made: (id, count) entries, sorted by id and merged.
 *
 * A row is short (a document has 160 different words), so a radix sort with small digits wins: three passes of 6 bits
 * order 2^18 columns with 3 x 64 counters. Cost: one read and one write of 8 bytes an entry and pass, in L1.
 */
#ifndef DECIBAN_ROWS_H
#define DECIBAN_ROWS_H

#include "text.h"

/* Sort entries[0:n] by id, where all ids are below 2^bits; spare holds n more. Stable. */
static inline void row_sort(entry_t *entries, entry_t *spare, uint64_t n, int bits) {
    if (n <= 24) {
        for (uint64_t i = 1; i < n; i++) {
            entry_t entry = entries[i];
            uint64_t j = i;
            for (; j > 0 && entries[j - 1].id > entry.id; j--) entries[j] = entries[j - 1];
            entries[j] = entry;
        }
        return;
    }
    uint64_t counts[512];
    int digit = n < 1024 ? 6 : 9;
    uint32_t n_values = 1u << digit;
    entry_t *from = entries, *to = spare;
    for (int shift = 0; shift < bits; shift += digit) {
        memset(counts, 0, n_values * sizeof *counts);
        for (uint64_t i = 0; i < n; i++) counts[(from[i].id >> shift) & (n_values - 1)]++;
        uint64_t total = 0;
        for (uint32_t value = 0; value < n_values; value++) {
            uint64_t here = counts[value];
            counts[value] = total;
            total += here;
        }
        for (uint64_t i = 0; i < n; i++) to[counts[(from[i].id >> shift) & (n_values - 1)]++] = from[i];
        entry_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != entries) memcpy(entries, from, n * sizeof *entries);
}

/* Add up neighbours of equal id; a sum of 0 stays, as an entry stored. Returns the number of entries left. */
static inline uint64_t row_merge(entry_t *entries, uint64_t n) {
    uint64_t kept = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (kept && entries[kept - 1].id == entries[i].id)
            entries[kept - 1].count += entries[i].count;
        else
            entries[kept++] = entries[i];
    }
    return kept;
}

/* Finish n_rows rows that lie one after the other: id becomes order[id] (where order is given), entries for which that is
 * NO_TERM go, rows are sorted by id and merged. Lengths are updated and the rows moved together. Returns TEXT_OK or
 * TEXT_NO_MEMORY. */
static inline int rows_finish(entry_t *entries, int64_t *lengths, int64_t n_rows, const uint32_t *order, int bits) {
    int64_t longest = 0;
    for (int64_t row = 0; row < n_rows; row++) longest = lengths[row] > longest ? lengths[row] : longest;
    entry_t stack[256], *spare = stack;
    if (longest > 256) {
        spare = (entry_t *)malloc((uint64_t)longest * sizeof *spare);
        if (spare == NULL) return TEXT_NO_MEMORY;
    }
    entry_t *from = entries, *to = entries;
    for (int64_t row = 0; row < n_rows; row++) {
        uint64_t n = (uint64_t)lengths[row], kept = 0;
        for (uint64_t i = 0; i < n; i++) {
            entry_t entry = from[i];
            if (order != NULL) entry.id = order[entry.id];
            to[kept] = entry;
            kept += entry.id != NO_TERM;
        }
        from += n;
        row_sort(to, spare, kept, bits);
        kept = row_merge(to, kept);
        lengths[row] = (int64_t)kept;
        to += kept;
    }
    if (spare != stack) free(spare);
    return TEXT_OK;
}

#endif
