"""The Godot 3 client in Debian's headless Godot, against golden bytes and the real server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from real_server import RealServer, lines_of
from websockets.sync.server import ServerConnection, serve

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def godot(folder: Path, argument: str) -> Iterator[Iterator[dict[str, Any]]]:
    """A project with the client in it, running; what it says."""
    program = shutil.which("godot3-server")
    if program is None:
        pytest.skip("not run: godot3-server is not installed")
    shutil.copy(ROOT / "clients" / "godot3" / "posetalk.gd", folder)
    shutil.copy(ROOT / "tests" / "clients" / "godot3_main.gd", folder / "main.gd")
    (folder / "project.godot").write_text(
        'config_version=4\n[application]\nconfig/name="posetalk"\n[physics]\ncommon/physics_fps=60\n'
    )
    environment = os.environ | {
        "LC_ALL": "C.UTF-8",
        "HOME": str(folder),
        "POSETALK_TEST": argument,
        "POSETALK_TOKEN": "a-secret-of-sixteen",
    }
    with subprocess.Popen(
        [program, "--path", str(folder), "-s", "main.gd"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as process:
        seen: list[str] = []

        def said() -> Iterator[dict[str, Any]]:
            for line in lines_of(process):
                seen.append(line)
                if line.startswith("{"):
                    yield json.loads(line)
            pytest.fail("Godot ended, having said:\n" + "\n".join(seen))

        try:
            yield said()
        finally:
            process.kill()


def test_golden_bytes(tmp_path: Path) -> None:
    golden = ROOT / "tests" / "data" / "wire"
    with godot(tmp_path, str(golden)) as said:
        assert next(said) == {"event": "golden", "checked": len(list(golden.glob("*.bin")))}
        rest = next(said)
    assert rest["event"] == "rest"
    for jaws, held in ((rest["told"], 1), (rest["untold"], 30)):
        assert jaws[-1] == 0, "half a second after it was told it is at rest"
        assert jaws[held - 1] == 1, "a stream that only stutters holds still"
        steps = [before - after for before, after in pairwise(jaws)]
        assert min(steps) >= 0 and max(steps) < 0.07, "softly"


def test_it_moves_a_face_and_survives_a_restart(tmp_path: Path) -> None:
    with (
        RealServer(tmp_path, "--token", "a-secret-of-sixteen") as server,
        godot(tmp_path, server.url) as said,
    ):

        def until(event: str) -> dict[str, Any]:
            for it in said:
                assert it["event"] != "wrong", it
                if it["event"] == event:
                    return it
            raise AssertionError("it ended")

        for again in (False, True):
            assert until("connected")["head"] == "posetalk-head-1"
            shown = until("frames")
            assert shown["widest"] > 0.2 and shown["count"] == 55 and shown["heard"] > 4000
            assert until("error")["code"] == "no_such_style"
            until("interrupted")
            if not again:
                until("speaks")
                server.stop()
                until("end")
                until("lost")
                after = {"error": "connection", "rest": None}  # said once, tried again
                while after:
                    it = next(said)
                    if it["event"] == "speaks":  # frames that it had before are shown to their end
                        continue
                    assert it.get("code") == after.pop(it["event"])
                    assert it["event"] != "rest" or (it["smirk"], it["turned"]) == (0, False)
                server.start()


def test_another_version_is_said_and_not_tried_again(tmp_path: Path) -> None:
    def greet(link: ServerConnection) -> None:
        link.send('{"type":"hello","protocol":2}')
        for _ in link:
            pass

    with serve(greet, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with godot(tmp_path, f"ws://127.0.0.1:{server.socket.getsockname()[1]}") as said:
                assert next(said) == {"event": "error", "code": "version"}
        finally:
            server.shutdown()
            thread.join()
