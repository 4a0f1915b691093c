"""Links that somebody else has planted where a command is going to write."""

from __future__ import annotations

import wave
from pathlib import Path

PRECIOUS = b"nobody may write here"
OUTPUT = "out.npz"
PLANTED = (OUTPUT, f"{OUTPUT}.part", "out.part", f"{OUTPUT}.unfinished", "out.unfinished.npz")
"""The name itself, and those that work in progress has or had in this and other programs."""


def plant(folder: Path) -> list[str]:
    """A file that must stay, links to it under all those names, and a command that writes there."""
    (folder / "precious").write_bytes(PRECIOUS)
    for name in PLANTED:
        (folder / name).symlink_to(folder / "precious")
    with wave.open(str(folder / "in.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(bytes(6_400))
    sound_path, out = str(folder / "in.wav"), str(folder / OUTPUT)
    return ["animate", sound_path, "--backend", "fake", "--force", "-o", out]


def faults(folder: Path, code: int) -> list[str]:
    """What came of it that should not have; empty: it held."""
    made = folder / OUTPUT
    wrong = {
        f"exit code {code}": code != 0,
        "written through a link": (folder / "precious").read_bytes() != PRECIOUS,
        "no file of its own": made.is_symlink() or not made.is_file(),
        "another's link is gone": not all((folder / name).is_symlink() for name in PLANTED[1:]),
    }
    return [what for what, is_so in wrong.items() if is_so]
