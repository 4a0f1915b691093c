"""Corpora of speech, animated by many workers: `posetalk animate --ray DIR`, on Ray Data."""
