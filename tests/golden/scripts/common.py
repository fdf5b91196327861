"""Shared helpers for the golden-case scripts (no code of the reference repositories in here).

Every script runs the authors' PyTorch code on the CPU with tiny widths, once in f64 and once in f32,
and writes <out>/<case>/{case.json, <case>_f64.safetensors, <case>_f32.safetensors}.
"""
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import types
import warnings

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

warnings.filterwarnings("ignore")
torch.set_num_threads(1)

MARGIN = 1.0e-4          # wanted distance of every membrane to its threshold
TARGET = 1.2e-4          # distance the nudging aims for


# ------------------------------------------------------------------------------------------------
# loading the reference code
# ------------------------------------------------------------------------------------------------
def force_torch_backend():
    """SpikingJelly 0.0.0.0.12: accept backend='cupy' in constructors but compute with 'torch'."""
    from spikingjelly.clock_driven import neuron
    neuron.check_backend = lambda backend: None


def use_torch_backend(model):
    for m in model.modules():
        if hasattr(m, "backend") and m.backend == "cupy":
            m.backend = "torch"
    return model


class _IntMap(ast.NodeTransformer):
    """Replaces integer literals inside the body (not the default arguments) of one method of one class."""

    def __init__(self, cls, mapping, fn):
        self.cls, self.mapping, self.fn = cls, mapping, fn

    def visit_ClassDef(self, node):
        if node.name == self.cls:
            for fn in node.body:
                if isinstance(fn, ast.FunctionDef) and fn.name == self.fn:
                    for c in [c for stmt in fn.body for c in ast.walk(stmt)]:
                        # __init__: any literal; other methods: only literals that are direct call arguments
                        cand = [c] if self.fn == "__init__" else (c.args if isinstance(c, ast.Call) else [])
                        for k in cand:
                            if isinstance(k, ast.Constant) and type(k.value) is int and k.value in self.mapping:
                                k.value = self.mapping[k.value]
        return node


def load_module(path, name, cls=None, int_map=None, fn="__init__"):
    """Imports a file; integer literals (hard-coded widths or sizes) in the body of cls.fn can be replaced in memory."""
    tree = ast.parse(open(path, encoding="utf-8").read())
    if cls:
        tree = ast.fix_missing_locations(_IntMap(cls, int_map, fn).visit(tree))
    mod = types.ModuleType(name)
    mod.__file__ = path
    sys.modules[name] = mod
    exec(compile(tree, path, "exec"), mod.__dict__)
    return mod


def commit_of(repo):
    return subprocess.run(["git", "-C", repo, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()


# ------------------------------------------------------------------------------------------------
# recording of spikes and of distances to the threshold
# ------------------------------------------------------------------------------------------------
class Recorder:
    """Wraps neuronal_fire of every spiking module. sites: name -> list of (u - vth, spike)."""

    def __init__(self, model, base_classes):
        self.data, self.on, self.order = {}, False, []      # name -> [(u - vth, spike), ...]
        for name, m in model.named_modules():
            if isinstance(m, base_classes):
                self._wrap(name, m)

    def _wrap(self, name, m):
        fire = m.neuronal_fire
        def rec_fire():
            s = fire()
            if self.on:
                if name not in self.data:
                    self.data[name] = []
                    self.order.append(name)
                self.data[name].append(((m.v - m.v_threshold).detach().clone(), s.detach().clone()))
            return s

        m.neuronal_fire = rec_fire

    def start(self):
        self.data, self.order, self.on = {}, [], True

    def stop(self):
        self.on = False
        return self.data


class PoolWatch:
    """Smallest gap between the two largest values of any max-pool window with non-binary input, and exact ties."""

    def __init__(self, model):
        self.gap, self.ties, self.on = float("inf"), 0, False
        for m in model.modules():
            if isinstance(m, nn.MaxPool2d):
                m.register_forward_pre_hook(self.hook)

    def hook(self, m, inp):
        x = inp[0].detach()
        if not self.on or bool(((x == 0) | (x == 1)).all()):
            return
        k, s, p = m.kernel_size, m.stride, m.padding
        b, c = x.shape[:2]
        xp = F.pad(x, (p, p, p, p), value=-1e30)
        w = xp.unfold(2, k, s).unfold(3, k, s).reshape(-1, k * k)
        top = w.topk(2, dim=1).values
        g = top[:, 0] - top[:, 1]
        self.ties += int((g == 0).sum())
        self.gap = min(self.gap, float(g.min()))


# ------------------------------------------------------------------------------------------------
# cases
# ------------------------------------------------------------------------------------------------
class Case:
    """Override: make, forward, loss, feeds (site -> bias parameter). See the make_*.py scripts."""
    name = ""
    T = 2
    base = ()
    exact_sites = {}        # site -> reason: inputs are quantised, equality with the threshold is exact arithmetic
    rate_range = (0.05, 0.70)
    calib = (0.12, 0.50)
    calib_site = {}
    online = False
    weight_gain = 1.0
    meta = {}

    def make(self):
        raise NotImplementedError

    def inputs(self, g):
        raise NotImplementedError

    def forward(self, model, x):
        raise NotImplementedError

    def loss(self, out, y):
        raise NotImplementedError

    def feeds(self, site):
        raise NotImplementedError

    def reset(self, model):
        from spikingjelly.clock_driven import functional
        functional.reset_net(model)

    def is_exact(self, site):
        return site in self.exact_sites

    # -- randomisation ---------------------------------------------------------------------------
    def randomise(self, model, g):
        sd = model.state_dict()
        with torch.no_grad():
            for n, p in model.named_parameters():
                p.copy_(self.draw(n, p, g))
            for n, b in model.named_buffers():
                if n.endswith("running_mean"):
                    b.copy_(torch.randn(b.shape, generator=g) * 0.2)
                elif n.endswith("running_var"):
                    b.copy_(torch.rand(b.shape, generator=g) * 1.0 + 0.5)
        return sd

    def draw(self, n, p, g):
        bn = p.dim() == 1 and n in self.bn_weights
        if bn:
            sign = torch.where(torch.rand(p.shape, generator=g) < 0.25, -1.0, 1.0)
            return sign * (0.7 + 0.9 * torch.rand(p.shape, generator=g))
        if p.dim() <= 1:
            return 0.3 * torch.randn(p.shape, generator=g)
        fan = p[0].numel()
        return torch.randn(p.shape, generator=g) * self.weight_gain / fan ** 0.5

    # -- one forward (no grad) with recording ------------------------------------------------------
    def observe(self, params, x, dtype, train, buffers=None):
        m = self.build(params, dtype)
        if buffers is not None:
            load_buffers(m, buffers)
        m.train(train)
        rec, pw = Recorder(m, self.base), PoolWatch(m)
        rec.start()
        pw.on = True
        with torch.no_grad():
            out = self.forward(m, x.to(dtype))
        d = rec.stop()
        self.reset(m)
        return m, out, d, rec.order, pw

    def build(self, params, dtype):
        torch.manual_seed(0)
        m = self.make().to(dtype)
        use_torch_backend(m)
        with torch.no_grad():
            for n, p in m.named_parameters():
                p.copy_(params[n].to(dtype))
            for n, b in m.named_buffers():
                b.copy_(params["buffer:" + n].to(b.dtype))
        return m

    def distances(self, d, T):
        """Per site: (T,B,C,...) distance; positions of exact sites with exact arithmetic are masked out."""
        res = {}
        for s, calls in d.items():
            calls = calls[:T]
            dist = torch.stack([c[0].abs() for c in calls])
            if self.is_exact(s):
                if self.exact_sites_kind(s) == "always":
                    continue
                hit = dist == 0
                dist = torch.where(hit, torch.full_like(dist, 1e9), dist)
            res[s] = dist
        return res

    def exact_sites_kind(self, site):
        return "always"

    def channel_dim(self, site):
        return 2             # of [T,B,C,...]


def load_buffers(m, buffers):
    with torch.no_grad():
        for n, b in m.named_buffers():
            b.copy_(buffers[n].to(b.dtype))


def snapshot_params(m):
    p = {n: t.detach().float().clone() for n, t in m.named_parameters()}
    for n, t in m.named_buffers():
        p["buffer:" + n] = t.detach().clone() if not t.is_floating_point() else t.detach().float().clone()
    return p


def calibrate(case, params, x, T, lo, hi, g, verbose=False):
    """Shifts (and if that is not enough scales) the bias feeding each site, in forward order, in train mode."""
    done = set()
    for _ in range(400):
        _, _, d, order, _ = case.observe(params, x, torch.float64, True)
        for s in order:
            if s in done or case.is_exact(s):
                continue
            rate = float(torch.stack([c[1] for c in d[s][:T]]).double().mean())
            l, h = case.calib_site.get(s, (lo, hi))
            if l <= rate <= h:
                done.add(s)
                continue
            b = case.feeds(s)
            step = 0.12 if rate < l else -0.12
            params[b] = params[b] + step * (0.5 + torch.rand((), generator=g).item())
            break
        else:
            return True
    return False


def stats_from_batch(case, params, x, g):
    """Running statistics = batch statistics of a train forward, perturbed by about 20 % (so that eval is alive)."""
    m = case.build(params, torch.float64)
    m.train(True)
    bns = [(n, b) for n, b in m.named_modules() if isinstance(b, (nn.BatchNorm1d, nn.BatchNorm2d))]
    if not bns:
        return
    for _, b in bns:
        b.momentum = 1.0
    with torch.no_grad():
        case.forward(m, x.double())
    case.reset(m)
    for n, b in bns:
        s = b.running_var.sqrt()
        rm = b.running_mean.float() + 0.15 * s.float() * torch.randn(s.shape, generator=g)
        rv = b.running_var.float() * (0.8 + 0.4 * torch.rand(s.shape, generator=g)) + 1e-3
        params["buffer:" + n + ".running_mean"] = rm
        params["buffer:" + n + ".running_var"] = rv


def three_views(case, params, x, dtype):
    """train forward, eval forward (buffers before), eval forward (buffers after one training step)."""
    res = [("train", case.observe(params, x, dtype, True)), ("eval", case.observe(params, x, dtype, False))]
    if any(k.startswith("buffer:") for k in params):
        after = buffers_after(case, params, x, dtype)
        res.append(("eval_after", case.observe(params, x, dtype, False, after)))
    return res


def buffers_after(case, params, x, dtype):
    m = case.build(params, dtype)
    m.train(True)
    y = case.y
    train_step(case, m, x.to(dtype), y)
    return {n: b.detach().clone() for n, b in m.named_buffers()}


def train_step(case, m, x, y):
    """Default: one forward, one backward. Online cases override Case.step."""
    if hasattr(case, "step"):
        return case.step(m, x, y)
    x = x.detach().clone().requires_grad_(True)
    out = case.forward(m, x)
    loss, loss_t = case.loss(out, y)
    loss.backward()
    case.reset(m)
    return out, loss, loss_t, x.grad


def refine(case, params, x, T, g, limit=250):
    """Nudges per-channel biases by about 1e-3 until no membrane is closer than TARGET in the three views."""
    first = None
    for it in range(limit):
        bad, worst = {}, 1e9
        for tag, (_, _, d, order, _) in three_views(case, params, x, torch.float64):
            for i, s in enumerate(order):
                dist = case.distances({s: d[s]}, T).get(s)
                if dist is None:
                    continue
                worst = min(worst, float(dist.min()))
                idx = (dist < TARGET).nonzero()
                if len(idx):
                    bad.setdefault((i, s), set()).update(idx[:, case.channel_dim(s)].tolist())
        n = sum(len(v) for v in bad.values())
        if first is None:
            first = n
        if n == 0:
            return dict(violations_before=first, violations_after=0, iterations=it, target=TARGET), True
        for (i, s) in sorted(bad)[:1] if it > limit // 2 else sorted(bad):
            b = case.feeds(s)
            p = params[b].clone()
            for c in bad[(i, s)]:
                c = c % p.numel()
                sg = 1.0 if torch.rand((), generator=g).item() < 0.5 else -1.0
                p[c] += sg * (0.5e-3 + 1.5e-3 * torch.rand((), generator=g).item())
            params[b] = p
    return dict(violations_before=first, violations_after=n, iterations=limit, target=TARGET), False


def rel(a, b):
    m = float(b.abs().max()) if b.numel() else 0.0
    e = float((a.double() - b.double()).abs().max()) if b.numel() else 0.0
    return e / m if m > 0 else e


def full_run(case, params, x, y, dtype, T):
    """All tensors of one case in one dtype."""
    out = {}
    m = case.build(params, dtype)
    for n, p in m.named_parameters():
        out["param/" + n] = p.detach().clone()
    for n, b in m.named_buffers():
        out["buffer/" + n] = b.detach().clone()
    out["x"], out["y"] = x.to(dtype), y.clone()
    views = {}
    m.train(True)
    rec, pw = Recorder(m, case.base), PoolWatch(m)
    rec.start()
    pw.on = True
    o, loss, loss_t, gx = train_step(case, m, x.to(dtype), y)
    d = rec.stop()
    pw.on = False
    views["train"] = (d, rec.order)
    for k, v in o.items():
        out[k] = v.detach().clone()
    out["loss"] = loss.detach().clone()
    if loss_t is not None:
        out["loss_t"] = loss_t.detach().clone()
    out["grad_x"] = gx.detach().clone()
    missing = []
    for n, p in m.named_parameters():
        if p.grad is None:
            missing.append(n)
        else:
            out["grad/" + n] = p.grad.detach().clone()
    for n, b in m.named_buffers():
        out["buffer_after/" + n] = b.detach().clone()
    for k, v in getattr(case, "extra_state", lambda m: {})(m).items():
        out[k] = v
    after = {n: b.detach().clone() for n, b in m.named_buffers()}
    _, oe, de, orde, pe = case.observe(params, x, dtype, False)
    out["eval_logits"] = oe["logits"].detach().clone()
    views["eval"] = (de, orde)
    pa = pe
    if after:
        _, oa, da, orda, pa = case.observe(params, x, dtype, False, after)
        out["eval_logits_after"] = oa["logits"].detach().clone()
        views["eval_after"] = (da, orda)
    pools = dict(gap=min(pw.gap, pe.gap, pa.gap), ties=pw.ties + pe.ties + pa.ties)
    return out, views, missing, pools


def write_case(case, outdir, repo, repo_name, seeds=range(1, 60), verbose=True):
    case.setup()
    model = use_torch_backend(case.make())
    case.bn_weights = {n + ".weight" for n, b in model.named_modules()
                       if isinstance(b, (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm))}
    tried = 0
    for seed in seeds:
        tried += 1
        g = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed), random.seed(seed), np.random.seed(seed)
        x, y = case.inputs(g)
        case.y = y
        case.randomise(model, g)
        params = snapshot_params(model)
        if not calibrate(case, params, x, case.T, *case.calib, g):
            if verbose:
                print(case.name, seed, "calibration failed")
            continue
        stats_from_batch(case, params, x, g)
        info, ok = refine(case, params, x, case.T, g)
        if not ok:
            if verbose:
                print(case.name, seed, "margin failed", info)
            continue
        f64, v64, missing, p64 = full_run(case, params, x, y, torch.float64, case.T)
        f32, v32, _, p32 = full_run(case, params, x, y, torch.float32, case.T)
        rates = {s: float(torch.stack([c[1] for c in v64["train"][0][s][:case.T]]).double().mean()) for s in v64["train"][1]}
        lo, hi = min(rates.values()), max(rates.values())
        if lo < case.rate_range[0] or hi > case.rate_range[1]:
            if verbose:
                print(case.name, seed, "rates", {k: round(v, 3) for k, v in rates.items() if not 0.05 <= v <= 0.7})
            continue
        same, dist, flips = {}, {}, {}
        for tag in v64:
            same[tag] = all(torch.equal(a[1].to(torch.uint8), b[1].to(torch.uint8))
                            for s in v64[tag][1] for a, b in zip(v64[tag][0][s][:case.T], v32[tag][0][s][:case.T]))
            for nm, v in (("f64", v64), ("f32", v32)):
                dd = case.distances(v[tag][0], case.T)
                dist[f"{nm}_{tag}_margin"] = min(float(t.min()) for t in dd.values())
        for nm, v in (("f64", v64), ("f32", v32)):
            fl = 0
            for s, calls in v["train"][0].items():
                if not case.online and len(calls) == 2 * case.T:
                    fl += sum(int((a[1] != b[1]).sum()) for a, b in zip(calls[:case.T], calls[case.T:]))
            flips[nm] = fl
        if not all(same.values()) or min(dist.values()) < MARGIN or any(flips.values()):
            if verbose:
                print(case.name, seed, "spikes differ or margin", same, min(dist.values()), flips)
            continue
        if p64["gap"] < 2e-6:
            if verbose:
                print(case.name, seed, "max-pool gap", p64)
            continue
        if any(not torch.isfinite(t).all() for t in f64.values() if t.is_floating_point()):
            print(case.name, seed, "not finite")
            continue
        groups, diffs = {}, {}
        noise, zero = [], []
        big = max(float(t.abs().max()) for k, t in f64.items() if k.startswith("grad/"))
        for k in f64:
            if not f64[k].is_floating_point() or k.startswith(("param/", "buffer/")) or k == "x":
                continue
            mx = float(f64[k].abs().max())
            if k.startswith("grad/") and mx == 0:
                zero.append(k)
                continue
            if k.startswith("grad/") and mx < 1e-12 * max(big, 1e-3):
                noise.append(k)
                continue
            grp = k.split("/")[0]
            e = rel(f32[k], f64[k])
            if e >= diffs.get(grp, {"err": -1})["err"]:
                diffs[grp] = {"err": e, "tensor": k}
        if diffs["grad"]["err"] > 5e-5:
            if verbose:
                print(case.name, seed, "f32-f64 gradient difference", diffs["grad"])
            continue
        for s in v64["train"][1]:
            f64["spikes/" + s] = torch.stack([c[1] for c in v64["train"][0][s][:case.T]]).to(torch.uint8)
        verify = case.verify(params, x, y, f64, f32) if hasattr(case, "verify") else None
        tmp = os.path.join(outdir, "." + case.name + ".tmp")
        shutil.rmtree(tmp, ignore_errors=True)
        os.makedirs(tmp)
        files = {}
        for nm, t in (("f64", f64), ("f32", f32)):
            fn = f"{case.name}_{nm}.safetensors"
            save_file({k: v.contiguous() for k, v in t.items()}, os.path.join(tmp, fn))
            files[fn] = {"bytes": os.path.getsize(os.path.join(tmp, fn)), "tensors": len(t)}
        js = {"case": case.name, "official_repo": repo_name, "official_commit": commit_of(repo), "seed": seed,
              "seeds_tried": tried, "files": files, "batch": int(y.shape[0])}
        js.update(case.meta)
        js["firing_rates_train_forward"] = {k: round(v, 4) for k, v in rates.items()}
        js["all_rates_within_0.05_0.7"] = True
        js["margin_refinement (bias nudges, train + eval forward)"] = info
        js["min_distance_to_threshold"] = dist
        if case.exact_sites:
            js["sites_with_exact_arithmetic (left out of min_distance where equality is exact)"] = case.exact_sites
        if p64["gap"] < float("inf"):
            js["max_pool_real_valued (smallest gap between the two largest values of a window; exact ties)"] = p64
        js["f32_f64_spikes_identical"] = same
        js["reversible_forward_vs_recompute_spike_flips"] = flips
        js["max_rel_diff_f32_vs_f64 (max|a-b|/max|b| per tensor)"] = diffs
        js["params_without_gradient"] = missing
        js["aliases (state-dict name -> stored name of the same shared tensor)"] = {}
        js["tolerance_advice"] = ("f64 file: max|a-b| <= 1e-9 * max|b| per tensor (1e-12 absolute for tensors whose max is < 1e-9). "
                                  "f32 file: 10x the measured f32-f64 difference listed above, at least 1e-5 relative to the tensor max. "
                                  "spikes/* must match exactly.")
        js["naming"] = ("param/<official state-dict name>, buffer/.. (before), buffer_after/.. (after the step), grad/.. "
                        "(no optimiser update, no clipping), logits, loss, loss_t (per step, where used), grad_x, eval_logits "
                        "(eval mode, buffers before), eval_logits_after (eval mode, buffers after the step), spikes/<site> uint8 "
                        "(train forward, f64 file only)")
        if verify is not None:
            js["verification_reversible_vs_plain_autograd"] = verify
        js["gradients_exactly_zero"] = zero
        js["gradients_that_are_only_rounding_noise (mathematically 0, e.g. conv bias in front of train-mode BN): compare absolutely"] = noise
        js["f32_size_of_those"] = max([float(f32[k].abs().max()) for k in noise], default=None)
        js["largest_gradient_entry"] = big
        js["environment"] = f"torch {torch.__version__} CPU, 1 thread"
        with open(os.path.join(tmp, "case.json"), "w") as fh:
            json.dump(js, fh, indent=1)
        final = os.path.join(outdir, case.name)
        shutil.rmtree(final, ignore_errors=True)
        os.rename(tmp, final)
        print(f"{case.name}: seed {seed} ({tried} tried), rates {lo:.3f}-{hi:.3f}, min margin {min(dist.values()):.2e}, "
              f"f32-f64 grad {diffs['grad']['err']:.1e} ({diffs['grad']['tensor']}), nudges {info}, pools {p64}, "
              f"missing grads {len(missing)}, bytes {[f['bytes'] for f in files.values()]}")
        return True
    raise SystemExit(f"{case.name}: no seed worked")


# ------------------------------------------------------------------------------------------------
# losses and inputs used by several cases
# ------------------------------------------------------------------------------------------------
def soft_target_ce(logits, y, K, smoothing=0.1):
    """timm SoftTargetCrossEntropy on timm's mixup_target with lam = 1 (plain smoothed one-hot), targets made in the run dtype."""
    from timm.data.mixup import mixup_target
    from timm.loss import SoftTargetCrossEntropy
    torch.set_default_dtype(logits.dtype)      # mixup_target uses the default dtype
    try:
        t = mixup_target(y, K, lam=1.0, smoothing=smoothing)
    finally:
        torch.set_default_dtype(torch.float32)
    return SoftTargetCrossEntropy()(logits, t)


def image(g, B, C, H):
    return torch.randn(B, C, H, H, generator=g)


def events(g, B, T, H, rate=1.0):
    n = torch.poisson(torch.full((B, T, 2, H, H), rate), generator=g)
    return n * (0.8 + 0.4 * torch.rand(n.shape, generator=g))


def args_repo_out(doc):
    import argparse
    p = argparse.ArgumentParser(description=doc)
    p.add_argument("--repo", required=True, help="checkout of the reference repository")
    p.add_argument("--out", required=True, help="folder that receives the case folders")
    p.add_argument("--only", default="", help="comma-separated case names")
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    return a
