"""From an iterable of documents to the parts of a CSR matrix, on several threads.

Documents are taken from the iterable in batches, so that a generator needs the memory of one batch. The documents of a
batch are cut into blocks and each thread counts blocks into rows of its own, with numbers of its own for the terms it
adds. Which thread took which block is chance; the numbers that terms have in the end are not: block by block, in order
of the documents, new terms are numbered as they were first seen. Every sum is of integers. The result is therefore the
same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from deciban._kernels.terms import Terms, TermSort
from deciban._kernels.tokens import Analyzer, Counter, Documents
from deciban._parallel import effective_n_threads, run_blocks

BATCH_CHARACTERS = 1 << 24
BATCH_DOCUMENTS = 1 << 17
BLOCK_CHARACTERS = 1 << 17  # 0.4 ms of work
FEW_CHARACTERS = 1 << 16  # below this one call does all
DROPPED = 2**32 - 1  # the number of a term that is not of the vocabulary


class Block(NamedTuple):
    """Rows start..stop, which a counter holds from entry ``first`` on; its terms n_before..n_after are new in them."""

    start: int
    stop: int
    worker: int
    first: int
    n_before: int
    n_after: int


@dataclass
class Rows:
    """Counted rows, scattered over the counters of several threads."""

    counters: list[Counter] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    lengths: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def number_terms(self) -> tuple[Terms, list[npt.NDArray[np.uint32] | None]]:
        """Number the terms of all counters as they were first seen.

        Returns
        -------
        terms : Terms
            All of them.
        numbers : list of ndarray or None
            For each counter the number of each of its terms; None where they are the same.
        """
        if len(self.counters) == 1:
            return self.counters[0].terms, [None]
        for counter in self.counters:
            counter.seal()
        terms = Terms()
        terms.reserve(max((len(counter.terms) for counter in self.counters), default=0))
        numbers = [np.empty(len(counter.terms), np.uint32) for counter in self.counters]
        for block in self.blocks:
            terms.add_from(self.counters[block.worker].terms, block.n_before, block.n_after, numbers[block.worker])
        return terms, list(numbers)

    def frequencies(
        self, n_terms: int, numbers: list[npt.NDArray[np.uint32] | None]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return for each term in how many rows it is and how often it occurs in all."""
        documents, occurrences = np.zeros(n_terms, np.int64), np.zeros(n_terms, np.int64)
        for counter, number in zip(self.counters, numbers, strict=True):
            n_own = len(counter.terms)
            own_documents, own_occurrences = np.zeros(n_own, np.int64), np.zeros(n_own, np.int64)
            counter.frequencies(0, counter.n_entries, own_documents, own_occurrences)
            where = slice(None) if number is None else number
            documents[where] += own_documents
            occurrences[where] += own_occurrences
        return documents, occurrences

    def finish(self, orders: list[npt.NDArray[np.uint32] | None], n_ids: int) -> None:
        """Renumber the entries of each counter by its order (see ``Counter.finish``), sort and merge the rows."""

        def task(i: int, _worker: int) -> None:
            block = self.blocks[i]
            lengths = self.lengths[block.start : block.stop]
            self.counters[block.worker].finish(block.first, lengths, orders[block.worker], n_ids)

        run_blocks(task, len(self.blocks))

    def write(
        self, columns: npt.NDArray[np.int32] | None, binary: bool, dtype: npt.DTypeLike
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Return data, indices and indptr, the indices of 32 bits where they fit."""
        dtype = np.dtype(dtype)
        native = dtype if dtype in _NATIVE_DTYPES else np.dtype(np.int64)
        ends = np.cumsum(self.lengths)
        n_entries = int(ends[-1]) if len(ends) else 0
        index_dtype = np.int32 if n_entries < 2**31 else np.int64
        indptr = np.zeros(len(ends) + 1, index_dtype)
        indptr[1:] = ends
        indices, data = np.empty(n_entries, index_dtype), np.empty(n_entries, native)

        def task(i: int, _worker: int) -> None:
            block = self.blocks[i]
            to = slice(int(indptr[block.start]), int(indptr[block.stop]))
            self.counters[block.worker].write(block.first, columns, binary, indices[to], data[to])

        run_blocks(task, len(self.blocks))
        return data.astype(dtype, copy=False), indices, indptr


def sort_terms(terms: Terms) -> npt.NDArray[np.uint32]:
    """Return the numbers of terms in order of their code points."""
    sort = TermSort(terms)
    order = np.empty(len(terms), np.uint32)
    ranges = sort.cut(1 << 14)
    run_blocks(lambda i, _worker: sort.sort(*ranges[i], order), len(ranges))
    return order


_NATIVE_DTYPES = {np.dtype(t) for t in (np.int32, np.int64, np.float32, np.float64)}


def fill(documents: Documents, iterator: Iterator[Any]) -> bool:
    """Take a batch of documents; return whether there may be more."""
    return documents.fill(iterator, BATCH_CHARACTERS, BATCH_DOCUMENTS)


def count_rows(
    documents: Documents,
    iterator: Iterator[Any],
    analyzer: Analyzer,
    make_counter: Callable[[int], Counter],
    more: bool | None = None,
) -> Rows:
    """Count the terms of every document.

    Parameters
    ----------
    documents : Documents
        Knows how to prepare them; empty, or filled by :func:`fill`.
    iterator : iterator
        The documents.
    analyzer : Analyzer
        Cuts documents into terms.
    make_counter : callable
        Makes a thread's counter, given the number of characters of the batch.
    more : bool or None
        What :func:`fill` returned, if it was called before.
    """
    rows = Rows()
    lengths: list[npt.NDArray[np.int64]] = []
    n_rows = 0
    if more is None:
        more = fill(documents, iterator)
    while True:
        n_documents = len(documents)
        batch_lengths = np.empty(n_documents, np.int64)
        cuts = documents.cut(BLOCK_CHARACTERS)
        n_threads = min(len(cuts), effective_n_threads()) if len(cuts) > 1 else len(cuts)
        while len(rows.counters) < n_threads:
            rows.counters.append(make_counter(documents.n_characters))
        task = _counting_task(rows, documents, analyzer, cuts, batch_lengths, n_rows)
        run_blocks(task, len(cuts), n_threads)
        lengths.append(batch_lengths)
        n_rows += n_documents
        if not more:
            break
        more = fill(documents, iterator)
    rows.blocks.sort()
    rows.lengths = np.concatenate(lengths)
    return rows


def _counting_task(
    rows: Rows,
    documents: Documents,
    analyzer: Analyzer,
    cuts: list[tuple[int, int]],
    lengths: npt.NDArray[np.int64],
    first_row: int,
) -> Callable[[int, int], None]:
    def task(i: int, worker: int) -> None:
        counter = rows.counters[worker]
        start, stop = cuts[i]
        first, n_before = counter.n_entries, counter.n_terms
        counter.count(analyzer, documents, start, stop, lengths)
        rows.blocks.append(Block(first_row + start, first_row + stop, worker, first, n_before, counter.n_terms))

    return task
