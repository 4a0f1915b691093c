"""Heads: rigs in FLAME form, their file format, skinning, and the built-in character."""

from head.channels import ARKIT_52, CHANNELS, JAW_OPEN_RADIANS, MOUTH_CLOSE_RADIANS
from head.model import Head, HeadError, Material
from head.rig import BUILTIN_ID, builtin_head, load_head, save_head

__all__ = [
    "ARKIT_52",
    "BUILTIN_ID",
    "CHANNELS",
    "JAW_OPEN_RADIANS",
    "MOUTH_CLOSE_RADIANS",
    "Head",
    "HeadError",
    "Material",
    "builtin_head",
    "load_head",
    "save_head",
]
