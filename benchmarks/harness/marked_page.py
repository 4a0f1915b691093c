"""Measured parts of a page that is written by hand otherwise.

A part stands between `<!-- PAGE: PART -->` and `<!-- end -->`; all else is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

Writer: TypeAlias = Callable[[Mapping[str, Any]], Iterable[str]]
"""From the figures of a part to its lines."""


def fill(
    text: str, page: str, writers: Mapping[str, Writer], found: Mapping[str, Mapping[str, Any]]
) -> str:
    """`text` with every part written anew from the figures in `found`, by part; one that is not
    there was not measured.

    Args:
        page: the word that the marks begin with.
    """
    marks = re.compile(rf"(<!-- {page}: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

    def written(match: re.Match[str]) -> str:
        part = match[2]
        lines = writers[part](found[part]) if part in found else ["Not measured yet."]
        return match[1] + "\n".join(lines) + "\n" + match[3]

    return marks.sub(written, text)
