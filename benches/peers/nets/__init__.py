"""The peer's networks, one family a file, out of PyTorch and SpikingJelly's own layers.

Modules carry the names of the authors' code, so that parameters of a golden case load as they are. Sequences are
`[T, B, C, H, W]` in multi-step mode; where SpikingJelly has a layer, it is used.
"""

from .published import NETS, Published

__all__ = ["NETS", "Published"]
