"""`vgg11-ws`: OTTT's plain network without norms, whose weights are standardised, differentiated through time.

A constant 2.74 follows each neuron. Pools are linear, so the next weights take it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from spikingjelly.activation_based import layer
from torch import Tensor, nn

from .neurons import ottt
from .weights import SequenceStandardised, Standardised

GAIN = 2.74
"""What follows each neuron: its spikes then have about unit variance."""


class Traced(nn.Module):
    """A module under the name that it has behind the authors' wrapper."""

    def __init__(self, op: nn.Module) -> None:
        super().__init__()
        self.op = op

    def forward(self, x_seq: Tensor) -> Tensor:
        return self.op(x_seq)


class Readout(nn.Module):
    """A linear map of features that are scaled by [`GAIN`]; B K features are cheaper to scale than the weights."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.op = layer.Linear(features, classes, step_mode="m")
        nn.init.normal_(self.op.weight, std=0.01)
        nn.init.zeros_(self.op.bias)

    def forward(self, x_seq: Tensor) -> Tensor:
        return self.op(GAIN * x_seq)


class VggWs(nn.Module):
    """Images `[B, C, H, W]`, scores `[T, B, K]`; `"M"` in `layout` is an average pool that halves the sides.

    Layers are numbered as the authors number theirs, with the constant as one of them.
    """

    LAYOUT = (64, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512)

    def __init__(
        self,
        layout: Sequence[int | str] = LAYOUT,
        *,
        steps: int = 6,
        channels: int = 3,
        classes: int = 10,
    ) -> None:
        super().__init__()
        self.steps = steps
        self.features = nn.ModuleDict()
        c_in, number = channels, 0
        for width in layout:
            if width == "M":
                self.features[str(number)] = layer.AvgPool2d(2, step_mode="m")
                number += 1
                continue
            if number == 0:
                op = Standardised(c_in, width, 3, unbiased=True)
            else:
                op = Traced(SequenceStandardised(c_in, width, 3, unbiased=True, factor=GAIN))
            self.features[str(number)] = op
            self.features[str(number + 1)] = ottt()
            c_in, number = width, number + 3
        self.classifier = nn.Sequential(Readout(c_in, classes))

    def forward(self, images: Tensor) -> Tensor:
        first, *rest = self.features.values()
        x = first(images)
        x_seq = x.expand(self.steps, *x.shape)
        for module in rest:
            x_seq = module(x_seq)
        return self.classifier(torch.mean(x_seq, (3, 4)))
