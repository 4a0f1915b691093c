"""Curves of a mouth against phone times: nobody's model of a face is in it, only the phones.

A curve is divided by its own 95th percentile over all clips and judged with the sound delayed by
the lag at which it fits the phones best, so each system stands at its own best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.clips import CLOSURES, PeerClip

Array = NDArray[np.floating[Any]]

RATE = 100
OPENINGS = {
    **dict.fromkeys("PBM", 0.0), **dict.fromkeys("FV", 0.1), **dict.fromkeys(("SIL",), 0.0),
    **dict.fromkeys(("TH", "DH", "T", "D", "CH", "JH", "SH", "ZH", "N"), 0.2),
    **dict.fromkeys(("S", "Z", "W"), 0.15), **dict.fromkeys(("L", "K", "G", "Y", "IY"), 0.3),
    **dict.fromkeys(("NG", "R", "UW"), 0.25), **dict.fromkeys(("ER", "UH"), 0.35),
    **dict.fromkeys(("HH", "IH"), 0.4), **dict.fromkeys(("AH", "OW", "OY", "EY"), 0.6),
    "EH": 0.7, "AO": 0.8, **dict.fromkeys(("AE", "AY", "AW"), 0.9), "AA": 1.0,
}  # fmt: skip
"""How open a mouth is, by phone; only the lag is found by it."""
OPEN_VOWELS = frozenset({"AA", "AE", "AH", "AO", "AW", "AY", "OW", "EH", "EY"})
ROUNDED, SPREAD = frozenset({"W", "UW", "OW"}), frozenset({"IY", "IH", "EH", "EY", "AE"})
CLOSED, SHUT = 0.25, 0.15
"""Below it, of the system's own range, a closure closes; a vowel is shut, a silence is not."""
LEAST_VOWEL, LEAST_SILENCE = 0.05, 0.25
LAGS = range(-10, 40)
DRAWS = 400
COUNTED = ("closures", "vowels", "round", "spread", "silence")
FIGURES = ("closures", "vowels_shut", "silence_open", "auc", "rounding", "jitter")


def score(clips: Sequence[PeerClip], curves: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Figures of one system over the clips that it has curves of.

    `closures`, `vowels_shut`, `silence_open` in %; `auc` the chance that an open vowel's middle is
    more open than a closure; `rounding` that W, UW and OW are rounder than spread vowels; each with
    its 95 % interval over clips.  `jitter`: mean size of the second difference at 25 a second over
    that of the first.
    """
    heard = [clip for clip in clips if clip.id in curves]
    opening = [np.asarray(curves[clip.id]["open"], float) for clip in heard]
    rounding = [np.asarray(curves[clip.id]["round"], float) for clip in heard]
    scale = float(np.percentile(np.concatenate(opening), 95)) or 1.0
    opening = [each / scale for each in opening]
    lag = best_lag(opening, heard)
    parts = [
        _clip(clip, shifted(own, lag), shifted(round_, lag))
        for clip, own, round_ in zip(heard, opening, rounding, strict=True)
    ]
    rng = np.random.default_rng(0)
    draws = rng.integers(len(parts), size=(DRAWS, len(parts)))
    drawn = [_summary([parts[i] for i in draw]) for draw in draws]
    told: dict[str, Any] = {"clips": len(heard), "lag_ms": 10 * lag}
    told["n_closures"] = sum(len(part["closures"]) for part in parts)
    middle = _summary(parts)
    for name in FIGURES:
        low, high = np.nanpercentile([each[name] for each in drawn], (2.5, 97.5))
        told[name] = [middle[name], float(low), float(high)]
    return told


def best_lag(opening: Sequence[Array], clips: Sequence[PeerClip]) -> int:
    """Cells, 10 ms each, by which the curves (n,) run behind the phones' openings."""
    wanted = [expected(clip.phones, len(own)) for clip, own in zip(clips, opening, strict=True)]
    edge = max(LAGS)
    found = {}
    for lag in LAGS:
        ours = np.concatenate([own[edge + lag : len(own) - edge + lag] for own in opening])
        theirs = np.concatenate([want[edge : len(want) - edge] for want in wanted])
        found[lag] = _correlation(ours[: len(theirs)], theirs[: len(ours)])
    return max(found, key=lambda lag: found[lag])


def expected(phones: Sequence[Any], cells: int) -> Array:
    """(cells,) the phones' openings, smoothed over 90 ms."""
    out = np.zeros(cells)
    for phone in phones:
        out[int(phone.start * RATE) : int(phone.end * RATE)] = OPENINGS.get(phone.name, 0.0)
    window = np.hanning(9)
    return np.convolve(out, window / window.sum(), "same")


def shifted(curve: Array, lag: int) -> Array:
    """The curve (n,) so many cells earlier, its end held."""
    return curve[np.clip(np.arange(len(curve)) + lag, 0, len(curve) - 1)]


def _clip(clip: PeerClip, opening: Array, rounding: Array) -> dict[str, Any]:
    """What one clip counts."""
    found: dict[str, list[float]] = {name: [] for name in ("closures", "vowels", "round", "spread")}
    silence = []
    for phone in clip.phones:
        start, end = int(phone.start * RATE), int(phone.end * RATE)
        middle = min(int(phone.middle * RATE), len(opening) - 1)
        if phone.name in CLOSURES:
            found["closures"].append(float(opening[max(0, start - 2) : end + 2].min(initial=1.0)))
        if phone.name in OPEN_VOWELS and phone.length >= LEAST_VOWEL:
            found["vowels"].append(float(opening[middle]))
        for name, phones in (("round", ROUNDED), ("spread", SPREAD)):
            if phone.name in phones:
                found[name].append(float(rounding[middle]))
        if phone.name == "SIL" and phone.length > LEAST_SILENCE:
            silence.append(opening[start + 10 : end - 10])
    coarse = opening[::4]
    first, second = np.abs(np.diff(coarse)), np.abs(np.diff(coarse, 2))
    return {
        **found,
        "silence": np.concatenate(silence) if silence else np.zeros(0),
        "first": float(first.mean()),
        "second": float(second.mean()),
    }


def _summary(parts: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The figures over some clips; not a number where there is nothing to count."""
    every = {name: np.concatenate([part[name] for part in parts]) for name in COUNTED}
    return {
        "closures": _share(every["closures"] < CLOSED),
        "vowels_shut": _share(every["vowels"] < SHUT),
        "silence_open": _share(every["silence"] > SHUT),
        "auc": auc(every["vowels"], every["closures"]),
        "rounding": auc(every["round"], every["spread"]),
        "jitter": sum(p["second"] for p in parts) / max(sum(p["first"] for p in parts), 1e-9),
    }


def auc(high: Array, low: Array) -> float:
    """The chance that one of `high` (n,) is above one of `low` (m,); ties count half."""
    if not len(high) or not len(low):
        return float("nan")
    ordered = np.sort(low)
    below, upto = (np.searchsorted(ordered, high, side=side) for side in ("left", "right"))
    return float((below + upto).mean() / (2.0 * len(low)))


def _share(hits: NDArray[np.bool_]) -> float:
    return 100.0 * float(np.mean(hits)) if len(hits) else float("nan")


def _correlation(a: Array, b: Array) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if np.std(a) > 1e-9 and np.std(b) > 1e-9 else -1.0
