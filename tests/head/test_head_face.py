"""The built-in character: closed lips, closed lids, mirrored channels, a sound mesh."""

from __future__ import annotations

import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from head.channels import CHANNELS, INDEX, JAW_OPEN_RADIANS, MOUTH_CLOSE_RADIANS, mirrored
from head.geometry.measure import eye_opening, lip_gap, lip_protrusion, mouth_width
from head.model import Head
from head.poses import POSES
from head.rig import CHARACTERS, builtin_head, load_head
from head.skinning import skin


@pytest.fixture(scope="module")
def head() -> Head:
    return builtin_head()


@pytest.fixture(scope="module", params=CHARACTERS)
def anyone(request: pytest.FixtureRequest) -> Head:
    return load_head(request.param)


def _posed(head: Head, jaw: float = 0.0, **channels: float) -> np.ndarray:
    expression = np.zeros(50, np.float32)
    for name, weight in channels.items():
        for each in [name] if name in INDEX else [f"{name}Left", f"{name}Right"]:
            expression[INDEX[each]] = weight
    return skin(head, expression, jaw_pose=np.array([jaw, 0, 0], np.float32))


def _mirror(head: Head) -> np.ndarray:
    """For each vertex the one opposite to it, by position; -1 for hair and shirt."""
    from scipy.spatial import cKDTree

    distance, twin = cKDTree(head.template).query(head.template * [-1, 1, 1])
    twin = np.where(distance < 1e-7, twin, -1)
    for name in ("hair", "shirt"):
        twin[head.regions[name]] = -1
    return twin


def test_size_and_numbers(head: Head) -> None:
    assert 4500 <= head.vertex_count <= 7500
    height = np.ptp(head.template[head.regions["skin"], 1])
    assert 0.2 < height < 0.35  # metres
    assert head.expression_names == CHANNELS and head.shape_count >= 8
    still = {n for n in CHANNELS if not np.abs(head.expression_basis[..., INDEX[n]]).any()}
    assert all("Look" in name for name in still)  # sideways gaze turns only the eyes
    assert (np.abs(head.pose_from_expression).max(axis=0) > 0).sum() == 8
    assert np.abs(head.expression_basis).max() < 0.05


def test_skin_is_one_manifold_sheet(head: Head) -> None:
    """Every edge joins two triangles that agree on the outside; open only at lids, neck, crown."""
    inside = np.isin(head.faces, head.regions["skin"]).all(axis=1)
    faces = head.faces[inside]
    edges = Counter((int(f[k]), int(f[(k + 1) % 3])) for f in faces for k in range(3))
    assert max(edges.values()) == 1
    open_edges = np.array([e for e in edges if (e[1], e[0]) not in edges])
    p = head.template[open_edges[:, 0]]
    eyes = [head.template[head.regions[f"eye_{s}"]].mean(axis=0) for s in ("left", "right")]
    at_lid = np.min([np.linalg.norm(p - e, axis=1) for e in eyes], axis=0) < 0.02
    at_end = (p[:, 1] < -0.13) | (p[:, 1] > 0.14)
    assert (at_lid | at_end).all()
    a, b, c = (head.template[faces[:, k]] for k in range(3))
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).min() > 1e-9  # no empty triangles


def test_solid_parts_face_outwards(anyone: Head) -> None:
    solid = ["skin", "hair", "shirt", "teeth_upper", "teeth_lower", "tongue"]
    solid += [f"{part}_{side}" for part in ("ear", "eye", "brow") for side in ("left", "right")]
    for name in solid:
        part = anyone.regions[name]
        faces = anyone.faces[np.isin(anyone.faces, part).all(axis=1)]
        a, b, c = (
            anyone.template[faces[:, k]] - anyone.template[part].mean(axis=0) for k in range(3)
        )
        assert (a * np.cross(b, c)).sum() > 0, name


def test_back_teeth_are_no_wall_in_an_open_mouth(anyone: Head) -> None:
    """Less tooth than gum faces the tongue: a tall bare wall of teeth looks like a lump."""
    names = [material.name for material in anyone.materials]
    inside = np.isin(anyone.faces, anyone.regions["teeth_lower"]).all(axis=1)
    corners = anyone.template[anyone.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2
    sideways = corners[..., 0].mean(axis=1)
    # What is seen from the middle line, of the back half of the row.
    seen = np.maximum(-across[:, 0] * np.sign(sideways), 0) * (np.abs(sideways) > 0.014) * inside
    area = {n: seen[anyone.face_material == names.index(n)].sum() for n in ("teeth", "gums")}
    assert 0.0 < area["teeth"] < area["gums"]


def test_left_and_right_are_mirror_images(head: Head) -> None:
    twin = _mirror(head)
    here = np.flatnonzero(twin >= 0)
    covered = np.union1d(head.regions["skin"], head.regions["teeth_upper"])
    assert np.isin(covered, here).all()
    at_line = np.abs(head.template[:, 0]) < 1e-7
    for name in CHANNELS:
        delta = head.expression_basis[..., INDEX[name]]
        other = head.expression_basis[..., INDEX[mirrored(name)]]
        reflected = other[twin] * [-1, 1, 1]
        # several vertices can share a place (the meeting lips), so compare those that do not
        alone = here[~np.isin(here, head.regions["lip_upper_inner"])]
        alone = alone[~np.isin(alone, head.regions["lip_lower_inner"])]
        np.testing.assert_allclose(delta[alone], reflected[alone], atol=2e-5, err_msg=name)
        if mirrored(name) == name:
            assert np.abs(delta[at_line][:, 0]).max() < 2e-5, name
    upper, lower = head.regions["lip_upper_inner"], head.regions["lip_lower_inner"]
    for row in (upper, lower):
        np.testing.assert_allclose(
            head.template[row], head.template[row[::-1]] * [-1, 1, 1], atol=1e-7
        )


def test_lips_are_sealed_at_rest(anyone: Head) -> None:
    rest = _posed(anyone)
    assert abs(lip_gap(anyone, rest)) < 3e-4
    upper, lower = rest[anyone.regions["lip_upper_inner"]], rest[anyone.regions["lip_lower_inner"]]
    assert np.linalg.norm(upper - lower, axis=1).max() < 3e-4  # along the whole line


def test_jaw_opens(head: Head) -> None:
    assert 0.024 <= lip_gap(head, _posed(head, jaw=JAW_OPEN_RADIANS)) <= 0.028


def test_mouth_close_seals(anyone: Head) -> None:
    assert 0.020 <= lip_gap(anyone, _posed(anyone, jaw=JAW_OPEN_RADIANS)) <= 0.030
    for w in np.linspace(0, 1, 11):
        jaw = MOUTH_CLOSE_RADIANS * w
        posed = _posed(anyone, jaw=jaw, mouthClose=w)
        assert abs(lip_gap(anyone, posed)) < 5e-4, w
        upper, lower = (
            posed[anyone.regions["lip_upper_inner"]],
            posed[anyone.regions["lip_lower_inner"]],
        )
        assert np.abs(upper - lower).max() < 1e-3, w
        if w > 0.2:
            assert lip_gap(anyone, _posed(anyone, jaw=jaw - 0.04, mouthClose=w)) < -1e-3
            assert lip_gap(anyone, _posed(anyone, jaw=jaw, mouthClose=w - 0.2)) > 1e-3


def test_mouth_channels_do_what_they_are_called(head: Head) -> None:
    rest = _posed(head)
    corner, lip = head.landmarks["mouth_left"], head.landmarks["lip_upper_top"]
    assert mouth_width(head, _posed(head, mouthPucker=1)) < 0.75 * mouth_width(head, rest)
    assert mouth_width(head, _posed(head, mouthFunnel=1)) < 0.85 * mouth_width(head, rest)
    for rounded in ("mouthPucker", "mouthFunnel"):
        forward = lip_protrusion(head, _posed(head, **{rounded: 1})) - lip_protrusion(head, rest)
        assert forward > 0.004, rounded
    assert mouth_width(head, _posed(head, mouthStretch=1)) > 1.2 * mouth_width(head, rest)
    smile = _posed(head, mouthSmile=1)
    assert mouth_width(head, smile) > 1.15 * mouth_width(head, rest)
    assert smile[corner, 1] - rest[corner, 1] > 0.006
    assert smile[head.landmarks["cheek_left"], 1] > rest[head.landmarks["cheek_left"], 1] + 0.001
    assert _posed(head, mouthFrown=1)[corner, 1] < rest[corner, 1] - 0.005
    assert lip_gap(head, _posed(head, mouthPress=1)) < -2e-4
    assert _posed(head, mouthUpperUp=1)[lip, 1] > rest[lip, 1] + 0.003
    for opens in ("mouthLowerDown", "mouthUpperUp"):
        assert lip_gap(head, _posed(head, **{opens: 1})) > 0.003
    right = head.landmarks["mouth_right"]
    one_sided = _posed(head, mouthSmileLeft=1)
    assert np.linalg.norm(one_sided[right] - rest[right]) < 5e-4


def test_f_and_v_put_the_lower_lip_under_the_upper_teeth(head: Head) -> None:
    posed = POSES["F and V"].vertices(head)
    lower = posed[head.regions["lip_gap_lower"]]
    teeth = posed[head.regions["teeth_upper"]]
    front = teeth[np.abs(teeth[:, 0]) < 0.008]
    edge = front[:, 1].min()
    assert abs(lower[:, 1].max() - edge) < 0.003  # the lip meets the edge of the teeth
    assert lip_gap(head, posed) > 0.002  # which can be seen
    assert abs(lower[3, 2] - front[:, 2].max()) < 0.004


def test_th_shows_the_tongue_between_the_teeth(head: Head) -> None:
    posed = POSES["TH"].vertices(head)
    tongue = posed[head.regions["tongue"]]
    upper, lower = (posed[head.regions[f"teeth_{n}"]] for n in ("upper", "lower"))
    tip = tongue[tongue[:, 2].argmax()]
    assert tip[2] > upper[:, 2].max()  # in front of the teeth
    assert lower[:, 1].max() < tip[1] + 0.004 and tip[1] < upper[:, 1].max()
    rest = _posed(head)[head.regions["tongue"]]
    assert rest[:, 2].max() < _posed(head)[head.regions["teeth_upper"], 2].max()


def _rays_hit(origin: np.ndarray, way: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Which rays (N, 3) along `way` meet one of the triangles (T, 3, 3) ahead."""
    a, e1, e2 = (
        triangles[:, 0],
        triangles[:, 1] - triangles[:, 0],
        triangles[:, 2] - triangles[:, 0],
    )
    h = np.cross(way, e2)
    det = (e1 * h).sum(1)
    ok = np.abs(det) > 1e-14
    inverse = 1 / np.where(ok, det, 1)
    s = origin[:, None] - a
    u = (s * h).sum(-1) * inverse
    q = np.cross(s, e1)
    v = (q @ way) * inverse
    t = (q * e2).sum(-1) * inverse
    return (ok & (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)).any(axis=1)


def test_blink_covers_the_eyeball_from_every_side(anyone: Head) -> None:
    lids = np.union1d(anyone.regions["eyelids"], anyone.regions["upper_face"])
    closed, rest = _posed(anyone, eyeBlink=1), _posed(anyone)
    for side in ("left", "right"):
        ball = anyone.regions[f"eye_{side}"]
        faces = anyone.faces[np.isin(anyone.faces, lids).all(axis=1)]
        seen_open = 0
        for yaw, pitch in ((0, 0), (30, 0), (-30, 0), (0, 20), (0, -25), (20, -15)):
            y, p = np.radians([yaw, pitch])
            way = np.array([np.sin(y) * np.cos(p), np.sin(p), np.cos(y) * np.cos(p)])
            centre = rest[ball].mean(axis=0)
            facing = ball[(rest[ball] - centre) @ way > 0.2 * 0.015]
            assert _rays_hit(closed[facing].astype(float), way, closed[faces]).all(), (yaw, pitch)
            seen_open += (~_rays_hit(rest[facing].astype(float), way, rest[faces])).sum()
        assert seen_open > 60  # and it can be seen when open


@pytest.mark.parametrize("blink", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_lids_never_cut_into_the_eyeball(anyone: Head, blink: float) -> None:
    names = [m.name for m in anyone.materials]
    outside = anyone.face_material == names.index("skin")
    faces = anyone.faces[outside & np.isin(anyone.faces, anyone.regions["eyelids"]).all(axis=1)]
    for squint, wide in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.6)):
        posed = _posed(anyone, eyeBlink=blink, eyeSquint=squint, eyeWide=wide)
        for side, sign in (("left", 1), ("right", -1)):
            ball = posed[anyone.regions[f"eye_{side}"]]
            joint = anyone.rest_joints[anyone.joint_names.index(f"eye_{side}")]  # type: ignore[index]
            radius = np.linalg.norm(ball - joint, axis=1).max()
            own = faces[posed[faces].mean(axis=1)[:, 0] * sign > 0]
            corners = posed[own]
            points = np.concatenate([corners.mean(axis=1), (corners[:, 0] + corners[:, 1]) / 2])
            assert np.linalg.norm(points - joint, axis=1).min() > radius, (blink, squint, side)


def test_lids_open_wide_and_squint(head: Head) -> None:
    rest = eye_opening(head, _posed(head), "left")
    assert 0.008 < rest < 0.016
    assert eye_opening(head, _posed(head, eyeWide=1), "left") > rest + 0.001
    assert 0.3 * rest < eye_opening(head, _posed(head, eyeSquint=1), "left") < 0.8 * rest
    assert abs(eye_opening(head, _posed(head, eyeBlink=1), "left")) < 0.002
    assert eye_opening(head, _posed(head, eyeBlinkLeft=1), "right") == pytest.approx(rest)


def test_gaze_turns_the_eyeballs(anyone: Head) -> None:
    pupil = int(anyone.regions["eye_left"][0])
    rest = _posed(anyone)[pupil]
    assert _posed(anyone, eyeLookUpLeft=1)[pupil, 1] > rest[1] + 0.003
    assert _posed(anyone, eyeLookDownLeft=1)[pupil, 1] < rest[1] - 0.003
    assert _posed(anyone, eyeLookInLeft=1)[pupil, 0] < rest[0] - 0.003
    assert _posed(anyone, eyeLookOutLeft=1)[pupil, 0] > rest[0] + 0.003


def test_brows_carry_their_hair(anyone: Head) -> None:
    rest = _posed(anyone)
    brow = anyone.regions["brow_left"]
    for name, sign in (("browDown", -1), ("browOuterUp", 1), ("browInnerUp", 1)):
        lift = (_posed(anyone, **{name: 1}) - rest)[brow, 1]
        assert sign * lift[np.abs(lift).argmax()] > 0.003, name


def test_jaw_motion_fades_over_the_cheeks(head: Head) -> None:
    """Neighbours on the skin never differ much in how they follow the jaw, but at the lips."""
    jaw = head.skin_weights[:, head.joint_names.index("jaw")]
    faces = head.faces[np.isin(head.faces, head.regions["skin"]).all(axis=1)]
    faces = faces[
        ~np.isin(faces, np.union1d(head.regions["lips"], head.regions["bag"])).any(axis=1)
    ]
    for k in range(3):
        step = np.abs(jaw[faces[:, k]] - jaw[faces[:, (k + 1) % 3]])
        assert step.max() < 0.5
    assert jaw[head.landmarks["menton"]] > 0.9
    assert jaw[head.landmarks["nose_tip"]] == 0
    assert jaw[head.regions["shirt"]].max() == 0


def test_identity_shapes_keep_lids_on_the_eyes(head: Head) -> None:
    for s in range(head.shape_count):
        for weight in (-2.0, 2.0):
            shape = np.zeros(head.shape_count, np.float32)
            shape[s] = weight
            posed = skin(head, np.zeros(50, np.float32), shape=shape)
            assert np.isfinite(posed).all()
            assert 0.0005 < np.abs(posed - head.template).max() < 0.03, head.shape_names[s]
            assert abs(lip_gap(head, posed)) < 4e-4, head.shape_names[s]
            lids = head.landmarks["eye_upper_left"]
            ball = posed[head.regions["eye_left"]]
            centre = ball.mean(axis=0)
            before = head.template[head.regions["eye_left"]]
            grown = np.ptp(ball[:, 1]) / np.ptp(before[:, 1])
            moved = posed[lids] - centre
            expected = (head.template[lids] - before.mean(axis=0)) * grown
            assert np.abs(moved - expected).max() < 4e-4, head.shape_names[s]


# Measured on the neutral of ICT-FaceKit (revision da5f95a) from its 68 landmarks: lengths as
# shares of the face's length from nasion (27) to menton (8).
ICT = {
    "eye spacing": 0.557,
    "eye width": 0.232,
    "mouth width": 0.447,
    "nose length": 0.437,
    "jaw length": 0.375,
}


def _shares(p: dict[str, np.ndarray]) -> dict[str, float]:
    face = p["nasion"][1] - p["menton"][1]
    left = (p["eye_inner_left"] + p["eye_outer_left"]) / 2
    right = (p["eye_inner_right"] + p["eye_outer_right"]) / 2
    return {
        "eye spacing": (left[0] - right[0]) / face,
        "eye width": (p["eye_outer_left"][0] - p["eye_inner_left"][0]) / face,
        "mouth width": (p["mouth_left"][0] - p["mouth_right"][0]) / face,
        "nose length": (p["nasion"][1] - p["subnasale"][1]) / face,
        "jaw length": (p["lip_upper_mid"][1] - p["menton"][1]) / face,
    }


def test_proportions_are_human(head: Head) -> None:
    ours = _shares({name: head.template[index] for name, index in head.landmarks.items()})
    for name, share in ours.items():
        print(f"{name}: {share:.3f}, ICT {ICT[name]:.3f}, {share / ICT[name] - 1:+.1%}")
        limit = 0.25 if name == "eye width" else 0.15  # large eyes are part of the style
        assert abs(share / ICT[name] - 1) < limit, name


def test_recorded_proportions_are_those_of_the_scan(data_dir: Path) -> None:
    archives = sorted((data_dir / "heads" / "ict_facekit").glob("*.tar.xz"))
    if not archives:
        pytest.skip("not run: no ICT-FaceKit in the data folder")
    import json

    marks = json.loads((archives[0].parent / "vertex_indices.json").read_text())
    with tarfile.open(archives[0]) as archive:
        for member in archive:
            if member.name.endswith("generic_neutral_mesh.obj"):
                text = archive.extractfile(member).read().decode()  # type: ignore[union-attr]
                break
    vertices = np.array(
        [line.split()[1:4] for line in text.splitlines() if line[:2] == "v "], float
    )
    p = vertices[marks["idx_to_landmark_verts"]]
    names = {
        "nasion": 27,
        "menton": 8,
        "subnasale": 33,
        "lip_upper_mid": 62,
        "mouth_left": 54,
        "mouth_right": 48,
        "eye_inner_left": 42,
        "eye_outer_left": 45,
        "eye_inner_right": 39,
        "eye_outer_right": 36,
    }
    measured = _shares({name: p[index] for name, index in names.items()})
    assert measured == pytest.approx(ICT, abs=2e-3)
