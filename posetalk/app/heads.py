"""What `posetalk head` says and draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from head.channels import CHANNELS
from head.library import heads_folder, own_heads
from head.model import Head, HeadError
from head.new_file import new_file
from head.painting import colour_of
from head.poses import POSES
from head.rig import CHARACTERS, character, load_head
from head.skinning import skin

_POSES = ("smile", "pucker", "blink", "TH", "surprise", "anger")


def kind(head: Head) -> str:
    """What moves it, in a few words."""
    named = "ARKit's channels by name" if head.expression_names == CHANNELS else "its own channels"
    return f"{len(head.expression_names)} expressions ({named})"


def listing() -> str:
    """One line for each head."""
    lines = []
    for name in CHARACTERS:
        head = character(name)
        lines.append(f"{name}  {head.vertex_count} vertices, {kind(head)}")
    for path in own_heads():
        try:
            head = load_head(path)
            lines.append(f"{path.stem}  {head.vertex_count} vertices, {kind(head)}")
        except HeadError as error:
            lines.append(f"{path.stem}  cannot be used: {error}")
    if len(lines) == len(CHARACTERS):
        lines.append(
            "add FLAME or ICT-FaceKit with `posetalk head import FILE|FOLDER`; "
            f"imported heads are kept in {heads_folder()}"
        )
    return "\n".join(lines)


def about(head: Head) -> str:
    """What is in a head, several lines."""
    span = np.ptp(head.template, axis=0) * 1000
    joints = ", ".join(
        f"{name} ({', '.join(f'{1000 * x:.0f}' for x in place)})"
        for name, place in zip(head.joint_names, np.asarray(head.rest_joints), strict=True)
    )
    regions = ", ".join(f"{name} {len(index)}" for name, index in sorted(head.regions.items()))
    return "\n".join(
        [
            f"{head.id}: {head.vertex_count} vertices, {len(head.faces)} triangles, "
            f"{span[0]:.0f} x {span[1]:.0f} x {span[2]:.0f} mm",
            f"expressions: {kind(head)}; identity shapes: {head.shape_count}; "
            f"pose correctives: {'yes' if head.pose_basis is not None else 'no'}",
            f"joints (mm): {joints}",
            f"turns at the {head.turning_joint}; jaw fully open at "
            f"{np.degrees(head.jaw_open_radians):.0f} degrees",
            f"regions (vertices): {regions}",
            f"landmarks: {', '.join(sorted(head.landmarks))}",
            f"colours: {', '.join(f'{m.name} {colour_of(m)}' for m in head.materials)}",
        ]
    )


def picture(head: Head, path: Path, size: int) -> None:
    """Write a sheet: at rest, its jaw open, from two sides, and six expressions.

    Those are named poses for a head with ARKit's channels, else the channels that move most.
    """
    from PIL import Image

    from viewer.render.renderer import Renderer

    rest = np.zeros(len(head.expression_names), np.float32)
    jaw = np.array([head.jaw_open_radians, 0, 0], np.float32)
    if head.expression_names == CHANNELS:
        faces = [POSES[name].vertices(head) for name in _POSES]
    else:
        most = np.argsort(-np.linalg.norm(head.expression_basis, axis=1).max(axis=0))[:6]
        faces = list(skin(head, 2 * np.eye(len(rest), dtype=np.float32)[most]))
    with Renderer(head, size, size) as renderer:
        views = [
            renderer.render(head.template),
            renderer.render(skin(head, rest, jaw_pose=jaw)),
            renderer.render(head.template, yaw=-40),
            renderer.render(head.template, yaw=-85),
            *[renderer.render(face) for face in faces],
        ]
    rows = [np.concatenate(views[k : k + 5], axis=1) for k in range(0, 10, 5)]
    with new_file(path) as part:
        Image.fromarray(np.concatenate(rows)).save(part)
