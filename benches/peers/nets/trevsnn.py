"""`trevsnn-tiny`: T-RevSNN's four levels with weights of their own at every step, differentiated plainly.

`c_l[t] = F_l(D_l(c_{l-1}[t]) + U_l(c_{l+1}[t-1])) + alpha_l c_l[t-1]`, levels l = 0..3 in order at each step t. Nothing
here can run for all steps at once, and no layer of SpikingJelly fits: its neurons have a membrane.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .neurons import Quantiser
from .weights import Depthwise, Standardised

EXPANSION = 4
STRIDES = ((1, 1), (3, 2), (3, 2), (1, 1))
"""Kernel and stride of the convolution into each level; the shallowest takes the stem's feature."""

CLAMP = 1e-3
"""Smallest size of an alpha: the authors' forward moves smaller ones there."""


def standardised(c_in: int, c_out: int, kernel: int = 1, stride: int = 1) -> Standardised:
    """timm's `ScaledStdConv2d`."""
    conv = Standardised(c_in, c_out, kernel, stride, unbiased=False)
    nn.init.normal_(conv.weight, std=0.02)
    return conv


class FirstHalf(nn.Module):
    """`pw1(dw1(q(x)))` and the spikes of it, `[B, 4 C, H, W]`."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.spikes = Quantiser()
        self.dwconv1 = Depthwise(channels, kernel)
        self.pwconv1 = standardised(channels, EXPANSION * channels)
        self.mid = Quantiser()

    def first_half(self, x: Tensor) -> Tensor:
        return self.mid(self.pwconv1(self.dwconv1(self.spikes(x))))


class OwnBlock(FirstHalf):
    """`x + gamma dw2(pw2(first half))`, all weights the step's own."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__(channels, kernel)
        self.pwconv2 = standardised(EXPANSION * channels, channels)
        self.dwconv2 = Depthwise(channels, kernel)
        self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(x, self.gamma, self.dwconv2(self.pwconv2(self.first_half(x))))


class SharingBlock(FirstHalf):
    """`x + dw2(pw2(first half))`, second half shared by all steps."""

    def __init__(self, channels: int, kernel: int, shared: tuple[Standardised, Depthwise]) -> None:
        super().__init__(channels, kernel)
        self.pwconv2_reuse, self.dwconv2_reuse = shared

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """`weight` is what the shared weights are standardised to, once for all steps."""
        return x + self.dwconv2_reuse(self.pwconv2_reuse(self.first_half(x), weight))


class SpikingConv(nn.Module):
    """Spikes - convolution - norm."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.spikes = Quantiser()
        self.encode_conv = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False)
        nn.init.normal_(self.encode_conv.weight, std=0.02)
        self.encode_bn = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.encode_bn(self.encode_conv(self.spikes(x)))


class Level(nn.Module):
    """A level of a step: what it starts from, and two blocks."""

    def __init__(
        self,
        widths: Sequence[int],
        kernel: int,
        place: tuple[int, int],
        shared: tuple[Standardised, Depthwise],
    ) -> None:
        super().__init__()
        step, level = place
        channels = widths[level]
        self.fusion = nn.Module()
        if level > 0:
            self.fusion.down = SpikingConv(widths[level - 1], channels, *STRIDES[level])
        if step > 0 and level + 1 < len(widths):
            self.fusion.up = SpikingConv(widths[level + 1], channels, 1, 1)
        self.blocks = nn.ModuleList((OwnBlock(channels, kernel), SharingBlock(channels, kernel, shared)))

    def forward(self, below: Tensor, deeper: Tensor | None, weight: Tensor) -> Tensor:
        """From the level below, and the deeper level of the step before where there is one."""
        x = self.fusion.down(below) if hasattr(self.fusion, "down") else below
        if deeper is not None:
            back = self.fusion.up(deeper)
            x = x + (back if back.shape == x.shape else F.interpolate(back, size=x.shape[2:], mode="nearest"))
        own, sharing = self.blocks
        return sharing(own(x), weight)


class Subnet(nn.Module):
    """The levels of a step and their alphas; the first step's alphas have nothing to scale."""

    def __init__(
        self, widths: Sequence[int], kernel: int, step: int, shared: Sequence[tuple[Standardised, Depthwise]]
    ) -> None:
        super().__init__()
        for level, width in enumerate(widths):
            self.add_module(f"level{level}", Level(widths, kernel, (step, level), shared[level]))
            self.register_parameter(f"alpha{level}", nn.Parameter(torch.full((1, width, 1, 1), 0.5)))

    def alpha(self, level: int) -> Tensor:
        """A level's factor a channel, moved away from zero first."""
        alpha = self.get_parameter(f"alpha{level}")
        with torch.no_grad():
            alpha.copy_(torch.where(alpha.abs() < CLAMP, CLAMP * alpha.sign(), alpha))
        return alpha

    def forward(
        self, feature: Tensor, carried: Sequence[Tensor] | None, weights: Sequence[Tensor]
    ) -> list[Tensor]:
        """The states of this step from those of the step before, if there is one."""
        states: list[Tensor] = []
        for level, weight in enumerate(weights):
            below = states[-1] if states else feature
            deeper = carried[level + 1] if carried is not None and level + 1 < len(weights) else None
            state = self.get_submodule(f"level{level}")(below, deeper, weight)
            if carried is not None:
                state = torch.addcmul(state, self.alpha(level), carried[level])
            states.append(state)
        return states


class Head(nn.Module):
    """Mean over space - a 1x1 convolution; only the last step's has spikes and two of them."""

    def __init__(self, features: int, classes: int, *, last: bool) -> None:
        super().__init__()
        self.spikes = Quantiser() if last else nn.Identity()
        first = nn.Sequential(standardised(features, classes))
        if last:
            self.classifier1, self.classifier2 = first, standardised(classes, classes)
        else:
            self.classifier = first

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.spikes(x).mean((2, 3), keepdim=True)
        if hasattr(self, "classifier"):
            return self.classifier(pooled).flatten(1)
        return self.classifier2(self.classifier1(pooled)).flatten(1)


class TRevSnn(nn.Module):
    """Images `[B, C, H, W]`, scores `[T, B, K]`; the stem runs once for all steps."""

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 384),
        *,
        kernel: int = 5,
        steps: int = 4,
        channels: int = 3,
        classes: int = 10,
    ) -> None:
        super().__init__()
        self.steps = steps
        self.stem = nn.Module()
        self.stem.down1 = nn.Sequential(standardised(channels, widths[0], 7, 2))
        self.stem.down2 = nn.Sequential(standardised(widths[0], widths[0], 3, 2))
        shared = [(standardised(EXPANSION * width, width), Depthwise(width, kernel)) for width in widths]
        for step in range(steps):
            self.add_module(f"subnet{step}", Subnet(widths, kernel, step, shared))
        self.cls_blocks = nn.ModuleList(
            Head(widths[-1], classes, last=step + 1 == steps) for step in range(steps)
        )

    def forward(self, images: Tensor) -> Tensor:
        feature = self.stem.down2(self.stem.down1(images))
        first = self.get_submodule("subnet0")
        levels = [first.get_submodule(f"level{level}") for level in range(len(STRIDES))]
        weights = [level.blocks[1].pwconv2_reuse.standardised() for level in levels]
        states, scores = None, []
        for step, head in enumerate(self.cls_blocks):
            states = self.get_submodule(f"subnet{step}")(feature, states, weights)
            scores.append(head(states[-1]))
        return torch.stack(scores)
