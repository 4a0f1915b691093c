"""A face for Pipecat's pipelines: `posetalk.pipecat.PosetalkProcessor` behind the voice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posetalk.pipecat.processor import PosetalkProcessor

__all__ = ["PosetalkProcessor"]


def __getattr__(name: str) -> Any:
    """Pipecat is loaded when its processor is asked for."""
    if name in __all__:
        from posetalk.pipecat import processor

        return getattr(processor, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
