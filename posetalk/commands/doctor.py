"""`posetalk doctor`: what is there, what is missing, and the one line that mends it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from posetalk.commands.options import Debug, Flag


@dataclass(frozen=True)
class Doctor:
    """Look at everything `posetalk live` needs; for each thing missing, say what mends it.

    On Linux that may be a system library; on Windows and macOS it is a privacy setting for the
    microphone, or a desktop to draw on. Exit code 0 if `posetalk live` can run, else 1.
    """

    json: Flag = False
    """Print the findings as JSON, for scripts and bug reports."""
    gpu: Flag = False
    """Look at the GPU instead: the card, what can run on it, what to choose, and a test of it
    against the CPU. Exit code 0 if that test is passed."""
    debug: Debug = False

    def run(self) -> int:
        from posetalk.terminal.doctor_checks import examine, live_can_run
        from posetalk.terminal.gpu_checks import examine_gpu

        findings = []
        for finding in examine_gpu() if self.gpu else examine():
            findings.append(finding)
            if not self.json:
                print(finding.line(), flush=True)
        healthy = live_can_run(findings)
        if self.json:
            print(json.dumps([vars(finding) for finding in findings], indent=2))
        else:
            what = "the GPU path" if self.gpu else "`posetalk live`"
            print(f"{what} can run" if healthy else f"{what} cannot run yet")
        return 0 if healthy else 1
