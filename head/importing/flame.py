"""FLAME 2020 and 2023 (and earlier ones of the same form): their pickles become heads.

A FLAME file is a dictionary of `v_template` (V, 3), `f` (F, 3), `shapedirs` (V, 3, 400: 300 of
identity, then 100 of expression), `posedirs` (V, 3, 36), `J_regressor` (5, V), `kintree_table`
(2, 5) and `weights` (V, 5); Li et al. 2017, "Learning a model of facial shape and expression from
4D scans". It names no regions: `survey` finds them, or the user names landmarks. The
file's own licence goes on to apply.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from head.files.pickle_machine import PickleError, PickleLimits
from head.files.pickle_reader import read_pickle
from head.files.pickled_arrays import to_array
from head.geometry.mesh import Bools, Ints, Points
from head.geometry.survey import CHIN, MOUTH, PROFILE, Surveyed, eye_marks, survey
from head.importing import look
from head.model import JOINTS, PARENTS, Head, HeadError

log = logging.getLogger(__name__)
IDENTITY_COLUMNS, COLUMNS = 300, 400
EXPRESSIONS: Final = 50
"""Expression channels, of FLAME's 100: those that trackers and DiffPoseTalk use."""
KEYS: Final = (
    "v_template",
    "f",
    "shapedirs",
    "posedirs",
    "J_regressor",
    "kintree_table",
    "weights",
)
LIMITS: Final = PickleLimits(most_bytes=256 << 20, most_instructions=500_000)
"""FLAME 2020 and 2023 have 53 MB and a few hundred instructions."""
MOST_VERTICES: Final = 100_000
MOST_COLUMNS: Final = 1_000
NO_JAW: Final = 0.05
"""Where no vertex follows the jaw by more, the file has no jaw (`flame2023_no_jaw`)."""


def import_flame(
    data: bytes,
    source: str,
    name: str,
    shapes: int = 100,
    first_expression: int | None = None,
    landmarks: Mapping[str, int] | None = None,
) -> Head:
    """The head in a FLAME pickle.

    Args:
        data: the file's contents.
        source: the file's name, for messages.
        name: the head's id.
        shapes: identity shapes to keep.
        first_expression: the column of `shapedirs` where the expressions begin; 300 of 400.
        landmarks: vertices by the names of places on the face, where those are not found rightly.

    A face that cannot be surveyed gives a head without regions; a warning says what that costs.

    Raises:
        HeadError: it is no FLAME file, or its parts do not fit; one line.
    """
    arrays = _read(data, source)
    p, faces = _checked(arrays, source)
    first = _first_expression(arrays["shapedirs"], first_expression, source)
    weights = arrays["weights"].astype(np.float64)
    regressor = arrays["J_regressor"].astype(np.float64)
    joints = regressor @ p
    order = [0, 1, 2, 3, 4] if joints[3, 0] > joints[4, 0] else [0, 1, 2, 4, 3]
    balls = weights[:, order[3]] > 0.5, weights[:, order[4]] > 0.5
    jaw = weights[:, 2] if weights[:, 2].max() > NO_JAW else None
    told = _told(landmarks or {}, len(p), source)
    found = _surveyed(p, faces, joints[order[3:]], balls, jaw, told, source)
    posedirs = arrays["posedirs"].reshape(len(p), 3, 4, 9)
    shapedirs = arrays["shapedirs"]
    return Head(
        id=name,
        template=p.astype(np.float32),
        faces=faces.astype(np.int32),
        shape_basis=shapedirs[:, :, : min(shapes, first)].astype(np.float32),
        expression_basis=shapedirs[:, :, first : first + EXPRESSIONS].astype(np.float32),
        expression_names=tuple(f"expression{k:02d}" for k in range(EXPRESSIONS)),
        joint_regressor=regressor[order].astype(np.float32),
        skin_weights=weights[:, order].astype(np.float32),
        pose_from_expression=np.zeros((3 * len(JOINTS), EXPRESSIONS), np.float32),
        pose_basis=posedirs[:, :, [k - 1 for k in order[1:]]].reshape(len(p), 3, 36).astype("f4"),
        face_material=_materials(p, faces, found, balls),
        materials=look.MATERIALS,
        regions={
            name: index.astype(np.int32)
            for name, index in (
                found.regions
                | {"eye_left": np.flatnonzero(balls[0]), "eye_right": np.flatnonzero(balls[1])}
            ).items()
        },
        landmarks=found.landmarks,
        vertex_tint=look.as_bytes(_tint(p, found, balls, joints[order[3:]])),
        shape_names=tuple(f"shape{k:03d}" for k in range(min(shapes, first))),
        joints_follow_expression=True,
    )


def _told(landmarks: Mapping[str, int], vertices: int, source: str) -> dict[str, int]:
    known = (*PROFILE, *MOUTH, *CHIN, *eye_marks("left"), *eye_marks("right"))
    for name, index in landmarks.items():
        if name not in known:
            raise HeadError(f"{name[:40]!r} is no landmark; there are {', '.join(known)}")
        if type(index) is not int or not 0 <= index < vertices:
            raise HeadError(f"landmark {name}: {source} has the vertices 0 to {vertices - 1}")
    return dict(landmarks)


def _surveyed(
    p: Points,
    faces: Ints,
    eyes: Points,
    balls: tuple[Bools, Bools],
    jaw: Points | None,
    told: Mapping[str, int],
    source: str,
) -> Surveyed:
    """The survey, or one of the skin alone where the face cannot be read."""
    try:
        return survey(p, faces, eyes, balls, jaw, known=told)
    except (HeadError, ValueError, IndexError) as error:  # noise has no order to rely on
        log.warning(
            "%s: %s. It is imported without regions: it moves and is shown, but lip metrics, ARKit "
            "weights, motion of other heads and training that looks at lips will not work. Name "
            'the places with --landmarks FILE.json, {"nose_tip": vertex, ...}',
            source,
            error,
        )
    skin = np.flatnonzero(~(balls[0] | balls[1]))
    return Surveyed({}, {"skin": skin}, np.zeros(len(p)), float(np.linalg.norm(eyes[0] - eyes[1])))


def _read(data: bytes, source: str) -> dict[str, Any]:
    """The arrays of the file by their names."""
    try:
        model = _unpickled(data, source)
        if not isinstance(model, dict):
            raise PickleError("it is a pickle, but no FLAME model")
        missing = [key for key in KEYS if key not in model]
        if missing:
            raise PickleError(f"it is no FLAME model: it lacks {', '.join(missing)}")
        return {key: to_array(model[key], key) for key in KEYS}
    except PickleError as error:
        raise HeadError(f"{source}: {error}") from None
    except MemoryError:
        raise HeadError(f"{source}: it takes more memory than there is") from None


def _unpickled(data: bytes, source: str) -> Any:
    """What the pickle holds; a file of any other kind is named as what it is not."""
    try:
        return read_pickle(data, LIMITS)
    except PickleError as error:
        raise HeadError(
            f"{source} is no FLAME pickle ({error}): give FLAME's .pkl, or ICT-FaceKit's folder "
            "FaceXModel"
        ) from None


def _checked(arrays: dict[str, Any], source: str) -> tuple[Points, Ints]:
    """The template and the triangles, once all shapes are known to fit."""
    if arrays["v_template"].ndim != 2 or len(arrays["v_template"]) > MOST_VERTICES:
        raise HeadError(f"{source}: v_template has shape {arrays['v_template'].shape}, no face's")
    vertices = len(arrays["v_template"])
    expected = {
        "v_template": (vertices, 3),
        "posedirs": (vertices, 3, 9 * (len(JOINTS) - 1)),
        "J_regressor": (len(JOINTS), vertices),
        "kintree_table": (2, len(JOINTS)),
        "weights": (vertices, len(JOINTS)),
    }
    for key, shape in expected.items():
        if arrays[key].shape != shape:
            raise HeadError(f"{source}: {key} has shape {arrays[key].shape}, FLAME's is {shape}")
    if arrays["shapedirs"].ndim != 3 or arrays["shapedirs"].shape[:2] != (vertices, 3):
        raise HeadError(
            f"{source}: shapedirs has shape {arrays['shapedirs'].shape}, FLAME's is "
            f"({vertices}, 3, {COLUMNS})"
        )
    faces = arrays["f"]
    if arrays["shapedirs"].shape[2] > MOST_COLUMNS or len(faces) > 4 * MOST_VERTICES:
        raise HeadError(f"{source}: more shapes or triangles than any head has")
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iuf":
        raise HeadError(f"{source}: f has shape {faces.shape}, not triangles")
    for key, array in arrays.items():
        if not np.isfinite(array).all():
            raise HeadError(f"{source}: {key} holds values that are not finite")
    faces = faces.astype(np.int64)
    if len(faces) == 0 or not 0 <= faces.min() <= faces.max() < vertices:
        raise HeadError(f"{source}: f names vertices that are not there")
    parents = arrays["kintree_table"][0].astype(np.int64)[1:]
    if tuple(parents) != PARENTS[1:]:
        raise HeadError(f"{source}: its joints hang together as {parents.tolist()}, not as FLAME's")
    height = float(np.ptp(arrays["v_template"][:, 1]))
    if not 0.1 < height < 1.0:
        raise HeadError(f"{source}: a head {height:g} m high; FLAME's unit is the metre")
    return arrays["v_template"].astype(np.float64), faces


def _first_expression(shapedirs: Any, asked: int | None, source: str) -> int:
    columns = shapedirs.shape[2]
    first = IDENTITY_COLUMNS if asked is None else asked
    if asked is None and columns != COLUMNS:
        raise HeadError(
            f"{source}: shapedirs has {columns} columns, not {COLUMNS}: say with "
            "--first-expression N where the expressions begin"
        )
    if not 0 <= first <= columns - EXPRESSIONS:
        raise HeadError(
            f"{source}: {columns} columns hold no {EXPRESSIONS} expressions from column {first}"
        )
    return first


def _materials(p: Points, faces: Ints, found: Surveyed, balls: tuple[Bools, Bools]) -> np.ndarray:
    """(F,) which of `look.MATERIALS` each triangle is made of."""
    out = np.zeros(len(faces), dtype=np.uint8)
    inside = np.zeros(len(p), dtype=bool)
    inside[found.regions.get("mouth_inside", np.zeros(0, np.int64))] = True
    out[inside[faces].all(axis=1)] = look.NAMES.index("mouth")
    for ball in balls:
        out[ball[faces].all(axis=1)] = look.NAMES.index("sclera")
    return out


def _tint(p: Points, found: Surveyed, balls: tuple[Bools, Bools], centres: Points) -> Points:
    surveyed = bool(found.landmarks)
    tint = look.face_tint(p, found) if surveyed else np.ones_like(p)
    skin = np.zeros(len(p))
    skin[found.regions["skin"]] = 1.0
    for side, ball, centre in zip(("left", "right"), balls, centres, strict=True):
        if surveyed:
            line = look.brow_line(p, found, side)
            look.shade(tint, look.stroke(p, line, 0.09 * found.ruler) * skin * 0.9, look.BROW_RGB)
        look.paint_eye(tint, p, ball, centre)
    return tint
