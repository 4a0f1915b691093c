"""Tracks are heard as live encoders hear: gains and levels begin anew with each stream."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from diffposetalk.network.mel import COLUMNS, MelEncoder
from diffposetalk.network.mel_front import TAIL_SAMPLES
from diffposetalk.spec import ModelSpec, SpeechEncoderSpec
from stream.core.hearing.input_gain import InputGain
from stream.frames import FRAME_SAMPLES
from training.corpora.utterances import Utterance, load_audio
from training.labels.phones import Phone
from training.speech import hearings
from training.speech.track_batches import Tracks


def voice(seconds: float, level: float = 0.1) -> np.ndarray:
    t = np.arange(round(seconds * 16_000)) / 16_000
    buzz = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 20))
    return (level * buzz * (t % 0.4 < 0.28)).astype(np.float32)


@pytest.mark.parametrize("gained", [False, True])
def test_columns_are_those_of_live_streams_that_begin_at_each_restart(gained: bool) -> None:
    sound = hearings.lines.coarse(voice(12.0, 0.004))
    rng = np.random.default_rng(4)  # one that begins with a level not known and no warp drawn twice
    restarts = [80, 190]
    heard = hearings.columns_heard(sound, 40, rng, restarts, input_gain=gained)
    assert heard.shape == (COLUMNS * 300, 40) and heard.dtype == np.float16
    again = np.random.default_rng(4)
    warp = float(np.exp(again.uniform(np.log(0.9), np.log(1.12))))
    spec = ModelSpec(speech=SpeechEncoderSpec(kind="mel", n_mels=40, d_hidden=8, d_out=8))
    encoder = MelEncoder(spec)
    encoder.filters = torch.from_numpy(hearings.mel_filterbank(40, warp))
    # The second stream, hop by hop, as a session hears it.
    level, gain, tail, live = None, InputGain(), np.zeros(TAIL_SAMPLES, np.float32), []
    for frame in range(80, 190):
        pcm = sound[frame * FRAME_SAMPLES : (frame + 1) * FRAME_SAMPLES]
        if gained:
            pcm = gain.apply(pcm[None])[0]
        samples = torch.from_numpy(np.concatenate([tail, pcm]))[None]
        level = encoder.initial_state().level if level is None else level
        columns, level = hearings.normalise(hearings.mel_columns(samples, encoder.filters), level)
        live.append(columns[0])
        tail = samples[0, -TAIL_SAMPLES:].numpy()
    told = heard[COLUMNS * 80 : COLUMNS * 190].astype(np.float32)
    np.testing.assert_allclose(told, torch.cat(live).numpy(), atol=0.01)


def test_a_gain_brings_quiet_streams_to_the_columns_of_loud_ones() -> None:
    apart = []
    for gained in (False, True):
        quiet, loud = (
            hearings.columns_heard(
                voice(12.0, level), 40, np.random.default_rng(4), input_gain=gained
            )[COLUMNS * 200 :].astype(np.float32)
            for level in (0.0008, 0.1)
        )
        apart.append(np.abs(quiet - loud).mean())
    assert apart[1] < 0.5 * apart[0]


def test_hearings_keep_length_and_are_a_function_of_their_generator(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", voice(2.0), 16_000)
    other = Utterance("a", "x", tmp_path / "a.wav", 2.0, (Phone("AH", 0.0, 2.0),))
    sound, noises = voice(4.0), [voice(1.0)]
    for hearing in range(4):
        one, same = (
            hearings.hear(sound, np.random.default_rng([hearing, 7]), noises, [other], hearing)
            for _ in range(2)
        )
        assert np.array_equal(one, same) and one.shape == sound.shape
        assert np.abs(one).max() <= 1.0 and np.isfinite(one).all()


def test_a_part_of_a_recording_is_read_alone(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", voice(2.0), 16_000)
    whole = Utterance("a", "x", tmp_path / "a.wav", 2.0, ())
    piece = load_audio(replace(whole, span=(0.5, 1.25)))
    np.testing.assert_array_equal(piece, load_audio(whole)[8000:20_000])


def test_restarts_leave_room() -> None:
    rng = np.random.default_rng(0)
    drawn = [hearings.drawn_restarts(400, rng) for _ in range(300)]
    assert 0.3 < np.mean([not d for d in drawn]) < 0.7 and max(map(len, drawn)) == 3
    for restarts in drawn:
        assert (np.diff([0, *restarts, 400]) >= 60).all()
    assert hearings.drawn_restarts(100, rng) == []


def test_crops_begin_where_streams_do_and_are_not_heard_across_it(tmp_path: Path) -> None:
    n = 400
    columns = np.zeros((2, COLUMNS * n, 3), np.float16)
    columns[:, :, 0] = np.repeat(np.arange(n), COLUMNS)
    columns[1, :, 1] = 1.0
    np.save(tmp_path / "columns.npy", columns)
    np.save(tmp_path / "motion.npy", np.random.default_rng(0).random((n, 54)).astype(np.float32))
    np.save(tmp_path / "phone.npy", np.zeros(n, np.uint8))
    span = {"start": 0, "end": n, "style": 0, "set": "a", "restarts": [[150], [230]]}
    (tmp_path / "tracks.json").write_text(
        json.dumps({"spans": [span], "styles": [0], "named": ["x"]}), "utf-8"
    )
    tracks, rng = Tracks(tmp_path), np.random.default_rng(1)
    begun = tracks.crops(200, 40, 26, rng, starts=1.0, lead=12)
    firsts = begun.columns[:, COLUMNS * (12 + 25), 0].unique().tolist()
    assert sorted(firsts) == [0, 150, 230]
    amid = tracks.crops(200, 40, 26, rng)
    for row in amid.columns[:, ::COLUMNS]:
        own = 230 if row[0, 1] == 1 else 150
        assert not (row[:, 0].min() < own <= row[:, 0].max()).item()
