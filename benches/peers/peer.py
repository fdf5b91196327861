"""Measures one network of PyTorch + SpikingJelly in this process and prints one line of JSON.

    python peer.py preact-resnet18 --batch 32 --threads 2 --layout nchw --compiled

`compare.py` starts it, a fresh process each time: the peak of resident memory is a property of a process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version

import torch
from spikingjelly.activation_based import functional
from torch import Tensor, nn
from torch.nn import functional as F

from nets import NETS, Published
from nets.neurons import SPIKING
from resident import high_water_bytes, reset_high_water

LAYOUTS = {"nchw": torch.contiguous_format, "channels-last": torch.channels_last}


def loss_of(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy at every step, the mean over steps and samples; scores are `[T, B, K]`."""
    return F.cross_entropy(scores.flatten(0, 1), labels.repeat(len(scores)))


Forward = Callable[[Tensor], Tensor]
"""A network, or what it was compiled to."""


def train_step(
    net: nn.Module, forward: Forward, optimizer: torch.optim.Optimizer, x: Tensor, labels: Tensor
) -> None:
    """Forward, backward, update; the membranes are forgotten."""
    optimizer.zero_grad()
    loss_of(forward(x), labels).backward()
    optimizer.step()
    functional.reset_net(net)


def saved_bytes(net: nn.Module, forward: Forward, x: Tensor, labels: Tensor) -> dict[str, int]:
    """Bytes of distinct storages that autograd keeps when forward ends, by what they are.

    A storage that is kept by several ops, or in part, counts once and whole. Parameters, running statistics and the
    batch live anyway and stand by themselves.
    """
    ours = {tensor.untyped_storage().data_ptr() for tensor in (x, labels)}
    lasting = {t.untyped_storage().data_ptr() for t in (*net.parameters(), *net.buffers())}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    # The graph lives until the sum is taken, so that no address is used twice.
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = loss_of(forward(x), labels)
    sums = {"saved_bytes": 0, "saved_parameter_bytes": 0, "saved_batch_bytes": 0}
    for address, size in kept.items():
        kind = "parameter_" if address in lasting else "batch_" if address in ours else ""
        sums[f"saved_{kind}bytes"] += size
    del loss
    functional.reset_net(net)
    return sums


def firing_rate(net: nn.Module, x: Tensor) -> float:
    """Spikes per neuron and step in a forward pass in training mode."""
    spikes = neuron_steps = 0.0

    def count(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal spikes, neuron_steps
        spikes += output.sum().item()
        neuron_steps += output.numel()

    handles = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, SPIKING)]
    with torch.no_grad():
        net(x)
    for handle in handles:
        handle.remove()
    functional.reset_net(net)
    return spikes / neuron_steps


def measure(
    published: Published, batch: int, layout: str, train_steps: int, *, compiled: bool
) -> dict[str, object]:
    """Runs the steps; their memory and time, then in passes of their own what autograd keeps and the firing rate."""
    torch.manual_seed(1)
    # Before the network, as `harness measure` does: what is made early and what is made in the first step count alike.
    reset = reset_high_water()
    before = high_water_bytes()
    net = published.build().to(memory_format=LAYOUTS[layout])
    forward = torch.compile(net, fullgraph=True) if compiled else net
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.0, weight_decay=0.0, fused=True)
    x, labels = published.batch(batch, torch.float32)
    # All images in one axis, as a layout is one of four axes.
    x = x.reshape(-1, *published.image).contiguous(memory_format=LAYOUTS[layout]).view_as(x)
    seconds = []
    for _ in range(train_steps):
        began = time.perf_counter()
        train_step(net, forward, optimizer, x, labels)
        seconds.append(time.perf_counter() - began)
    growth = high_water_bytes() - before
    return {
        "version": f"torch {version('torch')}, spikingjelly {version('spikingjelly')}",
        "parameters": sum(p.numel() for p in net.parameters()),
        "resident_growth_bytes": growth,
        "resident_was_reset": reset,
        "first_step_seconds": seconds[0],
        "step_seconds": statistics.median(seconds[1:]),
        "fastest_step_seconds": min(seconds[1:]),
        **saved_bytes(net, forward, x, labels),
        "firing_rate": firing_rate(net, x),
    }


def main() -> None:
    """Reads the flags, measures, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("net", choices=NETS)
    parser.add_argument("--batch", type=int, default=32, metavar="N")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument("--layout", choices=LAYOUTS, default="nchw")
    parser.add_argument("--compiled", action="store_true", help="the whole network by torch.compile")
    parser.add_argument("--train-steps", type=int, default=3, metavar="N", help="the first one warms up (3)")
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    torch.set_num_interop_threads(1)
    measured = measure(NETS[flags.net], flags.batch, flags.layout, flags.train_steps, compiled=flags.compiled)
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
