"""The chart of a comparison: one bar a network, their best time divided by ours, and the geometric mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from runs import STBP, Run, comparisons, geometric_mean

LINES = (1.0, 1.5, 2.0, 2.5)
BAR, MEAN, GRID, INK = "#4878a8", "#d1822f", "#c8c8c8", "#333333"


def draw(runs: Sequence[Run], path: Path) -> None:
    """Writes the chart; the same runs make the same bytes."""
    # Ids are random and the file carries a date unless told otherwise.
    mpl.rcParams |= {"svg.hashsalt": "peers", "font.family": "DejaVu Sans", "text.color": INK}
    found = comparisons(runs)
    ratios = [comparison.speed(STBP)[0] for comparison in found]
    mean = geometric_mean(ratios)
    figure = Figure(figsize=(8.0, 0.5 * len(found) + 1.7), layout="constrained")
    axes = figure.subplots()
    for line in LINES:
        axes.axvline(line, color=INK if line == 1.0 else GRID, linewidth=1.0, zorder=0)
    axes.barh([comparison.net for comparison in found], ratios, color=BAR, height=0.6, zorder=2)
    # At the foot of the bars, where no line runs through a number.
    for place, ratio in enumerate(ratios):
        axes.text(0.03, place, f"{ratio:.2f}", color="white", weight="bold", va="center", zorder=4)
    axes.axvline(mean, color=MEAN, linewidth=2.0, linestyle="--", zorder=3)
    axes.text(
        mean,
        -0.62,
        f" geometric mean {mean:.2f}",
        color=MEAN,
        ha="left",
        va="center",
        backgroundcolor="white",
    )
    axes.set_xlim(0.0, max(LINES[-1], *ratios) * 1.08)
    axes.set_ylim(len(found) - 0.5, -1.0)
    axes.set_xticks((0.0, *LINES), [f"{line:.1f}" for line in (0.0, *LINES)])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    first = runs[0]
    axes.set_xlabel(
        "training step of PyTorch + SpikingJelly, best configuration, divided by ours (stbp): above 1 ours is faster\n"
        f"medians, batch {first.batch}, {first.dtype}, threads: {first.threads}, {first.cpu}",
        fontsize="small",
    )
    figure.savefig(path, format="svg", metadata={"Date": None})
