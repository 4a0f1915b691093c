"""Archives and arrays that unpack to gigabytes, or only claim to be there."""

from __future__ import annotations

import gzip
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hostile.table import hostile


@hostile("larger than any file of a head")
def tar_with_an_endless_header(folder: Path) -> list[str]:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 3 << 30
    with gzip.open(folder / "kit.tar.gz", "wb", 1) as file:
        file.write(info.tobuf())
        for _ in range(96):
            file.write(bytes(1 << 20))
    return ["head", "import", str(folder / "kit.tar.gz"), "-o", str(folder / "out.npz")]


@hostile("MB of .obj files")
def zip_of_many_large_files(folder: Path) -> list[str]:
    piece = b"v 0 0 0\n" * 2_000_000
    with zipfile.ZipFile(folder / "kit.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as kit:
        for k in range(60):
            kit.writestr(f"identity{k:03d}.obj", piece)
    return ["head", "import", str(folder / "kit.zip"), "-o", str(folder / "out.npz")]


@hostile("more lines than any head")
def obj_of_empty_lines(folder: Path) -> list[str]:
    (folder / "generic_neutral_mesh.obj").write_bytes(b"\n" * 15_000_000)
    return ["head", "import", str(folder), "-o", str(folder / "out.npz")]


def npy(shape: tuple[int, ...] | str, kind: str = "<f4", data: bytes = b"") -> bytes:
    """An npy file with any header."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def _npz(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)


@hostile("too large")
def head_that_unpacks_to_gigabytes(folder: Path) -> list[str]:
    size = 400 << 20
    with (
        zipfile.ZipFile(folder / "head.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        file.open("template.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy((size // 4,)))
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    return ["head", "show", str(folder / "head.npz")]


@hostile("of which 0 are there")
def array_that_only_claims(folder: Path) -> list[str]:
    _npz(folder / "head.npz", {"template": npy((10_000_000, 3))})
    return ["head", "show", str(folder / "head.npz")]


@hostile("cut short or damaged")
def header_nested_without_end(folder: Path) -> list[str]:
    _npz(folder / "head.npz", {"template": npy("(" * 3000 + ")" * 3000)})
    return ["head", "show", str(folder / "head.npz")]


def _packaged_head() -> dict[str, np.ndarray]:
    import head

    with np.load(Path(head.__file__).parent / "data" / "builtin.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def _save(folder: Path, arrays: dict[str, Any]) -> None:
    np.savez_compressed(folder / "head.npz", **arrays)


@hostile(r"shape_basis of \d+ vertices")
def head_with_a_million_channels(folder: Path) -> list[str]:
    arrays = _packaged_head()
    arrays["shape_basis.scale"] = np.zeros(1_000_000, np.float32)
    _save(folder, arrays)
    return ["head", "show", str(folder / "head.npz")]


@hostile("holds no posetalk head")
def head_with_deep_words(folder: Path) -> list[str]:
    about = np.frombuffer(b"[" * 100_000, np.uint8)
    _save(folder, _packaged_head() | {"about": about})
    return ["head", "show", str(folder / "head.npz")]


@hostile("too large")
def motion_that_unpacks_to_gigabytes(folder: Path) -> list[str]:
    _npz(folder / "motion.npz", {"exp": npy((90_000_000,), data=bytes(360_000_000))})
    return ["style", "extract", str(folder / "motion.npz"), "-o", str(folder / "out.npz")]


@hostile("not a style file")
def style_that_only_claims(folder: Path) -> list[str]:
    (folder / "style.npy").write_bytes(npy((1 << 40,)))
    style = ["--style", str(folder / "style.npy")]
    return ["animate", "demo", *style, "-o", str(folder / "out.npz")]
