"""Measures one network of PyTorch + SpikingJelly on an accelerator at the batch and number type of our own row.

    python peer_gpu.py trevsnn-tiny --device cuda --records ../../results/records/gpu

Prints a line of CSV for each configuration that runs within the time: `scripts/gpu-campaign.sh` starts it, between our
rows. Image, classes, T, width, batch and number type are those of our newest row of the network. Halves are PyTorch's
autocast, with `f32` parameters as ours are; `f16` has its `GradScaler`. SpikingJelly takes the implementation of a
neuron by the device: on an NVIDIA one its fused kernels. What is left to choose is measured: memory layout, and
`torch.compile` of the whole network.

It has run on a CPU, with small networks, and never on a GPU.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from nets import Published
from nets.campaign import CAMPAIGN, Asked, peer_of
from peer import LAYOUTS, Forward, loss_of
from spikingjelly.activation_based import functional
from torch import Tensor, nn

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
"""Our number types; of halves, parameters and what is summed up are single precision all the same."""

WARM_UP, TIMED = 2, 5
"""Steps, as many as our own rows take (`harness/suites/gpu.toml`)."""


@dataclass(frozen=True)
class Machine:
    """Where it runs, and in which numbers."""

    device: str
    dtype: torch.dtype

    def autocast(self) -> torch.autocast:
        """Halves where the row has them."""
        return torch.autocast(self.device, self.dtype, enabled=self.dtype != torch.float32)

    def wait(self) -> None:
        """Until all work is done: both ends of a clock."""
        if self.device == "cuda":
            torch.cuda.synchronize()


def row_of(records: Path, network: str, device: str) -> dict[str, str]:
    """Our newest measured row of the network on the device."""
    with (records / "scaling.csv").open(newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["model"] == network and row["device"].startswith(device) and row["status"] == "ok"
        ]
    if not rows:
        sys.exit(f"no measured row of {network} on {device} to stand beside")
    return rows[-1]


def beside(row: dict[str, str]) -> Published:
    """The peer's network of our row."""
    network = row["model"]
    if network not in CAMPAIGN:
        sys.exit(f"no peer of {network}")
    channels, height, width = (int(side) for side in row["image"].split("x"))
    asked = Asked((channels, height, width), int(row["classes"]), int(row["steps_t"]), float(row["width"]))
    return peer_of(network, asked)


@dataclass(frozen=True)
class Learner:
    """A network, as it runs, and what updates it."""

    net: nn.Module
    forward: Forward
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler

    def step(self, machine: Machine, x: Tensor, labels: Tensor) -> None:
        """Forward, backward, update; the membranes are forgotten."""
        self.optimizer.zero_grad()
        with machine.autocast():
            loss = loss_of(self.forward(x), labels)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        functional.reset_net(self.net)


def step_seconds(
    of: Published, samples: int, machine: Machine, layout: str, *, compiled: bool
) -> list[float]:
    """Seconds of the timed steps, behind those that warm up; peaks of the allocator are of the timed ones."""
    net = of.build().to(device=machine.device, memory_format=LAYOUTS[layout])
    forward = torch.compile(net) if compiled else net
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.0, weight_decay=0.0, fused=True)
    scaler = torch.amp.GradScaler(machine.device, enabled=machine.dtype == torch.float16)
    learner = Learner(net, forward, optimizer, scaler)
    x, labels = (tensor.to(machine.device) for tensor in of.batch(samples, torch.float32))
    x = x.contiguous(memory_format=LAYOUTS[layout])
    seconds = []
    for number in range(WARM_UP + TIMED):
        if number == WARM_UP and machine.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        machine.wait()
        began = time.perf_counter()
        learner.step(machine, x, labels)
        machine.wait()
        seconds.append(time.perf_counter() - began)
    return seconds[WARM_UP:]


def measured(of: Published, samples: int, machine: Machine, layout: str, *, compiled: bool) -> list[object]:
    """Median and fastest step, bytes in use and reserved at most, and why these are empty."""
    torch.manual_seed(1)
    try:
        seconds = step_seconds(of, samples, machine, layout, compiled=compiled)
    # Out of memory is one; what a compiler refuses is another.
    except RuntimeError as error:
        return ["", "", "", "", str(error).splitlines()[0]]
    used = reserved = ""
    if machine.device == "cuda":
        used, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    return [f"{statistics.median(seconds):.6f}", f"{min(seconds):.6f}", used, reserved, ""]


def main() -> None:
    """Reads the flags, measures, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("net")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--records", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seconds", type=float, default=60.0, help="no further configuration after so long")
    flags = parser.parse_args()
    row = row_of(flags.records, flags.net, flags.device)
    if row["dtype"] not in DTYPES:
        sys.exit(f"PyTorch's autocast has no {row['dtype']}")
    of, machine = beside(row), Machine(flags.device, DTYPES[row["dtype"]])
    # TF32 off: both sides multiply in full single precision.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    writer, began = csv.writer(sys.stdout, lineterminator="\n"), time.monotonic()
    for number, (compiled, layout) in enumerate(product((False, True), LAYOUTS)):
        if number > 0 and time.monotonic() - began > flags.seconds:
            return
        name = f"{'compiled, ' if compiled else ''}{layout}"
        line = [flags.net, row["device"], row["batch"], row["dtype"], row["image"], name]
        found = measured(of, int(row["batch"]), machine, layout, compiled=compiled)
        writer.writerow([*line, *found])
        sys.stdout.flush()
        if machine.device == "cuda":
            # The next configuration has the whole device again.
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
