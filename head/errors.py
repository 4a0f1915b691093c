"""The errors of the product: one tree, which stands at the bottom so that all may grow from it.

Each class stands in the file that raises it, and keeps the builtin kind that callers know it by.
`docs/api.md` draws the tree.
"""

from __future__ import annotations


class PosetalkError(Exception):
    """What posetalk raises on purpose: one line that says what is wrong, and what to do."""


class WrongValue(PosetalkError, ValueError):
    """A value that cannot be; the line names those that can."""


class FileError(PosetalkError, OSError):
    """A file or folder that cannot be read, or must not be written."""


class MissingFile(PosetalkError, FileNotFoundError):
    """A file that is not there."""


class NotInstalled(PosetalkError, RuntimeError):
    """Something that is not installed is needed; the line says what brings it."""
