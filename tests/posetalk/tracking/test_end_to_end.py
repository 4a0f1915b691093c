"""From films of people to a dataset and a first training step, with the real tracker."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from head.rig import builtin_head
from posetalk import demo_speech
from posetalk.__main__ import main
from posetalk.tracking.scenes import SPEECH_ONLY, draw, known_motion

SECONDS = 9


def _film(path: Path, person: int) -> None:
    """A drawn person who moves, with the demo's speech: pictures and sound in one file."""
    import av
    import soundfile

    scene = replace(SPEECH_ONLY[person], width=224, height=224, seconds=SECONDS)
    exp, pose = known_motion(scene)
    speech, rate = soundfile.read(demo_speech(), dtype="float32", frames=SECONDS * 16000)
    assert rate == 16000
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 224, 224, "yuv420p"
        audio = container.add_stream("aac", rate=16000, layout="mono")
        for k, picture in enumerate(draw(scene, builtin_head(), exp, pose)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for first in range(0, len(speech) - 1023, 1024):
            heard = av.AudioFrame.from_ndarray(
                speech[None, first : first + 1024], format="fltp", layout="mono"
            )
            heard.sample_rate, heard.pts, heard.time_base = 16000, first, Fraction(1, 16000)
            container.mux(audio.encode(heard))
        container.mux(audio.encode(None))


@pytest.mark.extra("video")
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_films_become_a_dataset_that_trains(
    landmark_model: Path, can_draw: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("lmdb", reason="not run: lmdb is not installed")
    pytest.importorskip("torch", reason="not run: torch is not installed")
    for person, name in enumerate(("ada", "grace", "mary")):
        _film(tmp_path / "films" / name / "talk.mp4", person)
    faces, kept = tmp_path / "faces", tmp_path / "kept"
    films = str(tmp_path / "films")
    assert main(["dataset", "build", films, "-o", str(faces), "--recordings", str(kept)]) == 0
    said = capsys.readouterr().err
    assert "left out" not in said and said.count("% believed") == 3
    assert sorted(p.parent.name for p in kept.glob("*/talk_000.npz")) == ["ada", "grace", "mary"]
    assert main(["dataset", "check", str(faces)]) == 0
    with np.load(kept / "ada" / "talk_000.npz", allow_pickle=False) as arrays:
        assert len(arrays["exp"]) >= 200 and arrays["exp"].std(0).max() > 0.05
    from training.paper.train import TrainSettings
    from training.paper.train import main as train

    out = tmp_path / "trained"
    train(TrainSettings(data=faces, out=out, preset="tiny", style_steps=2, steps=2, batch=2))
    assert (out / "bundle" / "model.safetensors").is_file()
