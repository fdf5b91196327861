"""Measures this project and PyTorch + SpikingJelly in turns and writes one line a run.

    .venv/bin/python compare.py --harness ../../target/release/harness
    .venv/bin/python compare.py --table results/*.csv

Each run is a process of its own. Before anything is measured, the peer's networks are checked against golden cases
and both sides' parameters are counted.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
NETS = ("preact-resnet18", "vgg11-bn")
OURS = "harness"
THEIRS = "spikingjelly"
LAYOUTS = ("nchw", "channels-last")
MIB = 2**20


@dataclass(frozen=True)
class Run:
    """One process's measurement; sizes in bytes, time in seconds."""

    peer: str
    version: str
    configuration: str
    """Our method, or the memory layout of their tensors."""
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
    firing_rate: float
    cpu: str
    git_revision: str


@dataclass(frozen=True)
class Request:
    """What is measured, alike on both sides."""

    harness: Path
    net: str
    batch: int
    threads: int
    train_steps: int

    def run(self, command: Sequence[str | Path]) -> str:
        """What a command prints; its own words where it fails."""
        threads = str(self.threads)
        environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        ended = subprocess.run(
            command, capture_output=True, text=True, cwd=HERE, env=environment, check=False
        )
        if ended.returncode != 0:
            sys.exit(
                f"{' '.join(map(str, command))} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
            )
        return ended.stdout

    def our_parameters(self) -> int:
        """Trained parameters as `harness model` counts them."""
        told = self.run([self.harness, "model", self.net])
        found = re.search(r"^parameters +([\d,]+) trained", told, re.MULTILINE)
        if found is None:
            sys.exit(f"harness model {self.net} printed no line of parameters")
        return int(found[1].replace(",", ""))

    def ours(self, method: str, number: int, machine: Machine) -> Run:
        """Our side: backpropagation through time, by `harness measure`."""
        flags = ["--batch", self.batch, "--threads", self.threads, "--train-steps", self.train_steps]
        command = [self.harness, "measure", self.net, "--method", method, "--csv", *map(str, flags)]
        (row,) = csv.DictReader(self.run(command).splitlines())
        return Run(
            peer=OURS,
            version=self.run([self.harness, "--version"]).strip(),
            configuration=method,
            net=self.net,
            steps_t=int(row["steps_t"]),
            batch=self.batch,
            image=row["image"],
            dtype=row["dtype"],
            threads=self.threads,
            train_steps=self.train_steps,
            round=number,
            parameters=self.our_parameters(),
            saved_bytes=int(row["saved_after_forward_bytes"]),
            resident_growth_bytes=int(row["resident_growth_bytes"]),
            step_seconds=float(row["step_seconds"]),
            firing_rate=float(row["firing_rate"]),
            cpu=machine.cpu,
            git_revision=machine.revision,
        )

    def theirs(self, layout: str, ours: Run) -> Run:
        """Their side in one memory layout, for the same round as `ours`."""
        flags = ["--batch", self.batch, "--threads", self.threads, "--train-steps", self.train_steps]
        command = [sys.executable, HERE / "peer.py", self.net, "--layout", layout, *map(str, flags)]
        told = json.loads(self.run(command))
        if told["parameters"] != ours.parameters:
            sys.exit(f"{self.net}: {ours.parameters} parameters here, {told['parameters']} there")
        if not told["resident_was_reset"]:
            sys.exit("/proc/self/clear_refs can't be written: growth of resident memory is not comparable")
        own = {"version", "parameters", "saved_bytes", "resident_growth_bytes", "step_seconds", "firing_rate"}
        measured = {name: value for name, value in told.items() if name in own}
        return Run(**asdict(ours) | measured | {"peer": THEIRS, "configuration": layout})


@dataclass(frozen=True)
class Machine:
    """Where and from what it ran."""

    cpu: str
    revision: str

    @classmethod
    def here(cls) -> Machine:
        """This machine and this checkout."""
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        git = ["git", "-C", str(REPOSITORY)]
        revision = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = [*git, "status", "--porcelain", "--untracked-files=no"]
        changed = subprocess.run(changes, capture_output=True, text=True, check=True).stdout
        return cls(cpu, revision.stdout.strip() + ("-dirty" if changed else ""))


def measure(request: Request, method: str, rounds: int, machine: Machine) -> Iterable[Run]:
    """Ours and theirs in turns, so that a slow minute of the machine meets both."""
    for number in range(1, rounds + 1):
        ours = request.ours(method, number, machine)
        yield ours
        for layout in LAYOUTS:
            yield request.theirs(layout, ours)


@dataclass(frozen=True)
class Summary:
    """The rounds of one program: medians, and of time the fastest round as well, as other work only adds to it."""

    saved_bytes: float
    resident_growth_bytes: float
    median_seconds: float
    fastest_seconds: float

    @classmethod
    def of(cls, rounds: Sequence[Run]) -> Summary:
        """Of all rounds of a program with a network."""
        return cls(
            saved_bytes=statistics.median(run.saved_bytes for run in rounds),
            resident_growth_bytes=statistics.median(run.resident_growth_bytes for run in rounds),
            median_seconds=statistics.median(run.step_seconds for run in rounds),
            fastest_seconds=min(run.step_seconds for run in rounds),
        )

    def cells(self) -> list[str]:
        """MiB and seconds."""
        sizes = (self.saved_bytes, self.resident_growth_bytes)
        seconds = (self.median_seconds, self.fastest_seconds)
        return [f"{size / MIB:.1f}" for size in sizes] + [f"{second:.2f}" for second in seconds]

    def ratios(self, theirs: Summary) -> list[str]:
        """Saved bytes, resident memory and the fastest round's time, divided by theirs."""
        return [
            f"{self.saved_bytes / theirs.saved_bytes:.2f}",
            f"{self.resident_growth_bytes / theirs.resident_growth_bytes:.2f}",
            f"{self.fastest_seconds / theirs.fastest_seconds:.2f}",
        ]


def table(runs: Sequence[Run]) -> str:
    """A line a program and network, with ours divided by theirs, as a Markdown table."""
    sizes = ("saved, MiB", "resident grew, MiB", "s a step, median", "fastest")
    lines = [("network", "program", *sizes, "saved", "resident", "time"), ("---", "---", *["---:"] * 7)]
    for net in dict.fromkeys(run.net for run in runs):
        programs: dict[tuple[str, str], list[Run]] = {}
        for run in runs:
            if run.net == net:
                programs.setdefault((run.peer, run.configuration), []).append(run)
        summaries = {program: Summary.of(rounds) for program, rounds in programs.items()}
        (ours,) = (summary for (peer, _), summary in summaries.items() if peer == OURS)
        for (peer, configuration), summary in summaries.items():
            ratios = [""] * 3 if peer == OURS else ours.ratios(summary)
            lines.append((net, f"{peer}, {configuration}", *summary.cells(), *ratios))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def read(path: Path) -> list[Run]:
    """The runs of a file that an earlier call wrote."""
    kinds = {"int": int, "float": float, "str": str}
    with path.open(newline="") as file:
        return [
            Run(**{f.name: kinds[f.type](row[f.name]) for f in fields(Run)}) for row in csv.DictReader(file)
        ]


def main() -> None:
    """Reads the flags and measures, or prints the table of a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--table", type=Path, nargs="+", metavar="CSV", help="print the table of files, measure nothing"
    )
    default = REPOSITORY / "target" / "release" / "harness"
    parser.add_argument("--harness", type=Path, default=default, help="a release build (%(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "latest.csv", metavar="CSV")
    parser.add_argument("--net", nargs="+", choices=NETS, default=NETS)
    parser.add_argument(
        "--method", default="stbp", help="of ours; backpropagation through time is what they do"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--batch", type=int, default=32, metavar="N")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument(
        "--train-steps", type=int, default=3, metavar="N", help="a run; the first one warms up"
    )
    flags = parser.parse_args()
    if flags.table is not None:
        print(table([run for path in flags.table for run in read(path)]))
        return
    subprocess.run([sys.executable, HERE / "check.py"], check=True)
    machine, runs = Machine.here(), []
    flags.out.parent.mkdir(parents=True, exist_ok=True)
    with flags.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Run)], lineterminator="\n")
        writer.writeheader()
        for net in flags.net:
            request = Request(flags.harness.resolve(), net, flags.batch, flags.threads, flags.train_steps)
            for run in measure(request, flags.method, flags.rounds, machine):
                writer.writerow(asdict(run))
                file.flush()
                runs.append(run)
                print(
                    f"{net}, {run.peer}, {run.configuration}, round {run.round}: {run.step_seconds:.2f} s a step"
                )
    print(table(runs))


if __name__ == "__main__":
    main()
