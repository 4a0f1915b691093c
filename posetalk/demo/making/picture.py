"""Write pictures for the docs, drawn by the product.

python -m posetalk.demo.making.picture docs/live.png: three moments of the demo speech.
python -m posetalk.demo.making.picture docs/streaming.jpg --over-a-game: one, with nothing behind.
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


def scenery(width: int, height: int) -> NDArray[np.uint8]:
    """A night in the mountains, (height, width, 3), for want of a game that is ours."""
    random = np.random.default_rng(7)
    down = np.linspace(0, 1, height)[:, None, None]
    picture = (1 - down) * np.array([28, 36, 92]) + down * np.array([150, 84, 120])
    picture = np.broadcast_to(picture, (height, width, 3)).copy()
    y, x = np.mgrid[:height, :width]
    picture[np.hypot(x - 0.7 * width, y - 0.2 * height) < 0.09 * height] = (255, 224, 170)
    for k in range(5):
        places = np.linspace(0, width, 25)
        heights = height * (0.42 + 0.1 * k + random.uniform(0, 0.13, len(places)))
        ridge = np.interp(np.arange(width), places, heights)
        picture[y > ridge] = np.array([66, 76, 96]) * (1 - 0.19 * k)
    return picture.astype(np.uint8)


def main() -> None:
    """Animate, draw, write."""
    from PIL import Image

    from head.skinning import skin
    from viewer.render.renderer import Renderer
    from viewer.scene.background import Background

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--bundle", default="starter")
    parser.add_argument("--style")
    parser.add_argument("--over-a-game", action="store_true", help="as a browser source shows it")
    options = parser.parse_args()
    motion = posetalk.animate(posetalk.demo_speech(), bundle=options.bundle, style=options.style)
    head = posetalk.load_head(motion.head)

    def posed(frame: int) -> NDArray[np.float32]:
        turn, jaw = motion.pose[frame, :3], motion.pose[frame, 3:]
        vertices = skin(head, motion.exp[frame], global_rotation=turn, jaw_pose=jaw)
        return np.asarray(vertices, np.float32)

    if options.over_a_game:
        behind = Image.fromarray(scenery(960, 540))
        with Renderer(head, 800, 864, camera="bust", background=Background("transparent")) as drawn:
            face = Image.fromarray(drawn.render(posed(moments(motion)[1])))
        face = face.resize((400, 432), Image.Resampling.LANCZOS)
        behind.paste(face, (960 - 380, 540 - 424), face)
        behind.save(options.output, quality=90)
        return
    pictures = []
    with Renderer(head, 400, 440) as renderer:
        for frame, (yaw, pitch) in zip(moments(motion), VIEWS, strict=True):
            pictures.append(renderer.render(posed(frame), yaw=yaw, pitch=pitch))
    Image.fromarray(np.concatenate(pictures, axis=1)).save(options.output, optimize=True)


if __name__ == "__main__":
    main()
