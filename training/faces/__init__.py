"""Recorded faces to learn from: datasets in the released layout."""
