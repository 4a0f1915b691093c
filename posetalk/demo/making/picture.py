"""Write the README's picture: three moments of the demo speech, drawn by the product.

python -m posetalk.demo.making.picture docs/live.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import posetalk

VIEWS = ((-24.0, 2.0), (0.0, 0.0), (26.0, -2.0))
"""Yaw and pitch of the camera, degrees."""
APART_FRAMES = 25
"""Moments shown are at least a second apart."""


def moments(motion: posetalk.Motion) -> list[int]:
    """The frames with the roundest lips, the widest mouth and the most open jaw, well apart."""
    from head.channels import CHANNELS

    def total(*names: str) -> NDArray[np.float32]:
        columns = [index for index, name in enumerate(CHANNELS) if name.startswith(names)]
        return np.asarray(motion.exp[:, columns].sum(axis=1), np.float32)

    chosen: list[int] = []
    jaw = motion.pose[:, 3]
    wide = total("mouthSmile", "mouthStretch", "mouthUpperUp")
    for measure in (total("mouthPucker", "mouthFunnel"), wide + 2 * jaw, jaw):
        order = (int(frame) for frame in np.argsort(-measure))
        far = (f for f in order if all(abs(f - other) > APART_FRAMES for other in chosen))
        chosen.append(next(far))
    return chosen


def main() -> None:
    """Animate, draw, write."""
    from PIL import Image

    from head.skinning import skin
    from viewer.render.renderer import Renderer

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--bundle", default="starter")
    parser.add_argument("--style")
    options = parser.parse_args()
    motion = posetalk.animate(posetalk.demo_speech(), bundle=options.bundle, style=options.style)
    head = posetalk.load_head(motion.head)
    pictures = []
    with Renderer(head, 400, 440) as renderer:
        for frame, (yaw, pitch) in zip(moments(motion), VIEWS, strict=True):
            vertices = skin(
                head,
                motion.exp[frame],
                global_rotation=motion.pose[frame, :3],
                jaw_pose=motion.pose[frame, 3:],
            )
            pictures.append(renderer.render(np.asarray(vertices), yaw=yaw, pitch=pitch))
    Image.fromarray(np.concatenate(pictures, axis=1)).save(options.output, optimize=True)


if __name__ == "__main__":
    main()
