"""The demo speech and clips of motion, as data."""
