"""Runs as they stand in a file, a line each, and what several rounds of them say."""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

OURS = "harness"
THEIRS = "spikingjelly"
STBP = "stbp"
"""Our method that does what they do: backpropagation through time with nothing rebuilt."""
TILES = "stbp, tiles of 4"
"""The same with input gradients by larger tiles: faster, with larger rounding errors."""


@dataclass(frozen=True)
class Run:
    """One process's measurement; sizes in bytes, time in seconds."""

    peer: str
    version: str
    configuration: str
    """Our method and its choices; the memory layout of their tensors, and whether their network was compiled."""
    net: str
    steps_t: int
    batch: int
    image: str
    dtype: str
    threads: int
    train_steps: int
    round: int
    parameters: int
    saved_bytes: int
    """What backward needs and forward keeps: without parameters, running statistics and the batch."""
    resident_growth_bytes: int
    step_seconds: float
    """Median of the steps after the first one."""
    fastest_step_seconds: float
    """The fastest of them."""
    firing_rate: float
    cpu: str
    git_revision: str


def read(path: Path) -> list[Run]:
    """The runs of a file that an earlier call wrote."""
    kinds = {"int": int, "float": float, "str": str}
    with path.open(newline="") as file:
        return [
            Run(**{f.name: kinds[f.type](row[f.name]) for f in fields(Run)}) for row in csv.DictReader(file)
        ]


@dataclass(frozen=True)
class Summary:
    """The rounds of one program in one configuration with one network.

    The median is that of the rounds' medians; the fastest is the fastest step of all, as other work only adds to it.
    """

    saved_bytes: float
    resident_growth_bytes: float
    median_seconds: float
    fastest_seconds: float

    @classmethod
    def of(cls, rounds: Sequence[Run]) -> Summary:
        """Of all rounds."""
        return cls(
            saved_bytes=statistics.median(run.saved_bytes for run in rounds),
            resident_growth_bytes=statistics.median(run.resident_growth_bytes for run in rounds),
            median_seconds=statistics.median(run.step_seconds for run in rounds),
            fastest_seconds=min(run.fastest_step_seconds for run in rounds),
        )


@dataclass(frozen=True)
class Comparison:
    """All that was measured with one network."""

    net: str
    ours: dict[str, Summary]
    """By configuration."""
    theirs: dict[str, Summary]
    """By configuration."""

    def speed(self, own: str) -> tuple[float, float]:
        """Their time divided by that of one of ours, by medians and by fastest steps; their best configuration in each.

        A network that was not measured in it counts by `stbp`.
        """
        ours = self.ours.get(own, self.ours[STBP])
        median = min(summary.median_seconds for summary in self.theirs.values())
        fastest = min(summary.fastest_seconds for summary in self.theirs.values())
        return median / ours.median_seconds, fastest / ours.fastest_seconds


def comparisons(runs: Sequence[Run]) -> list[Comparison]:
    """The networks in the order of the runs."""
    found = []
    for net in dict.fromkeys(run.net for run in runs):
        programs: dict[str, dict[str, list[Run]]] = {OURS: {}, THEIRS: {}}
        for run in runs:
            if run.net == net:
                programs[run.peer].setdefault(run.configuration, []).append(run)
        summaries = {
            peer: {configuration: Summary.of(rounds) for configuration, rounds in configurations.items()}
            for peer, configurations in programs.items()
        }
        found.append(Comparison(net, ours=summaries[OURS], theirs=summaries[THEIRS]))
    return found


def geometric_mean(values: Sequence[float]) -> float:
    """The mean of ratios."""
    return math.exp(statistics.fmean(math.log(value) for value in values))
