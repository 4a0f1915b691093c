"""Imported heads where heads are used: commands, sessions, the wire, the video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli import call
from flame_files import flame_model, pickled

from head.importing.flame import import_flame
from head.library import heads_folder, own_heads
from head.model import Head, HeadError
from head.retarget import retarget
from head.rig import builtin_head, load_head, open_head, save_head
from stream.backends.fake import FakeBackend
from stream.core.retarget import retarget_to
from stream.core.session import Session
from stream.frames import Frame
from stream.wire.channels import channel_values, make_hello


@pytest.fixture(scope="module")
def pickle_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("flame") / "generic_model.pkl"
    path.write_bytes(pickled(flame_model(builtin_head())))
    return path


@pytest.fixture(scope="module")
def flame(pickle_file: Path) -> Head:
    return import_flame(pickle_file.read_bytes(), "f.pkl", "flame")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("head.rig._OPENED", {})
    return tmp_path


def test_import_list_show(
    library: Path, pickle_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["head", "list"], capsys)[:2][0] == 0
    code, _, said = call(["head", "import", str(pickle_file)], capsys)
    assert code == 0 and "--head flame" in said
    assert [path.name for path in own_heads()] == ["flame.npz"]
    assert [path.name for path in heads_folder().iterdir()] == ["flame.npz"]
    code, listed, _ = call(["head", "list"], capsys)
    assert code == 0 and "flame  3335 vertices" in listed and "posetalk-head-1" in listed
    code, shown, _ = call(["head", "show", "flame"], capsys)
    assert code == 0 and "lips" in shown and "jaw" in shown
    code, _, said = call(["head", "import", str(pickle_file)], capsys)
    assert code == 2 and "--force" in said
    code, _, said = call(["head", "import", str(pickle_file), "--name", "a/b"], capsys)
    assert code == 1 and "no name for a head" in said
    code, _, said = call(["head", "import", str(pickle_file), "-o", "x.pkl"], capsys)
    assert code == 2 and ".npz" in said
    (library / "junk.pkl").write_bytes(b"\x80\x02cos\nsystem\n.")
    code, _, said = call(["head", "import", str(library / "junk.pkl")], capsys)
    assert code == 1 and "os.system" in said and said.count("\n") == 1
    code, _, said = call(["head", "show", "nobody"], capsys)
    assert code == 1 and "flame" in said  # it names those that there are


def test_a_picture_of_a_head(
    library: Path, pickle_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    file, sheet = library / "f.npz", library / "f.png"
    assert call(["head", "import", str(pickle_file), "-o", str(file)], capsys)[0] == 0
    code, _, said = call(["head", "show", str(file), "-o", str(sheet), "--size", "64"], capsys)
    if code and "OpenGL" in said:
        pytest.skip("not run: nothing here can draw")
    assert code == 0
    with Image.open(sheet) as picture:
        assert picture.size == (320, 128)
        views = np.asarray(picture, np.float64)
    assert np.abs(views[:64, :64] - views[:64, 64:128]).mean() > 0.5  # the jaw opened


def test_animate_on_an_imported_head(
    library: Path, flame: Head, capsys: pytest.CaptureFixture[str]
) -> None:
    import posetalk
    from posetalk import demo_speech
    from posetalk.formats.motion_file import Motion

    save_head(flame, library / "mine.npz", exact=True)
    out = library / "out.npz"
    code, _, said = call(
        [
            "animate",
            "demo",
            "--backend",
            "fake",
            "--head",
            str(library / "mine.npz"),
            "-o",
            str(out),
            str(library / "out.csv"),
        ],
        capsys,
    )
    assert code == 0 and "moves flame by the nearest channels" in said
    motion = Motion.load(out)
    assert motion.head == "flame" and motion.pose[:, 3].max() > 0.02
    assert not motion.shape.any()  # an identity of another head means nothing here
    assert (library / "out.csv").stat().st_size > 1000
    again = posetalk.animate(demo_speech(), backend="fake", head=library / "mine.npz")
    np.testing.assert_array_equal(again.exp, motion.exp)
    code, _, said = call(["animate", "demo", "--mode", "paper", "--head", "flame"], capsys)
    assert code == 2 and "--mode live" in said
    code, _, said = call(["animate", "demo", "--backend", "fake", "--head", "no-such"], capsys)
    assert code == 1 and "no head 'no-such'" in said


def test_how_well_arkits_shapes_follow(
    library: Path, flame: Head, capsys: pytest.CaptureFixture[str]
) -> None:
    """In millimetres per region; against the truth where the head's own names are known."""
    from posetalk.formats.motion_file import Motion

    rng = np.random.default_rng(2)
    exp = rng.uniform(0, 0.4, (8, 50)).astype(np.float32)
    pose = np.zeros((8, 6), np.float32)
    pose[:, 3] = rng.uniform(0, 0.3, 8)
    for head in (builtin_head(), flame):
        Motion(exp, pose, np.zeros(100, np.float32), 25.0, head.id).save(library / "m.npz")
        save_head(head, library / "head.npz", exact=True)
        arguments = ["head", "arkit", str(library / "head.npz"), "--motion"]
        code, said, _ = call([*arguments, str(library / "m.npz")], capsys)
        assert code == 0 and "lips" in said and "error mm" in said
        assert ("true weights" in said) == (head is not flame)
        error, _, moved = (float(x) for x in said.split("lips")[1].split()[:3])
        assert 0 < error < 0.7 * moved
    save_head(builtin_head(), library / "head.npz")
    code, _, said = call([*arguments, str(library / "m.npz")], capsys)
    assert code == 1 and "moves the head 'flame'" in said


def test_a_session_maps_what_leaves_it_and_nothing_else(flame: Head) -> None:
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, 16000).astype(np.float32)
    plain = Session(FakeBackend(), seed=3)
    backend = FakeBackend()
    mapped = Session(backend, seed=3, retarget=retarget_to(backend, flame))
    assert mapped.head_id == "flame" and not mapped.shape.any()
    own = [frame.motion for frame in plain.feed(sound) + plain.finish()]
    theirs = [frame.motion for frame in mapped.feed(sound) + mapped.finish()]
    wanted = retarget(builtin_head(), flame)(np.array(own))
    np.testing.assert_allclose(np.array(theirs), wanted, atol=1e-6)
    assert retarget_to(FakeBackend(), builtin_head()) is None


def test_the_wire_offers_every_set_for_a_flame_head(flame: Head) -> None:
    hello = make_hello(flame)
    assert set(hello.channels) == {"flame", "arkit52", "vertices"}
    assert hello.vertices == flame.vertex_count and hello.head == "flame"
    motion = np.zeros(54, np.float32)
    motion[53] = 0.2
    frame = Frame(0, 0, motion)
    weights = channel_values(flame, "arkit52", frame)
    assert len(weights) == len(hello.channels["arkit52"]) == 55
    opened = weights[hello.channels["arkit52"].index("jawOpen")]
    assert 0.3 < opened < 0.7
    assert channel_values(flame, "vertices", frame).size == 3 * flame.vertex_count


def test_a_head_given_by_its_file_is_found_by_its_id(library: Path, flame: Head) -> None:
    save_head(flame, library / "mine.npz", exact=True)
    with pytest.raises(HeadError, match="no head 'flame'"):
        load_head("flame")
    given = open_head(str(library / "mine.npz"))
    assert load_head("flame") is given
