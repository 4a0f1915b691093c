"""Scoring of a blind test: how many letters got their name, and how likely that is by guessing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import comb, factorial
from pathlib import Path
from typing import Any

KIND = "style-blind"


class AnswersError(ValueError):
    """Answers or a key that cannot be scored; one line."""


@dataclass(frozen=True)
class Answers:
    """Who judged, and the name that they gave every letter."""

    judge: str
    names: Mapping[str, str]


def derangements(n: int) -> int:
    """Permutations of n things that leave none in its place: 1, 0, 1, 2, 9, 44, ..."""
    if n < 0:
        raise ValueError("there are no permutations of fewer than 0 things")
    before, now = 0, 1
    for k in range(1, n + 1):
        before, now = now, (k - 1) * (before + now)
    return now


def by_guessing(right: int, n: int) -> Fraction:
    """Exact chance that a random one-to-one assignment of n names has `right` or more right.

    Exactly j are right in C(n, j) D(n - j) of the n! assignments, D the derangements.

    Raises:
        ValueError: `right` is not within 0 to n.
    """
    if not 0 <= right <= n:
        raise ValueError(f"{right} of {n} cannot be right")
    ways = sum(comb(n, j) * derangements(n - j) for j in range(right, n + 1))
    return Fraction(ways, factorial(n))


def parse_answers(given: Any, key: Mapping[str, str], test: str) -> Answers:
    """Answers that are a complete one-to-one assignment of the key's names to its letters.

    Args:
        given: what the file of answers holds.
        key: names by letter.
        test: the test that they must belong to.

    Raises:
        AnswersError: of another test, nobody named, a letter or name missing, unknown or twice.
    """
    if not isinstance(given, dict) or not isinstance(given.get("answers"), dict):
        raise AnswersError('answers must be {"test": ..., "judge": ..., "answers": {"A": ...}}')
    if given.get("test") != test:
        raise AnswersError(f"answers to test {given.get('test')!r}: the key is of {test!r}")
    judge = given.get("judge")
    if not isinstance(judge, str) or not judge.strip():
        raise AnswersError("answers name no judge: say in `judge` who looked, and at what")
    names = given["answers"]
    if any(not isinstance(name, str) for name in names.values()):
        raise AnswersError("every answer must be the name of a style")
    names = {letter: name.strip() for letter, name in names.items()}
    _check("letter", list(names), list(key))
    if blank := sorted(letter for letter, name in names.items() if not name):
        raise AnswersError(f"no answer for {', '.join(blank)}: guess where you do not know")
    _check("style", list(names.values()), list(key.values()))
    return Answers(judge.strip(), {letter: names[letter] for letter in key})


def _check(what: str, given: list[str], wanted: list[str]) -> None:
    """Raise unless both hold the same, each once."""
    if unknown := sorted(set(given) - set(wanted)):
        raise AnswersError(f"no {what} {', '.join(unknown)} in this test")
    if twice := sorted({one for one in given if given.count(one) > 1}):
        raise AnswersError(f"{what} {', '.join(twice)} given more than once: each belongs to one")
    if missing := sorted(set(wanted) - set(given)):
        raise AnswersError(f"{what} {', '.join(missing)} not in the answers: all must be there")


def score(key: Mapping[str, str], answers: Answers) -> dict[str, Any]:
    """Right ones, the chance of so many by guessing, and what was taken for what."""
    n = len(key)
    wrong = [letter for letter in key if answers.names[letter] != key[letter]]
    chance = by_guessing(n - len(wrong), n)
    return {
        "judge": answers.judge,
        "right": n - len(wrong),
        "of": n,
        "by_guessing": {
            "mean_right": 1.0,
            "as_many_or_more": float(chance),
            "as_many_or_more_exactly": f"{chance.numerator}/{chance.denominator}",
        },
        "confusions": [
            {"letter": letter, "style": key[letter], "taken_for": answers.names[letter]}
            for letter in wrong
        ],
    }


def told(result: Mapping[str, Any]) -> str:
    """The result in a sentence or two, for people and pages."""
    chance = result["by_guessing"]["as_many_or_more"]
    often = f"1 in {1 / chance:,.0f}" if chance < 0.5 else f"{chance:.0%}"
    shown = result["made"]["shown"]
    what = "stills, curves and numbers" if shown["numbers"] else "stills and curves"
    noise = "of its own" if shown["noise"] == "own" else "that all share"
    text = (
        f"{result['right']} of {result['of']} styles told apart; guessing finds 1 on average, and "
        f"so many or more in {often}. Shown: {what} of {shown['seconds']:g} s in every style, with "
        f"noise {noise}. Judged by: {result['judge'].rstrip('.')}."
    )
    if result["confusions"]:
        pairs = [f"{one['style']} for {one['taken_for']}" for one in result["confusions"]]
        text += f" Taken: {', '.join(pairs)}."
    return text


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        AnswersError: it is not JSON.  OSError: it cannot be read.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError:
        raise AnswersError(f"{path}: not JSON") from None


def read_key(path: Path) -> dict[str, Any]:
    """A key that `make` wrote. Raises AnswersError for another file, OSError as it comes."""
    key = read_json(path)
    fits = isinstance(key, dict) and key.get("kind") == f"{KIND}-key"
    letters = key.get("letters") if fits else None
    if not isinstance(letters, dict) or not letters or len(set(letters.values())) < len(letters):
        raise AnswersError(f"{path}: not the key of a blind test")
    return dict(key)
