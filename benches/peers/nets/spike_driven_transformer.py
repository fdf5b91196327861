"""`spike-driven-transformer-8-512`: attention by masks and sums of spikes (Yao et al., NeurIPS 2023).

`x + norm(conv1x1(q * fire(sum over tokens of k * v)))`, q, k, v = `fire(norm(conv1x1(fire(x))))`, then
`x + norm(conv1x1(fire(norm(conv1x1(fire(x))))))`. Tokens are the pixels of `[T, B, C, H, W]`.
"""

from __future__ import annotations

import torch
from spikingjelly.activation_based import layer
from torch import Tensor, nn

from .neurons import transformer
from .norms import RepeatedNorm, over_time
from .weights import conv


class Stem(nn.Module):
    """conv3x3 - norm - neuron (- maximum), four times, and a fifth convolution on the last spikes, added to their current.

    The last maximum is in front of its neurons. The first convolution and norm run once for all steps.
    """

    def __init__(self, channels: int, dim: int, steps: int, pools: tuple[bool, bool, bool, bool]) -> None:
        super().__init__()
        self.steps = steps
        widths = (dim // 8, dim // 4, dim // 2, dim)
        self.suffixes = ("", "1", "2", "3")
        c_in = channels
        for suffix, width, pool in zip(self.suffixes, widths, pools, strict=True):
            first = suffix == ""
            convolution = nn.Conv2d(c_in, width, 3, padding=1, bias=False) if first else conv(c_in, width, 3)
            nn.init.normal_(convolution.weight, std=0.02)
            self.add_module(f"proj_conv{suffix}", convolution)
            self.add_module(f"proj_bn{suffix}", RepeatedNorm(width, steps) if first else over_time(width))
            self.add_module(f"proj_lif{suffix}", transformer())
            maximum = layer.MaxPool2d(3, stride=2, padding=1, step_mode="m") if pool else nn.Identity()
            self.add_module(f"maxpool{suffix}", maximum)
            c_in = width
        self.rpe_conv = conv(dim, dim, 3)
        nn.init.normal_(self.rpe_conv.weight, std=0.02)
        self.rpe_bn = over_time(dim)

    def forward(self, images: Tensor) -> Tensor:
        x = self.proj_bn(self.proj_conv(images))
        x_seq = self.maxpool(self.proj_lif(x.expand(self.steps, *x.shape)))
        for suffix in self.suffixes[1:]:
            neurons = () if suffix == self.suffixes[-1] else ("proj_lif",)
            for name in ("proj_conv", "proj_bn", *neurons, "maxpool"):
                x_seq = self.get_submodule(name + suffix)(x_seq)
        return x_seq + self.rpe_bn(self.rpe_conv(self.proj_lif3(x_seq)))


class MaskedAttention(nn.Module):
    """A mask of channels from the sum over tokens; heads shape nothing but a parameter that nothing reads."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.shortcut_lif = transformer()
        for letter in "qkv":
            convolution = conv(dim, dim, 1)
            nn.init.normal_(convolution.weight, std=0.02)
            self.add_module(f"{letter}_conv", convolution)
            self.add_module(f"{letter}_bn", over_time(dim))
            self.add_module(f"{letter}_lif", transformer())
        self.talking_heads = nn.Conv1d(heads, heads, 1, bias=False)
        self.talking_heads_lif = transformer(threshold=0.5)
        self.proj_conv = conv(dim, dim, 1, bias=True)
        nn.init.normal_(self.proj_conv.weight, std=0.02)
        self.proj_bn = over_time(dim)

    def _projected(self, spikes: Tensor, letter: str) -> Tensor:
        for part in ("conv", "bn", "lif"):
            spikes = self.get_submodule(f"{letter}_{part}")(spikes)
        return spikes

    def forward(self, x_seq: Tensor) -> Tensor:
        spikes = self.shortcut_lif(x_seq)
        q, k, v = (self._projected(spikes, letter) for letter in "qkv")
        mask = self.talking_heads_lif((k * v).sum((3, 4), keepdim=True))
        return self.proj_bn(self.proj_conv(q * mask))


class Perceptron(nn.Module):
    """Neuron - conv1x1 - norm, twice, four times as wide in between."""

    def __init__(self, dim: int, ratio: int) -> None:
        super().__init__()
        for name, c_in, c_out in (("fc1", dim, ratio * dim), ("fc2", ratio * dim, dim)):
            self.add_module(f"{name}_lif", transformer())
            convolution = conv(c_in, c_out, 1, bias=True)
            nn.init.normal_(convolution.weight, std=0.02)
            self.add_module(f"{name}_conv", convolution)
            self.add_module(f"{name}_bn", over_time(c_out))

    def forward(self, x_seq: Tensor) -> Tensor:
        for name in ("fc1", "fc2"):
            for part in ("lif", "conv", "bn"):
                x_seq = self.get_submodule(f"{name}_{part}")(x_seq)
        return x_seq


class SpikeDrivenBlock(nn.Module):
    """Attention and perceptron beside shortcuts."""

    def __init__(self, dim: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.attn = MaskedAttention(dim, heads)
        self.mlp = Perceptron(dim, ratio)

    def forward(self, x_seq: Tensor) -> Tensor:
        x_seq = x_seq + self.attn(x_seq)
        return x_seq + self.mlp(x_seq)


class SpikeDrivenTransformer(nn.Module):
    """Images `[B, C, H, W]`, scores `[T, B, K]`; `pools` says behind which convolutions of the stem a maximum stands."""

    def __init__(
        self,
        dim: int = 512,
        *,
        heads: int = 8,
        depth: int = 8,
        ratio: int = 4,
        pools: tuple[bool, bool, bool, bool] = (True, True, True, True),
        steps: int = 4,
        channels: int = 3,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        self.patch_embed = Stem(channels, dim, steps, pools)
        self.block = nn.ModuleList(SpikeDrivenBlock(dim, heads, ratio) for _ in range(depth))
        self.head_lif = transformer()
        self.head = layer.Linear(dim, classes, step_mode="m")

    def forward(self, images: Tensor) -> Tensor:
        x_seq = self.patch_embed(images)
        for block in self.block:
            x_seq = block(x_seq)
        return self.head(self.head_lif(torch.mean(x_seq, (3, 4))))
