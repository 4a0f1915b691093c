"""The measured parts of docs/video.md (`benchmarks.harness.marked_page`), from figures alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.harness import marked_page
from benchmarks.harness.environment import describe
from benchmarks.tracking import likeness, speed
from posetalk.tracking.closed_loop import table


def fill(text: str, found: Mapping[str, Mapping[str, Any]]) -> str:
    """`text` with every part written anew from the figures in `found`, by part."""
    writers = {"loop": _loop, "speed": _speed, "likeness": _likeness}
    return marked_page.fill(text, "films", writers, found)


def _loop(found: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for title in ("acted", "speech only"):
        rows = {name: each["figures"] for name, each in found[title].items()}
        lines += [table(rows), ""]
    return lines + _where(found)


def _speed(found: Mapping[str, Any]) -> list[str]:
    rows = found["films"]
    slow = min(row["pictures"] / row["core_seconds"] for row in rows)
    verdict = "met by all" if slow >= speed.ASKED else "not met by all"
    return [
        *speed.table(rows),
        "",
        f"Asked were {speed.ASKED:.0f} pictures a second on one core: {verdict}.",
        *_where(found),
    ]


def _likeness(found: Mapping[str, Any]) -> list[str]:
    told = found["nearest"]
    share, chance = told["share"], told["chance"]
    asked = found["asked"]
    got = {name: found["r"]["made"][name] for name in likeness.ASKED}
    missed = [name for name, r in got.items() if r < asked["r"]]
    verdict = (
        f"all of it is reached (r of {asked['r']} or more)"
        if not missed
        else f"{' and '.join(missed)} {'is' if len(missed) == 1 else 'are'} below {asked['r']}"
    )
    nearest = "reached" if share >= asked["factor"] * chance else "not reached"
    return [
        *likeness.table(found),
        "",
        f"Of what was asked for, {verdict}. Given another film of somebody, who it is, of "
        f"{len(found['people'])}, is told by the speech in {100 * share:.0f} % of "
        f"{told['cases']} cases (95 % interval over people {100 * told['low']:.0f} to "
        f"{100 * told['high']:.0f} %; chance {100 * chance:.0f} %, asked {asked['factor']:g} times "
        f"that: {nearest}; with the styles' people shuffled, as many are told with a probability "
        f"of {_probability(told['luck'])}).",
        *_where(found),
    ]


def _probability(value: float) -> str:
    return f"{value:.2g}" if value >= 1 / likeness.DRAWS else f"less than {1 / likeness.DRAWS:.0e}"


def _where(found: Mapping[str, Any]) -> list[str]:
    """Where the figures come from, in one line; nothing where the file does not say."""
    if "machine" not in found:
        return []
    machine, revision = describe(dict(found))[:2]
    bundle = f", bundle `{found['bundle_hash'][:12]}`" if "bundle_hash" in found else ""
    return ["", f"({machine}; {revision.partition(';')[0]}{bundle}; {found['time'][:10]})"]
