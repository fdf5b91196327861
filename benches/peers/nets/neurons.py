"""The neurons of the papers, out of SpikingJelly's, and the neuron without state that SpikingJelly lacks.

`u[t] = decay v[t-1] + gain x[t]`, `s[t] = 1[u[t] >= threshold]`, all T steps in one call.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

SurrogateFactory = Callable[[], surrogate.SurrogateFunctionBase]


def triangle() -> surrogate.SurrogateFunctionBase:
    """`max(0, 1 - |u - threshold|)`."""
    return surrogate.PiecewiseQuadratic(alpha=1.0)


def sigmoid() -> surrogate.SurrogateFunctionBase:
    """`4 sig(4x) (1 - sig(4x))`."""
    return surrogate.Sigmoid(alpha=4.0)


def arctan() -> surrogate.SurrogateFunctionBase:
    """`1 / (1 + (pi x)^2)`."""
    return surrogate.ATan(alpha=2.0)


def sltt(make_surrogate: SurrogateFactory = triangle) -> neuron.LIFNode:
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


def ottt() -> neuron.LIFNode:
    """OTTT's neuron: tau 2, no input decay, soft detached reset."""
    return neuron.LIFNode(
        tau=2.0,
        decay_input=False,
        v_threshold=1.0,
        v_reset=None,
        surrogate_function=sigmoid(),
        detach_reset=True,
        step_mode="m",
    )


def integrate_and_fire() -> neuron.IFNode:
    """S-RevSNN's neuron on images: no leak, hard detached reset."""
    return neuron.IFNode(
        v_threshold=1.0, v_reset=0.0, surrogate_function=arctan(), detach_reset=True, step_mode="m"
    )


def transformer(threshold: float = 1.0) -> neuron.LIFNode:
    """The neuron of spiking transformers on images: tau 2, input decay, hard detached reset."""
    return neuron.LIFNode(
        tau=2.0,
        decay_input=True,
        v_threshold=threshold,
        v_reset=0.0,
        surrogate_function=sigmoid(),
        detach_reset=True,
        step_mode="m",
    )


class _Quantise(torch.autograd.Function):
    """`1[x >= 1/2]`, gradient 1 on `[0, 1]` with both ends."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x >= 0.5).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * ((x >= 0.0) & (x <= 1.0))


class Quantiser(nn.Module):
    """T-RevSNN's turned-off neuron, without a membrane.

    SpikingJelly's `Rect` has the same window without its ends, and exact zeros are common here.
    """

    def forward(self, x: Tensor) -> Tensor:
        return _Quantise.apply(x)


SPIKING = (neuron.BaseNode, Quantiser)
"""What fires, for counting spikes."""
