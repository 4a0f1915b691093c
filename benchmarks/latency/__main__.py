"""`bench-latency`: ready for Ctrl-C before anything large is loaded."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.__main__ import told


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure as the command line says; returns one of `posetalk.terminal.exit_codes`."""

    def measured() -> int:
        from benchmarks.latency import bench

        return bench.main(arguments)

    return told("bench-latency", measured)


if __name__ == "__main__":
    sys.exit(main())
