"""Tracks to learn from: utterances joined, heard in rooms and noise, labelled."""
