"""glTF: read back, and given to other programs that read it."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from posed_motion import HEAD, Gltf, corners_of, posed, some_motion, with_correctives

from head.channels import CHANNELS
from posetalk.formats import Clip, glb


def test_the_animation_in_a_glb_is_our_motion(clip: Clip) -> None:
    file = Gltf(glb.write(clip))
    for frame in range(len(clip)):
        np.testing.assert_allclose(file.pose(frame / 25), corners_of(posed(clip, frame)), atol=2e-6)


def test_a_glb_holds_what_others_look_for(clip: Clip) -> None:
    it = Gltf(glb.write(clip)).it
    assert it.asset.extras["synthetic"] is True
    mesh = it.meshes[0]
    assert mesh.extras["targetNames"] == list(CHANNELS)
    assert [m.name for m in it.materials] == [m.name for m in HEAD.materials]
    worn = sum(it.accessors[p.indices].count for p in mesh.primitives)
    assert worn == 3 * len(HEAD.faces)
    vertices = sum(it.accessors[p.attributes.POSITION].count for p in mesh.primitives)
    assert vertices < 1.1 * HEAD.vertex_count  # no engine carries the whole head per material
    assert all(len(p.targets) == len(CHANNELS) for p in mesh.primitives)
    paths = sorted(c.target.path for c in it.animations[0].channels)
    assert paths == ["rotation"] * 4 + ["weights"]  # neck, jaw and both eyes
    assert it.accessors[it.animations[0].samplers[0].input].max == [pytest.approx(0.08)]
    for view in it.bufferViews:
        assert view.byteOffset % 4 == 0


def test_the_container_is_well_formed(clip: Clip) -> None:
    data = glb.write(clip)
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    json_length, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON" and json_length % 4 == 0
    json.loads(data[20 : 20 + json_length])
    binary_length, kind = struct.unpack_from("<I4s", data, 20 + json_length)
    assert kind == b"BIN\0" and 28 + json_length + binary_length == len(data)


def test_trimesh_opens_a_glb(clip: Clip) -> None:
    import trimesh

    scene = trimesh.load_scene(io.BytesIO(glb.write(clip)), file_type="glb")
    faces = sum(len(geometry.faces) for geometry in scene.geometry.values())
    assert faces == len(HEAD.faces)
    low, high = scene.bounds
    np.testing.assert_allclose([low, high], [clip.rest.min(0), clip.rest.max(0)], atol=1e-6)


@pytest.mark.slow
def test_godot_imports_a_glb(clip: Clip, tmp_path: Path) -> None:
    """An engine's own importer: shapes, bones, materials and the animation are all there."""
    program = shutil.which("godot3-server")
    if program is None:
        pytest.skip("not run: godot3-server is not installed")
    (tmp_path / "face.glb").write_bytes(glb.write(clip))
    (tmp_path / "project.godot").write_text("config_version=4\n")
    script = Path(__file__).resolve().parents[2] / "clients" / "godot3_glb.gd"
    shutil.copy(script, tmp_path / "main.gd")
    environment = os.environ | {"HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    godot = [program, "--path", str(tmp_path)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen([*godot, "-e"], env=environment, stdout=quiet, stderr=quiet) as editor:
        for _ in range(600):
            if list(tmp_path.glob(".import/face.glb-*.md5")):
                break
            time.sleep(0.2)
        editor.kill()
    ran = subprocess.run(
        [*godot, "-s", "main.gd"], env=environment, capture_output=True, text=True, timeout=120
    )
    found = json.loads(next(line for line in ran.stdout.splitlines() if line.startswith("{")))
    assert found["names"] == list(CHANNELS)
    assert found["bones"] == list(HEAD.joint_names)
    assert found["length"] == pytest.approx((len(clip) - 1) / 25)
    assert found["material"] == HEAD.materials[0].name
    assert found["surfaces"] == len(set(HEAD.face_material.tolist()))
    shapes = {f"Skeleton/face:blend_shapes/{name}" for name in CHANNELS}
    assert shapes | {"Skeleton:neck", "Skeleton:jaw"} <= set(found["tracks"])


@pytest.mark.slow
def test_khronos_finds_nothing_to_complain_of(clip: Clip, tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("not run: no node and npm here")
    install = [npm, "install", "--no-save", "--no-audit", "--no-fund", "gltf-validator"]
    if subprocess.run(install, cwd=tmp_path, capture_output=True).returncode:
        pytest.skip("not run: npm could not install gltf-validator")
    path = tmp_path / "face.glb"
    script = Path(__file__).resolve().parents[2] / "clients" / "gltf_validate.cjs"
    for it in (clip, Clip.of(with_correctives(), some_motion())):
        path.write_bytes(glb.write(it))
        ran = subprocess.run(
            ["node", script, tmp_path / "node_modules", path], capture_output=True, text=True
        )
        report = json.loads(ran.stdout)
        counts = [report[f"num{kind}"] for kind in ("Errors", "Warnings", "Infos", "Hints")]
        assert counts == [0, 0, 0, 0], report["messages"]
        assert report["info"]["hasMorphTargets"] and report["info"]["animationCount"] == 1


def test_a_head_with_pose_correctives_is_exact_too() -> None:
    flame = Clip.of(with_correctives(), some_motion(3))
    file = Gltf(glb.write(flame))
    for frame in range(3):
        np.testing.assert_allclose(
            file.pose(frame / 25), corners_of(posed(flame, frame)), atol=1e-4
        )
    assert "pose_0" in file.it.meshes[0].extras["targetNames"]
