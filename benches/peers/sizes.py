"""The peer's networks at the sizes that are measured, layer by layer beside what `harness model` prints.

A layer's parameters, and the multiply-accumulates (MACs) of one image over all steps.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nets import NETS, Published
from nets.campaign import Asked, peer_of

WEIGHTS = ("encoder", "weights", "read-out")


def printed(harness: Path, name: str, published: Published) -> str:
    """What the program says of a network at this size."""
    flags = f"--image {published.size} --classes {published.classes} --steps-t {published.steps}"
    command = [str(harness), "model", name, *flags.split()]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def ours(harness: Path, name: str, published: Published) -> dict[str, tuple[int, ...]]:
    """Parameters (and MACs, if it has weights) of each layer, and those of the whole network."""
    told = printed(harness, name, published)
    layers: dict[str, tuple[int, ...]] = {}
    for line in told.splitlines():
        layer, kind, _, *numbers = re.split(r" {2,}", line.strip()) + [""] * 3
        if kind in WEIGHTS or kind == "norm":
            layers[layer] = tuple(int(number.replace(",", "")) for number in numbers if number)
    for name, pattern in (("parameters", r"^parameters +([\d,]+)"), ("MACs", r"^dense MACs +([\d,]+)")):
        whole = re.search(pattern, told, re.MULTILINE)
        if whole is None:
            raise ValueError(f"the program printed no {name} of {published}")
        layers[name] = (int(whole[1].replace(",", "")),)
    return layers


def theirs(published: Published) -> dict[str, tuple[int, ...]]:
    """The same of the peer's network, counted while one image goes through it; products of spikes are in the sum."""
    net = published.build()
    names: dict[nn.Module, list[str]] = {}
    for name, module in net.named_modules(remove_duplicate=False):
        names.setdefault(module, []).append(name)
    layers: dict[str, tuple[int, ...]] = {}

    def count(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        outputs = module.weight.shape[0]
        macs = (module.weight.numel() // outputs * output.numel(),)
        for name in names[module]:
            layers[name] = (own,) if isinstance(module, nn.BatchNorm2d) else (own, *macs)

    for module in names:
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            module.register_forward_hook(count)
    images, _ = published.batch(1, torch.float32)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net.eval()(images)
    layers["parameters"] = (sum(parameter.numel() for parameter in net.parameters()),)
    layers["MACs"] = (counter.get_total_flops() // 2,)
    return layers


def differences(harness: Path, name: str) -> tuple[int, list[str]]:
    """How many layers were compared, and what differs."""
    published = NETS[name]
    left, right = ours(harness, name, published), theirs(published)
    different = [
        f"{layer}: {left.get(layer)} here, {right.get(layer)} there"
        for layer in dict.fromkeys((*left, *right))
        if left.get(layer) != right.get(layer)
    ]
    return len(left), different


SUITE = Path(__file__).resolve().parents[2] / "harness" / "suites" / "gpu.toml"


def campaign(harness: Path, name: str) -> tuple[int, int]:
    """Parameters of a network of the campaign at its measured size, ours and the peer's."""
    sweep = next(s for s in tomllib.loads(SUITE.read_text())["sweep"] if s["id"] == name)
    asked = Asked(tuple(sweep["image"]), sweep["classes"], sweep["steps"][0], sweep["width"])
    published = peer_of(name, asked)
    told = re.search(r"^parameters +([\d,]+)", printed(harness, name, published), re.MULTILINE)
    if told is None:
        raise ValueError(f"the program printed no parameters of {name}")
    with torch.device("meta"):
        net = published.build()
    return int(told[1].replace(",", "")), sum(parameter.numel() for parameter in net.parameters())
