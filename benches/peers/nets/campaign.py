"""The networks of an accelerator's campaign (`harness/suites/gpu.toml`), at the sizes of our own row.

Each is what our recipe makes of the network, which is not always what its authors train: `ms-resnet34` has OTTT's
neuron and statistics of each step there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from torch import nn

from .ms_resnet import MsResNet, Parts
from .ms_resnet_trev import MsResNetTrev
from .neurons import ottt
from .nf_resnet import NfResNet
from .norms import StepNorm
from .preact_resnet import PreActResNet
from .published import Published
from .spike_driven_transformer import SpikeDrivenTransformer
from .trevsnn import TRevSnn

LARGE = 64
"""From this side on a colour image is one of ImageNet's kind, and gets the first layers of its networks."""

STAGES = (64, 128, 256, 512)
"""Channels of the residual networks' stages."""


@dataclass(frozen=True)
class Asked:
    """What our row is of."""

    image: tuple[int, int, int]
    classes: int
    steps: int
    width: float = 1.0

    def channels(self, published: int) -> int:
        """A published number of channels at the row's width."""
        # Halves go up, as in the program.
        return max(1, int(published * self.width + 0.5))

    def widths(self, published: Sequence[int]) -> tuple[int, ...]:
        """The same of all stages."""
        return tuple(map(self.channels, published))

    @property
    def large(self) -> bool:
        """Whether the image is one of ImageNet's kind."""
        return self.image[0] == len("RGB") and min(self.image[1:]) >= LARGE

    @property
    def ends(self) -> dict[str, int]:
        """What every network takes."""
        return {"steps": self.steps, "channels": self.image[0], "classes": self.classes}


def trevsnn(published: Sequence[int], asked: Asked) -> nn.Module:
    """T-RevSNN with these channels."""
    return TRevSnn(asked.widths(published), **asked.ends)


def ms_resnet34(asked: Asked) -> nn.Module:
    """With OTTT's neuron and norms of each step: recipe `plain-lif`."""
    parts = Parts(neuron=ottt, norm=StepNorm)
    return MsResNet(asked.widths(STAGES), large=asked.large, parts=parts, **asked.ends)


def ms_resnet34_trev(asked: Asked) -> nn.Module:
    """Recipe `levels-quantised`."""
    return MsResNetTrev(asked.widths(STAGES), large=asked.large, **asked.ends)


def spike_driven_transformer(asked: Asked) -> nn.Module:
    """Eight blocks of 512 channels: recipe `sdt-imagenet`."""
    pools = (asked.large, asked.large, True, True)
    return SpikeDrivenTransformer(asked.channels(512), pools=pools, **asked.ends)


def nf_resnet34(asked: Asked) -> nn.Module:
    """Recipe `ottt-imagenet`."""
    return NfResNet(asked.widths(STAGES), **asked.ends)


def preact_resnet18(asked: Asked) -> nn.Module:
    """Recipe `sltt-cifar10`."""
    return PreActResNet(asked.widths(STAGES), **asked.ends)


CAMPAIGN: Mapping[str, Callable[[Asked], nn.Module]] = {
    "trevsnn-small": partial(trevsnn, (96, 192, 384, 512)),
    "trevsnn-tiny": partial(trevsnn, (64, 128, 256, 384)),
    "ms-resnet34": ms_resnet34,
    "ms-resnet34-trev": ms_resnet34_trev,
    "spike-driven-transformer-8-512": spike_driven_transformer,
    "nf-resnet34": nf_resnet34,
    "preact-resnet18": preact_resnet18,
}


def peer_of(network: str, asked: Asked) -> Published:
    """The peer's network beside our row."""
    build = partial(CAMPAIGN[network], asked)
    return Published(build, steps=asked.steps, image=asked.image, classes=asked.classes)
