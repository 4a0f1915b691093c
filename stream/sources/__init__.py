"""Where audio comes from: one file per source, all of them iterators of `Block`."""

from stream.audio import AudioSource, Block, SourceError

__all__ = ["AudioSource", "Block", "SourceError"]
