"""The figures that the path on a GPU is to reach, looked up among those that were measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Mapping[str, Any]]
"""Of parts, by name: what their figures are, by name."""


@dataclass(frozen=True)
class Goal:
    """One figure: what is wanted, what was found, whether that is enough.

    Attributes:
        found: as text; None where it was not measured.
    """

    name: str
    wanted: str
    found: str | None
    reached: bool


def goals(figures: Figures) -> Iterator[Goal]:
    """All of them, in order of worth."""
    look = _Look(figures)
    for precision, most in (("fp32", 1e-4), ("bf16", 2e-2)):
        yield look.largest("numerics", precision, most)
    yield look.at_most("official, K 4: p99 of a hop", 5.0, "ms", "hops", "official K4 fp32")
    yield look.at_most("starter, K 1: p99 of a hop", 1.0, "ms", "hops", "starter K1 fp32")
    for name, label in (
        ("1,024 of the starter, hop 2", "starter H2 fp32 N1024"),
        ("4,096 of the starter, hop 2 (stretch)", "starter H2 fp32 N4096"),
        ("144 of official size, hop 10", "official H10 bf16 N144"),
        ("1,024 of official size, hop 10 (stretch)", "official H10 bf16 N1024"),
    ):
        yield look.real_time(name, label)
    yield look.faster("a hop against 500 eager steps", 250.0, "official, one window", _hop)
    yield look.faster(
        "hops in batches against 500 eager steps, each", 1000.0, "official, one window", _batched
    )
    yield look.python("Python of a session's hop at 1,024", 15.0)


def table(figures: Figures) -> str:
    """The goals as text."""
    rows = [
        (goal.name, goal.wanted, goal.found or "not measured", _verdict(goal))
        for goal in goals(figures)
    ]
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _verdict(goal: Goal) -> str:
    if goal.found is None:
        return ""
    return "reached" if goal.reached else "missed"


def _hop(figures: Figures) -> float | None:
    """Milliseconds of a hop of official size."""
    found = figures.get("hops", {}).get("official K4 fp32")
    return found["p50_ms"] if isinstance(found, Mapping) else None


def _batched(figures: Figures) -> float | None:
    """Milliseconds that a session's hop of official size takes among many, at best."""
    found = [
        value["ms"] / int(label.rpartition("N")[2])
        for label, value in figures.get("sessions", {}).items()
        if label.startswith("official H10") and isinstance(value, Mapping)
    ]
    return min(found, default=None)


@dataclass(frozen=True)
class _Look:
    """Looks figures up."""

    figures: Figures

    def largest(self, part: str, precision: str, most: float) -> Goal:
        values = [
            float(value)
            for label, value in self.figures.get(part, {}).items()
            if label.endswith(f" {precision}") and isinstance(value, float)
        ]
        name = f"{precision}: largest difference of a hop from the CPU"
        found = f"{max(values):.1e}" if values else None
        return Goal(name, f"<= {most:.0e}", found, bool(values) and max(values) <= most)

    def at_most(self, name: str, most: float, unit: str, part: str, label: str) -> Goal:
        found = self.figures.get(part, {}).get(label)
        value = found["p99_ms"] if isinstance(found, Mapping) else None
        return Goal(name, f"<= {most:g} {unit}", *_number(value, unit, lambda x: x <= most))

    def real_time(self, name: str, label: str) -> Goal:
        found = self.figures.get("sessions", {}).get(label)
        value = found["times_real_time"] if isinstance(found, Mapping) else None
        return Goal(name, "real time", *_number(value, "times", lambda x: x >= 1.0))

    def faster(
        self, name: str, least: float, eager: str, ours: Callable[[Figures], float | None]
    ) -> Goal:
        slow, quick = self.figures.get("eager", {}).get(eager), ours(self.figures)
        both = isinstance(slow, Mapping) and quick
        value = slow["ms"] / quick if both and isinstance(slow, Mapping) and quick else None
        return Goal(name, f">= {least:,.0f} times", *_number(value, "times", lambda x: x >= least))

    def python(self, name: str, most: float) -> Goal:
        found = self.figures.get("beside", {}).get("fake H2 N1024")
        value = found["beside_us"] if isinstance(found, Mapping) else None
        return Goal(name, f"<= {most:g} us", *_number(value, "us", lambda x: x <= most))


def _number(
    value: float | None, unit: str, enough: Callable[[float], bool]
) -> tuple[str | None, bool]:
    """A figure as text, and whether it is enough."""
    if value is None:
        return None, False
    return f"{value:.3g} {unit}", enough(value)
