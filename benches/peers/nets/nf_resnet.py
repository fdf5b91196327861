"""`nf-resnet34`: OTTT's residual network without norms, whose weights are standardised, differentiated through time.

`z = 2.74 fire(x / beta)`, `y = 0.2 g conv(2.74 fire(conv(z))) + x'`, g a learned scalar, `x' = x`, or `conv1x1(z)`
where the shape changes. beta is the square root of the variance that is expected of x.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from spikingjelly.activation_based import layer
from torch import Tensor, nn
from torch.nn import functional as F

from .neurons import ottt
from .vgg_ws import GAIN, Traced
from .weights import SequenceStandardised, Standardised

ALPHA = 0.2
"""What a block's branch is scaled by beside its learned factor."""


def conv(c_in: int, c_out: int, kernel: int, stride: int = 1) -> Traced:
    """A standardised convolution of spikes that are scaled by [`GAIN`], under the authors' name for it."""
    return Traced(SequenceStandardised(c_in, c_out, kernel, stride, unbiased=True, factor=GAIN))


class NfBlock(nn.Module):
    """A basic block on currents; `variance` is what is expected of them."""

    def __init__(self, c_in: int, c_out: int, stride: int, variance: float) -> None:
        super().__init__()
        self.shrink = variance**-0.5
        self.changes = stride != 1 or c_in != c_out
        self.sn1 = ottt()
        if self.changes:
            self.downsample = conv(c_in, c_out, 1, stride)
        self.conv1 = conv(c_in, c_out, 3, stride)
        self.sn2 = ottt()
        self.conv2 = conv(c_out, c_out, 3)
        self.skipinit_gain = nn.Parameter(torch.zeros(()))

    def forward(self, x_seq: Tensor) -> Tensor:
        spikes = self.sn1(self.shrink * x_seq)
        shortcut = self.downsample(spikes) if self.changes else x_seq
        y = self.conv2(self.sn2(self.conv1(spikes)))
        return torch.addcmul(shortcut, self.skipinit_gain, y, value=ALPHA)


class NfResNet(nn.Module):
    """Images `[B, C, H, W]`, scores `[T, B, K]`; the stem runs once for all steps."""

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        blocks: Sequence[int] = (3, 4, 6, 3),
        *,
        steps: int = 6,
        channels: int = 3,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        self.steps = steps
        self.conv1 = Standardised(channels, widths[0], 7, 2, unbiased=True)
        c_in, variance = widths[0], 1.0
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            stack = []
            for index in range(count):
                block = NfBlock(c_in, width, 2 if stage > 0 and index == 0 else 1, variance)
                variance = (1.0 if block.changes else variance) + ALPHA**2
                stack.append(block)
                c_in = width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*stack))
        self.fc = layer.Linear(c_in, classes, step_mode="m")
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    def forward(self, images: Tensor) -> Tensor:
        x = F.avg_pool2d(self.conv1(images), 3, stride=2, padding=1)
        x_seq = x.expand(self.steps, *x.shape)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x_seq = stage(x_seq)
        return self.fc(x_seq.mean((3, 4)))
