"""Pictures of a head without a window: `Renderer(head).render(vertices)`.

`posetalk bench pictures` prints how many pictures per second this machine draws.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from head.errors import WrongValue
from viewer.render import gl
from viewer.scene.background import Background, straight

if TYPE_CHECKING:
    from head.model import Head


class Renderer:
    """Draws a head off-screen. Use it from the thread that made it, and close it.

    `samples` is the multisampling of edges (4 is smooth, 0 is fastest), `camera` one of
    `viewer.scene.framing.CAMERAS`. Raises
    `viewer.render.gl.GLError` where nothing can draw, ValueError for sizes that are no picture.
    """

    def __init__(
        self,
        head: Head,
        width: int = 512,
        height: int = 512,
        samples: int = 4,
        *,
        camera: str = "head",
        background: Background | None = None,
    ) -> None:
        if not (16 <= width <= 8192 and 16 <= height <= 8192):
            raise WrongValue(f"picture size {width}x{height}: each side must be 16 to 8192 pixels")
        gl.load(window=False)
        from viewer.render.stage import Offscreen  # needs gl.load first

        self.width, self.height = width, height
        self._vertices = len(head.template)
        self._background = background or Background()
        self._offscreen: Any = Offscreen(
            head, width, height, samples, camera, background=self._background
        )

    def render(
        self,
        vertices: NDArray[np.floating],
        *,
        yaw: float = 0.0,
        pitch: float = 0.0,
        zoom: float = 1.0,
    ) -> NDArray[np.uint8]:
        """Picture (height, width, 3) uint8 of vertices (V, 3) in metres; 4 channels where nothing
        stands behind it, the last one how much of a pixel is covered.

        Degrees of `yaw` and `pitch` move the camera round the face, to the subject's left and up.
        """
        vertices = np.asarray(vertices, np.float32)
        if vertices.shape != (self._vertices, 3):
            raise WrongValue(
                f"vertices of shape {vertices.shape} do not fit this head: ({self._vertices}, 3)"
            )
        picture: NDArray[np.uint8] = self._offscreen.draw(vertices, yaw, pitch, zoom)
        return straight(picture) if self._background.transparent else picture

    def close(self) -> None:
        """Free the context; a second call does nothing."""
        if self._offscreen is not None:
            self._offscreen.delete()
            self._offscreen = None

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def measure(
    head: Head,
    width: int,
    height: int,
    frames: int,
    samples: int = 4,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Seconds that each of `frames` pictures of a talking head takes, skinning included.

    With `time.process_time` as the clock: processor time, of all threads together.
    """
    from head.skinning import skin

    seconds = []
    with Renderer(head, width, height, samples) as renderer:
        for k in range(-5, frames):  # five to warm up
            begin = clock()
            jaw = np.array([0.15 + 0.15 * np.sin(k), 0, 0], np.float32)
            renderer.render(skin(head, np.zeros(50, np.float32), jaw_pose=jaw))
            if k >= 0:
                seconds.append(clock() - begin)
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Print pictures per second, and the processor time of one: a busy machine changes it less."""
    from head.rig import builtin_head

    parser = argparse.ArgumentParser(prog="posetalk bench pictures", description=main.__doc__)
    parser.add_argument("--size", type=int, nargs=2, default=(512, 512), metavar=("W", "H"))
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--samples", type=int, default=4, help="multisampling of edges")
    options = parser.parse_args(arguments)
    width, height = options.size
    setting = (builtin_head(), width, height, options.frames, options.samples)
    middle, slow = np.percentile(measure(*setting), [50, 90])
    work = np.median(measure(*setting, clock=time.process_time))
    print(
        f"{width}x{height}, {options.samples} samples, {gl.platform_name()}:"
        f" {1 / middle:.0f} pictures/s (median {middle * 1e3:.1f} ms, p90 {slow * 1e3:.1f} ms);"
        f" {work * 1e3:.1f} ms of processor time each"
    )
    return 0
