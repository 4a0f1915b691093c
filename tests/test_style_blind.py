"""The blind test of styles: exact chances, answers that fit, pictures of what the key says."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_model import speech, tiny_backend

from benchmarks import style_blind as blind
from benchmarks.style_blind_curves import (
    Curves,
    blink_frames,
    curves,
    earlier,
    moments,
    numbers,
    scales,
)
from benchmarks.style_blind_score import (
    AnswersError,
    by_guessing,
    derangements,
    parse_answers,
    score,
    told,
)
from head.channels import INDEX
from head.rig import builtin_head
from stream.backends.fake import FakeBackend
from training.corpora import CorpusError, Utterance
from training.phones import Phone
from training.rehearsal import Take, rehearse

KEY = {"A": "shy", "B": "calm", "C": "lively", "D": "serious"}
SHOWN = {"seconds": 8.0, "numbers": True, "noise": "shared"}


def given(**changed: str) -> dict[str, Any]:
    """Answers to test t, all right but for `changed`."""
    return {"test": "t", "judge": "a passer-by", "answers": KEY | changed}


def test_chance_is_what_counting_every_assignment_gives() -> None:
    assert [derangements(n) for n in range(7)] == [1, 0, 1, 2, 9, 44, 265]
    for n in range(1, 7):
        hits = [
            sum(place == thing for place, thing in enumerate(order))
            for order in itertools.permutations(range(n))
        ]
        for right in range(n + 1):
            wanted = Fraction(sum(one >= right for one in hits), math.factorial(n))
            assert by_guessing(right, n) == wanted
    # 11 of 12 cannot be: the last name has no other place.
    assert by_guessing(11, 12) == by_guessing(12, 12) == Fraction(1, math.factorial(12))
    for wrong in ((-1, 12), (13, 12)):
        with pytest.raises(ValueError, match="cannot be right"):
            by_guessing(*wrong)
    with pytest.raises(ValueError, match="fewer than 0"):
        derangements(-1)


def test_score_counts_and_names_what_was_taken_for_what() -> None:
    swapped = parse_answers(given(A="calm", B=" shy "), KEY, "t")
    result = score(KEY, swapped)
    assert (result["right"], result["of"], result["judge"]) == (2, 4, "a passer-by")
    # Two or more of four: 6 ways for exactly two, 1 for all four, of 24.
    assert result["by_guessing"]["as_many_or_more_exactly"] == "7/24"
    assert [(one["style"], one["taken_for"]) for one in result["confusions"]] == [
        ("shy", "calm"), ("calm", "shy"),
    ]  # fmt: skip
    text = told({**result, "made": {"shown": SHOWN}})
    assert text.startswith("2 of 4 styles told apart") and "1 in 3" in text
    assert "noise that all share" in text and "shy for calm, calm for shy" in text
    hard = {"made": {"shown": {**SHOWN, "numbers": False, "noise": "own"}}}
    right = told({**score(KEY, parse_answers(given(), KEY, "t")), **hard})
    assert "4 of 4" in right and "Taken" not in right
    assert "stills and curves of 8 s" in right and "noise of its own" in right


@pytest.mark.parametrize(
    ("answers", "line"),
    [
        ([], "answers must be"),
        ({"test": "t", "judge": "me", "answers": "A"}, "answers must be"),
        ({**given(), "test": "u"}, "to test 'u': the key is of 't'"),
        ({**given(), "judge": " "}, "name no judge"),
        ({**given(), "judge": 7}, "name no judge"),
        ({**given(), "answers": {**KEY, "A": None}}, "must be the name"),
        ({**given(), "answers": {**KEY, "E": "shy"}}, "no letter E"),
        ({**given(), "answers": {k: v for k, v in KEY.items() if k != "D"}}, "letter D not in"),
        (given(A=""), "no answer for A: guess"),
        (given(A="angry"), "no style angry"),
        (given(A="calm"), "style calm given more than once"),
    ],
)
def test_answers_that_are_not_one_name_a_letter_are_refused(answers: Any, line: str) -> None:
    with pytest.raises(AnswersError, match=line) as caught:
        parse_answers(answers, KEY, "t")
    assert "\n" not in str(caught.value)


def test_scoring_is_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, answers, out = (tmp_path / name for name in ("key.json", "answers.json", "new/out.json"))
    whole = {"kind": "style-blind-key", "test": "t", "letters": KEY, "seed": 4, "shown": SHOWN}
    key.write_text(json.dumps(whole))
    arguments = ["score", str(key), str(answers), "-o", str(out)]
    for wrong, line in (
        (json.dumps(given(A="calm")), "more than once"), ("{", "not JSON"), (None, "No such file"),
    ):  # fmt: skip
        if wrong is None:
            answers.unlink()
        else:
            answers.write_text(wrong)
        assert blind.main(arguments) == 1
        error = capsys.readouterr().err
        assert line in error and error.count("\n") == 1 and not out.exists()
    answers.write_text(json.dumps(given()))
    assert blind.main(arguments) == 0
    assert "4 of 4" in capsys.readouterr().out
    result = json.loads(out.read_text())
    assert result["right"] == 4 and result["judge"] == "a passer-by" and result["letters"] == KEY
    assert result["made"]["seed"] == 4 and result["kind"] == "style-blind" and result["machine"]
    key.write_text(json.dumps({"kind": "latency"}))
    assert blind.main(arguments) == 1
    assert "not the key of a blind test" in capsys.readouterr().err


def test_curves_are_of_what_they_are_named_after() -> None:
    head = builtin_head()
    motion = np.zeros((20, 54), np.float32)
    motion[10:, 50] = np.radians(5.0)
    motion[:, 53] = np.linspace(0.0, 0.3, 20)
    for stem, weight in (("mouthSmile", 0.4), ("browDown", 0.3), ("eyeLookDown", 0.2)):
        for side in ("Left", "Right"):
            motion[:, INDEX[stem + side]] = weight
    for frame in (4, 5, 12):
        motion[frame, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]] = 1.0
    row = curves(head, motion)
    np.testing.assert_allclose(row.head[[0, 19]], [[0, 0, 0], [5, 0, 0]], atol=1e-4)
    assert row.lips[-1] > row.lips[0] + 5.0
    np.testing.assert_allclose(row.smile, 0.4, atol=1e-6)
    np.testing.assert_allclose(row.brows, -0.3, atol=1e-6)
    assert row.blinks == (4, 12) and row.eyes[4] < 0.3 * row.eyes[0]
    assert row.head_speed == pytest.approx(25 * 5 / 19, rel=1e-4)
    texts = dict(numbers(row, row.lips))
    assert texts["mean nod"] == "+2.5°" and texts["mean brows"] == "-0.30"
    assert texts["blinks"] == "2" and texts["gaze down"] == "+0.20"
    assert texts["lips earlier by"] == "+0 ms"
    # One scale holds every row.
    other = curves(head, np.zeros((20, 54), np.float32))
    for low, high in (scales([row, other])["lips"], scales([other, row])["lips"]):
        assert low < other.lips.min() and high > row.lips.max()


def test_blinks_are_counted_once() -> None:
    assert blink_frames(np.array([0.6, 0.6, 0.4, 0.6, 0.1, 0.9, 0.0])) == (0, 5)
    assert blink_frames(np.zeros(5)) == ()


@pytest.mark.parametrize("lead", [-30.0, 0.0, 12.0, 50.0])
def test_timing_is_measured_to_a_part_of_a_frame(lead: float) -> None:
    def lips(shift: float) -> np.ndarray:
        seconds = np.arange(200) / 25 + shift
        return np.sin(7 * seconds) + 0.7 * np.sin(11 * seconds + 1) + 0.4 * np.sin(17 * seconds)

    assert earlier(lips(lead / 1000), lips(0.0)) == pytest.approx(lead, abs=2.0)
    assert earlier(np.zeros(200), lips(0.0)) == 0.0


def test_stills_are_at_the_loudest_frame_of_every_part() -> None:
    samples = np.full(640 * 80, 0.01, np.float32)
    for frame in (3, 18, 79):
        samples[640 * frame : 640 * (frame + 1)] = 0.5
    at = moments(samples)
    assert len(at) == 8 and at[0] == 3 and at[1] == 18 and at[-1] == 79
    assert [frame // 10 for frame in at] == list(range(8))


def test_no_sentence_is_said_in_both_pictures() -> None:
    def utterance(number: int, text: str, seconds: float) -> Utterance:
        phones = (Phone("SIL", 0.0, 0.5), Phone("AA", 0.5, seconds - 1.0),
                  Phone("SIL", seconds - 0.5, 0.5))  # fmt: skip
        return Utterance(f"u{number}", "kathleen_cc0", Path("x"), seconds, phones, text)

    held = [utterance(n, text, 3.0 + 0.1 * n) for n, text in enumerate("abcddeef")]
    first, second = blind.share(held, 6.0)
    texts = [u.text for u in first], [u.text for u in second]
    assert not set(texts[0]) & set(texts[1])
    for chosen, said in zip((first, second), texts, strict=True):
        assert len(set(said)) == len(said)
        assert sum(u.duration - 0.5 for u in chosen) >= 6.0  # without most of their silence
    with pytest.raises(blind.BlindError, match="too little held-out speech for two clips of 60 s"):
        blind.share(held, 60.0)


def test_order_and_noise_are_of_the_seed() -> None:
    names = [f"s{n}" for n in range(12)]
    orders = [blind.shuffled(names, seed) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert list(orders[0]) == list("ABCDEFGHIJKL") and sorted(orders[0].values()) == sorted(names)
    known, unknown = blind.noise_seeds(1, names, own=False)
    assert len(set(known.values())) == len(set(unknown.values())) == 1
    assert known != unknown and list(known) == names
    known, unknown = blind.noise_seeds(1, names, own=True)
    assert len({*known.values(), *unknown.values()}) == 24
    for count in (1, 27):
        with pytest.raises(blind.BlindError, match="takes 2 to 26"):
            blind.shuffled(names[:1] * count, 0)


def test_pictures_show_what_the_key_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gl = pytest.importorskip("viewer.gl", reason="not run: the viewer's packages are missing")
    from PIL import Image

    backend = tiny_backend(tmp_path / "bundle")
    speeches = blind.Speech("one", speech(30, 1)), blind.Speech("two", speech(30, 2))
    drawn: dict[str, list[Any]] = {}
    write_pages = blind.write_pages

    def watched(rows: Any, samples: Any, at: Any, scale: Any, title: str, stem: Path,
                **others: Any) -> list[Path]:  # fmt: skip
        drawn[stem.name] = list(rows)
        return write_pages(rows, samples, at, scale, title, stem, **others)

    monkeypatch.setattr(blind, "write_pages", watched)
    folder = tmp_path / "test"
    try:
        path = blind.make(backend, "tiny", speeches, 3, folder, own_noise=True)
    except gl.GLError as error:
        pytest.skip(f"not run: {error}")
    key = json.loads(path.read_text())
    assert sorted(key["letters"].values()) == ["calm", "lively"] and key["seed"] == 3
    assert key["live"]["bundle_hash"] == backend.bundle_hash and key["live"]["hop"] == 2
    assert key["speech"] == {"known": "one", "unknown": "two"}
    assert key["shown"] == {"seconds": 1.2, "numbers": True, "noise": "own"}
    # Under every label is the motion of its style, as a live session makes it.
    for stem, clip, names in (
        ("known", speeches[0], {"calm": "calm", "lively": "lively"}),
        ("unknown", speeches[1], key["letters"]),
    ):
        assert [row.label for row in drawn[stem]] == list(names)
        for row in drawn[stem]:
            name = names[row.label]
            take = Take(clip.samples, name, key["noise_seeds"][stem][name])
            same: Curves = curves(builtin_head(), rehearse(backend, [take])[0])
            np.testing.assert_allclose(row.curves.lips, same.lips, atol=1e-3)
            assert row.stills.shape == (8, 150, 150, 3) and np.ptp(row.stills) > 50
    # The judge's folder has pictures that can be read, blank answers, and no trace of the order.
    judge = folder / "judge"
    assert {one.name for one in judge.iterdir()} == {
        "known.jpg", "unknown.jpg", "questions.md", "answers.json",
    }  # fmt: skip
    for stem in ("known", "unknown"):
        with Image.open(judge / f"{stem}.jpg") as picture:
            assert picture.size[0] <= 2000 and picture.size[1] <= 2000 and not picture.getexif()
        content = (judge / f"{stem}.jpg").read_bytes()
        assert b"calm" not in content and b"lively" not in content
    answers = json.loads((judge / "answers.json").read_text())
    assert answers == {"test": key["test"], "judge": "", "answers": {"A": "", "B": ""}}
    asked = (judge / "questions.md").read_text()
    assert "calm, lively" in asked and "`unknown.jpg`" in asked and key["test"] in asked
    # What `make` writes, `score` reads; and no test is written over another one.
    answers |= {"judge": "me", "answers": key["letters"]}
    (judge / "answers.json").write_text(json.dumps(answers))
    assert blind.result_of(path, judge / "answers.json")["right"] == 2
    with pytest.raises(blind.BlindError, match="is not empty"):
        blind.make(backend, "tiny", speeches, 3, folder)


def test_a_test_that_cannot_be_made_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import soundfile

    short = tmp_path / "short.wav"
    soundfile.write(short, 0.1 * np.ones(16_000), 16_000)
    monkeypatch.delenv("POSETALK_DATA", raising=False)
    out = ["-o", str(tmp_path / "out")]
    for arguments, line in (
        (["--seconds", "1"], "clips of 2 to 60 s"),
        (["--speech", str(short), str(short)], "short.wav is shorter than 8 s"),
        ([], "set POSETALK_DATA"),
        (["--seconds", "nan"], "--seconds nan"),
    ):
        assert blind.main(["make", *out, *arguments]) == 1
        error = capsys.readouterr().err
        assert line in error and error.count("\n") == 1
    clip = blind.Speech("a", speech(50))
    with pytest.raises(blind.BlindError, match="both clips are the same"):
        blind.make(FakeBackend(), "x", (clip, clip), 0, tmp_path / "out")
    other = FakeBackend()
    monkeypatch.setattr(other, "head_id", "somebody-else")
    clips = blind.Speech("a", speech(50)), blind.Speech("b", speech(50))
    with pytest.raises(blind.BlindError, match="moves head 'somebody-else'"):
        blind.make(other, "x", clips, 0, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_speech_may_be_a_file_of_any_rate(tmp_path: Path) -> None:
    import soundfile

    rate = 22_050
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(3 * rate) / 50.0), rate)
    clip = blind.speech_of(tmp_path / "a.wav", 60)
    assert clip.name == "a.wav" and clip.samples.shape == (60 * 640,)
    assert clip.samples.dtype == np.float32 and np.abs(clip.samples).max() > 0.5


@pytest.mark.slow
def test_both_pictures_say_something_else_of_the_held_out_speech(data_dir: Path) -> None:
    try:
        first, second = blind.held_out_speech(200)
    except CorpusError as error:
        pytest.skip(f"not run: data folder without speech: {error}")
    assert not set(first.name.split(" + ")) & set(second.name.split(" + "))
    for clip in (first, second):
        assert clip.samples.shape == (200 * 640,)
        assert np.sqrt(np.square(clip.samples).mean()) > 0.01
