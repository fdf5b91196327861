"""`rev-resnet21`: S-RevSNN's network of coupled blocks, differentiated plainly.

`y1 = x1 + F(x2)`, `y2 = x2 + G(y1)` on the halves of the stream; F, G = (fire - conv3x3 - norm) twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from spikingjelly.activation_based import layer
from torch import Tensor, nn

from .ms_resnet import conv_norm
from .neurons import integrate_and_fire
from .norms import over_time
from .weights import conv


class Branch(nn.Module):
    """F or G."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sn1 = integrate_and_fire()
        self.conv1 = conv_norm(channels, channels, 3)
        self.sn2 = integrate_and_fire()
        self.conv2 = conv_norm(channels, channels, 3)

    def forward(self, x_seq: Tensor) -> Tensor:
        return self.conv2(self.sn2(self.conv1(self.sn1(x_seq))))


class Coupled(nn.Module):
    """A block on both halves of the stream, which stay apart within a stage."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.f_block = Branch(channels)
        self.g_block = Branch(channels)

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        y1 = x1 + self.f_block(x2)
        return y1, x2 + self.g_block(y1)


class Stage(nn.Module):
    """Coupled blocks, one after another."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.reversible_blocks = nn.ModuleList(Coupled(channels) for _ in range(blocks))

    def forward(self, x_seq: Tensor) -> Tensor:
        x1, x2 = x_seq.chunk(2, dim=2)
        for block in self.reversible_blocks:
            x1, x2 = block(x1, x2)
        return torch.cat((x1, x2), dim=2)


def down(c_in: int, c_out: int) -> nn.Sequential:
    """Between stages: fire - average 3x3 with stride 2 - conv1x1 - norm."""
    shrink = conv(c_in, c_out, 1)
    nn.init.kaiming_normal_(shrink.weight, mode="fan_out", nonlinearity="relu")
    pool = layer.AvgPool2d(3, stride=2, padding=1, step_mode="m")
    return nn.Sequential(integrate_and_fire(), nn.Sequential(pool, shrink, over_time(c_out)))


class RevResNet(nn.Module):
    """Images `[B, C, H, W]`, scores `[T, B, K]`; stem convolution and norm run once for all steps."""

    def __init__(
        self,
        halves: Sequence[int] = (64, 128, 256, 448),
        blocks: Sequence[int] = (1, 1, 1, 1),
        *,
        steps: int = 4,
        channels: int = 3,
        classes: int = 10,
    ) -> None:
        super().__init__()
        self.steps = steps
        self.stages = len(blocks)
        self.conv1 = nn.Conv2d(channels, 2 * halves[0], 3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.bn1 = nn.BatchNorm2d(2 * halves[0])
        for stage, (half, count) in enumerate(zip(halves, blocks, strict=True)):
            if stage > 0:
                self.add_module(f"ds{stage}", down(2 * halves[stage - 1], 2 * half))
            self.add_module(f"layer{stage + 1}", Stage(half, count))
        self.sn1 = integrate_and_fire()
        self.fc = layer.Linear(2 * halves[-1], classes, step_mode="m")

    def forward(self, images: Tensor) -> Tensor:
        x = self.bn1(self.conv1(images))
        x_seq = x.expand(self.steps, *x.shape)
        for stage in range(self.stages):
            if stage > 0:
                x_seq = self.get_submodule(f"ds{stage}")(x_seq)
            x_seq = self.get_submodule(f"layer{stage + 1}")(x_seq)
        return self.fc(self.sn1(x_seq).mean((3, 4)))
