"""Checks that the peer's networks are this project's, before anything is measured.

    python check.py --harness ../../target/release/harness

Golden cases of the authors' code bind the function, on the path that is measured, and tables of neurons their
gradient; cases that the peer makes and `harness probe` replays bind networks that no authors released, and `harness
model` the size, layer by layer. Exit code 1 where anything is off.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import golden
import replayed
import sizes
from nets import NETS
from nets.campaign import CAMPAIGN

TOLERANCE = 1e-4
"""Largest difference of a tensor in single precision, as a part of its largest value; `harness probe` has the same."""


def verdict(what: str, off: Mapping[str, float]) -> bool:
    """Prints a line; whether it is equal."""
    name, worst = max(off.items(), key=lambda item: item[1])
    # A NaN is not within anything.
    equal = worst <= TOLERANCE
    print(f"{what}: {'equal' if equal else 'DIFFERENT'}, {len(off)} tensors, most {worst:.1e} ({name})")
    return equal


def main() -> int:
    """Prints a line a case, a table and a network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--harness", type=Path, help="compare sizes with this build as well")
    parser.add_argument("--net", nargs="+", choices=NETS, default=list(NETS), help="of those sizes")
    flags = parser.parse_args()
    right = [verdict(case.folder, golden.differences(case)) for case in golden.CASES]
    for name, make in golden.TABLES.items():
        right.append(verdict(f"lif, {name}", golden.table_differences(name, make)))
    for name in replayed.NETWORKS if flags.harness is not None else ():
        agrees, said = replayed.replay(flags.harness, name)
        right.append(agrees)
        print(f"{name}, replayed by the program: {'equal' if agrees else 'DIFFERENT'}")
        print(said if not agrees else "", end="")
    for name in CAMPAIGN if flags.harness is not None else ():
        ours, theirs = sizes.campaign(flags.harness, name)
        right.append(ours == theirs)
        verdict_of = "equal" if ours == theirs else "DIFFERENT"
        print(f"{name} of the campaign: {verdict_of}, {ours} and {theirs} parameters")
    for name in flags.net if flags.harness is not None else ():
        layers, different = sizes.differences(flags.harness, name)
        right.append(not different)
        print(f"{name}: {'DIFFERENT' if different else 'equal'}, parameters and MACs of {layers} layers")
        print("".join(f"  {line}\n" for line in different), end="")
    return int(not all(right))


if __name__ == "__main__":
    sys.exit(main())
