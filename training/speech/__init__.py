"""Speech to learn from: corpora, voices that are synthesised, augmentation, tracks."""
