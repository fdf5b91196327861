"""Cases of the peer's networks, for the program to replay: golden cases the other way round.

Where no authors' code made a case of a network, the peer makes one at a small size in double precision, and `harness
probe` loads its parameters by name, runs one step by backpropagation through time, and compares scores, loss and every
gradient.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from nets.campaign import Asked
from nets.ms_resnet import MsResNet, Parts
from nets.ms_resnet_trev import MsResNetTrev
from nets.neurons import ottt
from nets.nf_resnet import NfResNet
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

IMAGE, CLASSES, BATCH, STEPS = 64, 10, 2, 3
WIDTHS, BLOCKS = (4, 6, 8, 10), (1, 2, 1, 1)

OTTT = "OnlineLIFNode: tau 2, no input decay, Vth 1, soft reset, detached"
QUANTISER = "Quant"


@dataclass(frozen=True)
class Small:
    """A small network, and what the program calls its neuron."""

    build: Callable[[Asked], nn.Module]
    neuron: str


NETWORKS: Mapping[str, Small] = {
    "ms-resnet34": Small(
        lambda asked: MsResNet(WIDTHS, BLOCKS, large=True, parts=Parts(neuron=ottt), **asked.ends), OTTT
    ),
    "ms-resnet34-trev": Small(lambda asked: MsResNetTrev(WIDTHS, BLOCKS, **asked.ends), QUANTISER),
    "nf-resnet34": Small(lambda asked: NfResNet(WIDTHS, BLOCKS, **asked.ends), OTTT),
}


def randomise(net: nn.Module) -> None:
    """Parameters that no symmetry hides: none is 0 or 1 throughout, and neurons fire."""
    for name, parameter in net.named_parameters():
        if parameter.dim() > 1 and not name.endswith(("gain", "alpha")):
            nn.init.normal_(parameter, std=1.5 * parameter[0].numel() ** -0.5)
        else:
            nn.init.uniform_(parameter, 0.3, 1.2)
    for name, buffer in net.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            nn.init.uniform_(buffer, 0.2, 0.8)


def case_of(network: str, small: Small, folder: Path) -> None:
    """Writes `case.json` and the tensors of one step."""
    torch.manual_seed(7)
    asked = Asked((3, IMAGE, IMAGE), CLASSES, STEPS)
    net = small.build(asked).double()
    randomise(net)
    x = torch.randn(BATCH, *asked.image, dtype=torch.float64)
    y = torch.arange(BATCH) * 3
    tensors: dict[str, Tensor] = {"x": x, "y": y}
    tensors |= {f"param/{name}": p.detach().clone() for name, p in net.named_parameters()}
    tensors |= {f"buffer/{name}": b.clone() for name, b in net.named_buffers()}
    scores = net(x)
    loss = F.cross_entropy(scores.flatten(0, 1), y.repeat(STEPS))
    loss.backward()
    dead = [name for name, p in net.named_parameters() if not p.grad.any()]
    if dead:
        raise ValueError(f"nothing reaches {', '.join(dead)}: the case would bind less than it seems to")
    tensors |= {"logits": scores.detach(), "loss": loss.detach()}
    tensors |= {f"grad/{name}": p.grad for name, p in net.named_parameters()}
    told = {
        "case": f"peer of {network}",
        "method": "BPTT",
        "model": network,
        "constructor": {"widths": WIDTHS, "layers": BLOCKS, "num_classes": CLASSES, "tau": 2.0},
        "T": STEPS,
        "neuron": small.neuron,
        "surrogate": "sigmoid alpha=4",
        "loss": "per step: CE(o_t,y)/T; loss = sum_t",
        # Nothing is nearly zero: biases stand behind no norm.
        "gradients_exactly_zero": [],
    }
    (folder / "case.json").write_text(json.dumps(told))
    save_file({name: t.contiguous() for name, t in tensors.items()}, folder / "case_f64.safetensors")


def replay(harness: Path, network: str) -> tuple[bool, str]:
    """Whether the program agrees with the peer's network, and what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        case_of(network, NETWORKS[network], Path(folder))
        ran = subprocess.run([str(harness), "probe", folder], capture_output=True, text=True, check=False)
    return ran.returncode == 0, ran.stdout + ran.stderr
