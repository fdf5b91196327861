"""Parameter counts of the official nets at full size.

Needs checkouts of: mi804/RevSNN 7521f75, BICLab/Spike-Driven-Transformer 2122c4c, fangwei123456/Spike-Element-Wise-ResNet cfc547c,
pkuxmq/OTTT-SNN c15d5da, qymeng94/SLTT 0758ecd; torch, timm 0.9.16, torchvision, spikingjelly 0.0.0.0.12, einops.
Run: python count_params.py --root DIR      (DIR holds the checkouts under their repository names)
"""
import argparse, functools, os, sys
import torch
from common import force_torch_backend, load_module
p = argparse.ArgumentParser(); p.add_argument("--root", required=True); a = p.parse_args()
force_torch_backend()
R = lambda *q: os.path.join(a.root, *q)

def count(tag, m, zero=()):
    n = sum(q.numel() for q in m.parameters())
    z = sum(q.numel() for k, q in m.named_parameters() if any(s in k for s in zero))
    print(f"{tag}: {n}" + (f" (of which never used in forward: {z}; used: {n - z})" if zero else ""), flush=True)

sys.path.insert(0, R("RevSNN", "cifar10"))
rev = load_module(R("RevSNN", "cifar10", "revmodel.py"), "revmodel")
fwd = load_module(R("RevSNN", "cifar10", "model.py"), "model")
ms = load_module(R("RevSNN", "cifar10", "ms_resnet.py"), "ms_resnet")
for K in (10, 100):
    for depth in (2, 4):
        kw = dict(img_size_h=32, img_size_w=32, patch_size=4, embed_dims=384, num_heads=12 if K == 10 else 8, mlp_ratios=4,
                  in_channels=3, num_classes=K, depths=depth, sr_ratios=1)
        count(f"revsformer-{depth}-384 ({K} classes)", rev.rev_vit_snn(**kw))
        count(f"spikingformer-{depth}-384 ({K} classes)", fwd.vit_snn(**kw), ("norm1", "norm2"))
    count(f"ms-resnet18 ({K})", ms.ms_resnet18(num_classes=K)); count(f"ms-resnet34 ({K})", ms.ms_resnet34(num_classes=K))
    count(f"ms-resnet104 ({K})", ms.ms_resnet104(num_classes=K))
for K, sub in ((10, "cifar10-dvs"), (11, "dvs128-gesture")):
    d = R("RevSNN", sub)
    kw = dict(patch_size=16, embed_dims=256, num_heads=16, mlp_ratios=4, in_channels=2, num_classes=K, depths=2, sr_ratios=1)
    count(f"revsformer-2-256 DVS ({K})", load_module(d + "/revmodel.py", "revmodel_dvs").rev_vit_snn(**kw))
    count(f"spikingformer-2-256 DVS ({K})", load_module(d + "/model.py", "model_dvs").vit_snn(**kw), ("norm1", "norm2"))
    count(f"ms-resnet20 DVS ({K})", load_module(d + "/ms_resnet.py", "ms_dvs").ms_resnet20(num_classes=K))
# SEW: the 2021 cuda extension neuron is replaced by the clock_driven one (no parameters in either)
import types
from spikingjelly.clock_driven import neuron
cext = types.ModuleType("spikingjelly.cext"); cext.neuron = neuron
sys.modules["spikingjelly.cext"] = cext; sys.modules["spikingjelly.cext.neuron"] = neuron
sew = load_module(R("Spike-Element-Wise-ResNet", "imagenet", "sew_resnet.py"), "sew_resnet")
for n in (18, 34, 50, 101, 152):
    count(f"sew-resnet{n} (1000)", getattr(sew, f"sew_resnet{n}")(T=4, connect_f="ADD"))
sys.path.insert(0, R("Spike-Driven-Transformer"))
sys.modules.pop("model", None); sys.modules.pop("module", None)
sp = load_module(R("Spike-Driven-Transformer", "model", "spikeformer.py"), "sdt")
for depth, dim in ((8, 384), (10, 384), (6, 512), (8, 512), (8, 768)):
    count(f"spike-driven-transformer-{depth}-{dim} (ImageNet 224)", sp.SpikeDrivenTransformer(img_size_h=224, img_size_w=224, in_channels=3,
          num_classes=1000, embed_dims=dim, num_heads=8, mlp_ratios=4, depths=depth, sr_ratios=1, T=4, pooling_stat="1111"), ("talking_heads.",))
for K, dim in ((10, 256), (10, 512), (100, 512)):
    count(f"spike-driven-transformer-2-{dim} CIFAR ({K})", sp.SpikeDrivenTransformer(img_size_h=32, img_size_w=32, in_channels=3, num_classes=K,
          embed_dims=dim, num_heads=8, mlp_ratios=4, depths=2, sr_ratios=1, T=4, pooling_stat="0011"), ("talking_heads.",))
for K in (10, 11):
    count(f"spike-driven-transformer-2-256 DVS ({K})", sp.SpikeDrivenTransformer(img_size_h=128, img_size_w=128, in_channels=2, num_classes=K,
          embed_dims=256, num_heads=8, mlp_ratios=4, depths=2, sr_ratios=1, T=16, pooling_stat="0111", dvs_mode=True), ("talking_heads.",))
sys.path.insert(0, R("SLTT"))
for k in [k for k in sys.modules if k == "modules" or k.startswith("modules.")]: sys.modules.pop(k)
sl = load_module(R("SLTT", "models", "spiking_resnet_imagenet.py"), "sltt_nf")
import modules.neuron as sln
for n in (34, 50, 101):
    count(f"nf-resnet{n} SLTT (1000)", getattr(sl, f"spiking_nfresnet{n}")(neuron=sln.SLTTNeuron, num_classes=1000, tau=1.1, surrogate_function=torch.nn.Identity(), c_in=3))
sys.path.insert(0, R("OTTT-SNN"))
for k in [k for k in sys.modules if k == "modules" or k.startswith("modules.")]: sys.modules.pop(k)
ot = load_module(R("OTTT-SNN", "models", "spiking_resnet_imagenet.py"), "ottt_nf")
import modules.neuron as otn
for n in (34, 50, 101):
    count(f"nf-resnet{n} OTTT (1000)", getattr(ot, f"online_spiking_nfresnet{n}")(single_step_neuron=otn.OnlineLIFNode, num_classes=1000, tau=2.0, grad_with_rate=True))
