"""`vgg11-bn`: SLTT's plain network on event frames."""

from __future__ import annotations

from collections.abc import Sequence

from spikingjelly.activation_based import layer
from torch import Tensor, nn

from .neurons import SurrogateFactory, sltt, triangle
from .norms import StepNorm
from .weights import conv


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
                    sltt(make_surrogate),
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
