"""`ms-resnet34`: residual blocks whose shortcut carries membrane currents, in the form of S-RevSNN's baseline.

`y = x' + norm(conv(fire(norm(conv(fire(x))))))`, `x' = x`, or `norm(conv1x1(fire(x)))` where the shape changes.
"""

from __future__ import annotations

from collections.abc import Sequence

from spikingjelly.activation_based import layer
from torch import Tensor, nn

from .neurons import integrate_and_fire
from .norms import over_time
from .weights import conv


def conv_norm(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution and norm; started from Kaiming's normal distribution over the fan-out."""
    first = conv(c_in, c_out, kernel, stride)
    nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(first, over_time(c_out))


class MsBlock(nn.Module):
    """A basic block; the shortcut that changes the shape has neurons of its own, as the authors' has."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.sn1 = integrate_and_fire()
        self.conv1 = conv_norm(c_in, c_out, 3, stride)
        self.sn2 = integrate_and_fire()
        self.conv2 = conv_norm(c_out, c_out, 3)
        changes = stride != 1 or c_in != c_out
        self.downsample = (
            nn.Sequential(integrate_and_fire(), conv_norm(c_in, c_out, 1, stride))
            if changes
            else nn.Identity()
        )

    def forward(self, x_seq: Tensor) -> Tensor:
        y = self.conv2(self.sn2(self.conv1(self.sn1(x_seq))))
        return y + self.downsample(x_seq)


class MsResNet(nn.Module):
    """Images `[B, C, H, W]`, scores `[T, B, K]`; stem convolution and norm run once for all steps."""

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        blocks: Sequence[int] = (3, 4, 6, 3),
        *,
        steps: int = 4,
        channels: int = 3,
        classes: int = 10,
    ) -> None:
        super().__init__()
        self.steps = steps
        self.conv1 = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.bn1 = nn.BatchNorm2d(widths[0])
        c_in = widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            stack = []
            for index in range(count):
                stack.append(MsBlock(c_in, width, 2 if stage > 0 and index == 0 else 1))
                c_in = width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*stack))
        self.sn1 = integrate_and_fire()
        self.fc = layer.Linear(c_in, classes, step_mode="m")

    def forward(self, images: Tensor) -> Tensor:
        x = self.bn1(self.conv1(images))
        x_seq = x.expand(self.steps, *x.shape)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x_seq = stage(x_seq)
        return self.fc(self.sn1(x_seq).mean((3, 4)))
