"""Writes the measured tables of docs/PERFORMANCE.md; nothing in them is typed by hand.

    python benches/performance.py ceilings distance steps       runs these benchmarks
    python benches/performance.py --report SCALING CLAIMS       reports of `--suite scaling` and `--suite claims`
    python benches/performance.py --peers benches/peers/results/latest.csv

A table stands between `<!-- begin NAME -->` and `<!-- end NAME -->` and takes the place of the one before it. On a machine
that does something else the tables say what was left of it: the load at the beginning stands beside each.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "PERFORMANCE.md"
PEERS = REPOSITORY / "benches" / "peers"
BENCHES = ("ceilings", "distance", "steps")
REPORTED = ("relative-time", "time-rise", "published")


def machine() -> str:
    """The processor and what else ran on it."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    name = cpu.group(1) if cpu else "unknown processor"
    return f"{name}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the beginning"


def bench(name: str, profile: str) -> str:
    """Runs a benchmark of the workspace and returns what it printed, or the table of what it measured."""
    began = machine()
    command = ["cargo", "bench", "--workspace", "--profile", profile, "--bench", name]
    ran = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    told = steps() if name == "steps" else ran.stdout.strip()
    return f"`{' '.join(command)}`: {began}.\n\n{told}"


def steps() -> str:
    """The fastest step of each network in Criterion's files: other work on the machine only adds to a time."""
    metadata = subprocess.check_output(
        ["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=REPOSITORY, text=True
    )
    folder = Path(json.loads(metadata)["target_directory"]) / "criterion" / "steps"
    lines = [
        "| network | 1 thread, ms | 2 threads, ms | scaling | without numbers, ms | of a step |",
        "| :--- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for network in sorted(path for path in folder.iterdir() if (path / "1-thread").is_dir()):
        one, two, planned = (fastest(network / kind) for kind in ("1-thread", "2-threads", "planned"))
        lines.append(
            f"| `{network.name}` | {one * 1e3:.1f} | {two * 1e3:.1f} | {one / two:.2f}x "
            f"| {planned * 1e3:.2f} | {planned / two:.2%} |"
        )
    return "\n".join(lines)


def fastest(benchmark: Path) -> float:
    """Seconds of the fastest sample."""
    sample = json.loads((benchmark / "new" / "sample.json").read_text())
    return min(time / count for time, count in zip(sample["times"], sample["iters"], strict=True)) / 1e9


def reported(folder: Path, name: str) -> str | None:
    """A report's table without its title and its own command, its groups as headings of the page; nothing where there is none."""
    path = folder / f"{name}.md"
    if not path.exists():
        return None
    text = re.sub(r"^(## |<!-- ).*\n+", "", path.read_text(), flags=re.MULTILINE)
    return re.sub(r"^### ", "#### ", text, flags=re.MULTILINE).strip()


def peers(files: list[Path]) -> str:
    """The table that the peers' script makes of its files."""
    command = [sys.executable, PEERS / "compare.py", "--table", *files]
    return subprocess.check_output(command, text=True).strip()


def put(page: str, name: str, table: str) -> str:
    """The page with a table in its place."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{PAGE.name} has no place for {name}: it needs {begin} and {end}")
    return f"{before}{begin}\n{table}\n{end}{after}"


def main() -> None:
    """Fills the sections that are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("benches", nargs="*", metavar="BENCH", help=", ".join(BENCHES))
    parser.add_argument("--profile", default="bench", help="cargo's; `dev` needs no second build")
    parser.add_argument("--report", type=Path, nargs="+", metavar="DIR", help="folders that `harness report` wrote")
    parser.add_argument("--peers", type=Path, nargs="+", metavar="CSV", help="files of benches/peers/compare.py")
    asked = parser.parse_args()
    if unknown := [name for name in asked.benches if name not in BENCHES]:
        parser.error(f"BENCH must be of {', '.join(BENCHES)}, got {unknown[0]}")
    tables = {name: bench(name, asked.profile) for name in asked.benches}
    if asked.report:
        for name in REPORTED:
            if found := [table for folder in asked.report if (table := reported(folder, name))]:
                tables[name] = "\n\n".join(found)
    if asked.peers:
        tables["peers"] = peers(asked.peers)
    if not tables:
        parser.error("nothing to write: name a benchmark, --report or --peers")
    page = PAGE.read_text()
    for name, table in tables.items():
        page = put(page, name, table)
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
