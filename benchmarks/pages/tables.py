"""Markdown tables, and the lines that say where a figure was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.harness.environment import describe


def table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A Markdown table; the first `left` columns are text, the others numbers."""
    rule = ["---" if k < left else "---:" for k in range(len(header))]
    lines = [header, rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def where(result: Mapping[str, Any]) -> str:
    """Machine, versions, revision, bundle and time of a results file, as a quotation.

    Files whose runs have each their own live settings name the bundle there, and have none here.
    """
    lines = describe(dict(result))
    if "bundle_hash" in result:
        lines.insert(2, f"bundle {result['bundle_hash'][:12]}")
    return "\n".join(f"> {line}  " for line in lines) + "\n"
