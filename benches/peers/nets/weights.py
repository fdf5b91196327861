"""Convolutions of sequences `[T, B, C, H, W]`, all steps as one batch, and convolutions of standardised weights."""

from __future__ import annotations

import torch
from spikingjelly.activation_based import layer
from torch import Tensor, nn
from torch.nn import functional as F


def conv(c_in: int, c_out: int, kernel: int, stride: int = 1, *, bias: bool = False) -> layer.Conv2d:
    """A convolution with half a kernel of padding."""
    return layer.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=bias, step_mode="m")


class Standardised(nn.Conv2d):
    """A convolution of `gain (w - mean) / sqrt(N var + eps)`, with mean and variance over the N weights of an output.

    `unbiased` is OTTT's form; without it, it is timm's `ScaledStdConv2d`, whose `eps` belongs to the variance. `factor`
    scales what the convolution reads: scaling its few weights is cheaper than scaling every spike.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        stride: int = 1,
        *,
        unbiased: bool,
        factor: float = 1.0,
    ) -> None:
        super().__init__(c_in, c_out, kernel, stride, padding=kernel // 2)
        self.gain = nn.Parameter(torch.ones(c_out, 1, 1, 1))
        self.unbiased = unbiased
        self.factor = factor
        nn.init.zeros_(self.bias)

    def standardised(self) -> Tensor:
        """The weights that act."""
        count = self.weight[0].numel()
        variance, mean = torch.var_mean(
            self.weight, dim=(1, 2, 3), correction=int(self.unbiased), keepdim=True
        )
        eps = 1e-4 if self.unbiased else 1e-6 * count
        scale = self.gain * torch.rsqrt(variance * count + eps)
        return (self.weight - mean) * (scale * self.factor)

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """Of images `[B, C, H, W]`; `weight` is what the weights were standardised to, if they were already."""
        return self._conv_forward(x, self.standardised() if weight is None else weight, self.bias)


class SequenceStandardised(Standardised):
    """The same of a sequence."""

    def forward(self, x_seq: Tensor) -> Tensor:
        return super().forward(x_seq.flatten(0, 1)).unflatten(0, x_seq.shape[:2])


class Depthwise(nn.Conv2d):
    """A kernel of its own for each channel, of images `[B, C, H, W]`."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__(channels, channels, kernel, padding=kernel // 2, groups=channels)
        nn.init.normal_(self.weight, std=0.02)
        nn.init.zeros_(self.bias)


def pixelwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution of tokens, weights `[C_out, C_in, 1]`, where the tokens are pixels `[T, B, C, H, W]`."""
    return F.conv2d(x.flatten(0, 1), weight.unsqueeze(-1), bias).unflatten(0, x.shape[:2])
