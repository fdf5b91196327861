"""Golden cases of the Spike-driven Transformer: sdt (CIFAR pooling 0011), sdt_imagenet (pooling 1111), sdt_dvs (5-D input, erode pools).

Needs BICLab/Spike-Driven-Transformer at 2122c4c; torch, timm 0.9.16, spikingjelly 0.0.0.0.12.
Run: python make_sdt.py --repo DIR --out DIR [--only sdt,sdt_imagenet,sdt_dvs]
"""
import sys
import torch
from common import Case, args_repo_out, events, force_torch_backend, image, soft_target_ce, write_case


class Sdt(Case):
    name, T, B, img, K = "sdt", 2, 2, 16, 10
    cfg = dict(in_channels=3, embed_dims=16, num_heads=2, mlp_ratios=4, depths=2, pooling_stat="0011", dvs_mode=False)
    loss_text = "SoftTargetCrossEntropy(mean_t logits, smoothed one-hot: 0.1/K off, 0.9+0.1/K on)"
    layout = "[B,C,H,W], repeated T times before the stem"
    tet = False

    def setup(self):
        from spikingjelly.clock_driven.neuron import BaseNode
        self.base = BaseNode
        self.exact_sites = {f"block.{j}.attn.talking_heads_lif": "integer input, tau 2: u is dyadic, u = 0.5 occurs and fires, exact in any precision"
                            for j in range(self.cfg["depths"])}
        self.calib = (0.12, 0.45)
        self.calib_site = {f"block.{j}.attn.{n}_lif": self.kv for j in range(self.cfg["depths"]) for n in "kv"}
        self.meta = {
            "method": "BPTT", "model": "SpikeDrivenTransformer",
            "constructor": dict(self.cfg, T=self.T, img_size_h=self.img, img_size_w=self.img, num_classes=self.K, sr_ratios=1, drop_path_rate=0.0, spike_mode="lif", TET=self.tet),
            "T": self.T, "image": self.img,
            "neuron": "MultiStepLIFNode tau=2, input decay (u = v + (I-v)/2), Vth 1 (talking_heads_lif 0.5), hard reset to 0, detached",
            "surrogate": "sigmoid alpha=4", "loss": self.loss_text, "x_layout": self.layout,
            "deviations": ["backend='cupy' replaced by 'torch' in memory", "no AMP", "parameters and running statistics randomised; x normal noise (DVS: Poisson counts times U(0.8,1.2))",
                           "torch 2.15 CPU, spikingjelly 0.0.0.0.12", "no mixup/augmentation: plain smoothed targets (mixup smoothing 0.1)", "drop_path 0 (the official forward never applies it)"],
            "notes": ["logits = head output per step [T,B,K]; logits_mean = the model output; eval_logits per step",
                      "block.{j}.attn.talking_heads.weight is a parameter without gradient (never used); rpe_lif and attn_lif are never called",
                      "conv biases in front of BN have mathematically zero gradient",
                      "max-pool windows over spikes are full of ties: gradient goes to the first maximum in row-major order"]}

    kv = (0.12, 0.26)

    def make(self):
        return SpikeDrivenTransformer(img_size_h=self.img, img_size_w=self.img, num_classes=self.K, sr_ratios=1, T=self.T, TET=self.tet, **self.cfg)

    def inputs(self, g):
        return image(g, self.B, 3, self.img), torch.randint(0, self.K, (self.B,), generator=g)

    def forward(self, model, x):
        box = {}
        h = model.head.register_forward_hook(lambda m, i, o: box.update(o=o))
        out, _ = model(x)
        h.remove()
        return {"logits": box["o"], "logits_mean": box["o"].mean(0) if self.tet else out}

    def loss(self, out, y):
        return soft_target_ce(out["logits_mean"], y, self.K), None

    def feeds(self, site):
        p = site.split(".")
        if p[0] == "patch_embed":
            return f"patch_embed.proj_bn{p[1][len('proj_lif'):]}.bias"
        if p[0] == "head_lif":
            return f"block.{self.cfg['depths'] - 1}.mlp.fc2_bn.bias"
        j = int(p[1])
        return {"shortcut_lif": f"block.{j - 1}.mlp.fc2_bn.bias" if j else "patch_embed.rpe_bn.bias",
                "q_lif": f"block.{j}.attn.q_bn.bias", "k_lif": f"block.{j}.attn.k_bn.bias", "v_lif": f"block.{j}.attn.v_bn.bias",
                "fc1_lif": f"block.{j}.attn.proj_bn.bias", "fc2_lif": f"block.{j}.mlp.fc1_bn.bias"}[p[-1]]


class SdtImagenet(Sdt):
    name, T, img = "sdt_imagenet", 3, 32
    cfg = dict(in_channels=3, embed_dims=16, num_heads=4, mlp_ratios=4, depths=2, pooling_stat="1111", dvs_mode=False)
    kv = (0.25, 0.4)


class SdtDvs(Sdt):
    name, T, img = "sdt_dvs", 3, 16
    cfg = dict(in_channels=2, embed_dims=16, num_heads=2, mlp_ratios=4, depths=2, pooling_stat="0011", dvs_mode=True)
    layout = "[B,T,2,H,W]"
    tet = True
    kv = (0.05, 0.075)
    loss_text = "TET_loss(out[T,B,K], y, LabelSmoothingCrossEntropy(0.1), means=1.0, lamb=0.001) = 0.999*mean_t CE_ls(out_t,y) + 0.001*MSE(out, ones)"

    def inputs(self, g):
        return events(g, self.B, self.T, self.img), torch.randint(0, self.K, (self.B,), generator=g)

    def loss(self, out, y):
        import criterion
        from timm.loss import LabelSmoothingCrossEntropy
        return criterion.TET_loss(out["logits"], y, LabelSmoothingCrossEntropy(0.1), means=1.0, lamb=0.001), None


if __name__ == "__main__":
    a = args_repo_out(__doc__)
    sys.path.insert(0, a.repo)
    force_torch_backend()
    from model.spikeformer import SpikeDrivenTransformer
    for c in (Sdt(), SdtImagenet(), SdtDvs()):
        if not a.only or c.name in a.only.split(","):
            write_case(c, a.out, a.repo, "BICLab/Spike-Driven-Transformer")
