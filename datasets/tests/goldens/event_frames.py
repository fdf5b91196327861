"""Reference frames of event recordings, by NumPy and Pillow alone: `python event_frames.py SHARED > event_frames.txt`.

Independent of the project's readers: it decodes the files itself, cuts events with NumPy as SpikingJelly describes it,
and resizes with Pillow. Each line names a recording, a way to frames, and the SHA-256 of the frames, as little-endian
f32 (whole counts, or bytes over 255 as f32). Recordings beginning with `file:` are real and need SHARED (the folder
that SNN_SHARED_DATA names); `made:` ones come from the formula in `made`, which the Rust test has too.
"""

import hashlib
import io
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def made(count, side, step):
    """Events by a linear congruence (Knuth's MMIX), so that both languages have the same without a file."""
    state, t, rows = 1, 0, []
    for _ in range(count):
        words = []
        for _ in range(4):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            words.append(state >> 33)
        t += words[0] % step
        # Products crowd the events towards a corner, so that pixels count more than one.
        x, y = ((w % side) * (w // side % side) // side for w in words[1:3])
        rows.append((t, x, y, words[3] % 2))
    return np.array(rows, np.int64).T, (side, side)


def atis(raw):
    b = np.frombuffer(raw, np.uint8).reshape(-1, 5).astype(np.int64)
    t = (b[:, 2] & 0x7F) << 16 | b[:, 3] << 8 | b[:, 4]
    assert not (b[:, 1] == 240).any()
    return np.array([t, b[:, 0], b[:, 1], b[:, 2] >> 7])


def dat(raw):
    at = 0
    while raw[at : at + 1] == b"%":
        at = raw.index(b"\n", at) + 1
    w = np.frombuffer(raw[at + 2 :], "<u4").reshape(-1, 2).astype(np.int64)
    return np.array([w[:, 0], w[:, 1] & 0x3FFF, w[:, 1] >> 14 & 0x3FFF, w[:, 1] >> 28])


def segments(t, rule, steps):
    n = t.size
    if rule == "number":
        d = n // steps
        cuts = [(i * d, (i + 1) * d) for i in range(steps)]
    else:
        d = (t[-1] - t[0]) // steps
        cuts = []
        for i in range(steps):
            inside = np.flatnonzero((t >= t[0] + i * d) & (t < t[0] + (i + 1) * d))
            cuts.append((inside[0], inside[-1] + 1))
    cuts[-1] = (cuts[-1][0], n)
    return cuts


def histogram(events, cuts, size):
    frames = np.zeros((len(cuts), 2, *size), np.float32)
    for frame, (left, right) in zip(frames, cuts):
        _, x, y, p = events[:, left:right]
        np.add.at(frame, (p, y, x), 1)
    return frames


def windows(events, steps, window, size):
    step = (events[0] - events[0][0]) // window
    frames = np.zeros((steps, 2, *size), np.float32)
    keep = (step >= 0) & (step < steps)
    np.add.at(frames, (step[keep], events[3][keep], events[2][keep], events[1][keep]), 1)
    return frames


def durations(t, duration):
    cuts, left = [], 0
    while left < t.size:
        right = left
        while right < t.size and t[right] - t[left] <= duration:
            right += 1
        cuts.append((left, right))
        left = right
    return cuts


def faithful(frames, size):
    """torchvision's ToPILImage, Resize and ToTensor, without torch: cast, an LA image, bilinear, over 255."""
    out = []
    for frame in frames:
        bytes_ = (frame.astype(np.int64) * 255 % 256).astype(np.uint8)
        image = Image.fromarray(np.ascontiguousarray(bytes_.transpose(1, 2, 0)), "LA")
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        out.append(np.asarray(image).transpose(2, 0, 1))
    return np.stack(out).astype(np.float32) / np.float32(255)


def bilinear_sums(frames, size):
    """Floating-point sums, as two libraries may round a last bit apart: mean and mean square a frame's channel."""
    out = []
    for frame in frames.reshape(-1, *frames.shape[2:]):
        image = Image.fromarray(frame.astype(np.float32), "F")
        small = np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR), np.float64)
        out += [small.mean(), (small**2).mean()]
    return out


def main():
    recordings = [("made:20000,128,100", *made(20000, 128, 100)), ("made:3000,34,200", *made(3000, 34, 200))]
    if len(sys.argv) > 1:
        shared = Path(sys.argv[1])
        name = "events/sample_nmnist.bin"
        recordings.append((f"file:{name}", atis((shared / name).read_bytes()), (34, 34)))
        for name in ["events/sample_ncars.dat", "events/NCARS_obj_004397_td.dat"]:
            recordings.append((f"file:{name}", dat((shared / name).read_bytes()), (120, 120)))
        for part, member in [("Train", "Train/5/00001.bin"), ("Test", "Test/7/00001.bin")]:
            with zipfile.ZipFile(shared / f"nmnist-1100/{part}.zip") as archive:
                recordings.append((f"file:nmnist-1100/{part}.zip/{member}", atis(archive.read(member)), (34, 34)))

    def line(name, way, frames):
        digest = hashlib.sha256(np.ascontiguousarray(frames, "<f4").tobytes()).hexdigest()
        print(name, way, "x".join(map(str, frames.shape)), digest)

    for name, events, size in recordings:
        for steps in [4, 10, 16]:
            for rule in ["number", "time"]:
                line(name, f"{rule}:{steps}", histogram(events, segments(events[0], rule, steps), size))
        line(name, "window:8,20000", windows(events, 8, 20000, size))
        line(name, "duration:30000", histogram(events, durations(events[0], 30000), size))
        counts = histogram(events, segments(events[0], "number", 10), size)
        for side in [48, 24]:
            line(name, f"faithful:{side}", faithful(counts, (side, side)))
        sums = bilinear_sums(counts[:2], (24, 24))
        print(name, "bilinear:24", *(f"{value:.9g}" for value in sums))


main()
