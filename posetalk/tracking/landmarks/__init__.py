"""Landmarks: the tracker behind its seam, its model file, and what each of its points marks."""
