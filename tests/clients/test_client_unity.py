"""The Unity client, compiled with Mono: golden bytes, and a face that follows the real server.

`PosetalkFace` runs on stubs of UnityEngine (tests/clients/unity): no Unity was at hand.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE
from real_server import RealServer, lines_of
from websockets.sync.server import ServerConnection, serve

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = ROOT / "clients" / "unity" / "Runtime"
DRIVERS = ROOT / "tests" / "clients" / "unity"
GOLDEN = ROOT / "tests" / "data" / "wire"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `golden.exe` (pure parts alone) and `follow.exe` (all, with stubs)."""
    compiler = shutil.which("mcs")
    if compiler is None or shutil.which("mono") is None:
        pytest.skip("not run: mono-mcs and mono-runtime are not installed")
    folder = tmp_path_factory.mktemp("unity")
    pure = [RUNTIME / f"{name}.cs" for name in ("Wire", "Json", "PlayOut", "ChannelMap")]
    builds = {
        "golden.exe": [*pure, DRIVERS / "Golden.cs"],
        "follow.exe": [
            *RUNTIME.glob("*.cs"),
            *DRIVERS.glob("UnityEngineStubs.cs"),
            DRIVERS / "Follow.cs",
        ],
    }
    for name, sources in builds.items():
        command = [compiler, "-langversion:7", "-warnaserror", f"-out:{folder / name}", *sources]
        built = subprocess.run(command, capture_output=True, text=True)
        assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_only_one_file_needs_the_engine() -> None:
    users = {path.name for path in RUNTIME.glob("*.cs") if "UnityEngine;" in path.read_text()}
    assert users == {"PosetalkFace.cs"}


def test_golden_bytes_and_pure_parts(programs: Path) -> None:
    ran = subprocess.run(
        ["mono", programs / "golden.exe", GOLDEN], capture_output=True, text=True, timeout=PATIENCE
    )
    assert ran.returncode == 0, ran.stderr
    manifest = json.loads((GOLDEN / "manifest.json").read_text())
    judged = [name for name, wanted in manifest.items() if wanted.get("error") != "field"]
    assert ran.stdout.split() == ["wire", str(len(judged)), "ok"]


def test_a_face_follows_a_server_through_a_restart(programs: Path, tmp_path: Path) -> None:
    with RealServer(tmp_path, "--token", "a-secret-of-sixteen") as server:
        command = ["mono", str(programs / "follow.exe"), server.url, "a-secret-of-sixteen"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            said = (json.loads(line) for line in lines_of(process))

            def until(event: str) -> dict[str, Any]:
                for it in said:
                    assert it["event"] != "wrong"
                    if it["event"] == event:
                        return it
                raise AssertionError(f"it ended before {event!r}")

            for again in (False, True):
                until("connected")
                frames = until("frames")
                assert 20 < frames["widest"] <= 100 and frames["blink"]
                assert until("error")["code"] == "no_such_style"
                until("shut")
                if not again:
                    server.stop()
                    assert until("error")["code"] == "connection"  # said once, tried again
                    server.start()
            process.kill()


def test_another_version_is_said_and_not_tried_again(programs: Path) -> None:
    greeted: list[int] = []

    def greet(link: ServerConnection) -> None:
        greeted.append(1)
        link.send('{"type":"hello","protocol":2}')
        for _ in link:
            pass

    with serve(greet, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
            ran = subprocess.run(
                ["mono", programs / "follow.exe", url],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
        finally:
            server.shutdown()
            thread.join()
    assert json.loads(ran.stdout) == {"event": "error", "code": "version"}
    assert "protocol 2" in ran.stderr and len(greeted) == 1
