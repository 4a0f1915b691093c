"""Sheets of the heads that come along: `posetalk bench head-sheet -o docs/head_sheet.png`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from head.model import Head
from head.new_file import new_file
from head.poses import POSES, YAW_DEGREES
from head.rig import CHARACTERS, load_head
from viewer.render.renderer import Renderer

COLUMNS = 4


def sheet(head: Head, size: int = 400, zoom: float = 1.22, scale: int = 2) -> NDArray[np.uint8]:
    """Picture (h, w, 3) uint8 of all named poses, `size` pixels square each, in rows of four."""
    rows = -(-len(POSES) // COLUMNS)
    out = np.zeros((rows * size, COLUMNS * size, 3), dtype=np.uint8)
    with Renderer(head, size * scale, size * scale) as renderer:
        for k, (name, pose) in enumerate(POSES.items()):
            yaw = YAW_DEGREES.get(name, 0.0)
            back = np.float32(0.045 * np.sin(np.radians(yaw)) ** 2)  # the skull into the middle
            vertices = pose.vertices(head) + np.array([0, 0, back], dtype=np.float32)
            picture = renderer.render(vertices, yaw=yaw, zoom=zoom)
            small = picture.reshape(size, scale, size, scale, 3).mean(axis=(1, 3)).round()
            y, x = divmod(k, COLUMNS)
            out[y * size : (y + 1) * size, x * size : (x + 1) * size] = small
    return out


def people(heads: Sequence[Head], size: int = 300, scale: int = 2) -> NDArray[np.uint8]:
    """Picture (h, w, 3) uint8 a row for each head: at rest, speaking, smiling, from one side."""
    shots = (("neutral", 0.0), ("surprise", 25.0), ("smile", -30.0), ("neutral", -80.0))
    out = np.zeros((len(heads) * size, len(shots) * size, 3), dtype=np.uint8)
    for y, head in enumerate(heads):
        with Renderer(head, size * scale, size * scale) as renderer:
            for x, (name, yaw) in enumerate(shots):
                back = np.float32(0.045 * np.sin(np.radians(yaw)) ** 2)
                vertices = POSES[name].vertices(head) + np.array([0, 0, back], dtype=np.float32)
                picture = renderer.render(vertices, yaw=yaw)
                small = picture.reshape(size, scale, size, scale, 3).mean(axis=(1, 3)).round()
                out[y * size : (y + 1) * size, x * size : (x + 1) * size] = small
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the sheet into a PNG."""
    from PIL import Image

    parser = argparse.ArgumentParser(prog="posetalk bench head-sheet", description=main.__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/head_sheet.png"))
    parser.add_argument("--head", default="builtin", help="id or npz file")
    parser.add_argument("--size", type=int, default=320, help="pixels of each picture")
    parser.add_argument("--people", action="store_true", help="all that come along, a row each")
    options = parser.parse_args(arguments)
    if options.people:
        drawn = people([load_head(name) for name in CHARACTERS], options.size)
    else:
        drawn = sheet(load_head(options.head), options.size)
    with new_file(options.output) as part:
        Image.fromarray(drawn).save(part, optimize=True)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.2f} MB")
    return 0
