"""Resident memory of this process as Linux sees it, the meter that `harness measure` reads as well."""

from __future__ import annotations

from pathlib import Path

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


def reset_high_water() -> bool:
    """Puts the high-water mark back to what is resident now; whether the system allows it."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return False
    return True


def high_water_bytes() -> int:
    """The most that was resident since the last reset."""
    for line in STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{STATUS} has no line VmHWM: resident memory can be read on Linux only")
