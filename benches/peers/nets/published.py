"""The networks at the sizes that are measured: what `harness model` publishes, with 32 pixels where it has more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .ms_resnet import MsResNet
from .preact_resnet import PreActResNet
from .rev_resnet import RevResNet
from .spikingformer import Spikingformer
from .trevsnn import TRevSnn
from .vgg_bn import VggBn
from .vgg_ws import VggWs


@dataclass(frozen=True)
class Published:
    """A network as the project publishes it."""

    build: Callable[[], nn.Module]
    steps: int
    image: tuple[int, int, int] = (3, 32, 32)
    classes: int = 10
    frames: bool = False
    """Whether a sample is T frames; else one image that is shown at every step."""

    @property
    def size(self) -> str:
        """The image as the harness writes it."""
        return "x".join(map(str, self.image))

    def batch(self, samples: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """White noise and classes in turn."""
        shape = (self.steps, samples, *self.image) if self.frames else (samples, *self.image)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
        return noise, torch.arange(samples) % self.classes


NETS = {
    "preact-resnet18": Published(PreActResNet, steps=6),
    "ms-resnet34": Published(MsResNet, steps=4),
    "vgg11-bn": Published(VggBn, steps=10, image=(2, 48, 48), frames=True),
    "rev-resnet21": Published(RevResNet, steps=4),
    "vgg11-ws": Published(VggWs, steps=6),
    "trevsnn-tiny": Published(TRevSnn, steps=4),
    "spikingformer-2-384": Published(Spikingformer, steps=4),
}
