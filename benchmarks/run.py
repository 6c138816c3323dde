"""Run every problem, contender after contender in turns, and say how many times faster than the first each is.

The first is scikit-learn, or SciPy for mathematics.

``python benchmarks/run.py`` prints a table and writes ``benchmark.json`` and ``benchmark.png``; ``--quick`` takes small
data, to see that all works. A turn is a pause, a call that is not timed, and then the mean of calls for 20 ms, for
every contender alike; the rows "the first" and "after a pause" have the call right after the pause, which wakes threads
and caches. A ratio is that of two times of the same round, so that what slows the machine down slows both; the table
has its median and extremes. Memory is that of one call in a fresh process, above what data, modules and fitted models
already take. Where the work is little but reading and writing, its bytes a second are given as a share of what copying
an array reaches in this run.
"""

import argparse
import gc
import importlib.util
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import data
import numpy as np
from peers import MissingPeerError
from problems import PROBLEMS
from threadpoolctl import threadpool_info
from tqdm import tqdm
from work import Contender, Problem, answer, check, limited, time_turn

from deciban._parallel import run_blocks
from deciban.demo.measure import peak_memory
from deciban.demo.report import describe_machine, format_seconds


def make_all(problem: Problem, samples: Any) -> tuple[dict[Contender, Any], dict[str, str]]:
    """Return the work of every contender that runs and agrees, and why the others do not."""
    works: dict[Contender, Any] = {}
    absent = {}
    expected = None
    for contender in problem.contenders:
        try:
            work = contender.make(samples)
        except MissingPeerError as error:
            absent[contender.name] = str(error)
            continue
        if expected is None:
            expected = answer(contender, work)
        else:
            check(problem, contender, work, expected)
        works[contender] = work
    return works, absent


def race(problem: Problem, works: dict[Contender, Any], options: argparse.Namespace) -> dict[str, list[float]]:
    """Time the contenders in turns, at least three rounds and no more once the seconds of a problem are spent."""
    times: dict[str, list[float]] = {contender.name: [] for contender in works}
    start = time.perf_counter()
    least = {"least": 0.0} if options.quick else {}
    for i in range(options.rounds):
        if i >= 3 and time.perf_counter() - start > options.budget:
            break
        for contender, work in list(works.items())[:: 1 - 2 * (i % 2)]:
            times[contender.name].append(time_turn(contender, work, problem.cold, **least) / problem.n_calls)
    return times


def weigh(problem: Problem, contender: Contender, quick: bool) -> float:
    """Return by how many MB one call raises the peak of memory of this process."""
    with limited(contender):
        work = contender.make(problem.data(quick))
        state = work.fresh()
        gc.collect()
        before = peak_memory(start_anew=True)
        work.call(state)
        after = peak_memory()
    return math.nan if before is None or after is None else after - before


def weigh_elsewhere(problem: Problem, contender: Contender, quick: bool) -> float:
    command = [sys.executable, __file__, "--weigh", problem.name, contender.name, *["--quick"] * quick]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def run_problem(problem: Problem, options: argparse.Namespace) -> dict[str, Any]:
    works, absent = make_all(problem, problem.data(options.quick))
    times = race(problem, works, options)
    contenders = list(works)
    del works  # fitted models may be large, and memory is measured elsewhere
    memory = {c.name: weigh_elsewhere(problem, c, options.quick) for c in contenders if options.memory}
    reference = times[problem.contenders[0].name]
    results = {
        contender.name: {
            "n_threads": contender.n_threads,
            "seconds": times[contender.name],
            "times_faster": [theirs / own for theirs, own in zip(reference, times[contender.name], strict=True)],
            "megabytes": memory.get(contender.name),
        }
        for contender in contenders
    }
    return {
        "group": problem.group,
        "problem": problem.name,
        "after_a_pause": problem.cold,
        "bytes": 0 if options.quick else problem.n_bytes,
        "contenders": results,
        "absent": absent,
    }


def copy_bandwidth() -> float:
    """Return how many bytes a second two threads read and write when they copy 160 MB: the best of seven."""
    source = np.ones(20_000_000)
    target = np.zeros_like(source)
    halves = (slice(0, len(source) // 2), slice(len(source) // 2, None))
    best = math.inf
    for _ in range(7):
        start = time.perf_counter()
        run_blocks(lambda half, _: np.copyto(target[halves[half]], source[halves[half]]), 2, 2)
        best = min(best, time.perf_counter() - start)
    return 2 * source.nbytes / best


def print_result(result: dict[str, Any], bandwidth: float) -> None:
    print(f"\n{result['group']}: {result['problem']}")
    for name, numbers in result["contenders"].items():
        ratios = numbers["times_faster"]
        spread = f"{statistics.median(ratios):8.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        megabytes = "" if numbers["megabytes"] is None else f"{numbers['megabytes']:,.0f} MB"
        seconds = format_seconds(statistics.median(numbers["seconds"]))
        share = result["bytes"] / statistics.median(numbers["seconds"]) / bandwidth
        traffic = f"{share:8.0%} of a copy" if share else ""
        print(f"  {name:26}{numbers['n_threads']} thread(s){seconds:>10}{spread:>30}{megabytes:>12}{traffic}")
    for name, reason in result["absent"].items():
        print(f"  {name:26}absent: {reason}")


def draw(results: list[dict[str, Any]], path: Path, title: str) -> None:
    """Draw the ratios, a row for each problem."""
    from matplotlib.figure import Figure

    styles = {"deciban": ("o", "#edae49", "deciban, 1 thread"), "deciban 2T": ("o", "#d1495b", "deciban, 2 threads")}
    figure = Figure(figsize=(11, 1.6 + 0.36 * len(results)), layout="constrained")
    axes = figure.subplots()
    seen = set()
    for row, result in enumerate(results):
        above = itertools.cycle((6, -12))  # names of neighbours do not meet
        for name, numbers in list(result["contenders"].items())[1:]:
            ratios = numbers["times_faster"]
            marker, colour, label = styles.get(name, ("D", "#5b7a99", "another library, or plain NumPy / SciPy"))
            axes.hlines(row, min(ratios), max(ratios), color=colour, linewidth=5, alpha=0.35)
            axes.plot(statistics.median(ratios), row, marker, color=colour, label=None if label in seen else label)
            seen.add(label)
            if name not in styles:
                at = (statistics.median(ratios), row)
                axes.annotate(
                    name, at, (0, next(above)), textcoords="offset points", ha="center", fontsize=7, color=colour
                )
    axes.axvline(1, color="#8a93a0", linewidth=2, zorder=0, label="scikit-learn, SciPy")
    axes.set_xscale("log")
    axes.set_yticks(range(len(results)), [result["problem"] for result in results])
    axes.set_ylim(len(results) - 0.4, -0.7)
    axes.set_xlabel("times faster than scikit-learn or SciPy, logarithmic: median, and shaded all rounds")
    ticks = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axes.minorticks_off()
    axes.grid(axis="x", color="#eeeeee")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="small data, two rounds, memory of nothing: seconds")
    parser.add_argument("--only", default="", metavar="TEXT", help="the problems whose group or name holds TEXT")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="at most so many rounds (default: 9)")
    parser.add_argument("--budget", type=float, default=40, metavar="S", help="seconds a problem (default: 40)")
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="do not measure memory")
    parser.add_argument("--output", type=Path, default=Path("."), metavar="DIR", help="where JSON and PNG go")
    parser.add_argument("--weigh", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.weigh:
        problem = next(problem for problem in PROBLEMS if problem.name == options.weigh[0])
        print(weigh(problem, next(c for c in problem.contenders if c.name == options.weigh[1]), options.quick))
        return

    machine = describe_machine()
    n_blas = max(library["num_threads"] for library in threadpool_info())
    print(f"{machine}\ntexts: {data.corpus().name}\nBLAS threads: {n_blas}")
    bandwidth = copy_bandwidth()
    print(f"copying: {bandwidth / 1e9:.1f} GB/s")
    print('times: after a call that wakes all; of "the first" and "after a pause" the first call after 50 ms of rest')
    print("columns: threads, median time, times faster than the first (least to most), memory of one call")
    if options.quick:
        options.rounds, options.memory = 2, False
    results = []
    chosen = [problem for problem in PROBLEMS if options.only in f"{problem.group} {problem.name}"]
    for problem in tqdm(chosen, disable=None, leave=False):
        results.append(run_problem(problem, options))
        with tqdm.external_write_mode():
            print_result(results[-1], bandwidth)
    options.output.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": machine,
        "n_cpus": os.cpu_count(),
        "n_blas_threads": n_blas,
        "copy_bytes_per_second": bandwidth,
        "texts": data.corpus().name,
        "results": results,
    }
    (options.output / "benchmark.json").write_text(json.dumps(content, indent=1))
    if importlib.util.find_spec("matplotlib"):
        draw(results, options.output / "benchmark.png", machine.replace("\n", ": "))


if __name__ == "__main__":
    main()
