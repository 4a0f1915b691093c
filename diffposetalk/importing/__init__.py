"""Checkpoints of the released code, read as data and made into bundles."""
