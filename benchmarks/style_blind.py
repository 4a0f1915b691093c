"""Can somebody tell the styles apart without their names? A blind test, from stills and curves.

    python -m benchmarks.style_blind make --bundle starter -o DIR
    python -m benchmarks.style_blind score DIR/key.json DIR/judge/answers.json -o OUT.json

`make` lets every style of the bundle say two clips through the live session. `DIR/judge` is for
whoever judges: `known` pictures (first clip, named rows), `unknown` pictures (second clip, lettered
rows in random order), `questions.md`, and `answers.json` to fill in. `DIR/key.json` is for `score`,
and for nobody who has still to judge.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import string
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.circumstances import circumstances
from benchmarks.style_blind_curves import FRAME, curves, moments, scales
from benchmarks.style_blind_page import RULE, STILL, Row, stills, write_pages
from benchmarks.style_blind_score import (
    KIND,
    parse_answers,
    read_json,
    read_key,
    score,
    told,
)
from benchmarks.subject import live_settings
from head.rig import builtin_head
from stream.backends import load_backend
from stream.backends.protocol import Backend
from stream.session import Session
from training.corpora import Utterance, held_out_voices, load_audio
from training.metrics import FPS
from training.phones import SILENCE
from training.rehearsal import Take, rehearse

SECONDS = 8.0
SPEAKER = "kathleen_cc0"
"""Whose held-out sentences both clips are of: one voice, so that voices tell nothing."""
BEFORE, AFTER = 0.2, 0.3
"""Seconds of silence that a sentence keeps before its first and after its last sound."""
LETTERS = string.ascii_uppercase

Array = NDArray[np.float32]


class BlindError(ValueError):
    """A test that cannot be made; one line."""


class Speech(NamedTuple):
    """What all styles of a picture say: its name, and samples (640 n,) at 16 kHz."""

    name: str
    samples: Array


def held_out_speech(frames: int) -> tuple[Speech, Speech]:
    """Two clips of different held-out sentences of the known voice.

    Raises:
        CorpusError: there is no data folder, or something in it cannot be read.
        BlindError: it holds too little.
    """
    _, held = held_out_voices()
    first, second = share([u for u in held if u.speaker_set == SPEAKER], frames / FPS)
    return _joined(first, frames), _joined(second, frames)


def share(
    utterances: Sequence[Utterance], seconds: float
) -> tuple[list[Utterance], list[Utterance]]:
    """Utterances for two clips of `seconds`, longest first, dealt in turn; no sentence twice.

    Raises:
        BlindError: they are too short together.
    """
    own: tuple[list[Utterance], list[Utterance]] = ([], [])
    said: set[str] = set()
    for utterance in sorted(utterances, key=lambda u: (-u.duration, u.id)):
        for chosen in sorted(own, key=len):
            if utterance.text not in said and sum(_length(u) for u in chosen) < seconds:
                chosen.append(utterance)
                said.add(utterance.text)
                break
    if any(sum(_length(u) for u in chosen) < seconds for chosen in own):
        raise BlindError(f"too little held-out speech for two clips of {seconds:g} s")
    return own


def _span(utterance: Utterance) -> tuple[float, float]:
    """Seconds of an utterance between which it is spoken, with a little silence round it."""
    spoken = [phone for phone in utterance.phones if phone.name != SILENCE]
    if not spoken:
        return 0.0, 0.0
    return max(0.0, spoken[0].start - BEFORE), min(utterance.duration, spoken[-1].end + AFTER)


def _length(utterance: Utterance) -> float:
    start, stop = _span(utterance)
    return stop - start


def _joined(utterances: Sequence[Utterance], frames: int) -> Speech:
    """Their speech, one after the other, cut to `frames`."""
    parts = []
    for utterance in utterances:
        start, stop = (round(16_000 * second) for second in _span(utterance))
        parts.append(load_audio(utterance)[start:stop])
    whole = np.concatenate(parts)[: frames * FRAME]
    whole = np.pad(whole, (0, frames * FRAME - len(whole)))  # rounding of the spans, at most
    return Speech(" + ".join(u.id for u in utterances), whole.astype(np.float32))


def speech_of(path: Path, frames: int) -> Speech:
    """The first `frames` of an audio file of any rate.

    Raises:
        SourceError: it cannot be read.  BlindError: it is shorter.
    """
    from stream.sources.file import FileSource

    blocks = [block.samples for block in FileSource(path, pace="fast")]
    samples = np.concatenate(blocks)[: frames * FRAME]
    if len(samples) < frames * FRAME:
        raise BlindError(f"{path} is shorter than {frames / FPS:g} s: take a longer one")
    return Speech(path.name, samples)


def shuffled(names: Sequence[str], seed: int) -> dict[str, str]:
    """Names by letter, in the random order of a seed.

    Raises:
        BlindError: fewer than two names or more than there are letters.
    """
    if not 2 <= len(names) <= len(LETTERS):
        raise BlindError(f"{len(names)} styles: a blind test takes 2 to {len(LETTERS)}")
    order = np.random.default_rng(seed).permutation(len(names))
    return {LETTERS[place]: names[index] for place, index in enumerate(order)}


def noise_seeds(seed: int, names: Sequence[str], own: bool) -> list[dict[str, int]]:
    """Seeds of the sessions' noise by style, of the known and of the unknown picture.

    Args:
        own: another one for every style; if not, all rows of a picture share one, so that nothing
            but style differs between them. The two pictures never share.
    """
    drawn = np.random.default_rng([seed, 1]).integers(2**31, size=(2, len(names)))
    return [
        {name: int(row[index if own else 0]) for index, name in enumerate(names)} for row in drawn
    ]


def make(
    backend: Backend,
    bundle: str,
    speeches: tuple[Speech, Speech],
    seed: int,
    folder: Path,
    *,
    own_noise: bool = False,
    numbers: bool = True,
) -> Path:
    """Write the test; the path of its key.

    Args:
        backend: its styles are the ones to tell apart.
        bundle: what it was loaded from, for the key.
        speeches: of the known and the unknown pictures, of one length.
        seed: of the order and of the sessions' noise.
        own_noise: see `noise_seeds`.
        numbers: whether they stand beside the curves.

    Raises:
        BlindError: too few styles, another head, twice the same clip, or a folder with files.
    """
    from viewer.renderer import Renderer

    head = builtin_head()
    if backend.head_id != head.id:
        raise BlindError(f"bundle {bundle} moves head {backend.head_id!r}: this needs {head.id!r}")
    if folder.exists() and any(folder.iterdir()):
        raise BlindError(f"{folder} is not empty: take another folder, pictures must not mix")
    if np.array_equal(speeches[0].samples, speeches[1].samples):
        raise BlindError("both clips are the same: the unknown rows must say something else")
    names = list(backend.styles)
    letters = shuffled(names, seed)
    judge = folder / "judge"
    judge.mkdir(parents=True, exist_ok=True)
    noise = noise_seeds(seed, names, own_noise)
    motion = [_said(backend, speeches[index].samples, noise[index]) for index in range(2)]
    measured = [{name: curves(head, run) for name, run in said.items()} for said in motion]
    scale = scales([row for said in measured for row in said.values()])
    pictures: dict[str, list[Path]] = {}
    labels = {"known": {name: name for name in names}, "unknown": letters}
    titles = {"known": "Known styles", "unknown": "Which style is which?"}
    with Renderer(head, STILL * 2, STILL * 2) as renderer:
        for index, (stem, named) in enumerate(labels.items()):
            samples = speeches[index].samples
            at = moments(samples)
            rows = [
                Row(label, measured[index][name], stills(renderer, head, motion[index][name], at))
                for label, name in named.items()
            ]
            pictures[stem] = write_pages(
                rows, samples, at, scale, titles[stem], judge / stem, figures=numbers
            )
    test = _digest(pictures["unknown"])
    _write(judge / "questions.md", questions(test, names, pictures, numbers))
    blank = {"test": test, "judge": "", "answers": dict.fromkeys(letters, "")}
    _write_json(judge / "answers.json", blank)
    seconds = round(len(speeches[0].samples) / (FRAME * FPS), 2)
    key = {
        **circumstances(f"{KIND}-key"),
        "test": test,
        "letters": letters,
        "seed": seed,
        "noise_seeds": dict(zip(labels, noise, strict=True)),
        "bundle": bundle,
        "live": {**live_settings(Session(backend)), "style": None},
        "speech": dict(zip(labels, (one.name for one in speeches), strict=True)),
        "shown": {
            "seconds": seconds, "numbers": numbers, "noise": "own" if own_noise else "shared",
        },
        "pictures": {stem: [path.name for path in paths] for stem, paths in pictures.items()},
    }  # fmt: skip
    _write_json(folder / "key.json", key)
    return folder / "key.json"


def _said(backend: Backend, samples: Array, seeds: Mapping[str, int]) -> dict[str, Array]:
    """Motion (n, 54) of every style, as a live session at the bundle's defaults shows it."""
    motion = rehearse(backend, [Take(samples, name, number) for name, number in seeds.items()])
    return dict(zip(seeds, motion, strict=True))


def _digest(paths: Sequence[Path]) -> str:
    """Twelve digits that tell a test from another one, and nothing of its order."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:12]


def questions(
    test: str, names: Sequence[str], pictures: Mapping[str, Sequence[Path]], numbers: bool
) -> str:
    """What the judge is asked, as Markdown."""
    known, unknown = (
        "\n".join(f"   - `{path.name}`" for path in pictures[stem]) for stem in ("known", "unknown")
    )
    timing = (
        "\n\nTiming (*lips earlier by*) is told against the mean of the rows of the same picture."
        if numbers
        else ""
    )
    return f"""\
# Which style is which? (test {test})

1. Look at the known styles. Every row is one style, with its name; all rows say the same.

{known}

2. Look at the unknown ones: the same {len(names)} styles in random order, named {LETTERS[0]} to \
{LETTERS[len(names) - 1]}. All rows say
   the same again, but not what the known ones say.

{unknown}

3. In `answers.json`, give every letter the name of its style, each name once. Guess where you do
   not know. Put into `judge` who you are, what you looked at, and what else you know of the styles.

Names: {", ".join(names)}.

Judge by these pictures alone: neither the key beside this folder, nor the code that makes the
styles, nor anything else about them.

{RULE} All curves have one scale in all pictures.{timing}
"""


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, "utf-8")
    os.replace(part, path)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    _write(path, json.dumps(value, indent=1) + "\n")


def result_of(key_path: Path, answers_path: Path) -> dict[str, Any]:
    """The scored test with its circumstances.

    Raises:
        AnswersError: the answers are no complete one-to-one assignment, or not of this test.
        OSError: a file cannot be read.
    """
    key = read_key(key_path)
    answers = parse_answers(read_json(answers_path), key["letters"], key["test"])
    return {
        **circumstances(KIND),
        "test": key["test"],
        **score(key["letters"], answers),
        "letters": key["letters"],
        "answers": dict(answers.names),
        "made": {name: value for name, value in key.items() if name not in ("letters", "test")},
    }


def _make(options: argparse.Namespace) -> None:
    if not 2.0 <= options.seconds <= 60.0:
        raise BlindError(f"--seconds {options.seconds:g}: clips of 2 to 60 s can be told apart")
    frames = round(options.seconds * FPS)
    if options.speech:
        first, second = (speech_of(path, frames) for path in options.speech)
    else:
        first, second = held_out_speech(frames)
    # Nobody who knows the code can foresee the order, unless the maker asks for a seed.
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    backend = load_backend(options.backend, options.bundle)
    key = make(
        backend, options.bundle, (first, second), seed, options.output,
        own_noise=options.own_noise, numbers=not options.no_numbers,
    )  # fmt: skip
    print(f"For the judge: {options.output / 'judge'}; not for the judge: {key}")


def _score(options: argparse.Namespace) -> None:
    result = result_of(options.key, options.answers)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        _write_json(options.output, result)
    print(told(result))


def main(arguments: Sequence[str] | None = None) -> int:
    """`make` a test, or `score` its answers."""
    from posetalk.__main__ import explain

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("make", help="draw the pictures, write questions and key")
    making.add_argument("--bundle", default="starter")
    making.add_argument("--backend", default="torch")
    making.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    making.add_argument("--seconds", type=float, default=SECONDS)
    making.add_argument("--seed", type=int, help="of order and noise (default: nobody knows it)")
    making.add_argument("--speech", type=Path, nargs=2, metavar=("KNOWN", "UNKNOWN"),
                        help="audio files (default: held-out speech of POSETALK_DATA)")
    making.add_argument("--own-noise", action="store_true",
                        help="harder: other noise in every row, not only another style")
    making.add_argument("--no-numbers", action="store_true",
                        help="harder: stills and curves alone")  # fmt: skip
    making.set_defaults(run=_make)
    scoring = commands.add_parser("score", help="compare answers with the key")
    scoring.add_argument("key", type=Path)
    scoring.add_argument("answers", type=Path)
    scoring.add_argument("-o", "--output", type=Path, metavar="OUT.json")
    scoring.set_defaults(run=_score)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        print(f"style_blind: {explain(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
