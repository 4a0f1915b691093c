"""What was fitted to real mouths: the numbers of the coarticulation model, and their file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from head.errors import WrongValue
from head.new_file import new_file
from training.labels.phones import DIPHTHONGS, INVENTORY, SILENCE

FITTED = ("jaw", "aperture", "width", "lower", "upper")
"""The articulators that real mouths tell of, as `training.faces.mouths.grid` reads them."""
PAUSE = "PAUSE"
"""A silence too short for the lips to come to rest."""
GLIDES: Mapping[str, tuple[str, str, float]] = MappingProxyType(
    {
        "AY": ("AY1", "AY2", 0.60),
        "AW": ("AW1", "AW2", 0.58),
        "EY": ("EY1", "EY2", 0.48),
        "OW": ("OW1", "OW2", 0.52),
        "OY": ("OY1", "OY2", 0.58),
    }
)
"""A diphthong is two vowels: first, second, share of the phone at which the second takes over."""
NAMES = (
    SILENCE,
    PAUSE,
    *sorted(INVENTORY - {SILENCE} - DIPHTHONGS),
    *(half for name in sorted(GLIDES) for half in GLIDES[name][:2]),
)
POWER = 1.5
"""Of the distance in a dominance: 1 is Cohen and Massaro's, 2 a bell."""
USUAL_LENGTH = 0.10
"""Seconds; shorter phones reach less far."""
LENGTHS = (0.03, 0.40)
"""Seconds between which length matters."""
FILE = Path(__file__).with_name("mouth_constants.json")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MouthConstants:
    """The model's numbers; N = len(NAMES), P = len(FITTED), units of `training.faces.mouths.grid`.

    Attributes:
        target (N, P): where each phone aims.
        strength (N, P): of its dominance.
        before, after (N, P): seconds in which its dominance fades towards past and future.
        core (N, P, 2): shares of the phone cut off its plateau at the start and the end.
        reach (N, P): added to the target for each factor e in length above USUAL_LENGTH.
        vigour (P,): added to a vowel's target for each 1 of vigour above 1.
        lag (P,): seconds by which an articulator is behind.
        lead (P,): seconds before speech at which a mouth leaves its rest.
        settle (P,): seconds after speech at which it comes to rest.
        speech (P,): mean while speaking.
        ahead: (phone, next one) -> (P,) added to the target of the first where both stand together.
        carried: (phone before, phone) -> (P,) added to the target of the second.
    """

    target: Array
    strength: Array
    before: Array
    after: Array
    core: Array
    reach: Array
    vigour: Array
    lag: Array
    lead: Array
    settle: Array
    speech: Array
    ahead: Mapping[tuple[str, str], Array]
    carried: Mapping[tuple[str, str], Array]

    def of(self, name: str) -> int:
        """The row of a phone, a diphthong's half or a pause."""
        return _ROW[name]


_ROW = {name: row for row, name in enumerate(NAMES)}
_PHONE = ("target", "strength", "before", "after", "reach")
_WHOLE = ("vigour", "lag", "lead", "settle", "speech")


@cache
def fitted() -> MouthConstants:
    """The constants that ship."""
    return read_constants(FILE)


def read_constants(path: Path) -> MouthConstants:
    """The constants of a file that `write_constants` made.

    Raises:
        ValueError: it is another file, or holds numbers that are not finite.
    """
    try:
        told = json.loads(path.read_text("utf-8"))
        if told["articulators"] != list(FITTED):
            raise WrongValue(f"articulators {told['articulators']}")
        phones = [told["phones"][name] for name in NAMES]
        values = {key: np.array([p[key] for p in phones], float) for key in _PHONE}
        values["core"] = np.array([p["core"] for p in phones], float)
        values.update({key: np.array(told[key], float) for key in _WHOLE})
        pairs = {
            key: {tuple(pair.split()): np.array(v, float) for pair, v in told[key].items()}
            for key in ("ahead", "carried")
        }
        if not all(
            np.isfinite(v).all()
            for v in (*values.values(), *pairs["ahead"].values(), *pairs["carried"].values())
        ):
            raise WrongValue("values that are not numbers")
        return MouthConstants(**values, **pairs)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError) as error:
        raise WrongValue(f"{path.name} is no file of mouth constants: {error}") from error


def write_constants(path: Path, made: MouthConstants, about: Mapping[str, object]) -> None:
    """Write the constants with what is to be said `about` them (credit, figures)."""

    def rounded(values: Array) -> list[object]:
        # Four significant digits: what is below them is the fit's noise.
        return json.loads(json.dumps(np.vectorize(lambda v: float(f"{v:.4g}"))(values).tolist()))  # type: ignore[no-any-return]

    told = {
        **about,
        "articulators": list(FITTED),
        **{key: rounded(getattr(made, key)) for key in _WHOLE},
        "phones": {
            name: {key: rounded(getattr(made, key)[row]) for key in (*_PHONE, "core")}
            for name, row in _ROW.items()
        },
        **{
            key: {" ".join(pair): rounded(v) for pair, v in sorted(getattr(made, key).items())}
            for key in ("ahead", "carried")
        },
    }
    with new_file(path) as part:
        part.write_text(_compact(told) + "\n", "utf-8")


def _compact(told: Mapping[str, object]) -> str:
    """JSON with one line a phone or pair, so that a difference can be read."""
    parts = []
    for key, value in told.items():
        if isinstance(value, dict):
            rows = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            parts.append(f" {json.dumps(key)}: {{\n{rows}\n }}")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}"
