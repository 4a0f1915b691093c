"""What an attack did, against the bars: values, and the table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GAP_BAR, GAP_OVER_CONTROL = 0.300, 0.150
"""Seconds without a frame: at most the first, or the second more than beside the control."""
MEMORY_BAR, REST_BAR = 100.0, 25.0
"""Megabytes more at the height, and ten seconds after."""
NEWCOMER_BAR = 2.0
LONGEST_LINE = 300


@dataclass(frozen=True)
class Result:
    """One attack beside the viewer, and its control.

    Attributes:
        name: of the attack.
        gap, control_gap: longest seconds between two frames of the well-behaved viewer.
        lost: frames that it missed.
        finite: whether all that came were numbers.
        before, height, after: resident megabytes of the server.
        newcomer: seconds to a newcomer's first frame, during the attack.
        clients: websockets that the server had at its height.
        lines: what the server printed that a person cannot read.
        failure: what else went wrong; "": nothing.
        tries: how often it was run, see `run`.
    """

    name: str
    gap: float
    control_gap: float
    lost: int
    finite: bool
    before: float
    height: float
    after: float
    newcomer: float
    clients: int = 0
    lines: Sequence[str] = ()
    failure: str = ""
    tries: int = 1

    @property
    def megabytes_a_client(self) -> float:
        """What each of the attackers' websockets took of the server at its height."""
        return (self.height - self.before) / max(1, self.clients)

    @property
    def missed_the_gap_only(self) -> bool:
        """Whether nothing is wrong but the time without a frame, which a busy machine makes too."""
        return self.faults == [self._gap_fault]

    @property
    def _gap_fault(self) -> str:
        most = max(GAP_BAR, self.control_gap + GAP_OVER_CONTROL)
        return f"{1e3 * self.gap:.0f} ms without a frame, at most {1e3 * most:.0f}"

    @property
    def faults(self) -> list[str]:
        """What should not be; empty: it held."""
        most = max(GAP_BAR, self.control_gap + GAP_OVER_CONTROL)
        wrong = {
            self._gap_fault: self.gap > most,
            f"{self.lost} frames lost": self.lost > 0,
            "frames that are no numbers": not self.finite,
            f"+{self.height - self.before:.0f} MB": self.height - self.before > MEMORY_BAR,
            f"+{self.after - self.before:.0f} MB left": self.after - self.before > REST_BAR,
            f"a newcomer waits {self.newcomer:.1f} s": self.newcomer > NEWCOMER_BAR,
            f"printed {self.lines[:1]}": bool(self.lines),
            self.failure: bool(self.failure),
        }
        return [what for what, is_so in wrong.items() if is_so]

    def row(self) -> str:
        """A line of the table."""
        tries = f" ({self.tries} tries)" if self.tries > 1 else ""
        return (
            f"{self.name:17s} {1e3 * self.gap:6.0f} {1e3 * self.control_gap:7.0f} {self.lost:5d} "
            f"{self.before:7.0f} {self.height:7.0f} {self.after:7.0f} {self.newcomer:9.2f}  "
            f"{'; '.join(self.faults) or 'held'}{tries}"
        )


HEADER = (
    f"{'attack':17s} {'gap ms':>6s} {'control':>7s} {'lost':>5s} "
    f"{'MB':>7s} {'height':>7s} {'after':>7s} {'newcomer s':>9s}"
)


def unreadable(lines: Sequence[str]) -> list[str]:
    """Lines of a server's that are nothing for a person: traces, rubbish, walls of text."""
    return [
        line
        for line in lines
        if "Traceback" in line
        or "this should not happen" in line
        or line.startswith('  File "')
        or len(line) > LONGEST_LINE
        or not line.isprintable()
    ]


def summary(results: Sequence[Result]) -> str:
    """One line on all of them."""
    held = sum(not result.faults for result in results)
    return (
        f"{held} of {len(results)} attacks held; longest gap "
        f"{1e3 * max((r.gap for r in results), default=0):.0f} ms, "
        f"{sum(r.lost for r in results)} frames lost, "
        f"most memory +{max((r.height - r.before for r in results), default=0):.0f} MB, "
        f"slowest newcomer {max((r.newcomer for r in results), default=0):.2f} s"
    )
