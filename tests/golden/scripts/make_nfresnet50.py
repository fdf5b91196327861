"""Golden cases of the spiking NF-ResNet with Bottleneck blocks: nfresnet50_ottt, nfresnet50_sltt.

nfresnet50_ottt needs pkuxmq/OTTT-SNN at c15d5da, nfresnet50_sltt needs qymeng94/SLTT at 0758ecd; torch, spikingjelly 0.0.0.0.12.
Run: python make_nfresnet50.py --only nfresnet50_ottt --repo OTTT-DIR --out DIR
     python make_nfresnet50.py --only nfresnet50_sltt --repo SLTT-DIR --out DIR
"""
import os
import sys
import torch
import torch.nn.functional as F
from common import Case, args_repo_out, image, load_module, write_case

WIDTHS, LAYERS = (4, 6, 8, 10), (1, 2, 1, 1)


class Nf(Case):
    B, K, img, T, online = 2, 10, 32, 3, True
    op = ""
    layout = "[B,C,H,W], same image every step"

    def setup(self):
        self.calib = (0.10, 0.45)
        self.meta = {
            "method": self.method, "model": self.model_name,
            "constructor": dict({"widths": list(WIDTHS), "layers": list(LAYERS), "num_classes": self.K, "alpha": 0.2}, **self.extra),
            "T": self.T, "image": self.img, "neuron": self.neuron_text, "surrogate": self.surrogate_text, "loss": self.loss_text, "x_layout": self.layout,
            "deviations": ["fixed widths 64-128-256-512 patched in memory", "no augmentation, no AMP, dropout 0", "parameters randomised; x standard normal noise", "torch 2.15 CPU"] + self.more_dev,
            "notes": ["state_v/<neuron>: membrane after the last reset" + self.state_note, "spikes are the unscaled spikes; a constant factor 2.74 follows each neuron",
                      "grad_x accumulates over the T per-step backwards", "expansion 4: block output channels = 4 * width; layer1.0 has a down-sample conv (stride 1)",
                      "skipinit_gain (0-D) multiplies the block output after conv3, then alpha, then + identity; no BN, no buffers: no eval_logits_after"]}

    def draw(self, n, p, g):
        if n.endswith(".gain"):
            sign = torch.where(torch.rand(p.shape, generator=g) < 0.25, -1.0, 1.0)
            return sign * (0.7 + 0.9 * torch.rand(p.shape, generator=g))
        if n.endswith("skipinit_gain"):
            v = 0.7 + 0.8 * torch.rand(p.shape, generator=g)
            return v if n.startswith("layer2.1") else v * (1.0 if torch.rand((), generator=g) < 0.5 else -1.0)
        return super().draw(n, p, g)

    def inputs(self, g):
        return image(g, self.B, 3, self.img), torch.randint(0, self.K, (self.B,), generator=g)

    def channel_dim(self, site):
        return 2

    def feeds(self, site):
        blk, n = site[:8], site[9:]
        if n in ("sn2", "sn3"):
            return f"{blk}.conv{int(n[2]) - 1}{self.op}.bias"
        return {"layer1.0": "conv1.bias", "layer2.0": f"layer1.0.downsample{self.op}.bias", "layer2.1": f"layer2.0.downsample{self.op}.bias",
                "layer3.0": f"layer2.1.conv3{self.op}.bias", "layer4.0": f"layer3.0.downsample{self.op}.bias"}[blk]

    def one_step(self, m, x, t):
        raise NotImplementedError

    def forward(self, m, x):
        return {"logits": torch.stack([self.one_step(m, x, t) for t in range(self.T)])}

    def step(self, m, x, y):
        x = x.detach().clone().requires_grad_(True)
        outs, ls = [], []
        for t in range(self.T):
            o = self.one_step(m, x, t)
            l = F.cross_entropy(o, y) / self.T
            l.backward()
            outs.append(o.detach())
            ls.append(l.detach())
        self.state = self.states(m)
        self.reset(m)
        return {"logits": torch.stack(outs)}, sum(ls), torch.stack(ls), x.grad

    def extra_state(self, m):
        return self.state

    def states(self, m):
        return {"state_v/" + n: q.v.detach().clone() for n, q in m.named_modules() if isinstance(q, self.base)}


class Ottt(Nf):
    name, op, method, model_name = "nfresnet50_ottt", ".op", "OTTT", "OnlineSpikingNFResNet(Bottleneck)"
    extra = {"weight_standardization": True, "tau": 2.0, "grad_with_rate": True}
    neuron_text = "OnlineLIFNode: v = 0.5*sg(v) + I (tau 2, no input decay), Vth 1, s = [v >= 1], soft reset v -= s (spike detached), trace a = 0.5*a + s"
    surrogate_text, loss_text = "sigmoid alpha=4", "per step: CE(o_t,y)/T; loss = sum_t"
    state_note = "; state_trace/<neuron>: presynaptic trace after step T"
    more_dev = ["eval forward: the official Bottleneck asks sn2 and sn3 for the (spike, trace) pair in eval mode too, which doubles the batch twice and makes the residual sum fail for B > 1; "
                "in eval that request is dropped in memory, as BasicBlock does. Training forward untouched"]

    def make(self):
        m = nf.OnlineSpikingNFResNet(nf.Bottleneck, list(LAYERS), num_classes=self.K, single_step_neuron=neuron.OnlineLIFNode, alpha=0.2,
                                     weight_standardization=True, tau=2.0, surrogate_function=surrogate.Sigmoid(alpha=4.0), grad_with_rate=True, track_rate=True)
        for q in m.modules():
            if isinstance(q, self.base):
                self.plain_in_eval(q)
        return m

    @staticmethod
    def plain_in_eval(q):
        fwd = q.forward

        def f(x, **kw):
            if not q.training:
                kw.pop("output_type", None)
            return fwd(x, **kw)
        q.forward = f

    def one_step(self, m, x, t):
        return m(x, init=True) if t == 0 else m(x)

    def reset(self, m):
        pass

    def states(self, m):
        s = super().states(m)
        s.update({"state_trace/" + n: q.rate_tracking.detach().clone() for n, q in m.named_modules() if isinstance(q, self.base)})
        return s


class Sltt(Nf):
    name, method, model_name = "nfresnet50_sltt", "SLTT", "SpikingNFResNet(Bottleneck)"
    extra = {"tau": 1.1}
    neuron_text = "SLTTNeuron: u = (1-1/1.1)*sg(v) + I (first step u = I), Vth 1, soft reset, detach_reset False (no effect: the path out of the reset is detached at the next charge)"
    surrogate_text = "PiecewiseQuadratic alpha=1: max(0,1-|x|) (= -alpha^2|x|+alpha for |x|<=1/alpha)"
    loss_text = "per step, backward at once: L_t = CE(o_t,y)/T; loss = sum_t L_t"
    state_note, more_dev = "", ["spikingjelly 0.0.0.0.12"]

    def make(self):
        return nf.SpikingNFResNet(nf.Bottleneck, list(LAYERS), num_classes=self.K, neuron=neuron.SLTTNeuron, alpha=0.2, tau=1.1,
                                  surrogate_function=surrogate.PiecewiseQuadratic(), c_in=3)

    def one_step(self, m, x, t):
        return m(x)


if __name__ == "__main__":
    a = args_repo_out(__doc__)
    sys.path.insert(0, a.repo)
    path = os.path.join(a.repo, "models", "spiking_resnet_imagenet.py")
    maps = dict(zip((64, 128, 256, 512), WIDTHS))
    from modules import neuron
    if a.only == "nfresnet50_ottt":
        from modules import neuron_spikingjelly, surrogate
        nf = load_module(path, "nf", "OnlineSpikingNFResNet", maps)
        Nf.base = neuron_spikingjelly.BaseNode
        write_case(Ottt(), a.out, a.repo, "pkuxmq/OTTT-SNN")
    elif a.only == "nfresnet50_sltt":
        from spikingjelly.clock_driven import neuron as sj, surrogate
        nf = load_module(path, "nf", "SpikingNFResNet", maps)
        Nf.base = sj.BaseNode
        write_case(Sltt(), a.out, a.repo, "qymeng94/SLTT")
    else:
        raise SystemExit("--only nfresnet50_ottt or --only nfresnet50_sltt")
