"""Films and strips of clips that are watched blindly: `posetalk evaluate --watch DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from head.geometry.measure import lip_gap
from head.rig import builtin_head
from posetalk.terminal.console import UsageError, say
from posetalk.terminal.progress import frame_bar
from stream.frames import FPS

if TYPE_CHECKING:
    from training.reports.watched_clips import WatchedClip

SIZE = 320
"""Pixels of a film's side."""
STILL, COLUMNS = 80, 20
"""Pixels of a picture in a strip, and how many stand in a row: 0.8 s."""
CROP = (0.42, 0.92, 0.25, 0.75)
"""What a strip shows of a picture: the mouth; top, bottom, left and right."""


def watch(folder: Path, bundles: list[str]) -> int:
    """Make the clips, the sheet for answers and the key; or, with answers given, count them.

    Raises:
        UsageError: the folder has something else in it.
    """
    from training.reports.watched_clips import ANSWERS, key_of, letters, verdict, watched_clips
    from training.reports.watched_clips import write_sheet as write

    if (folder / ANSWERS).exists():
        told = verdict(folder)
        if told is None:
            raise UsageError(f"{folder / ANSWERS} has no answers yet: name another folder for more")
        print(told)
        return 0
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty: name a new folder")
    clips = watched_clips(bundles)
    key = letters(clips, seed=0)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = sum(len(motion) for clip in clips for motion in clip.motion.values())
    with frame_bar(folder.name, pictures) as progress:
        done = 0
        for clip in clips:
            for letter, who in key[clip.name].items():
                done += _make(folder / f"{clip.name}_{letter}", clip, who)
                progress(done)
    write(folder, key)
    say(f"{len(clips)} clips in {folder}: fill in {ANSWERS}, then the same command counts them")
    say(f"who is who is in {key_of(folder)}: keep it from those who watch")
    return 0


def _make(path: Path, clip: WatchedClip, who: str) -> int:
    """A film with its sound, and a strip of it; the frames that were drawn."""
    from viewer.play.player import vertices_of_motion
    from viewer.play.video import VideoWriter
    from viewer.render.renderer import Renderer

    head, motion = builtin_head(), clip.motion[who]
    stills = []
    with (
        Renderer(head, SIZE, SIZE) as renderer,
        VideoWriter(path.with_suffix(".mp4"), SIZE, SIZE, FPS) as film,
    ):
        for row in motion:
            picture = renderer.render(vertices_of_motion(head, row.astype(np.float32), None))
            film.add_frame(picture)
            stills.append(_mouth(picture))
        film.add_audio(clip.samples.astype(np.float32))
    _strip(path.with_suffix(".png"), clip, motion, stills)
    return len(motion)


def _mouth(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mouth of a picture, smaller."""
    from PIL import Image

    top, bottom, left, right = (round(share * SIZE) for share in CROP)
    small = Image.fromarray(picture[top:bottom, left:right, :3]).resize((STILL, STILL))
    return np.asarray(small)


def _strip(path: Path, clip: WatchedClip, motion: Any, stills: list[NDArray[np.uint8]]) -> None:
    """All frames in rows, the sound's envelope with the lips' opening, and their lag."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from training.evaluation.face import Face
    from training.reports.watched_clips import envelope, lags

    n, rows = len(stills), -(-len(stills) // COLUMNS)
    sheet = np.full((rows * STILL, COLUMNS * STILL, 3), 255, np.uint8)
    for k, still in enumerate(stills):
        top, left = k // COLUMNS * STILL, k % COLUMNS * STILL
        sheet[top : top + STILL, left : left + STILL] = still
    face = Face.of(builtin_head())
    gap = 1000.0 * np.asarray(lip_gap(face.part, face.vertices(motion)))
    loud = envelope(clip.samples, n)
    figure = Figure(figsize=(16, 0.8 * rows + 2.6), dpi=100)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2, height_ratios=(0.8 * rows, 2.0), width_ratios=(4, 1))
    shown = figure.add_subplot(grid[0, :])
    shown.imshow(sheet)
    shown.axis("off")
    curves, late = figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
    seconds = (np.arange(n) + 0.5) / FPS
    curves.fill_between(seconds, loud / max(float(loud.max()), 1e-9), color="0.8")
    curves.plot(seconds, gap / max(float(gap.max()), 1e-9), color="tab:red")
    curves.set_xlabel("seconds; grey: sound, red: lips apart")
    at, found = lags(gap, loud)
    late.plot(1000.0 * at / FPS, found)
    late.axvline(0.0, color="0.7")
    late.set_xlabel("ms that the lips are late")
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
