"""Files that are to hold FLAME: what runs nothing, claims of memory, damage, and other kinds."""

from __future__ import annotations

import os
import pickle
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli import finish, start
from flame_files import pickled

from benchmarks.hostile.opcodes import Chumpy
from head.importing import import_head
from head.importing.flame import import_flame
from head.model import HeadError
from head.rig import builtin_head, load_head, save_head


def test_names_that_files_have_on_their_site(file: Path, tmp_path: Path) -> None:
    from head.importing import default_name

    names = ("generic_model.pkl", "flame2023.pkl", "flame2023_no_jaw.pkl", "female_model.pkl")
    assert [default_name(Path(name)) for name in names] == [
        "flame",
        "flame-2023",
        "flame-2023-no-jaw",
        "flame-female",
    ]


RAN: list[str] = []


class _Code:
    """What a hostile pickle would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (RAN.append, ("it ran",))


@pytest.mark.parametrize(
    "hostile",
    [
        b"cos\nsystem\n(S'touch /tmp/owned'\ntR.",
        b"\x80\x02cbuiltins\neval\nU\x0cRAN.append(1)\x85R.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
        b"\x80\x02cnumpy\nload\nU\x01x\x85R.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct.__globals__\n.",
        b"\x80\x02cscipy.sparse.linalg\nspsolve\n.",
        b"\x80\x02i__builtin__\nexec\n.",
        b"Pid\n.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02c_codecs\nencode\nU\x01xU\x05rot13\x86R.",
        b"\x80\x02c_codecs\nencode\nN}U\x0c__defaults__U\x01x\x85s\x86b.",
        b"\x80\x02ccollections\nOrderedDict\n)R(U\x01xU\x01ydU\x01z\x85R.",
        pickle.dumps({"v_template": _Code()}, protocol=2),
    ],
    ids=lambda data: repr(data[:24]),
)
def test_pickles_that_run_code_are_refused_unrun(hostile: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.pkl"
    path.write_bytes(hostile)
    with pytest.raises(HeadError) as caught:
        import_head(path)
    assert "\n" not in str(caught.value) and "bad.pkl" in str(caught.value)
    assert not RAN and not Path("/tmp/owned").exists()


@pytest.mark.parametrize(
    "claim",
    [
        b"\x80\x02N" + b"r\xff\xff\xff\x7f.",  # memo entry two thousand million
        b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b"x.",
        b"\x80\x04\x8e" + (1 << 62).to_bytes(8, "little") + b"x.",
        b"\x80\x02T\xff\xff\xff\x7fxx.",
        b"\x80\x02" + b"(" * 5000 + b"t" * 5000 + b".",
        b"\x80\x02L" + b"9" * 100_000 + b"L\n.",
        b"\x80\x02" + b"U\x01xU\x01y" + b"\x86" * 3,
    ],
    ids=["memo", "bytearray", "bytes", "string", "nested", "number", "no end"],
)
def test_claims_of_much_memory_cost_nothing(claim: bytes) -> None:
    import tracemalloc

    tracemalloc.start()
    try:
        with pytest.raises(HeadError):
            import_flame(claim, "claim.pkl", "x")
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_truncated_and_damaged_files_get_one_line(file: Path) -> None:
    data = file.read_bytes()
    rng = np.random.default_rng(4)
    ends = [0, 1, 2, 50, 1000, len(data) // 2, len(data) - 1, *rng.integers(0, 4000, 20)]
    for end in ends:
        with pytest.raises(HeadError) as caught:
            import_flame(data[:end], "cut.pkl", "x")
        assert "\n" not in str(caught.value) and "cut.pkl" in str(caught.value)
    small = pickled({"v_template": np.eye(3), "f": np.eye(3), "weights": Chumpy(np.eye(2))})
    for _ in range(300):
        spoilt = bytearray(small)
        for place in rng.integers(0, len(small), 3):
            spoilt[place] = rng.integers(256)
        with pytest.raises(HeadError) as caught:
            import_flame(bytes(spoilt), "spoilt.pkl", "x")
        assert "\n" not in str(caught.value)


def test_files_of_other_kinds(tmp_path: Path) -> None:
    (tmp_path / "head.obj").write_text("v 0 0 0\n")
    with pytest.raises(HeadError, match=r"FLAME's \.pkl"):
        import_head(tmp_path / "head.obj")
    with pytest.raises(HeadError, match="cannot read"):
        import_head(tmp_path / "nothing.pkl")
    for name, begins in {
        "talk.wav": b"RIFF\x24\0\0\0WAVEfmt ",
        "face.png": b"\x89PNG\r\n\x1a\n",
        "list.txt": b"generic_model.pkl\n",
        "page.html": b"<!doctype html>",
        "nothing": b"",
    }.items():
        (tmp_path / name).write_bytes(begins)
        with pytest.raises(HeadError, match=r"is no FLAME pickle \(.*give FLAME's \.pkl") as told:
            import_head(tmp_path / name)
        assert name in str(told.value) and "\n" not in str(told.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(HeadError, match="FaceXModel"):
        import_head(tmp_path / "empty")
    assert os.listdir(tmp_path / "empty") == []


def test_what_flame_comes_in_is_named(file: Path, tmp_path: Path) -> None:
    """Its download, the folder that it unpacks to, arrays in a NumPy archive, a head of ours."""
    plain_bytes = file.read_bytes()
    with zipfile.ZipFile(tmp_path / "FLAME2020.zip", "w") as archive:
        archive.writestr("FLAME2020/generic_model.pkl", plain_bytes[:1000])
        archive.writestr("FLAME2020/Readme.pdf", b"")
    with tarfile.open(tmp_path / "flame.tar.gz", "w:gz") as packed:
        packed.add(file, "FLAME/generic_model.pkl")
    (tmp_path / "FLAME2020").mkdir()
    (tmp_path / "FLAME2020" / "male_model.pkl").write_bytes(plain_bytes[:1000])
    np.savez(tmp_path / "flame.npz", v_template=np.zeros((5, 3)), shapedirs=np.zeros((5, 3, 400)))
    np.savez(tmp_path / "motion.npz", exp=np.zeros((5, 50)))
    save_head(builtin_head(), tmp_path / "head.npz")
    for name, says in {
        "FLAME2020.zip": r"archive of FLAME's files \(generic_model.pkl\): unpack it",
        "flame.tar.gz": r"archive of FLAME's files \(generic_model.pkl\): unpack it",
        "FLAME2020": r"holds FLAME's files \(male_model.pkl\): give one of them",
        "flame.npz": r"FLAME's arrays in a NumPy archive.*give the \.pkl",
        "motion.npz": r"NumPy archive and no head: give FLAME's \.pkl",
        "head.npz": r"a posetalk head already: use it with --head",
    }.items():
        with pytest.raises(HeadError, match=says) as raised:
            import_head(tmp_path / name)
        assert name in str(raised.value) and "\n" not in str(raised.value)
    for name in ("FLAME2020.zip", "flame.npz", "FLAME2020/male_model.pkl"):
        with pytest.raises(HeadError, match=r"no posetalk head.*posetalk head import"):
            load_head(tmp_path / name)


@pytest.mark.skipif(sys.platform != "linux", reason="not run: is for Linux file names")
def test_names_that_are_no_utf_8(file: Path, tmp_path: Path) -> None:
    name, made = (os.fsdecode(b"kopf\xfc." + ending) for ending in (b"pkl", b"npz"))
    (tmp_path / name).write_bytes(file.read_bytes())
    code, _, message = finish(start("head", "import", name, "-o", made, cwd=tmp_path))
    assert code == 0, message
    assert load_head(tmp_path / made).id == "flame-kopf"
    (tmp_path / name).write_bytes(b"nothing of the kind")
    code, _, message = finish(start("head", "import", name, "-o", "b.npz", cwd=tmp_path))
    assert code == 1 and "kopf" in message and message.count("\n") == 1
