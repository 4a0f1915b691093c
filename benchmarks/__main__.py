"""`posetalk bench NAME ...` runs this; the options after NAME go to the module that measures.

Exit codes: 0 done, 1 failed (one line on standard error), 2 wrong usage, 130 Ctrl-C.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence

from head.errors import PosetalkError
from posetalk.terminal.console import UsageError
from posetalk.terminal.exit_codes import FAILED, INTERRUPTED, WRONG_USAGE
from posetalk.terminal.interrupts import forget_it_was_unhandled, install, let_in

MODULES = {
    "throughput": "benchmarks.throughput.run",
    "gpu": "benchmarks.gpu.run",
    "soak": "benchmarks.soak.run",
    "attacks": "benchmarks.attacks.run",
    "peers": "benchmarks.peers.run",
    "a2f": "benchmarks.latency.a2f_streams",
    "ray": "benchmarks.scaling.run",
    "pipecat": "benchmarks.pipecat.run",
    "curves": "benchmarks.quality.curves",
    "voices": "benchmarks.quality.making_voices",
    "official": "benchmarks.quality.official_size",
    "cost": "benchmarks.throughput.backend_cost",
    "eight-bits": "benchmarks.quality.eight_bits",
    "parity": "export.parity",
    "pictures": "viewer.render.renderer",
    "styles": "benchmarks.quality.style_sheet",
    "mouths": "benchmarks.quality.mouth_sheet",
    "head-sheet": "viewer.render.sheet",
    "films": "benchmarks.tracking.run",
    "page": "benchmarks.pages.performance",
    "results": "benchmarks.pages.results",
}
"""Each has a `main(arguments)` that returns an exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the first argument names with the rest of them; returns the exit code."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    if name not in MODULES:
        print(f"posetalk bench: no {name!r}; there are {', '.join(MODULES)}", file=sys.stderr)
        return WRONG_USAGE
    return told(f"posetalk bench {name}", lambda: importlib.import_module(MODULES[name]).main(rest))


def told(program: str, work: Callable[[], int]) -> int:
    """Do the work; returns its exit code, and says what it raises, or an interrupt, in one line."""
    interrupts = install()
    try:
        let_in()
        from posetalk.terminal.tyro_options import in_one_line

        with in_one_line():
            return work() or interrupts.exit_code
    except KeyboardInterrupt:
        forget_it_was_unhandled()
        print(f"{program}: interrupted", file=sys.stderr)
        return interrupts.exit_code or INTERRUPTED
    except (PosetalkError, OSError, ImportError) as error:
        from posetalk.__main__ import explain

        if interrupts.exit_code:
            print(f"{program}: interrupted", file=sys.stderr)
            return interrupts.exit_code
        print(f"{program}: {explain(error)}", file=sys.stderr)
        return WRONG_USAGE if isinstance(error, UsageError) else FAILED


if __name__ == "__main__":
    sys.exit(main())
