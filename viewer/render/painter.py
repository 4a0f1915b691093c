"""A pyrender renderer that draws one head fast, with the look of `lights`.

Import after `gl.load`. What differs from pyrender's own: lean shaders, colour is read back and
depth is not, multisampling is a choice, and vertices are updated in place.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pyrender
from numpy.typing import NDArray
from OpenGL import GL
from OpenGL.GL import shaders

from viewer.scene import lights
from viewer.scene.background import COVER_FRAGMENT, COVER_VERTEX, Background
from viewer.scene.drawing_order import RANGES, SLOPE_OFFSET

Floats = NDArray[np.float32]


class Painter(pyrender.Renderer):  # type: ignore[misc]
    """Draws the meshes of a scene before a background; `render` returns (h, w, 3) uint8 or None.

    Before a transparent one it returns (h, w, 4): colours times coverage, and coverage.

    A primitive has `ranges`, the lengths of `viewer.scene.drawing_order.RANGES`.
    """

    def __init__(
        self, width: int, height: int, samples: int = 4, *, background: Background | None = None
    ) -> None:
        super().__init__(1, 1)
        self._background = background or Background()
        self.dpscale = 1  # sizes here are pixels, on dense screens too
        self.viewport_width, self.viewport_height = width, height
        self._samples = samples
        self._programs: tuple[int, int] | None = None
        self._empty_array = self._texture = 0
        self._main_fb: int | None
        self._main_fb_dims: tuple[int, int]

    def update(self, primitive: Any, interleaved: Floats) -> None:
        """Overwrite the vertex buffer of a primitive that has been drawn once."""
        GL.glBindBuffer(GL.GL_ARRAY_BUFFER, primitive._buffers[0])
        GL.glBufferSubData(GL.GL_ARRAY_BUFFER, 0, interleaved.nbytes, interleaved)

    def delete(self) -> None:
        if self._programs is not None:
            for program in self._programs:
                GL.glDeleteProgram(program)
            GL.glDeleteVertexArrays(1, [self._empty_array])
            if self._texture:
                GL.glDeleteTextures([self._texture])
                self._texture = 0
            self._programs = None
        super().delete()

    def _forward_pass(
        self, scene: Any, flags: int, seg_node_map: object = None
    ) -> NDArray[np.uint8] | None:
        self._configure_forward_pass_viewport(flags)
        head, behind = self._programs or self._compile()
        GL.glEnable(GL.GL_MULTISAMPLE)
        GL.glDisable(GL.GL_BLEND)
        GL.glCullFace(GL.GL_BACK)
        GL.glPolygonMode(GL.GL_FRONT_AND_BACK, GL.GL_FILL)
        GL.glPolygonOffset(SLOPE_OFFSET, 0)
        if self._background.transparent:
            GL.glClearColor(0, 0, 0, 0)
        GL.glClear(GL.GL_COLOR_BUFFER_BIT | GL.GL_DEPTH_BUFFER_BIT)

        view, projection = self._get_camera_matrices(scene)
        GL.glUseProgram(head)
        for name, value in (("view", view), ("projection", projection)):
            where = GL.glGetUniformLocation(head, name)
            GL.glUniformMatrix4fv(where, 1, GL.GL_TRUE, value.astype(np.float32))
        for name, direction in lights.light_uniforms(view).items():
            GL.glUniform3fv(GL.glGetUniformLocation(head, name), 1, direction)
        for mesh in scene.meshes:
            for primitive in mesh.primitives:
                primitive._bind()
                first = 0
                for (body, back), count in zip(RANGES, primitive.ranges, strict=True):
                    _switch(GL.GL_CULL_FACE, body)
                    _switch(GL.GL_POLYGON_OFFSET_FILL, back)
                    _draw(primitive, first, count)
                    first += count
        # Last, at the far plane: pixels under the head are never shaded twice.
        if not self._background.transparent:
            self._draw_behind(behind)
        GL.glBindVertexArray(0)
        GL.glUseProgram(0)
        if flags & pyrender.RenderFlags.OFFSCREEN:
            return self._read_main_framebuffer(scene, flags)
        return None

    def _compile(self) -> tuple[int, int]:
        self._empty_array = GL.glGenVertexArrays(1)
        GL.glBindVertexArray(self._empty_array)  # PyOpenGL validates programs: needs an array
        head = _program(lights.VERTEX, lights.FRAGMENT)
        if self._background.under is None:
            behind = _program(lights.BACKDROP_VERTEX, lights.BACKDROP_FRAGMENT)
        else:
            behind = _program(COVER_VERTEX, COVER_FRAGMENT)
            self._texture = _texture(self._background.under)
        self._programs = (head, behind)
        return self._programs

    def _draw_behind(self, program: int) -> None:
        GL.glUseProgram(program)
        if self._texture:
            GL.glActiveTexture(GL.GL_TEXTURE0)
            GL.glBindTexture(GL.GL_TEXTURE_2D, self._texture)
            share = self._background.share(self.viewport_width, self.viewport_height)
            GL.glUniform2f(GL.glGetUniformLocation(program, "share"), *share)
        GL.glBindVertexArray(self._empty_array)
        GL.glDrawArrays(GL.GL_TRIANGLES, 0, 3)

    def _configure_main_framebuffer(self) -> None:
        size = (self.viewport_width, self.viewport_height)
        if self._main_fb is not None and self._main_fb_dims == size:
            return
        self._delete_main_framebuffer()
        self._main_fb, self._main_cb, self._main_db = _framebuffer(size, 0)
        self._main_fb_ms, self._main_cb_ms, self._main_db_ms = _framebuffer(size, self._samples)
        self._main_fb_dims = size

    def _read_main_framebuffer(self, scene: Any, flags: int) -> NDArray[np.uint8]:
        width, height = self._main_fb_dims
        GL.glBindFramebuffer(GL.GL_READ_FRAMEBUFFER, self._main_fb_ms)
        GL.glBindFramebuffer(GL.GL_DRAW_FRAMEBUFFER, self._main_fb)
        GL.glBlitFramebuffer(
            0, 0, width, height, 0, 0, width, height, GL.GL_COLOR_BUFFER_BIT, GL.GL_NEAREST
        )
        GL.glBindFramebuffer(GL.GL_READ_FRAMEBUFFER, self._main_fb)
        GL.glPixelStorei(GL.GL_PACK_ALIGNMENT, 1)
        form, depth = (GL.GL_RGBA, 4) if self._background.transparent else (GL.GL_RGB, 3)
        data = GL.glReadPixels(0, 0, width, height, form, GL.GL_UNSIGNED_BYTE)
        picture = np.frombuffer(data, np.uint8).reshape(height, width, depth)
        return np.ascontiguousarray(picture[::-1])  # OpenGL's first row is the lowest


def _switch(what: Any, on: bool) -> None:
    (GL.glEnable if on else GL.glDisable)(what)


def _draw(primitive: Any, first: int, count: int) -> None:
    """Draw `count` triangles of a bound primitive, from number `first` on."""
    offset = ctypes.c_void_p(first * 3 * 4)
    GL.glDrawElements(GL.GL_TRIANGLES, 3 * count, GL.GL_UNSIGNED_INT, offset)


def _program(vertex: str, fragment: str) -> int:
    return int(
        shaders.compileProgram(
            shaders.compileShader(vertex.strip(), GL.GL_VERTEX_SHADER),
            shaders.compileShader(fragment.strip(), GL.GL_FRAGMENT_SHADER),
        )
    )


def _texture(colours: NDArray[np.uint8]) -> int:
    """A texture of one colour (3,) or of a picture (h, w, 3)."""
    pixels = np.ascontiguousarray(colours.reshape(*colours.shape[:-1] or (1, 1), 3))
    texture = int(GL.glGenTextures(1))
    GL.glBindTexture(GL.GL_TEXTURE_2D, texture)
    GL.glPixelStorei(GL.GL_UNPACK_ALIGNMENT, 1)
    high, wide = pixels.shape[:2]
    GL.glTexImage2D(
        GL.GL_TEXTURE_2D, 0, GL.GL_RGB8, wide, high, 0, GL.GL_RGB, GL.GL_UNSIGNED_BYTE, pixels
    )
    for name, value in (
        (GL.GL_TEXTURE_MIN_FILTER, GL.GL_LINEAR),
        (GL.GL_TEXTURE_MAG_FILTER, GL.GL_LINEAR),
        (GL.GL_TEXTURE_WRAP_S, GL.GL_CLAMP_TO_EDGE),
        (GL.GL_TEXTURE_WRAP_T, GL.GL_CLAMP_TO_EDGE),
    ):
        GL.glTexParameteri(GL.GL_TEXTURE_2D, name, value)
    return texture


def _framebuffer(size: tuple[int, int], samples: int) -> tuple[int, int, int]:
    """A framebuffer with 8-bit colour and 24-bit depth: (framebuffer, colour, depth)."""
    colour, depth = GL.glGenRenderbuffers(2)
    frame = GL.glGenFramebuffers(1)
    GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, frame)
    for buffer, kind, place in (
        (colour, GL.GL_RGBA8, GL.GL_COLOR_ATTACHMENT0),
        (depth, GL.GL_DEPTH_COMPONENT24, GL.GL_DEPTH_ATTACHMENT),
    ):
        GL.glBindRenderbuffer(GL.GL_RENDERBUFFER, buffer)
        GL.glRenderbufferStorageMultisample(GL.GL_RENDERBUFFER, samples, kind, *size)
        GL.glFramebufferRenderbuffer(GL.GL_FRAMEBUFFER, place, GL.GL_RENDERBUFFER, buffer)
    return int(frame), int(colour), int(depth)
