"""Batch norms of sequences `[T, B, C, H, W]`: statistics of each step, of all steps, or of a repeated image.

Statistics of all steps together are `spikingjelly`'s `layer.BatchNorm2d` in multi-step mode.
"""

from __future__ import annotations

import torch
from spikingjelly.activation_based import layer
from torch import Tensor, nn
from torch.nn import functional as F


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


def over_time(channels: int) -> layer.BatchNorm2d:
    """Batch norm with statistics over all steps."""
    return layer.BatchNorm2d(channels, step_mode="m")


class RepeatedNorm(nn.BatchNorm2d):
    """What a norm over all steps makes of an image that is repeated T times: `[B, C, H, W]` in and out.

    Mean and variance are those of the image alone; the running variance is the unbiased one of T times as many values.
    """

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__(channels)
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        # Statistics of this call go into tensors of its own: backward holds on to them as they are.
        mean, variance = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        y = F.batch_norm(x, mean, variance, self.weight, self.bias, True, 1.0, self.eps)
        values = x.numel() // x.shape[1]
        repeated = self.steps * values
        unbiased = (repeated / (repeated - 1)) / (values / (values - 1))
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * unbiased, self.momentum)
        self.num_batches_tracked += 1
        return y
