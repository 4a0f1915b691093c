"""What tells the starter's styles apart: measured from its motion, and by its style encoder."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from diffposetalk.network.style_encoder import StyleEncoder
from head.channels import CHANNELS
from head.geometry.measure import lip_gap
from head.rig import builtin_head
from stream.backends.protocol import Backend
from stream.frames import FPS, FRAME_SAMPLES, SAMPLE_RATE
from training.corpora.utterances import held_out_voices, load_audio
from training.evaluation.batch_rollout import Rollout, rollout
from training.evaluation.live_figures import blinks, head_range
from training.evaluation.motion_metrics import head_speed, vertices
from training.labels.label_styles import STYLES
from training.labels.labels import make_motion
from training.labels.prosody import extract_prosody

Array = NDArray[np.float32]
SECONDS = 60
CROP = 100
"""Frames that the style encoder sees."""
LAG_STEPS = range(-4, 5)
SMILE, BROW = (
    [CHANNELS.index(f"{stem}{side}") for side in ("Left", "Right")]
    for stem in ("mouthSmile", "browOuterUp")
)


def style_tables(model: Backend, encoder: StyleEncoder) -> list[str]:
    """The section on styles: a table of what each does, and how often motion tells its style."""
    sound = _speech(SECONDS)
    names = list(model.styles)
    motion = rollout(model, [Rollout(sound, name, 0) for name in names])
    told = dict(zip(names, motion, strict=True))
    labels = {name: _label(name) for name in names}
    return [
        f"The same {SECONDS} seconds of a held-out voice in every style, at the live defaults.",
        _table(told, names[0]),
        f"The style encoder, asked for the nearest named style of {CROP} frames it never saw: "
        f"right for {_retrieved(model, encoder, labels):.0f} % of crops of label motion and "
        f"{_retrieved(model, encoder, told):.0f} % of crops of the starter's own motion "
        f"({100 / len(names):.0f} % by chance).",
    ]


def _speech(seconds: int) -> Array:
    """Held-out utterances of the known voice, joined."""
    _, held = held_out_voices()
    parts = [load_audio(u) for u in held if u.speaker_set == "kathleen_cc0"]
    return np.concatenate(parts)[: seconds * SAMPLE_RATE]


def _label(style: str) -> Array:
    """Label motion of held-out utterances in a style, joined: (n, 54)."""
    _, held = held_out_voices()
    rng = np.random.default_rng([ord(letter) for letter in style])
    parts: list[Array] = []
    for utterance in [u for u in held if u.speaker_set == "kathleen_cc0"][:20]:
        samples = load_audio(utterance)
        n = len(samples) // FRAME_SAMPLES
        prosody = extract_prosody(samples)
        parts.append(make_motion(utterance.phones, n, STYLES[style], rng, prosody))
    return np.concatenate(parts)


def _table(told: dict[str, Array], usual: str) -> str:
    lines = [
        "| style | lips apart, 90th percentile, mm | lips earlier than neutral's, ms "
        "| head range, degrees | head speed, degrees/s | blinks a minute | smile | brows |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    head = builtin_head()
    gaps = {name: 1e3 * np.asarray(lip_gap(head, vertices(head, m))) for name, m in told.items()}
    for name, motion in told.items():
        gap = gaps[name]
        lines.append(
            f"| {name} | {np.percentile(gap, 90):.1f} "
            f"| {1000 / FPS * _lead(gap, gaps[usual]):+.0f} | {head_range(motion):.1f} "
            f"| {FPS * head_speed(motion).mean():.1f} "
            f"| {60 * FPS * blinks(motion) / len(motion):.0f} "
            f"| {motion[:, SMILE].mean():.2f} | {motion[:, BROW].mean():.2f} |"
        )
    return "\n".join(lines)


def _lead(gap: NDArray[np.floating], usual: NDArray[np.floating]) -> float:
    """Frames, to a fraction, by which a curve runs ahead of another: peak of their correlation."""
    edge = max(LAG_STEPS)
    n = len(usual)
    score = np.array(
        [
            np.corrcoef(gap[edge - lag : n - edge - lag], usual[edge : n - edge])[0, 1]
            for lag in LAG_STEPS
        ]
    )
    best = int(np.clip(score.argmax(), 1, len(score) - 2))
    before, peak, after = score[best - 1 : best + 2]
    curve = before - 2 * peak + after
    return float(LAG_STEPS[best] + (0.5 * (before - after) / curve if curve < 0 else 0.0))


@torch.no_grad()
def _retrieved(model: Backend, encoder: StyleEncoder, motion: dict[str, Array]) -> float:
    """Per cent of crops whose style vector is nearest (cosine) to their own style's."""
    statistics = model.statistics
    names = list(motion)
    known = _directions(torch.from_numpy(np.stack([model.styles[name] for name in names])))
    right = total = 0
    for index, name in enumerate(names):
        normal = (motion[name] - statistics.motion_mean) / statistics.motion_std
        count = len(normal) // CROP
        crops = torch.from_numpy(normal[: count * CROP].reshape(count, CROP, -1)).float()
        nearest = (_directions(encoder(crops)) @ known.T).argmax(1)
        right, total = right + int((nearest == index).sum()), total + count
    return 100.0 * right / total


def _directions(vectors: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vectors, dim=-1)
