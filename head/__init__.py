"""Heads: rigs in FLAME form, their file format, skinning, and the built-in character."""
