"""Writes mix.txt: batches of four mixed by timm 0.6.12, with what it drew, and the loss of its targets.

    PYTHONPATH=<folder with timm 0.6.12> python mix.py > mix.txt

mixup.py alone is run: it needs NumPy and PyTorch, and no GPU.
"""

import importlib.util
import os
import sys

import numpy
import torch

SHAPE, CLASSES, SMOOTHING = (4, 1, 5, 7), 6, 0.1


def mixup_module():
    for folder in sys.path:
        path = os.path.join(folder, "timm", "data", "mixup.py")
        if os.path.isfile(path):
            spec = importlib.util.spec_from_file_location("mixup", path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    sys.exit("timm is not on the path")


def words(name, numbers, digits=17):
    print(name, *(f"{float(number):.{digits}g}" for number in numbers))


def main():
    mixup = mixup_module()
    pixels = torch.arange(4 * 35).mul(37).remainder(101).float().div(101).reshape(SHAPE)
    labels = torch.tensor([4, 0, 2, 5])
    scores = torch.arange(4 * CLASSES).square().mul(29).remainder(53).float().div(20).sub(1.2).reshape(4, CLASSES)
    for seed in range(8):
        drawn = []
        cutmix = seed % 2 == 1
        numpy.random.seed(seed)
        beta, randint = numpy.random.beta, numpy.random.randint
        numpy.random.beta = lambda *at: drawn.append(beta(*at)) or drawn[-1]
        numpy.random.randint = lambda *at, **more: drawn.append(randint(*at, **more)) or drawn[-1]
        alpha = {"mixup_alpha": 0.0, "cutmix_alpha": 1.0} if cutmix else {"mixup_alpha": 0.5, "cutmix_alpha": 0.0}
        mix = mixup.Mixup(**alpha, prob=1.0, label_smoothing=SMOOTHING, num_classes=CLASSES)
        mixed = pixels.clone()
        share = mix._mix_batch(mixed)
        numpy.random.beta, numpy.random.randint = beta, randint
        targets = mixup.mixup_target(labels, CLASSES, share, SMOOTHING, device="cpu")
        at = scores.clone().double().requires_grad_()
        # The loss that timm trains such targets with, SoftTargetCrossEntropy.
        loss = torch.sum(-targets.double() * torch.log_softmax(at, dim=-1), dim=-1).mean()
        loss.backward()
        words("drawn", drawn)
        words("share", [share])
        words("pixels", mixed.flatten(), digits=9)
        words("loss", [loss.detach()])
        words("gradient", at.grad.flatten())
        print()


main()
