"""The live path: audio sources -> timeline -> windows -> session -> wire -> server."""
