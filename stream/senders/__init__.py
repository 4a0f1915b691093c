"""Frames to other programs in the languages they already understand, beside the websocket.

Live Link Face over UDP moves a MetaHuman without any plugin; VMC over OSC moves VTuber avatars.
"""

from __future__ import annotations

from stream.senders.open import DEFAULT_PORTS, SenderError, open_senders, parse_target

__all__ = ["DEFAULT_PORTS", "SenderError", "open_senders", "parse_target"]
