"""Pillow's loader beside ours: photographs of 500x375 to [3, 224, 224] by random-resized crop and mirror.

    python3 loader.py make DIR     128 training and 16 validation JPEGs, quality 93, 4:2:0, about 76 KB each
    python3 loader.py time DIR     images a second of processor time, of Pillow + NumPy on one process, and of torchvision where it is there

then `cargo bench -p datasets --bench loader -- DIR` on the same core. Needs Pillow and NumPy.
"""

import io
import math
import pathlib
import random
import sys
import time

import numpy as np
from PIL import Image

WIDTH, HEIGHT, SIDE = 500, 375, 224
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def photograph(seed: int) -> Image.Image:
    """Octaves of smooth noise in three channels, and sensor noise: a spectrum like a photograph's."""
    draw = np.random.default_rng(seed)
    image = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for octave in range(1, 8):
        size = 2**octave
        small = draw.normal(0, 1, (size * 3 // 4 + 1, size + 1, 3)).astype(np.float32)
        for channel in range(3):
            layer = Image.fromarray(small[:, :, channel]).resize((WIDTH, HEIGHT), Image.BICUBIC)
            image[:, :, channel] += np.asarray(layer) * 60 / 1.7**octave
    image += image.mean(axis=2, keepdims=True) + draw.normal(0, 8.5, image.shape) + 128
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


def make(folder: pathlib.Path) -> None:
    sizes = []
    for split, count in [("train", 128), ("val", 16)]:
        for index in range(count):
            path = folder / split / f"n{index % 4:08}" / f"{index}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            photograph(index + 1000 * (split == "val")).save(path, quality=93, subsampling="4:2:0")
            sizes.append(path.stat().st_size)
    print(f"{len(sizes)} pictures, {sum(sizes) / len(sizes) / 1000:.0f} KB in the mean")


def window(width: int, height: int) -> tuple[int, int, int, int]:
    """torchvision's RandomResizedCrop.get_params."""
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1.0)
        aspect = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return random.randint(0, width - w), random.randint(0, height - h), w, h
    return 0, 0, width, height


def pillow(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    left, top, w, h = window(*image.size)
    image = image.crop((left, top, left + w, top + h)).resize((SIDE, SIDE), Image.BILINEAR)
    if random.random() < 0.5:
        image = image.transpose(Image.FLIP_LEFT_RIGHT)
    pixels = (np.asarray(image, np.float32) / 255 - MEAN) / STD
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def torchvision():
    from torchvision import transforms

    pipeline = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIDE),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN.tolist(), STD.tolist()),
        ]
    )
    return lambda data: pipeline(Image.open(io.BytesIO(data)).convert("RGB"))


def measure(name: str, load, files: list[pathlib.Path]) -> None:
    best = 0.0
    for _ in range(8):
        began = time.process_time()
        for file in files:
            load(file.read_bytes())
        best = max(best, len(files) / (time.process_time() - began))
    print(f"{name}: {best:.0f} images/s of processor time on one process (best of 8)")


def main() -> None:
    verb, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    if verb == "make":
        make(folder)
        return
    files = sorted((folder / "train").rglob("*.JPEG"))
    import PIL

    measure(f"Pillow {PIL.__version__} + NumPy {np.__version__}", pillow, files)
    try:
        measure("torchvision", torchvision(), files)
    except ImportError:
        print("torchvision is not there")


if __name__ == "__main__":
    main()
