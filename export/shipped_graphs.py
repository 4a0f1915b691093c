"""The ONNX graphs in a bundle's own folder, as `posetalk export FOLDER` writes them, too.

The graphs hold no weights (they refer to the bundle's own), so they change only when the network's
shapes do, or the torch that traces them; the manifest is new every time.
"""

from __future__ import annotations

from pathlib import Path

from diffposetalk.bundle.bundle import load_bundle
from diffposetalk.bundle.graphs import Manifest
from export.onnx_export import export_onnx

STEPS = (1, 2, 3, 4, None)
"""None: one more graph, a loop for any other number."""


def write_shipped_graphs(folder: str | Path) -> Manifest:
    """Write BUNDLE/onnx.

    Raises:
        diffposetalk.bundle.bundle.BundleError: it cannot be read.
        export.onnx_export.ExportError: it cannot be exported, or not be written.
    """
    return export_onnx(load_bundle(folder), STEPS)[1]
