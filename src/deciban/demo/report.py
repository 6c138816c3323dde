"""What was measured, as a table and as a picture."""

from __future__ import annotations

import math
import os
import platform
import statistics
from pathlib import Path

import numpy as np
import scipy
import sklearn

import deciban
from deciban._parallel import effective_n_threads
from deciban.demo.measure import LIBRARIES, STAGES

Times = dict[str, list[dict[str, float]]]


def describe_machine() -> str:
    """Return one line each on the machine and on the versions."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line[:10] == "model name"]
        cpu = models[0] if models else cpu
    versions = {
        "Python": platform.python_version(),
        "scikit-learn": sklearn.__version__,
        "deciban": deciban.__version__,
    }
    versions |= {"numpy": np.__version__, "scipy": scipy.__version__}
    return (
        f"{cpu}, {os.cpu_count()} CPUs ({effective_n_threads()} for deciban), {platform.system()}\n"
        f"{', '.join(' '.join(pair) for pair in versions.items())}"
    )


def format_seconds(seconds: float) -> str:
    """Return a time to three digits, in a unit that suits it."""
    factor, unit = next(
        pair for pair in ((1, "s"), (1e3, "ms"), (1e6, "us")) if seconds * pair[0] >= 1 or pair[0] == 1e6
    )
    return f"{seconds * factor:.3g} {unit}"


def ratios(times: Times, stage: str) -> list[float]:
    """Return how many times faster deciban was at a stage, in each repetition."""
    theirs, ours = (times[library] for library in LIBRARIES)
    return [a[stage] / b[stage] for a, b in zip(theirs, ours, strict=True)]


def print_table(times: Times, memory: dict[str, float]) -> None:
    """Print times and memory side by side.

    Parameters
    ----------
    times : dict of str to list of dict
        For each library what :func:`~deciban.demo.measure.time_stages` returned, in each repetition.
    memory : dict of str to float
        For each library what :func:`~deciban.demo.measure.added_memory` returned.
    """
    print(f"\n{'median':34}{'scikit-learn':>14}{'deciban':>12}   times faster (least to most)")
    for stage, title in STAGES.items():
        theirs, ours = (format_seconds(statistics.median(run[stage] for run in times[name])) for name in LIBRARIES)
        faster = ratios(times, stage)
        spread = f"{statistics.median(faster):7.1f} ({min(faster):.1f} to {max(faster):.1f})"
        print(f"{title:34}{theirs:>14}{ours:>12}{spread}")
    theirs_mb, ours_mb = (memory[library] for library in LIBRARIES)
    if math.isnan(theirs_mb + ours_mb):
        print("memory: this system does not say")
    else:
        megabytes = f"{theirs_mb:>11.0f} MB{ours_mb:>9.0f} MB{theirs_mb / ours_mb:7.1f} times less"
        print(f"{'peak memory on top of the texts':34}{megabytes}")


def draw(path: str, title: str, times: Times, memory: dict[str, float]) -> None:
    """Draw times and memory.

    Parameters
    ----------
    path : str
        Of the picture; its suffix says the format.
    title : str
    times, memory : dict
        As for :func:`print_table`.
    """
    from matplotlib.figure import Figure

    colours = dict(zip(LIBRARIES, ("#8a93a0", "#d1495b"), strict=True))
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[3.6, 1])
    rows = np.arange(len(STAGES))
    middles = []
    for library in LIBRARIES:
        runs = np.array([[run[stage] for stage in STAGES] for run in times[library]])
        middle = np.median(runs, axis=0)
        middles.append(middle)
        left.hlines(rows, runs.min(axis=0), runs.max(axis=0), color=colours[library], linewidth=7, alpha=0.35)
        left.plot(middle, rows, "o", color=colours[library], markersize=9, label=library)
        for row, seconds in zip(rows, middle, strict=True):
            left.annotate(
                format_seconds(seconds), (seconds, row), (0, -17), textcoords="offset points", ha="center", fontsize=8
            )
    left.hlines(rows, *middles, color="#d9dce1", linewidth=2, zorder=0)
    for row, stage, x in zip(rows, STAGES, np.sqrt(middles[0] * middles[1]), strict=True):
        faster = f"{statistics.median(ratios(times, stage)):.1f}x"
        left.annotate(faster, (x, row), (0, 5), textcoords="offset points", ha="center", fontsize=11, weight="bold")
    left.set_xscale("log")
    left.set_yticks(rows, list(STAGES.values()))
    left.set_ylim(len(rows) - 0.4, -0.6)
    left.set_xlabel("seconds, logarithmic: median, and shaded all repetitions")
    left.grid(axis="x", color="#eeeeee")
    left.legend(frameon=False, loc="lower right")
    bars = right.bar(LIBRARIES, [memory[library] for library in LIBRARIES], 0.6, color=list(colours.values()))
    right.bar_label(bars, fmt="%.0f MB", padding=2)
    right.set_xlabel("peak memory\non top of the texts")
    right.set_yticks([])
    for axes in (left, right):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(left=False)
        axes.set_axisbelow(True)
    figure.suptitle(title)
    figure.savefig(path, dpi=150)
