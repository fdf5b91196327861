"""Reference steps of optimisers, clipping, EMA, schedules, losses and drop-path: case "optimiser".

Needs torch, timm 0.9.16, and BICLab/T-RevSNN at 3b75b37 (loss.py, lr_scheduler.py).
Run: python make_optimiser.py --repo DIR --out DIR
"""
import json
import os
import shutil
import types
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file
from common import args_repo_out, commit_of, load_module

SHAPES = {"conv.weight": (4, 3, 3, 3), "conv.bias": (4,), "conv.gain": (4, 1, 1, 1), "bn.weight": (4,), "bn.bias": (4,),
          "fc.weight": (5, 6), "fc.bias": (5,), "skip": (), "zero.weight": (3, 2), "small.weight": (3, 4)}
META = {}
SEED02 = 4               # a seed whose mask keeps some samples and drops some


class Box(nn.Module):
    """Parameters with dots in their names, as a model the library helpers can walk."""

    def __init__(self, values):
        super().__init__()
        for k, v in values.items():
            m, parts = self, k.split(".")
            for p in parts[:-1]:
                if not hasattr(m, p):
                    m.add_module(p, nn.Module())
                m = getattr(m, p)
            m.register_parameter(parts[-1], nn.Parameter(v.clone()))


def draw(g):
    p = {k: torch.randn(s, generator=g) * 0.5 for k, s in SHAPES.items()}
    p["zero.weight"] = torch.zeros(SHAPES["zero.weight"])
    p["small.weight"] = torch.randn(SHAPES["small.weight"], generator=g) * 1e-3      # trust ratio far below 1
    g1 = {k: torch.randn(s, generator=g) * 0.5 for k, s in SHAPES.items()}           # global norm > 1
    g2 = {k: torch.randn(s, generator=g) * 0.02 for k, s in SHAPES.items()}          # global norm < 1
    g1["fc.weight"][1] = 0.0                                                         # a row without gradient
    return p, g1, g2


def steps(out, tag, make_opt, p0, grads, dtype, state_keys):
    model = Box({k: v.to(dtype) for k, v in p0.items() if "/lamb" not in tag or v.ndim > 0})
    names = dict(model.named_parameters())
    opt = make_opt(model)
    for i, g in enumerate(grads, 1):
        for k, q in names.items():
            q.grad = g[k].to(dtype).clone()
        opt.step()
        for k, q in names.items():
            out[f"{tag}/step{i}/{k}"] = q.detach().clone()
    for k, q in names.items():
        for s in state_keys:
            out[f"{tag}/state2/{k}/{s}"] = opt.state[q][s].detach().clone()


def optimisers(out, dtype, p0, g1, g2):
    from timm.optim import Lamb
    from timm.optim.optim_factory import param_groups_weight_decay
    for k in p0:
        out[f"opt/param/{k}"], out[f"opt/grad1/{k}"], out[f"opt/grad2/{k}"] = p0[k].to(dtype), g1[k].to(dtype), g2[k].to(dtype)
    gs = (g1, g2)
    for nest in (False, True):
        tag = "opt/sgd_nesterov" if nest else "opt/sgd"
        steps(out, tag, lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=nest), p0, gs, dtype, ["momentum_buffer"])
        META[tag] = dict(lr=0.1, momentum=0.9, dampening=0, weight_decay=5e-4, nesterov=nest, groups="all parameters decayed (L2 added to the gradient)")
    for wd in (0.0, 5e-4):
        tag = "opt/adam" + ("_wd" if wd else "")
        steps(out, tag, lambda m: torch.optim.Adam(m.parameters(), lr=1e-3, weight_decay=wd), p0, gs, dtype, ["exp_avg", "exp_avg_sq"])
        META[tag] = dict(lr=1e-3, betas=[0.9, 0.999], eps=1e-8, weight_decay=wd, groups="all parameters; decay is L2 (coupled)")
    wd2 = lambda m, wd: param_groups_weight_decay(m, wd)
    steps(out, "opt/adamw", lambda m: torch.optim.AdamW(wd2(m, 0.06), lr=5e-4, weight_decay=0.06), p0, gs, dtype, ["exp_avg", "exp_avg_sq"])
    META["opt/adamw"] = dict(lr=5e-4, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.06, groups="timm param_groups_weight_decay: see weight_decay_groups")
    box = Box(p0)
    ids = {id(q): n for n, q in box.named_parameters()}
    gr = param_groups_weight_decay(box, 0.06)
    META["weight_decay_groups"] = dict(undecayed=[ids[id(q)] for q in gr[0]["params"]], decayed=[ids[id(q)] for q in gr[1]["params"]],
                                       rule="undecayed: ndim <= 1 or name ends with .bias; a [C,1,1,1] gain is decayed")
    inf = float("inf")
    for clip in (True, False):
        for eps in (1e-8, 1e-6):
            for mg in (1.0, inf):
                tag = f"opt/lamb_{'clip' if clip else 'noclip'}_eps{'1e-8' if eps == 1e-8 else '1e-6'}_mgn{'1' if mg == 1.0 else 'none'}"
                steps(out, tag, lambda m: Lamb(wd2(m, 0.01), lr=2e-3, eps=eps, trust_clip=clip, max_grad_norm=mg), p0, gs, dtype, ["exp_avg", "exp_avg_sq"])
                META[tag] = dict(lr=2e-3, betas=[0.9, 0.999], eps=eps, weight_decay=0.01, trust_clip=clip, max_grad_norm=1.0 if mg == 1.0 else None,
                                 bias_correction=True, grad_averaging=True, always_adapt=False)
    META["lamb_0d"] = "timm 0.9.16 raises on 0-D parameters (its global norm has shape [1]), so 'skip' is left out of the LAMB variants, also of the global norm"
    try:
        m = Box({k: v for k, v in p0.items() if v.ndim > 0})
        o = Lamb(m.parameters(), max_grad_norm=None)
        for q in m.parameters():
            q.grad = torch.zeros_like(q)
        o.step()
        META["lamb_max_grad_norm_None"] = "accepted"
    except Exception as e:
        META["lamb_max_grad_norm_None"] = f"timm 0.9.16 raises ({type(e).__name__}); the 'none' variants use max_grad_norm=inf (no clipping)"


def clipping(out, dtype, p0, g1, g2, g):
    from timm.utils.agc import adaptive_clip_grad
    from torch.nn.utils import clip_grad_norm_
    p = {k: v.clone() for k, v in p0.items()}
    p["fc.weight"][2] = 0.0                                    # zero row: norm is clamped to eps
    p["tiny0d"], gr = torch.tensor(1e-4, dtype=torch.float32), {k: v.clone() for k, v in g1.items()}
    gr["tiny0d"] = torch.tensor(0.3, dtype=torch.float32)
    gr["conv.weight"][3] *= 1e-3                               # a filter below the limit
    gr["bn.bias"] *= 1e-3                                      # a whole tensor below the limit
    for mode in ("agc", "norm_above", "norm_below"):
        m = Box({k: v.to(dtype) for k, v in p.items()})
        for k, q in m.named_parameters():
            q.grad = (gr[k] if mode != "norm_below" else g2.get(k, torch.tensor(0.001, dtype=torch.float32))).to(dtype).clone()
            out[f"clip/{mode}/param/{k}"], out[f"clip/{mode}/grad_in/{k}"] = q.detach().clone(), q.grad.clone()
        if mode == "agc":
            adaptive_clip_grad(m.parameters(), 0.02)
        else:
            out[f"clip/{mode}/total_norm"] = clip_grad_norm_(m.parameters(), 1.0).detach().clone()
        for k, q in m.named_parameters():
            out[f"clip/{mode}/grad_out/{k}"] = q.grad.clone()
    META["clip/agc"] = dict(clip_factor=0.02, eps=1e-3, norm_type=2, rule="unit-wise norms over all dims but 0 (ndim >= 2), whole tensor for ndim <= 1; grad norm clamped at 1e-6")
    META["clip/norm_above"] = META["clip/norm_below"] = dict(max_norm=1.0, rule="coefficient max_norm / (total + 1e-6), at most 1")


def ema(out, dtype, g):
    from timm.utils import ModelEma, ModelEmaV2
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).to(dtype)
    vals = [{k: (torch.randn(v.shape, generator=g).to(dtype) if v.is_floating_point() else torch.tensor(i * 10)) for k, v in net.state_dict().items()} for i in range(3)]
    vals = [{k: (v.abs() if "var" in k else v) for k, v in d.items()} for d in vals]
    net.load_state_dict(vals[0])
    for tag, e in (("v2", ModelEmaV2(net, decay=0.9992)), ("v1", ModelEma(net, decay=0.9992))):
        net.load_state_dict(vals[0])
        for i in (0, 1, 2):
            if i:
                net.load_state_dict(vals[i])
                e.update(net)
            cur = (e.module if tag == "v2" else e.ema).state_dict()
            for k in cur:
                out[f"ema/model{i}/{k}"] = vals[i][k].clone()
                out[f"ema/{tag}/after{i}/{k}"] = cur[k].clone()
    META["ema"] = dict(decay=0.9992, rule="every state_dict entry incl. BN buffers; integers are computed in float and truncated on copy (num_batches_tracked 0 -> 0, 0)",
                       note="T-RevSNN uses ModelEma (v1), called after every optimiser step")


def schedules(out, trev):
    from timm.scheduler import create_scheduler_v2
    def run(lr, **kw):
        opt = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
        s, n = create_scheduler_v2(opt, sched="cosine", **kw)
        lrs = [opt.param_groups[0]["lr"]]
        upd = kw.get("updates_per_epoch", 0)
        if kw.get("step_on_epochs", True):
            for e in range(n - 1):
                s.step(e + 1)
                lrs.append(opt.param_groups[0]["lr"])
        else:
            for u in range(1, n * upd):
                s.step_update(u)
                lrs.append(opt.param_groups[0]["lr"])
        return torch.tensor(lrs, dtype=torch.float64), n
    for tag, lr, kw in (
            ("revsnn_cifar", 5e-4, dict(num_epochs=300, warmup_epochs=20, warmup_lr=1e-5, min_lr=1e-5, cooldown_epochs=10)),
            ("revsnn_cifar10dvs", 1e-3, dict(num_epochs=96, warmup_epochs=10, warmup_lr=1e-5, min_lr=1e-5, cooldown_epochs=10)),
            ("revsnn_gesture", 1e-3, dict(num_epochs=192, warmup_epochs=10, warmup_lr=1e-5, min_lr=1e-5, cooldown_epochs=10)),
            ("sdt_imagenet", 1.5e-3, dict(num_epochs=300, warmup_epochs=20, warmup_lr=1e-5, min_lr=1.5e-5, cooldown_epochs=10)),
            ("updates_tiny", 5e-4, dict(num_epochs=6, warmup_epochs=2, warmup_lr=1e-5, min_lr=1e-5, cooldown_epochs=2, step_on_epochs=False, updates_per_epoch=5)),
            ("updates_tiny_prefix", 5e-4, dict(num_epochs=6, warmup_epochs=2, warmup_lr=1e-5, min_lr=1e-5, cooldown_epochs=2, step_on_epochs=False, updates_per_epoch=5, warmup_prefix=True))):
        v, n = run(lr, **kw)
        out[f"sched/{tag}"] = v
        META[f"sched/{tag}"] = dict(lr=lr, **kw, cycle_limit=1, epochs_run=n, values="lr of every " + ("epoch" if kw.get("step_on_epochs", True) else "update"))
    META["sched/note"] = ("RevSNN and SDT scripts step the timm scheduler per EPOCH (step(epoch+1); step_update does nothing because t_in_epochs), warmup_prefix False: "
                          "after the linear warm-up the cosine continues at t = warm-up, so lr jumps slightly below the base value. T-RevSNN uses its own per-iteration formula.")
    for tag, ep, wu, spe, lr, wlr, mlr in (("trevsnn_tiny", 6, 2, 5, 2e-3, 1e-5, 1e-6), ("trevsnn_small_yaml_first_iteration_of_each_epoch", 300, 20, 1, 2e-3, 1e-5, 1e-6)):
        ns = types.SimpleNamespace
        cfg = ns(TRAIN=ns(EPOCHS=ep, WARMUP_EPOCHS=wu, BASE_LR=lr, WARMUP_LR=wlr, MIN_LR=mlr))
        opt = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
        s = trev.CosLRScheduler()
        out[f"sched/{tag}"] = torch.tensor([s.step_update(opt, i / spe + e, cfg) for e in range(ep) for i in range(spe)], dtype=torch.float64)
        META[f"sched/{tag}"] = dict(epochs=ep, warmup_epochs=wu, steps_per_epoch=spe, base_lr=lr, warmup_lr=wlr, min_lr=mlr, values="lr of every iteration, set before the forward; fractional epoch e + i/steps; no cool-down")
    opt = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    s = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=12)
    v = []
    for _ in range(13):
        v.append(opt.param_groups[0]["lr"])
        opt.step()
        s.step()
    out["sched/torch_cosine_Tmax12"] = torch.tensor(v, dtype=torch.float64)
    META["sched/torch_cosine_Tmax12"] = dict(lr=0.1, T_max=12, eta_min=0, values="lr of every epoch, stepped after the epoch (OTTT, SLTT, SEW)")


def losses(out, dtype, trev_loss, g):
    from timm.data.mixup import mixup_target
    from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
    T, B, K = 4, 3, 5
    z = (torch.randn(T, B, K, generator=g) * 1.5).to(dtype)
    y = torch.tensor([2, 0, 4])
    out["loss/logits_t"], out["loss/y"] = z, y
    t3 = mixup_target(y, K, lam=0.3, smoothing=0.1)
    out["loss/mixup_target"] = t3
    ls = LabelSmoothingCrossEntropy(0.1)

    def one(tag, fn, x, **meta):
        x = x.detach().clone().requires_grad_(True)
        l = fn(x)
        l.backward()
        out[f"loss/{tag}/loss"], out[f"loss/{tag}/grad"] = l.detach().clone(), x.grad.clone()
        META[f"loss/{tag}"] = meta
    m = z.mean(0)
    out["loss/logits_mean"] = m
    one("ce", lambda x: F.cross_entropy(x, y), m, input="logits_mean")
    one("label_smoothing", lambda x: ls(x, y), m, input="logits_mean", smoothing=0.1)
    one("soft_target_mixup", lambda x: SoftTargetCrossEntropy()(x, t3), m, input="logits_mean", lam=0.3, smoothing=0.1, partner="batch flipped", target="mixup_target")
    for means, lamb, crit, tag in ((1.0, 0.001, ls, "tet_ls"), (1.0, 0.001, nn.CrossEntropyLoss(), "tet_ce"), (1.0, 0.0, nn.CrossEntropyLoss(), "tet_ce_lamb0"), (1.0, 0.05, nn.CrossEntropyLoss(), "tet_ce_lamb05")):
        one(tag, lambda x: trev_loss.TET_loss(x, y, crit, means, lamb), z, input="logits_t", means=means, lamb=lamb, criterion="label smoothing 0.1" if crit is ls else "CE")
    one("trevsnn_compound", lambda x: trev_loss.compound_loss_only_cls(list(x), y, ls, 0), z, input="logits_t", criterion="label smoothing 0.1",
        formula="sum_i (i+1)/n * c(o_i) + c(o_last): the last output has weight 2")
    one("trevsnn_compound_ce", lambda x: trev_loss.compound_loss_only_cls(list(x), y, nn.CrossEntropyLoss(), 0), z, input="logits_t", criterion="CE")
    oh = F.one_hot(y, K).to(dtype)
    one("ottt_mix", lambda x: sum((0.95 * F.cross_entropy(x[t], y) + 0.05 * F.mse_loss(x[t], oh)) / T for t in range(T)), z, input="logits_t", a=0.05, target="one-hot")
    one("sltt_mix_ones", lambda x: sum((0.95 * F.cross_entropy(x[t], y) + 0.05 * F.mse_loss(x[t], torch.ones_like(x[t]))) / T for t in range(T)), z, input="logits_t", a=0.05, target="ones")
    # mixup of the inputs (timm Mixup, batch mode)
    x = torch.randn(4, 2, 3, generator=g).to(dtype)
    out["mixup/x"], out["mixup/x_mixed"] = x, x * 0.3 + x.flip(0) * 0.7
    META["mixup"] = dict(lam=0.3, rule="x * lam + flip(x over batch) * (1 - lam)", note="composition of ours (timm's Mixup draws lam itself)")


def droppath(out, dtype, g):
    from timm.layers import DropPath
    for tag, p in (("p02", 0.2), ("p05", 0.5)):
        x = torch.randn(8, 3, 2, 2, generator=g).to(dtype).requires_grad_(True)
        w = torch.randn(8, 3, 2, 2, generator=g).to(dtype)
        torch.manual_seed({"p02": SEED02, "p05": 3}[tag])
        d = DropPath(p)
        d.train()
        o = d(x)
        (o * w).sum().backward()
        keep = (o.detach().flatten(1).abs().sum(1) > 0).to(dtype)
        out[f"droppath/{tag}/x"], out[f"droppath/{tag}/keep_mask"], out[f"droppath/{tag}/out"] = x.detach().clone(), keep, o.detach().clone()
        out[f"droppath/{tag}/grad_out"], out[f"droppath/{tag}/grad_x"] = w, x.grad.clone()
        d.eval()
        assert torch.equal(d(x), x)
        META[f"droppath/{tag}"] = dict(drop_prob=p, rule="one Bernoulli(keep) per sample (dim 0), out = x * mask / keep; identity in eval", note="with a [T,B,...] tensor dim 0 would be TIME (no reference net calls it)")


if __name__ == "__main__":
    a = args_repo_out(__doc__)
    trev_loss = load_module(os.path.join(a.repo, "loss.py"), "trev_loss")
    trev_sched = load_module(os.path.join(a.repo, "lr_scheduler.py"), "trev_sched")
    res = {}
    for nm, dtype in (("f64", torch.float64), ("f32", torch.float32)):
        torch.set_default_dtype(torch.float32)
        g = torch.Generator().manual_seed(11)
        p0, g1, g2 = draw(g)
        out = {}
        torch.set_default_dtype(dtype)           # timm's Lamb and mixup_target create tensors of the default dtype
        optimisers(out, dtype, p0, g1, g2)
        clipping(out, dtype, p0, g1, g2, g)
        keep, torch_randn = torch.randn, torch.randn
        torch.randn = lambda *s, **kw: torch_randn(*s, **dict(kw, dtype=torch.float32))      # same f32 draws in both runs
        try:
            ema(out, dtype, g)
            losses(out, dtype, trev_loss, g)
            droppath(out, dtype, g)
        finally:
            torch.randn = keep
        schedules(out, trev_sched)
        res[nm] = out
    torch.set_default_dtype(torch.float32)
    worst = {}
    for k in res["f64"]:
        x, y = res["f64"][k], res["f32"][k]
        if x.is_floating_point() and x.numel():
            e = float((x - y.double()).abs().max()) / max(float(x.abs().max()), 1e-30)
            grp = "/".join(k.split("/")[:2])
            if e > worst.get(grp, -1):
                worst[grp] = e
    tmp = os.path.join(a.out, ".optimiser.tmp")
    shutil.rmtree(tmp, ignore_errors=True)
    os.makedirs(tmp)
    files = {}
    for nm, t in res.items():
        fn = f"optimiser_{nm}.safetensors"
        save_file({k: v.detach().clone().contiguous() for k, v in t.items()}, os.path.join(tmp, fn))
        files[fn] = {"bytes": os.path.getsize(os.path.join(tmp, fn)), "tensors": len(t)}
    import timm
    js = {"case": "optimiser", "official_repo": "torch, timm, BICLab/T-RevSNN (loss.py, lr_scheduler.py)", "official_commit": commit_of(a.repo),
          "files": files, "versions": {"torch": torch.__version__, "timm": timm.__version__},
          "naming": "opt/param, opt/grad1, opt/grad2 (inputs of both steps; the same raw gradients whatever the variant does to them), opt/<variant>/step1, /step2 (parameters after), "
                    "opt/<variant>/state2/<name>/<state>; clip/<mode>/{param,grad_in,grad_out}; ema/model{0,1,2} (model values; EMA starts as a copy of model0), ema/{v1,v2}/after{0,1,2}; "
                    "sched/*; loss/*; mixup/*; droppath/*",
          "deviations": ["torch default dtype set to the run dtype (timm's Lamb computes the global norm, and mixup_target its targets, in the default dtype: with the stock default they are f32 even in an f64 run)",
                         "LAMB variants 'mgnnone' use max_grad_norm=inf"],
          "constants": META, "max_rel_diff_f32_vs_f64 per group": worst,
          "tolerance_advice": "f64: 1e-12 relative to the tensor maximum (1e-9 is enough); f32: 1e-6. sched values are f64 in both files."}
    with open(os.path.join(tmp, "case.json"), "w") as fh:
        json.dump(js, fh, indent=1)
    final = os.path.join(a.out, "optimiser")
    shutil.rmtree(final, ignore_errors=True)
    os.rename(tmp, final)
    print(files, {k: f"{v:.1e}" for k, v in worst.items()}, META["lamb_max_grad_norm_None"], META["weight_decay_groups"])
