"""What the syops package counts in spiking residual networks, layer by layer, with weights and a batch of this project.

syops 0.0.5 imports neurons that SpikingJelly 2.0 no longer has, so it needs an environment of its own:

    python -m venv /tmp/syops && /tmp/syops/bin/pip install torch==2.15.0 safetensors==0.8.0 \\
        spikingjelly==0.0.0.0.12 syops==0.0.5 progress==1.6.1
    /tmp/syops/bin/python syops_counts.py

writes `counts/<case>.csv`. The test `tests/probe/counts.rs` puts what this program counts in the same case beside it. The case
`sew_resnet18` is that of `tests/golden`, by the authors' code; `spiking_resnet18` has no code of its authors, and this script
makes its weights (`counts/spiking_resnet18`) where they are missing.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from spikingjelly.clock_driven import neuron
from syops import get_model_complexity_info
from syops.engine import is_supported_instance
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
COUNTS = HERE / "counts"
STEPS = 4
WIDTHS = (4, 6, 8, 10)


class OverTime(nn.Sequential):
    """Layers that see time as part of the batch: `[T, B, C, H, W]`."""

    def forward(self, x_seq: Tensor) -> Tensor:
        return super().forward(x_seq.flatten(0, 1)).unflatten(0, x_seq.shape[:2])


def conv_norm(c_in: int, c_out: int, kernel: int, stride: int) -> OverTime:
    """A convolution without bias and its norm."""
    return OverTime(nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(c_out))


class SewBlock(nn.Module):
    """Spikes are added to spikes."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.sn1 = conv_norm(c_in, c_out, 3, stride), neuron.MultiStepIFNode()
        self.conv2, self.sn2 = conv_norm(c_out, c_out, 3, 1), neuron.MultiStepIFNode()
        changes = stride != 1 or c_in != c_out
        self.downsample = (
            nn.Sequential(conv_norm(c_in, c_out, 1, stride), neuron.MultiStepIFNode()) if changes else nn.Identity()
        )

    def forward(self, x_seq: Tensor) -> Tensor:
        return self.sn2(self.conv2(self.sn1(self.conv1(x_seq)))) + self.downsample(x_seq)


class SpikingBlock(nn.Module):
    """Currents are added to currents, or to spikes, and the sum goes to a neuron."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        leaky = {"tau": 2.0, "decay_input": True}
        self.conv1, self.sn1 = conv_norm(c_in, c_out, 3, stride), neuron.MultiStepLIFNode(**leaky)
        self.conv2, self.sn2 = conv_norm(c_out, c_out, 3, 1), neuron.MultiStepLIFNode(**leaky)
        changes = stride != 1 or c_in != c_out
        self.downsample = conv_norm(c_in, c_out, 1, stride) if changes else nn.Identity()

    def forward(self, x_seq: Tensor) -> Tensor:
        return self.sn2(self.conv2(self.sn1(self.conv1(x_seq))) + self.downsample(x_seq))


class Net(nn.Module):
    """ResNet-18 whose stem is computed once for all steps; scores are of the mean over time."""

    def __init__(self, block: type[nn.Module], large_stem: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], *((7, 2, 3) if large_stem else (3, 1, 1)), bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.sn1 = (
            neuron.MultiStepIFNode() if large_stem else neuron.MultiStepLIFNode(tau=2.0, decay_input=True)
        )
        self.maxpool = OverTime(nn.MaxPool2d(3, 2, 1)) if large_stem else nn.Identity()
        c_in = WIDTHS[0]
        for stage, width in enumerate(WIDTHS, 1):
            stride = 1 if stage == 1 else 2
            setattr(self, f"layer{stage}", nn.Sequential(block(c_in, width, stride), block(width, width, 1)))
            c_in = width
        self.avgpool = OverTime(nn.AdaptiveAvgPool2d(1))
        self.fc = nn.Linear(c_in, 10)

    def forward(self, x: Tensor) -> Tensor:
        current = self.bn1(self.conv1(x)).unsqueeze(0).repeat(STEPS, 1, 1, 1, 1)
        y = self.maxpool(self.sn1(current))
        for stage in range(1, 5):
            y = getattr(self, f"layer{stage}")(y)
        return self.fc(self.avgpool(y).flatten(2).mean(0))


def renamed(name: str) -> str:
    """A name of the spiking ResNet's state here, as this project has it: `conv1.0` is `conv1`, `conv1.1` is `bn1`."""
    if not name.startswith("layer") or "downsample" in name:
        return name
    for number in "12":
        name = name.replace(f"conv{number}.0.", f"conv{number}.").replace(f"conv{number}.1.", f"bn{number}.")
    return name


def pooled(name: str) -> str:
    """A pool stands in a container of its own here."""
    return name.removesuffix(".0") if name in ("maxpool.0", "avgpool.0") else name


def make_spiking(folder: Path) -> None:
    """Weights and a batch of the spiking ResNet-18, with firing rates between 5 and 60 %."""
    generator = torch.Generator().manual_seed(1)
    net = Net(SpikingBlock, large_stem=False)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if parameter.dim() > 1:
                fan_in = parameter[0].numel()
                parameter.normal_(0.0, (2.0 / fan_in) ** 0.5, generator=generator)
            else:
                low, high = (1.2, 2.0) if name.endswith("weight") else (0.1, 0.5)
                parameter.uniform_(low, high, generator=generator)
        x = torch.randn(2, 3, 32, 32, generator=generator)
        # Running statistics of this very batch, so that no layer is silent.
        for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.momentum = None
        net.train()(x)
    tensors = {f"param/{renamed(n)}": p.detach().clone() for n, p in net.named_parameters()}
    tensors |= {f"buffer/{renamed(n)}": b.clone() for n, b in net.named_buffers()}
    tensors |= {"x": x, "y": torch.randint(0, 10, (2,), generator=generator)}
    folder.mkdir(parents=True)
    save_file(tensors, folder / "spiking_resnet18_f32.safetensors")
    told = {
        "case": "spiking_resnet18",
        "method": "BPTT (no code of the authors: weights by benches/peers/syops_counts.py)",
        "model": "spiking-resnet18",
        "constructor": {"planes": list(WIDTHS), "layers": [2, 2, 2, 2], "num_classes": 10, "T": STEPS},
        "T": STEPS,
        "neuron": "MultiStepLIFNode tau=2.0, input decay, Vth 1, hard reset to 0, detached",
        "surrogate": "sigmoid alpha=4",
        "loss": "CrossEntropy(Linear(mean_t features), y), one backward",
    }
    (folder / "case.json").write_text(json.dumps(told, indent=1) + "\n")


def state(net: Net, tensors: dict[str, Tensor], rename: bool) -> dict[str, Tensor]:
    """The case's tensors by the names of the net."""
    stored = {n.split("/", 1)[1]: t for n, t in tensors.items() if n.startswith(("param/", "buffer/"))}
    return {name: stored[renamed(name) if rename else name] for name in net.state_dict()}


def count(name: str, net: Net, x: Tensor, name_of: Callable[[str], str]) -> None:
    """Runs the package on the batch and writes its counters, for one sample each, by this project's names of layers."""
    rows: list[dict[str, object]] = []
    samples = len(x)

    # The package keeps its sums in the modules and drops them at the end; its own report is a picture of text.
    def keep() -> None:
        for module_name, module in net.named_modules():
            if module_name and is_supported_instance(module):
                total, acs, macs, rate = (float(v) for v in module.__syops__)
                rows.append(
                    {
                        "layer": name_of(module_name),
                        "kind": type(module).__name__,
                        "total_per_sample": total / samples,
                        "acs_per_sample": acs / samples,
                        "macs_per_sample": macs / samples,
                        "rate": rate / 100.0,
                    }
                )

    forward = net.forward

    def watched(batch: Tensor) -> Tensor:
        scores = forward(batch)
        # Hooks of leaves have run by now; that of the whole net only counts batches.
        keep()
        return scores

    net.forward = watched
    get_model_complexity_info(
        net, tuple(x.shape[1:]), [(x, None)], as_strings=False, print_per_layer_stat=False, ost=io.StringIO()
    )
    with (COUNTS / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    torch.set_num_threads(1)
    # The package computes in single precision; no membrane of the case is that close to its threshold.
    golden = load_file(HERE.parents[1] / "tests" / "golden" / "sew_resnet18" / "sew_resnet18_f64.safetensors")
    sew = Net(SewBlock, large_stem=True)
    sew.load_state_dict(state(sew, golden, rename=False))
    with torch.no_grad():
        count("sew_resnet18", sew, golden["x"].float(), pooled)
    folder = COUNTS / "spiking_resnet18"
    if not folder.exists():
        make_spiking(folder)
    tensors = load_file(folder / "spiking_resnet18_f32.safetensors")
    spiking = Net(SpikingBlock, large_stem=False)
    spiking.load_state_dict(state(spiking, tensors, rename=True))
    with torch.no_grad():
        count("spiking_resnet18", spiking, tensors["x"], lambda name: pooled(renamed(name + ".")[:-1]))


if __name__ == "__main__":
    main()
