"""Real mouths are read as they are, and the fit's model is the labels' own."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from training.faces.mouths import grid
from training.faces.mouths import model as mouth_model
from training.faces.mouths.fit import (
    LEFT_OUT,
    LabelSettings,
    Mouth,
    agreement,
    constants,
    fit,
    frames_of,
    predicted,
    seen_pairs,
)
from training.faces.mouths.grid import FITTING, JUDGES, MouthClip, Word, read_mouths
from training.labels import coarticulation as co
from training.labels.label_styles import STYLES
from training.labels.mouth_constants import FITTED, NAMES
from training.labels.phones import Phone, fill_gaps
from training.labels.prosody import extract_prosody

WORDS = ("bin", "seven", "lay", "two")
SPELLED = {"bin": "B IH N", "seven": "S EH V AH N", "lay": "L EY", "two": "T UW"}


def clip(rng: np.random.Generator, number: int) -> MouthClip:
    """A sentence of WORDS in some order, whose curves are a blend with known numbers."""
    phones, words, at = [], [], 0.6
    for name in rng.permutation(WORDS):
        begun = at
        for phone in SPELLED[name].split():
            length = float(rng.uniform(0.06, 0.16))
            phones.append(Phone(phone, at, length))
            at += length
        words.append(Word(str(name), begun, at))
    told = tuple(fill_gaps(phones, 3.0))
    samples = np.zeros(48_000, np.float32)
    middles = (np.arange(75) + 0.5) / 25
    opening = np.zeros(75)
    for phone in told:
        high = {"IH": 0.08, "EH": 0.12, "EY": 0.15, "AH": 0.09, "UW": 0.05}.get(phone.name, 0.02)
        opening += high * np.exp(-(((middles - phone.middle) / 0.07) ** 2))
    sizes = np.array([0.6, 1.0, 0.2, 0.1, -0.2])
    curves = opening[:, None] * sizes - np.array([0.0, 0.0, 0.03, 0.0, 0.0])
    known = np.ones(75, bool)
    known[:2] = False
    return MouthClip(
        f"x/{number}",
        "x",
        samples,
        told,
        tuple(words),
        curves.astype(np.float32),
        known,
        extract_prosody(samples),
    )


@pytest.fixture(scope="module")
def clips() -> list[MouthClip]:
    rng = np.random.default_rng(0)
    return [clip(rng, number) for number in range(24)]


@pytest.fixture(scope="module")
def model(clips: list[MouthClip]) -> Mouth:
    return fit(frames_of(clips[:18]), LabelSettings(steps=60, batch=600), leave_out=False)


def test_a_fit_follows_mouths_that_it_did_not_see(clips: list[MouthClip], model: Mouth) -> None:
    frames = frames_of(clips[18:])
    told = agreement(model, frames, frames.known & frames.spoken)
    assert told[FITTED.index("aperture"), 0] > 0.9


def test_the_same_settings_give_the_same_numbers(clips: list[MouthClip]) -> None:
    frames = frames_of(clips[:6])
    one, other = (fit(frames, LabelSettings(steps=3, batch=200), leave_out=True) for _ in range(2))
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_no_frame_near_a_word_that_is_left_out_is_fitted(clips: list[MouthClip]) -> None:
    """Curves there may be anything: the numbers stay."""
    frames, spoiled = frames_of(clips[:6]), frames_of(clips[:6])
    assert frames.near_left_out.any() and not frames.near_left_out.all()
    spoiled.curves[torch.from_numpy(spoiled.near_left_out)] = 9.0
    one, other = (
        fit(f, LabelSettings(steps=3, batch=200), leave_out=True) for f in (frames, spoiled)
    )
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    assert {"two", "seven", "a", "d"} <= LEFT_OUT and not {"bin", "lay", "b"} & LEFT_OUT
    assert ("T", "UW") not in seen_pairs(clips, True, least=1)
    assert ("T", "UW") in seen_pairs(clips, False, least=1)


def test_labels_and_fit_are_one_model(clips: list[MouthClip], model: Mouth) -> None:
    one = clips[0]
    numbers = constants(model, np.ones(len(FITTED)), seen_pairs(clips, False, least=1))
    vigour = mouth_model.gestures.vigour(one.phones, one.prosody)
    parts = co.segments(one.phones, STYLES["neutral"], vigour, numbers)
    # Rest is set by hand and styles bend nothing here: look where phones rule.
    ours = co.blend(parts, one.middles)[:, : len(FITTED)] / co.TO_HEAD
    theirs = predicted(model, frames_of([one]))
    start, end = one.words[0].start + 0.15, one.words[-1].end - 0.15
    inside = (one.middles > start) & (one.middles < end)
    apertures = FITTED.index("aperture")
    np.testing.assert_allclose(ours[inside, apertures], theirs[inside, apertures], atol=0.01)


def test_gains_enlarge_travel_and_leave_rest_alone(clips: list[MouthClip], model: Mouth) -> None:
    plain, larger = (constants(model, np.full(len(FITTED), g), set()) for g in (1.0, 1.5))
    np.testing.assert_allclose(plain.target[0], larger.target[0])
    aperture = FITTED.index("aperture")
    row = NAMES.index("EH")
    np.testing.assert_allclose(
        larger.target[row, aperture], 1.5 * plain.target[row, aperture], rtol=1e-5
    )


def test_quiet_leaves_out_the_opening_before_a_word(clips: list[MouthClip]) -> None:
    one = clips[0]
    start = next(p.start for p in one.phones if p.name != "SIL")
    assert not one.quiet[(one.middles > start - 0.3) & (one.middles < start)].any()
    assert one.quiet.any() and not (one.quiet & one.spoken).any()
    assert not one.known[: grid.SKIPPED_FRAMES].any()


def test_the_judges_are_read_with_words_and_a_neutral_of_their_own() -> None:
    data = os.environ.get("POSETALK_DATA")
    if data is None or not (Path(data) / "grid").is_dir():
        pytest.skip("not run: set POSETALK_DATA to a folder with GRID's mouths")
    people = {person: read_mouths(person) for person in JUDGES}
    assert FITTING not in JUDGES
    for person, found in people.items():
        assert len(found) > 10 and sum(bool(c.words) for c in found) >= len(found) - 2
        spoken = np.concatenate([c.curves[c.spoken] for c in found])
        assert np.isfinite(spoken).all()
        assert -0.05 < np.percentile(spoken[:, 1], 5) < 0.05, person
        for one in found:
            assert not one.known[:2].any() and len(one.curves) == len(one.known)


def test_the_weight_of_pairs_holds_back_what_neighbours_add(clips: list[MouthClip]) -> None:
    frames, added = frames_of(clips[:6]), []
    for weight in (0.0, 100.0):
        settings = LabelSettings(steps=25, batch=200, pairs=weight)
        added.append(float(fit(frames, settings, leave_out=True).added().detach()))
    assert added[1] < 0.5 * added[0]


def test_what_neighbours_add_costs_its_square(clips: list[MouthClip], model: Mouth) -> None:
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.ahead.fill_(2.0)
        other.carried.fill_(3.0)
    assert float(other.added().detach()) == 4.0 * other.ahead.numel() + 9.0 * other.carried.numel()
