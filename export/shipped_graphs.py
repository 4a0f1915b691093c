"""Put ONNX graphs into a bundle's folder: `python -m export.shipped_graphs
diffposetalk/bundles/starter`.

Takes a second, and needs no torch.  The graphs hold no weights (they refer to the bundle's own), so
they change only when the network's shapes do; the manifest is new every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from diffposetalk.bundle.bundle import load_bundle
from diffposetalk.bundle.graphs import FOLDER, Manifest
from export.onnx_export import export_onnx

STEPS = (1, 2, 3, 4, None)
"""None: one more graph, a loop for any other number."""


@dataclass(frozen=True)
class ShippedGraphsSettings:
    """Which bundle."""

    bundle: Annotated[str, tyro.conf.Positional] = "starter"
    """Name or folder."""


def write_shipped_graphs(folder: str | Path) -> Manifest:
    """Write BUNDLE/onnx.

    Raises:
        diffposetalk.bundle.bundle.BundleError: it cannot be read.
        export.onnx_export.ExportError: it cannot be exported, or not be written.
    """
    return export_onnx(load_bundle(folder), STEPS)[1]


def main(settings: ShippedGraphsSettings) -> None:
    """Write, and say what."""
    folder = load_bundle(settings.bundle).folder / FOLDER
    manifest = write_shipped_graphs(settings.bundle)
    total = sum((folder / graph.file).stat().st_size for graph in manifest.graphs.values())
    print(f"{folder}: {', '.join(manifest.graphs)}, {total / 1e3:.0f} kB")


if __name__ == "__main__":
    main(tyro.cli(ShippedGraphsSettings))
