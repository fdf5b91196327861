"""`ms-resnet34`: residual blocks whose shortcut carries membrane currents, in the form of S-RevSNN's baseline.

`y = x' + norm(conv(fire(norm(conv(fire(x))))))`, `x' = x`, or `norm(conv1x1(fire(x)))` where the shape changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spikingjelly.activation_based import layer
from torch import Tensor, nn

from .neurons import integrate_and_fire
from .norms import over_time
from .weights import conv


@dataclass(frozen=True)
class Parts:
    """What the blocks are built of."""

    neuron: Callable[[], nn.Module] = integrate_and_fire
    norm: Callable[[int], nn.Module] = over_time
    """Of sequences, from the channels."""


AUTHORS = Parts()
"""As S-RevSNN's authors train their baseline."""


def conv_norm(c_in: int, c_out: int, kernel: int, stride: int = 1, parts: Parts = AUTHORS) -> nn.Sequential:
    """Convolution and norm; started from Kaiming's normal distribution over the fan-out."""
    first = conv(c_in, c_out, kernel, stride)
    nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(first, parts.norm(c_out))


def stem(channels: int, width: int, *, large: bool) -> tuple[nn.Conv2d, nn.BatchNorm2d, nn.Module]:
    """Convolution, norm and pool of images, which run once for all steps; `large` ones are ImageNet's."""
    kernel, stride = (7, 2) if large else (3, 1)
    first = nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
    pool = nn.MaxPool2d(3, stride=2, padding=1) if large else nn.Identity()
    return first, nn.BatchNorm2d(width), pool


class MsBlock(nn.Module):
    """A basic block; the shortcut that changes the shape has neurons of its own, as the authors' has."""

    def __init__(self, c_in: int, c_out: int, stride: int, parts: Parts) -> None:
        super().__init__()
        self.sn1 = parts.neuron()
        self.conv1 = conv_norm(c_in, c_out, 3, stride, parts)
        self.sn2 = parts.neuron()
        self.conv2 = conv_norm(c_out, c_out, 3, 1, parts)
        changes = stride != 1 or c_in != c_out
        self.downsample = (
            nn.Sequential(parts.neuron(), conv_norm(c_in, c_out, 1, stride, parts))
            if changes
            else nn.Identity()
        )

    def forward(self, x_seq: Tensor) -> Tensor:
        y = self.conv2(self.sn2(self.conv1(self.sn1(x_seq))))
        return y + self.downsample(x_seq)


class MsResNet(nn.Module):
    """Images `[B, C, H, W]`, scores `[T, B, K]`; the stem runs once for all steps."""

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        blocks: Sequence[int] = (3, 4, 6, 3),
        *,
        steps: int = 4,
        channels: int = 3,
        classes: int = 10,
        large: bool = False,
        parts: Parts = AUTHORS,
    ) -> None:
        super().__init__()
        self.steps = steps
        self.conv1, self.bn1, self.maxpool = stem(channels, widths[0], large=large)
        c_in = widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            stack = []
            for index in range(count):
                stack.append(MsBlock(c_in, width, 2 if stage > 0 and index == 0 else 1, parts))
                c_in = width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*stack))
        self.sn1 = parts.neuron()
        self.fc = layer.Linear(c_in, classes, step_mode="m")

    def forward(self, images: Tensor) -> Tensor:
        x = self.maxpool(self.bn1(self.conv1(images)))
        x_seq = x.expand(self.steps, *x.shape)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x_seq = stage(x_seq)
        return self.fc(self.sn1(x_seq).mean((3, 4)))
