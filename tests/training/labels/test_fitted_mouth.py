"""The numbers fitted to real mouths, the model that uses them, and when lips part and meet."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from training.labels import coarticulation as co
from training.labels import lip_contact, mouth_constants
from training.labels.label_styles import STYLES
from training.labels.labels import articulation, make_motion
from training.labels.mouth_constants import NAMES, fitted, read_constants, write_constants
from training.labels.phones import DIPHTHONGS, INVENTORY, SILENCE, Phone, fill_gaps
from training.labels.prosody import extract_prosody

NEUTRAL = STYLES["neutral"]


def said(names: str, start: float = 1.0, length: float = 0.09) -> list[Phone]:
    phones = [Phone(n, start + i * length, length) for i, n in enumerate(names.split())]
    return fill_gaps(phones, phones[-1].end + 0.6)


def aperture(phones: list[Phone], lookahead: float | None) -> np.ndarray:
    duration = phones[-1].end
    t = np.arange(round(16_000 * duration)) / 16_000
    sound = np.zeros(len(t), np.float32)
    for phone in phones:
        if phone.name != SILENCE:
            inside = (t >= phone.start) & (t < phone.end)
            sound[inside] = 0.2 * np.sign(np.sin(2 * np.pi * 140 * t[inside]))
    prosody = extract_prosody(sound)
    n = int(duration * 25)
    return articulation(phones, n, NEUTRAL, prosody, lookahead=lookahead)[:, co.APERTURE]


def test_every_phone_has_numbers_that_are_those_of_a_mouth() -> None:
    numbers = fitted()
    assert set(NAMES) >= INVENTORY - DIPHTHONGS
    mouth = numbers.target[:, mouth_constants.FITTED.index("aperture")]
    assert mouth.min() > -0.1 and mouth.max() < 0.4, "shares of the distance of the eyes"
    assert (numbers.strength > 0).all() and (numbers.before > 0.01).all()
    assert (numbers.core >= 0).all() and (numbers.core < 0.5).all()
    assert numbers.lead.min() >= 0.0 and numbers.lead.max() < 0.5
    low = max(mouth[numbers.of(name)] for name in "PBM")
    assert low < min(mouth[numbers.of(name)] for name in ("AA", "AE", "EH", "AY1", "EY1"))


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mouth.json"
    write_constants(path, fitted(), {"credit": "somebody"})
    again = read_constants(path)
    for key in ("target", "strength", "before", "after", "core", "reach", "vigour", "lag", "lead"):
        np.testing.assert_allclose(getattr(again, key), getattr(fitted(), key), rtol=1e-3)
    assert again.ahead.keys() == fitted().ahead.keys()
    assert "GRID" in json.loads(mouth_constants.FILE.read_text("utf-8"))["credit"]


@pytest.mark.parametrize("change", [{"articulators": ["jaw"]}, {"lag": [0, 0, 0, 0, float("nan")]}])
def test_other_files_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    told = json.loads(mouth_constants.FILE.read_text("utf-8")) | change
    (tmp_path / "wrong.json").write_text(json.dumps(told), "utf-8")
    with pytest.raises(ValueError, match="no file of mouth constants"):
        read_constants(tmp_path / "wrong.json")


def test_consonants_take_their_neighbours_shape() -> None:
    wide, narrow = (
        co.blend(co.segments(said(f"{v} T {v}"), NEUTRAL), np.array([1.135])) for v in ("EY", "UW")
    )
    assert wide[0, co.APERTURE] > narrow[0, co.APERTURE] + 2.0
    assert wide[0, co.WIDTH] > narrow[0, co.WIDTH] + 0.5


def test_lips_part_before_a_word_as_people_do_and_no_earlier_than_can_be_heard() -> None:
    phones = said("AE T AE T")
    before = 1.0 - (np.arange(25) + 0.5) / 25
    free, capped, deaf = (aperture(phones, ahead) for ahead in (None, 0.08, 0.0))
    early = (before > 0.1) & (before < 0.25)
    assert free[:25][early].max() > 2.0
    assert capped[:25][before > 0.081].max() < 0.5 and capped[:25][before < 0.04].max() > 1.5
    assert deaf[:25].max() < 0.5
    # What the word itself looks like is the same.
    np.testing.assert_allclose(free[27:], capped[27:], atol=1e-9)
    with pytest.raises(ValueError, match="lookahead"):
        aperture(phones, -0.1)


def test_a_pause_is_read_whole_and_in_order_whatever_the_lookahead() -> None:
    phones = said("AE T", start=0.9)
    times = np.arange(0.005, phones[-1].end, 0.01)
    for lookahead in (0.0, 0.04, 0.08, 0.2, 1.0):
        read = lip_contact.opened_in_time(times, phones, lookahead)
        assert (np.diff(read) > 0).all() and (read <= times + 1e-9).all()
        assert abs(read[0] - times[0]) < 0.01
        np.testing.assert_array_equal(read[times > 0.9], times[times > 0.9])


def test_lips_meet_whatever_the_fit_says() -> None:
    times = (np.arange(300) + 0.5) / 100
    phones = said("AA B AA F AA")
    met = lip_contact.met(np.full(300, 14.0), times, phones, NEUTRAL)
    for phone in phones:
        middle = met[np.abs(times - phone.middle).argmin()]
        if phone.name == "B":
            assert middle < -3.5
        elif phone.name == "F":
            assert 0.0 < middle < 3.0
        elif phone.name == "AA":
            assert middle > 9.0


def test_a_style_widens_and_rounds_around_the_mean_of_speech() -> None:
    sizes = {}
    for name in ("neutral", "theatrical", "mumbling"):
        values = co.blend(co.segments(said("S IY W UW L"), STYLES[name]), np.linspace(1.0, 1.4, 40))
        sizes[name] = np.ptp(values[:, co.WIDTH])
    assert sizes["mumbling"] < sizes["neutral"] < sizes["theatrical"]


def test_make_motion_takes_other_numbers() -> None:
    phones = said("AE T AE T")
    prosody = extract_prosody(np.zeros(round(16_000 * phones[-1].end), np.float32))
    numbers = fitted()
    flat = mouth_constants.MouthConstants(
        **{**vars(numbers), "target": np.zeros_like(numbers.target), "ahead": {}, "carried": {}}
    )
    usual, other = (
        make_motion(phones, 40, NEUTRAL, np.random.default_rng(0), prosody, numbers=n)
        for n in (None, flat)
    )
    assert np.abs(usual - other)[25:35].max() > 0.02
