"""Backends: what runs a model; each heavy library is imported by one of them alone."""
