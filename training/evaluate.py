"""Measure a bundle on voices it never heard, beside a loudness follower.

`python -m training.evaluate --bundle starter --steps 1 2 4` streams every held-out clip through the
product's own session and prints a table, with machine and revision.
"""

from __future__ import annotations

import json
import platform
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray

from head.rig import builtin_head
from stream.backends import load_backend
from stream.backends.protocol import Backend
from stream.session import Session, SessionOptions
from training import augment
from training.corpora import Utterance, held_out_voices, load_audio
from training.labels import make_motion
from training.metrics import Measured, measure, summary, total
from training.phones import tidy
from training.prosody import extract_prosody
from training.styles import STYLES

SETS = {
    "new voices": ("picovoice_s2i",),
    "new voices, five words": ("picovoice_wake",),
    "known voice, new sentences": ("kathleen_cc0",),
}


@dataclass(frozen=True)
class Settings:
    """What is measured: every combination of the lists, on up to `clips` clips a set."""

    bundle: str = "starter"
    steps: tuple[int, ...] = (2,)
    hop: tuple[int, ...] = (2,)
    lookahead: tuple[int, ...] = (2,)
    lip_noise: tuple[float, ...] = (1.0,)
    audio_guidance: tuple[float, ...] = (1.0,)
    snr_db: float | None = None
    """Mix in coloured noise at this ratio."""
    clips: int = 70
    sets: tuple[str, ...] = tuple(SETS)
    json: Path | None = None
    """Also write the rows here."""


def stream(
    backend: Backend, options: SessionOptions, style: str | None, samples: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The motion of a clip, (n, 54), as a live session emits it."""
    session = Session(backend, options=options, style=style)
    frames = session.feed(samples) + session.finish()
    return np.stack([frame.motion for frame in frames])


def clip_measures(
    backend: Backend, options: SessionOptions, utterance: Utterance, seed: int, settings: Settings
) -> Measured:
    """Label and stream one clip in the neutral style."""
    rng = np.random.default_rng([7, seed])
    samples = load_audio(utterance.path)
    prosody = extract_prosody(samples)
    n = len(samples) // 640
    label = make_motion(utterance.phones, n, STYLES["neutral"], rng, prosody)
    if settings.snr_db is not None:
        noise = augment.coloured_noise(len(samples), rng)
        samples = augment.mix(samples, noise, settings.snr_db)
    style = "neutral" if "neutral" in backend.styles else None
    motion = stream(backend, options, style, samples)
    session_hop = options.hop or backend.spec.live.hop
    phones = tidy(utterance.phones, prosody)
    return measure(builtin_head(), motion, label, phones, session_hop)


def rows(settings: Settings) -> list[dict[str, object]]:
    """One row per set and combination, the loudness follower first."""
    from rich.progress import track

    _, held = held_out_voices()
    model, follower = load_backend("torch", settings.bundle), load_backend("fake")
    combinations = [("loudness follower", follower, SessionOptions())]
    for steps in settings.steps:
        for hop in settings.hop:
            for lookahead in settings.lookahead:
                for lip_noise in settings.lip_noise:
                    for audio in settings.audio_guidance:
                        options = SessionOptions(
                            hop=hop,
                            lookahead=lookahead,
                            steps=steps,
                            lip_noise=lip_noise,
                            audio_guidance=audio,
                        )
                        name = f"K {steps} H {hop} R {lookahead} lip noise {lip_noise:g}"
                        name += f" audio guidance {audio:g}"
                        combinations.append((name, model, options))
    out: list[dict[str, object]] = []
    for set_name in settings.sets:
        chosen = [u for u in held if u.speaker_set in SETS[set_name]][: settings.clips]
        for name, backend, options in combinations:
            label = f"{set_name}: {name}"
            parts = [
                clip_measures(backend, options, utterance, seed, settings)
                for seed, utterance in enumerate(track(chosen, label, transient=True))
            ]
            out.append(
                {"set": set_name, "what": name, "clips": len(parts), **summary(total(parts))}
            )
    return out


def circumstances() -> str:
    """Machine and revision, for the head of every table."""
    revision = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    ).stdout.strip()
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in _lines(Path("/proc/cpuinfo"))
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return f"{processor}, Python {platform.python_version()}, revision {revision or 'unknown'}"


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def main(settings: Settings) -> None:
    """Print the table."""
    found = rows(settings)
    noise = "clean" if settings.snr_db is None else f"{settings.snr_db:g} dB"
    print(f"{settings.bundle}, {noise}; {circumstances()}")
    figures = [key for key in found[0] if key not in ("set", "what", "clips")]
    print(f"{'set':<28}{'what':<44}" + "".join(f"{name:>14}" for name in figures))
    for row in found:
        values = "".join(f"{row[name]:>14.2f}" for name in figures)
        print(f"{row['set']:<28}{row['what']:<44}{values}")
    if settings.json:
        settings.json.write_text(json.dumps({"where": circumstances(), "rows": found}, indent=1))


if __name__ == "__main__":
    main(replace(tyro.cli(Settings)))
