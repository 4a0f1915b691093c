"""Held-out clips, and the figures of motion generated for them."""
