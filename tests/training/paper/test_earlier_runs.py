"""Trainings that version 0.1.0 began go on: names, records and tracks of then are understood."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_training_set import write_small_set
from torch import nn

from diffposetalk.network.model import DiffPoseTalk
from diffposetalk.network.style_encoder import StyleEncoder
from training.faces.lmdb_dataset import LmdbSet
from training.paper import train
from training.paper.presets import PRESETS
from training.starter.adjacent_windows import Training
from training.starter.distillation import Student
from training.starter.mel_pretraining import SpeechPretraining
from training.starter.train import STARTER
from training.starter.write_bundle import heard_as


def digest(network: nn.Module) -> str:
    """Of names and sizes of its weights."""
    named = sorted(f"{name} {tuple(each.shape)}" for name, each in network.state_dict().items())
    return hashlib.sha256("\n".join(named).encode()).hexdigest()[:16]


def test_networks_take_the_weights_of_checkpoints() -> None:
    """The digests are of checkpoints that 0.1.0 wrote."""
    tiny = PRESETS["tiny"].spec
    of_then = replace(STARTER, speech=replace(STARTER.speech, d_out=256, d_hidden=128))
    speech = SpeechPretraining(of_then)
    training = Training(of_then, speech)
    assert digest(StyleEncoder(tiny)) == "d155fd2b82b14afd"
    assert digest(DiffPoseTalk(tiny)) == "80b9700037630e93"
    assert digest(StyleEncoder(STARTER)) == "3486451885b7704b"
    assert digest(speech) == "71c77f4d3ded62da"
    assert digest(training) == "0bc4957c8d089d60"
    assert digest(Student(training.model)) == "d258390baeb64290"


def test_a_record_without_a_later_loss_is_of_the_same_training(tmp_path: Path) -> None:
    data = write_small_set(tmp_path / "set")
    settings = train.TrainSettings(data, tmp_path / "out", preset="tiny", device="cpu")
    with LmdbSet(data) as found:
        train.Trainer(settings, train.choose("cpu"), found)
        path = tmp_path / "out" / train.SETTINGS
        record = json.loads(path.read_text())
        del record["denoiser"]["weights"]["held"]
        path.write_text(json.dumps(record))
        train.Trainer(settings, train.choose("cpu"), found)
        record["denoiser"]["weights"]["vel"] = 5.0
        path.write_text(json.dumps(record))
        with pytest.raises(ValueError, match=r"other settings \(denoiser\): choose another --out"):
            train.Trainer(settings, train.choose("cpu"), found)


def test_a_bundle_hears_as_its_tracks_were_heard() -> None:
    """Tracks of then were as loud as their recordings, and say nothing of it."""
    assert heard_as(STARTER, {"input_gain": True}).speech.input_gain
    assert not heard_as(STARTER, {"input_gain": False}).speech.input_gain
    assert not heard_as(STARTER, {}).speech.input_gain
    assert not PRESETS["starter"].spec.speech.input_gain, "clips are heard as they are"
    assert all(preset.spec.denoiser.past_mouth for preset in PRESETS.values()), "nor are mouths"
