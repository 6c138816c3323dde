"""The command line of the demonstration."""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import deciban
from deciban._parallel import effective_n_threads
from deciban.demo.measure import LIBRARIES, added_memory, differences, time_stages
from deciban.demo.report import describe_machine, draw, print_table
from deciban.demo.texts import docstring_corpus, load_corpus


@contextmanager
def _progress(n_steps: int) -> Iterator[Callable[[str], None]]:
    """Show how far the work is, by tqdm's bar or else a line a step; yields a function that says what comes next."""
    if importlib.util.find_spec("tqdm") is None:
        number = itertools.count(1)
        yield lambda what: print(f"[{next(number)}/{n_steps}] {what}", file=sys.stderr)
        return
    from tqdm import tqdm

    with tqdm(total=n_steps, unit="step", leave=False, disable=None) as bar:

        def step(what: str) -> None:
            bar.set_description(what)
            bar.update()

        yield step


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m deciban.demo",
        description="Run scikit-learn and deciban on the same texts, side by side; or, with digits as the first "
        "argument, classify and generate handwritten digits.",
    )
    parser.add_argument("--docstrings", action="store_true", help="use docstrings even where the 20 newsgroups are")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="repetitions (default: 5)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads for deciban (default: all it is granted)")
    parser.add_argument("--plot", metavar="FILE", help="draw the comparison (needs matplotlib)")
    options = parser.parse_args(argv)
    if options.repeat < 1 or (options.threads is not None and options.threads < 1):
        parser.error("--repeat and --threads take a number of at least 1")
    if options.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib: pip install matplotlib")
    return options


def _run(options: argparse.Namespace) -> int:
    corpus = docstring_corpus() if options.docstrings else load_corpus()
    print(describe_machine())
    print(
        f"{corpus.name}: {len(corpus.train):,} texts to learn from ({sum(map(len, corpus.train)) / 1e6:.1f} million"
        f" characters), {len(corpus.test):,} to predict, {len(set(corpus.train_labels))} classes"
    )

    times: dict[str, list[dict[str, float]]] = {library: [] for library in LIBRARIES}
    memory = {}
    with _progress(len(LIBRARIES) * (options.repeat + 1) + 1) as step:
        step("comparing results")
        checks, accuracy = differences(corpus)
        for repetition in range(options.repeat):
            for library in LIBRARIES[:: 1 - 2 * (repetition % 2)]:  # side by side, and each goes first in turn
                step(f"timing {library}")
                times[library].append(time_stages(library, corpus))
        for library in LIBRARIES:
            step(f"weighing {library}")
            memory[library] = added_memory(library, corpus)

    for what, difference in checks:
        print(f"  DIFFERENT  {what}: {difference}" if difference else f"  same  {what}")
    print(f"  {accuracy:.1%} of the predictions are right")
    print_table(times, memory)
    if options.plot:
        title = f"{corpus.name}: {len(corpus.train):,} texts to learn from, {len(corpus.test):,} to predict"
        draw(options.plot, f"{title} ({effective_n_threads()} threads)", times, memory)
        print(f"drew {options.plot}")
    return int(any(difference for _, difference in checks))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments; None for those of the command line.

    Returns
    -------
    status : int
        0, or 1 if the libraries do not answer the same.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] == ["digits"]:
        from deciban.demo import digits

        return digits.main(arguments[1:])
    options = _arguments(arguments)
    if options.threads:
        deciban.set_config(n_threads=options.threads)
    return _run(options)


if __name__ == "__main__":
    sys.exit(main())
