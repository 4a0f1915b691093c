"""All hostile files: small ones, each made to hang a reader or to take its memory."""

from __future__ import annotations

from benchmarks.hostile import arrays, bundles, checkpoints, heads
from benchmarks.hostile.table import HOSTILE

__all__ = ["HOSTILE"]

assert all((arrays, bundles, checkpoints, heads)), "they enter their files"
