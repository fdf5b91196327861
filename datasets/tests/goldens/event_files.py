"""Small event files by other writers than the project's: `python event_files.py FOLDER`.

The events are `made(500, 128, 100)` of `event_frames.py`. AEDAT 2.0 and 3.1 are packed here after their documentation;
`.npz` is NumPy's and `.h5` is h5py's, laid out as SpikingJelly's cache and as the Spiking Heidelberg Digits.
"""

import struct
import sys
from pathlib import Path

import h5py
import numpy as np


def made(count, side, step):
    state, t, rows = 1, 0, []
    for _ in range(count):
        words = []
        for _ in range(4):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            words.append(state >> 33)
        t += words[0] % step
        x, y = ((w % side) * (w // side % side) // side for w in words[1:3])
        rows.append((t, x, y, words[3] % 2))
    return rows


def main():
    folder, events = Path(sys.argv[1]), made(500, 128, 100)

    out = b"#!AER-DAT2.0\r\n# This is a raw AE data file created by another writer\r\n"
    for t, x, y, p in events:  # SpikingJelly's orientation, undone
        out += struct.pack(">II", (127 - x) << 8 | (127 - y) << 1 | (1 - p), t)
    (folder / "sj.aedat2").write_bytes(out)

    out = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
    for start in range(0, 500, 100):
        part = events[start : start + 100]
        out += struct.pack("<HHiiiiii", 1, 1, 8, 4, 0, len(part), len(part), len(part))
        for t, x, y, p in part:
            out += struct.pack("<II", x << 17 | y << 2 | p << 1 | 1, t)
    (folder / "gesture.aedat").write_bytes(out)

    t, x, y, p = np.array(events, np.int64).T
    np.savez_compressed(folder / "cache.npz", t=t, x=x, y=y, p=p)
    np.save(folder / "frames.npy", np.arange(2 * 2 * 3 * 4, dtype=np.float64).reshape(2, 2, 3, 4))

    with h5py.File(folder / "shd.h5", "w") as file:
        spikes = file.create_group("spikes")
        times = spikes.create_dataset("times", (3,), h5py.vlen_dtype(np.float16))
        units = spikes.create_dataset("units", (3,), h5py.vlen_dtype(np.uint16))
        for sample, spikes in enumerate([[0.25, 0.5, 0.75], [], [0.125]]):
            times[sample] = np.array(spikes, np.float16)
            units[sample] = np.array([699, 5, 0][: len(spikes)], np.uint16)
        file["labels"] = np.array([3, 19, 0], np.uint16)


main()
