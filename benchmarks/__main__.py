"""`posetalk bench NAME ...` runs this; the options after NAME go to the module that measures.

Exit codes: 0 done, 1 failed (one line on standard error), 2 wrong usage, 130 Ctrl-C.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

MODULES = {
    "throughput": "benchmarks.throughput.run",
    "gpu": "benchmarks.gpu.run",
    "soak": "benchmarks.soak.run",
    "attacks": "benchmarks.attacks.run",
    "a2f": "benchmarks.latency.a2f_streams",
    "curves": "benchmarks.quality.curves",
    "voices": "benchmarks.quality.making_voices",
    "official": "benchmarks.quality.official_size",
    "cost": "benchmarks.throughput.backend_cost",
    "eight-bits": "benchmarks.quality.eight_bits",
    "parity": "export.parity",
    "pictures": "viewer.render.renderer",
    "styles": "benchmarks.quality.style_sheet",
    "head-sheet": "viewer.render.sheet",
    "page": "benchmarks.pages.performance",
    "results": "benchmarks.pages.results",
}
"""Each has a `main(arguments)` that returns an exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the first argument names with the rest of them; returns the exit code."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    if name not in MODULES:
        print(f"posetalk bench: no {name!r}; there are {', '.join(MODULES)}", file=sys.stderr)
        return 2
    try:
        code: int = importlib.import_module(MODULES[name]).main(rest)
    except KeyboardInterrupt:
        return 130
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        from posetalk.__main__ import explain

        print(f"posetalk bench {name}: {explain(error)}", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
