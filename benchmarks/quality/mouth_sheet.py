"""Mouths to look at, of people whom nothing was trained on: `posetalk bench mouths`.

`starter_mouths.png` has the tracked lips of people of GRID who only judge, with the label's and the
starter's live ones over them; `starter_stills.jpg` the label's and the starter's face in the middle
of phones, each said by other people of the corpus that judges.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.stills import MOUTH, stills
from head.channels import ROTATION
from stream.backends.protocol import Backend
from stream.backends.registry import load_backend
from stream.frames import FPS
from training.corpora.people import read_voices
from training.evaluation.heldout import HeldoutClip, stream_all
from training.faces.mouths.grid import JUDGES, MouthClip, read_mouths
from training.labels.phones import SILENCE
from training.reports.mouth_report import APERTURE, STYLE, WIDTH, labelled, streamed
from training.reports.outside_report import CONDITIONS, judged, spread

CURVES, STILLS = "starter_mouths.png", "starter_stills.jpg"
CORPUS = "test_other"
CLIPS = 60
"""Of the corpus, in which phones are looked for."""
PHONES = tuple(
    ["P", "B", "M", "F", "V", "TH", "S", "SH", "L", "R", "W", "UW", "OW", "IY", "EH", "AE", "AA"]
)
PEOPLE = 3
"""Who say each phone."""
LEAST_SECONDS = 0.06
"""A phone that is shorter is hardly seen."""
STILL = 104
"""Pixels."""
COLOURS = {"real lips": "#222222", "label": "#3d74b8", "starter, live": "#d1493f"}
CURVE_TITLES = ("apart, of the distance of the eyes", "width, of that at rest")

Array = NDArray[np.floating]


def real_mouths(model: Backend) -> list[tuple[MouthClip, dict[str, Array]]]:
    """A clip of each person who judges, and (n, 2) aperture and width of everybody in COLOURS."""
    told = []
    for person in JUDGES:
        clips = read_mouths(person)
        clip = clips[len(clips) // 2]
        real = np.where(clip.known[:, None], clip.curves[:, [APERTURE, WIDTH]], np.nan)
        curves = (real, labelled(None)(clip), streamed(model, STYLE)(clip))
        told.append((clip, dict(zip(COLOURS, curves, strict=True))))
    return told


def draw_curves(told: Sequence[tuple[MouthClip, Mapping[str, Array]]], output: Path) -> None:
    """Aperture over width, a column a person, with the phones below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.6), dpi=80, layout="constrained")
    axes = figure.subplots(2, len(told), sharex="col", sharey="row", squeeze=False)
    for column, (clip, curves) in enumerate(told):
        for row, what in enumerate(CURVE_TITLES):
            axis = axes[row, column]
            for who, curve in curves.items():
                seconds = (np.arange(len(curve)) + 0.5) / FPS
                axis.plot(seconds, curve[:, row], color=COLOURS[who], linewidth=1.4, label=who)
            axis.axhline(0.0, color="0.8", linewidth=0.6, zorder=0)
            axis.set_title(f"{clip.person}: {what}", fontsize=8, loc="left")
            axis.tick_params(labelsize=7)
        for phone in clip.phones:
            if phone.name != SILENCE:
                below = axes[1, column].get_xaxis_transform()
                axes[1, column].text(
                    phone.middle, 0.02, phone.name, fontsize=6, ha="center", transform=below
                )
        axes[1, column].set_xlabel("s", fontsize=8)
    axes[0, 0].legend(fontsize=8, frameon=False, loc="upper right")
    figure.savefig(output, metadata={"Software": None})


def phone_frames(clips: Sequence[HeldoutClip]) -> dict[str, list[tuple[int, int]]]:
    """(clip, frame) of the middle of each of PHONES, PEOPLE times at most, each in another clip."""
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in PHONES}
    for number, clip in enumerate(clips):
        for phone in sorted(clip.phones, key=lambda phone: -phone.length):
            places = found.get(phone.name)
            frame = int(phone.middle * FPS)
            if (
                places is not None
                and phone.length >= LEAST_SECONDS
                and len(places) < PEOPLE
                and all(other != number for other, _ in places)
                and frame < len(clip.label)
            ):
                places.append((number, frame))
    return found


def draw_stills(clips: Sequence[HeldoutClip], live: Sequence[Array], output: Path) -> None:
    """The label's face over the starter's: a column a phone, two rows a person; heads ahead."""
    from matplotlib.figure import Figure

    places = phone_frames(clips)
    figure = Figure(figsize=(1.05 * len(PHONES), 2.13 * PEOPLE + 0.25), dpi=STILL)
    axes = figure.subplots(2 * PEOPLE, len(PHONES))
    figure.subplots_adjust(0.025, 0.003, 0.999, 0.965, 0.02, 0.02)
    with stills(STILL, MOUTH) as camera:
        for column, name in enumerate(PHONES):
            axes[0, column].set_title(name, fontsize=8, pad=2)
            for person in range(PEOPLE):
                for row, who in enumerate(("label", "starter")):
                    axis = axes[2 * person + row, column]
                    axis.set_xticks([])
                    axis.set_yticks([])
                    if column == 0:
                        axis.set_ylabel(who, fontsize=7, labelpad=1)
                    if person < len(places[name]):
                        clip, frame = places[name][person]
                        motion = (clips[clip].label if row == 0 else live[clip])[frame].copy()
                        motion[ROTATION] = 0.0
                        axis.imshow(camera.draw(motion))
    options: dict[str, Any] = {"pil_kwargs": {"quality": 82}} if output.suffix == ".jpg" else {}
    figure.savefig(output, **options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Listen, draw both pictures, say where they are; it opens the judges' clips."""
    parser = argparse.ArgumentParser(prog="posetalk bench mouths", description=main.__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"), help="folder")
    parser.add_argument("--bundle", default="starter")
    options = parser.parse_args(arguments)
    model = load_backend("auto", options.bundle)
    draw_curves(real_mouths(model), options.output / CURVES)
    heard = [judged(one, CONDITIONS["clean"]) for one in spread(read_voices(CORPUS), CLIPS)]
    draw_stills(heard, stream_all(model, heard), options.output / STILLS)
    for name in (CURVES, STILLS):
        path = options.output / name
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")
    return 0
