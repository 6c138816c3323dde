"""Counting the terms of documents: the Python face of text.c.

:class:`Documents` holds strings as the C loops read them, :class:`Analyzer` says how they are cut into terms, and a
:class:`Counter` (one for each thread) counts ranges of documents into rows of (term, count) entries, which it then
sorts and writes out as the parts of a CSR matrix. The loops, their cost and their sources are described in text.c and
rows.h.
"""

cimport cython
cimport numpy as np
from cpython.unicode cimport PyUnicode_CheckExact
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset

from deciban._kernels.terms cimport Terms, terms_give_up_slots, terms_t
from deciban._kernels.types cimport data_t, index_t

np.import_array()

cdef extern from *:
    """
    #define text_is_ascii(s) PyUnicode_IS_ASCII(s)
    #define text_kind(s) PyUnicode_KIND(s)
    #define text_data(s) PyUnicode_DATA(s)
    #define text_length(s) PyUnicode_GET_LENGTH(s)
    """
    bint text_is_ascii(object s)
    int text_kind(object s)
    void* text_data(object s)
    Py_ssize_t text_length(object s)

cdef extern from "text.h" nogil:
    ctypedef struct document_t:
        const void* data
        int64_t length
        uint8_t kind, is_ascii, lower
    int DOCUMENT_MAX
    int ANALYZE_WORD, ANALYZE_CHAR, ANALYZE_CHAR_WB
    ctypedef struct characters_t:
        pass
    ctypedef struct analyzer_t:
        int analyze, token_is_word
        int64_t min_length, min_n, max_n
        const terms_t* stop_words
        const characters_t* characters
    int RESOLVE_ADD, RESOLVE_FIND, RESOLVE_HASH
    ctypedef struct resolver_t:
        int how
        terms_t* terms
        uint32_t n_features
        int alternate_sign
    ctypedef struct entry_t:
        uint32_t id
        int32_t count
    ctypedef struct scratch_t:
        entry_t* entries
        uint64_t n_entries
        uint64_t* mark
        uint64_t mark_size
        terms_t words
    ctypedef struct text_ops:
        int count(scratch_t*, const analyzer_t*, const resolver_t*, const document_t*, int64_t, int64_t*) noexcept nogil
        void fill_characters(characters_t*) noexcept nogil
    const text_ops* text_ops_select()
    void scratch_free(scratch_t*)

cdef extern from "rows.h" nogil:
    int rows_finish(entry_t* entries, int64_t* lengths, int64_t n_rows, const uint32_t* order, int bits)

cdef const text_ops* ops = text_ops_select()
cdef characters_t CHARACTERS
ops.fill_characters(&CHARACTERS)


cdef class Analyzer:
    """How documents are cut into terms.

    Parameters
    ----------
    analyze : {"word", "char", "char_wb"}
    token_is_word : bool
        Tokens are maximal runs of ``\\w``; otherwise of ``\\S``.
    min_length : int
        Characters a token must have.
    min_n, max_n : int
        Lengths of n-grams, at least 1.
    stop_words : Terms or None
    """

    cdef analyzer_t c
    cdef Terms stop_words

    def __cinit__(self, str analyze, bint token_is_word, int64_t min_length, int64_t min_n, int64_t max_n,
                  Terms stop_words):
        if min_n < 1 or min_length < 1:
            raise ValueError(f"n-grams and tokens must have a length of at least 1, got {min_n} and {min_length}")
        self.c.analyze = {"word": ANALYZE_WORD, "char": ANALYZE_CHAR, "char_wb": ANALYZE_CHAR_WB}[analyze]
        self.c.token_is_word = token_is_word
        self.c.min_length = min_length
        self.c.min_n = min_n
        self.c.max_n = max_n
        self.stop_words = stop_words
        self.c.stop_words = NULL if stop_words is None else &stop_words.c
        self.c.characters = &CHARACTERS


cdef bint _lower_needs_context(const void* data, Py_ssize_t n, int kind) noexcept nogil:
    # LATIN CAPITAL LETTER I WITH DOT ABOVE becomes two characters, a capital sigma depends on where it stands
    cdef Py_ssize_t i
    cdef bint found = False
    if kind == 2:
        for i in range(n):
            found |= ((<const uint16_t*> data)[i] == 0x130) | ((<const uint16_t*> data)[i] == 0x3A3)
    elif kind == 4:
        for i in range(n):
            found |= ((<const uint32_t*> data)[i] == 0x130) | ((<const uint32_t*> data)[i] == 0x3A3)
    return found


cdef class Documents:
    """Strings, held so that the C loops can read them without the interpreter.

    Parameters
    ----------
    lower : bool
        Fold case while reading.
    prepare : callable
        ``prepare(item) -> (str, lower)`` makes a str of what is not a plain one, and says whether case is still to be
        folded.
    prepare_all, prepare_non_ascii : bool
        Whether plain strings, or those of them that are not ASCII, go through ``prepare`` too.
    """

    cdef list strings
    cdef document_t* c
    cdef Py_ssize_t n, capacity
    cdef bint lower, prepare_all, prepare_non_ascii
    cdef object prepare
    cdef readonly int64_t n_characters

    def __cinit__(self, bint lower, prepare, bint prepare_all=False, bint prepare_non_ascii=False):
        self.lower = lower
        self.prepare = prepare
        self.prepare_all = prepare_all
        self.prepare_non_ascii = prepare_non_ascii
        self.strings = []

    def __dealloc__(self):
        free(self.c)

    def __len__(self):
        return self.n

    cpdef bint fill(self, iterator, int64_t max_characters, Py_ssize_t max_documents) except -1:
        """Take documents from an iterator, in place of those held, until a limit is reached; False when it ends."""
        cdef document_t* doc
        cdef bint lower
        cdef Py_ssize_t capacity
        self.strings.clear()
        self.n = 0
        self.n_characters = 0
        for item in iterator:
            lower = self.lower
            if (
                not PyUnicode_CheckExact(item)
                or self.prepare_all
                or (self.prepare_non_ascii and not text_is_ascii(item))
            ):
                item, lower = self.prepare(item)
            if (
                lower
                and text_kind(item) != 1
                and _lower_needs_context(text_data(item), text_length(item), text_kind(item))
            ):
                item = item.lower()
                lower = False
            if text_length(item) > DOCUMENT_MAX:
                raise ValueError(f"a document must have at most {DOCUMENT_MAX} characters, got {text_length(item)}")
            if self.n == self.capacity:
                capacity = 2 * self.capacity + 16
                doc = <document_t*> realloc(self.c, capacity * sizeof(document_t))
                if doc == NULL:
                    raise MemoryError("no memory for more documents")
                self.c = doc
                self.capacity = capacity
            self.strings.append(item)
            doc = &self.c[self.n]
            doc.data = text_data(item)
            doc.length = text_length(item)
            doc.kind = text_kind(item)
            doc.is_ascii = text_is_ascii(item)
            doc.lower = lower
            self.n += 1
            self.n_characters += doc.length
            if self.n_characters >= max_characters or self.n >= max_documents:
                return True
        return False

    def cut(self, int64_t n_characters):
        """Cut the documents into ranges (start, stop) of about n_characters each."""
        cdef Py_ssize_t i, start = 0
        cdef int64_t total = 0
        cdef list blocks = []
        for i in range(self.n):
            total += self.c[i].length + 64
            if total >= n_characters or i + 1 == self.n:
                blocks.append((start, i + 1))
                start = i + 1
                total = 0
        return blocks


cdef int _bits(Py_ssize_t n_ids) noexcept nogil:
    """How many bits numbers below n_ids need."""
    cdef int bits = 1
    while bits < 63 and (<Py_ssize_t> 1 << bits) < n_ids:
        bits += 1
    return bits


@cython.final
cdef class Counter:
    """Counts documents into rows of entries; one for each thread.

    Parameters
    ----------
    terms : Terms or None
        The vocabulary; None for the hashing trick.
    add : bool
        Whether unknown terms are added to the vocabulary (then no other thread may use it) or passed over.
    n_features : int
        Columns of the hashing trick.
    alternate_sign : bool
        Whether half of the hashed terms count -1.
    """

    cdef scratch_t c
    cdef resolver_t resolver
    cdef readonly Terms terms
    cdef bint sealed

    def __cinit__(self, Terms terms, bint add=False, uint32_t n_features=0, bint alternate_sign=False):
        self.terms = terms
        if terms is None:
            if not 1 <= n_features <= 0x7FFFFFFF:
                raise ValueError(f"n_features must be from 1 to 2**31 - 1, got {n_features}")
            self.resolver.how = RESOLVE_HASH
            self.resolver.n_features = n_features
            self.resolver.alternate_sign = alternate_sign
        else:
            self.resolver.how = RESOLVE_ADD if add else RESOLVE_FIND
            self.resolver.terms = &terms.c
            self.c.words.seed = terms.c.seed

    def __dealloc__(self):
        scratch_free(&self.c)

    @property
    def n_entries(self):
        return self.c.n_entries

    @property
    def n_terms(self):
        return 0 if self.terms is None else self.terms.c.n_terms

    def mark_rows(self):
        """Merge a term's occurrences as they come, at the price of 8 bytes a column (adding does so anyway)."""
        cdef uint64_t size = self.resolver.n_features if self.terms is None else self.terms.c.n_terms
        if self.resolver.how != RESOLVE_ADD and self.c.mark == NULL:
            self.c.mark = <uint64_t*> calloc(size, sizeof(uint64_t))
            if self.c.mark == NULL:
                raise MemoryError("no memory for marks")
            self.c.mark_size = size

    def seal(self):
        """Give up what only counting needs: no more documents can be counted, nor terms be looked up."""
        free(self.c.mark)
        self.c.mark = NULL
        self.c.mark_size = 0
        self.sealed = True
        if self.resolver.how == RESOLVE_ADD:
            terms_give_up_slots(&self.terms.c)

    def count(self, Analyzer analyzer, Documents documents, Py_ssize_t start, Py_ssize_t stop,
              int64_t[::1] lengths_out):
        """Append the rows of documents[start:stop]; lengths_out[start:stop] receives how many entries each has."""
        cdef int status
        if not 0 <= start < stop <= documents.n or lengths_out.shape[0] < stop:
            raise ValueError(f"documents {start} to {stop} are not among {documents.n}")
        if self.sealed:
            raise ValueError("the counter is sealed")
        with nogil:
            status = ops.count(
                &self.c, &analyzer.c, &self.resolver, &documents.c[start], stop - start, &lengths_out[start]
            )
        if status:
            raise MemoryError("no memory for more terms (or more than 2**31 of them)")

    def frequencies(self, Py_ssize_t start, Py_ssize_t stop, int64_t[::1] documents_out, int64_t[::1] occurrences_out):
        """Add to each term's number of rows, and its number of occurrences, over entries start..stop."""
        cdef Py_ssize_t i
        cdef Py_ssize_t n_columns = min(documents_out.shape[0], occurrences_out.shape[0])
        if not 0 <= start <= stop <= <Py_ssize_t> self.c.n_entries or n_columns < self.terms.c.n_terms:
            raise ValueError("entries or columns out of range")
        with nogil:
            for i in range(start, stop):
                documents_out[self.c.entries[i].id] += 1
                occurrences_out[self.c.entries[i].id] += self.c.entries[i].count

    def finish(self, Py_ssize_t start, int64_t[::1] lengths, const uint32_t[::1] order, Py_ssize_t n_ids):
        """Sort and merge the rows from entry `start` on, in place; see rows_finish in rows.h. Updates lengths.

        ``order`` renumbers the terms with numbers below n_ids, or 2**32 - 1 for a term to be dropped; None leaves them
        as they are.
        """
        cdef int bits = _bits(n_ids)
        cdef Py_ssize_t row
        cdef int64_t total = 0
        cdef int status
        for row in range(lengths.shape[0]):
            total += lengths[row]
        if start < 0 or start + total > <Py_ssize_t> self.c.n_entries:
            raise ValueError("rows out of range")
        if order is not None and self.terms is not None and order.shape[0] < self.terms.c.n_terms:
            raise ValueError("order must number every term")
        if lengths.shape[0] == 0:
            return
        with nogil:
            status = rows_finish(
                self.c.entries + start, &lengths[0], lengths.shape[0],
                &order[0] if order is not None and order.shape[0] else NULL, bits,
            )
        if status:
            raise MemoryError("no memory to sort rows")

    def write(self, Py_ssize_t start, const int[::1] column, bint binary, index_t[::1] indices_out,
              data_t[::1] data_out):
        """Write the entries from `start` on as columns and values: column[id] (None: id), and count or 1."""
        cdef Py_ssize_t i, n = indices_out.shape[0]
        cdef const entry_t* entries = self.c.entries + start
        if start < 0 or start + n > <Py_ssize_t> self.c.n_entries or data_out.shape[0] != n:
            raise ValueError("entries out of range")
        with nogil:
            if column is None:
                for i in range(n):
                    indices_out[i] = <index_t> entries[i].id
            else:
                for i in range(n):
                    indices_out[i] = column[entries[i].id]
            if binary:
                for i in range(n):
                    data_out[i] = 1
            else:
                for i in range(n):
                    data_out[i] = <data_t> entries[i].count


def count_few(Analyzer analyzer, Documents documents, Terms terms, order, Py_ssize_t n_columns, bint binary):
    """Count the documents held, finish and write their rows, in one call.

    For few documents, where calls would cost more than the work: a document takes a few microseconds. ``order`` is as
    for :meth:`Counter.finish`.

    Returns
    -------
    data : ndarray of int64
    indices, indptr : ndarray of int32
        The parts of a CSR matrix of n_columns columns, with sorted indices.
    """
    cdef scratch_t scratch
    cdef resolver_t resolver
    cdef np.npy_intp i, n_entries, n_rows = documents.n, n_ends = documents.n + 1
    cdef int status
    cdef const uint32_t* numbers
    cdef int64_t* lengths
    cdef int64_t* data_out
    cdef int32_t* indices_out
    cdef int32_t* indptr_out
    if not (
        isinstance(order, np.ndarray) and np.PyArray_TYPE(order) == np.NPY_UINT32 and np.PyArray_NDIM(order) == 1
        and np.PyArray_ISCARRAY_RO(order)
    ):
        raise TypeError("order must be a contiguous array of uint32")
    if n_rows == 0 or np.PyArray_DIM(order, 0) < terms.c.n_terms or terms.c.n_terms == 0:
        raise ValueError("there must be documents and terms, and order must number every term")
    numbers = <const uint32_t*> np.PyArray_DATA(order)
    memset(&scratch, 0, sizeof(scratch))
    memset(&resolver, 0, sizeof(resolver))
    resolver.how = RESOLVE_FIND
    resolver.terms = &terms.c
    scratch.words.seed = terms.c.seed
    lengths = <int64_t*> calloc(n_rows, sizeof(int64_t))
    try:
        if lengths == NULL:
            raise MemoryError("no memory for the lengths of rows")
        with nogil:
            status = ops.count(&scratch, &analyzer.c, &resolver, documents.c, n_rows, lengths)
            if status == 0:
                status = rows_finish(scratch.entries, lengths, n_rows, numbers, _bits(n_columns))
        if status:
            raise MemoryError("no memory for more terms")
        indptr = np.PyArray_EMPTY(1, &n_ends, np.NPY_INT32, 0)
        indptr_out = <int32_t*> np.PyArray_DATA(indptr)
        indptr_out[0] = 0
        for i in range(n_rows):
            indptr_out[i + 1] = <int32_t> (indptr_out[i] + lengths[i])
        n_entries = indptr_out[n_rows]
        data = np.PyArray_EMPTY(1, &n_entries, np.NPY_INT64, 0)
        indices = np.PyArray_EMPTY(1, &n_entries, np.NPY_INT32, 0)
        data_out, indices_out = <int64_t*> np.PyArray_DATA(data), <int32_t*> np.PyArray_DATA(indices)
        for i in range(n_entries):
            indices_out[i] = <int32_t> scratch.entries[i].id
            data_out[i] = 1 if binary else scratch.entries[i].count
        return data, indices, indptr
    finally:
        free(lengths)
        scratch_free(&scratch)
