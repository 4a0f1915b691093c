"""A window on the face: pyrender's viewer with our painter, on the main thread.

Import after `gl.load(window=True)`. Drag to look round, scroll to come closer, Z to come back,
F for the full screen, Q or Escape to close.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyglet
import pyrender
from numpy.typing import NDArray

from viewer.render import gl
from viewer.render.painter import Painter
from viewer.render.stage import Stage
from viewer.scene.framing import frame_head

if TYPE_CHECKING:
    from head.model import Head
    from viewer.scene.background import Background

logger = logging.getLogger(__name__)

TICK_SECONDS = 1 / 60
TITLE = "posetalk · synthetic face"


class HeadWindow(pyrender.Viewer):  # type: ignore[misc]
    """Draws whenever `advance()` gives new vertices (V, 3), else nothing; see `run`.

    `before_close` is called once, with the window hidden and OpenGL still there. `camera` is one of
    `viewer.scene.framing.CAMERAS`; a window is never transparent.
    """

    def __init__(
        self,
        head: Head,
        advance: Callable[[], NDArray[np.float32] | None],
        size: tuple[int, int] = (512, 512),
        title: str = TITLE,
        before_close: Callable[[], None] = lambda: None,
        *,
        camera: str = "head",
        background: Background | None = None,
    ) -> None:
        self._stage = Stage(head, frame_head(head, camera).within(*size))
        self._background = background
        self._advance, self._before_close = advance, before_close
        self._vertices: NDArray[np.float32] | None = np.asarray(head.template, np.float32)
        self._stale = True
        self._failure: BaseException | None = None
        self.pictures = 0
        target = np.array(self._stage.framing.target)
        super().__init__(
            self._stage.scene, size, viewer_flags={"view_center": target, "window_title": title}
        )

    def run(self) -> None:
        """Show until the window is closed; raises what `advance` raises, KeyboardInterrupt too."""
        pyglet.clock.schedule_interval(self._tick, TICK_SECONDS)
        try:
            pyglet.app.run(interval=None)
        finally:
            pyglet.clock.unschedule(self._tick)
            self.leave()
        if self._failure is not None:
            raise self._failure

    def leave(self) -> None:
        """Close the window and end `run`; a second call does nothing."""
        if self.is_active:
            self.on_close()

    def _init_and_start_app(self) -> None:
        # Called at the end of pyrender's __init__; opens the window and leaves the loop to `run`.
        modes = [(samples, major) for samples in (4, 0) for major in (4, 3)]
        for samples, major in modes:
            config = pyglet.gl.Config(
                sample_buffers=int(samples > 0),
                samples=samples,
                depth_size=24,
                double_buffer=True,
                major_version=major,
                minor_version=1 if major == 4 else 3,
            )
            try:
                pyglet.window.Window.__init__(
                    self, *self.viewport_size, config=config, resizable=True, vsync=False
                )
                break
            except pyglet.window.NoSuchConfigException:
                logger.debug("no window with OpenGL %d and %d samples", major, samples)
            except Exception as error:
                raise gl.GLError(f"cannot open a window ({gl.line_of(error)})") from error
        else:
            raise gl.GLError("cannot open a window: no OpenGL 3.3 here; use --view offscreen")
        self.switch_to()
        self.set_caption(self.viewer_flags["window_title"])
        self.set_minimum_size(160, 160)
        self._renderer = Painter(*self.get_framebuffer_size(), background=self._background)

    def _tick(self, _seconds: float) -> None:
        if not self.is_active:
            return
        try:
            vertices = self._advance()
        except BaseException as error:  # raised by run(), outside of pyglet's loop
            self._failure = error
            self.leave()
            return
        if not self.is_active:  # closed from within
            return
        if vertices is not None:
            self._vertices = vertices
        if vertices is not None or self._stale:
            self.switch_to()
            self.on_draw()
            self.flip()

    def on_close(self) -> None:
        if self.is_active:
            self._is_active = False
            self.set_visible(False)
            try:
                self._before_close()
            finally:
                self.switch_to()
                super().on_close()

    def on_draw(self) -> None:
        if self._renderer is None:
            return
        self._stale = False
        if self._vertices is not None:
            self._stage.show(self._renderer, self._vertices)
            self._vertices = None
        self._camera_node.matrix = self._trackball.pose.copy()
        self._renderer.render(self.scene, pyrender.RenderFlags.NONE)
        self.pictures += 1

    def on_resize(self, width: int, height: int) -> None:
        if self._renderer is None:
            return
        self._viewport_size = (width, height)
        self._trackball.resize(self._viewport_size)
        pixels = self.get_framebuffer_size()
        self._renderer.viewport_width, self._renderer.viewport_height = pixels
        self._stale = True

    def on_expose(self) -> None:
        self._stale = True

    def on_mouse_drag(self, *event: Any) -> None:
        super().on_mouse_drag(*event)
        self._stale = True

    def on_mouse_scroll(self, *event: Any) -> None:
        super().on_mouse_scroll(*event)
        self._stale = True

    def on_key_press(self, symbol: int, modifiers: int) -> None:
        key = pyglet.window.key
        if symbol in (key.Q, key.ESCAPE):
            self.leave()
        elif symbol == key.F:
            self.set_fullscreen(not self.fullscreen)
        elif symbol == key.Z:
            self._reset_view()
        self._stale = True
