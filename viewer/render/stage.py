"""A head on a pyrender stage: mesh, camera, and new vertices in place. Import after `gl.load`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyrender
from numpy.typing import NDArray
from OpenGL.error import Error as OpenGLError

from viewer.render import gl
from viewer.render.painter import Painter
from viewer.scene.drawing_order import drawing_order
from viewer.scene.framing import FIELD_OF_VIEW_DEGREES, Framing, frame_head
from viewer.scene.shading import SmoothNormals, split_by_material
from viewer.scene.surface import paint, surface

if TYPE_CHECKING:
    from head.model import Head
    from viewer.scene.background import Background

Floats = NDArray[np.float32]


class Stage:
    """The scene that both the off-screen renderer and the window draw."""

    def __init__(self, head: Head, framing: Framing | None = None) -> None:
        self._normals = SmoothNormals(head.faces, len(head.template))
        self._mesh = split_by_material(head.faces, head.face_material)
        self._buffer = np.zeros((len(self._mesh.source), 14), np.float32)
        self._buffer[:, 6:10] = surface(head, self._mesh, self._normals)
        self._buffer[:, 10:14] = paint(head, self._mesh)
        self._place(np.asarray(head.template, np.float32))
        order, ranges = drawing_order(head)
        self.primitive = pyrender.Primitive(
            positions=self._buffer[:, 0:3],
            normals=self._buffer[:, 3:6],
            texcoord_0=self._buffer[:, 6:8],
            texcoord_1=self._buffer[:, 8:10],
            color_0=self._buffer[:, 10:14],
            indices=self._mesh.triangles[order],
            mode=pyrender.GLTF.TRIANGLES,
        )
        self.primitive.ranges = ranges.tolist()
        self.framing = framing or frame_head(head)
        camera = pyrender.PerspectiveCamera(
            yfov=np.radians(FIELD_OF_VIEW_DEGREES), znear=self.framing.near, zfar=self.framing.far
        )
        self.scene = pyrender.Scene()
        self.scene.add(pyrender.Mesh([self.primitive]))
        self.camera = self.scene.add(camera, pose=self.framing.pose())

    def show(self, painter: Painter, vertices: Floats) -> None:
        """Put vertices (V, 3) on the stage; the painter's context must be current."""
        self._place(vertices)
        if self.primitive._in_context():
            painter.update(self.primitive, self._buffer)
        else:  # drawn for the first time: pyrender uploads these arrays itself
            self.primitive.positions = self._buffer[:, 0:3]
            self.primitive.normals = self._buffer[:, 3:6]

    def _place(self, vertices: Floats) -> None:
        self._buffer[:, 0:3] = vertices[self._mesh.source]
        self._buffer[:, 3:6] = self._normals(vertices)[self._mesh.source]


class Offscreen(pyrender.OffscreenRenderer):  # type: ignore[misc]
    """A stage in a context of its own."""

    _platform: Any
    _renderer: Any

    def __init__(
        self,
        head: Head,
        width: int,
        height: int,
        samples: int,
        camera: str = "head",
        *,
        background: Background | None = None,
    ) -> None:
        self._samples, self._background = samples, background
        self._stage = Stage(head, frame_head(head, camera).within(width, height))
        try:
            super().__init__(width, height)
        except Exception as error:  # assertions, library errors: all mean "no context"
            raise gl.GLError(
                f"no OpenGL context with {gl.platform_name()} ({gl.line_of(error)});"
                f" {gl.DRIVER_HINT}"
            ) from error

    def _create(self) -> None:
        super()._create()
        self._renderer = Painter(
            self.viewport_width, self.viewport_height, self._samples, background=self._background
        )

    def delete(self) -> None:
        """Free this context only: pyrender would end EGL for every other context as well."""
        if self._platform is None:
            return
        with contextlib.suppress(OpenGLError):  # a context that is gone has freed everything
            self._platform.make_current()
            self._renderer.delete()
            context = getattr(self._platform, "_egl_context", None)
            if context is not None:
                from OpenGL import EGL

                EGL.eglDestroyContext(self._platform._egl_display, context)
            else:
                self._platform.delete_context()
        self._platform = self._renderer = None

    def draw(self, vertices: Floats, yaw: float, pitch: float, zoom: float) -> NDArray[np.uint8]:
        """Picture (h, w, 3) uint8, or (h, w, 4) before a transparent background."""
        self._platform.make_current()
        self._stage.scene.set_pose(self._stage.camera, self._stage.framing.pose(yaw, pitch, zoom))
        self._stage.show(self._renderer, vertices)
        drawn = self.render(self._stage.scene)
        # Without framebuffers (OSMesa) pyrender reads colour and depth itself.
        picture: NDArray[np.uint8] = drawn[0] if isinstance(drawn, tuple) else drawn
        return picture
