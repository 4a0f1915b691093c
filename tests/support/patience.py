"""How long a test waits for what must come: so long that only a standstill fails it.

No test is about how fast a machine is: beside other work it takes its time.
"""

from __future__ import annotations

PATIENCE = 150.0
"""Seconds; below the limit of a test (`timeout` in pyproject.toml)."""
