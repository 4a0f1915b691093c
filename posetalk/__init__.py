"""Speak, and a 3D face speaks back."""

from __future__ import annotations
