"""DiffPoseTalk: speech-driven facial motion by diffusion (Sun et al. 2024), made to stream.

`spec` and `bundle` need no torch, so that a viewer or another runtime can read a bundle; the
networks are in `model` (and what it is made of), the sampling in `samplers` and `guidance`.
"""
