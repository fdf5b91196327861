"""Measures this project and PyTorch + SpikingJelly in turns and writes one line a run.

    .venv/bin/python compare.py --harness ../../target/release/harness
    .venv/bin/python compare.py --table results/latest.csv --chart results/latest.svg

Each run is a process of its own. Before anything is measured, the peer's networks are checked by `check.py`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from chart import draw
from nets import NETS
from runs import OURS, STBP, THEIRS, TILES, Run, read
from table import tables

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]

CONFIGURATIONS = {
    "nchw": ["--layout", "nchw"],
    "channels-last": ["--layout", "channels-last"],
    "compiled, nchw": ["--layout", "nchw", "--compiled"],
    "compiled, channels-last": ["--layout", "channels-last", "--compiled"],
}
"""Of theirs, and the flags of `peer.py`."""

KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
"""Of theirs: glibc keeps what is freed. Left alone it gives pages back and takes them anew all through their step."""

OF_OURS = {
    STBP: ["--method", "stbp"],
    TILES: ["--method", "stbp", "--gradient-tiles", "four"],
    "spatial-rev": ["--method", "spatial-rev"],
    "temporal-rev": ["--method", "temporal-rev"],
}
"""Of ours, and the flags of `harness measure`."""

BESIDE = {
    "preact-resnet18": [TILES],
    "ms-resnet34": [TILES],
    "vgg11-bn": [TILES],
    "rev-resnet21": [TILES, "spatial-rev"],
    "vgg11-ws": [TILES],
    "trevsnn-tiny": ["temporal-rev"],
}
"""Of ours beside `stbp`, each network's own: larger tiles where it has 3x3 convolutions, and what it was designed for."""


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


@dataclass(frozen=True)
class Request:
    """What is measured, alike on both sides."""

    harness: Path
    net: str
    batch: int
    threads: int
    train_steps: int

    @property
    def flags(self) -> list[str]:
        """Those that both programs take."""
        numbers = {"--batch": self.batch, "--threads": self.threads, "--train-steps": self.train_steps}
        return [word for flag, number in numbers.items() for word in (flag, str(number))]

    def run(self, command: Sequence[str | Path], variables: Mapping[str, str] | None = None) -> str:
        """What a command prints; its own words where it fails."""
        threads = str(self.threads)
        environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        environment |= variables or {}
        ended = subprocess.run(
            command, capture_output=True, text=True, cwd=HERE, env=environment, check=False
        )
        if ended.returncode != 0:
            sys.exit(
                f"{' '.join(map(str, command))} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
            )
        return ended.stdout

    def ours(self, configuration: str, number: int, machine: Machine, parameters: int) -> Run:
        """Our side in one configuration, by `harness measure`; `parameters` are counted by `check.py` on both sides."""
        published = NETS[self.net]
        size = f"--image {published.size} --classes {published.classes} --steps-t {published.steps}"
        own = [*OF_OURS[configuration], "--csv"]
        command = [self.harness, "measure", self.net, *own, *size.split(), *self.flags]
        (row,) = csv.DictReader(self.run(command).splitlines())
        return Run(
            peer=OURS,
            version=self.run([self.harness, "--version"]).strip(),
            configuration=configuration,
            net=self.net,
            steps_t=int(row["steps_t"]),
            batch=self.batch,
            image=row["image"],
            dtype=row["dtype"],
            threads=self.threads,
            train_steps=self.train_steps,
            round=number,
            parameters=parameters,
            saved_bytes=int(row["saved_after_forward_bytes"]),
            resident_growth_bytes=int(row["resident_growth_bytes"]),
            step_seconds=float(row["step_seconds"]),
            fastest_step_seconds=float(row["fastest_step_seconds"]),
            firing_rate=float(row["firing_rate"]),
            cpu=machine.cpu,
            git_revision=machine.revision,
        )

    def theirs(self, configuration: str, ours: Run) -> Run:
        """Their side in one configuration, for the same round as `ours`."""
        command = [sys.executable, HERE / "peer.py", self.net, *CONFIGURATIONS[configuration], *self.flags]
        # Warnings may stand before the line.
        told = json.loads(self.run(command, KEEP_MEMORY).splitlines()[-1])
        if not told["resident_was_reset"]:
            sys.exit("/proc/self/clear_refs can't be written: growth of resident memory is not comparable")
        measured = {field.name: told[field.name] for field in fields(Run) if field.name in told}
        return Run(**asdict(ours) | measured | {"peer": THEIRS, "configuration": configuration})


def measure(
    request: Request, configurations: Sequence[str], beside: Sequence[str], rounds: int, machine: Machine
) -> Iterable[Run]:
    """Ours and theirs in turns, so that a slow minute of the machine meets both."""
    parameters = sum(parameter.numel() for parameter in NETS[request.net].build().parameters())
    for number in range(1, rounds + 1):
        ours = request.ours(STBP, number, machine, parameters)
        yield ours
        for configuration in configurations:
            yield request.theirs(configuration, ours)
        for own in beside:
            yield request.ours(own, number, machine, parameters)


def main() -> None:
    """Reads the flags and measures, or prints the tables of files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--table", type=Path, nargs="+", metavar="CSV", help="print the tables of files, measure nothing"
    )
    parser.add_argument("--chart", type=Path, metavar="SVG", help="draw the ratios of time")
    default = REPOSITORY / "target" / "release" / "harness"
    parser.add_argument("--harness", type=Path, default=default, help="a release build (%(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "latest.csv", metavar="CSV")
    parser.add_argument("--net", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument(
        "--configuration", nargs="+", choices=CONFIGURATIONS, default=list(CONFIGURATIONS), help="of theirs"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--batch", type=int, default=32, metavar="N")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument(
        "--train-steps", type=int, default=6, metavar="N", help="a run; the first one warms up"
    )
    flags = parser.parse_args()
    runs = [run for path in flags.table or () for run in read(path)]
    if flags.table is None:
        harness = flags.harness.resolve()
        check = [sys.executable, HERE / "check.py", "--harness", harness, "--net", *flags.net]
        subprocess.run(check, check=True)
        machine = Machine.here()
        flags.out.parent.mkdir(parents=True, exist_ok=True)
        with flags.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Run)], lineterminator="\n")
            writer.writeheader()
            for net in flags.net:
                request = Request(harness, net, flags.batch, flags.threads, flags.train_steps)
                beside = BESIDE.get(net, [])
                for run in measure(request, flags.configuration, beside, flags.rounds, machine):
                    writer.writerow(asdict(run))
                    file.flush()
                    runs.append(run)
                    told = f"{run.step_seconds:.2f} s a step, fastest {run.fastest_step_seconds:.2f}"
                    print(f"{net}, {run.peer}, {run.configuration}, round {run.round}: {told}", flush=True)
    print(tables(runs))
    if flags.chart is not None:
        draw(runs, flags.chart)


if __name__ == "__main__":
    main()
