"""Golden cases of the authors' code, computed by the peer's networks on the path that is measured.

The cases stand in `tests/golden`, where this project's own networks meet the same tensors. A case of another method
than backpropagation through time binds the scores alone; the gradient of its neurons stands in the tables of `lif`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from spikingjelly.activation_based import neuron
from torch import Tensor, nn
from torch.nn import functional as F

from nets import neurons
from nets.ms_resnet import MsResNet
from nets.nf_resnet import NfResNet
from nets.preact_resnet import PreActResNet
from nets.rev_resnet import RevResNet
from nets.spike_driven_transformer import SpikeDrivenTransformer
from nets.spikingformer import Spikingformer
from nets.trevsnn import TRevSnn
from nets.vgg_bn import VggBn
from nets.vgg_ws import VggWs

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of scores `[T, B, K]` and classes `[B]`."""


def onehot(scores: Tensor, labels: Tensor) -> Tensor:
    """SLTT's loss over `T B` rows: 0.95 cross-entropy + 0.05 squared error to one-hot."""
    rows, targets = scores.flatten(0, 1), labels.repeat(len(scores))
    hot = F.one_hot(targets, rows.shape[1]).to(rows.dtype)
    return 0.95 * F.cross_entropy(rows, targets) + 0.05 * F.mse_loss(rows, hot)


def of_mean(scores: Tensor, labels: Tensor) -> Tensor:
    """S-RevSNN's loss of the mean over time."""
    return F.cross_entropy(scores.mean(0), labels)


def smoothed_of_mean(scores: Tensor, labels: Tensor) -> Tensor:
    """The transformers' loss of the mean over time, smoothed by 0.1."""
    return F.cross_entropy(scores.mean(0), labels, label_smoothing=0.1)


def of_heads(scores: Tensor, labels: Tensor) -> Tensor:
    """T-RevSNN's loss: the last head's, and each head's with a weight that grows with its step."""
    each = [F.cross_entropy(o, labels, label_smoothing=0.1) for o in scores]
    return each[-1] + sum((t + 1) / len(each) * loss for t, loss in enumerate(each))


@dataclass(frozen=True)
class Case:
    """A golden case and what of it the peer computes."""

    folder: str
    build: Callable[[dict, int], nn.Module]
    """From the constructor's arguments and T."""
    loss: Loss | None = None
    """None where the case's gradients are those of another method: its scores are the same for any."""
    mean: bool = False
    """Whether the case holds the mean of the scores over time."""


CASES = (
    Case(
        "sltt_bptt_preact_sigmoid_onehot",
        lambda c, t: PreActResNet(c["widths"], c["num_blocks"], steps=t, make_surrogate=neurons.sigmoid),
        loss=onehot,
    ),
    Case("sltt_vgg_dvs", lambda c, t: VggBn(c["cfg"], dropout=c["dropout"])),
    Case("revsnn_msresnet", lambda c, t: MsResNet(c["widths"], c["layers"], steps=t), loss=of_mean),
    Case("revsnn_revsresnet", lambda c, t: RevResNet(c["planes"], c["layers"], steps=t), loss=of_mean),
    Case("nfresnet_ottt", lambda c, t: NfResNet(c["widths"], c["layers"], steps=t, classes=c["num_classes"])),
    Case("ottt_a_vgg", lambda c, t: VggWs(c["cfg"], steps=t)),
    Case("trevsnn_k3", lambda c, t: TRevSnn(c["channels"], kernel=c["kernel_size"], steps=t), loss=of_heads),
    Case(
        "spikingformer",
        lambda c, t: Spikingformer(
            c["embed_dims"], heads=c["num_heads"], depth=c["depths"], ratio=c["mlp_ratios"], steps=t
        ),
        loss=smoothed_of_mean,
        mean=True,
    ),
    Case(
        "sdt_imagenet",
        lambda c, t: SpikeDrivenTransformer(
            c["embed_dims"],
            heads=c["num_heads"],
            depth=c["depths"],
            ratio=c["mlp_ratios"],
            pools=tuple(pooled == "1" for pooled in c["pooling_stat"]),
            steps=t,
            classes=c["num_classes"],
        ),
        loss=smoothed_of_mean,
    ),
)

TABLES: Mapping[str, Callable[[], nn.Module]] = {
    "lif_tau1.1_nodecay_soft_nodetach_triangle_vth1.0": neurons.sltt,
    "lif_tau2.0_nodecay_soft_detach_sigmoid4_vth1.0": neurons.ottt,
    "if_hard_detach_arctan2_vth1.0": neurons.integrate_and_fire,
    "lif_tau2.0_decay_hard_detach_sigmoid4_vth1.0": neurons.transformer,
}
"""Tables of neurons, and the peer's neuron that each is of."""


def off(found: Tensor, expected: Tensor) -> float:
    """The largest difference as a part of the largest value."""
    found, expected = found.to(torch.float64), expected.to(torch.float64)
    return ((found - expected).abs().max() / expected.abs().max().clamp_min(1e-12)).item()


def single(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As what is measured computes; no membrane of a case is so close to a threshold that precision matters."""
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}


def differences(case: Case) -> dict[str, float]:
    """The largest difference of each tensor, as a part of its largest value."""
    folder = GOLDEN / case.folder
    told = json.loads((folder / "case.json").read_text())
    tensors = single(load_file(folder / f"{case.folder}_f64.safetensors"))
    aliases = next((value for key, value in told.items() if key.startswith("aliases")), {})
    net = case.build(told["constructor"], told["T"])
    state = {n.split("/", 1)[1]: t for n, t in tensors.items() if n.startswith(("param/", "buffer/"))}
    net.load_state_dict(state | {name: state[stored] for name, stored in aliases.items()}, strict=True)
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    # Frames come as [B, T, C, H, W].
    scores = net(tensors["x"].transpose(0, 1) if tensors["x"].dim() == 5 else tensors["x"])
    found = {"logits": (scores.mean(0) if case.mean else scores).detach()}
    if case.loss is not None:
        loss = case.loss(scores, tensors["y"])
        loss.backward()
        found["loss"] = loss.detach()
        noise = next(
            value for key, value in told.items() if key.startswith("gradients_that_are_only_rounding")
        )
        none = [*told["gradients_exactly_zero"], *noise]
        none += [f"grad/{name}" for name in told.get("params_without_gradient", [])]
        grads = {f"grad/{name}": p.grad for name, p in net.named_parameters()}
        found |= {name: grad for name, grad in grads.items() if name not in none}
    moves = calls(net, tensors)
    for name, buffer in net.named_buffers():
        expected = f"buffer_after/{name}"
        if name.endswith("num_batches_tracked") or expected not in tensors:
            continue
        found[expected] = moved(before[name], buffer, moves[name.rsplit(".", 1)[0]])
    return {name: off(tensor, tensors[name]) for name, tensor in found.items()}


def calls(net: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, float]]:
    """How often a norm's statistics moved in the case for each time that they moved here, and by what momentum.

    Codes that rebuild what they did not keep run a norm twice with the same batch; here it runs once.
    """
    found = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            begun = tensors[f"buffer/{name}.num_batches_tracked"]
            theirs = (tensors[f"buffer_after/{name}.num_batches_tracked"] - begun).item()
            ours = (module.num_batches_tracked - begun).item()
            if theirs not in (ours, 2 * ours):
                raise ValueError(f"{name}: statistics moved {ours} times here, {theirs} times in the case")
            found[name] = (theirs // ours, module.momentum)
    return found


def moved(before: Tensor, after: Tensor, times: tuple[int, float]) -> Tensor:
    """A running statistic that has moved once, moved as often by the same batch."""
    count, momentum = times
    for _ in range(count - 1):
        after, before = after + (1.0 - momentum) * (after - before), after
    return after


def table_differences(name: str, make: Callable[[], nn.Module]) -> dict[str, float]:
    """Spikes and gradient of a neuron's table."""
    tensors = single(load_file(GOLDEN / "lif" / "lif_f64.safetensors"))
    node = make()
    assert isinstance(node, neuron.BaseNode)
    x = tensors["x"].requires_grad_()
    spikes = node(x)
    spikes.backward(tensors["gs"])
    return {
        "spikes": off(spikes.detach(), tensors[f"{name}/s"]),
        "grad_x": off(x.grad, tensors[f"{name}/grad_x"]),
    }
