"""Golden cases from mi804/RevSNN: revsformer, spikingformer, revsformer_dvs, spikingformer_dvs, msresnet_dvs.

Needs mi804/RevSNN at 7521f75; torch, timm 0.9.16, torchvision, einops, spikingjelly 0.0.0.0.12.
Run: python make_revsnn.py --repo DIR --out DIR [--only name,name]
"""
import os
import sys
import torch
from common import Case, args_repo_out, events, force_torch_backend, image, load_module, rel, soft_target_ce, write_case

NOMIX = "no mixup/augmentation: plain smoothed targets (mixup smoothing 0.1)"


class Former(Case):
    """The reversible nets and their non-reversible twins share everything but the block composition."""
    rev, dvs = True, False
    B, K, img, T, depths = 2, 10, 16, 2, 2
    dim, heads = 16, 2

    def setup(self):
        from spikingjelly.clock_driven.neuron import BaseNode
        self.base = BaseNode
        attn = ("block.reversible_blocks.{}.f_block." if self.rev else "block.{}.attn.")
        kind = ("tau 1.5, integer input * 0.125: u = 0.5 occurs and fires. Whenever u equals 0.5 mathematically, all operands of v + (x - v)/1.5 are dyadic, so a true division gives exactly 0.5 (a multiplication by 1/1.5 may not); those are left out of the margin, the others are not"
                if self.dvs else "integer input * 0.125, tau 2: u is dyadic, u = 0.5 occurs and fires, exact in any precision")
        self.exact_sites = {attn.format(j) + "attn_lif": kind for j in range(self.depths)}
        self.calib = (0.15, 0.45)
        self.calib_site = {attn.format(j) + f"{n}_lif": self.qkv for j in range(self.depths) for n in "qkv"}
        tau = 1.5 if self.dvs else 2
        self.meta = {
            "method": "RevSNN" if self.rev else "BPTT (Spikingformer baseline of the RevSNN repo)",
            "model": f"{'rev_vit_snn (RevSFormer)' if self.rev else 'vit_snn (Spikingformer)'}, {'cifar10-dvs' if self.dvs else 'cifar10'}",
            "constructor": dict(self.kw(), T=self.T), "T": self.T, "image": self.img,
            "neuron": f"MultiStepLIFNode tau={tau}, input decay (u = v + (I-v)/{tau}), Vth 1 (attn_lif 0.5), hard reset to 0, detached",
            "surrogate": "sigmoid alpha=4",
            "loss": "SoftTargetCrossEntropy(Linear(mean_t features), smoothed one-hot: 0.1/K off, 0.9+0.1/K on), one backward",
            "x_layout": "[B,T,2,H,W]" if self.dvs else "[B,C,H,W], repeated T times before the stem",
            "deviations": ["backend='cupy' replaced by 'torch' in memory", "no AMP", "parameters and running statistics randomised; x normal noise (DVS: Poisson counts times U(0.8,1.2))",
                           "torch 2.15 CPU, spikingjelly 0.0.0.0.12", NOMIX] + (["the reshapes to 64, 32, 16 pixels in the tokenizer are replaced in memory by the true sizes (24, 12, 6 for 48 px)"] if self.dvs else [])
                          + ([] if self.rev else ["drop_path_rate 0 (the official forward never applies drop-path anyway)"]),
            "notes": ["logits [B,K]: the head follows the mean over tokens and over time, so there are no per-step logits"]
                     + (["BN inside reversible blocks is updated twice per step (forward + recompute): num_batches_tracked 2 there, 1 outside",
                         "spikes/<neuron>: T calls of the first (no-grad) forward"] if self.rev else
                        ["block.{j}.norm1/norm2 (LayerNorm) are parameters without gradient (never used)"])
                     + ["max-pool windows over spikes are full of ties: gradient goes to the first maximum in row-major order"]}

    qkv = (0.33, 0.48)

    def kw(self):
        return dict(img_size_h=self.img, img_size_w=self.img, patch_size=16 if self.dvs else 4, embed_dims=self.dim, num_heads=self.heads, mlp_ratios=4,
                    in_channels=2 if self.dvs else 3, num_classes=self.K, depths=self.depths, sr_ratios=1)

    def make(self):
        return self.cls(T=self.T, **self.kw())

    def inputs(self, g):
        x = events(g, self.B, self.T, self.img) if self.dvs else image(g, self.B, 3, self.img)
        return x, torch.randint(0, self.K, (self.B,), generator=g)

    def forward(self, model, x):
        return {"logits": model(x)}

    def loss(self, out, y):
        return soft_target_ce(out["logits"], y, self.K), None

    def exact_sites_kind(self, site):
        return "equal" if self.dvs else "always"

    def feeds(self, site):
        p = site.split(".")
        if p[0] == "patch_embed":
            if self.dvs:
                n = int(p[1][4]) - 1
                return f"patch_embed.proj{n or ''}_bn.bias"
            return f"patch_embed.block{int(p[1][5]) - 1}_bn.bias"
        stem = "patch_embed.proj4_bn.bias" if self.dvs else "patch_embed.block4_bn.bias"
        if self.rev:
            j = int(p[2])
            f, gb = f"block.reversible_blocks.{j}.f_block.", f"block.reversible_blocks.{j}.g_block."
            first = f"block.reversible_blocks.{j - 1}.g_block.mlp2_bn.bias" if j else stem
        else:
            j = int(p[1])
            f, gb = f"block.{j}.attn.", f"block.{j}.mlp."
            first = f"block.{j - 1}.mlp.mlp2_bn.bias" if j else stem
        return {"proj_lif": first, "q_lif": f + "q_bn.bias", "k_lif": f + "k_bn.bias", "v_lif": f + "v_bn.bias", "attn_lif": f + "v_bn.bias",
                "mlp1_lif": f + "proj_bn.bias", "mlp2_lif": gb + "mlp1_bn.bias"}[p[-1]]

    def verify_run(self, params, x, y, dtype):
        """The same net with the reversible sequence replaced by plain autograd."""
        from spikingjelly.clock_driven import functional
        m = self.build(params, dtype)
        m.train(True)

        def plain(z):
            for b in m.block.reversible_blocks:
                x1, x2 = torch.chunk(z, 2, dim=2)
                y1 = x1 + b.f_block(x2)
                z = torch.cat([y1, x2 + b.g_block(y1)], dim=2)
            return z
        m.block.forward = plain
        xx = x.to(dtype).requires_grad_(True)
        loss, _ = self.loss(self.forward(m, xx), y)
        loss.backward()
        functional.reset_net(m)
        return {"grad/" + n: p.grad for n, p in m.named_parameters()} | {"grad_x": xx.grad, "loss": loss.detach()}

    def verify(self, params, x, y, f64, f32):
        if not self.rev:
            return None
        res = {}
        for nm, t, dt in (("f64", f64, torch.float64), ("f32", f32, torch.float32)):
            ref = self.verify_run(params, x, y, dt)
            big = max(float(v.abs().max()) for k, v in ref.items() if k.startswith("grad/"))
            errs = sorted(((rel(t[k], ref[k]), k) for k in ref if float(ref[k].abs().max()) > 1e-6 * big), reverse=True)
            res[nm] = {"max_rel_err": errs[0][0], "worst5": [list(e) for e in errs[:5]], "loss_diff": float((t["loss"] - ref["loss"]).abs())}
        return res


class MsResnetDvs(Case):
    name, T, B, K, img = "msresnet_dvs", 4, 2, 10, 32

    def setup(self):
        from spikingjelly.clock_driven.neuron import BaseNode
        self.base = BaseNode
        self.calib = (0.12, 0.50)
        self.meta = {
            "method": "BPTT (MS-ResNet baseline of the RevSNN repo)", "model": "MSResNet(BasicBlock), cifar10-dvs",
            "constructor": {"planes": list(MS_WIDTHS), "layers": [1, 2, 1], "num_classes": self.K, "T": self.T}, "T": self.T, "image": self.img,
            "neuron": "MultiStepLIFNode tau=1.5, input decay (u = v + (I-v)/1.5), Vth 1, hard reset to 0, detached", "surrogate": "sigmoid alpha=4",
            "loss": "SoftTargetCrossEntropy(mean_t logits, smoothed one-hot: 0.1/K off, 0.9+0.1/K on)", "x_layout": "[B,T,2,H,W]",
            "deviations": ["backend='cupy' replaced by 'torch' in memory", "fixed widths 16-32-64 patched in memory", "no AMP",
                           "parameters and running statistics randomised; x Poisson counts times U(0.8,1.2)", "torch 2.15 CPU, spikingjelly 0.0.0.0.12", NOMIX],
            "notes": ["logits = fc output per step [T,B,K]; logits_mean = the model output; eval_logits per step",
                      "stem max pool 3x3 s2 p1 acts on the analog BN output (see the gap entry), no neuron before it"]}

    def make(self):
        return ms.MSResNet(ms.BasicBlock, [1, 2, 1], num_classes=self.K, T=self.T)

    def inputs(self, g):
        return events(g, self.B, self.T, self.img), torch.randint(0, self.K, (self.B,), generator=g)

    def forward(self, model, x):
        box = {}
        h = model.fc.register_forward_hook(lambda m, i, o: box.update(o=o))
        out = model(x)
        h.remove()
        return {"logits": box["o"], "logits_mean": out}

    def loss(self, out, y):
        return soft_target_ce(out["logits_mean"], y, self.K), None

    def feeds(self, site):
        order = ["layer1.0", "layer2.0", "layer2.1", "layer3.0"]
        if site == "sn1":
            return order[-1] + ".conv2.1.bias"
        blk, n = site[:8], site[9:]
        if n == "sn2":
            return blk + ".conv1.1.bias"
        i = order.index(blk)
        return order[i - 1] + ".conv2.1.bias" if i else "bn1.0.bias"


MS_WIDTHS = (4, 6, 8)


def former(cls, name_, **attrs):
    return type(name_, (Former,), dict(attrs, name=name_, cls=staticmethod(cls)))()


if __name__ == "__main__":
    a = args_repo_out(__doc__)
    force_torch_backend()
    todo = a.only.split(",") if a.only else ["revsformer", "spikingformer", "msresnet_dvs", "revsformer_dvs", "spikingformer_dvs"]
    R = lambda *p: os.path.join(a.repo, *p)
    sys.path.insert(0, R("cifar10"))            # revtorch
    repo = "mi804/RevSNN"
    IMG = 48                                    # DVS cases: the tokenizer's fixed 64/32/16 become IMG/2, IMG/4, IMG/8
    dvs_map = {64: IMG // 2, 32: IMG // 4, 16: IMG // 8}
    if "revsformer" in todo:
        m = load_module(R("cifar10", "revmodel.py"), "revmodel")
        write_case(former(m.rev_vit_snn, "revsformer"), a.out, a.repo, repo)
    if "spikingformer" in todo:
        m = load_module(R("cifar10", "model.py"), "fmodel")
        write_case(former(m.vit_snn, "spikingformer", rev=False), a.out, a.repo, repo)
    if "msresnet_dvs" in todo:
        ms = load_module(R("cifar10-dvs", "ms_resnet.py"), "ms_dvs", "MSResNet", dict(zip((16, 32, 64), MS_WIDTHS)))
        write_case(MsResnetDvs(), a.out, a.repo, repo)
    if "revsformer_dvs" in todo:
        m = load_module(R("cifar10-dvs", "revmodel.py"), "revmodel_dvs", "SpikingTokenizer", dvs_map, fn="forward")
        write_case(former(m.rev_vit_snn, "revsformer_dvs", dvs=True, img=IMG, T=2), a.out, a.repo, repo)
    if "spikingformer_dvs" in todo:
        m = load_module(R("cifar10-dvs", "model.py"), "fmodel_dvs", "SpikingTokenizer", dvs_map, fn="forward")
        write_case(former(m.vit_snn, "spikingformer_dvs", rev=False, dvs=True, img=IMG, T=2), a.out, a.repo, repo)
