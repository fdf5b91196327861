"""`preact-resnet18`: SLTT's pre-activation network, whose shortcut carries spikes."""

from __future__ import annotations

from collections.abc import Sequence

from spikingjelly.activation_based import layer
from torch import Tensor, nn

from .neurons import SurrogateFactory, sltt, triangle
from .norms import StepNorm
from .weights import conv


class PreActBlock(nn.Module):
    """`conv2(lif(bn2(conv1(z)))) + shortcut(z)` with `z = lif(bn1(x))`: the shortcut carries spikes."""

    def __init__(self, c_in: int, c_out: int, stride: int, make_surrogate: SurrogateFactory) -> None:
        super().__init__()
        self.bn1 = StepNorm(c_in)
        self.relu1 = sltt(make_surrogate)
        self.conv1 = conv(c_in, c_out, 3, stride, bias=True)
        self.bn2 = StepNorm(c_out)
        self.relu2 = sltt(make_surrogate)
        self.conv2 = conv(c_out, c_out, 3, 1, bias=True)
        changes = stride != 1 or c_in != c_out
        self.shortcut = conv(c_in, c_out, 1, stride, bias=True) if changes else nn.Identity()

    def forward(self, x_seq: Tensor) -> Tensor:
        z = self.relu1(self.bn1(x_seq))
        y = self.conv2(self.relu2(self.bn2(self.conv1(z))))
        return y + self.shortcut(z)


class PreActResNet(nn.Module):
    """SLTT's pre-activation network on images `[B, C, H, W]`, scores `[T, B, K]`."""

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        blocks: Sequence[int] = (2, 2, 2, 2),
        *,
        steps: int = 6,
        channels: int = 3,
        classes: int = 10,
        make_surrogate: SurrogateFactory = triangle,
    ) -> None:
        super().__init__()
        self.steps = steps
        self.conv1 = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        c_in = widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            stack = []
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                stack.append(PreActBlock(c_in, width, stride, make_surrogate))
                c_in = width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*stack))
        self.bn1 = StepNorm(c_in)
        self.relu1 = sltt(make_surrogate)
        self.pool = layer.AvgPool2d(4, step_mode="m")
        self.linear = layer.Linear(c_in, classes, step_mode="m")

    def forward(self, images: Tensor) -> Tensor:
        # The image is the same at every step: one convolution, seen T times without a copy.
        x = self.conv1(images)
        x_seq = x.expand(self.steps, *x.shape)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x_seq = stage(x_seq)
        x_seq = self.pool(self.relu1(self.bn1(x_seq)))
        return self.linear(x_seq.flatten(2))
