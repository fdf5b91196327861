"""Second source: re-computes every network case from the stored parameters with our own composition (NOTES.md only, no reference code)
and compares logits, loss, spikes, gradients, buffers_after and eval logits in f64. Needs torch and safetensors only.

Run: python check_notes.py --dir DIR      (DIR holds the case folders)
"""
import argparse
import json
import math
import os
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

torch.set_num_threads(1)


class Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, kind):
        ctx.save_for_backward(x)
        ctx.kind = kind
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        if ctx.kind == "sig":
            s = torch.sigmoid(4 * x)
            h = 4 * s * (1 - s)
        elif ctx.kind == "atan":
            h = 1 / (1 + (math.pi * x) ** 2)
        else:
            h = (1 - x.abs()).clamp(min=0)
        return g * h, None


class Net:
    def __init__(self, d, train, buffers="buffer/"):
        self.p = {k[6:]: v.clone().requires_grad_(True) for k, v in d.items() if k.startswith("param/")}
        self.b = {k[len(buffers):]: v.clone() for k, v in d.items() if k.startswith(buffers)}
        self.train, self.spikes, self.bn_calls = train, {}, {}

    def bn(self, n, x):
        """x: [N,C,...]; updates the running statistics in train mode."""
        w, b = self.p[n + ".weight"], self.p[n + ".bias"]
        dims = [0] + list(range(2, x.dim()))
        sh = [1, -1] + [1] * (x.dim() - 2)
        if self.train:
            m, v = x.mean(dims), x.var(dims, unbiased=False)
            cnt = x.numel() / x.shape[1]
            for _ in range(2 if ".reversible_blocks." in n else 1):
                self.b[n + ".running_mean"] = 0.9 * self.b[n + ".running_mean"] + 0.1 * m.detach()
                self.b[n + ".running_var"] = 0.9 * self.b[n + ".running_var"] + 0.1 * v.detach() * cnt / (cnt - 1)
                self.b[n + ".num_batches_tracked"] = self.b[n + ".num_batches_tracked"] + 1
        else:
            m, v = self.b[n + ".running_mean"], self.b[n + ".running_var"]
        return (x - m.view(sh)) / torch.sqrt(v.view(sh) + 1e-5) * w.view(sh) + b.view(sh)

    def lif(self, n, x, tau, vth=1.0, kind="sig"):
        v, out = torch.zeros_like(x[0]), []
        for t in range(x.shape[0]):
            u = v + x[t] if tau is None else v + (x[t] - v) / tau
            s = Spike.apply(u - vth, kind)
            v = (1 - s.detach()) * u
            out.append(s)
        o = torch.stack(out)
        self.spikes[n] = o.detach()
        return o

    def conv(self, n, x, stride=1, pad=None):
        w = self.p[n + ".weight"]
        if w.dim() == 3:
            w = w[..., None]
        return F.conv2d(x, w, self.p.get(n + ".bias"), stride, w.shape[-1] // 2 if pad is None else pad)

    def cb(self, c, b, x, stride=1, pad=None):
        """conv + BN on [T,B,C,H,W]"""
        T, B = x.shape[:2]
        y = self.bn(b, self.conv(c, x.flatten(0, 1), stride, pad))
        return y.view(T, B, *y.shape[1:])


def pool(x):
    T, B = x.shape[:2]
    y = F.max_pool2d(x.flatten(0, 1), 3, 2, 1)
    return y.view(T, B, *y.shape[1:])


def heads(x, h):
    T, B, C, H, W = x.shape
    return x.flatten(3).view(T, B, h, C // h, H * W).transpose(-1, -2)      # [T,B,h,N,d]


def unheads(x, H, W):
    T, B, h, N, d = x.shape
    return x.transpose(-1, -2).reshape(T, B, h * d, H, W)


def former(n, x, c, rev, dvs):
    k, tau = c["constructor"], 1.5 if dvs else 2.0
    x = x.transpose(0, 1) if dvs else x[None].repeat(c["T"], 1, 1, 1, 1)
    if dvs:
        x = n.cb("patch_embed.proj_conv", "patch_embed.proj_bn", x)
        for i in (1, 2, 3, 4):
            x = n.cb(f"patch_embed.proj{i}_conv", f"patch_embed.proj{i}_bn", pool(n.lif(f"patch_embed.proj{i}_lif", x, tau)))
    else:
        x = n.cb("patch_embed.block0_conv", "patch_embed.block0_bn", x)
        for i in (1, 2, 3, 4):
            z = n.lif(f"patch_embed.block{i}_lif", x, tau)
            x = n.cb(f"patch_embed.block{i}_conv", f"patch_embed.block{i}_bn", pool(z) if i > 2 else z)

    def attn(p, z):
        H, W = z.shape[-2:]
        z = n.lif(p + "proj_lif", z, tau)
        q, kk, v = (heads(seq(n, p, a, z, tau), k["num_heads"]) for a in "qkv")
        o = (q @ kk.transpose(-1, -2)) @ v * 0.125
        o = n.lif(p + "attn_lif", unheads(o, H, W).flatten(3), tau, 0.5)
        return n.cb(p + "proj_conv", p + "proj_bn", o.view(*o.shape[:3], H, W))

    def mlp(p, z):
        z = n.cb(p + "mlp1_conv", p + "mlp1_bn", n.lif(p + "mlp1_lif", z, tau))
        return n.cb(p + "mlp2_conv", p + "mlp2_bn", n.lif(p + "mlp2_lif", z, tau))
    if rev:
        x1 = x2 = x
        for j in range(k["depths"]):
            x1 = x1 + attn(f"block.reversible_blocks.{j}.f_block.", x2)
            x2 = x2 + mlp(f"block.reversible_blocks.{j}.g_block.", x1)
        x = torch.cat([x1, x2], 2)
    else:
        for j in range(k["depths"]):
            x = x + attn(f"block.{j}.attn.", x)
            x = x + mlp(f"block.{j}.mlp.", x)
    f = x.flatten(3).mean(3).mean(0)
    return {"logits": F.linear(f, n.p["head.weight"], n.p["head.bias"])}


def seq(n, p, a, z, tau):
    y = n.cb(p + a + "_conv", p + a + "_bn", z)
    o = n.lif(p + a + "_lif", y, tau)
    if n.p[p + a + "_conv.weight"].dim() == 3:
        n.spikes[p + a + "_lif"] = n.spikes[p + a + "_lif"].flatten(3)
    return o


def sdt(n, x, c):
    k = c["constructor"]
    dvs, st = k["dvs_mode"], k["pooling_stat"]
    x = x.transpose(0, 1) if x.dim() == 5 else x[None].repeat(c["T"], 1, 1, 1, 1)
    pe = "patch_embed."
    for i in range(3):
        s = str(i) if i else ""
        x = n.lif(pe + "proj_lif" + s, n.cb(pe + "proj_conv" + s, pe + "proj_bn" + s, x), 2.0)
        x = pool(x) if st[i] == "1" else x
    f = n.cb(pe + "proj_conv3", pe + "proj_bn3", x)
    f = pool(f) if st[3] == "1" else f
    x = n.cb(pe + "rpe_conv", pe + "rpe_bn", n.lif(pe + "proj_lif3", f, 2.0)) + f
    er = (lambda t: F.max_pool3d(t.flatten(0, 1), (1, 3, 3), 1, (0, 1, 1)).view(t.shape)) if dvs else (lambda t: t)
    for j in range(k["depths"]):
        p, H, W = f"block.{j}.attn.", *x.shape[-2:]
        z = n.lif(p + "shortcut_lif", x, 2.0)
        q, kk, v = (seq(n, p, a, z, 2.0) for a in "qkv")
        q, kk, v = heads(q, k["num_heads"]), heads(er(kk), k["num_heads"]), heads(er(v), k["num_heads"])
        kv = n.lif(p + "talking_heads_lif", er(kk * v).sum(-2, keepdim=True), 2.0, 0.5)
        x = x + n.cb(p + "proj_conv", p + "proj_bn", unheads(er(q * kv), H, W))
        p = f"block.{j}.mlp."
        h = n.cb(p + "fc1_conv", p + "fc1_bn", n.lif(p + "fc1_lif", x, 2.0))
        x = x + n.cb(p + "fc2_conv", p + "fc2_bn", n.lif(p + "fc2_lif", h, 2.0))
    f = n.lif("head_lif", x.flatten(3).mean(3), 2.0)
    z = F.linear(f, n.p["head.weight"], n.p["head.bias"])
    return {"logits": z, "logits_mean": z.mean(0)}


def sew(n, x, c):
    k = c["constructor"]
    y = n.bn("bn1", n.conv("conv1", x, 2))
    IF = lambda s, z: n.lif(s, z, None, 1.0, "atan")
    x = pool(IF("sn1", y[None].repeat(c["T"], 1, 1, 1, 1)))
    m = 3 if k["block"] == "Bottleneck" else 2
    for l, cnt in enumerate(k["layers"], 1):
        for i in range(cnt):
            p, s = f"layer{l}.{i}.", 2 if l > 1 and i == 0 else 1
            o = x
            for a in range(1, m + 1):
                st = s if a == (2 if m == 3 else 1) else 1
                o = IF(p + f"sn{a}", n.cb(p + f"conv{a}.0", p + f"conv{a}.1", o, st))
            if p + "downsample.0.0.weight" in n.p:
                x = IF(p + "downsample.1", n.cb(p + "downsample.0.0", p + "downsample.0.1", x, s))
            x = o + x
    f = x.mean((3, 4)).mean(0)
    return {"logits": F.linear(f, n.p["fc.weight"], n.p["fc.bias"])}


def msdvs(n, x, c):
    x = pool(n.cb("conv1.0", "bn1.0", x.transpose(0, 1), 2))
    for l, cnt in enumerate(c["constructor"]["layers"], 1):
        for i in range(cnt):
            p, s = f"layer{l}.{i}.", 2 if l > 1 and i == 0 else 1
            o = n.cb(p + "conv1.0", p + "conv1.1", n.lif(p + "sn1", x, 1.5), s)
            o = n.cb(p + "conv2.0", p + "conv2.1", n.lif(p + "sn2", o, 1.5))
            if p + "downsample.1.0.weight" in n.p:
                x = n.cb(p + "downsample.1.0", p + "downsample.1.1", n.lif(p + "downsample.0", x, 1.5), s)
            x = o + x
    z = F.linear(n.lif("sn1", x, 1.5).mean((3, 4)), n.p["fc.weight"], n.p["fc.bias"])
    return {"logits": z, "logits_mean": z.mean(0)}


# ---- online NF-ResNet (Bottleneck): one step at a time --------------------------------------------
class Traced(torch.autograd.Function):
    """value of op(spike), weight gradient with the trace, input gradient to the spike, bias gradient plain."""
    @staticmethod
    def forward(ctx, z, a, w, b, stride, pad):
        ctx.save_for_backward(a, w)
        ctx.st, ctx.zs = (stride, pad), z.shape
        return F.conv2d(z, w, b, stride, pad)

    @staticmethod
    def backward(ctx, g):
        a, w = ctx.saved_tensors
        return (torch.nn.grad.conv2d_input(ctx.zs, w, g, *ctx.st), None, torch.nn.grad.conv2d_weight(a, w.shape, g, *ctx.st), g.sum((0, 2, 3)), None, None)


def nf_step(n, x, c, mem, ottt):
    op, lam = (".op", 0.5) if ottt else ("", 1 - 1 / 1.1)

    def ws(name):
        w, fan = n.p[name + ".weight"], n.p[name + ".weight"][0].numel()
        w = (w - w.mean((1, 2, 3), keepdim=True)) / torch.sqrt(w.var((1, 2, 3), keepdim=True, unbiased=True) * fan + 1e-4)
        return w * n.p[name + ".gain"]

    def conv(name, z, a, s=1):
        w, b = ws(name + op), n.p[name + op + ".bias"]
        return Traced.apply(z, a, w, b, s, w.shape[-1] // 2) if ottt else F.conv2d(z, w, b, s, w.shape[-1] // 2)

    def neuron(name, i):
        v, a = mem.get(name, (0.0, 0.0))
        u = lam * v + i
        s = Spike.apply(u - 1.0, "sig" if ottt else "tri")
        mem[name] = ((u - s).detach(), (0.5 * a + s).detach())
        n.spikes.setdefault(name, []).append(s.detach())
        return s * 2.74, mem[name][1] * 2.74
    x = F.avg_pool2d(F.conv2d(x, ws("conv1"), n.p["conv1.bias"], 2, 3), 3, 2, 1)
    var = 1.0
    for l, cnt in enumerate(c["constructor"]["layers"], 1):
        for i in range(cnt):
            p, s = f"layer{l}.{i}.", 2 if l > 1 and i == 0 else 1
            z, a = neuron(p + "sn1", x / var ** 0.5)
            ds = p + "downsample" + op + ".weight" in n.p
            idn = conv(p + "downsample", z, a, s) if ds else x
            z, a = neuron(p + "sn2", conv(p + "conv1", z, a))
            z, a = neuron(p + "sn3", conv(p + "conv2", z, a, s))
            x = conv(p + "conv3", z, a) * n.p[p + "skipinit_gain"] * 0.2 + idn
            var = (1.0 if ds else var) + 0.04
    return F.linear(x.mean((2, 3)), n.p["fc.weight"], n.p["fc.bias"])


def soft(z, y):
    K = z.shape[1]
    t = torch.full_like(z, 0.1 / K)
    t[torch.arange(len(y)), y] = 0.9 + 0.1 / K
    return -(t * z.log_softmax(1)).sum(1).mean()


NETS = {"sdt": sdt, "sdt_imagenet": sdt, "sdt_dvs": sdt, "sew_resnet18": sew, "sew_resnet50": sew, "msresnet_dvs": msdvs}
for r in (True, False):
    for d in (True, False):
        NETS[("revsformer" if r else "spikingformer") + ("_dvs" if d else "")] = lambda n, x, c, r=r, d=d: former(n, x, c, r, d)


def err(a, b):
    return float((a - b).abs().max()) / max(float(b.abs().max()), 1e-12)


def check(name, folder):
    c, d = json.load(open(os.path.join(folder, "case.json"))), load_file(os.path.join(folder, f"{name}_f64.safetensors"))
    res, y = {}, d["y"]
    x = d["x"].clone().requires_grad_(True)
    n = Net(d, True)
    if name in NETS:
        out = NETS[name](n, x, c)
        z = out.get("logits_mean", out["logits"])
        if name == "sdt_dvs":
            ls = lambda t: 0.9 * F.cross_entropy(t, y) + 0.1 * -t.log_softmax(1).mean(1).mean()
            loss = 0.999 * sum(ls(t) for t in out["logits"]) / c["T"] + 0.001 * ((out["logits"] - 1) ** 2).mean()
        else:
            loss = F.cross_entropy(z, y) if name.startswith("sew") else soft(z, y)
        loss.backward()
        for tag, buf in (("eval_logits", "buffer/"), ("eval_logits_after", "buffer_after/")):
            with torch.no_grad():
                res[tag] = err(NETS[name](Net(d, False, buf), d["x"], c)["logits"], d[tag])
        for k, v in out.items():
            res[k] = err(v.detach(), d[k])
        res["buffer_after"] = max(err(v.double(), d["buffer_after/" + k].double()) for k, v in n.b.items())
    else:
        mem, ls = {}, []
        for t in range(c["T"]):
            o = nf_step(n, x, c, mem, name.endswith("ottt"))
            l = F.cross_entropy(o, y) / c["T"]
            l.backward()
            ls.append(l.detach())
            res["logits"] = max(res.get("logits", 0), err(o.detach(), d["logits"][t]))
        loss = sum(ls)
        n.spikes = {k: torch.stack(v) for k, v in n.spikes.items()}
        for k, (v, a) in mem.items():
            res["state_v"] = max(res.get("state_v", 0), err(v, d["state_v/" + k]))
            if name.endswith("ottt"):
                res["state_trace"] = max(res.get("state_trace", 0), err(a, d["state_trace/" + k]))
    noise = set(sum((v for k, v in c.items() if "rounding_noise" in k), []))
    res["loss"] = float((loss - d["loss"]).abs())
    res["grad_x"] = err(x.grad, d["grad_x"])
    missing = [k for k, p in n.p.items() if p.grad is None]
    assert sorted(missing) == sorted(c["params_without_gradient"]), (missing, c["params_without_gradient"])
    res["grad"] = max(err(p.grad, d["grad/" + k]) for k, p in n.p.items() if p.grad is not None and "grad/" + k not in noise)
    sites = [k[7:] for k in d if k.startswith("spikes/")]
    assert sorted(sites) == sorted(n.spikes), (sorted(set(sites) ^ set(n.spikes)))
    bad = [s for s in sites if not torch.equal(n.spikes[s].to(torch.uint8), d["spikes/" + s])]
    print(f"{name}: max {max(res.values()):.1e} ({max(res, key=res.get)}), spikes {'equal' if not bad else bad}", {k: f"{v:.0e}" for k, v in res.items()} if max(res.values()) > 1e-9 else "")


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--dir", required=True)
    a = ap.parse_args()
    for name in list(NETS) + ["nfresnet50_ottt", "nfresnet50_sltt"]:
        f = os.path.join(a.dir, name)
        if os.path.isdir(f):
            check(name, f)
