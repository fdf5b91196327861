"""Measures one network of PyTorch + SpikingJelly on an accelerator at the batch of our own row, in all configurations.

    python peer_gpu.py trevsnn-tiny --device cuda --records ../../results/records/gpu

Prints a line of CSV for each configuration that runs within the time: `scripts/gpu-campaign.sh` starts it. Networks whose
peer has another first layer than ours at that image size, and those that have no peer, end with the reason.

It has run on a CPU, with small networks, and never on a GPU.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from nets import NETS, Published
from nets.trevsnn import TRevSnn
from peer import LAYOUTS, train_step
from torch import nn

SMALL_IMAGES = 32
"""Pixels a side that the peers are built for; only some are the same network at any size."""

ANY_SIZE = {
    "trevsnn-tiny": partial(TRevSnn, (64, 128, 256, 384)),
    "trevsnn-small": partial(TRevSnn, (96, 192, 384, 512)),
}
"""Networks whose first layers do not depend on the image."""


def row_of(records: Path, network: str, device: str) -> dict[str, str]:
    """Our newest measured row of the network on the device."""
    with (records / "scaling.csv").open(newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["model"] == network and row["device"].startswith(device) and row["status"] == "ok"
        ]
    if not rows:
        sys.exit(f"no row of {network} on {device} to stand beside")
    return rows[-1]


def published(network: str, image: Sequence[int], classes: int) -> Published:
    """The peer's network for images of this size."""
    if network in ANY_SIZE:
        base = replace(NETS["trevsnn-tiny"], image=tuple(image), classes=classes)
        return replace(base, build=partial(ANY_SIZE[network], steps=base.steps, classes=classes))
    if network not in NETS:
        sys.exit(f"no peer of {network}")
    if list(image) != list(NETS[network].image):
        sys.exit(f"the peer of {network} has the first layers for {SMALL_IMAGES} pixels")
    return NETS[network]


def step_seconds(net: nn.Module, of: Published, batch: int, device: str, layout: str, *, compiled: bool) -> float:
    """The fastest of five steps behind two that warm up."""
    net = net.to(device=device, memory_format=LAYOUTS[layout])
    forward = torch.compile(net) if compiled else net
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.0, weight_decay=0.0, fused=True)
    x, labels = (tensor.to(device) for tensor in of.batch(batch, torch.float32))
    x = x.contiguous(memory_format=LAYOUTS[layout]) if x.dim() == len(("B", "C", "H", "W")) else x
    seconds = []
    for number in range(7):
        if number == 2 and device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        train_step(net, forward, optimizer, x, labels)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return min(seconds[2:])


def main() -> None:
    """Reads the flags, measures, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("net")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--records", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seconds", type=float, default=60.0, help="no new configuration after so long")
    flags = parser.parse_args()
    row = row_of(flags.records, flags.net, flags.device)
    if float(row["width"]) != 1.0:
        sys.exit(f"our row has {row['width']} of the published channels, the peer has all")
    of = published(flags.net, [int(side) for side in row["image"].split("x")], int(row["classes"]))
    if of.steps != int(row["steps_t"]):
        sys.exit(f"the peer of {flags.net} has T = {of.steps}, ours {row['steps_t']}")
    # TF32 off: both sides multiply in full single precision.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    writer, began = csv.writer(sys.stdout, lineterminator="\n"), time.monotonic()
    for compiled in (False, True):
        for layout in LAYOUTS:
            if time.monotonic() - began > flags.seconds:
                break
            name = f"{'compiled, ' if compiled else ''}{layout}"
            line = [flags.net, row["device"], row["batch"], row["image"], name]
            try:
                torch.manual_seed(1)
                seconds = step_seconds(
                    of.build(), of, int(row["batch"]), flags.device, layout, compiled=compiled
                )
            except RuntimeError as error:
                writer.writerow([*line, "", "", "", str(error).splitlines()[0]])
                continue
            used = reserved = ""
            if flags.device == "cuda":
                used, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
            writer.writerow([*line, f"{seconds:.6f}", used, reserved, ""])
            sys.stdout.flush()


if __name__ == "__main__":
    main()
