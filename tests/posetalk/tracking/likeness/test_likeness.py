"""A style is moved until a bundle does what a film shows, and the yardstick between the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diffposetalk.bundle.bundle import load_bundle
from posetalk.formats.motion_file import Motion
from posetalk.tracking.likeness.likeness import (
    FARTHEST,
    FIGURES,
    Reach,
    figures_of,
    liken,
    liken_all,
    reach_of,
    step_to,
)
from posetalk.tracking.likeness.yardstick import BEYOND, goal_for, standing, yardstick
from posetalk.tracking.report import Habits, habits
from posetalk.tracking.scenes import CLIPS

COUNT, SIZE = 8, 16
NOBODY = Habits(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, (0.0, 0.0, 0.0), 0.0, 0.0)


class Bends:
    """A stand-in for a bundle: its habits are a bent function of the style."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.rows = rng.normal(size=(SIZE, len(FIGURES)))

    def __call__(self, styles: Sequence[np.ndarray]) -> list[Habits]:
        return [self._one(3 + np.tanh(0.3 * style @ self.rows)) for style in styles]

    def _one(self, values: np.ndarray) -> Habits:
        opening, tempo, lips, smile, brows, head, speed = (float(value) for value in values)
        return replace(
            NOBODY,
            opening_mm=opening,
            tempo=tempo,
            lip_speed=lips,
            smile=smile,
            brows=brows,
            head=head,
            head_speed=speed,
        )


def _named() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {f"s{k}": rng.normal(size=SIZE).astype(np.float32) for k in range(COUNT)}


def test_figures_are_in_the_order_of_their_names() -> None:
    found = figures_of(replace(NOBODY, opening_mm=1.0, head_speed=2.0))
    assert len(found) == len(FIGURES)
    assert dict(zip(FIGURES, found, strict=True))["opening"] == 1.0
    assert dict(zip(FIGURES, found, strict=True))["head speed"] == 2.0


def test_a_style_is_moved_to_what_was_asked_for() -> None:
    speaks, styles = Bends(), _named()
    reach = reach_of(styles, speaks)
    rng = np.random.default_rng(2)
    for _ in range(4):
        shares = rng.dirichlet(np.ones(COUNT))
        goal = figures_of(speaks([np.asarray(shares @ reach.vectors)])[0])
        made = liken(goal, reach, speaks)
        assert made.after < 0.6 * made.before
        [again] = speaks([made.vector])
        assert figures_of(again) == pytest.approx(made.figures), "told is what the bundle does"


def test_people_who_speak_in_step_are_made_like_as_if_alone() -> None:
    reach, speaks = reach_of(_named(), Bends()), Bends()
    goals = [reach.figures[1] + 0.2, reach.figures[4] - 0.1]
    for goal, made in zip(goals, liken_all(goals, reach, speaks), strict=True):
        assert made.vector == pytest.approx(liken(goal, reach, speaks).vector)


def test_the_nearest_that_was_tried_is_kept() -> None:
    reach = reach_of(_named(), Bends())

    def stubborn(asked: Sequence[np.ndarray]) -> list[Habits]:
        """Whatever is no named style makes it worse."""
        return [replace(NOBODY, opening_mm=99.0) for _ in asked]

    made = liken(reach.figures[3] + 0.1, reach, stubborn)
    assert made.vector == pytest.approx(reach.vectors[3], abs=1e-6)
    assert made.after == made.before and np.array_equal(made.figures, reach.figures[3])


def test_no_step_is_longer_than_anybody_is() -> None:
    slopes = np.random.default_rng(3).normal(size=(COUNT, len(FIGURES)))
    far = step_to(np.zeros(COUNT), np.full(len(FIGURES), 100.0), slopes)
    assert 0 < np.abs(far).max() <= FARTHEST


def test_the_yardstick_has_the_bundles_names_and_tells_them_apart() -> None:
    rows = yardstick()
    assert set(load_bundle("starter").styles) <= set(rows)
    figures = list(FIGURES)
    opening = {name: row[figures.index("opening")] for name, row in rows.items()}
    assert opening["theatrical"] > opening["neutral"] > opening["mumbling"]
    head = {name: row[figures.index("head")] for name, row in rows.items()}
    assert head["theatrical"] > head["neutral"] > head["calm"]


TEMPO, LIPS = (list(FIGURES).index(name) for name in ("tempo", "lip speed"))


def test_a_goal_is_as_far_out_as_the_film_is() -> None:
    names = ["a", "b", "c", "d"]
    rng = np.random.default_rng(4)
    people = rng.normal(size=(4, len(FIGURES)))
    people[:, TEMPO] = people[:, LIPS]
    reach = Reach(np.zeros((4, SIZE), np.float32), 0.5 * people + 3)
    rows = dict(zip(names, people, strict=True))
    for k, name in enumerate(names):
        assert goal_for(rows[name], names, reach, rows) == pytest.approx(reach.figures[k])
    low, high = reach.figures.min(0), reach.figures.max(0)
    far = goal_for(people.max(0) + 100, names, reach, rows)
    assert far == pytest.approx(high + BEYOND * (high - low))
    unknown = rows["a"].copy()
    unknown[0] = np.nan
    middle = goal_for(unknown, names, reach, rows)
    assert middle[0] == pytest.approx(reach.figures[:, 0].mean()), "not known: in the middle"
    assert middle[2] == pytest.approx(reach.figures[0, 2])
    strangers = goal_for(reach.figures[0], ["x", "y", "z", "w"], reach, rows)
    assert strangers == pytest.approx(reach.figures[0]), "other names: habits as they are"


def test_what_tells_nothing_of_a_bundle_leaves_it_in_the_middle() -> None:
    names, people = ["a", "b", "c", "d"], np.zeros((4, len(FIGURES)))
    people[:, 0], people[:, 3] = (-1, 1, -1, 1), (-1, -1, 1, 1)
    does = np.zeros_like(people)
    does[:, 0], does[:, 3] = people[:, 3], -people[:, 3]  # one at right angles, one the other way
    reach = Reach(np.zeros((4, SIZE), np.float32), does)
    goal = goal_for(people[3] * 2, names, reach, dict(zip(names, people, strict=True)))
    assert goal[[0, 3]] == pytest.approx([0.0, 0.0], abs=1e-9)


def test_the_tempo_stands_between_its_count_and_the_lips_speed() -> None:
    people = np.tile(np.array([[-1.0], [1.0]]), (1, len(FIGURES)))
    film = np.zeros((1, len(FIGURES)))
    film[0, LIPS], film[0, TEMPO] = 1.0, 0.0
    assert standing(film, people)[0, TEMPO] == pytest.approx(0.5)
    film[0, TEMPO] = np.nan
    assert standing(film, people)[0, TEMPO] == pytest.approx(1.0), "no sound: the lips alone"


def test_the_heads_range_leaves_out_where_somebody_looks() -> None:
    clip = Motion.load(CLIPS / "motion_lively.npz")
    turned = clip.pose.copy()
    turned[len(turned) // 2 :, 1] += 0.3  # looks at somebody else
    still, moved = habits(clip.exp, clip.pose), habits(clip.exp, turned)
    assert moved.head_degrees[1] > 2 * still.head_degrees[1]
    assert moved.head < 1.3 * still.head
    slow = habits(np.repeat(clip.exp, 2, 0), np.repeat(clip.pose, 2, 0))
    assert slow.head_speed == pytest.approx(still.head_speed / 2, rel=0.1)


def test_a_bundle_speaks_in_styles_in_step(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="not run: onnxruntime is not installed")
    import soundfile

    from posetalk import demo_speech
    from posetalk.tracking.likeness.spoken import StyledSpeech

    styles = load_bundle("starter").styles
    wide, narrow = styles["theatrical"], styles["mumbling"]
    samples, rate = soundfile.read(demo_speech(), dtype="float32", frames=4 * 16000)
    soundfile.write(tmp_path / "short.wav", samples, rate)
    speaker = StyledSpeech("starter", [tmp_path / "short.wav"])
    one, other = speaker([wide, narrow])
    assert one.opening_mm > 1.3 * other.opening_mm
    [alone] = speaker([narrow])
    assert alone.opening_mm == pytest.approx(other.opening_mm, rel=1e-3)


def test_tempo_is_told_from_the_words(tmp_path: Path) -> None:
    """Somebody who moves as the bundle's middle does has the middle's tempo, whatever is said."""
    pytest.importorskip("onnxruntime", reason="not run: onnxruntime is not installed")
    import soundfile

    from head.skinning import motion_to_parameters
    from posetalk import demo_speech
    from posetalk.tracking.likeness.spoken import StyledSpeech
    from posetalk.tracking.likeness.words import heard, in_other_words
    from posetalk.tracking.track import Tracked

    samples, _ = soundfile.read(demo_speech(), dtype="float32", frames=12 * 16000)
    styles = load_bundle("starter").styles
    named = [styles[name] for name in ("neutral", "lively", "calm")]
    slow, fast = samples[: 6 * 16000], samples[6 * 16000 :]
    soundfile.write(tmp_path / "said.wav", fast, 16000)
    speaker = StyledSpeech("starter", [tmp_path / "said.wav"])
    reach = reach_of(dict(zip("abc", named, strict=True)), speaker)
    exp, rotation, jaw = motion_to_parameters(speaker.saying(slow).motions(named[:1])[0])
    pose = np.concatenate([rotation, jaw], axis=1)
    marks = np.zeros(len(exp), np.uint16)
    film = Tracked(exp, pose, marks, np.zeros(3, np.float32), "builtin", len(exp), 25.0, 0)
    found = figures_of(habits(exp, pose))
    part = heard(film, slow)
    assert part is not None and heard(film, slow[:1000]) is None
    known = in_other_words(found, [part], reach, named, speaker)
    tempo = list(FIGURES).index("tempo")
    assert known[tempo] == pytest.approx(reach.figures[0, tempo], rel=0.2)
    assert np.array_equal(np.delete(known, tempo), np.delete(found, tempo))
    assert np.isnan(in_other_words(found, [], reach, named, speaker)[tempo])
