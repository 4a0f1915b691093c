"""Drawing a head: splitting, normals, occlusion, framing, and real off-screen pictures."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from head.model import Head
from head.rig import builtin_head
from head.skinning import skin
from viewer.render import gl
from viewer.render.renderer import Renderer, measure
from viewer.scene.framing import FIELD_OF_VIEW_DEGREES, frame_head
from viewer.scene.shading import (
    SmoothNormals,
    ambient_occlusion,
    soft_shadow,
    solid,
    split_by_material,
)

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def head() -> Head:
    return builtin_head()


def ball(count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """A unit sphere: vertices (V, 3), faces (F, 3) counter-clockwise from outside."""
    u, v = np.meshgrid(
        np.linspace(0, np.pi, count),
        np.linspace(0, 2 * np.pi, 2 * count, endpoint=False),
        indexing="ij",
    )
    points = np.stack([np.sin(u) * np.sin(v), np.cos(u), np.sin(u) * np.cos(v)], axis=-1)
    index = np.arange(points[..., 0].size).reshape(u.shape)
    a, b = index[:-1], index[1:]
    c, d = np.roll(b, -1, axis=1), np.roll(a, -1, axis=1)
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).reshape(-1, 3)
    return points.reshape(-1, 3).astype(np.float32), faces.astype(np.int32)


# --- geometry ----------------------------------------------------------------------------------
@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_splitting_keeps_every_triangle_and_gives_it_one_material(
    count: int, materials: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    faces = random.integers(0, 12, (count, 3))
    material = random.integers(0, materials, count).astype(np.uint8)
    mesh = split_by_material(faces, material)
    np.testing.assert_array_equal(mesh.source[mesh.triangles], faces)
    np.testing.assert_array_equal(
        mesh.material[mesh.triangles], np.repeat(material[:, None], 3, axis=1)
    )
    assert len(set(zip(mesh.source, mesh.material, strict=True))) == len(mesh.source)


def test_normals_of_a_ball_point_outwards() -> None:
    vertices, faces = ball()
    normals = SmoothNormals(faces, len(vertices))(vertices)
    middle = np.abs(vertices[:, 1]) < 0.97  # the poles are degenerate rings
    assert np.einsum("vk,vk->v", normals, vertices)[middle].min() > 0.995


def test_a_vertex_in_no_triangle_gets_no_normal() -> None:
    vertices = np.eye(4, 3, dtype=np.float32)
    normals = SmoothNormals(np.array([[0, 1, 2]]), 4)(vertices)
    assert not normals[3].any()
    np.testing.assert_allclose(normals[0], np.full(3, 3**-0.5), atol=1e-6)


def test_occlusion_darkens_what_lies_between() -> None:
    """Two balls nearly touch: dark where they face each other, bright elsewhere."""
    vertices, faces = ball()
    aside = np.array([1.05, 0, 0], np.float32)
    pair = np.concatenate([vertices - aside, vertices + aside])
    both = np.concatenate([faces, faces + len(vertices)])
    normals = SmoothNormals(both, len(pair))(pair)
    light = ambient_occlusion(pair, normals, both)
    gap = np.abs(pair[:, 0]) < 0.1
    outside = np.abs(pair[:, 0]) > 1.8
    assert light.min() >= 0 and light.max() <= 1.001
    assert light[gap].mean() < 0.5
    assert light[outside].mean() > 0.9


def test_solid_parts_are_told_from_sheets_and_inside_out_parts() -> None:
    vertices, faces = ball()
    count = len(vertices)
    parts = [faces, faces[:, ::-1], faces[: len(faces) // 3]]  # a ball, one inside out, a cap
    told = solid(
        np.concatenate([vertices, vertices + 5, vertices - 5]).astype(np.float32),
        np.concatenate([part + k * count for k, part in enumerate(parts)]),
    )
    whole = len(faces)
    assert told[:whole].all() and not told[whole:].any()


def test_a_broad_light_leaves_a_soft_shadow() -> None:
    """A small ball between a light above and a large ball: dark below it, bright around."""
    vertices, faces = ball(40)
    above = (vertices * 0.3 + [0, 1.6, 0]).astype(np.float32)
    scene = np.concatenate([vertices, above])
    both = np.concatenate([faces, faces + len(vertices)])
    normals = SmoothNormals(both, len(scene))(scene)
    up = np.array([0, 1, 0], np.float32)
    light = soft_shadow(scene, normals, both, up)[: len(vertices)]
    radius, top = np.hypot(vertices[:, 0], vertices[:, 2]), vertices[:, 1] > 0
    assert light[top & (radius < 0.1)].max() < 0.1
    assert light[top & (radius > 0.6) & (radius < 0.9)].min() > 0.9
    assert 0.2 < light[top & (np.abs(radius - 0.3) < 0.05)].mean() < 0.8
    assert light[vertices[:, 1] < -0.5].mean() < 0.2


# --- framing -----------------------------------------------------------------------------------
def test_the_whole_face_is_in_the_picture_at_any_size(head: Head) -> None:
    for scale in (1.0, 0.1, 25.0):
        big = replace(
            head,
            template=head.template * np.float32(scale),
            rest_joints=None,
            joint_shape_basis=None,
        )
        framing = frame_head(big)
        pose = np.linalg.inv(framing.pose())
        seen = big.template @ pose[:3, :3].T + pose[:3, 3]
        assert (-seen[:, 2] > framing.near).all() and (-seen[:, 2] < framing.far).all()
        tangent = np.tan(np.radians(FIELD_OF_VIEW_DEGREES / 2))
        x, y = (seen[:, k] / -seen[:, 2] / tangent for k in (0, 1))
        face = big.template[:, 1] > big.rest_joints[3:, 1].mean() - 0.11 * scale  # type: ignore[index]
        assert np.abs(x[face]).max() < 0.95
        assert 0.6 < y[face].max() < 0.97
        assert y[face].min() > -0.97


def test_the_camera_looks_at_the_face_from_where_it_is_asked(head: Head) -> None:
    framing = frame_head(head)
    for yaw, pitch in ((0, 0), (40, 0), (-40, 20), (0, -30)):
        pose = framing.pose(yaw, pitch)
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
        towards = np.array(framing.target) - pose[:3, 3]
        np.testing.assert_allclose(towards / framing.distance, -pose[:3, 2], atol=1e-9)
    assert framing.pose(yaw=40)[0, 3] > 0.1  # the subject's left
    assert framing.pose(pitch=20)[1, 3] > framing.pose()[1, 3]


def test_a_head_without_eyes_is_framed_by_its_box(head: Head) -> None:
    names = tuple(n.replace("eye", "bolt") for n in head.joint_names)
    framing = frame_head(replace(head, joint_names=names))
    assert framing.height == pytest.approx(np.ptp(head.template[:, 1]), rel=1e-5)


# --- pictures ----------------------------------------------------------------------------------
def face_mask(picture: np.ndarray, backdrop: np.ndarray) -> np.ndarray:
    return np.abs(picture.astype(int) - backdrop.astype(int)).sum(axis=2) > 24


def test_a_picture_shows_a_lit_face_before_a_backdrop(head: Head) -> None:
    with Renderer(head, 256, 320) as renderer:
        picture = renderer.render(head.template)
        nothing = renderer.render(np.full_like(head.template, 100.0))
    assert picture.shape == (320, 256, 3) and picture.dtype == np.uint8
    face = face_mask(picture, nothing)
    assert 0.2 < face.mean() < 0.8
    assert face[100:220, 90:166].mean() > 0.99
    assert not face[:8].any() and not face[:, :8].any() and not face[:, -8:].any()
    skin_colour = picture[120:200, 100:156].reshape(-1, 3).mean(axis=0)
    assert skin_colour[0] > skin_colour[2] + 10  # warm
    assert 90 < skin_colour.mean() < 225  # neither dark nor burnt out
    assert np.ptp(nothing.astype(int).sum(axis=2)) > 30  # a gradient, not one grey


def test_new_vertices_appear_in_place(head: Head) -> None:
    jaw = np.array([0.3, 0, 0], np.float32)
    opened = skin(head, np.zeros(50, np.float32), jaw_pose=jaw)
    with Renderer(head, 128, 128) as renderer:
        first = renderer.render(head.template)
        second = renderer.render(opened)
        again = renderer.render(head.template)
    with Renderer(head, 128, 128) as renderer:
        fresh = renderer.render(opened)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(second, fresh)
    changed = np.abs(first.astype(int) - second).sum(axis=2) > 30
    assert changed[64:].mean() > 0.01 and changed[:40].mean() < 0.001


def test_turned_cameras_see_the_sides(head: Head) -> None:
    with Renderer(head, 128, 128) as renderer:
        left, right = (
            renderer.render(head.template, yaw=40),
            renderer.render(head.template, yaw=-40),
        )
        near = renderer.render(head.template, zoom=2)
        backdrop = renderer.render(np.full_like(head.template, 100.0))
    masks = [face_mask(p, backdrop) for p in (left, right, near)]
    overlap = (masks[0] & masks[1][:, ::-1]).sum() / (masks[0] | masks[1][:, ::-1]).sum()
    assert overlap > 0.9  # the head is nearly symmetric, the light is not
    assert np.abs(left.astype(int) - right[:, ::-1]).mean() > 1
    assert masks[2].mean() > 1.5 * masks[0].mean()


def test_two_renderers_live_side_by_side(head: Head) -> None:
    with Renderer(head, 64, 64) as small, Renderer(head, 128, 96) as large:
        before = small.render(head.template)
        assert large.render(head.template).shape == (96, 128, 3)
        np.testing.assert_array_equal(small.render(head.template), before)


def test_edges_are_smooth_unless_asked_otherwise(head: Head) -> None:
    def sharpest_step(samples: int) -> float:
        """Largest change of brightness between neighbours, averaged over the rows."""
        with Renderer(head, 128, 128, samples) as renderer:
            grey = renderer.render(head.template).astype(int).sum(axis=2)
        return float(np.abs(np.diff(grey, axis=1)).max(axis=1).mean())

    assert sharpest_step(4) < 0.9 * sharpest_step(0)


def test_what_does_not_fit_is_refused(head: Head) -> None:
    with Renderer(head, 64, 64) as renderer:
        with pytest.raises(ValueError, match="do not fit this head"):
            renderer.render(head.template[:-1])
        renderer.close()
    with pytest.raises(ValueError, match="16 to 8192"):
        Renderer(head, 8, 512)


def test_speed_is_measured_over_as_many_pictures_as_asked(head: Head) -> None:
    seconds = measure(head, 64, 64, frames=4)
    assert len(seconds) == 4 and min(seconds) > 0


# --- without a display, without OpenGL, without torch -------------------------------------------
def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYOPENGL_PLATFORM", "DISPLAY")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_viewer_needs_neither_torch_nor_the_model() -> None:
    code = (
        "import sys, numpy as np\n"
        "import viewer.play.app, viewer.client.watching, viewer.play.playout\n"
        "import viewer.render.renderer, viewer.play.video\n"
        "lazy = {'pyrender', 'OpenGL', 'av', 'websockets'} & set(sys.modules)\n"
        "from head.rig import builtin_head\n"
        "with viewer.render.renderer.Renderer(builtin_head(), 64, 64) as r:\n"
        "    r.render(builtin_head().template)\n"
        "heavy = {'torch', 'transformers', 'diffposetalk', 'onnxruntime'} & set(sys.modules)\n"
        "print(sorted(lazy), sorted(heavy))"
    )
    done = run(code)
    assert done.stdout.strip() == "[] []", done.stdout + done.stderr


def test_a_missing_opengl_is_one_line() -> None:
    code = (
        "import sys\n"
        "sys.modules['pyrender'] = None\n"
        "from viewer.render import gl\n"
        "try:\n    gl.load(window=False)\n"
        "except gl.GLError as error:\n    print(error)"
    )
    done = run(code)
    assert len(done.stdout.strip().splitlines()) == 1, done.stderr
    assert "posetalk[viewer]" in done.stdout and "apt-get" not in done.stdout


def test_no_display_and_no_egl_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gl, "egl_devices", lambda: 0)
    monkeypatch.setattr(gl.ctypes.util, "find_library", lambda name: None)
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(gl.GLError, match="neither EGL nor OSMesa nor a display") as refused:
        gl.choose_platform(window=False)
    assert "pip" not in str(refused.value), "the packages are here: a library of the system is not"
    with pytest.raises(gl.GLError, match="no display"):
        gl.choose_platform(window=True)


def test_a_window_cannot_follow_off_screen_drawing() -> None:
    code = (
        "from viewer.render import gl\n"
        "gl.load(window=False)\n"
        "try:\n    gl.load(window=True)\n"
        "except gl.GLError as error:\n    print(gl.platform_name(), error)"
    )
    assert run(code, DISPLAY=":99").stdout.startswith(
        "egl no window: this process draws off-screen"
    )
