"""Released files as somebody has them who downloaded everything, and what their import says."""

from __future__ import annotations

import copy
import functools
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from official_checkpoint import SMALL, make_denoiser, write

from diffposetalk.bundle.bundle import BundleError
from diffposetalk.importing.archive import CheckpointError
from diffposetalk.importing.released import Files, import_released
from diffposetalk.spec import HubertSpec, SpeechEncoderSpec

SMALL_HUBERT = SpeechEncoderSpec(
    d_out=32, hubert=HubertSpec(n_layers=2, n_heads=2, d_hidden=48, d_conv=16, position_groups=4)
)
Content = dict[str, Any]

_KEPT: list[Path] = []


def download(folder: Path) -> Path:
    """Write them all to a folder; `changed` begins with the last one."""
    _KEPT[:] = [write(folder)]
    return _KEPT[0]


def files(folder: Path, **changes: Any) -> Files:
    given: dict[str, Any] = {
        "denoiser": folder / "denoiser.pt",
        "stats": folder / "stats_train.npz",
        "style_encoder": folder / "se.pt",
        "styles": folder / "styles",
        "speech": SMALL_HUBERT,
    }
    return Files(**(given | changes))


def changed(tmp_path: Path, change: Callable[[Content], object], **options: Any) -> Files:
    """The released files with a changed denoiser."""
    folder = tmp_path / "files"
    shutil.copytree(_KEPT[0], folder, dirs_exist_ok=True)
    content = copy.deepcopy(_denoiser())
    change(content)
    torch.save(content, folder / "denoiser.pt")
    return files(folder, **options)


@functools.cache
def _denoiser() -> Content:
    return make_denoiser(SMALL)


def rewrite(path: Path, change: Callable[[str, bytes], bytes | None], **how: Any) -> None:
    """Write an archive again, its members changed or left out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", how.get("compression", zipfile.ZIP_STORED)) as archive:
        for name, data in members.items():
            new = change(name, data)
            if new is not None:
                archive.writestr(name, new)


def refused(given: Files, folder: Path) -> str:
    """The one line on why there is no bundle; nothing is left behind."""
    before = sorted(folder.parent.iterdir()) if folder.parent.is_dir() else []
    with pytest.raises((CheckpointError, BundleError, OSError)) as caught:
        import_released(given, folder)
    assert "\n" not in str(caught.value)
    assert (sorted(folder.parent.iterdir()) if folder.parent.is_dir() else []) == before
    return str(caught.value)
