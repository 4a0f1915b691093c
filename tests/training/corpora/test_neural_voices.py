"""Voices of Kokoro: blends that are nobody's, in its own letters, timed as they were said."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from training.corpora.neural_voices import TIMBRE, Kokoro, VoiceSettings, blends, main, phonemes


def test_blends_are_given_voices_first_then_mixtures_of_them() -> None:
    rng = np.random.default_rng(3)
    own = [rng.standard_normal((5, 1, 2 * TIMBRE)).astype(np.float32) for _ in range(3)]
    made = blends(own, 10, np.random.default_rng(0))
    assert len(made) == 10 and all(np.array_equal(a, b) for a, b in zip(made, own, strict=False))
    middle = np.mean(own, 0)
    for style in made[3:]:
        assert style.shape == own[0].shape and style.dtype == np.float32
        for part, least, most in ((slice(0, TIMBRE), 1.0, 1.5), (slice(TIMBRE, None), 1.0, 1.0)):
            ends = np.stack([(voice - middle)[..., part].ravel() for voice in own], 1)
            told = (style - middle)[..., part].ravel()
            shares, *_ = np.linalg.lstsq(
                np.vstack([ends, np.ones(3)]), np.append(told, 1.0), rcond=None
            )
            far = np.linalg.norm(told) / np.linalg.norm(ends @ shares)
            assert least - 0.3 < far < most + 0.3
    assert not np.array_equal(made[3], made[4])
    again = blends(own, 10, np.random.default_rng(0))
    assert all(np.array_equal(a, b) for a, b in zip(made, again, strict=True))
    assert len(blends(own, 2, np.random.default_rng(0))) == 2


def test_nobody_or_nothing_is_refused_before_anything_is_loaded() -> None:
    for wrong in (VoiceSettings(voices=0), VoiceSettings(sentences=0)):
        with pytest.raises(ValueError, match="at least one voice"):
            main(wrong)


@pytest.mark.extra("corpora")
def test_kokoro_says_what_espeak_reads() -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("not run: no espeak-ng")
    ipa = phonemes("Judge the boat, five choices.", "en-us")
    assert "ʤ" in ipa and "O" in ipa and "I" in ipa and "ʧ" in ipa and ipa.endswith(".")
    assert not {"r", "x", "ɐ"} & set(ipa)


@pytest.mark.extra("corpora")
def test_a_voice_speaks_and_a_faster_one_is_shorter() -> None:
    speaker = Kokoro(2)
    style = next(iter(speaker.styles.values()))
    slow, fast = (speaker.say("həlˈO, hˌW ɑɹ jˈu.", style, tempo) for tempo in (0.8, 1.3))
    assert slow.dtype == np.float32 and 0.5 < len(fast) / 16_000 < len(slow) / 16_000 < 4.0
    assert 0.05 < np.abs(slow).max() <= 1.0
