"""The Node client: type-checked, held to the golden bytes, and run against the real server."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE
from real_server import RealServer, lines_of

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).resolve().parents[1] / "clients"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client as a user gets it: copied, `npm install`, `tsc`."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("not run: no node and npm here")
    folder = tmp_path_factory.mktemp("node") / "client"
    shutil.copytree(
        ROOT / "clients" / "node", folder, ignore=shutil.ignore_patterns("node_modules", "dist")
    )
    install = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock"]
    installed = subprocess.run(install, cwd=folder, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip("not run: npm could not install ws and typescript")
    built = subprocess.run([npm, "run", "build"], cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "dist"


def test_golden_bytes(dist: Path) -> None:
    ran = subprocess.run(
        ["node", SCRIPTS / "node_golden.mjs", dist, ROOT / "tests" / "data" / "wire"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ran.returncode == 0, ran.stderr
    manifest = json.loads((ROOT / "tests" / "data" / "wire" / "manifest.json").read_text())
    judged = [name for name, wanted in manifest.items() if wanted.get("error") != "field"]
    assert ran.stdout == f"checked {len(judged)}\n"


def test_it_speaks_and_survives_a_restart(dist: Path, tmp_path: Path) -> None:
    with RealServer(tmp_path, "--token", "a-secret-of-sixteen") as server:
        script = [
            "node",
            str(SCRIPTS / "node_follow.mjs"),
            str(dist),
            server.url,
            "a-secret-of-sixteen",
        ]
        with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as process:
            said = (json.loads(line) for line in lines_of(process))

            def until(event: str) -> dict[str, Any]:
                return next(it for it in said if it["event"] == event)

            for again in (False, True):
                assert until("hello") == {
                    "event": "hello",
                    "head": "posetalk-head-1",
                    "channels": 55,
                }
                heard = until("frames")
                assert heard["widest"] > 0.2 and heard["count"] == 55
                assert heard["heard"] > 8000 and heard["seconds"] >= 0.4
                assert until("error") == {"event": "error", "code": "no_such_style"}
                until("interrupted")
                if not again:
                    server.stop()
                    until("end")
                    until("lost")
                    server.start()
            process.kill()


def test_another_version_is_said_and_not_tried_again(dist: Path) -> None:
    import threading

    from websockets.sync.server import ServerConnection, serve

    greeted: list[int] = []

    def greet(link: ServerConnection) -> None:
        greeted.append(1)
        link.send('{"type":"hello","protocol":2,"channels":"of another kind"}')
        for _ in link:
            pass

    with serve(greet, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        script = ["node", str(SCRIPTS / "node_follow.mjs"), str(dist), url]
        ran = subprocess.run(script, capture_output=True, text=True, timeout=PATIENCE)
        server.shutdown()
        thread.join()
    said = [json.loads(line) for line in ran.stdout.splitlines()]
    assert said == [{"event": "error", "code": "version"}, {"event": "lost"}]
    assert len(greeted) == 1 and ran.returncode == 0
