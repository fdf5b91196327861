"""`spikingformer-2-384`: the spiking transformer with membrane shortcuts, as S-RevSNN's authors train it.

`x + norm(conv1x1(fire(0.125 (q k^T) v)))`, q, k, v = `fire(norm(conv1x1(fire(x))))`, then
`x + norm(conv1x1(fire(norm(conv1x1(fire(x))))))`. Tokens are the pixels of `[T, B, C, H, W]`.
"""

from __future__ import annotations

from itertools import pairwise

from spikingjelly.activation_based import layer
from torch import Tensor, nn

from .neurons import transformer
from .norms import RepeatedNorm, over_time
from .weights import conv, pixelwise

SCALE = 0.125
POOLED = 3
"""The first convolution that a maximum over 3x3 with stride 2 stands in front of."""


class TokenConv(nn.Conv1d):
    """A 1x1 convolution whose weights are named and shaped as one of tokens."""

    def __init__(self, channels: int, *, bias: bool) -> None:
        super().__init__(channels, channels, 1, bias=bias)

    def forward(self, x_seq: Tensor) -> Tensor:
        return pixelwise(x_seq, self.weight, self.bias)


class Tokenizer(nn.Module):
    """conv3x3 - norm, then four times neuron (- maximum) - conv3x3 - norm; the first pair runs once for all steps."""

    def __init__(self, channels: int, dim: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        widths = (dim // 8, dim // 4, dim // 2, dim, dim)
        self.depth = len(widths)
        self.block0_conv = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.block0_bn = RepeatedNorm(widths[0], steps)
        for index, (c_in, c_out) in enumerate(pairwise(widths), start=1):
            self.add_module(f"block{index}_lif", transformer())
            if index >= POOLED:
                pool = layer.MaxPool2d(3, stride=2, padding=1, step_mode="m")
                self.add_module(f"block{index}_mp", pool)
            self.add_module(f"block{index}_conv", conv(c_in, c_out, 3))
            self.add_module(f"block{index}_bn", over_time(c_out))

    def forward(self, images: Tensor) -> Tensor:
        x = self.block0_bn(self.block0_conv(images))
        x_seq = x.expand(self.steps, *x.shape)
        for index in range(1, self.depth):
            x_seq = self.get_submodule(f"block{index}_lif")(x_seq)
            if index >= POOLED:
                x_seq = self.get_submodule(f"block{index}_mp")(x_seq)
            x_seq = self.get_submodule(f"block{index}_conv")(x_seq)
            x_seq = self.get_submodule(f"block{index}_bn")(x_seq)
        return x_seq


class SelfAttention(nn.Module):
    """Attention of spikes without a softmax; the last neuron has half the threshold."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.proj_lif = transformer()
        for letter in "qkv":
            self.add_module(f"{letter}_conv", TokenConv(dim, bias=False))
            self.add_module(f"{letter}_bn", over_time(dim))
            self.add_module(f"{letter}_lif", transformer())
        self.attn_lif = transformer(threshold=0.5)
        self.proj_conv = TokenConv(dim, bias=True)
        self.proj_bn = over_time(dim)

    def _heads(self, x_seq: Tensor, letter: str) -> Tensor:
        """`[T, B, heads, C / heads, H W]`."""
        for part in ("conv", "bn", "lif"):
            x_seq = self.get_submodule(f"{letter}_{part}")(x_seq)
        return x_seq.flatten(3).unflatten(2, (self.heads, -1))

    def forward(self, x_seq: Tensor) -> Tensor:
        spikes = self.proj_lif(x_seq)
        q, k, v = (self._heads(spikes, letter) for letter in "qkv")
        scores = q.transpose(-2, -1) @ k
        product = v @ scores.transpose(-2, -1) * SCALE
        product = product.flatten(2, 3).unflatten(3, x_seq.shape[3:])
        return self.proj_bn(self.proj_conv(self.attn_lif(product)))


class Perceptron(nn.Module):
    """Neuron - conv1x1 - norm, twice, four times as wide in between."""

    def __init__(self, dim: int, ratio: int) -> None:
        super().__init__()
        for name, c_in, c_out in (("mlp1", dim, ratio * dim), ("mlp2", ratio * dim, dim)):
            self.add_module(f"{name}_lif", transformer())
            self.add_module(f"{name}_conv", conv(c_in, c_out, 1, bias=True))
            self.add_module(f"{name}_bn", over_time(c_out))

    def forward(self, x_seq: Tensor) -> Tensor:
        for name in ("mlp1", "mlp2"):
            for part in ("lif", "conv", "bn"):
                x_seq = self.get_submodule(f"{name}_{part}")(x_seq)
        return x_seq


class TransformerBlock(nn.Module):
    """Attention and perceptron beside shortcuts; the authors' two layer norms are parameters that nothing reads."""

    def __init__(self, dim: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Perceptron(dim, ratio)

    def forward(self, x_seq: Tensor) -> Tensor:
        x_seq = x_seq + self.attn(x_seq)
        return x_seq + self.mlp(x_seq)


class Spikingformer(nn.Module):
    """Images `[B, C, H, W]`, scores `[T, B, K]`."""

    def __init__(
        self,
        dim: int = 384,
        *,
        heads: int = 12,
        depth: int = 2,
        ratio: int = 4,
        steps: int = 4,
        channels: int = 3,
        classes: int = 10,
    ) -> None:
        super().__init__()
        self.patch_embed = Tokenizer(channels, dim, steps)
        self.block = nn.ModuleList(TransformerBlock(dim, heads, ratio) for _ in range(depth))
        self.head = layer.Linear(dim, classes, step_mode="m")
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        x_seq = self.patch_embed(images)
        for block in self.block:
            x_seq = block(x_seq)
        return self.head(x_seq.mean((3, 4)))
