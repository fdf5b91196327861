"""Checks the peer's networks against golden cases of the authors' code, on the path that is measured.

    python check.py

The cases stand in `tests/golden`, where this project's own networks meet the same tensors: equal to the cases, the
two programs compute the same function. Exit code 1 where a tensor is off.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from nets import PreActResNet, VggBn, sigmoid, triangle

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"

TOLERANCE = 1e-4
"""Largest difference of a tensor in single precision, as a part of its largest value; `harness probe` has the same."""


@dataclass(frozen=True)
class Case:
    """A golden case and what of it the peer computes."""

    folder: str
    gradients: bool
    """Whether its gradients are those of backpropagation through time; scores are the same for any method."""

    def net(self, constructor: dict, steps: int) -> nn.Module:
        """The network of the case's size."""
        if "num_blocks" in constructor:
            return PreActResNet(
                constructor["widths"], constructor["num_blocks"], steps=steps, make_surrogate=sigmoid
            )
        return VggBn(constructor["cfg"], dropout=constructor["dropout"], make_surrogate=triangle)


CASES = (
    Case("sltt_bptt_preact_sigmoid_onehot", gradients=True),
    Case("sltt_vgg_dvs", gradients=False),
)


def load(net: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Parameters and buffers by the authors' names, every one of them."""
    state = {
        name.split("/", 1)[1]: t for name, t in tensors.items() if name.startswith(("param/", "buffer/"))
    }
    net.load_state_dict(state, strict=True)


def loss_of(scores: Tensor, labels: Tensor) -> Tensor:
    """The authors' loss over `T B` rows: 0.95 cross-entropy + 0.05 squared error to one-hot."""
    rows, targets = scores.flatten(0, 1), labels.repeat(len(scores))
    hot = F.one_hot(targets, rows.shape[1]).to(rows.dtype)
    return 0.95 * F.cross_entropy(rows, targets) + 0.05 * F.mse_loss(rows, hot)


def differences(case: Case) -> dict[str, float]:
    """The largest difference of each tensor, as a part of its largest value."""
    folder = GOLDEN / case.folder
    told = json.loads((folder / "case.json").read_text())
    tensors = load_file(folder / f"{case.folder}_f64.safetensors")
    # What is measured computes in single precision; no membrane of a case is so close to a threshold that it matters.
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    net = case.net(told["constructor"], told["T"])
    load(net, tensors)
    x = tensors["x"].transpose(0, 1) if "x_layout" in told else tensors["x"]
    scores = net(x)
    found = {"logits": scores.detach()}
    if case.gradients:
        loss_of(scores, tensors["y"]).backward()
        noise = next(
            value for key, value in told.items() if key.startswith("gradients_that_are_only_rounding")
        )
        grads = {f"grad/{name}": p.grad for name, p in net.named_parameters()}
        found |= {name: grad for name, grad in grads.items() if name not in noise}
    found |= {f"buffer_after/{name}": buffer for name, buffer in net.named_buffers()}
    off = {}
    for name, tensor in found.items():
        expected = tensors[name].to(torch.float64)
        largest = expected.abs().max().clamp_min(1e-12)
        off[name] = ((tensor.to(torch.float64) - expected).abs().max() / largest).item()
    return off


def main() -> int:
    """Prints a line a case."""
    wrong = False
    for case in CASES:
        off = differences(case)
        name, worst = max(off.items(), key=lambda item: item[1])
        verdict = "equal" if worst <= TOLERANCE else "DIFFERENT"
        wrong |= worst > TOLERANCE
        print(f"{case.folder}: {verdict}, {len(off)} tensors, most {worst:.1e} ({name})")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
