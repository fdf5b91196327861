"""`ms-resnet34-trev`: the stages of MS-ResNet-34 as temporally reversible levels, differentiated plainly.

`c_l[t] = F_l(c_{l-1}[t], c_{l+1}[t-1]) + alpha_l c_l[t-1]`, levels l = 0..3 in order at each step t, weights shared by
all steps. What a deeper level feeds back enters behind a stage's first block. As in `trevsnn`, nothing can run for all
steps at once, and no layer of SpikingJelly fits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .ms_resnet import stem
from .neurons import Quantiser
from .trevsnn import SpikingConv

SCALE = 0.5
"""Where scales of norms start: at the threshold of the neurons behind them."""

LAST_SCALE = 0.2 * SCALE
"""The same of a branch's last norm."""


class Unit(nn.Sequential):
    """Convolution and norm of one step."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, scale: float) -> None:
        conv = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        norm = nn.BatchNorm2d(c_out)
        nn.init.constant_(norm.weight, scale)
        super().__init__(conv, norm)


class LevelBlock(nn.Module):
    """`x' + norm(conv(q(norm(conv(q(x))))))`, `x' = x`, or `norm(conv1x1(q(x)))` where the shape changes."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.sn1 = Quantiser()
        self.conv1 = Unit(c_in, c_out, 3, stride, SCALE)
        self.sn2 = Quantiser()
        self.conv2 = Unit(c_out, c_out, 3, 1, LAST_SCALE)
        changes = stride != 1 or c_in != c_out
        self.downsample = (
            nn.Sequential(Quantiser(), Unit(c_in, c_out, 1, stride, SCALE)) if changes else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.sn2(self.conv1(self.sn1(x)))) + self.downsample(x)


class Stage(nn.ModuleDict):
    """A level: its blocks by number, what the next deeper one feeds back, and its factors."""

    def __init__(self, c_in: int, c_out: int, deeper: int | None, blocks: int, stride: int) -> None:
        stack = {
            str(index): LevelBlock(c_out if index else c_in, c_out, 1 if index else stride)
            for index in range(blocks)
        }
        super().__init__(stack)
        self.blocks = blocks
        self.fusion = nn.Module()
        if deeper is not None:
            self.fusion.up = SpikingConv(deeper, c_out, 1, 1)
            nn.init.kaiming_normal_(self.fusion.up.encode_conv.weight, mode="fan_out", nonlinearity="relu")
        self.alpha = nn.Parameter(torch.full((1, c_out, 1, 1), 0.5))

    def forward(self, below: Tensor, deeper: Tensor | None, before: Tensor | None) -> Tensor:
        """From the level below, and the deeper level and the own state of the step before where there is one."""
        x = self["0"](below)
        if deeper is not None:
            x = x + F.interpolate(self.fusion.up(deeper), size=x.shape[2:], mode="nearest")
        for index in range(1, self.blocks):
            x = self[str(index)](x)
        return x if before is None else torch.addcmul(x, self.alpha, before)


class MsResNetTrev(nn.Module):
    """Images `[B, C, H, W]`, scores `[T, B, K]`; the stem runs once for all steps."""

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        blocks: Sequence[int] = (3, 4, 6, 3),
        *,
        steps: int = 4,
        channels: int = 3,
        classes: int = 1000,
        large: bool = True,
    ) -> None:
        super().__init__()
        self.steps = steps
        self.conv1, self.bn1, self.maxpool = stem(channels, widths[0], large=large)
        ends = (widths[0], *widths)
        deeper = (*widths[1:], None)
        for level, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            stage = Stage(ends[level], width, deeper[level], count, 2 if level else 1)
            self.add_module(f"layer{level + 1}", stage)
        self.sn1 = Quantiser()
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        feature = self.maxpool(self.bn1(self.conv1(images)))
        stages = (self.layer1, self.layer2, self.layer3, self.layer4)
        states: list[Tensor | None] = [None] * len(stages)
        scores = []
        for _ in range(self.steps):
            below = feature
            for level, stage in enumerate(stages):
                deeper = states[level + 1] if level + 1 < len(stages) else None
                below = stage(below, deeper, states[level])
                states[level] = below
            scores.append(self.fc(self.sn1(below).mean((2, 3))))
        return torch.stack(scores)
