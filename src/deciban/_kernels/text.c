/* Documents to counted terms: fold, cut into terms, look the terms up, tally. Compiled once per instruction-set tier.
 *
 * fold     one pass over the characters writes the document as lower-case UTF-8 and finds where tokens begin and end.
 *          ASCII: 64 characters at a time, as compares that the compiler vectorises, giving one bit a character; token
 *          edges are the places where a bit differs from its neighbour. Other text: a table look-up a character.
 * cut      tokens, their n-grams, or n-grams of characters, each a slice (start, length) of the folded text: an n-gram of
 *          words is a slice because tokens are laid out with one space between.
 * look up  256 terms at a time: hash and prefetch all, then probe. Adding, finding, or MurmurHash3 (Appleby 2016) of the
 *          hashing trick (Weinberger et al. 2009).
 * tally    a row's terms with their counts, in order of first occurrence in the document.
 *
 * Cost for English: 1 byte read, 1 written a character; a token costs one slot (24 bytes, most of them cached: Zipf).
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "text.h"

#define CHUNK 256
#define INLINE static inline __attribute__((always_inline))

static int grow(void **buffer, uint64_t *capacity, uint64_t needed, uint64_t item) {
    if (needed <= *capacity) return TEXT_OK;
    uint64_t wanted = needed + needed / 2 + 1024;
    void *grown = realloc(*buffer, wanted * item);
    if (grown == NULL) return TEXT_NO_MEMORY;
    advise_huge_pages(grown, wanted * item);
    *buffer = grown;
    *capacity = wanted;
    return TEXT_OK;
}
#define GROW(buffer, capacity, needed) grow((void **)&(buffer), &(capacity), (needed), sizeof *(buffer))

/* ---- look up and tally ----------------------------------------------------------------------------------------- */

typedef struct {
    scratch_t *scratch;
    const resolver_t *resolver;
    uint64_t row_start;
    int record; /* append ids to scratch->word_ids as well */
    uint32_t n;
    span_t spans[CHUNK];
    uint32_t ids[CHUNK];
} cutter_t;

INLINE uint32_t rotate(uint32_t x, int r) { return (x << r) | (x >> (32 - r)); }

INLINE uint32_t load_32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

INLINE uint32_t murmur3_step(uint32_t h, uint32_t k) {
    return rotate(h ^ rotate(k * 0xcc9e2d51, 15) * 0x1b873593, 13) * 5 + 0xe6546b64;
}

/* MurmurHash3_x86_32 with seed 0. Most terms have 2 to 12 bytes: their steps are selected, not branched to, for a
 * branch that cannot be predicted costs more than three steps. 16 bytes at p must be readable. */
INLINE uint32_t murmur3(const uint8_t *p, uint32_t n) {
    uint32_t h = 0, step = murmur3_step(0, load_32(p));
    h = n >= 4 ? step : h;
    step = murmur3_step(h, load_32(p + 4));
    h = n >= 8 ? step : h;
    step = murmur3_step(h, load_32(p + 8));
    h = n >= 12 ? step : h;
    uint32_t i = n < 12 ? n & ~3u : 12;
    for (; i + 4 <= n; i += 4) h = murmur3_step(h, load_32(p + i));
    uint32_t k = load_32(p + i) & (uint32_t)TERM_MASK[n & 3];
    h ^= rotate(k * 0xcc9e2d51, 15) * 0x1b873593; /* of no effect where nothing is left */
    h ^= n;
    h = (h ^ (h >> 16)) * 0x85ebca6b;
    h = (h ^ (h >> 13)) * 0xc2b2ae35;
    return h ^ (h >> 16);
}

/* The column of a hash taken as a signed number, as scikit-learn takes it: |h| mod n_features, with INT32_MIN (whose
 * absolute value does not exist) counted as INT32_MAX - (n_features - 1); the sign goes into the top bit. */
INLINE uint32_t hash_column(uint32_t hash, uint32_t n_features, int alternate_sign) {
    int32_t h = (int32_t)hash;
    uint32_t column = h == INT32_MIN ? (uint32_t)INT32_MAX - (n_features - 1) : (uint32_t)(h < 0 ? -h : h);
    /* a mask where it can be: a division costs as much as the rest of a short term */
    column = (n_features & (n_features - 1)) == 0 ? column & (n_features - 1) : column % n_features;
    return column | (alternate_sign && h < 0 ? 0x80000000u : 0);
}

/* Count ids (top bit: -1) in the row that begins at row_start. With marks an id that the row has already is added to,
 * without a branch: whether a word comes again cannot be predicted. */
static int tally(cutter_t *cutter, const uint32_t *ids, uint64_t n) {
    scratch_t *scratch = cutter->scratch;
    if (GROW(scratch->entries, scratch->entries_capacity, scratch->n_entries + n + 1)) return TEXT_NO_MEMORY;
    entry_t *row = scratch->entries + cutter->row_start;
    uint64_t n_row = scratch->n_entries - cutter->row_start;
    const uint32_t *ids_end = ids + n;
    uint64_t *mark = scratch->mark, stamp = scratch->stamp;
    if (mark == NULL) {
        for (; ids < ids_end; ids++) {
            row[n_row].id = *ids & 0x7FFFFFFF;
            row[n_row++].count = *ids >> 31 ? -1 : 1;
        }
    } else {
        for (; ids < ids_end; ids++) {
            uint32_t id = *ids & 0x7FFFFFFF;
            int again = mark[id] >> 32 == stamp;
            uint64_t at = again ? (uint32_t)mark[id] : n_row;
            int32_t count = row[at].count; /* read even where it means nothing yet, to spare a branch */
            row[at].id = id;
            row[at].count = (again ? count : 0) + (*ids >> 31 ? -1 : 1);
            mark[id] = stamp << 32 | at;
            n_row += !again;
        }
    }
    scratch->n_entries = cutter->row_start + n_row;
    return TEXT_OK;
}

/* Resolve the terms gathered so far and tally them. */
static int flush(cutter_t *cutter) {
    scratch_t *scratch = cutter->scratch;
    const resolver_t *resolver = cutter->resolver;
    const uint8_t *text = scratch->text;
    const span_t *spans = cutter->spans;
    uint32_t *ids = cutter->ids;
    uint32_t n = cutter->n, n_ids = n;
    cutter->n = 0;
    if (n == 0) return TEXT_OK;

    if (resolver->how == RESOLVE_HASH) {
        for (uint32_t i = 0; i < n; i++)
            ids[i] = hash_column(murmur3(text + spans[i].start, spans[i].length), resolver->n_features,
                                 resolver->alternate_sign);
    } else {
        terms_t *terms = resolver->terms;
        term_key_t keys[CHUNK];
        if (resolver->how == RESOLVE_ADD) {
            uint64_t n_bytes = 0;
            for (uint32_t i = 0; i < n; i++) n_bytes += spans[i].length;
            if (terms_reserve(terms, n, n_bytes)) return TEXT_NO_MEMORY;
        }
        for (uint32_t i = 0; i < n; i++) {
            keys[i] = term_key(text + spans[i].start, spans[i].length, terms->seed);
            __builtin_prefetch(&terms->slots[keys[i].hash & terms->mask]);
        }
        n_ids = 0;
        if (resolver->how == RESOLVE_ADD) {
            for (uint32_t i = 0; i < n; i++)
                ids[i] = terms_add(terms, keys[i], text + spans[i].start, spans[i].length);
            n_ids = n;
            if (terms->n_terms > scratch->mark_size) {
                uint64_t old = scratch->mark_size;
                if (GROW(scratch->mark, scratch->mark_size, terms->n_terms)) return TEXT_NO_MEMORY;
                memset(scratch->mark + old, 0, (scratch->mark_size - old) * sizeof(uint64_t));
            }
        } else {
            for (uint32_t i = 0; i < n; i++) {
                uint32_t id = terms_find(terms, keys[i], text + spans[i].start, spans[i].length);
                ids[n_ids] = id;
                n_ids += id != NO_TERM;
            }
        }
    }
    if (cutter->record && n_ids) { /* no memcpy from nowhere, which C leaves undefined even for no bytes */
        if (GROW(scratch->word_ids, scratch->word_ids_capacity, scratch->n_word_ids + n_ids)) return TEXT_NO_MEMORY;
        memcpy(scratch->word_ids + scratch->n_word_ids, ids, n_ids * sizeof(uint32_t));
        scratch->n_word_ids += n_ids;
    }
    return tally(cutter, ids, n_ids);
}

INLINE int push(cutter_t *cutter, uint32_t start, uint32_t length) {
    cutter->spans[cutter->n].start = start;
    cutter->spans[cutter->n].length = length;
    return ++cutter->n == CHUNK ? flush(cutter) : TEXT_OK;
}

/* ---- fold ------------------------------------------------------------------------------------------------------ */

/* Lower-case 64 ASCII characters and set bit i of the result where character i belongs to a token. */
INLINE uint64_t fold_64(const uint8_t *in, uint8_t *out, int lower, int word) {
    uint8_t in_token[64];
    if (lower)
        for (int i = 0; i < 64; i++) out[i] = in[i] | ((uint8_t)(in[i] - 'A') < 26) << 5;
    else
        for (int i = 0; i < 64; i++) out[i] = in[i];
    if (word)
        for (int i = 0; i < 64; i++) {
            uint8_t c = in[i];
            in_token[i] = ((uint8_t)((c | 0x20) - 'a') < 26) | ((uint8_t)(c - '0') < 10) | (c == '_');
        }
    else
        for (int i = 0; i < 64; i++) {
            uint8_t c = in[i];
            in_token[i] = !(((uint8_t)(c - 9) < 5) | ((uint8_t)(c - 28) < 5));
        }
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) /* gather the low bit of eight bytes into one byte: no two products meet */
        bits |= ((term_load(in_token + 8 * i) * 0x0102040810204080u) >> 56) << (8 * i);
    return bits;
}

INLINE uint32_t *write_edges(uint32_t *edges, uint64_t changes, uint32_t base) {
    /* eight at a time without asking: a branch that is wrong costs more than a few stores that are not needed */
    uint32_t n = (uint32_t)__builtin_popcountll(changes);
    uint32_t *at = edges;
    for (uint32_t done = 0; done < n; done += 8, at += 8)
        for (int i = 0; i < 8; i++) {
            at[i] = base + (uint32_t)(changes ? __builtin_ctzll(changes) : 0);
            changes &= changes - 1;
        }
    return edges + n;
}

/* Fold an ASCII document; edges receives begin and end of each run of token characters. Returns how many edges. */
INLINE uint64_t fold_ascii_as(const uint8_t *in, uint32_t n, uint8_t *out, uint32_t *edges, int lower, int word) {
    uint32_t *edge = edges;
    uint64_t before = 0; /* whether the character before belongs to a token */
    uint32_t i = 0;
    for (; i + 64 <= n; i += 64) {
        uint64_t bits = fold_64(in + i, out + i, lower, word);
        edge = write_edges(edge, bits ^ (bits << 1 | before), i);
        before = bits >> 63;
    }
    uint8_t tail[64];
    memset(tail, ' ', sizeof tail);
    memcpy(tail, in + i, n - i);
    uint64_t bits = fold_64(tail, out + i, lower, word);
    edge = write_edges(edge, bits ^ (bits << 1 | before), i);
    return (uint64_t)(edge - edges);
}

INLINE uint64_t fold_ascii(const uint8_t *in, uint32_t n, uint8_t *out, uint32_t *edges, int lower, int word) {
    if (lower) return word ? fold_ascii_as(in, n, out, edges, 1, 1) : fold_ascii_as(in, n, out, edges, 1, 0);
    return word ? fold_ascii_as(in, n, out, edges, 0, 1) : fold_ascii_as(in, n, out, edges, 0, 0);
}

INLINE character_t make_character(uint32_t c, int lower) {
    if (lower) c = Py_UNICODE_TOLOWER(c);
    uint32_t class_ = (Py_UNICODE_ISALNUM(c) || c == '_' ? CLASS_WORD : 0) | (Py_UNICODE_ISSPACE(c) ? CLASS_SPACE : 0);
    if (c < 0x80) return CHARACTER(c, 1, class_);
    uint32_t last = 0x80 | (c & 0x3F), second_last = 0x80 | (c >> 6 & 0x3F), third_last = 0x80 | (c >> 12 & 0x3F);
    if (c < 0x800) return CHARACTER((0xC0 | c >> 6) | last << 8, 2, class_);
    if (c < 0x10000) return CHARACTER((0xE0 | c >> 12) | second_last << 8 | last << 16, 3, class_);
    return CHARACTER((0xF0 | c >> 18) | third_last << 8 | second_last << 16 | last << 24, 4, class_);
}

static void fill_characters(characters_t *characters) {
    for (uint32_t c = 0; c < 65536; c++) {
        characters->as_is[c] = make_character(c, 0);
        characters->lower[c] = make_character(c, 1);
    }
}

INLINE character_t read_character(const document_t *doc, int64_t i, const character_t *table, int kind) {
    uint32_t c = kind == 1   ? ((const uint8_t *)doc->data)[i]
                 : kind == 2 ? ((const uint16_t *)doc->data)[i]
                             : ((const uint32_t *)doc->data)[i];
    return c < 65536 ? table[c] : make_character(c, doc->lower);
}

/* Write a character's bytes; up to four are written, its length counts. */
INLINE uint8_t *write_character(uint8_t *out, character_t character) {
    out[0] = (uint8_t)character;
    out[1] = (uint8_t)(character >> 8);
    out[2] = (uint8_t)(character >> 16);
    out[3] = (uint8_t)(character >> 24);
    return out + CHARACTER_LENGTH(character);
}

INLINE const character_t *character_table(const document_t *doc, const analyzer_t *analyzer) {
    return doc->lower ? analyzer->characters->lower : analyzer->characters->as_is;
}

INLINE uint64_t fold_any_as(const document_t *doc, const analyzer_t *analyzer, uint8_t *text, uint32_t *edges, int kind) {
    const character_t *table = character_table(doc, analyzer);
    uint32_t bit = analyzer->token_is_word ? CLASS_WORD : CLASS_SPACE;
    uint32_t wanted = analyzer->token_is_word ? CLASS_WORD : 0;
    uint32_t *places = edges + doc->length + 2; /* of the edges, in characters */
    uint8_t *out = text;
    uint64_t n = 0, kept = 0;
    uint32_t before = 0;
    for (int64_t i = 0; i < doc->length; i++) { /* no branch: where tokens end cannot be predicted */
        character_t character = read_character(doc, i, table, kind);
        uint32_t in_token = (CHARACTER_CLASS(character) & bit) == wanted;
        edges[n] = (uint32_t)(out - text);
        places[n] = (uint32_t)i;
        n += in_token ^ before;
        before = in_token;
        out = write_character(out, character);
    }
    edges[n] = (uint32_t)(out - text);
    places[n] = (uint32_t)doc->length;
    n += before;
    for (uint64_t i = 0; i < n; i += 2) {
        uint32_t start = edges[i], stop = edges[i + 1];
        int long_enough = (int64_t)places[i + 1] - places[i] >= analyzer->min_length;
        edges[kept] = start;
        edges[kept + 1] = stop;
        kept += long_enough ? 2 : 0;
    }
    return kept;
}

/* Fold any document; edges receives begin and end of each token of min_length characters or more. */
static uint64_t fold_any(const document_t *doc, const analyzer_t *analyzer, uint8_t *text, uint32_t *edges) {
    if (doc->kind == 1) return fold_any_as(doc, analyzer, text, edges, 1);
    if (doc->kind == 2) return fold_any_as(doc, analyzer, text, edges, 2);
    return fold_any_as(doc, analyzer, text, edges, 4);
}

/* ---- cut ------------------------------------------------------------------------------------------------------- */

/* Drop stop words and short tokens and lay the others out with one space between. Returns how many edges are left. */
static uint64_t compact(uint8_t *text, uint32_t *edges, uint64_t n_edges, int64_t min_bytes, const terms_t *stop_words) {
    uint32_t at = 0;
    uint64_t kept = 0;
    for (uint64_t i = 0; i < n_edges; i += 2) {
        uint32_t start = edges[i], length = edges[i + 1] - start;
        if (length < min_bytes) continue;
        if (stop_words != NULL &&
            terms_find(stop_words, term_key(text + start, length, stop_words->seed), text + start, length) != NO_TERM)
            continue;
        memmove(text + at, text + start, length);
        edges[kept++] = at;
        at += length;
        edges[kept++] = at;
        text[at++] = ' ';
    }
    return kept;
}

static int cut_words(cutter_t *cutter, const analyzer_t *analyzer, const document_t *doc) {
    scratch_t *scratch = cutter->scratch;
    uint8_t *text = scratch->text;
    uint32_t *edges = scratch->edges;
    uint64_t n_edges;
    uint32_t min_length = 0; /* of a token in bytes: fold_any has looked at characters already */
    if (doc->is_ascii) {
        n_edges = fold_ascii((const uint8_t *)doc->data, (uint32_t)doc->length, text, edges, doc->lower,
                             analyzer->token_is_word);
        min_length = (uint32_t)analyzer->min_length;
    } else {
        n_edges = fold_any(doc, analyzer, text, edges);
    }
    if (analyzer->max_n == 1 && analyzer->stop_words == NULL) {
        for (uint64_t i = 0; i < n_edges; i += 2) {
            uint32_t length = edges[i + 1] - edges[i];
            if (length >= min_length && push(cutter, edges[i], length)) return TEXT_NO_MEMORY;
        }
        return TEXT_OK;
    }
    n_edges = compact(text, edges, n_edges, min_length, analyzer->stop_words);
    int64_t n_tokens = (int64_t)(n_edges / 2);
    for (int64_t n = analyzer->min_n; n <= analyzer->max_n && n <= n_tokens; n++)
        for (int64_t i = 0; i + n <= n_tokens; i++)
            if (push(cutter, edges[2 * i], edges[2 * (i + n - 1) + 1] - edges[2 * i])) return TEXT_NO_MEMORY;
    return TEXT_OK;
}

/* All n-grams of `n_characters` characters that begin at edges[0], edges[1], ... and end at edges[n_characters]. */
static int cut_ngrams(cutter_t *cutter, const uint32_t *edges, int64_t n_characters, int64_t min_n, int64_t max_n) {
    for (int64_t n = min_n; n <= max_n && n <= n_characters; n++)
        for (int64_t i = 0; i + n <= n_characters; i++)
            if (push(cutter, edges[i], edges[i + n] - edges[i])) return TEXT_NO_MEMORY;
    return TEXT_OK;
}

/* A run of two or more white-space characters counts as one space. */
static int cut_characters(cutter_t *cutter, const analyzer_t *analyzer, const document_t *doc) {
    scratch_t *scratch = cutter->scratch;
    const character_t *table = character_table(doc, analyzer);
    uint8_t *out = scratch->text;
    uint32_t *edges = scratch->edges;
    int64_t n_characters = 0;
    character_t space = 0; /* white space read and not yet written */
    for (int64_t i = 0; i < doc->length; i++) {
        character_t character = read_character(doc, i, table, doc->kind);
        if (CHARACTER_CLASS(character) & CLASS_SPACE) {
            space = space ? CHARACTER(' ', 1, CLASS_SPACE) : character;
            continue;
        }
        if (space) {
            edges[n_characters++] = (uint32_t)(out - scratch->text);
            out = write_character(out, space);
            space = 0;
        }
        edges[n_characters++] = (uint32_t)(out - scratch->text);
        out = write_character(out, character);
    }
    if (space) {
        edges[n_characters++] = (uint32_t)(out - scratch->text);
        out = write_character(out, space);
    }
    edges[n_characters] = (uint32_t)(out - scratch->text);
    return cut_ngrams(cutter, edges, n_characters, analyzer->min_n, analyzer->max_n);
}

/* The n-grams of " word ", shorter first; of a word too short for n characters the whole, once. */
static int cut_padded_word(cutter_t *cutter, const analyzer_t *analyzer, const uint32_t *edges, int64_t n_characters) {
    int64_t max_n = analyzer->max_n < n_characters ? analyzer->max_n : n_characters;
    /* n = n_characters gives the whole at offset 0, and then no longer n is tried */
    if (analyzer->min_n > n_characters) return push(cutter, edges[0], edges[n_characters] - edges[0]);
    return cut_ngrams(cutter, edges, n_characters, analyzer->min_n, max_n);
}

#define MEMO_MAX 64 /* bytes: longer words hardly come twice */

static int cut_padded_words(cutter_t *cutter, const analyzer_t *analyzer, const document_t *doc) {
    scratch_t *scratch = cutter->scratch;
    const character_t *table = character_table(doc, analyzer);
    uint8_t *out = scratch->text;
    uint32_t *edges = scratch->edges;
    int64_t n_characters = 1; /* of the word being read, with the space before it */
    edges[0] = 0;
    *out++ = ' ';
    for (int64_t i = 0; i <= doc->length; i++) {
        character_t character =
            i < doc->length ? read_character(doc, i, table, doc->kind) : CHARACTER(' ', 1, CLASS_SPACE);
        if (!(CHARACTER_CLASS(character) & CLASS_SPACE)) {
            edges[n_characters++] = (uint32_t)(out - scratch->text);
            out = write_character(out, character);
            continue;
        }
        if (n_characters == 1) continue;
        edges[n_characters++] = (uint32_t)(out - scratch->text);
        *out++ = ' ';
        edges[n_characters] = (uint32_t)(out - scratch->text);
        const uint8_t *word = scratch->text + edges[0];
        uint32_t n_bytes = edges[n_characters] - edges[0];
        if (n_bytes > MEMO_MAX) {
            if (cut_padded_word(cutter, analyzer, edges, n_characters)) return TEXT_NO_MEMORY;
        } else {
            terms_t *words = &scratch->words;
            if (terms_reserve(words, 1, n_bytes)) return TEXT_NO_MEMORY;
            /* term_key reads 16 bytes on: what follows in the buffer is masked away */
            uint32_t n_before = words->n_terms;
            uint32_t id = terms_add(words, term_key(word, n_bytes, words->seed), word, n_bytes);
            if (id == n_before) {
                if (flush(cutter)) return TEXT_NO_MEMORY;
                cutter->record = 1;
                int status = cut_padded_word(cutter, analyzer, edges, n_characters);
                if (status == TEXT_OK) status = flush(cutter);
                cutter->record = 0;
                if (status || GROW(scratch->word_ends, scratch->word_ends_capacity, (uint64_t)id + 1))
                    return TEXT_NO_MEMORY;
                scratch->word_ends[id] = scratch->n_word_ids;
            } else {
                uint64_t start = id ? scratch->word_ends[id - 1] : 0;
                /* what was gathered of longer words comes first: rows keep the order of the document */
                if (flush(cutter) || tally(cutter, scratch->word_ids + start, scratch->word_ends[id] - start))
                    return TEXT_NO_MEMORY;
            }
        }
        edges[0] = edges[n_characters - 1]; /* the space after this word is the space before the next */
        n_characters = 1;
    }
    return flush(cutter);
}

static int count(scratch_t *scratch, const analyzer_t *analyzer, const resolver_t *resolver, const document_t *docs,
                 int64_t n, int64_t *row_lengths) {
    cutter_t cutter = {.scratch = scratch, .resolver = resolver};
    for (int64_t i = 0; i < n; i++) {
        const document_t *doc = &docs[i];
        uint64_t length = (uint64_t)doc->length;
        uint64_t n_bytes = length * (doc->is_ascii ? 1 : doc->kind == 1 ? 2 : doc->kind == 2 ? 3 : 4);
        /* slack: a chunk of 64, spaces around words, what term_key reads past the end, edges written eight at a time */
        if (GROW(scratch->text, scratch->text_capacity, n_bytes + 128) ||
            GROW(scratch->edges, scratch->edges_capacity, 2 * length + 80))
            return TEXT_NO_MEMORY;
        cutter.row_start = scratch->n_entries;
        scratch->stamp++;
        int status = analyzer->analyze == ANALYZE_WORD   ? cut_words(&cutter, analyzer, doc)
                     : analyzer->analyze == ANALYZE_CHAR ? cut_characters(&cutter, analyzer, doc)
                                                         : cut_padded_words(&cutter, analyzer, doc);
        if (status == TEXT_OK) status = flush(&cutter);
        if (status) return status;
        row_lengths[i] = (int64_t)(scratch->n_entries - cutter.row_start);
    }
    return TEXT_OK;
}

const text_ops TIER_NAME(text_ops) = {.count = count, .fill_characters = fill_characters};
