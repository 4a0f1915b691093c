"""Files for other programs, each opened by a reader that is not ours and held to our skinning."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli import call
from numpy.typing import NDArray

import posetalk
from head.arkit.weights import arkit_weights
from head.channels import ARKIT_52, CHANNELS
from head.model import Head, HeadError
from head.rig import builtin_head
from head.skinning import rotation_matrices, skin
from posetalk.app.outputs import ClipOutput, check_names
from posetalk.formats import FORMATS, Clip, bvh, csv_table, glb, usda
from posetalk.formats.clip import influences, vertex_normals
from stream.frames import Frame

HEAD = builtin_head()


def some_motion(frames: int = 3) -> list[NDArray[np.float32]]:
    """Frames that use every channel and joint."""
    random = np.random.default_rng(3)
    rows = np.zeros((frames, 54), np.float32)
    rows[:, :50] = random.uniform(0, 1, (frames, 50)) * (random.uniform(size=(frames, 50)) > 0.5)
    rows[:, 50:53] = random.normal(0, 0.25, (frames, 3))
    rows[:, 53] = random.uniform(0, 0.35, frames)
    return list(rows)


@pytest.fixture(scope="module")
def clip() -> Clip:
    shape = np.random.default_rng(1).normal(0, 0.7, 100).astype("f4")
    return Clip.of(HEAD, some_motion(), shape)


def posed(clip: Clip, frame: int) -> NDArray[np.float32]:
    """(V, 3) the frame by our own skinning."""
    vertices = skin(
        clip.head,
        clip.expression[frame],
        global_rotation=clip.rotation[frame],
        jaw_pose=clip.jaw[frame],
        shape=clip.shape if len(clip.shape) else None,
    )
    return np.asarray(vertices)


def about(axis: int, angle: float) -> NDArray[np.float64]:
    turn = np.zeros(3)
    turn[axis] = angle
    return np.asarray(rotation_matrices(turn))


def corners_of(vertices: NDArray[np.float32], head: Head = HEAD) -> NDArray[np.float32]:
    """(3 F, 3) corners of all triangles, by material."""
    order = np.argsort(head.face_material, kind="stable")
    return vertices[head.faces[order].ravel()]


# --- glTF ------------------------------------------------------------------------------------
class Gltf:
    """Reads accessors and poses, from the glTF specification and pygltflib's parsing."""

    def __init__(self, data: bytes) -> None:
        from pygltflib import GLTF2

        self.it = GLTF2.load_from_bytes(data)
        self.binary = self.it.binary_blob()

    def _view(self, view: int, dtype: str, count: int, offset: int = 0) -> NDArray[Any]:
        start = self.it.bufferViews[view].byteOffset + offset
        assert start % np.dtype(dtype).itemsize == 0, "accessors are aligned"
        return np.frombuffer(self.binary, dtype, count, start)

    def read(self, index: int) -> NDArray[Any]:
        accessor = self.it.accessors[index]
        dtype = {5126: "<f4", 5125: "<u4", 5123: "<u2", 5121: "u1"}[accessor.componentType]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor.type]
        count = accessor.count
        if accessor.bufferView is None:
            values = np.zeros((count, width), dtype)
        else:
            values = self._view(accessor.bufferView, dtype, count * width, accessor.byteOffset or 0)
            values = values.reshape(count, width).copy()
        if accessor.sparse is not None:
            sparse = accessor.sparse
            kind = {5125: "<u4", 5123: "<u2"}[sparse.indices.componentType]
            at = self._view(sparse.indices.bufferView, kind, sparse.count)
            assert (np.diff(at.astype(int)) > 0).all()
            new = self._view(sparse.values.bufferView, dtype, sparse.count * width)
            values[at] = new.reshape(-1, width)
        if accessor.min:
            np.testing.assert_allclose(values.min(axis=0), accessor.min, rtol=1e-6)
            np.testing.assert_allclose(values.max(axis=0), accessor.max, rtol=1e-6)
        return values

    def pose(self, seconds: float) -> NDArray[np.float64]:
        """(3 F, 3) corners of all triangles by material at a time, as a player interpolates."""
        node = next(n for n in self.it.nodes if n.mesh is not None)
        primitives = self.it.meshes[node.mesh].primitives
        weights = np.zeros(len(primitives[0].targets))
        turns = {j: np.array([0, 0, 0, 1.0]) for j in range(len(self.it.nodes))}
        places: dict[int, Any] = {}
        animation = self.it.animations[0]
        for channel in animation.channels:
            sampler = animation.samplers[channel.sampler]
            times = self.read(sampler.input)[:, 0]
            values = self.read(sampler.output).reshape(len(times), -1)
            before = int(np.clip(np.searchsorted(times, seconds, "right") - 1, 0, len(times) - 2))
            part = (seconds - times[before]) / (times[before + 1] - times[before])
            value = values[before] * (1 - part) + values[before + 1] * part
            if channel.target.path == "weights":
                weights = value
            elif channel.target.path == "translation":
                places[channel.target.node] = value
            else:
                turns[channel.target.node] = value / np.linalg.norm(value)
        skin_ = self.it.skins[node.skin]
        inverse = self.read(skin_.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
        world = self._world(skin_.joints[0], np.eye(4), turns, places)
        matrices = np.stack(
            [world[j] @ inverse[i].astype(np.float64) for i, j in enumerate(skin_.joints)]
        )
        corners = []
        for primitive in primitives:
            points = self.read(primitive.attributes.POSITION).astype(np.float64)
            for weight, target in zip(weights, primitive.targets, strict=True):
                points += weight * self.read(target["POSITION"])
            joints = self.read(primitive.attributes.JOINTS_0)
            blended = np.einsum(
                "vk,vkij->vij", self.read(primitive.attributes.WEIGHTS_0), matrices[joints]
            )
            points = np.einsum("vij,vj->vi", blended[:, :3, :3], points) + blended[:, :3, 3]
            corners.append(points[self.read(primitive.indices)[:, 0]])
        return np.concatenate(corners)

    def _world(
        self, index: int, above: NDArray[Any], turns: dict[int, Any], places: dict[int, Any]
    ) -> dict[int, Any]:
        node = self.it.nodes[index]
        x, y, z, w = turns[index]
        local = np.eye(4)
        local[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        local[:3, 3] = places.get(index, node.translation)
        here = above @ local
        world = {index: here}
        for child in node.children or []:
            world |= self._world(child, here, turns, places)
        return world


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


def with_correctives() -> Head:
    """A head in FLAME's form: pose correctives, names without meaning, five joints a vertex."""
    from dataclasses import replace

    random = np.random.default_rng(0)
    weights = HEAD.skin_weights + random.uniform(0, 1e-4, HEAD.skin_weights.shape).astype("f4")
    return replace(
        HEAD,
        id="flame-like",
        expression_names=tuple(f"expression {i}" for i in range(50)),
        pose_basis=random.normal(0, 2e-3, (HEAD.vertex_count, 3, 36)).astype("f4"),
        skin_weights=weights / weights.sum(axis=1, keepdims=True),
        joints_follow_expression=True,
        rest_joints=None,
        joint_shape_basis=None,
    )


def test_a_head_with_pose_correctives_is_exact_too() -> None:
    flame = Clip.of(with_correctives(), some_motion(3))
    file = Gltf(glb.write(flame))
    for frame in range(3):
        np.testing.assert_allclose(
            file.pose(frame / 25), corners_of(posed(flame, frame)), atol=1e-4
        )
    assert "pose_0" in file.it.meshes[0].extras["targetNames"]


# --- USD -------------------------------------------------------------------------------------
@pytest.mark.parametrize("flame", [False, True])
def test_usd_bakes_our_motion(clip: Clip, flame: bool, tmp_path: Path) -> None:
    """Pixar's own library skins the file."""
    usd = pytest.importorskip("pxr.Usd", reason="not run: usd-core is not installed")
    from pxr import UsdGeom, UsdSkel

    clip = Clip.of(with_correctives(), some_motion(3)) if flame else clip
    path = tmp_path / "head.usda"
    path.write_bytes(usda.write(clip))
    stage = usd.Stage.Open(str(path))
    assert stage.GetRootLayer().customLayerData["synthetic"] is True
    assert stage.GetTimeCodesPerSecond() == 25 and stage.GetEndTimeCode() == len(clip) - 1
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert UsdSkel.BakeSkinning(UsdSkel.Root(stage.GetPrimAtPath("/Head")))
    points = UsdGeom.Mesh(stage.GetPrimAtPath("/Head/Face")).GetPointsAttr()
    for frame in range(len(clip)):
        baked = np.array(points.Get(frame))
        np.testing.assert_allclose(baked, posed(clip, frame), atol=1e-4 if flame else 5e-6)


def test_usd_names_channels_and_materials(clip: Clip, tmp_path: Path) -> None:
    usd = pytest.importorskip("pxr.Usd", reason="not run: usd-core is not installed")
    from pxr import UsdGeom, UsdShade

    path = tmp_path / "head.usda"
    path.write_bytes(usda.write(clip))
    stage = usd.Stage.Open(str(path))
    face = stage.GetPrimAtPath("/Head/Face")
    assert list(face.GetAttribute("skel:blendShapes").Get()) == list(CHANNELS)
    subsets = UsdGeom.Subset.GetAllGeomSubsets(UsdGeom.Imageable(face))
    assert sum(len(s.GetIndicesAttr().Get()) for s in subsets) == len(HEAD.faces)
    for subset in subsets:
        material, _ = UsdShade.MaterialBindingAPI(subset.GetPrim()).ComputeBoundMaterial()
        shader = material.ComputeSurfaceSource()[0]
        known = next(m for m in HEAD.materials if m.name == subset.GetPrim().GetName())
        colour = shader.GetInput("diffuseColor").Get()
        np.testing.assert_allclose(list(colour), known.rgb, atol=1e-5)


# --- BVH -------------------------------------------------------------------------------------
def read_bvh(text: str) -> tuple[dict[str, tuple[str | None, NDArray[Any], int]], NDArray[Any]]:
    """A small reader: joint -> (parent, offset, first channel), and the rows of angles."""
    joints: dict[str, tuple[str | None, NDArray[Any], int]] = {}
    stack: list[str | None] = []
    channels = 0
    hierarchy, motion = text.split("MOTION\n")
    name: str | None = None
    for line in hierarchy.splitlines()[1:]:
        words = line.split()
        if words[0] in ("ROOT", "JOINT"):
            name = words[1]
        elif words[0] == "End":
            name = None
        elif words[0] == "{":
            stack.append(name)
        elif words[0] == "}":
            stack.pop()
        elif words[0] == "OFFSET" and stack[-1] is not None:
            parent = stack[-2] if len(stack) > 1 else None
            joints[stack[-1]] = (parent, np.array(words[1:], float), channels)
        elif words[0] == "CHANNELS":
            assert words[-3:] == ["Yrotation", "Xrotation", "Zrotation"]
            channels += int(words[1])
    lines = motion.splitlines()
    rows = np.array([line.split() for line in lines[2:]], float)
    assert lines[0] == f"Frames: {len(rows)}" and rows.shape[1] == channels
    assert float(lines[1].removeprefix("Frame Time:")) == pytest.approx(0.04)
    return joints, rows


def test_joints_in_a_bvh_turn_as_ours(clip: Clip) -> None:
    joints, rows = read_bvh(bvh.write(clip).decode())
    assert tuple(joints) == HEAD.joint_names
    for frame, row in enumerate(rows):
        world: dict[str | None, tuple[Any, Any]] = {None: (np.eye(3), np.zeros(3))}
        for name, (parent, offset, first) in joints.items():
            place = offset
            if parent is None:
                place, first = row[first : first + 3], first + 3
            y, x, z = np.radians(row[first : first + 3])
            turn, origin = world[parent]
            world[name] = (turn @ about(1, y) @ about(0, x) @ about(2, z), origin + turn @ place)
        for index, name in enumerate(HEAD.joint_names):
            # A point that belongs to this joint alone moves with it.
            alone = np.flatnonzero(HEAD.skin_weights[:, index] > 0.9999)
            if not len(alone):
                continue
            vertex = alone[0]
            local = clip.rest[vertex] + HEAD.expression_basis[vertex] @ clip.expression[frame]
            turn, origin = world[name]
            expected = origin + turn @ (local - clip.joints[index]) * 100
            np.testing.assert_allclose(posed(clip, frame)[vertex] * 100, expected, atol=2e-3)


# --- CSV -------------------------------------------------------------------------------------
def test_a_csv_reads_as_live_link_face_s(clip: Clip) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_table.write(clip, fps=25).decode())))
    header = list(rows[0])
    assert header[:4] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft", "EyeLookDownLeft"]
    # In the app's table right comes before left for jaw and mouth.
    assert header.index("JawRight") == header.index("JawForward") + 1 == header.index("JawLeft") - 1
    assert header[-9:] == [p + a for p in ("Head", "LeftEye", "RightEye") for a in ("Yaw", "Pitch", "Roll")]  # noqa: E501 # fmt: skip
    assert len(header) == 63 and {row["BlendShapeCount"] for row in rows} == {"61"}
    weights = arkit_weights(HEAD, clip.expression, clip.jaw)
    for row, expected in zip(rows, weights, strict=True):
        found = [float(row[name[0].upper() + name[1:]]) for name in ARKIT_52]
        np.testing.assert_allclose(found, expected, atol=1e-7)
    for row, turn in zip(rows, clip.rotation, strict=True):
        angles = [float(row[f"Head{angle}"]) for angle in ("Yaw", "Pitch", "Roll")]
        rebuilt = about(1, angles[0]) @ about(0, angles[1]) @ about(2, angles[2])
        np.testing.assert_allclose(rebuilt, rotation_matrices(turn.astype(float)), atol=1e-6)
    assert [row["Timecode"] for row in rows[:2]] == ["00:00:00:00.000", "00:00:00:01.000"]


@pytest.mark.parametrize("fps", [25, 30, 60, 120])
def test_a_csv_has_the_app_s_rate_whatever_the_motion_s(clip: Clip, fps: int) -> None:
    """Readers take 60 rows for a second: what is between two frames is interpolated."""
    data = csv_table.write(clip) if fps == 60 else csv_table.write(clip, fps)
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    assert len(rows) == math.ceil(len(clip) * fps / 25)
    assert rows[-1]["Timecode"] == csv_table.timecode(len(rows) - 1, fps)
    weights = arkit_weights(HEAD, clip.expression, clip.jaw)[:, ARKIT_52.index("jawOpen")]
    found = [float(row["JawOpen"]) for row in rows]
    expected = np.interp(np.arange(len(rows)) / fps, np.arange(len(clip)) / 25, weights)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for frame in range(0, len(clip), 5):  # every fifth of a second is a row of every rate
        assert found[frame * fps // 25] == pytest.approx(weights[frame], abs=1e-6)


def test_rates_that_are_none_are_refused(clip: Clip) -> None:
    for fps in (0, -60, 241):
        with pytest.raises(ValueError, match="choose 1 to 240"):
            csv_table.write(clip, fps)


def test_timecodes() -> None:
    assert csv_table.timecode(24, 25) == "00:00:00:24.000"
    assert csv_table.timecode(25, 25) == "00:00:01:00.000"
    assert csv_table.timecode(25 * 3661 + 7, 25) == "01:01:01:07.000"


def test_a_head_without_arkit_makes_no_csv(tmp_path: Path) -> None:
    from dataclasses import replace

    bare = replace(with_correctives(), landmarks={}, regions={})  # nothing to find ARKit by
    with pytest.raises(HeadError, match="flame-like"):
        ClipOutput(tmp_path / "a.csv", None, bare, FORMATS[".csv"])


# --- the command -----------------------------------------------------------------------------
def test_every_format_from_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run writes them all; they tell one story."""
    import soundfile

    speech, rate = soundfile.read(posetalk.demo_speech(), frames=3 * 16000)
    soundfile.write(tmp_path / "words.wav", speech, rate)
    monkeypatch.chdir(tmp_path)
    names = [f"face{ending}" for ending in (*FORMATS, ".npz")]
    code, _, messages = call(["animate", "words.wav", "--backend", "fake", "-o", *names], capsys)
    assert code == 0 and "face.glb" in messages
    rows = list(csv.DictReader(Path("face.csv").read_text().splitlines()))
    assert len(rows) == 180, "three seconds of an app that records 60 in each"
    command = ["animate", "words.wav", "--backend", "fake", "--fps", "25", "-o"]
    assert call([*command, "face.csv"], capsys)[0] == 0
    assert call([*command, "face.npz"], capsys)[0] == 2
    assert sorted(p.name for p in tmp_path.glob("face*")) == sorted(names)
    motion = posetalk.Motion.load("face.npz")
    rows = list(csv.DictReader(Path("face.csv").read_text().splitlines()))
    jaws = np.array([float(row["JawOpen"]) for row in rows])
    np.testing.assert_allclose(jaws, motion.pose[:, 3] / 0.35, atol=1e-6)
    assert jaws.max() > 0.2
    middle = len(motion) // 2
    vertices = skin(HEAD, motion.exp[middle], jaw_pose=motion.pose[middle, 3:])
    found = Gltf(Path("face.glb").read_bytes()).pose(middle / 25)
    np.testing.assert_allclose(found, corners_of(vertices), atol=2e-6)


def test_an_ending_that_is_unknown_lists_them_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.mp4 .*\.npz .*\.csv .*\.glb .*\.usda .*\.bvh"):
        check_names([tmp_path / "face.fbx"])


def test_what_came_is_kept_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    path.write_bytes(b"an older one")
    for end in (ClipOutput.close, ClipOutput.abandon):
        end(ClipOutput(path, None, HEAD, FORMATS[".bvh"]))  # nothing came
        assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == b"an older one"
    output = ClipOutput(path, None, HEAD, FORMATS[".bvh"])
    output.show([Frame(k, 640 * k, row) for k, row in enumerate(some_motion(3))])
    output.close()
    output.close()
    assert output.abandon() is None
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes().startswith(b"HIERARCHY")


def test_normals_point_outwards_and_have_length_one() -> None:
    normals = vertex_normals(HEAD.template, HEAD.faces)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    nose = HEAD.landmarks["nose_tip"]
    assert normals[nose, 2] > 0.7


def test_influences_keep_the_strongest_joints() -> None:
    joints, weights = influences(np.array([[0.1, 0.2, 0.3, 0.15, 0.25], [0, 1, 0, 0, 0]], "f4"))
    np.testing.assert_array_equal(joints, [[2, 4, 1, 3], [1, 0, 0, 0]])
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights[0], np.array([0.3, 0.25, 0.2, 0.15]) / 0.9, rtol=1e-6)
