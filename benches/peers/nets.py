"""The peer's networks: the set-ups that `harness model` publishes, out of PyTorch and SpikingJelly's own layers.

Modules carry the names of the authors' code, so that parameters of a golden case load as they are. Sequences are
`[T, B, C, H, W]` in multi-step mode; where SpikingJelly has a layer, it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import Tensor, nn
from torch.nn import functional as F

SurrogateFactory = Callable[[], surrogate.SurrogateFunctionBase]


def triangle() -> surrogate.SurrogateFunctionBase:
    """`max(0, 1 - |u - threshold|)`."""
    return surrogate.PiecewiseQuadratic(alpha=1.0)


def sigmoid() -> surrogate.SurrogateFunctionBase:
    """`4 sig(4x) (1 - sig(4x))`."""
    return surrogate.Sigmoid(alpha=4.0)


class StepNorm(nn.BatchNorm2d):
    """Batch norm with statistics of its own at each step, `[T, B, C, H, W]` in and out."""

    def forward(self, x_seq: Tensor) -> Tensor:
        """Normalises each step; an input that is constant in time is normalised once."""
        if x_seq.stride(0) == 0 and self.training:
            return self._constant(x_seq)
        return torch.stack([super(StepNorm, self).forward(x) for x in x_seq])

    def _constant(self, x_seq: Tensor) -> Tensor:
        """What T calls with the same input give: one result, and statistics that move T times."""
        steps = len(x_seq)
        momentum = 1.0 - (1.0 - self.momentum) ** steps
        y = F.batch_norm(
            x_seq[0], self.running_mean, self.running_var, self.weight, self.bias, True, momentum, self.eps
        )
        self.num_batches_tracked += steps
        return y.expand(steps, *y.shape)


def lif(make_surrogate: SurrogateFactory) -> neuron.LIFNode:
    """SLTT's neuron in its BPTT baseline: tau 1.1, no input decay, soft reset that is differentiated."""
    return neuron.LIFNode(
        tau=1.1,
        decay_input=False,
        v_threshold=1.0,
        v_reset=None,
        surrogate_function=make_surrogate(),
        detach_reset=False,
        step_mode="m",
    )


def conv(c_in: int, c_out: int, kernel: int, stride: int, *, bias: bool) -> layer.Conv2d:
    """A convolution with half a kernel of padding."""
    return layer.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=bias, step_mode="m")


class PreActBlock(nn.Module):
    """`conv2(lif(bn2(conv1(z)))) + shortcut(z)` with `z = lif(bn1(x))`: the shortcut carries spikes."""

    def __init__(self, c_in: int, c_out: int, stride: int, make_surrogate: SurrogateFactory) -> None:
        super().__init__()
        self.bn1 = StepNorm(c_in)
        self.relu1 = lif(make_surrogate)
        self.conv1 = conv(c_in, c_out, 3, stride, bias=True)
        self.bn2 = StepNorm(c_out)
        self.relu2 = lif(make_surrogate)
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
        self.relu1 = lif(make_surrogate)
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


class VggBn(nn.Module):
    """SLTT's VGG-11 on event frames `[T, B, C, H, W]`, scores `[T, B, K]`."""

    STAGES = (1, 1, 2, 2, 2)
    BINS = 7

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 256, 512, 512, 512, 512),
        *,
        channels: int = 2,
        classes: int = 10,
        dropout: float = 0.3,
        make_surrogate: SurrogateFactory = triangle,
    ) -> None:
        super().__init__()
        c_in, remaining = channels, iter(widths)
        for stage, count in enumerate(self.STAGES):
            stack: list[nn.Module] = []
            for _ in range(count):
                width = next(remaining)
                stack += [
                    conv(c_in, width, 3, 1, bias=True),
                    StepNorm(width),
                    lif(make_surrogate),
                    layer.Dropout(dropout, step_mode="m") if dropout > 0.0 else nn.Identity(),
                ]
                c_in = width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*stack, layer.AvgPool2d(2, step_mode="m")))
        self.classifier = nn.Sequential(
            nn.Flatten(2), layer.Linear(c_in * self.BINS**2, classes, step_mode="m")
        )
        self.avgpool = layer.AdaptiveAvgPool2d(self.BINS, step_mode="m")

    def forward(self, frames: Tensor) -> Tensor:
        x_seq = frames
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4, self.layer5):
            x_seq = stage(x_seq)
        return self.classifier(self.avgpool(x_seq))


@dataclass(frozen=True)
class Published:
    """A network as the project publishes it."""

    build: Callable[[], nn.Module]
    steps: int
    image: tuple[int, int, int]
    classes: int
    frames: bool
    """Whether a sample is T frames; else one image that is shown at every step."""

    def batch(self, samples: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """White noise and classes in turn."""
        shape = (self.steps, samples, *self.image) if self.frames else (samples, *self.image)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
        return noise, torch.arange(samples) % self.classes


NETS = {
    "preact-resnet18": Published(PreActResNet, steps=6, image=(3, 32, 32), classes=10, frames=False),
    "vgg11-bn": Published(VggBn, steps=10, image=(2, 48, 48), classes=10, frames=True),
}
