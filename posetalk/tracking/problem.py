"""What goes wrong with a film: one plain line each."""

from __future__ import annotations

from head.errors import PosetalkError


class TrackingError(PosetalkError, ValueError):
    """A film, a camera or the landmark model cannot be used. The message is one plain line."""
