"""The training of the starter bundle, step by step."""
