"""The tables of a comparison, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runs import OURS, STBP, THEIRS, TILES, Run, Summary, comparisons, geometric_mean

MIB = 2**20


def tables(runs: Sequence[Run]) -> str:
    """How much faster a network trains here, and below it all that was measured."""
    return f"{speed(runs)}\n\n{everything(runs)}"


def speed(runs: Sequence[Run]) -> str:
    """A line a network: their best configuration's time divided by `stbp`'s, and by that with larger tiles if it was measured."""
    lines = [("network", "by medians", "by fastest steps"), ("---", "---:", "---:")]
    owns = [STBP]
    if any(run.configuration == TILES for run in runs):
        owns.append(TILES)
        lines = [(*lines[0], "tiles of 4, by medians", "by fastest steps"), (*lines[1], "---:", "---:")]
    ratios = [
        (comparison.net, [ratio for own in owns for ratio in comparison.speed(own)])
        for comparison in comparisons(runs)
    ]
    means = [geometric_mean(column) for column in zip(*(ratio for _, ratio in ratios), strict=True)]
    for name, ratio in [*ratios, ("geometric mean", means)]:
        lines.append((name, *(f"{value:.2f}" for value in ratio)))
    return markdown(lines)


def everything(runs: Sequence[Run]) -> str:
    """A line a network, program and configuration; theirs also divided by `stbp`'s."""
    sizes = ("saved, MiB", "resident grew, MiB", "s a step, median", "fastest")
    lines = [("network", "program", *sizes, "saved", "resident", "median", "fastest")]
    lines.append(("---", "---", *["---:"] * 8))
    for comparison in comparisons(runs):
        base = comparison.ours[STBP]
        for method, summary in comparison.ours.items():
            ratios = [""] * 4 if method == STBP else divided(summary, base)
            lines.append((comparison.net, f"{OURS}, {method}", *cells(summary), *ratios))
        for configuration, summary in comparison.theirs.items():
            program = f"{THEIRS}, {configuration}"
            lines.append((comparison.net, program, *cells(summary), *divided(summary, base)))
    return markdown(lines)


def cells(summary: Summary) -> list[str]:
    """MiB and seconds."""
    sizes = (summary.saved_bytes, summary.resident_growth_bytes)
    seconds = (summary.median_seconds, summary.fastest_seconds)
    return [f"{size / MIB:.1f}" for size in sizes] + [f"{second:.3f}" for second in seconds]


def divided(summary: Summary, base: Summary) -> list[str]:
    """Each number divided by the base's."""
    return [
        f"{summary.saved_bytes / base.saved_bytes:.2f}",
        f"{summary.resident_growth_bytes / base.resident_growth_bytes:.2f}",
        f"{summary.median_seconds / base.median_seconds:.2f}",
        f"{summary.fastest_seconds / base.fastest_seconds:.2f}",
    ]


def markdown(lines: Iterable[Sequence[str]]) -> str:
    """Lines of cells."""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
