/* From documents to counted terms: what tokens.pyx asks of the loops in text.c, which are compiled per tier. */
#ifndef DECIBAN_TEXT_H
#define DECIBAN_TEXT_H

#include "terms.h"
#include "tier.h"

/* A str as CPython holds it: `length` characters of `kind` bytes (1: Latin-1, 2: UCS-2, 4: UCS-4). */
typedef struct {
    const void *data;
    int64_t length;
    uint8_t kind, is_ascii;
    uint8_t lower; /* fold case while reading; 0 where Python has done it or nobody asked */
} document_t;

#define DOCUMENT_MAX ((1 << 30) - 64) /* characters: four bytes each still fit 32-bit offsets */

enum { ANALYZE_WORD, ANALYZE_CHAR, ANALYZE_CHAR_WB };
enum { CLASS_WORD = 1, CLASS_SPACE = 2 }; /* bits of a character's class: re's \w and \s */

/* What becomes of a character: its UTF-8 bytes (after folding its case, in the table for that), how many they are, and
 * its class. For the basic multilingual plane tables are filled once from CPython's own; others are made as they come. */
typedef uint64_t character_t;
#define CHARACTER(bytes, length, class_) ((character_t)(bytes) | (character_t)(length) << 32 | (character_t)(class_) << 40)
#define CHARACTER_LENGTH(character) ((uint32_t)((character) >> 32) & 0xFF)
#define CHARACTER_CLASS(character) ((uint32_t)((character) >> 40))

typedef struct {
    character_t as_is[65536], lower[65536];
} characters_t;

typedef struct {
    int analyze;
    int token_is_word;  /* tokens are runs of \w; otherwise runs of \S */
    int64_t min_length; /* characters in a token */
    int64_t min_n, max_n;
    const terms_t *stop_words; /* or NULL */
    const characters_t *characters;
} analyzer_t;

/* Where terms become column numbers. */
enum { RESOLVE_ADD, RESOLVE_FIND, RESOLVE_HASH };
typedef struct {
    int how;
    terms_t *terms;        /* ADD: grows; FIND: only read, may be shared between threads */
    uint32_t n_features;   /* HASH */
    int alternate_sign;    /* HASH */
} resolver_t;

typedef struct {
    uint32_t id;
    int32_t count;
} entry_t;

typedef struct {
    uint32_t start, length;
} span_t;

/* What one thread works with; all of it grows as needed and is kept between blocks. */
typedef struct {
    uint8_t *text; /* the folded document, UTF-8 */
    uint64_t text_capacity;
    uint32_t *edges; /* where tokens begin and end in text, or where each character begins; the same in characters */
    uint64_t edges_capacity;
    entry_t *entries; /* the result: rows one after the other */
    uint64_t n_entries, entries_capacity;
    /* mark[id] = (stamp of the last row that holds id) << 32 | its place in the row; NULL where rows are merged later */
    uint64_t *mark;
    uint64_t mark_size;
    uint32_t stamp;
    /* char_wb: the ids of every n-gram of a word, so that a word is cut up once */
    terms_t words;
    uint64_t *word_ends;
    uint64_t word_ends_capacity;
    uint32_t *word_ids;
    uint64_t n_word_ids, word_ids_capacity;
} scratch_t;

enum { TEXT_OK = 0, TEXT_NO_MEMORY = -1 };

typedef struct {
    /* Append the rows of docs[0:n] to scratch->entries and write their lengths. */
    int (*count)(scratch_t *scratch, const analyzer_t *analyzer, const resolver_t *resolver, const document_t *docs,
                 int64_t n, int64_t *row_lengths);
    void (*fill_characters)(characters_t *characters);
} text_ops;

TIER_DECLARE(text_ops, text_ops)

static inline void scratch_free(scratch_t *scratch) {
    free(scratch->text);
    free(scratch->edges);
    free(scratch->entries);
    free(scratch->mark);
    terms_free(&scratch->words);
    free(scratch->word_ends);
    free(scratch->word_ids);
    memset(scratch, 0, sizeof *scratch);
}

#endif
