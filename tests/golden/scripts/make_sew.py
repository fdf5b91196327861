"""Golden cases of SEW-ResNet (ADD): sew_resnet18 (BasicBlock), sew_resnet50 (Bottleneck).

Needs fangwei123456/Spike-Element-Wise-ResNet at cfc547c; torch, spikingjelly 0.0.0.0.12.
The 2021 CUDA-extension neuron is replaced by clock_driven's MultiStepIFNode with the extension's defaults (ATan alpha 2).
Run: python make_sew.py --repo DIR --out DIR [--only name,name]
"""
import functools
import os
import sys
import types
import torch
from common import Case, args_repo_out, image, load_module, write_case


class Sew(Case):
    B, K, img = 2, 10, 32
    weight_gain = 1.2

    def setup(self):
        from spikingjelly.clock_driven.neuron import BaseNode
        self.base = BaseNode
        self.calib = (0.10, 0.50)
        self.meta = {
            "method": "BPTT (SEW-ResNet, official)", "model": f"SEWResNet({self.block}), connect_f ADD",
            "constructor": {"planes": list(self.widths), "layers": list(self.layers), "num_classes": self.K, "T": self.T, "connect_f": "ADD", "block": self.block},
            "T": self.T, "image": self.img,
            "neuron": "MultiStepIFNode u = v + I, Vth 1, hard reset to 0 (v = (1-s)*u, s detached)", "surrogate": "arctan alpha=2: 1/(1+(pi*x)^2)",
            "loss": "CrossEntropy(Linear(mean_t features), y), one backward", "x_layout": "[B,C,H,W]; stem conv+BN once, then repeated T times",
            "deviations": ["spikingjelly.cext.neuron (CUDA extension of commit 2958519) replaced by spikingjelly 0.0.0.0.12 clock_driven MultiStepIFNode with surrogate ATan(alpha 2), the extension's default",
                           "SeqToANNContainer of 0.0.0.0.12: state names conv1.0 / conv1.1 / downsample.0.0 instead of conv1.module.0 ...",
                           "fixed widths 64-128-256-512 patched in memory", "no AMP", "parameters and running statistics randomised; x normal noise", "torch 2.15 CPU"],
            "notes": ["logits [B,K]: fc follows the mean over time, so there are no per-step logits", "block outputs are integers (sum of spikes); downsample = conv1x1, BN, IF",
                      "stem max pool 3x3 s2 p1 acts on spikes: ties go to the first maximum in row-major order"]}

    def make(self):
        return sew.SEWResNet(getattr(sew, self.block), list(self.layers), num_classes=self.K, T=self.T, connect_f="ADD")

    def inputs(self, g):
        return image(g, self.B, 3, self.img), torch.randint(0, self.K, (self.B,), generator=g)

    def forward(self, model, x):
        return {"logits": model(x)}

    def loss(self, out, y):
        return torch.nn.functional.cross_entropy(out["logits"], y), None

    def feeds(self, site):
        if site == "sn1":
            return "bn1.bias"
        blk, n = site[:8], site[9:]
        return f"{blk}.downsample.0.1.bias" if n.startswith("downsample") else f"{blk}.conv{n[2]}.1.bias"


class Sew18(Sew):
    name, block, layers, widths, T = "sew_resnet18", "BasicBlock", (2, 2, 2, 2), (4, 6, 8, 10), 4


class Sew50(Sew):
    name, block, layers, widths, T = "sew_resnet50", "Bottleneck", (1, 2, 1, 1), (4, 4, 6, 6), 3


if __name__ == "__main__":
    a = args_repo_out(__doc__)
    from spikingjelly.clock_driven import neuron, surrogate
    sub = types.ModuleType("spikingjelly.cext.neuron")
    sub.MultiStepIFNode = functools.partial(neuron.MultiStepIFNode, surrogate_function=surrogate.ATan(alpha=2.0))
    cext = types.ModuleType("spikingjelly.cext")
    cext.neuron = sub
    sys.modules["spikingjelly.cext"], sys.modules["spikingjelly.cext.neuron"] = cext, sub
    for c in (Sew18(), Sew50()):
        if not a.only or c.name in a.only.split(","):
            sew = load_module(os.path.join(a.repo, "imagenet", "sew_resnet.py"), "sew", "SEWResNet", dict(zip((64, 128, 256, 512), c.widths)))
            write_case(c, a.out, a.repo, "fangwei123456/Spike-Element-Wise-ResNet")
