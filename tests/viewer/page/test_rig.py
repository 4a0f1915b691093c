"""The page's own rig poses a head as `head.skinning` does: the script itself, run by node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from flame_files import flame_model, pickled

from head.importing.flame import import_flame
from head.model import Head
from head.rig import builtin_head
from head.skinning import skin
from viewer.page.head_file import pack_head

SCRIPT = """
import { readFileSync } from "node:fs";
const { readHead, Rig } = await import(process.argv[1]);
const file = readFileSync(process.argv[2]);
const rig = new Rig(readHead(file.buffer.slice(file.byteOffset, file.byteOffset + file.length)));
const out = [];
for (const values of JSON.parse(process.argv[3])) {
  rig.pose(Float32Array.from(values));
  out.push(Array.from(rig.positions));
}
console.log(JSON.stringify(out));
"""


def posed(head: Head, values: np.ndarray, folder: Path) -> np.ndarray:
    """Vertices (L, V, 3) that the script makes of (expression, head 3, jaw 3)."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("not run: node (with npm) is not installed")
    shutil.copy(
        Path(__file__).parents[3] / "viewer" / "web" / "face" / "rig.js", folder / "rig.mjs"
    )
    (folder / "head.bin").write_bytes(pack_head(head))
    (folder / "run.mjs").write_text(SCRIPT.replace("process.argv[", "process.argv[1 + "))
    command = [node, "run.mjs", "./rig.mjs", "head.bin", json.dumps(values.tolist())]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return np.array(json.loads(ran.stdout)).reshape(len(values), -1, 3)


@pytest.mark.parametrize("flame", [False, True])
def test_the_page_poses_a_head_as_we_do(flame: bool, tmp_path: Path) -> None:
    head = builtin_head()
    if flame:  # its joints follow the expression
        head = import_flame(pickled(flame_model(head)), "x.pkl", "flame", shapes=5)
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.3, (3, 56)).astype("f4")
    found = posed(head, values, tmp_path)
    wanted = skin(head, values[:, :50], global_rotation=values[:, 50:53], jaw_pose=values[:, 53:])
    # Bases are quantised to 16 bits, weights to the four strongest joints.
    assert np.abs(found - wanted).max() < 2e-5
    if flame:
        assert np.abs(skin(head, values[:, :50]) - head.template).max() > 1e-3
